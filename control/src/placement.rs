//! Which shard becomes a new session's home: of those that are about equally busy, the one with the fewest sessions. And
//! which shard serves a new viewer: the home, until it is half busy or has its share of viewers; then one that is better off.
//!
//! A shard whose load is above [`SHARD_LOAD_MAX`] takes nobody new; what it has is left alone. Loads are told a few times
//! a second, so between two tellings it is the number of sessions that spreads a crowd.
//!
//! Invariant: a place taken here is given back exactly once: by [`Placement::release`] when its session has ended, or by
//! dropping the [`Place`] when the session did not come about. A request may be dropped wherever it waits, because its
//! client has gone.

use std::collections::BTreeSet;
use std::sync::Mutex;

use fanlight_wire::limits::{SESSIONS_PER_SHARD_MAX, SHARD_LOAD_MAX, SHARD_SPILL_LOAD};
use fanlight_wire::{Code, Refusal, ShardId};

use crate::locked;

/// Loads that differ by less than this many thousandths are called equal: they are measured, and they are of the past.
const ABOUT_EQUAL: u32 = 100;

/// What each shard is home of, as far as control knows, and how busy it last was.
#[derive(Debug)]
pub(crate) struct Placement {
    shards: Mutex<Vec<Seen>>,
    viewers_per_shard: u64,
}

#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    sessions: usize,
    load_permille: u32,
    /// WHEP viewers, as last told, and those that were sent there since the telling before: what is told is of the past, and
    /// rather too many are counted than too few.
    viewers: u64,
    sent_before: u64,
    sent_since: u64,
}

impl Placement {
    pub(crate) fn new(shards: u8, viewers_per_shard: u32) -> Self {
        let shards = Mutex::new(vec![Seen::default(); usize::from(shards.max(1))]);
        Self { shards, viewers_per_shard: viewers_per_shard.into() }
    }

    /// Takes a place on the least busy shard; of equals on the one with the fewest sessions, of these the first.
    ///
    /// # Errors
    /// `E_OVERLOAD` when every shard is full or busy.
    pub(crate) fn place(&self) -> Result<Place<'_>, Refusal> {
        let mut shards = locked(&self.shards);
        let roomy = (0_u8..).zip(shards.iter_mut()).filter(|(_, seen)| seen.sessions < SESSIONS_PER_SHARD_MAX);
        let best = roomy.min_by_key(|(_, seen)| (seen.is_busy(), seen.load_permille / ABOUT_EQUAL, seen.sessions));
        match best {
            Some((_, seen)) if seen.is_busy() => Err(Refusal::new(Code::Overload, BUSY)),
            Some((shard, seen)) => {
                seen.sessions += 1;
                Ok(Place { placement: self, shard: ShardId(shard), kept: false })
            }
            None => Err(Refusal::new(Code::Overload, "limits::SESSIONS_PER_SHARD_MAX")),
        }
    }

    /// Which shard serves one more viewer of a session that lives on `home` and has `mirrors`. The home, if it can; else of
    /// those that are about equally busy one with room, one that has the session's media already, one with few viewers.
    ///
    /// # Errors
    /// `E_OVERLOAD` when every shard is busy.
    pub(crate) fn admit_viewer(&self, home: ShardId, mirrors: &BTreeSet<ShardId>) -> Result<ShardId, Refusal> {
        let mut shards = locked(&self.shards);
        let most = self.viewers_per_shard;
        let Some(own) = shards.get(usize::from(home.0)) else {
            // A shard that is not there refuses by itself.
            return Ok(home);
        };
        let stays = own.load_permille <= SHARD_SPILL_LOAD && own.viewers() < most;
        let rank = |(shard, seen): &(ShardId, &mut Seen)| {
            let is_near = *shard == home || mirrors.contains(shard);
            let (full, load) = (seen.viewers() >= most, seen.load_permille / ABOUT_EQUAL);
            (seen.is_busy(), full, load, if full { seen.viewers() } else { 0 }, !is_near, seen.viewers())
        };
        let all = (0_u8..).map(ShardId).zip(shards.iter_mut());
        let best = all.filter(|(shard, _)| *shard == home || !stays).min_by_key(rank);
        match best {
            Some((_, seen)) if seen.is_busy() => Err(Refusal::new(Code::Overload, BUSY)),
            Some((shard, seen)) => {
                seen.sent_since += 1;
                Ok(shard)
            }
            None => Ok(home),
        }
    }

    /// A shard has told how many viewers it serves.
    pub(crate) fn note_viewers(&self, shard: ShardId, viewers: u64) {
        if let Some(seen) = locked(&self.shards).get_mut(usize::from(shard.0)) {
            (seen.viewers, seen.sent_before, seen.sent_since) = (viewers, seen.sent_since, 0);
        }
    }

    /// A shard has told how busy it is, in thousandths.
    pub(crate) fn note_load(&self, shard: ShardId, permille: u32) {
        if let Some(seen) = locked(&self.shards).get_mut(usize::from(shard.0)) {
            seen.load_permille = permille;
        }
    }

    pub(crate) fn release(&self, shard: ShardId) {
        if let Some(seen) = locked(&self.shards).get_mut(usize::from(shard.0)) {
            seen.sessions = seen.sessions.saturating_sub(1);
        }
    }
}

