//! A camera link from the agent's wish to the phone's camera (R110, R124–R126).

use std::time::Duration;

use fanlight_control::{ControlConfig, Door, Outbound, SmsConfig};
use fanlight_wire::command::Command;
use fanlight_wire::consent::{Matter, Question};
use fanlight_wire::limits::{CAMERA_INVITES_PER_AGENT, CAMERA_LINK_LIFE};
use fanlight_wire::policy::{Capabilities, Policy, Role};
use fanlight_wire::report::Report;
use fanlight_wire::{Code, SessionId};
use hyper::{Method, StatusCode};
use rusqlite::Connection;
use serde_json::json;

use crate::desk::{Answer, Desk, Folder};
use crate::receiver::Receiver;

const PHONE: &str = "+49 (170) 123-4567";
const PLAIN: &str = "+491701234567";

struct Scene {
    desk: Desk,
    service: Receiver,
    ann: String,
}

fn scene(folder: Option<&Folder>) -> Scene {
    let service = Receiver::new();
    let outbound = Outbound { named: vec![service.origin()], ca_path: None };
    let sms = SmsConfig { url: format!("{}/sms", service.origin()), secret_path: None };
    let store_path = folder.map(|folder| folder.0.join("fanlight.db"));
    let public_url = "https://relay.example".into();
    let desk =
        Desk::with(ControlConfig { demo: true, store_path, outbound, sms, public_url, ..ControlConfig::default() });
    Scene { ann: desk.sign_in(0), desk, service }
}

impl Scene {
    fn invite(&self) -> Answer {
        let wish = json!({"phone": PHONE}).to_string();
        self.desk.post("/v1/camera-invites", Some(&self.ann), &wish)
    }

    /// The session and the link's token.
    fn invited(&self) -> (SessionId, String) {
        let sent = self.invite();
        assert_eq!(sent.status, StatusCode::CREATED, "{}", sent.body);
        let link = self.service.next().json()["link"].as_str().expect("a link").to_owned();
        let token = link.strip_prefix("https://relay.example/c/").expect("our page").to_owned();
        (sent.text("session").parse().expect("a session id"), token)
    }

    fn phone(&self, what: &str, token: &str) -> Answer {
        self.desk.post(&format!("/v1/camera-links/{what}"), None, &json!({"token": token}).to_string())
    }

    fn state(&self, session: &SessionId, bearer: &str) -> Answer {
        self.desk.ask(Door::Public, Method::GET, &format!("/v1/camera-invites/{session}"), Some(bearer), "")
    }
}

#[test]
fn a_link_brings_one_phone_and_its_agent_together_for_a_camera_and_nothing_else() {
    // R045, R110, R124, R125, R126
    let scene = scene(None);
    let sent = scene.invite();
    assert_eq!((sent.status, &sent.body["expires_s"]), (StatusCode::CREATED, &json!(900)));
    let message = scene.service.next();
    assert!(message.head.starts_with("POST /sms HTTP/1.1") && message.header("webhook-signature").starts_with("v1,"));
    let body = message.json();
    assert_eq!((&body["to"], &body["group"]), (&json!(PLAIN), &json!("demo")));
    let link = body["link"].as_str().expect("a link");
    assert!(body["text"].as_str().is_some_and(|text| text.contains("Ann Ahlberg") && text.ends_with(link)));
    let token = link.rsplit('/').next().expect("its end");
    let session: SessionId = sent.text("session").parse().expect("a session id");
    let kept = Command::Keep { session, empty_max: CAMERA_LINK_LIFE };
    assert!(scene.desk.shards.commands().iter().any(|(_, command)| *command == kept), "it waits as long as the link");

    assert_eq!(scene.state(&session, &scene.ann).body, json!({"state": "sent"}));
    let looked = scene.phone("look", token);
    // The tap is the visitor's consent to the agent that is named, in these words.
    let question = Question::standard(Matter::Camera);
    let wanted = json!({"agent": "Ann Ahlberg", "expires_s": 900, "text": question.text, "words": question.words()});
    assert_eq!(looked.body, wanted);
    let asks = |policy: &Policy| policy.questions.view == question && policy.questions.camera == question;
    let opens = |command: &Command| matches!(command, Command::Open { policy, .. } if asks(policy));
    assert!(scene.desk.shards.commands().iter().any(|(_, command)| opens(command)), "and the session asks the same");
    let opened = scene.phone("open", token);
    assert_eq!(opened.status, StatusCode::CREATED, "{}", opened.body);
    let visitor = scene.desk.control.admit(&opened.text("ticket")).expect("a fresh ticket");
    assert_eq!((visitor.session, visitor.role), (session, Role::Visitor));
    assert_eq!(visitor.capabilities, Capabilities::PUB_CAMERA.union(Capabilities::END), "no page, no screen");
    let state = scene.state(&session, &scene.ann);
    assert_eq!(state.text("state"), "opened");
    let agent = scene.desk.control.admit(&state.text("ticket")).expect("a fresh ticket");
    assert_eq!((agent.session, agent.role, agent.name.as_str()), (session, Role::Agent, "Ann Ahlberg"));
    assert_eq!(agent.capabilities, Capabilities::SUB_CAMERA.union(Capabilities::END), "no page, no pointer");
    let end = scene.desk.post(&format!("/v1/sessions/{session}/end"), Some(&opened.text("handle")), "");
    assert_eq!(end.status, StatusCode::NO_CONTENT);
}

