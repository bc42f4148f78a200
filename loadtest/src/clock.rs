//! The one place that asks for the time. All clients of one process share it, so that latencies need no second clock.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

/// Readings of two clocks count as one moment when no more than this passed between them.
const PAIR_MAX: Duration = Duration::from_micros(5);
/// How often that is tried.
const PAIR_TRIES: usize = 4;
/// Nothing waits longer in a socket; an older stamp was made before somebody set the wall clock.
const AGE_NS_MAX: u64 = 10_000_000_000;
/// Two readings of the wall clock may be this far in the wrong order.
const AHEAD_NS_MAX: u64 = 100_000;

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
    since_start(now())
}

fn since_start(at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(start()).as_micros()).unwrap_or(u64::MAX)
}

/// Nanoseconds that the wall clock shows. The kernel stamps with it what arrives.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
fn wall_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// One moment by the clock of this process and by the wall clock.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub now: Instant,
    pub now_us: u64,
    wall_ns: u64,
}

impl Moment {
    /// Now.
    pub fn take() -> Self {
        let mut before = now();
        for _ in 1..PAIR_TRIES {
            let wall_ns = wall_ns();
            let after = now();
            if after.saturating_duration_since(before) <= PAIR_MAX {
                return Self { now: before, now_us: since_start(before), wall_ns };
            }
            // The thread was interrupted in between; the later reading begins the next pair.
            before = after;
        }
        Self { now: before, now_us: since_start(before), wall_ns: wall_ns() }
    }

    /// When the wall clock showed `stamp_ns`, in microseconds of this process's clock. Only the stamp's age is taken from
    /// the wall clock, so that its steps and its pace do not matter; `None` when it was set in between.
    pub fn place(&self, stamp_ns: u64) -> Option<u64> {
        if stamp_ns > self.wall_ns.saturating_add(AHEAD_NS_MAX) {
            return None;
        }
        let age = self.wall_ns.saturating_sub(stamp_ns);
        (age <= AGE_NS_MAX).then(|| self.now_us.saturating_sub(age / 1_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_placed_by_its_age() {
        let moment = Moment { now: now(), now_us: 5_000_000, wall_ns: 1_700_000_000_000_000_000 };
        let stamp = |age_ns: i64| moment.wall_ns.saturating_add_signed(-age_ns);
        assert_eq!(moment.place(stamp(0)), Some(5_000_000));
        assert_eq!(moment.place(stamp(1_234_567)), Some(5_000_000 - 1_234));
        assert_eq!(moment.place(stamp(-50_000)), Some(5_000_000), "read a little too early");
        assert_eq!(moment.place(stamp(3_600_000_000_000)), None, "the clock was set forward by an hour");
        assert_eq!(moment.place(stamp(-3_600_000_000_000)), None, "or back");
    }

    #[test]
    fn a_moment_is_the_same_by_both_clocks() {
        let (before, moment) = (now_us(), Moment::take());
        let placed = moment.place(wall_ns()).expect("nobody sets the clock now");
        assert!((before..=now_us()).contains(&placed), "{before} {placed}");
    }
}
