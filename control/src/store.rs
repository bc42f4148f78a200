//! The store: groups, their rules, agents and server keys, session records, receipts, audit lines and the queue of webhooks, in
//! SQLite. No page content, no names of visitors, no network addresses of people, no secrets (only their hashes).
//!
//! Invariant: every statement runs on one thread of its own, in the order it was asked for; a request waits at most
//! [`STORE_MAX`] and is then refused with `E_STORE`, so that a stuck disk cannot hang a client or the edge runtime. A job
//! whose asker has given up may still be done later: every job is written so that this is harmless.

pub(crate) mod agents;
pub(crate) mod attendance;
mod backup;
mod keeper;
pub(crate) mod policies;
pub(crate) mod receipts;
mod records;
pub(crate) mod reports;
mod retention;
mod schema;
pub(crate) mod server_keys;
pub(crate) mod suggestions;
pub(crate) mod webhooks;

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fanlight_wire::limits::{STORE_MAX, STORE_QUEUE_MAX};
use fanlight_wire::{Code, Refusal};
use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

pub use backup::{BackupError, backup};
pub(crate) use records::{AuditLine, SessionEnd, agent, append, close_left_open, end_session};
pub(crate) use records::{insert_session, seed_agent, seed_group, set_group_active};
pub(crate) use retention::forget_old;

use crate::config::StartError;
use keeper::Keeper;

/// Jobs after which the same trouble is named again in the log.
const COMPLAINT_JOBS: u32 = 1_000;

/// Gets the connection, if there is one, and says how the statement failed, if it did.
type Job = Box<dyn FnOnce(Option<&Connection>) -> Option<ErrorCode> + Send>;

/// The way to the store's thread.
#[derive(Debug)]
pub(crate) struct Store {
    /// `None` only while being dropped.
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// [`STORE_MAX`].
    patience: Duration,
}

impl Store {
    /// Opens or makes the file, brings its schema up to date, and starts the thread.
    pub(crate) fn open(
        path: Option<&Path>,
        prepare: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<Self, StartError> {
        let shown = path.unwrap_or_else(|| Path::new("(memory)"));
        let error = |reason: String| StartError::Store { path: shown.into(), reason };
        if let Some(parent) = path.and_then(Path::parent) {
            std::fs::create_dir_all(parent).map_err(|reason| error(reason.to_string()))?;
        }
        let mut keeper = Keeper::open(path).map_err(|reason| error(reason.to_string()))?;
        let connection = keeper.connection().ok_or_else(|| error("the file is not there".into()))?;
        prepare(connection).map_err(|reason| error(reason.to_string()))?;
        let (jobs, queue) = sync_channel(STORE_QUEUE_MAX);
        let thread = thread::Builder::new().name("store".into()).spawn(move || serve(keeper, &queue));
        let thread = thread.map_err(|reason| error(reason.to_string()))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), patience: STORE_MAX })
    }

    /// Does something in the store and waits for it.
    ///
    /// # Errors
    /// `E_STORE` when it fails, takes longer than [`STORE_MAX`] or there is no store; `E_DISK` when its disk is full.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (done, answer) = oneshot::channel();
        let unreachable = || Refusal::new(Code::Store, "P4");
        // Whoever asked may have given up in the meantime; then nobody wants the answer.
        let job = Box::new(move |connection: Option<&Connection>| {
            let result = connection.map(work);
            let failure = failure_of(&result);
            drop(done.send(result));
            failure
        });
        if !self.send(job) {
            return Err(unreachable());
        }
        match tokio::time::timeout(self.patience, answer).await {
            Ok(Ok(Some(Ok(value)))) => Ok(value),
            Ok(Ok(Some(Err(error)))) => {
                let full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
                Err(if full { Refusal::new(Code::Disk, "P5") } else { unreachable() })
            }
            Ok(Ok(None) | Err(_)) | Err(_) => Err(unreachable()),
        }
    }

    /// Does something in the store without waiting; `lost` is called if that cannot be done. `false` when it could not
    /// even be queued.
    pub(crate) fn tell(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
        lost: impl FnOnce() + Send + 'static,
    ) -> bool {
        let lost = OnLoss(Some(lost));
        self.send(Box::new(move |connection| {
            let result = connection.map(work);
            if matches!(result, Some(Ok(()))) {
                lost.defuse();
            }
            failure_of(&result)
        }))
    }

    fn send(&self, job: Job) -> bool {
        match self.jobs.as_ref().map(|jobs| jobs.try_send(job)) {
            Some(Ok(())) => true,
            Some(Err(TrySendError::Full(_) | TrySendError::Disconnected(_))) | None => false,
        }
    }
}

impl Drop for Store {
    /// Finishes what was queued, so that an acknowledged or told line is not lost by an orderly stop.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's thread has panicked");
        }
    }
}

fn serve(mut keeper: Keeper, queue: &Receiver<Job>) {
    let (mut said, mut quiet) = (None, 0_u32);
    while let Ok(job) = queue.recv() {
        quiet = quiet.saturating_sub(1);
        let Some(failure) = job(keeper.connection()) else { continue };
        keeper.judge(failure);
        // Seldom per kind of trouble: a full disk must not fill the next one with lines about it.
        if said != Some(failure) || quiet == 0 {
            tracing::warn!(?failure, "the store refuses statements");
            (said, quiet) = (Some(failure), COMPLAINT_JOBS);
        }
    }
}

/// Calls when it is dropped, in the store's thread or because it never got there.
struct OnLoss<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> OnLoss<F> {
    fn defuse(mut self) {
        self.0 = None;
    }
}

impl<F: FnOnce()> Drop for OnLoss<F> {
    fn drop(&mut self) {
        if let Some(lost) = self.0.take() {
            lost();
        }
    }
}

fn failure_of<T>(result: &Option<rusqlite::Result<T>>) -> Option<ErrorCode> {
    result.as_ref().and_then(|result| result.as_ref().err()).and_then(rusqlite::Error::sqlite_error_code)
}

#[cfg(test)]
mod tests;
