//! G-52: who may do what, for every operation of the OpenAPI document and every kind of caller; and that what is somebody
//! else's looks absent. A new operation without a row here fails.

use std::collections::{BTreeMap, BTreeSet};

use fanlight_control::Door;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::desk::{Answer, Desk};
use crate::servers::a_key;

/// Everybody who might ask. The operator alone has its business at its door; administrators, who ask there by cookie, are
/// held to the document by `openapi::tests`.
const CALLERS: [&str; 9] =
    ["nobody", "stranger", "visitor", "other visitor", "agent", "other agent", "server", "other server", "operator"];

/// Who may do it (promises 3.2). `*` is everybody, at the operator's door only where
/// nobody can have signed in yet ([`OPEN`]).
const ROWS: &[(&str, &str)] = &[
    ("makeKey", "nobody visitor"),
    ("login", "*"),
    ("logout", "agent"),
    ("join", "agent"),
    ("connect", "*"),
    ("leaveSession", "visitor agent server"),
    ("demo", "*"),
    ("listOwnSessions", "agent server"),
    ("createSession", "agent server operator"),
    ("enterSession", "agent"),
    ("linkViewer", "agent server operator"),
    ("openViewer", "*"),
    ("listPresence", "agent"),
    ("inviteVisitor", "agent server"),
    ("showInvite", "agent server"),
    ("withdrawInvite", "agent server"),
    ("lookAtLink", "*"),
    ("enterByLink", "*"),
    ("mintTicket", "server operator"),
    ("effectivePolicy", "visitor agent server"),
    ("inviteCamera", "agent"),
    ("cameraInvite", "agent"),
    ("lookAtCameraLink", "*"),
    ("openCameraLink", "*"),
    ("declineCameraLink", "*"),
    ("openBookmark", "agent"),
    ("listShareable", "agent"),
    ("suggestSite", "agent"),
    ("openapi", "*"),
    ("policySchema", "*"),
    ("identityProvider", "*"),
    ("beginSignIn", "*"),
    ("endSignIn", "*"),
    ("redeemSignIn", "*"),
    ("adminLogout", "*"),
    ("whoIsSignedIn", "operator"),
    ("listSessions", "operator"),
    ("endSession", "operator"),
    ("revokeSession", "operator"),
    ("rotateSigningKey", "operator"),
    ("evaluate", "operator"),
    ("audit", "operator"),
    ("checkLink", "operator"),
    ("receipts", "server operator"),
    ("listWebhooks", "server operator"),
    ("createWebhook", "server operator"),
    ("changeWebhook", "server operator"),
    ("removeWebhook", "server operator"),
    ("rotateWebhookSecret", "server operator"),
    ("testWebhook", "server operator"),
    ("listDeliveries", "server operator"),
    ("replayDeliveries", "server operator"),
    ("reportSessions", "operator"),
    ("reportSession", "operator"),
    ("reportSummary", "operator"),
];

/// What is open at the operator's door too.
const OPEN: [&str; 4] = ["identityProvider", "beginSignIn", "endSignIn", "adminLogout"];
/// Groups are the operator's, and everything under them that has no row.
const OPERATORS: &str = "/v1/groups";
/// WHIP and WHEP take media tokens and nothing else.
const MEDIA: [&str; 2] = ["/whip", "/whep"];

struct Operation {
    id: String,
    path: String,
    method: Method,
    doors: Vec<Door>,
}

fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(include_str!("../../../docs/openapi.json")).expect("JSON");
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        let doors = item["x-door"].as_array().expect("doors").iter();
        let doors: Vec<_> = doors.map(|door| if door == "public" { Door::Public } else { Door::Operator }).collect();
        for name in ["get", "put", "post", "patch", "delete"] {
            let Some(id) = item[name]["operationId"].as_str() else { continue };
            let method = name.to_uppercase().parse().expect("a method");
            all.push(Operation { id: id.to_owned(), path: path.clone(), method, doors: doors.clone() });
        }
    }
    all
}

struct Cast {
    desk: Desk,
    session: String,
    bearers: BTreeMap<&'static str, Option<String>>,
}

