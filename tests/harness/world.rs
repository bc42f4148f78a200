//! One engine, one session, its participants, and the time between them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use fanlight_engine::{Certificate, Datagram, Engine, Entropy, Outbox, PeerConfig, PipeInput, PipeOutput, Transport};
use fanlight_loadtest::clock;
use fanlight_loadtest::media::{Path, Publication, Transmit};
use fanlight_wire::command::{Admission, Command, Narrowing};
use fanlight_wire::policy::{Policy, Role, Surface};
use fanlight_wire::report::Report;
use fanlight_wire::signal::{ClientInfo, Slot, Stage, ToRelay};
use fanlight_wire::{Frame, GroupId, Header, Kind, PipeId, SessionId, ShardId};
use str0m_netem::NetemConfig;

use crate::actor::{Actor, Link, MediaPath};
use crate::oracle::Floors;

mod behaviour;
mod time;

/// Where the simulated relay is.
pub const RELAY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 7730);
/// How long a story waits for anything.
const PATIENCE: Duration = Duration::from_secs(30);
/// Steps at one instant after which a world counts as stuck in a loop.
const STEPS_MAX: u32 = 100_000;

/// A participant of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who(pub usize);

/// How a participant's frames and media travel.
#[derive(Debug, Clone)]
pub struct Route {
    /// One way, for frames.
    pub latency: Duration,
    /// Each way, for media.
    pub media: NetemConfig,
    /// Does `media` deliver in the order of sending (no jitter, no reordering)?
    pub keeps_order: bool,
    pub path: Path,
}

impl Default for Route {
    fn default() -> Self {
        let latency = Duration::from_millis(5);
        Self { latency, media: NetemConfig::new().latency(latency), keeps_order: true, path: Path::Udp }
    }
}

#[derive(Debug)]
enum Delivery {
    ToRelay(PipeId, PipeInput),
    ToActor(Who, PipeId, PipeOutput),
}

/// One engine, one session, its participants.
#[derive(Debug)]
pub struct World {
    pub seed: u64,
    pub floors: Floors,
    pub reports: Vec<Report>,
    pub route: Route,
    pub session: SessionId,
    /// Datagrams that participants sent, kept while somebody listens on the wire.
    pub overheard: Option<Vec<Transmit>>,
    /// Datagrams that the relay sent to an address where no participant is.
    pub strays: Vec<(SocketAddr, usize)>,
    engine: Engine,
    outbox: Outbox,
    start: Instant,
    now: Instant,
    actors: Vec<Actor>,
    flying: BTreeMap<(Instant, u64), Delivery>,
    sent: u64,
    pipes: BTreeMap<PipeId, Who>,
    last_share: u32,
    steps: u32,
}

/// One certificate for all worlds: making one costs more than a short story.
fn certificate() -> Certificate {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    CERTIFICATE.get_or_init(|| Certificate::generate().expect("a certificate")).clone()
}

impl World {
    /// A world with an open session and nobody in it. The same seed draws the same credentials, losses and choices.
    pub fn new(seed: u64) -> Self {
        Self::with_policy(seed, Policy::default())
    }

    pub fn with_policy(seed: u64, policy: Policy) -> Self {
        let start = clock::now();
        let media = PeerConfig { shard: ShardId(0), udp: vec![RELAY], tcp: vec![RELAY], certificate: certificate() };
        let mut engine = Engine::new(media, Entropy::seeded(seed), start);
        let session = SessionId::from_bytes((u128::from(seed) | 1 << 127).to_be_bytes());
        let group = GroupId::new("demo").expect("a legal group");
        engine.handle_command(start, Command::Open { session, group, policy });
        Self {
            seed,
            floors: Floors::default(),
            reports: Vec::new(),
            route: Route::default(),
            session,
            overheard: None,
            strays: Vec::new(),
            engine,
            outbox: Outbox::default(),
            start,
            now: start,
            actors: Vec::new(),
            flying: BTreeMap::new(),
            sent: 0,
            pipes: BTreeMap::new(),
            last_share: 0,
            steps: 0,
        }
    }

    /// Time since the world began.
    pub fn age(&self) -> Duration {
        self.now - self.start
    }

    pub fn now_us(&self) -> u64 {
        u64::try_from(self.age().as_micros()).unwrap_or(u64::MAX)
    }

    pub fn actor(&self, who: Who) -> &Actor {
        &self.actors[who.0]
    }

    pub fn actor_mut(&mut self, who: Who) -> &mut Actor {
        &mut self.actors[who.0]
    }

    /// Where a participant's media comes from.
    pub fn address(&self, who: Who) -> SocketAddr {
        self.actors[who.0].address
    }

