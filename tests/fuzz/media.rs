//! Targets of the media plane: what an authenticated but hostile peer may send, behind decryption.

use std::time::Duration;

use fanlight_engine::codec::Codec;
use fanlight_engine::rtp::header::{self, Fields, Header};
use fanlight_engine::rtp::layers::{Placer, SPATIAL_MAX, TEMPORAL_MAX};
use fanlight_engine::rtp::receive::{Reception, original};
use fanlight_engine::rtp::rtcp::{self, Item, Ntp, ReportBlock};
use fanlight_engine::rtp::twcc::{ARRIVAL_WRAP_US, Recorder};
use fanlight_loadtest::clock;
use fanlight_wire::limits;

/// A header that is read can be written again, and says the same.
pub(crate) fn rtp_header(input: &[u8]) {
    header::is_rtcp(input);
    original(input);
    let Some(read) = Header::parse(input) else { return };
    assert!((header::FIXED_BYTES..=input.len()).contains(&read.bytes));
    let extensions: Vec<_> = read.extensions(input).collect();
    let Header { payload_type, marker, sequence, timestamp, ssrc, padded, .. } = read;
    let fields = Fields { payload_type, marker, sequence, timestamp, ssrc, padded };
    // The two-byte form needs up to one more byte for each.
    let mut out = vec![0; input.len() * 2 + 16];
    let length = header::write(&mut out, &fields, &extensions).expect("what was read can be written");
    let again = Header::parse(&out[..length]).expect("what was written can be read");
    assert_eq!((again.bytes, again.sequence, again.timestamp, again.ssrc), (length, sequence, timestamp, ssrc));
    assert!(again.extensions(&out).eq(extensions));
}

/// All there is in a compound is walked over, and no more than its bytes can tell.
pub(crate) fn rtcp(input: &[u8]) {
    let mut items = 0;
    for item in rtcp::parse(input) {
        items += 1;
        match item {
            Item::SenderReport { blocks, .. } | Item::ReceiverReport { blocks, .. } => assert!(blocks.count() <= 31),
            Item::Nack { lost, .. } => assert!(lost.count() <= input.len() * 17 / 4),
            Item::Fir { targets } => assert!(targets.count() <= input.len() / 8),
            Item::Remb { sources, .. } | Item::Bye { sources } => assert!(sources.count() <= input.len() / 4),
            Item::TransportFeedback(feedback) => {
                assert!(usize::from(feedback.count()) <= limits::FEEDBACK_PACKETS_MAX);
                assert_eq!(feedback.packets().count(), usize::from(feedback.count()));
            }
            Item::Pli { .. } | Item::Other { .. } => {}
        }
    }
    assert!(items <= limits::RTCP_ITEMS_MAX.min(input.len() / 4));
}

/// Each four bytes are a wait in units of 2 ms, a flag and a sequence number. What is noted is told in valid feedback.
pub(crate) fn recorder(input: &[u8]) {
    let (mut recorder, mut now) = (Recorder::default(), clock::now());
    for event in input.as_chunks::<4>().0 {
        let [wait, flags, high, low] = *event;
        now += Duration::from_millis(2 * u64::from(wait));
        recorder.note(u16::from_be_bytes([high, low]), now);
        if flags & 1 == 1 {
            now = recorder.deadline().unwrap_or(now).max(now);
        }
        loop {
            let mut out = Vec::new();
            if !recorder.build(now, 1, 2, &mut out) {
                break;
            }
            let Some(Item::TransportFeedback(feedback)) = rtcp::parse(&out).next() else { panic!("{out:?}") };
            assert!(feedback.packets().any(|(_, at)| at.is_some_and(|at| (0..2 * ARRIVAL_WRAP_US).contains(&at))));
            assert!(out.len() < 1_200, "{} bytes", out.len());
        }
        assert!(recorder.deadline().is_none_or(|deadline| deadline > now), "what is due is told");
    }
}

/// Each four bytes are a wait in ms, what comes, and a sequence number.
pub(crate) fn reception(input: &[u8]) {
    let (mut reception, mut now) = (Reception::new(90_000, true), clock::now());
    let mut lost = Vec::new();
    for event in input.as_chunks::<4>().0 {
        let [wait, kind, high, low] = *event;
        now += Duration::from_millis(wait.into());
        let sequence = u16::from_be_bytes([high, low]);
        let arrival = match kind & 3 {
            0 | 1 => reception.arrived(now, sequence, u32::from(sequence) << (kind >> 3)),
            2 => reception.repaired(now, sequence),
            _ => {
                reception.sender_report(now, Ntp(u64::from(sequence) << (kind >> 3)), u32::MAX - u32::from(sequence));
                continue;
            }
        };
        assert!(arrival.sequence().is_none_or(|number| number as u16 == sequence));
        reception.wishes(now, &mut lost);
        assert!(lost.len() <= limits::MISSING_PACKETS_MAX);
        assert!(reception.deadline().is_none_or(|deadline| deadline > now), "what is due is asked for");
        lost.clear();
        reception.wall_clock(u32::from(sequence) << 16);
        reception.timestamp_at(now);
        reception.report(now, 1);
    }
}

