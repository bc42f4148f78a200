//! What is written reads back, what is hostile is passed over.

use proptest::prelude::*;

use super::*;

fn built(build: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    build(&mut out);
    assert_eq!(out.len() % 4, 0);
    out
}

fn only(compound: &[u8]) -> Item<'_> {
    let mut items = parse(compound);
    let item = items.next().expect("one item");
    assert_eq!(items.next(), None);
    item
}

fn block() -> impl Strategy<Value = ReportBlock> {
    (any::<(u32, u8, u32, u32, u32, u32)>(), -0x80_0000_i32..0x80_0000).prop_map(|(words, cumulative_lost)| {
        let (ssrc, fraction_lost, highest, jitter, last_report, delay) = words;
        ReportBlock { ssrc, fraction_lost, cumulative_lost, highest, jitter, last_report, delay }
    })
}

#[test]
fn ntp_counts_seconds_and_their_fraction() {
    let ntp = Ntp::from_elapsed(Duration::from_millis(3_500));
    assert_eq!(ntp, Ntp(0x0000_0003_8000_0000));
    assert_eq!(ntp.middle(), 0x0003_8000);
    assert_eq!(to_middle_units(Duration::from_millis(3_500)), 0x0003_8000);
    assert_eq!(from_middle_units(0x0003_8000), Duration::from_millis(3_500));
    assert_eq!(to_middle_units(Duration::from_secs(1 << 30)), u32::MAX);
}

#[test]
fn a_compound_is_read_in_order() {
    let compound = built(|out| {
        sender_report(out, 1, Ntp(2), 3, 4, 5, &[ReportBlock { ssrc: 9, ..Default::default() }]);
        sdes_cname(out, 1, "relay");
        pli(out, 1, 6);
        bye(out, &[1, 7]);
    });
    let items: Vec<_> = parse(&compound).collect();
    let [
        Item::SenderReport { ssrc: 1, ntp: Ntp(2), timestamp: 3, packets: 4, bytes: 5, blocks },
        description,
        rest @ ..,
    ] = &items[..]
    else {
        panic!("{items:?}");
    };
    assert_eq!(blocks.clone().map(|block| block.ssrc).collect::<Vec<_>>(), [9]);
    assert_eq!(*description, Item::Other { packet_type: 202 });
    assert_eq!(rest[0], Item::Pli { media_ssrc: 6 });
    assert!(matches!(&rest[1], Item::Bye { sources } if sources.clone().eq([1, 7])), "{rest:?}");
}

#[test]
fn descriptions_end_with_a_zero() {
    // RFC 3550 §6.5: the list of items ends with at least one zero, up to the next word.
    for (name, words) in [("", 3), ("a", 3), ("ab", 4), ("relay", 4), ("relay1", 5)] {
        let packet = built(|out| sdes_cname(out, 1, name));
        assert_eq!((packet.len() / 4, packet.last()), (words, Some(&0)), "{name}");
    }
    assert_eq!(built(|out| sdes_cname(out, 1, &"x".repeat(300)))[9], 255);
}

#[test]
fn commands_for_a_keyframe_are_read() {
    let fir = [0x84, 206, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 3, 0, 0, 0, 0, 0, 0, 8, 4, 0, 0, 0];
    assert!(matches!(only(&fir), Item::Fir { targets } if targets.clone().eq([(7, 3), (8, 4)])));
}

#[test]
fn a_wish_for_packets_is_packed() {
    let wish = |lost: &[u16]| built(|out| nack(out, 1, 2, lost.iter().copied()));
    assert!(wish(&[]).is_empty());
    assert_eq!(wish(&[5])[..], [0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 5, 0, 0]);
    assert_eq!(wish(&[65_535, 0, 15])[12..], [0xff, 0xff, 0x80, 0x01]);
    assert_eq!(wish(&[65_535, 16])[12..], [0xff, 0xff, 0, 0, 0, 16, 0, 0]);
}

#[test]
fn belief_in_a_rate_is_a_number_with_an_exponent() {
    let packet = built(|out| remb(out, 1, 8_927_168, &[1_215_622_422]));
    // The example that libwebrtc's tests use.
    assert_eq!(packet[12..], [b'R', b'E', b'M', b'B', 1, 26, 32, 223, 72, 116, 237, 22]);
    let Item::Remb { bps, sources } = only(&packet) else { panic!("{packet:?}") };
    assert_eq!((bps, sources.collect::<Vec<_>>()), (8_927_168, vec![1_215_622_422]));
    // A9: an exponent beyond 64 bits and more sources than there are bytes.
    let mut hostile = packet.clone();
    hostile[17] = 0xff;
    assert!(matches!(only(&hostile), Item::Remb { bps: u64::MAX, .. }));
    hostile[16] = 255;
    assert_eq!(only(&hostile), Item::Other { packet_type: 206 });
}

