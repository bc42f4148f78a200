//! The published document of a group: everything an administrator decides, as one value.
//!
//! Invariant: a field that is absent has the value of [`Bundle::default`], except in a role, where an absent right is
//! off: a role can only narrow its group, and a new setting starts off for roles. Unknown fields are refused. What a
//! type cannot say is checked by [`crate::policies::check`].

use std::collections::BTreeMap;

use fanlight_wire::consent::Matter;
use fanlight_wire::limits::{
    CONSENT_SECONDS, DOCUMENT_SAVE_BYTES, KEY_DIGITS, KEY_LIFE, KEY_TRIES_PER_AGENT, KEY_TRIES_PER_GROUP_HOUR,
    RETENTION_DAYS,
};
use fanlight_wire::policy::{Masks, Mode, Surface};
use fanlight_wire::sites::Assurances;
use serde::{Deserialize, Serialize};

/// Feature levels that something depends on (R005, R021, R041, R056), × 10.
pub(crate) const LEVEL_FOLDERS: u16 = 60;
pub(crate) const LEVELS: std::ops::RangeInclusive<u16> = 40..=60;

/// One version of a group's rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Bundle {
    /// Sessions may be made at all (R142).
    pub(crate) cobrowse_enabled: bool,
    /// × 10: 53 is "CB 5.3".
    pub(crate) feature_level: u16,
    pub(crate) sharing: Sharing,
    pub(crate) sites: Sites,
    pub(crate) documents: Documents,
    pub(crate) modes: Modes,
    pub(crate) session: Sessions,
    pub(crate) privacy: Privacy,
    pub(crate) terms: Terms,
    pub(crate) consent: Consent,
    pub(crate) keys: Keys,
    pub(crate) retention: Retention,
    pub(crate) roles: BTreeMap<String, RoleRules>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sharing {
    /// R006.
    pub(crate) escalate_to_show: bool,
    /// R043.
    pub(crate) escalate_to_view: bool,
    /// R007.
    pub(crate) agent_surfaces: Vec<Surface>,
    /// R046.
    pub(crate) visitor_surfaces: Vec<Surface>,
    /// What must be known about an agent's share while allowed sites are on (rules.md decision 8).
    pub(crate) assurance: Assurances,
}

/// Allowed sites and bookmarks (R004, R017–R035).
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sites {
    /// Patterns of [`crate::policies::address::Pattern`]; none: agents may share any site.
    pub(crate) allowed: Vec<String>,
    /// In the order in which agents see them.
    pub(crate) bookmarks: Vec<Item>,
}

/// A bookmark, or a folder of bookmarks; folders do not nest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Item {
    Link {
        title: String,
        url: String,
        active: bool,
    },
    /// An inactive folder hides its links without changing their own flags (R031).
    Folder {
        name: String,
        active: bool,
        links: Vec<Bookmark>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Bookmark {
    pub(crate) title: String,
    pub(crate) url: String,
    pub(crate) active: bool,
}

/// R056–R105.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Documents {
    pub(crate) agent_may_share: bool,
    pub(crate) visitor_may_share: bool,
    pub(crate) agent_may_save: bool,
    pub(crate) visitor_may_save: bool,
    /// Bytes of a file that the receiver may save, by who shares it.
    pub(crate) agent_shares_bytes_max: u64,
    pub(crate) visitor_shares_bytes_max: u64,
    pub(crate) links: Vec<DocumentLink>,
    /// Patterns of [`crate::policies::address::Pattern`]: documents on the group's own site that are shown as part of the
    /// page (R059).
    pub(crate) hosted: Vec<String>,
}

/// R093–R098.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DocumentLink {
    /// What a client names when it shares the document; 1–64 of `a-z 0-9 -`.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) url: String,
    /// Empty: every role.
    pub(crate) roles: Vec<String>,
    pub(crate) active: bool,
    pub(crate) download: bool,
    #[serde(rename = "type")]
    pub(crate) kind: DocumentKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DocumentKind {
    Pdf,
    Xls,
    Csv,
}

