//! From a visitor's key to the end of the session.

use std::time::Duration;

use fanlight_control::Door;
use fanlight_wire::command::Command;
use fanlight_wire::policy::{Capabilities, Policy, Role};
use fanlight_wire::report::Report;
use fanlight_wire::{Code, ParticipantId, SessionId, ShardId};
use hyper::{Method, StatusCode};

use crate::desk::Desk;

fn joined(session: SessionId, participant: ParticipantId, resumed: bool) -> Report {
    let (subject, name) = ("ann".to_owned(), "Ann Ahlberg".to_owned());
    Report::Joined { session, participant, role: Role::Agent, resumed, subject, name }
}

fn session_of(text: &str) -> SessionId {
    text.parse().expect("a session id")
}

#[test]
fn a_visitor_and_an_agent_meet() {
    let desk = Desk::new(true);
    let visit = desk.visit();
    let session = session_of(&visit.text("session"));
    assert_eq!(visit.body["expires_s"], 600);
    assert_eq!(visit.body["connect"]["websocket"], "/v1/ws");
    let demo = fanlight_wire::GroupId::new("demo").unwrap();
    let open = Command::Open { session, group: demo, policy: Policy::default() };
    assert_eq!(desk.shards.commands(), [(ShardId(0), open)]);
    assert_eq!(desk.control.home(&session), Some(ShardId(0)));

    let visitor = desk.control.admit(&visit.text("ticket")).expect("a fresh ticket");
    assert_eq!((visitor.session, visitor.role), (session, Role::Visitor));
    assert!(!visitor.capabilities.contains(Capabilities::SUB_DOM));

    let ann = desk.sign_in(0);
    let key = visit.text("key");
    let spoken = format!(r#"{{"key":"{} {} {}"}}"#, &key[..3], &key[3..6], &key[6..]);
    let joined = desk.post("/v1/join", Some(&ann), &spoken);
    assert_eq!((joined.status, joined.text("session")), (StatusCode::OK, session.to_string()));
    let agent = desk.control.admit(&joined.text("ticket")).expect("a fresh ticket");
    assert_eq!((agent.role, agent.name.as_str(), agent.subject.as_str()), (Role::Agent, "Ann Ahlberg", "ann"));
    assert_eq!(desk.control.admit(&joined.text("ticket")).map_err(|refusal| refusal.code), Err(Code::Ticket));

    let again = desk.post("/v1/join", Some(&ann), &spoken);
    assert_eq!((again.status, again.code()), (StatusCode::NOT_FOUND, Some("E_KEY")));
}

#[test]
fn a_running_session_gets_further_keys_for_further_agents() {
    let desk = Desk::new(true);
    let visit = desk.visit();
    let further = desk.post("/v1/keys", Some(&visit.text("handle")), "");
    assert_eq!(further.status, StatusCode::CREATED);
    assert_eq!(further.text("session"), visit.text("session"));
    assert_eq!(further.body.get("ticket"), None);
    let ben = desk.sign_in(1);
    let joined = desk.post("/v1/join", Some(&ben), &format!(r#"{{"key":"{}"}}"#, further.text("key")));
    assert_eq!(joined.text("session"), visit.text("session"));
    assert_eq!(desk.shards.commands().len(), 1, "a further key opens nothing");
}

#[test]
fn a_ticket_and_a_key_expire() {
    let desk = Desk::new(true);
    let visit = desk.visit();
    let ann = desk.sign_in(0);
    desk.time.pass(Duration::from_secs(91));
    assert_eq!(desk.control.admit(&visit.text("ticket")).map_err(|refusal| refusal.code), Err(Code::Ticket));
    desk.time.pass(Duration::from_secs(509));
    let late = desk.post("/v1/join", Some(&ann), &format!(r#"{{"key":"{}"}}"#, visit.text("key")));
    assert_eq!((late.status, late.code()), (StatusCode::NOT_FOUND, Some("E_KEY")));
    let mut signed_out = late;
    for _ in 0..8 {
        desk.time.pass(Duration::from_secs(3600));
        signed_out = desk.post("/v1/join", Some(&ann), r#"{"key":"1"}"#);
    }
    assert_eq!((signed_out.status, signed_out.code()), (StatusCode::UNAUTHORIZED, Some("E_LOGIN")));
}

#[test]
fn a_session_ends_once_and_everything_of_it_goes() {
    let desk = Desk::new(true);
    let visit = desk.visit();
    let (session, handle) = (session_of(&visit.text("session")), visit.text("handle"));
    let end = format!("/v1/sessions/{session}/end");
    assert_eq!(desk.post(&end, Some(&handle), "").status, StatusCode::NO_CONTENT);
    assert!(desk.shards.commands().contains(&(ShardId(0), Command::End { session, code: Code::Ended })));
    assert_eq!(desk.post(&end, Some(&handle), "").status, StatusCode::NO_CONTENT, "a repeated wish is harmless");

    let ended =
        Report::Ended { session, code: Code::Ended, by: Some(ParticipantId(1)), lasted: Duration::from_secs(9) };
    desk.control.report(ended.clone());
    desk.control.report(ended);
    assert_eq!(desk.control.home(&session), None);
    assert_eq!(desk.control.session_count(), 0);
    assert_eq!(desk.control.admit(&visit.text("ticket")).map_err(|refusal| refusal.code), Err(Code::Session));
    assert_eq!(desk.post(&end, Some(&handle), "").code(), Some("E_LOGIN"), "the handle went with it");
    assert_eq!(desk.post("/v1/keys", Some(&handle), "").code(), Some("E_LOGIN"));
    let ann = desk.sign_in(0);
    let key = format!(r#"{{"key":"{}"}}"#, visit.text("key"));
    assert_eq!(desk.post("/v1/join", Some(&ann), &key).code(), Some("E_KEY"));
    let connect = desk.ask(Door::Public, Method::GET, &format!("/v1/connect/{session}"), None, "");
    assert_eq!(connect.code(), Some("E_SESSION"));
    // Its place is free again: the next two sessions go to the two shards.
    let homes: Vec<_> = (0..2).map(|_| desk.control.home(&session_of(&desk.visit().text("session")))).collect();
    assert_eq!(homes, [Some(ShardId(0)), Some(ShardId(1))]);
}

#[test]
fn a_drain_refuses_newcomers_and_nothing_else() {
    // P3
    let desk = Desk::new(true);
    let visit = desk.visit();
    let ann = desk.sign_in(0);
    desk.control.set_draining(true);
    let key = format!(r#"{{"key":"{}"}}"#, visit.text("key"));
    let refused = [
        desk.post("/v1/keys", None, r#"{"group":"demo"}"#),
        desk.post("/v1/join", Some(&ann), &key),
        desk.operate(Method::POST, "/v1/sessions", r#"{"group":"demo"}"#),
    ];
    for answer in refused {
        assert_eq!((answer.status, answer.code()), (StatusCode::SERVICE_UNAVAILABLE, Some("E_DRAIN")));
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(desk.control.admit(&visit.text("ticket")).map_err(|refusal| refusal.code), Err(Code::Draining));
    let end = format!("/v1/sessions/{}/end", visit.text("session"));
    assert_eq!(desk.post(&end, Some(&visit.text("handle")), "").status, StatusCode::NO_CONTENT);
    desk.control.set_draining(false);
    assert!(desk.control.admit(&visit.text("ticket")).is_ok(), "a refused ticket is not used up");
    assert_eq!(desk.post("/v1/join", Some(&ann), &key).status, StatusCode::OK, "nor is a refused key");
}

#[test]
fn a_session_that_no_shard_takes_leaves_nothing_behind() {
    let desk = Desk::new(true);
    desk.shards.refuse();
    let answer = desk.post("/v1/keys", None, r#"{"group":"demo"}"#);
    assert_eq!((answer.status, answer.code()), (StatusCode::SERVICE_UNAVAILABLE, Some("E_OVERLOAD")));
    assert!(answer.header("retry-after").is_some());
    assert_eq!(desk.control.session_count(), 0);
}

#[test]
fn wrong_keys_run_into_the_budget_and_are_told_how_long() {
    // G-51
    let desk = Desk::new(true);
    let visit = desk.visit();
    let ann = desk.sign_in(0);
    let wrong = desk.post("/v1/join", Some(&ann), r#"{"key":"000"}"#);
    let wrong_again = desk.post("/v1/join", Some(&ann), r#"{"key":"no digits"}"#);
    assert_eq!((wrong.status, wrong.code()), (StatusCode::NOT_FOUND, Some("E_KEY")));
    assert_eq!(wrong, wrong_again);
    let key = format!(r#"{{"key":"{}"}}"#, visit.text("key"));
    let early = desk.post("/v1/join", Some(&ann), &key);
    assert_eq!((early.status, early.code()), (StatusCode::TOO_MANY_REQUESTS, Some("E_RATE")));
    let wait = early.header("retry-after").and_then(|text| text.parse().ok()).expect("whole seconds");
    desk.time.pass(Duration::from_secs(wait));
    assert_eq!(desk.post("/v1/join", Some(&ann), &key).status, StatusCode::OK);
}

#[test]
fn reports_become_counts_that_the_operator_sees() {
    let desk = Desk::new(true);
    let session = session_of(&desk.visit().text("session"));
    let (slot, [a, b]) = (fanlight_wire::signal::Slot::Agent, [ParticipantId(2), ParticipantId(3)]);
    for participant in [a, b] {
        desk.control.report(joined(session, participant, false));
        desk.control.report(Report::ShareStarted { session, slot, participant });
    }
    desk.control.report(joined(session, a, true));
    desk.control.report(Report::ShareTakenOver { session, slot, from: a, to: b });
    desk.control.report(Report::ShareLive { session, slot, participant: b, after: Duration::from_millis(80) });
    desk.control.report(Report::Refused { session, participant: a, code: Code::Mode });
    let list = desk.operate(Method::GET, "/v1/sessions", "").body;
    assert_eq!(list["count"], 1);
    let shown = &list["sessions"][0];
    assert_eq!(shown["session"], session.to_string());
    assert_eq!([&shown["agents_joined"], &shown["shares"], &shown["takeovers"], &shown["refusals"]], [2, 2, 1, 1]);
    let metrics = desk.control.metrics().render();
    for line in [
        r#"fanlight_refusals_total{code="E_MODE"} 1"#,
        r#"fanlight_takeovers_total{slot="agent"} 1"#,
        r#"fanlight_share_gap_seconds_bucket{slot="agent",le="0.1"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line}");
    }
}

#[test]
fn a_page_creates_only_so_many_sessions() {
    let desk = Desk::new(true);
    for _ in 0..fanlight_wire::limits::SESSIONS_PER_ADDRESS {
        desk.visit();
    }
    let one_more = desk.post("/v1/keys", None, r#"{"group":"demo"}"#);
    assert_eq!((one_more.status, one_more.code()), (StatusCode::TOO_MANY_REQUESTS, Some("E_RATE")));
    assert_eq!(one_more.header("retry-after"), Some("60"));
    assert_eq!(desk.operate(Method::POST, "/v1/sessions", r#"{"group":"demo"}"#).status, StatusCode::CREATED);
    desk.time.pass(Duration::from_secs(60));
    desk.visit();
}

#[test]
fn guessing_secrets_is_slow_and_a_wrong_one_says_nothing() {
    let desk = Desk::new(true);
    let try_in = |group: &str, agent: &str| {
        desk.post("/v1/login", None, &format!(r#"{{"group":"{group}","agent":"{agent}","secret":"guess"}}"#))
    };
    let wrong_secret = try_in("demo", "ann");
    assert_eq!((wrong_secret.status, wrong_secret.code()), (StatusCode::UNAUTHORIZED, Some("E_LOGIN")));
    for (group, agent) in [("demo", "nobody"), ("nowhere", "ann"), ("No Group!", "ann"), ("", "")] {
        assert_eq!(try_in(group, agent), wrong_secret, "{group}/{agent}");
    }
    for _ in 0..4 {
        assert_eq!(try_in("demo", "ann").code(), Some("E_LOGIN"));
    }
    assert_eq!(try_in("demo", "ann").code(), Some("E_RATE"));
    desk.time.pass(Duration::from_secs(60));
    for _ in 0..10 {
        desk.sign_in(0); // What is right is no guess and costs no budget.
    }
}
