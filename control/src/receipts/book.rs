//! The node's book of receipts: who signs them, and what has yet to be written.
//!
//! Invariant: receipts are written in the order in which they were made. What a store that is away or full does not take
//! stays first in the line and is tried again; a receipt is lost only when [`RECEIPTS_WAITING_MAX`] wait, when the store
//! refuses that very one for good, or with the process, and never silently: it is counted, named in the log, and missing
//! in the sum that the chain's last receipt states.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Mutex;

use fanlight_wire::limits::RECEIPTS_WAITING_MAX;
use rusqlite::{Connection, ErrorCode};

use super::{Closing, Receipt, Signer};
use crate::config::StartError;
use crate::locked;
use crate::store::receipts::{append_receipt, close_receipts};

/// See the module.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) signer: Signer,
    line: Mutex<VecDeque<Entry>>,
}

/// One receipt to write.
#[derive(Debug)]
pub(crate) enum Entry {
    Receipt(Receipt),
    Closing(Closing),
}

impl Book {
    pub(crate) fn open(key_path: Option<&Path>) -> Result<Self, StartError> {
        Ok(Self { signer: Signer::open(key_path)?, line: Mutex::default() })
    }

    /// Puts a receipt at the end of the line. False when it is lost, because too many wait.
    pub(crate) fn enter(&self, entry: Entry) -> bool {
        let mut line = locked(&self.line);
        let room = line.len() < RECEIPTS_WAITING_MAX;
        if room {
            line.push_back(entry);
        }
        room
    }

    pub(crate) fn has_any(&self) -> bool {
        !locked(&self.line).is_empty()
    }

    /// Writes what waits, the first in the line first, until the store refuses; how many it has refused for good. Called
    /// by the store's thread alone.
    pub(crate) fn write(&self, connection: &Connection) -> rusqlite::Result<u64> {
        let mut lost = 0;
        loop {
            // Not locked while the disk works: reports come in meanwhile.
            let Some(entry) = locked(&self.line).pop_front() else { return Ok(lost) };
            match self.put(connection, &entry) {
                Ok(()) => {}
                Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) => lost += 1,
                Err(error) => {
                    locked(&self.line).push_front(entry);
                    return if lost > 0 { Ok(lost) } else { Err(error) };
                }
            }
        }
    }

    fn put(&self, connection: &Connection, entry: &Entry) -> rusqlite::Result<()> {
        match entry {
            Entry::Receipt(receipt) => append_receipt(connection, &receipt.session, receipt.record()),
            Entry::Closing(closing) => close_receipts(connection, closing, &self.signer),
        }
    }
}

impl Drop for Book {
    fn drop(&mut self) {
        let waiting = locked(&self.line).len();
        if waiting > 0 {
            tracing::error!(waiting, "consent receipts were not written: the store did not come back before the stop");
        }
    }
}
