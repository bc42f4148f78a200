//! The one ring of a session's diffs: stored once, read by every agent through a cursor of its own.
//!
//! Positions are absolute and never reused, so a cursor behind the tail is recognised and never reads something else.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use fanlight_wire::{Frame, Sequence};

/// Entries whose memory is kept when the ring becomes short.
const CAPACITY_KEPT: usize = 256;

/// Frames of diffs in the order they came, all of one page epoch and one mask epoch.
#[derive(Debug, Default)]
pub(super) struct Ring {
    entries: VecDeque<Entry>,
    /// Position of the oldest entry.
    tail: u64,
    /// Bytes pushed since the beginning; an entry's offset is this sum before it.
    end: u64,
}

#[derive(Debug)]
struct Entry {
    frame: Frame,
    at: Instant,
    offset: u64,
}

impl Ring {
    /// Position of the oldest frame held, or of the next one when there is none.
    pub(super) const fn tail(&self) -> u64 {
        self.tail
    }

    /// Position of the next frame.
    pub(super) fn head(&self) -> u64 {
        self.tail + self.entries.len() as u64
    }

    /// Bytes pushed since the beginning.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes_from(self.tail)
    }

    /// Bytes from `position` to the head.
    pub(super) fn bytes_from(&self, position: u64) -> u64 {
        self.end - self.offset(position)
    }

    pub(super) fn push(&mut self, now: Instant, frame: Frame) {
        let bytes = frame.bytes().len() as u64;
        self.entries.push_back(Entry { frame, at: now, offset: self.end });
        self.end += bytes;
    }

    pub(super) fn frame(&self, position: u64) -> Option<&Frame> {
        self.entry(position).map(|entry| &entry.frame)
    }

    /// When the frame at `position` came in.
    pub(super) fn came(&self, position: u64) -> Option<Instant> {
        self.entry(position).map(|entry| entry.at)
    }

    /// How long the frame at `position` has been waiting; zero at the head.
    pub(super) fn age(&self, now: Instant, position: u64) -> Duration {
        self.came(position).map_or(Duration::ZERO, |at| now.saturating_duration_since(at))
    }

    /// The position behind the last frame that `contained` and all before it cover.
    pub(super) fn after(&self, contained: Sequence) -> u64 {
        self.tail + self.entries.partition_point(|entry| entry.frame.header().sequence <= contained) as u64
    }

    /// Does a whole diff begin at `position`, and is it the one after `contained`?
    pub(super) fn continues(&self, position: u64, contained: Sequence) -> bool {
        self.frame(position).is_some_and(|frame| {
            let header = frame.header();
            header.chunk_index == 0 && Some(header.sequence) == contained.next()
        })
    }

    /// The oldest position from which no more than `bytes` lie before `position`.
    pub(super) fn within(&self, position: u64, bytes: u64) -> u64 {
        let floor = self.offset(position).saturating_sub(bytes);
        self.tail + self.entries.partition_point(|entry| entry.offset < floor) as u64
    }

    /// Forgets what lies before `position`.
    pub(super) fn forget_before(&mut self, position: u64) {
        let count = position.saturating_sub(self.tail).min(self.entries.len() as u64);
        self.entries.drain(..count as usize);
        self.tail += count;
        // A long log that is over shall not hold its place for the rest of the session.
        if self.entries.capacity() > CAPACITY_KEPT && self.entries.capacity() > 4 * self.entries.len() {
            self.entries.shrink_to(CAPACITY_KEPT.max(2 * self.entries.len()));
        }
    }

    pub(super) fn clear(&mut self) {
        self.forget_before(self.head());
    }

    fn entry(&self, position: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(position.checked_sub(self.tail)?).ok()?)
    }

    fn offset(&self, position: u64) -> u64 {
        if position < self.tail {
            return self.entries.front().map_or(self.end, |entry| entry.offset);
        }
        self.entry(position).map_or(self.end, |entry| entry.offset)
    }
}
