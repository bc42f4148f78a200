//! How much one subscriber's path carries.
//!
//! An [`Estimator`] belongs to one transport. It hears what is sent and what the peer says about it, and answers with
//! one number. Peers that give transport-wide feedback get the delay- and loss-based estimate of
//! draft-ietf-rmcat-gcc-02 as libwebrtc practises it; peers that estimate themselves (REMB) are believed; of peers that
//! only report loss, loss and round trip are used.
//!
//! Invariants: the estimate stays within [`FLOOR_BPS`] and [`CEILING_BPS`]; loss that does not depend on the rate does
//! not lower it while the delay is flat; nothing is probed unless more is wanted. What is sent with the estimate is
//! left to [`super::layers`], padding to the sender.

mod arrival;
mod history;
mod loss;
mod observer;
mod probe;
mod rate;
#[cfg(test)]
mod tests;
mod throughput;
mod trend;

use std::time::{Duration, Instant};

use arrival::Grouping;
use history::History;
use loss::Loss;
pub use observer::{Departed, Observer};
pub use probe::Probe;
use probe::Prober;
use rate::Rate;
use throughput::Throughput;
use trend::{Trend, Usage};

use super::twcc::ARRIVAL_WRAP_US;

/// The lowest estimate, in bits per second: sound and the thinnest picture.
pub const FLOOR_BPS: u64 = 100_000;
/// The highest estimate, in bits per second: no picture of ours needs more.
pub const CEILING_BPS: u64 = 100_000_000;

/// Without any feedback for this long although packets keep leaving, the estimate is halved.
const SILENCE: Duration = Duration::from_millis(1_500);
/// A flow that rests for longer begins anew.
const PAUSE: Duration = Duration::from_millis(500);
/// A long queue that neither grows nor shrinks is taken for overuse after this.
const STANDING: Duration = Duration::from_secs(2);
/// A receiver's clock that jumps by more than this has begun anew.
const JUMP_US: i64 = 10_000_000;
/// A round trip this much over the shortest one tells of a queue, for peers that report nothing better.
const QUEUE_US_MAX: u64 = 200_000;
/// A receiver that goes on estimating says so about once per second.
const REMB_LIFE: Duration = Duration::from_secs(10);
/// A receiver's own estimate binds only when about this much of it is used: it cannot know what was never sent.
const USED: f64 = 0.7;

/// One transport's estimate. About 1 KiB, and a send history of 1–4 KiB.
#[derive(Debug)]
pub struct Estimator {
    base: Instant,
    /// When something was last sent, in both counts.
    sent_at: (Instant, u64),
    history: History,
    grouping: Grouping,
    trend: Trend,
    throughput: Throughput,
    rate: Rate,
    loss: Loss,
    prober: Prober,
    /// The receiver's clock, unwrapped: raw and continued.
    clock: Option<(i64, u64)>,
    /// Is transport-wide feedback heard?
    answers: bool,
    /// Since when packets leave without any feedback.
    unheard_us: Option<u64>,
    rtt_us: u64,
    rtt_us_min: u64,
    /// The number after the last one that feedback spoke of.
    next_reported: Option<u16>,
    full_since_us: Option<u64>,
    /// The receiver's own estimate, and when it came.
    remb: Option<(u64, u64)>,
    window: Window,
    wanted: Option<u64>,
}

/// What was sent since the last report of a peer that gives no transport-wide feedback.
#[derive(Debug, Default)]
struct Window {
    since_us: u64,
    bytes: u64,
    packets: u32,
    bps: f64,
}

impl Estimator {
    /// `start_bps` is believed until something is known.
    pub fn new(now: Instant, start_bps: u64) -> Self {
        Self {
            base: now,
            sent_at: (now, 0),
            history: History::new(),
            grouping: Grouping::default(),
            trend: Trend::new(),
            throughput: Throughput::default(),
            rate: Rate::new(start_bps.clamp(FLOOR_BPS, CEILING_BPS)),
            loss: Loss::default(),
            prober: Prober::new(),
            clock: None,
            answers: false,
            unheard_us: None,
            rtt_us: 100_000,
            rtt_us_min: u64::MAX,
            next_reported: None,
            full_since_us: None,
            remb: None,
            window: Window::default(),
            wanted: None,
        }
    }

    /// A packet leaves with this transport-wide number; `bytes` are those of the datagram.
    pub fn on_sent(&mut self, now: Instant, transport_sequence: u16, bytes: usize) {
        // A burst leaves under one time.
        let at = if now == self.sent_at.0 { self.sent_at.1 } else { self.us(now) };
        let pauses = at > self.sent_at.1 + PAUSE.as_micros() as u64;
        self.unheard_us = self.unheard_us.filter(|_| !pauses).or(Some(at));
        self.sent_at = (now, at);
        self.history.note(at, transport_sequence, bytes, self.answers);
        self.prober.on_sent(at, transport_sequence, bytes);
        if !self.answers {
            self.window.bytes += bytes as u64;
            self.window.packets += 1;
        }
    }

