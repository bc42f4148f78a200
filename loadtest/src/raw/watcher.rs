//! A subscriber: counts every packet by its clear header, opens a sample of them for the time they carry, and answers as a
//! browser would (receiver reports, transport-wide feedback, NACK, PLI), as far as it is told to.
//!
//! Impairments act here, on arrival: a packet can be lost, and a virtual bottleneck can delay or drop it, so that a run needs
//! no privileges and no proxy.

use std::net::SocketAddrV4;
use std::time::Duration;

use super::rtp::{self, Block, Header};
use super::srtp::Lane;
use super::tally::{Number, Stream};
use super::udp::Port;
use super::viewing::Viewing;
use crate::media::Mark;

/// Streams of one subscriber; more are counted as foreign.
const STREAMS_MAX: usize = 4;
/// Microseconds between receiver reports, and between pieces of transport-wide feedback.
const REPORT_US: u64 = 1_000_000;
const FEEDBACK_US: u64 = 100_000;
/// Without a new picture for so long, a decoder asks for a keyframe.
const KEYFRAME_US: u64 = 500_000;
/// Numbers asked for again, and how often; browsers try ten times.
const MISSING_MAX: usize = 512;
const TRIES_MAX: u8 = 10;
/// What a bottleneck's queue holds, in microseconds.
const QUEUE_US_MAX: u64 = 300_000;

/// How a subscriber behaves.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// One of so many packets is opened.
    pub sample: u32,
    pub feedback: bool,
    /// Ask again for what is missing.
    pub nack: bool,
    /// Share of packets lost on the way, 0 to 1.
    pub loss: f64,
    /// Round trip that is added, as the time a NACK takes.
    pub round_trip: Duration,
    /// Bits per second of a virtual bottleneck; 0 for none.
    pub bottleneck: u64,
}

impl Default for Manner {
    fn default() -> Self {
        Self { sample: 13, feedback: false, nack: false, loss: 0.0, round_trip: Duration::ZERO, bottleneck: 0 }
    }
}

/// When a datagram came.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// Into the socket, by the kernel's stamp: what the server is answerable for.
    pub arrived_us: u64,
    /// Out of it: what the client sees, however busy it is.
    pub seen_us: u64,
}

/// A subscriber under way.
#[derive(Debug)]
pub struct Watcher {
    pub manner: Manner,
    incoming: Lane,
    outgoing: Lane,
    own: u32,
    rtx: Option<u8>,
    repairs: Option<Stream>,
    remote: SocketAddrV4,
    pub streams: Vec<Stream>,
    opened: u32,
    /// Microseconds until a packet reached the socket, of the sample.
    pub arrived_after_us: Vec<u32>,
    /// Microseconds until it was seen, of the same.
    pub seen_after_us: Vec<u32>,
    pub bytes: u64,
    pub foreign: u64,
    /// Packets that could not be opened.
    pub sealed: u64,
    pub began_us: u64,
    /// When the first packet came.
    first_us: Option<u64>,
    pub viewing: Viewing,
    arrivals: Vec<(u16, u64)>,
    /// The transport-wide number that the next feedback begins with.
    fed: Option<u16>,
    feedbacks: u8,
    feedback_us: u64,
    report_us: u64,
    /// When to ask for a keyframe, while there is no picture.
    keyframe_us: u64,
    missing: Vec<(u16, u64, u8)>,
    /// Numbers that were asked for again, packets taken away by loss, and packets that found a bottleneck's queue full.
    pub asked: u64,
    pub taken: u64,
    pub overflowed: u64,
    free_us: u64,
    /// Bytes that came through, second after second since the first packet.
    pub carried: Vec<u64>,
    carried_since_us: u64,
}

impl Watcher {
    pub fn new(
        manner: Manner,
        incoming: Lane,
        outgoing: Lane,
        rtx: Option<u8>,
        remote: SocketAddrV4,
        now_us: u64,
    ) -> Self {
        Self {
            manner,
            incoming,
            outgoing,
            own: fastrand::u32(1..),
            rtx,
            repairs: None,
            remote,
            streams: Vec::new(),
            opened: 0,
            arrived_after_us: Vec::new(),
            seen_after_us: Vec::new(),
            bytes: 0,
            foreign: 0,
            sealed: 0,
            began_us: now_us,
            first_us: None,
            viewing: Viewing::default(),
            arrivals: Vec::new(),
            fed: None,
            feedbacks: 0,
            feedback_us: now_us,
            report_us: now_us + fastrand::u64(0..REPORT_US),
            keyframe_us: 0,
            missing: Vec::new(),
            asked: 0,
            taken: 0,
            overflowed: 0,
            free_us: 0,
            carried: Vec::new(),
            carried_since_us: 0,
        }
    }

