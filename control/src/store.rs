//! The store: groups, agents, session records and audit lines in SQLite. No page content, no display names of visitors,
//! no addresses, no secrets (only their salted hashes).
//!
//! Invariant: every statement runs on one thread of its own, in the order it was asked for; a request waits at most
//! [`STORE_MAX`] and is then refused with `E_STORE`, so that a stuck disk cannot hang a client or the edge runtime. A job
//! whose asker has given up may still be done later: every job is written so that this is harmless.

pub(crate) mod policies;
mod records;
mod schema;

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use fanlight_wire::limits::{STORE_MAX, STORE_QUEUE_MAX};
use fanlight_wire::{Code, Refusal};
use rusqlite::Connection;
use tokio::sync::oneshot;

pub(crate) use records::{AuditLine, SessionEnd, agent, append, close_left_open, end_session};
pub(crate) use records::{insert_session, seed_agent, seed_group, set_group_active};

use crate::config::StartError;

type Job = Box<dyn FnOnce(&Connection) + Send>;

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
        let opened = match path {
            Some(path) => Connection::open(path),
            None => Connection::open_in_memory(),
        };
        let mut connection = opened.map_err(|reason| error(reason.to_string()))?;
        schema::bring_up_to_date(&mut connection).map_err(|reason| error(reason.to_string()))?;
        prepare(&connection).map_err(|reason| error(reason.to_string()))?;
        let (jobs, queue) = sync_channel(STORE_QUEUE_MAX);
        let thread = thread::Builder::new().name("store".into()).spawn(move || serve(&connection, &queue));
        let thread = thread.map_err(|reason| error(reason.to_string()))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread), patience: STORE_MAX })
    }

    /// Does something in the store and waits for it.
    ///
    /// # Errors
    /// `E_STORE` when it fails, or takes longer than [`STORE_MAX`].
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (done, answer) = oneshot::channel();
        let unreachable = || Refusal::new(Code::Store, "P4");
        // Whoever asked may have given up in the meantime; then nobody wants the answer.
        let job = Box::new(move |connection: &Connection| drop(done.send(work(connection))));
        if !self.send(job) {
            return Err(unreachable());
        }
        match tokio::time::timeout(self.patience, answer).await {
            Ok(Ok(Ok(value))) => Ok(value),
            Ok(Ok(Err(error))) => {
                tracing::warn!(%error, "the store has refused a statement");
                Err(unreachable())
            }
            Ok(Err(_)) | Err(_) => Err(unreachable()),
        }
    }

    /// Does something in the store without waiting. `false` when it cannot even be queued.
    pub(crate) fn tell(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static) -> bool {
        self.send(Box::new(move |connection| {
            if let Err(error) = work(connection) {
                tracing::warn!(%error, "the store has refused a statement");
            }
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

fn serve(connection: &Connection, queue: &Receiver<Job>) {
    while let Ok(job) = queue.recv() {
        job(connection);
    }
}

#[cfg(test)]
mod tests;
