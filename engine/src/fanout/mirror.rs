//! Both ends of a mirror: the home that hands on what it stores, and the fan-out on another shard that takes it in.
//!
//! On a mirror nobody publishes; what fills its lanes is what its home says. Whoever watches there is served as at home:
//! from the rings, with repairs, layers and keyframes of its own.

use std::sync::Arc;
use std::time::Instant;

use fanlight_wire::ShardId;
use fanlight_wire::report::Drop;

use super::{Fanout, MemberId, Source};
use crate::deadline::Deadline;
use crate::handoff::{Batch, Wish};

/// Who publishes on a mirror: nobody that has a number there.
const FAR: MemberId = MemberId(u32::MAX);

impl Fanout {
    /// The fan-out of a mirror.
    pub fn mirroring() -> Self {
        Self { upward: Some(Vec::new()), ..Self::default() }
    }

    // ---- at home ----

    /// There is a mirror on this shard; a `fresh` one is told everything.
    pub fn greet_mirror(&mut self, now: Instant, shard: ShardId, fresh: bool) {
        self.mirrors.get_or_insert_default().greet(now, shard, fresh);
    }

    /// There is none any more.
    pub fn forget_mirror(&mut self, shard: ShardId) {
        if let Some(mirrors) = &mut self.mirrors {
            mirrors.forget(shard);
        }
        self.mirrors.take_if(|mirrors| mirrors.is_empty());
    }

    /// The shards that mirror this session.
    pub fn mirrors(&self) -> impl Iterator<Item = ShardId> {
        self.mirrors.iter().flat_map(|mirrors| mirrors.shards())
    }

    /// The visitor no longer agrees to be seen.
    pub const fn end_agreement(&mut self) {
        self.agreement = self.agreement.saturating_add(1);
    }

    /// Rises whenever the visitor no longer agrees to be seen.
    pub const fn agreement(&self) -> u32 {
        self.agreement
    }

    /// The next batch for a mirror.
    pub(crate) fn poll_mirrors(&mut self) -> Option<(ShardId, Arc<Batch>)> {
        self.mirrors.as_mut()?.poll()
    }

    /// A batch has not reached its mirror: what it said will be said again, its packets are lost.
    pub(crate) fn mirror_missed(&mut self, now: Instant, shard: ShardId, batch: &Batch) {
        let Some(mirrors) = &mut self.mirrors else { return };
        self.totals.mirrored_lost += batch.packets.len() as u64;
        mirrors.lost(now, shard, batch);
        for run in &batch.runs {
            self.lane(run.lane).wish(run.track);
        }
    }

    /// A mirror's viewers need a keyframe; what is not shown any more needs none.
    pub(crate) fn wish_from_mirror(&mut self, wish: &Wish) {
        let filling = self.lane(wish.lane);
        if filling.filling == wish.filling && filling.source.is_some() {
            filling.wish(wish.layer);
        }
    }

    pub(super) fn collect_for_mirrors(&mut self, now: Instant) {
        let Self { mirrors, lanes, totals, agreement, .. } = self;
        if let Some(mirrors) = mirrors {
            mirrors.collect(now, *agreement, lanes, totals);
        }
    }

    /// When a mirror is to be told again, or given up.
    pub fn mirrors_deadline(&self) -> Deadline {
        self.mirrors.as_ref().map_or(Deadline::IDLE, |mirrors| mirrors.deadline())
    }

    /// Lets mirrors go that have fallen silent.
    pub fn expire_mirrors(&mut self, now: Instant) {
        if let Some(mirrors) = &mut self.mirrors {
            mirrors.expire(now);
        }
        self.mirrors.take_if(|mirrors| mirrors.is_empty());
    }

    // ---- on a mirror ----

    /// Takes over what the home says. What belongs to an older filling of a lane is dropped (R015, P17).
    pub(crate) fn take_over(&mut self, batch: &Batch) {
        self.agreement = self.agreement.max(batch.agreement);
        for refill in &batch.fillings {
            let lane = self.lane(refill.lane);
            let source = refill.source.map(|epoch| Source { who: FAR, mid: String::new(), audio_mid: None, epoch });
            lane.fill(source.as_ref());
            lane.filling = refill.filling;
        }
        let mut rest = batch.packets.as_slice();
        for run in &batch.runs {
            let Some((packets, behind)) = rest.split_at_checked(run.packets) else { return };
            rest = behind;
            let taken = self.lane(run.lane).take_over(run, packets, &batch.bytes);
            self.totals.mirrored_in += packets.len() as u64;
            self.totals.drop(Drop::StaleEpoch, (packets.len() - taken) as u64);
        }
    }

    /// The next keyframe that the home is to be asked for.
    pub(crate) fn poll_wish(&mut self) -> Option<Wish> {
        self.upward.as_mut()?.pop()
    }
}
