//! How an agent keeps up: the state machine at the end of `docs/protocol.md` §5.

use std::time::{Duration, Instant};

use fanlight_wire::limits::{DEGRADE_RESYNCS, DEGRADE_WINDOW, LAG_BYTES, LAG_TIME, RESYNC_BYTES, RESYNC_TIME};
use fanlight_wire::signal::LagState;

/// What is found out about an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// Less than [`LAG_BYTES`] and [`LAG_TIME`] behind the head.
    Near,
    /// At least one of them behind.
    Far,
    /// More than [`RESYNC_BYTES`] or [`RESYNC_TIME`] behind, or its cursor fell off the ring.
    Lost,
    /// The same, and it is the [`DEGRADE_RESYNCS`]th time within [`DEGRADE_WINDOW`].
    LostAgain,
    /// Begins again from a snapshot without being slow: a new page, a gap, new masks, its own wish.
    Restarted,
    /// Degraded for [`DEGRADE_WINDOW`] and took what it was given.
    Recovered,
    /// Degraded and took nothing of what waits for it for `DEGRADED_PATIENCE`.
    Starved,
}

/// The state after `event`.
pub(super) const fn next(state: LagState, event: Event) -> LagState {
    match (state, event) {
        (LagState::Closed, _) | (LagState::Degraded, Event::Starved) => LagState::Closed,
        (LagState::Degraded, Event::Recovered) => LagState::Resync,
        (LagState::Degraded, _) | (_, Event::LostAgain) => LagState::Degraded,
        (_, Event::Lost | Event::Restarted) => LagState::Resync,
        // From snapshot + log it catches up until it is near; being far is expected on the way.
        (LagState::Live | LagState::Lagging | LagState::Resync, Event::Near) => LagState::Live,
        (LagState::Live | LagState::Lagging, Event::Far) => LagState::Lagging,
        (LagState::Resync, Event::Far) => LagState::Resync,
        (state, Event::Recovered | Event::Starved) => state,
    }
}

/// Distance of a cursor from the head.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Distance {
    pub(super) bytes: u64,
    pub(super) time: Duration,
}

impl Distance {
    pub(super) fn event(self) -> Event {
        if self.bytes > RESYNC_BYTES as u64 || self.time > RESYNC_TIME {
            Event::Lost
        } else if self.is_near() {
            Event::Near
        } else {
            Event::Far
        }
    }

    pub(super) fn is_near(self) -> bool {
        self.bytes < LAG_BYTES as u64 && self.time < LAG_TIME
    }
}

/// When an agent was last lost; as many as are needed to judge it.
#[derive(Debug, Default)]
pub(super) struct Losses {
    recent: [Option<Instant>; DEGRADE_RESYNCS],
}

impl Losses {
    /// Notes a loss and says which event it is. After [`Event::LostAgain`] the count begins anew.
    pub(super) fn note(&mut self, now: Instant) -> Event {
        self.recent.rotate_left(1);
        if let Some(newest) = self.recent.last_mut() {
            *newest = Some(now);
        }
        let oldest = self.recent.first().copied().flatten();
        if oldest.is_some_and(|at| now.saturating_duration_since(at) < DEGRADE_WINDOW) {
            *self = Self::default();
            return Event::LostAgain;
        }
        Event::Lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every state × event, so that no transition is unseen.
    #[test]
    fn the_whole_table() {
        let states = [LagState::Live, LagState::Lagging, LagState::Resync, LagState::Degraded, LagState::Closed];
        let events = [
            Event::Near,
            Event::Far,
            Event::Lost,
            Event::LostAgain,
            Event::Restarted,
            Event::Recovered,
            Event::Starved,
        ];
        let mut table = String::new();
        for state in states {
            for event in events {
                table.push_str(&format!("{state:?} + {event:?} = {:?}\n", next(state, event)));
            }
        }
        assert_eq!(table, include_str!("lag.txt"), "the transition table changed:\n{table}");
    }

    #[test]
    fn distances_are_judged_at_their_limits() {
        let far = |bytes: usize, time| Distance { bytes: bytes as u64, time }.event();
        assert_eq!(far(LAG_BYTES - 1, Duration::ZERO), Event::Near);
        assert_eq!(far(LAG_BYTES, Duration::ZERO), Event::Far);
        assert_eq!(far(0, LAG_TIME), Event::Far);
        assert_eq!(far(RESYNC_BYTES, RESYNC_TIME), Event::Far);
        assert_eq!(far(RESYNC_BYTES + 1, Duration::ZERO), Event::Lost);
        assert_eq!(far(0, RESYNC_TIME + Duration::from_millis(1)), Event::Lost);
    }

    #[test]
    fn the_third_loss_in_a_minute_degrades() {
        let start = crate::dom::tests::origin();
        let mut losses = Losses::default();
        let mut note = |seconds| losses.note(start + Duration::from_secs(seconds));
        assert_eq!([note(0), note(30)], [Event::Lost, Event::Lost]);
        assert_eq!(note(60), Event::Lost, "the first one is a minute old");
        assert_eq!(note(89), Event::LostAgain);
        assert_eq!(note(90), Event::Lost, "the count began anew");
    }
}
