//! What comes from the visitor: which frames are taken, and when a snapshot takes effect.

use std::time::Instant;

use fanlight_wire::limits::{LOG_BYTES_MAX, LOG_FRAMES_MAX, MESSAGE_ASSEMBLY_MAX, MESSAGE_BYTES_MAX};
use fanlight_wire::signal::SnapshotReason;
use fanlight_wire::{Code, Frame, Header, Kind, MaskEpoch, Refusal};

use super::assembly::Message;
use super::audience::Stock;
use super::shelf::Shelf;
use super::{Dom, Snapshot};

/// Can diffs be taken?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    /// There is no page yet, or it was purged.
    Empty,
    /// The next diff is awaited.
    Open,
    /// A diff is missing; only a snapshot that contains it helps.
    Broken,
}

/// A diff of several chunks that is coming in. Its chunks are in the ring already: an agent applies a diff only when it
/// has the last one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Partial {
    header: Header,
    bytes: usize,
    pub(super) until: Instant,
}

impl Dom {
    /// Takes a Snapshot, Diff or Asset frame of the visitor, permitted and stamped.
    ///
    /// # Errors
    /// [`Code::StaleMask`], [`Code::StaleEpoch`]: of an older epoch, dropped. [`Code::Gap`]: does not continue what is
    /// there; a snapshot was asked for. [`Code::State`]: was taken before. [`Code::BadFrame`], [`Code::Size`]: the message
    /// was given up. None of them ends the session.
    pub fn handle_frame(&mut self, now: Instant, frame: Frame) -> Result<(), Refusal> {
        self.seen = Some(now);
        let header = *frame.header();
        if header.mask_epoch < self.mask {
            return Err(Refusal::new(Code::StaleMask, "protocol §4"));
        }
        if header.mask_epoch > self.mask {
            self.forget_all(header.mask_epoch);
        }
        let result = match header.kind {
            Kind::Snapshot => self.take_snapshot(now, frame),
            Kind::Diff => self.take_diff(now, frame),
            Kind::Asset => self.take_asset(now, frame),
            Kind::Signal
            | Kind::Input
            | Kind::Navigate
            | Kind::Annotate
            | Kind::PointerMove
            | Kind::PointerTrue
            | Kind::Document => Err(Refusal::new(Code::BadFrame, "protocol §2")),
        };
        self.ask(now);
        result
    }

    fn take_snapshot(&mut self, now: Instant, frame: Frame) -> Result<(), Refusal> {
        let header = *frame.header();
        if header.page_epoch < self.page {
            return Err(Refusal::new(Code::StaleEpoch, "protocol §3"));
        }
        if header.chunk_index == 0 {
            // What follows the snapshot must still be in the ring when its last chunk arrives.
            let follows = self.stream == Stream::Open && header.page_epoch == self.page && header.sequence <= self.last;
            self.hold = follows.then(|| self.ring.after(header.sequence));
        }
        let added = self.assembly.add(now, frame);
        let result = match added {
            Ok(Some(message)) => self.put(now, message),
            Ok(None) => return Ok(()),
            Err(refusal) => Err(refusal),
        };
        self.hold = None;
        self.release();
        result
    }

    /// A whole snapshot takes effect.
    fn put(&mut self, now: Instant, message: Message) -> Result<(), Refusal> {
        let base = message.header.sequence;
        if message.header.page_epoch > self.page || self.stream == Stream::Empty || base > self.last {
            self.begin(now, message);
            return Ok(());
        }
        let start = self.ring.after(base);
        let continues = base == self.last && start == self.ring.head() || self.ring.continues(start, base);
        if !continues {
            self.requests.insist(SnapshotReason::Evicted);
            return Err(Refusal::new(Code::Gap, "protocol §4"));
        }
        // Agents that follow have all it shows: it serves those who begin (`docs/protocol.md` §5).
        self.replace(now, message, start);
        self.audience.restart_unfinished();
        if self.stream == Stream::Broken {
            // It was taken before the missing diff.
            self.requests.insist(SnapshotReason::Gap);
        }
        Ok(())
    }

    /// A new page, or a snapshot that contains diffs nobody has: everybody begins again with it.
    fn begin(&mut self, now: Instant, message: Message) {
        let reason = if message.header.page_epoch > self.page { "page" } else { "gap" };
        self.page = message.header.page_epoch;
        self.last = message.header.sequence;
        self.stream = Stream::Open;
        self.partial = None;
        self.ring.clear();
        let start = self.ring.head();
        self.replace(now, message, start);
        self.audience.restart_all(reason);
    }

