//! Documents say what the code does.

use fanlight_wire::event::{Ear, Event};
use fanlight_wire::frame::{Class, Kind};
use fanlight_wire::signal::ToRelay;
use fanlight_wire::{Code, limits};

use crate::{assert_none, files, root, text};

/// Cells of every table row of a Markdown text, back-ticks removed.
fn rows(markdown: &str) -> Vec<Vec<String>> {
    let table = markdown.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    table.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect()).collect()
}

fn missing(rows: &[Vec<String>], wanted: impl IntoIterator<Item = Vec<String>>) -> Vec<String> {
    let found = |wanted: &[String]| rows.iter().any(|row| row.starts_with(wanted));
    wanted
        .into_iter()
        .filter(|wanted| !found(wanted))
        .map(|wanted| format!("no row `{}`", wanted.join(" | ")))
        .collect()
}

fn protocol() -> Vec<Vec<String>> {
    rows(&text("docs/protocol.md"))
}

#[test]
fn the_protocol_lists_every_code() {
    let wanted = Code::ALL.iter().map(|code| {
        vec![
            code.label().to_owned(),
            code.http_status().to_string(),
            code.close_code().to_string(),
            code.sentence().to_owned(),
        ]
    });
    assert_none(&missing(&protocol(), wanted));
    let listed = protocol().iter().filter(|row| row[0].starts_with("E_")).count();
    assert_eq!(listed, Code::ALL.len(), "docs/protocol.md lists a code that does not exist");
}

#[test]
fn the_protocol_lists_every_kind_and_class() {
    let kinds = Kind::ALL
        .iter()
        .map(|kind| vec![kind.label().to_owned(), format!("{:#04x}", *kind as u8), kind.class().label().to_owned()]);
    assert_none(&missing(&protocol(), kinds));
    let classes = Class::ALL.iter().map(|class| vec![class.label().to_owned(), class.stream_byte().to_string()]);
    assert_none(&missing(&protocol(), classes));
}

#[test]
fn the_protocol_lists_every_signal() {
    assert_none(&missing(&protocol(), ToRelay::TAGS.iter().map(|tag| vec![(*tag).to_owned()])));
    let vectors: serde_json::Value = serde_json::from_str(&text("tests/vectors/signals.json")).expect("JSON");
    let tags = vectors.as_array().expect("a list").iter().filter_map(|vector| {
        let json = &vector["json"];
        let signal = json.as_str().map_or_else(|| json.clone(), |text| serde_json::from_str(text).unwrap_or_default());
        signal["t"].as_str().map(|tag| vec![tag.to_owned()])
    });
    let tags: Vec<_> = tags.collect();
    assert!(tags.len() > ToRelay::TAGS.len(), "the vectors were read");
    assert_none(&missing(&protocol(), tags));
}

#[test]
fn the_protocol_states_the_limits_in_force() {
    let values: [(&str, u64); 10] = [
        ("FRAME_BYTES_MAX", limits::FRAME_BYTES_MAX as u64),
        ("MESSAGE_BYTES_MAX", limits::MESSAGE_BYTES_MAX as u64),
        ("SNAPSHOT_BYTES_MAX", limits::SNAPSHOT_BYTES_MAX as u64),
        ("LOG_BYTES_MAX", limits::LOG_BYTES_MAX as u64),
        ("LOG_FRAMES_MAX", limits::LOG_FRAMES_MAX as u64),
        ("ASSET_BYTES_MAX", limits::ASSET_BYTES_MAX as u64),
        ("SIGNALS_PER_SECOND", limits::SIGNALS_PER_SECOND.into()),
        ("POINTERS_PER_SECOND", limits::POINTERS_PER_SECOND.into()),
        ("INPUTS_PER_SECOND", limits::INPUTS_PER_SECOND.into()),
        ("KEY_DIGITS", limits::KEY_DIGITS as u64),
    ];
    assert_none(&missing(&protocol(), values.map(|(name, value)| vec![name.to_owned(), value.to_string()])));
}

#[test]
fn decisions_are_numbered_and_linked_files_exist() {
    let mut complaints = Vec::new();
    for path in files("docs/decisions", &[".md"]) {
        let name = path.rsplit('/').next().unwrap_or_default();
        if !name.get(..4).is_some_and(|number| number.bytes().all(|b| b.is_ascii_digit())) {
            complaints.push(format!("{path}: a decision is named NNNN-*.md"));
        }
    }
    for path in ["README.md", "ARCHITECTURE.md", "docs/protocol.md"] {
        let folder = root().join(path).parent().expect("a folder").to_owned();
        for link in links(&text(path)).into_iter().filter(|link| !folder.join(link).exists()) {
            complaints.push(format!("{path}: link to {link}, which does not exist"));
        }
    }
    assert_none(&complaints);
}

/// Targets of relative Markdown links.
fn links(markdown: &str) -> Vec<String> {
    let targets = markdown.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.contains("://")).map(str::to_owned).collect()
}

#[test]
fn the_rules_reject_what_they_must() {
    let table = rows("| `E_A` | 400 | x |\n|---|---|---|\n| `E_B` | 500 | y |");
    assert_eq!(missing(&table, [vec!["E_A".to_owned(), "404".to_owned()]]).len(), 1);
    assert_eq!(missing(&table, [vec!["E_B".to_owned(), "500".to_owned()]]).len(), 0);
    assert_eq!(links("see [a](docs/a.md#x) and [b](https://b.example/)"), ["docs/a.md"]);
}

#[test]
fn the_events_are_the_documented_ones() {
    // R106
    let wanted = Event::ALL.iter().map(|event| {
        let ears = Ear::ALL.map(|ear| if event.is_heard_by(ear) { "yes".to_owned() } else { String::new() });
        [&[event.label().to_owned()], &ears[..], &[event.sentence().replace('`', "")]].concat()
    });
    let document = text("docs/events.md");
    let listed = rows(&document);
    assert_none(&missing(&listed, wanted));
    assert_eq!(listed.len(), Event::ALL.len() + 1, "docs/events.md lists an event that does not exist");
    for name in fanlight_wire::event::RESERVED {
        assert!(document.contains(&format!("`{name}`")), "{name}");
    }
}
