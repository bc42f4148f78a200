//! The one place that asks for the time. Everything else is told.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "the one place that asks")]
pub fn now() -> Instant {
    Instant::now()
}

/// Time since 1970, for tokens and records. A clock set before that is taken as 1970.
#[expect(clippy::disallowed_methods, reason = "the one place that asks")]
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
