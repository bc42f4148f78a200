//! Which shard becomes a new session's home: of those that are about equally busy, the one with the fewest sessions.
//!
//! A shard whose load is above [`SHARD_LOAD_MAX`] takes nobody new; what it has is left alone. Loads are told a few times
//! a second, so between two tellings it is the number of sessions that spreads a crowd.
//!
//! Invariant: a place taken here is given back exactly once: by [`Placement::release`] when its session has ended, or by
//! dropping the [`Place`] when the session did not come about. A request may be dropped wherever it waits, because its
//! client has gone.

use std::sync::Mutex;

use fanlight_wire::limits::{SESSIONS_PER_SHARD_MAX, SHARD_LOAD_MAX};
use fanlight_wire::{Code, Refusal, ShardId};

use crate::locked;

/// Loads that differ by less than this many thousandths are called equal: they are measured, and they are of the past.
const ABOUT_EQUAL: u32 = 100;

/// What each shard is home of, as far as control knows, and how busy it last was.
#[derive(Debug)]
pub(crate) struct Placement {
    shards: Mutex<Vec<Seen>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    sessions: usize,
    load_permille: u32,
}

impl Placement {
    pub(crate) fn new(shards: u8) -> Self {
        Self { shards: Mutex::new(vec![Seen::default(); usize::from(shards.max(1))]) }
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

    /// May a session that lives on this shard get one more viewer?
    ///
    /// # Errors
    /// `E_OVERLOAD` when the shard is busy.
    pub(crate) fn admit_viewer(&self, shard: ShardId) -> Result<(), Refusal> {
        let busy = locked(&self.shards).get(usize::from(shard.0)).is_some_and(|seen| seen.is_busy());
        if busy { Err(Refusal::new(Code::Overload, BUSY)) } else { Ok(()) }
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
        let placement = Placement::new(2);
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
        let placement = Placement::new(2);
        let home = || placement.place().map(|place| place.keep().0);
        placement.note_load(ShardId(0), 150);
        assert_eq!((home(), home()), (Ok(1), Ok(1)), "the less busy one, though it has more sessions");
        placement.note_load(ShardId(1), 120);
        assert_eq!(home(), Ok(0), "about equally busy: the one with fewer");
        placement.note_load(ShardId(0), SHARD_LOAD_MAX + 1);
        placement.note_load(ShardId(1), SHARD_LOAD_MAX);
        assert_eq!(home(), Ok(1));
        assert!(placement.admit_viewer(ShardId(1)).is_ok());
        placement.note_load(ShardId(1), 1_000);
        let refusal = home().expect_err("both are busy");
        assert_eq!((refusal.code, refusal.rule.as_ref()), (Code::Overload, BUSY));
        assert_eq!(placement.admit_viewer(ShardId(0)).map_err(|refusal| refusal.code), Err(Code::Overload));
        placement.note_load(ShardId(0), 0);
        assert_eq!(home(), Ok(0));
        assert!(placement.admit_viewer(ShardId(9)).is_ok(), "a shard that is not there refuses by itself");
    }
}
