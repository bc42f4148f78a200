//! The DOM stream of one session: the visitor's page as snapshot + log, kept in memory only, and handed to each agent.
//!
//! Owns the page content of a session and the cursors of its agents. Invariants: a diff is taken only when it is the
//! one after the last (page epoch, sequence); a snapshot is seen only when it is whole; content of an older mask epoch is
//! forgotten at once, from snapshot, log, assets and every backlog; everything is bounded by `wire::limits`. Payloads are
//! opaque. Leaves permission to [`crate::permit`] and carriers to [`crate::pipe`].
//!
//! **How to poll.** After every call that may change something, poll [`Dom::poll_event`] until it is empty, then pull
//! frames with [`Dom::next_frame`]: an event about an agent (`Resync`) belongs before the frames that follow it. Pulling
//! may bring up further events (`Lag`, `SnapshotWanted`); they announce no frame, and [`Dom::deadline`] is due at once
//! while events wait.

mod assembly;
mod audience;
mod intake;
mod lag;
mod request;
mod ring;
mod shelf;
#[cfg(test)]
mod tests;
mod viewer;

use std::time::Instant;

use fanlight_wire::limits::{LAG_BYTES, LOG_TO_SNAPSHOT_RATIO, RESYNC_BYTES};
use fanlight_wire::signal::{LagState, SnapshotReason};
use fanlight_wire::{Frame, MaskEpoch, PageEpoch, ParticipantId, Sequence};

use crate::deadline::{Deadline, Reason};
use assembly::Assembly;
use audience::{Audience, Served, Stock};
use intake::{Partial, Stream};
use request::Requests;
use ring::Ring;
use shelf::Shelf;

/// What the session must do about its DOM stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomEvent {
    /// Ask the visitor for a snapshot.
    SnapshotWanted(SnapshotReason),
    /// Tell the agent to forget its copy; a snapshot follows.
    Resync { agent: ParticipantId, reason: &'static str },
    /// Tell the agent how it keeps up.
    Lag { agent: ParticipantId, state: LagState, bytes: u64, ms: u64 },
    /// The agent cannot follow; close its carrier with [`fanlight_wire::Code::TooSlow`].
    Close { agent: ParticipantId },
}

/// What a DOM stream has counted since its beginning.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// Whole snapshots taken in.
    pub snapshots: u64,
    /// Bytes of those, headers included.
    pub snapshot_bytes: u64,
    /// Whole diffs taken in.
    pub diffs: u64,
    /// How often an agent was given snapshot + log anew because it fell behind or asked.
    pub resyncs: u64,
    /// Snapshots asked of the visitor.
    pub requests: u64,
    /// Snapshots given up because their log grew too long, and assets that left the shelf for others.
    pub evictions: u64,
}

/// The newest whole page.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Distinguishes it from every other snapshot of this stream.
    generation: u64,
    frames: Vec<Frame>,
    bytes: u64,
    /// Position of the ring that continues it.
    start: u64,
}

/// The DOM stream of one session.
#[derive(Debug)]
pub struct Dom {
    /// False: nothing is kept beyond what agents are being given; each join costs the visitor a snapshot.
    cache: bool,
    page: PageEpoch,
    mask: MaskEpoch,
    stream: Stream,
    /// The last whole diff, or what the snapshot contained.
    last: Sequence,
    partial: Option<Partial>,
    snapshot: Option<Snapshot>,
    generation: u64,
    ring: Ring,
    /// The snapshot that is coming in, and the position of the ring that will continue it.
    assembly: Assembly,
    hold: Option<u64>,
    /// The asset that is coming in, or the message whose asset is known already.
    incoming: Assembly,
    known: Option<u32>,
    shelf: Shelf,
    requests: Requests,
    audience: Audience,
    /// The newest time this stream was told.
    seen: Option<Instant>,
    counters: Counters,
}

