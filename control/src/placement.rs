//! Which shard becomes a new session's home: the one with the fewest.
//!
//! Invariant: a place taken here is given back exactly once, by [`Placement::release`].

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
    pub(crate) fn place(&self) -> Result<ShardId, Refusal> {
        let mut sessions = locked(&self.sessions);
        let emptiest = (0_u8..).zip(sessions.iter_mut()).min_by_key(|(_, count)| **count);
        match emptiest {
            Some((shard, count)) if *count < SESSIONS_PER_SHARD_MAX => {
                *count += 1;
                Ok(ShardId(shard))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_spread_and_a_full_node_refuses() {
        let placement = Placement::new(2);
        let homes: Vec<_> = (0..4).map(|_| placement.place().expect("room").0).collect();
        assert_eq!(homes, [0, 1, 0, 1]);
        placement.release(ShardId(1));
        assert_eq!(placement.place(), Ok(ShardId(1)));
        for _ in 4..2 * SESSIONS_PER_SHARD_MAX {
            placement.place().expect("room");
        }
        assert_eq!(placement.place().map_err(|refusal| refusal.code), Err(Code::Overload));
    }
}
