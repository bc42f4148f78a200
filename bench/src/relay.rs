//! The relay as a target: the release binary on one shard and one core, clients by WHIP and WHEP.
//!
//! Publishers fill the agents' slot of their session, which may be watched in any stage and needs nobody else in it.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fanlight_loadtest::raw::crowd::{Pace, gather};
use fanlight_loadtest::raw::door::{Door, JoinError, knock};
use fanlight_loadtest::raw::process;
use fanlight_loadtest::raw::source::Load;
use fanlight_loadtest::raw::swarm::Swarm;
use fanlight_loadtest::raw::watcher::Manner;
use serde_json::{Value, json};

use crate::measure::Target;

/// Life of a token, in seconds.
const TOKEN_S: u32 = 12 * 3_600;

/// A relay that runs for a bench.
#[derive(Debug)]
pub struct Relay {
    child: Option<Child>,
    pid: u32,
    public: String,
    operator: String,
    secret: String,
    folder: PathBuf,
}

/// One session with its two media doors.
#[derive(Debug, Clone)]
pub struct Room {
    pub whip: Door,
    pub whep: Door,
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            drop(child.kill());
            drop(child.wait());
        }
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// The binary under test: `FANLIGHT_BIN`, or what `make` builds.
pub fn binary() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("."));
    std::env::var_os("FANLIGHT_BIN").map_or_else(|| root.join("target/release/fanlight"), PathBuf::from)
}

impl Relay {
    /// Starts the binary on `core` with `backend` (`io_uring` or `mmsg`).
    ///
    /// # Errors
    /// What the kernel says, or a relay that does not come up; its log is in the message.
    pub fn start(core: usize, backend: &str) -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("fanlight-bench-{}-{}", std::process::id(), fastrand::u32(..)));
        fs::create_dir_all(&folder)?;
        let dir = folder.display();
        let config = format!(
            "[public]\nhttp = \"127.0.0.1:0\"\nhttps = \"off\"\n[operator]\nlisten = \"127.0.0.1:0\"\ntoken_file = \
             \"{dir}/operator.token\"\n[local]\nlisten = \"127.0.0.1:0\"\n[quic]\nenabled = false\n[store]\npath = \
             \"{dir}/fanlight.db\"\n[media]\nbase_port = 0\nshards = 1\nbackend = \"{backend}\"\n[demo]\nenabled = true\n\
             [log]\nlevel = \"warn\"\n[limits]\nconnections = 50000\nconnections_per_address = 50000\n"
        );
        fs::write(folder.join("fanlight.toml"), config)?;
        let log = File::create(folder.join("log"))?;
        let mut command = Command::new(binary());
        command.arg("run").arg("--config").arg(folder.join("fanlight.toml")).current_dir(&folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn()?;
        process::pin(child.id(), core)?;
        process::favour(child.id());
        let mut welcome = String::new();
        let mut lines = BufReader::new(child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?).lines();
        while !welcome.contains("/metrics") {
            let Some(line) = lines.next() else {
                let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("the relay did not start: {welcome}{log}")));
            };
            welcome.push_str(&line?);
            welcome.push('\n');
        }
        let (public, operator) = (address(&welcome, "start here")?, address(&welcome, "operator door")?);
        let secret = fs::read_to_string(folder.join("operator.token"))?.trim().to_owned();
        Ok(Self { pid: child.id(), child: Some(child), public, operator, secret, folder })
    }

    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Opens a session and mints what its two doors want.
    ///
    /// # Errors
    /// [`JoinError`] when a door refuses.
    pub fn room(&self) -> Result<Room, JoinError> {
        let wish = json!({ "group": "demo", "keep_s": TOKEN_S });
        let visit = call(&format!("http://{}/v1/sessions", self.operator), Some(&self.secret), &wish)?;
        let session = visit["session"].as_str().ok_or(JoinError::Http)?;
        let door = |kind: &str, source: &str, can: &str| {
            let wish = json!({ "session": session, "role": "upstream", "name": "bench", "subject": format!("bench-{kind}"),
                "capabilities": [can], "media_s": TOKEN_S });
            let minted = call(&format!("http://{}/v1/tickets", self.operator), Some(&self.secret), &wish)?;
            let token = minted["ticket"].as_str().ok_or(JoinError::Http)?.to_owned();
            let url = format!("http://{}/v1/sessions/{session}/{kind}?source={source}", self.public);
            Ok::<_, JoinError>(Door { url, token: Some(token) })
        };
        Ok(Room { whip: door("whip", "screen", "pub.screen")?, whep: door("whep", "slot:agent", "sub.screen")? })
    }

    /// Fills it: `sessions` publishers with `subscribers` each, silent until they are paced. The process ends with the
    /// target.
    ///
    /// # Errors
    /// [`JoinError`].
    pub fn fill(
        mut self,
        swarm: &mut Swarm,
        name: &str,
        (sessions, subscribers): (usize, usize),
        load: Load,
        join: bool,
    ) -> Result<Target, JoinError> {
        let rooms = self.rooms(sessions)?;
        let mut target = enter(swarm, (name, self.pid), &rooms, subscribers, load, join)?;
        target.child = self.child.take();
        Ok(target)
    }

    /// That many sessions.
    ///
    /// # Errors
    /// [`JoinError`].
    pub fn rooms(&self, count: usize) -> Result<Vec<Room>, JoinError> {
        (0..count).map(|_| self.room()).collect()
    }

    /// A publisher and `subscribers` for each of the rooms; the process stays with the relay.
    ///
    /// # Errors
    /// [`JoinError`].
    pub fn join_rooms(
        &self,
        swarm: &mut Swarm,
        rooms: &[Room],
        subscribers: usize,
        load: Load,
    ) -> Result<Target, JoinError> {
        enter(swarm, ("relay", self.pid), rooms, subscribers, load, false)
    }
}

