//! Budgets over a sliding window of time: how many events are left, and when the next one is free.
//!
//! Invariant: memory is bounded by `limit` instants per key and [`Windows::keys_max`] keys; when all keys are taken a new
//! key has no budget at all, because forgetting an old one would give its owner a fresh start.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::{Duration, Instant};

/// At most `limit` events in any `length` of time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) limit: u32,
    pub(crate) length: Duration,
}

/// The events of one key that still count.
#[derive(Debug, Default)]
pub(crate) struct Window {
    events: VecDeque<Instant>,
}

impl Window {
    /// `None` when an event may happen now, else the time until one may.
    pub(crate) fn wait(&mut self, now: Instant, rule: Rule) -> Option<Duration> {
        self.forget(now, rule);
        if self.events.len() < rule.limit as usize {
            return None;
        }
        self.events.front().map(|oldest| (*oldest + rule.length).saturating_duration_since(now))
    }

    pub(crate) fn note(&mut self, now: Instant) {
        self.events.push_back(now);
    }

    fn forget(&mut self, now: Instant, rule: Rule) {
        while self.events.front().is_some_and(|event| now.saturating_duration_since(*event) >= rule.length) {
            self.events.pop_front();
        }
    }
}

/// One window per key.
#[derive(Debug)]
pub(crate) struct Windows<K> {
    rule: Rule,
    keys_max: usize,
    windows: HashMap<K, Window>,
}

impl<K: Hash + Eq> Windows<K> {
    pub(crate) fn new(rule: Rule, keys_max: usize) -> Self {
        Self { rule, keys_max, windows: HashMap::new() }
    }

    /// `None` when this key may have an event now, else the time until it may.
    pub(crate) fn wait(&mut self, key: &K, now: Instant) -> Option<Duration> {
        if let Some(window) = self.windows.get_mut(key) {
            return window.wait(now, self.rule);
        }
        (!self.has_room(now)).then_some(self.rule.length)
    }

    /// Counts an event; without room for a new key it is not counted (and [`Self::wait`] does not let it happen).
    pub(crate) fn note(&mut self, key: K, now: Instant) {
        if self.windows.contains_key(&key) || self.has_room(now) {
            self.windows.entry(key).or_default().note(now);
        }
    }

    /// Takes back the newest event of a key.
    pub(crate) fn forgive(&mut self, key: &K) {
        if let Some(window) = self.windows.get_mut(key) {
            window.events.pop_back();
        }
    }

    fn has_room(&mut self, now: Instant) -> bool {
        if self.windows.len() >= self.keys_max {
            let rule = self.rule;
            self.windows.retain(|_, window| {
                window.forget(now, rule);
                !window.events.is_empty()
            });
        }
        self.windows.len() < self.keys_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::testing::an_instant;

    const RULE: Rule = Rule { limit: 2, length: Duration::from_secs(10) };

    #[test]
    fn the_window_slides() {
        let start = an_instant();
        let mut windows = Windows::new(RULE, 10);
        windows.note("a", start);
        windows.note("a", start + Duration::from_secs(4));
        assert_eq!(windows.wait(&"a", start + Duration::from_secs(5)), Some(Duration::from_secs(5)));
        assert_eq!(windows.wait(&"b", start), None);
        assert_eq!(windows.wait(&"a", start + Duration::from_secs(10)), None);
    }

    #[test]
    fn a_full_table_gives_nobody_a_fresh_start() {
        let start = an_instant();
        let mut windows = Windows::new(RULE, 1);
        windows.note("a", start);
        assert_eq!(windows.wait(&"b", start), Some(RULE.length));
        windows.note("b", start);
        assert_eq!(windows.windows.len(), 1);
        assert_eq!(windows.wait(&"b", start + RULE.length), None);
    }
}
