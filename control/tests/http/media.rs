//! WHIP and WHEP at the HTTP side: who is let in, what is taken, how it is answered. The shard's part is scripted.

use bytes::Bytes;
use fanlight_control::{ControlConfig, Door};
use fanlight_wire::command::Command;
use fanlight_wire::resource::{Condition, MediaSource, ResourceId, ResourceInput, ResourceKind, ResourceOutput};
use fanlight_wire::signal::Slot;
use fanlight_wire::{Code, Refusal};
use hyper::{Method, Request};
use serde_json::json;

use crate::desk::{Answer, Desk, HOST};

const RESOURCE: ResourceId = ResourceId::from_bytes([0xab; 16]);
const SDP: (&str, &str) = ("content-type", "application/sdp");
const FRAGMENT: (&str, &str) = ("content-type", "application/trickle-ice-sdpfrag");

/// Method, path, headers; status and code of the answer.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], u16, &'a str);

/// A desk with a session and a media token for it.
struct Stage {
    desk: Desk,
    session: String,
    token: String,
}

impl Stage {
    fn new() -> Self {
        let servers = vec!["stun:stun.example:3478".to_owned(), "turn:turn.example?transport=udp".to_owned()];
        let desk = Desk::with(ControlConfig { demo: true, ice_servers: servers, ..ControlConfig::default() });
        let session = desk.visit().text("session");
        let token = mint(&desk, &session, "upstream", 900).text("ticket");
        Self { desk, session, token }
    }

    fn endpoint(&self, tail: &str) -> String {
        format!("/v1/sessions/{}/{tail}", self.session)
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", HOST);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.desk.send(Door::Public, request.body(Bytes::copy_from_slice(body.as_bytes())).expect("a request"))
    }

    /// The same with the token.
    fn with_token(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let all = [headers, &[("authorization", bearer.as_str())]].concat();
        self.send(method, path, &all, body)
    }
}

fn mint(desk: &Desk, session: &str, role: &str, seconds: u64) -> Answer {
    let wish = json!({"session": session, "role": role, "name": "Mixer", "subject": "mixer", "media_s": seconds});
    desk.operate(Method::POST, "/v1/tickets", &wish.to_string())
}

fn created() -> ResourceOutput {
    ResourceOutput::Created { resource: RESOURCE, tag: "00abcdef".into(), sdp: "v=0\r\nanswer".into() }
}

#[test]
fn an_offer_becomes_a_resource() {
    // RFC 9725 §4.2, §4.6
    let stage = Stage::new();
    stage.desk.shards.answers(Ok(created()));
    let answer = stage.with_token("POST", &stage.endpoint("whip?source=slot:agent"), &[SDP], "v=0\r\noffer");
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.body, "v=0\r\nanswer");
    assert_eq!(answer.header("content-type"), Some("application/sdp"));
    assert_eq!(answer.header("location"), Some(stage.endpoint(&format!("whip/{RESOURCE}")).as_str()));
    assert_eq!(answer.header("etag"), Some("\"00abcdef\""));
    let links: Vec<_> = answer.headers.get_all("link").iter().filter_map(|link| link.to_str().ok()).collect();
    let wanted =
        [r#"<stun:stun.example:3478>; rel="ice-server""#, r#"<turn:turn.example?transport=udp>; rel="ice-server""#];
    assert_eq!(links, wanted);
    match stage.desk.shards.asked().as_slice() {
        [ResourceInput::Create { kind: ResourceKind::Whip, admission, source, sdp }] => {
            assert_eq!(admission.session.to_string(), stage.session);
            assert_eq!((*source, sdp.as_str()), (Some(MediaSource::Slot(Slot::Agent)), "v=0\r\noffer"));
            assert_eq!((admission.subject.as_str(), admission.name.as_str()), ("mixer", "Mixer"));
        }
        other => panic!("{other:?}"),
    }
    for _ in 0..3 {
        let again = stage.with_token("POST", &stage.endpoint("whep"), &[SDP], "v=0\r\n");
        assert_eq!(again.status, 201, "a media token is good for many requests");
    }
}

