//! What is kept for an auditor: receipts, reports, the audit trail; and that nothing of it can be made to lie.

use std::time::Duration;

use fanlight_control::Door;
use fanlight_control::receipts::{Fault, verify};
use fanlight_wire::policy::{Mode, Role};
use fanlight_wire::report::Report;
use fanlight_wire::signal::{Ask, LagState, Slot, Stage};
use fanlight_wire::{Code, ParticipantId, SessionId};
use hyper::{Method, StatusCode};

use crate::desk::{Answer, Desk, Folder};

const VISITOR: ParticipantId = ParticipantId(1);
const ANN: ParticipantId = ParticipantId(2);
const BEN: ParticipantId = ParticipantId(3);

fn joined(session: SessionId, participant: ParticipantId, role: Role, subject: &str, name: &str) -> Report {
    Report::Joined { session, participant, role, resumed: false, subject: subject.into(), name: name.into() }
}

fn consent(session: SessionId, participant: ParticipantId, kind: Ask, accepted: bool) -> Report {
    Report::Consent { session, participant, role: Role::Agent, kind, accepted }
}

/// A session in which Ann was let in, Ben was not, and a screen was asked for.
pub(crate) fn a_visit(desk: &Desk) -> SessionId {
    let session: SessionId = desk.visit().text("session").parse().expect("an id");
    let left = |participant, role, code| Report::Left { session, participant, role, code };
    let told = [
        joined(session, VISITOR, Role::Visitor, "visitor", "Visitor"),
        joined(session, ANN, Role::Agent, "ann", "Ann Ahlberg"),
        joined(session, BEN, Role::Agent, "ben", "=cmd|'/C calc'!A0"),
        consent(session, ANN, Ask::View, true),
        Report::Stage { session, stage: Stage::Active },
        Report::ModeChanged { session, mode: Mode::ViewPointer, by: ANN },
        consent(session, BEN, Ask::View, false),
        left(BEN, Role::Agent, Code::Consent),
        Report::Unanswered { session, participant: ANN, kind: Ask::Screen },
        consent(session, ANN, Ask::Screen, true),
        Report::ShareStarted { session, slot: Slot::Visitor, participant: VISITOR },
        Report::Stage { session, stage: Stage::Paused },
        Report::ShareStopped { session, slot: Slot::Visitor, participant: VISITOR },
        Report::Stage { session, stage: Stage::Active },
        Report::Lag { session, participant: ANN, state: LagState::Lagging },
    ];
    for report in told {
        desk.time.pass(Duration::from_secs(10));
        desk.control.report(report);
    }
    session
}

pub(crate) fn end(desk: &Desk, session: SessionId) {
    desk.control.report(Report::Ended {
        session,
        code: Code::Ended,
        by: Some(VISITOR),
        lasted: Duration::from_secs(9),
    });
}

fn get(desk: &Desk, path: &str) -> Answer {
    desk.operate(Method::GET, path, "")
}

