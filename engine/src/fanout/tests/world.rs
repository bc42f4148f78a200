//! The simulated wire between clients and one fan-out. No latency: what is sent at an instant arrives at it.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fanlight_wire::{FloorEpoch, ShardId, StreamId};
use str0m_rtp::RtpPacket;

use super::super::*;
use crate::datagram::Transport;
use crate::peer::Certificate;
use crate::peer::client::{Client, Speaks, str0m_rtp};

/// How the payload of a keyframe's first packet begins (VP8).
pub(super) const KEY: [u8; 2] = [0x10, 0x00];

const ATTACKER: usize = 66;

pub(super) struct World {
    pub(super) fanout: Fanout,
    pub(super) demux: Demux,
    pub(super) clients: Vec<Client>,
    pub(super) events: Vec<MediaEvent>,
    pub(super) longest_train: BTreeMap<SocketAddr, usize>,
    pub(super) loss_percent: u8,
    /// An attacker sends a DTLS ClientHello whenever anybody sends anything.
    pub(super) attack_with_hellos: bool,
    /// This client's media reach the relay from the attacker's address only.
    pub(super) divert_from: Option<usize>,
    /// This client receives nothing and sends nothing any more.
    pub(super) deaf: Option<usize>,
    /// Every datagram with media reaches the relay three times.
    pub(super) echo: bool,
    /// Before every datagram come damaged copies of it from the same address.
    pub(super) mangle: bool,
    /// Forged handshake records come from the address of whoever sends.
    pub(super) forge_handshakes: bool,
    pub(super) bytes_to_attacker: usize,
    pub(super) may_see_camera: Vec<usize>,
    beyond_stun: BTreeMap<SocketAddr, usize>,
    lose: BTreeMap<SocketAddr, usize>,
    wire: VecDeque<(SocketAddr, SocketAddr, Vec<u8>)>,
    config: PeerConfig,
    entropy: Entropy,
    now: Instant,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "the base of virtual time")]
    pub(super) fn new(seed: u64) -> Self {
        let relay = SocketAddr::from(([10, 0, 0, 1], 7730));
        let certificate = Certificate::generate().expect("a certificate");
        Self {
            fanout: Fanout::default(),
            demux: Demux::default(),
            clients: Vec::new(),
            events: Vec::new(),
            longest_train: BTreeMap::new(),
            loss_percent: 0,
            attack_with_hellos: false,
            divert_from: None,
            deaf: None,
            echo: false,
            mangle: false,
            forge_handshakes: false,
            bytes_to_attacker: 0,
            may_see_camera: Vec::new(),
            beyond_stun: BTreeMap::new(),
            lose: BTreeMap::new(),
            wire: VecDeque::new(),
            config: PeerConfig { shard: ShardId(0xa), udp: vec![relay], tcp: vec![relay], certificate },
            entropy: Entropy::seeded(seed),
            now: Instant::now(),
        }
    }

    /// The first client is the visitor, the others are agents; all are connected.
    pub(super) fn connected(seed: u64, speak: &[Speaks]) -> Self {
        let mut world = Self::new(seed);
        for (index, speaks) in speak.iter().enumerate() {
            world.add(*speaks);
            world.connect(index);
        }
        world
    }

    pub(super) fn add(&mut self, speaks: Speaks) {
        let index = self.clients.len();
        self.clients.push(Client::new(address(index, 5_000), self.now, speaks));
        self.offer(index);
    }

    pub(super) fn replace_client(&mut self, index: usize) {
        let mut fresh = Client::new(address(index, 5_001), self.now, Speaks::Everything);
        fresh.received = std::mem::take(&mut self.clients[index].received);
        self.clients[index] = fresh;
    }

    pub(super) fn offer(&mut self, index: usize) {
        if self.clients[index].share.is_none() {
            let sdp = self.clients[index].offer();
            self.give_offer(index, &sdp);
        }
    }

    pub(super) fn give_offer(&mut self, index: usize, sdp: &str) -> String {
        let who = MemberId(index as u32 + 1);
        let main = if index == 0 { Lane::Agent } else { Lane::Visitor };
        let views = Views { main: Some(main), camera: self.may_see_camera.contains(&index) };
        let Self { fanout, demux, config, entropy, .. } = self;
        let answer = fanout
            .offer(self.now, who, views, sdp, config, entropy, demux, PeerKey(index as u64))
            .expect("a usable offer");
        self.clients[index].answer(&answer);
        answer
    }

    pub(super) fn set_views(&mut self, index: usize, main: Option<Lane>) {
        let views = Views { main, camera: false };
        self.fanout.set_views(MemberId(index as u32 + 1), views, &mut self.entropy);
    }

    pub(super) fn connect(&mut self, index: usize) {
        for _ in 0..100 {
            self.run(Duration::from_millis(50));
            if self.clients[index].connected && self.fanout.is_connected(MemberId(index as u32 + 1)) {
                return;
            }
        }
        panic!("client {index} did not connect");
    }

    pub(super) fn share(&mut self, index: usize, lane: Lane, epoch: u32) {
        let mid = self.clients[index].share.expect("offered").to_string();
        let who = MemberId(index as u32 + 1);
        let source = Source { who, mid, audio_mid: None, epoch: FloorEpoch::new(epoch) };
        self.fanout.set_source(self.now, lane, Some(source));
        self.settle();
    }

    pub(super) fn switch_off(&mut self, lane: Lane) {
        self.fanout.set_source(self.now, lane, None);
        self.settle();
    }

    /// Sends one packet and lets it arrive.
    pub(super) fn send(&mut self, who: usize, sequence: u64, timestamp: u32, marker: bool, payload: &[u8]) {
        self.queue(who, sequence, timestamp, marker, payload);
        self.settle();
    }

    /// Sends one packet; the relay reads it together with whatever comes before the next settling.
    pub(super) fn queue(&mut self, who: usize, sequence: u64, timestamp: u32, marker: bool, payload: &[u8]) {
        self.clients[who].send(sequence, timestamp, marker, payload);
        self.collect(who);
    }

    /// The relay takes the packet in, but has had no turn to send anything.
    pub(super) fn inject(&mut self, who: usize, sequence: u64, timestamp: u32, marker: bool, payload: &[u8]) {
        self.queue(who, sequence, timestamp, marker, payload);
        self.deliver();
    }

    pub(super) fn wish(&mut self, who: usize) {
        self.clients[who].request_keyframe();
        self.collect(who);
        self.settle();
    }

    pub(super) fn lose_next_to(&mut self, to: SocketAddr, packets: usize) {
        self.lose.insert(to, packets);
    }

    pub(super) fn address(&self, index: usize) -> SocketAddr {
        self.clients[index].address
    }

    pub(super) const fn now(&self) -> Instant {
        self.now
    }

    pub(super) fn received(&self, index: usize) -> &[RtpPacket] {
        &self.clients[index].received
    }

    pub(super) fn bytes_beyond_stun_to(&self, index: usize) -> usize {
        self.beyond_stun.get(&self.address(index)).copied().unwrap_or_default()
    }

    /// Lets time pass, from one deadline to the next.
    pub(super) fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.settle();
        loop {
            let next = self.clients.iter().map(|client| client.timeout).chain(self.fanout.deadline().at).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                break;
            };
            // Something due at once would otherwise hold the clock.
            self.now = next.max(self.now + Duration::from_millis(1));
            self.pass();
        }
        self.now = end.max(self.now);
        self.pass();
    }

    fn pass(&mut self) {
        for index in 0..self.clients.len() {
            if self.clients[index].timeout <= self.now {
                self.clients[index].handle_timeout(self.now);
            }
        }
        self.fanout.handle_timeout(self.now);
        self.settle();
    }

    /// Until nothing is on the wire.
    fn settle(&mut self) {
        for _round in 0..1_000 {
            (0..self.clients.len()).for_each(|index| self.collect(index));
            self.deliver();
            self.relay_turn();
            if self.wire.is_empty() {
                return;
            }
        }
        panic!("the wire never falls silent");
    }

    fn collect(&mut self, index: usize) {
        let from = self.clients[index].address;
        for (to, bytes) in self.clients[index].poll() {
            let media = bytes[0] >= 128;
            let from = if media && self.divert_from == Some(index) { address(ATTACKER, 5_000) } else { from };
            if self.deaf != Some(index) && !self.is_lost(media, &bytes) {
                self.wire.push_back((from, to, bytes));
            }
        }
    }

    fn deliver(&mut self) {
        let relay = self.config.udp[0];
        for (from, to, mut payload) in std::mem::take(&mut self.wire) {
            if to != relay {
                let Some(index) = self.clients.iter().position(|client| client.address == to) else {
                    self.bytes_to_attacker += payload.len();
                    continue;
                };
                if self.deaf != Some(index) {
                    self.clients[index].receive(self.now, from, &payload);
                    self.collect(index);
                }
                continue;
            }
            if self.attack_with_hellos {
                for port in 0..100 {
                    self.hand_to_relay(address(ATTACKER, 5_000 + port), &mut client_hello());
                }
            }
            for _ in 0..if self.forge_handshakes { 40 } else { 0 } {
                self.hand_to_relay(from, &mut client_hello());
            }
            for _ in 0..if self.mangle { 8 } else { 0 } {
                let mut mangled = payload.clone();
                for _ in 0..=self.entropy.array::<1>()[0] % 4 {
                    let [at, to, cut] = self.entropy.array::<3>();
                    let length = mangled.len();
                    mangled[usize::from(at) % length] = to;
                    mangled.truncate(length - usize::from(cut) % 3 * (length / 8));
                }
                self.hand_to_relay(from, &mut mangled);
            }
            if self.echo && payload[0] >= 128 {
                self.hand_to_relay(from, &mut payload.clone());
                self.hand_to_relay(from, &mut payload.clone());
            }
            self.hand_to_relay(from, &mut payload);
        }
    }

    fn hand_to_relay(&mut self, source: SocketAddr, payload: &mut [u8]) {
        let transport = self.transport_of(source);
        let datagram = Datagram { transport, source, destination: self.config.udp[0], payload };
        if let Some(key) = self.demux.route(self.now, &datagram) {
            self.fanout.handle_datagram(self.now, MemberId(key.0 as u32 + 1), datagram);
        }
    }

    fn transport_of(&self, address: SocketAddr) -> Transport {
        let tcp = self.clients.iter().position(|client| client.address == address && client.is_over_tcp());
        tcp.map_or(Transport::Udp, |index| Transport::Tcp(StreamId(index as u64)))
    }

    fn relay_turn(&mut self) {
        let mut outbox = Outbox::default();
        while self.fanout.poll(self.now, &mut outbox, &mut 1) {}
        while let Some(event) = self.fanout.poll_event() {
            self.events.push(event);
        }
        for train in outbox.trains() {
            assert_eq!(train.transport, self.transport_of(train.destination), "not by the way it came");
            let longest = self.longest_train.entry(train.destination).or_default();
            *longest = train.segments.max(*longest);
            for segment in outbox.segments(train) {
                let media = segment[0] >= 128;
                if segment[0] >= 4 {
                    *self.beyond_stun.entry(train.destination).or_default() += segment.len();
                }
                let lose = self.lose.get_mut(&train.destination).filter(|left| is_rtp(segment) && **left > 0);
                if let Some(left) = lose {
                    *left -= 1;
                } else if !self.is_lost(media, segment) {
                    self.wire.push_back((train.source, train.destination, segment.to_vec()));
                }
            }
        }
    }

    fn is_lost(&mut self, media: bool, bytes: &[u8]) -> bool {
        media && is_rtp(bytes) && self.loss_percent > 0 && self.entropy.array::<1>()[0] % 100 < self.loss_percent
    }
}

fn is_rtp(bytes: &[u8]) -> bool {
    bytes[0] >= 128 && !(64..96).contains(&(bytes[1] & 0x7f))
}

fn address(index: usize, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 1, index as u8], port))
}

/// The first bytes of a DTLS 1.2 ClientHello record, long enough to be read as one.
fn client_hello() -> Vec<u8> {
    let mut hello =
        vec![22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 54, 1, 0, 0, 42, 0, 0, 0, 0, 0, 0, 0, 42, 0xfe, 0xfd];
    hello.extend([7; 40]);
    hello
}
