//! The control plane from outside: every operation of the published document under invented requests, a store that is stuck
//! while media flows, and the pace of the API.

use std::process::Command;
use std::time::Duration;

use fanlight_loadtest::carrier::Kind;
use fanlight_loadtest::clock;
use fanlight_loadtest::latencies::Latencies;
use fanlight_loadtest::sockets::LOOPBACK;
use fanlight_wire::limits::STORE_MAX;
use fanlight_wire::signal::{SharePhase, Slot};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::house::{BACKENDS, House, root, say};
use crate::interop::{python, run};
use crate::media::{look, screen};
use crate::plain;
use crate::scene::Scene;

/// An answer that streams until the client goes, and the request after which the bearer is worth nothing.
const LEFT_OUT: [&str; 2] = ["/v1/presence", "/v1/logout"];

/// The operations of one door, as a document.
fn operations(door: &str) -> Value {
    let text = std::fs::read_to_string(root().join("docs/openapi.json")).expect("it is in the repository");
    let mut document: Value = serde_json::from_str(&text).expect("JSON");
    let paths = document["paths"].as_object_mut().expect("paths");
    paths.retain(|path, item| {
        let doors = item["x-door"].as_array().cloned().unwrap_or_default();
        doors.iter().any(|one| one == door) && !LEFT_OUT.contains(&path.as_str())
    });
    assert!(paths.len() >= 5, "{door}: {}", paths.len());
    document
}

/// Bearers: requests without rights are refused alike and would prove little.
async fn bearer(house: &House, door: &str) -> String {
    if door == "operator" {
        return house.operator_token();
    }
    let config = plain::get(&house.public, "/demo/config.json").await;
    let config: Value = serde_json::from_str(&config.body).expect("JSON");
    let agent = &config["agents"][0];
    let body = json!({"group": config["group"], "agent": agent["agent"], "secret": agent["secret"]}).to_string();
    let answer = plain::ask(&house.public, "POST /v1/login", "", &body).await;
    let answer: Value = serde_json::from_str(&answer.body).expect("JSON");
    answer["token"].as_str().expect("the demo's agent may sign in").to_owned()
}

