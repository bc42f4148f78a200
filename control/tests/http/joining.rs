//! The ways in that begin with the agent: presence and invites, links, viewers of other products.

use std::net::IpAddr;
use std::time::Duration;

use fanlight_control::{Client, Door, PageId};
use fanlight_wire::command::Command;
use fanlight_wire::policy::{Capabilities, Role};
use fanlight_wire::report::Report;
use fanlight_wire::{Code, ParticipantId, SessionId};
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;

use crate::desk::{Answer, Desk, HOST};

const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7));

/// A visitor's page with its socket.
pub(crate) struct Page {
    id: PageId,
    mailbox: Receiver<String>,
}

impl Page {
    pub(crate) fn open(desk: &Desk, visitor: &str) -> Self {
        let hello = json!({"t": "hello", "group": "demo", "visitor": visitor}).to_string();
        let (id, mailbox) =
            desk.wait(desk.control.page_arrives(&hello, HOME, Client::of(Some("https://shop.example")))).expect("room");
        let mut page = Self { id, mailbox };
        assert_eq!(page.hears()["t"], "ready");
        page.says(desk, &json!({"t": "looks", "visible": true, "focused": true, "busy": false}));
        page
    }

    pub(crate) fn says(&self, desk: &Desk, what: &Value) {
        desk.wait(desk.control.page_says(self.id, &what.to_string())).expect("readable");
    }

    pub(crate) fn hears(&mut self) -> Value {
        serde_json::from_str(&self.mailbox.try_recv().expect("a message")).expect("JSON")
    }

    /// The visitor is asked and agrees; the session that comes of it.
    pub(crate) fn accepts(&mut self, desk: &Desk) -> SessionId {
        let asked = self.hears();
        self.says(desk, &yes(&asked));
        session_of(self.hears()["session"].as_str().expect("a session"))
    }
}

pub(crate) fn invite(desk: &Desk, agent: &str, visitor: &str) -> Answer {
    let body = json!({"visitor": visitor, "context": {"type": "case", "id": "C-1042"}}).to_string();
    desk.post("/v1/invites", Some(agent), &body)
}

/// The answer of a visitor who was shown this question.
fn yes(asked: &Value) -> Value {
    json!({"t": "answer", "invite": asked["invite"], "accept": true, "words": asked["words"]})
}

fn events(desk: &Desk, agent: &str, query: &str) -> Receiver<bytes::Bytes> {
    let request = Request::get(format!("/v1/presence?{query}"))
        .header("host", HOST)
        .header("authorization", format!("Bearer {agent}"))
        .body(())
        .expect("a request");
    desk.control.events(&request).map(|(_, lines)| lines).expect("a stream")
}

fn line(lines: &mut Receiver<bytes::Bytes>) -> String {
    String::from_utf8(lines.try_recv().expect("a line").to_vec()).expect("text")
}

fn session_of(text: &str) -> SessionId {
    text.parse().expect("a session id")
}

fn begin(desk: &Desk, agent: &str, kind: &str) -> Answer {
    desk.post("/v1/sessions", Some(agent), &json!({"kind": kind, "external_ref": "INT-7"}).to_string())
}

fn came(desk: &Desk, session: SessionId) {
    let participant = ParticipantId(1);
    desk.control.report(Report::Joined {
        session,
        participant,
        role: Role::Visitor,
        resumed: false,
        name: "Visitor".into(),
        subject: "visitor".into(),
    });
}

/// What a link that leads nowhere is answered.
fn look(desk: &Desk, code: &str) -> Answer {
    desk.post("/v1/links", None, &json!({"code": code}).to_string())
}

