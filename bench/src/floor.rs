//! The floor: the cheapest fan-out on this machine. One thread receives, decrypts once, encrypts for every destination and
//! sends trains; there is no SFU logic, no statistics, no timer, and nothing is ever asked again.
//!
//! It is a process of its own, so that its time is counted as a server's is. Who sends and who receives comes as one line of
//! JSON on standard input; the port goes out first.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::net::{Ipv4Addr, SocketAddrV4};

use fanlight_loadtest::raw::rtp::{self, HEADER_BYTES, Header};
use fanlight_loadtest::raw::srtp::{Keying, Lane, TAG_BYTES};
use fanlight_loadtest::raw::udp::{Departures, Inbox, Port};
use serde::{Deserialize, Serialize};

pub mod target;

/// Bytes between two calls of the kernel: stays in the second-level cache.
const ROOM_BYTES: usize = 256 * 1024;

/// Who sends and who receives.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Roster {
    pub tracks: Vec<Track>,
}

/// One publisher and its subscribers.
#[derive(Debug, Serialize, Deserialize)]
pub struct Track {
    pub ssrc: u32,
    /// Keying material in hexadecimal; the publisher is the client.
    pub keying: String,
    pub subscribers: Vec<Seat>,
}

/// One subscriber.
#[derive(Debug, Serialize, Deserialize)]
pub struct Seat {
    pub address: SocketAddrV4,
    pub keying: String,
}

struct Stage {
    lane: Lane,
    /// Extended number of the newest packet.
    newest: u64,
    seats: Vec<Taken>,
}

struct Taken {
    address: SocketAddrV4,
    lane: Lane,
    ssrc: u32,
    sequence: u64,
}

/// A packet of the turn, decrypted.
struct Packet {
    stage: usize,
    header: Header,
    start: usize,
    end: usize,
}

/// Serves until it is killed.
///
/// # Errors
/// What the kernel says, or a roster that cannot be read.
pub fn serve() -> io::Result<()> {
    let port = Port::open(Ipv4Addr::LOCALHOST, 4 << 20)?;
    port.block()?;
    announce(&port)?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let roster: Roster = serde_json::from_str(&line)?;
    let mut stages = Vec::new();
    let mut by_ssrc = HashMap::new();
    for track in &roster.tracks {
        by_ssrc.insert(track.ssrc, stages.len());
        stages.push(stage(track).ok_or(io::ErrorKind::InvalidData)?);
    }
    let mut floor = Floor { by_ssrc, stages, arena: vec![0; 4 << 20], packets: Vec::new() };
    let mut departures = Departures::new(ROOM_BYTES, true);
    let mut inbox = Inbox::default();
    loop {
        floor.receive(&mut inbox, &port);
        floor.forward(&mut departures, &port);
    }
}

fn announce(port: &Port) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "PORT={}", port.local().port())?;
    out.flush()
}

fn stage(track: &Track) -> Option<Stage> {
    let lane = |text: &str, client| Keying::new(&hex::decode(text).ok()?)?.lane(client);
    let seats = track.subscribers.iter().map(|seat| {
        let lane = lane(&seat.keying, false)?;
        Some(Taken { address: seat.address, lane, ssrc: track.ssrc, sequence: u64::from(fastrand::u16(..)) })
    });
    Some(Stage { lane: lane(&track.keying, true)?, newest: 0, seats: seats.collect::<Option<_>>()? })
}

struct Floor {
    by_ssrc: HashMap<u32, usize>,
    stages: Vec<Stage>,
    arena: Vec<u8>,
    packets: Vec<Packet>,
}

impl Floor {
    /// One turn's packets, decrypted into the arena.
    fn receive(&mut self, inbox: &mut Inbox, port: &Port) {
        self.packets.clear();
        let Self { by_ssrc, stages, arena, packets } = self;
        let mut used = 0;
        inbox.wait(port.fd(), |_, bytes| {
            let Some(header) = Header::parse(bytes).filter(|_| !rtp::is_rtcp(bytes)) else { return };
            let Some(number) = by_ssrc.get(&header.ssrc).copied() else { return };
            let Some(stage) = stages.get_mut(number) else { return };
            let delta = header.sequence.wrapping_sub(stage.newest as u16).cast_signed();
            stage.newest = match stage.newest {
                0 => header.sequence.into(),
                newest => newest.saturating_add_signed(delta.into()),
            };
            let Some(payload) = stage.lane.open(bytes, header.bytes, stage.newest) else { return };
            let end = used + payload.len();
            let Some(room) = arena.get_mut(used..end) else { return };
            room.copy_from_slice(payload);
            packets.push(Packet { stage: number, header, start: used, end });
            used = end;
        });
    }

    fn forward(&mut self, departures: &mut Departures, port: &Port) {
        let Self { stages, arena, packets, .. } = self;
        let mut rest = packets.as_slice();
        // Packets of one publisher follow each other: they are one burst.
        while let Some(first) = rest.first() {
            let number = first.stage;
            let length = rest.iter().take_while(|packet| packet.stage == number).count();
            let (burst, others) = rest.split_at(length);
            rest = others;
            let Some(stage) = stages.get_mut(number) else { continue };
            for seat in &mut stage.seats {
                for packet in burst {
                    let Some(payload) = arena.get(packet.start..packet.end) else { continue };
                    put(departures, port, seat, &packet.header, payload);
                }
            }
        }
        departures.depart(port);
    }
}

fn put(departures: &mut Departures, port: &Port, seat: &mut Taken, header: &Header, payload: &[u8]) {
    let bytes = HEADER_BYTES + payload.len() + TAG_BYTES;
    if departures.is_full(bytes) {
        departures.depart(port);
    }
    let Some(packet) = departures.reserve(seat.address, bytes) else { return };
    let (kind, marker) = (header.payload_type, header.marker);
    let own = rtp::header(kind, marker, seat.sequence as u16, header.timestamp, seat.ssrc);
    let written = rtp::write(packet, &own, seat.sequence as u16, None).and_then(|()| {
        packet.get_mut(HEADER_BYTES..bytes - TAG_BYTES)?.copy_from_slice(payload);
        seat.lane.seal(packet, HEADER_BYTES, seat.sequence)
    });
    debug_assert!(written.is_some(), "a packet of our own making");
    seat.sequence += 1;
}
