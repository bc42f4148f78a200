//! What a group's own server sees to with its key: webhooks, receipts, invites in an agent's name, viewers (promises 3.2).

use fanlight_control::Door;
use fanlight_control::receipts::verify;
use fanlight_wire::Code;
use fanlight_wire::command::{Command, Whom};
use fanlight_wire::policy::Role;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::desk::{Answer, Desk};
use crate::joining::Page;
use crate::records::{a_visit, end};
use crate::servers::{a_key, another_group};

const HOOKS: &str = "/v1/groups/demo/webhooks";

fn ask(desk: &Desk, key: &str, method: Method, path: &str, body: &Value) -> Answer {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    desk.ask(Door::Public, method, path, Some(key), &body)
}

#[test]
fn a_server_manages_its_groups_webhooks_and_nobody_elses() {
    // G-52
    let desk = Desk::new(true);
    another_group(&desk);
    let (key, id) = a_key(&desk, "demo", &json!(["webhooks.manage"]));
    let (other, _) = a_key(&desk, "demo", &json!(["sessions.create", "receipts.read"]));
    let (foreign, _) = a_key(&desk, "other", &Value::Null);
    let wish = json!({"url": "https://hooks.example/x", "events": ["session.created"]});
    let made = ask(&desk, &key, Method::POST, HOOKS, &wish);
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let hook = format!("{HOOKS}/{}", made.text("id"));
    let absent = format!("/v1/groups/absent/webhooks/{}", made.text("id"));
    for (method, rest, body) in [
        (Method::GET, "/deliveries", Value::Null),
        (Method::PATCH, "", json!({"active": false})),
        (Method::POST, "/rotate", Value::Null),
        (Method::POST, "/replay", Value::Null),
        (Method::DELETE, "", Value::Null),
    ] {
        let at = |base: &str| format!("{base}{rest}");
        let refused = ask(&desk, &foreign, method.clone(), &at(&hook), &body);
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "{method} {rest}");
        assert_eq!(refused, ask(&desk, &foreign, method.clone(), &at(&absent), &body), "{method} {rest}");
        assert_eq!(ask(&desk, &other, method.clone(), &at(&hook), &body).code(), Some("E_CAPABILITY"));
        assert_eq!(desk.ask(Door::Public, method.clone(), &at(&hook), None, "").code(), Some("E_LOGIN"));
        let agent = desk.sign_in(0);
        assert_eq!(
            ask(&desk, &agent, method.clone(), &at(&hook), &body).code(),
            Some("E_ROLE"),
            "no person's business"
        );
        let done = ask(&desk, &key, method.clone(), &at(&hook), &body);
        assert!(done.status.is_success(), "{method} {rest}: {}", done.body);
    }
    let lines = desk.operate(Method::GET, "/v1/audit?what=webhook.changed", "").body;
    let who: Vec<_> = lines["lines"].as_array().expect("lines").iter().map(|line| line["who"].clone()).collect();
    assert!(!who.is_empty() && who.iter().all(|who| *who == format!("key:{id}")), "{lines}");
}

#[test]
fn a_server_reads_its_groups_receipts_and_nobody_elses() {
    // G-52, R116
    let desk = Desk::new(true);
    another_group(&desk);
    let (key, _) = a_key(&desk, "demo", &json!(["receipts.read"]));
    let (blind, _) = a_key(&desk, "demo", &json!(["policy.read"]));
    let (foreign, _) = a_key(&desk, "other", &Value::Null);
    let session = a_visit(&desk);
    end(&desk, session);
    let read = |key: &str, session: &str| {
        ask(&desk, key, Method::GET, &format!("/v1/sessions/{session}/receipts"), &Value::Null)
    };
    let session = session.to_string();
    let file = read(&key, &session);
    assert_eq!(file.status, StatusCode::OK, "{}", file.body);
    assert!(verify(file.body.to_string().as_bytes(), None).is_ok_and(|verified| verified.lost == Some(0)));
    assert_eq!(read(&blind, &session).code(), Some("E_CAPABILITY"));
    assert_eq!(read(&foreign, &session), read(&foreign, &"0".repeat(32)));
    assert_eq!(read(&foreign, &session), read(&foreign, "x"));
    assert_eq!(read(&foreign, &session).code(), Some("E_SESSION"));
}