#[test]
fn receipts_tell_who_asked_in_which_words_and_what_was_answered() {
    // R045 R082 R116 R138 R165
    let desk = Desk::new(true);
    let text = "May our agent look at this page?";
    let seen = get(&desk, "/v1/groups/demo/policy/staging");
    let mut bundle = seen.body["bundle"].clone();
    bundle["consent"]["view"] = text.into();
    bundle["terms"]["view"] = "https://shop.example/terms".into();
    let version = desk.publish(&bundle);
    let session = a_visit(&desk);
    let path = format!("/v1/sessions/{session}/receipts");
    let open = get(&desk, &path);
    assert_eq!(verify(open.body.to_string().as_bytes(), None), Err(Fault::Open), "the session still runs");
    end(&desk, session);
    let file = get(&desk, &path);
    assert_eq!(
        file.header("content-disposition"),
        Some(format!("attachment; filename=\"receipts-{session}.json\"").as_str())
    );
    assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
    let records = file.body["records"].as_array().expect("records");
    let said: Vec<(&str, &str)> = records
        .iter()
        .map(|record| (record["matter"].as_str().expect("text"), record["happened"].as_str().expect("text")))
        .collect();
    let wanted = [
        ("view", "accepted"),
        ("view", "declined"),
        ("screen", "timed_out"),
        ("screen", "accepted"),
        ("view", "paused"),
        ("screen", "over"),
        ("view", "resumed"),
        ("session", "closed"),
    ];
    assert_eq!(said, wanted);
    let first = &records[0];
    assert_eq!((&first["name"], &first["terms"]), (&"Ann Ahlberg".into(), &"https://shop.example/terms".into()));
    assert_eq!(first["policy_version"], version);
    let shown = first["text"].as_str().expect("a hash");
    assert_eq!(file.body["texts"][shown], text);
    assert_eq!(records[0]["agent"], records[3]["agent"], "one agent, one hash");
    assert_ne!(records[0]["agent"], records[1]["agent"]);
    let good = verify(file.body.to_string().as_bytes(), None).expect("a whole file");
    assert_eq!((good.session, good.receipts, good.lost), (session.to_string(), 7, Some(0)));
    // An old session's words stay what they were.
    bundle["consent"]["view"] = "Other words".into();
    desk.publish(&bundle);
    assert_eq!(get(&desk, &path).body, file.body);
}

#[test]
fn a_camera_and_a_session_for_a_screen_have_receipts_in_their_own_words() {
    // R045 R110 R127 R138
    let desk = Desk::new(true);
    let words =
        serde_json::json!({"consent": {"camera": "Show us?", "show": "May we show you?", "screen": "Let us see?"}});
    desk.publish(&words);
    let texts = |session: SessionId| {
        end(&desk, session);
        let file = get(&desk, &format!("/v1/sessions/{session}/receipts")).body;
        verify(file.to_string().as_bytes(), None).expect("a whole file");
        let text = |record: &serde_json::Value| file["texts"][record["text"].as_str().unwrap_or("none")].clone();
        file["records"].as_array().expect("records").iter().map(text).collect::<Vec<_>>()
    };
    let session: SessionId = desk.visit().text("session").parse().expect("an id");
    for own in [true, false] {
        desk.control.report(Report::CameraStarted { session, participant: VISITOR, own });
    }
    let none = serde_json::Value::Null;
    assert_eq!(
        texts(session),
        ["Show us?".into(), none.clone(), none.clone()],
        "what a tool publishes was asked in no words"
    );
    let ann = desk.sign_in(0);
    for (kind, wanted) in [("show", "May we show you?"), ("view", "Let us see?")] {
        let begun = desk.post("/v1/sessions", Some(&ann), &serde_json::json!({"kind": kind}).to_string());
        let session: SessionId = begun.text("session").parse().expect("an id");
        desk.control.report(joined(session, ANN, Role::Agent, "ann", "Ann Ahlberg"));
        desk.control.report(consent(session, ANN, Ask::View, true));
        assert_eq!(texts(session), [wanted.into(), none.clone()], "{kind}");
    }
}

#[test]
fn receipts_are_written_once_and_go_with_their_session() {
    // R190
    let folder = Folder::new("receipts");
    let desk = Desk::kept_in(&folder, true);
    let session = a_visit(&desk);
    let key = get(&desk, &format!("/v1/sessions/{session}/receipts")).text("key");
    drop(desk);
    // The node stopped under the session: the next start closes its chain, with the same key.
    let desk = Desk::kept_in(&folder, true);
    let file = get(&desk, &format!("/v1/sessions/{session}/receipts")).body;
    assert_eq!(verify(file.to_string().as_bytes(), Some(&key)).map(|good| good.receipts), Ok(7));
    assert_eq!(file["records"][7]["code"], serde_json::Value::Null);
    assert_eq!(get(&desk, &format!("/v1/reports/sessions/{session}")).text("outcome"), "interrupted");
    let store = rusqlite::Connection::open(folder.0.join("fanlight.db")).expect("the file");
    let refused = |sql: &str| store.execute_batch(sql).expect_err(sql).to_string();
    assert!(refused("UPDATE receipts SET record = '{}'").contains("immutable"));
    assert!(refused("DELETE FROM receipts").contains("as long as its session"));
    store.execute_batch("DELETE FROM sessions").expect("what retention does");
    let left = |table: &str| -> u32 {
        store.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect("a count")
    };
    assert_eq!((left("receipts"), left("session_agents")), (0, 0));
    assert_eq!(get(&desk, &format!("/v1/sessions/{session}/receipts")).code(), Some("E_SESSION"));
}

