//! Janus VideoRoom as a target, by its HTTP API: one room, one publisher, a session of its own for every subscriber.
//!
//! It runs with its debug output off, one transport and one plugin, and its defaults otherwise.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fanlight_loadtest::clock;
use fanlight_loadtest::raw::crowd::{Pace, gather};
use fanlight_loadtest::raw::door::{JoinError, own_address, request};
use fanlight_loadtest::raw::handshake::Handshake;
use fanlight_loadtest::raw::process;
use fanlight_loadtest::raw::sdp::{self, Direction};
use fanlight_loadtest::raw::source::Load;
use fanlight_loadtest::raw::swarm::{Member, Plan, Swarm};
use fanlight_loadtest::raw::udp::Port;
use fanlight_loadtest::raw::watcher::Manner;
use serde_json::{Value, json};

use crate::measure::Target;

/// Port of the HTTP API, and of media.
const API_PORT: u16 = 17_088;
const MEDIA_PORTS: &str = "30000-60000";
const ROOM: u32 = 7_391;
const BUFFER_BYTES: usize = 1 << 20;
/// Time to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// Is Janus installed on this machine?
pub fn is_installed() -> bool {
    Path::new("/usr/bin/janus").is_file()
}

/// Starts Janus on `core` with one publisher and `subscribers`.
///
/// # Errors
/// [`JoinError`]; what does not start is an absent answer.
pub fn open(swarm: &mut Swarm, core: usize, subscribers: usize, load: Load) -> Result<Target, JoinError> {
    // Its candidates are never on the loopback; packets between two addresses of one machine travel there all the same.
    let ip = own_address(Ipv4Addr::new(198, 51, 100, 1));
    let folder = configure(ip)?;
    let child = start(&folder, core)?;
    let pid = child.id();
    let mut target =
        Target { name: "janus".into(), pid, child: Some(child), sources: Vec::new(), watchers: Vec::new() };
    let api = Api { base: format!("http://127.0.0.1:{API_PORT}/janus") };
    let until = clock::now() + PATIENCE;
    while request("GET", &format!("{}/info", api.base), None, "application/json", "").is_err() {
        if clock::now() > until {
            return Err(JoinError::Absent(1));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let feed = std::sync::OnceLock::new();
    target.sources = gather(swarm, 1, Pace::default(), |_| {
        let (member, id) = api.publish(ip, load)?;
        feed.get_or_init(|| id);
        Ok(member)
    })?;
    target.pace(swarm, 0);
    let feed = feed.get().copied().unwrap_or_default();
    let pace = Pace { workers: 4, per_second: 0 };
    target.watchers = gather(swarm, subscribers, pace, |_| api.watch(ip, feed))?;
    Ok(target)
}

fn configure(ip: Ipv4Addr) -> io::Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("fanlight-bench-janus-{}", std::process::id()));
    let place = folder.display();
    for (kind, library) in [("plugins", "libjanus_videoroom.so"), ("transports", "libjanus_http.so")] {
        fs::create_dir_all(folder.join(kind))?;
        let link = folder.join(kind).join(library);
        if !link.exists() {
            let library = janus_library(kind, library).ok_or(io::ErrorKind::NotFound)?;
            std::os::unix::fs::symlink(library, link)?;
        }
    }
    fs::create_dir_all(folder.join("none"))?;
    let main = format!(
        "general: {{\n configs_folder = \"{place}\"\n plugins_folder = \"{place}/plugins\"\n transports_folder = \
         \"{place}/transports\"\n events_folder = \"{place}/none\"\n loggers_folder = \"{place}/none\"\n debug_level = \
         1\n debug_colors = false\n session_timeout = 0\n}}\nmedia: {{\n rtp_port_range = \"{MEDIA_PORTS}\"\n}}\nnat: \
         {{\n nice_debug = false\n ice_enforce_list = \"{ip}\"\n}}\n"
    );
    fs::write(folder.join("janus.jcfg"), main)?;
    let http =
        format!("general: {{\n json = \"compact\"\n base_path = \"/janus\"\n http = true\n port = {API_PORT}\n}}\n");
    fs::write(folder.join("janus.transport.http.jcfg"), http)?;
    fs::write(folder.join("janus.plugin.videoroom.jcfg"), "general: {\n}\n")?;
    Ok(folder)
}

fn janus_library(kind: &str, library: &str) -> Option<PathBuf> {
    let roots = ["/usr/lib/x86_64-linux-gnu/janus", "/usr/lib/aarch64-linux-gnu/janus", "/usr/lib/janus"];
    roots.into_iter().map(|root| Path::new(root).join(kind).join(library)).find(|path| path.exists())
}

