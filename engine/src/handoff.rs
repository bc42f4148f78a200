//! What shards say to each other about a session: its home to the shards that mirror it, and back.
//!
//! Values for one process: packets travel behind a counted reference, times are those of the one clock. Invariants: what a
//! home says arrives in order or not at all; whatever is lost is said again or, if it is media, counted. A mirror that was
//! told something by a home that is gone shows nothing of it: packets are only good in the filling that they name.

use std::sync::Arc;
use std::time::Instant;

use fanlight_wire::{Code, FloorEpoch, SessionId, ShardId};

use crate::fanout::Lane;
use crate::rtp::ring::Slot;

/// Something that one shard says to another about a session.
#[derive(Debug, Clone)]
pub struct Handoff {
    pub from: ShardId,
    pub session: SessionId,
    pub(crate) word: Word,
}

#[derive(Debug, Clone)]
pub(crate) enum Word {
    /// Mirror to home: there is a mirror here. `fresh` while it knows nothing yet.
    Greeting { fresh: bool },
    /// Mirror to home: there is none any more.
    Farewell,
    /// Mirror to home: somebody needs a keyframe.
    Keyframe(Wish),
    /// Home to mirror: what fills the lanes, and what has come in.
    Media(Arc<Batch>),
    /// Home to mirror: the session is over, or was never here.
    End(Code),
}

impl Handoff {
    /// What a shard says that mirrors a session no longer.
    pub const fn farewell(from: ShardId, session: SessionId) -> Self {
        Self { from, session, word: Word::Farewell }
    }
}

/// A keyframe that is needed of an encoding of what fills a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) lane: Lane,
    pub(crate) filling: u32,
    pub(crate) layer: usize,
}

/// What has changed at a home since the last batch. First the fillings, then the packets of each track.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Rises whenever the visitor no longer agrees to be seen.
    pub(crate) agreement: u32,
    /// It says more than packets: a mirror that misses it is out of step.
    pub(crate) is_state: bool,
    /// It says what fills each lane.
    pub(crate) is_whole: bool,
    pub(crate) fillings: Vec<Refill>,
    pub(crate) runs: Vec<Run>,
    /// Of all runs, one behind the other. Each is placed in `bytes`.
    pub(crate) packets: Vec<Slot>,
    pub(crate) bytes: Vec<u8>,
}

/// A lane is filled with something else, or with nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refill {
    pub(crate) lane: Lane,
    pub(crate) filling: u32,
    pub(crate) source: Option<FloorEpoch>,
}

/// Packets of one track.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) lane: Lane,
    /// The filling that they belong to: in any other they are stale (R015, P17).
    pub(crate) filling: u32,
    /// Encoding of the picture, the smallest first; beyond them the sound.
    pub(crate) track: usize,
    /// Another one means that the track has begun anew.
    pub(crate) generation: u32,
    pub(crate) ssrc: u32,
    pub(crate) clock: Option<(Instant, u32)>,
    pub(crate) packets: usize,
}

impl Batch {
    pub(crate) fn clear(&mut self) {
        let Self { agreement, is_state, is_whole, fillings, runs, packets, bytes } = self;
        (*agreement, *is_state, *is_whole) = (0, false, false);
        fillings.clear();
        runs.clear();
        packets.clear();
        bytes.clear();
    }

    /// It says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_state && self.packets.is_empty()
    }
}
