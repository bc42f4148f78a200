//! Arrivals become feedback and feedback becomes arrivals, whatever is lost between.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::rtp::rtcp::{Item, parse};

const SECOND: Duration = Duration::from_secs(1);

#[expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]
fn start() -> Instant {
    Instant::now()
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The packets of one RTCP packet.
fn read(packet: &[u8]) -> Vec<(u16, Option<i64>)> {
    let mut items = parse(packet);
    let Some(Item::TransportFeedback(feedback)) = items.next() else { panic!("{packet:?}") };
    assert_eq!((feedback.sender_ssrc, feedback.media_ssrc), (1, 2));
    feedback.packets().collect()
}

/// All that is due.
fn due(recorder: &mut Recorder, now: Instant) -> Vec<Vec<(u16, Option<i64>)>> {
    let mut all = Vec::new();
    let mut out = Vec::new();
    while recorder.build(now, 1, 2, &mut out) {
        assert!(out.len() <= 900, "{} bytes", out.len());
        all.push(read(&out));
        out.clear();
    }
    all
}

fn packet(count: u16, rest: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x8f, 205, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff];
    packet.extend(count.to_be_bytes());
    packet.extend([0, 0, 2, 7]);
    packet.extend(rest);
    packet.resize(packet.len().next_multiple_of(4), 0);
    packet[3] = (packet.len() / 4 - 1) as u8;
    packet
}

#[test]
fn all_chunks_and_differences_are_read() {
    // A run of two small ones, a vector of bits, a vector of pairs.
    let packet = packet(2 + 14 + 3, &[0x20, 2, 0xa0, 1, 0xe4, 0, /* deltas */ 4, 8, 1, 2, 0xff, 0xfc, 0x00]);
    let got = read(&packet);
    assert_eq!(got.len(), 19);
    assert_eq!(got[..2], [(65_535, Some(129_000)), (0, Some(131_000))]);
    let arrived: Vec<_> = got[2..].iter().filter(|(_, at)| at.is_some()).copied().collect();
    assert_eq!(arrived, [(1, Some(131_250)), (14, Some(131_750)), (15, Some(130_750)), (16, Some(130_750))]);
}

#[test]
fn what_is_cut_reserved_or_boundless_is_refused() {
    let refused = |packet: &[u8]| matches!(parse(packet).next(), Some(Item::Other { packet_type: 205 }));
    assert!(refused(&packet(0, &[0x20, 1, 1, 0])), "about nothing");
    assert!(refused(&packet(9_000, &[0x1f, 0xff, 0x1f, 0xff])), "about too many");
    assert!(refused(&packet(7, &[0xc0, 3])), "A9: the reserved symbol");
    assert!(refused(&packet(8, &[0x60, 8])), "A9: a run of the reserved symbol");
    assert!(refused(&packet(60, &[0x20, 59, 0, 0])), "fewer differences than arrivals");
    assert!(refused(&packet(9, &[])), "no chunks");
    let short = packet(1, &[0x20, 1, 4]);
    assert!(!refused(&short));
    for words in 0..4 {
        let mut cut = short[..4 + words * 4].to_vec();
        cut[3] = words as u8;
        assert!(refused(&cut), "{words}");
    }
}

#[test]
fn nothing_is_said_of_nothing() {
    let (mut recorder, now) = (Recorder::default(), start());
    assert_eq!(recorder.deadline(), None);
    assert!(due(&mut recorder, now + SECOND).is_empty());
    recorder.note(9, now);
    assert_eq!(recorder.deadline(), Some(now + ms(100)));
    assert!(due(&mut recorder, now + ms(99)).is_empty());
    assert_eq!(due(&mut recorder, now + ms(100)), [[(9, Some(0))]]);
    assert_eq!(recorder.deadline(), None);
    assert!(due(&mut recorder, now + SECOND).is_empty());
}

#[test]
fn load_makes_it_faster() {
    let (mut recorder, now) = (Recorder::default(), start());
    for sequence in 0..19 {
        recorder.note(sequence, now);
    }
    assert_eq!(recorder.deadline(), Some(now + ms(100)));
    recorder.note(19, now);
    assert_eq!(recorder.deadline(), Some(now + ms(50)));
}

