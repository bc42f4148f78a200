//! What is due when. One deadline per key; a later one replaces it.
//!
//! Invariant: the queue holds one live entry per key, never later than the key's deadline; one that turns out too early
//! is put back. So moving a deadline later, which every packet does, costs nothing, and nothing is allocated once the
//! queue has grown to its use.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;
use std::time::Instant;

use crate::deadline::Deadline;

/// Entries of the queue per key, and in all before anybody looks, beyond which dead ones are swept out.
const QUEUED_PER_KEY_MAX: usize = 4;
const QUEUED_MIN: usize = 64;

/// Deadlines, soonest first.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    queue: BinaryHeap<Reverse<(Instant, K)>>,
    entries: HashMap<K, Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    deadline: Deadline,
    at: Instant,
    /// Where its live entry in the queue stands.
    queued: Instant,
}

impl<K: Ord> Default for Timers<K> {
    fn default() -> Self {
        Self { queue: BinaryHeap::new(), entries: HashMap::new() }
    }
}

impl<K: Copy + Ord + Hash> Timers<K> {
    /// Sets, moves or removes the deadline of `key`.
    pub(crate) fn set(&mut self, key: K, deadline: Deadline) {
        let Some(at) = deadline.at else { return self.remove(key) };
        match self.entries.get_mut(&key) {
            Some(entry) if entry.queued <= at => (entry.deadline, entry.at) = (deadline, at),
            _ => {
                self.entries.insert(key, Entry { deadline, at, queued: at });
                self.queue.push(Reverse((at, key)));
            }
        }
        if self.queue.len() > QUEUED_PER_KEY_MAX * self.entries.len() + QUEUED_MIN {
            self.rebuild();
        }
        self.tidy();
    }

    pub(crate) fn remove(&mut self, key: K) {
        self.entries.remove(&key);
        self.tidy();
    }

    /// Takes one key that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<K> {
        let Reverse((at, key)) = *self.queue.peek()?;
        if at > now {
            return None;
        }
        self.queue.pop();
        self.entries.remove(&key);
        self.tidy();
        Some(key)
    }

    /// The soonest deadline.
    pub(crate) fn next(&self) -> Deadline {
        let soonest = self.queue.peek().and_then(|Reverse((_, key))| self.entries.get(key));
        soonest.map_or(Deadline::IDLE, |entry| entry.deadline)
    }

    /// Keys with a deadline.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Keys that are set sooner and sooner leave dead entries behind the first.
    fn rebuild(&mut self) {
        self.queue.clear();
        self.queue.extend(self.entries.iter_mut().map(|(key, entry)| {
            entry.queued = entry.at;
            Reverse((entry.at, *key))
        }));
    }

    /// Makes the first entry of the queue a live one that stands at its key's deadline.
    fn tidy(&mut self) {
        while let Some(Reverse((at, key))) = self.queue.peek().copied() {
            match self.entries.get_mut(&key) {
                Some(entry) if entry.queued == at && entry.at == at => break,
                Some(entry) if entry.queued == at => {
                    let moved = entry.at;
                    entry.queued = moved;
                    self.queue.pop();
                    self.queue.push(Reverse((moved, key)));
                }
                _ => {
                    self.queue.pop();
                }
            }
        }
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

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]
    fn deadlines_that_move_forward_and_back_leave_nothing_behind() {
        let start = Instant::now();
        let at = |seconds| Deadline::new(start + Duration::from_secs(seconds), Reason::Grace);
        let mut timers = Timers::default();
        timers.set(0, at(1));
        for round in 0..10_000 {
            timers.set(1, at(90_000 - round));
        }
        assert!(timers.queue.len() <= 100, "{} entries for two keys", timers.queue.len());
        let end = start + Duration::from_secs(100_000);
        assert_eq!([timers.pop_due(end), timers.pop_due(end), timers.pop_due(end)], [Some(0), Some(1), None]);
    }
}
