//! Keyframe wishes of all subscribers of one source meet here and leave as one request (P20).
//!
//! Invariant: at most one request per [`KEYFRAME_REQUEST_INTERVAL`], repeated until a whole keyframe has arrived, and
//! only one per [`KEYFRAME_SLOW_INTERVAL`] once [`KEYFRAME_REQUESTS_MAX`] have gone unanswered. Every source has its
//! own, so that a screen is never starved by a camera's budget.

use std::time::{Duration, Instant};

use fanlight_wire::limits::{KEYFRAME_REQUEST_INTERVAL, KEYFRAME_REQUESTS_MAX, KEYFRAME_SLOW_INTERVAL};

use crate::deadline::{Deadline, Reason};

/// The open wish for a keyframe of one source.
#[derive(Debug, Default, Clone)]
pub(crate) struct KeyframeWish {
    open: bool,
    last: Option<Instant>,
    /// Earliest repetition of a request that could not be made, because the source has not been heard yet.
    again: Option<Instant>,
    unanswered: u32,
}

impl KeyframeWish {
    /// Somebody needs a keyframe.
    pub(crate) const fn wish(&mut self) {
        self.open = true;
    }

    /// A whole keyframe has arrived.
    pub(crate) const fn granted(&mut self) {
        self.open = false;
        self.unanswered = 0;
    }

    /// Should the source be asked now?
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.open && self.next().is_none_or(|at| at <= now)
    }

    /// The source was asked at `now`, or could not be.
    pub(crate) fn asked(&mut self, now: Instant, sent: bool) {
        if sent {
            self.last = Some(now);
            self.again = None;
            self.unanswered = self.unanswered.saturating_add(1);
        } else {
            self.again = Some(now + KEYFRAME_REQUEST_INTERVAL);
        }
    }

    pub(crate) fn deadline(&self) -> Deadline {
        let at = self.next().max(self.again);
        at.filter(|_| self.open).map_or(Deadline::IDLE, |at| Deadline::new(at, Reason::Keyframe))
    }

    fn next(&self) -> Option<Instant> {
        self.last.map(|last| last + self.interval())
    }

    const fn interval(&self) -> Duration {
        if self.unanswered > KEYFRAME_REQUESTS_MAX { KEYFRAME_SLOW_INTERVAL } else { KEYFRAME_REQUEST_INTERVAL }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
    fn base() -> Instant {
        Instant::now()
    }

    // P20
    #[test]
    fn many_wishes_are_one_request_per_interval() {
        let (mut wish, base) = (KeyframeWish::default(), base());
        let mut asked = Vec::new();
        for ms in 0..3_000 {
            let now = base + Duration::from_millis(ms);
            (0..50).for_each(|_| wish.wish());
            if wish.is_due(now) {
                wish.asked(now, true);
                asked.push(ms);
            }
        }
        assert_eq!(asked, [0, 500, 1_000, 1_500, 2_000, 2_500]);
    }

    #[test]
    fn a_request_is_repeated_until_granted_and_slows_down() {
        let (mut wish, base) = (KeyframeWish::default(), base());
        wish.wish();
        let mut asked = 0;
        for ms in 0..30_000 {
            let now = base + Duration::from_millis(ms);
            if wish.is_due(now) {
                wish.asked(now, true);
                asked += 1;
            }
        }
        assert_eq!(asked, 30, "21 in the first ten seconds, then one per two seconds");
        wish.granted();
        assert_eq!(wish.deadline(), Deadline::IDLE);
    }

    #[test]
    fn a_request_that_could_not_be_made_is_tried_again() {
        let (mut wish, base) = (KeyframeWish::default(), base());
        wish.wish();
        wish.asked(base, false);
        assert!(wish.is_due(base), "the next packet may bring the source to be asked");
        assert_eq!(wish.deadline().at, Some(base + KEYFRAME_REQUEST_INTERVAL), "but nobody spins for it");
    }
}