impl DocumentKind {
    pub(crate) const ALL: [Self; 3] = [Self::Pdf, Self::Xls, Self::Csv];

    /// What a host may call it (R060).
    pub(crate) const fn content_types(self) -> &'static [&'static str] {
        match self {
            Self::Pdf => &["application/pdf"],
            Self::Xls => {
                &["application/vnd.ms-excel", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"]
            }
            Self::Csv => &["text/csv"],
        }
    }
}

/// What shows the visitor's side of a session. Only [`Self::Instant`] exists so far; the other has rules already.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Engine {
    /// The page, recorded by the widget.
    #[default]
    Instant,
    Advanced,
}

/// By engine (R155–R164).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Modes {
    pub(crate) instant: ModeSet,
    pub(crate) advanced: ModeSet,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModeSet {
    pub(crate) allowed: Vec<Mode>,
    pub(crate) default: Mode,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sessions {
    /// R185.
    pub(crate) agents_max: u16,
    /// R143.
    pub(crate) sessions_per_agent: u16,
    /// `null`: no maximum length.
    pub(crate) minutes_max: Option<u16>,
    /// R186.
    pub(crate) end_on_agent_leave: bool,
    pub(crate) dom_cache: bool,
    /// R133.
    pub(crate) key_required: bool,
}

/// What is hidden, by engine (R153).
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Privacy {
    pub(crate) instant: Masks,
    pub(crate) advanced: Masks,
}

/// Addresses of terms and conditions that a question to the visitor links to (R082).
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Terms {
    pub(crate) view: Option<String>,
    pub(crate) show: Option<String>,
    pub(crate) screen: Option<String>,
    pub(crate) control: Option<String>,
    pub(crate) document: Option<String>,
    pub(crate) camera: Option<String>,
}

impl Terms {
    pub(crate) const fn of(&self, matter: Matter) -> &Option<String> {
        match matter {
            Matter::View => &self.view,
            Matter::Show => &self.show,
            Matter::Screen => &self.screen,
            Matter::Control => &self.control,
            Matter::Document => &self.document,
            Matter::Camera => &self.camera,
        }
    }
}

/// Texts of questions to the visitor; empty: the standard one ([`fanlight_wire::consent::Question::standard`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Consent {
    /// How long a question or an invitation stays open.
    pub(crate) seconds: u16,
    pub(crate) view: String,
    pub(crate) show: String,
    pub(crate) screen: String,
    pub(crate) control: String,
    pub(crate) document: String,
    pub(crate) camera: String,
}

impl Consent {
    pub(crate) fn text(&self, matter: Matter) -> &str {
        match matter {
            Matter::View => &self.view,
            Matter::Show => &self.show,
            Matter::Screen => &self.screen,
            Matter::Control => &self.control,
            Matter::Document => &self.document,
            Matter::Camera => &self.camera,
        }
    }
}

/// Join keys (rules.md decision 10).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Keys {
    /// 9, or 6 with a smaller guess budget.
    pub(crate) digits: u8,
    pub(crate) minutes: u16,
    /// Wrong tries of one agent in a quarter of an hour.
    pub(crate) tries_per_agent: u32,
    /// Wrong tries of all agents in an hour, before keys become longer.
    pub(crate) tries_per_group_hour: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Retention {
    pub(crate) audit_days: u16,
    pub(crate) sessions_days: u16,
}

/// What agents of a role may do of what the group allows (R152). Switching something off for the group leaves this as it
/// is, so that switching it on again restores each role's earlier state.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RoleRules {
    pub(crate) active: bool,
    pub(crate) escalate_to_show: bool,
    pub(crate) escalate_to_view: bool,
    pub(crate) agent_surfaces: Vec<Surface>,
    pub(crate) visitor_surfaces: Vec<Surface>,
    pub(crate) modes: Vec<Mode>,
    pub(crate) annotate: bool,
    pub(crate) share_documents: bool,
    pub(crate) save_documents: bool,
}

