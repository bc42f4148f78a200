//! When the engine wants to be called again, and why.

use std::time::Instant;

/// What a deadline is for; shown in traces when a shard wakes without input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Nothing is due.
    Idle,
    Consent,
    Dom,
    Drain,
    Feedback,
    Floor,
    Grace,
    Ice,
    Keyframe,
    Mirror,
    Rate,
    Session,
}

/// The next moment at which [`crate::Engine::handle_timeout`] is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// `None` when nothing is due.
    pub at: Option<Instant>,
    pub reason: Reason,
}

impl Deadline {
    pub const IDLE: Self = Self { at: None, reason: Reason::Idle };

    pub const fn new(at: Instant, reason: Reason) -> Self {
        Self { at: Some(at), reason }
    }

    /// The earlier of both.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        match (self.at, other.at) {
            (_, None) => self,
            (None, _) => other,
            (Some(a), Some(b)) => {
                if b < a {
                    other
                } else {
                    self
                }
            }
        }
    }

    /// Is it due at `now`?
    pub fn is_due(self, now: Instant) -> bool {
        self.at.is_some_and(|at| at <= now)
    }
}
