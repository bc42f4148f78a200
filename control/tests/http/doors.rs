//! What is true of every route: methods, origins, bodies, headers; and a fuzz of all of it.

use bytes::Bytes;
use fanlight_control::Door;
use hyper::{Method, Request, StatusCode};
use proptest::prelude::*;

use crate::desk::{Desk, HOST};

#[test]
fn unknown_paths_and_methods() {
    let desk = Desk::new(true);
    let nowhere = desk.post("/v1/nowhere", None, "");
    assert_eq!((nowhere.status, nowhere.code()), (StatusCode::NOT_FOUND, Some("E_NOT_FOUND")));
    let wrong = desk.ask(Door::Public, Method::DELETE, "/v1/keys", None, "");
    assert_eq!((wrong.status, wrong.code()), (StatusCode::METHOD_NOT_ALLOWED, Some("E_METHOD")));
    assert_eq!(wrong.header("allow"), Some("POST"));
    let list = desk.operate(Method::PUT, "/v1/sessions", "");
    assert_eq!(list.header("allow"), Some("GET, POST"));
}

#[test]
fn a_foreign_page_is_refused_and_a_listed_one_may_read_the_answer() {
    // G-35
    let desk = Desk::new(false);
    let from = |origin: &str, method: Method| {
        let request = Request::builder().method(method).uri("/v1/connect/x").header("host", HOST);
        desk.send(Door::Public, request.header("origin", origin).body(Bytes::new()).unwrap())
    };
    let evil = from("https://evil.example", Method::GET);
    assert_eq!((evil.status, evil.code()), (StatusCode::FORBIDDEN, Some("E_ORIGIN")));
    assert_eq!(evil.header("access-control-allow-origin"), None);
    assert_eq!(from("http://127.0.0.1:7700", Method::GET).code(), Some("E_ORIGIN"), "no demo, no own pages");
    assert_eq!(from("null", Method::GET).code(), Some("E_ORIGIN"));
    let listed = from("https://shop.example", Method::GET);
    assert_eq!(listed.code(), Some("E_SESSION"));
    assert_eq!(listed.header("access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(listed.header("vary"), Some("Origin"));
    let preflight = from("https://shop.example", Method::OPTIONS);
    assert_eq!(preflight.status, StatusCode::NO_CONTENT);
    assert_eq!(preflight.header("access-control-allow-methods"), Some("GET"));
    assert_eq!(preflight.header("access-control-allow-headers"), Some("authorization, content-type, idempotency-key"));
}

#[test]
fn a_bad_body_is_named_but_never_repeated() {
    let desk = Desk::new(true);
    for body in ["", "{", "[]", r#"{"group":7}"#, r#"{"group":"No Group"}"#, r#"{"grp":"demo"}"#, "\u{0}"] {
        let answer = desk.post("/v1/keys", None, body);
        assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, Some("E_INPUT")), "{body}");
    }
    let leaky = desk.post("/v1/login", None, r#"{"group":"demo","agent":"ann","secret":["hunter2"]}"#);
    assert!(!leaky.body.to_string().contains("hunter2"));
    let unknown = desk.post("/v1/keys", None, r#"{"group":"nowhere"}"#);
    assert_eq!((unknown.status, unknown.code()), (StatusCode::NOT_FOUND, Some("E_NOT_FOUND")));
}

#[test]
fn without_the_demo_there_is_no_demo() {
    let desk = Desk::new(false);
    let config = desk.ask(Door::Public, Method::GET, "/demo/config.json", None, "");
    assert_eq!(config.code(), Some("E_NOT_FOUND"));
    assert_eq!(desk.post("/v1/keys", None, r#"{"group":"demo"}"#).code(), Some("E_NOT_FOUND"));
}

#[test]
fn answers_are_not_cached_and_every_refusal_is_counted() {
    let desk = Desk::new(true);
    let answer = desk.visit();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let refused = desk.post("/v1/join", None, "");
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
    assert!(desk.control.admit("nonsense").is_err());
    let metrics = desk.control.metrics().render();
    assert!(metrics.contains(r#"fanlight_refusals_total{code="E_LOGIN"} 1"#));
    assert!(metrics.contains(r#"fanlight_refusals_total{code="E_TICKET"} 1"#));
}

#[test]
fn another_scheme_is_no_bearer() {
    let desk = Desk::new(true);
    for value in ["Basic YTpi", "Bearer", "Bearer ", "\u{7f}", "bearer nonsense"] {
        let Ok(value) = hyper::header::HeaderValue::from_bytes(value.as_bytes()) else { continue };
        let request = Request::builder().method("POST").uri("/v1/keys").header("host", HOST);
        let request = request.header("authorization", value).body(Bytes::from_static(br#"{"group":"demo"}"#));
        assert_eq!(desk.send(Door::Public, request.unwrap()).code(), Some("E_LOGIN"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    // G-53: nothing that can be sent is answered with a 500, and what is refused says why.
    #[test]
    fn no_request_is_a_mistake_of_ours(
        operator in any::<bool>(),
        method in prop::sample::select(vec!["GET", "POST", "DELETE", "PUT", "OPTIONS", "HEAD", "X"]),
        path in prop_oneof![
            prop::sample::select(vec!["/v1/keys", "/v1/login", "/v1/join", "/v1/tickets", "/v1/sessions", "/v1/sessions/x/end"])
                .prop_map(str::to_owned),
            "/[a-z0-9/.%-]{0,40}",
        ],
        body in prop_oneof![
            ".{0,80}",
            "[{}\\[\\]\",:a-z0-9]{0,80}",
            Just(r#"{"session":"00000000000000000000000000000000","role":"agent","name":"n","subject":"s"}"#.to_owned()),
            Just(r#"{"key":""}"#.to_owned()),
        ],
    ) {
        static DESK: std::sync::LazyLock<Desk> = std::sync::LazyLock::new(|| Desk::new(false));
        let answer = if operator {
            DESK.operate(method.parse().unwrap(), &path, &body)
        } else {
            DESK.ask(Door::Public, method.parse().unwrap(), &path, None, &body)
        };
        prop_assert!(answer.status.as_u16() < 500, "{:?}", answer);
        prop_assert!(answer.status.is_success() || answer.code().is_some(), "{:?}", answer);
    }
}
