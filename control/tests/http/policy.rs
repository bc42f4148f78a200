//! Groups and their rules at the operator's door.

use bytes::Bytes;
use fanlight_control::Door;
use fanlight_wire::SessionId;
use fanlight_wire::command::Command;
use fanlight_wire::policy::{Capabilities, Surface};
use fanlight_wire::report::Report;
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};

use crate::desk::{Answer, Desk, HOST};

const STAGING: &str = "/v1/groups/demo/policy/staging";
const PRODUCTION: &str = "/v1/groups/demo/policy/production";
const PUBLISH: &str = "/v1/groups/demo/policy/publish";
const ROLLBACK: &str = "/v1/groups/demo/policy/rollback";

impl Desk {
    pub(crate) fn change(&self, method: Method, path: &str, seen: Option<&str>, body: &Value) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", HOST);
        request = request.header("authorization", format!("Bearer {}", self.control.operator_token()));
        if let Some(seen) = seen {
            request = request.header("if-match", seen);
        }
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        self.send(Door::Operator, request.body(body).expect("a request"))
    }

    pub(crate) fn read(&self, path: &str) -> Answer {
        let answer = self.operate(Method::GET, path, "");
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
        answer
    }

    fn etag(&self, path: &str) -> String {
        self.read(path).header("etag").expect("a head has one").to_owned()
    }

    /// Saves a bundle to staging; its version.
    fn stage(&self, bundle: &Value) -> u64 {
        let seen = self.etag(STAGING);
        let answer = self.change(Method::PUT, STAGING, Some(&seen), &json!({"bundle": bundle, "by": "Ada"}));
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.body["version"].as_u64().expect("a number")
    }

    pub(crate) fn publish(&self, bundle: &Value) -> u64 {
        let version = self.stage(bundle);
        let answer = self.change(Method::POST, PUBLISH, Some(&self.etag(PRODUCTION)), &Value::Null);
        assert_eq!(
            (answer.status, answer.body["version"].as_u64()),
            (StatusCode::OK, Some(version)),
            "{}",
            answer.body
        );
        version
    }
}

fn bookmarks(count: usize) -> Value {
    let link = |at: usize| json!({"kind": "link", "title": format!("Page {at}"), "url": format!("https://good.example/{at}"), "active": true});
    json!({"sites": {"allowed": ["https://good.example/*"], "bookmarks": (0..count).map(link).collect::<Vec<_>>()}})
}

#[test]
fn a_new_demo_group_has_the_default_rules_in_both_heads() {
    let desk = Desk::new(true);
    for (path, etag) in [(STAGING, "\"staging-1-1\""), (PRODUCTION, "\"production-1-1\"")] {
        let head = desk.read(path);
        assert_eq!((head.header("etag"), &head.body["version"]), (Some(etag), &json!(1)));
        assert_eq!(head.body["problems"], json!([]));
    }
    desk.visit();
}

#[test]
fn staging_changes_nothing_until_it_is_published_and_a_session_keeps_its_version() {
    // R028, R036, R054
    let desk = Desk::new(true);
    desk.visit();
    let tight = json!({"sharing": {"escalate_to_view": false, "agent_surfaces": ["browser"]}});
    assert_eq!(desk.stage(&tight), 2);
    desk.visit();
    let answer = desk.change(Method::POST, PUBLISH, Some(&desk.etag(PRODUCTION)), &json!({"by": "Ada"}));
    assert_eq!(answer.body["version"], 2);
    desk.visit();
    let opened: Vec<_> = desk
        .shards
        .commands()
        .into_iter()
        .filter_map(|(_, command)| match command {
            Command::Open { policy, .. } => Some((policy.version, policy.agent_surfaces.len())),
            _ => None,
        })
        .collect();
    assert_eq!(opened, [(1, 3), (1, 3), (2, 1)]);
    let rollout = desk.read("/v1/groups/demo/policy/rollout").body;
    assert_eq!((&rollout["sessions"], &rollout["under_production"]), (&json!(3), &json!(1)));
}