impl Dom {
    /// A stream without a page. `cache` is the group's `dom_cache` policy.
    pub fn new(cache: bool) -> Self {
        Self {
            cache,
            page: PageEpoch::ZERO,
            mask: MaskEpoch::ZERO,
            stream: Stream::Empty,
            last: Sequence(0),
            partial: None,
            snapshot: None,
            generation: 0,
            ring: Ring::default(),
            assembly: Assembly::default(),
            hold: None,
            incoming: Assembly::default(),
            known: None,
            shelf: Shelf::default(),
            requests: Requests::default(),
            audience: Audience::default(),
            seen: None,
            counters: Counters::default(),
        }
    }

    /// An agent begins to watch: snapshot, log, then live. With a snapshot at hand the visitor is not asked.
    pub fn join(&mut self, now: Instant, agent: ParticipantId) {
        self.seen = Some(now);
        self.audience.join(agent);
        if self.snapshot.is_none() {
            self.requests.wish(self.missing());
        }
        self.ask(now);
    }

    /// An agent no longer watches; everything kept for it is forgotten.
    pub fn leave(&mut self, agent: ParticipantId) {
        self.audience.leave(agent);
        self.release();
    }

    /// An agent wants to begin again with the newest snapshot.
    pub fn resync(&mut self, now: Instant, agent: ParticipantId) {
        self.seen = Some(now);
        self.audience.restart(agent);
        self.release();
    }

    /// More is hidden from now on: forgets all content at once and wishes for one snapshot; [`Self::deadline`] says
    /// when the visitor is asked. An epoch that is not newer changes nothing.
    pub fn purge(&mut self, mask: MaskEpoch) {
        if mask > self.mask {
            self.forget_all(mask);
        }
    }

    /// The visitor has a new carrier: what was under way on the old one will not be completed, and what was asked
    /// meanwhile has not reached it.
    pub fn visitor_back(&mut self, now: Instant) {
        self.seen = Some(now);
        self.assembly.clear();
        self.hold = None;
        self.incoming.clear();
        self.known = None;
        if self.partial.is_some() {
            self.break_off();
        }
        self.requests.visitor_back();
        self.ask(now);
    }

    /// The session goes on: what was asked while it did not has been told to nobody.
    pub fn go_on(&mut self, now: Instant) {
        self.seen = Some(now);
        self.requests.visitor_back();
        self.ask(now);
    }

    /// The next thing to do; poll until `None` before pulling frames.
    pub fn poll_event(&mut self) -> Option<DomEvent> {
        self.audience.events.pop_front()
    }

    /// Does an event wait?
    pub fn has_events(&self) -> bool {
        !self.audience.events.is_empty()
    }

    /// Pulls the next frame for an agent that has room for it: snapshot, then log, then live; assets only when none of
    /// these is due.
    pub fn next_frame(&mut self, now: Instant, agent: ParticipantId) -> Option<Frame> {
        self.seen = Some(now);
        let stock = Stock { snapshot: self.snapshot.as_ref(), ring: &self.ring, shelf: &self.shelf };
        let frame = match self.audience.next_frame(now, agent, stock) {
            Served::Frame(frame) => Some(frame),
            Served::Begun(frame) => {
                self.compact(now);
                Some(frame)
            }
            Served::Nothing => None,
            Served::Wanting => {
                self.requests.wish(self.missing());
                self.ask(now);
                None
            }
        };
        if !self.cache {
            self.release();
        }
        frame
    }

    /// When [`Self::handle_timeout`] is due. At once while events wait.
    pub fn deadline(&self) -> Deadline {
        let waiting = if self.audience.events.is_empty() { None } else { self.seen };
        // While a snapshot comes in nobody is asked for another.
        let request = if self.assembly.is_open() { None } else { self.requests.due(self.seen) };
        let partial = self.partial.map(|partial| partial.until);
        [waiting, request, partial, self.assembly.until(), self.incoming.until(), self.audience.deadline()]
            .into_iter()
            .flatten()
            .min()
            .map_or(Deadline::IDLE, |at| Deadline::new(at, Reason::Dom))
    }

