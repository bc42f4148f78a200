//! Invites: an agent asks a visitor who is on the website (R108, R115, R116).
//!
//! Invariant: a visitor has at most one open invite; the same agent inviting again gets the same one; an open invite
//! ends in exactly one way (accepted, declined, expired, withdrawn); a "no" is remembered so that an agent cannot nag.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fanlight_wire::consent::Question;
use fanlight_wire::limits::{DENIAL_REMEMBERED, INVITE_REMEMBERED, INVITES_MAX, INVITES_PER_AGENT_MAX};
use fanlight_wire::{Code, Refusal, SessionId};
use serde::Serialize;

use crate::audit::About;
use crate::keys::Guesser;
use crate::locked;
use crate::particulars::Particulars;
use crate::secrets::opaque;
use crate::visitors::{PageId, Visitor};

/// How an invite stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub(crate) enum Outcome {
    Sent,
    /// The visitor has agreed; its session is being made.
    Opening,
    Accepted {
        session: SessionId,
    },
    Declined,
    Expired,
    Withdrawn,
}

/// An agent's wish.
#[derive(Debug, Clone)]
pub(crate) struct Invite {
    pub(crate) id: String,
    pub(crate) from: Guesser,
    /// The agent's display name.
    pub(crate) name: String,
    pub(crate) visitor: Visitor,
    pub(crate) page: PageId,
    pub(crate) until: Instant,
    pub(crate) particulars: Particulars,
    /// The words in which the visitor is asked.
    pub(crate) question: Question,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Default)]
pub(crate) struct Invites {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Open ones, and for [`INVITE_REMEMBERED`] those that are over.
    known: HashMap<String, Invite>,
    of_visitor: HashMap<Visitor, String>,
    denied: HashMap<(Guesser, Visitor), Instant>,
}

impl Invites {
    /// The open invite of this agent to this visitor: the one there is, or what `make` gives with a new id. True when it
    /// is new.
    ///
    /// # Errors
    /// `E_BUSY` while another agent's is open, `E_CONSENT` after a recent "no", `E_RATE` for an agent that has several
    /// open, `E_OVERLOAD` for a full node.
    pub(crate) fn open(
        &self,
        from: &Guesser,
        visitor: Visitor,
        now: Instant,
        make: impl FnOnce(String) -> Invite,
    ) -> Result<(Invite, bool), Refusal> {
        let mut state = locked(&self.state);
        let current = state.of_visitor.get(&visitor).and_then(|id| state.known.get(id));
        if let Some(current) = current.filter(|current| current.until > now) {
            if current.from == *from {
                return Ok((current.clone(), false));
            }
            let sentence = "Another agent is inviting this visitor at the moment.";
            return Err(Refusal::new(Code::Busy, "R115").saying(sentence));
        }
        if state.denied.get(&(from.clone(), visitor)).is_some_and(|until| *until > now) {
            let sentence = "The visitor has said no. Wait a minute before you ask again.";
            return Err(Refusal::new(Code::Consent, "protocol §14").saying(sentence));
        }
        let open =
            state.known.values().filter(|invite| invite.outcome == Outcome::Sent && invite.from == *from).count();
        if open >= INVITES_PER_AGENT_MAX {
            return Err(Refusal::new(Code::Rate, "limits::INVITES_PER_AGENT_MAX"));
        }
        if state.known.len() >= INVITES_MAX {
            return Err(Refusal::new(Code::Overload, "limits::INVITES_MAX"));
        }
        let invite = make(opaque());
        state.of_visitor.insert(visitor, invite.id.clone());
        state.known.insert(invite.id.clone(), invite.clone());
        Ok((invite, true))
    }

    pub(crate) fn find(&self, id: &str) -> Option<Invite> {
        locked(&self.state).known.get(id).cloned()
    }

    /// Ends an open invite, if `may` says that the asker may do so. None when there is no such open invite.
    pub(crate) fn close(
        &self,
        id: &str,
        outcome: Outcome,
        now: Instant,
        may: impl FnOnce(&Invite) -> bool,
    ) -> Option<Invite> {
        let mut state = locked(&self.state);
        let invite = state.known.get(id)?;
        let late = invite.until <= now && outcome != Outcome::Expired;
        if invite.outcome != Outcome::Sent || late || !may(invite) {
            return None;
        }
        state.end(id, outcome, now)
    }

    /// An accepted invite has its session now.
    pub(crate) fn led_to(&self, id: &str, outcome: Outcome) {
        if let Some(invite) = locked(&self.state).known.get_mut(id) {
            invite.outcome = outcome;
        }
    }

    pub(crate) fn rings(&self, visitor: Visitor) -> bool {
        locked(&self.state).of_visitor.contains_key(&visitor)
    }

    /// The open invite of that id, if it rings at this page.
    pub(crate) fn ringing(&self, page: PageId, id: &str) -> Option<Invite> {
        let mine = |invite: &&Invite| invite.page == page && invite.outcome == Outcome::Sent;
        locked(&self.state).known.get(id).filter(mine).cloned()
    }

    /// The open invites that rang at this page.
    pub(crate) fn at(&self, page: PageId) -> Vec<String> {
        let state = locked(&self.state);
        let open = state.known.values().filter(|invite| invite.page == page && invite.outcome == Outcome::Sent);
        open.map(|invite| invite.id.clone()).collect()
    }