#[test]
fn a_malformed_packet_does_not_spoil_its_neighbours() {
    let good = built(|out| pli(out, 1, 2));
    // A sender report whose count promises blocks that are not there; padding longer than the packet.
    let mut short = built(|out| sender_report(out, 1, Ntp(2), 3, 4, 5, &[]));
    short[0] |= 1;
    let mut padded = good.clone();
    padded[0] |= 0x20;
    padded[11] = 16;
    for bad in [short, padded] {
        let compound = [&good[..], &bad, &good].concat();
        let items: Vec<_> = parse(&compound).collect();
        assert_eq!(items[1], Item::Other { packet_type: bad[1] });
        assert_eq!((&items[0], items.len()), (&items[2], 3));
    }
    // A length or a version that cannot be believed ends the reading.
    for (at, value) in [(2, 0xff), (0, 0x41)] {
        let mut bad = good.clone();
        bad[at] = value;
        assert_eq!(parse(&[&good[..], &bad, &good].concat()).count(), 1);
    }
    assert_eq!(parse(&good[..3]).count(), 0);
}

#[test]
fn padding_is_taken_off() {
    let mut packet = built(|out| bye(out, &[7]));
    packet[0] |= 0x20;
    packet[3] += 1;
    packet.extend([0, 0, 0, 4]);
    assert!(matches!(only(&packet), Item::Bye { sources } if sources.clone().eq([7])));
}

#[test]
fn a_compound_has_a_bound() {
    let flood = built(|out| (0..1_000).for_each(|_| pli(out, 1, 2)));
    assert_eq!(parse(&flood).count(), limits::RTCP_ITEMS_MAX);
    let blocks = vec![ReportBlock::default(); 40];
    let packet = built(|out| receiver_report(out, 1, &blocks));
    assert!(matches!(only(&packet), Item::ReceiverReport { blocks, .. } if blocks.clone().count() == 31));
}

proptest! {
    #[test]
    fn reports_come_back(
        (ssrc, ntp, timestamp, packets, bytes) in any::<(u32, u64, u32, u32, u32)>(),
        blocks in proptest::collection::vec(block(), 0..32),
    ) {
        let packet = built(|out| {
            sender_report(out, ssrc, Ntp(ntp), timestamp, packets, bytes, &blocks);
            receiver_report(out, ssrc, &blocks);
        });
        let items: Vec<_> = parse(&packet).collect();
        let [Item::SenderReport { blocks: sent, .. }, Item::ReceiverReport { ssrc: from, blocks: received }] = &items[..]
        else {
            panic!("{items:?}");
        };
        prop_assert!(sent.clone().eq(blocks.iter().copied()) && received.clone().eq(blocks.iter().copied()));
        prop_assert_eq!(*from, ssrc);
        let expected =
            Item::SenderReport { ssrc, ntp: Ntp(ntp), timestamp, packets, bytes, blocks: sent.clone() };
        prop_assert_eq!(&items[0], &expected);
    }

    #[test]
    fn every_lost_packet_is_asked_for_once(base in any::<u16>(), ahead in proptest::collection::btree_set(0_u16..600, 1..80)) {
        let lost: Vec<u16> = ahead.iter().map(|ahead| base.wrapping_add(*ahead)).collect();
        let packet = built(|out| nack(out, 1, 2, lost.iter().copied()));
        let Item::Nack { media_ssrc: 2, lost: read } = only(&packet) else { panic!("{packet:?}") };
        prop_assert_eq!(read.collect::<Vec<_>>(), lost);
    }

    #[test]
    fn a_rate_keeps_eighteen_bits(bps in any::<u64>()) {
        let packet = built(|out| remb(out, 1, bps, &[]));
        let Item::Remb { bps: read, .. } = only(&packet) else { panic!("{packet:?}") };
        prop_assert!(read <= bps && bps - read <= bps >> 17);
    }

    // P9, A9
    #[test]
    fn hostile_bytes_are_read_or_refused(
        kinds in proptest::collection::vec((0_u8..64, 198_u8..209, proptest::collection::vec(any::<u8>(), 0..60)), 0..8),
        cut in 0_usize..64,
    ) {
        let mut compound = Vec::new();
        for (flags, kind, body) in kinds {
            compound.extend([0x80 | flags, kind, 0, body.len().div_ceil(4) as u8]);
            compound.extend(body);
        }
        compound.truncate(compound.len().saturating_sub(cut));
        for item in parse(&compound) {
            match item {
                Item::SenderReport { blocks, .. } | Item::ReceiverReport { blocks, .. } => drop(blocks.count()),
                Item::Nack { lost, .. } => prop_assert!(lost.count() <= compound.len() * 5),
                Item::Fir { targets } => prop_assert!(targets.count() <= compound.len()),
                Item::Remb { sources, .. } | Item::Bye { sources } => prop_assert!(sources.count() <= compound.len()),
                Item::TransportFeedback(feedback) => {
                    prop_assert_eq!(feedback.packets().count(), usize::from(feedback.count()));
                }
                Item::Pli { .. } | Item::Other { .. } => {}
            }
        }
    }
}
