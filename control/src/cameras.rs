//! Camera links: an agent has one sent to a phone, whoever opens it shows a camera and nothing else (R110, R124–R126).
//!
//! Invariants: a link is good once and for [`CAMERA_LINK_LIFE`]; its session holds a visitor who may show a camera and agents
//! who may see it, no page; the phone's number goes into one message and is kept nowhere; only hashes of links are kept.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use fanlight_wire::limits::{
    ADDRESSES_REMEMBERED_MAX, CAMERA_INVITE_WINDOW, CAMERA_INVITES_PER_AGENT, CAMERA_INVITES_PER_GROUP,
    CAMERA_LINK_LIFE, CAMERA_LINKS_MAX,
};
use fanlight_wire::{Code, GroupId, Refusal, SessionId};

use crate::budget::{Rule, Windows};
use crate::http::Denied;
use crate::locked;
use crate::secrets::{Hash, opaque, sha256};

/// Who invites.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Inviter {
    pub(crate) group: GroupId,
    pub(crate) agent: String,
    /// Display name, shown on the phone.
    pub(crate) name: String,
}

/// Where a link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Sent,
    Opened,
    Declined,
}

/// A link, without its token.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) session: SessionId,
    pub(crate) inviter: Inviter,
    /// The visitor's handle for the session, given out with the ticket.
    pub(crate) handle: String,
    pub(crate) until: Instant,
    pub(crate) stage: Stage,
    /// Its session has ended; whoever sent it may still ask what became of it.
    pub(crate) over: bool,
}

/// Every link whose session runs, and those that are over until their time is.
#[derive(Debug)]
pub(crate) struct Cameras {
    links: Mutex<HashMap<Hash, Link>>,
    budgets: Mutex<Budgets>,
}

/// Messages that count.
#[derive(Debug)]
struct Budgets {
    agents: Windows<(GroupId, String)>,
    groups: Windows<GroupId>,
}

impl Cameras {
    pub(crate) fn new() -> Self {
        let windows = |limit| Rule { limit, length: CAMERA_INVITE_WINDOW };
        Self {
            links: Mutex::default(),
            budgets: Mutex::new(Budgets {
                agents: Windows::new(windows(CAMERA_INVITES_PER_AGENT), ADDRESSES_REMEMBERED_MAX),
                groups: Windows::new(windows(CAMERA_INVITES_PER_GROUP), ADDRESSES_REMEMBERED_MAX),
            }),
        }
    }

    /// Takes one message from the budgets: each costs the operator money and somebody's attention.
    ///
    /// # Errors
    /// `E_RATE` with the time to wait.
    pub(crate) fn take(&self, inviter: &Inviter, now: Instant) -> Result<(), Denied> {
        let mut budgets = locked(&self.budgets);
        let Budgets { agents, groups } = &mut *budgets;
        let agent = (inviter.group.clone(), inviter.agent.clone());
        if let Some(wait) = agents.wait(&agent, now).max(groups.wait(&inviter.group, now)) {
            let refusal = Refusal::new(Code::Rate, "limits::CAMERA_INVITES_PER_AGENT");
            return Err(Denied::wait(refusal.saying("Too many text messages in an hour. Wait and try again."), wait));
        }
        agents.note(agent, now);
        groups.note(inviter.group.clone(), now);
        Ok(())
    }

    /// A new link's token.
    ///
    /// # Errors
    /// `E_OVERLOAD` when there are as many as there may be.
    pub(crate) fn make(
        &self,
        session: SessionId,
        inviter: Inviter,
        handle: String,
        now: Instant,
    ) -> Result<String, Refusal> {
        let mut links = locked(&self.links);
        links.retain(|_, link| !link.over || now < link.until);
        if links.len() >= CAMERA_LINKS_MAX {
            return Err(Refusal::new(Code::Overload, "limits::CAMERA_LINKS_MAX"));
        }
        let token = opaque();
        let until = now + CAMERA_LINK_LIFE;
        links.insert(
            sha256(token.as_bytes()),
            Link { session, inviter, handle, until, stage: Stage::Sent, over: false },
        );
        Ok(token)
    }

    /// A link that nobody has used yet, and how long it is still good.
    ///
    /// # Errors
    /// `E_KEY`, the same for one that is unknown, used or too old.
    pub(crate) fn look(&self, token: &str, now: Instant) -> Result<(Link, Duration), Refusal> {
        let links = locked(&self.links);
        let link = links.get(&sha256(token.as_bytes())).filter(|link| link.is_good(now)).ok_or_else(void)?;
        Ok((link.clone(), link.until.saturating_duration_since(now)))
    }