#[test]
fn a_report_says_who_saw_what_and_who_allowed_it() {
    // R190 R189
    let desk = Desk::new(true);
    let session = a_visit(&desk);
    let live = get(&desk, "/v1/sessions").body["sessions"][0].clone();
    assert_eq!((&live["stage"], &live["participants"]), (&"active".into(), &2.into()));
    assert_eq!(
        (&live["mode"], &live["lag"], &live["group"]),
        (&"view_pointer".into(), &"lagging".into(), &"demo".into())
    );
    end(&desk, session);
    let shown = get(&desk, &format!("/v1/reports/sessions/{session}")).body;
    assert_eq!((&shown["outcome"], &shown["end_code"]), (&"connected".into(), &"E_ENDED".into()));
    assert_eq!(shown["duration_s"], 150);
    let [ann, ben] = shown["who"].as_array().expect("a list").as_slice() else { panic!("two agents") };
    assert_eq!((&ann["agent"], &ann["answer"], &ann["screens_seen"]), (&"ann".into(), &"accepted".into(), &1.into()));
    assert_eq!((&ann["modes"][0], &ann["end_code"]), (&"view_pointer".into(), &"E_ENDED".into()));
    assert_eq!((&ben["allowed"], &ben["answer"]), (&serde_json::Value::Null, &"declined".into()));
    let list =
        |query: &str| get(&desk, &format!("/v1/reports/sessions{query}")).body["sessions"].as_array().map(Vec::len);
    assert_eq!(list(""), Some(1));
    assert_eq!(
        (list("?agent=ann"), list("?agent=cleo"), list("?group=demo"), list("?group=x")),
        (Some(1), Some(0), Some(1), Some(0))
    );
    assert_eq!((list("?outcome=connected"), list("?outcome=refused")), (Some(1), Some(0)));
    assert_eq!(list("?from=2020-01-01&to=2020-01-31"), Some(0));
    let summary = get(&desk, "/v1/reports/summary").body;
    assert_eq!((&summary["sessions"], &summary["outcomes"]["connected"]), (&1.into(), &1.into()));
    assert_eq!(summary["days"][0]["sessions"], 1);
    let lasted: Vec<u64> =
        summary["durations"].as_array().expect("steps").iter().filter_map(|step| step["sessions"].as_u64()).collect();
    assert_eq!(lasted, [0, 1, 0, 0, 0, 0, 0]);
    for bad in [
        "?from=2026-01-01&to=2026-02-01",
        "?from=2026-02-30",
        "?from=now",
        "?to=2020-01-01&from=2020-01-02",
        "?outcome=x",
        "?format=xls",
    ] {
        assert_eq!(get(&desk, &format!("/v1/reports/sessions{bad}")).code(), Some("E_INPUT"), "{bad}");
    }
}

