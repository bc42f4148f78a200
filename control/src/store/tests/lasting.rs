//! What an acknowledgement is worth: kills, lost files, full disks, copies, and what is forgotten on purpose.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::*;
use crate::particulars::Particulars;
use crate::policies::Bundle;
use crate::store::policies::seed_bundle;

/// Set for the child of [`nothing_acknowledged_is_lost_by_two_hundred_kills`]: the file to write to.
const FILE: &str = "FANLIGHT_KILLED_STORE";
const KILLS: u32 = 200;

/// A folder that is removed with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let folder = Self(std::env::temp_dir().join(format!("fanlight-lasting-{}", opaque())));
        std::fs::create_dir_all(&folder.0).expect("a folder for temporary files");
        folder
    }

    fn file(&self) -> PathBuf {
        self.0.join("data").join("fanlight.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

fn seeded(path: Option<&Path>) -> Store {
    Store::open(path, |connection| {
        seed_group(connection, "demo", "Demo")?;
        seed_bundle(connection, "demo", &Bundle::default(), 0, "test")
    })
    .expect("a store")
}

fn write(store: &Store, number: u64) -> Result<(), Refusal> {
    run(store.ask(move |connection| append(connection, &line(number))))
}

fn line(at: u64) -> AuditLine {
    AuditLine {
        at,
        what: fanlight_wire::Event::SessionCreated,
        group: Some(demo()),
        session: None,
        who: None,
        code: None,
        detail: None,
    }
}

fn lines(store: &Store) -> Vec<u64> {
    let all = run(store.ask(|connection| {
        let mut all = connection.prepare("SELECT at FROM audit ORDER BY id")?;
        let rows = all.query_map([], |row| row.get::<_, i64>(0))?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    }));
    all.expect("readable").into_iter().map(i64::unsigned_abs).collect()
}

/// Not a test of its own: the process that is killed. Writes numbers and says each when it is acknowledged.
#[test]
fn killed_writer() {
    let Ok(file) = std::env::var(FILE) else { return };
    let store = seeded(Some(Path::new(&file)));
    let mut out = std::io::stdout().lock();
    let first = lines(&store).last().map_or(0, |last| last + 1);
    for number in first.. {
        write(&store, number).expect("the store takes it");
        writeln!(out, "#{number}").expect("the parent listens");
        out.flush().expect("the parent listens");
    }
}

fn a_writer(file: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "store::tests::lasting::killed_writer", "--nocapture", "--test-threads=1"])
        .env(FILE, file)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("this test, once more")
}

/// Lets a writer live for some acknowledgements, kills it in the middle of the next ones; the newest it has said.
fn killed_after(file: &Path, acknowledgements: u32) -> Option<u64> {
    let mut child = a_writer(file);
    let said = BufReader::new(child.stdout.take().expect("piped"));
    let mut numbers = said.lines().map_while(Result::ok).filter_map(|line| line.strip_prefix('#')?.parse().ok());
    let mut newest = None;
    for _ in 0..acknowledgements {
        newest = numbers.next().or(newest);
    }
    child.kill().expect("SIGKILL");
    // What it has said before it died is in the pipe.
    newest = numbers.last().or(newest);
    child.wait().expect("it is dead");
    newest
}

#[test]
fn nothing_acknowledged_is_lost_by_two_hundred_kills() {
    // P2: SIGKILL under write load.
    let folder = Folder::new();
    let mut acknowledged = 0;
    for kill in 0..KILLS {
        let newest = killed_after(&folder.file(), 1 + kill % 7).expect("it has written something");
        assert!(newest >= acknowledged, "kill {kill}: began again before what was acknowledged");
        acknowledged = newest;
    }
    let kept = lines(&seeded(Some(&folder.file())));
    assert!(kept.iter().copied().eq(0..kept.len() as u64), "no number is missing and none is there twice");
    assert!(kept.len() as u64 > acknowledged, "the last acknowledged number is there");
    assert!(acknowledged > u64::from(KILLS), "under load");
}

#[test]
fn a_store_that_is_gone_refuses_at_once_and_comes_back_by_itself() {
    // P4: nothing is made in its place meanwhile.
    let folder = Folder::new();
    let store = seeded(Some(&folder.file()));
    write(&store, 1).expect("it is there");
    let (data, away) = (folder.0.join("data"), folder.0.join("away"));
    std::fs::rename(&data, &away).expect("ours to move");
    assert_eq!(write(&store, 2).map_err(|refusal| refusal.code), Err(Code::Store));
    std::fs::create_dir(&data).expect("ours to make");
    assert_eq!(write(&store, 3).map_err(|refusal| refusal.code), Err(Code::Store));
    assert!(!folder.file().exists(), "an empty store does not answer for a full one");
    std::fs::remove_dir(&data).expect("empty");
    std::fs::rename(&away, &data).expect("ours to move");
    write(&store, 4).expect("it is back at the next request");
    assert_eq!(lines(&store), [1, 4]);
}

