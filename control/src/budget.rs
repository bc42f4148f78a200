//! Budgets over a sliding window of time: how many events are left, and when the next one is free.
//!
//! Invariant: memory is bounded by `limit` instants per key and [`Windows::keys_max`] keys; when all keys are taken a new
//! key has no budget at all, because forgetting an old one would give its owner a fresh start.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::time::{Duration, Instant};

use hyper::Response;
use hyper::header::{HeaderName, HeaderValue};

/// draft-ietf-httpapi-ratelimit-headers.
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STANDING: HeaderName = HeaderName::from_static("ratelimit");

/// At most `limit` events in any `length` of time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) limit: u32,
    pub(crate) length: Duration,
}

/// What is left of a budget, as the asker may know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Which budget, in the words of `docs/api.md`.
    pub(crate) name: &'static str,
    pub(crate) limit: u32,
    pub(crate) length: Duration,
    pub(crate) left: u32,
    /// When there is more again.
    pub(crate) reset: Duration,
}

impl Standing {
    /// Says it in the two header fields of the draft.
    pub(crate) fn mark<T>(&self, response: &mut Response<T>) {
        let Self { name, limit, length, left, reset } = self;
        let reset = reset.as_secs() + u64::from(reset.subsec_nanos() > 0);
        let fields = [
            (POLICY, format!("\"{name}\";q={limit};w={}", length.as_secs())),
            (STANDING, format!("\"{name}\";r={left};t={reset}")),
        ];
        for (field, text) in fields {
            // Names and numbers of our own: always a legal header.
            if let Ok(value) = HeaderValue::try_from(text) {
                response.headers_mut().insert(field, value);
            }
        }
    }
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
        // With a limit that was lowered in the meantime, more than one event has to leave.
        let over = self.events.len().checked_sub(rule.limit as usize)?;
        self.events.get(over).map(|last| (*last + rule.length).saturating_duration_since(now))
    }

    pub(crate) fn note(&mut self, now: Instant) {
        self.events.push_back(now);
    }

    fn standing(&mut self, name: &'static str, now: Instant, rule: Rule) -> Standing {
        self.forget(now, rule);
        let used = u32::try_from(self.events.len()).unwrap_or(u32::MAX);
        let reset =
            self.events.front().map_or(rule.length, |oldest| (*oldest + rule.length).saturating_duration_since(now));
        Standing { name, limit: rule.limit, length: rule.length, left: rule.limit.saturating_sub(used), reset }
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
        self.wait_within(key, self.rule.limit, now)
    }

    /// The same for a key whose limit is another one, at least 1.
    pub(crate) fn wait_within(&mut self, key: &K, limit: u32, now: Instant) -> Option<Duration> {
        if let Some(window) = self.windows.get_mut(key) {
            return window.wait(now, Rule { limit, ..self.rule });
        }
        (!self.has_room(now)).then_some(self.rule.length)
    }

    /// Counts an event; without room for a new key it is not counted (and [`Self::wait`] does not let it happen).
    pub(crate) fn note(&mut self, key: K, now: Instant) {
        if self.windows.contains_key(&key) || self.has_room(now) {
            self.windows.entry(key).or_default().note(now);
        }
    }

    /// What is left of a key's budget.
    pub(crate) fn standing(&mut self, name: &'static str, key: &K, now: Instant) -> Standing {
        match self.windows.get_mut(key) {
            Some(window) => window.standing(name, now, self.rule),
            None => Window::default().standing(name, now, self.rule),
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
    fn what_is_left_is_told_in_whole_seconds() {
        let start = an_instant();
        let mut windows = Windows::new(RULE, 10);
        let told = |windows: &mut Windows<&'static str>, now| {
            let mut response = Response::new(());
            windows.standing("tries", &"a", now).mark(&mut response);
            let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
            (text("ratelimit-policy"), text("ratelimit"))
        };
        let policy = Some("\"tries\";q=2;w=10".to_owned());
        assert_eq!(told(&mut windows, start), (policy.clone(), Some("\"tries\";r=2;t=10".into())));
        windows.note("a", start);
        windows.note("a", start + Duration::from_secs(1));
        let later = start + Duration::from_millis(2_500);
        assert_eq!(told(&mut windows, later), (policy.clone(), Some("\"tries\";r=0;t=8".into())));
        let last = start + Duration::from_secs(10);
        assert_eq!(told(&mut windows, last), (policy, Some("\"tries\";r=1;t=1".into())));
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