#[test]
fn a_late_packet_is_reported_again_with_its_followers() {
    let (mut recorder, now) = (Recorder::default(), start());
    for sequence in [65_534, 0, 1] {
        recorder.note(sequence, now);
    }
    let expected = [(65_534, Some(0)), (65_535, None), (0, Some(0)), (1, Some(0))];
    assert_eq!(due(&mut recorder, now + ms(100)), [expected]);
    recorder.note(65_535, now + ms(110));
    recorder.note(65_535, now + ms(111));
    recorder.note(2, now + ms(120));
    let expected = [(65_535, Some(110_000)), (0, Some(0)), (1, Some(0)), (2, Some(120_000))];
    assert_eq!(due(&mut recorder, now + ms(300)), [expected]);
}

#[test]
fn what_lies_far_apart_is_told_in_parts() {
    let (mut recorder, now) = (Recorder::default(), start());
    recorder.note(1, now);
    recorder.note(3, now + ms(9_000));
    recorder.note(4, now + ms(9_001));
    let parts = due(&mut recorder, now + ms(9_200));
    assert_eq!(parts.concat(), [(1, Some(0)), (2, None), (3, Some(9_000_000)), (4, Some(9_001_000))]);
    assert_eq!(parts.len(), 2);
    // A jump beyond the window begins anew, in either direction.
    for jump in [5_000, 40] {
        recorder.note(jump, now + 10 * SECOND);
        assert_eq!(due(&mut recorder, now + 11 * SECOND), [[(jump, Some(10_000_000))]]);
    }
}

#[test]
fn a_burst_is_told_in_datagrams() {
    let (mut recorder, now) = (Recorder::default(), start());
    for sequence in 0..2_000_u16 {
        recorder.note(sequence * 2, now + Duration::from_millis(65 * u64::from(sequence % 2)));
    }
    let parts = due(&mut recorder, now + SECOND);
    let told = parts.concat();
    assert!(parts.len() > 1 && told.len() <= limits::FEEDBACK_WINDOW_PACKETS);
    assert_eq!(told.last(), Some(&(3_998, Some(65_000))));
    assert!(told.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1));
}

#[test]
fn feedback_is_numbered_and_the_clock_wraps() {
    let (mut recorder, now) = (Recorder::default(), start());
    recorder.note(0, now);
    let wrap = Duration::from_micros(ARRIVAL_WRAP_US as u64);
    let mut out = Vec::new();
    for number in 0..3_u8 {
        assert!(recorder.build(now + 2 * wrap, 1, 2, &mut out));
        assert_eq!((out[16..19].to_vec(), out[19]), (vec![0, 0, 0], number));
        out.clear();
        recorder.note(number.into(), now);
        recorder.note(u16::from(number) + 1, now + wrap + ms(number.into()));
    }
}

proptest! {
    /// Whatever was noted is reported once it is due, with its time to a quarter of a millisecond.
    #[test]
    fn arrivals_come_back(
        first in any::<u16>(),
        steps in proptest::collection::vec((1_u16..5, 0_u64..90_000, proptest::bool::weighted(0.1)), 1..300),
        every in 1_usize..100,
    ) {
        let now = start();
        let (mut recorder, mut sequence, mut at) = (Recorder::default(), first, now);
        // What precedes the very first packet is not waited for.
        recorder.note(first, now);
        let (mut sent, mut told) = (vec![(first, 0)], std::collections::BTreeMap::new());
        for (index, (gap, wait_us, back)) in steps.into_iter().enumerate() {
            at += Duration::from_micros(wait_us);
            // Sometimes the packet overtakes the one before it.
            let mut noted = vec![sequence.wrapping_add(gap)];
            if back && gap > 1 {
                noted.push(sequence.wrapping_add(gap - 1));
            }
            sequence = sequence.wrapping_add(gap);
            for noted in noted {
                recorder.note(noted, at);
                sent.push((noted, (at - now).as_micros() as i64));
            }
            if index % every == 0 {
                told.extend(due(&mut recorder, at).concat());
            }
        }
        told.extend(due(&mut recorder, at + SECOND).concat());
        for (sequence, at) in sent {
            let told = told[&sequence].expect("it arrived");
            prop_assert!((at - told).abs() < 500, "{sequence} at {at}, told {told}");
        }
    }

    #[test]
    fn any_chunks_are_read_or_refused(count in 0_u16..9_000, rest in proptest::collection::vec(any::<u8>(), 0..400)) {
        let packet = packet(count, &rest);
        if let Some(Item::TransportFeedback(feedback)) = parse(&packet).next() {
            prop_assert_eq!(feedback.packets().count(), usize::from(count));
        }
    }
}
