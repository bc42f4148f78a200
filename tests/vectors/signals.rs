//! One sample of every signal in both directions, with every optional field present somewhere and absent somewhere.

use fanlight_wire::consent::Question;
use fanlight_wire::policy::{Capabilities, Masks, Mode, Role, Surface};
use fanlight_wire::signal::{
    Ask, CameraState, ClientInfo, LagState, Member, Presence, SCHEMA, SharePhase, ShareState, Slot, SnapshotReason,
    Stage, TAKEN_OVER, ToClient, ToRelay,
};
use fanlight_wire::sites::Assurance;
use fanlight_wire::{Code, FloorEpoch, MaskEpoch, PageEpoch, ParticipantId, Refusal, SessionId};
use serde_json::{Value, json};

const VISITOR: ParticipantId = ParticipantId(1);
const AGENT: ParticipantId = ParticipantId(2);

fn to_relay() -> Vec<(&'static str, ToRelay)> {
    let client = ClientInfo { os: "Linux".into(), browser: "Chromium 140".into(), client: "0.1.0".into() };
    let hello = |ticket: Option<&str>, resume: Option<&str>| ToRelay::Hello {
        schema: SCHEMA,
        ticket: ticket.map(Into::into),
        resume: resume.map(Into::into),
        client: client.clone(),
    };
    let resume = format!("{}.2.c2VjcmV0", session());
    vec![
        ("hello_ticket", hello(Some("header.claims.signature"), None)),
        ("hello_resume", hello(None, Some(&resume))),
        ("consent", ToRelay::Consent { ask: 1, accept: true, words: Some(may_we_look().words()) }),
        ("consent_no", ToRelay::Consent { ask: 1, accept: false, words: None }),
        ("mask", ToRelay::Mask { epoch: MaskEpoch::new(2) }),
        ("mask_error", ToRelay::MaskError),
        ("pause", ToRelay::Pause { on: true }),
        ("resync", ToRelay::Resync),
        ("offer", ToRelay::Offer { sdp: "v=0\r\n".into() }),
        (
            "share_start",
            ToRelay::ShareStart {
                mid: "2".into(),
                surface: Some(Surface::Window),
                audio_mid: Some("3".into()),
                grant: Some(7),
                url: Some("https://www.good.example/a_b".into()),
                assurance: Some(Assurance::Stated),
            },
        ),
        (
            "share_start_bare",
            ToRelay::ShareStart {
                mid: "2".into(),
                surface: None,
                audio_mid: None,
                grant: None,
                url: None,
                assurance: None,
            },
        ),
        (
            "share_statement",
            ToRelay::ShareStatement { url: Some("https://www.good.example/".into()), assurance: Assurance::Proved },
        ),
        ("share_statement_bare", ToRelay::ShareStatement { url: None, assurance: Assurance::Surface }),
        ("share_stop", ToRelay::ShareStop),
        ("camera_start", ToRelay::CameraStart { mid: "4".into(), words: Some(may_we_look().words()) }),
        ("camera_stop", ToRelay::CameraStop),
        ("share_invite", ToRelay::ShareInvite),
        ("share_decline", ToRelay::ShareDecline { grant: 7, reason: "declined".into() }),
        ("share_accept", ToRelay::ShareAccept { grant: 7, words: Some(may_we_look().words()) }),
        ("mode_set", ToRelay::ModeSet { mode: Mode::ViewOnly }),
        ("control_request", ToRelay::ControlRequest),
        ("leave", ToRelay::Leave),
        ("end", ToRelay::End),
        ("ping", ToRelay::Ping { at: 1234.5 }),
    ]
}

fn session() -> SessionId {
    SessionId::from_bytes(*b"0123456789abcdef")
}

