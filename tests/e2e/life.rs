//! A relay's life as an operator sees it: a start with nothing, probes, verbs, refusals to start, and the end.

use std::process::{Command, Output};

use fanlight_loadtest::carrier::Kind;
use fanlight_loadtest::client::ClientError;
use fanlight_wire::Code;

use crate::house::{Folder, House, binary, configuration, say};
use crate::plain;
use crate::scene::Scene;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The one line on standard error, after the exit code was looked at.
fn complaint(output: &Output, code: i32) -> String {
    let said = text(&output.stderr);
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with("fanlight: ")).collect();
    assert_eq!(output.status.code(), Some(code), "{said}");
    let [line] = lines.as_slice() else { panic!("one line: {said}") };
    (*line).to_owned()
}

fn refused_start(backend: &str, more: &str, code: i32) -> String {
    let folder = Folder::new();
    let config = folder.write("fanlight.toml", &configuration(&folder.0, backend, more));
    let mut command = Command::new(binary());
    complaint(&command.arg("run").arg("--config").arg(config).output().expect("the binary runs"), code)
}

#[tokio::test]
async fn it_starts_with_nothing() {
    let folder = Folder::new();
    let mut command = Command::new(binary());
    if std::net::TcpListener::bind("127.0.0.1:7700").is_err() {
        // Somebody runs a relay on this machine (`make run` in another terminal): the start must say so.
        let output = command.current_dir(&folder.0).output().expect("the binary runs");
        assert!(complaint(&output, 69).contains("public.http"));
        say("port 7700 is taken: proved that a start without a file refuses by name, not that it serves");
        return;
    }
    command.arg("run");
    let mut house = House::start(command, folder);
    assert_eq!((house.public.as_str(), house.local.as_str()), ("127.0.0.1:7700", "127.0.0.1:7790"));
    for path in ["/live", "/ready", "/metrics", "/status"] {
        assert_eq!(house.probe(path).await.0, 200, "{path}");
    }
    assert_eq!(house.metric("fanlight_io_backend", "").await, 1.0, "one backend is in use");
    for path in ["/", "/demo/", "/demo/agent.html", "/fanlight.js", "/demo/config.json"] {
        let answer = plain::get(&house.public, path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.head);
    }
    assert_eq!(plain::get(&house.public, "/metrics").await.status, 404, "numbers are for the local door");
    assert!(house.folder.0.join("data/fanlight.db").is_file(), "its data lies under ./data");
    house.assert_quiet().await;
    house.signal("TERM");
    assert_eq!(house.ended().await.code(), Some(0));
}

#[test]
fn a_bad_configuration_is_refused_by_name() {
    assert!(refused_start("auto", "shardz = 2\n", 64).contains("shardz"));
    assert!(refused_start("rings", "", 64).contains("rings"));
    assert!(refused_start("auto", "[limits]\nbody = \"64 parsecs\"\n", 64).contains("parsecs"));
}

#[test]
fn a_taken_port_is_refused_by_name() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = holder.local_addr().expect("bound");
    let folder = Folder::new();
    let local = configuration(&folder.0, "auto", "")
        .replace("[local]\nlisten = \"127.0.0.1:0\"", &format!("[local]\nlisten = \"{taken}\""));
    let config = folder.write("fanlight.toml", &local);
    let mut command = Command::new(binary());
    let output = command.arg("run").arg("--config").arg(config).output().expect("the binary runs");
    assert!(complaint(&output, 69).contains("local.listen"));
}

#[tokio::test]
async fn its_verbs_speak_to_a_running_node() {
    let mut house = House::open("auto", "");
    let version = Command::new(binary()).arg("version").output().expect("the binary runs");
    assert!(text(&version.stdout).starts_with("fanlight "));
    let check = house.verb(&["check"]);
    assert!(check.status.success() && text(&check.stdout).contains("backend"), "{}", text(&check.stdout));
    let status = text(&house.verb(&["status"]).stdout);
    assert!(status.contains("phase    serving") && status.contains("sessions 0"), "{status}");
    let visit = house.door().visit("demo").await.expect("a session");
    let token = house.verb(&["token", "--session", &visit.session.to_string(), "--role", "agent"]);
    assert_eq!(text(&token.stdout).trim().split('.').count(), 3, "{}", text(&token.stderr));
    let drained = house.verb(&["drain"]);
    assert!(drained.status.success(), "{}", text(&drained.stderr));
    assert_eq!(house.ended().await.code(), Some(0), "nobody was inside");
}

// G-06
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_drains_and_a_second_one_ends() {
    let mut house = House::open("auto", "");
    let mut scene = Scene::open(&house, Kind::WebSocket, 1, 5_000).await;
    house.signal("TERM");
    let refused = loop {
        let answer = plain::ask(&house.public, "POST /v1/keys", "", "{\"group\":\"demo\"}").await;
        if answer.status != 201 {
            break answer;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.head.to_ascii_lowercase().contains("\nretry-after: "), "{}", refused.head);
    assert!(refused.body.contains(Code::Draining.label()), "{}", refused.body);
    assert_eq!((house.probe("/live").await.0, house.probe("/ready").await.0), (200, 503));
    // Those inside go on.
    scene.change(2_000).await;
    scene.assert_equal().await;
    assert!(house.is_alive());
    house.signal("TERM");
    for client in scene.agents.iter_mut().chain([&mut scene.visitor]) {
        let code = loop {
            match client.next().await {
                Ok(_) => {}
                Err(ClientError::Closed(code)) => break code,
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(code, Some(Code::Draining.close_code()), "everybody is told why");
    }
    assert_eq!(house.ended().await.code(), Some(0), "{}", house.log());
}
