//! Webhooks from their making to their last message.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fanlight_control::{Control, ControlConfig, Outbound};
use fanlight_wire::limits::{WEBHOOK_ATTEMPTS_MAX, WEBHOOK_RETRY_MAX, WEBHOOKS_PER_GROUP_MAX};
use fanlight_wire::report::Report;
use fanlight_wire::signal::Slot;
use fanlight_wire::{Code, ParticipantId, SessionId};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::desk::{Answer, Desk, Folder};
use crate::joining::{Page, invite};
use crate::receiver::{Delivered, Receiver};

const HOOKS: &str = "/v1/groups/demo/webhooks";

struct Hook {
    desk: Desk,
    receiver: Receiver,
    id: String,
    secret: String,
}

fn config(receiver: &Receiver) -> ControlConfig {
    let outbound = Outbound { named: vec![receiver.origin()], ca_path: None };
    ControlConfig { demo: true, outbound, ..ControlConfig::default() }
}

/// A webhook of the demo group that hears these.
fn hooked(desk: Desk, receiver: Receiver, events: &[&str]) -> Hook {
    let wish = json!({"url": format!("{}/hook?x=1", receiver.origin()), "events": events});
    let made = desk.operate(Method::POST, HOOKS, &wish.to_string());
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    Hook { id: made.text("id"), secret: made.text("secret"), desk, receiver }
}

fn hook(events: &[&str]) -> Hook {
    let receiver = Receiver::new();
    hooked(Desk::with(config(&receiver)), receiver, events)
}

impl Hook {
    fn at(&self, rest: &str) -> String {
        format!("{HOOKS}/{}{rest}", self.id)
    }

    /// Delivers what is due, and waits for it.
    fn deliver(&self) -> usize {
        deliver(&self.desk)
    }

    fn shown(&self) -> Value {
        self.desk.operate(Method::GET, HOOKS, "").body["webhooks"][0].clone()
    }

    fn dead(&self) -> Answer {
        self.desk.operate(Method::GET, &self.at("/deliveries?state=dead"), "")
    }
}

fn deliver(desk: &Desk) -> usize {
    desk.wait(async {
        let begun = Control::deliver_due(&desk.control).await;
        let count = begun.len();
        for delivery in begun {
            delivery.await.expect("no panic");
        }
        count
    })
}

fn is_signed(delivered: &Delivered, secret: &str) -> bool {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("its beginning")).expect("base64");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let text =
        format!("{}.{}.{}", delivered.header("webhook-id"), delivered.header("webhook-timestamp"), delivered.body);
    delivered.header("webhook-signature").split(' ').any(|signature| {
        let tag = STANDARD.decode(signature.strip_prefix("v1,").expect("v1")).expect("base64");
        hmac::verify(&key, text.as_bytes(), &tag).is_ok()
    })
}

fn share(session: SessionId, n: u8) -> Report {
    Report::ShareStarted { session, slot: Slot::Agent, participant: ParticipantId(n) }
}

#[test]
fn a_message_is_signed_and_says_ids_and_states_only() {
    // R187, R189
    let hook = hook(&["session.created", "session.ended"]);
    let visit = hook.desk.visit();
    let session: SessionId = visit.text("session").parse().expect("a session id");
    hook.desk.control.report(Report::Started { session });
    let by = Some(ParticipantId(1));
    hook.desk.control.report(Report::Ended { session, code: Code::Ended, by, lasted: Duration::ZERO });
    assert_eq!(hook.deliver() + hook.deliver(), 2, "one event was not chosen; of one session one at a time");
    let (created, ended) = (hook.receiver.next(), hook.receiver.next());
    assert!(created.head.starts_with("POST /hook?x=1 HTTP/1.1"), "{}", created.head);
    assert!(is_signed(&created, &hook.secret) && is_signed(&ended, &hook.secret));
    assert_eq!(created.json()["event"], "session.created");
    let wanted = json!({
        "id": ended.header("webhook-id"), "event": "session.ended", "at": 1_800_000_000, "group": "demo",
        "session": session, "who": "p1", "code": "E_ENDED",
    });
    assert_eq!(ended.json(), wanted);
    let all = format!("{}{}", created.body, ended.body);
    for secret in [visit.text("key"), visit.text("ticket"), visit.text("handle"), hook.secret.clone()] {
        assert!(!all.contains(&secret));
    }
    let shown = hook.shown();
    assert_eq!((&shown["waiting"], &shown["dead"], &shown["secret"]), (&json!(0), &json!(0), &Value::Null));
    assert_eq!(shown["delivered_at"], 1_800_000_000);
}

