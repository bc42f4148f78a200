//! How the API behaves whatever it is asked: problem documents, pages, repeated requests, budgets.

use std::collections::BTreeSet;

use fanlight_control::Door;
use fanlight_wire::Code;
use hyper::{Method, StatusCode};

use crate::desk::{Answer, Desk};

#[test]
fn every_refusal_is_a_problem_document() {
    let desk = Desk::new(true);
    let asked = [
        (Door::Public, Method::POST, "/v1/keys", "{}"),
        (Door::Public, Method::POST, "/v1/keys", r#"{"group":"absent"}"#),
        (Door::Public, Method::GET, "/v1/keys", ""),
        (Door::Public, Method::GET, "/v1/nothing", ""),
        (Door::Public, Method::POST, "/v1/join", "{}"),
        (Door::Public, Method::POST, "/v1/sessions/x/whip", ""),
        (Door::Operator, Method::GET, "/v1/sessions", ""),
        (Door::Operator, Method::GET, "/v1/groups", ""),
    ];
    for (door, method, path, body) in asked {
        let answer = desk.ask(door, method, path, None, body);
        let status = answer.status.as_u16();
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
        assert_eq!(answer.body["status"], status, "{path}");
        let code = answer.code().expect("a code");
        assert_eq!(answer.body["type"], format!("urn:fanlight:problem:{code}"), "{path}");
        let listed = Code::ALL.iter().find(|known| known.label() == code).expect("a code of the list");
        assert_eq!((status, &answer.body["title"]), (listed.http_status(), &listed.sentence().into()), "{path}");
        assert!(answer.body["detail"].is_string() && answer.body["rule"].is_string(), "{path}");
    }
    let unfit = desk.operate(Method::POST, "/v1/groups/demo/policy/publish", "{}");
    assert_eq!((unfit.status.as_u16(), unfit.header("content-type")), (428, Some("application/problem+json")));
}

#[test]
fn a_list_is_walked_page_by_page() {
    let desk = Desk::new(true);
    let made: BTreeSet<String> = (0..5).map(|_| desk.visit().text("session")).collect();
    let (mut seen, mut query) = (BTreeSet::new(), "?limit=2".to_owned());
    for left in [3, 1, 0] {
        let page = desk.operate(Method::GET, &format!("/v1/sessions{query}"), "");
        let sessions = page.body["sessions"].as_array().expect("a list");
        seen.extend(sessions.iter().map(|session| session["session"].as_str().expect("an id").to_owned()));
        assert_eq!((seen.len(), &page.body["count"]), (5 - left, &5.into()));
        match page.header("link") {
            Some(link) => {
                query = link.trim_start_matches('<').split('>').next().expect("a target").to_owned();
                assert!(link.ends_with("rel=\"next\"") && query.ends_with(&page.text("next")), "{link}");
            }
            None => assert!(page.body["next"].is_null() && left == 0),
        }
    }
    assert_eq!(seen, made);
    let groups = desk.operate(Method::GET, "/v1/groups?limit=1", "");
    assert_eq!((groups.body["groups"].as_array().map(Vec::len), groups.header("link")), (Some(1), None));
    assert_eq!(desk.operate(Method::GET, "/v1/groups?limit=0", "").code(), Some("E_INPUT"));
    assert_eq!(desk.operate(Method::GET, "/v1/groups/demo/agents?after=%00", "").code(), Some("E_INPUT"));
}

#[test]
fn a_repeated_creation_creates_once() {
    let desk = Desk::new(true);
    let create = |key: &str, body: &str| desk.keyed("/v1/sessions", key, body);
    let first = create("a", r#"{"group":"demo"}"#);
    assert_eq!(first.status, StatusCode::CREATED);
    let again = create("a", r#"{"group":"demo"}"#);
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(desk.control.session_count(), 1);
    let other = create("a", r#"{"group":"demo","keep_s":60}"#);
    assert_eq!((other.status.as_u16(), other.code()), (422, Some("E_REPEAT")));
    assert_eq!(create("b", r#"{"group":"demo"}"#).status, StatusCode::CREATED);
    assert_eq!(desk.control.session_count(), 2);
    // A refusal that waiting changes is not an answer for ever.
    desk.shards.refuse();
    assert_eq!(create("c", r#"{"group":"demo"}"#).status.as_u16(), 503);
    assert!(create("c", r#"{"group":"demo"}"#).header("idempotent-replayed").is_none());
}

#[test]
fn budgets_are_told() {
    let desk = Desk::new(true);
    let left = |answer: &Answer| answer.header("ratelimit").map(str::to_owned);
    let visit = desk.visit();
    assert_eq!(visit.header("ratelimit-policy"), Some("\"sessions\";q=120;w=60"));
    assert_eq!(left(&visit), Some("\"sessions\";r=119;t=60".into()));
    let wrong = |n: u32| desk.post("/v1/login", None, &format!(r#"{{"group":"demo","agent":"ann","secret":"{n}"}}"#));
    for n in 1..=5 {
        assert_eq!(left(&wrong(n)), Some(format!("\"logins\";r={};t=60", 5 - n)));
    }
    let refused = wrong(6);
    assert_eq!((refused.status.as_u16(), left(&refused)), (429, Some("\"logins\";r=0;t=60".into())));
    assert_eq!((refused.header("retry-after"), &refused.body["wait_s"]), (Some("60"), &60.into()));
    let agent = desk.sign_in(1);
    let guess = desk.post("/v1/join", Some(&agent), r#"{"key":"000000000"}"#);
    assert_eq!((guess.code(), left(&guess)), (Some("E_KEY"), Some("\"keys\";r=4;t=900".into())));
}
