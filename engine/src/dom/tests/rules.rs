//! What is taken from the visitor, what an agent that keeps up is given, what the visitor is asked.

use fanlight_wire::limits::{
    ASSET_COUNT_MAX, LOG_BYTES_MAX, LOG_FRAMES_MAX, MESSAGE_ASSEMBLY_MAX, MESSAGE_CHUNKS_MAX, PAYLOAD_BYTES_MAX,
    SNAPSHOT_REQUEST_INTERVAL,
};

use super::*;

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_late_agent_costs_the_visitor_nothing() {
    let mut desk = Desk::with_page(3);
    desk.diff(1, 100);
    desk.diff(2, 100);
    desk.join(ANN);
    assert_eq!(
        desk.drain(ANN),
        [
            (Kind::Snapshot, 0),
            (Kind::Snapshot, 0),
            (Kind::Snapshot, 0),
            (Kind::Diff, 1),
            (Kind::Diff, 2),
            (Kind::Diff, 2)
        ]
    );
    desk.diff(1, 100);
    assert_eq!(desk.drain(ANN), [(Kind::Diff, 3)], "then live");
    assert_eq!(desk.events(), [], "no snapshot is asked for and nothing is announced");
    assert_eq!(desk.dom.counters().requests, 0);
}

#[test]
fn without_a_page_the_first_agent_asks_once() {
    let mut desk = Desk::new(true);
    desk.join(ANN);
    desk.join(BEN);
    assert_eq!(desk.drain(ANN), []);
    assert_eq!(desk.events(), [wanted(SnapshotReason::First)]);
    desk.snapshot(2);
    assert_eq!([desk.drain(ANN).len(), desk.drain(BEN).len()], [2, 2]);
    desk.wait(MESSAGE_ASSEMBLY_MAX * 2);
    assert_eq!(desk.events(), [], "the wish is fulfilled");
}

#[test]
fn a_snapshot_is_seen_only_when_it_is_whole() {
    let mut desk = Desk::with_page(2);
    desk.diff(1, 100);
    let newer = desk.page.snapshot(3, 500);
    desk.give(&newer[..2]);
    desk.join(ANN);
    assert_eq!(desk.drain(ANN), [(Kind::Snapshot, 0), (Kind::Snapshot, 0), (Kind::Diff, 1)], "the older pair");
    desk.give(&newer[2..]);
    assert_eq!(desk.drain(ANN), [], "whoever follows has all it shows");
    desk.join(BEN);
    assert_eq!(desk.drain(BEN), [(Kind::Snapshot, 1); 3]);
}

#[test]
fn diffs_between_the_chunks_of_a_snapshot_follow_it() {
    let mut desk = Desk::with_page(1);
    desk.diff(1, 100);
    let newer = desk.page.snapshot(2, 500);
    desk.give(&newer[..1]);
    desk.diff(1, 100);
    desk.give(&newer[1..]);
    desk.join(ANN);
    assert_eq!(desk.drain(ANN), [(Kind::Snapshot, 1), (Kind::Snapshot, 1), (Kind::Diff, 2)]);
}

#[test]
fn chunks_out_of_order_give_the_message_up() {
    let mut desk = Desk::new(true);
    let frames = desk.page.snapshot(3, 10);
    assert_eq!(desk.refused(&frames[1..2]), [Some(Code::BadFrame)], "no beginning");
    assert_eq!(desk.refused(&[frames[0].clone(), frames[2].clone()]), [None, Some(Code::BadFrame)]);
    assert_eq!(desk.refused(&frames[1..2]), [Some(Code::BadFrame)], "given up");
    let other = desk.page.snapshot(3, 10);
    desk.give(&frames[..1]);
    assert_eq!(desk.refused(&other[1..2]), [Some(Code::BadFrame)], "of another message");
    desk.give(&other);
    desk.join(ANN);
    assert_eq!(desk.drain(ANN).len(), 3);
}