    fn replace(&mut self, now: Instant, message: Message, start: u64) {
        if self.snapshot.is_none() {
            self.audience.offer(now);
        }
        self.generation += 1;
        self.counters.snapshots += 1;
        self.counters.snapshot_bytes += message.bytes;
        self.snapshot =
            Some(Snapshot { generation: self.generation, frames: message.frames, bytes: message.bytes, start });
        self.requests.fulfil();
    }

    fn take_diff(&mut self, now: Instant, frame: Frame) -> Result<(), Refusal> {
        let header = *frame.header();
        if header.page_epoch < self.page {
            return Err(Refusal::new(Code::StaleEpoch, "protocol §3"));
        }
        if header.page_epoch > self.page || self.stream == Stream::Empty {
            self.requests.wish(SnapshotReason::First);
            return Err(Refusal::new(Code::Gap, "protocol §4").saying("The page's first snapshot is not whole yet."));
        }
        if self.stream == Stream::Broken {
            self.requests.wish(SnapshotReason::Gap);
            return Err(Refusal::new(Code::Gap, "protocol §3"));
        }
        self.partial = match self.partial.take() {
            None if header.sequence <= self.last => {
                return Err(Refusal::new(Code::State, "protocol §3").saying("This change was received before."));
            }
            None if header.chunk_index == 0 && Some(header.sequence) == self.last.next() => {
                Some(Partial { header, bytes: frame.payload().len(), until: now + MESSAGE_ASSEMBLY_MAX })
            }
            Some(partial) if partial.continues(&header) => {
                Some(Partial { header, bytes: partial.bytes + frame.payload().len(), ..partial })
            }
            Some(_) | None => {
                self.break_off();
                return Err(Refusal::new(Code::Gap, "protocol §3"));
            }
        };
        if self.partial.is_some_and(|partial| partial.bytes > MESSAGE_BYTES_MAX) {
            self.break_off();
            return Err(Refusal::new(Code::Size, "limits::MESSAGE_BYTES_MAX"));
        }
        if header.is_last_chunk() {
            self.last = header.sequence;
            self.partial = None;
            self.counters.diffs += 1;
        }
        self.log(now, frame);
        Ok(())
    }

    /// Adds a diff's frame to the ring, within the limits of the log.
    fn log(&mut self, now: Instant, frame: Frame) {
        self.ring.push(now, frame);
        while self.is_log_full() {
            if self.snapshot.take().is_some() {
                self.counters.evictions += 1;
                self.audience.lose_unfinished(now);
            } else {
                self.assembly.clear();
                self.hold = None;
            }
            self.requests.wish(SnapshotReason::Compact);
        }
        let stock = Stock { snapshot: self.snapshot.as_ref(), ring: &self.ring, shelf: &self.shelf };
        self.audience.pushed(now, stock);
        self.release();
    }

    fn is_log_full(&self) -> bool {
        let keep = self.keep();
        self.ring.bytes_from(keep) > LOG_BYTES_MAX as u64 || self.ring.head() - keep > LOG_FRAMES_MAX as u64
    }

    fn take_asset(&mut self, now: Instant, frame: Frame) -> Result<(), Refusal> {
        let header = *frame.header();
        if header.chunk_index == 0 {
            let name = Shelf::name_of(&frame).ok_or_else(|| Refusal::new(Code::BadFrame, "protocol §6"))?;
            self.known = self.shelf.holds(&name).then_some(header.message);
        }
        if self.known == Some(header.message) {
            return Ok(());
        }
        if let Some(message) = self.incoming.add(now, frame)?
            && let Some(name) = message.frames.first().and_then(Shelf::name_of)
        {
            self.counters.evictions += self.shelf.put(name, message);
        }
        Ok(())
    }

    /// A diff is missing: takes none until a snapshot contains it.
    pub(super) fn break_off(&mut self) {
        self.stream = Stream::Broken;
        self.partial = None;
        self.requests.wish(SnapshotReason::Gap);
    }

    /// Forgets all content and every backlog; everybody begins again under the new masks.
    pub(super) fn forget_all(&mut self, mask: MaskEpoch) {
        self.mask = mask;
        self.stream = Stream::Empty;
        self.partial = None;
        self.snapshot = None;
        self.assembly.clear();
        self.hold = None;
        self.incoming.clear();
        self.known = None;
        self.shelf.clear();
        self.ring.clear();
        self.audience.restart_all("mask");
        self.requests.wish(SnapshotReason::Evicted);
    }
}

impl Partial {
    fn continues(&self, next: &Header) -> bool {
        let shared = |header: &Header| Header { chunk_index: 0, length: 0, ..*header };
        next.chunk_index == self.header.chunk_index + 1 && shared(next) == shared(&self.header)
    }
}
