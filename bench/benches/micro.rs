//! Micro benches of the paths that run per frame and per packet.

#[path = "micro/srtp.rs"]
mod srtp;

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::Instant;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fanlight_bench::{diff, page};
use fanlight_engine::codec::Codec;
use fanlight_engine::dom::Dom;
use fanlight_engine::{Outbox, Transport};
use fanlight_loadtest::clock;
use fanlight_loadtest::media::Mark;
use fanlight_wire::frame::Splitter;
use fanlight_wire::{Frame, ParticipantId};

/// Numbers of agents for whom fan-out is measured.
const AGENTS: [u8; 4] = [1, 8, 32, 64];

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame");
    for bytes in [100, 4_000, 15_000] {
        let frame = diff(bytes).remove(0);
        group.throughput(Throughput::Bytes(frame.bytes().len() as u64));
        group.bench_with_input(BenchmarkId::new("parse", bytes), &frame, |bencher, frame| {
            bencher.iter(|| Frame::parse(black_box(frame.bytes().clone())));
        });
        group.bench_with_input(BenchmarkId::new("stamp", bytes), &frame, |bencher, frame| {
            let unshared = || Frame::new(*frame.header(), frame.payload()).expect("a good frame");
            bencher.iter_batched(unshared, |frame| frame.stamped(ParticipantId(1)), BatchSize::SmallInput);
        });
        let stream: Vec<u8> = std::iter::repeat_n(frame.bytes().to_vec(), 10).flatten().collect();
        group.throughput(Throughput::Bytes(stream.len() as u64));
        group.bench_with_input(BenchmarkId::new("split ten", bytes), &stream, |bencher, stream| {
            bencher.iter(|| {
                let mut splitter = Splitter::default();
                let mut found = 0;
                for piece in stream.chunks(4_096) {
                    splitter.push(piece);
                    while let Ok(Some(frame)) = splitter.next_frame() {
                        found += frame.payload().len();
                    }
                }
                found
            });
        });
    }
    group.finish();
}

/// A DOM stream with a snapshot and this many agents at its head.
fn audience(agents: u8, now: Instant) -> (Dom, fanlight_loadtest::page::Page) {
    let (mut dom, mut page) = (Dom::new(true), page(20_000));
    for frame in page.snapshot(0) {
        assert!(dom.handle_frame(now, frame).is_ok());
    }
    for agent in 1..=agents {
        dom.join(now, ParticipantId(agent));
        while dom.next_frame(now, ParticipantId(agent)).is_some() {}
    }
    (dom, page)
}

/// One diff in, one copy of the handle out per agent.
fn dom_fanout(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("dom fan-out of 64 diffs");
    let now = clock::now();
    for agents in AGENTS {
        group.throughput(Throughput::Elements(64 * u64::from(agents)));
        group.bench_function(BenchmarkId::from_parameter(agents), |bencher| {
            let fresh = || {
                let (dom, mut page) = audience(agents, now);
                let diffs: Vec<Frame> = (0..64).flat_map(|_| page.change(400, 0)).collect();
                (dom, diffs)
            };
            bencher.iter_batched(
                fresh,
                |(mut dom, diffs)| {
                    let mut delivered = 0_usize;
                    for frame in diffs {
                        assert!(dom.handle_frame(now, frame).is_ok());
                        for agent in 1..=agents {
                            while let Some(frame) = dom.next_frame(now, ParticipantId(agent)) {
                                delivered += frame.bytes().len();
                            }
                        }
                    }
                    assert!(delivered > 0);
                    (dom, delivered)
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// A turn's packets into trains: one burst of eight packets per subscriber.
fn outbox_trains(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("outbox, bursts of eight");
    let payload = [7_u8; 1_200];
    let here = SocketAddr::from(([127, 0, 0, 1], 7_730));
    for subscribers in AGENTS {
        group.throughput(Throughput::Elements(8 * u64::from(subscribers)));
        group.bench_function(BenchmarkId::from_parameter(subscribers), |bencher| {
            let mut outbox = Outbox::default();
            bencher.iter(|| {
                for subscriber in 0..subscribers {
                    let there = SocketAddr::from(([10, 0, 0, subscriber], 5_000));
                    for _ in 0..8 {
                        outbox.push(Transport::Udp, here, there, black_box(&payload));
                    }
                }
                assert_eq!(outbox.trains().len(), usize::from(subscribers));
                outbox.clear();
            });
        });
    }
    group.finish();
}

fn keyframes(criterion: &mut Criterion) {
    let payload = Mark { share: 1, frame: 1, key: true, index: 0, count: 1, at_us: 0 }.to_payload(1_200);
    criterion.bench_function("keyframe detection, vp8", |bencher| {
        bencher.iter(|| Codec::Vp8.begins_keyframe(black_box(&payload)));
    });
}

criterion_group!(benches, frames, dom_fanout, outbox_trains, keyframes, srtp::srtp);
criterion_main!(benches);