    /// A datagram of media.
    pub fn handle(&mut self, packet: &mut [u8], arrival: Arrival) {
        if rtp::is_rtcp(packet) {
            return;
        }
        let Some(header) = Header::parse(packet) else { return };
        let Some(at_us) = self.travel(packet.len(), arrival.arrived_us) else { return };
        if self.manner.feedback {
            let number = header.extension(packet, rtp::EXT_TRANSPORT).and_then(|value| value.try_into().ok());
            self.arrivals.extend(number.map(|number| (u16::from_be_bytes(number), at_us)));
        }
        self.bytes += packet.len() as u64;
        if Some(header.payload_type) == self.rtx {
            self.handle_repair(packet, &header, at_us);
            return;
        }
        let known = self.streams.iter_mut().position(|stream| stream.ssrc == header.ssrc);
        let at = known.unwrap_or_else(|| {
            self.streams.push(Stream::new(&header));
            self.streams.len() - 1
        });
        if at >= STREAMS_MAX {
            self.streams.pop();
            self.foreign += 1;
            return;
        }
        let Some(stream) = self.streams.get_mut(at) else { return };
        let extended = match stream.note(header.sequence) {
            Number::New { extended, missing } => {
                if missing > 0 && self.manner.nack {
                    let due = at_us + 1_000 + self.manner.round_trip.as_micros() as u64;
                    let lost = (extended - missing..extended).take(MISSING_MAX);
                    self.missing.extend(lost.map(|number| (number as u16, due, 0)));
                }
                extended
            }
            Number::Late { extended } => extended,
            Number::Repeated => return,
        };
        self.opened = self.opened.wrapping_add(1);
        if self.is_watching() || self.opened.is_multiple_of(self.manner.sample.max(1)) {
            let seen_us = arrival.seen_us.max(at_us);
            self.open(packet, &header, extended, Arrival { arrived_us: at_us, seen_us });
        }
    }

    /// Every packet is looked at until there is a picture; afterwards by those who look at all.
    const fn is_watching(&self) -> bool {
        self.viewing.first_us.is_none() || self.manner.sample == 1
    }

    /// When the packet is through the bottleneck; `None` when it is lost on the way.
    fn travel(&mut self, bytes: usize, now_us: u64) -> Option<u64> {
        let Manner { loss, bottleneck, .. } = self.manner;
        if loss > 0.0 && fastrand::f64() < loss {
            self.taken += 1;
            return None;
        }
        if bottleneck == 0 {
            return Some(now_us);
        }
        let begins = self.free_us.max(now_us);
        if begins - now_us > QUEUE_US_MAX {
            self.overflowed += 1;
            return None;
        }
        self.free_us = begins + bytes as u64 * 8_000_000 / bottleneck;
        self.note_carried(bytes);
        Some(self.free_us)
    }

    fn note_carried(&mut self, bytes: usize) {
        if self.carried.is_empty() {
            self.carried_since_us = self.free_us;
        }
        let second = (self.free_us.saturating_sub(self.carried_since_us) / 1_000_000) as usize;
        if second >= self.carried.len() {
            self.carried.resize(second + 1, 0);
        }
        if let Some(sum) = self.carried.get_mut(second) {
            *sum += bytes as u64;
        }
    }

    fn open(&mut self, packet: &mut [u8], header: &Header, extended: u64, arrival: Arrival) {
        let is_watching = self.is_watching();
        // The first number that is seen has rollover counter 1 here and 0 at the sender.
        let Some(payload) = self.incoming.open(packet, header.bytes, extended - (1 << 16)) else {
            self.sealed += 1;
            return;
        };
        let mark = if is_watching {
            self.viewing.note(extended, header.timestamp, payload, arrival.arrived_us)
        } else {
            Mark::read(payload)
        };
        let Some(mark) = mark else {
            self.foreign += 1;
            return;
        };
        // What was sent before this subscriber was there is history that it was given, not something that took so long.
        if mark.at_us < *self.first_us.get_or_insert(arrival.arrived_us) {
            return;
        }
        let late = |at_us: u64| u32::try_from(at_us.saturating_sub(mark.at_us)).unwrap_or(u32::MAX);
        self.arrived_after_us.push(late(arrival.arrived_us));
        self.seen_after_us.push(late(arrival.seen_us));
    }

    /// RFC 4588: the original number comes first in the payload.
    fn handle_repair(&mut self, packet: &mut [u8], header: &Header, at_us: u64) {
        let Some(stream) = self.streams.first_mut() else { return };
        // Repairs have a numbering of their own.
        let repairs = self.repairs.get_or_insert_with(|| Stream::new(header));
        let (Number::New { extended, .. } | Number::Late { extended }) = repairs.note(header.sequence) else { return };
        let Some(payload) = self.incoming.open(packet, header.bytes, extended - (1 << 16)) else {
            self.sealed += 1;
            return;
        };
        let Some((number, rest)) = payload.split_first_chunk::<2>() else { return };
        let number = u16::from_be_bytes(*number);
        if stream.repair(number) {
            let extended = stream.extend(number);
            self.missing.retain(|(missing, ..)| *missing != number);
            if self.is_watching() && self.viewing.note(extended, header.timestamp, rest, at_us).is_none() {
                self.foreign += 1;
            }
        }
    }

