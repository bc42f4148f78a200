//! Join links: `/j/<code>`, short enough to be read out (R132), and what they lead to.
//!
//! Invariant: only the keyed hash of a code or key is held. A code by itself has 80 bits; a shorter one has 40 and opens
//! only with a key of nine digits (R133). An unknown, expired, used or closed link meets the same answer; wrong ones are
//! few per address, and a link that met several wrong keys is closed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Instant;

use aws_lc_rs::hmac;
use fanlight_wire::limits::{
    ADDRESSES_REMEMBERED_MAX, KEY_DIGITS, LINK_CHARS, LINK_CHARS_WITH_KEY, LINK_LIFE, LINK_TRIES_PER_ADDRESS,
    LINK_TRY_WINDOW, LINK_WRONG_KEYS_MAX, LINKS_MAX,
};
use fanlight_wire::{Code, Refusal, SessionId};

use crate::budget::{Rule, Windows};
use crate::http::Denied;
use crate::keys::{normalised, random_digits};
use crate::locked;
use crate::secrets::{Hash, fixed, random};

/// Crockford's base 32: no letter that is heard or read as another character.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A new link, told once.
#[derive(Debug)]
pub(crate) struct Made {
    /// In groups of four.
    pub(crate) code: String,
    pub(crate) key: Option<String>,
}

/// What somebody who knows a link's code may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) session: SessionId,
    pub(crate) key_required: bool,
    pub(crate) until: Instant,
}

#[derive(Debug)]
pub(crate) struct Links {
    secret: hmac::Key,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    open: HashMap<Hash, Link>,
    tries: Windows<IpAddr>,
}

#[derive(Debug)]
struct Link {
    session: SessionId,
    key: Option<Hash>,
    until: Instant,
    wrong: u8,
}

impl Links {
    pub(crate) fn new() -> Self {
        let rule = Rule { limit: LINK_TRIES_PER_ADDRESS, length: LINK_TRY_WINDOW };
        let state = State { open: HashMap::new(), tries: Windows::new(rule, ADDRESSES_REMEMBERED_MAX) };
        Self { secret: hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()), state: Mutex::new(state) }
    }

    /// A link to a session.
    ///
    /// # Errors
    /// `E_OVERLOAD` when the node has as many as it may.
    pub(crate) fn make(&self, session: SessionId, with_key: bool, now: Instant) -> Result<Made, Refusal> {
        let mut state = locked(&self.state);
        state.open.retain(|_, link| link.until > now);
        if state.open.len() >= LINKS_MAX {
            return Err(Refusal::new(Code::Overload, "limits::LINKS_MAX"));
        }
        let key = with_key.then(|| random_digits(KEY_DIGITS));
        let hash = key.as_deref().map(|digits| self.hash(digits));
        loop {
            let code = random_code(if with_key { LINK_CHARS_WITH_KEY } else { LINK_CHARS });
            let name = self.hash(&code);
            if state.open.contains_key(&name) {
                continue;
            }
            state.open.insert(name, Link { session, key: hash, until: now + LINK_LIFE, wrong: 0 });
            return Ok(Made { code: spoken(&code), key });
        }
    }

    /// What the link of this code is, without opening it.
    ///
    /// # Errors
    /// `E_NOT_FOUND` whatever is wrong with it; `E_RATE` with the time to wait.
    pub(crate) fn look(&self, code: &str, from: IpAddr, now: Instant) -> Result<Seen, Denied> {
        let name = self.hash(&plain(code));
        let mut state = locked(&self.state);
        state.may_try(from, now)?;
        let link = state.open.get(&name).filter(|link| link.until > now);
        let seen = link.map(|link| Seen { session: link.session, key_required: link.key.is_some(), until: link.until });
        seen.ok_or_else(|| {
            state.tries.note(from, now);
            absent().into()
        })
    }

    /// The session that the link leads to. The link stays good until its visitor has come, so that a page that was
    /// closed too early can be opened again.
    ///
    /// # Errors
    /// As [`Self::look`]; `E_KEY` for a wrong key.
    pub(crate) fn enter(&self, code: &str, key: Option<&str>, from: IpAddr, now: Instant) -> Result<SessionId, Denied> {
        let (name, shown) = (self.hash(&plain(code)), self.hash(&normalised(key.unwrap_or_default())));
        let mut state = locked(&self.state);
        state.may_try(from, now)?;
        let Some(link) = state.open.get_mut(&name).filter(|link| link.until > now) else {
            state.tries.note(from, now);
            return Err(absent().into());
        };
        let session = link.session;
        if link.key.is_none_or(|key| key == shown) {
            return Ok(session);
        }
        link.wrong += 1;
        if link.wrong >= LINK_WRONG_KEYS_MAX {
            state.open.remove(&name);
        }
        state.tries.note(from, now);
        let sentence = "This key does not open this link. Check the digits with your agent.";
        Err(Refusal::new(Code::Key, "R133").saying(sentence).into())
    }

    /// Voids the links of a session: its visitor has come, or it has ended. False when there are none.
    pub(crate) fn forget(&self, session: &SessionId) -> bool {
        let open = &mut locked(&self.state).open;
        let before = open.len();
        open.retain(|_, link| link.session != *session);
        open.len() < before
    }

    fn hash(&self, text: &str) -> Hash {
        fixed(hmac::sign(&self.secret, text.as_bytes()).as_ref())
    }
}