/// The first byte says which codec and how much is the dependency descriptor; several packets, so that a structure is
/// kept.
pub(crate) fn layers(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else { return };
    let codec = [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1, Codec::Opus][usize::from(choice % 5)];
    let (descriptor, payload) = rest.split_at(rest.len().min(usize::from(choice / 5)));
    let mut placer = Placer::default();
    for dependency in [Some(descriptor), None, Some(payload), Some(descriptor)] {
        let place = placer.place(codec, payload, dependency);
        assert!(usize::from(place.spatial) < SPATIAL_MAX && usize::from(place.temporal) < TEMPORAL_MAX);
        assert!(usize::from(place.opens) < TEMPORAL_MAX && place.opens >= place.temporal);
    }
}

/// What the real encoders produce, as the first corpus of each target.
pub(crate) fn seeds() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let events = vec![
        (0..40_u8).flat_map(|at| [at % 3, 0, 0, at]).collect(),
        (0..40_u8).flat_map(|at| [5, at % 4, 0xff, 0xf0 | (at & 0xf)]).collect(),
        vec![0, 0, 0, 1, 0, 0, 1, 10, 20, 2, 0, 5, 40, 0, 16, 0, 0, 3, 1, 1, 0, 1, 0xff, 0xff],
    ];
    // A dependency descriptor that announces one spatial and three temporal layers.
    let announced = hex::decode("800001800214eaa860414d141020842701df010d").expect("hexadecimal digits");
    let places = vec![
        [&[100][..], &announced, &[0x90, 0x80, 0x12, 0x9d, 0x01, 0x2a]].concat(),
        vec![18, 0x02, 0x00, 0x02, 0x7c, 0x85, 0xb8],
        vec![0, 0x90, 0xe0, 0x80, 0x01, 0x02, 0x40, 0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a],
        vec![1, 0xba, 0x81, 0x23, 0x45, 0x08, 0x18, 0x02, 0x80, 0x02, 0xd0],
    ];
    vec![
        ("rtp_header", headers()),
        ("rtcp", compounds()),
        ("recorder", events.clone()),
        ("reception", events),
        ("layers", places),
    ]
}

fn headers() -> Vec<Vec<u8>> {
    let fields = Fields { payload_type: 96, marker: true, sequence: 1, timestamp: 2, ssrc: 3, padded: false };
    let extensions: [&[(u8, &[u8])]; 4] =
        [&[], &[(1, b"0"), (3, &[1, 2, 3]), (4, &[0, 7])], &[(2, &[0; 17]), (200, &[])], &[(13, &[0x80; 16])]];
    let packet = |extensions: &&[(u8, &[u8])]| {
        let mut out = vec![0x55; 64];
        let length = header::write(&mut out, &fields, extensions).expect("it fits");
        out.truncate(length + 8);
        out
    };
    extensions.iter().map(packet).collect()
}

fn compounds() -> Vec<Vec<u8>> {
    let built = |build: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        build(&mut out);
        out
    };
    let blocks = [ReportBlock { ssrc: 1, cumulative_lost: -1, ..Default::default() }; 2];
    vec![
        built(&|out| {
            rtcp::sender_report(out, 1, Ntp(2), 3, 4, 5, &blocks);
            rtcp::sdes_cname(out, 1, "relay");
        }),
        built(&|out| rtcp::receiver_report(out, 1, &blocks)),
        built(&|out| rtcp::nack(out, 1, 2, [1, 2, 18, 40_000])),
        built(&|out| {
            rtcp::pli(out, 1, 2);
            rtcp::remb(out, 1, 2_500_000, &[1, 2]);
            rtcp::bye(out, &[1, 2]);
        }),
        vec![0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 3, 0, 0, 0],
        built(&|out| {
            let (mut recorder, now) = (Recorder::default(), clock::now());
            for (sequence, wait_ms) in [(1, 0), (2, 1), (4, 90), (3, 91), (20, 92)] {
                recorder.note(sequence, now + Duration::from_millis(wait_ms));
            }
            recorder.build(now + Duration::from_secs(1), 1, 2, out);
        }),
    ]
}