    /// Uses a link up.
    ///
    /// # Errors
    /// As for [`Self::look`]: of two who open it at once, one comes too late.
    pub(crate) fn answer(&self, token: &str, stage: Stage, now: Instant) -> Result<Link, Refusal> {
        let mut links = locked(&self.links);
        let link = links.get_mut(&sha256(token.as_bytes())).filter(|link| link.is_good(now)).ok_or_else(void)?;
        link.stage = stage;
        Ok(link.clone())
    }

    /// How the link of this session stands, for who sent it.
    pub(crate) fn of(&self, session: &SessionId, group: &GroupId, agent: &str) -> Option<Link> {
        let links = locked(&self.links);
        let mine =
            |link: &&Link| link.session == *session && link.inviter.group == *group && link.inviter.agent == agent;
        links.values().find(mine).cloned()
    }

    /// The session is over; the link that led to it, if there was one.
    pub(crate) fn ended(&self, session: &SessionId) -> Option<Link> {
        let mut links = locked(&self.links);
        let link = links.values_mut().find(|link| link.session == *session && !link.over)?;
        link.over = true;
        Some(link.clone())
    }
}

impl Link {
    fn is_good(&self, now: Instant) -> bool {
        self.stage == Stage::Sent && !self.over && now < self.until
    }
}

fn void() -> Refusal {
    Refusal::new(Code::Key, "R125").saying("This link is no longer good. Ask for a new one.")
}

/// A phone number as ITU-T E.164 writes it; spaces, dashes, dots and brackets that people type are taken out.
pub(crate) fn phone(text: &str) -> Option<String> {
    let typed = |c: &char| matches!(c, ' ' | '-' | '.' | '(' | ')' | '/');
    let plain: String = text.chars().filter(|c| !typed(c)).take(32).collect();
    let digits = plain.strip_prefix('+')?;
    let legal = (8..=15).contains(&digits.len())
        && digits.bytes().all(|digit| digit.is_ascii_digit())
        && !digits.starts_with('0');
    legal.then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing::an_instant;

    fn inviter(agent: &str) -> Inviter {
        Inviter { group: GroupId::new("demo").expect("legal"), agent: agent.into(), name: "Ann".into() }
    }

    #[test]
    fn a_number_is_an_international_one() {
        // R124
        for (typed, wanted) in [
            ("+49 170 1234567", Some("+491701234567")),
            ("+1 (415) 555-0132", Some("+14155550132")),
            ("0170 1234567", None),
            ("+0170 1234567", None),
            ("+4917", None),
            ("+1234567890123456", None),
            ("+49170123456a", None),
            ("+49170\n1234567", None),
            ("", None),
            ("+", None),
            ("+٤٩١٧٠١٢٣٤٥٦٧", None),
        ] {
            assert_eq!(phone(typed).as_deref(), wanted, "{typed:?}");
        }
    }

    #[test]
    fn a_link_is_good_once_and_for_a_while() {
        // R125
        let (cameras, now) = (Cameras::new(), an_instant());
        let session = SessionId::from_bytes([1; 16]);
        let token = cameras.make(session, inviter("ann"), "handle".into(), now).expect("room");
        assert!(cameras.look(&token, now).is_ok() && cameras.look(&token, now).is_ok(), "looking uses nothing up");
        assert!(cameras.look("guess", now).is_err());
        assert!(cameras.look(&token, now + CAMERA_LINK_LIFE).is_err());
        assert!(cameras.answer(&token, Stage::Opened, now).is_ok());
        let again = cameras.answer(&token, Stage::Opened, now).expect_err("used");
        assert_eq!(again, cameras.look("guess", now).expect_err("unknown"), "used and unknown look the same");
        let group = inviter("ann").group;
        assert_eq!(cameras.of(&session, &group, "ann").map(|link| link.stage), Some(Stage::Opened));
        assert!(cameras.of(&session, &group, "ben").is_none(), "another agent's");
        assert!(cameras.ended(&session).is_some() && cameras.ended(&session).is_none());
    }

    #[test]
    fn messages_have_a_budget_per_agent() {
        let (cameras, now) = (Cameras::new(), an_instant());
        for _ in 0..CAMERA_INVITES_PER_AGENT {
            assert!(cameras.take(&inviter("ann"), now).is_ok());
        }
        let denied = cameras.take(&inviter("ann"), now).expect_err("used up");
        assert_eq!((denied.refusal.code, denied.retry_after), (Code::Rate, Some(CAMERA_INVITE_WINDOW)));
        assert!(cameras.take(&inviter("ben"), now).is_ok());
        assert!(cameras.take(&inviter("ann"), now + CAMERA_INVITE_WINDOW).is_ok());
    }
}
