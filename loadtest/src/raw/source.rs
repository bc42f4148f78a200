//! What a publisher sends: packets of synthetic VP8 at a rate, in one of the arrival patterns that decide how long a relay's
//! trains can be.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::rtp::{self, HEADER_BYTES};
use super::srtp::{Lane, TAG_BYTES};
use super::udp::{Departures, Port};
use crate::clock;
use crate::media::Mark;

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
    lane: Lane,
    ssrc: u32,
    payload_type: u8,
    remote: SocketAddrV4,
    sequence: u64,
    transport: u16,
    frame: u32,
    index: u8,
    key: bool,
    key_wanted: bool,
    timestamp: u32,
    due: Instant,
    spacing: Duration,
    template: Vec<u8>,
    departures: Departures,
    /// Packets sent, and those that left more than a millisecond after they were due.
    pub sent: u64,
    pub late: u64,
    bytes: u32,
    /// Moments at which a keyframe was asked for, in microseconds.
    pub wishes: Vec<u64>,
}

impl Source {
    /// Sends from `now` on. `join` lets a departure leave as one train, as a network card would deliver it.
    pub fn new(
        now: Instant,
        load: Load,
        lane: Lane,
        ssrc: u32,
        payload_type: u8,
        remote: SocketAddrV4,
        join: bool,
    ) -> Self {
        let mut source = Self {
            load,
            lane,
            ssrc,
            payload_type,
            remote,
            sequence: fastrand::u16(..).into(),
            transport: 0,
            frame: 0,
            index: 0,
            key: false,
            key_wanted: true,
            timestamp: fastrand::u32(..),
            due: now,
            spacing: Duration::ZERO,
            template: vec![0xa5; load.packet_bytes],
            departures: Departures::new(usize::from(PACKETS_PER_FRAME) * 2_000, join),
            sent: 0,
            late: 0,
            bytes: 0,
            wishes: Vec::new(),
        };
        source.pace(now, load.packets_per_second);
        source
    }

    pub const fn ssrc(&self) -> u32 {
        self.ssrc
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
        self.frame += 1;
    }

    pub const fn deadline(&self) -> Instant {
        self.due
    }

    /// Answers a wish for a keyframe.
    pub fn wish(&mut self) {
        self.key_wanted = true;
        self.wishes.push(clock::now_us());
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
            self.departures.depart(port);
        }
        if now.saturating_duration_since(self.due) > Duration::from_millis(20) {
            self.due = now;
        }
    }

    fn put(&mut self, at_us: u64) {
        if self.index == 0 {
            self.key = std::mem::take(&mut self.key_wanted);
            let frames_per_second = self.load.packets_per_second / u32::from(PACKETS_PER_FRAME);
            self.timestamp = self.timestamp.wrapping_add(90_000 / frames_per_second.max(1));
        }
        let (key, index, count) = (self.key, self.index, PACKETS_PER_FRAME);
        let mark = Mark { share: self.ssrc, frame: self.frame, key, index, count, at_us };
        let marker = index + 1 == count;
        let header = rtp::header(self.payload_type, marker, self.sequence as u16, self.timestamp, self.ssrc);
        let bytes = HEADER_BYTES + self.template.len() + TAG_BYTES;
        let Some(packet) = self.departures.reserve(self.remote, bytes) else { return };
        // The sizes are our own, so that none of these steps can fail; a packet that could not be made is not sent whole.
        let begun = mark.to_payload(0);
        let made = rtp::write(packet, &header, self.transport).and_then(|()| {
            let payload = packet.get_mut(HEADER_BYTES..bytes - TAG_BYTES)?;
            payload.copy_from_slice(&self.template);
            payload.get_mut(..begun.len())?.copy_from_slice(&begun);
            self.lane.seal(packet, HEADER_BYTES, self.sequence)
        });
        debug_assert!(made.is_some(), "a packet of our own making");
        self.sequence += 1;
        self.transport = self.transport.wrapping_add(1);
        self.sent += 1;
        self.bytes = self.bytes.wrapping_add(self.template.len() as u32);
        self.index += 1;
        if marker {
            self.index = 0;
            self.frame += 1;
        }
    }

    /// A sender report with a CNAME, sealed.
    pub fn report(&mut self, port: &Port) {
        let mut compound = Vec::with_capacity(80);
        rtp::sender_report(&mut compound, self.ssrc, clock::now_us(), self.timestamp, self.sent as u32, self.bytes);
        rtp::cname(&mut compound, self.ssrc);
        if self.lane.seal_rtcp(&mut compound).is_some() {
            port.send(self.remote, &compound);
        }
    }
}
