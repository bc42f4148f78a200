//! The bytes of a ring's packets, in one piece of memory that is written around and around.
//!
//! Invariant: between the oldest packet's beginning and the write mark (around the end, if need be) every byte belongs to
//! a stored packet; a packet is never split by the end.

use std::collections::VecDeque;

use super::Slot;

/// What a ring begins with: a few packets.
const BYTES_MIN: usize = 8 * 1024;
/// Releases between two looks at whether memory can be given back.
const SHRINK_EVERY: u32 = 512;

#[derive(Debug, Default)]
pub(super) struct Store {
    bytes: Vec<u8>,
    /// Where the next packet goes.
    mark: usize,
    /// Bytes of stored packets.
    live: usize,
    released: u32,
}

impl Store {
    /// Writes both parts behind each other and returns where. `None` when there is no room beside the packets that
    /// begin at `oldest`.
    pub(super) fn write(&mut self, oldest: Option<u32>, payload: &[u8], carried: &[u8]) -> Option<u32> {
        // An empty packet takes a byte, so that the mark never stands still.
        let length = (payload.len() + carried.len()).max(1);
        let at = match oldest.map(|oldest| oldest as usize) {
            None if length <= self.bytes.len() => 0,
            None => return None,
            Some(oldest) if self.mark > oldest && self.bytes.len() - self.mark >= length => self.mark,
            Some(oldest) if self.mark > oldest && length < oldest => 0,
            Some(oldest) if self.mark < oldest && oldest - self.mark > length => self.mark,
            Some(_) => return None,
        };
        let middle = at + payload.len();
        self.bytes.get_mut(at..middle)?.copy_from_slice(payload);
        self.bytes.get_mut(middle..middle + carried.len())?.copy_from_slice(carried);
        self.mark = at + length;
        self.live += length;
        u32::try_from(at).ok()
    }

    pub(super) fn bytes(&self, at: u32, length: usize) -> &[u8] {
        let at = at as usize;
        self.bytes.get(at..at + length).unwrap_or_default()
    }

    pub(super) const fn release(&mut self, slot: &Slot) {
        self.live = self.live.saturating_sub(slot.bytes());
        self.released += 1;
    }

    /// No packet is stored any more.
    pub(super) const fn clear(&mut self) {
        (self.mark, self.live) = (0, 0);
    }

    #[cfg(test)]
    pub(super) const fn capacity(&self) -> usize {
        self.bytes.len()
    }

    pub(super) const fn is_largest(&self, most: usize) -> bool {
        self.bytes.len() >= most
    }

    /// Doubles the memory, up to `most`. False when it is as large already.
    pub(super) fn grow(&mut self, slots: &mut VecDeque<Slot>, most: usize) -> bool {
        if self.is_largest(most) {
            return false;
        }
        self.move_to((self.bytes.len() * 2).clamp(BYTES_MIN, most), slots);
        true
    }

    /// Gives memory back when an eighth of it would do.
    pub(super) fn shrink(&mut self, slots: &mut VecDeque<Slot>) {
        if self.released < SHRINK_EVERY {
            return;
        }
        self.released = 0;
        if self.bytes.len() > BYTES_MIN && self.live < self.bytes.len() / 8 {
            self.move_to((self.bytes.len() / 2).max(BYTES_MIN), slots);
        }
    }

    fn move_to(&mut self, length: usize, slots: &mut VecDeque<Slot>) {
        let mut fresh = vec![0; length];
        let mut mark = 0;
        for slot in slots {
            let whole = slot.bytes();
            let from = self.bytes.get(slot.at as usize..slot.at as usize + whole).unwrap_or_default();
            if let Some(to) = fresh.get_mut(mark..mark + whole) {
                to.copy_from_slice(from);
            }
            slot.at = u32::try_from(mark).unwrap_or_default();
            mark += whole;
        }
        (self.bytes, self.mark, self.live) = (fresh, mark, mark);
    }
}

impl Slot {
    /// Bytes that it takes in the store.
    const fn bytes(&self) -> usize {
        let bytes = self.payload_bytes as usize + self.carried_bytes as usize;
        if bytes == 0 { 1 } else { bytes }
    }
}
