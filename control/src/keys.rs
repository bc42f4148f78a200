//! Join keys: nine digits (six, where a group wants that) that an authenticated agent of the same group exchanges, once, for
//! a join ticket.
//!
//! Invariant: only the keyed hash of a key is held. A wrong, expired, used or foreign key meets the same answer after the
//! same work (G-51). A guess that a budget refuses is not looked up, so refused guesses teach nothing; and budgets are
//! never refilled by a success, or one own key would buy new guesses.
//!
//! When a group's budget is used up its keys step up: digits are not looked up until the window is over, and new keys are
//! longer ([`KEY_LONG_CHARS`]), so that visitors and agents still meet while somebody guesses.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use fanlight_wire::limits::{
    ADDRESSES_REMEMBERED_MAX, KEY_DIGITS, KEY_LONG_CHARS, KEY_PAUSE_MAX, KEY_TRIES_PER_AGENT, KEY_TRIES_PER_GROUP_HOUR,
    KEY_TRIES_PER_SOURCE_HOUR, KEY_TRIES_SIX_DIGITS_HOUR, KEY_TRY_WINDOW, KEYS_OPEN_MAX, KEYS_PER_SESSION_MAX,
};
use fanlight_wire::{Code, GroupId, Refusal, SessionId};

use crate::budget::{Rule, Standing, Windows};
use crate::http::Denied;
use crate::locked;
use crate::policies::Keys as KeyRules;
use crate::secrets::{Hash, fixed, random};

const HOUR: Duration = Duration::from_secs(3_600);
const PER_AGENT: Rule = Rule { limit: KEY_TRIES_PER_AGENT, length: KEY_TRY_WINDOW };
const PER_GROUP: Rule = Rule { limit: KEY_TRIES_PER_GROUP_HOUR, length: HOUR };
const PER_SOURCE: Rule = Rule { limit: KEY_TRIES_PER_SOURCE_HOUR, length: HOUR };
/// Without the letters that look or sound like a digit or another letter; they are read as what they look like.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// An agent, as budgets know it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Guesser {
    pub(crate) group: GroupId,
    pub(crate) agent: String,
}

/// A key that was not exchanged.
#[derive(Debug)]
pub(crate) struct Missed {
    pub(crate) denied: Denied,
    /// This was the wrong one that used up the group's budget.
    pub(crate) stepped_up: bool,
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
    /// Every key ever made that has not yet expired, by its end; some are used already.
    order: BTreeSet<(Instant, Hash)>,
    agents: Windows<Guesser>,
    sources: Windows<IpAddr>,
    groups: Windows<GroupId>,
    /// What each group has last said about its keys.
    rules: HashMap<GroupId, Budgets>,
    /// Wrong guesses in a row, and when the last one was.
    rows: HashMap<Guesser, (u32, Instant)>,
}

#[derive(Debug)]
struct Open {
    session: SessionId,
    group: GroupId,
    until: Instant,
}

/// A group's own numbers.
#[derive(Debug, Clone, Copy)]
struct Budgets {
    per_agent: u32,
    per_group: u32,
    /// Shorter keys may be open until then.
    short_until: Option<Instant>,
}

impl Default for Budgets {
    fn default() -> Self {
        Self { per_agent: KEY_TRIES_PER_AGENT, per_group: KEY_TRIES_PER_GROUP_HOUR, short_until: None }
    }
}

impl Budgets {
    fn per_group(&self, now: Instant) -> u32 {
        let short = self.short_until.is_some_and(|until| now < until);
        if short { self.per_group.min(KEY_TRIES_SIX_DIGITS_HOUR) } else { self.per_group }
    }
}

