//! Reception of one source: numbering, loss, repair and clocks over lossy and hostile arrivals.

use std::collections::BTreeSet;

use fanlight_wire::limits;
use proptest::prelude::*;

use super::*;

const HZ: u32 = 90_000;
const SECOND: Duration = Duration::from_secs(1);

#[expect(clippy::disallowed_methods, reason = "a test needs some instant to count from")]
fn start() -> Instant {
    Instant::now()
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A video source of which `sequences` arrived at `now`.
fn video(now: Instant, sequences: impl IntoIterator<Item = u16>) -> Reception {
    let mut reception = Reception::new(HZ, true);
    for sequence in sequences {
        reception.arrived(now, sequence, 0);
    }
    reception
}

fn wishes(reception: &mut Reception, now: Instant) -> Vec<u16> {
    let mut lost = Vec::new();
    reception.wishes(now, &mut lost);
    lost
}

#[test]
fn numbering_goes_on_across_the_wrap() {
    let mut reception = video(start(), [65_534]);
    assert_eq!(reception.arrived(start(), 65_535, 0), Arrival::Newest(0x1_ffff));
    assert_eq!(reception.arrived(start(), 1, 0), Arrival::Newest(0x2_0001));
    assert_eq!(reception.arrived(start(), 0, 0), Arrival::Late(0x2_0000));
    assert_eq!(reception.arrived(start(), 65_533, 0), Arrival::Late(0x1_fffd), "before the first");
    assert_eq!(reception.report(start(), 9).map(|block| (block.ssrc, block.highest)), Some((9, 0x1_0001)));
}

#[test]
fn each_number_is_let_through_once() {
    let now = start();
    let mut reception = video(now, [10, 12]);
    assert_eq!(reception.repaired(now, 11).sequence(), Some(0x1_000b));
    for sequence in [10, 11, 12] {
        assert_eq!(reception.arrived(now, sequence, 0), Arrival::Duplicate);
        assert_eq!(reception.repaired(now, sequence), Arrival::Duplicate);
    }
    reception.arrived(now, 12 + WINDOW as u16, 0);
    assert_eq!(reception.arrived(now, 12, 0), Arrival::Stale);
    assert_eq!(reception.arrived(now, 13, 0), Arrival::Late(0x1_000d), "its place in the window was cleared");
    assert_eq!(reception.repaired(now, 12 + WINDOW as u16 + LEAP as u16 + 1), Arrival::Stale);
    let counts = *reception.counts();
    assert_eq!((counts.received, counts.repaired, counts.late, counts.surplus), (8, 1, 1, 8));
}

#[test]
fn retransmissions_before_the_source_are_not_numbered() {
    assert_eq!(Reception::new(HZ, true).repaired(start(), 7), Arrival::Stale);
    assert_eq!(Reception::new(HZ, true).report(start(), 1), None);
}

#[test]
fn a_leap_begins_anew() {
    let now = start();
    let mut reception = video(now, [1, 3]);
    assert_eq!(reception.arrived(now, 3 + LEAP as u16 + 1, 0), Arrival::Newest(0x1_0000 + LEAP + 4));
    assert!(wishes(&mut reception, now + SECOND).is_empty() && !reception.take_keyframe_wish());
    assert_eq!(reception.report(now, 1).map(|block| (block.cumulative_lost, block.fraction_lost)), Some((0, 0)));
}

#[test]
fn loss_is_reported_per_interval_and_in_all() {
    let now = start();
    let mut reception = video(now, [0, 1, 2, 4]);
    let block = reception.report(now, 1).expect("a report");
    assert_eq!((block.fraction_lost, block.cumulative_lost), (51, 1));
    // A repaired packet stays lost on its path; a duplicate makes up for one.
    reception.repaired(now, 3);
    let block = reception.report(now, 1).expect("a report");
    assert_eq!((block.fraction_lost, block.cumulative_lost, block.highest), (0, 1, 4));
    for sequence in [4, 4, 5] {
        reception.arrived(now, sequence, 0);
    }
    let block = reception.report(now, 1).expect("a report");
    assert_eq!((block.fraction_lost, block.cumulative_lost), (0, -1));
    reception.arrived(now, 1_000, 0);
    let block = reception.report(now, 1).expect("a report");
    assert_eq!((block.fraction_lost, block.cumulative_lost), (255, 993));
}

#[test]
fn jitter_follows_the_difference_of_clocks() {
    let now = start();
    let mut reception = Reception::new(HZ, false);
    // Evenly spaced, across the wrap of the timestamp: none.
    let frame = |index: u32| (now + ms(20 * u64::from(index)), (u32::MAX - 3_600).wrapping_add(1_800 * index));
    for index in 0..10_u16 {
        let (at, timestamp) = frame(index.into());
        reception.arrived(at, index, timestamp);
    }
    assert_eq!(reception.report(now, 1).map(|block| block.jitter), Some(0));
    // Every other packet 10 ms late: the mean difference is 900 ticks.
    for index in 10..300_u16 {
        let (at, timestamp) = frame(index.into());
        reception.arrived(at + ms(10 * u64::from(index % 2)), index, timestamp);
    }
    let jitter = reception.report(now, 1).expect("a report").jitter;
    assert!((880..=910).contains(&jitter), "{jitter}");
}

#[test]
fn the_sender_clock_is_echoed_and_extended() {
    let now = start();
    let mut reception = video(now, [1]);
    let block = reception.report(now, 1).expect("a report");
    assert_eq!((block.last_report, block.delay), (0, 0));
    assert_eq!((reception.wall_clock(0), reception.timestamp_at(now)), (None, None));
    let ntp = Ntp::from_elapsed(Duration::from_secs(0x1_0002));
    reception.sender_report(now, ntp, u32::MAX - HZ + 1);
    let block = reception.report(now + ms(500), 1).expect("a report");
    assert_eq!((block.last_report, block.delay), (0x0002_0000, 0x8000));
    assert_eq!(reception.wall_clock(HZ), Some(Ntp::from_elapsed(Duration::from_secs(0x1_0004))));
    assert_eq!(reception.wall_clock(u32::MAX - 2 * HZ + 1), Some(Ntp::from_elapsed(Duration::from_secs(0x1_0001))));
    assert_eq!(reception.timestamp_at(now + ms(1_500)), Some(HZ / 2));
}

#[test]
fn overtaken_packets_are_not_asked_for() {
    let now = start();
    let mut reception = video(now, [1, 3, 5]);
    assert_eq!(reception.deadline(), Some(now + ms(5)));
    reception.arrived(now + ms(4), 2, 0);
    assert!(wishes(&mut reception, now + ms(4)).is_empty());
    assert_eq!(wishes(&mut reception, now + ms(5)), [4]);
    assert_eq!((reception.counts().late, reception.counts().wished), (1, 1));
    reception.arrived(now + ms(6), 4, 0);
    assert!(wishes(&mut reception, now + SECOND).is_empty());
    assert_eq!((reception.deadline(), reception.round_trip()), (None, None), "an overtaken packet measures nothing");
}

#[test]
fn wishes_are_paced_by_the_round_trip_and_end() {
    let now = start();
    let mut reception = video(now, [1, 3]);
    reception.set_round_trip(ms(40));
    let mut asked = Vec::new();
    while let Some(deadline) = reception.deadline() {
        if !wishes(&mut reception, deadline).is_empty() {
            asked.push((deadline - now).as_millis());
        }
    }
    assert_eq!(asked, (0..10).map(|index| 5 + 50 * index).collect::<Vec<_>>());
    assert!(reception.take_keyframe_wish() && !reception.take_keyframe_wish());
    assert_eq!((reception.counts().abandoned, reception.counts().wished), (1, 10));
    // A short round trip is paced at 20 ms, a long one ends after a second.
    for (round_trip, tries) in [(1, 10), (240, 4)] {
        let mut reception = video(now, [1, 3]);
        reception.set_round_trip(ms(round_trip));
        while let Some(deadline) = reception.deadline() {
            wishes(&mut reception, deadline);
        }
        assert_eq!(reception.counts().wished, tries, "{round_trip} ms");
    }
}

#[test]
fn repairs_measure_the_round_trip() {
    let now = start();
    let mut reception = video(now, [1, 3]);
    wishes(&mut reception, now + ms(5));
    reception.repaired(now + ms(35), 2);
    assert_eq!(reception.round_trip(), Some(ms(30)));
    // Twice asked (every 37.5 ms): an answer long after the last wish says nothing, one right after it belongs to the first.
    let later = now + SECOND;
    for (sequence, wait, expected) in [(5, 22, 30), (7, 3, 31)] {
        reception.arrived(later, sequence + 1, 0);
        assert_eq!(wishes(&mut reception, later + ms(5)).last(), Some(&sequence));
        let again = reception.deadline().expect("a second wish");
        assert_eq!(wishes(&mut reception, again).last(), Some(&sequence));
        reception.repaired(again + ms(wait), sequence);
        assert_eq!(reception.round_trip().map(|mean| mean.as_millis()), Some(expected), "{sequence}");
        reception.repaired(again + ms(wait), 4);
    }
}

#[test]
fn too_many_gaps_are_given_up_at_once() {
    let now = start();
    let most = limits::MISSING_PACKETS_MAX as u16;
    let mut reception = video(now, [0, most + 1]);
    assert_eq!(wishes(&mut reception, now + ms(5)).len(), limits::MISSING_PACKETS_MAX);
    reception.arrived(now + ms(6), most + 3, 0);
    assert!(reception.take_keyframe_wish());
    assert!(wishes(&mut reception, now + SECOND).is_empty());
    assert_eq!((reception.counts().abandoned, reception.deadline()), (u64::from(most) + 1, None));
}

#[test]
fn a_source_without_repairs_asks_for_nothing() {
    let now = start();
    let mut reception = Reception::new(48_000, false);
    for sequence in [1, 3, 900] {
        assert!(reception.arrived(now, sequence, 0).sequence().is_some());
    }
    assert!(wishes(&mut reception, now + SECOND).is_empty() && !reception.take_keyframe_wish());
    assert_eq!(reception.deadline(), None);
}

#[test]
fn retransmissions_begin_with_the_original_number() {
    assert_eq!(original(&[1, 2, 9, 8]), Some((0x0102, &[9, 8][..])));
    assert_eq!(original(&[1, 2]), None, "padding");
    assert_eq!(original(&[]), None);
}

#[test]
fn an_echo_measures_the_round_trip() {
    let now = start();
    let mut trip = RoundTrip::default();
    let ntp = |seconds: u64| Ntp::from_elapsed(Duration::from_secs(seconds));
    for second in 1..=5 {
        trip.sent(now + SECOND * second, ntp(second.into()));
    }
    let block =
        |second: u64, delay: u32| ReportBlock { last_report: ntp(second).middle(), delay, ..Default::default() };
    assert_eq!(trip.measure(now + 6 * SECOND, &block(5, 0xc000)), Some(ms(250)));
    assert_eq!(trip.measure(now + 6 * SECOND, &block(2, 0x3_0000)), Some(SECOND));
    assert_eq!(trip.measure(now + 6 * SECOND, &block(1, 0)), None, "forgotten");
    assert_eq!(trip.measure(now + 6 * SECOND, &block(5, 0x2_0000)), None, "a delay that has not passed");
    assert_eq!(trip.measure(now + 6 * SECOND, &ReportBlock::default()), None, "nothing echoed");
    assert_eq!(trip.smoothed(), Some((ms(250) * 7 + SECOND) / 8));
}

/// A path that loses, delays and repeats packets; both directions lose.
struct Path {
    random: fastrand::Rng,
    loss: f64,
    delay: Duration,
    jitter_ms: u64,
}

impl Path {
    fn lost(&mut self) -> bool {
        self.random.f64() < self.loss
    }

    fn delay(&mut self) -> Duration {
        self.delay + ms(self.random.u64(..=self.jitter_ms))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the path does, up to one packet in ten lost and repairs lost as often: nearly all packets come through,
    /// each once, and the wishes stay within bounds.
    #[test]
    fn repairs_converge(
        seed in any::<u64>(), first in any::<u16>(), loss in 0.0..0.1_f64, delay in 1_u64..60, jitter_ms in 0_u64..15,
    ) {
        const PACKETS: u64 = 1_500;
        let start = start();
        let mut path = Path { random: fastrand::Rng::with_seed(seed), loss, delay: ms(delay), jitter_ms };
        // What is under way, by arrival; true for repairs.
        let mut flying: BTreeSet<(Instant, u64, bool)> = BTreeSet::new();
        for index in 0..PACKETS {
            let sent = start + ms(index * 3);
            // The first one arrives, so that the source has begun; some come twice.
            if index == 0 || !path.lost() {
                flying.insert((sent + if index == 0 { ms(1) } else { path.delay() }, index, false));
            }
            if path.random.u8(..) < 10 {
                flying.insert((sent + path.delay(), index, false));
            }
        }
        let (mut reception, mut through) = (Reception::new(HZ, true), BTreeSet::new());
        let mut lost = Vec::new();
        loop {
            let arrival = flying.first().map(|(at, ..)| *at);
            let Some(now) = arrival.into_iter().chain(reception.deadline()).min() else { break };
            if arrival == Some(now) {
                let (_, index, repair) = flying.pop_first().expect("it is there");
                let sequence = first.wrapping_add(index as u16);
                let arrival = if repair {
                    reception.repaired(now, sequence)
                } else {
                    reception.arrived(now, sequence, index as u32 * 270)
                };
                if let Some(number) = arrival.sequence() {
                    prop_assert_eq!(number, FIRST_CYCLE + u64::from(first) + index);
                    prop_assert!(through.insert(index), "{} came through twice", index);
                }
                continue;
            }
            reception.wishes(now, &mut lost);
            for sequence in lost.drain(..) {
                let index = u64::from(sequence.wrapping_sub(first));
                prop_assert!(index < PACKETS && !through.contains(&index), "{} was not missing", index);
                if !path.lost() && !path.lost() {
                    flying.insert((now + path.delay() + path.delay(), index, true));
                }
            }
        }
        // The last packets may be lost without anything behind them that would show the gap.
        let highest = *through.last().expect("something came");
        let counts = reception.counts();
        prop_assert_eq!(highest + 1 - through.len() as u64, counts.abandoned);
        prop_assert!(highest + 30 > PACKETS && counts.abandoned <= 2, "{:?}", counts);
        prop_assert!(counts.wished <= 3 * (counts.repaired + counts.late + 5), "{:?}", counts);
    }

    // P9
    #[test]
    fn any_order_is_survived(packets in proptest::collection::vec((any::<u16>(), any::<bool>(), 0_u64..50), 0..400)) {
        let (mut reception, mut now) = (Reception::new(HZ, true), start());
        let mut lost = Vec::new();
        for (sequence, repair, wait) in packets {
            now += ms(wait);
            if repair {
                reception.repaired(now, sequence);
            } else {
                reception.arrived(now, sequence, u32::from(sequence) << 16);
            }
            reception.wishes(now, &mut lost);
            prop_assert!(lost.len() <= limits::MISSING_PACKETS_MAX);
            lost.clear();
            reception.report(now, 1);
        }
    }
}
