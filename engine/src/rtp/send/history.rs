//! Which stored packet left under which number, for repairs.
//!
//! Invariant: an entry names a packet of the current source only; a change of source forgets all of them (R015).

use std::time::{Duration, Instant};

use fanlight_wire::limits::HISTORY_PACKETS;

/// No packet.
const NONE: u32 = u32::MAX;

/// Places that it begins with; doubled while a packet that the ring still holds would lose its own.
const PLACES_MIN: usize = 64;

/// The last packets of a subscription, as many as its ring holds, at most [`HISTORY_PACKETS`]. Empty until something is sent.
#[derive(Debug, Default)]
pub(super) struct History {
    entries: Vec<Entry>,
    base: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The lower half of the ring position.
    position: u32,
    /// The lower sixteen bits of the number.
    number: u16,
    /// Milliseconds (modulo) at which it was last sent again; 0 is never.
    repaired: u16,
}

const EMPTY: Entry = Entry { position: NONE, number: 0, repaired: 0 };

impl History {
    /// `oldest` is the first position that the ring holds.
    pub(super) fn note(&mut self, number: u64, position: u64, oldest: u64) {
        while self.entries.len() < HISTORY_PACKETS && self.is_taken(number, position, oldest) {
            self.grow();
        }
        if let Some(entry) = self.place_mut(number) {
            *entry = Entry { position: position as u32, number: number as u16, repaired: 0 };
        }
    }

    /// Is there no place for `number` but that of a packet that may still be sent again?
    fn is_taken(&self, number: u64, position: u64, oldest: u64) -> bool {
        let Some(entry) = self.place(number) else { return true };
        let behind = u64::from((position as u32).wrapping_sub(entry.position));
        entry.position != NONE && behind <= position.saturating_sub(oldest)
    }

    fn grow(&mut self) {
        let places = (self.entries.len() * 2).clamp(PLACES_MIN, HISTORY_PACKETS);
        for entry in std::mem::replace(&mut self.entries, vec![EMPTY; places]) {
            // The lower bits of a number are enough: there are never more places than they name.
            if let Some(place) = self.place_mut(entry.number.into()).filter(|_| entry.position != NONE) {
                *place = entry;
            }
        }
    }

    /// The position of what left as `number`; `head` is the ring's.
    pub(super) fn find(&self, number: u64, head: u64) -> Option<u64> {
        let entry = self.place(number)?;
        let known = entry.position != NONE && entry.number == number as u16;
        let behind = (head as u32).wrapping_sub(entry.position);
        known.then(|| head.checked_sub(u64::from(behind)))?
    }

    /// May it be sent again at `now`? Not when that was done less than `pause` ago.
    pub(super) fn admits_repair(&mut self, number: u64, now: Instant, pause: Duration) -> bool {
        let base = *self.base.get_or_insert(now);
        let since = now.saturating_duration_since(base).as_millis() as u64;
        // 0 means never.
        let stamp = (since as u16).max(1);
        let Some(entry) = self.place_mut(number) else { return false };
        let age = stamp.wrapping_sub(entry.repaired);
        if entry.repaired != 0 && Duration::from_millis(u64::from(age)) < pause {
            return false;
        }
        entry.repaired = stamp;
        true
    }

    pub(super) fn clear(&mut self) {
        self.entries.fill(EMPTY);
    }

    fn place(&self, number: u64) -> Option<&Entry> {
        self.entries.get(self.index(number))
    }

    fn place_mut(&mut self, number: u64) -> Option<&mut Entry> {
        let index = self.index(number);
        self.entries.get_mut(index)
    }

    /// There are as many places as a power of two says, or none: a mask for every packet, not a division.
    const fn index(&self, number: u64) -> usize {
        number as usize & self.entries.len().wrapping_sub(1)
    }
}

const _: () =
    assert!(HISTORY_PACKETS.is_power_of_two() && HISTORY_PACKETS < 1 << 16, "a number's lower bits name its place");
const _: () = assert!(PLACES_MIN.is_power_of_two() && PLACES_MIN <= HISTORY_PACKETS, "doubling it ends at the most");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
    fn what_left_is_found_and_repaired_once_per_round_trip() {
        let (mut history, base) = (History::default(), Instant::now());
        let head = u64::from(u32::MAX) + 40;
        for number in 0..600 {
            history.note(70_000 + number, head - 600 + number, head - 600);
        }
        assert_eq!(history.find(70_599, head), Some(head - 1));
        assert_eq!(history.find(70_000, head), None, "its place was taken");
        let pause = Duration::from_millis(50);
        let at = |ms| base + Duration::from_millis(ms);
        let asked = [0, 10, 49, 51, 60, 200].map(|ms| history.admits_repair(70_500, at(ms), pause));
        assert_eq!(asked, [true, false, false, true, false, true]);
        history.clear();
        assert_eq!(history.find(70_599, head), None);
    }

    #[test]
    fn it_has_as_many_places_as_the_ring_holds_packets() {
        let places = |held: u64| {
            let mut history = History::default();
            for number in 0..3_000_u64 {
                history.note(65_000 + number, number, number.saturating_sub(held - 1));
                for behind in 0..held.min(number + 1).min(HISTORY_PACKETS as u64) {
                    assert_eq!(history.find(65_000 + number - behind, number + 1), Some(number - behind));
                }
            }
            history.entries.len()
        };
        assert_eq!([20, 64, 65, 140, 2_000].map(places), [64, 64, 128, 256, HISTORY_PACKETS]);
        let mut late = History::default();
        for number in (0..100_u64).rev() {
            late.note(number, 99 - number, 0);
        }
        assert_eq!((late.find(99, 100), late.find(0, 100)), (Some(0), Some(99)), "out of order");
    }
}