impl State {
    fn may_try(&mut self, from: IpAddr, now: Instant) -> Result<(), Denied> {
        match self.tries.wait(&from, now) {
            None => Ok(()),
            Some(wait) => {
                let refusal = Refusal::new(Code::Rate, "limits::LINK_TRIES_PER_ADDRESS");
                Err(Denied::wait(refusal.saying("Too many wrong links or keys. Wait a little and try again."), wait))
            }
        }
    }
}

fn absent() -> Refusal {
    let sentence = "This link is not valid any more. Ask your agent for a new one.";
    Refusal::new(Code::NotFound, "R132").saying(sentence)
}

/// Without dashes and blanks, and with the letters that people take for digits read as those.
fn plain(code: &str) -> String {
    let kept = code.chars().filter(|c| !matches!(c, '-' | ' ')).take(2 * LINK_CHARS);
    kept.map(|c| match c.to_ascii_lowercase() {
        'o' => '0',
        'i' | 'l' => '1',
        other => other,
    })
    .collect()
}

fn spoken(code: &str) -> String {
    let groups: Vec<&str> = (0..code.len()).step_by(4).filter_map(|at| code.get(at..code.len().min(at + 4))).collect();
    groups.join("-")
}

fn random_code(length: usize) -> String {
    // 32 letters: the low five bits of a random byte choose evenly.
    let bytes = random::<LINK_CHARS>();
    bytes.iter().take(length).filter_map(|byte| ALPHABET.get(usize::from(byte & 31))).map(|c| char::from(*c)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::control::testing::an_instant;

    const SESSION: SessionId = SessionId::from_bytes([7; 16]);

    fn from(n: u8) -> IpAddr {
        [192, 0, 2, n].into()
    }

    fn code<T>(result: Result<T, Denied>) -> Option<Code> {
        result.err().map(|denied| denied.refusal.code)
    }

    #[test]
    fn a_link_is_read_out_and_typed_in_any_spelling() {
        // R132, R133
        let (links, now) = (Links::new(), an_instant());
        let open = links.make(SESSION, false, now).expect("room");
        assert_eq!((open.code.len(), open.key), (19, None));
        let typed = open.code.to_uppercase().replace('-', " ").replace('0', "O");
        assert_eq!(links.enter(&typed, None, from(1), now).ok(), Some(SESSION));
        let short = links.make(SESSION, true, now).expect("room");
        let key = short.key.expect("a key");
        assert_eq!((short.code.len(), key.len()), (9, 9));
        assert!(links.look(&short.code, from(1), now).is_ok_and(|seen| seen.key_required));
        assert_eq!(code(links.enter(&short.code, None, from(1), now)), Some(Code::Key));
        let spoken = format!("{} {}-{}", &key[..3], &key[3..6], &key[6..]);
        assert_eq!(links.enter(&short.code, Some(&spoken), from(1), now).ok(), Some(SESSION));
    }

    #[test]
    fn absent_expired_used_and_closed_links_look_the_same() {
        // G-51, G-52
        let (links, now) = (Links::new(), an_instant());
        let [used, closed] = [false, true].map(|with_key| links.make(SESSION, with_key, now).expect("room").code);
        for _ in 0..LINK_WRONG_KEYS_MAX {
            assert_eq!(code(links.enter(&closed, Some("1"), from(2), now)), Some(Code::Key));
        }
        let told = |code: &str| links.look(code, from(3), now).map_err(|denied| format!("{denied:?}"));
        assert_eq!(told(&closed), told("0000-0000"));
        links.forget(&SESSION);
        assert_eq!(told(&used), told("0000-0000"));
        let late = links.make(SESSION, false, now).expect("room").code;
        assert_eq!(code(links.look(&late, from(4), now + LINK_LIFE)), Some(Code::NotFound));
    }

    #[test]
    fn guessing_links_and_keys_is_slow() {
        // G-51
        let (links, now) = (Links::new(), an_instant());
        let good = links.make(SESSION, false, now).expect("room").code;
        for _ in 0..LINK_TRIES_PER_ADDRESS {
            assert_eq!(code(links.look("guess", from(5), now)), Some(Code::NotFound));
        }
        assert_eq!(code(links.look(&good, from(5), now)), Some(Code::Rate));
        assert_eq!(code(links.enter(&good, None, from(5), now)), Some(Code::Rate));
        assert!(links.look(&good, from(6), now).is_ok(), "others are not held up");
        assert!(links.look(&good, from(5), now + Duration::from_secs(60)).is_ok());
    }
}
