//! Where each session lives: `SessionId → Home`, the one concurrent map of the house.
//!
//! Invariant: an entry exists from the moment the shard was told to open the session until the shard has reported its
//! end. Looked up once per join, never per frame.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dashmap::DashMap;
use fanlight_wire::limits::PARTICIPANTS_LIFETIME_MAX;
use fanlight_wire::policy::{Capabilities, Policy, Role};
use fanlight_wire::{GroupId, SessionId, ShardId};

use crate::live::Live;
use crate::particulars::Particulars;
use crate::policies::{Numbered, capabilities, of_session};
use crate::secrets::Hash;

/// A session as control knows it. No content; of agents the names that the visitor is shown.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub(crate) shard: ShardId,
    pub(crate) group: GroupId,
    /// Seconds since 1970.
    pub(crate) created: u64,
    /// Its visitor's handle, revoked with the session.
    pub(crate) handle: Hash,
    pub(crate) counts: Counts,
    /// The version that the session was created with, and what its agents' rights are read from.
    pub(crate) pinned: Arc<Numbered>,
    /// The version of the rules in force: the pinned one, or a later one that narrowed it.
    pub(crate) in_force: u32,
    /// Roles of its agents that have one, by subject.
    pub(crate) roles: BTreeMap<String, String>,
    /// What it is about, and who may come in without a key.
    pub(crate) particulars: Arc<Particulars>,
    /// What has been enforced on it.
    pub(crate) enforced: Vec<Arc<Numbered>>,
    /// What is going on in it.
    pub(crate) live: Live,
    /// Shards that were asked to serve viewers of it.
    pub(crate) mirrors: BTreeSet<ShardId>,
}

impl Home {
    /// The rules that the session was created under, before anything was enforced.
    pub(crate) fn policy(&self) -> Policy {
        of_session(&self.pinned, &self.particulars)
    }

    /// What an agent of this role may be given for this session (R152): the pinned rules' and every enforced version's.
    pub(crate) fn rights(&self, role: Option<&str>) -> Capabilities {
        let pinned = capabilities(&self.pinned.bundle, role);
        self.enforced.iter().fold(pinned, |rights, later| rights.narrowed_to(capabilities(&later.bundle, role)))
    }
}

/// What a session's record counts.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) agents: u32,
    pub(crate) shares: u32,
    pub(crate) takeovers: u32,
    pub(crate) refusals: u32,
    /// The visitor has agreed to something at least once.
    pub(crate) agreed: bool,
}

impl Counts {
    pub(crate) fn joined(&mut self, role: Role, resumed: bool) {
        if role == Role::Agent && !resumed {
            self.agents = self.agents.saturating_add(1);
        }
    }
}

/// The directory.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    homes: DashMap<SessionId, Home>,
}

impl Directory {
    pub(crate) fn insert(&self, session: SessionId, home: Home) {
        self.homes.insert(session, home);
    }

    pub(crate) fn home(&self, session: &SessionId) -> Option<Home> {
        self.homes.get(session).map(|home| home.clone())
    }

    pub(crate) fn particulars(&self, session: &SessionId) -> Option<Arc<Particulars>> {
        self.homes.get(session).map(|home| Arc::clone(&home.particulars))
    }

    pub(crate) fn remove(&self, session: &SessionId) -> Option<Home> {
        self.homes.remove(session).map(|(_, home)| home)
    }

    /// Changes what is counted about a session; nothing happens if it is gone.
    pub(crate) fn count(&self, session: &SessionId, change: impl FnOnce(&mut Counts)) {
        if let Some(mut home) = self.homes.get_mut(session) {
            change(&mut home.counts);
        }
    }

    /// Changes what is known of what is going on in a session; nothing happens if it is gone.
    pub(crate) fn live(&self, session: &SessionId, change: impl FnOnce(&mut Live)) {
        if let Some(mut home) = self.homes.get_mut(session) {
            change(&mut home.live);
        }
    }

    /// The session runs under the rules of this version now.
    pub(crate) fn in_force(&self, session: &SessionId, version: u32) {
        if let Some(mut home) = self.homes.get_mut(session) {
            home.in_force = version;
        }
    }

    /// An agent of this role may come to the session: *enforce* has to know whose rights to narrow how.
    pub(crate) fn note_role(&self, session: &SessionId, subject: &str, role: Option<&str>) {
        if let (Some(mut home), Some(role)) = (self.homes.get_mut(session), role)
            && (home.roles.len() < PARTICIPANTS_LIFETIME_MAX || home.roles.contains_key(subject))
        {
            home.roles.insert(subject.to_owned(), role.to_owned());
        }
    }

    /// This shard may mirror the session from now on. False when the session is gone.
    pub(crate) fn note_mirror(&self, session: &SessionId, shard: ShardId) -> bool {
        let home = self.homes.get_mut(session);
        home.map(|mut home| home.mirrors.insert(shard)).is_some()
    }

    /// This agent may come into the session again without a key.
    pub(crate) fn note_host(&self, session: &SessionId, agent: &str) {
        if let Some(mut home) = self.homes.get_mut(session)
            && home.particulars.hosts.len() < PARTICIPANTS_LIFETIME_MAX
        {
            Arc::make_mut(&mut home.particulars).hosts.insert(agent.to_owned());
        }
    }

    /// The session's visitor has a new handle; the one before, to be revoked.
    pub(crate) fn renew_handle(&self, session: &SessionId, handle: Hash) -> Option<Hash> {
        self.homes.get_mut(session).map(|mut home| std::mem::replace(&mut home.handle, handle))
    }

    /// What has been enforced on the session narrows every later ticket of its agents.
    pub(crate) fn enforced(&self, session: &SessionId, numbered: &Arc<Numbered>) {
        if let Some(mut home) = self.homes.get_mut(session) {
            home.enforced.retain(|kept| kept.version != numbered.version);
            home.enforced.push(Arc::clone(numbered));
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.homes.len()
    }

    /// Every session, oldest first.
    pub(crate) fn all(&self) -> Vec<(SessionId, Home)> {
        let mut all: Vec<_> = self.homes.iter().map(|entry| (*entry.key(), entry.value().clone())).collect();
        all.sort_by_key(|(session, home)| (home.created, *session));
        all
    }
}
