//! Two encodings of one camera over a path that has room for one of them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fanlight_engine::rtp::layers::{Allocation, Kind, Ladder, Meter, Place, Selector, Verdict};

use super::path::Subscriber;
use super::say;

const FRAME_MS: u64 = 33;
const PACKET_BYTES: u64 = 1_100;

struct Encoding {
    bps: u64,
    meter: Meter,
    key_wanted: bool,
}

struct Source {
    encodings: Vec<Encoding>,
    random: fastrand::Rng,
    frame: u64,
}

/// One packet of the source, as it reaches the relay.
struct Made {
    simulcast: u8,
    timestamp: u32,
    place: Place,
    bytes: usize,
}

impl Source {
    fn new(rates: &[u64], seed: u64) -> Self {
        let encoding = |bps: &u64| Encoding { bps: *bps, meter: Meter::default(), key_wanted: true };
        Self { encodings: rates.iter().map(encoding).collect(), random: fastrand::Rng::with_seed(seed), frame: 0 }
    }

    /// Three temporal layers, as VP8 in browsers: 0 2 1 2.
    fn frame(&mut self) -> Vec<Made> {
        let phase = self.frame % 4;
        let timestamp = (self.frame * 3_000) as u32;
        self.frame += 1;
        let mut made = Vec::new();
        for (index, encoding) in self.encodings.iter_mut().enumerate() {
            let keyframe = phase == 0 && std::mem::take(&mut encoding.key_wanted);
            let temporal = [0, 2, 1, 2].get(phase as usize).copied().unwrap_or(0);
            let share = [120, 80, 90, 80].get(phase as usize).copied().unwrap_or(100);
            let mean = encoding.bps * FRAME_MS / 8_000 * share / 92;
            let bytes = mean * self.random.u64(80..=120) / 100 * if keyframe { 5 } else { 1 };
            let packets = bytes.div_ceil(PACKET_BYTES).max(1);
            for number in 0..packets {
                let place = Place {
                    temporal,
                    opens: if keyframe { 3 } else { temporal },
                    begins_frame: number == 0,
                    ends_frame: number + 1 == packets,
                    keyframe: keyframe && number == 0,
                    independent: keyframe,
                    switch_up: temporal > 0,
                    ..Place::default()
                };
                let bytes = (bytes / packets) as usize + 60;
                made.push(Made { simulcast: index as u8, timestamp, place, bytes });
            }
        }
        made
    }
}

/// What the viewer saw.
#[derive(Default)]
struct Seen {
    /// Arrival of the last packet of each frame, and how many are still missing.
    frames: BTreeMap<u64, (Option<Instant>, usize)>,
    switches: Vec<(Duration, u8)>,
}

fn watch(
    subscriber: &mut Subscriber,
    source: &mut Source,
    seconds: u64,
    seen: &mut Seen,
    state: &mut (Selector, Allocation),
) {
    let (selector, allocation) = state;
    for step in 0..seconds * 1_000 {
        let heard = subscriber.tick();
        if heard {
            let meters: Vec<&Meter> = source.encodings.iter().map(|encoding| &encoding.meter).collect();
            let demands = [Ladder::new(Kind::Camera, &meters)];
            let estimator = &mut subscriber.estimator;
            allocation.decide(subscriber.now, estimator.estimate(), estimator.is_overusing(), &demands);
            estimator.want(allocation.wanted());
            selector.aim(allocation.target(0));
        }
        if step % FRAME_MS == 0 {
            for made in source.frame() {
                let Some(encoding) = source.encodings.get_mut(usize::from(made.simulcast)) else { continue };
                encoding.meter.count(subscriber.now, &made.place, made.bytes);
                let before = selector.simulcast();
                let verdict = selector.forward(made.simulcast, made.timestamp, &made.place);
                if before != selector.simulcast() {
                    seen.switches.push((subscriber.elapsed(), made.simulcast));
                    subscriber.forget_repairs();
                }
                if let Verdict::Forward { .. } = verdict {
                    let frame = u64::from(made.timestamp);
                    seen.frames.entry(frame).or_default().1 += 1;
                    subscriber.send(made.bytes, frame);
                }
            }
            if let Some(wish) = selector.wish()
                && let Some(encoding) = source.encodings.get_mut(usize::from(wish))
            {
                encoding.key_wanted = true;
            }
        }
        for fate in std::mem::take(&mut subscriber.fates) {
            let frame = seen.frames.entry(fate.mark).or_default();
            frame.0 = frame.0.max(Some(fate.arrives));
            frame.1 = frame.1.saturating_sub(1);
        }
    }
}

impl Seen {
    /// The longest time between two pictures on the screen, each shown once it and all before it are whole.
    fn longest_stall(&self) -> Duration {
        let mut shown: Option<Instant> = None;
        let mut longest = Duration::ZERO;
        for (arrived, missing) in self.frames.values() {
            let (Some(arrived), 0) = (*arrived, *missing) else { continue };
            if let Some(last) = shown {
                longest = longest.max(arrived.saturating_duration_since(last));
            }
            shown = shown.max(Some(arrived));
        }
        longest
    }

