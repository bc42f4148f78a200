//! Where each session lives: `SessionId → Home`, the one concurrent map of the house.
//!
//! Invariant: an entry exists from the moment the shard was told to open the session until the shard has reported its
//! end. Looked up once per join, never per frame.

use std::sync::Arc;

use dashmap::DashMap;
use fanlight_wire::policy::Role;
use fanlight_wire::{GroupId, SessionId, ShardId};

use crate::policies::Numbered;
use crate::secrets::Hash;

/// A session as control knows it. No content, no names.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub(crate) shard: ShardId,
    pub(crate) group: GroupId,
    /// Seconds since 1970.
    pub(crate) created: u64,
    /// Tickets of an older epoch are revoked.
    pub(crate) epoch: u32,
    /// Its visitor's handle, revoked with the session.
    pub(crate) handle: Hash,
    pub(crate) counts: Counts,
    /// The version that the session was created with, and what its agents' rights are read from.
    pub(crate) pinned: Arc<Numbered>,
    /// The version of the rules in force: the pinned one, or a later one that narrowed it.
    pub(crate) in_force: u32,
}

/// What a session's record counts.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) agents: u32,
    pub(crate) shares: u32,
    pub(crate) takeovers: u32,
    pub(crate) refusals: u32,
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

    pub(crate) fn remove(&self, session: &SessionId) -> Option<Home> {
        self.homes.remove(session).map(|(_, home)| home)
    }

    /// Changes what is counted about a session; nothing happens if it is gone.
    pub(crate) fn count(&self, session: &SessionId, change: impl FnOnce(&mut Counts)) {
        if let Some(mut home) = self.homes.get_mut(session) {
            change(&mut home.counts);
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
