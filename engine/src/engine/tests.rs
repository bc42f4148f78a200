//! Joining, consent, the page's way and coming back, without media.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use fanlight_wire::command::{Admission, Command};
use fanlight_wire::frame::{Frame, Header, Kind};
use fanlight_wire::policy::{Capabilities, Mode, Policy, Role};
use fanlight_wire::report::Report;
use fanlight_wire::signal::{Ask, ClientInfo, Presence, Stage, ToClient, ToRelay};
use fanlight_wire::{Code, GroupId, MaskEpoch, PageEpoch, PipeId, Sequence, SessionId, ShardId};

use super::Engine;
use crate::entropy::Entropy;
use crate::outbox::Outbox;
use crate::peer::{Certificate, PeerConfig};
use crate::pipe::{PipeInput, PipeOutput};

const SESSION: SessionId = SessionId::from_bytes([7; 16]);
const VISITOR: PipeId = PipeId(1);
const ANN: PipeId = PipeId(2);
const BEN: PipeId = PipeId(3);

struct Table {
    engine: Engine,
    now: Instant,
    /// What each pipe was given and nobody has read yet.
    mail: BTreeMap<PipeId, Vec<PipeOutput>>,
}

impl Table {
    #[expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
    fn with(policy: Policy) -> Self {
        let now = Instant::now();
        let certificate = Certificate::generate().expect("a certificate");
        let media = PeerConfig { shard: ShardId(0), udp: Vec::new(), tcp: Vec::new(), certificate };
        let mut engine = Engine::new(media, Entropy::seeded(1), now);
        let group = GroupId::new("demo").expect("legal");
        engine.handle_command(now, Command::Open { session: SESSION, group, policy });
        Self { engine, now, mail: BTreeMap::new() }
    }

    fn new() -> Self {
        Self::with(Policy::default())
    }

    fn join(&mut self, pipe: PipeId, role: Role, name: &str) -> Vec<ToClient> {
        let admission = Admission {
            session: SESSION,
            role,
            capabilities: role.ceiling(),
            name: name.into(),
            subject: name.into(),
            epoch: 0,
        };
        self.give(pipe, PipeInput::Join { admission: Box::new(admission), client: ClientInfo::default() });
        self.signals(pipe)
    }

    /// A visitor, and Ann, who was let in.
    fn active() -> Self {
        let mut table = Self::new();
        table.join(VISITOR, Role::Visitor, "Visitor");
        table.join(ANN, Role::Agent, "Ann");
        table.accept();
        table.signals(ANN);
        table
    }

    fn give(&mut self, pipe: PipeId, input: PipeInput) {
        self.engine.handle_pipe(self.now, pipe, input);
    }

    fn say(&mut self, pipe: PipeId, signal: &ToRelay) {
        self.give(pipe, PipeInput::Frame(signal.to_frame().expect("small")));
    }

    /// The visitor says yes to whatever is asked.
    fn accept(&mut self) {
        let asked = self.signals(VISITOR).into_iter().find_map(|signal| match signal {
            ToClient::ConsentAsk { ask, kind: Ask::View, words, .. } => Some((ask, words)),
            _ => None,
        });
        let (ask, words) = asked.expect("a question");
        self.say(VISITOR, &ToRelay::Consent { ask, accept: true, words: Some(words) });
    }

