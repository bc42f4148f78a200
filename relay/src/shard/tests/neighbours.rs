//! What shards say to each other: in order, one message per turn, given back when it finds no room.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fanlight_engine::{Datagram, Deadline, Handoff, Outbox, PipeInput, PipeOutput, Transport};
use fanlight_wire::command::Command;
use fanlight_wire::limits::SHARD_HANDOFF_QUEUE;
use fanlight_wire::report::{Report, ShardTotals};
use fanlight_wire::{PipeId, SessionId, ShardId};
use tokio::sync::mpsc;

use super::{any, client, patiently, stop};
use crate::carrier::admit::Shards;
use crate::io::{BackendChoice, MediaBind};
use crate::queue::queues;
use crate::shard::{Birth, Decide, Shard, ShardConfig};

on_both_backends! { words_reach_the_other_shard_in_order, what_finds_no_room_comes_back }

/// Says to the other shard as many words as the second byte of a datagram wants, numbered; whoever hears one tells the
/// client that the first byte names, and so does whoever gets one back.
struct Gossip {
    shard: ShardId,
    near: SocketAddr,
    far: SocketAddr,
    words: Vec<(ShardId, Handoff)>,
    news: Vec<[u8; 2]>,
}

const HEARD: u8 = 1;
const LOST: u8 = 2;

fn number(word: &Handoff) -> u8 {
    // A session's id is shown as hex digits.
    u8::from_str_radix(&word.session.to_string()[..2], 16).expect("hex")
}

impl Decide for Gossip {
    fn handle_datagram(&mut self, _: Instant, datagram: Datagram<'_>) {
        let other = ShardId(1 - self.shard.0);
        let wanted = datagram.payload.first().copied().unwrap_or_default();
        let word = |number| (other, Handoff::farewell(self.shard, SessionId::from_bytes([number; 16])));
        self.words.extend((0..wanted).rev().map(word));
    }

    fn handle_handoff(&mut self, _: Instant, word: &Handoff) {
        assert_ne!(word.from, self.shard);
        self.news.push([HEARD, number(word)]);
    }

    fn handoff_lost(&mut self, _: Instant, to: ShardId, word: &Handoff) {
        assert_ne!(to, self.shard);
        self.news.push([LOST, number(word)]);
    }

    fn poll_handoff(&mut self) -> Option<(ShardId, Handoff)> {
        self.words.pop()
    }

    fn poll_datagrams(&mut self, outbox: &mut Outbox) -> bool {
        for news in self.news.drain(..) {
            outbox.push(Transport::Udp, self.near, self.far, &news);
        }
        false
    }

    fn handle_pipe(&mut self, _: Instant, _: PipeId, _: PipeInput) {}
    fn handle_command(&mut self, _: Instant, _: Command) {}
    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_pipe(&mut self) -> Option<(PipeId, PipeOutput)> {
        None
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

fn gossip(backend: BackendChoice, shard: ShardId, neighbours: &Arc<Shards>, far: SocketAddr) -> Shard {
    let bear = move |birth: Birth| Gossip { shard, near: birth.udp[0], far, words: Vec::new(), news: Vec::new() };
    let (reports, _reported) = mpsc::channel(4);
    let media = vec![MediaBind { bind: any(), advertise: any() }];
    let neighbours = Arc::clone(neighbours);
    let config = ShardConfig { id: shard, core: None, backend, media, tcp: false, neighbours };
    Shard::spawn(config, Box::new(bear), Vec::new(), reports).expect("a shard")
}

fn news(from: &UdpSocket, count: usize) -> Vec<[u8; 2]> {
    from.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let mut buffer = [0; 2];
    let mut next = || {
        patiently(|| from.recv(&mut buffer)).expect("news");
        buffer
    };
    (0..count).map(|_| next()).collect()
}

fn words_reach_the_other_shard_in_order(backend: BackendChoice) {
    let (all, far) = (Shards::new(2), client());
    let address = far.local_addr().expect("bound");
    let shards = [0, 1].map(|n| gossip(backend, ShardId(n), &all, address));
    all.fill(shards.iter().map(|shard| shard.handle.clone()).collect());
    for shard in &shards {
        far.send_to(&[5], shard.udp[0]).expect("loopback takes it");
        assert_eq!(news(&far, 5), [0, 1, 2, 3, 4].map(|n| [HEARD, n]));
    }
    shards.into_iter().for_each(stop);
}

fn what_finds_no_room_comes_back(backend: BackendChoice) {
    let (all, far) = (Shards::new(2), client());
    let shard = gossip(backend, ShardId(0), &all, far.local_addr().expect("bound"));
    // A neighbour that takes nothing.
    let (stuck, _inputs) = queues(ShardId(1));
    let word = || vec![Handoff::farewell(ShardId(0), SessionId::from_bytes([9; 16]))];
    (0..SHARD_HANDOFF_QUEUE).for_each(|_| stuck.hand_over(word()).expect("room"));
    assert_eq!(stuck.hand_over(word()).expect_err("full").len(), 1);
    all.fill(vec![shard.handle.clone(), stuck]);
    far.send_to(&[2], shard.udp[0]).expect("loopback takes it");
    assert_eq!(news(&far, 2), [[LOST, 0], [LOST, 1]]);
    stop(shard);
}
