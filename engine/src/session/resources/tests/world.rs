//! One session, its people and its tools, on one wire without latency; and a second shard that may mirror it.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fanlight_wire::command::{Admission, Command, Narrowing, Whom};
use fanlight_wire::policy::{Capabilities, Policy, Role};
use fanlight_wire::report::Report;
use fanlight_wire::resource::{
    Condition, MediaSource, ResourceId, ResourceInput, ResourceKind, ResourceOutput, ResourceRef,
};
use fanlight_wire::signal::{Ask, ClientInfo, SharePhase, Slot, ToClient, ToRelay};
use fanlight_wire::{Code, GroupId, Kind, PipeId, Refusal, SessionId, ShardId};

use crate::datagram::{Datagram, Transport};
use crate::engine::Engine;
use crate::entropy::Entropy;
use crate::handoff::Handoff;
use crate::outbox::{Outbox, Train};
use crate::peer::client::{Client, Speaks};
use crate::peer::{Certificate, PeerConfig};
use crate::pipe::{PipeInput, PipeOutput};

mod second;

const SESSION: SessionId = SessionId::from_bytes([9; 16]);
const RELAY: ([u8; 4], u16) = ([10, 0, 0, 1], 7730);
const SECOND: ([u8; 4], u16) = ([10, 0, 0, 2], 7731);
const VISITOR: PipeId = PipeId(1);
/// How a VP8 payload begins: a keyframe, any other frame.
const KEY: [u8; 2] = [0x10, 0x00];
const DELTA: [u8; 2] = [0x10, 0x01];

/// A resource as its maker knows it.
#[derive(Debug, Clone)]
pub(super) struct Made {
    /// Position among the world's WebRTC clients.
    pub(super) client: usize,
    pub(super) resource: ResourceId,
    pub(super) tag: String,
    pub(super) subject: String,
    pub(super) answer: String,
}

/// What a token allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rights {
    role: Role,
    capabilities: Capabilities,
}

pub(super) const fn role(role: Role, capabilities: Capabilities) -> Rights {
    Rights { role, capabilities }
}

/// An agent: its pipe, and its WebRTC client once it shares.
#[derive(Debug, Clone, Copy)]
pub(super) struct Agent(PipeId);