    /// Transport-wide feedback: numbers in ascending order, each with its arrival in microseconds of the receiver's
    /// clock (the message's reference time plus deltas, modulo the reference time's wrap), or `None` when missing.
    pub fn on_feedback(&mut self, now: Instant, packets: impl IntoIterator<Item = (u16, Option<i64>)>) {
        let now_us = self.us(now);
        let mut newest_sent = None;
        let mut probed = None;
        for (sequence, arrival) in packets {
            self.follow(sequence);
            let Some(arrival) = arrival else {
                if let Some(sent) = self.history.missing(sequence) {
                    self.loss.packet(sent.at, sent.bytes, true);
                }
                continue;
            };
            let Some(sent) = self.history.received(sequence) else { continue };
            if sent.was_missing {
                self.loss.came_late();
            } else {
                self.loss.packet(sent.at, sent.bytes, false);
            }
            let arrived = self.arrived(arrival);
            self.throughput.add(arrived, sent.bytes);
            if let Some(delta) = self.grouping.add(sent.at, arrived) {
                self.trend.add(delta);
            }
            let estimate = self.rate.bps();
            probed = self.prober.on_arrival(sequence, arrived, sent.bytes, estimate).or(probed);
            newest_sent = newest_sent.max(Some(sent.at));
        }
        let Some(newest_sent) = newest_sent else { return };
        self.answers = true;
        self.unheard_us = None;
        self.on_rtt_us(now_us.saturating_sub(newest_sent));
        self.adapt(now_us, probed);
    }

    fn adapt(&mut self, now_us: u64, probed: Option<u64>) {
        self.forget_remb(now_us);
        self.loss.update(self.trend.is_queue_full());
        let usage = self.usage(now_us);
        let acked = if usage == Usage::Over { self.throughput.peak_bps() } else { self.throughput.bps() };
        // What was lost on its way took its room in the queue all the same.
        let carried = acked.map(|bps| (bps as f64 / (1.0 - self.loss.inherent())) as u64);
        self.rate.update(now_us, usage, carried, self.rtt_us);
        if self.is_overusing() {
            self.prober.postpone(now_us);
        } else if let Some(bps) = probed {
            self.rate.raise(bps);
        }
        if let Some(bound) = self.loss.bound() {
            self.rate.lower(bound);
        }
    }

    /// A queue that stands long although nothing grows has to be drained once in a while.
    fn usage(&mut self, now_us: u64) -> Usage {
        let usage = self.trend.usage();
        if usage != Usage::Normal || !self.trend.is_queue_full() {
            self.full_since_us = None;
            return usage;
        }
        let since = *self.full_since_us.get_or_insert(now_us);
        if now_us < since + STANDING.as_micros() as u64 {
            return usage;
        }
        self.full_since_us = None;
        Usage::Over
    }

    /// Notices feedback that was lost on its way: its packets are neither there nor missing.
    fn follow(&mut self, sequence: u16) {
        let ahead = self.next_reported.map_or(0, |next| sequence.wrapping_sub(next));
        if ahead >= 0x8000 {
            return;
        }
        if ahead > 0 {
            self.throughput.interrupt();
        }
        self.next_reported = Some(sequence.wrapping_add(1));
    }

    /// The receiver's own estimate (draft-alvestrand-rmcat-remb-03), in bits per second.
    pub fn on_remb(&mut self, now: Instant, bps: u64) {
        self.remb = Some((self.us(now), bps.clamp(FLOOR_BPS, CEILING_BPS)));
    }

    /// A receiver report: the share lost since the last one in 256ths (RFC 3550 §6.4.1), and the round trip. What
    /// transport-wide feedback says is finer, so a peer that gives it is not judged by its reports.
    pub fn on_loss(&mut self, now: Instant, fraction: u8, rtt: Duration) {
        let now_us = self.us(now);
        if self.answers {
            return;
        }
        self.on_rtt_us(rtt.as_micros() as u64);
        let passed = now_us.saturating_sub(self.window.since_us);
        let window = std::mem::take(&mut self.window);
        let (bps, packets) = (window.bytes as f64 * 8e6 / passed.max(1) as f64, f64::from(window.packets));
        self.window = Window { since_us: now_us, bps, ..Window::default() };
        if packets > 0.0 {
            self.loss.observe(bps, packets, packets * f64::from(fraction) / 256.0, self.is_rtt_long());
        }
        self.adapt_to_reports(now_us, bps);
    }