#[test]
fn a_message_is_bounded_in_bytes() {
    let full = |page: &mut Page| page.snapshot(MESSAGE_CHUNKS_MAX as u16, PAYLOAD_BYTES_MAX);
    let mut desk = Desk::new(true);
    let mut frames = full(&mut desk.page);
    let last = frames.len() - 1;
    let room = fanlight_wire::limits::MESSAGE_BYTES_MAX - last * PAYLOAD_BYTES_MAX;
    let exactly = |bytes| Frame::new(*frames[last].header(), &vec![7; bytes]).expect("fits a frame");
    let (at_the_limit, beyond) = (exactly(room), exactly(room + 1));
    frames[last] = beyond;
    assert_eq!(desk.refused(&frames).pop(), Some(Some(Code::Size)));
    assert_eq!(desk.dom.cached_bytes(), 0);
    frames[last] = at_the_limit;
    desk.give(&frames);
    assert_eq!(desk.dom.counters().snapshots, 1);
}

#[test]
fn a_stalled_message_is_given_up() {
    let mut desk = Desk::new(true);
    desk.join(ANN);
    desk.events();
    let frames = desk.page.snapshot(2, 10);
    desk.give(&frames[..1]);
    desk.wait(MESSAGE_ASSEMBLY_MAX - MS);
    assert_eq!(desk.events(), [], "none is asked for while one comes in");
    desk.wait(MS);
    assert_eq!(desk.events(), [wanted(SnapshotReason::First)]);
    assert_eq!(desk.refused(&frames[1..]), [Some(Code::BadFrame)]);
}

#[test]
fn a_gap_closes_the_epoch_until_a_snapshot_contains_it() {
    let mut desk = Desk::with_page(1);
    desk.join(ANN);
    desk.diff(1, 10);
    desk.drain(ANN);
    let lost = desk.page.diff(1, 10);
    let after = desk.page.diff(1, 10);
    assert_eq!(desk.refused(&after), [Some(Code::Gap)]);
    assert_eq!(desk.refused(&lost), [Some(Code::Gap)], "too late");
    assert_eq!(desk.events(), [wanted(SnapshotReason::Gap)], "one request");
    assert_eq!(desk.drain(ANN), []);
    desk.join(BEN);
    assert_eq!(desk.drain(BEN), [(Kind::Snapshot, 0), (Kind::Diff, 1)], "what is whole is served");
    desk.snapshot(1);
    assert_eq!(desk.events(), [resync(ANN, "gap"), resync(BEN, "gap")]);
    desk.diff(1, 10);
    assert_eq!(desk.drain(ANN), [(Kind::Snapshot, 3), (Kind::Diff, 4)]);
}

#[test]
fn a_snapshot_taken_before_the_gap_does_not_heal_it() {
    let mut desk = Desk::with_page(1);
    let early = desk.page.snapshot(1, 10);
    desk.page.diff(1, 10);
    let after = desk.page.diff(1, 10);
    assert_eq!(desk.refused(&after), [Some(Code::Gap)]);
    assert_eq!(desk.events(), [wanted(SnapshotReason::Gap)]);
    desk.give(&early);
    desk.wait(SNAPSHOT_REQUEST_INTERVAL);
    assert_eq!(desk.events(), [wanted(SnapshotReason::Gap)], "asked again, within the budget");
    let next = desk.page.diff(1, 10);
    assert_eq!(desk.refused(&next), [Some(Code::Gap)]);
}

#[test]
fn a_repeated_diff_is_refused_and_harms_nobody() {
    // P12: no diff is applied twice.
    let mut desk = Desk::with_page(1);
    let frames = desk.page.diff(2, 10);
    desk.give(&frames);
    assert_eq!(desk.refused(&frames), [Some(Code::State), Some(Code::State)]);
    desk.diff(1, 10);
    desk.join(ANN);
    assert_eq!(desk.drain(ANN).len(), 4);
}

#[test]
fn the_chunks_of_a_diff_follow_each_other() {
    let mut desk = Desk::with_page(1);
    let frames = desk.page.diff(3, 10);
    desk.give(&frames[..1]);
    assert_eq!(desk.refused(&frames[2..]), [Some(Code::Gap)]);
    assert_eq!(desk.events(), [wanted(SnapshotReason::Gap)]);
    desk.snapshot(1);
    desk.diff(1, 10);
    desk.join(ANN);
    assert_eq!(desk.drain(ANN), [(Kind::Snapshot, 1), (Kind::Diff, 2)], "nothing of the broken one");
}