    fn dom(&mut self, kind: Kind, page: u32, sequence: u32) {
        let header = Header {
            page_epoch: PageEpoch::new(page),
            sequence: Sequence(sequence),
            message: sequence + 100,
            ..Header::single(kind)
        };
        let frame = Frame::new(header, format!("{page}.{sequence}").as_bytes()).expect("small");
        self.give(VISITOR, PipeInput::Frame(frame));
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.engine.deadline().at.filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.engine.handle_timeout(self.now);
            while self.engine.poll_datagrams(&mut Outbox::default()) {}
            self.deliver();
        }
        self.now = end;
    }

    fn deliver(&mut self) {
        while let Some((pipe, output)) = self.engine.poll_pipe() {
            if let PipeOutput::Frame(frame) = &output {
                self.engine.handle_pipe(self.now, pipe, PipeInput::Credit(frame.bytes().len()));
            }
            self.mail.entry(pipe).or_default().push(output);
        }
    }

    fn outputs(&mut self, pipe: PipeId) -> Vec<PipeOutput> {
        self.deliver();
        self.mail.remove(&pipe).unwrap_or_default()
    }

    fn signals(&mut self, pipe: PipeId) -> Vec<ToClient> {
        let frames = self.outputs(pipe).into_iter().filter_map(|output| match output {
            PipeOutput::Frame(frame) if frame.header().kind == Kind::Signal => Some(frame),
            _ => None,
        });
        frames.map(|frame| ToClient::parse(frame.payload()).expect("our own signal")).collect()
    }

    /// Sequence numbers of the DOM frames that a pipe got.
    fn page_of(&mut self, pipe: PipeId) -> Vec<String> {
        let frames = self.outputs(pipe).into_iter().filter_map(|output| match output {
            PipeOutput::Frame(frame) if frame.header().kind != Kind::Signal => Some(frame),
            _ => None,
        });
        frames.map(|frame| String::from_utf8_lossy(frame.payload()).into_owned()).collect()
    }
}

fn resume_of(signals: &[ToClient]) -> String {
    let token = signals.iter().find_map(|signal| match signal {
        ToClient::Welcome { resume, .. } => Some(resume.clone()),
        _ => None,
    });
    token.expect("a welcome")
}

#[test]
fn nothing_flows_before_the_visitor_has_agreed() {
    // R116, R117
    let mut table = Table::new();
    table.join(VISITOR, Role::Visitor, "Visitor");
    let welcome = table.join(ANN, Role::Agent, "Ann");
    assert!(matches!(welcome.first(), Some(ToClient::Welcome { stage: Stage::Waiting, .. })), "{welcome:?}");
    table.dom(Kind::Snapshot, 1, 0);
    let refused = table.signals(VISITOR);
    assert!(
        refused.iter().any(|signal| matches!(signal, ToClient::Denied { refusal, .. } if refusal.code == Code::State))
    );
    assert!(table.page_of(ANN).is_empty());
}

#[test]
fn a_page_reaches_the_agents_and_a_late_one_costs_the_visitor_nothing() {
    let mut table = Table::active();
    table.dom(Kind::Snapshot, 1, 0);
    table.dom(Kind::Diff, 1, 1);
    assert_eq!(table.page_of(ANN), ["1.0", "1.1"]);

    table.join(BEN, Role::Agent, "Ben");
    table.dom(Kind::Diff, 1, 2);
    let asked = table.engine.totals().snapshot_requests;
    table.accept();
    assert_eq!(table.page_of(BEN), ["1.0", "1.1", "1.2"]);
    assert_eq!(table.engine.totals().snapshot_requests, asked, "a late agent asks nothing of the visitor");
}

#[test]
fn a_no_ends_the_agents_visit_and_is_remembered() {
    let mut table = Table::new();
    table.join(VISITOR, Role::Visitor, "Visitor");
    table.join(ANN, Role::Agent, "Ann");
    table.say(VISITOR, &ToRelay::Consent { ask: 1, accept: false, words: None });
    let outputs = table.outputs(ANN);
    assert_eq!(outputs.last(), Some(&PipeOutput::Close(Code::Consent)), "{outputs:?}");
    let admission = Admission {
        session: SESSION,
        role: Role::Agent,
        capabilities: Capabilities::NONE,
        name: "Ann".into(),
        subject: "Ann".into(),
        epoch: 0,
    };
    table.give(BEN, PipeInput::Join { admission: Box::new(admission), client: ClientInfo::default() });
    assert_eq!(table.outputs(BEN), [PipeOutput::Close(Code::Consent)]);
}