#[test]
fn what_fails_is_tried_again_in_order_put_aside_and_replayed_under_its_id() {
    let hook = hook(&["share.started"]);
    let session: SessionId = hook.desk.visit().text("session").parse().expect("a session id");
    hook.receiver.answers(500);
    hook.desk.control.report(share(session, 2));
    hook.desk.control.report(share(session, 3));
    let mut id = String::new();
    for attempt in 1..=WEBHOOK_ATTEMPTS_MAX {
        assert_eq!(hook.deliver(), 1, "attempt {attempt}: the second waits for the first");
        let tried = hook.receiver.next();
        assert_eq!(tried.json()["who"], "p2");
        if attempt > 1 {
            assert_eq!(tried.header("webhook-id"), id, "the same id each time");
        }
        id = tried.header("webhook-id");
        if attempt < WEBHOOK_ATTEMPTS_MAX {
            assert_eq!(hook.deliver(), 0, "not at once");
            hook.desk.time.pass(WEBHOOK_RETRY_MAX * 2);
        }
    }
    let dead = hook.dead();
    let one = &dead.body["deliveries"][0];
    assert_eq!(dead.body["deliveries"].as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&one["message"], &one["attempts"], &one["dead"]),
        (&json!(id), &json!(WEBHOOK_ATTEMPTS_MAX), &json!(true))
    );
    assert_eq!(one["failure"], "The host answered 500.");
    hook.receiver.answers(200);
    assert_eq!(hook.deliver(), 1, "now the second");
    assert_eq!(hook.receiver.next().json()["who"], "p3");

    let replay = json!({"delivery": one["delivery"]}).to_string();
    assert_eq!(hook.desk.operate(Method::POST, &hook.at("/replay"), &replay).body, json!({"replayed": 1}));
    assert_eq!(hook.deliver(), 1);
    assert_eq!(hook.receiver.next().header("webhook-id"), id);
    assert_eq!(hook.desk.operate(Method::POST, &hook.at("/replay"), "").body, json!({"replayed": 0}));
    let metrics = hook.desk.control.metrics().render();
    for line in [
        "fanlight_webhook_deliveries_total{outcome=\"delivered\"} 2".to_owned(),
        format!("fanlight_webhook_deliveries_total{{outcome=\"failed\"}} {}", WEBHOOK_ATTEMPTS_MAX - 1),
        "fanlight_webhook_deliveries_total{outcome=\"dead\"} 1".to_owned(),
    ] {
        assert!(metrics.lines().any(|known| known == line), "{line} in {metrics}");
    }
}

#[test]
fn the_queue_outlives_the_process_and_so_does_the_secret() {
    let folder = Folder::new("webhooks");
    let receiver = Receiver::new();
    let kept = || ControlConfig {
        store_path: Some(folder.0.join("fanlight.db")),
        webhook_key_path: Some(folder.0.join("webhook.key")),
        ..config(&receiver)
    };
    let first = Desk::with(kept());
    let wish = json!({"url": receiver.origin(), "events": ["session.created"]}).to_string();
    let secret = first.operate(Method::POST, HOOKS, &wish).text("secret");
    first.visit();
    drop(first);
    let files: Vec<_> = std::fs::read_dir(&folder.0).expect("a folder").flatten().collect();
    for file in files {
        let bytes = std::fs::read(file.path()).expect("readable");
        let plain = secret.trim_start_matches("whsec_").as_bytes();
        assert!(!bytes.windows(plain.len()).any(|window| window == plain), "{:?} holds the secret", file.path());
    }
    let second = Desk::with(kept());
    assert_eq!(deliver(&second), 1);
    let delivered = receiver.next();
    assert_eq!(delivered.json()["event"], "session.created");
    assert!(is_signed(&delivered, &secret));
}

