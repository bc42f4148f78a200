//! Groups' servers with their keys: what a key gives, what it does not, and how fast that ends.

use std::time::Duration;

use fanlight_control::Door;
use fanlight_wire::command::{Command, Whom};
use fanlight_wire::policy::{Capabilities, Role};
use fanlight_wire::{Code, SessionId};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::desk::Desk;
use crate::places::meets;

/// A key of a group, and its id.
pub(crate) fn a_key(desk: &Desk, group: &str, scopes: &Value) -> (String, String) {
    let path = format!("/v1/groups/{group}/keys");
    let mut body = json!({"name": "Case desk"});
    if !scopes.is_null() {
        body["scopes"] = scopes.clone();
    }
    let made = desk.operate(Method::POST, &path, &body.to_string());
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    (made.text("secret"), made.text("key"))
}

pub(crate) fn revocations(desk: &Desk) -> Vec<(SessionId, Whom, Code)> {
    let revoked = |(_, command)| match command {
        Command::Revoke { session, whom, code, .. } => Some((session, whom, code)),
        _ => None,
    };
    desk.shards.commands().into_iter().filter_map(revoked).collect()
}

pub(crate) fn another_group(desk: &Desk) {
    let made = desk.operate(Method::POST, "/v1/groups", r#"{"group":"other","name":"Other"}"#);
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
}

#[test]
fn a_server_works_for_its_own_group_and_for_no_other() {
    // G-52
    let desk = Desk::new(true);
    another_group(&desk);
    let (key, id) = a_key(&desk, "demo", &Value::Null);
    let (foreign, _) = a_key(&desk, "other", &Value::Null);
    let made = desk.post("/v1/sessions", Some(&key), r#"{"keep_s":60}"#);
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let session = made.text("session");
    assert_eq!(desk.post("/v1/sessions", Some(&key), "").status, StatusCode::CREATED, "the group is known");
    let absent = desk.post("/v1/sessions", Some(&key), r#"{"group":"absent"}"#);
    assert_eq!(absent, desk.post("/v1/sessions", Some(&key), r#"{"group":"other"}"#));
    assert_eq!(absent.status, StatusCode::NOT_FOUND);

    let list = |key: &str| desk.ask(Door::Public, Method::GET, "/v1/own-sessions", Some(key), "").body;
    assert_eq!((&list(&key)["count"], &list(&foreign)["count"]), (&json!(2), &json!(0)));
    let named: Vec<_> = list(&key)["sessions"].as_array().expect("a list").clone();
    assert!(named.iter().all(|one| one.as_object().is_some_and(|one| one.len() == 1)), "ids only: {named:?}");

    let ticket = |key: &str, session: &str, role: &str| {
        let body = json!({"session": session, "role": role, "name": "Ann", "subject": "ann"});
        desk.post("/v1/tickets", Some(key), &body.to_string())
    };
    for role in ["visitor", "agent", "guest", "upstream"] {
        let minted = ticket(&key, &session, role);
        assert_eq!(minted.status, StatusCode::CREATED, "{role}: {}", minted.body);
        let admission = desk.control.admit(&minted.text("ticket")).expect("fresh");
        assert!(!admission.capabilities.contains(Capabilities::CONTROL_GRANT) || admission.role == Role::Visitor);
    }
    assert_eq!(ticket(&foreign, &session, "agent"), ticket(&foreign, &"0".repeat(32), "agent"));
    assert_eq!(ticket(&foreign, &session, "agent").code(), Some("E_SESSION"));

    let end = |key: &str, session: &str| desk.post(&format!("/v1/sessions/{session}/end"), Some(key), "");
    assert_eq!(end(&foreign, &session), end(&foreign, &"0".repeat(32)));
    assert_eq!(end(&foreign, &session).status, StatusCode::NOT_FOUND);
    assert_eq!(end(&key, &session).status, StatusCode::NO_CONTENT);

    let effective = desk.ask(Door::Public, Method::GET, "/v1/policy/effective", Some(&key), "");
    assert_eq!(effective.body["policy"]["version"], 1);

    let listed = desk.operate(Method::GET, "/v1/groups/demo/keys", "").body;
    let row = &listed["keys"][0];
    assert_eq!((&row["key"], &row["used"], &row["revoked"]), (&json!(id), &json!("2027-01-15"), &Value::Null));
    assert!(!listed.to_string().contains(&key) && row.get("secret").is_none(), "a secret is shown once");
}

#[test]
fn a_key_is_for_its_scopes() {
    let desk = Desk::new(true);
    let session = desk.visit().text("session");
    let ask = |key: &str, method: Method, path: &str| {
        let body = json!({"session": session, "role": "guest", "name": "Gil", "subject": "gil"});
        let body = if path == "/v1/tickets" { body.to_string() } else { String::new() };
        desk.ask(Door::Public, method, path, Some(key), &body)
    };
    let end = format!("/v1/sessions/{session}/end");
    let receipts = format!("/v1/sessions/{session}/receipts");
    let doings = [
        ("sessions.create", Method::POST, "/v1/sessions"),
        ("sessions.list", Method::GET, "/v1/own-sessions"),
        ("tickets.mint", Method::POST, "/v1/tickets"),
        ("policy.read", Method::GET, "/v1/policy/effective"),
        ("receipts.read", Method::GET, receipts.as_str()),
        ("webhooks.manage", Method::GET, "/v1/groups/demo/webhooks"),
        ("sessions.end", Method::POST, end.as_str()),
    ];
    for (scope, ..) in &doings {
        let (key, _) = a_key(&desk, "demo", &json!([scope]));
        for (needed, method, path) in &doings {
            let answer = ask(&key, method.clone(), path);
            assert_eq!(answer.status.is_success(), needed == scope, "{scope} at {path}: {}", answer.body);
            assert!(needed == scope || answer.code() == Some("E_CAPABILITY"), "{}", answer.body);
        }
    }
    for wrong in [json!([]), json!(["root"]), json!("policy.read")] {
        let body = json!({"name": "x", "scopes": wrong}).to_string();
        assert_eq!(desk.operate(Method::POST, "/v1/groups/demo/keys", &body).code(), Some("E_INPUT"));
    }
}

#[test]
fn a_revoked_key_is_nobodys_and_what_it_gave_ends() {
    // G-54
    let desk = Desk::new(true);
    let session = desk.visit().text("session");
    let (key, id) = a_key(&desk, "demo", &Value::Null);
    let (kept, _) = a_key(&desk, "demo", &Value::Null);
    let ticket = |key: &str, subject: &str, media: Option<u64>| {
        let mut body = json!({"session": session, "role": "upstream", "name": "Mixer", "subject": subject});
        if let Some(seconds) = media {
            body["media_s"] = seconds.into();
        }
        desk.post("/v1/tickets", Some(key), &body.to_string()).text("ticket")
    };
    let (mine, others, media) =
        (ticket(&key, "mixer", None), ticket(&kept, "other", None), ticket(&key, "tv", Some(600)));
    let path = format!("/v1/groups/demo/keys/{id}");
    assert_eq!(desk.operate(Method::DELETE, "/v1/groups/demo/keys/absent", "").status, StatusCode::NOT_FOUND);
    assert_eq!(desk.operate(Method::DELETE, &path, "").status, StatusCode::NO_CONTENT);
    assert_eq!(desk.operate(Method::DELETE, &path, "").status, StatusCode::NO_CONTENT, "repeating it is harmless");
    let stranger = desk.post("/v1/sessions", Some("flk_guess"), "");
    assert_eq!((stranger.status, desk.post("/v1/sessions", Some(&key), "")), (StatusCode::UNAUTHORIZED, stranger));
    let one = |subject: &str| {
        let whom = Whom::One { role: Role::Upstream, subject: subject.into() };
        (session.parse().expect("an id"), whom, Code::Ticket)
    };
    let told = revocations(&desk);
    assert_eq!(told[..2], [one("mixer"), one("tv")], "the shard is told with the very request");
    let code = |ticket: &str| desk.control.admit(ticket).map_err(|refusal| refusal.code);
    assert_eq!(code(&mine), Err(Code::Ticket));
    let whep = desk.ask(Door::Public, Method::POST, &format!("/v1/sessions/{session}/whep"), Some(&media), "v=0");
    assert!(!whep.status.is_success());
    assert!(code(&others).is_ok(), "another key's tickets are good");
}

#[test]
fn keys_go_and_come_back_with_their_group_and_outlive_a_restart() {
    let folder = crate::desk::Folder::new("server-keys");
    let key = {
        let desk = Desk::kept_in(&folder, true);
        let (key, _) = a_key(&desk, "demo", &Value::Null);
        desk.operate(Method::PATCH, "/v1/groups/demo", r#"{"active":false}"#);
        assert_eq!(desk.post("/v1/sessions", Some(&key), "").code(), Some("E_LOGIN"));
        desk.operate(Method::PATCH, "/v1/groups/demo", r#"{"active":true}"#);
        assert_eq!(desk.post("/v1/sessions", Some(&key), "").status, StatusCode::CREATED);
        key
    };
    let desk = Desk::kept_in(&folder, true);
    assert_eq!(desk.post("/v1/sessions", Some(&key), "").status, StatusCode::CREATED);
    let stored = std::fs::read(folder.0.join("fanlight.db")).expect("the store");
    let text = key.as_bytes();
    assert!(!stored.windows(text.len()).any(|window| window == text), "only a hash is kept");
}

#[test]
fn a_group_has_few_keys() {
    let desk = Desk::new(true);
    for _ in 0..fanlight_wire::limits::SERVER_KEYS_MAX {
        a_key(&desk, "demo", &Value::Null);
    }
    let more = desk.operate(Method::POST, "/v1/groups/demo/keys", r#"{"name":"one more"}"#);
    assert_eq!(more.code(), Some("E_FULL"));
    assert_eq!(desk.operate(Method::POST, "/v1/groups/absent/keys", r#"{"name":"x"}"#).code(), Some("E_NOT_FOUND"));
}

#[test]
fn who_signs_out_is_changed_or_switched_off_is_put_out() {
    // G-54
    let desk = Desk::new(true);
    let whom = |agent: &str| Whom::One { role: Role::Agent, subject: agent.into() };
    let (ann, ben) = (desk.sign_in(0), desk.sign_in(1));
    let (of_ann, joined) = meets(&desk, &ann);
    let (of_ben, _) = meets(&desk, &ben);
    assert_eq!(desk.post("/v1/logout", Some(&ann), "").status, StatusCode::NO_CONTENT);
    assert_eq!(desk.post("/v1/logout", Some(&ann), "").code(), Some("E_LOGIN"), "the login is over");
    assert_eq!(revocations(&desk), [(of_ann, whom("ann"), Code::Login)]);
    let refused = desk.control.admit(&joined.text("ticket")).expect_err("a ticket from before");
    assert_eq!((refused.code, refused.rule.as_ref()), (Code::Ticket, "G-54"));
    desk.operate(Method::PUT, "/v1/groups/demo/agents/ben", r#"{"name":"Ben","active":false}"#);
    assert_eq!(revocations(&desk)[1..], [(of_ben, whom("ben"), Code::Login)]);
    desk.operate(Method::PATCH, "/v1/groups/demo", r#"{"active":false}"#);
    let everybody: Vec<_> = revocations(&desk).split_off(2);
    assert!(everybody.len() == 2 && everybody.iter().all(|(_, whom, _)| *whom == Whom::Everybody), "{everybody:?}");
}

#[test]
fn a_sessions_epoch_is_raised_by_the_operator() {
    // G-54
    let desk = Desk::new(true);
    let visit = desk.visit();
    let session = visit.text("session");
    let body = json!({"session": session, "role": "guest", "name": "Gil", "subject": "gil"}).to_string();
    let before = desk.operate(Method::POST, "/v1/tickets", &body).text("ticket");
    let path = format!("/v1/sessions/{session}/revoke");
    assert_eq!(desk.operate(Method::POST, &path, "").status, StatusCode::NO_CONTENT);
    let after = desk.operate(Method::POST, "/v1/tickets", &body).text("ticket");
    assert!(desk.control.admit(&before).is_err() && desk.control.admit(&after).is_ok());
    assert!(desk.control.admit(&visit.text("ticket")).is_ok(), "the visitor's page is its own");
    assert_eq!(revocations(&desk).len(), 1);
    let absent = format!("/v1/sessions/{}/revoke", "0".repeat(32));
    assert_eq!(desk.operate(Method::POST, &absent, "").code(), Some("E_SESSION"));
}

#[test]
fn keys_are_made_as_the_groups_rules_say() {
    // R109, R122, rules decision 10
    let desk = Desk::new(true);
    desk.publish(&json!({"keys": {"digits": 6, "minutes": 3, "tries_per_group_hour": 20}}));
    let visit = desk.visit();
    assert_eq!((visit.text("key").len(), &visit.body["expires_s"]), (6, &json!(180)));
    desk.time.pass(Duration::from_secs(180));
    let late = desk.post("/v1/join", Some(&desk.sign_in(0)), &json!({"key": visit.text("key")}).to_string());
    assert_eq!(late.code(), Some("E_KEY"));
}

#[test]
fn a_new_key_signs_and_the_one_before_is_good_for_a_while() {
    let desk = Desk::new(true);
    let (first, second) = (desk.visit().text("ticket"), desk.visit().text("ticket"));
    let rotate = |body: &str| desk.operate(Method::POST, "/v1/signing-key/rotate", body);
    let rotated = rotate("");
    assert_eq!((rotated.status, rotated.text("kid").len()), (StatusCode::OK, 16));
    assert!(desk.control.admit(&first).is_ok() && desk.control.admit(&desk.visit().text("ticket")).is_ok());
    assert_eq!(rotate("").code(), Some("E_BUSY"));
    assert_eq!(rotate(r#"{"forget":true}"#).status, StatusCode::OK);
    assert!(desk.control.admit(&second).is_err());
}
