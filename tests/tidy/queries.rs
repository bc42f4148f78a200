//! Every query of the dashboard and of the alert rules names a metric, labels and label values that exist. What exists is
//! the table of `docs/metrics.md`, which a test in `control` keeps equal to the registry.

use std::collections::BTreeMap;

use fanlight_wire::Code;

use crate::{assert_none, text};

/// What the table says of a metric.
struct Metric {
    kind: String,
    labels: Vec<String>,
    /// Every value that any of its labels may have; empty: unbounded there, like shards.
    values: Vec<String>,
}

fn metrics() -> BTreeMap<String, Metric> {
    let ticked = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let table = text("docs/metrics.md");
    let rows = table.lines().filter(|line| line.starts_with("| `fanlight_"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let mut values = ticked(cells[4]);
        if cells[4].contains("every code") {
            values.extend(Code::ALL.iter().map(|code| code.label().to_owned()));
        }
        (cells[0].replace('`', ""), Metric { kind: cells[1].to_owned(), labels: ticked(cells[2]), values })
    })
    .collect()
}

fn queries() -> Vec<String> {
    let rules = text("docs/operating/alerts.yml");
    let of_rules = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ").map(str::to_owned));
    let dashboard = serde_json::from_str(&text("docs/operating/grafana.json")).expect("JSON");
    let mut found: Vec<String> = of_rules.collect();
    let rules = found.len();
    collect(&dashboard, &mut found);
    assert!(rules >= 8 && found.len() >= rules + 15, "queries are not found any more: {rules}, {}", found.len());
    found
}

fn collect(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            found.extend(fields.get("expr").and_then(|expr| expr.as_str()).map(str::to_owned));
            fields.values().for_each(|field| collect(field, found));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

/// What is wrong with a query.
fn complaints(query: &str, metrics: &BTreeMap<String, Metric>) -> Vec<String> {
    let mut wrong = Vec::new();
    for rest in query.split("fanlight_").skip(1) {
        let length = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
        let (name, rest) = rest.split_at(length);
        let name = format!("fanlight_{name}");
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        let histogram = base.and_then(|base| metrics.get(base)).filter(|metric| metric.kind == "histogram");
        let plain = metrics.get(&name).filter(|metric| metric.kind != "histogram");
        let Some(metric) = plain.or(histogram) else {
            wrong.push(format!("`{query}` asks for `{name}`, which does not exist"));
            continue;
        };
        let selector = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inside, _)| inside);
        for part in selector.split(',').filter(|part| !part.is_empty()) {
            let Some((label, value)) = part.split_once(['=', '!']) else { continue };
            if label != "instance" && !metric.labels.iter().any(|known| known == label) {
                wrong.push(format!("`{query}`: `{name}` has no label `{label}`"));
            }
            let values = value.trim_start_matches(['=', '~']).trim_matches('"').split('|');
            let known = |value: &&str| value.starts_with('$') || metric.values.iter().any(|known| known == value);
            wrong.extend(values.filter(|value| !known(value)).map(|value| format!("`{query}`: no value `{value}`")));
        }
    }
    wrong
}

#[test]
fn every_query_names_what_exists() {
    let metrics = metrics();
    let wrong: Vec<String> = queries().iter().flat_map(|query| complaints(query, &metrics)).collect();
    assert_none(&wrong);
}

#[test]
fn a_query_for_what_does_not_exist_is_found() {
    let metrics = metrics();
    for (query, faults) in [
        (r#"rate(fanlight_panics_total{owner="shard"}[5m])"#, 0),
        ("histogram_quantile(0.9, rate(fanlight_share_gap_seconds_bucket[5m]))", 0),
        ("fanlight_share_gap_seconds", 1),
        ("fanlight_panic_total > 0", 1),
        (r#"fanlight_panics_total{who="shard"}"#, 1),
        (r#"fanlight_refusals_total{code=~"E_STORE|E_NONE"}"#, 1),
    ] {
        assert_eq!(complaints(query, &metrics).len(), faults, "{query}");
    }
}
