//! Who holds a ticket of which session, and from which epoch on tickets are good.
//!
//! Invariant: a ticket names the epoch of its holder; a revocation raises it, so that everything given before is void at
//! once and what is given later is not. Epochs of a session only rise.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use fanlight_wire::command::Whom;
use fanlight_wire::limits::TICKET_HOLDERS_MAX;
use fanlight_wire::policy::Role;
use fanlight_wire::{Code, Refusal, SessionId};

use crate::locked;

/// The epoch of a session's rights at its creation.
const FIRST: u32 = 1;

/// Every session's holders.
#[derive(Debug, Default)]
pub(crate) struct Passes {
    sessions: Mutex<HashMap<SessionId, Given>>,
}

#[derive(Debug)]
struct Given {
    newest: u32,
    /// What nobody but the visitor may be older than.
    everybody: u32,
    holders: BTreeMap<(Role, String), Held>,
}

#[derive(Debug, Default)]
struct Held {
    epoch: u32,
    /// The server keys that tickets were minted with.
    keys: BTreeSet<Arc<str>>,
}

impl Given {
    fn epoch(&self, role: Role, own: u32) -> u32 {
        if role == Role::Visitor { own.max(FIRST) } else { own.max(self.everybody) }
    }
}

impl Passes {
    pub(crate) fn open(&self, session: SessionId) {
        let given = Given { newest: FIRST, everybody: FIRST, holders: BTreeMap::new() };
        locked(&self.sessions).insert(session, given);
    }

    pub(crate) fn forget(&self, session: &SessionId) {
        locked(&self.sessions).remove(session);
    }

    /// The epoch of a ticket that is minted now, for the operator's sake or with this server key.
    ///
    /// # Errors
    /// `E_SESSION` without such a session; `E_FULL` when no further holder can be remembered.
    pub(crate) fn give(
        &self,
        session: &SessionId,
        role: Role,
        subject: &str,
        key: Option<&Arc<str>>,
    ) -> Result<u32, Refusal> {
        let mut sessions = locked(&self.sessions);
        let given = sessions.get_mut(session).ok_or_else(|| Refusal::new(Code::Session, "G-52"))?;
        let holder = (role, subject.to_owned());
        if given.holders.len() >= TICKET_HOLDERS_MAX && !given.holders.contains_key(&holder) {
            return Err(Refusal::new(Code::Full, "limits::TICKET_HOLDERS_MAX"));
        }
        let held = given.holders.entry(holder).or_default();
        held.keys.extend(key.cloned());
        let own = held.epoch;
        Ok(given.epoch(role, own))
    }

    /// Is a ticket of this epoch still good?
    pub(crate) fn is_good(&self, session: &SessionId, role: Role, subject: &str, epoch: u32) -> bool {
        let sessions = locked(&self.sessions);
        let Some(given) = sessions.get(session) else { return false };
        // Whoever is not remembered was never given anything.
        let held = given.holders.get(&(role, subject.to_owned()));
        held.is_some_and(|held| epoch >= given.epoch(role, held.epoch))
    }

    /// Voids what these hold; the epoch that is good from now on. `None` when there is nothing to void.
    pub(crate) fn revoke(&self, session: &SessionId, whom: &Whom) -> Option<u32> {
        let mut sessions = locked(&self.sessions);
        let given = sessions.get_mut(session)?;
        let next = given.newest.saturating_add(1);
        match whom {
            Whom::Everybody => given.everybody = next,
            Whom::One { role, subject } => given.holders.get_mut(&(*role, subject.clone()))?.epoch = next,
        }
        given.newest = next;
        Some(next)
    }

    /// Everybody whose tickets were minted with this server key.
    pub(crate) fn of_key(&self, key: &str) -> Vec<(SessionId, Role, String)> {
        let sessions = locked(&self.sessions);
        let mut found: Vec<_> = sessions
            .iter()
            .flat_map(|(session, given)| {
                let by_key = given.holders.iter().filter(|(_, held)| held.keys.contains(key));
                by_key.map(|((role, subject), _)| (*session, *role, subject.clone()))
            })
            .collect();
        found.sort_unstable();
        found
    }

    /// The sessions that this agent holds a ticket of.
    pub(crate) fn of_agent(&self, agent: &str) -> Vec<SessionId> {
        let holder = (Role::Agent, agent.to_owned());
        let sessions = locked(&self.sessions);
        let mut found: Vec<_> = sessions
            .iter()
            .filter(|(_, given)| given.holders.contains_key(&holder))
            .map(|(session, _)| *session)
            .collect();
        found.sort_unstable();
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: SessionId = SessionId::from_bytes([1; 16]);

    #[test]
    fn a_revocation_voids_what_was_given_before_and_nothing_else() {
        // G-54
        let passes = Passes::default();
        passes.open(SESSION);
        let give = |role, subject: &str| passes.give(&SESSION, role, subject, None).expect("room");
        let good = |role, subject: &str, epoch| passes.is_good(&SESSION, role, subject, epoch);
        let (ann, ben) = (give(Role::Agent, "ann"), give(Role::Agent, "ben"));
        let visitor = give(Role::Visitor, "visitor");
        let one = Whom::One { role: Role::Agent, subject: "ann".into() };
        assert_eq!(passes.revoke(&SESSION, &one), Some(2));
        assert!(!good(Role::Agent, "ann", ann) && good(Role::Agent, "ben", ben));
        let again = give(Role::Agent, "ann");
        assert!(good(Role::Agent, "ann", again));
        assert_eq!(passes.revoke(&SESSION, &Whom::Everybody), Some(3));
        assert!(!good(Role::Agent, "ann", again) && !good(Role::Agent, "ben", ben));
        assert!(good(Role::Visitor, "visitor", visitor), "the visitor's page is its own");
        assert!(!good(Role::Agent, "stranger", u32::MAX), "nobody gave it anything");
        assert!(good(Role::Agent, "ann", give(Role::Agent, "ann")));
        passes.forget(&SESSION);
        assert!(!good(Role::Visitor, "visitor", visitor) && passes.revoke(&SESSION, &one).is_none());
    }

    #[test]
    fn what_a_key_has_given_is_found_again() {
        let passes = Passes::default();
        passes.open(SESSION);
        let key: Arc<str> = "one".into();
        passes.give(&SESSION, Role::Guest, "gil", Some(&key)).expect("room");
        passes.give(&SESSION, Role::Agent, "ann", None).expect("room");
        assert_eq!(passes.of_key("one"), [(SESSION, Role::Guest, "gil".into())]);
        assert_eq!((passes.of_key("two"), passes.of_agent("ann")), (vec![], vec![SESSION]));
        for n in 2..TICKET_HOLDERS_MAX {
            passes.give(&SESSION, Role::Guest, &n.to_string(), None).expect("room");
        }
        let full = passes.give(&SESSION, Role::Guest, "one more", None).expect_err("no room");
        assert_eq!(full.code, Code::Full);
        assert!(passes.give(&SESSION, Role::Agent, "ann", None).is_ok(), "whoever is known comes in");
    }
}