#[test]
fn approved_documents_are_staged_and_published_by_who_runs_the_node() {
    // R022, R032, R092, R099, R100
    let desk = Desk::new(true);
    let link = json!({"id": "terms", "name": "Terms", "url": "https://good.example/t.pdf", "roles": [], "active": true,
                      "download": false, "type": "pdf"});
    let folder = json!({"kind": "folder", "name": "Help", "active": true, "links": []});
    let bundle = json!({"documents": {"links": [link]}, "sites": {"bookmarks": [folder]}});
    assert_eq!(desk.stage(&bundle), 2);
    let links = |head: &str| desk.read(head).body["bundle"]["documents"]["links"].clone();
    assert_eq!((links(STAGING), links(PRODUCTION)), (json!([link]), json!([])), "staging changes nothing");
    let answer = desk.change(Method::POST, PUBLISH, Some(&desk.etag(PRODUCTION)), &json!({"by": "Ada"}));
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(links(PRODUCTION), json!([link]));
    assert_eq!(desk.read(PRODUCTION).body["bundle"]["sites"]["bookmarks"], json!([folder]));
    let public = desk.ask(Door::Public, Method::GET, STAGING, None, "");
    assert_eq!(public.status, StatusCode::NOT_FOUND, "agents and visitors have no such section");
}

#[test]
fn a_head_moves_only_for_whoever_has_seen_it() {
    // R026
    let desk = Desk::new(true);
    let body = json!({"bundle": {}});
    let blind = desk.change(Method::PUT, STAGING, None, &body);
    assert_eq!((blind.status, blind.code()), (StatusCode::PRECONDITION_REQUIRED, Some("E_UNCONDITIONAL")));
    let seen = desk.etag(STAGING);
    assert_eq!(desk.change(Method::PUT, STAGING, Some(&seen), &body).status, StatusCode::OK);
    let late = desk.change(Method::PUT, STAGING, Some(&seen), &body);
    assert_eq!((late.status, late.code()), (StatusCode::PRECONDITION_FAILED, Some("E_PRECONDITION")));
    assert_eq!(late.header("etag"), Some("\"staging-2-2\""), "and is told what there is");
    assert_eq!(desk.read(STAGING).body["version"], 2, "nothing was written");
    // Publishing and rolling back leads to the same version again, but not to the same state.
    let before = desk.etag(PRODUCTION);
    assert_eq!(desk.change(Method::POST, PUBLISH, Some(&before), &Value::Null).body["version"], 2);
    let back = desk.change(Method::POST, ROLLBACK, Some(&desk.etag(PRODUCTION)), &Value::Null);
    assert_eq!((back.status, &back.body["version"]), (StatusCode::OK, &json!(1)));
    let stale = desk.change(Method::POST, PUBLISH, Some(&before), &Value::Null);
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
}

