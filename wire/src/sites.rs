//! Allowed sites as a session obeys them: what an agent's share must show, and how surely that must be known
//! (rules.md decision 8; R004, R019, R020).
//!
//! Invariant: [`Sites::judge`] looks at parsed addresses only, and every list that was ever put in force must agree:
//! narrowing adds a list and never takes one away.

use serde::{Deserialize, Serialize};

use crate::address::{Address, Pattern};
use crate::code::{Code, Refusal};
use crate::limits::SITE_LISTS_MAX;
use crate::policy::Surface;

/// How surely it is known what a share shows, from nothing to a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assurance {
    None,
    /// The kind of surface, as declared.
    Surface,
    /// The viewer opened the window itself; does not notice later navigation.
    Stated,
    /// A capture handle of the captured tab, or an extension.
    Proved,
}

impl Assurance {
    /// The most that can be known of what a surface shows.
    pub const fn best(surface: Surface) -> Self {
        match surface {
            Surface::Browser => Self::Proved,
            Surface::Window => Self::Stated,
            Surface::Monitor => Self::Surface,
        }
    }
}

/// The least assurance for each kind of surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Assurances {
    pub browser: Assurance,
    pub window: Assurance,
    pub monitor: Assurance,
}

impl Default for Assurances {
    fn default() -> Self {
        // A monitor can be neither stated nor proved: asking for a proof refuses it.
        Self { browser: Assurance::Proved, window: Assurance::Stated, monitor: Assurance::Proved }
    }
}

impl Assurances {
    pub const fn of(&self, surface: Surface) -> Assurance {
        match surface {
            Surface::Browser => self.browser,
            Surface::Window => self.window,
            Surface::Monitor => self.monitor,
        }
    }

    fn stricter(self, other: Self) -> Self {
        Self {
            browser: self.browser.max(other.browser),
            window: self.window.max(other.window),
            monitor: self.monitor.max(other.monitor),
        }
    }
}

/// The lists of one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    /// None of them: nothing is allowed.
    allowed: Vec<Pattern>,
    /// Addresses of the active bookmarks.
    bookmarks: Vec<Address>,
}

/// What agents' shares must show. Without a list, anything.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sites {
    lists: Vec<List>,
    assurance: Assurances,
}

impl Sites {
    /// The rules of one version. Without an allowed site they are off, whatever the bookmarks.
    pub fn new(allowed: Vec<Pattern>, bookmarks: Vec<Address>, assurance: Assurances) -> Self {
        let lists = if allowed.is_empty() { Vec::new() } else { vec![List { allowed, bookmarks }] };
        Self { lists, assurance }
    }

    pub const fn are_on(&self) -> bool {
        !self.lists.is_empty()
    }

    /// Must its holder go on saying what a share of this surface shows?
    pub fn want_statements(&self, surface: Surface) -> bool {
        self.are_on() && self.assurance.of(surface) >= Assurance::Stated
    }

    /// Is it surely enough known what a share of this surface shows, whatever that is?
    ///
    /// # Errors
    /// [`Code::Site`].
    pub fn judge_surface(&self, surface: Surface, known: Assurance) -> Result<(), Refusal> {
        if self.are_on() && known.min(Assurance::best(surface)) < self.assurance.of(surface) {
            return refused("rules decision 8", unsure(surface));
        }
        Ok(())
    }

    /// May a share of this surface show this address, known this surely?
    ///
    /// # Errors
    /// [`Code::Site`], with the rule that decided.
    pub fn judge(&self, surface: Surface, url: Option<&str>, known: Assurance) -> Result<(), Refusal> {
        self.judge_surface(surface, known)?;
        if !self.are_on() {
            return Ok(());
        }
        let known = known.min(Assurance::best(surface));
        let needed = self.assurance.of(surface);
        // Less than a statement says nothing about an address.
        let Some(url) = url.filter(|_| known >= Assurance::Stated) else {
            return if needed < Assurance::Stated { Ok(()) } else { refused("rules decision 8", unsure(surface)) };
        };
        let address = match Address::parse(url) {
            Ok(address) => address,
            Err(unfit) => return refused("G-71", unfit.sentence()),
        };
        if !self.lists.iter().all(|list| list.allowed.iter().any(|pattern| pattern.matches(&address))) {
            return refused("R052", "This page is not on an allowed site. Share an approved page instead.");
        }
        // Only a window that the viewer opened from the list is known by statement.
        if known < Assurance::Proved && !self.lists.iter().all(|list| list.bookmarks.contains(&address)) {
            return refused("R020", "This page is not a bookmark of your group. Open one from the Share Screen menu.");
        }
        Ok(())
    }

    /// What both allow.
    #[must_use]
    pub fn narrowed_to(&self, ceiling: &Self) -> Self {
        let mut lists = self.lists.clone();
        lists.extend(ceiling.lists.iter().filter(|list| !self.lists.contains(list)).cloned());
        if lists.len() > SITE_LISTS_MAX {
            lists = vec![List { allowed: Vec::new(), bookmarks: Vec::new() }];
        }
        Self { lists, assurance: self.assurance.stricter(ceiling.assurance) }
    }
}