#[test]
fn an_agent_that_joins_within_a_diff_gets_it_from_its_first_chunk() {
    let mut desk = Desk::with_page(1);
    let frames = desk.page.diff(3, 10);
    desk.give(&frames[..2]);
    desk.join(ANN);
    let mut copy = Copy::new();
    while let Some(frame) = desk.pull(ANN) {
        copy.take(&frame);
    }
    assert_eq!(copy.state, Some((0, 1, 0)), "two of three chunks are no new state");
    desk.give(&frames[2..]);
    copy.take(&desk.pull(ANN).expect("the last chunk"));
    assert_eq!(copy.state, Some(desk.page.state()));
}

#[test]
fn a_new_page_begins_with_its_snapshot() {
    let mut desk = Desk::with_page(1);
    desk.join(ANN);
    desk.diff(1, 10);
    desk.drain(ANN);
    let old = desk.page.diff(1, 10);
    desk.page = Page { page: 2, sequence: 0, ..desk.page.clone() };
    let snapshot = desk.page.snapshot(2, 10);
    let diff = desk.page.diff(1, 10);
    assert_eq!(desk.refused(&diff), [Some(Code::Gap)], "before the page's first snapshot");
    desk.events();
    desk.give(&snapshot);
    assert_eq!(desk.dom.page_epoch(), PageEpoch::new(2));
    assert_eq!(desk.events(), [resync(ANN, "page")]);
    assert_eq!(desk.refused(&old), [Some(Code::StaleEpoch)]);
    desk.give(&diff);
    assert_eq!(desk.drain(ANN), [(Kind::Snapshot, 0), (Kind::Snapshot, 0), (Kind::Diff, 1)]);
    desk.wait(Duration::from_secs(10));
    assert_eq!(states(&desk.events(), ANN), [], "a new page is no lag");
}

#[test]
fn a_new_mask_forgets_everything_at_once() {
    // Protocol §4.7: what is hidden from now on is served to nobody.
    let mut desk = Desk::with_page(2);
    let asset = desk.page.asset(3, 1, 100);
    desk.give(&asset);
    desk.join(ANN);
    desk.pull(ANN);
    desk.diff(1, 10);
    let half = desk.page.snapshot(2, 10);
    desk.give(&half[..1]);
    desk.dom.purge(MaskEpoch::new(1));
    assert_eq!((desk.dom.cached_bytes(), desk.dom.asset_names()), (0, vec![]));
    assert_eq!(desk.drain(ANN), []);
    desk.wait(Duration::ZERO);
    assert_eq!(desk.events(), [resync(ANN, "mask"), wanted(SnapshotReason::Evicted)]);
    assert_eq!(desk.drain(ANN), []);
    assert_eq!(desk.refused(&half[1..]), [Some(Code::StaleMask)]);
    assert_eq!(desk.refused(&asset), [Some(Code::StaleMask)]);
    desk.page.mask = 1;
    desk.snapshot(1);
    desk.dom.purge(MaskEpoch::new(1));
    assert_eq!(desk.drain(ANN).len(), 1, "the same epoch again changes nothing");
}

#[test]
fn a_newer_mask_on_a_frame_purges_before_its_signal_comes() {
    let mut desk = Desk::with_page(1);
    desk.join(ANN);
    desk.drain(ANN);
    desk.page.mask = 4;
    desk.snapshot(1);
    assert_eq!(desk.dom.mask_epoch(), MaskEpoch::new(4));
    assert_eq!(desk.events(), [resync(ANN, "mask")], "the snapshot is there, none is asked for");
    assert_eq!(desk.drain(ANN), [(Kind::Snapshot, 0)]);
}

#[test]
fn requests_meet_and_keep_their_distance() {
    let mut desk = Desk::with_page(1);
    desk.join(ANN);
    let gap = |desk: &mut Desk| {
        desk.page.diff(1, 10);
        let after = desk.page.diff(1, 10);
        assert_eq!(desk.refused(&after), [Some(Code::Gap)]);
    };
    gap(&mut desk);
    gap(&mut desk);
    assert_eq!(desk.events(), [wanted(SnapshotReason::Gap)]);
    desk.snapshot(1);
    gap(&mut desk);
    desk.events();
    desk.wait(SNAPSHOT_REQUEST_INTERVAL - MS);
    assert_eq!(desk.events(), []);
    desk.wait(MS);
    assert_eq!(desk.events(), [wanted(SnapshotReason::Gap)]);
}

