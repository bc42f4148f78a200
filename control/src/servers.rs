//! Server keys: how a group's own back end signs in.
//!
//! Invariant: a key's text is shown once and never kept; what is held here is its hash, its group and what it is for. A
//! key that is revoked, or whose group is switched off, is nobody's from the next request on.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use fanlight_wire::{Code, GroupId, Refusal};
use serde::{Deserialize, Serialize};

use crate::locked;
use crate::secrets::{Hash, opaque, sha256};

/// How a key's text begins, so that people and scanners see what they have found.
const PREFIX: &str = "flk_";

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Scope {
    #[serde(rename = "sessions.create")]
    Create,
    #[serde(rename = "sessions.list")]
    List,
    #[serde(rename = "sessions.end")]
    End,
    #[serde(rename = "tickets.mint")]
    Tickets,
    #[serde(rename = "policy.read")]
    Policy,
    #[serde(rename = "webhooks.manage")]
    Webhooks,
    #[serde(rename = "receipts.read")]
    Receipts,
}

impl Scope {
    pub(crate) const ALL: [Self; 7] =
        [Self::Create, Self::List, Self::End, Self::Tickets, Self::Policy, Self::Webhooks, Self::Receipts];
}

/// A group's server that has shown its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) group: GroupId,
    /// The key's id, which is no secret.
    pub(crate) key: Arc<str>,
    pub(crate) scopes: BTreeSet<Scope>,
}

impl Server {
    /// # Errors
    /// `E_CAPABILITY` when the key is not for that.
    pub(crate) fn may(&self, scope: Scope) -> Result<(), Refusal> {
        if self.scopes.contains(&scope) {
            return Ok(());
        }
        let sentence = "This server key is not for that. Make one with the scope that is needed.";
        Err(Refusal::new(Code::Capability, "docs/api.md").saying(sentence))
    }
}

/// A key as it is kept.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) hash: Hash,
    pub(crate) server: Server,
}

/// Every key that is good now.
#[derive(Debug)]
pub(crate) struct Servers {
    held: Mutex<HashMap<Hash, Held>>,
}

#[derive(Debug)]
struct Held {
    server: Server,
    /// The last day of use that the store was told, as days since 1970.
    used: u64,
}

/// The text of a new key, and its hash.
pub(crate) fn new_text() -> (String, Hash) {
    let text = format!("{PREFIX}{}{}", opaque(), opaque());
    let hash = sha256(text.as_bytes());
    (text, hash)
}

impl Servers {
    pub(crate) fn new(kept: Vec<Kept>) -> Self {
        let servers = Self { held: Mutex::default() };
        servers.add(kept);
        servers
    }

    /// Whose key this is, and whether the store has to learn that it was used today.
    pub(crate) fn find(&self, text: &str, today: u64) -> Option<(Server, bool)> {
        if !text.starts_with(PREFIX) {
            return None;
        }
        let mut all = locked(&self.held);
        let held = all.get_mut(&sha256(text.as_bytes()))?;
        let fresh = std::mem::replace(&mut held.used, today) != today;
        Some((held.server.clone(), fresh))
    }

    pub(crate) fn add(&self, kept: Vec<Kept>) {
        let held = kept.into_iter().map(|Kept { hash, server }| (hash, Held { server, used: 0 }));
        locked(&self.held).extend(held);
    }

    pub(crate) fn remove(&self, key: &str) {
        locked(&self.held).retain(|_, held| &*held.server.key != key);
    }

    /// The group is switched off.
    pub(crate) fn remove_group(&self, group: &GroupId) -> Vec<Arc<str>> {
        let mut held = locked(&self.held);
        let mut gone: Vec<_> =
            held.values().filter(|held| held.server.group == *group).map(|held| Arc::clone(&held.server.key)).collect();
        held.retain(|_, held| held.server.group != *group);
        gone.sort_unstable();
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_good_until_it_is_removed_and_its_first_use_of_a_day_is_noted() {
        let (text, hash) = new_text();
        let group = GroupId::new("demo").expect("a legal id");
        let server = Server { group: group.clone(), key: "one".into(), scopes: Scope::ALL.into() };
        let servers = Servers::new(vec![Kept { hash, server: server.clone() }]);
        assert_eq!(servers.find(&text, 9), Some((server.clone(), true)));
        assert_eq!(servers.find(&text, 9), Some((server, false)));
        assert_eq!(servers.find("flk_guess", 9), None);
        assert_eq!(servers.find(&opaque(), 9), None);
        servers.remove("another");
        assert!(servers.find(&text, 10).is_some_and(|(_, fresh)| fresh));
        assert_eq!(servers.remove_group(&group), ["one".into()]);
        assert_eq!(servers.find(&text, 10), None);
    }
}
