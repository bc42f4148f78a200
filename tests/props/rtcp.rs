//! What we say in RTCP, read by an independent implementation.

use std::time::{Duration, Instant};

use fanlight_engine::rtp::rtcp::{self, Item, Ntp, ReportBlock};
use fanlight_engine::rtp::twcc::Recorder;
use fanlight_loadtest::clock;
use proptest::prelude::*;
use str0m::rtp::rtcp::{Rtcp, SdesType};

fn theirs(packet: &[u8]) -> Rtcp {
    Rtcp::try_from(packet).expect("a packet that they understand")
}

fn built(build: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    build(&mut out);
    out
}

#[test]
fn wishes_descriptions_and_farewells_are_understood() {
    let packet = built(|out| rtcp::pli(out, 1, 2));
    assert!(matches!(theirs(&packet), Rtcp::Pli(pli) if (*pli.sender_ssrc, *pli.ssrc) == (1, 2)));
    let packet = built(|out| rtcp::bye(out, &[3, 4]));
    assert!(matches!(theirs(&packet), Rtcp::Goodbye(bye) if bye.reports.iter().map(|ssrc| **ssrc).eq([3, 4])));
    for name in ["", "a", "ab", "abc", "fanlight"] {
        let packet = built(|out| rtcp::sdes_cname(out, 7, name));
        let Rtcp::SourceDescription(found) = theirs(&packet) else { panic!("{packet:?}") };
        let chunk = &found.reports[0];
        let names: Vec<_> = chunk.values.iter().collect();
        assert_eq!((*chunk.ssrc, names), (7, vec![&(SdesType::CNAME, name.to_owned())]));
    }
    let packet = built(|out| rtcp::remb(out, 1, 2_500_000, &[5, 6]));
    let Rtcp::Remb(remb) = theirs(&packet) else { panic!("{packet:?}") };
    assert_eq!((remb.ssrcs, (remb.bitrate - 2_500_000.0).abs() < 20.0), (vec![5, 6], true));
}

/// Slow and then fast: that implementation misreads runs of large differences, so there must be none.
#[test]
fn feedback_of_a_slow_source_is_understood() {
    let start = clock::now();
    let mut recorder = Recorder::default();
    for sequence in 0..40 {
        recorder.note(sequence, start + Duration::from_millis(100 * u64::from(sequence.min(20))));
    }
    compare(&mut recorder, start + Duration::from_secs(9), start).expect("the same meaning");
}

/// Arrivals that lose, overtake, pause and burst: gap to the number before, wait in µs, and whether it is late.
fn arrivals() -> impl Strategy<Value = Vec<(u16, u64, bool)>> {
    let wait = prop_oneof![6 => 0_u64..2_000, 3 => 0_u64..40_000, 1 => 60_000_u64..9_000_000];
    let gap = prop_oneof![8 => Just(1_u16), 2 => 2_u16..4, 1 => 4_u16..60];
    proptest::collection::vec((gap, wait, proptest::bool::weighted(0.1)), 1..200)
}

proptest! {
    #[test]
    fn reports_are_understood(
        (ssrc, timestamp, packets, bytes) in any::<(u32, u32, u32, u32)>(),
        (fraction_lost, lost, highest, jitter) in any::<(u8, u32, u32, u32)>(),
        (last_report, delay, count) in (any::<u32>(), any::<u32>(), 0_usize..32),
    ) {
        let cumulative_lost = (lost & 0x7f_ffff).cast_signed();
        let block = ReportBlock { ssrc, fraction_lost, cumulative_lost, highest, jitter, last_report, delay };
        let blocks = vec![block; count];
        let sent = built(|out| rtcp::sender_report(out, ssrc, Ntp(u64::from(delay) << 20), timestamp, packets, bytes, &blocks));
        let received = built(|out| rtcp::receiver_report(out, ssrc, &blocks));
        let (Rtcp::SenderReport(sent), Rtcp::ReceiverReport(received)) = (theirs(&sent), theirs(&received)) else {
            panic!("other packets");
        };
        let info = sent.sender_info;
        prop_assert_eq!((*info.ssrc, info.sender_packet_count, info.sender_octet_count), (ssrc, packets, bytes));
        prop_assert_eq!(info.rtp_time.numer(), u64::from(timestamp));
        prop_assert_eq!((sent.reports.len(), received.reports.len()), (count, count));
        for found in sent.reports.iter().chain(&received.reports) {
            let words = (*found.ssrc, found.fraction_lost, found.packets_lost, found.max_seq);
            prop_assert_eq!(words, (ssrc, fraction_lost, lost & 0x7f_ffff, highest));
            prop_assert_eq!((found.jitter, found.last_sr_time, found.last_sr_delay), (jitter, last_report, delay));
        }
    }

    #[test]
    fn wishes_for_packets_are_understood(base in any::<u16>(), ahead in proptest::collection::btree_set(0_u16..300, 1..60)) {
        let lost: Vec<u16> = ahead.iter().map(|ahead| base.wrapping_add(*ahead)).collect();
        let packet = built(|out| rtcp::nack(out, 1, 2, lost.iter().copied()));
        let Rtcp::Nack(nack) = theirs(&packet) else { panic!("{packet:?}") };
        let bits = |mask: u16| (0..16).filter(move |bit| mask & (1 << bit) != 0);
        let found = nack.reports.iter().flat_map(|entry| {
            std::iter::once(entry.pid).chain(bits(entry.blp).map(|bit| entry.pid.wrapping_add(bit + 1)))
        });
        // Their list of entries ends at 31.
        let found: Vec<u16> = found.collect();
        prop_assert!(found == lost || (nack.reports.len() == 31 && lost.starts_with(&found)));
    }

    /// Feedback of any arrivals means the same to both readers.
    #[test]
    fn feedback_is_understood(first in any::<u16>(), steps in arrivals()) {
        let start = clock::now();
        let (mut recorder, mut sequence, mut now) = (Recorder::default(), first, start);
        recorder.note(first, now);
        for (gap, wait_us, late) in steps {
            now += Duration::from_micros(wait_us);
            sequence = sequence.wrapping_add(gap);
            recorder.note(sequence, now);
            if late && gap > 1 {
                recorder.note(sequence.wrapping_sub(1), now);
            }
            compare(&mut recorder, now, start)?;
        }
        compare(&mut recorder, now + Duration::from_secs(1), start)?;
    }
}

fn compare(recorder: &mut Recorder, now: Instant, start: Instant) -> Result<(), TestCaseError> {
    let mut packet = Vec::new();
    while recorder.build(now, 1, 2, &mut packet) {
        let (Some(Item::TransportFeedback(ours)), Rtcp::Twcc(twcc)) = (rtcp::parse(&packet).next(), theirs(&packet))
        else {
            panic!("{packet:?}");
        };
        // They count on from a known number of more than sixteen bits.
        let near = (1_u64 << 20) | u64::from(twcc.base_seq);
        let read: Vec<_> = twcc.into_iter(start, near.into()).map(|(number, _, at)| (*number as u16, at)).collect();
        let micros = |at: i64| start + Duration::from_micros(at.cast_unsigned());
        let expected: Vec<_> = ours.packets().map(|(number, at)| (number, at.map(micros))).collect();
        prop_assert_eq!(read, expected);
        packet.clear();
    }
    Ok(())
}