#[test]
fn a_backup_put_in_place_is_used_without_a_restart() {
    let folder = Folder::new();
    let store = seeded(Some(&folder.file()));
    write(&store, 1).expect("it is there");
    let copy = folder.0.join("copy.db");
    backup(&folder.file(), &copy).expect("a copy while the store is open");
    assert!(matches!(backup(&folder.file(), &copy), Err(BackupError::Exists(_))), "no file is overwritten");
    let nothing = backup(&folder.0.join("none.db"), &folder.0.join("x.db"));
    assert!(matches!(nothing, Err(BackupError::Source(_))));
    write(&store, 2).expect("it is there");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&copy).expect("a file").permissions());
    assert_eq!(mode & 0o777, 0o600);
    for beside in ["fanlight.db", "fanlight.db-wal", "fanlight.db-shm"] {
        drop(std::fs::remove_file(folder.0.join("data").join(beside)));
    }
    assert_eq!(write(&store, 3).map_err(|refusal| refusal.code), Err(Code::Store));
    std::fs::rename(&copy, folder.file()).expect("ours to move");
    write(&store, 4).expect("the copy is the store now");
    assert_eq!(lines(&store), [1, 4]);
}

#[test]
fn a_full_disk_is_told_and_passes() {
    // P5: the same answer of SQLite as from a disk without room.
    let store = seeded(None);
    let limit = |pages: &'static str| {
        run(store.ask(move |connection| {
            connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get::<_, i64>(0))
        }))
    };
    limit("1").expect("a pragma: no page more than there are");
    let refusal = (0..10_000).find_map(|number| write(&store, number).err()).expect("no room");
    assert_eq!((refusal.code, refusal.code.http_status()), (Code::Disk, 507));
    let (lost, noticed) = channel();
    assert!(store.tell(|connection| append(connection, &line(7)), move || lost.send(7).expect("the test listens")));
    assert_eq!(noticed.recv(), Ok(7), "what is told and not kept is counted");
    let before = lines(&store);
    limit("1000000").expect("room again");
    write(&store, 99_999).expect("and it goes on");
    assert_eq!(lines(&store).len(), before.len() + 1);
}

#[test]
fn a_damaged_file_is_refused_at_the_start() {
    let folder = Folder::new();
    let store = seeded(Some(&folder.file()));
    for number in 0..2_000 {
        assert!(store.tell(move |connection| append(connection, &line(number)), || ()));
    }
    drop(store);
    let mut bytes = std::fs::read(folder.file()).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8_192].fill(0xa5);
    std::fs::write(folder.file(), bytes).expect("ours to damage");
    let error = Store::open(Some(&folder.file()), |_| Ok(())).expect_err("damaged");
    let told = error.to_string();
    assert!(told.contains("damaged") || told.contains("malformed"), "{told}");
}

#[test]
fn lines_and_records_are_kept_as_long_as_their_group_says() {
    // R190
    const DAY: u64 = 86_400;
    let store = seeded(None);
    let now = 1_000 * DAY;
    let mut brief = Bundle::default();
    (brief.retention.audit_days, brief.retention.sessions_days) = (10, 20);
    run(store.ask(move |connection| {
        seed_group(connection, "brief", "Brief")?;
        seed_bundle(connection, "brief", &brief, 0, "test")
    }))
    .expect("a group");
    let groups = [Some(demo()), Some(GroupId::new("brief").expect("legal")), None];
    run(store.ask(move |connection| {
        for (n, group) in groups.into_iter().enumerate() {
            for age in [5, 15, 400] {
                append(connection, &AuditLine { group: group.clone(), ..line(now - age * DAY) })?;
            }
            let Some(group) = group else { continue };
            for (age, ended) in [(15, true), (25, true), (400, true), (401, false)] {
                let session = SessionId::from_bytes([n as u8 * 50 + (age % 50) as u8; 16]);
                insert_session(connection, &session, &group, 1, now - age * DAY, &Particulars::default())?;
                let end = SessionEnd { at: now - age * DAY, code: Code::Ended, counts: Counts::default() };
                if ended {
                    end_session(connection, &session, &end)?;
                }
            }
        }
        assert_eq!(forget_old(connection, now)?, 3 + 1 + 1 + 2);
        assert_eq!(forget_old(connection, now)?, 0);
        Ok(())
    }))
    .expect("the store takes it");
    let mut left = lines(&store);
    left.sort_unstable();
    left.dedup();
    assert_eq!(left, [now - 15 * DAY, now - 5 * DAY]);
}
