//! What is kept between two runs of a node, and what is not.

use std::os::unix::fs::PermissionsExt;

use fanlight_wire::Code;
use hyper::StatusCode;
use rusqlite::Connection;

use crate::desk::{Desk, Folder};

#[test]
fn secrets_are_kept_privately_and_sessions_are_not() {
    let folder = Folder::new("restart");
    let first = Desk::kept_in(&folder, true);
    let operator = first.control.operator_token().to_owned();
    let visit = first.visit();
    let ticket = visit.text("ticket");
    drop(first);
    for name in ["ticket.key", "operator.token"] {
        let mode = std::fs::metadata(folder.0.join(name)).expect("was made").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let second = Desk::kept_in(&folder, true);
    assert_eq!(second.control.operator_token(), operator);
    // The key is the same, so the ticket is still ours; its session died with the first run.
    assert_eq!(second.control.admit(&ticket).map_err(|refusal| refusal.code), Err(Code::Session));
    drop(second);
    let store = Connection::open(folder.0.join("fanlight.db")).expect("a store");
    let open: i64 =
        store.query_row("SELECT count(*) FROM sessions WHERE ended IS NULL", [], |row| row.get(0)).expect("a count");
    assert_eq!(open, 0, "the record of a session that died says so");
}

#[test]
fn a_store_that_once_served_a_demo_has_no_demo_agents() {
    let folder = Folder::new("demo-off");
    drop(Desk::kept_in(&folder, true));
    let closed = Desk::kept_in(&folder, false);
    assert_eq!(closed.post("/v1/keys", None, r#"{"group":"demo"}"#).code(), Some("E_NOT_FOUND"));
    drop(closed);
    Desk::kept_in(&folder, true).visit();
}

#[test]
fn another_groups_agent_meets_closed_doors() {
    // G-52
    let folder = Folder::new("foreign");
    let desk = Desk::kept_in(&folder, true);
    let store = Connection::open(folder.0.join("fanlight.db")).expect("a store");
    let other = "INSERT INTO groups SELECT 'other', 'Other', 1 FROM groups WHERE id = 'demo';
                 INSERT INTO agents SELECT 'other', agent, name, salt, hash, 1, NULL FROM agents WHERE group_id = 'demo';";
    store.execute_batch(other).expect("a second group");
    let config = desk.ask(fanlight_control::Door::Public, hyper::Method::GET, "/demo/config.json", None, "").body;
    let login = serde_json::json!({"group": "other", "agent": "ann", "secret": config["agents"][0]["secret"]});
    let foreign = desk.post("/v1/login", None, &login.to_string()).text("token");

    let visit = desk.visit();
    let end = |session: &str| desk.post(&format!("/v1/sessions/{session}/end"), Some(&foreign), "");
    assert_eq!(end(&visit.text("session")), end(&"0".repeat(32)));
    assert_eq!(end(&visit.text("session")).status, StatusCode::NOT_FOUND);
    let key = |key: &str| format!(r#"{{"key":"{key}"}}"#);
    let real = desk.post("/v1/join", Some(&foreign), &key(&visit.text("key")));
    let made_up = desk.post("/v1/join", Some(&foreign), &key("not a key"));
    assert_eq!(real, made_up);
    assert_eq!((real.status, real.code()), (StatusCode::NOT_FOUND, Some("E_KEY")));
    let own = desk.sign_in(0);
    assert_eq!(
        desk.post("/v1/join", Some(&own), &key(&visit.text("key"))).status,
        StatusCode::OK,
        "and the key is unused"
    );
}

#[test]
fn the_audit_trail_names_ids_and_nothing_else() {
    // G-62
    let folder = Folder::new("audit");
    let desk = Desk::kept_in(&folder, true);
    let visit = desk.visit();
    let ann = desk.sign_in(0);
    let key = visit.text("key");
    assert_eq!(desk.post("/v1/join", Some(&ann), &format!(r#"{{"key":"{key}"}}"#)).status, StatusCode::OK);
    let secrets = [key, ann, visit.text("handle"), visit.text("ticket"), "Ann Ahlberg".into(), "192.0.2.1".into()];
    let session = visit.text("session");
    drop(desk);
    let store = Connection::open(folder.0.join("fanlight.db")).expect("a store");
    let mut lines = store.prepare("SELECT what, group_id, session, who FROM audit ORDER BY id").expect("a table");
    type Line = (String, Option<String>, Option<String>, Option<String>);
    let lines: Vec<Line> = lines
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .expect("a query")
        .collect::<Result<_, _>>()
        .expect("text");
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        lines,
        [
            ("session.created".into(), some("demo"), some(&session), some("visitor")),
            ("key.created".into(), some("demo"), some(&session), some("visitor")),
            ("agent.signed_in".into(), some("demo"), None, some("ann")),
            ("key.used".into(), some("demo"), some(&session), some("ann")),
        ]
    );
    let shown = format!("{lines:?}");
    for secret in secrets {
        assert!(!shown.contains(&secret), "{secret}");
    }
}