#[test]
fn an_earlier_secret_is_good_for_a_day_beside_the_new_one() {
    let hook = hook(&["session.created"]);
    let rotated = hook.desk.operate(Method::POST, &hook.at("/rotate"), "").text("secret");
    assert_ne!(rotated, hook.secret);
    hook.desk.visit();
    assert_eq!(hook.deliver(), 1);
    let soon = hook.receiver.next();
    assert!(is_signed(&soon, &hook.secret) && is_signed(&soon, &rotated));
    hook.desk.time.pass(Duration::from_secs(24 * 3_600));
    hook.desk.visit();
    assert_eq!(hook.deliver(), 1);
    let later = hook.receiver.next();
    assert!(!is_signed(&later, &hook.secret) && is_signed(&later, &rotated));
}

#[test]
fn a_test_is_sent_at_once_and_says_how_it_went() {
    let hook = hook(&["session.created"]);
    let tested = hook.desk.operate(Method::POST, &hook.at("/test"), "").body;
    assert_eq!((&tested["delivered"], &tested["status"]), (&json!(true), &json!(204)));
    let delivered = hook.receiver.next();
    assert_eq!(delivered.json()["event"], "webhook.test");
    assert!(is_signed(&delivered, &hook.secret));
    hook.receiver.answers(302);
    let tested = hook.desk.operate(Method::POST, &hook.at("/test"), "").body;
    assert_eq!((&tested["delivered"], &tested["status"]), (&json!(false), &json!(302)));
    assert_eq!(tested["sentence"], "The host answered 302; redirects are not followed.");
}

#[test]
fn addresses_and_events_are_checked_when_they_are_set() {
    // G-70
    let hook = hook(&["session.created"]);
    let post = |url: &str, events: &[&str]| {
        hook.desk.operate(Method::POST, HOOKS, &json!({"url": url, "events": events}).to_string())
    };
    for url in ["http://hooks.example/", "https://hooks.example:8443/", "https://u@hooks.example/", "ftp://x", ""] {
        assert_eq!(post(url, &["session.created"]).code(), Some("E_INPUT"), "{url}");
    }
    for events in [&[][..], &["session.nothing"], &["policy.saved"], &["agent.signed_in"], &["doc.shared"]] {
        assert_eq!(post("https://hooks.example/", events).code(), Some("E_INPUT"), "{events:?}");
    }
    // Reachable by its text; refused when its addresses are looked at.
    let inside = post("https://169.254.169.254/latest", &["session.created"]);
    let tested = hook.desk.operate(Method::POST, &format!("{HOOKS}/{}/test", inside.text("id")), "").body;
    assert_eq!(tested["delivered"], false);
    assert!(tested["sentence"].as_str().is_some_and(|text| text.contains("public internet")), "{tested}");
    for _ in 2..WEBHOOKS_PER_GROUP_MAX {
        assert_eq!(post("https://hooks.example/", &["session.created"]).status, StatusCode::CREATED);
    }
    assert_eq!(post("https://hooks.example/", &["session.created"]).code(), Some("E_FULL"));
}