    /// Nothing tells what would arrive if more were sent, so what is wanted is tried slowly, and loss, a long round trip
    /// or the receiver's own estimate take it back.
    fn adapt_to_reports(&mut self, now_us: u64, sent_bps: f64) {
        self.forget_remb(now_us);
        let queued = self.is_rtt_long();
        let usage = if queued { Usage::Over } else { Usage::Normal };
        let trusted = self.wanted.map_or(sent_bps, |wanted| sent_bps.max(wanted as f64));
        let acked = if queued { sent_bps } else { trusted };
        self.rate.update(now_us, usage, Some(acked as u64), self.rtt_us);
        if let Some(bound) = self.loss.bound() {
            self.rate.lower(bound);
        }
    }

    /// Bits per second that the path is believed to carry, within [`FLOOR_BPS`] and [`CEILING_BPS`].
    pub fn estimate(&self) -> u64 {
        let own = self.rate.bps();
        let Some((_, remb)) = self.remb else { return own };
        let used = self.window.bps >= USED * remb as f64;
        if self.answers || used { own.min(remb) } else { own }
    }

    /// Does the queue on the path grow?
    pub fn is_overusing(&self) -> bool {
        self.trend.usage() == Usage::Over
    }

    /// The last round trip, feedback delay included.
    pub const fn rtt(&self) -> Duration {
        Duration::from_micros(self.rtt_us)
    }

    /// How much would be used if it were there, in bits per second; `None` when what flows is all there is.
    pub fn want(&mut self, bps: Option<u64>) {
        self.wanted = bps;
        self.prober.want(bps);
    }

    /// A probe that should be sent in this turn, at once and under the same `now`.
    pub fn probe(&mut self, now: Instant) -> Option<Probe> {
        if !self.answers || self.is_overusing() {
            return None;
        }
        self.prober.poll(self.us(now), self.rate.bps())
    }

    /// To be called when [`Self::deadline`] has passed: a peer that has fallen silent gets less.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now_us = self.us(now);
        if self.silent_at().is_none_or(|at| at > now_us) {
            return;
        }
        self.unheard_us = None;
        // After the end of a flow, the last feedback may just have been lost.
        if now_us <= self.sent_at.1 + PAUSE.as_micros() as u64 {
            self.rate.lower(self.rate.bps() / 2);
        }
    }

    /// When [`Self::probe`] or [`Self::handle_timeout`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let probe = self.prober.due(self.rate.bps()).filter(|_| self.answers && !self.is_overusing());
        let at = [probe, self.silent_at()].into_iter().flatten().min()?;
        Some(self.base + Duration::from_micros(at))
    }

    /// The number after the last one that feedback spoke of.
    #[cfg(test)]
    pub(crate) const fn next_reported(&self) -> Option<u16> {
        self.next_reported
    }

    fn forget_remb(&mut self, now_us: u64) {
        self.remb = self.remb.filter(|(at, _)| now_us < at + REMB_LIFE.as_micros() as u64);
    }

    fn silent_at(&self) -> Option<u64> {
        self.unheard_us.filter(|_| self.answers).map(|since| since + SILENCE.as_micros() as u64)
    }

    const fn is_rtt_long(&self) -> bool {
        self.rtt_us > self.rtt_us_min.saturating_add(QUEUE_US_MAX)
    }

    fn on_rtt_us(&mut self, rtt_us: u64) {
        self.rtt_us = rtt_us.min(5_000_000);
        self.rtt_us_min = self.rtt_us_min.min(self.rtt_us);
    }

    /// The receiver's time, continued over its wrap and never running backwards.
    fn arrived(&mut self, raw: i64) -> u64 {
        let Some((last, continued)) = self.clock else {
            self.clock = Some((raw, 0));
            return 0;
        };
        let half = ARRIVAL_WRAP_US / 2;
        let passed = (raw.wrapping_sub(last).wrapping_add(half)).rem_euclid(ARRIVAL_WRAP_US) - half;
        if passed.abs() > JUMP_US {
            self.grouping = Grouping::default();
            self.clock = Some((raw, continued));
            return continued;
        }
        // Reordered arrivals count as arriving together.
        if passed <= 0 {
            return continued;
        }
        let continued = continued + passed.unsigned_abs();
        self.clock = Some((raw, continued));
        continued
    }

    fn us(&self, now: Instant) -> u64 {
        let passed = now.saturating_duration_since(self.base);
        passed.as_secs() * 1_000_000 + u64::from(passed.subsec_micros())
    }
}
