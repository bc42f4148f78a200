//! A large audience does not blind a shard: what comes in while it is served is taken between slices.

use std::collections::VecDeque;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Instant;

use fanlight_engine::{Datagram, Deadline, Outbox, PipeInput, PipeOutput, Transport};
use fanlight_wire::command::Command;
use fanlight_wire::limits::{SLICE_DATAGRAMS_MAX, TURN_DATAGRAMS_MAX};
use fanlight_wire::report::{Report, ShardTotals};
use fanlight_wire::{PipeId, ShardId};
use tokio::sync::mpsc;

use super::{any, client, patiently, stop};
use crate::io::{BackendChoice, MediaBind};
use crate::queue::ShardInput;
use crate::shard::{Birth, Decide, Shard, ShardConfig};

on_both_backends! {
    small_sessions_are_answered_between_the_slices_of_a_large_one,
    a_turn_has_an_end_though_more_comes_in_with_every_slice,
    a_turn_has_an_end_though_slices_have_none,
}

/// Slices of the large session.
const SLICES: u32 = 200;

/// `crowd` begins a fan-out of [`SLICES`] slices, `endless` one that has no end. During each of them `intruder` sends
/// datagrams, each answered with the number of slices that were still to come. What a pipe says is answered by its close,
/// which needs the turn to end.
struct Slicer {
    near: SocketAddr,
    crowd: Option<SocketAddr>,
    left: u32,
    intruder: UdpSocket,
    per_slice: usize,
    answers: VecDeque<(SocketAddr, u32)>,
    closes: Vec<PipeId>,
}

impl Decide for Slicer {
    fn handle_datagram(&mut self, _: Instant, datagram: Datagram<'_>) {
        if datagram.payload == b"crowd" {
            (self.crowd, self.left) = (Some(datagram.source), SLICES);
        } else if datagram.payload == b"endless" {
            (self.crowd, self.left) = (Some(datagram.source), u32::MAX);
        } else {
            self.answers.push_back((datagram.source, self.left));
            if self.per_slice > 1 {
                // Served by slices as well: the fan-out would never end if input were taken without a bound.
                self.left += 1;
            }
        }
    }

    fn handle_pipe(&mut self, _: Instant, pipe: PipeId, _: PipeInput) {
        self.closes.push(pipe);
    }

    fn handle_command(&mut self, _: Instant, _: Command) {}

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_datagrams(&mut self, outbox: &mut Outbox) -> bool {
        for (to, left) in self.answers.drain(..) {
            outbox.push(Transport::Udp, self.near, to, &left.to_be_bytes());
        }
        let (Some(crowd), Some(left)) = (self.crowd, self.left.checked_sub(1)) else { return false };
        self.left = left;
        outbox.push(Transport::Udp, self.near, crowd, &left.to_be_bytes());
        for _ in 0..self.per_slice {
            self.intruder.send_to(b"small", self.near).expect("loopback takes it");
        }
        left > 0
    }

    fn poll_pipe(&mut self) -> Option<(PipeId, PipeOutput)> {
        self.closes.pop().map(|pipe| (pipe, PipeOutput::Close(fanlight_wire::Code::Bug)))
    }

    fn poll_report(&mut self) -> Option<Report> {
        None
    }

    fn deadline(&self) -> Deadline {
        Deadline::IDLE
    }

    fn totals(&mut self) -> ShardTotals {
        ShardTotals::default()
    }
}

/// A shard of that kind, and the far end of its intruder.
fn slicer(backend: BackendChoice, per_slice: usize) -> (Shard, UdpSocket) {
    let far = client();
    let intruder = far.try_clone().expect("a descriptor");
    let bear = move |birth: Birth| Slicer {
        near: birth.udp[0],
        crowd: None,
        left: 0,
        intruder: intruder.try_clone().expect("a descriptor"),
        per_slice,
        answers: VecDeque::new(),
        closes: Vec::new(),
    };
    let (reports, _reported) = mpsc::channel(4);
    let media = vec![MediaBind { bind: any(), advertise: any() }];
    let config = ShardConfig { id: ShardId(0), core: None, backend, media, tcp: false, neighbours: Arc::default() };
    (Shard::spawn(config, Box::new(bear), Vec::new(), reports).expect("a shard"), far)
}

fn number(from: &UdpSocket) -> u32 {
    let mut buffer = [0; 4];
    patiently(|| from.recv(&mut buffer)).expect("a number");
    u32::from_be_bytes(buffer)
}

fn small_sessions_are_answered_between_the_slices_of_a_large_one(backend: BackendChoice) {
    let (shard, far) = slicer(backend, 1);
    let crowd = client();
    crowd.send_to(b"crowd", shard.udp[0]).expect("loopback takes it");
    let slices: Vec<u32> = (0..SLICES).map(|_| number(&crowd)).collect();
    assert_eq!(slices, (0..SLICES).rev().collect::<Vec<_>>(), "each slice leaves, in order");
    let answers: Vec<u32> = (0..SLICES).map(|_| number(&far)).collect();
    assert_eq!(answers, (0..SLICES).rev().collect::<Vec<_>>(), "each is taken before the next slice");
    stop(shard);
}

fn a_turn_has_an_end_though_more_comes_in_with_every_slice(backend: BackendChoice) {
    let (shard, _far) = slicer(backend, 2);
    let crowd = client();
    crowd.send_to(b"crowd", shard.udp[0]).expect("loopback takes it");
    let first = number(&crowd);
    assert!(first < SLICES + (TURN_DATAGRAMS_MAX + SLICE_DATAGRAMS_MAX) as u32);
    // Commands and pipes get their turn although slices have begotten slices ever since.
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(shard.handle.status()).expect("an answer");
    let (sink, mut output) = mpsc::unbounded_channel();
    let input = PipeInput::Credit(1);
    shard.handle.try_send(ShardInput::Open { pipe: PipeId(1), output: sink.into(), input }).expect("a place");
    assert!(matches!(output.blocking_recv(), Some(PipeOutput::Close(_))));
    stop(shard);
}

// G-66
fn a_turn_has_an_end_though_slices_have_none(backend: BackendChoice) {
    let (shard, _far) = slicer(backend, 0);
    let crowd = client();
    crowd.send_to(b"endless", shard.udp[0]).expect("loopback takes it");
    let first = number(&crowd);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(shard.handle.status()).expect("an answer in the midst of it");
    while number(&crowd) >= first - 1 {}
    stop(shard);
}
