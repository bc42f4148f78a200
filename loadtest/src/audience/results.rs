//! What a run came to: the progress line, the summary, JSON, the page with plots, and the thresholds that were missed.

use std::fs;
use std::io::Write;

use serde_json::json;

use crate::raw::door::JoinError;
use crate::sheet::{Line, Sheet};

use super::{Media, OWN_SHARE_MAX, Second, Tally};

/// Shows where the run is.
pub(super) fn progress(second: &Second) {
    let Second { at_s, subscribers, packets, p50_us, p99_us, seen_p99_us, server_share, own_share, .. } = second;
    let (server, own) = (server_share * 100.0, own_share * 100.0);
    say(&format!(
        "{at_s:>6.1} s  {subscribers:>6} subscribers  {packets:>9} packets/s  p50 {p50_us:>6} µs  p99 {p99_us:>6} µs \
         (seen {seen_p99_us:>6})  server {server:>4.0} %  own {own:>3.0} %"
    ));
}

/// Tells, writes, judges.
pub(super) fn finish(what: &Media, tally: &Tally) -> Result<Vec<String>, JoinError> {
    let (arrived, seen, first) = (tally.arrived.summary(), tally.seen.summary(), tally.first_frames.summary());
    let facts = facts(what, tally);
    facts.iter().for_each(|fact| say(fact));
    let missed = missed(what, tally);
    let (carried_least, carried_mean) = carried(tally);
    let all = json!({
        "arrived_after_us": { "p50": arrived.p50, "p90": arrived.p90, "p99": arrived.p99, "max": arrived.max },
        "seen_after_us": { "p50": seen.p50, "p90": seen.p90, "p99": seen.p99, "max": seen.max },
        "first_frame_us": { "p50": first.p50, "p99": first.p99, "max": first.max, "without": tally.without_frame },
        "packets": { "sent": tally.sent, "expected": tally.expected, "delivered": tally.delivered, "lost": tally.lost,
            "repeated": tally.repeated, "repaired": tally.repaired, "taken": tally.taken, "overflowed": tally.overflowed,
            "asked": tally.asked },
        "loss": lost_share(tally), "recovered": recovered(tally), "stall_us_max": tally.stall_us_max,
        "switches": { "all": tally.switches, "keyless": tally.keyless, "most_in_10_s": tally.switches_most },
        "carried": { "mean": carried_mean, "least": carried_least },
        "server_us_per_packet": cpu_us(tally), "bytes_per_subscriber": per_subscriber(what, tally),
        "keyframe_requests": tally.wishes,
        "generator": { "share_max": tally.own_share_max, "late": late_share(tally), "limits": limits(tally) },
        "missed": missed, "seconds": tally.seconds,
    });
    fs::create_dir_all(&what.out)?;
    fs::write(what.out.join("media.json"), serde_json::to_vec_pretty(&all).unwrap_or_default())?;
    let page = what.out.join("media.html");
    fs::write(&page, sheet(what, tally, &facts, &missed))?;
    say(&format!("results in {}", page.display()));
    Ok(missed)
}

/// What the run came to, in sentences.
fn facts(what: &Media, tally: &Tally) -> Vec<String> {
    let mut facts = vec![
        format!("from the publisher's send to the subscriber's socket: {}", tally.arrived.summary()),
        format!("until the subscriber has seen it: {}", tally.seen.summary()),
        format!("first frame after joining: {}; {} without one", tally.first_frames.summary(), tally.without_frame),
        format!(
            "{} packets delivered of {} expected, {} missing ({:.4} %), {} twice, {} not to be opened; {} keyframe requests",
            tally.delivered,
            tally.expected,
            tally.lost,
            lost_share(tally) * 100.0,
            tally.repeated,
            tally.sealed,
            tally.wishes
        ),
    ];
    facts.extend(impairments(what, tally));
    if tally.cpu_packets > 0 && !tally.cpu.is_zero() {
        let kilobytes = per_subscriber(what, tally) / 1_000;
        facts.push(format!("server: {:.3} µs per packet, {kilobytes} kB per subscriber", cpu_us(tally)));
    }
    if limits(tally) {
        facts.push(format!(
            "the generator, or a machine that is busy with other things, limits these figures: {:.0} % of its core, {:.1} % of packets left late",
            tally.own_share_max * 100.0,
            late_share(tally) * 100.0
        ));
    }
    facts
}

fn impairments(what: &Media, tally: &Tally) -> Vec<String> {
    let mut facts = Vec::new();
    if tally.taken + tally.overflowed > 0 {
        facts.push(format!(
            "{} packets lost on the way, {} in front of a full queue; {} numbers asked for again, {} repaired ({:.2} %)",
            tally.taken,
            tally.overflowed,
            tally.asked,
            tally.repaired,
            recovered(tally) * 100.0
        ));
    }
    if what.loss > 0.0 || what.bottleneck > 0 || !what.layers.is_empty() {
        facts.push(format!(
            "longest time without a new picture {} ms; {} changes of encoding, {} without a keyframe, at most {} of one \
             subscriber in ten seconds",
            tally.stall_us_max / 1_000,
            tally.switches,
            tally.keyless,
            tally.switches_most
        ));
    }
    if !tally.carried.is_empty() {
        let (least, mean) = carried(tally);
        facts.push(format!(
            "of the bottleneck's rate each got {:.0} % in the second half, the least {:.0} %",
            mean * 100.0,
            least * 100.0
        ));
    }
    facts
}