fn start(folder: &Path, core: usize) -> io::Result<Child> {
    let mut command = Command::new("janus");
    command.arg("-F").arg(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn()?;
    process::pin(child.id(), core)?;
    process::favour(child.id());
    Ok(child)
}

struct Api {
    base: String,
}

/// A session with one handle of the plugin.
struct Handle {
    session: u64,
    handle: u64,
}

impl Api {
    fn ask(&self, path: &str, body: &Value) -> Result<Value, JoinError> {
        let url = format!("{}{path}", self.base);
        let reply = request("POST", &url, None, "application/json", &body.to_string())?;
        let value: Value = serde_json::from_str(&reply.body).map_err(|_| JoinError::Http)?;
        if value["janus"] == "error" {
            return Err(JoinError::Refused { status: reply.status, body: reply.body });
        }
        Ok(value)
    }

    fn attach(&self) -> Result<Handle, JoinError> {
        let id = |value: &Value| value["data"]["id"].as_u64().ok_or(JoinError::Http);
        let session = id(&self.ask("", &json!({ "janus": "create", "transaction": "c" }))?)?;
        let body = json!({ "janus": "attach", "plugin": "janus.plugin.videoroom", "transaction": "a" });
        let handle = id(&self.ask(&format!("/{session}"), &body)?)?;
        Ok(Handle { session, handle })
    }

    /// Sends a message to the plugin; its event, for what is not answered at once.
    fn tell(&self, handle: &Handle, body: &Value, jsep: Option<Value>) -> Result<Value, JoinError> {
        let Handle { session, handle } = handle;
        let transaction = fastrand::u64(..).to_string();
        let mut message = json!({ "janus": "message", "transaction": transaction, "body": body });
        if let (Some(jsep), Some(fields)) = (jsep, message.as_object_mut()) {
            fields.insert("jsep".to_owned(), jsep);
        }
        let reply = self.ask(&format!("/{session}/{handle}"), &message)?;
        if reply["janus"] != "ack" {
            return checked(reply);
        }
        let url = format!("{}/{session}?maxev=1", self.base);
        loop {
            let reply = request("GET", &url, None, "application/json", "")?;
            let value: Value = serde_json::from_str(&reply.body).map_err(|_| JoinError::Http)?;
            if value["transaction"] == transaction.as_str() {
                return checked(value);
            }
        }
    }

    fn publish(&self, ip: Ipv4Addr, load: Load) -> Result<(Member, u64), JoinError> {
        let handle = self.attach()?;
        let room = json!({ "request": "create", "room": ROOM, "publishers": 1, "videocodec": "vp8", "bitrate": 0 });
        self.tell(&handle, &room, None)?;
        let (port, mut handshake, began_us) = open_port(ip, true)?;
        let ssrc = fastrand::u32(1 << 16..);
        let offer = sdp::offer(&handshake.party(None), Direction::Send { ssrc, rtx: ssrc ^ 1 }, true);
        let body = json!({ "request": "joinandconfigure", "room": ROOM, "ptype": "publisher" });
        let jsep = json!({ "type": "offer", "sdp": offer, "trickle": false });
        let event = self.tell(&handle, &body, Some(jsep))?;
        let answer = event["jsep"]["sdp"].as_str().ok_or(JoinError::Http)?;
        let feed = event["plugindata"]["data"]["id"].as_u64().ok_or(JoinError::Http)?;
        let remote = sdp::party(answer)?;
        handshake.begin(clock::now(), &remote, remote.active != Some(true))?;
        let payload_type = sdp::payload_types(answer).0.unwrap_or(fanlight_loadtest::raw::rtp::PT_VP8);
        let plan = Plan::Publish { load, ssrc, payload_type, join: false };
        Ok((Member::new(port, handshake, plan, began_us), feed))
    }

    fn watch(&self, ip: Ipv4Addr, feed: u64) -> Result<Member, JoinError> {
        let handle = self.attach()?;
        let body = json!({ "request": "join", "room": ROOM, "ptype": "subscriber", "streams": [{ "feed": feed }] });
        let event = self.tell(&handle, &body, None)?;
        let offer = event["jsep"]["sdp"].as_str().ok_or(JoinError::Http)?;
        let (port, mut handshake, began_us) = open_port(ip, false)?;
        let answer = sdp::answer(offer, &handshake.party(Some(true)));
        handshake.begin(clock::now(), &sdp::party(offer)?, true)?;
        let jsep = json!({ "type": "answer", "sdp": answer, "trickle": false });
        self.tell(&handle, &json!({ "request": "start" }), Some(jsep))?;
        let plan = Plan::Watch { manner: Manner::default(), rtx: sdp::payload_types(offer).1 };
        Ok(Member::new(port, handshake, plan, began_us))
    }
}

fn open_port(ip: Ipv4Addr, controlling: bool) -> Result<(Port, Handshake, u64), JoinError> {
    let port = Port::open(ip, BUFFER_BYTES)?;
    let handshake = Handshake::new(clock::now(), port.local(), controlling);
    Ok((port, handshake, clock::now_us()))
}

fn checked(value: Value) -> Result<Value, JoinError> {
    if value["plugindata"]["data"]["error"].is_string() {
        return Err(JoinError::Refused { status: 200, body: value.to_string() });
    }
    Ok(value)
}