fn welcome() -> ToClient {
    let member = |id, role, name: &str, presence| Member { id, role, name: name.into(), presence, client: None };
    ToClient::Welcome {
        session: session(),
        you: VISITOR,
        role: Role::Visitor,
        name: "Visitor".into(),
        capabilities: Capabilities::PUB_DOM.union(Capabilities::END),
        resume: format!("{}.1.c2VjcmV0", session()),
        resumed: true,
        stage: Stage::Active,
        mode: Mode::ViewPointer,
        modes: vec![Mode::ViewOnly, Mode::ViewPointer],
        members: vec![
            member(VISITOR, Role::Visitor, "Visitor", Presence::Here),
            member(AGENT, Role::Agent, "Ann Ahlberg", Presence::Waiting),
        ],
        shares: vec![share(SharePhase::Live), share(SharePhase::Empty)],
        camera: Some(camera(SharePhase::Live)),
        page_epoch: PageEpoch::new(3),
        mask_epoch: MaskEpoch::new(1),
        assets: vec!["000102030405060708090a0b0c0d0e0f".into()],
        policy_version: 1,
        masks: Some(masks()),
    }
}

fn masks() -> Masks {
    Masks { everything: false, mask: vec![".name".into()], block: vec!["#map".into()], unmask: vec![] }
}

fn share(phase: SharePhase) -> ShareState {
    let held = phase != SharePhase::Empty;
    ShareState {
        slot: if held { Slot::Visitor } else { Slot::Agent },
        epoch: FloorEpoch::new(4),
        phase,
        holder: held.then_some(VISITOR),
        surface: held.then_some(Surface::Browser),
        audio: held,
    }
}

fn camera(phase: SharePhase) -> CameraState {
    CameraState { epoch: FloorEpoch::new(2), phase, holder: (phase != SharePhase::Empty).then_some(VISITOR) }
}

fn may_we_look() -> Question {
    let terms = Some("https://shop.example/terms".into());
    Question { text: "May we look?\nYou can stop.".into(), terms }
}

fn question() -> ToClient {
    let question = may_we_look();
    let words = question.words();
    ToClient::ConsentAsk {
        ask: 1,
        kind: Ask::View,
        participant: AGENT,
        name: "Ann Ahlberg".into(),
        seconds: 60,
        question,
        words,
    }
}

fn to_client() -> Vec<(&'static str, ToClient)> {
    let denied = |code, rule, allowed| ToClient::Denied {
        re: "share.start".into(),
        refusal: Refusal::new(code, rule),
        policy_version: 1,
        allowed,
    };
    let member =
        Member { id: AGENT, role: Role::Agent, name: "Ben Okafor".into(), presence: Presence::Away, client: None };
    vec![
        ("welcome", welcome()),
        ("consent_ask", question()),
        ("consent_withdrawn", ToClient::ConsentWithdrawn { ask: 1 }),
        ("consent_result", ToClient::ConsentResult { kind: Ask::Screen, accepted: false }),
        ("session_stage", ToClient::SessionStage { stage: Stage::Paused }),
        ("session_ending", ToClient::SessionEnding { seconds: 60 }),
        ("session_ended", ended(Some(VISITOR))),
        ("session_ended_by_nobody", ended(None)),
        ("member", ToClient::Member(member)),
        ("member_left", ToClient::MemberLeft { id: AGENT }),
        ("snapshot_wanted", ToClient::SnapshotWanted { reason: SnapshotReason::First }),
        ("resync", ToClient::Resync { reason: "lag".into() }),
        ("lag", ToClient::Lag { state: LagState::Lagging, bytes: 300_000, ms: 250 }),
        ("answer", ToClient::Answer { sdp: "v=0\r\n".into() }),
        ("share_state", ToClient::Share(share(SharePhase::Waiting))),
        ("share_state_held", ToClient::Share(share(SharePhase::Held))),
        ("camera_state", ToClient::Camera(camera(SharePhase::Waiting))),
        ("camera_state_off", ToClient::Camera(camera(SharePhase::Empty))),
        ("camera_words", ToClient::CameraWords { question: may_we_look(), words: may_we_look().words() }),
        (
            "share_taken_over",
            ToClient::ShareTakenOver { slot: Slot::Agent, epoch: FloorEpoch::new(5), text: TAKEN_OVER.into() },
        ),
        (
            "share_invited",
            ToClient::ShareInvited {
                grant: 7,
                participant: AGENT,
                name: "Ann Ahlberg".into(),
                seconds: 60,
                surfaces: vec![Surface::Browser, Surface::Monitor],
                question: may_we_look(),
                words: may_we_look().words(),
            },
        ),
        ("share_answered", ToClient::ShareAnswered { grant: 7, accepted: false, reason: "declined".into() }),
        ("mode_changed", ToClient::ModeChanged { mode: Mode::ViewOnly, by: AGENT }),
        ("mask_raised", ToClient::MaskRaised { epoch: MaskEpoch::new(4), masks: masks() }),
        (
            "policy_narrowed",
            ToClient::PolicyNarrowed {
                policy_version: 8,
                capabilities: Role::Guest.ceiling(),
                modes: vec![Mode::ViewOnly],
            },
        ),
        ("denied", denied(Code::Mode, "R156", vec![])),
        ("denied_surface", denied(Code::Surface, "R007", vec![Surface::Window, Surface::Browser])),
        ("resume", ToClient::ResumeToken { resume: format!("{}.1.bmV3", session()) }),
        ("pong", ToClient::Pong { at: 1234.5 }),
    ]
}