fn lost_share(tally: &Tally) -> f64 {
    tally.lost as f64 / tally.expected.max(1) as f64
}

fn late_share(tally: &Tally) -> f64 {
    tally.late as f64 / tally.sent.max(1) as f64
}

/// Is it the generator that limits?
fn limits(tally: &Tally) -> bool {
    tally.own_share_max > OWN_SHARE_MAX || late_share(tally) > 0.05
}

/// Time of the server per packet, in microseconds.
fn cpu_us(tally: &Tally) -> f64 {
    tally.cpu.as_secs_f64() * 1e6 / tally.cpu_packets.max(1) as f64
}

/// Bytes that the server's memory grew by.
fn per_subscriber(what: &Media, tally: &Tally) -> u64 {
    let (before, after) = tally.resident;
    after.saturating_sub(before) / what.subscribers.max(1) as u64
}

/// The share of numbers that a subscriber missed and that a repair has brought.
fn recovered(tally: &Tally) -> f64 {
    let missed = tally.repaired + tally.lost;
    if missed == 0 { 1.0 } else { tally.repaired as f64 / missed as f64 }
}

/// The least share of a bottleneck that was used, and the mean.
fn carried(tally: &Tally) -> (f64, f64) {
    let least = tally.carried.iter().copied().reduce(f64::min).unwrap_or(1.0);
    (least, tally.carried.iter().sum::<f64>() / tally.carried.len().max(1) as f64)
}

fn missed(what: &Media, tally: &Tally) -> Vec<String> {
    let mut missed = Vec::new();
    let mut at_most = |name: &str, have: f64, most: Option<f64>| {
        if let Some(most) = most.filter(|most| have > *most) {
            missed.push(format!("{name} is {have}, at most {most} was asked for"));
        }
    };
    let us = |span: Option<std::time::Duration>| span.map(|span| span.as_secs_f64() * 1e6);
    at_most("the share of packets lost", lost_share(tally), what.max_loss);
    at_most("p99 on arrival in µs", tally.arrived.summary().p99.into(), us(what.max_p99));
    at_most("p99 until seen in µs", tally.seen.summary().p99.into(), us(what.max_seen_p99));
    at_most("the slowest first frame in µs", tally.first_frames.summary().max.into(), us(what.max_first_frame));
    at_most("the longest time without a new picture in µs", tally.stall_us_max as f64, us(what.max_stall));
    at_most("time of the server per packet in µs", cpu_us(tally), us(what.max_cpu));
    at_most("subscribers without a frame", tally.without_frame as f64, Some(0.0));
    let most = what.max_switches_per_10s.map(|most| most as f64);
    at_most("changes of encoding in ten seconds", tally.switches_most as f64, most);
    at_most("changes of encoding without a keyframe", tally.keyless as f64, Some(0.0));
    let mut at_least = |name: &str, have: f64, least: Option<f64>| {
        if let Some(least) = least.filter(|least| have < *least) {
            missed.push(format!("{name} is {have}, at least {least} was asked for"));
        }
    };
    at_least("the share of lost packets repaired", recovered(tally), what.min_recovery);
    at_least("the share of a bottleneck that was used", carried(tally).0, what.min_carried);
    missed
}

fn sheet(what: &Media, tally: &Tally, facts: &[String], missed: &[String]) -> String {
    let mut sheet = Sheet::new(&format!("{} subscribers", what.subscribers));
    facts.iter().for_each(|fact| sheet.text(fact));
    missed.iter().for_each(|line| sheet.text(&format!("missed: {line}")));
    let line = |name: &str, value: fn(&Second) -> f64| Line {
        name: name.to_owned(),
        points: tally.seconds.iter().map(|second| (second.at_s, value(second))).collect(),
    };
    sheet.plot("Subscribers", "", &[line("subscribers", |second| second.subscribers as f64)]);
    sheet.plot("Packets delivered", "packets/s", &[line("packets", |second| second.packets as f64)]);
    let latency = [
        line("p50 to the socket", |second| second.p50_us.into()),
        line("p99 to the socket", |second| second.p99_us.into()),
        line("p99 until seen", |second| second.seen_p99_us.into()),
    ];
    sheet.plot("Forwarding latency", "µs", &latency);
    let shares = [line("server", |second| second.server_share), line("generator", |second| second.own_share)];
    sheet.plot("Share of a core", "", &shares);
    sheet.plot("Resident memory of the server", "bytes", &[line("memory", |second| second.resident_bytes as f64)]);
    sheet.finish()
}

#[expect(clippy::print_stdout, reason = "a command line tool reports there")]
fn say(line: &str) {
    println!("{line}");
    // A closed pipe is the reader's choice.
    drop(std::io::stdout().flush());
}