#[test]
fn whoever_comes_back_is_the_same_with_the_same_rights() {
    let mut table = Table::new();
    let welcome = table.join(VISITOR, Role::Visitor, "Visitor");
    let token = resume_of(&welcome);
    table.give(VISITOR, PipeInput::Closed);
    table.pass(Duration::from_secs(60));
    table.give(BEN, PipeInput::Resume { session: SESSION, token: token.clone(), client: ClientInfo::default() });
    let again = table.signals(BEN);
    let Some(ToClient::Welcome { you, resumed, role, .. }) = again.first() else { panic!("{again:?}") };
    assert_eq!((you.0, *resumed, *role), (1, true, Role::Visitor));
    table.say(BEN, &ToRelay::Ping { at: 1.0 });
    table.give(ANN, PipeInput::Resume { session: SESSION, token, client: ClientInfo::default() });
    assert_eq!(table.outputs(ANN), [PipeOutput::Close(Code::Resume)], "a token is good once");
}

#[test]
fn an_agents_page_is_whole_again_after_its_network_was_gone() {
    let mut table = Table::new();
    table.join(VISITOR, Role::Visitor, "Visitor");
    let token = resume_of(&table.join(ANN, Role::Agent, "Ann"));
    table.accept();
    table.dom(Kind::Snapshot, 1, 0);
    table.dom(Kind::Diff, 1, 1);
    table.outputs(ANN);
    table.give(ANN, PipeInput::Closed);
    table.dom(Kind::Diff, 1, 2);
    assert!(
        table
            .signals(VISITOR)
            .iter()
            .any(|signal| matches!(signal, ToClient::Member(member) if member.presence == Presence::Away))
    );
    table.give(BEN, PipeInput::Resume { session: SESSION, token, client: ClientInfo::default() });
    assert_eq!(table.page_of(BEN), ["1.0", "1.1", "1.2"]);
}

#[test]
fn the_gap_between_two_pages_is_measured_and_so_is_how_agents_keep_up() {
    let mut table = Table::new();
    let token = resume_of(&table.join(VISITOR, Role::Visitor, "Visitor"));
    table.join(ANN, Role::Agent, "Ann");
    table.accept();
    table.dom(Kind::Snapshot, 1, 0);
    table.signals(ANN);
    assert_eq!(table.engine.totals().agents_lag, [1, 0, 0, 0, 0]);
    table.give(VISITOR, PipeInput::Closed);
    table.pass(Duration::from_millis(700));
    table.give(VISITOR, PipeInput::Resume { session: SESSION, token, client: ClientInfo::default() });
    table.dom(Kind::Snapshot, 2, 0);
    table.dom(Kind::Snapshot, 3, 0);
    let reports = std::iter::from_fn(|| table.engine.poll_report());
    let gaps: Vec<Duration> = reports
        .filter_map(|report| match report {
            Report::PageShown { after, .. } => Some(after),
            _ => None,
        })
        .collect();
    assert_eq!(gaps, [Duration::from_millis(700)], "once per page that went, not per snapshot");
    assert!(table.engine.totals().snapshot_bytes > 0);
}

#[test]
fn a_visitor_that_stays_away_ends_the_session() {
    let mut table = Table::active();
    table.give(VISITOR, PipeInput::Closed);
    table.pass(Duration::from_secs(119));
    assert_eq!(table.engine.session_count(), 1);
    table.pass(Duration::from_secs(2));
    assert_eq!(table.engine.session_count(), 0);
    assert_eq!(table.engine.totals().dom_cache_bytes, 0, "what was held of the page is gone");
}

#[test]
fn an_end_is_told_to_everybody_before_their_carrier_closes() {
    // R187, R188
    let mut table = Table::active();
    table.say(VISITOR, &ToRelay::End);
    let outputs = table.outputs(ANN);
    assert!(matches!(outputs.last(), Some(PipeOutput::Close(Code::Ended))), "{outputs:?}");
    let told = outputs.iter().any(|output| match output {
        PipeOutput::Frame(frame) => matches!(ToClient::parse(frame.payload()), Ok(ToClient::SessionEnded { .. })),
        PipeOutput::Close(_) => false,
    });
    assert!(told, "{outputs:?}");
}

