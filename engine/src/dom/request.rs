//! The budget of snapshot requests: each blocks the visitor's page, so wishes meet here and leave as one.
//!
//! Invariant: at most one request per [`SNAPSHOT_REQUEST_INTERVAL`] reaches a visitor, however many agents wish for
//! one; a wish is not forgotten until it is fulfilled.

use std::time::Instant;

use fanlight_wire::limits::{MESSAGE_ASSEMBLY_MAX, SNAPSHOT_REQUEST_INTERVAL};
use fanlight_wire::signal::SnapshotReason;

#[derive(Debug, Default)]
pub(super) struct Requests {
    /// Why a snapshot is wished for; the first reason stays.
    wish: Option<SnapshotReason>,
    /// The wish has been told to the visitor and not been answered yet.
    told: bool,
    /// When the visitor was last asked.
    last: Option<Instant>,
}

impl Requests {
    pub(super) fn wish(&mut self, reason: SnapshotReason) {
        self.wish.get_or_insert(reason);
    }

    /// What has come does not help: asks anew as soon as the budget allows.
    pub(super) const fn insist(&mut self, reason: SnapshotReason) {
        self.wish = Some(reason);
        self.told = false;
    }

    pub(super) const fn fulfil(&mut self) {
        self.wish = None;
        self.told = false;
    }

    /// The visitor is back: what was asked while it was away has not reached it and does not count.
    pub(super) const fn visitor_back(&mut self) {
        if self.told {
            self.told = false;
            self.last = None;
        }
    }

    /// The reason to ask now, if it is time to.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<SnapshotReason> {
        let reason = self.wish?;
        if self.due(Some(now)).is_some_and(|at| now < at) {
            return None;
        }
        self.told = true;
        self.last = Some(now);
        Some(reason)
    }

    /// When the visitor is to be asked: `now` if it never was. An unanswered request is repeated.
    pub(super) fn due(&self, now: Option<Instant>) -> Option<Instant> {
        self.wish?;
        let wait = if self.told { MESSAGE_ASSEMBLY_MAX } else { SNAPSHOT_REQUEST_INTERVAL };
        self.last.map(|last| last + wait).or(now)
    }
}
