//! The bytes of a ring's packets, in chunks that come with packets and go with them.
//!
//! Invariants: packets lie in the order in which they were written, and none is split between chunks; beside the chunks
//! that hold stored packets there is one spare at most, so that a steady stream takes nothing from the heap.

use std::collections::VecDeque;

use super::Slot;

/// Bytes of a chunk: a few packets, so that a quiet source costs little. Offsets count modulo 2³², which it divides.
const CHUNK_BYTES: usize = 8 * 1024;

#[derive(Debug, Default)]
pub(super) struct Store {
    chunks: VecDeque<Box<[u8]>>,
    /// The offset at which the oldest chunk begins.
    base: u32,
    /// Bytes of the newest chunk that are taken.
    taken: usize,
    spare: Option<Box<[u8]>>,
}

impl Store {
    /// Writes both parts behind each other and returns where. `None` for what is longer than any packet.
    pub(super) fn write(&mut self, payload: &[u8], carried: &[u8]) -> Option<u32> {
        let length = payload.len() + carried.len();
        if length > CHUNK_BYTES {
            return None;
        }
        if self.chunks.is_empty() || CHUNK_BYTES - self.taken < length {
            let fresh = self.spare.take().unwrap_or_else(|| vec![0; CHUNK_BYTES].into());
            self.chunks.push_back(fresh);
            self.taken = 0;
        }
        let before = (self.chunks.len() - 1) * CHUNK_BYTES;
        let room = self.chunks.back_mut()?.get_mut(self.taken..self.taken + length)?;
        let (first, second) = room.split_at_mut_checked(payload.len())?;
        first.copy_from_slice(payload);
        second.copy_from_slice(carried);
        let at = self.base.wrapping_add((before + self.taken) as u32);
        self.taken += length;
        Some(at)
    }

    pub(super) fn bytes(&self, at: u32, length: usize) -> &[u8] {
        let offset = at.wrapping_sub(self.base) as usize;
        let chunk = self.chunks.get(offset / CHUNK_BYTES);
        let start = offset % CHUNK_BYTES;
        chunk.and_then(|chunk| chunk.get(start..start + length)).unwrap_or_default()
    }

    /// Lets go of what lies before the oldest packet that is still stored.
    pub(super) fn release(&mut self, oldest: Option<&Slot>) {
        let Some(oldest) = oldest else { return self.clear() };
        while oldest.at.wrapping_sub(self.base) as usize >= CHUNK_BYTES
            && let Some(chunk) = self.chunks.pop_front()
        {
            self.base = self.base.wrapping_add(CHUNK_BYTES as u32);
            self.spare = Some(chunk);
        }
    }

    /// No packet is stored any more.
    pub(super) fn clear(&mut self) {
        self.spare = self.chunks.pop_front().or_else(|| self.spare.take());
        self.chunks.clear();
    }

    /// Bytes of all chunks that hold packets.
    pub(super) fn held(&self) -> usize {
        self.chunks.len() * CHUNK_BYTES
    }
}
