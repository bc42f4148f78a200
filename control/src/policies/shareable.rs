//! What an agent's Share menu lists: bookmarks and approved documents of the rules its session has pinned.
//!
//! Invariant: a session lists what was published when it was created, less what was taken away by *enforce* since; what
//! is not active, not of the agent's role or above the group's feature level is not listed (R016, R025, R031, R095).

use fanlight_wire::address::Address;
use fanlight_wire::policy::{Capabilities, LEVEL_SHARE, Surface};
use fanlight_wire::sites::Assurances;
use serde::Serialize;

use super::bundle::{Bookmark, Bundle, DocumentKind, Item, LEVEL_FOLDERS};
use super::judge::{Side, Wish, judge};
use crate::directory::Home;

/// The menu of one agent in one session.
#[derive(Debug, Serialize)]
pub(crate) struct Shareable {
    policy_version: u32,
    /// What this agent may share, as pinned.
    surfaces: Vec<Surface>,
    /// While allowed sites are on: what must be known of each surface.
    #[serde(skip_serializing_if = "Option::is_none")]
    sites: Option<Assurances>,
    bookmarks: Vec<Entry>,
    documents: Vec<Document>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Entry {
    Link(Link),
    Folder { name: String, links: Vec<Link> },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Link {
    title: String,
    url: String,
}

/// An approved document (R101): named by its id when it is shared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Document {
    id: String,
    name: String,
    #[serde(rename = "type")]
    kind: DocumentKind,
    download: bool,
}

impl Shareable {
    pub(crate) fn of(home: &Home, role: Option<&str>) -> Self {
        let bundle = &home.pinned.bundle;
        let rights = home.rights(role);
        let may = |surface: &Surface| rights.contains(Capabilities::showing(*surface));
        let later: Vec<&Bundle> = home.enforced.iter().map(|numbered| &numbered.bundle).collect();
        let sites_on = [bundle].into_iter().chain(later.iter().copied()).any(|bundle| !bundle.sites.allowed.is_empty());
        let mut bookmarks = Vec::new();
        if rights.contains(Capabilities::PUB_SCREEN) && bundle.feature_level >= LEVEL_SHARE {
            bookmarks = entries(bundle, |url| later.iter().all(|bundle| has_bookmark(bundle, url)));
        }
        let documents = bundle.documents.links.iter().filter(|link| {
            let wish = Wish::Document { side: Side::Agent, link: Some(link.id.clone()), bytes: None, save: false };
            [bundle].into_iter().chain(later.iter().copied()).all(|bundle| judge(bundle, role, &wish).allowed)
        });
        let document = |link: &super::bundle::DocumentLink| Document {
            id: link.id.clone(),
            name: link.name.clone(),
            kind: link.kind,
            download: link.download,
        };
        Self {
            policy_version: home.in_force,
            surfaces: Surface::ALL.into_iter().filter(may).collect(),
            sites: sites_on.then_some(bundle.sharing.assurance),
            bookmarks,
            documents: documents.map(document).collect(),
        }
    }

    /// Is this one of the bookmarks that are listed? Both spelled their own way (R019: checked again at the click).
    pub(crate) fn has(&self, url: &str) -> bool {
        let links = self.bookmarks.iter().flat_map(|entry| match entry {
            Entry::Link(link) => std::slice::from_ref(link),
            Entry::Folder { links, .. } => links.as_slice(),
        });
        let wanted = Address::parse(url);
        wanted.is_ok() && links.into_iter().any(|link| Address::parse(&link.url) == wanted)
    }
}

/// Active bookmarks in their order; folders that show nothing are left out, and below 6.0 there are none (R021).
fn entries(bundle: &Bundle, still: impl Fn(&str) -> bool) -> Vec<Entry> {
    let mut all = Vec::new();
    for item in &bundle.sites.bookmarks {
        match item {
            Item::Link { title, url, active: true } if still(url) => {
                all.push(Entry::Link(Link { title: title.clone(), url: url.clone() }));
            }
            Item::Folder { name, active: true, links } => {
                let shown = links.iter().filter(|link| link.active && still(&link.url));
                let shown: Vec<Link> = shown.map(link_of).collect();
                if bundle.feature_level < LEVEL_FOLDERS {
                    all.extend(shown.into_iter().map(Entry::Link));
                } else if !shown.is_empty() {
                    all.push(Entry::Folder { name: name.clone(), links: shown });
                }
            }
            Item::Link { .. } | Item::Folder { .. } => {}
        }
    }
    all
}

fn link_of(link: &Bookmark) -> Link {
    Link { title: link.title.clone(), url: link.url.clone() }
}

fn has_bookmark(bundle: &Bundle, url: &str) -> bool {
    let wanted = Address::parse(url);
    wanted.is_ok() && bundle.bookmarks().into_iter().any(|(_, own, active)| active && Address::parse(own) == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(level: u16) -> Bundle {
        let text = r#"{"sites": {"bookmarks": [
            {"kind": "link", "title": "Off", "url": "https://good.example/off", "active": false},
            {"kind": "folder", "name": "Help", "active": true, "links": [
                {"title": "A", "url": "https://good.example/a", "active": true},
                {"title": "B", "url": "https://good.example/b", "active": false}]},
            {"kind": "folder", "name": "Gone", "active": false, "links": [
                {"title": "C", "url": "https://good.example/c", "active": true}]},
            {"kind": "link", "title": "Home", "url": "https://good.example/", "active": true}]}}"#;
        let bundle: Bundle = serde_json::from_str(text).expect("a bundle");
        Bundle { feature_level: level, ..bundle }
    }

    fn shown(bundle: &Bundle) -> Vec<String> {
        let show = |entry: &Entry| match entry {
            Entry::Link(link) => link.title.clone(),
            Entry::Folder { name, links } => {
                let links: Vec<_> = links.iter().map(|link| link.title.clone()).collect();
                format!("{name}[{}]", links.join(" "))
            }
        };
        entries(bundle, |_| true).iter().map(show).collect()
    }

    #[test]
    fn only_what_is_active_is_listed_and_folders_need_their_level() {
        // R021, R025, R031
        assert_eq!(shown(&bundle(60)), ["Help[A]", "Home"]);
        assert_eq!(shown(&bundle(53)), ["A", "Home"], "a flat list for older groups");
    }

    #[test]
    fn what_a_later_version_does_not_have_is_gone() {
        let listed = entries(&bundle(60), |url| url.ends_with("/a"));
        assert_eq!(listed.len(), 1);
        assert!(has_bookmark(&bundle(60), "https://GOOD.example:443/a") && !has_bookmark(&bundle(60), "nonsense"));
        assert!(!has_bookmark(&bundle(60), "https://good.example/c"), "its folder is not active");
    }
}