#[test]
fn a_link_that_is_used_declined_expired_or_guessed_looks_the_same() {
    // R125, G-52
    let scene = scene(None);
    let guessed = scene.phone("look", "AAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!((guessed.status, guessed.code()), (StatusCode::NOT_FOUND, Some("E_KEY")));
    let (used, used_token) = scene.invited();
    assert_eq!(scene.phone("open", &used_token).status, StatusCode::CREATED);
    let (declined, declined_token) = scene.invited();
    assert_eq!(scene.phone("decline", &declined_token).status, StatusCode::NO_CONTENT);
    assert_eq!(scene.state(&declined, &scene.ann).body, json!({"state": "declined"}));
    let ended = Command::End { session: declined, code: Code::Consent };
    assert!(scene.desk.shards.commands().iter().any(|(_, command)| *command == ended));
    let (late, late_token) = scene.invited();
    scene.desk.time.pass(CAMERA_LINK_LIFE);
    assert_eq!(scene.state(&late, &scene.ann).body, json!({"state": "expired"}));
    for token in [&used_token, &declined_token, &late_token] {
        for what in ["look", "open", "decline"] {
            assert_eq!(scene.phone(what, token), guessed, "{what}");
        }
    }
    // Another agent's link is one that does not exist.
    let ben = scene.desk.sign_in(1);
    assert_eq!(scene.state(&used, &ben).code(), Some("E_SESSION"));
    assert_eq!(scene.state(&used, &ben), scene.state(&SessionId::from_bytes([9; 16]), &ben));
}

#[test]
fn the_number_goes_into_the_message_and_nowhere_else() {
    // R124, G-62
    let folder = Folder::new("camera");
    let scene = scene(Some(&folder));
    let (session, token) = scene.invited();
    let ended = Report::Ended { session, code: Code::Timeout, by: None, lasted: Duration::ZERO };
    scene.desk.control.report(ended);
    assert_eq!(scene.state(&session, &scene.ann).body, json!({"state": "expired"}));
    assert_eq!(scene.phone("open", &token).code(), Some("E_KEY"));
    let metrics = scene.desk.control.metrics().render();
    drop(scene);
    let files: Vec<_> = std::fs::read_dir(&folder.0).expect("a folder").flatten().collect();
    let mut kept = metrics.into_bytes();
    for file in &files {
        kept.extend(std::fs::read(file.path()).expect("readable"));
    }
    for canary in ["1701234567", "170) 123", "123-4567", &token] {
        assert!(!kept.windows(canary.len()).any(|window| window == canary.as_bytes()), "{canary} was kept");
    }
    let store = Connection::open(folder.0.join("fanlight.db")).expect("a store");
    let sql = "SELECT group_concat(what || ' ' || coalesce(detail, '-'), ',') FROM audit WHERE what LIKE 'invite.%'";
    let lines: String = store.query_row(sql, [], |row| row.get(0)).expect("lines");
    assert_eq!(lines, "invite.sent camera,invite.expired camera");
}

#[test]
fn who_may_send_how_many_to_whom() {
    // R124, R152
    let scene = scene(None);
    for (bearer, code) in [(None, "E_LOGIN"), (Some("AAAAAAAAAAAAAAAAAAAAAA"), "E_LOGIN")] {
        let answer = scene.desk.post("/v1/camera-invites", bearer, &json!({"phone": PHONE}).to_string());
        assert_eq!(answer.code(), Some(code));
    }
    for wrong in ["0170 1234567", "+1", "112", "+49170123456789012", "ann ahlberg"] {
        let answer = scene.desk.post("/v1/camera-invites", Some(&scene.ann), &json!({"phone": wrong}).to_string());
        assert_eq!(answer.code(), Some("E_INPUT"), "{wrong}");
        assert!(!answer.body.to_string().contains(wrong), "it is not repeated");
    }
    scene.service.answers(500);
    let failed = scene.invite();
    assert_eq!(failed.code(), Some("E_OVERLOAD"));
    let ended =
        scene.desk.shards.commands().iter().filter(|(_, command)| matches!(command, Command::End { .. })).count();
    assert_eq!(ended, 1, "no session is left behind");
    scene.service.answers(204);
    for _ in 1..CAMERA_INVITES_PER_AGENT {
        assert_eq!(scene.invite().status, StatusCode::CREATED);
    }
    let denied = scene.invite();
    assert_eq!((denied.code(), denied.header("retry-after")), (Some("E_RATE"), Some("3600")));
    let without = Desk::new(true);
    let answer = without.post("/v1/camera-invites", Some(&without.sign_in(0)), &json!({"phone": PHONE}).to_string());
    assert_eq!(answer.code(), Some("E_STATE"));
}