const BUSY: &str = "limits::SHARD_LOAD_MAX";

impl Seen {
    const fn is_busy(self) -> bool {
        self.load_permille > SHARD_LOAD_MAX
    }

    const fn viewers(self) -> u64 {
        self.viewers + self.sent_before + self.sent_since
    }
}

/// A place on a shard for a session that is being made.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    placement: &'a Placement,
    shard: ShardId,
    kept: bool,
}

impl Place<'_> {
    pub(crate) const fn shard(&self) -> ShardId {
        self.shard
    }

    /// The session has come about; its end gives the place back.
    pub(crate) fn keep(mut self) -> ShardId {
        self.kept = true;
        self.shard
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.placement.release(self.shard);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_spread_and_a_full_node_refuses() {
        let placement = Placement::new(2, 1_000);
        let homes: Vec<_> = (0..4).map(|_| placement.place().expect("room").keep().0).collect();
        assert_eq!(homes, [0, 1, 0, 1]);
        placement.release(ShardId(1));
        drop(placement.place().expect("a place for a session that does not come about"));
        assert_eq!(placement.place().expect("the same place").keep(), ShardId(1));
        for _ in 4..2 * SESSIONS_PER_SHARD_MAX {
            placement.place().expect("room").keep();
        }
        assert_eq!(placement.place().expect_err("the node is full").code, Code::Overload);
    }

    #[test]
    fn a_busy_shard_takes_nobody_new_and_keeps_what_it_has() {
        let placement = Placement::new(2, 1_000);
        let home = || placement.place().map(|place| place.keep().0);
        placement.note_load(ShardId(0), 150);
        assert_eq!((home(), home()), (Ok(1), Ok(1)), "the less busy one, though it has more sessions");
        placement.note_load(ShardId(1), 120);
        assert_eq!(home(), Ok(0), "about equally busy: the one with fewer");
        placement.note_load(ShardId(0), SHARD_LOAD_MAX + 1);
        placement.note_load(ShardId(1), SHARD_LOAD_MAX);
        assert_eq!(home(), Ok(1));
        assert_eq!(viewer(&placement, 0), Ok(1), "a busy home's viewers go to the other shard");
        placement.note_load(ShardId(1), 1_000);
        let refusal = home().expect_err("both are busy");
        assert_eq!((refusal.code, refusal.rule.as_ref()), (Code::Overload, BUSY));
        assert_eq!(viewer(&placement, 0), Err(Code::Overload));
        placement.note_load(ShardId(0), 0);
        assert_eq!(home(), Ok(0));
        assert_eq!(viewer(&placement, 9), Ok(9), "a shard that is not there refuses by itself");
    }

    /// Where a viewer of a session without mirrors goes.
    fn viewer(placement: &Placement, home: u8) -> Result<u8, Code> {
        near(placement, home, &[])
    }

    fn near(placement: &Placement, home: u8, mirrors: &[u8]) -> Result<u8, Code> {
        let mirrors = mirrors.iter().map(|shard| ShardId(*shard)).collect();
        placement.admit_viewer(ShardId(home), &mirrors).map(|shard| shard.0).map_err(|refusal| refusal.code)
    }

    #[test]
    fn viewers_stay_at_home_until_it_has_its_share() {
        let placement = Placement::new(3, 2);
        let of_first: Vec<_> = (0..8).map(|_| viewer(&placement, 0)).collect();
        let wanted = [0, 0, 1, 2, 1, 2, 0, 1].map(Ok);
        assert_eq!(of_first, wanted, "then to where there are few, and nobody is refused for it");
        assert_eq!(viewer(&placement, 2), Ok(2), "all are full; this one has the fewest");
    }

    #[test]
    fn what_is_told_does_not_hide_who_is_on_the_way() {
        let placement = Placement::new(2, 2);
        assert_eq!((viewer(&placement, 0), viewer(&placement, 0)), (Ok(0), Ok(0)));
        placement.note_viewers(ShardId(0), 0);
        assert_eq!(viewer(&placement, 0), Ok(1), "the two may not have been counted yet");
        placement.note_viewers(ShardId(0), 0);
        assert_eq!(viewer(&placement, 0), Ok(0), "they did not come about");
        placement.note_viewers(ShardId(0), 2);
        placement.note_viewers(ShardId(0), 2);
        assert_eq!(viewer(&placement, 0), Ok(1));
    }

    #[test]
    fn a_mirror_that_is_there_is_preferred_to_another_one() {
        let placement = Placement::new(3, 10);
        placement.note_load(ShardId(0), SHARD_SPILL_LOAD + 1);
        assert_eq!((0..3).map(|_| near(&placement, 0, &[2])).collect::<Vec<_>>(), [2, 2, 2].map(Ok));
        placement.note_load(ShardId(2), 2 * ABOUT_EQUAL);
        assert_eq!(near(&placement, 0, &[2]), Ok(1), "unless it is busier");
        placement.note_load(ShardId(1), SHARD_SPILL_LOAD + 3 * ABOUT_EQUAL);
        placement.note_load(ShardId(2), SHARD_SPILL_LOAD + 3 * ABOUT_EQUAL);
        assert_eq!(near(&placement, 0, &[2]), Ok(0), "and a home that is less busy than the others keeps its own");
    }
}