    /// Reports, feedback and wishes that are due; called every few milliseconds.
    pub fn handle_timeout(&mut self, port: &Port, now_us: u64) {
        let mut compound = Vec::new();
        if now_us >= self.report_us {
            self.report_us = now_us + REPORT_US;
            self.report(&mut compound);
        }
        if self.manner.feedback && now_us >= self.feedback_us {
            self.feedback_us = now_us + FEEDBACK_US;
            self.feed_back(&mut compound, now_us);
        }
        if !self.missing.is_empty() {
            self.ask_again(&mut compound, now_us);
        }
        if self.is_watching() && !self.streams.is_empty() {
            self.ask_for_keyframe(&mut compound, now_us);
        }
        if !compound.is_empty() && self.outgoing.seal_rtcp(&mut compound).is_some() {
            port.send(self.remote, &compound);
        }
    }

    fn report(&mut self, compound: &mut Vec<u8>) {
        let block = self.streams.first_mut().map(|stream| Block {
            ssrc: stream.ssrc,
            fraction: stream.fraction(),
            lost: stream.lost() as u32,
            highest: (stream.highest - (1 << 16)) as u32,
            jitter: 0,
        });
        rtp::receiver_report(compound, self.own, block);
    }

    fn feed_back(&mut self, compound: &mut Vec<u8>, now_us: u64) {
        let Some(stream) = self.streams.first() else { return };
        // Whoever is a round trip away is told about that much later.
        let told_us = now_us.saturating_sub(self.manner.round_trip.as_micros() as u64);
        let mut due: Vec<(u16, u64)> = self.arrivals.extract_if(.., |(_, at)| *at <= told_us).collect();
        let Some((base, _)) = due.first().copied() else { return };
        due.sort_by_key(|(number, _)| number.wrapping_sub(base).cast_signed());
        let Some(((first, _), (last, _))) = due.first().copied().zip(due.last().copied()) else { return };
        // What was lost between two pieces of feedback belongs to the second.
        let first = self.fed.filter(|fed| first.wrapping_sub(*fed).cast_signed() > 0).unwrap_or(first);
        self.fed = Some(last.wrapping_add(1));
        let count = usize::from(last.wrapping_sub(first)) + 1;
        if count > 2_000 {
            return;
        }
        let mut arrivals = vec![None; count];
        for (number, at) in due {
            if let Some(slot) = arrivals.get_mut(usize::from(number.wrapping_sub(first))) {
                *slot = Some(at);
            }
        }
        rtp::transport_feedback(compound, self.own, stream.ssrc, self.feedbacks, first, &arrivals);
        self.feedbacks = self.feedbacks.wrapping_add(1);
    }

    /// As a decoder does that has had no picture for a while.
    fn ask_for_keyframe(&mut self, compound: &mut Vec<u8>, now_us: u64) {
        let since = self.viewing.stands_since().unwrap_or(0).max(self.keyframe_us);
        if since == 0 {
            self.keyframe_us = now_us;
        }
        if since == 0 || now_us < since + KEYFRAME_US {
            return;
        }
        self.keyframe_us = now_us;
        if let Some(stream) = self.streams.first() {
            rtp::pli(compound, self.own, stream.ssrc);
        }
    }

    fn ask_again(&mut self, compound: &mut Vec<u8>, now_us: u64) {
        let Some(stream) = self.streams.first() else { return };
        let again_us = self.manner.round_trip.as_micros() as u64 + 20_000;
        let mut lost = Vec::new();
        for (number, due, tries) in &mut self.missing {
            if *due <= now_us && lost.len() < 128 {
                lost.push(*number);
                *due = now_us + again_us;
                *tries += 1;
            }
        }
        // What is given up leaves a hole that only a keyframe closes; the picture stands still, and that is when one is asked for.
        self.missing.retain(|(_, _, tries)| *tries < TRIES_MAX);
        self.missing.truncate(MISSING_MAX);
        if !lost.is_empty() {
            self.asked += lost.len() as u64;
            rtp::nack(compound, self.own, stream.ssrc, &lost);
        }
    }

    /// Forgets what was counted so far.
    pub fn restart(&mut self) {
        self.streams.iter_mut().for_each(Stream::restart);
        self.arrived_after_us.clear();
        self.seen_after_us.clear();
        self.viewing.restart();
        (self.bytes, self.foreign, self.sealed) = (0, 0, 0);
        (self.asked, self.taken, self.overflowed) = (0, 0, 0);
    }

    /// Packets that have come, their repairs included, and those that have not.
    pub fn counts(&self) -> (u64, u64) {
        self.streams.iter().fold((0, 0), |(received, lost), stream| (received + stream.received, lost + stream.lost()))
    }
}
