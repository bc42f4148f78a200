//! Opaque bearers (visitor handles, agents' logins): made here, shown once, found again by their hash.
//!
//! Invariant: only hashes are kept, so that a memory dump or a log gives nobody a bearer; lookups compare hashes of
//! secrets nobody can choose, so their timing says nothing.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use crate::locked;
use crate::secrets::{Hash, opaque, sha256};

/// What a bearer stands for, by the hash of its text.
#[derive(Debug)]
pub(crate) struct Bearers<T> {
    max: usize,
    held: Mutex<HashMap<Hash, Held<T>>>,
}

#[derive(Debug)]
struct Held<T> {
    value: T,
    /// `None`: until revoked.
    until: Option<Instant>,
}

impl<T: Clone> Bearers<T> {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, held: Mutex::new(HashMap::new()) }
    }

    /// A new bearer's text and hash; `None` when as many as allowed are in use.
    pub(crate) fn issue(&self, value: T, until: Option<Instant>, now: Instant) -> Option<(String, Hash)> {
        let mut held = locked(&self.held);
        if held.len() >= self.max {
            held.retain(|_, held| held.is_valid(now));
        }
        if held.len() >= self.max {
            return None;
        }
        let text = opaque();
        let hash = sha256(text.as_bytes());
        held.insert(hash, Held { value, until });
        Some((text, hash))
    }

    pub(crate) fn find(&self, text: &str, now: Instant) -> Option<T> {
        let hash = sha256(text.as_bytes());
        let held = locked(&self.held);
        held.get(&hash).filter(|held| held.is_valid(now)).map(|held| held.value.clone())
    }

    /// Some value that is held now and that `chosen` picks.
    pub(crate) fn any(&self, now: Instant, chosen: impl Fn(&T) -> bool) -> Option<T> {
        let held = locked(&self.held);
        held.values().find(|held| held.is_valid(now) && chosen(&held.value)).map(|held| held.value.clone())
    }

    /// What a bearer stands for, once: it is good no longer.
    pub(crate) fn take(&self, text: &str, now: Instant) -> Option<T> {
        let taken = locked(&self.held).remove(&sha256(text.as_bytes()));
        taken.filter(|held| held.is_valid(now)).map(|held| held.value)
    }

    /// Revokes the oldest bearers of values that `chosen` picks, until at most `most` of those that end are left.
    pub(crate) fn thin(&self, most: usize, chosen: impl Fn(&T) -> bool) {
        let mut held = locked(&self.held);
        let ends = |(hash, held): (&Hash, &Held<T>)| held.until.filter(|_| chosen(&held.value)).map(|at| (at, *hash));
        let mut picked: Vec<_> = held.iter().filter_map(ends).collect();
        picked.sort_unstable();
        picked.truncate(picked.len().saturating_sub(most));
        for (_, hash) in picked {
            held.remove(&hash);
        }
    }

    pub(crate) fn revoke(&self, hash: &Hash) {
        locked(&self.held).remove(hash);
    }
}

impl<T> Held<T> {
    fn is_valid(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::control::testing::an_instant;

    #[test]
    fn a_bearer_lives_until_its_time_or_its_revocation() {
        let now = an_instant();
        let later = now + Duration::from_secs(10);
        let bearers = Bearers::new(2);
        let (brief, _) = bearers.issue("brief", Some(later), now).expect("room for two");
        let (lasting, _) = bearers.issue("lasting", None, now).expect("room for two");
        assert_eq!(bearers.issue("one too many", None, now), None);
        assert_eq!(bearers.find(&brief, now), Some("brief"));
        assert_eq!(bearers.find(&brief, later), None);
        assert_eq!(bearers.find("guess", now), None);
        assert!(bearers.issue("after the brief one", None, later).is_some());
        assert_eq!(bearers.take(&brief, now), None, "it made room for the one after");
        assert_eq!((bearers.take(&lasting, now), bearers.find(&lasting, now)), (Some("lasting"), None));
        let (_, hash) = bearers.issue("lasting", None, later).expect("room again");
        bearers.revoke(&hash);
        assert_eq!(bearers.find(&lasting, now), None);
    }
}