    pub fn everybody(&self) -> impl Iterator<Item = Who> + use<> {
        (0..self.actors.len()).map(Who)
    }

    pub const fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Somebody comes with a ticket of this role. The name is the subject, too.
    pub fn enter(&mut self, role: Role, name: &str) -> Who {
        let who = Who(self.actors.len());
        let ip = Ipv4Addr::new(10, 1, 0, u8::try_from(who.0 + 1).expect("few actors"));
        self.actors.push(Actor::new(role, name, SocketAddr::new(ip.into(), 5_000)));
        self.join(who);
        who
    }

    pub fn visitor(&mut self) -> Who {
        self.enter(Role::Visitor, "visitor")
    }

    pub fn agent(&mut self, name: &str) -> Who {
        self.enter(Role::Agent, name)
    }

    /// Joins (again) with a fresh ticket.
    pub fn join(&mut self, who: Who) {
        let actor = &self.actors[who.0];
        let admission = Admission {
            session: self.session,
            role: actor.role,
            capabilities: actor.role.ceiling(),
            name: actor.name.clone(),
            subject: actor.name.clone(),
            epoch: 1,
        };
        let input = PipeInput::Join { admission: Box::new(admission), client: ClientInfo::default() };
        self.open_pipe(who, input);
    }

    /// Comes back with the newest resume token on a new carrier.
    pub fn resume(&mut self, who: Who) {
        let token = self.actors[who.0].seat.resume().to_owned();
        let input = PipeInput::Resume { session: self.session, token, client: ClientInfo::default() };
        self.open_pipe(who, input);
    }

    /// A stranger tries a resume token; returns the code with which it is turned away.
    pub fn try_resume(&mut self, token: &str) -> Option<u16> {
        let pipe = PipeId(u64::MAX);
        let input = PipeInput::Resume { session: self.session, token: token.to_owned(), client: ClientInfo::default() };
        self.engine.handle_pipe(self.now, pipe, input);
        let mut closed = None;
        while self.engine.poll_datagrams(&mut self.outbox) {}
        self.spread();
        while let Some((to, output)) = self.engine.poll_pipe() {
            match output {
                PipeOutput::Close(code) if to == pipe => closed = Some(code.close_code()),
                PipeOutput::Frame(_) if to == pipe => return None,
                output => self.fly_down(to, output),
            }
        }
        closed
    }

    fn open_pipe(&mut self, who: Who, input: PipeInput) {
        let pipe = PipeId(self.sent + 1);
        self.cut_silently(who);
        self.pipes.insert(pipe, who);
        self.actors[who.0].pipe = Some(pipe);
        self.fly_up(pipe, input);
    }

    /// The carrier breaks; the relay notices.
    pub fn cut(&mut self, who: Who) {
        if let Some(pipe) = self.actors[who.0].pipe {
            self.fly_up(pipe, PipeInput::Closed);
        }
        self.cut_silently(who);
    }

    fn cut_silently(&mut self, who: Who) {
        let actor = &mut self.actors[who.0];
        actor.pipe = None;
        actor.waiting.clear();
        actor.seat.lost_carrier();
        self.floors.forget_requests(actor.asked.len() as u64);
        actor.asked.clear();
    }

    /// Sends a signal.
    pub fn tell(&mut self, who: Who, signal: &ToRelay) {
        self.send(who, vec![signal.to_frame().expect("a small signal")]);
    }

    /// Sends frames, if there is a carrier.
    pub fn send(&mut self, who: Who, frames: Vec<Frame>) {
        let Some(pipe) = self.actors[who.0].pipe else { return };
        for frame in frames {
            self.fly_up(pipe, PipeInput::Frame(frame));
        }
    }

    /// The visitor's page changes.
    pub fn edit(&mut self, who: Who, bytes: usize) {
        let at = self.now_us();
        if let Some(page) = self.actors[who.0].page.as_mut() {
            let frames = page.change(bytes, at);
            self.send(who, frames);
        }
    }

    /// Moves the own pointer.
    pub fn point(&mut self, who: Who) {
        let header = Header::single(Kind::PointerMove);
        self.send(who, vec![Frame::new(header, &[0x40, 0, 0x40, 0, 0]).expect("a small frame")]);
    }

    /// The visitor follows a link and comes back on a new carrier.
    pub fn load_another_page(&mut self, who: Who) {
        self.cut(who);
        self.actors[who.0].page = None;
        self.resume(who);
    }

    /// Sets up media and waits until it is connected.
    pub fn connect_media(&mut self, who: Who) {
        self.offer_media(who);
        self.until("the media connection", |world| world.actor(who).has_media());
    }

