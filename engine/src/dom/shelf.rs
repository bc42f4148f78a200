//! Images, fonts and styles kept beside the snapshot, named by their hash (`ASSET_*` limits).
//!
//! Invariant: only whole assets stand here, each once; when the budget is used up the oldest leave first.

use std::collections::{BTreeSet, VecDeque};

use fanlight_wire::Frame;
use fanlight_wire::limits::{ASSET_BYTES_MAX, ASSET_COUNT_MAX};

use super::assembly::Message;

/// The first half of the SHA-256 of an asset's content, as the visitor states it.
pub(super) type Name = [u8; 16];

#[derive(Debug, Default)]
pub(super) struct Shelf {
    assets: VecDeque<Asset>,
    names: BTreeSet<Name>,
    /// Number of the oldest asset held; numbers are never reused.
    first: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Asset {
    name: Name,
    frames: Vec<Frame>,
    bytes: u64,
}

/// How far an agent has been given the assets.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Reader {
    asset: u64,
    chunk: usize,
}

impl Shelf {
    /// The name at the head of an asset's first chunk.
    pub(super) fn name_of(first_chunk: &Frame) -> Option<Name> {
        first_chunk.payload().first_chunk().copied()
    }

    pub(super) fn holds(&self, name: &Name) -> bool {
        self.names.contains(name)
    }

    /// Puts a whole asset on the shelf and says how many others had to leave for it.
    pub(super) fn put(&mut self, name: Name, message: Message) -> u64 {
        if !self.names.insert(name) {
            return 0;
        }
        self.bytes += message.bytes;
        self.assets.push_back(Asset { name, frames: message.frames, bytes: message.bytes });
        let mut evicted = 0;
        while self.bytes > ASSET_BYTES_MAX as u64 || self.assets.len() > ASSET_COUNT_MAX {
            let Some(oldest) = self.assets.pop_front() else { break };
            self.names.remove(&oldest.name);
            self.bytes -= oldest.bytes;
            self.first += 1;
            evicted += 1;
        }
        evicted
    }

    /// The next frame for a reader. An asset that left while it was being read is skipped.
    pub(super) fn next_frame(&self, reader: &mut Reader) -> Option<Frame> {
        if reader.asset < self.first {
            *reader = Reader { asset: self.first, chunk: 0 };
        }
        let asset = self.assets.get(usize::try_from(reader.asset - self.first).ok()?)?;
        let frame = asset.frames.get(reader.chunk)?.clone();
        reader.chunk += 1;
        if reader.chunk == asset.frames.len() {
            *reader = Reader { asset: reader.asset + 1, chunk: 0 };
        }
        Some(frame)
    }

    /// Names in hex, oldest first.
    pub(super) fn names(&self) -> Vec<String> {
        self.assets.iter().map(|asset| hex::encode(asset.name)).collect()
    }

    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn clear(&mut self) {
        self.first += self.assets.len() as u64;
        self.assets.clear();
        self.names.clear();
        self.bytes = 0;
    }
}