fn ended(by: Option<ParticipantId>) -> ToClient {
    ToClient::SessionEnded { code: Code::Ended, sentence: Code::Ended.sentence().into(), by }
}

/// Fails to build when a signal is added, so that a sample is added with it.
const fn client_tags(signal: &ToClient) -> usize {
    match signal {
        ToClient::Welcome { .. }
        | ToClient::ConsentAsk { .. }
        | ToClient::ConsentWithdrawn { .. }
        | ToClient::ConsentResult { .. }
        | ToClient::SessionStage { .. }
        | ToClient::SessionEnding { .. }
        | ToClient::SessionEnded { .. }
        | ToClient::Member(_)
        | ToClient::MemberLeft { .. }
        | ToClient::SnapshotWanted { .. }
        | ToClient::Resync { .. }
        | ToClient::Lag { .. }
        | ToClient::Answer { .. }
        | ToClient::Share(_)
        | ToClient::Camera(_)
        | ToClient::CameraWords { .. }
        | ToClient::ShareTakenOver { .. }
        | ToClient::ShareInvited { .. }
        | ToClient::ShareAnswered { .. }
        | ToClient::ModeChanged { .. }
        | ToClient::MaskRaised { .. }
        | ToClient::PolicyNarrowed { .. }
        | ToClient::Denied { .. }
        | ToClient::ResumeToken { .. }
        | ToClient::Pong { .. } => 25,
    }
}

fn tags<'a>(rows: impl IntoIterator<Item = &'a Value>) -> std::collections::BTreeSet<&'a str> {
    rows.into_iter().filter_map(|row| row["json"]["t"].as_str()).collect()
}

#[test]
fn signals_are_the_committed_json() {
    let mut rows = Vec::new();
    for (name, signal) in to_relay() {
        let frame = signal.to_frame().expect("a small signal");
        assert_eq!(ToRelay::parse(frame.payload()).expect("its own text"), signal);
        let json = serde_json::to_value(&signal).expect("plain data");
        rows.push(json!({ "name": name, "direction": "to_relay", "json": json }));
    }
    assert_eq!(tags(&rows), ToRelay::TAGS.into_iter().collect(), "a signal has no sample");
    let relay_rows = rows.len();
    for (name, signal) in to_client() {
        let frame = signal.to_frame().expect("a small signal");
        assert_eq!(ToClient::parse(frame.payload()).expect("its own text"), signal);
        let json = serde_json::to_value(&signal).expect("plain data");
        rows.push(json!({ "name": name, "direction": "to_client", "json": json }));
    }
    assert_eq!(tags(&rows[relay_rows..]).len(), client_tags(&welcome()), "a signal has no sample");
    super::check("signals.json", &Value::Array(rows));
}