#[test]
fn an_accepted_invite_brings_both_together_without_a_second_question() {
    // R108, R111, R113, R114, R115, R116, R117, R144
    let desk = Desk::new(true);
    let ann = desk.sign_in(0);
    assert_eq!(invite(&desk, &ann, "maria").code(), Some("E_STATE"), "absent");
    let mut lines = events(&desk, &ann, "visitor=maria&visitor=leo");
    assert!(line(&mut lines).contains(r#"{"state":"absent","visitor":"maria"}"#) || !lines.is_empty());
    let mut page = Page::open(&desk, "maria");
    assert!(line(&mut lines).contains("leo"));
    assert_eq!(line(&mut lines), "event: presence\ndata: {\"state\":\"present\",\"visitor\":\"maria\"}\n\n");

    let sent = invite(&desk, &ann, "maria");
    assert_eq!(
        (sent.status, sent.text("state").as_str(), &sent.body["expires_s"]),
        (StatusCode::CREATED, "sent", &json!(60))
    );
    let again = invite(&desk, &ann, "maria");
    assert_eq!((again.status, again.text("invite")), (StatusCode::OK, sent.text("invite")), "R115: the same invite");
    let asked = page.hears();
    assert_eq!([&asked["t"], &asked["name"], &asked["seconds"]], [&json!("invite"), &json!("Ann Ahlberg"), &json!(60)]);
    assert!(page.mailbox.try_recv().is_err(), "asked once");
    let ben = desk.sign_in(1);
    assert_eq!(invite(&desk, &ben, "maria").code(), Some("E_BUSY"));
    let listed = desk.ask(Door::Public, Method::GET, "/v1/presence?visitor=maria", Some(&ben), "");
    assert_eq!(listed.body["visitors"][0]["state"], "busy");

    page.says(&desk, &yes(&asked));
    let way = page.hears();
    assert_eq!(way["t"], "accepted");
    let session = session_of(way["session"].as_str().expect("a session"));
    let visitor = desk.control.admit(way["ticket"].as_str().expect("a ticket")).expect("fresh");
    assert_eq!((visitor.session, visitor.role), (session, Role::Visitor));
    let welcome = Command::Welcome { session, subject: "ann".into() };
    assert!(desk.shards.commands().iter().any(|(_, command)| *command == welcome), "the home knows of the consent");
    let shown = desk.ask(Door::Public, Method::GET, &format!("/v1/invites/{}", sent.text("invite")), Some(&ann), "");
    assert_eq!((shown.text("state"), shown.text("session")), ("accepted".into(), session.to_string()));
    let heard: Vec<_> = std::iter::from_fn(|| lines.try_recv().ok()).collect();
    assert!(heard.iter().any(|line| line.starts_with(b"event: invite.accepted\n")), "{heard:?}");

    let joined = desk.post(&format!("/v1/sessions/{session}/join"), Some(&ann), "");
    let agent = desk.control.admit(&joined.text("ticket")).expect("fresh");
    // R064: it came without an origin, so it is no page.
    let program = Role::Agent.ceiling().without(Capabilities::DOC);
    assert_eq!((agent.subject.as_str(), agent.capabilities), ("ann", program));
    assert!(visitor.capabilities.contains(Capabilities::DOC), "R062: the visitor's page is a secure one");
    let foreign = desk.post(&format!("/v1/sessions/{session}/join"), Some(&ben), "");
    assert_eq!(foreign, desk.post(&format!("/v1/sessions/{}/join", "0".repeat(32)), Some(&ben), ""), "G-52");

    let list = desk.operate(Method::GET, "/v1/sessions?external_ref=maria", "").body;
    let row = &list["sessions"][0];
    assert_eq!((&row["entry"], &row["context"]), (&json!("presence"), &json!({"type": "case", "id": "C-1042"})));
    assert_eq!(desk.operate(Method::GET, "/v1/sessions?external_ref=leo", "").body["count"], 0);
}

#[test]
fn an_invitation_is_accepted_in_the_words_that_were_shown_or_not_at_all() {
    // R045 R082 R116
    let desk = Desk::new(true);
    let ann = desk.sign_in(0);
    let words = json!({
        "consent": {"view": "May our agent look?", "show": "May we show you something?"},
        "terms": {"view": "https://shop.example/terms"},
    });
    desk.publish(&words);
    let mut page = Page::open(&desk, "maria");
    invite(&desk, &ann, "maria");
    let asked = page.hears();
    assert_eq!((&asked["text"], &asked["terms"]), (&words["consent"]["view"], &words["terms"]["view"]));
    for wrong in [Value::Null, json!("0".repeat(64))] {
        let mut answer = yes(&asked);
        answer["words"] = wrong;
        page.says(&desk, &answer);
        assert_eq!((page.hears(), desk.control.session_count()), (asked.clone(), 0), "it is asked again, as it was");
    }
    page.says(&desk, &yes(&asked));
    assert_eq!(page.hears()["t"], "accepted");
    let questions = |desk: &Desk| {
        let mut opened = desk.shards.commands().into_iter().filter_map(|(_, command)| match command {
            Command::Open { policy, .. } => Some(policy.questions),
            _ => None,
        });
        opened.next_back().expect("a session")
    };
    assert_eq!(questions(&desk).view.words(), asked["words"], "the session's receipt will hold what was shown");
    // An invitation to something else asks about that.
    let leo = Page::open(&desk, "leo");
    let mut page = leo;
    desk.post("/v1/invites", Some(&desk.sign_in(1)), r#"{"visitor": "leo", "kind": "show"}"#);
    let asked = page.hears();
    assert_eq!(asked["text"], words["consent"]["show"]);
    // Published between question and answer: nobody has seen the session's words.
    desk.publish(&json!({"consent": {"show": "May we show you something else?"}}));
    page.says(&desk, &yes(&asked));
    let told = page.hears();
    assert_eq!((&told["t"], &told["code"]), (&json!("refused"), &json!("E_POLICY")), "{told}");
    let ended = desk.shards.commands().into_iter().filter(|(_, command)| matches!(command, Command::End { .. }));
    assert_eq!(ended.count(), 1, "the session that was made for it");
}

#[test]
fn a_no_a_silence_and_a_withdrawal_are_told() {
    // R115, R116, R118
    let desk = Desk::new(true);
    let (ann, ben) = (desk.sign_in(0), desk.sign_in(1));
    let mut page = Page::open(&desk, "maria");
    let mut lines = events(&desk, &ann, "visitor=maria");
    let mut told = |event: &str| {
        let all: Vec<_> = std::iter::from_fn(|| lines.try_recv().ok()).collect();
        assert!(all.iter().any(|line| line.starts_with(format!("event: {event}\n").as_bytes())), "{event}: {all:?}");
    };
    let first = invite(&desk, &ann, "maria");
    page.hears();
    page.says(&desk, &json!({"t": "answer", "invite": first.text("invite"), "accept": false}));
    told("invite.declined");
    assert_eq!(invite(&desk, &ann, "maria").code(), Some("E_CONSENT"), "no nagging");

    let second = invite(&desk, &ben, "maria");
    assert_eq!(second.status, StatusCode::CREATED, "another agent was not refused");
    page.hears();
    let path = format!("/v1/invites/{}", second.text("invite"));
    assert_eq!(desk.ask(Door::Public, Method::DELETE, &path, Some(&ann), "").code(), Some("E_NOT_FOUND"), "not hers");
    assert_eq!(desk.ask(Door::Public, Method::DELETE, &path, Some(&ben), "").status, StatusCode::NO_CONTENT);
    assert_eq!(desk.ask(Door::Public, Method::DELETE, &path, Some(&ben), "").status, StatusCode::NO_CONTENT);
    assert_eq!(page.hears()["t"], "withdrawn");

    desk.time.pass(Duration::from_secs(61));
    let third = invite(&desk, &ann, "maria");
    let asked = page.hears();
    assert_eq!(asked["invite"], third.text("invite"));
    desk.time.pass(Duration::from_secs(59));
    desk.control.tend();
    assert!(page.mailbox.try_recv().is_err(), "a minute is a minute");
    desk.time.pass(Duration::from_secs(1));
    desk.control.tend();
    told("invite.expired");
    assert_eq!(page.hears()["t"], "withdrawn");
    page.says(&desk, &yes(&asked));
    assert_eq!((page.hears()["t"].clone(), desk.control.session_count()), (json!("withdrawn"), 0), "too late");

    let fourth = invite(&desk, &ann, "maria");
    assert_eq!(fourth.status, StatusCode::CREATED, "silence is no refusal");
    desk.control.page_goes(page.id);
    told("invite.expired");
    assert_eq!(invite(&desk, &ann, "maria").code(), Some("E_STATE"), "gone with its page");
}

#[test]
fn visitors_and_invites_of_other_groups_look_absent() {
    // G-52
    let desk = Desk::new(true);
    let ann = desk.sign_in(0);
    assert_eq!(
        desk.operate(Method::POST, "/v1/groups", r#"{"group":"other","name":"Other"}"#).status,
        StatusCode::CREATED
    );
    let hello = r#"{"t":"hello","group":"other","visitor":"maria"}"#;
    let (page, _mailbox) = desk.wait(desk.control.page_arrives(hello, HOME, Client::Program)).expect("an active group");
    let looks = r#"{"t":"looks","visible":true,"focused":true,"busy":false}"#;
    desk.wait(desk.control.page_says(page, looks)).expect("readable");
    let listed = desk.ask(Door::Public, Method::GET, "/v1/presence?visitor=maria", Some(&ann), "");
    assert_eq!(listed.body["visitors"][0]["state"], "absent");
    assert_eq!(invite(&desk, &ann, "maria"), invite(&desk, &ann, "nobody"));
    for hello in [r#"{"t":"hello","group":"nowhere","visitor":"m"}"#, r#"{"t":"ping"}"#, "{}", "x"] {
        assert!(desk.wait(desk.control.page_arrives(hello, HOME, Client::Program)).is_err(), "{hello}");
    }
    let long = json!({"t": "hello", "group": "demo", "visitor": "x".repeat(129)}).to_string();
    assert_eq!(
        desk.wait(desk.control.page_arrives(&long, HOME, Client::Program)).map(drop).map_err(|r| r.code),
        Err(Code::Input)
    );
}

#[test]
fn a_link_leads_its_visitor_in_and_is_used_up() {
    // R107, R127, R132, R133, R134
    let desk = Desk::new(true);
    let ann = desk.sign_in(0);
    let mut lines = events(&desk, &ann, "");
    let begun = begin(&desk, &ann, "show");
    assert_eq!(begun.status, StatusCode::CREATED, "{}", begun.body);
    let (session, key) = (session_of(&begun.text("session")), begun.text("key"));
    let url = begun.text("join_url");
    let code = url.strip_prefix("/j/").expect("a short address");
    assert_eq!((code.len(), key.len()), (9, 9));
    let seen = look(&desk, code);
    assert_eq!(
        (seen.text("kind").as_str(), &seen.body["key_required"], seen.body.get("name")),
        ("show", &json!(true), None)
    );
    let enter = |key: &str| desk.post("/v1/links/join", None, &json!({"code": code, "key": key}).to_string());
    assert_eq!(enter("").code(), Some("E_KEY"));
    let entered = enter(&key);
    assert_eq!((entered.text("name").as_str(), entered.text("session")), ("Ann Ahlberg", session.to_string()));
    let visitor = desk.control.admit(&entered.text("ticket")).expect("fresh");
    assert_eq!(visitor.capabilities, Capabilities::SUB_SCREEN.union(Capabilities::END), "shows nothing");
    let reopened = enter(&key);
    assert_eq!(
        desk.post("/v1/keys", Some(&entered.text("handle")), "").code(),
        Some("E_LOGIN"),
        "the page before lost it"
    );
    came(&desk, session);
    assert_eq!(line(&mut lines), format!("event: visitor.joined\ndata: {{\"session\":\"{session}\"}}\n\n"));
    assert_eq!(look(&desk, code), look(&desk, "zzzz-zzzz"), "a used link looks like none");
    let joined = desk.post(&format!("/v1/sessions/{session}/join"), Some(&ann), "");
    let agent = desk.control.admit(&joined.text("ticket")).expect("fresh").capabilities;
    assert!(agent.contains(Capabilities::PUB_SCREEN) && !agent.contains(Capabilities::SUB_DOM));
    let end = format!("/v1/sessions/{session}/end");
    assert_eq!(desk.post(&end, Some(&reopened.text("handle")), "").status, StatusCode::NO_CONTENT);
}

#[test]
fn a_group_without_keys_gets_longer_links_and_a_group_without_rights_none() {
    // R133, R136
    let desk = Desk::new(true);
    let ann = desk.sign_in(0);
    desk.publish(&json!({
        "session": {"key_required": false}, "sharing": {"escalate_to_view": false}, "consent": {"seconds": 5}
    }));
    let begun = begin(&desk, &ann, "show");
    assert_eq!((begun.text("join_url").len(), begun.body.get("key")), ("/j/".len() + 19, None));
    let seen = look(&desk, begun.text("join_url").trim_start_matches("/j/"));
    assert_eq!((seen.text("name").as_str(), &seen.body["key_required"]), ("Ann Ahlberg", &json!(false)));
    assert_eq!(begin(&desk, &ann, "view").code(), Some("E_CAPABILITY"), "R136 needs escalate_to_view");
    assert_eq!(begin(&desk, &ann, "cobrowse").code(), Some("E_INPUT"));
    let _page = Page::open(&desk, "maria");
    assert_eq!(invite(&desk, &ann, "maria").body["expires_s"], 5, "the group sets how long a question stays open");
}

#[test]
fn a_view_url_lets_one_viewer_in_once() {
    // R146, R149
    let desk = Desk::new(true);
    let (ann, ben) = (desk.sign_in(0), desk.sign_in(1));
    let session = begin(&desk, &ann, "view").text("session");
    let path = format!("/v1/sessions/{session}/view");
    assert_eq!(desk.post(&path, Some(&ben), "").code(), Some("E_SESSION"), "not his");
    let token = |answer: &Answer| answer.text("view_url").split_once("#view=").expect("a fragment").1.to_owned();
    let open = |token: &str| desk.post("/v1/views", None, &json!({"token": token}).to_string());
    let own = token(&desk.post(&path, Some(&ann), ""));
    let opened = open(&own);
    assert_eq!([opened.text("agent"), opened.text("session")], ["ann".to_owned(), session]);
    assert!(desk.control.admit(&opened.text("ticket")).is_ok());
    assert_eq!((open(&own).status, open(&own).code()), (StatusCode::UNAUTHORIZED, Some("E_TICKET")), "used");
    assert_eq!(open(&own), open("guess"));
    let late = token(&desk.operate(Method::POST, &path, r#"{"agent":"ben"}"#));
    desk.time.pass(Duration::from_secs(120));
    assert_eq!(open(&late), open("guess"));
    assert_eq!(desk.operate(Method::POST, &path, r#"{"agent":"nobody"}"#).code(), Some("E_NOT_FOUND"));
    let named = token(&desk.operate(Method::POST, &path, r#"{"agent":"ben"}"#));
    assert_eq!(open(&named).text("name"), "Ben Okafor");
}

#[test]
fn a_drain_lets_pages_and_streams_go() {
    let desk = Desk::new(true);
    let ann = desk.sign_in(0);
    let (mut page, mut lines) = (Page::open(&desk, "maria"), events(&desk, &ann, "visitor=maria"));
    line(&mut lines);
    desk.control.set_draining(true);
    assert_eq!(
        (page.mailbox.try_recv(), lines.try_recv()).0,
        Err(tokio::sync::mpsc::error::TryRecvError::Disconnected)
    );
    assert!(lines.is_closed());
    assert_eq!(invite(&desk, &ann, "maria").code(), Some("E_DRAIN"));
}