impl Default for Bundle {
    fn default() -> Self {
        Self {
            cobrowse_enabled: true,
            feature_level: 60,
            sharing: Sharing::default(),
            sites: Sites::default(),
            documents: Documents::default(),
            modes: Modes::default(),
            session: Sessions::default(),
            privacy: Privacy::default(),
            terms: Terms::default(),
            consent: Consent::default(),
            keys: Keys::default(),
            retention: Retention::default(),
            roles: BTreeMap::new(),
        }
    }
}

impl Default for Sharing {
    fn default() -> Self {
        Self {
            escalate_to_show: true,
            escalate_to_view: true,
            agent_surfaces: Surface::ALL.to_vec(),
            visitor_surfaces: Surface::ALL.to_vec(),
            assurance: Assurances::default(),
        }
    }
}

impl Default for Documents {
    fn default() -> Self {
        Self {
            agent_may_share: true,
            visitor_may_share: true,
            agent_may_save: false,
            visitor_may_save: false,
            agent_shares_bytes_max: DOCUMENT_SAVE_BYTES,
            visitor_shares_bytes_max: DOCUMENT_SAVE_BYTES,
            links: Vec::new(),
            hosted: Vec::new(),
        }
    }
}

impl Modes {
    pub(crate) const fn of(&self, engine: Engine) -> &ModeSet {
        match engine {
            Engine::Instant => &self.instant,
            Engine::Advanced => &self.advanced,
        }
    }
}

impl Privacy {
    pub(crate) const fn of(&self, engine: Engine) -> &Masks {
        match engine {
            Engine::Instant => &self.instant,
            Engine::Advanced => &self.advanced,
        }
    }
}

impl Default for Modes {
    fn default() -> Self {
        Self {
            // R160, R157.
            instant: ModeSet { allowed: vec![Mode::ViewOnly, Mode::ViewPointer], default: Mode::ViewPointer },
            advanced: ModeSet {
                allowed: vec![Mode::ViewOnly, Mode::ViewPointer, Mode::TruePointer],
                default: Mode::ViewOnly,
            },
        }
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            agents_max: 8,
            sessions_per_agent: 1,
            minutes_max: None,
            end_on_agent_leave: false,
            dom_cache: true,
            key_required: true,
        }
    }
}

impl Default for Consent {
    fn default() -> Self {
        let none = String::new;
        Self {
            seconds: CONSENT_SECONDS,
            view: none(),
            show: none(),
            screen: none(),
            control: none(),
            document: none(),
            camera: none(),
        }
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            digits: KEY_DIGITS as u8,
            minutes: (KEY_LIFE.as_secs() / 60) as u16,
            tries_per_agent: KEY_TRIES_PER_AGENT,
            tries_per_group_hour: KEY_TRIES_PER_GROUP_HOUR,
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { audit_days: RETENTION_DAYS, sessions_days: RETENTION_DAYS }
    }
}

impl Bundle {
    /// Every bookmark with its path in the document, and whether a viewer is shown it.
    pub(crate) fn bookmarks(&self) -> Vec<(String, &str, bool)> {
        let mut all = Vec::new();
        for (at, item) in self.sites.bookmarks.iter().enumerate() {
            let path = format!("/sites/bookmarks/{at}");
            match item {
                Item::Link { url, active, .. } => all.push((format!("{path}/url"), url.as_str(), *active)),
                Item::Folder { active, links, .. } => {
                    let within = links.iter().enumerate();
                    all.extend(
                        within.map(|(n, link)| {
                            (format!("{path}/links/{n}/url"), link.url.as_str(), *active && link.active)
                        }),
                    );
                }
            }
        }
        all
    }

    /// Bookmarks and folders together (R035).
    pub(crate) fn bookmark_items(&self) -> usize {
        let within = |item: &Item| match item {
            Item::Link { .. } => 0,
            Item::Folder { links, .. } => links.len(),
        };
        self.sites.bookmarks.iter().map(|item| 1 + within(item)).sum()
    }
}
