//! In which sessions each agent is: a group may allow it one at a time (R143).
//!
//! Invariant: a lease begins when a key is exchanged and ends with the agent's connection. A session that it has only
//! asked for, or where its connection is gone, gives way to the next one, so that nobody is locked out by a closed lid. One
//! where it seems to be there gives way when the agent says so: a page that has died is noticed only by its silence.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use fanlight_wire::{Code, ParticipantId, Refusal, SessionId};

use crate::http::Denied;
use crate::keys::Guesser;
use crate::locked;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lease {
    /// A ticket was given.
    Asked,
    Here,
    /// The place is kept for its return.
    Away,
}

/// Every agent's sessions.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: HashMap<Guesser, BTreeMap<SessionId, Lease>>,
    /// Whose place this is, and the newest one counts.
    places: HashMap<(SessionId, ParticipantId), Guesser>,
}

impl Leases {
    /// This agent wants to join a session of a group that allows it so many, and leaves another one for it, if it names one;
    /// which sessions it gives up. One to leave in which it is not is passed over, whoever may be in it (G-52).
    ///
    /// # Errors
    /// `E_BUSY` when it is in as many others already, with their ids.
    pub(crate) fn ask(
        &self,
        who: &Guesser,
        session: SessionId,
        most: u16,
        leave: Option<SessionId>,
    ) -> Result<Vec<SessionId>, Denied> {
        let mut state = locked(&self.state);
        let held = state.held.entry(who.clone()).or_default();
        let left = leave.filter(|other| *other != session && held.contains_key(other));
        let others = held.iter().filter(|(other, _)| **other != session && Some(**other) != left);
        let (here, loose): (Vec<_>, Vec<_>) = others.partition(|(_, lease)| **lease == Lease::Here);
        let room = usize::from(most.max(1)).saturating_sub(here.len());
        if room == 0 {
            let sentence = "You are in another session. Leave it before you join this one.";
            let refusal = Refusal::new(Code::Busy, "R143").saying(sentence);
            return Err(Denied::occupied(refusal, here.into_iter().map(|(other, _)| *other).chain(left).collect()));
        }
        let loose = loose.into_iter().map(|(other, _)| *other).skip(room - 1);
        let given_up: Vec<SessionId> = left.into_iter().chain(loose).collect();
        for other in &given_up {
            held.remove(other);
        }
        held.entry(session).or_insert(Lease::Asked);
        Ok(given_up)
    }

    /// An agent's connection has come or gone.
    pub(crate) fn here(&self, session: SessionId, participant: ParticipantId, who: Guesser, here: bool) {
        let mut state = locked(&self.state);
        let lease = if here { Lease::Here } else { Lease::Away };
        state.held.entry(who.clone()).or_default().insert(session, lease);
        state.places.retain(|(of, other), holder| *of != session || *other == participant || *holder != who);
        state.places.insert((session, participant), who);
    }

    /// A place has ended for good.
    pub(crate) fn left(&self, session: SessionId, participant: ParticipantId) {
        let mut state = locked(&self.state);
        if let Some(who) = state.places.remove(&(session, participant)) {
            state.give_back(&who, &session);
        }
    }

    /// A session has ended.
    pub(crate) fn ended(&self, session: &SessionId) {
        let mut state = locked(&self.state);
        state.places.retain(|(of, _), _| of != session);
        state.held.retain(|_, held| {
            held.remove(session);
            !held.is_empty()
        });
    }

    /// The sessions that this agent is in, or may come back to.
    pub(crate) fn of(&self, who: &Guesser) -> Vec<SessionId> {
        locked(&self.state).held.get(who).map(|held| held.keys().copied().collect()).unwrap_or_default()
    }
}

impl State {
    fn give_back(&mut self, who: &Guesser, session: &SessionId) {
        let Some(held) = self.held.get_mut(who) else { return };
        held.remove(session);
        if held.is_empty() {
            self.held.remove(who);
        }
    }
}

#[cfg(test)]
mod tests {
    use fanlight_wire::GroupId;

    use super::*;

    fn ann() -> Guesser {
        Guesser { group: GroupId::new("demo").expect("a legal id"), agent: "ann".into() }
    }

    fn session(n: u8) -> SessionId {
        SessionId::from_bytes([n; 16])
    }

    fn given_up(asked: Result<Vec<SessionId>, Denied>) -> Vec<SessionId> {
        asked.expect("there is room")
    }

    #[test]
    fn an_agent_is_in_one_session_until_its_connection_ends() {
        // R143
        let leases = Leases::default();
        let ask = |n, most| leases.ask(&ann(), session(n), most, None);
        assert_eq!(given_up(ask(1, 1)), []);
        leases.here(session(1), ParticipantId(2), ann(), true);
        assert_eq!(given_up(ask(1, 1)), [], "the same one again, in another tab");
        let refused = ask(2, 1).expect_err("another one");
        assert_eq!((refused.refusal.code, refused.refusal.rule.as_ref()), (Code::Busy, "R143"));
        assert_eq!(refused.sessions, [session(1)], "it is told where it is");
        assert_eq!(given_up(ask(2, 2)), [], "a group may allow two");
        leases.here(session(1), ParticipantId(2), ann(), false);
        assert_eq!(given_up(ask(3, 1)), [session(1), session(2)], "what is left behind gives way");
        leases.here(session(3), ParticipantId(2), ann(), true);
        leases.left(session(3), ParticipantId(2));
        assert_eq!((leases.of(&ann()), given_up(ask(4, 1))), (vec![], vec![]));
        leases.ended(&session(4));
        assert_eq!(leases.of(&ann()), []);
    }

    #[test]
    fn an_agent_leaves_the_session_that_it_names_and_no_other() {
        // R143, G-52
        let leases = Leases::default();
        let ben = || Guesser { agent: "ben".into(), ..ann() };
        leases.here(session(1), ParticipantId(2), ann(), true);
        leases.here(session(2), ParticipantId(2), ben(), true);
        let ask = |n, most, leave| leases.ask(&ann(), session(n), most, Some(session(leave)));
        for another in [2, 9, 3] {
            let refused = ask(3, 1, another).expect_err("Ben's, nobody's, the one it joins");
            assert_eq!(refused.sessions, [session(1)]);
        }
        assert_eq!(given_up(ask(1, 1, 1)), [], "nobody leaves a session to join it");
        assert_eq!(given_up(ask(3, 1, 1)), [session(1)]);
        leases.here(session(3), ParticipantId(2), ann(), true);
        assert_eq!(given_up(ask(4, 2, 3)), [session(3)], "also where there is room");
        assert_eq!((leases.of(&ann()), leases.of(&ben())), (vec![session(4)], vec![session(2)]));
    }

    #[test]
    fn an_earlier_place_that_was_replaced_takes_nothing_with_it() {
        let leases = Leases::default();
        leases.here(session(1), ParticipantId(2), ann(), true);
        leases.here(session(1), ParticipantId(3), ann(), true);
        leases.left(session(1), ParticipantId(2));
        assert_eq!(leases.of(&ann()), [session(1)]);
    }
}