fn refused(rule: &'static str, sentence: &'static str) -> Result<(), Refusal> {
    Err(Refusal::new(Code::Site, rule).saying(sentence))
}

const fn unsure(surface: Surface) -> &'static str {
    match surface {
        Surface::Browser => {
            "Your group shares approved sites only, and this tab does not say what it shows. Share an approved page."
        }
        Surface::Window => {
            "Your group shares approved sites only. Open a bookmark from the Share Screen menu and share its window."
        }
        Surface::Monitor => {
            "Your group shares approved sites only. Share a window or a tab instead of the whole screen."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites(allowed: &[&str], bookmarks: &[&str]) -> Sites {
        let allowed = allowed.iter().map(|text| Pattern::parse(text).expect("a pattern")).collect();
        let bookmarks = bookmarks.iter().map(|text| Address::parse(text).expect("an address")).collect();
        Sites::new(allowed, bookmarks, Assurances::default())
    }

    fn rule(judged: Result<(), Refusal>) -> Option<String> {
        judged.err().map(|refusal| {
            assert_eq!(refusal.code, Code::Site);
            refusal.rule.into_owned()
        })
    }

    #[test]
    fn without_allowed_sites_anything_goes() {
        // R018
        let off = sites(&[], &["https://good.example/a"]);
        for surface in Surface::ALL {
            assert_eq!(off.judge(surface, None, Assurance::None), Ok(()));
            assert!(!off.want_statements(surface));
        }
    }

    #[test]
    fn a_share_is_known_and_allowed_or_refused() {
        // R004, R020, R052, rules.md decision 8
        let on = sites(&["https://good.example/*"], &["https://good.example/a_b"]);
        let judged = |surface, url, known| rule(on.judge(surface, url, known));
        let (tab, window, monitor) = (Surface::Browser, Surface::Window, Surface::Monitor);
        let (stated, proved) = (Assurance::Stated, Assurance::Proved);
        assert_eq!(judged(tab, Some("https://good.example/any"), proved), None);
        assert_eq!(judged(window, Some("https://good.example/a_b"), stated), None, "R055: an underscore is a letter");
        assert_eq!(judged(tab, Some("https://evil.example/"), proved).as_deref(), Some("R052"));
        assert_eq!(judged(tab, Some("https://good.example@evil.example/"), proved).as_deref(), Some("G-71"));
        assert_eq!(judged(window, Some("https://good.example/any"), stated).as_deref(), Some("R020"));
        for (surface, url, known) in [
            (tab, Some("https://good.example/a_b"), stated),
            (tab, None, proved),
            (window, None, stated),
            (window, Some("https://good.example/a_b"), Assurance::Surface),
            (monitor, Some("https://good.example/a_b"), proved),
        ] {
            assert_eq!(judged(surface, url, known).as_deref(), Some("rules decision 8"), "{surface:?} {known:?}");
        }
        // A proof cannot be had of a window: what claims one is a statement.
        assert_eq!(judged(window, Some("https://good.example/any"), proved).as_deref(), Some("R020"));
    }

    #[test]
    fn a_policy_may_be_content_with_the_surface() {
        let assurance =
            Assurances { browser: Assurance::None, window: Assurance::Surface, monitor: Assurance::Surface };
        let allowed = vec![Pattern::parse("https://good.example/*").expect("a pattern")];
        let on = Sites::new(allowed, Vec::new(), assurance);
        for surface in Surface::ALL {
            assert!(!on.want_statements(surface));
            assert_eq!(on.judge(surface, None, Assurance::Surface), Ok(()), "{surface:?}");
        }
        let told = on.judge(Surface::Browser, Some("https://evil.example/"), Assurance::Proved);
        assert_eq!(rule(told).as_deref(), Some("R052"), "but what is known is judged");
    }

    #[test]
    fn lists_hold_together_and_never_widen() {
        let (wide, tight) = (sites(&["https://good.example/*"], &[]), sites(&["https://good.example/help/*"], &[]));
        let both = wide.narrowed_to(&tight);
        let may = |sites: &Sites, url| sites.judge(Surface::Browser, Some(url), Assurance::Proved).is_ok();
        assert!(may(&both, "https://good.example/help/x") && !may(&both, "https://good.example/shop"));
        assert_eq!(both.narrowed_to(&wide), both, "a wider version gives nothing back");
        assert_eq!(both.narrowed_to(&sites(&[], &[])), both, "nor does one that is off");
        assert!(sites(&[], &[]).narrowed_to(&tight).are_on());
        let many = (0..=SITE_LISTS_MAX).fold(wide, |all, n| {
            let more = sites(&["https://good.example/*", &format!("https://n{n}.example/")], &[]);
            all.narrowed_to(&more)
        });
        assert!(many.are_on() && !may(&many, "https://good.example/help/x"), "too many lists fail closed");
    }
}
