//! Rules about source files.

use crate::{assert_none, files, text};

/// Something that may appear in few places only.
struct OnePlace {
    needle: &'static str,
    /// Paths that begin so are searched.
    within: &'static [&'static str],
    /// Paths that begin so are allowed.
    allowed: &'static [&'static str],
    why: &'static str,
}

const ONE_PLACE: [OnePlace; 13] = [
    OnePlace {
        needle: "str0m::",
        within: &["engine/", "relay/", "control/", "wire/"],
        allowed: &["engine/src/peer"],
        why: "the WebRTC library is named in one module, so that it can be replaced",
    },
    OnePlace {
        needle: "Instant::now",
        within: &["engine/src", "relay/src", "control/src", "wire/src"],
        allowed: &["relay/src/clock.rs"],
        why: "time is an input; one place asks for it",
    },
    OnePlace {
        needle: "SystemTime::now",
        within: &["engine/src", "relay/src", "control/src", "wire/src"],
        allowed: &["relay/src/clock.rs"],
        why: "time is an input; one place asks for it",
    },
    OnePlace {
        needle: "DashMap",
        within: &["engine/src", "relay/src", "control/src", "wire/src"],
        allowed: &["control/src/directory.rs"],
        why: "a shard owns its state; the one shared map is the directory",
    },
    OnePlace {
        needle: "TcpStream::connect",
        within: &["control/src"],
        allowed: &["control/src/fetcher/"],
        why: "where the control plane connects to is judged in one place (G-70)",
    },
    OnePlace {
        needle: "load_native_certs",
        within: &["control/src", "relay/src"],
        allowed: &["control/src/fetcher/"],
        why: "whose certificates count is decided in one place",
    },
    OnePlace {
        needle: "unsafe {",
        within: &["engine/", "relay/", "control/", "wire/", "loadtest/", "tests/sim", "tests/harness"],
        allowed: &[
            "relay/src/io",
            "loadtest/src/raw/epoll.rs",
            "loadtest/src/raw/process.rs",
            "loadtest/src/raw/udp.rs",
        ],
        why: "unsafe code lives where the kernel's memory is",
    },
    OnePlace {
        needle: "UNSAFE_replayCanvas: true",
        within: &["web/"],
        allowed: &[],
        why: "the replayer must never be given scripts",
    },
    OnePlace {
        needle: concat!("/wo", "rk/"),
        within: &[
            "engine/",
            "relay/",
            "control/",
            "wire/",
            "loadtest/",
            "bench/",
            "web/",
            "docs/",
            "systemd/",
            "README",
            "Makefile",
        ],
        allowed: &[],
        why: "no path of one machine",
    },
    OnePlace {
        needle: "Mutex",
        within: &["engine/src"],
        allowed: &[],
        why: "nobody shares: a shard owns, others send it values",
    },
    OnePlace {
        needle: "write_rtp",
        within: &["engine/src"],
        allowed: &["engine/src/peer/client.rs"],
        why: "media is carried by engine::rtp; the WebRTC library has no part in it",
    },
    OnePlace {
        needle: "RtpPacket",
        within: &["engine/src"],
        allowed: &["engine/src/peer/client.rs"],
        why: "media is carried by engine::rtp; the WebRTC library has no part in it",
    },
    OnePlace {
        needle: "str0m::rtp::rtcp",
        within: &["engine/src"],
        allowed: &["engine/src/peer/client.rs"],
        why: "media is carried by engine::rtp; the WebRTC library has no part in it",
    },
];

const LEFTOVERS: [&str; 6] = ["todo!(", "unimplemented!(", "dbg!(", "FIX\u{4d}E", "XX\u{58}", "console.debug("];

/// Lines at which a file must be split on a seam that has a name.
const LINES_MAX: usize = 600;

fn sources() -> Vec<String> {
    ["wire", "engine", "control", "relay", "loadtest", "bench", "tests", "web"]
        .iter()
        .flat_map(|folder| files(folder, &[".rs", ".ts", ".tsx", ".mjs", ".css", ".html"]))
        .filter(|path| !path.ends_with(".generated.ts"))
        .collect()
}

/// The production lines of a file (above its tests) without comments, numbered from one.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().take_while(|line| line.trim() != "#[cfg(test)]").enumerate().map(|(at, line)| (at + 1, line)).filter(
        |(_, line)| {
            let line = line.trim_start();
            !line.starts_with("//") && !line.starts_with('*') && !line.starts_with("/*")
        },
    )
}

