//! A running relay: the binary, its folder, its doors, its numbers. Killed when dropped, and its folder goes with it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fanlight_loadtest::client::Door;
use fanlight_loadtest::clock;
use tokio::time::sleep;

use crate::plain;

/// How datagrams reach the kernel; both must pass the same tests.
pub(crate) const BACKENDS: [&str; 2] = ["io_uring", "mmsg"];
/// A running node answers within this, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(20);

/// The binary under test.
pub(crate) fn binary() -> PathBuf {
    let named = std::env::var_os("FANLIGHT_BIN").map(PathBuf::from);
    let path = named.unwrap_or_else(|| root().join("target/release/fanlight"));
    assert!(
        path.is_file(),
        "{} is missing; build it (make target/release/fanlight) or set FANLIGHT_BIN",
        path.display()
    );
    path
}

/// The folder of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_path_buf()
}

/// An empty folder that goes away with its owner.
#[derive(Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let nth = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("fanlight-e2e-{}-{nth}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file in its own folder");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A test that has failed may have left it in any state.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Every port of the kernel's choice, data in `folder`, `more` at the end.
pub(crate) fn configuration(folder: &Path, backend: &str, more: &str) -> String {
    let dir = folder.display();
    format!(
        "[public]\nhttp = \"127.0.0.1:0\"\nhttps = \"127.0.0.1:0\"\n[operator]\nlisten = \"127.0.0.1:0\"\n\
         token_file = \"{dir}/operator.token\"\n[local]\nlisten = \"127.0.0.1:0\"\n[quic]\nbase_port = 0\n\
         [store]\npath = \"{dir}/fanlight.db\"\n[media]\nbase_port = 0\nshards = 2\nbackend = \"{backend}\"\n{more}"
    )
}

/// A running relay.
#[derive(Debug)]
pub(crate) struct House {
    child: Child,
    pub(crate) folder: Folder,
    pub(crate) public: String,
    pub(crate) operator: String,
    pub(crate) local: String,
}

impl House {
    /// Starts a relay on `backend`, with `more` lines of configuration.
    pub(crate) fn open(backend: &str, more: &str) -> Self {
        let folder = Folder::new();
        let config = folder.write("fanlight.toml", &configuration(&folder.0, backend, more));
        let mut command = Command::new(binary());
        command.arg("run").arg("--config").arg(config);
        Self::start(command, folder)
    }

    /// Starts `command`, which must run a relay; its log goes to a file of `folder`.
    pub(crate) fn start(mut command: Command, folder: Folder) -> Self {
        let log = std::fs::File::create(folder.0.join("log")).expect("a file in its own folder");
        command.current_dir(&folder.0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("the binary runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut welcome = String::new();
        while !welcome.contains("/metrics") {
            let Some(line) = lines.next() else {
                let log = std::fs::read_to_string(folder.0.join("log")).unwrap_or_default();
                panic!("it ended with {:?} before it said where it is\n{welcome}{log}", child.wait());
            };
            welcome += &line.expect("text");
            welcome.push('\n');
        }
        let door = |what: &str| {
            let line = welcome.lines().find(|line| line.trim_start().starts_with(what)).expect("a line about it");
            let (_, rest) = line.split_once("http://").expect("an address");
            rest.split('/').next().expect("a host").to_owned()
        };
        let (public, operator, local) = (door("start here"), door("operator door"), door("metrics"));
        Self { child, folder, public, operator, local }
    }

    pub(crate) fn door(&self) -> Door {
        Door::new(format!("http://{}", self.public))
    }

    /// The operator's token.
    pub(crate) fn operator_token(&self) -> String {
        let path = self.folder.0.join("operator.token");
        std::fs::read_to_string(path).expect("it is made at the start").trim().to_owned()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.0.join("log")).unwrap_or_default()
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success(), "the process is there");
    }

    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_none()
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let until = clock::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                return status;
            }
            assert!(clock::now() < until, "it does not end\n{}", self.log());
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Another verb of the binary, told where this node's doors really are.
    pub(crate) fn verb(&self, arguments: &[&str]) -> Output {
        let dir = self.folder.0.display();
        let (operator, local) = (&self.operator, &self.local);
        let told = format!(
            "[operator]\nlisten = \"{operator}\"\ntoken_file = \"{dir}/operator.token\"\n[local]\nlisten = \"{local}\"\n"
        );
        let config = self.folder.write("verbs.toml", &told);
        Command::new(binary()).args(arguments).arg("--config").arg(config).output().expect("the binary runs")
    }

    /// `GET` at the local door: status and body.
    pub(crate) async fn probe(&self, path: &str) -> (u16, String) {
        let answer = plain::get(&self.local, path).await;
        (answer.status, answer.body)
    }

    /// The sum of a metric's series whose labels contain `labels`.
    pub(crate) async fn metric(&self, name: &str, labels: &str) -> f64 {
        let (status, text) = self.probe("/metrics").await;
        assert_eq!(status, 200, "{text}");
        let series = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        series
            .filter(|(series, _)| series.split('{').next() == Some(name) && series.contains(labels))
            .filter_map(|(_, value)| value.parse::<f64>().ok())
            .sum()
    }

    /// Waits until the process is as wanted.
    pub(crate) async fn until(&self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let until = clock::now() + PATIENCE;
        while !wanted(self) {
            assert!(clock::now() < until, "in vain: {what}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Open file descriptors of the process.
    pub(crate) fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).map_or(0, Iterator::count)
    }

    /// Waits until a metric is as wanted; totals are published a few times a second.
    pub(crate) async fn until_metric(&self, name: &str, labels: &str, wanted: impl Fn(f64) -> bool) -> f64 {
        let until = clock::now() + PATIENCE;
        loop {
            let value = self.metric(name, labels).await;
            if wanted(value) {
                return value;
            }
            if clock::now() >= until {
                let (text, status) = (self.probe("/metrics").await.1, self.probe("/status").await.1);
                let series: Vec<_> = text.lines().filter(|line| line.starts_with(name)).collect();
                panic!("{name}{{{labels}}} stays at {value}: {series:#?}\n{status}");
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Resident memory of the process in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it is alive");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel says so");
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
        kib * 1024
    }

    /// Asserts that nothing broke and nobody was warned, except about the host at the start.
    // G-84
    pub(crate) async fn assert_quiet(&mut self) {
        self.assert_sound().await;
        let log = self.log();
        let warned = log.lines().find(|line| line.contains(" WARN ") && !line.contains(" fanlight::node: "));
        assert_eq!(warned, None, "{log}");
    }

    /// Asserts that nothing broke: no panic, nothing in the log that would wake somebody.
    pub(crate) async fn assert_sound(&mut self) {
        assert!(self.is_alive(), "the process has ended\n{}", self.log());
        assert_eq!(self.metric("fanlight_panics_total", "").await, 0.0, "{}", self.log());
        let log = self.log();
        assert!(!log.contains(" ERROR ") && !log.contains("panicked"), "{log}");
    }
}

impl Drop for House {
    fn drop(&mut self) {
        // It may have ended by itself; its zombie is ours to bury.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Prints a figure with what the machine was doing meanwhile.
#[expect(clippy::print_stdout, reason = "figures are what this suite is for")]
pub(crate) fn say(figure: &str) {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{figure}  [load average {load} on {cores} cores]");
}
