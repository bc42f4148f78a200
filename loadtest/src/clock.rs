//! The one place that asks for the time. All clients of one process share it, so that latencies need no second clock.

use std::sync::OnceLock;
use std::time::Instant;

/// Now.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn now() -> Instant {
    Instant::now()
}

/// When this process first asked.
fn start() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(now)
}

/// Microseconds since this process first asked.
pub fn now_us() -> u64 {
    let start = start();
    u64::try_from(now().saturating_duration_since(start).as_micros()).unwrap_or(u64::MAX)
}