/// One publisher and `subscribers` at the doors of a server that runs already.
///
/// # Errors
/// [`JoinError`].
pub fn doors(
    swarm: &mut Swarm,
    (name, pid): (&str, u32),
    (whip, whep): (&Door, &Door),
    subscribers: usize,
    load: Load,
) -> Result<Target, JoinError> {
    let room = Room { whip: whip.clone(), whep: whep.clone() };
    enter(swarm, (name, pid), &[room], subscribers, load, false)
}

fn enter(
    swarm: &mut Swarm,
    (name, pid): (&str, u32),
    rooms: &[Room],
    subscribers: usize,
    load: Load,
    join: bool,
) -> Result<Target, JoinError> {
    let nowhere = || JoinError::Absent(rooms.len());
    let publish = |number: usize| rooms.get(number).ok_or_else(nowhere)?.whip.publish(load, join);
    let sources = gather(swarm, rooms.len(), Pace::default(), publish)?;
    let mut target = Target { name: name.to_owned(), pid, child: None, sources, watchers: Vec::new() };
    target.pace(swarm, 0);
    target.watchers = watch(swarm, rooms, subscribers)?;
    Ok(target)
}

/// More subscribers for each of the rooms. One in ten gives transport-wide feedback, as a fair share of browsers' work that
/// leaves the generator's core to the packets.
///
/// # Errors
/// [`JoinError`].
pub fn watch(swarm: &mut Swarm, rooms: &[Room], subscribers: usize) -> Result<Vec<usize>, JoinError> {
    let manner = |number: usize| Manner { feedback: number.is_multiple_of(10), ..Manner::default() };
    gather(swarm, rooms.len() * subscribers, Pace::default(), |number| {
        let room = rooms.get(number / subscribers.max(1)).ok_or(JoinError::Absent(1))?;
        room.whep.watch(manner(number))
    })
}

fn call(url: &str, bearer: Option<&str>, body: &Value) -> Result<Value, JoinError> {
    let reply = knock(url, bearer, "application/json", &body.to_string())?;
    if !(200..300).contains(&reply.status) {
        return Err(JoinError::Refused { status: reply.status, body: reply.body });
    }
    serde_json::from_str(&reply.body).map_err(|_| JoinError::Http)
}

fn address(welcome: &str, what: &str) -> io::Result<String> {
    let line = welcome.lines().find(|line| line.trim_start().starts_with(what));
    let host = line.and_then(|line| line.split_once("http://")?.1.split('/').next());
    host.map(|host| host.trim().to_owned()).ok_or_else(|| io::Error::other(format!("{what} is not told: {welcome}")))
}
