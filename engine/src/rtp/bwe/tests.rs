//! The estimate by hand: single rules without a path. Whole paths are simulated in the workspace's tests.

use super::*;

#[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
fn begin(start_bps: u64) -> (Instant, Estimator) {
    let now = Instant::now();
    (now, Estimator::new(now, start_bps))
}

fn at(base: Instant, ms: u64) -> Instant {
    base + Duration::from_millis(ms)
}

/// Sends a packet each 10 ms for two seconds and lets it arrive `delay_ms` later.
fn flow(estimator: &mut Estimator, base: Instant, from_ms: u64, bytes: usize, clock_us: i64) {
    for step in 0..200_u64 {
        let now = at(base, from_ms + step * 10);
        let sequence = ((from_ms / 10 + step) & 0xffff) as u16;
        estimator.on_sent(now, sequence, bytes);
        let arrival = (clock_us + (step as i64 + 5) * 10_000).rem_euclid(ARRIVAL_WRAP_US);
        estimator.on_feedback(at(base, from_ms + step * 10 + 100), [(sequence, Some(arrival))]);
    }
}

#[test]
fn it_is_small() {
    assert!(size_of::<Estimator>() <= 2_048, "{}", size_of::<Estimator>());
}

#[test]
fn it_grows_no_farther_than_what_was_tried() {
    let (base, mut estimator) = begin(500_000);
    (0..10).for_each(|turn| flow(&mut estimator, base, turn * 2_000, 1_000, turn as i64 * 2_000_000));
    assert!((1_100_000..=1_300_000).contains(&estimator.estimate()), "{}", estimator.estimate());
    assert!(!estimator.is_overusing());
    assert!((Duration::from_millis(100)..Duration::from_millis(101)).contains(&estimator.rtt()));
}

#[test]
fn a_wrap_of_the_receivers_clock_is_not_a_jump() {
    let (base, mut estimator) = begin(500_000);
    flow(&mut estimator, base, 0, 1_000, ARRIVAL_WRAP_US - 1_000_000);
    assert!(!estimator.is_overusing());
    assert!(estimator.estimate() >= 500_000);
    flow(&mut estimator, base, 2_000, 1_000, 77_000_000_000);
    assert!(!estimator.is_overusing() && estimator.estimate() >= 500_000, "a jump begins anew");
}

#[test]
fn silence_halves_down_to_the_floor() {
    let (base, mut estimator) = begin(1_000_000);
    assert_eq!(estimator.deadline(), None);
    flow(&mut estimator, base, 0, 1_000, 0);
    assert_eq!(estimator.deadline(), None, "everything was answered");
    let before = estimator.estimate();
    for step in 0..150_u16 {
        let now = at(base, 10_000 + u64::from(step) * 100);
        estimator.on_sent(now, 1_000 + step, 1_000);
        if step < 15 {
            assert_eq!((estimator.deadline(), estimator.estimate()), (Some(at(base, 11_500)), before));
        }
        estimator.handle_timeout(now);
        if step == 15 {
            assert_eq!(estimator.estimate(), before / 2);
        }
    }
    assert_eq!(estimator.estimate(), FLOOR_BPS);
}

#[test]
fn a_flow_that_ends_before_its_last_feedback_is_no_silence() {
    let (base, mut estimator) = begin(1_000_000);
    flow(&mut estimator, base, 0, 1_000, 0);
    let before = estimator.estimate();
    for burst in 0..20_u64 {
        let now = at(base, 10_000 + burst * 5_000);
        (0..5).for_each(|index| estimator.on_sent(now, 1_000 + burst as u16 * 5 + index, 1_000));
        estimator.handle_timeout(now + SILENCE);
        assert_eq!(estimator.deadline(), None);
    }
    assert_eq!(estimator.estimate(), before);
}

#[test]
fn a_probe_is_asked_for_only_when_more_is_wanted_and_rests_grow() {
    let (base, mut estimator) = begin(500_000);
    flow(&mut estimator, base, 0, 1_000, 0);
    let start = at(base, 3_000);
    assert_eq!(estimator.probe(start), None);
    estimator.want(Some(5_000_000));
    let mut probes = Vec::new();
    for step in 0..60_000_u64 {
        let now = start + Duration::from_millis(step);
        if let Some(probe) = estimator.probe(now) {
            assert!(probe.bytes <= 6_000 && probe.bps == 5_000_000);
            probes.push(step);
        }
    }
    assert!(probes.len() <= 14, "{probes:?}");
    assert!(probes.last().is_some_and(|last| *last > 30_000), "{probes:?}");
}

#[test]
fn a_cluster_tells_how_fast_the_bottleneck_is() {
    let (base, mut estimator) = begin(500_000);
    flow(&mut estimator, base, 0, 1_000, 0);
    estimator.want(Some(2_500_000));
    let now = at(base, 3_000);
    assert!(estimator.probe(now).is_some());
    (1_000..1_005).for_each(|sequence| estimator.on_sent(now, sequence, 1_200));
    // 1 200 bytes each 3.2 ms are 3 Mbit/s.
    let packets = (0..5_u16).map(|index| (1_000 + index, Some(3_050_000 + i64::from(index) * 3_200)));
    estimator.on_feedback(at(base, 3_100), packets);
    assert_eq!(estimator.estimate(), 2_700_000);
    assert_eq!(estimator.probe(at(base, 9_000)), None, "enough is known");
}

#[test]
fn a_receiver_that_estimates_itself_is_believed_where_it_can_know() {
    let (base, mut estimator) = begin(2_000_000);
    estimator.on_remb(base, 800_000);
    assert_eq!(estimator.estimate(), 2_000_000, "nothing was sent yet, so nothing is known");
    (0..100).for_each(|index| estimator.on_sent(at(base, u64::from(index) * 10), index, 1_000));
    estimator.on_loss(at(base, 1_000), 0, Duration::from_millis(50));
    assert_eq!(estimator.estimate(), 800_000);
    (0..100).for_each(|index| estimator.on_sent(at(base, 11_000 + u64::from(index) * 10), index, 10_000));
    estimator.on_loss(at(base, 12_000), 0, Duration::from_millis(50));
    assert!(estimator.estimate() >= 2_000_000, "what is not said again does not bind for ever");
}

#[test]
fn reports_of_loss_alone_bound_the_rate() {
    let (base, mut estimator) = begin(3_000_000);
    let mut lossy = |loss: fn(u64) -> u64| {
        let mut rate = 3_000_000;
        for second in 0..20_u64 {
            let packets = rate / 8_000;
            (0..packets).for_each(|index| estimator.on_sent(at(base, second * 1_000), index as u16, 1_000));
            let fraction = u8::try_from(loss(rate)).unwrap_or(255);
            estimator.on_loss(at(base, (second + 1) * 1_000), fraction, Duration::from_millis(80));
            rate = estimator.estimate();
        }
        rate
    };
    let bounded = lossy(|rate| 256 * rate.saturating_sub(1_500_000) / rate);
    assert!((1_000_000..1_900_000).contains(&bounded), "{bounded}");
    let (_, mut fresh) = begin(3_000_000);
    (1..20).for_each(|second| {
        (0..300).for_each(|index| fresh.on_sent(at(base, second * 1_000), index, 1_000));
        fresh.on_loss(at(base, second * 1_000), 13, Duration::from_millis(80));
    });
    assert!(fresh.estimate() >= 2_400_000, "5 % always is no limit: {}", fresh.estimate());
}