fn misplaced(path: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for rule in &ONE_PLACE {
        let searched = rule.within.iter().any(|prefix| path.starts_with(prefix));
        let allowed = rule.allowed.iter().any(|prefix| path.starts_with(prefix));
        // Test modules beside the code may build the other end of a wire.
        if !searched
            || allowed
            || path.ends_with("tests.rs")
            || path.ends_with("testing.rs")
            || path.contains("/tests/")
        {
            continue;
        }
        for (at, line) in code_lines(text).filter(|(_, line)| line.contains(rule.needle)) {
            complaints.push(format!("{path}:{at}: `{}` ({}): {}", rule.needle, rule.why, line.trim()));
        }
    }
    complaints
}

fn leftovers(path: &str, text: &str) -> Vec<String> {
    let hits = text.lines().enumerate().filter(|(_, line)| LEFTOVERS.iter().any(|word| line.contains(word)));
    hits.map(|(at, line)| format!("{path}:{}: left over: {}", at + 1, line.trim())).collect()
}

fn too_long(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > LINES_MAX).then(|| format!("{path}: {lines} lines, split it (at most {LINES_MAX})"))
}

fn undocumented(path: &str, text: &str) -> Option<String> {
    let documented = text.lines().take(5).any(|line| line.starts_with("//!"));
    (path.ends_with(".rs") && !documented).then(|| format!("{path}: has no module doc"))
}

#[test]
fn dangerous_things_have_one_place() {
    let complaints: Vec<String> = sources().iter().flat_map(|path| misplaced(path, &text(path))).collect();
    assert_none(&complaints);
}

#[test]
fn nothing_is_left_over() {
    let own = "tests/tidy/sources.rs";
    let complaints: Vec<String> =
        sources().iter().filter(|path| *path != own).flat_map(|path| leftovers(path, &text(path))).collect();
    assert_none(&complaints);
}

#[test]
fn files_are_small_and_say_what_they_own() {
    let sources = sources();
    let mut complaints: Vec<String> = sources.iter().filter_map(|path| too_long(path, &text(path))).collect();
    complaints.extend(sources.iter().filter_map(|path| undocumented(path, &text(path))));
    complaints
        .extend(sources.iter().filter(|path| path.ends_with("/mod.rs")).map(|path| format!("{path}: use x.rs + x/")));
    assert_none(&complaints);
}

#[test]
fn the_rules_reject_what_they_must() {
    assert_eq!(misplaced("engine/src/track.rs", "use str0m::Rtc;").len(), 1);
    assert_eq!(misplaced("engine/src/peer.rs", "use str0m::Rtc;").len(), 0);
    assert_eq!(misplaced("engine/src/track.rs", "// str0m::Rtc is named elsewhere").len(), 0);
    assert_eq!(misplaced("relay/src/shard.rs", "let now = Instant::now();").len(), 1);
    assert_eq!(misplaced("relay/src/shard.rs", "#[cfg(test)]\nmod tests { Instant::now() }").len(), 0);
    assert_eq!(misplaced("control/src/keys.rs", "keys: DashMap<u8, u8>").len(), 1);
    assert_eq!(misplaced("relay/src/shard.rs", "unsafe { call() }").len(), 1);
    assert_eq!(misplaced("control/src/sms.rs", "TcpStream::connect(there).await").len(), 1);
    assert_eq!(misplaced("control/src/fetcher/exchange.rs", "TcpStream::connect(there).await").len(), 0);
    assert_eq!(leftovers("a.rs", "    todo!()").len(), 1);
    assert!(too_long("a.rs", &"\n".repeat(LINES_MAX + 1)).is_some());
    assert!(undocumented("a.rs", "use x;\n").is_some());
}

#[test]
fn nobody_installs_anything_to_take_part() {
    // R001, R128, R129: no extension, no native client behind a protocol of its own; the browser captures by itself.
    let mut complaints = Vec::new();
    for path in files("web", &[".ts", ".html"]) {
        let source = text(&path);
        for needle in ["registerProtocolHandler", "chrome.runtime", "browser.runtime", "inlineInstall"] {
            if source.contains(needle) {
                complaints.push(format!("{path}: {needle}"));
            }
        }
    }
    assert_none(&complaints);
    assert!(text("web/agent/console/share.ts").contains("getDisplayMedia"), "captured by the browser");
}