    /// The most changes of encoding within any ten seconds, the first ones aside.
    fn most_switches(&self, after: Duration) -> usize {
        let times: Vec<Duration> = self.switches.iter().map(|(at, _)| *at).filter(|at| *at > after).collect();
        let within =
            |from: &Duration| times.iter().filter(|at| **at >= *from && **at < *from + Duration::from_secs(10)).count();
        times.iter().map(within).max().unwrap_or(0)
    }
}

fn bottleneck(name: &str, rates: &[u64], loss: f64, expected: u8) {
    for seed in 1..=5 {
        let subscriber = Subscriber::new(1_500_000, loss, 1_000_000, seed);
        watch_a_minute(name, subscriber, rates, expected, seed);
    }
}

fn watch_a_minute(name: &str, mut subscriber: Subscriber, rates: &[u64], expected: u8, seed: u64) {
    let mut source = Source::new(rates, seed);
    let mut seen = Seen::default();
    let mut state = (Selector::default(), Allocation::default());
    watch(&mut subscriber, &mut source, 60, &mut seen, &mut state);
    let switches = seen.most_switches(Duration::from_secs(8));
    let stall = seen.longest_stall();
    say(&format!(
        "{name}: {:?} at the end, estimate {:.2} Mbit/s, switches {:?}, most in 10 s {switches}, longest stall {stall:?}, \
         used {:.2} Mbit/s, lost {:.1} %, longest queue {:?}, probes {} kB",
        state.0.target(),
        subscriber.estimator.estimate() as f64 / 1e6,
        seen.switches,
        subscriber.down.passed as f64 * 8.0 / 60e6,
        subscriber.lost as f64 * 100.0 / subscriber.sent as f64,
        subscriber.down.longest_wait,
        subscriber.probe_bytes / 1_000,
    ));
    assert!(switches <= 2, "{name}: up and down more than once in ten seconds");
    assert!(stall <= Duration::from_secs(1), "{name}: stood still for {stall:?}");
    assert_eq!(state.0.simulcast(), Some(expected), "{name}");
}

#[test]
fn two_layers_over_a_narrow_path_do_not_swing() {
    bottleneck("0.4 and 2.5 over 1.5 Mbit/s", &[400_000, 2_500_000], 0.0, 0);
    bottleneck("0.4 and 1.1 over 1.5 Mbit/s", &[400_000, 1_100_000], 0.0, 1);
    bottleneck("0.4 and 1.5 over 1.5 Mbit/s", &[400_000, 1_500_000], 0.0, 1);
}

#[test]
fn neither_do_they_under_random_loss() {
    bottleneck("0.4 and 2.5 over 1.5 Mbit/s, 5 % loss", &[400_000, 2_500_000], 0.05, 0);
    bottleneck("0.4 and 1.0 over 1.5 Mbit/s, 5 % loss", &[400_000, 1_000_000], 0.05, 1);
    bottleneck("0.4 and 2.5 over 1.5 Mbit/s, 10 % loss", &[400_000, 2_500_000], 0.10, 0);
    bottleneck("0.3 and 0.9 over 1.5 Mbit/s, 10 % loss", &[300_000, 900_000], 0.10, 1);
}

#[test]
fn the_larger_picture_comes_back_with_the_capacity() {
    let mut subscriber = Subscriber::new(3_000_000, 0.0, 1_000_000, 1);
    let mut source = Source::new(&[400_000, 2_000_000], 1);
    let mut seen = Seen::default();
    let mut state = (Selector::default(), Allocation::default());
    let mut flowing = Vec::new();
    for capacity in [3_000_000, 1_000_000, 3_000_000] {
        subscriber.down.bps = capacity;
        watch(&mut subscriber, &mut source, 30, &mut seen, &mut state);
        flowing.push(state.0.simulcast());
    }
    say(&format!("3, 1, 3 Mbit/s: switches {:?}, longest stall {:?}", seen.switches, seen.longest_stall()));
    assert_eq!(flowing, [Some(1), Some(0), Some(1)]);
    assert!(seen.longest_stall() <= Duration::from_secs(1));
    assert!(seen.switches.len() <= 5, "{:?}", seen.switches);
}

#[test]
fn a_restless_path_with_room_is_not_taken_for_a_full_one() {
    for seed in 1..=5 {
        let mut subscriber = Subscriber::new(6_000_000, 0.01, 1_000_000, seed);
        subscriber.down.jitter = Duration::from_millis(20);
        watch_a_minute("0.4 and 2 over 6 Mbit/s, 20 ms jitter", subscriber, &[400_000, 2_000_000], 1, seed);
    }
}

#[test]
fn a_path_that_cuts_instead_of_queueing_is_found_out() {
    for seed in 1..=5 {
        let mut subscriber = Subscriber::new(1_500_000, 0.0, 1_000_000, seed);
        subscriber.down.queue = Duration::from_millis(30);
        watch_a_minute("0.4 and 2.5 over 1.5 Mbit/s, 30 ms queue", subscriber, &[400_000, 2_500_000], 0, seed);
    }
}