impl Cast {
    fn new() -> Self {
        let desk = Desk::new(true);
        let made = desk.operate(Method::POST, "/v1/groups", r#"{"group":"other","name":"Other"}"#);
        assert_eq!(made.status, StatusCode::CREATED);
        let agent = r#"{"name":"Olga","secret":"a long secret of hers"}"#;
        assert_eq!(desk.operate(Method::PUT, "/v1/groups/other/agents/olga", agent).status, StatusCode::CREATED);
        let body = r#"{"group":"other","agent":"olga","secret":"a long secret of hers"}"#;
        let olga = desk.post("/v1/login", None, body).text("token");
        let (visit, other) = (desk.visit(), desk.visit());
        let bearers = [
            ("nobody", None),
            ("stranger", Some("AAAAAAAAAAAAAAAAAAAAAA".into())),
            ("visitor", Some(visit.text("handle"))),
            ("other visitor", Some(other.text("handle"))),
            ("agent", Some(desk.sign_in(0))),
            ("other agent", Some(olga)),
            ("server", Some(a_key(&desk, "demo", &Value::Null).0)),
            ("other server", Some(a_key(&desk, "other", &Value::Null).0)),
            ("operator", Some(desk.control.operator_token().into())),
        ];
        Self { session: visit.text("session"), desk, bearers: bearers.into() }
    }

    /// Asks with ids of the session's group, or with ids that nobody has.
    fn ask(&self, operation: &Operation, door: Door, caller: &str, own: bool) -> Answer {
        let absent = "0".repeat(32);
        let session = if own { self.session.as_str() } else { absent.as_str() };
        let group = if own { "demo" } else { "absent" };
        let filled = [("{session}", session), ("{group}", group), ("{agent}", "zed"), ("{version}", "1")];
        let path = filled.iter().fold(operation.path.clone(), |path, (name, value)| path.replace(name, value));
        let path = path
            .replace("{key}", "0")
            .replace("{webhook}", "0")
            .replace("{invite}", "0")
            .replace("{suggestion}", "0")
            .replace("{resource}", "0");
        let body = match operation.id.as_str() {
            "makeKey" => json!({"group": "demo"}),
            "createSession" if caller == "operator" => json!({"group": group}),
            "createSession" => json!({}),
            "mintTicket" => json!({"session": session, "role": "guest", "name": "Gil", "subject": "gil"}),
            "join" => json!({"key": "000000000"}),
            "login" => json!({"group": "demo", "agent": "ann", "secret": "wrong"}),
            "redeemSignIn" => json!({"code": "x"}),
            "putAgent" => json!({"name": "Zed"}),
            "createServerKey" => json!({"name": "one more"}),
            _ => json!({}),
        };
        let bearer = self.bearers[caller].as_deref();
        self.desk.ask(door, operation.method.clone(), &path, bearer, &body.to_string())
    }
}

/// Who may do it, and whether there is a row.
fn allowed(operation: &Operation) -> BTreeSet<&'static str> {
    let row = ROWS.iter().find(|(id, _)| *id == operation.id).map(|(_, who)| *who);
    let who = match row {
        Some(who) => who,
        None if operation.path.starts_with(OPERATORS) => "operator",
        None if MEDIA.iter().any(|media| operation.path.contains(media)) => "media",
        None => panic!("{} has no row in the matrix", operation.id),
    };
    if who == "*" {
        CALLERS.into()
    } else {
        CALLERS.into_iter().filter(|caller| who.split(' ').any(|one| one == *caller)).collect()
    }
}

/// Does it name a session or a group, which then has to be the caller's own?
fn names_somebodys(operation: &Operation) -> bool {
    let named = ["{session}", "{group}"].iter().any(|name| operation.path.contains(name));
    named || operation.id == "mintTicket"
}