    /// Ends what nobody has answered in time, and forgets what has long been over.
    pub(crate) fn expire(&self, now: Instant) -> Vec<Invite> {
        let mut state = locked(&self.state);
        let late = |invite: &&Invite| invite.outcome == Outcome::Sent && invite.until <= now;
        let late: Vec<String> = state.known.values().filter(late).map(|invite| invite.id.clone()).collect();
        let ended = late.iter().filter_map(|id| state.end(id, Outcome::Expired, now)).collect();
        state.known.retain(|_, invite| invite.outcome == Outcome::Sent || invite.until > now);
        state.denied.retain(|_, until| *until > now);
        ended
    }
}

impl State {
    fn end(&mut self, id: &str, outcome: Outcome, now: Instant) -> Option<Invite> {
        let invite = self.known.get_mut(id)?;
        invite.outcome = outcome;
        invite.until = now + INVITE_REMEMBERED;
        let invite = invite.clone();
        self.of_visitor.remove(&invite.visitor);
        if outcome == Outcome::Declined {
            self.denied.insert((invite.from.clone(), invite.visitor), now + DENIAL_REMEMBERED);
        }
        Some(invite)
    }
}

impl Invite {
    /// A line of the audit trail about it.
    pub(crate) fn about(&self, session: Option<SessionId>, code: Option<Code>) -> About {
        let Guesser { group, agent } = &self.from;
        let particulars = Some(Arc::new(self.particulars.clone()));
        About { group: Some(group.clone()), session, who: Some(agent.clone()), code, particulars, ..About::default() }
    }

    /// Seconds left, for a countdown.
    pub(crate) fn seconds(&self, now: Instant) -> u64 {
        self.until.saturating_duration_since(now).saturating_add(Duration::from_millis(500)).as_secs()
    }
}

#[cfg(test)]
mod tests {
    use fanlight_wire::GroupId;

    use super::*;
    use crate::control::testing::an_instant;
    use crate::mint::Client;
    use crate::visitors::Visitors;

    const TIME: Duration = Duration::from_secs(60);

    struct World {
        invites: Invites,
        visitor: Visitor,
        page: PageId,
        now: Instant,
    }

    fn agent(name: &str) -> Guesser {
        Guesser { group: GroupId::new("demo").expect("a legal id"), agent: name.into() }
    }

    impl World {
        fn new() -> Self {
            let visitors = Visitors::new();
            let group = agent("ann").group;
            let visitor = visitors.named(&group, "maria");
            let (page, _mailbox) =
                visitors.enter(visitor, &group, [127, 0, 0, 1].into(), Client::Program).expect("room");
            Self { invites: Invites::default(), visitor, page, now: an_instant() }
        }

        fn invite(&self, who: &str) -> Result<(Invite, bool), Code> {
            let (from, visitor, page, until) = (agent(who), self.visitor, self.page, self.now + TIME);
            let make = |id| Invite {
                id,
                from: agent(who),
                name: who.into(),
                visitor,
                page,
                until,
                particulars: Particulars::default(),
                question: Question::default(),
                outcome: Outcome::Sent,
            };
            self.invites.open(&from, visitor, self.now, make).map_err(|refusal| refusal.code)
        }
    }

    #[test]
    fn clicking_again_is_the_same_invite_and_another_agent_waits() {
        // R115
        let mut world = World::new();
        let (first, new) = world.invite("ann").expect("a free visitor");
        let (again, newer) = world.invite("ann").expect("the same");
        assert_eq!((new, newer, &first.id), (true, false, &again.id));
        assert_eq!(world.invite("ben").map(drop), Err(Code::Busy));
        assert!(world.invites.rings(world.visitor));
        world.now += TIME;
        let late = world.invites.close(&first.id, Outcome::Declined, world.now, |_| true);
        assert!(late.is_none(), "an answer after its time is none");
        assert_eq!(world.invites.expire(world.now).len(), 1);
        assert_eq!(world.invites.find(&first.id).map(|invite| invite.outcome), Some(Outcome::Expired));
        assert!(world.invite("ben").is_ok());
        world.now += INVITE_REMEMBERED;
        world.invites.expire(world.now);
        assert!(world.invites.find(&first.id).is_none(), "what is over is forgotten in time");
    }

    #[test]
    fn a_no_is_remembered_for_that_agent_alone() {
        // R116
        let mut world = World::new();
        let (invite, _) = world.invite("ann").expect("a free visitor");
        let closed = |outcome| world.invites.close(&invite.id, outcome, world.now, |_| true);
        assert!(closed(Outcome::Declined).is_some());
        assert!(closed(Outcome::Withdrawn).is_none(), "it is over already");
        assert_eq!(world.invite("ann").map(drop), Err(Code::Consent));
        let (other, _) = world.invite("ben").expect("Ben was not refused");
        assert!(
            world
                .invites
                .close(&other.id, Outcome::Withdrawn, world.now, |invite| invite.from == agent("ann"))
                .is_none()
        );
        assert!(world.invites.close(&other.id, Outcome::Withdrawn, world.now, |_| true).is_some());
        world.now += DENIAL_REMEMBERED;
        assert!(world.invite("ann").is_ok());
    }
}