#[test]
fn every_problem_is_named_at_once_at_save_and_at_publish() {
    // R019, R035
    let desk = Desk::new(true);
    let seen = desk.etag(STAGING);
    let mut bad = bookmarks(21);
    bad["sites"]["bookmarks"][3]["colour"] = json!("red");
    bad["feature_level"] = json!("six");
    let answer = desk.change(Method::PUT, STAGING, Some(&seen), &json!({"bundle": bad}));
    assert_eq!((answer.status, answer.code()), (StatusCode::UNPROCESSABLE_ENTITY, Some("E_POLICY")));
    let paths: Vec<_> = answer.body["problems"].as_array().expect("a list").iter().map(|p| p["path"].clone()).collect();
    assert_eq!(paths, ["/feature_level", "/sites/bookmarks", "/sites/bookmarks/3/colour"]);
    assert_eq!(desk.etag(STAGING), seen);

    let mut outside = bookmarks(3);
    outside["sites"]["bookmarks"][1]["url"] = json!("https://evil.example/");
    desk.stage(&outside);
    assert_eq!(desk.read(STAGING).body["problems"][0]["rule"], "R019", "staging shows it before publish refuses it");
    let refused = desk.change(Method::POST, PUBLISH, Some(&desk.etag(PRODUCTION)), &Value::Null);
    assert_eq!((refused.status, &refused.body["rule"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!("R019")));
    assert_eq!(desk.read(PRODUCTION).body["version"], 1);
}

#[test]
fn rolling_back_goes_only_where_production_has_been() {
    let desk = Desk::new(true);
    let roll = |body: Value| desk.change(Method::POST, ROLLBACK, Some(&desk.etag(PRODUCTION)), &body);
    assert_eq!(roll(Value::Null).code(), Some("E_STATE"), "there is nothing before the first version");
    desk.publish(&json!({"session": {"agents_max": 2}}));
    desk.publish(&json!({"session": {"agents_max": 3}}));
    desk.stage(&json!({"session": {"agents_max": 4}}));
    assert_eq!(roll(json!({"version": 4})).code(), Some("E_STATE"), "version 4 was never published");
    assert_eq!(roll(Value::Null).body["version"], 2);
    assert_eq!(roll(json!({"version": 3})).body["version"], 3);
    assert_eq!(desk.read(STAGING).body["version"], 4, "staging is left alone");
    let history = desk.read("/v1/groups/demo/policy/history").body;
    let told: Vec<_> = history["moves"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|line| (line["what"].as_str().expect("text"), line["version"].as_u64().expect("a number")))
        .collect();
    let expected = [
        ("rolled_back", 3),
        ("rolled_back", 2),
        ("saved", 4),
        ("published", 3),
        ("saved", 3),
        ("published", 2),
        ("saved", 2),
        ("created", 1),
    ];
    assert_eq!(told, expected);
    assert_eq!(history["moves"][2]["who"], "Ada");
}

#[test]
fn versions_are_compared_exported_and_imported() {
    let desk = Desk::new(true);
    desk.publish(&json!({"session": {"agents_max": 2}}));
    desk.stage(&json!({"session": {"agents_max": 2, "minutes_max": 60}}));
    let diff = desk.read("/v1/groups/demo/policy/diff").body;
    let change = json!({"path": "/session/minutes_max", "before": null, "after": 60});
    assert_eq!((&diff["from"], &diff["to"], &diff["changes"]), (&json!(2), &json!(3), &json!([change])));
    let older = desk.read("/v1/groups/demo/policy/diff?from=3&to=1").body;
    let places: Vec<_> = older["changes"].as_array().expect("a list").iter().map(|change| &change["path"]).collect();
    assert_eq!(
        places,
        ["/session/agents_max", "/session/minutes_max", "/session/sessions_per_agent"],
        "and the demo's own"
    );

    let file = desk.read("/v1/groups/demo/policy/versions/2/export");
    assert!(file.header("content-disposition").is_some_and(|value| value.contains("demo-policy-2.json")));
    let made = desk.operate(Method::POST, "/v1/groups", r#"{"group": "twin", "name": "Twin"}"#);
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let twin = "/v1/groups/twin/policy/staging";
    let imported = desk.change(Method::POST, "/v1/groups/twin/policy/import", Some(&desk.etag(twin)), &file.body);
    assert_eq!(imported.body["bundle"], file.body["bundle"]);
    let other = desk.change(
        Method::POST,
        "/v1/groups/twin/policy/import",
        Some(&desk.etag(twin)),
        &json!({
            "format": "something/9", "group": "x", "version": 1, "saved": 1, "by": "x", "note": "", "bundle": {},
        }),
    );
    assert_eq!(other.code(), Some("E_INPUT"));
    for absent in ["/v1/groups/none/policy/staging", "/v1/groups/demo/policy/versions/99", "/v1/groups/A_B"] {
        let answer = desk.operate(Method::GET, absent, "");
        assert_eq!((answer.status, answer.code()), (StatusCode::NOT_FOUND, Some("E_NOT_FOUND")), "{absent}");
    }
}

#[test]
fn a_wish_is_judged_under_both_heads() {
    let desk = Desk::new(true);
    desk.stage(&json!({"sharing": {"agent_surfaces": ["browser"]}}));
    let ask = |wish: Value| {
        let body = json!({"group": "demo", "wish": wish}).to_string();
        desk.operate(Method::POST, "/v1/policy/evaluate", &body)
    };
    let answer = ask(json!({"ask": "share", "side": "agent", "surface": "window"})).body;
    assert_eq!((&answer["production"]["allowed"], &answer["staging"]["allowed"]), (&json!(true), &json!(false)));
    assert_eq!((&answer["staging"]["rule"], &answer["staging"]["version"]), (&json!("R007"), &json!(2)));
    assert_eq!(ask(json!({"ask": "fly"})).code(), Some("E_INPUT"));
}

#[test]
fn enforcing_tells_the_groups_sessions_and_nobody_elses() {
    let desk = Desk::new(true);
    desk.operate(Method::POST, "/v1/groups", r#"{"group": "other", "name": "Other"}"#);
    let foreign = desk.operate(Method::POST, "/v1/sessions", r#"{"group": "other"}"#).text("session");
    let visit = desk.visit();
    let session: SessionId = visit.text("session").parse().expect("an id");
    let version = desk.publish(&json!({"sharing": {"escalate_to_view": false, "agent_surfaces": []}}));
    let answer = desk.change(Method::POST, "/v1/groups/demo/policy/enforce", None, &Value::Null);
    assert_eq!(
        (answer.status, &answer.body["told"], &answer.body["unreached"]),
        (StatusCode::ACCEPTED, &json!(1), &json!(0))
    );
    let narrowed: Vec<_> = desk
        .shards
        .commands()
        .into_iter()
        .filter_map(|(_, command)| match command {
            Command::Narrow { session, narrowing } => Some((session, narrowing)),
            _ => None,
        })
        .collect();
    assert_eq!(narrowed.len(), 1);
    let (told, narrowing) = &narrowed[0];
    assert!(*told == session && told.to_string() != foreign);
    assert_eq!(narrowing.policy.agent_surfaces, Vec::<Surface>::new());
    assert!(!narrowing.agents.contains(Capabilities::INVITE) && !narrowing.agents.contains(Capabilities::PUB_SCREEN));

    let in_force = || desk.read("/v1/groups/demo/policy/rollout").body["under_production"].clone();
    assert_eq!(in_force(), 0, "told is not done");
    desk.control.report(Report::Narrowed { session, version: u32::try_from(version).expect("small") });
    assert_eq!(in_force(), 1);
    // An agent that joins the running session gets a ticket without what was taken away.
    let key = json!({"key": visit.text("key")}).to_string();
    let ticket = desk.post("/v1/join", Some(&desk.sign_in(0)), &key).text("ticket");
    let admission = desk.control.admit(&ticket).expect("a good ticket");
    assert!(!admission.capabilities.contains(Capabilities::INVITE));
    assert!(admission.capabilities.contains(Capabilities::SUB_DOM));
}

#[test]
fn a_group_that_is_off_has_nobody_in_it_and_comes_back_as_it_was() {
    // R142, R152
    let desk = Desk::new(true);
    let version = desk.publish(&json!({"roles": {"sales": {"active": true, "escalate_to_show": true}}}));
    let login = desk.sign_in(0);
    let switch = |active: bool| {
        let body = json!({"active": active}).to_string();
        let answer = desk.operate(Method::PATCH, "/v1/groups/demo", &body);
        assert_eq!((answer.status, &answer.body["active"]), (StatusCode::OK, &json!(active)));
    };
    switch(false);
    assert_eq!(desk.post("/v1/keys", None, r#"{"group":"demo"}"#).code(), Some("E_NOT_FOUND"));
    assert_eq!(desk.post("/v1/join", Some(&login), r#"{"key":"1"}"#).code(), Some("E_LOGIN"), "signed out");
    switch(true);
    desk.visit();
    let kept = desk.read(PRODUCTION).body;
    assert_eq!(
        (&kept["version"], &kept["bundle"]["roles"]["sales"]["escalate_to_show"]),
        (&json!(version), &json!(true))
    );
    desk.publish(&json!({"cobrowse_enabled": false}));
    let refused = desk.post("/v1/keys", None, r#"{"group":"demo"}"#);
    assert_eq!((refused.code(), &refused.body["rule"]), (Some("E_CAPABILITY"), &json!("R142")));
}

#[test]
fn the_schema_is_public_and_everything_else_is_the_operators() {
    // G-52
    let desk = Desk::new(true);
    let schema = desk.ask(Door::Public, Method::GET, "/v1/policy/schema.json", None, "");
    assert_eq!((schema.status, &schema.body["additionalProperties"]), (StatusCode::OK, &json!(false)));
    for path in ["/v1/groups", STAGING, PUBLISH, "/v1/policy/evaluate"] {
        assert_eq!(desk.ask(Door::Public, Method::GET, path, None, "").status, StatusCode::NOT_FOUND, "{path}");
        let stranger = desk.ask(Door::Operator, Method::POST, path, Some("guess"), "");
        assert!(matches!(stranger.code(), Some("E_LOGIN" | "E_METHOD")), "{path}: {}", stranger.body);
    }
}

#[test]
fn an_agent_has_a_role_and_no_more_than_its_role_leaves() {
    // R152
    let desk = Desk::new(true);
    let role = json!({"active": true, "escalate_to_view": true, "modes": ["view_only"]});
    desk.publish(&json!({"roles": {"watch": role}}));
    let put =
        |agent: &str, body: Value| desk.change(Method::PUT, &format!("/v1/groups/demo/agents/{agent}"), None, &body);
    let made = put("eve@shop", json!({"name": "Eve", "role": "watch"}));
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let login = |secret: &str| {
        let body = json!({"group": "demo", "agent": "eve@shop", "secret": secret}).to_string();
        desk.post("/v1/login", None, &body)
    };
    let secret = made.text("secret");
    let token = login(&secret).text("token");
    let key = |visit: &Answer| json!({"key": visit.text("key")}).to_string();
    let ticket = desk.post("/v1/join", Some(&token), &key(&desk.visit())).text("ticket");
    let rights = desk.control.admit(&ticket).expect("a good ticket").capabilities;
    assert!(rights.contains(Capabilities::INVITE) && rights.contains(Capabilities::SUB_DOM));
    for none in [Capabilities::PUB_SCREEN, Capabilities::POINTER, Capabilities::CONTROL_REQUEST, Capabilities::ANNOTATE]
    {
        assert!(!rights.contains(none), "{none:?}");
    }

    let enforced = json!({"roles": {"watch": {"active": true, "modes": ["view_only"]}}});
    desk.publish(&enforced);
    desk.change(Method::POST, "/v1/groups/demo/policy/enforce", None, &Value::Null);
    let narrowing = desk.shards.commands().into_iter().find_map(|(_, command)| match command {
        Command::Narrow { narrowing, .. } => Some(narrowing),
        _ => None,
    });
    let narrowing = narrowing.expect("the session was told");
    assert!(!narrowing.of("eve@shop").contains(Capabilities::INVITE), "her role's rights");
    assert!(narrowing.of("ann").contains(Capabilities::INVITE), "the group's rights");

    let changed = put("eve@shop", json!({"name": "Eve", "active": false}));
    assert_eq!((changed.status, changed.body.get("secret")), (StatusCode::OK, None));
    assert_eq!(desk.post("/v1/join", Some(&token), r#"{"key":"1"}"#).code(), Some("E_LOGIN"), "signed out");
    assert_eq!(login(&secret).code(), Some("E_LOGIN"));
    assert_eq!(put("a!b", json!({"name": "x"})).code(), Some("E_INPUT"));
    assert_eq!(put("x", json!({"name": "x", "secret": "short"})).code(), Some("E_INPUT"));
    let list = desk.read("/v1/groups/demo/agents").body;
    assert_eq!(list["agents"].as_array().map(Vec::len), Some(3));
    assert_eq!(list["agents"][2], json!({"agent": "eve@shop", "name": "Eve", "role": null, "active": false}));
}