#[test]
fn every_caller_at_every_operation() {
    let all = operations();
    assert!(all.len() > 40, "{}", all.len());
    let known: BTreeSet<&str> = all.iter().map(|operation| operation.id.as_str()).collect();
    let stale: Vec<_> = ROWS.iter().filter(|(id, _)| !known.contains(id)).collect();
    assert!(stale.is_empty(), "rows of operations that are gone: {stale:?}");
    let cast = Cast::new();
    // What ends a session or a login comes last, so that there is one to ask about.
    let mut all = all;
    all.sort_by_key(|operation| {
        ["leaveSession", "endSession", "revokeSession", "logout"].iter().position(|id| *id == operation.id)
    });
    for operation in all {
        let may = allowed(&operation);
        let mut refused_first: Vec<_> = CALLERS.into_iter().collect();
        refused_first.sort_by_key(|caller| may.contains(caller));
        let mut reached = false;
        for door in operation.doors.clone() {
            for caller in refused_first.clone() {
                let at_home = caller == "nobody" || (caller == "operator") == (door == Door::Operator);
                let kind = caller.strip_prefix("other ").unwrap_or(caller);
                let open = door == Door::Public || OPEN.contains(&operation.id.as_str());
                let everybodys = may.len() == CALLERS.len() && open;
                let foreign = kind != caller && names_somebodys(&operation) && !everybodys;
                let answer = cast.ask(&operation, door, caller, true);
                let (id, status) = (&operation.id, answer.status.as_u16());
                // Some of a path's methods are at one of its doors only.
                if answer.code() == Some("E_METHOD") {
                    continue;
                }
                reached = true;
                let may = may.contains(kind) && at_home && (open || caller == "operator");
                if everybodys || (may && !foreign) {
                    let turned_away = ["E_LOGIN", "E_ROLE"].contains(&answer.code().unwrap_or_default());
                    // Signing in is refused with the same code, whoever tries.
                    let signs_in = ["login", "redeemSignIn"].contains(&id.as_str());
                    assert!(!turned_away || signs_in, "{caller} may {id} at {door:?}: {status} {}", answer.body);
                } else if may {
                    assert_eq!(answer, cast.ask(&operation, door, caller, false), "{caller}: {id} at {door:?}");
                    assert_eq!(answer.status, StatusCode::NOT_FOUND, "{caller}: {id}");
                } else {
                    assert!(matches!(status, 401 | 403), "{caller} may not {id} at {door:?}: {status} {}", answer.body);
                    let codes = ["E_LOGIN", "E_ROLE", "E_TICKET"];
                    assert!(answer.code().is_some_and(|code| codes.contains(&code)), "{}", answer.body);
                    assert!(answer.body["detail"].is_string() && answer.body["rule"].is_string(), "{}", answer.body);
                }
            }
        }
        assert!(reached, "{} is nowhere", operation.id);
    }
}

#[test]
fn absent_malformed_and_foreign_look_the_same() {
    // Status, every header and the body.
    let cast = Cast::new();
    let of = |id: &str| operations().into_iter().find(|operation| operation.id == id).expect("an operation");
    for (id, callers) in
        [("leaveSession", &["other visitor", "other agent", "other server"][..]), ("mintTicket", &["other server"])]
    {
        for caller in callers {
            let foreign = cast.ask(&of(id), Door::Public, caller, true);
            assert_eq!(foreign.status, StatusCode::NOT_FOUND, "{caller} {id}: {}", foreign.body);
            assert_eq!(foreign.code(), Some("E_SESSION"));
            assert_eq!(foreign, cast.ask(&of(id), Door::Public, caller, false), "{caller} {id}");
        }
    }
    let show = |session: &str| cast.desk.ask(Door::Public, Method::GET, &format!("/v1/connect/{session}"), None, "");
    assert_eq!((show("x"), show("x").status), (show(&"0".repeat(32)), StatusCode::NOT_FOUND));
    let remove = |session: &str| cast.desk.operate(Method::DELETE, &format!("/v1/sessions/{session}"), "");
    assert_eq!(remove("x"), remove(&"0".repeat(32)));
}

#[test]
fn an_operators_ticket_keeps_to_its_role() {
    let cast = Cast::new();
    let mint = |body: Value| cast.desk.operate(Method::POST, "/v1/tickets", &body.to_string());
    let session = cast.session.as_str();
    let full = mint(json!({"session": session, "role": "guest", "name": "Gil", "subject": "gil"}));
    let admission = cast.desk.control.admit(&full.text("ticket")).expect("a fresh ticket");
    assert_eq!(admission.capabilities, fanlight_wire::policy::Role::Guest.ceiling());
    let with = |capability: &str, name: &str| {
        mint(json!({
            "session": session, "role": "guest", "name": name, "subject": "gil", "capabilities": [capability]
        }))
    };
    assert_eq!(with("sub.dom", "Gil").status, StatusCode::CREATED);
    assert_eq!(with("ctl.grant", "Gil").code(), Some("E_CAPABILITY"));
    assert_eq!(with("root", "Gil").code(), Some("E_INPUT"));
    assert_eq!(with("sub.dom", "").code(), Some("E_INPUT"));
    assert_eq!(with("sub.dom", &"n".repeat(81)).code(), Some("E_INPUT"));
    let absent = json!({"session": "0".repeat(32), "role": "guest", "name": "Gil", "subject": "gil"});
    assert_eq!(mint(absent).code(), Some("E_SESSION"));
}