    /// Sends an offer; the answer is taken when it comes.
    pub fn offer_media(&mut self, who: Who) {
        let mut peer = fanlight_loadtest::media::Peer::new(self.now, self.now_us());
        let actor = &mut self.actors[who.0];
        peer.add_address(self.route.path, actor.address).expect("a usable address");
        let sdp = peer.offer();
        let seed = self.seed.wrapping_mul(31).wrapping_add(who.0 as u64 * 2);
        let link = |seed: u64| Link::new(self.route.media.seed(seed));
        actor.media = Some(MediaPath { peer, path: self.route.path, up: link(seed), down: link(seed + 1) });
        self.tell(who, &ToRelay::Offer { sdp });
    }

    /// From now on the relay's datagrams travel like this to a participant.
    pub fn change_way_down(&mut self, who: Who, config: NetemConfig) {
        self.actors[who.0].media.as_mut().expect("media was set up").down.change(config.seed(self.seed));
    }

    /// Captures a screen and asks for the own side's slot. Returns the share's number.
    pub fn share(&mut self, who: Who, grant: Option<u32>) -> u32 {
        self.last_share += 1;
        let share = self.last_share;
        let now = self.now;
        let connected = self.actors[who.0].pipe.is_some();
        let actor = &mut self.actors[who.0];
        let mid = actor.peer().own_mid();
        actor
            .peer()
            .publish(now, Publication { share, frames_per_second: 20, packets_per_frame: 2, packet_bytes: 200 });
        let slot = if actor.role == Role::Visitor { Slot::Visitor } else { Slot::Agent };
        self.floors.note_sender(share, slot, actor.seat.id());
        if connected {
            actor.asked.push_back(share);
            self.floors.note_request();
            let start = ToRelay::ShareStart {
                mid,
                surface: Some(Surface::Window),
                audio_mid: None,
                grant,
                url: None,
                assurance: None,
            };
            self.tell(who, &start);
        }
        share
    }

    pub fn stop_share(&mut self, who: Who) {
        self.actors[who.0].peer().stop();
        self.tell(who, &ToRelay::ShareStop);
    }

    /// A datagram from anywhere to the relay's media port, at once.
    pub fn inject(&mut self, source: SocketAddr, payload: &[u8]) {
        let mut payload = payload.to_vec();
        let datagram = Datagram { transport: Transport::Udp, source, destination: RELAY, payload: &mut payload };
        self.engine.handle_datagram(self.now, datagram);
        self.settle();
    }

    /// The oracles that hold when nothing is under way.
    ///
    /// # Panics
    /// When one does not hold.
    pub fn check(&self) {
        self.floors.check_answers();
        assert!(self.strays.is_empty(), "seed {}: sent to strangers: {:?}", self.seed, self.strays);
        let page = self.actors.iter().find_map(|actor| actor.page.as_ref());
        for actor in &self.actors {
            if let Some(watch) = actor.media.as_ref().and_then(|media| media.peer.watch()) {
                let who = format!("seed {}, {}", self.seed, actor.name);
                self.floors.check_watch(&who, watch, self.route.keeps_order);
            }
            let watches = actor.role != Role::Visitor && actor.pipe.is_some() && !actor.stuck;
            let consented = actor.seat.stage() == Some(Stage::Active);
            if let (true, true, Some(page)) = (watches, consented, page) {
                let have = actor.seat.mirror().state();
                assert_eq!(have, Some(page.state()), "seed {}: {}'s copy of the page", self.seed, actor.name);
            }
        }
    }

    /// A stuck participant reads again.
    pub fn unstick(&mut self, who: Who) {
        self.actors[who.0].stuck = false;
        let Some(pipe) = self.actors[who.0].pipe else { return };
        for output in std::mem::take(&mut self.actors[who.0].waiting) {
            self.deliver(who, pipe, output);
        }
    }

    /// Control enforces narrower rules; the visitor's page follows the mask epoch that rises with them.
    pub fn enforce(&mut self, narrowing: Narrowing) {
        let command = Command::Narrow { session: self.session, narrowing: Box::new(narrowing) };
        self.engine.handle_command(self.now, command);
        for page in self.actors.iter_mut().filter_map(|actor| actor.page.as_mut()) {
            page.hide_more();
        }
        self.settle();
    }

    /// The visitor hides more of its page from now on.
    pub fn hide_more(&mut self, who: Who) {
        let Some(page) = self.actors[who.0].page.as_mut() else { return };
        let epoch = page.hide_more();
        self.tell(who, &ToRelay::Mask { epoch });
    }
}
