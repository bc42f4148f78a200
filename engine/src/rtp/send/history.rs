//! Which stored packet left under which number, for repairs.
//!
//! Invariant: an entry names a packet of the current source only; a change of source forgets all of them (R015).

use std::time::{Duration, Instant};

use fanlight_wire::limits::HISTORY_PACKETS;

/// No packet.
const NONE: u32 = u32::MAX;

/// The last [`HISTORY_PACKETS`] packets of a subscription. Empty until something is sent.
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
    pub(super) fn note(&mut self, number: u64, position: u64) {
        if self.entries.is_empty() {
            self.entries = vec![EMPTY; HISTORY_PACKETS];
        }
        if let Some(entry) = self.entries.get_mut(place(number)) {
            *entry = Entry { position: position as u32, number: number as u16, repaired: 0 };
        }
    }

    /// The position of what left as `number`; `head` is the ring's.
    pub(super) fn find(&self, number: u64, head: u64) -> Option<u64> {
        let entry = self.entries.get(place(number))?;
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
        let Some(entry) = self.entries.get_mut(place(number)) else { return false };
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
}

const fn place(number: u64) -> usize {
    (number % HISTORY_PACKETS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
    fn what_left_is_found_and_repaired_once_per_round_trip() {
        let (mut history, base) = (History::default(), Instant::now());
        let head = u64::from(u32::MAX) + 40;
        for number in 0..600 {
            history.note(70_000 + number, head - 600 + number);
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
}
