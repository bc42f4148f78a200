//! One subscriber behind a bottleneck: packets out, transport-wide feedback back, in the formats of the wire.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use fanlight_engine::rtp::bwe::Estimator;
use fanlight_engine::rtp::rtcp::{self, Item};
use fanlight_engine::rtp::twcc::Recorder;

use super::link::Link;

/// Time between two looks at everything.
pub(super) const TICK: Duration = Duration::from_millis(1);
const REPAIR_PATIENCE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Copy)]
struct Flying {
    sequence: u16,
    arrives: Option<Instant>,
}

/// What became of one packet, told to whoever sent it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fate {
    /// The sender's mark.
    pub(super) mark: u64,
    pub(super) arrives: Instant,
}

pub(super) struct Subscriber {
    pub(super) now: Instant,
    pub(super) began: Instant,
    pub(super) down: Link,
    up: Link,
    pub(super) estimator: Estimator,
    recorder: Recorder,
    flying: VecDeque<Flying>,
    feedback: VecDeque<(Instant, Vec<u8>)>,
    /// Sent again after this: when, bytes, mark.
    repairs: VecDeque<(Instant, usize, u64)>,
    pub(super) fates: Vec<Fate>,
    sequence: u16,
    pub(super) sent: u64,
    repaired: u64,
    pub(super) lost: u64,
    pub(super) probe_bytes: u64,
    pub(super) overuses: u32,
}

impl Subscriber {
    pub(super) fn new(bps: u64, loss: f64, start_bps: u64, seed: u64) -> Self {
        let now = fanlight_loadtest::clock::now();
        Self {
            now,
            began: now,
            down: Link::new(bps, loss, seed),
            up: Link::new(10_000_000, loss, seed + 1_000),
            estimator: Estimator::new(now, start_bps),
            recorder: Recorder::default(),
            flying: VecDeque::new(),
            feedback: VecDeque::new(),
            repairs: VecDeque::new(),
            fates: Vec::new(),
            sequence: 65_000,
            sent: 0,
            repaired: 0,
            lost: 0,
            probe_bytes: 0,
            overuses: 0,
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.now - self.began
    }

    /// Sends a packet; what is lost is sent again a round trip later.
    pub(super) fn send(&mut self, bytes: usize, mark: u64) {
        let arrives = self.transmit(bytes);
        match arrives {
            Some(arrives) => self.fates.push(Fate { mark, arrives }),
            None => self.repairs.push_back((self.now + REPAIR_PATIENCE, bytes, mark)),
        }
    }

    /// Sends a packet that is not missed when it is lost.
    pub(super) fn transmit(&mut self, bytes: usize) -> Option<Instant> {
        self.sequence = self.sequence.wrapping_add(1);
        self.estimator.on_sent(self.now, self.sequence, bytes);
        let arrives = self.down.send(self.now, bytes);
        self.flying.push_back(Flying { sequence: self.sequence, arrives });
        self.sent += 1;
        self.lost += u64::from(arrives.is_none());
        arrives
    }

    /// Lets one tick pass. True when feedback has come.
    pub(super) fn tick(&mut self) -> bool {
        self.now += TICK;
        self.arrive();
        self.report();
        let heard = self.hear();
        self.repair();
        if let Some(probe) = self.estimator.probe(self.now) {
            self.probe_bytes += probe.bytes as u64;
            for _ in 0..probe.bytes / 1_200 {
                self.transmit(1_200);
            }
        }
        if self.estimator.deadline().is_some_and(|at| at <= self.now) {
            self.estimator.handle_timeout(self.now);
        }
        heard
    }

    /// Repairs have their share of what is sent; what does not fit into it is given up.
    fn repair(&mut self) {
        while self.repairs.front().is_some_and(|(at, ..)| *at <= self.now) {
            let Some((_, bytes, mark)) = self.repairs.pop_front() else { return };
            if self.repaired * 5 < self.sent {
                self.repaired += 1;
                self.send(bytes, mark);
            }
        }
    }

    /// What was sent before and not yet repaired is of no use any more.
    pub(super) fn forget_repairs(&mut self) {
        self.repairs.clear();
    }

    fn arrive(&mut self) {
        while let Some(front) = self.flying.front() {
            match front.arrives {
                Some(at) if at > self.now => return,
                Some(at) => self.recorder.note(front.sequence, at),
                None => {}
            }
            self.flying.pop_front();
        }
    }

    fn report(&mut self) {
        let mut report = Vec::new();
        while self.recorder.build(self.now, 1, 2, &mut report) {
            if let Some(at) = self.up.send(self.now, report.len() + 50) {
                self.feedback.push_back((at, std::mem::take(&mut report)));
            }
            report.clear();
        }
    }

    fn hear(&mut self) -> bool {
        let mut heard = false;
        while self.feedback.front().is_some_and(|(at, _)| *at <= self.now) {
            let Some((_, bytes)) = self.feedback.pop_front() else { break };
            for item in rtcp::parse(&bytes) {
                if let Item::TransportFeedback(feedback) = item {
                    self.estimator.on_feedback(self.now, feedback.packets());
                    self.overuses += u32::from(self.estimator.is_overusing());
                    heard = true;
                }
            }
        }
        heard
    }
}