#[test]
fn a_server_invites_in_an_agents_name_and_opens_its_viewer() {
    // G-52, G-54, R108, R146, R149
    let desk = Desk::new(true);
    another_group(&desk);
    let (key, id) = a_key(&desk, "demo", &json!(["sessions.create", "tickets.mint"]));
    let (foreign, _) = a_key(&desk, "other", &Value::Null);
    let invites = |key: &str, agent: &str| {
        let body = json!({"visitor": "maria", "agent": agent, "context": {"type": "chat", "id": "42"}});
        ask(&desk, key, Method::POST, "/v1/invites", &body)
    };
    let mut page = Page::open(&desk, "maria");
    let nameless = ask(&desk, &key, Method::POST, "/v1/invites", &json!({"visitor": "maria"}));
    assert_eq!(nameless.code(), Some("E_INPUT"));
    assert_eq!(invites(&foreign, "ann"), invites(&foreign, "nobody"), "an agent of another group looks absent");
    let sent = invites(&key, "ann");
    assert_eq!(sent.status, StatusCode::CREATED, "{}", sent.body);
    let path = format!("/v1/invites/{}", sent.text("invite"));
    let look = |key: &str, method: Method| ask(&desk, key, method, &path, &Value::Null);
    assert_eq!(look(&key, Method::GET).text("state"), "sent");
    for method in [Method::GET, Method::DELETE] {
        let absent = ask(&desk, &foreign, method.clone(), "/v1/invites/absent", &Value::Null);
        assert_eq!((look(&foreign, method), absent.status), (absent, StatusCode::NOT_FOUND));
    }
    let session = page.accepts(&desk);
    assert_eq!(look(&key, Method::GET).text("session"), session.to_string());

    let view = |key: &str, session: &str, agent: &str| {
        ask(&desk, key, Method::POST, &format!("/v1/sessions/{session}/view"), &json!({"agent": agent}))
    };
    let session = session.to_string();
    assert_eq!(view(&foreign, &session, "ann"), view(&foreign, &"0".repeat(32), "ann"));
    assert_eq!(view(&key, &session, "nobody").code(), Some("E_NOT_FOUND"));
    let open = |made: &Answer| {
        let token = made.text("view_url").replace("/agent/#view=", "");
        desk.post("/v1/views", None, &json!({"token": token}).to_string())
    };
    let (used, unused) = (view(&key, &session, "ann"), view(&key, &session, "ann"));
    let opened = open(&used);
    assert_eq!((opened.status, opened.text("name")), (StatusCode::OK, "Ann Ahlberg".into()), "{}", opened.body);
    let revoked = desk.operate(Method::DELETE, &format!("/v1/groups/demo/keys/{id}"), "");
    assert_eq!(revoked.status, StatusCode::NO_CONTENT);
    assert_eq!(open(&unused).code(), Some("E_TICKET"), "a link of a revoked key leads nowhere");
    let ann = Whom::One { role: Role::Agent, subject: "ann".into() };
    let is_out =
        |command: &Command| matches!(command, Command::Revoke { whom, code: Code::Ticket, .. } if *whom == ann);
    assert!(desk.shards.commands().iter().any(|(_, command)| is_out(command)), "and who came in by one is out");
}

#[test]
fn a_server_takes_an_invite_back() {
    // R115
    let desk = Desk::new(true);
    let (key, _) = a_key(&desk, "demo", &json!(["sessions.create"]));
    let mut page = Page::open(&desk, "maria");
    let body = json!({"visitor": "maria", "agent": "ben"});
    let sent = ask(&desk, &key, Method::POST, "/v1/invites", &body);
    assert_eq!(page.hears()["name"], "Ben Okafor", "the visitor is told the agent's name");
    let path = format!("/v1/invites/{}", sent.text("invite"));
    assert_eq!(ask(&desk, &key, Method::DELETE, &path, &Value::Null).status, StatusCode::NO_CONTENT);
    assert_eq!(page.hears()["t"], "withdrawn");
}
