//! G-52: who may do what, for every role, door and route; and that what is somebody else's looks absent.

use fanlight_control::Door;
use hyper::{Method, StatusCode};

use crate::desk::{Answer, Desk};

/// Everybody who might ask.
const CALLERS: [&str; 6] = ["nobody", "stranger", "visitor", "other visitor", "agent", "operator"];

struct Cast {
    desk: Desk,
    session: String,
    bearers: [Option<String>; 6],
}

fn cast() -> Cast {
    let desk = Desk::new(true);
    let (visit, other) = (desk.visit(), desk.visit());
    let bearers = [
        None,
        Some("AAAAAAAAAAAAAAAAAAAAAA".into()),
        Some(visit.text("handle")),
        Some(other.text("handle")),
        Some(desk.sign_in(0)),
        Some(desk.control.operator_token().into()),
    ];
    Cast { session: visit.text("session"), desk, bearers }
}

impl Cast {
    fn ask(&self, caller: usize, door: Door, method: &Method, path: &str, body: &str) -> Answer {
        let path = path.replace("{session}", &self.session);
        let body = body.replace("{session}", &self.session);
        self.desk.ask(door, method.clone(), &path, self.bearers[caller].as_deref(), &body)
    }
}

#[test]
fn every_role_at_every_route() {
    let demo = r#"{"group":"demo"}"#;
    let ticket = r#"{"session":"{session}","role":"guest","name":"Gil","subject":"gil"}"#;
    let wrong = r#"{"group":"demo","agent":"ann","secret":"wrong"}"#;
    let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);
    let (public, operator) = (Door::Public, Door::Operator);
    // Status for: nobody, stranger, visitor, other visitor, agent, operator's token.
    let table = [
        (public, &post, "/v1/keys", demo, [201, 401, 201, 201, 403, 401]),
        (public, &post, "/v1/join", r#"{"key":"000000000"}"#, [401, 401, 403, 403, 404, 401]),
        (public, &get, "/v1/connect/{session}", "", [200; 6]),
        (public, &get, "/demo/config.json", "", [200; 6]),
        (public, &post, "/v1/sessions/{session}/end", "", [401, 401, 204, 404, 204, 401]),
        (public, &get, "/v1/sessions", "", [404; 6]),
        (public, &post, "/v1/sessions", demo, [404; 6]),
        (public, &delete, "/v1/sessions/{session}", "", [404; 6]),
        (public, &post, "/v1/tickets", ticket, [404; 6]),
        (operator, &post, "/v1/sessions", demo, [401, 401, 401, 401, 401, 201]),
        (operator, &get, "/v1/sessions", "", [401, 401, 401, 401, 401, 200]),
        (operator, &delete, "/v1/sessions/{session}", "", [401, 401, 401, 401, 401, 204]),
        (operator, &post, "/v1/tickets", ticket, [401, 401, 401, 401, 401, 201]),
        (operator, &post, "/v1/keys", demo, [404; 6]),
        (operator, &post, "/v1/join", demo, [404; 6]),
    ];
    let cast = cast();
    for (door, method, path, body, wanted) in table {
        for (caller, wanted) in wanted.into_iter().enumerate() {
            let answer = cast.ask(caller, door, method, path, body);
            assert_eq!(answer.status.as_u16(), wanted, "{} {method} {path} at {door:?}", CALLERS[caller]);
            if !answer.status.is_success() {
                assert!(
                    answer.code().is_some() && answer.body["detail"].is_string() && answer.body["rule"].is_string()
                );
            }
        }
    }
    // Signing in does not look at bearers. One try each: the budget is another test's.
    for caller in [0, 1, 4, 5] {
        let answer = cast.ask(caller, public, &post, "/v1/login", wrong);
        assert_eq!((answer.status.as_u16(), answer.code()), (401, Some("E_LOGIN")), "{}", CALLERS[caller]);
    }
}

#[test]
fn absent_malformed_and_foreign_sessions_look_the_same() {
    let cast = cast();
    let (visitor, other, agent) = (2, 3, 4);
    let end = |caller, session: &str| {
        cast.ask(caller, Door::Public, &Method::POST, &format!("/v1/sessions/{session}/end"), "")
    };
    let absent = end(visitor, "00000000000000000000000000000000");
    assert_eq!((absent.status, absent.code()), (StatusCode::NOT_FOUND, Some("E_SESSION")));
    for (caller, session) in [(other, cast.session.as_str()), (visitor, "x"), (agent, "x"), (agent, &"0".repeat(32))] {
        assert_eq!(end(caller, session), absent, "{} {session}", CALLERS[caller]);
    }
    let show = |session: &str| cast.ask(0, Door::Public, &Method::GET, &format!("/v1/connect/{session}"), "");
    assert_eq!(show("x"), show(&"0".repeat(32)));
    assert_eq!(show("x").status, StatusCode::NOT_FOUND);
    let remove = |session: &str| cast.ask(5, Door::Operator, &Method::DELETE, &format!("/v1/sessions/{session}"), "");
    assert_eq!(remove("x"), remove(&"0".repeat(32)));
}

#[test]
fn an_operators_ticket_keeps_to_its_role() {
    let cast = cast();
    let mint = |body: serde_json::Value| cast.desk.operate(Method::POST, "/v1/tickets", &body.to_string());
    let session = cast.session.as_str();
    let full = mint(serde_json::json!({"session": session, "role": "guest", "name": "Gil", "subject": "gil"}));
    let admission = cast.desk.control.admit(&full.text("ticket")).expect("a fresh ticket");
    assert_eq!(admission.capabilities, fanlight_wire::policy::Role::Guest.ceiling());
    let with = |capability: &str, name: &str| {
        mint(serde_json::json!({
            "session": session, "role": "guest", "name": name, "subject": "gil", "capabilities": [capability]
        }))
    };
    assert_eq!(with("sub.dom", "Gil").status, StatusCode::CREATED);
    assert_eq!(with("ctl.grant", "Gil").code(), Some("E_CAPABILITY"));
    assert_eq!(with("root", "Gil").code(), Some("E_INPUT"));
    assert_eq!(with("sub.dom", "").code(), Some("E_INPUT"));
    assert_eq!(with("sub.dom", &"n".repeat(81)).code(), Some("E_INPUT"));
    let absent = serde_json::json!({"session": "0".repeat(32), "role": "guest", "name": "Gil", "subject": "gil"});
    assert_eq!(mint(absent).code(), Some("E_SESSION"));
}