pub(super) struct World {
    engine: Engine,
    /// The engine of the other shard.
    pub(super) second: Engine,
    /// What shards say to each other finds no room while this many more words are said to the second one.
    pub(super) lose: usize,
    /// Words to the second shard stay on their way.
    pub(super) hold: bool,
    held: VecDeque<Handoff>,
    certificate: Certificate,
    now: Instant,
    clients: Vec<Client>,
    cut: Vec<usize>,
    sent: BTreeMap<usize, u64>,
    mail: BTreeMap<PipeId, Vec<ToClient>>,
    ends: Vec<Code>,
    ended: bool,
    pipes: u64,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with_policy(Policy::default())
    }

    #[expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
    pub(super) fn with_policy(policy: Policy) -> Self {
        let now = Instant::now();
        let certificate = Certificate::generate().expect("a certificate");
        let mut engine = born(0, &certificate, now);
        let group = GroupId::new("demo").expect("legal");
        engine.handle_command(now, Command::Open { session: SESSION, group, policy });
        Self {
            engine,
            second: born(1, &certificate, now),
            lose: 0,
            hold: false,
            held: VecDeque::new(),
            certificate,
            now,
            clients: Vec::new(),
            cut: Vec::new(),
            sent: BTreeMap::new(),
            mail: BTreeMap::new(),
            ends: Vec::new(),
            ended: false,
            pipes: VISITOR.0,
        }
    }

    // ---- tools ----

    /// A tool with all of an upstream's rights publishes, and its media is connected.
    pub(super) fn publishes(&mut self, subject: &str, source: Option<MediaSource>) -> Result<Made, Refusal> {
        let made = self.offers(ResourceKind::Whip, subject, role(Role::Upstream, Role::Upstream.ceiling()), source)?;
        self.connect(made.client);
        Ok(made)
    }

    pub(super) fn watches(&mut self, subject: &str, source: Option<MediaSource>) -> Result<Made, Refusal> {
        let made = self.offers(ResourceKind::Whep, subject, role(Role::Upstream, Role::Upstream.ceiling()), source)?;
        self.connect(made.client);
        Ok(made)
    }

    /// Makes a resource with an offer as it should be; its media has yet to connect.
    pub(super) fn offers(
        &mut self,
        kind: ResourceKind,
        subject: &str,
        rights: Rights,
        source: Option<MediaSource>,
    ) -> Result<Made, Refusal> {
        let index = self.clients.len();
        let address = SocketAddr::from(([10, 0, 1, index as u8], 5_000));
        let mut client = Client::new(address, self.now, Speaks::Everything);
        let sdp = match kind {
            ResourceKind::Whip => client.offer_to_publish(),
            ResourceKind::Whep => client.offer_to_watch(),
        };
        match self.ask(kind, subject, rights, source, &sdp)? {
            ResourceOutput::Created { resource, tag, sdp } => {
                client.answer(&sdp);
                self.clients.push(client);
                Ok(Made { client: index, resource, tag, subject: subject.to_owned(), answer: sdp })
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn ask(
        &mut self,
        kind: ResourceKind,
        subject: &str,
        rights: Rights,
        source: Option<MediaSource>,
        sdp: &str,
    ) -> Result<ResourceOutput, Refusal> {
        let Rights { role, capabilities } = rights;
        let (name, subject) = ("Mixer".to_owned(), subject.to_owned());
        let admission = Admission { session: SESSION, role, capabilities, name, subject, epoch: 1 };
        let input = ResourceInput::Create { kind, admission, source, sdp: sdp.to_owned() };
        let answer = self.engine.handle_resource(self.now, input);
        self.settle();
        answer
    }

    pub(super) fn delete(&mut self, made: &Made, kind: ResourceKind) -> Result<ResourceOutput, Refusal> {
        let answer = self.engine.handle_resource(self.now, ResourceInput::Delete { of: named(made, kind) });
        self.settle();
        answer
    }

    /// Changes a WHEP resource.
    pub(super) fn patch(
        &mut self,
        made: &Made,
        condition: Condition,
        fragment: &str,
    ) -> Result<ResourceOutput, Refusal> {
        let of = named(made, ResourceKind::Whep);
        let input = ResourceInput::Patch { of, condition, fragment: fragment.to_owned() };
        let answer = self.engine.handle_resource(self.now, input);
        self.settle();
        answer
    }

    /// The client restarts ICE with what the relay gives it; the resource's new tag.
    pub(super) fn restart(&mut self, made: &Made) -> String {
        let offer = self.clients[made.client].offer_restart();
        let line = |text: &str, prefix: &str| {
            text.lines().find(|line| line.starts_with(prefix)).expect("a credential").trim_end().to_owned()
        };
        let credentials = ["a=ice-ufrag:", "a=ice-pwd:"];
        let fragment: String = credentials.map(|prefix| line(&offer, prefix) + "\r\n").concat();
        let Ok(ResourceOutput::Restarted { tag, fragment }) = self.patch(made, Condition::Any, &fragment) else {
            panic!("no restart");
        };
        let mut answer = made.answer.clone();
        for prefix in credentials {
            // The name also stands in every candidate.
            let value = |text| line(text, prefix).split_off(prefix.len());
            answer = answer.replace(&value(&made.answer), &value(&fragment));
        }
        self.clients[made.client].answer(&answer);
        self.settle();
        tag
    }

    /// Has the engine nothing to do beside media, though this client has just sent a packet?
    pub(super) fn is_settled_by_packet(&mut self, client: usize) -> bool {
        let sent = self.sent.entry(client).or_default();
        *sent += 1;
        self.clients[client].send(*sent, *sent as u32 * 3_000, true, &DELTA);
        for (_, mut payload) in self.clients[client].poll() {
            self.hand(self.clients[client].address, &mut payload);
        }
        while self.engine.poll_datagrams(&mut Outbox::default()) {}
        self.engine.is_settled()
    }

    /// A keyframe, then other frames, each of one packet.
    pub(super) fn send_frames(&mut self, client: usize, count: u64) {
        for nth in 0..count {
            let sent = self.sent.entry(client).or_default();
            *sent += 1;
            let sequence = *sent;
            let payload = if nth == 0 { KEY } else { DELTA };
            self.clients[client].send(
                sequence,
                sequence as u32 * 3_000,
                true,
                &[&payload[..], &[client as u8; 40]].concat(),
            );
            self.settle();
            self.pass(Duration::from_millis(33));
        }
    }

    /// Sequence numbers that a client received, and which of them were keyframes.
    pub(super) fn seen(&self, client: usize) -> Vec<(u64, bool)> {
        let received = self.clients[client].received.iter();
        received.map(|packet| (*packet.seq_no, packet.payload.starts_with(&KEY))).collect()
    }

    /// Which clients' packets a client received, in the order of its numbering.
    pub(super) fn seen_from(&self, client: usize) -> Vec<u8> {
        let received = self.clients[client].received.iter();
        let tags: BTreeMap<u64, u8> =
            received.filter_map(|packet| Some((*packet.seq_no, *packet.payload.last()?))).collect();
        tags.into_values().collect()
    }

    pub(super) fn cut_off(&mut self, client: usize) {
        self.cut.push(client);
    }

    // ---- people ----

    pub(super) fn visit(&mut self) {
        self.join(VISITOR, Role::Visitor, "Visitor");
    }

    /// An agent that the visitor lets in.
    pub(super) fn agent(&mut self, name: &str) -> Agent {
        self.pipes += 1;
        let pipe = PipeId(self.pipes);
        self.join(pipe, Role::Agent, name);
        let asked = self.mail.remove(&VISITOR).unwrap_or_default().into_iter().find_map(|signal| match signal {
            ToClient::ConsentAsk { ask, kind: Ask::View, words, .. } => Some((ask, words)),
            _ => None,
        });
        let (ask, words) = asked.expect("a question");
        self.say(VISITOR, &ToRelay::Consent { ask, accept: true, words: Some(words) });
        Agent(pipe)
    }

    pub(super) fn leave(&mut self, agent: Agent) {
        self.say(agent.0, &ToRelay::Leave);
    }

    pub(super) fn pause(&mut self, on: bool) {
        self.say(VISITOR, &ToRelay::Pause { on });
    }

    pub(super) fn end(&mut self) {
        self.engine.handle_command(self.now, Command::End { session: SESSION, code: Code::Ended });
        self.settle();
    }

    /// The session ends, and a question follows in the same turn.
    pub(super) fn end_and_watch(&mut self, rights: Rights) -> Result<ResourceOutput, Refusal> {
        self.engine.handle_command(self.now, Command::End { session: SESSION, code: Code::Ended });
        let mut client = Client::new(SocketAddr::from(([10, 0, 3, 1], 5_000)), self.now, Speaks::Everything);
        let sdp = client.offer_to_watch();
        self.ask(ResourceKind::Whep, "late", rights, Some(MediaSource::Slot(Slot::Agent)), &sdp)
    }

    pub(super) fn keep(&mut self, empty_max: Duration) {
        self.engine.handle_command(self.now, Command::Keep { session: SESSION, empty_max });
        self.settle();
    }

    /// The agent captures a screen and shares it, as a browser does.
    pub(super) fn share_as_agent(&mut self, agent: Agent) {
        let index = self.clients.len();
        let address = SocketAddr::from(([10, 0, 2, index as u8], 5_000));
        let mut client = Client::new(address, self.now, Speaks::Everything);
        let sdp = client.offer();
        self.say(agent.0, &ToRelay::Offer { sdp });
        let answer = self.signals(agent).into_iter().find_map(|signal| match signal {
            ToClient::Answer { sdp } => Some(sdp),
            _ => None,
        });
        client.answer(&answer.expect("an answer"));
        let mid = client.share.expect("offered").to_string();
        self.clients.push(client);
        self.connect(index);
        let surface = Some(fanlight_wire::policy::Surface::Browser);
        self.say(
            agent.0,
            &ToRelay::ShareStart { mid, surface, audio_mid: None, grant: None, url: None, assurance: None },
        );
        self.send_frames(index, 3);
    }

    /// The agent's page offers to receive the visitor's screen and camera; which client that is.
    pub(super) fn watch_as_agent(&mut self, agent: Agent) -> usize {
        let index = self.clients.len();
        let address = SocketAddr::from(([10, 0, 2, index as u8], 5_000));
        self.clients.push(Client::new(address, self.now, Speaks::Everything));
        for camera in [false, true] {
            let client = &mut self.clients[index];
            let sdp = if camera { client.offer_camera_view() } else { client.offer() };
            self.say(agent.0, &ToRelay::Offer { sdp });
            let answer = self.signals(agent).into_iter().find_map(|signal| match signal {
                ToClient::Answer { sdp } => Some(sdp),
                _ => None,
            });
            self.clients[index].answer(&answer.expect("an answer"));
            self.connect(index);
        }
        index
    }

    /// Agents may do no more than this from now on.
    pub(super) fn narrow(&mut self, agents: Capabilities) {
        let narrowing = Narrowing { policy: Policy::default(), agents, subjects: Vec::new() };
        self.command_both(&Command::Narrow { session: SESSION, narrowing: Box::new(narrowing) });
    }

    pub(super) fn revoke(&mut self, role: Role, subject: &str) {
        let whom = Whom::One { role, subject: subject.into() };
        self.command_both(&Command::Revoke { session: SESSION, whom, epoch: u32::MAX, code: Code::Ticket });
    }

    pub(super) fn signals(&mut self, agent: Agent) -> Vec<ToClient> {
        self.mail.remove(&agent.0).unwrap_or_default()
    }

    /// What the visitor was last told about the agents' slot.
    pub(super) fn phase_seen_by_visitor(&self) -> Option<SharePhase> {
        let told = self.mail.get(&VISITOR)?.iter().rev();
        told.filter_map(|signal| match signal {
            ToClient::Share(share) if share.slot == Slot::Agent => Some(share.phase),
            _ => None,
        })
        .next()
    }

    fn join(&mut self, pipe: PipeId, role: Role, name: &str) {
        let (name, subject, capabilities) = (name.to_owned(), name.to_owned(), role.ceiling());
        let admission = Box::new(Admission { session: SESSION, role, capabilities, name, subject, epoch: 1 });
        self.engine.handle_pipe(self.now, pipe, PipeInput::Join { admission, client: ClientInfo::default() });
        self.settle();
    }

    fn say(&mut self, pipe: PipeId, signal: &ToRelay) {
        self.engine.handle_pipe(self.now, pipe, PipeInput::Frame(signal.to_frame().expect("small")));
        self.settle();
    }

    // ---- what there is ----

    /// Resources of each kind.
    pub(super) fn counts(&mut self) -> [u64; 2] {
        self.engine.totals().media_resources
    }

    /// Why resources ended, since this was last asked.
    pub(super) fn ends(&mut self) -> Vec<Code> {
        std::mem::take(&mut self.ends)
    }

    pub(super) const fn is_open(&self) -> bool {
        !self.ended
    }

    // ---- the wire ----

    /// In one turn, DTLS from one client and then a frame from another: how many looks at the engine it takes until
    /// nothing waits, and to how many clients something left with the first.
    pub(super) fn flood_with_dtls(&mut self, flooder: usize, records: usize, publisher: usize) -> (usize, usize) {
        let record = [22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 1];
        let from = self.clients[flooder].address;
        for _ in 0..records {
            self.hand(from, &mut record.clone());
        }
        self.hand_frame(publisher);
        let mut outbox = Outbox::default();
        let mut looks = 1;
        let mut more = self.engine.poll_datagrams(&mut outbox);
        let reached = outbox.trains().len();
        while more {
            looks += 1;
            more = self.engine.poll_datagrams(&mut outbox);
        }
        (looks, reached)
    }

    /// In which order the clients are served with one more frame of this publisher.
    pub(super) fn served(&mut self, publisher: usize) -> Vec<usize> {
        self.hand_frame(publisher);
        let mut outbox = Outbox::default();
        while self.engine.poll_datagrams(&mut outbox) {}
        let at = |train: &Train| self.clients.iter().position(|client| client.address == train.destination);
        outbox.trains().iter().filter_map(at).filter(|client| *client != publisher).collect()
    }

    fn hand_frame(&mut self, publisher: usize) {
        let sequence = self.sent.get(&publisher).copied().unwrap_or_default() + 1;
        self.sent.insert(publisher, sequence);
        self.clients[publisher].send(sequence, 90_000, true, &DELTA);
        for (_, mut payload) in self.clients[publisher].poll() {
            self.hand(self.clients[publisher].address, &mut payload);
        }
    }

    fn hand(&mut self, source: SocketAddr, payload: &mut [u8]) {
        self.hand_to(RELAY.into(), source, payload);
    }

    fn hand_to(&mut self, destination: SocketAddr, source: SocketAddr, payload: &mut [u8]) {
        let engine = if destination == RELAY.into() { &mut self.engine } else { &mut self.second };
        engine.handle_datagram(self.now, Datagram { transport: Transport::Udp, source, destination, payload });
    }

    fn connect(&mut self, client: usize) {
        for _ in 0..100 {
            self.pass(Duration::from_millis(50));
            if self.clients[client].connected {
                return;
            }
        }
        panic!("client {client} did not connect");
    }

    pub(super) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        self.settle();
        loop {
            let next = self.clients.iter().map(|client| client.timeout).chain(self.engine.deadline().at);
            let next = next.chain(self.second.deadline().at).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            // Something due at once would otherwise hold the clock.
            self.now = next.max(self.now + Duration::from_millis(1));
            for client in self.clients.iter_mut().filter(|client| client.timeout <= self.now) {
                client.handle_timeout(self.now);
            }
            self.engine.handle_timeout(self.now);
            self.second.handle_timeout(self.now);
            self.settle();
        }
        self.now = end.max(self.now);
        self.settle();
    }

    /// Until nobody has anything to say.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            let to_relay = self.clients_say();
            let to_clients = self.relays_say();
            if to_relay.is_empty() && to_clients.is_empty() && !self.shards_say() {
                return;
            }
            for (source, destination, mut payload) in to_relay {
                self.hand_to(destination, source, &mut payload);
            }
            for (source, destination, payload) in to_clients {
                let found = self.clients.iter().position(|client| client.address == destination);
                if let Some(index) = found.filter(|index| !self.cut.contains(index)) {
                    self.clients[index].receive(self.now, source, &payload);
                }
            }
        }
        panic!("the wire never falls silent");
    }

    fn clients_say(&mut self) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
        let mut said = Vec::new();
        for (index, client) in self.clients.iter_mut().enumerate() {
            let from = client.address;
            let sent = client.poll().into_iter().filter(|_| !self.cut.contains(&index));
            said.extend(sent.map(|(to, payload)| (from, to, payload)));
        }
        said
    }

    fn relays_say(&mut self) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
        let mut said = Vec::new();
        for engine in [&mut self.engine, &mut self.second] {
            let mut outbox = Outbox::default();
            let mut more = true;
            while more {
                more = engine.poll_datagrams(&mut outbox);
            }
            for train in outbox.trains() {
                let sent = outbox.segments(train);
                said.extend(sent.map(|segment| (train.source, train.destination, segment.to_vec())));
            }
        }
        assert_eq!(self.second.poll_pipe(), None, "nobody is on a mirror");
        while let Some(report) = self.second.poll_report() {
            match report {
                Report::ResourceGone { code, .. } => self.ends.push(code),
                Report::ResourceMade { .. } => {}
                other => panic!("a mirror reports {other:?}"),
            }
        }
        while let Some((pipe, output)) = self.engine.poll_pipe() {
            if let PipeOutput::Frame(frame) = output {
                self.engine.handle_pipe(self.now, pipe, PipeInput::Credit(frame.bytes().len()));
                if frame.header().kind == Kind::Signal {
                    let signal = ToClient::parse(frame.payload()).expect("our own signal");
                    self.mail.entry(pipe).or_default().push(signal);
                }
            }
        }
        while let Some(report) = self.engine.poll_report() {
            match report {
                Report::ResourceGone { code, .. } => self.ends.push(code),
                Report::Ended { .. } => self.ended = true,
                _ => {}
            }
        }
        said
    }
}

/// The engine of a shard that knows nothing yet.
fn born(shard: u8, certificate: &Certificate, now: Instant) -> Engine {
    let udp = vec![if shard == 0 { RELAY.into() } else { SECOND.into() }];
    let media = PeerConfig { shard: ShardId(shard), udp, tcp: Vec::new(), certificate: certificate.clone() };
    Engine::new(media, Entropy::seeded(1 + u64::from(shard)), now)
}

fn named(made: &Made, kind: ResourceKind) -> ResourceRef {
    ResourceRef { session: SESSION, kind, resource: made.resource, subject: made.subject.clone() }
}
