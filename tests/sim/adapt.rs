//! A subscriber behind a bottleneck: the estimate finds what the path carries, layers follow without swinging, nothing
//! stands still. Figures are printed for whoever reads along.

mod layers;
mod link;
mod path;

use std::time::Duration;

use path::Subscriber;

/// How a sender spreads what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// As a browser's pacer: every five milliseconds.
    Even,
    /// Whole frames at once, thirty a second.
    Frames,
}

/// A source that fills the estimate. Sends for `seconds` and tells the mean of the estimate over the second half, and
/// when it was first within a quarter of `expected`.
fn fill(subscriber: &mut Subscriber, pace: Pace, seconds: u64, expected: u64) -> (u64, Option<Duration>) {
    let began = subscriber.elapsed();
    let (mut credit, mut sum, mut count, mut reached) = (0_u64, 0_u64, 0_u64, None);
    for step in 0..seconds * 1_000 {
        subscriber.tick();
        let estimate = subscriber.estimator.estimate();
        credit += estimate / 8 / 1_000;
        let due = match pace {
            Pace::Even => step % 5 == 0,
            Pace::Frames => step % 33 == 0,
        };
        while due && credit >= 1_200 {
            credit -= 1_200;
            subscriber.transmit(1_200);
        }
        if reached.is_none() && estimate.abs_diff(expected) * 4 <= expected {
            reached = Some(subscriber.elapsed() - began);
        }
        if step >= seconds * 500 {
            (sum, count) = (sum + estimate, count + 1);
        }
    }
    (sum / count.max(1), reached)
}

fn steps(name: &str, pace: Pace, loss: f64) {
    for seed in 1..=5 {
        let mut subscriber = Subscriber::new(3_000_000, loss, 300_000, seed);
        // The first phase has a beginning from far below, which is what probes are for.
        subscriber.estimator.want(Some(4_000_000));
        let mut told = String::new();
        let mut late = Vec::new();
        for capacity in [3_000_000, 1_500_000, 3_000_000] {
            subscriber.down.bps = capacity;
            let passed = subscriber.down.passed;
            let (settled, reached) = fill(&mut subscriber, pace, 20, capacity);
            let used = (subscriber.down.passed - passed) * 8 / 20;
            told += &format!(
                "; {:.1}: {:.1} s, {:.2}, {:.0} %",
                capacity as f64 / 1e6,
                reached.unwrap_or_default().as_secs_f64(),
                settled as f64 / 1e6,
                used as f64 * 100.0 / capacity as f64
            );
            let slow = reached.is_none_or(|reached| reached > Duration::from_secs(8));
            if slow || settled.abs_diff(capacity) * 4 > capacity {
                late.push(capacity);
            }
        }
        say(&format!(
            "{name} ({seed}); lost {:.1} %, probes {} kB; Mbit/s: within 25 % after, mean at the end, used{told}",
            subscriber.lost as f64 * 100.0 / subscriber.sent as f64,
            subscriber.probe_bytes / 1_000
        ));
        assert!(late.is_empty(), "{name} ({seed}): not within a quarter in time at {late:?}");
    }
}

#[expect(clippy::print_stdout, reason = "figures for the reader of a run")]
fn say(text: &str) {
    println!("{text}");
}

#[test]
fn the_estimate_follows_the_path_down_and_up() {
    steps("even, no loss", Pace::Even, 0.0);
    steps("frames, no loss", Pace::Frames, 0.0);
}

#[test]
fn random_loss_is_not_taken_for_a_full_path() {
    steps("even, 5 % loss", Pace::Even, 0.05);
    steps("even, 10 % loss", Pace::Even, 0.10);
    steps("frames, 5 % loss", Pace::Frames, 0.05);
}