    /// Gives up what has stalled, judges the agents, repeats what was not answered.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.seen = Some(now);
        self.assembly.expire(now);
        if !self.assembly.is_open() {
            self.hold = None;
        }
        self.incoming.expire(now);
        if self.partial.is_some_and(|partial| partial.until <= now) {
            self.break_off();
        }
        let stock = Stock { snapshot: self.snapshot.as_ref(), ring: &self.ring, shelf: &self.shelf };
        self.audience.handle_timeout(now, stock);
        self.release();
        self.ask(now);
    }

    /// The newest page epoch of which a whole snapshot was seen.
    pub const fn page_epoch(&self) -> PageEpoch {
        self.page
    }

    /// The mask epoch in force.
    pub const fn mask_epoch(&self) -> MaskEpoch {
        self.mask
    }

    /// Hex names of the assets at hand, oldest first.
    pub fn asset_names(&self) -> Vec<String> {
        self.shelf.names()
    }

    /// Bytes of page content held, headers included.
    pub fn cached_bytes(&self) -> u64 {
        let snapshot = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.bytes);
        snapshot + self.ring.bytes() + self.assembly.bytes() + self.incoming.bytes() + self.shelf.bytes()
    }

    /// How many agents are in each [`LagState`].
    pub fn lag(&self) -> [u64; LagState::ALL.len()] {
        self.audience.lag()
    }

    /// What was counted so far.
    pub const fn counters(&self) -> Counters {
        Counters { resyncs: self.audience.resyncs, ..self.counters }
    }

    /// Why there is no snapshot.
    const fn missing(&self) -> SnapshotReason {
        match self.stream {
            Stream::Empty if self.counters.snapshots == 0 => SnapshotReason::First,
            Stream::Broken => SnapshotReason::Gap,
            Stream::Empty | Stream::Open => SnapshotReason::Evicted,
        }
    }

    /// Asks the visitor if somebody wishes for a snapshot, the budget allows it and none is coming in.
    fn ask(&mut self, now: Instant) {
        if self.assembly.is_open() {
            return;
        }
        if let Some(reason) = self.requests.pop_due(now) {
            self.counters.requests += 1;
            self.audience.events.push_back(DomEvent::SnapshotWanted(reason));
        }
    }

    /// An agent begins with the snapshot: is the log behind it so long that a new one is worth its price? What lies
    /// within [`LAG_BYTES`] costs an agent less than a snapshot costs the visitor (`docs/protocol.md` §5).
    fn compact(&mut self, now: Instant) {
        let Some(snapshot) = &self.snapshot else { return };
        let bound = (snapshot.bytes * LOG_TO_SNAPSHOT_RATIO as u64).max(LAG_BYTES as u64);
        if self.cache && self.ring.bytes_from(snapshot.start) > bound {
            self.requests.wish(SnapshotReason::Compact);
            self.ask(now);
        }
    }

    /// Forgets what nobody needs any more: without a cache the snapshot that everybody has, and always the part of the
    /// ring that neither the snapshot nor a cursor reaches.
    fn release(&mut self) {
        if !self.cache && !self.audience.needs_snapshot() {
            self.snapshot = None;
        }
        self.trim();
    }

    fn trim(&mut self) {
        let Some(now) = self.seen else { return };
        let keep = self.keep();
        if self.ring.tail() >= keep {
            return;
        }
        let lowest = self.audience.lowest(keep);
        let limit = self.ring.within(keep, RESYNC_BYTES as u64);
        if lowest < limit {
            self.audience.lose_before(now, limit, &self.ring);
        }
        self.ring.forget_before(lowest.max(limit));
    }

    /// The ring is kept from here on even if no cursor needs it.
    fn keep(&self) -> u64 {
        let snapshot = self.snapshot.as_ref().map(|snapshot| snapshot.start);
        [snapshot, self.hold].into_iter().flatten().min().unwrap_or_else(|| self.ring.head())
    }
}
