//! Agents that fall behind (`docs/protocol.md` §5).

use fanlight_wire::limits::{
    DEGRADE_WINDOW, DEGRADED_PATIENCE, DEGRADED_SNAPSHOT_INTERVAL, LAG_BYTES, LAG_TIME, PAYLOAD_BYTES_MAX,
    RESYNC_BYTES, RESYNC_TIME,
};

use super::*;

const MS: Duration = Duration::from_millis(1);

/// With an agent that has the page.
fn following() -> Desk {
    let mut desk = Desk::with_page(4);
    desk.join(ANN);
    desk.drain(ANN);
    desk
}

/// The visitor sends so much that whoever takes nothing is lost.
fn flood(desk: &mut Desk) {
    for _ in 0..=RESYNC_BYTES / PAYLOAD_BYTES_MAX {
        desk.diff(1, PAYLOAD_BYTES_MAX);
    }
}

#[test]
fn behind_in_bytes_it_lags_and_then_begins_again() {
    let mut desk = following();
    for _ in 0..=LAG_BYTES / PAYLOAD_BYTES_MAX {
        desk.diff(1, PAYLOAD_BYTES_MAX);
    }
    assert_eq!(states(&desk.events(), ANN), [LagState::Lagging]);
    flood(&mut desk);
    let events = desk.events();
    assert_eq!(states(&events, ANN), [LagState::Resync]);
    assert!(events.contains(&resync(ANN, "lag")));
    assert_eq!(desk.dom.counters().resyncs, 1);
    let given = desk.drain(ANN);
    assert_eq!(
        given[..5],
        [(Kind::Snapshot, 0), (Kind::Snapshot, 0), (Kind::Snapshot, 0), (Kind::Snapshot, 0), (Kind::Diff, 1)]
    );
    assert_eq!(given.last(), Some(&(Kind::Diff, desk.page.sequence)));
    assert_eq!(states(&desk.events(), ANN), [LagState::Live]);
}

#[test]
fn behind_in_time_it_lags_and_then_begins_again() {
    let mut desk = following();
    desk.diff(1, 10);
    desk.wait(LAG_TIME - MS);
    assert_eq!(desk.events(), []);
    desk.wait(MS);
    assert_eq!(states(&desk.events(), ANN), [LagState::Lagging]);
    desk.wait(RESYNC_TIME - LAG_TIME);
    assert_eq!(desk.events(), []);
    desk.wait(MS);
    assert_eq!(desk.events().len(), 2, "the state and the resync");
    assert_eq!(desk.drain(ANN).len(), 5);
    assert_eq!(states(&desk.events(), ANN), [LagState::Live]);
    desk.wait(Duration::from_secs(600));
    assert_eq!((desk.events(), desk.dom.deadline()), (vec![], crate::Deadline::IDLE), "an idle page costs no timer");
    desk.diff(1, 10);
    desk.wait(LAG_TIME);
    assert_eq!(states(&desk.events(), ANN), [LagState::Lagging], "after the rest it is watched again");
}

#[test]
fn who_takes_in_time_stays_live() {
    let mut desk = following();
    for _ in 0..100 {
        desk.diff(1, PAYLOAD_BYTES_MAX);
        desk.wait(LAG_TIME - MS);
        desk.drain(ANN);
    }
    assert_eq!(desk.events(), []);
}

#[test]
fn a_stuck_agent_costs_a_cursor_and_nobody_else() {
    // P8: reads stopped for a long time, then resumed.
    let mut desk = following();
    desk.join(BEN);
    desk.drain(BEN);
    for _ in 0..300 {
        desk.diff(1, 1_000);
        desk.wait(Duration::from_millis(100));
        assert_eq!(desk.drain(BEN).len(), 1, "the other one is served at once");
    }
    let events = desk.events();
    assert_eq!(states(&events, ANN), [LagState::Lagging, LagState::Resync], "told once each, then left alone");
    assert_eq!(states(&events, BEN), []);
    assert_eq!((desk.dom.counters().requests, desk.dom.counters().resyncs), (0, 1));
    let mut copy = Copy::new();
    while let Some(frame) = desk.pull(ANN) {
        copy.take(&frame);
    }
    assert_eq!(copy.state, Some(desk.page.state()));
}

#[test]
fn a_newer_snapshot_replaces_an_older_one_half_way() {
    let mut desk = Desk::with_page(4);
    desk.join(ANN);
    desk.pull(ANN);
    desk.diff(1, 10);
    desk.snapshot(2);
    assert_eq!(desk.events(), [resync(ANN, "newer")]);
    assert_eq!(desk.drain(ANN), [(Kind::Snapshot, 1), (Kind::Snapshot, 1)]);
}

#[test]
fn a_newer_snapshot_costs_a_follower_only_what_it_cannot_keep() {
    let mut desk = following();
    desk.diff(1, 10);
    desk.diff(1, 10);
    desk.snapshot(1);
    assert_eq!(desk.drain(ANN), [(Kind::Diff, 1), (Kind::Diff, 2)], "its backlog was kept for it");
    assert_eq!(desk.events(), []);
}

/// Loses the agent three times.
fn degrade(desk: &mut Desk) {
    for turn in 0..3 {
        if turn > 0 {
            desk.snapshot(4);
            desk.drain(ANN);
        }
        flood(desk);
        desk.wait(MS);
    }
}