#[test]
fn an_unanswered_request_is_repeated_for_a_visitor_who_comes_back() {
    let mut desk = Desk::new(true);
    desk.join(ANN);
    assert_eq!(desk.events(), [wanted(SnapshotReason::First)]);
    desk.wait(MS);
    desk.dom.visitor_back(desk.now);
    assert_eq!(desk.events(), [wanted(SnapshotReason::First)]);
    desk.wait(MESSAGE_ASSEMBLY_MAX);
    assert_eq!(desk.events(), [wanted(SnapshotReason::First)], "and once more when nothing comes");
    desk.snapshot(1);
    desk.dom.visitor_back(desk.now);
    assert_eq!(desk.events(), []);
}

#[test]
fn a_diff_cut_off_by_a_new_carrier_is_a_gap() {
    let mut desk = Desk::with_page(1);
    let frames = desk.page.diff(2, 10);
    desk.give(&frames[..1]);
    desk.dom.visitor_back(desk.now);
    assert_eq!(desk.events(), [wanted(SnapshotReason::Gap)]);
    assert_eq!(desk.refused(&frames[1..]), [Some(Code::Gap)]);
}

#[test]
fn a_long_log_asks_for_a_new_snapshot_when_somebody_begins() {
    let mut desk = Desk::with_page(1);
    for _ in 0..20 {
        desk.diff(1, PAYLOAD_BYTES_MAX);
    }
    assert_eq!(desk.events(), [], "never without need");
    desk.join(ANN);
    assert_eq!(desk.drain(ANN).len(), 21, "still served");
    assert_eq!(desk.events(), [wanted(SnapshotReason::Compact)]);
    desk.snapshot(1);
    assert_eq!(desk.drain(ANN), [], "and not disturbed by the answer");
    desk.join(BEN);
    assert_eq!(desk.drain(BEN), [(Kind::Snapshot, 20)]);
}

#[test]
fn a_log_beyond_its_limit_is_given_up_and_live_goes_on() {
    for (bytes, frames) in [(PAYLOAD_BYTES_MAX, LOG_BYTES_MAX / PAYLOAD_BYTES_MAX + 1), (0, LOG_FRAMES_MAX + 1)] {
        let mut desk = Desk::with_page(1);
        desk.join(ANN);
        for _ in 0..frames {
            desk.diff(1, bytes);
            desk.drain(ANN);
        }
        assert_eq!(desk.events(), [wanted(SnapshotReason::Compact)]);
        assert_eq!(desk.dom.counters().evictions, 1);
        assert!(desk.dom.cached_bytes() < 2 * PAYLOAD_BYTES_MAX as u64);
        desk.join(BEN);
        assert_eq!(desk.drain(BEN), []);
        desk.diff(1, 10);
        assert_eq!(desk.drain(ANN).len(), 1);
        desk.snapshot(1);
        desk.diff(1, 10);
        assert_eq!(desk.drain(BEN).len(), 2);
        assert_eq!(desk.drain(ANN).len(), 1);
    }
}

#[test]
fn assets_come_once_and_after_everything_else() {
    let mut desk = Desk::with_page(1);
    for name in [1, 2, 1] {
        let asset = desk.page.asset(name, 2, 100);
        desk.give(&asset);
    }
    assert_eq!(desk.dom.asset_names(), ["01".repeat(16), "02".repeat(16)]);
    desk.join(ANN);
    let kinds = |frames: Vec<(Kind, u32)>| frames.into_iter().map(|(kind, _)| kind).collect::<Vec<_>>();
    assert_eq!(desk.pull(ANN).map(|frame| frame.header().kind), Some(Kind::Snapshot));
    assert_eq!(desk.pull(ANN).map(|frame| frame.header().kind), Some(Kind::Asset));
    desk.diff(1, 10);
    assert_eq!(kinds(desk.drain(ANN)), [Kind::Diff, Kind::Asset, Kind::Asset, Kind::Asset]);
    desk.dom.resync(desk.now, ANN);
    assert_eq!(kinds(desk.drain(ANN)), [Kind::Snapshot, Kind::Diff], "assets stay good");
    assert_eq!(desk.events(), [resync(ANN, "asked")]);
    let bare = Frame::new(*desk.page.asset(3, 1, 20)[0].header(), &[3; 15]).expect("fits a frame");
    assert_eq!(desk.refused(&[bare]), [Some(Code::BadFrame)]);
}

