//! What a publisher sends: packets of synthetic VP8 at a rate, in one of the arrival patterns that decide how long a relay's
//! trains can be.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::encoding::{Encoding, Way};
use super::udp::Port;
use crate::clock;

/// Packets of one frame, whatever the pattern of their departure.
pub const PACKETS_PER_FRAME: u8 = 10;

/// Longer than any run.
const PAUSE: Duration = Duration::from_secs(24 * 3_600);

/// When packets leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Pattern {
    /// A whole frame of ten at once.
    Bursts,
    /// Four, three and three of each frame, as a browser's pacer sends them.
    Groups,
    /// Each by itself, evenly spaced.
    Even,
}

impl Pattern {
    pub const ALL: [Self; 3] = [Self::Bursts, Self::Groups, Self::Even];

    /// Packets of the departure that begins with packet `index` of a frame.
    const fn group(self, index: u8) -> u8 {
        match (self, index) {
            (Self::Bursts, _) => PACKETS_PER_FRAME,
            (Self::Groups, 0) => 4,
            (Self::Groups, _) => 3,
            (Self::Even, _) => 1,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Bursts => "bursts",
            Self::Groups => "groups",
            Self::Even => "even",
        }
    }
}

/// How much of what.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub pattern: Pattern,
    pub packets_per_second: u32,
    /// Of the RTP payload.
    pub packet_bytes: usize,
}

/// A publisher under way.
#[derive(Debug)]
pub struct Source {
    load: Load,
    way: Way,
    encoding: Encoding,
    /// Packet of the frame under way that is sent next.
    index: u8,
    due: Instant,
    spacing: Duration,
    /// Packets that left more than a millisecond after they were due.
    pub late: u64,
}

impl Source {
    /// Sends from `now` on.
    pub fn new(now: Instant, load: Load, way: Way, ssrc: u32) -> Self {
        let encoding = Encoding::new(ssrc, None);
        let mut source = Self { load, way, encoding, index: 0, due: now, spacing: Duration::ZERO, late: 0 };
        source.pace(now, load.packets_per_second);
        source
    }

    pub const fn ssrc(&self) -> u32 {
        self.encoding.ssrc()
    }

    /// Packets sent.
    pub const fn sent(&self) -> u64 {
        self.encoding.sent
    }

    /// Moments at which a keyframe was asked for, in microseconds.
    pub fn wishes(&self) -> &[u64] {
        &self.encoding.wishes
    }

    /// Another rate, from `now` on; 0 is a pause.
    pub fn pace(&mut self, now: Instant, packets_per_second: u32) {
        self.load.packets_per_second = packets_per_second;
        self.spacing = Duration::from_secs(1) / packets_per_second.max(1);
        self.due = if packets_per_second == 0 { now + PAUSE } else { now };
    }

    /// Another pattern of departures.
    pub const fn arrange(&mut self, pattern: Pattern) {
        self.load.pattern = pattern;
        // A new frame begins, so that departures are whole from the first on.
        self.index = 0;
    }

    pub const fn deadline(&self) -> Instant {
        self.due
    }

    /// Answers a wish for a keyframe.
    pub fn wish(&mut self) {
        self.encoding.wish();
    }

    /// Sends what is due.
    pub fn handle_timeout(&mut self, now: Instant, port: &Port) {
        // What a pause has left behind is not made good in one flood; it counts as late.
        for _ in 0..64 {
            if self.due > now {
                return;
            }
            let at_us = clock::now_us();
            let count = self.load.pattern.group(self.index);
            if now.saturating_duration_since(self.due) > Duration::from_millis(1) {
                self.late += u64::from(count);
            }
            for _ in 0..count {
                self.put(at_us);
            }
            self.due += self.spacing * u32::from(count);
            self.way.depart(port);
        }
        if now.saturating_duration_since(self.due) > Duration::from_millis(20) {
            self.due = now;
        }
    }

    fn put(&mut self, at_us: u64) {
        if self.index == 0 {
            let frames_per_second = self.load.packets_per_second / u32::from(PACKETS_PER_FRAME);
            self.encoding.begin(90_000 / frames_per_second.max(1));
        }
        self.encoding.put(&mut self.way, at_us, (self.index, PACKETS_PER_FRAME), self.load.packet_bytes);
        self.index = (self.index + 1) % PACKETS_PER_FRAME;
    }

    /// A sender report with a CNAME, sealed.
    pub fn report(&mut self, port: &Port) {
        self.encoding.report(&mut self.way, port);
    }
}