impl Keys {
    pub(crate) fn new() -> Self {
        let state = State {
            open: HashMap::new(),
            per_session: HashMap::new(),
            order: BTreeSet::new(),
            agents: Windows::new(PER_AGENT, ADDRESSES_REMEMBERED_MAX),
            sources: Windows::new(PER_SOURCE, ADDRESSES_REMEMBERED_MAX),
            groups: Windows::new(PER_GROUP, ADDRESSES_REMEMBERED_MAX),
            rules: HashMap::new(),
            rows: HashMap::new(),
        };
        Self { secret: hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()), state: Mutex::new(state) }
    }

    /// A new key of a session, as its group wants keys, and how long it lives.
    ///
    /// # Errors
    /// `E_RATE` when the session has as many open keys as it may, `E_OVERLOAD` when the node has.
    pub(crate) fn make(
        &self,
        session: SessionId,
        group: GroupId,
        rules: &KeyRules,
        now: Instant,
    ) -> Result<(String, Duration), Refusal> {
        let mut state = locked(&self.state);
        state.forget_expired(now);
        if state.per_session.get(&session).copied().unwrap_or(0) >= KEYS_PER_SESSION_MAX {
            let refusal = Refusal::new(Code::Rate, "limits::KEYS_PER_SESSION_MAX");
            return Err(refusal.saying("This session has several open keys already. Use one of them."));
        }
        if state.order.len() >= KEYS_OPEN_MAX {
            return Err(Refusal::new(Code::Overload, "limits::KEYS_OPEN_MAX"));
        }
        let life = Duration::from_secs(60 * u64::from(rules.minutes));
        let until = now + life;
        state.obey(&group, rules, until);
        let long = state.stepped_up(&group, now).is_some();
        loop {
            let text = if long { random_letters() } else { random_digits(rules.digits.into()) };
            let hash = self.hash(&text);
            if state.open.contains_key(&hash) {
                continue;
            }
            state.open.insert(hash, Open { session, group, until });
            *state.per_session.entry(session).or_insert(0) += 1;
            state.order.insert((until, hash));
            return Ok((text, life));
        }
    }

    /// The session of a key, which is thereby used. `admit` has the last word on who comes in; its refusal leaves the key
    /// as it was.
    ///
    /// # Errors
    /// `E_KEY` whatever is wrong with the key; `E_RATE` with the time to wait when a budget is used up.
    pub(crate) fn exchange(
        &self,
        who: &Guesser,
        from: IpAddr,
        text: &str,
        now: Instant,
        admit: impl FnOnce(&SessionId) -> Result<(), Denied>,
    ) -> Result<SessionId, Missed> {
        let missed = |denied| Missed { denied, stepped_up: false };
        let text = normalised(text);
        let hash = self.hash(&text);
        let mut state = locked(&self.state);
        if let Some(wait) = state.wait(who, from, text.len() == KEY_LONG_CHARS, now) {
            return Err(missed(too_many(wait).under(state.standing(who, now))));
        }
        let hit = state.open.get(&hash).filter(|open| open.until > now && open.group == who.group);
        match hit.map(|open| open.session) {
            Some(session) => {
                admit(&session).map_err(missed)?;
                state.close(&hash);
                state.rows.remove(who);
                Ok(session)
            }
            None => {
                let before = state.stepped_up(&who.group, now).is_some();
                state.note_wrong(who, from, now);
                let stepped_up = !before && state.stepped_up(&who.group, now).is_some();
                let denied = Denied::from(Refusal::new(Code::Key, "G-51")).under(state.standing(who, now));
                Err(Missed { denied, stepped_up })
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

    fn hash(&self, text: &str) -> Hash {
        fixed(hmac::sign(&self.secret, text.as_bytes()).as_ref())
    }
}

impl State {
    fn forget_expired(&mut self, now: Instant) {
        while let Some((until, hash)) = self.order.first().copied().filter(|(until, _)| *until <= now) {
            self.order.pop_first();
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

    /// The newest key's rules are the group's; shorter keys that are open keep the smaller budget in force.
    fn obey(&mut self, group: &GroupId, rules: &KeyRules, until: Instant) {
        let before = self.rules.get(group).and_then(|budgets| budgets.short_until);
        let now = (usize::from(rules.digits) < KEY_DIGITS).then_some(until);
        let budgets = Budgets {
            per_agent: rules.tries_per_agent.clamp(1, KEY_TRIES_PER_AGENT),
            per_group: rules.tries_per_group_hour.clamp(1, KEY_TRIES_PER_GROUP_HOUR),
            short_until: before.max(now),
        };
        self.rules.insert(group.clone(), budgets);
    }

    fn budgets(&self, group: &GroupId) -> Budgets {
        self.rules.get(group).copied().unwrap_or_default()
    }

    /// The time until digits are looked up again, while too many wrong keys were tried.
    fn stepped_up(&mut self, group: &GroupId, now: Instant) -> Option<Duration> {
        let most = self.budgets(group).per_group(now);
        self.groups.wait_within(group, most, now)
    }

    /// How long this agent has to wait before its next guess.
    fn wait(&mut self, who: &Guesser, from: IpAddr, long: bool, now: Instant) -> Option<Duration> {
        let row = self.rows.get(who).and_then(|(wrong, last)| {
            let rest = (*last + pause_after(*wrong)).saturating_duration_since(now);
            (!rest.is_zero()).then_some(rest)
        });
        let most = self.budgets(&who.group).per_agent;
        let agent = self.agents.wait_within(who, most, now);
        let source = self.sources.wait(&from, now);
        let group = if long { None } else { self.stepped_up(&who.group, now) };
        [row, agent, source, group].into_iter().flatten().max()
    }

    /// Wrong keys that this agent may still show. The group's budget is nobody's business but the relay's.
    fn standing(&mut self, who: &Guesser, now: Instant) -> Standing {
        self.agents.standing("keys", who, now)
    }

    fn note_wrong(&mut self, who: &Guesser, from: IpAddr, now: Instant) {
        self.agents.note(who.clone(), now);
        self.sources.note(from, now);
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
        more => Duration::from_secs(1 << (more - 2).min(6)).min(KEY_PAUSE_MAX),
    }
}

fn too_many(wait: Duration) -> Denied {
    Denied::wait(
        Refusal::new(Code::Rate, "G-51").saying("Too many wrong keys. The next one is looked at after a pause."),
        wait,
    )
}

/// Without the spaces and dashes that people type between the groups, and with letters read as what they look like.
pub(crate) fn normalised(text: &str) -> String {
    let typed = text.chars().filter(|c| !matches!(c, ' ' | '-')).take(2 * KEY_DIGITS);
    let read = typed.map(|c| match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    });
    read.collect()
}

/// Evenly distributed: draws beyond the largest multiple of the space are thrown away.
pub(crate) fn random_digits(digits: usize) -> String {
    let digits = digits.min(KEY_DIGITS);
    let space = 10_u32.pow(digits as u32);
    let fair = u32::MAX - u32::MAX % space;
    loop {
        let draw = u32::from_be_bytes(random());
        if draw < fair {
            return format!("{:0digits$}", draw % space);
        }
    }
}

fn random_letters() -> String {
    // 32 letters divide a byte evenly.
    random::<KEY_LONG_CHARS>()
        .iter()
        .filter_map(|byte| LETTERS.get(usize::from(byte % 32)))
        .copied()
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests;