#[test]
fn the_third_loss_in_a_minute_leaves_snapshots_only() {
    let mut desk = following();
    degrade(&mut desk);
    let told = states(&desk.events(), ANN);
    assert_eq!(told.last(), Some(&LagState::Degraded), "{told:?}");
    desk.snapshot(2);
    let newest = desk.page.sequence;
    assert_eq!(desk.drain(ANN), [(Kind::Snapshot, newest); 2]);
    desk.diff(1, 10);
    desk.wait(DEGRADED_SNAPSHOT_INTERVAL - MS);
    desk.snapshot(1);
    assert_eq!(desk.drain(ANN), [], "no diffs, and no snapshot before its time");
    desk.events();
    desk.wait(MS);
    assert_eq!(desk.events(), [resync(ANN, "degraded")]);
    assert_eq!(desk.drain(ANN), [(Kind::Snapshot, newest + 1)]);
    desk.wait(DEGRADED_SNAPSHOT_INTERVAL);
    assert_eq!((desk.drain(ANN), desk.events()), (vec![], vec![]), "it has the newest");
}

#[test]
fn after_a_minute_a_degraded_agent_follows_again() {
    let mut desk = following();
    degrade(&mut desk);
    desk.snapshot(1);
    desk.drain(ANN);
    desk.diff(1, 10);
    desk.events();
    desk.wait(DEGRADE_WINDOW);
    let events = desk.events();
    assert_eq!(states(&events, ANN), [LagState::Resync]);
    assert!(events.contains(&resync(ANN, "recovered")));
    assert_eq!(desk.drain(ANN).len(), 2, "snapshot and log");
    assert_eq!(states(&desk.events(), ANN), [LagState::Live]);
}

#[test]
fn a_degraded_agent_that_takes_nothing_is_closed() {
    let mut desk = following();
    degrade(&mut desk);
    desk.events();
    desk.wait(DEGRADED_PATIENCE - MS * 2);
    assert_eq!(desk.events(), []);
    desk.wait(MS * 2);
    let events = desk.events();
    assert_eq!(states(&events, ANN), [LagState::Closed]);
    assert_eq!(events.last(), Some(&DomEvent::Close { agent: ANN }));
    assert_eq!(desk.drain(ANN), []);
    desk.wait(DEGRADED_PATIENCE);
    assert_eq!(desk.events(), [], "closed once");
    desk.join(ANN);
    assert!(!desk.drain(ANN).is_empty(), "it may come back");
}

#[test]
fn a_degraded_agent_is_not_closed_for_what_was_never_offered() {
    let mut desk = following();
    degrade(&mut desk);
    desk.events();
    desk.dom.purge(MaskEpoch::new(1));
    desk.wait(DEGRADED_PATIENCE * 3);
    assert_eq!(states(&desk.events(), ANN), [LagState::Resync], "nothing was there to take; its time is over");
}

#[test]
fn the_patience_with_a_degraded_agent_begins_with_the_snapshot_it_is_offered() {
    let mut desk = following();
    degrade(&mut desk);
    desk.dom.purge(MaskEpoch::new(1));
    desk.page.mask = 1;
    desk.wait(DEGRADED_PATIENCE / 2);
    desk.events();
    desk.snapshot(1);
    desk.wait(DEGRADED_PATIENCE - MS);
    assert_eq!(states(&desk.events(), ANN), []);
    desk.wait(MS);
    assert_eq!(states(&desk.events(), ANN), [LagState::Closed]);
}

#[test]
fn a_degraded_agent_gets_the_next_snapshot_at_its_time_without_other_traffic() {
    let mut desk = following();
    degrade(&mut desk);
    desk.snapshot(1);
    desk.drain(ANN);
    desk.snapshot(2);
    desk.events();
    desk.wait(DEGRADED_SNAPSHOT_INTERVAL);
    assert_eq!(desk.events(), [resync(ANN, "degraded")]);
    assert_eq!(desk.drain(ANN).len(), 2);
}

#[test]
fn a_log_given_up_under_a_slow_reader_begins_it_again() {
    let mut desk = Desk::with_page(4);
    desk.join(ANN);
    desk.pull(ANN);
    while desk.dom.counters().evictions == 0 {
        desk.diff(1, PAYLOAD_BYTES_MAX);
    }
    let events = desk.events();
    assert!(events.contains(&resync(ANN, "lag")), "{events:?}");
    assert_eq!(desk.drain(ANN), []);
    desk.snapshot(2);
    desk.diff(1, 10);
    assert_eq!(desk.drain(ANN).len(), 3);
}

#[test]
fn without_a_cache_a_stuck_agent_asks_only_when_it_takes_again() {
    let mut desk = Desk::new(false);
    desk.snapshot(1);
    desk.join(ANN);
    desk.snapshot(1);
    desk.drain(ANN);
    desk.events();
    flood(&mut desk);
    assert!(desk.events().contains(&resync(ANN, "lag")));
    desk.wait(Duration::from_secs(60));
    assert_eq!(desk.events(), []);
    assert_eq!(desk.dom.cached_bytes(), 0, "a cursor and no content");
    desk.join(BEN);
    desk.events();
    desk.snapshot(1);
    desk.drain(BEN);
    assert_eq!(desk.dom.cached_bytes(), 0, "another one's snapshot is not kept for it");
    desk.wait(Duration::from_secs(60));
    assert_eq!(desk.drain(ANN), []);
    assert_eq!(desk.events(), [wanted(SnapshotReason::Evicted)]);
    desk.snapshot(1);
    assert_eq!(desk.drain(ANN).len(), 1);
}
