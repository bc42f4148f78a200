//! A publisher of two or three encodings of one picture, as a browser's camera: thirty frames a second of uneven size, keyframes
//! five times as large, each frame spread over most of its time as a pacer does, every encoding with a numbering and a time
//! of its own.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::encoding::{Encoding, Way};
use super::sdp::RIDS;
use super::udp::Port;
use crate::clock;

/// Encodings at most.
pub const LAYERS_MAX: usize = RIDS.len();
const FRAMES_PER_SECOND: u32 = 30;
const TICKS_PER_FRAME: u32 = 90_000 / FRAMES_PER_SECOND;
/// Bytes of the payload of a full packet.
const PACKET_BYTES: u64 = 1_100;
/// How much larger a keyframe is.
const KEYFRAME_TIMES: u64 = 5;
/// A frame leaves in so many groups, so far apart.
const GROUPS: usize = 5;
const GROUP_SPACING: Duration = Duration::from_millis(5);
/// A publisher that is further behind leaves frames out.
const BEHIND_MAX: Duration = Duration::from_millis(100);

/// Bits per second of each encoding, the smallest first; at most [`LAYERS_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layers {
    bps: [u64; LAYERS_MAX],
    count: usize,
}

impl Layers {
    pub fn new(bps: &[u64]) -> Self {
        let mut all = [0; LAYERS_MAX];
        all.iter_mut().zip(bps).for_each(|(place, bps)| *place = *bps);
        Self { bps: all, count: bps.len().min(LAYERS_MAX) }
    }

    pub const fn count(&self) -> usize {
        self.count
    }
}

/// A packet that has its moment.
#[derive(Debug, Clone, Copy)]
struct Planned {
    due: Instant,
    layer: usize,
    index: u8,
    count: u8,
    bytes: usize,
}

/// A publisher under way.
#[derive(Debug)]
pub struct Simulcast {
    way: Way,
    layers: Layers,
    encodings: Vec<Encoding>,
    planned: VecDeque<Planned>,
    frame_due: Option<Instant>,
    /// Packets that left more than a millisecond after they were due.
    pub late: u64,
}

impl Simulcast {
    /// Sends from `now` on.
    pub fn new(now: Instant, way: Way, layers: Layers) -> Self {
        let encoding = |rid: &u8| Encoding::new(fastrand::u32(1 << 16..), Some(*rid));
        let encodings = RIDS.iter().take(layers.count).map(encoding).collect();
        Self { way, layers, encodings, planned: VecDeque::new(), frame_due: Some(now), late: 0 }
    }

    pub fn encodings(&self) -> &[Encoding] {
        &self.encodings
    }

    /// Nothing more is sent.
    pub fn stop(&mut self) {
        self.frame_due = None;
        self.planned.clear();
    }

    /// Answers a wish for a keyframe of one encoding.
    pub fn wish(&mut self, ssrc: u32) {
        self.encodings.iter_mut().filter(|encoding| encoding.ssrc() == ssrc).for_each(Encoding::wish);
    }

    /// When there is something to send; `None` when it has stopped.
    pub fn deadline(&self) -> Option<Instant> {
        self.planned.front().map(|planned| planned.due).into_iter().chain(self.frame_due).min()
    }

    /// Sends what is due.
    pub fn handle_timeout(&mut self, now: Instant, port: &Port) {
        if let Some(due) = self.frame_due.filter(|due| *due <= now) {
            let is_behind = now.saturating_duration_since(due) > BEHIND_MAX;
            let due = if is_behind { now } else { due };
            self.frame_due = Some(due + Duration::from_secs(1) / FRAMES_PER_SECOND);
            self.plan(due);
        }
        let mut last = None;
        while let Some(planned) = self.planned.pop_front_if(|planned| planned.due <= now) {
            let Planned { due, layer, index, count, bytes } = planned;
            if last.replace(due) != Some(due) {
                self.way.depart(port);
            }
            self.late += u64::from(now.saturating_duration_since(due) > Duration::from_millis(1));
            if let Some(encoding) = self.encodings.get_mut(layer) {
                if index == 0 {
                    encoding.begin(TICKS_PER_FRAME);
                }
                encoding.put(&mut self.way, clock::now_us(), (index, count), bytes);
            }
        }
        self.way.depart(port);
    }

    /// The packets of one picture, the smaller encodings first.
    fn plan(&mut self, due: Instant) {
        let mut picture = Vec::new();
        for (layer, (encoding, bps)) in self.encodings.iter().zip(self.layers.bps).enumerate() {
            let mean = bps / 8 / u64::from(FRAMES_PER_SECOND) * if encoding.is_key_due() { KEYFRAME_TIMES } else { 1 };
            let bytes = mean * fastrand::u64(80..=120) / 100;
            let count = u8::try_from(bytes.div_ceil(PACKET_BYTES).max(1)).unwrap_or(u8::MAX);
            let bytes = (bytes / u64::from(count)) as usize;
            picture.extend((0..count).map(|index| Planned { due, layer, index, count, bytes }));
        }
        let group = picture.len().div_ceil(GROUPS).max(1);
        self.planned.extend(picture.into_iter().enumerate().map(|(at, planned)| {
            let due = due + GROUP_SPACING * u32::try_from(at / group).unwrap_or_default();
            Planned { due, ..planned }
        }));
    }

    /// Sender reports of all encodings.
    pub fn report(&mut self, port: &Port) {
        self.encodings.iter().for_each(|encoding| encoding.report(&mut self.way, port));
    }
}
