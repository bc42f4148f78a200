//! The binary as an operator meets it: exit codes, one line on standard error, verbs against a running node, signals.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

fn fanlight(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fanlight")).args(arguments).output().expect("the binary runs")
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("fanlight-cli-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    folder
}

fn file(name: &str, text: &str) -> String {
    let path = folder(name).join("fanlight.toml");
    std::fs::write(&path, text).expect("a temporary file");
    path.display().to_string()
}

fn complaint(output: &Output, code: i32) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert_eq!(text.lines().count(), 1, "one line: {text}");
    text
}

#[test]
fn a_bad_configuration_ends_with_64_and_names_the_key() {
    let unknown = file("unknown", "[media]\nadresses = []\n");
    assert!(complaint(&fanlight(&["check", "--config", &unknown]), 64).contains("adresses"));
    let open = file("open", "[public]\nhttp = \"0.0.0.0:8080\"\n");
    assert!(complaint(&fanlight(&["--config", &open]), 64).contains("public.http"));
    assert!(complaint(&fanlight(&["check", "--config", "/nonexistent/file"]), 64).contains("/nonexistent/file"));
    assert_eq!(fanlight(&["fly"]).status.code(), Some(64));
    assert_eq!(fanlight(&["--help"]).status.code(), Some(0));
}

#[test]
fn receipts_are_checked_without_a_node() {
    let dir = folder("receipts");
    let written = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).expect("a temporary file");
        path.display().to_string()
    };
    assert!(complaint(&fanlight(&["verify-receipts", "/nonexistent/file"]), 64).contains("/nonexistent/file"));
    let other = written("other.json", "{\"a\":1}");
    assert!(complaint(&fanlight(&["verify-receipts", &other]), 65).contains("not a file of receipts"));
    let running = r#"{"format":"fanlight-receipts/1","session":"s","group":"g","key":"k","texts":{},"records":[]}"#;
    assert!(complaint(&fanlight(&["verify-receipts", &written("running.json", running)]), 75).contains("closing"));
    let key = ["verify-receipts", &written("key.json", running), "--key", "other"];
    assert!(complaint(&fanlight(&key), 65).contains("another key"));
}

#[test]
fn check_says_what_will_run() {
    let output = fanlight(&["check"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    for line in ["[public]", "# This host", "#   backend ", "#   shards ", "#   webtransport  udp 7710"] {
        assert!(text.contains(line), "{line:?} in\n{text}");
    }
}

#[test]
fn an_occupied_port_ends_with_69_and_names_the_key() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = holder.local_addr().expect("bound");
    let dir = folder("occupied");
    let config = file("occupied", &format!("{}[local]\nlisten = \"{address}\"\n", quiet(&dir)));
    assert!(complaint(&fanlight(&["run", "--config", &config]), 69).contains("local.listen"));
}

#[test]
fn nobody_at_the_door_ends_with_69() {
    let config = file("nobody", "[local]\nlisten = \"127.0.0.1:1\"\n");
    assert!(complaint(&fanlight(&["status", "--config", &config]), 69).contains("127.0.0.1:1"));
}

/// Everything but the local door, on ports of the kernel's choice.
fn quiet(dir: &std::path::Path) -> String {
    let dir = dir.display();
    format!(
        "[public]\nhttp = \"127.0.0.1:0\"\nhttps = \"off\"\n[media]\nbase_port = 0\nshards = 1\n[quic]\nbase_port = 0\n\
         [store]\npath = \"{dir}/fanlight.db\"\n[operator]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{dir}/token\"\n"
    )
}

struct Running {
    child: Child,
    config: String,
    welcome: String,
}

/// Starts a node and reads where it is, up to the line about metrics, which comes last.
fn start(name: &str) -> Running {
    let dir = folder(name);
    let path = dir.join("run.toml");
    std::fs::write(&path, format!("{}[local]\nlisten = \"127.0.0.1:0\"\n", quiet(&dir))).expect("a temporary file");
    let mut child = Command::new(env!("CARGO_BIN_EXE_fanlight"))
        .args(["run", "--config", &path.display().to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut welcome = String::new();
    while !welcome.contains("/metrics") {
        welcome += &lines.next().expect("it says where it is").expect("text");
        welcome.push('\n');
    }
    let local = address(&welcome, "metrics");
    let operator = address(&welcome, "operator door");
    // The verbs need real ports; whoever runs a node on ports of the kernel's choice has to tell them.
    let told =
        quiet(&dir).replace("[operator]\nlisten = \"127.0.0.1:0\"", &format!("[operator]\nlisten = \"{operator}\""));
    let config = file(name, &format!("{told}[local]\nlisten = \"{local}\"\n"));
    Running { child, config, welcome }
}

fn address(welcome: &str, what: &str) -> String {
    let line = welcome.lines().find(|line| line.trim_start().starts_with(what)).expect("a line about it");
    let rest = line.split_once("http://").expect("a URL").1;
    rest.split('/').next().expect("a host").to_string()
}

impl Running {
    fn verb(&self, arguments: &[&str]) -> Output {
        fanlight(&[arguments, &["--config", &self.config]].concat())
    }

    fn ends(&mut self) -> Option<i32> {
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already when the test went well.
        drop(self.child.kill());
    }
}

#[test]
fn the_verbs_talk_to_a_running_node() {
    let mut node = start("verbs");
    assert!(node.welcome.contains("agent console"), "{}", node.welcome);
    let status = node.verb(&["status"]);
    let text = String::from_utf8_lossy(&status.stdout);
    assert!(text.contains("phase    serving") && text.contains("sessions 0"), "{text}");

    let public = address(&node.welcome, "start here");
    let made = ask(&public, "POST /v1/keys", "{\"group\":\"demo\"}");
    let session = made.split("\"session\":\"").nth(1).and_then(|rest| rest.get(..32)).expect("a session");
    let token = node.verb(&["token", "--session", session, "--role", "agent", "--name", "Tess"]);
    assert!(token.status.success(), "{}", String::from_utf8_lossy(&token.stderr));
    assert_eq!(String::from_utf8_lossy(&token.stdout).trim().split('.').count(), 3, "a ticket has three parts");
    let unknown = node.verb(&["token", "--session", &"0".repeat(32), "--role", "agent"]);
    assert!(complaint(&unknown, 69).contains("404"));

    assert!(node.verb(&["drain"]).status.success());
    assert_eq!(node.ends(), Some(0), "a drain without participants ends at once");
}

fn ask(host: &str, what: &str, body: &str) -> String {
    use std::io::Write;
    let mut stream = std::net::TcpStream::connect(host).expect("connected");
    let length = body.len();
    let head = format!("{what} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all((head + body).as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

// G-06
#[test]
fn sigterm_ends_with_0() {
    let mut node = start("sigterm");
    let sent = Command::new("kill").args(["-TERM", &node.child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
    assert_eq!(node.ends(), Some(0));
}

// G-62: a session leaves nothing but metadata in the data directory, and secrets are for the owner alone.
#[test]
fn files_of_the_data_directory_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let mut node = start("private");
    let dir = folder("private");
    for name in ["token", "ticket.key"] {
        let mode = std::fs::metadata(dir.join(name)).expect(name).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert!(node.verb(&["drain"]).status.success());
    assert_eq!(node.ends(), Some(0));
}
