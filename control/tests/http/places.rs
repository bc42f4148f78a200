//! In how many sessions an agent is, whichever way it comes, and how it leaves one for another (R143).

use fanlight_control::Door;
use fanlight_wire::command::Whom;
use fanlight_wire::policy::Role;
use fanlight_wire::report::Report;
use fanlight_wire::{Code, ParticipantId, SessionId};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::desk::{Answer, Desk};
use crate::servers::{a_key, revocations};

/// A visitor comes, and the agent is admitted to its session by the key.
pub(crate) fn meets(desk: &Desk, token: &str) -> (SessionId, Answer) {
    let visit = desk.visit();
    let body = json!({"key": visit.text("key")}).to_string();
    (visit.text("session").parse().expect("an id"), desk.post("/v1/join", Some(token), &body))
}

/// The agent's connection to a session has come or gone.
fn here(desk: &Desk, session: SessionId, agent: &str, here: bool) {
    let participant = ParticipantId(2);
    desk.control.report(Report::AgentHere { session, participant, subject: agent.into(), here });
}

fn own_sessions(desk: &Desk, token: &str) -> Value {
    desk.ask(Door::Public, Method::GET, "/v1/own-sessions", Some(token), "").body["sessions"].clone()
}

/// A demo whose rules are those of any other group, and Ann's and Ben's tokens.
fn a_desk() -> (Desk, String, String) {
    let desk = Desk::new(true);
    desk.publish(&json!({}));
    let (ann, ben) = (desk.sign_in(0), desk.sign_in(1));
    (desk, ann, ben)
}

fn left_by_ann(session: SessionId) -> (SessionId, Whom, Code) {
    (session, Whom::One { role: Role::Agent, subject: "ann".into() }, Code::Replaced)
}

#[test]
fn an_agent_is_in_one_session_at_a_time() {
    // R143
    let (desk, ann, _) = a_desk();
    let (first, joined) = meets(&desk, &ann);
    assert_eq!(joined.status, StatusCode::OK);
    here(&desk, first, "ann", true);
    let visit = desk.visit();
    let body = json!({"key": visit.text("key")}).to_string();
    let busy = desk.post("/v1/join", Some(&ann), &body);
    assert_eq!((busy.status, busy.body["rule"].as_str()), (StatusCode::CONFLICT, Some("R143")), "{}", busy.body);
    assert_eq!(busy.body["sessions"], json!([first]), "the refusal tells where the agent is");
    assert_eq!(own_sessions(&desk, &ann), json!([{"session": first}]));
    here(&desk, first, "ann", false);
    assert_eq!(desk.post("/v1/join", Some(&ann), &body).status, StatusCode::OK, "the key was not used up");
    assert_eq!(revocations(&desk), [left_by_ann(first)], "what it left behind gives way");
}

#[test]
fn coming_into_the_same_session_again_is_never_busy() {
    // R143: its page died, its place still looks taken; the engine replaces it.
    let (desk, ann, _) = a_desk();
    let visit = desk.visit();
    let session: SessionId = visit.text("session").parse().expect("an id");
    let join = |key: &str| desk.post("/v1/join", Some(&ann), &json!({"key": key}).to_string());
    assert_eq!(join(&visit.text("key")).status, StatusCode::OK);
    here(&desk, session, "ann", true);
    let another = desk.post("/v1/keys", Some(&visit.text("handle")), "").text("key");
    assert_eq!(join(&another).status, StatusCode::OK);
    assert_eq!(revocations(&desk), [], "and nothing is given up");
}

#[test]
fn an_agent_leaves_the_session_that_it_names_and_joins() {
    // R143, G-52
    let (desk, ann, ben) = a_desk();
    let (of_ann, before) = meets(&desk, &ann);
    let (of_ben, _) = meets(&desk, &ben);
    here(&desk, of_ann, "ann", true);
    here(&desk, of_ben, "ben", true);
    let visit = desk.visit();
    let join = |leave: Value| {
        let body = json!({"key": visit.text("key"), "leave": leave}).to_string();
        desk.post("/v1/join", Some(&ann), &body)
    };
    let refused = join(Value::Null);
    assert_eq!(refused.code(), Some("E_BUSY"));
    for not_hers in [of_ben, SessionId::from_bytes([7; 16])] {
        assert_eq!(join(json!(not_hers)), refused, "somebody else's is like none");
    }
    assert_eq!(revocations(&desk), [], "and stays as it is");
    assert_eq!(join(json!("x")).code(), Some("E_INPUT"));
    let joined = join(json!(of_ann));
    assert_eq!(joined.status, StatusCode::OK, "{}", joined.body);
    assert_eq!(revocations(&desk), [left_by_ann(of_ann)]);
    assert_eq!(own_sessions(&desk, &ann), json!([{"session": visit.text("session")}]));
    let late = desk.control.admit(&before.text("ticket")).expect_err("a ticket from before");
    assert_eq!((late.code, late.rule.as_ref()), (Code::Ticket, "G-54"));
    let trail = desk.operate(Method::GET, &format!("/v1/audit?session={of_ann}&what=agent.moved"), "").body;
    let line = &trail["lines"][0];
    assert_eq!((&line["who"], &line["code"]), (&json!("ann"), &json!("E_REPLACED")), "{trail}");
}

#[test]
fn every_way_in_says_which_session_is_in_the_way_and_may_leave_it() {
    // R143, R149
    let (desk, ann, _) = a_desk();
    let begun = |kind: &str| desk.post("/v1/sessions", Some(&ann), &json!({"kind": kind}).to_string()).text("session");
    let (first, second) = (begun("show"), begun("view"));
    let url = desk.post(&format!("/v1/sessions/{second}/view"), Some(&ann), "").text("view_url");
    let token = url.split_once("#view=").expect("a fragment").1.to_owned();
    let (server, _) = a_key(&desk, "demo", &Value::Null);
    let seat = json!({"session": first, "role": "agent", "name": "Ann", "subject": "ann"});
    // Each way into a session, and the bearer that it takes.
    let ways = [
        (format!("/v1/sessions/{first}/join"), Some(&ann), json!({}), &first),
        ("/v1/views".into(), None, json!({"token": token}), &second),
        ("/v1/tickets".into(), Some(&server), seat, &first),
    ];
    let (mut at, _) = meets(&desk, &ann);
    for (path, bearer, mut body, to) in ways {
        here(&desk, at, "ann", true);
        let refused = desk.post(&path, bearer.map(String::as_str), &body.to_string());
        assert_eq!((refused.code(), &refused.body["sessions"]), (Some("E_BUSY"), &json!([at])), "{path}");
        body["leave"] = json!(at);
        let joined = desk.post(&path, bearer.map(String::as_str), &body.to_string());
        assert!(joined.status.is_success(), "{path}: {}", joined.body);
        assert_eq!(revocations(&desk).last(), Some(&left_by_ann(at)), "{path}");
        at = to.parse().expect("an id");
    }
}
