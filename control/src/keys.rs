//! Join keys: nine digits that an authenticated agent of the same group exchanges, once, for a join ticket.
//!
//! Invariant: only the keyed hash of a key is held. A wrong, expired, used or foreign key meets the same answer after the
//! same work (G-51). A guess that a budget refuses is not looked up, so refused guesses teach nothing; and budgets are
//! never refilled by a success, or one own key would buy new guesses.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use fanlight_wire::limits::{
    ADDRESSES_REMEMBERED_MAX, KEY_DIGITS, KEY_LIFE, KEY_TRIES_PER_AGENT, KEY_TRIES_PER_GROUP_HOUR, KEY_TRY_WINDOW,
    KEYS_OPEN_MAX, KEYS_PER_SESSION_MAX,
};
use fanlight_wire::{Code, GroupId, Refusal, SessionId};

use crate::budget::{Rule, Standing, Windows};
use crate::http::Denied;
use crate::locked;
use crate::secrets::{Hash, fixed, random};

const PER_AGENT: Rule = Rule { limit: KEY_TRIES_PER_AGENT, length: KEY_TRY_WINDOW };
const PER_GROUP: Rule = Rule { limit: KEY_TRIES_PER_GROUP_HOUR, length: Duration::from_secs(3600) };
/// 10⁹ keys.
const SPACE: u32 = 10_u32.pow(KEY_DIGITS as u32);

/// An agent, as budgets know it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Guesser {
    pub(crate) group: GroupId,
    pub(crate) agent: String,
}

/// The open keys and everybody's budgets.
#[derive(Debug)]
pub(crate) struct Keys {
    secret: hmac::Key,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    open: HashMap<Hash, Open>,
    /// Open keys of each session that has any.
    per_session: HashMap<SessionId, usize>,
    /// Every key ever made that has not yet expired, oldest first; some are used already.
    order: VecDeque<(Instant, Hash)>,
    agents: Windows<Guesser>,
    groups: Windows<GroupId>,
    /// Wrong guesses in a row, and when the last one was.
    rows: HashMap<Guesser, (u32, Instant)>,
}

#[derive(Debug)]
struct Open {
    session: SessionId,
    group: GroupId,
    until: Instant,
}

impl Keys {
    pub(crate) fn new() -> Self {
        let state = State {
            open: HashMap::new(),
            per_session: HashMap::new(),
            order: VecDeque::new(),
            agents: Windows::new(PER_AGENT, ADDRESSES_REMEMBERED_MAX),
            groups: Windows::new(PER_GROUP, ADDRESSES_REMEMBERED_MAX),
            rows: HashMap::new(),
        };
        Self { secret: hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()), state: Mutex::new(state) }
    }

    /// A new key of a session.
    ///
    /// # Errors
    /// `E_RATE` when the session has as many open keys as it may, `E_OVERLOAD` when the node has.
    pub(crate) fn make(&self, session: SessionId, group: GroupId, now: Instant) -> Result<String, Refusal> {
        let mut state = locked(&self.state);
        state.forget_expired(now);
        if state.per_session.get(&session).copied().unwrap_or(0) >= KEYS_PER_SESSION_MAX {
            let refusal = Refusal::new(Code::Rate, "limits::KEYS_PER_SESSION_MAX");
            return Err(refusal.saying("This session has several open keys already. Use one of them."));
        }
        if state.order.len() >= KEYS_OPEN_MAX {
            return Err(Refusal::new(Code::Overload, "limits::KEYS_OPEN_MAX"));
        }
        loop {
            let digits = random_digits();
            let hash = self.hash(&digits);
            if state.open.contains_key(&hash) {
                continue;
            }
            let until = now + KEY_LIFE;
            state.open.insert(hash, Open { session, group, until });
            *state.per_session.entry(session).or_insert(0) += 1;
            state.order.push_back((until, hash));
            return Ok(digits);
        }
    }

    /// The session of a key, which is thereby used.
    ///
    /// # Errors
    /// `E_KEY` whatever is wrong with the key; `E_RATE` with the time to wait when a budget is used up.
    pub(crate) fn exchange(&self, who: &Guesser, text: &str, now: Instant) -> Result<SessionId, Denied> {
        let hash = self.hash(&normalised(text));
        let mut state = locked(&self.state);
        if let Some(wait) = state.wait(who, now) {
            return Err(too_many(wait).under(state.standing(who, now)));
        }
        let hit = state.open.get(&hash).filter(|open| open.until > now && open.group == who.group);
        let session = hit.map(|open| open.session);
        match session {
            Some(session) => {
                state.close(&hash);
                state.rows.remove(who);
                Ok(session)
            }
            None => {
                state.note_wrong(who, now);
                Err(Denied::from(Refusal::new(Code::Key, "G-51")).under(state.standing(who, now)))
            }
        }
    }

    /// Voids the keys of a session that has ended.
    pub(crate) fn forget(&self, session: &SessionId) {
        let mut state = locked(&self.state);
        if state.per_session.remove(session).is_some() {
            state.open.retain(|_, open| open.session != *session);
        }
    }

    fn hash(&self, digits: &str) -> Hash {
        fixed(hmac::sign(&self.secret, digits.as_bytes()).as_ref())
    }
}