// G-53
#[tokio::test(flavor = "multi_thread")]
async fn no_invented_request_is_answered_outside_the_document() {
    let examples = std::env::var("SCHEMA_EXAMPLES").unwrap_or_else(|_| "15".to_owned());
    let python = python(&root().join("tests/interop/schema.txt"));
    for door in ["operator", "public"] {
        let mut house = House::open("io_uring", "");
        let document = house.folder.write("openapi.json", &operations(door).to_string());
        let address = if door == "operator" { house.operator.clone() } else { house.public.clone() };
        let bearer = bearer(&house, door).await;
        let output = run(Command::new(python.with_file_name("schemathesis"))
            .current_dir(&house.folder.0)
            .env("SCHEMATHESIS_HOOKS", "schema_hooks")
            .env("PYTHONPATH", root().join("tests/interop"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg("run")
            .arg(document)
            .args(["--url", &format!("http://{address}"), "--header", &format!("Authorization: Bearer {bearer}")])
            .args(["--max-examples", &examples, "--seed", "1", "--phases", "examples,coverage,fuzzing", "--no-color"])
            .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance"])
            .args(["--checks", "response_schema_conformance,response_headers_conformance"]));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let summary = said.lines().rev().find(|line| line.contains("generated")).unwrap_or_default().trim().to_owned();
        house.assert_sound().await;
        say(&format!("{door} door: {summary}"));
    }
}

// P4, G-08
#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_store_touches_no_packet() {
    let stuck: u64 = std::env::var("STUCK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    for backend in BACKENDS {
        let mut house = House::open(backend, "");
        let mut scene = Scene::open(&house, Kind::WebSocket, 1, 20_000).await;
        scene.visitor.connect_media(fanlight_loadtest::media::Path::Udp, LOOPBACK).await.expect("media of the visitor");
        for agent in &mut scene.agents {
            agent.connect_media(fanlight_loadtest::media::Path::Udp, LOOPBACK).await.expect("media of an agent");
        }
        scene.invite_visitor().await;
        scene.visitor.media().expect("connected").publish(screen(1));
        let agent = scene.agents.first_mut().expect("an agent");
        agent.see_share(Slot::Visitor, |share| share.phase == SharePhase::Live).await.expect("a live share");

        let lock = rusqlite::Connection::open(house.folder.0.join("fanlight.db")).expect("the store's file");
        lock.execute_batch("BEGIN EXCLUSIVE").expect("nobody writes now");
        let dropped = house.metric("fanlight_dropped_packets_total", "").await;
        let before = house.metric("fanlight_forwarded_packets_total", "out").await;
        let authorization = format!("Authorization: Bearer {}\r\n", house.operator_token());
        let create = || plain::ask(&house.operator, "POST /v1/sessions", &authorization, r#"{"group":"demo"}"#);
        let asked = clock::now();
        let refused = create().await;
        let after = asked.elapsed();
        assert_eq!(refused.status, 503, "{}", refused.body);
        assert!(refused.body.contains("E_STORE"), "{}", refused.body);
        sleep(Duration::from_secs(stuck).saturating_sub(after)).await;
        let forwarded = house.metric("fanlight_forwarded_packets_total", "out").await - before;
        lock.execute_batch("ROLLBACK").expect("it was ours");
        drop(lock);

        let mut tries = 1;
        while create().await.status != 201 {
            tries += 1;
            assert!(tries < 50, "writes are still refused");
            sleep(Duration::from_millis(100)).await;
        }
        let lost = look(agent, |watch| (watch.lost(), watch.backwards(), watch.foreign())).expect("packets");
        assert_eq!(lost, (0, 0, 0), "lost, backwards in time, foreign");
        assert_eq!(house.metric("fanlight_dropped_packets_total", "").await, dropped);
        assert!(forwarded > 0.0, "media went on");
        house.assert_sound().await;
        say(&format!(
            "{backend}: store stuck for {stuck} s, 503 after {after:?} (at most {STORE_MAX:?}), {forwarded} packets meanwhile, 0 lost, \
             writes taken again at try {tries}"
        ));
    }
}

/// 500 requests a second, one in ten a write. Printed, not judged: a busy machine is slow at everything.
#[tokio::test(flavor = "multi_thread")]
async fn the_pace_of_the_api() {
    let mut house = House::open("io_uring", "");
    let authorization = format!("Authorization: Bearer {}\r\n", house.operator_token());
    let wish = json!({"group": "demo", "wish": {"ask": "share", "side": "agent", "surface": "window"}}).to_string();
    let mut ticks = interval(Duration::from_millis(2));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut asking = JoinSet::new();
    for turn in 0..1_500_u32 {
        ticks.tick().await;
        let (address, authorization, wish) = (house.operator.clone(), authorization.clone(), wish.clone());
        asking.spawn(async move {
            let asked = clock::now();
            let answer = match turn % 10 {
                0 => plain::ask(&address, "POST /v1/sessions", &authorization, r#"{"group":"demo"}"#).await,
                1..=4 => plain::ask(&address, "GET /v1/groups/demo/policy/production", &authorization, "").await,
                _ => plain::ask(&address, "POST /v1/policy/evaluate", &authorization, &wish).await,
            };
            (answer.status, asked.elapsed())
        });
    }
    let (mut latencies, mut refused) = (Latencies::default(), 0_u32);
    while let Some(answered) = asking.join_next().await {
        let (status, after) = answered.expect("a request");
        assert!(status < 500 || status == 503, "{status}");
        refused += u32::from(status >= 400);
        latencies.note(u64::try_from(after.as_micros()).unwrap_or(u64::MAX));
    }
    house.assert_sound().await;
    say(&format!("API at 500 requests/s, one connection each: {}, {refused} of 1500 turned away", latencies.summary()));
}