#[test]
fn reports_and_the_trail_are_exported_as_files_and_read_in_pages() {
    // R190 G-73
    let desk = Desk::new(true);
    let sessions: Vec<SessionId> = (0..3).map(|_| a_visit(&desk)).collect();
    sessions.iter().for_each(|session| end(&desk, *session));
    let page = get(&desk, "/v1/reports/sessions?limit=2");
    assert_eq!(page.body["sessions"][0]["session"], sessions[2].to_string(), "the newest first");
    let next = get(&desk, &format!("/v1/reports/sessions?limit=2&after={}", page.text("next")));
    assert_eq!(next.body["sessions"][0]["session"], sessions[0].to_string());
    assert!(next.body["next"].is_null() && page.header("link").is_some());
    let csv = get(&desk, "/v1/reports/sessions?format=csv");
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    assert!(
        csv.header("content-disposition").is_some_and(|value| value.starts_with("attachment; filename=\"sessions-"))
    );
    assert_eq!(csv.header("x-content-type-options"), Some("nosniff"));
    let json = get(&desk, "/v1/reports/sessions?format=json");
    assert_eq!(json.body.as_array().map(Vec::len), Some(3));
    let trail = get(&desk, &format!("/v1/audit?session={}&what=consent.given", sessions[0]));
    let lines = trail.body["lines"].as_array().expect("lines");
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line["what"] == "consent.given" && line["group"] == "demo"));
    assert_eq!(get(&desk, "/v1/audit?who=nobody").body["lines"].as_array().map(Vec::len), Some(0));
    assert_eq!(get(&desk, "/v1/audit?format=csv").status, StatusCode::OK);
    assert_eq!(get(&desk, "/v1/audit?limit=1").body["lines"].as_array().map(Vec::len), Some(1));
}

#[test]
fn nobody_but_the_operator_reads_records() {
    // R190 G-52
    let desk = Desk::new(true);
    let session = a_visit(&desk);
    let agent = desk.sign_in(0);
    let paths = [
        "/v1/reports/sessions".to_owned(),
        format!("/v1/reports/sessions/{session}"),
        "/v1/reports/summary".into(),
        "/v1/audit".into(),
        format!("/v1/sessions/{session}/receipts"),
    ];
    for path in paths {
        let at_public = desk.ask(Door::Public, Method::GET, &path, Some(&agent), "");
        // Receipts are there for the group's server.
        let refused = if path.ends_with("receipts") { "E_ROLE" } else { "E_NOT_FOUND" };
        assert_eq!(at_public.code(), Some(refused), "{path}");
        assert_eq!(desk.ask(Door::Operator, Method::GET, &path, Some(&agent), "").code(), Some("E_LOGIN"), "{path}");
        assert_eq!(desk.ask(Door::Operator, Method::GET, &path, None, "").code(), Some("E_LOGIN"), "{path}");
        assert_eq!(get(&desk, &path).status, StatusCode::OK, "{path}");
    }
}

#[test]
fn a_receipt_waits_for_a_store_that_is_away_and_none_is_lost() {
    // R045
    let folder = Folder::new("receipts-wait");
    let desk = Desk::kept_in(&folder, true);
    let before = a_visit(&desk);
    let (there, away) = (folder.0.join("fanlight.db"), folder.0.join("elsewhere.db"));
    let session: SessionId = desk.visit().text("session").parse().expect("an id");
    desk.control.report(joined(session, ANN, Role::Agent, "ann", "Ann Ahlberg"));
    std::fs::rename(&there, &away).expect("it is there");
    desk.control.report(consent(session, ANN, Ask::View, true));
    end(&desk, before);
    desk.control.tend();
    assert_eq!(get(&desk, "/v1/groups/demo").code(), Some("E_STORE"), "the store is away");
    std::fs::rename(&away, &there).expect("it was moved");
    let whole = |session: SessionId, wanted: u64| {
        let file = get(&desk, &format!("/v1/sessions/{session}/receipts")).body;
        let verified = verify(file.to_string().as_bytes(), None).expect("whole and signed");
        assert_eq!((verified.receipts, verified.lost), (wanted, Some(0)), "{file}");
    };
    desk.control.tend();
    whole(before, 7);
    desk.control.report(Report::Stage { session, stage: Stage::Paused });
    end(&desk, session);
    whole(session, 2);
}