impl State {
    fn forget_expired(&mut self, now: Instant) {
        while let Some((until, hash)) = self.order.front().copied().filter(|(until, _)| *until <= now) {
            self.order.pop_front();
            if self.open.get(&hash).is_some_and(|open| open.until == until) {
                self.close(&hash);
            }
        }
    }

    fn close(&mut self, hash: &Hash) {
        let Some(Open { session, .. }) = self.open.remove(hash) else { return };
        if let Some(count) = self.per_session.get_mut(&session) {
            *count -= 1;
            if *count == 0 {
                self.per_session.remove(&session);
            }
        }
    }

    /// How long this agent has to wait before its next guess.
    fn wait(&mut self, who: &Guesser, now: Instant) -> Option<Duration> {
        let row = self.rows.get(who).and_then(|(wrong, last)| {
            let rest = (*last + pause_after(*wrong)).saturating_duration_since(now);
            (!rest.is_zero()).then_some(rest)
        });
        let agent = self.agents.wait(who, now);
        let group = self.groups.wait(&who.group, now);
        [row, agent, group].into_iter().flatten().max()
    }

    /// Wrong keys that this agent may still show. The group's budget is nobody's business but the relay's.
    fn standing(&mut self, who: &Guesser, now: Instant) -> Standing {
        self.agents.standing("keys", who, now)
    }

    fn note_wrong(&mut self, who: &Guesser, now: Instant) {
        self.agents.note(who.clone(), now);
        self.groups.note(who.group.clone(), now);
        if self.rows.len() >= ADDRESSES_REMEMBERED_MAX {
            self.rows.retain(|_, (_, last)| now.saturating_duration_since(*last) < KEY_TRY_WINDOW);
        }
        let row = self.rows.entry(who.clone()).or_insert((0, now));
        *row = (row.0.saturating_add(1), now);
    }
}

/// The pause after so many wrong guesses in a row: none after a first slip of the finger, then 1 s, 2 s, 4 s … a minute.
fn pause_after(wrong: u32) -> Duration {
    match wrong {
        0 | 1 => Duration::ZERO,
        more => Duration::from_secs(1 << (more - 2).min(6)).min(KEY_TRY_WINDOW),
    }
}

fn too_many(wait: Duration) -> Denied {
    Denied::wait(Refusal::new(Code::Rate, "G-51").saying("Too many wrong keys. Wait a little and try again."), wait)
}

/// Without the spaces and dashes that people type between the groups of three.
fn normalised(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, ' ' | '-')).take(2 * KEY_DIGITS).collect()
}

/// Evenly distributed: draws beyond the largest multiple of the space are thrown away.
fn random_digits() -> String {
    let fair = u32::MAX - u32::MAX % SPACE;
    loop {
        let draw = u32::from_be_bytes(random());
        if draw < fair {
            return format!("{:0width$}", draw % SPACE, width = KEY_DIGITS);
        }
    }
}

#[cfg(test)]
mod tests;
