//! What a publisher's path towards us carries, for publishers that want to be told (draft-alvestrand-rmcat-remb-03).
//!
//! The delay-based half of draft-ietf-rmcat-gcc-02, at the receiver: the clock of the departures is the packets' own, by
//! abs-send-time or else by one source's timestamps. Loss is in our reports, which the publisher reads by itself.

use std::time::{Duration, Instant};

use super::arrival::Grouping;
use super::rate::Rate;
use super::throughput::Throughput;
use super::trend::{Trend, Usage};

/// Believed until something is known: a screen in good quality.
const START_BPS: u64 = 2_500_000;
/// Nobody tells us the round trip; this is a long one.
const ROUND_TRIP_US: u64 = 200_000;
/// How often it is said, and how much less is said at once, in percent (libwebrtc's figures).
const INTERVAL: Duration = Duration::from_secs(1);
const DROP_PERCENT: u64 = 97;
/// A sender's clock that jumps by more than this has begun anew.
const JUMP_US: i64 = 10_000_000;

/// When a packet left, by its own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Departed {
    /// The abs-send-time extension: 24 bits, in 2⁻¹⁸ s.
    Absolute([u8; 3]),
    /// The timestamp of a source, in ticks of 1/90 000 s.
    Timestamp { ssrc: u32, timestamp: u32 },
}

/// The receiver's estimate of one publisher's path.
#[derive(Debug)]
pub struct Observer {
    base: Instant,
    /// The source whose timestamps count, if packets bear nothing better.
    heard: Option<u32>,
    /// The newest departure: as it was written, and in microseconds, continued over its wrap.
    sent: Option<(u32, u64)>,
    grouping: Grouping,
    trend: Trend,
    throughput: Throughput,
    rate: Rate,
    /// What was said last, and when.
    said: Option<(Instant, u64)>,
    /// Since when there is something to say.
    since: Instant,
}

impl Observer {
    pub fn new(now: Instant) -> Self {
        Self {
            base: now,
            heard: None,
            sent: None,
            grouping: Grouping::default(),
            trend: Trend::new(),
            throughput: Throughput::default(),
            rate: Rate::new(START_BPS),
            said: None,
            since: now,
        }
    }

    /// A packet of `bytes` bytes has arrived.
    pub fn on_packet(&mut self, now: Instant, departed: Departed, bytes: usize) {
        let arrived = now.saturating_duration_since(self.base).as_micros() as u64;
        self.throughput.add(arrived, u32::try_from(bytes).unwrap_or(u32::MAX));
        let (raw, bits, hertz) = match departed {
            Departed::Absolute([high, middle, low]) => (u32::from_be_bytes([0, high, middle, low]), 24, 1 << 18),
            Departed::Timestamp { ssrc, .. } if *self.heard.get_or_insert(ssrc) != ssrc => return,
            Departed::Timestamp { timestamp, .. } => (timestamp, 32, 90_000),
        };
        let Some(sent) = self.continued(raw, bits, hertz) else { return };
        let Some(delta) = self.grouping.add(sent, arrived) else { return };
        self.trend.add(delta);
        let usage = self.trend.usage();
        let carried = if usage == Usage::Over { self.throughput.peak_bps() } else { self.throughput.bps() };
        self.rate.update(arrived, usage, carried, ROUND_TRIP_US);
    }

    /// When [`Self::say`] has something to say: once a second, and at once when it is clearly less.
    pub fn deadline(&self) -> Instant {
        match self.said {
            Some((at, bps)) if self.rate.bps() < bps * DROP_PERCENT / 100 => at,
            Some((at, _)) => at + INTERVAL,
            None => self.since + INTERVAL,
        }
    }

    /// Bits per second that all the publisher's sources together should not exceed.
    pub fn say(&mut self, now: Instant) -> Option<u64> {
        if now < self.deadline() {
            return None;
        }
        self.said = Some((now, self.rate.bps()));
        Some(self.rate.bps())
    }

