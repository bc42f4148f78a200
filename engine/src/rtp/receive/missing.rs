//! Packets that did not come, and when to ask for them.
//!
//! A gap is asked for after a short time in which overtaken packets still come, then once per round trip, at most
//! [`limits::REPAIR_TRIES_MAX`] times and for [`limits::REPAIR_MAX`]. Invariant: the gaps are in ascending order and at
//! most [`limits::MISSING_PACKETS_MAX`]; beyond, all are given up, since one keyframe costs less.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use fanlight_wire::limits;

/// Packets overtake each other by a few milliseconds at most on paths that are any good.
const TOLERANCE: Duration = Duration::from_millis(5);
/// Wishes for the same packet are never closer; so is the round trip before it is known.
const PACE_MIN: Duration = Duration::from_millis(20);
const ROUND_TRIP_UNKNOWN: Duration = Duration::from_millis(80);
const ROUND_TRIP_MAX: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub(super) struct Missing {
    gaps: VecDeque<Gap>,
    /// No gap is due earlier.
    next: Option<Instant>,
    round_trip: Option<Duration>,
    keyframe_wish: bool,
    /// Given up for being too many, not yet counted by [`Self::due`].
    abandoned: u64,
}

#[derive(Debug)]
struct Gap {
    number: u64,
    noticed: Instant,
    due: Instant,
    /// The first and the last wish.
    asked: Option<(Instant, Instant)>,
    tries: u8,
}

impl Missing {
    /// These numbers were skipped.
    pub(super) fn open(&mut self, now: Instant, skipped: Range<u64>) {
        if skipped.is_empty() {
            return;
        }
        let many = skipped.end - skipped.start;
        if self.gaps.len() as u64 + many > limits::MISSING_PACKETS_MAX as u64 {
            self.abandoned += self.gaps.len() as u64 + many;
            self.gaps.clear();
            self.next = None;
            self.keyframe_wish = true;
            return;
        }
        let due = now + TOLERANCE;
        self.gaps.extend(skipped.map(|number| Gap { number, noticed: now, due, asked: None, tries: 0 }));
        self.next = Some(self.next.map_or(due, |next| next.min(due)));
    }

    /// The packet has come.
    pub(super) fn fill(&mut self, now: Instant, number: u64, repaired: bool) {
        let Ok(at) = self.gaps.binary_search_by_key(&number, |gap| gap.number) else { return };
        let Some(gap) = self.gaps.remove(at) else { return };
        if let Some((first, last)) = gap.asked.filter(|_| repaired) {
            self.measure(now, first, last);
        }
    }

    /// Appends what to ask for now; returns how many packets were given up since the last call.
    pub(super) fn due(&mut self, now: Instant, lost: &mut Vec<u16>) -> u64 {
        if self.next.is_some_and(|next| next <= now) {
            let before = self.gaps.len();
            let hopeless = |gap: &Gap| {
                let old = now.saturating_duration_since(gap.noticed) >= limits::REPAIR_MAX;
                gap.due <= now && (old || gap.tries >= limits::REPAIR_TRIES_MAX)
            };
            self.gaps.retain(|gap| !hopeless(gap));
            let given_up = (before - self.gaps.len()) as u64;
            self.abandoned += given_up;
            self.keyframe_wish |= given_up > 0;
            let pace = self.pace();
            for gap in self.gaps.iter_mut().filter(|gap| gap.due <= now) {
                lost.push(gap.number as u16);
                gap.asked = Some((gap.asked.map_or(now, |(first, _)| first), now));
                gap.tries += 1;
                gap.due = now + pace;
            }
            self.next = self.gaps.iter().map(|gap| gap.due).min();
        }
        std::mem::take(&mut self.abandoned)
    }

    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.next
    }

    pub(super) const fn take_keyframe_wish(&mut self) -> bool {
        std::mem::replace(&mut self.keyframe_wish, false)
    }

    pub(super) const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    pub(super) fn set_round_trip(&mut self, round_trip: Duration) {
        self.round_trip = Some(round_trip.min(ROUND_TRIP_MAX));
    }

    /// The source begins anew.
    pub(super) fn forget(&mut self) {
        self.gaps.clear();
        self.next = None;
    }

    /// A little more than a round trip, so that an answer on its way is not asked for again.
    fn pace(&self) -> Duration {
        let round_trip = self.round_trip.unwrap_or(ROUND_TRIP_UNKNOWN);
        (round_trip + round_trip / 4).max(PACE_MIN)
    }

    /// An answer to the only wish is a measurement. After several wishes, one that follows the last too soon to answer it
    /// answers an earlier one: then the round trip is longer than believed.
    fn measure(&mut self, now: Instant, first: Instant, last: Instant) {
        let believed = self.round_trip.unwrap_or(ROUND_TRIP_UNKNOWN);
        let since_last = now.saturating_duration_since(last);
        if first != last && since_last >= believed / 2 {
            return;
        }
        let measured = now.saturating_duration_since(first).min(ROUND_TRIP_MAX);
        self.round_trip = Some(self.round_trip.map_or(measured, |smoothed| (smoothed * 7 + measured) / 8));
    }
}
