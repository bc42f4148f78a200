//! Whole histories of the engine, read from bytes: pipes that open, speak and break, media resources, datagrams, and time.
//!
//! Whatever the history, the engine does not panic, only sends to pipes that are open, and gets past every deadline.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use fanlight_engine::{Certificate, Datagram, Engine, Entropy, Outbox, PeerConfig, PipeInput, PipeOutput, Transport};
use fanlight_loadtest::clock;
use fanlight_wire::command::{Admission, Command};
use fanlight_wire::consent::{Matter, Question};
use fanlight_wire::frame::Header;
use fanlight_wire::policy::{Mode, Policy, Role};
use fanlight_wire::resource::{
    Condition, MediaSource, ResourceId, ResourceInput, ResourceKind, ResourceOutput, ResourceRef,
};
use fanlight_wire::signal::{ClientInfo, ToRelay};
use fanlight_wire::sites::Assurance;
use fanlight_wire::{Code, Frame, GroupId, Kind, MaskEpoch, PageEpoch, PipeId, Sequence, SessionId, ShardId, StreamId};

const RELAY: ([u8; 4], u16) = ([10, 0, 0, 1], 7_730);
const SESSION: SessionId = SessionId::from_bytes([7; 16]);
/// Pipes of a history.
const PIPES: u8 = 6;
/// Calls of `handle_timeout` at one instant after which the engine counts as stuck.
const TIMEOUTS_MAX: u32 = 1_000;

/// One offer for all histories, so that an input means the same in every run.
pub(crate) fn offer() -> String {
    static OFFER: OnceLock<String> = OnceLock::new();
    OFFER.get_or_init(crate::targets::real_offer).clone()
}

