//! What a home hands to the shards that mirror its session: each stored packet once per mirror, as batches.
//!
//! A mirror is a cursor into each ring, like a subscriber, and like one it is told what fills the lanes *now*: nothing has
//! to be remembered for it. Invariants:
//! - After a lane was filled anew or emptied, the next batch says so before it brings any packet (R015, P17).
//! - Mirrors that are at the same place share one batch; a batch is written once and its memory is used again.
//! - A mirror that missed such a saying is told everything again, from the last keyframe on; one that missed packets only
//!   has lost packets.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use fanlight_wire::ShardId;
use fanlight_wire::limits::{MIRROR_BATCH_BYTES_MAX, MIRROR_BATCHES_KEPT, MIRROR_RETRY, MIRROR_SILENT_MAX};

use super::filling::{Filling, TRACKS, Track};
use super::{LANES, Lane, MediaTotals};
use crate::deadline::{Deadline, Reason};
use crate::handoff::{Batch, Refill, Run};
use crate::rtp::intake::LAYERS_MAX;

/// The mirrors of one session.
#[derive(Debug, Default)]
pub(super) struct Mirrors {
    known: Vec<Mirror>,
    ready: VecDeque<(ShardId, Arc<Batch>)>,
    /// Memory of batches; one whose reader is done with it is written again.
    kept: Vec<Arc<Batch>>,
    /// Steps of the collection under way: whoever stands where another stood gets the same.
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Mirror {
    shard: ShardId,
    cursor: Cursor,
    /// When it last greeted.
    heard: Instant,
    /// It is told nothing before.
    retry: Option<Instant>,
}

/// What a mirror has been told.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Cursor {
    agreement: Option<u32>,
    lanes: [LaneCursor; LANES],
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct LaneCursor {
    filling: Option<u32>,
    tracks: [Option<TrackCursor>; TRACKS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TrackCursor {
    generation: u32,
    /// The next packet.
    position: u64,
}

#[derive(Debug)]
struct Step {
    from: Cursor,
    to: Cursor,
    batch: Arc<Batch>,
    /// Packets that had left the ring before they could be handed on.
    missed: u64,
}

impl Mirrors {
    pub(super) const fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    pub(super) fn shards(&self) -> impl Iterator<Item = ShardId> {
        self.known.iter().map(|mirror| mirror.shard)
    }

    /// There is a mirror on this shard. One that knows nothing is told everything.
    pub(super) fn greet(&mut self, now: Instant, shard: ShardId, fresh: bool) {
        let known = self.known.iter_mut().find(|mirror| mirror.shard == shard);
        match known {
            Some(mirror) => {
                mirror.heard = now;
                if fresh {
                    (mirror.cursor, mirror.retry) = (Cursor::default(), None);
                }
            }
            None => self.known.push(Mirror { shard, cursor: Cursor::default(), heard: now, retry: None }),
        }
    }

    pub(super) fn forget(&mut self, shard: ShardId) {
        self.known.retain(|mirror| mirror.shard != shard);
    }

    /// Forgets the mirrors that have fallen silent.
    pub(super) fn expire(&mut self, now: Instant) {
        self.known.retain(|mirror| mirror.heard + MIRROR_SILENT_MAX > now);
    }

    pub(super) fn deadline(&self) -> Deadline {
        let due = self.known.iter().map(|mirror| mirror.retry.unwrap_or(mirror.heard + MIRROR_SILENT_MAX)).min();
        due.map_or(Deadline::IDLE, |at| Deadline::new(at, Reason::Mirror))
    }

    /// A batch has not reached its mirror.
    pub(super) fn lost(&mut self, now: Instant, shard: ShardId, batch: &Batch) {
        if let Some(mirror) = self.known.iter_mut().find(|mirror| mirror.shard == shard && batch.is_state) {
            (mirror.cursor, mirror.retry) = (Cursor::default(), Some(now + MIRROR_RETRY));
        }
    }

    pub(super) fn poll(&mut self) -> Option<(ShardId, Arc<Batch>)> {
        self.ready.pop_front()
    }

    /// Writes what has changed since the last time, for everybody.
    pub(super) fn collect(&mut self, now: Instant, agreement: u32, lanes: &[Filling; LANES], totals: &mut MediaTotals) {
        let Self { known, ready, kept, steps } = self;
        for mirror in known {
            if mirror.retry.is_some_and(|at| at > now) {
                continue;
            }
            mirror.retry = None;
            loop {
                let known = steps.iter().position(|step| step.from == mirror.cursor);
                if known.is_none() {
                    let Some(next) = step(mirror.cursor, agreement, lanes, kept) else { break };
                    steps.push(next);
                }
                let Some(step) = known.map_or_else(|| steps.last(), |known| steps.get(known)) else { break };
                mirror.cursor = step.to;
                totals.mirrored_out += step.batch.packets.len() as u64 + step.missed;
                totals.mirrored_lost += step.missed;
                if !step.batch.is_empty() {
                    ready.push_back((mirror.shard, Arc::clone(&step.batch)));
                }
            }
        }
        for step in steps.drain(..) {
            if kept.len() < MIRROR_BATCHES_KEPT {
                kept.push(step.batch);
            }
        }
    }
}

/// What comes next for whoever stands at `from`, if anything.
fn step(from: Cursor, agreement: u32, lanes: &[Filling; LANES], kept: &mut Vec<Arc<Batch>>) -> Option<Step> {
    if from.is_at_the_end(agreement, lanes) {
        return None;
    }
    let mut batch = take_memory(kept);
    let mut to = from;
    let mut missed = 0;
    {
        let batch = Arc::get_mut(&mut batch)?;
        batch.agreement = agreement;
        (batch.is_whole, batch.is_state) = (from.agreement.is_none(), from.agreement != Some(agreement));
        to.agreement = Some(agreement);
        for ((lane, filling), cursor) in Lane::ALL.into_iter().zip(lanes).zip(&mut to.lanes) {
            cursor.refill(lane, filling, batch);
        }
        for ((lane, filling), cursor) in Lane::ALL.into_iter().zip(lanes).zip(&mut to.lanes) {
            missed += cursor.write(lane, filling, batch);
        }
    }
    Some(Step { from, to, batch, missed })
}

/// Memory that nobody reads any more, or fresh one.
fn take_memory(kept: &mut Vec<Arc<Batch>>) -> Arc<Batch> {
    let free = kept.iter_mut().position(|batch| Arc::get_mut(batch).is_some());
    let Some(mut batch) = free.map(|index| kept.swap_remove(index)) else { return Arc::default() };
    if let Some(batch) = Arc::get_mut(&mut batch) {
        batch.clear();
    }
    batch
}

impl Cursor {
    /// Is there nothing to say?
    fn is_at_the_end(&self, agreement: u32, lanes: &[Filling; LANES]) -> bool {
        self.agreement == Some(agreement)
            && self.lanes.iter().zip(lanes).all(|(cursor, lane)| cursor.is_at_the_end(lane))
    }
}

impl LaneCursor {
    fn is_at_the_end(&self, lane: &Filling) -> bool {
        let is_there = |(cursor, track): (&Option<TrackCursor>, &Track)| match cursor {
            Some(cursor) => cursor.generation == track.generation && cursor.position == track.ring.head(),
            None => false,
        };
        self.filling == Some(lane.filling) && self.tracks.iter().zip(lane.tracks()).all(is_there)
    }

    /// Says what fills the lane, if that is new.
    fn refill(&mut self, lane: Lane, filling: &Filling, batch: &mut Batch) {
        if self.filling == Some(filling.filling) {
            return;
        }
        // Whoever was there before takes everything that came since; a newcomer begins where a viewer would.
        let is_new = self.filling.is_none();
        self.filling = Some(filling.filling);
        batch.is_state = true;
        let source = filling.source.map(|source| source.epoch);
        batch.fillings.push(Refill { lane, filling: filling.filling, source });
        for (index, (cursor, track)) in self.tracks.iter_mut().zip(filling.tracks()).enumerate() {
            let ring = &track.ring;
            let position = match ring.bootstrap() {
                Some(first) if is_new && index < LAYERS_MAX => first.position,
                None if is_new && index < LAYERS_MAX => ring.head(),
                _ => ring.first(),
            };
            *cursor = Some(TrackCursor { generation: track.generation, position });
        }
    }

    /// Writes what has come in, up to what a batch holds; how many packets were gone before.
    fn write(&mut self, lane: Lane, filling: &Filling, batch: &mut Batch) -> u64 {
        let mut missed = 0;
        for (index, (cursor, track)) in self.tracks.iter_mut().zip(filling.tracks()).enumerate() {
            let Some(cursor) = cursor else { continue };
            let ring = &track.ring;
            if cursor.generation != track.generation {
                *cursor = TrackCursor { generation: track.generation, position: ring.first() };
            }
            if cursor.position < ring.first() {
                missed += ring.first() - cursor.position;
                cursor.position = ring.first();
            }
            let before = batch.packets.len();
            while let Some(slot) = ring.slot(cursor.position)
                && batch.bytes.len() < MIRROR_BATCH_BYTES_MAX
            {
                batch.packets.push(slot.kept_at(batch.bytes.len()));
                batch.bytes.extend_from_slice(ring.whole(slot));
                cursor.position += 1;
            }
            let packets = batch.packets.len() - before;
            if packets > 0 {
                let (filling, generation, clock) = (filling.filling, track.generation, track.clock);
                let ssrc = ring.ssrc().unwrap_or_default();
                batch.runs.push(Run { lane, filling, track: index, generation, ssrc, clock, packets });
            }
        }
        missed
    }
}