#[test]
fn the_oldest_assets_leave_first() {
    let mut desk = Desk::with_page(1);
    let first = desk.page.asset(0, 2, 100);
    desk.give(&first);
    desk.join(ANN);
    desk.pull(ANN);
    desk.pull(ANN);
    for number in 0..ASSET_COUNT_MAX {
        let [frame] = desk.page.asset(1, 1, 30).try_into().expect("one frame");
        let mut payload = frame.payload().to_vec();
        payload[..8].copy_from_slice(&(number as u64 + 1_000).to_be_bytes());
        desk.give(&[Frame::new(*frame.header(), &payload).expect("fits a frame")]);
    }
    assert_eq!(desk.dom.asset_names().len(), ASSET_COUNT_MAX);
    assert_eq!(desk.dom.counters().evictions, 1);
    assert_eq!(desk.drain(ANN).len(), ASSET_COUNT_MAX, "the one that left half-way is skipped");
    let big = |desk: &mut Desk, name| {
        let asset = desk.page.asset(name, 500, PAYLOAD_BYTES_MAX);
        desk.give(&asset);
    };
    [200, 201, 202].into_iter().for_each(|name| big(&mut desk, name));
    assert_eq!(desk.dom.asset_names(), ["c9".repeat(16), "ca".repeat(16)], "16 MiB hold two of 8 MB");
}

#[test]
fn without_a_cache_nothing_outlives_its_need() {
    let mut desk = Desk::new(false);
    desk.snapshot(2);
    assert_eq!(desk.dom.cached_bytes(), 0, "nobody needs it");
    desk.join(ANN);
    assert_eq!(desk.events(), [wanted(SnapshotReason::Evicted)]);
    desk.snapshot(2);
    assert_eq!(desk.drain(ANN).len(), 2);
    desk.diff(1, 10);
    assert!(desk.dom.cached_bytes() > 0, "one agent needs the diff");
    assert_eq!(desk.drain(ANN).len(), 1);
    assert_eq!(desk.dom.cached_bytes(), 0);
    desk.wait(SNAPSHOT_REQUEST_INTERVAL);
    desk.join(BEN);
    assert_eq!(desk.events(), [wanted(SnapshotReason::Evicted)], "a snapshot per join");
    desk.snapshot(1);
    desk.diff(1, 10);
    assert_eq!([desk.drain(ANN).len(), desk.drain(BEN).len()], [1, 2]);
    assert_eq!(desk.dom.cached_bytes(), 0);
}

#[test]
fn without_a_cache_a_gap_is_healed_by_one_snapshot() {
    let mut desk = Desk::new(false);
    desk.join(ANN);
    desk.snapshot(1);
    desk.drain(ANN);
    desk.page.diff(1, 10);
    let after = desk.page.diff(1, 10);
    assert_eq!(desk.refused(&after), [Some(Code::Gap)]);
    desk.wait(SNAPSHOT_REQUEST_INTERVAL);
    desk.snapshot(1);
    assert_eq!(desk.drain(ANN), [(Kind::Snapshot, 2)]);
    assert_eq!(desk.dom.counters().requests, 2, "the first page and the gap");
}

#[test]
fn without_a_cache_what_follows_a_snapshot_is_kept_while_it_comes_in() {
    let mut desk = Desk::new(false);
    desk.join(ANN);
    desk.snapshot(1);
    desk.drain(ANN);
    desk.join(BEN);
    let frames = desk.page.snapshot(2, 10);
    desk.give(&frames[..1]);
    desk.diff(1, 10);
    assert_eq!(desk.drain(ANN), [(Kind::Diff, 1)]);
    desk.give(&frames[1..]);
    assert_eq!(desk.drain(BEN), [(Kind::Snapshot, 0), (Kind::Snapshot, 0), (Kind::Diff, 1)]);
    assert_eq!((desk.drain(ANN), desk.dom.cached_bytes()), (vec![], 0));
}
