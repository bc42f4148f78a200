//! One publisher's way to the relay, packet by packet: what is lost, overtaken, repeated and repaired on an impaired
//! path, in the formats of the wire. Oracles: every packet goes on at most once and all but the abandoned do; feedback
//! says of each number what became of it, and when; receiver reports count the path's losses, repaired or not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use fanlight_engine::rtp::header::{Extension, ExtensionMap, Fields, Header, write};
use fanlight_engine::rtp::receive::{Reception, original};
use fanlight_engine::rtp::rtcp::{Item, nack, parse};
use fanlight_engine::rtp::twcc::Recorder;
use fanlight_loadtest::clock;
use str0m_netem::{GilbertElliot, Input, LossModel, Netem, NetemConfig, Output, Probability, RandomLoss};

const HERTZ: u32 = 90_000;
const MEDIA: u32 = 11;
const REPAIR: u32 = 12;
const TRANSPORT_SEQUENCE: u8 = 5;
/// A frame of this many packets, thirty times a second: about 3 Mbit/s.
const FRAME_PACKETS: u64 = 10;
const FRAMES: u64 = 300;
const FRAME_TIME: Duration = Duration::from_micros(33_333);
/// Near the wrap of sequence numbers.
const FIRST: u16 = 0xfff0;

/// Sends frames, and again what is asked for.
struct Publisher {
    up: Netem<Vec<u8>>,
    sent: u64,
    repairs: u16,
    transport_sequence: u64,
}

impl Publisher {
    fn packet(&mut self, now: Instant, index: u64, repair: bool) {
        let sequence = FIRST.wrapping_add(index as u16);
        let marker = index % FRAME_PACKETS == FRAME_PACKETS - 1;
        let timestamp = (index / FRAME_PACKETS) as u32 * (HERTZ / 30);
        let (ssrc, own, body) = if repair {
            self.repairs += 1;
            (REPAIR, self.repairs, [&sequence.to_be_bytes()[..], &index.to_be_bytes()].concat())
        } else {
            (MEDIA, sequence, index.to_be_bytes().to_vec())
        };
        let fields = Fields { payload_type: 96, marker, sequence: own, timestamp, ssrc, padded: false };
        let number = (self.transport_sequence as u16).to_be_bytes();
        self.transport_sequence += 1;
        let mut packet = vec![0; 64];
        let length = write(&mut packet, &fields, &[(TRANSPORT_SEQUENCE, &number)]).expect("it fits");
        packet.truncate(length);
        packet.extend(body);
        self.up.handle_input(Input::Packet(now, packet));
    }

    fn frame(&mut self, now: Instant) {
        for _ in 0..FRAME_PACKETS {
            self.packet(now, self.sent, false);
            self.sent += 1;
        }
    }

    fn hear(&mut self, now: Instant, compound: &[u8]) {
        for item in parse(compound) {
            let Item::Nack { media_ssrc: MEDIA, lost } = item else { panic!("{item:?}") };
            for sequence in lost {
                let index = u64::from(sequence.wrapping_sub(FIRST));
                assert!(index < self.sent, "asked for {index}, which was never sent");
                self.packet(now, index, true);
            }
        }
    }
}

/// What the relay makes of it.
struct Relay {
    extensions: ExtensionMap,
    reception: Reception,
    recorder: Recorder,
    down: Netem<Vec<u8>>,
    start: Instant,
    /// Indices that went on, with their extended numbers less the index.
    through: BTreeSet<u64>,
    bases: BTreeSet<u64>,
    media_received: u64,
    /// When transport-wide numbers arrived, in µs, and when that was told.
    arrived: BTreeMap<u16, i64>,
    told: BTreeMap<u16, Option<i64>>,
    lost: Vec<u16>,
}

impl Relay {
    fn take(&mut self, now: Instant, packet: &[u8]) {
        let header = Header::parse(packet).expect("a header");
        for (id, value) in header.extensions(packet) {
            assert_eq!(self.extensions.extension(id), Some(Extension::TransportSequence));
            let number = u16::from_be_bytes(value.try_into().expect("two bytes"));
            self.arrived.entry(number).or_insert((now - self.start).as_micros() as i64);
            self.recorder.note(number, now);
        }
        let payload = &packet[header.bytes..];
        let (arrival, payload) = if header.ssrc == MEDIA {
            self.media_received += 1;
            (self.reception.arrived(now, header.sequence, header.timestamp), payload)
        } else {
            let (sequence, payload) = original(payload).expect("a repair");
            (self.reception.repaired(now, sequence), payload)
        };
        if let Some(number) = arrival.sequence() {
            let index = u64::from_be_bytes(payload.try_into().expect("eight bytes"));
            assert!(self.through.insert(index), "{index} went on twice");
            self.bases.insert(number - index);
        }
    }

    fn speak(&mut self, now: Instant) {
        self.reception.wishes(now, &mut self.lost);
        let mut out = Vec::new();
        nack(&mut out, 1, MEDIA, self.lost.drain(..));
        if !out.is_empty() {
            self.down.handle_input(Input::Packet(now, out));
        }
        let mut out = Vec::new();
        while self.recorder.build(now, 1, MEDIA, &mut out) {
            let Some(Item::TransportFeedback(feedback)) = parse(&out).next() else { panic!("{out:?}") };
            self.told.extend(feedback.packets());
            out.clear();
        }
    }

    fn deadline(&self) -> Option<Instant> {
        [self.reception.deadline(), self.recorder.deadline()].into_iter().flatten().min()
    }
}