#[test]
fn a_webhook_is_its_groups_alone_and_can_be_changed_switched_off_and_removed() {
    // G-52
    let hook = hook(&["session.created"]);
    let made = hook.desk.operate(Method::POST, "/v1/groups", r#"{"group":"other","name":"Other"}"#);
    assert_eq!(made.status, StatusCode::CREATED);
    let (absent, foreign) =
        (format!("{HOOKS}/wh_{}", "A".repeat(22)), format!("/v1/groups/other/webhooks/{}", hook.id));
    for (method, rest) in [
        (Method::PATCH, ""),
        (Method::DELETE, ""),
        (Method::POST, "/rotate"),
        (Method::POST, "/test"),
        (Method::POST, "/replay"),
        (Method::GET, "/deliveries"),
    ] {
        let ask = |base: &str| hook.desk.operate(method.clone(), &format!("{base}{rest}"), "{}");
        assert_eq!(ask(&absent).status, StatusCode::NOT_FOUND, "{method} {rest}");
        assert_eq!(ask(&absent), ask(&foreign), "{method} {rest}");
        let stranger = hook.desk.ask(fanlight_control::Door::Operator, method.clone(), &hook.at(rest), None, "");
        assert_eq!(stranger.code(), Some("E_LOGIN"));
    }
    let changed = hook.desk.operate(Method::PATCH, &hook.at(""), r#"{"active":false,"events":["session.ended"]}"#);
    assert_eq!((&changed.body["active"], &changed.body["events"]), (&json!(false), &json!(["session.ended"])));
    hook.desk.visit();
    assert_eq!(hook.deliver(), 0);
    assert_eq!(hook.desk.operate(Method::DELETE, &hook.at(""), "").status, StatusCode::NO_CONTENT);
    assert_eq!(hook.desk.operate(Method::GET, HOOKS, "").body["webhooks"], json!([]));
    assert!(hook.receiver.rest().is_empty());
}

/// A webhook of a relay that people reach by name, with its store in a folder.
fn kept(folder: &Folder, events: &[&str]) -> Hook {
    let receiver = Receiver::new();
    let store_path = Some(folder.0.join("fanlight.db"));
    let config = ControlConfig { store_path, public_url: "https://relay.example".into(), ..config(&receiver) };
    hooked(Desk::with(config), receiver, events)
}

/// What follows `#view=` in a message.
fn view(delivered: &Delivered) -> String {
    let body = delivered.json();
    let url = body["view_url"].as_str().unwrap_or_else(|| panic!("no link in {body}"));
    url.strip_prefix("https://relay.example/agent/#view=").expect("an address of the relay").to_owned()
}

fn is_in_store(folder: &Folder, text: &str) -> bool {
    let files = std::fs::read_dir(&folder.0).expect("a folder").flatten();
    let mut all = files.map(|file| std::fs::read(file.path()).expect("readable"));
    all.any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

fn ended(session: SessionId) -> Report {
    Report::Ended { session, code: Code::Ended, by: None, lasted: Duration::ZERO }
}

#[test]
fn a_message_names_the_case_and_an_accepted_invite_brings_the_agents_link() {
    // R111, R113, R145, R146, R148, R149, R189
    let folder = Folder::new("view-links");
    let hook = kept(&folder, &["invite.sent", "session.created", "invite.accepted", "session.ended"]);
    let ann = hook.desk.sign_in(0);
    let mut page = Page::open(&hook.desk, "maria");
    assert_eq!(invite(&hook.desk, &ann, "maria").status, StatusCode::CREATED);
    let session = page.accepts(&hook.desk);
    let messages: Vec<_> =
        (0..2).flat_map(|_| (0..hook.deliver()).map(|_| hook.receiver.next()).collect::<Vec<_>>()).collect();
    let named = |event: &str| messages.iter().find(|one| one.json()["event"] == event).expect("delivered");
    for event in ["invite.sent", "session.created", "invite.accepted"] {
        let message = named(event).json();
        assert_eq!(message["context"], json!({"type": "case", "id": "C-1042"}), "{event}");
        assert_eq!(message["external_ref"], "maria", "R111: by default the visitor's id");
    }
    assert_eq!(named("invite.sent").json()["view_url"], Value::Null, "nobody has agreed yet");
    let accepted = named("invite.accepted");
    assert!(is_signed(accepted, &hook.secret));
    assert_eq!((&accepted.json()["view_expires_s"], accepted.json()["view_title"].is_string()), (&json!(120), true));
    let (first, second) = (view(accepted), view(named("session.created")));
    assert_ne!(first, second, "each message has its own");
    let open = |token: &str| hook.desk.post("/v1/views", None, &json!({"token": token}).to_string());
    let opened = open(&first);
    assert_eq!((opened.status, opened.text("agent")), (StatusCode::OK, "ann".into()), "{}", opened.body);
    assert_eq!(hook.desk.control.admit(&opened.text("ticket")).expect("fresh").session, session);
    assert_eq!(open(&first).code(), Some("E_TICKET"), "once");
    hook.desk.time.pass(Duration::from_secs(120));
    assert_eq!(open(&second).code(), Some("E_TICKET"), "and not for long");
    hook.desk.control.report(ended(session));
    assert_eq!(hook.deliver(), 1);
    let last = hook.receiver.next().json();
    assert_eq!((&last["context"]["id"], &last["view_url"]), (&json!("C-1042"), &Value::Null));
    assert!(is_in_store(&folder, "C-1042") && !is_in_store(&folder, &first) && !is_in_store(&folder, &second));
}

#[test]
fn a_link_that_did_not_arrive_is_kept_nowhere_and_made_anew() {
    // R146, G-62
    let folder = Folder::new("view-tries");
    let hook = kept(&folder, &["invite.accepted"]);
    let ann = hook.desk.sign_in(0);
    let mut page = Page::open(&hook.desk, "maria");
    assert_eq!(invite(&hook.desk, &ann, "maria").status, StatusCode::CREATED);
    let session = page.accepts(&hook.desk);
    hook.receiver.answers(500);
    let tries: Vec<_> = (0..WEBHOOK_ATTEMPTS_MAX)
        .map(|_| {
            assert_eq!(hook.deliver(), 1);
            hook.desk.time.pass(WEBHOOK_RETRY_MAX * 2);
            hook.receiver.next()
        })
        .collect();
    let mut links: Vec<_> = tries.iter().take(2).map(view).collect();
    links.dedup();
    assert_eq!(links.len(), 2, "each try has its own");
    assert!(links.iter().all(|link| !is_in_store(&folder, link)), "what is kept has none");
    assert!(!hook.dead().body.to_string().contains("view"), "nor has the list of dead messages");
    hook.receiver.answers(204);
    let replay = || {
        assert_eq!(hook.desk.operate(Method::POST, &hook.at("/replay"), "").body, json!({"replayed": 1}));
        assert_eq!(hook.deliver(), 1);
        hook.receiver.next()
    };
    hook.desk.operate(Method::PUT, "/v1/groups/demo/agents/ann", r#"{"name":"Ann","active":false}"#);
    hook.desk.control.report(ended(session));
    assert_eq!(replay().json()["view_url"], Value::Null, "a session that is over has no way in");
}

#[test]
fn an_agent_who_is_switched_off_gets_no_link() {
    // R146, G-54
    let hook = hook(&["invite.accepted"]);
    let ann = hook.desk.sign_in(0);
    let mut page = Page::open(&hook.desk, "maria");
    assert_eq!(invite(&hook.desk, &ann, "maria").status, StatusCode::CREATED);
    page.accepts(&hook.desk);
    let off = hook.desk.operate(Method::PUT, "/v1/groups/demo/agents/ann", r#"{"name":"Ann","active":false}"#);
    assert_eq!(off.status, StatusCode::OK);
    assert_eq!(hook.deliver(), 1);
    assert_eq!(hook.receiver.next().json()["view_url"], Value::Null);
}
