//! Time for unit tests.

use std::time::Instant;

/// Some instant; tests only add to it.
#[expect(clippy::disallowed_methods, reason = "an `Instant` can be had in no other way; its value does not matter")]
pub(crate) fn an_instant() -> Instant {
    Instant::now()
}
