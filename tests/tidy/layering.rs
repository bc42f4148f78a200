//! Who may import whom, what the engine must never see, and which versions are too old.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::{assert_none, root, text};

/// Crate → the crates of this workspace that it may depend on. Whoever is missing here may import everything.
const MAY_IMPORT: [(&str, &[&str]); 5] = [
    ("fanlight-wire", &[]),
    ("fanlight-engine", &["fanlight-wire"]),
    ("fanlight-control", &["fanlight-wire"]),
    ("fanlight-loadtest", &["fanlight-wire"]),
    ("fanlight", &["fanlight-wire", "fanlight-engine", "fanlight-control"]),
];

/// What the engine's closure must not hold: runtimes and sockets.
const BEYOND_THE_WALL: [&str; 9] =
    ["tokio", "mio", "socket2", "hyper", "io-uring", "tokio-uring", "quinn", "rusqlite", "async-io"];

/// The crates of this workspace and what each depends on (normal and build dependencies).
fn workspace_edges() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let edges = packages.iter().map(|package| {
        let dependencies = package["dependencies"].as_array().expect("dependencies");
        let names = dependencies
            .iter()
            .filter(|dependency| dependency["kind"].as_str() != Some("dev"))
            .filter_map(|dependency| dependency["name"].as_str().map(str::to_owned));
        (package["name"].as_str().expect("a name").to_owned(), names.collect())
    });
    edges.collect()
}

/// Names of everything that ends up in the engine's closure.
fn engine_closure() -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "-p", "fanlight-engine", "-e", "normal", "--prefix", "none", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    lines.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

fn forbidden_edges(edges: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let ours: BTreeSet<&String> = edges.keys().collect();
    let mut complaints = Vec::new();
    for (name, allowed) in MAY_IMPORT {
        let Some(imports) = edges.get(name) else {
            complaints.push(format!("{name} is not in the workspace"));
            continue;
        };
        for import in imports.iter().filter(|import| ours.contains(import) && !allowed.contains(&import.as_str())) {
            complaints.push(format!("{name} must not import {import}"));
        }
    }
    complaints
}

/// `name@<version` entries of deny.toml against the lock file.
fn outdated(deny: &str, lock: &str) -> Vec<String> {
    let deny: toml::Value = toml::from_str(deny).expect("deny.toml parses");
    let lock: toml::Value = toml::from_str(lock).expect("Cargo.lock parses");
    let bans = deny["bans"]["deny"].as_array().expect("bans");
    let packages = lock["package"].as_array().expect("packages");
    let mut complaints = Vec::new();
    for ban in bans {
        let Some((name, floor)) = ban["crate"].as_str().and_then(|entry| entry.split_once("@<")) else { continue };
        for package in packages.iter().filter(|package| package["name"].as_str() == Some(name)) {
            let version = package["version"].as_str().expect("a version");
            if numbers(version) < numbers(floor) {
                complaints.push(format!("{name} {version} is older than {floor}: {}", ban["reason"]));
            }
        }
    }
    complaints
}

fn numbers(version: &str) -> Vec<u64> {
    version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
}

/// Third-party dependencies without a line of reason.
fn unexplained(manifest: &str, reasons: &str) -> Vec<String> {
    let manifest: toml::Value = toml::from_str(manifest).expect("Cargo.toml parses");
    let dependencies = manifest["workspace"]["dependencies"].as_table().expect("workspace dependencies");
    let third_party = dependencies.iter().filter(|(_, value)| value.get("path").is_none());
    third_party
        .filter(|(name, _)| !reasons.contains(&format!("`{name}`")))
        .map(|(name, _)| format!("{name} has no line in docs/decisions/0002-dependencies.md"))
        .collect()
}

#[test]
fn crates_import_only_what_they_may() {
    assert_none(&forbidden_edges(&workspace_edges()));
}

#[test]
fn the_engine_stays_behind_its_wall() {
    let closure = engine_closure();
    assert!(closure.contains("str0m"), "the closure was read");
    let found: Vec<String> =
        BEYOND_THE_WALL.iter().filter(|name| closure.contains(**name)).map(|n| (*n).to_owned()).collect();
    assert_none(&found);
}

#[test]
fn versions_carry_the_fixes_this_product_needs() {
    assert_none(&outdated(&text("deny.toml"), &text("Cargo.lock")));
}

#[test]
fn every_dependency_has_a_reason() {
    assert_none(&unexplained(&text("Cargo.toml"), &text("docs/decisions/0002-dependencies.md")));
}

#[test]
fn the_rules_reject_what_they_must() {
    let mut edges = workspace_edges();
    edges.entry("fanlight-engine".into()).or_default().insert("fanlight-control".into());
    assert_eq!(forbidden_edges(&edges), ["fanlight-engine must not import fanlight-control"]);

    let deny = "[bans]\ndeny = [{ crate = \"x@<1.2.10\", reason = \"r\" }]";
    let lock = |version| format!("[[package]]\nname = \"x\"\nversion = \"{version}\"");
    assert_eq!(outdated(deny, &lock("1.2.9")).len(), 1);
    assert_eq!(outdated(deny, &lock("1.2.10")).len(), 0);

    let manifest = "[workspace.dependencies]\nx = \"1\"\nours = { path = \"a\" }";
    assert_eq!(unexplained(manifest, "- `y`: because").len(), 1);
    assert_eq!(unexplained(manifest, "- `x`: because").len(), 0);
}
