//! The registry, its definitions and their table agree; totals become counters.

use std::collections::BTreeSet;

use super::definitions::ALL;
use super::*;

fn value(metrics: &Metrics, series: &str) -> Option<String> {
    let text = metrics.render();
    let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
    line.and_then(|line| line.rsplit_once(' ')).map(|(_, value)| value.to_owned())
}

#[test]
fn the_table_the_definitions_and_the_registry_agree() {
    let metrics = Metrics::new();
    metrics.io_backend(Backend::Mmsg);
    metrics.fault(Lane::Http, Code::Size);
    let registered: BTreeSet<_> = metrics.registry.gather().iter().map(|family| family.name().to_owned()).collect();
    let defined: BTreeSet<_> = ALL.iter().map(|definition| definition.name.to_owned()).collect();
    assert_eq!(registered, defined);

    let table = include_str!("../../../docs/metrics.md");
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| `fanlight_")).collect();
    let row = |d: &&Definition| {
        let labels: Vec<_> = d.labels.iter().map(|label| format!("`{label}`")).collect();
        format!("| `{}` | {} | {} | {} |", d.name, d.kind, labels.join(", "), d.help)
    };
    let expected: Vec<_> = ALL.iter().map(row).collect();
    for (row, expected) in rows.iter().zip(&expected) {
        assert!(row.starts_with(expected.trim_end_matches(" |")), "docs/metrics.md has\n{row}\ninstead of\n{expected}");
    }
    assert_eq!(rows.len(), expected.len());
}

#[test]
fn kinds_are_what_the_table_says() {
    let text = Metrics::new().render();
    for definition in ALL {
        let line = format!("# TYPE {} {}", definition.name, definition.kind);
        let empty = definition.name == "fanlight_faults_total" || definition.name == "fanlight_io_backend";
        assert!(empty || text.contains(&line), "{line}");
    }
}

#[test]
fn a_repeated_total_changes_nothing_and_a_shard_that_began_anew_counts_on() {
    let metrics = Metrics::new();
    let series = r#"fanlight_forwarded_packets_total{direction="out"}"#;
    let totals = |packets_out, active| ShardTotals { packets_out, sessions: [0, active, 0], ..ShardTotals::default() };
    metrics.set_shard_totals(ShardId(1), totals(10, 2));
    metrics.set_shard_totals(ShardId(1), totals(10, 2));
    metrics.set_shard_totals(ShardId(2), totals(5, 1));
    assert_eq!(value(&metrics, series).as_deref(), Some("15"));
    assert_eq!(value(&metrics, r#"fanlight_sessions{stage="active"}"#).as_deref(), Some("3"));
    metrics.set_shard_totals(ShardId(1), totals(3, 0));
    assert_eq!(value(&metrics, series).as_deref(), Some("18"));
    assert_eq!(value(&metrics, r#"fanlight_sessions{stage="active"}"#).as_deref(), Some("1"));
}

#[test]
fn every_total_reaches_a_series() {
    // A total that no metric shows would be counted for nobody: every field is given its own number and looked for.
    let metrics = Metrics::new();
    metrics.set_shard_totals(
        ShardId(0),
        ShardTotals {
            packets_in: 101,
            packets_out: 102,
            bytes_in: 103,
            bytes_out: 104,
            drops: [111, 112, 113, 114, 115, 116, 117, 118],
            dom_frames_in: [121, 122, 123],
            dom_frames_out: [124, 125, 126],
            dom_cache_bytes: 131,
            resyncs: 132,
            snapshot_requests: 133,
            snapshot_bytes: 136,
            dom_evictions: 137,
            agents_lag: [161, 162, 163, 164, 165],
            keyframe_requests_in: 134,
            keyframe_requests_out: 135,
            sessions: [141, 142, 143],
            participants: [144, 145, 146, 147],
            media_resources: [148, 149],
            srtp_gcm: 151,
            srtp_other: 152,
            mirrors: 171,
            mirrored_out: 172,
            mirrored_lost: 173,
            mirrored_in: 174,
        },
    );
    let text = metrics.render();
    let wanted = (101..=104).chain(111..=118).chain(121..=126).chain(131..=137).chain(141..=149).chain(151..=152);
    let wanted = wanted.chain(161..=165).chain(171..=174);
    for number in wanted {
        assert_eq!(text.lines().filter(|line| line.ends_with(&format!(" {number}"))).count(), 1, "{number}");
    }
}

#[test]
fn a_gap_lands_in_its_slot() {
    let metrics = Metrics::new();
    metrics.share_gap(Slot::Agent, Duration::from_millis(250));
    assert_eq!(value(&metrics, r#"fanlight_share_gap_seconds_bucket{slot="agent",le="0.2"}"#).as_deref(), Some("0"));
    assert_eq!(value(&metrics, r#"fanlight_share_gap_seconds_bucket{slot="agent",le="0.3"}"#).as_deref(), Some("1"));
    assert_eq!(value(&metrics, r#"fanlight_share_gap_seconds_count{slot="visitor"}"#).as_deref(), Some("0"));
}

#[test]
fn a_session_that_nobody_agreed_to_is_told_apart() {
    let metrics = Metrics::new();
    metrics.session_ended(true);
    metrics.session_ended(false);
    metrics.session_ended(false);
    let ended = |outcome: &str| value(&metrics, &format!(r#"fanlight_sessions_ended_total{{outcome="{outcome}"}}"#));
    assert_eq!((ended("active").as_deref(), ended("never_active").as_deref()), (Some("1"), Some("2")));
}