    /// The sender's clock in microseconds. `None` for what overtook something, or when the clock has begun anew.
    fn continued(&mut self, raw: u32, bits: u32, hertz: i64) -> Option<u64> {
        let Some((last, before)) = self.sent else {
            self.sent = Some((raw, 0));
            return Some(0);
        };
        let unused = u32::BITS - bits;
        let ticks = i64::from((raw.wrapping_sub(last) << unused).cast_signed() >> unused);
        let passed = ticks * 1_000_000 / hertz;
        if passed.abs() > JUMP_US {
            self.grouping = Grouping::default();
            self.sent = Some((raw, before));
            return None;
        }
        // What is rounded off is not lost: the next difference begins where this one did.
        if passed <= 0 {
            return (passed == 0).then_some(before);
        }
        let sent = before + passed.unsigned_abs();
        self.sent = Some((raw, sent));
        Some(sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
    fn base() -> Instant {
        Instant::now()
    }

    /// Thirty frames per second of 2.64 Mbit/s, or of what was said if that is less, through a queue that lets
    /// `bottleneck` bits per second through. What is said after twenty seconds, and how long packets wait then.
    fn through(bottleneck: u64, absolute: bool) -> (u64, u64) {
        let base = base();
        let mut observer = Observer::new(base);
        let (mut free_us, mut said, mut credit, mut waited_us) = (0, 2_640_000, 0, 0);
        for frame in 0..600_u64 {
            let sent_us = frame * 33_333;
            credit += said.min(2_640_000) / 30;
            let packets = credit / 8_800;
            credit -= packets * 8_800;
            for packet in 0..packets {
                free_us = sent_us.max(free_us) + 8_800 * 1_000_000 / bottleneck;
                waited_us = free_us - sent_us;
                let now = base + Duration::from_micros(free_us);
                let departed = if absolute {
                    let [_, high, middle, low] = ((((sent_us + packet) << 18) / 1_000_000) as u32).to_be_bytes();
                    Departed::Absolute([high, middle, low])
                } else {
                    Departed::Timestamp { ssrc: 7, timestamp: (frame * 3_000) as u32 }
                };
                observer.on_packet(now, departed, 1_100);
                said = observer.say(now).unwrap_or(said);
            }
        }
        (said, waited_us)
    }

    #[test]
    fn a_queue_that_grows_is_told_and_one_that_does_not_is_left_alone() {
        for absolute in [true, false] {
            let ((thin, waited_us), (wide, _)) = (through(1_500_000, absolute), through(20_000_000, absolute));
            assert!((700_000..1_700_000).contains(&thin), "{thin} of 1.5 Mbit/s");
            assert!(waited_us < 200_000, "the queue is short again: {waited_us} µs");
            assert!(wide >= 2_640_000, "{wide} of what is enough");
        }
    }

    #[test]
    fn it_is_said_once_a_second_and_at_once_when_it_is_less() {
        let base = base();
        let mut observer = Observer::new(base);
        let at = |ms| base + Duration::from_millis(ms);
        let said: Vec<_> = [0, 999, 1_000, 1_500, 2_000].map(|ms| observer.say(at(ms)).is_some()).into();
        assert_eq!(said, [false, false, true, false, true]);
        observer.rate.lower(1_000_000);
        assert_eq!((observer.say(at(2_001)), observer.say(at(2_002))), (Some(1_000_000), None));
    }

    #[test]
    fn clocks_wrap_and_jump() {
        let mut observer = Observer::new(base());
        let second = 1 << 18;
        assert_eq!(observer.continued(0xff_ffff, 24, second), Some(0));
        assert_eq!(observer.continued(0x00_ffff, 24, second), Some(250_000), "over the wrap");
        assert_eq!(observer.continued(0x00_0000, 24, second), None, "overtaken");
        assert_eq!(observer.continued(0x60_0000, 24, second), None, "24 seconds are no gap");
        assert_eq!(observer.continued(0x64_0000, 24, second), Some(1_250_000));
    }
}