/// Takes numbers off the input; zeros when it is used up.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn bytes(&mut self) -> &'a [u8] {
        let wanted = usize::from(self.byte());
        let (taken, rest) = self.0.split_at(wanted.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

struct History {
    engine: Engine,
    outbox: Outbox,
    now: std::time::Instant,
    open: BTreeSet<PipeId>,
    made: Vec<(ResourceKind, ResourceId)>,
    born: u64,
}

pub(crate) fn engine(input: &[u8]) {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    let certificate = CERTIFICATE.get_or_init(|| Certificate::generate().expect("a certificate")).clone();
    let address = SocketAddr::from(RELAY);
    let config = PeerConfig { shard: ShardId(0), udp: vec![address], tcp: vec![address], certificate };
    let now = clock::now();
    let mut engine = Engine::new(config, Entropy::seeded(1), now);
    let group = GroupId::new("demo").expect("a legal group");
    engine.handle_command(now, Command::Open { session: SESSION, group, policy: Policy::default() });
    let mut history =
        History { engine, outbox: Outbox::default(), now, open: BTreeSet::new(), made: Vec::new(), born: 0 };
    let mut script = Script(input);
    while !script.0.is_empty() {
        history.act(&mut script);
        history.settle();
    }
    // Whatever was left half done, an hour later the session is over and forgotten.
    history.pass(Duration::from_secs(3_600));
    history.settle();
    assert_eq!(history.engine.totals().media_resources, [0, 0], "resources without media go away");
}

impl History {
    fn act(&mut self, script: &mut Script<'_>) {
        let what = script.byte();
        let pipe = PipeId(u64::from(script.byte() % PIPES));
        match what % 11 {
            0 => self.join(pipe, script),
            1 => {
                let signal = signal(script);
                self.frame(pipe, signal.to_frame().ok());
            }
            2 => self.frame(pipe, dom_frame(script)),
            3 => {
                let kind = Kind::ALL[usize::from(script.byte()) % Kind::ALL.len()];
                let payload = script.bytes();
                self.frame(pipe, Frame::new(Header::single(kind), payload).ok());
            }
            4 => self.pass(Duration::from_millis(u64::from(script.byte()) * 37)),
            5 => {
                self.engine.handle_pipe(self.now, pipe, PipeInput::Closed);
                self.open.remove(&pipe);
            }
            6 => self.engine.handle_pipe(self.now, pipe, PipeInput::Credit(usize::from(script.byte()) * 997)),
            7 => self.datagram(script),
            8 => {
                let token = String::from_utf8_lossy(script.bytes()).into_owned();
                // A host speaks of a join or a resume once per pipe.
                if !self.open.insert(pipe) {
                    return;
                }
                let input = PipeInput::Resume { session: SESSION, token, client: ClientInfo::default() };
                self.engine.handle_pipe(self.now, pipe, input);
            }
            9 => self.command(script),
            _ => self.resource(script),
        }
    }

    /// By WHIP or WHEP: a new resource, or a change to the last one.
    fn resource(&mut self, script: &mut Script<'_>) {
        let kind = ResourceKind::ALL[usize::from(script.byte()) % ResourceKind::ALL.len()];
        let role = Role::ALL[usize::from(script.byte()) % Role::ALL.len()];
        let subject = format!("subject {}", script.byte() % 4);
        let (last_kind, resource) = self.made.last().copied().unwrap_or((kind, ResourceId::from_bytes([0; 16])));
        let of = ResourceRef { session: SESSION, kind: last_kind, resource, subject: subject.clone() };
        let input = match script.byte() % 4 {
            0 => ResourceInput::Delete { of },
            1 => {
                let fragment = String::from_utf8_lossy(script.bytes()).into_owned();
                ResourceInput::Patch { of, condition: Condition::Any, fragment }
            }
            _ => {
                let named = usize::from(script.byte());
                let source = MediaSource::NAMES.get(named % 8).map(|(_, source)| *source);
                let capabilities = role.ceiling();
                let admission =
                    Admission { session: SESSION, role, capabilities, name: "tool".into(), subject, epoch: 1 };
                let sdp = of_a_tool(&changed_offer(script));
                ResourceInput::Create { kind, admission, source, sdp }
            }
        };
        if let Ok(ResourceOutput::Created { resource, .. }) = self.engine.handle_resource(self.now, input) {
            self.made.push((kind, resource));
        }
    }

    fn join(&mut self, pipe: PipeId, script: &mut Script<'_>) {
        if !self.open.insert(pipe) {
            return;
        }
        self.born += 1;
        let role = Role::ALL[usize::from(script.byte()) % Role::ALL.len()];
        let admission = Admission {
            session: SESSION,
            role,
            capabilities: role.ceiling(),
            name: format!("member {}", self.born),
            subject: format!("subject {}", script.byte() % 4),
            epoch: 1,
        };
        let input = PipeInput::Join { admission: Box::new(admission), client: ClientInfo::default() };
        self.engine.handle_pipe(self.now, pipe, input);
    }

    fn frame(&mut self, pipe: PipeId, frame: Option<Frame>) {
        if let Some(frame) = frame {
            self.engine.handle_pipe(self.now, pipe, PipeInput::Frame(frame));
        }
    }

    fn datagram(&mut self, script: &mut Script<'_>) {
        let port = 5_000 + u16::from(script.byte() % 3);
        let transport = if port == 5_000 { Transport::Tcp(StreamId(1)) } else { Transport::Udp };
        let mut payload = script.bytes().to_vec();
        let datagram = Datagram {
            transport,
            source: SocketAddr::from(([10, 0, 0, 9], port)),
            destination: SocketAddr::from(RELAY),
            payload: &mut payload,
        };
        self.engine.handle_datagram(self.now, datagram);
    }

    fn command(&mut self, script: &mut Script<'_>) {
        let group = GroupId::new("demo").expect("a legal group");
        let command = match script.byte() % 16 {
            0 => Command::End { session: SESSION, code: Code::Ended },
            1 => Command::Drain { within: Duration::from_secs(5) },
            2 => Command::Keep { session: SESSION, empty_max: Duration::from_secs(script.byte().into()) },
            _ => Command::Open { session: SESSION, group, policy: Policy::default() },
        };
        self.engine.handle_command(self.now, command);
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut here = 0;
        while let Some(at) = self.engine.deadline().at.filter(|at| *at <= end) {
            here = if at > self.now { 0 } else { here + 1 };
            assert!(here < TIMEOUTS_MAX, "the engine does not get past {:?}", self.engine.deadline().reason);
            self.now = self.now.max(at);
            self.engine.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    fn settle(&mut self) {
        while self.engine.poll_datagrams(&mut self.outbox) {}
        self.outbox.clear();
        while let Some((pipe, output)) = self.engine.poll_pipe() {
            match output {
                PipeOutput::Frame(frame) => {
                    assert!(self.open.contains(&pipe), "a frame for {pipe:?}, which is closed");
                    assert!(Frame::parse(frame.bytes().clone()).is_ok());
                }
                PipeOutput::Close(_) => {
                    self.open.remove(&pipe);
                }
            }
        }
        while self.engine.poll_report().is_some() {}
    }
}

fn signal(script: &mut Script<'_>) -> ToRelay {
    let number = u32::from(script.byte() % 8);
    let text = |script: &mut Script<'_>| String::from_utf8_lossy(script.bytes()).into_owned();
    match script.byte() % 16 {
        0 | 1 => {
            // Six: the words of something else.
            let matter = if number == 6 { Matter::Control } else { Matter::View };
            ToRelay::Consent { ask: number, accept: number != 7, words: Some(Question::standard(matter).words()) }
        }
        2 => ToRelay::Mask { epoch: MaskEpoch::new(number) },
        3 => ToRelay::Pause { on: number % 2 == 0 },
        4 => ToRelay::Resync,
        5 => ToRelay::Offer { sdp: changed_offer(script) },
        6 => ToRelay::ShareStart {
            mid: text(script),
            surface: None,
            audio_mid: None,
            grant: Some(number),
            url: None,
            assurance: None,
        },
        7 => ToRelay::ShareStop,
        8 => ToRelay::ShareInvite,
        9 => ToRelay::ShareAccept { grant: number, words: Some(Question::standard(Matter::Screen).words()) },
        10 => ToRelay::ShareDecline { grant: number, reason: text(script) },
        11 => ToRelay::ModeSet { mode: Mode::ALL[number as usize % Mode::ALL.len()] },
        12 if number == 0 => ToRelay::Leave,
        13 if number == 0 => ToRelay::End,
        14 => {
            let words = Some(Question::standard(Matter::Camera).words());
            ToRelay::CameraStart { mid: text(script), words }
        }
        15 => ToRelay::CameraStop,
        12 => ToRelay::ShareStatement { url: Some(text(script)), assurance: Assurance::Proved },
        13 if number == 1 => ToRelay::MaskError,
        _ => ToRelay::Ping { at: 1.0 },
    }
}

/// The real offer, with a few bytes replaced by what the script says.
fn changed_offer(script: &mut Script<'_>) -> String {
    let mut sdp = offer().into_bytes();
    for _ in 0..script.byte() % 4 {
        let at = usize::from(script.byte()) * 16 + usize::from(script.byte() % 16);
        let patch = script.bytes();
        if at < sdp.len() {
            let end = (at + patch.len()).min(sdp.len());
            sdp.splice(at..end, patch.iter().copied());
        }
    }
    String::from_utf8_lossy(&sdp).into_owned()
}

/// The first picture and the first sound of an offer, flowing as a tool needs them.
fn of_a_tool(offer: &str) -> String {
    let end = offer.match_indices("m=").nth(2).map_or(offer.len(), |(at, _)| at);
    let kept = || offer[..end].lines().filter(|line| !line.starts_with("a=recvonly"));
    let mids: Vec<&str> = kept().filter_map(|line| line.strip_prefix("a=mid:")).collect();
    let group = format!("a=group:BUNDLE {}", mids.join(" "));
    kept().flat_map(|line| [if line.starts_with("a=group:BUNDLE") { &group } else { line }, "\r\n"]).collect()
}

fn dom_frame(script: &mut Script<'_>) -> Option<Frame> {
    let kind = [Kind::Snapshot, Kind::Diff, Kind::Asset][usize::from(script.byte() % 3)];
    let chunks = u16::from(script.byte() % 4);
    let header = Header {
        page_epoch: PageEpoch::new((script.byte() % 4).into()),
        mask_epoch: MaskEpoch::new((script.byte() % 3).into()),
        sequence: Sequence((script.byte() % 8).into()),
        message: u32::from(script.byte() % 8),
        chunk_index: u16::from(script.byte() % 4),
        chunk_count: chunks,
        ..Header::single(kind)
    };
    Frame::new(header, script.bytes()).ok()
}

/// A visitor and an agent meet, a page flows, a share is asked for; and the same with breaks.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let visitor = [0, 0, 0, 0];
    let agent = [0, 1, 1, 1];
    let consent = [1, 0, 1, 0];
    let snapshot = [2, 0, 0, 1, 1, 0, 0, 1, 0, 3, b'[', b'x', b']'];
    let diff = |sequence| [2, 0, 1, 1, 1, 0, sequence, 2, 0, 2, b'[', b']'];
    let offer = [1, 1, 0, 5, 0];
    let share = [1, 1, 0, 6, 1, b'2'];
    let wait = [4, 0, 200];
    let meet = [&visitor[..], &agent, &consent, &snapshot, &diff(1), &diff(2)].concat();
    let screen = [&meet[..], &offer, &share, &wait, &[1, 1, 0, 7], &wait].concat();
    let broken = [&meet[..], &[5, 1], &diff(3), &[8, 1, 3, b'a', b'.', b'b'], &wait, &[5, 0], &wait].concat();
    let masked = [&meet[..], &[1, 0, 2, 2], &diff(3), &wait, &snapshot, &[1, 1, 0, 4], &wait].concat();
    let noise = [&screen[..], &[7, 0, 1, 4, 0, 1, 0, 0], &[7, 0, 2, 3, 22, 254, 253], &[9, 0, 1], &wait].concat();
    let whip = [10, 0, 0, 3, 1, 2, 0, 0];
    let whep = [10, 0, 1, 3, 1, 2, 7, 0];
    let restart = [&[10, 0, 1, 3, 1, 1, 51][..], b"a=ice-ufrag:abcd\na=ice-pwd:0123456789012345678901\r\n"].concat();
    let delete = [10, 0, 1, 3, 1, 0];
    let tools = [&whip[..], &whep, &restart, &wait, &meet, &whep, &delete, &wait, &[1, 0, 3, 0], &wait].concat();
    vec![meet, screen, broken, masked, noise, tools]
}
