//! Which shard becomes a new session's home: the one with the fewest.
//!
//! Invariant: a place taken here is given back exactly once: by [`Placement::release`] when its session has ended, or by
//! dropping the [`Place`] when the session did not come about. A request may be dropped wherever it waits, because its
//! client has gone.

use std::sync::Mutex;

use fanlight_wire::limits::SESSIONS_PER_SHARD_MAX;
use fanlight_wire::{Code, Refusal, ShardId};

use crate::locked;

/// How many sessions each shard is home of, as far as control knows.
#[derive(Debug)]
pub(crate) struct Placement {
    sessions: Mutex<Vec<usize>>,
}

impl Placement {
    pub(crate) fn new(shards: u8) -> Self {
        Self { sessions: Mutex::new(vec![0; usize::from(shards.max(1))]) }
    }

    /// Takes a place on the emptiest shard; of equals the first.
    ///
    /// # Errors
    /// `E_OVERLOAD` when every shard is full.
    pub(crate) fn place(&self) -> Result<Place<'_>, Refusal> {
        let mut sessions = locked(&self.sessions);
        let emptiest = (0_u8..).zip(sessions.iter_mut()).min_by_key(|(_, count)| **count);
        match emptiest {
            Some((shard, count)) if *count < SESSIONS_PER_SHARD_MAX => {
                *count += 1;
                Ok(Place { placement: self, shard: ShardId(shard), kept: false })
            }
            _ => Err(Refusal::new(Code::Overload, "limits::SESSIONS_PER_SHARD_MAX")),
        }
    }

    pub(crate) fn release(&self, shard: ShardId) {
        if let Some(count) = locked(&self.sessions).get_mut(usize::from(shard.0)) {
            *count = count.saturating_sub(1);
        }
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
}
