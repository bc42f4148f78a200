//! Which session is due when. One deadline per session; a later one replaces it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::deadline::Deadline;

/// Deadlines of all sessions of a shard, soonest first.
#[derive(Debug, Default)]
pub(crate) struct Timers<K> {
    queue: BTreeSet<(Instant, K)>,
    due: BTreeMap<K, Deadline>,
}

impl<K: Copy + Ord> Timers<K> {
    /// Sets, moves or removes the deadline of `key`.
    pub(crate) fn set(&mut self, key: K, deadline: Deadline) {
        self.remove(key);
        if let Some(at) = deadline.at {
            self.queue.insert((at, key));
            self.due.insert(key, deadline);
        }
    }

    pub(crate) fn remove(&mut self, key: K) {
        if let Some(Deadline { at: Some(at), .. }) = self.due.remove(&key) {
            self.queue.remove(&(at, key));
        }
    }

    /// Takes one key that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<K> {
        let (at, key) = *self.queue.first()?;
        if at > now {
            return None;
        }
        self.remove(key);
        Some(key)
    }

    /// The soonest deadline.
    pub(crate) fn next(&self) -> Deadline {
        self.queue.first().and_then(|(_, key)| self.due.get(key)).copied().unwrap_or(Deadline::IDLE)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::deadline::Reason;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]
    fn the_soonest_comes_first_and_a_new_deadline_replaces_the_old() {
        let start = Instant::now();
        let at = |seconds| Deadline::new(start + Duration::from_secs(seconds), Reason::Grace);
        let mut timers = Timers::default();
        timers.set(1, at(5));
        timers.set(2, at(3));
        timers.set(1, at(1));
        assert_eq!(timers.next(), at(1));
        assert_eq!(timers.pop_due(start), None);
        let later = start + Duration::from_secs(9);
        assert_eq!([timers.pop_due(later), timers.pop_due(later), timers.pop_due(later)], [Some(1), Some(2), None]);
        timers.set(3, at(2));
        timers.set(3, Deadline::IDLE);
        assert_eq!(timers.next(), Deadline::IDLE);
    }
}
