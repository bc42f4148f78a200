//! A WebRTC stack of somebody else joins through the documented signalling and decodes what it is sent.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::house::{House, root, say};
use crate::plain;

pub(crate) fn run(command: &mut Command) -> Output {
    let output = command.output().expect("it can be run");
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&said));
    output
}

/// A Python of our own with what `requirements.txt` names; made once.
pub(crate) fn python(requirements: &Path) -> PathBuf {
    let name = requirements.file_stem().and_then(|stem| stem.to_str()).expect("a plain name");
    let folder = root().join("target/venv").join(name);
    let (python, stamp) = (folder.join("bin/python"), folder.join("installed"));
    let wanted = std::fs::read_to_string(requirements).expect("it is in the repository");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return python;
    }
    run(Command::new(root().join("scripts/need")).arg("python-venv"));
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"];
    run(Command::new(&python).args(pip).arg(requirements));
    std::fs::write(stamp, wanted).expect("a file in its own folder");
    python
}

#[tokio::test]
async fn aiortc_joins_and_decodes() {
    let folder = root().join("tests/interop");
    let python = python(&folder.join("requirements.txt"));
    for backend in crate::house::BACKENDS {
        let mut house = House::open(backend, "");
        let script = folder.join("aiortc_join.py");
        let output = run(Command::new(&python).arg(script).arg(house.door().base()));
        let figure = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(figure.contains("decoded"), "{figure}");
        assert_eq!(house.metric("fanlight_srtp_handshakes_total", "other").await, 0.0, "AES-GCM with aiortc, too");
        house.assert_quiet().await;
        say(&format!("{figure} on {backend}"));
    }
}

/// What `make target` prints, of a relay that is open already.
pub(crate) struct Target {
    pub(crate) whip: String,
    pub(crate) whep: String,
    pub(crate) publish: String,
    pub(crate) subscribe: String,
}

impl Target {
    pub(crate) async fn of(house: &House) -> Self {
        let bearer = format!("Authorization: Bearer {}\r\n", house.operator_token());
        let body = json!({"group": "demo", "keep_s": 3_600}).to_string();
        let made = plain::ask(&house.operator, "POST /v1/sessions", &bearer, &body).await;
        let made: Value = serde_json::from_str(&made.body).expect("JSON");
        let session = made["session"].as_str().expect("a session");
        let token = |can: &str| {
            let minted = house.verb(&["token", "--session", session, "--role", "upstream", "--can", can]);
            assert!(minted.status.success(), "{}", String::from_utf8_lossy(&minted.stderr));
            String::from_utf8(minted.stdout).expect("text").trim().to_owned()
        };
        let at = |kind: &str| format!("http://{}/v1/sessions/{session}/{kind}", house.public);
        let (publish, subscribe) = (token("pub.screen,sub.screen"), token("sub.screen"));
        Self { whip: at("whip"), whep: at("whep"), publish, subscribe }
    }
}

#[tokio::test]
async fn aiortc_publishes_by_whip_and_plays_by_whep() {
    aiortc_plays("", 0.0).await;
}

#[tokio::test]
async fn aiortc_plays_and_restarts_ice_on_a_mirror() {
    // The second of its viewers is the one that restarts.
    aiortc_plays("[limits]\nviewers_per_shard = 1\n", 1.0).await;
}

async fn aiortc_plays(more: &str, mirrors: f64) {
    let folder = root().join("tests/interop");
    let python = python(&folder.join("requirements.txt"));
    for backend in crate::house::BACKENDS {
        let mut house = House::open(backend, more);
        let Target { whip, whep, publish, subscribe } = Target::of(&house).await;
        let script = folder.join("aiortc_whip.py");
        let output = run(Command::new(&python).arg(script).args([whip, whep, publish, subscribe]));
        let figure = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(figure.contains("decoded"), "{figure}");
        let mirrored = house.until_metric("fanlight_mirrored_packets_total", "in", |count| count >= mirrors).await;
        assert_eq!(mirrored > 0.0, mirrors > 0.0);
        house.until_metric("fanlight_media_resources", "", |count| count == 0.0).await;
        assert_eq!(house.metric("fanlight_srtp_handshakes_total", "other").await, 0.0, "AES-GCM with aiortc, too");
        house.assert_quiet().await;
        say(&format!("{figure} on {backend}"));
    }
}

#[tokio::test]
async fn gstreamer_publishes_by_whip_and_plays_by_whep() {
    run(Command::new(root().join("scripts/need")).arg("gstreamer"));
    for backend in crate::house::BACKENDS {
        let mut house = House::open(backend, "");
        let Target { whip, whep, publish, subscribe } = Target::of(&house).await;
        let script = root().join("tests/interop/gst_whip.py");
        let output = run(Command::new("/usr/bin/python3").arg(script).args([whip, whep, publish, subscribe]));
        let figure = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(figure.contains("decoded"), "{figure}");
        house.until_metric("fanlight_media_resources", "", |count| count == 0.0).await;
        house.assert_quiet().await;
        say(&format!("{figure} on {backend}"));
    }
}
