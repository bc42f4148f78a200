//! The thread, its deadline and its records.

mod lasting;

use std::sync::mpsc::channel;

use super::*;
use crate::directory::Counts;
use crate::particulars::Particulars;
use crate::secrets::opaque;
use fanlight_wire::{GroupId, SessionId};

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(future)
}

fn demo() -> GroupId {
    GroupId::new("demo").expect("a legal id")
}

#[test]
fn a_stuck_disk_refuses_within_its_time_and_recovers() {
    // P4: the thread is held as a stuck disk would hold it.
    let mut store = Store::open(None, |_| Ok(())).expect("memory");
    store.patience = Duration::from_millis(1);
    let (release, held) = channel::<()>();
    assert!(store.tell(
        move |_| {
            held.recv().expect("the test's signal");
            Ok(())
        },
        || ()
    ));
    let refusal = run(store.ask(|_| Ok(1))).expect_err("nobody answers");
    assert_eq!(refusal.code, Code::Store);
    release.send(()).expect("the job waits for it");
    store.patience = STORE_MAX;
    assert_eq!(run(store.ask(|_| Ok(2))), Ok(2));
}

#[test]
fn a_full_queue_refuses_at_once() {
    let store = Store::open(None, |_| Ok(())).expect("memory");
    let (started, running) = channel::<()>();
    let (release, held) = channel::<()>();
    assert!(store.tell(
        move |_| {
            started.send(()).expect("the test listens");
            held.recv().expect("the test's signal");
            Ok(())
        },
        || ()
    ));
    running.recv().expect("the job runs");
    let queued = (0..=STORE_QUEUE_MAX).filter(|_| store.tell(|_| Ok(()), || ())).count();
    assert_eq!(queued, STORE_QUEUE_MAX);
    assert_eq!(run(store.ask(|_| Ok(()))).map_err(|refusal| refusal.code), Err(Code::Store));
    release.send(()).expect("the job waits for it");
}

#[test]
fn a_failing_statement_is_a_refusal_not_an_end() {
    let store = Store::open(None, |_| Ok(())).expect("memory");
    let bad = store.ask(|connection| connection.execute("INSERT INTO nowhere VALUES (1)", []));
    assert_eq!(run(bad).map_err(|refusal| refusal.code), Err(Code::Store));
    assert_eq!(run(store.ask(|_| Ok(7))), Ok(7));
}

#[test]
fn records_survive_the_process() {
    let path = std::env::temp_dir().join(format!("fanlight-store-{}", opaque())).join("fanlight.db");
    let session = SessionId::from_bytes([3; 16]);
    let store = Store::open(Some(&path), |connection| seed_group(connection, "demo", "Demo")).expect("a file");
    assert!(
        store.tell(
            move |connection| insert_session(connection, &session, &demo(), 1, 100, &Particulars::default()),
            || ()
        )
    );
    let end = SessionEnd {
        at: 160,
        code: Code::Ended,
        counts: Counts { agents: 2, shares: 3, takeovers: 1, refusals: 0, agreed: true },
    };
    assert!(store.tell(move |connection| end_session(connection, &session, &end), || ()));
    let left_open = SessionId::from_bytes([4; 16]);
    assert!(store.tell(
        move |connection| insert_session(connection, &left_open, &demo(), 1, 150, &Particulars::default()),
        || ()
    ));
    drop(store);

    let store = Store::open(Some(&path), |connection| close_left_open(connection, 500)).expect("the same file");
    type Row = (i64, Option<String>, i64, i64);
    let rows: Vec<Row> = run(store.ask(|connection| {
        let mut all = connection.prepare("SELECT ended, end_code, agents, shares FROM sessions ORDER BY created")?;
        let rows = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        rows.collect()
    }))
    .expect("readable");
    drop(store);
    std::fs::remove_dir_all(path.parent().expect("its folder")).expect("ours to remove");
    assert_eq!(rows, [(160, Some("E_ENDED".into()), 2, 3), (500, None, 0, 0)]);
}