/// Runs until nothing is under way, and holds the world to what does not depend on luck.
fn run(up: NetemConfig, down: NetemConfig) -> (Publisher, Relay) {
    let start = clock::now();
    let mut extensions = ExtensionMap::default();
    extensions.insert(TRANSPORT_SEQUENCE, Extension::TransportSequence);
    let mut publisher = Publisher { up: Netem::new(up), sent: 0, repairs: 0, transport_sequence: 0 };
    let mut relay = Relay {
        extensions,
        reception: Reception::new(HERTZ, true),
        recorder: Recorder::default(),
        down: Netem::new(down),
        start,
        through: BTreeSet::new(),
        bases: BTreeSet::new(),
        media_received: 0,
        arrived: BTreeMap::new(),
        told: BTreeMap::new(),
        lost: Vec::new(),
    };
    let quiet = start + Duration::from_secs(3_600);
    loop {
        let frame = start + FRAME_TIME * u32::try_from(publisher.sent / FRAME_PACKETS).expect("few frames");
        let frame = if publisher.sent < FRAMES * FRAME_PACKETS { frame } else { quiet };
        let flying = publisher.up.poll_timeout().min(relay.down.poll_timeout());
        let now = frame.min(flying).min(relay.deadline().unwrap_or(quiet));
        if now >= quiet {
            break;
        }
        if now == frame {
            publisher.frame(now);
        }
        publisher.up.handle_input(Input::Timeout(now));
        while let Some(output) = publisher.up.poll_output() {
            if let Output::Packet(packet) = output {
                relay.take(now, &packet);
            }
        }
        relay.speak(now);
        relay.down.handle_input(Input::Timeout(now));
        while let Some(output) = relay.down.poll_output() {
            if let Output::Packet(compound) = output {
                publisher.hear(now, &compound);
            }
        }
    }
    hold(&mut relay, quiet);
    (publisher, relay)
}

fn hold(relay: &mut Relay, now: Instant) {
    let counts = *relay.reception.counts();
    assert_eq!(relay.bases.len(), 1, "numbers go on across the wrap");
    let (lowest, highest) = (relay.through.first().expect("some"), relay.through.last().expect("some"));
    assert_eq!(highest - lowest + 1 - relay.through.len() as u64, counts.abandoned);
    let zero = *relay.arrived.values().min().expect("some");
    for (number, at) in &relay.arrived {
        let told = relay.told.get(number).copied().flatten();
        let told = told.unwrap_or_else(|| panic!("{number} arrived and was not told"));
        assert!((at - zero - told).abs() < 500, "{number} arrived at {at}, told {told}");
    }
    assert!(relay.told.iter().all(|(number, at)| at.is_none() || relay.arrived.contains_key(number)));
    let block = relay.reception.report(now, MEDIA).expect("a report");
    let missed = (highest - lowest + 1).cast_signed() - relay.media_received.cast_signed();
    assert_eq!(i64::from(block.cumulative_lost), missed, "repairs do not hide the path's losses");
}

fn path(round_trip_ms: u64, loss: impl Into<LossModel>, seed: u64) -> NetemConfig {
    let half = Duration::from_millis(round_trip_ms / 2);
    NetemConfig::new().latency(half).jitter(half / 10).loss(loss).seed(seed)
}

fn random(share: f32) -> RandomLoss {
    RandomLoss::new(Probability(share))
}

#[test]
fn a_good_path_asks_for_nothing() {
    let clean = NetemConfig::new().latency(Duration::from_millis(20)).seed(1);
    let (publisher, relay) = run(clean, clean);
    let counts = relay.reception.counts();
    assert_eq!((counts.received, counts.wished, publisher.repairs), (FRAMES * FRAME_PACKETS, 0, 0));
    assert_eq!((counts.late, counts.surplus, counts.abandoned), (0, 0, 0));
}

#[test]
fn random_loss_is_repaired_within_the_second() {
    for (share, seed) in [(0.05, 1), (0.05, 2), (0.1, 3), (0.1, 4)] {
        let (_, mut relay) = run(path(80, random(share), seed), path(80, random(share), seed + 100));
        let counts = *relay.reception.counts();
        // Ten tries that fail each with a fifth of a chance never all do.
        assert_eq!(counts.abandoned, 0, "{counts:?}");
        assert!(counts.repaired >= 100 && !relay.reception.take_keyframe_wish(), "{counts:?}");
        // Repairs that cross a second wish for the same packet are few.
        assert!(counts.wished <= counts.repaired * 2, "{counts:?}");
        let round_trip = relay.reception.round_trip().expect("measured").as_millis();
        assert!((70..=130).contains(&round_trip), "{round_trip} ms");
    }
}

#[test]
fn bursts_of_loss_are_repaired() {
    let kinds = [GilbertElliot::wifi_lossy(), GilbertElliot::cellular(), GilbertElliot::congested()];
    for (seed, kind) in (1..).zip(kinds) {
        let (_, relay) = run(path(50, kind, seed), path(50, kind, seed + 100));
        let counts = relay.reception.counts();
        assert!(counts.repaired > 20 && counts.abandoned == 0, "{counts:?}");
    }
}

#[test]
fn overtaking_and_repetition_do_no_harm() {
    let wild = |seed| path(60, random(0.03), seed).reorder_gap(7).duplicate(Probability(0.05));
    for seed in 1..5 {
        let (_, relay) = run(wild(seed), wild(seed + 100));
        let counts = relay.reception.counts();
        assert!(counts.late > 100 && counts.surplus > 100 && counts.abandoned == 0, "{counts:?}");
    }
}

#[test]
fn a_path_that_repairs_nothing_ends_in_a_keyframe() {
    let (_, mut relay) = run(path(60, random(0.05), 1), path(60, random(1.0), 2));
    let counts = *relay.reception.counts();
    assert!(counts.repaired == 0 && counts.abandoned > 100 && relay.reception.take_keyframe_wish(), "{counts:?}");
    assert!(counts.wished <= counts.abandoned * 10, "{counts:?}");
}
