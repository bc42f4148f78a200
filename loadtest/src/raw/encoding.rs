//! One encoding of a publisher: its numbering, its time, its packets; and what all encodings of a publisher share.

use std::net::SocketAddrV4;

use super::rtp::{self, HEADER_BYTES};
use super::srtp::{Lane, TAG_BYTES};
use super::udp::{Departures, Port};
use crate::clock;
use crate::media::Mark;

/// Bytes of the largest payload.
const PAYLOAD_BYTES_MAX: usize = 1_400;
/// Packets between two hand-overs to the kernel.
const PACKETS_MAX: usize = 32;

/// A publisher's way to its server.
#[derive(Debug)]
pub struct Way {
    lane: Lane,
    remote: SocketAddrV4,
    payload_type: u8,
    transport: u16,
    ballast: Vec<u8>,
    departures: Departures,
}

impl Way {
    /// `join` lets a departure leave as one train, as a network card would deliver it.
    pub fn new(lane: Lane, remote: SocketAddrV4, payload_type: u8, join: bool) -> Self {
        let departures = Departures::new(PACKETS_MAX * 2_000, join);
        Self { lane, remote, payload_type, transport: 0, ballast: vec![0xa5; PAYLOAD_BYTES_MAX], departures }
    }

    /// Hands everything to the kernel.
    pub fn depart(&mut self, port: &Port) {
        self.departures.depart(port);
    }
}

/// One encoding.
#[derive(Debug)]
pub struct Encoding {
    ssrc: u32,
    /// Its name in its packets, when the offer names encodings and no sources (RFC 8853).
    rid: Option<u8>,
    sequence: u64,
    timestamp: u32,
    frame: u32,
    key: bool,
    key_wanted: bool,
    pub sent: u64,
    bytes: u32,
    /// Moments at which a keyframe was asked for, in microseconds.
    pub wishes: Vec<u64>,
}

impl Encoding {
    pub fn new(ssrc: u32, rid: Option<u8>) -> Self {
        Self {
            ssrc,
            rid,
            sequence: fastrand::u16(..).into(),
            timestamp: fastrand::u32(..),
            frame: 0,
            key: false,
            key_wanted: true,
            sent: 0,
            bytes: 0,
            wishes: Vec::new(),
        }
    }

    pub const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// The next frame is a keyframe.
    pub fn wish(&mut self) {
        self.key_wanted = true;
        self.wishes.push(clock::now_us());
    }

    /// Will the next frame be a keyframe?
    pub const fn is_key_due(&self) -> bool {
        self.key_wanted
    }

    /// Begins a frame, so many ticks of 1/90 000 s after the last.
    pub fn begin(&mut self, ticks: u32) {
        self.key = std::mem::take(&mut self.key_wanted);
        self.frame += 1;
        self.timestamp = self.timestamp.wrapping_add(ticks);
    }

    /// Packet `index` of the `count` of this frame, with `bytes` of payload.
    pub fn put(&mut self, way: &mut Way, at_us: u64, (index, count): (u8, u8), bytes: usize) {
        let (share, frame, key) = (self.ssrc, self.frame, self.key);
        let begun = Mark { share, frame, key, index, count, at_us }.to_payload(0);
        let payload = bytes.clamp(begun.len(), PAYLOAD_BYTES_MAX);
        let header = rtp::header(way.payload_type, index + 1 == count, self.sequence as u16, self.timestamp, self.ssrc);
        let whole = HEADER_BYTES + payload + TAG_BYTES;
        let Some(packet) = way.departures.reserve(way.remote, whole) else { return };
        // The sizes are our own, so that none of these steps can fail; a packet that could not be made is not sent whole.
        let made = rtp::write(packet, &header, way.transport, self.rid).and_then(|()| {
            let room = packet.get_mut(HEADER_BYTES..whole - TAG_BYTES)?;
            room.copy_from_slice(way.ballast.get(..payload)?);
            room.get_mut(..begun.len())?.copy_from_slice(&begun);
            way.lane.seal(packet, HEADER_BYTES, self.sequence)
        });
        debug_assert!(made.is_some(), "a packet of our own making");
        self.sequence += 1;
        way.transport = way.transport.wrapping_add(1);
        self.sent += 1;
        self.bytes = self.bytes.wrapping_add(payload as u32);
    }

    /// A sender report with a CNAME, sealed.
    pub fn report(&self, way: &mut Way, port: &Port) {
        let mut compound = Vec::with_capacity(80);
        rtp::sender_report(&mut compound, self.ssrc, clock::now_us(), self.timestamp, self.sent as u32, self.bytes);
        rtp::cname(&mut compound, self.ssrc);
        if way.lane.seal_rtcp(&mut compound).is_some() {
            port.send(way.remote, &compound);
        }
    }
}
