//! What a shard says about itself, readable by anybody without asking it.
//!
//! Absolute values, replaced as a whole a few times a second; nothing here is touched per packet.

use std::sync::{Mutex, PoisonError};

use fanlight_wire::ShardId;
use fanlight_wire::report::ShardTotals;

use crate::io::{BackendKind, Counters};

/// A shard's state at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub shard: ShardId,
    pub backend: BackendKind,
    /// What the engine counted since it was made; begins anew after a panic.
    pub totals: ShardTotals,
    pub sockets: Counters,
    /// Gauge: open pipes, and TCP media streams.
    pub pipes: usize,
    pub streams: usize,
    /// Packets that a TCP media stream did not take.
    pub stream_drops: u64,
    /// Reports that control did not take.
    pub reports_lost: u64,
    /// Thousandths of the last second or so (`limits::SHARD_LOAD_WINDOW`) that were spent in turns.
    pub load_permille: u32,
    /// Turns that ended in a panic; each replaced the engine.
    pub panics: u64,
}

impl Status {
    pub(super) fn new(shard: ShardId, backend: BackendKind) -> Self {
        Self {
            shard,
            backend,
            totals: ShardTotals::default(),
            sockets: Counters::default(),
            pipes: 0,
            streams: 0,
            stream_drops: 0,
            reports_lost: 0,
            load_permille: 0,
            panics: 0,
        }
    }
}

/// The place where a shard's newest status hangs.
#[derive(Debug)]
pub struct Board(Mutex<Status>);

impl Board {
    pub(super) fn new(shard: ShardId, backend: BackendKind) -> Self {
        Self(Mutex::new(Status::new(shard, backend)))
    }

    /// The newest status.
    pub fn read(&self) -> Status {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn publish(&self, status: Status) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}