#[test]
fn who_comes_in_the_turn_of_the_end_is_turned_away() {
    let mut table = Table::active();
    table.engine.handle_command(table.now, Command::End { session: SESSION, code: Code::Ended });
    let admission = Admission {
        session: SESSION,
        role: Role::Agent,
        capabilities: Role::Agent.ceiling(),
        name: "Ben".into(),
        subject: "Ben".into(),
        epoch: 0,
    };
    table.give(BEN, PipeInput::Join { admission: Box::new(admission), client: ClientInfo::default() });
    assert_eq!(table.outputs(BEN), [PipeOutput::Close(Code::Session)]);
    assert_eq!(table.engine.session_count(), 0);
}

#[test]
fn a_new_mask_epoch_forgets_what_was_recorded() {
    let mut table = Table::active();
    table.dom(Kind::Snapshot, 1, 0);
    table.dom(Kind::Diff, 1, 1);
    table.outputs(ANN);
    table.say(VISITOR, &ToRelay::Mask { epoch: MaskEpoch::new(1) });
    assert_eq!(table.engine.totals().dom_cache_bytes, 0);
    table.dom(Kind::Diff, 1, 2);
    let refused = table.signals(VISITOR);
    let stale =
        |signal: &ToClient| matches!(signal, ToClient::Denied { refusal, .. } if refusal.code == Code::StaleMask);
    assert!(refused.iter().any(stale), "{refused:?}");
    assert!(table.page_of(ANN).is_empty());
}

#[test]
fn modes_are_chosen_from_the_allowed_ones() {
    // R155, R156
    let mut table = Table::active();
    let pointer = Frame::new(Header::single(Kind::PointerMove), &[0; 5]).expect("small");
    table.give(ANN, PipeInput::Frame(pointer.clone()));
    assert_eq!(table.page_of(VISITOR).len(), 1, "View + Pointer is where Instant starts");
    table.say(ANN, &ToRelay::ModeSet { mode: Mode::FullControl });
    table.say(ANN, &ToRelay::ModeSet { mode: Mode::ViewOnly });
    let signals = table.signals(ANN);
    assert!(signals.iter().any(|s| matches!(s, ToClient::Denied { refusal, .. } if refusal.code == Code::Mode)));
    assert!(signals.iter().any(|s| matches!(s, ToClient::ModeChanged { mode: Mode::ViewOnly, .. })));
    table.give(ANN, PipeInput::Frame(pointer));
    assert!(table.page_of(VISITOR).is_empty());
}

#[test]
fn a_draining_shard_lets_nobody_new_in() {
    // P3
    let mut table = Table::active();
    table.engine.handle_command(table.now, Command::Drain { within: Duration::from_secs(10) });
    table.join(BEN, Role::Agent, "Ben");
    table.pass(Duration::from_secs(9));
    assert_eq!(table.engine.session_count(), 1, "whoever is there may finish");
    table.pass(Duration::from_secs(2));
    assert_eq!(table.engine.session_count(), 0);
}

#[test]
fn an_agent_that_was_let_in_is_told_so() {
    let mut table = Table::new();
    table.join(VISITOR, Role::Visitor, "Visitor");
    table.join(ANN, Role::Agent, "Ann");
    table.accept();
    let told = table.signals(ANN);
    let here =
        |signal: &ToClient| matches!(signal, ToClient::Member(m) if m.name == "Ann" && m.presence == Presence::Here);
    assert!(told.iter().any(here), "{told:?}");
}

#[test]
fn a_visitor_that_takes_nothing_is_cut_off_and_its_place_expires() {
    let mut table = Table::new();
    table.join(VISITOR, Role::Visitor, "Visitor");
    let mut closed = false;
    // Each answer to a ping stays uncredited, until neither window nor queue has room.
    for _ in 0..8_000 {
        table.now += Duration::from_millis(50);
        table.say(VISITOR, &ToRelay::Ping { at: 1.0 });
        while let Some((_, output)) = table.engine.poll_pipe() {
            closed |= output == PipeOutput::Close(Code::TooSlow);
        }
    }
    assert!(closed, "whoever lets its queue fill is cut off");
    table.give(VISITOR, PipeInput::Closed);
    table.pass(Duration::from_secs(121));
    assert_eq!(table.engine.session_count(), 0, "a carrier that was cut off begins the grace time");
}

