//! Would more fit through? A few packets sent at once arrive as far apart as the bottleneck lets them.
//!
//! Bounded: only while more is wanted, [`PACKETS`] packets per cluster, two clusters per attempt, and attempts that
//! bring nothing are followed by longer and longer rests.

use std::time::Duration;

/// Packets of a cluster; four of them must arrive.
const PACKETS: usize = 5;
const PACKETS_MIN: u32 = 4;
/// Bytes of a probe packet, headers included.
const PACKET_BYTES: usize = 1_200;
const CLUSTERS: u32 = 2;
const CLUSTER_GAP: Duration = Duration::from_millis(200);
/// Feedback that takes longer than this is not waited for.
const PATIENCE_US: u64 = 1_000_000;
const REST: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));
/// How often a change of the path shortens the rest again.
const FORGIVEN_US: u64 = 10_000_000;
/// The share of a measurement that is believed: a cluster meets the queue at its best.
const BELIEVED: f64 = 0.9;
/// Receivers stamp arrivals in quarters of a millisecond.
const SPAN_US_MIN: u64 = 1_000;

/// A request to send `bytes` of padding or repeated packets at once, to learn whether `bps` would fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Bits per second that are wanted.
    pub bps: u64,
    /// Bytes to send, in packets of about 1 200.
    pub bytes: usize,
}

#[derive(Debug)]
struct Cluster {
    begun_us: u64,
    bytes_left: usize,
    first: Option<u16>,
    last: u16,
    arrived: u32,
    bytes: u64,
    first_arrival: u64,
    last_arrival: u64,
}

#[derive(Debug)]
pub(super) struct Prober {
    wanted: Option<u64>,
    next_us: u64,
    tries: u32,
    rest: Duration,
    forgiven_us: u64,
    cluster: Option<Cluster>,
}

impl Prober {
    pub(super) const fn new() -> Self {
        Self { wanted: None, next_us: 0, tries: 0, rest: REST.0, forgiven_us: 0, cluster: None }
    }

    pub(super) fn want(&mut self, bps: Option<u64>) {
        self.wanted = bps;
    }

    /// When the next cluster may leave, if `estimate` is not enough.
    pub(super) fn due(&self, estimate: u64) -> Option<u64> {
        let wanted = self.wanted.is_some_and(|wanted| wanted > estimate);
        match &self.cluster {
            Some(cluster) if wanted => Some(cluster.begun_us + PATIENCE_US),
            None if wanted => Some(self.next_us),
            _ => None,
        }
    }

    pub(super) fn poll(&mut self, now_us: u64, estimate: u64) -> Option<Probe> {
        if self.cluster.as_ref().is_some_and(|cluster| now_us >= cluster.begun_us + PATIENCE_US) {
            self.cluster = None;
        }
        let bps = self.wanted.filter(|wanted| *wanted > estimate)?;
        if self.cluster.is_some() || now_us < self.next_us {
            return None;
        }
        self.tries += 1;
        let gap = if self.tries < CLUSTERS {
            CLUSTER_GAP
        } else {
            self.tries = 0;
            let rest = self.rest;
            self.rest = (rest * 2).min(REST.1);
            rest
        };
        self.next_us = now_us + gap.as_micros() as u64;
        let bytes = PACKETS * PACKET_BYTES;
        self.cluster = Some(Cluster {
            begun_us: now_us,
            bytes_left: bytes,
            first: None,
            last: 0,
            arrived: 0,
            bytes: 0,
            first_arrival: 0,
            last_arrival: 0,
        });
        Some(Probe { bps, bytes })
    }

    /// The queue grows: not now. But what the path carries has changed, so earlier attempts say little.
    pub(super) fn postpone(&mut self, now_us: u64) {
        self.cluster = None;
        if now_us >= self.forgiven_us + FORGIVEN_US {
            self.forgiven_us = now_us;
            self.rest = REST.0;
        }
        self.next_us = self.next_us.max(now_us + self.rest.as_micros() as u64);
    }

    pub(super) fn on_sent(&mut self, now_us: u64, sequence: u16, bytes: usize) {
        if let Some(cluster) = self.cluster.as_mut().filter(|cluster| cluster.bytes_left > 0) {
            if now_us != cluster.begun_us {
                // What was not sent at once measures nothing.
                cluster.bytes_left = 0;
                return;
            }
            cluster.first.get_or_insert(sequence);
            cluster.last = sequence;
            cluster.bytes_left = cluster.bytes_left.saturating_sub(bytes);
        }
    }

    /// A packet has arrived. `Some` bits per second when a cluster is complete and says something.
    pub(super) fn on_arrival(&mut self, sequence: u16, arrived: u64, bytes: u32, estimate: u64) -> Option<u64> {
        let cluster = self.cluster.as_mut()?;
        let first = cluster.first?;
        let (place, length) = (sequence.wrapping_sub(first), cluster.last.wrapping_sub(first));
        if place <= length {
            cluster.note(arrived, bytes);
        }
        // Beyond the end (and not before the beginning) whatever is missing is lost.
        let ended = place >= length && place < 0x8000 && cluster.bytes_left == 0;
        if !ended {
            return None;
        }
        let measured = self.cluster.take().and_then(|cluster| cluster.measured())?;
        let believed = (measured * BELIEVED) as u64;
        let believed = self.wanted.map_or(believed, |wanted| believed.min(wanted + wanted / 4));
        if believed <= estimate {
            return None;
        }
        if self.wanted.is_some_and(|wanted| believed >= wanted) {
            self.tries = 0;
            self.rest = REST.0;
        }
        Some(believed)
    }
}

impl Cluster {
    fn note(&mut self, arrived: u64, bytes: u32) {
        if self.arrived == 0 {
            (self.first_arrival, self.last_arrival) = (arrived, arrived);
        } else {
            // The first packet's own bytes are before the measured span.
            self.bytes += u64::from(bytes);
            self.last_arrival = self.last_arrival.max(arrived);
        }
        self.arrived += 1;
    }

    fn measured(&self) -> Option<f64> {
        let span = self.last_arrival.saturating_sub(self.first_arrival).max(SPAN_US_MIN);
        (self.arrived >= PACKETS_MIN).then(|| self.bytes as f64 * 8e6 / span as f64)
    }
}