#[test]
fn what_cannot_be_taken_is_a_problem_document() {
    let stage = Stage::new();
    stage.desk.shards.answers(Ok(created()));
    let (whip, resource) = (stage.endpoint("whip"), stage.endpoint(&format!("whip/{RESOURCE}")));
    let text = ("content-type", "text/plain");
    let html = ("accept", "text/html, image/*");
    let cases: [Case<'_>; 14] = [
        ("GET", &whip, &[], 405, "E_METHOD"),
        ("PUT", &whip, &[SDP], 405, "E_METHOD"),
        ("PATCH", &whip, &[SDP], 405, "E_METHOD"),
        ("GET", &resource, &[], 405, "E_METHOD"),
        ("POST", &resource, &[SDP], 405, "E_METHOD"),
        ("POST", &whip, &[], 415, "E_MEDIA_TYPE"),
        ("POST", &whip, &[text], 415, "E_MEDIA_TYPE"),
        ("POST", &whip, &[SDP, html], 406, "E_ACCEPT"),
        ("POST", &format!("{whip}?source=desktop"), &[SDP], 400, "E_INPUT"),
        ("PATCH", &resource, &[SDP, ("if-match", "*")], 415, "E_MEDIA_TYPE"),
        ("PATCH", &resource, &[FRAGMENT], 428, "E_UNCONDITIONAL"),
        ("PATCH", &resource, &[FRAGMENT, ("if-match", "x")], 400, "E_INPUT"),
        ("DELETE", &stage.endpoint("whip/x"), &[], 404, "E_NOT_FOUND"),
        ("PATCH", &stage.endpoint("whep/x"), &[], 404, "E_NOT_FOUND"),
    ];
    for (method, path, headers, status, code) in cases {
        let answer = stage.with_token(method, path, headers, "");
        assert_eq!((answer.status.as_u16(), answer.code()), (status, Some(code)), "{method} {path} {headers:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.body["status"], status);
        for field in ["type", "title", "detail", "rule"] {
            assert!(answer.body[field].as_str().is_some_and(|text| !text.is_empty()), "{field} in {}", answer.body);
        }
        if status == 405 {
            assert!(answer.header("allow").is_some_and(|methods| !methods.contains(method)), "{answer:?}");
        }
    }
    assert_eq!(stage.desk.shards.asked(), [], "none of these reached the shard");
}

#[test]
fn what_the_shard_refuses_keeps_its_status() {
    let stage = Stage::new();
    for (code, status) in [(Code::Sdp, 400), (Code::Capability, 403), (Code::Full, 409), (Code::Overload, 503)] {
        stage.desk.shards.answers(Err(Refusal::new(code, "a rule")));
        let answer = stage.with_token("POST", &stage.endpoint("whep"), &[SDP], "v=0");
        assert_eq!((answer.status.as_u16(), answer.code()), (status, Some(code.label())));
        assert_eq!(answer.header("retry-after").is_some(), status == 503);
    }
    let body = [0xff, 0xfe];
    let bearer = format!("Bearer {}", stage.token);
    let request = Request::post(stage.endpoint("whip")).header("host", HOST).header("authorization", bearer);
    let request = request.header("content-type", "application/sdp; charset=utf-8").body(Bytes::copy_from_slice(&body));
    assert_eq!(stage.desk.send(Door::Public, request.expect("a request")).code(), Some("E_SDP"));
    stage.desk.control.set_draining(true);
    let drained = stage.with_token("POST", &stage.endpoint("whip"), &[SDP], "v=0");
    assert_eq!((drained.status.as_u16(), drained.code()), (503, Some("E_DRAIN")));
}

#[test]
fn only_a_media_token_of_this_session_lets_in() {
    // G-50, G-52
    let stage = Stage::new();
    stage.desk.shards.answers(Ok(created()));
    let other = stage.desk.visit();
    let wish = json!({"session": stage.session, "role": "upstream", "name": "Mixer", "subject": "mixer"});
    let join = stage.desk.operate(Method::POST, "/v1/tickets", &wish.to_string()).text("ticket");
    let agent = stage.desk.sign_in(0);
    let strangers =
        [None, Some("nonsense"), Some(join.as_str()), Some(&agent), Some(stage.desk.control.operator_token())];
    let paths =
        [stage.endpoint("whip"), format!("/v1/sessions/{}/whip", "0".repeat(32)), "/v1/sessions/x/whep/y".into()];
    let mut answers = Vec::new();
    for bearer in strangers {
        for path in &paths {
            let method = if path.ends_with('y') { "DELETE" } else { "POST" };
            let bearer = bearer.map(|bearer| format!("Bearer {bearer}"));
            let mut headers = vec![SDP];
            headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
            let answer = stage.send(method, path, &headers, "v=0");
            assert_eq!((answer.status.as_u16(), answer.header("www-authenticate")), (401, Some("Bearer")), "{path}");
            answers.push(answer.code().map(str::to_owned));
        }
    }
    assert!(answers.iter().all(|code| code.as_deref() == Some("E_TICKET")), "{answers:?}");

    let foreign = stage.with_token("POST", &format!("/v1/sessions/{}/whip", other.text("session")), &[SDP], "v=0");
    assert_eq!((foreign.status.as_u16(), foreign.code()), (404, Some("E_SESSION")));
    for path in [format!("/v1/sessions/{}/whip", "0".repeat(32)), "/v1/sessions/x/whip".into()] {
        assert_eq!(stage.with_token("POST", &path, &[SDP], "v=0"), foreign, "{path}");
    }
    assert_eq!(stage.desk.shards.asked(), []);
    assert!(stage.desk.control.admit(&stage.token).is_err(), "a media token admits to no carrier");
}

#[test]
fn a_token_ends_with_its_time_and_with_its_session() {
    let stage = Stage::new();
    stage.desk.shards.answers(Ok(created()));
    let post = || stage.with_token("POST", &stage.endpoint("whep"), &[SDP], "v=0").status.as_u16();
    stage.desk.time.pass(std::time::Duration::from_secs(900));
    assert_eq!(post(), 201);
    stage.desk.time.pass(std::time::Duration::from_secs(31));
    assert_eq!(post(), 401);

    let stage = Stage::new();
    let session = stage.session.parse().expect("an id");
    let lasted = std::time::Duration::ZERO;
    stage.desk.control.report(fanlight_wire::report::Report::Ended { session, code: Code::Ended, by: None, lasted });
    let gone = stage.with_token("DELETE", &stage.endpoint(&format!("whep/{RESOURCE}")), &[], "");
    assert_eq!((gone.status.as_u16(), gone.code()), (404, Some("E_SESSION")));
}

#[test]
fn changes_name_what_they_were_made_for() {
    // RFC 9725 §4.3.1
    let stage = Stage::new();
    let path = stage.endpoint(&format!("whep/{RESOURCE}"));
    stage.desk.shards.answers(Ok(ResourceOutput::Noted));
    let trickled = stage.with_token("PATCH", &path, &[FRAGMENT, ("if-match", "\"00abcdef\"")], "a=candidate:x");
    assert_eq!((trickled.status.as_u16(), trickled.header("etag")), (204, None));
    stage.desk.shards.answers(Err(Refusal::new(Code::Precondition, "RFC 9725 §4.3.1")));
    let stale = stage.with_token("PATCH", &path, &[FRAGMENT, ("if-match", "\"old\"")], "");
    assert_eq!((stale.status.as_u16(), stale.code()), (412, Some("E_PRECONDITION")));
    let fragment = "a=ice-ufrag:00fresh\r\n".to_owned();
    stage.desk.shards.answers(Ok(ResourceOutput::Restarted { tag: "00fresh".into(), fragment: fragment.clone() }));
    let restarted = stage.with_token("PATCH", &path, &[FRAGMENT, ("if-match", "*")], "a=ice-ufrag:new\r\n");
    assert_eq!((restarted.status.as_u16(), restarted.header("etag")), (200, Some("\"00fresh\"")));
    assert_eq!(
        (restarted.header("content-type"), restarted.body.as_str()),
        (Some(FRAGMENT.1), Some(fragment.as_str()))
    );
    stage.desk.shards.answers(Ok(ResourceOutput::Deleted));
    assert_eq!(stage.with_token("DELETE", &path, &[], "").status, 200);
    let conditions = stage.desk.shards.asked().into_iter().map(|input| match input {
        ResourceInput::Patch { of, condition, .. } => {
            assert_eq!((of.resource, of.kind, of.subject.as_str()), (RESOURCE, ResourceKind::Whep, "mixer"));
            Some(condition)
        }
        _ => None,
    });
    let tag = |text: &str| Some(Condition::Tag(text.to_owned()));
    let conditions: Vec<_> = conditions.collect();
    assert_eq!(conditions, [tag("00abcdef"), tag("old"), Some(Condition::Any), None]);
}

#[test]
fn a_browser_may_ask_before_and_read_afterwards() {
    let stage = Stage::new();
    stage.desk.shards.answers(Ok(created()));
    let shop = ("origin", "https://shop.example");
    let options = stage.send("OPTIONS", &stage.endpoint("whip"), &[shop], "");
    assert_eq!((options.status.as_u16(), options.header("accept-post")), (204, Some("application/sdp")));
    assert_eq!(options.header("access-control-allow-origin"), Some(shop.1));
    assert_eq!(options.header("access-control-allow-headers"), Some("authorization, content-type, if-match"));
    assert_eq!(options.header("access-control-allow-methods"), Some("OPTIONS, POST"));
    let options = stage.send("OPTIONS", &stage.endpoint("whip/x"), &[shop], "");
    assert_eq!(options.header("accept-patch"), Some(FRAGMENT.1));
    let made = stage.with_token("POST", &stage.endpoint("whip"), &[SDP, shop], "v=0");
    let exposed = made.header("access-control-expose-headers").unwrap_or_default();
    assert!(["Location", "ETag", "Link"].iter().all(|name| exposed.contains(name)), "{exposed}");
    let evil = stage.with_token("POST", &stage.endpoint("whip"), &[SDP, ("origin", "https://evil.example")], "v=0");
    assert_eq!((evil.status.as_u16(), evil.code()), (403, Some("E_ORIGIN")));
}

#[test]
fn the_operator_mints_media_tokens_within_bounds() {
    let stage = Stage::new();
    let minted = mint(&stage.desk, &stage.session, "guest", 86_400);
    assert_eq!((minted.status.as_u16(), minted.body["expires_s"].as_u64()), (201, Some(86_400)));
    for (role, seconds, code) in [
        ("visitor", 900, "E_ROLE"),
        ("agent", 900, "E_ROLE"),
        ("guest", 59, "E_INPUT"),
        ("upstream", 86_401, "E_INPUT"),
        ("upstream", u64::MAX, "E_INPUT"),
    ] {
        assert_eq!(mint(&stage.desk, &stage.session, role, seconds).code(), Some(code), "{role} {seconds}");
    }
    assert!(stage.desk.shards.commands().iter().all(|(_, command)| matches!(command, Command::Open { .. })));
}