#[test]
fn who_waits_for_consent_learns_nothing_of_the_others() {
    // R116
    let mut table = Table::active();
    let welcome = table.join(BEN, Role::Agent, "Ben");
    let Some(ToClient::Welcome { members, shares, .. }) = welcome.first() else { panic!("{welcome:?}") };
    let names: Vec<_> = members.iter().map(|member| (member.name.as_str(), member.client.is_some())).collect();
    assert_eq!(names, [("Visitor", false), ("Ben", false)], "neither other agents nor the visitor's client");
    assert!(shares.is_empty(), "{shares:?}");
    table.accept();
    let told = table.signals(BEN);
    let ann = |signal: &ToClient| matches!(signal, ToClient::Member(m) if m.name == "Ann");
    let visitor = |signal: &ToClient| matches!(signal, ToClient::Member(m) if m.client.is_some());
    assert!(told.iter().any(ann) && told.iter().any(visitor), "{told:?}");
}

#[test]
fn a_page_with_many_assets_can_be_resumed() {
    let mut table = Table::new();
    let token = resume_of(&table.join(VISITOR, Role::Visitor, "Visitor"));
    table.join(ANN, Role::Agent, "Ann");
    table.accept();
    table.dom(Kind::Snapshot, 1, 0);
    for number in 0..600_u32 {
        let mut payload = vec![0; 16];
        payload[..4].copy_from_slice(&number.to_be_bytes());
        let header = Header { page_epoch: PageEpoch::new(1), message: number + 1_000, ..Header::single(Kind::Asset) };
        table.give(VISITOR, PipeInput::Frame(Frame::new(header, &payload).expect("small")));
    }
    table.outputs(VISITOR);
    table.give(VISITOR, PipeInput::Closed);
    table.give(BEN, PipeInput::Resume { session: SESSION, token, client: ClientInfo::default() });
    let again = table.signals(BEN);
    let Some(ToClient::Welcome { resumed: true, assets, .. }) = again.first() else { panic!("{again:?}") };
    assert_eq!(assets.last().map(String::as_str), Some("00000257000000000000000000000000"), "the newest is named");
}

#[test]
fn a_snapshot_wished_for_too_early_is_asked_for_when_the_session_begins() {
    let mut table = Table::active();
    table.dom(Kind::Snapshot, 1, 0);
    table.say(ANN, &ToRelay::Leave);
    table.signals(VISITOR);
    // New masks while nobody may watch: the page is wished for, and the visitor must not be asked yet.
    table.say(VISITOR, &ToRelay::Mask { epoch: MaskEpoch::new(1) });
    table.deliver();
    table.pass(Duration::from_secs(6));
    let wanted = |signal: &ToClient| matches!(signal, ToClient::SnapshotWanted { .. });
    assert!(!table.signals(VISITOR).iter().any(wanted), "nothing is asked before consent");
    table.join(BEN, Role::Agent, "Ben");
    table.accept();
    table.pass(Duration::from_millis(10));
    assert!(table.signals(VISITOR).iter().any(wanted), "the next agent does not wait for the repetition");
}

#[test]
fn a_no_to_a_screen_is_no_no_to_the_page() {
    let mut table = Table::active();
    table.say(ANN, &ToRelay::ShareInvite);
    let grant = table.signals(VISITOR).into_iter().find_map(|signal| match signal {
        ToClient::ShareInvited { grant, .. } => Some(grant),
        _ => None,
    });
    table.say(VISITOR, &ToRelay::ShareDecline { grant: grant.expect("an invitation"), reason: "no".into() });
    table.say(ANN, &ToRelay::ShareInvite);
    let refused = |s: &ToClient| matches!(s, ToClient::Denied { refusal, .. } if refusal.code == Code::Consent);
    assert!(table.signals(ANN).iter().any(refused), "no nagging about the screen");
    let welcome = table.join(BEN, Role::Agent, "Ann");
    assert!(matches!(welcome.first(), Some(ToClient::Welcome { .. })), "{welcome:?}");
}

mod enforce;
mod events;
mod revoke;
mod sharing;
mod welcome;
mod words;
