//! What was sent lately under which transport-wide number, so that feedback can be matched to it.
//!
//! A ring of at most [`ENTRIES_MAX`] entries of eight bytes. It begins small and grows only for peers that answer, so a
//! peer without transport-wide feedback costs one kilobyte. Invariant: an entry is answered as received at most once
//! and as lost at most once.

/// 512 packets are 1.5 s at 3 Mbit/s. Feedback for older ones is not attributable and is ignored.
const ENTRIES_MAX: usize = 512;
const ENTRIES_MIN: usize = 128;
/// Top bit of [`Entry::bytes`]: the peer has said that it is missing.
const MISSING: u16 = 0x8000;

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    /// Microseconds since the estimator's beginning, modulo 2³².
    at: u32,
    sequence: u16,
    /// Zero when the place is free.
    bytes: u16,
}

/// One packet that feedback speaks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sent {
    /// Microseconds since the estimator's beginning.
    pub(super) at: u64,
    pub(super) bytes: u32,
    /// Was it counted as lost before it was reported as received?
    pub(super) was_missing: bool,
}

#[derive(Debug)]
pub(super) struct History {
    entries: Vec<Entry>,
    newest: u64,
}

impl History {
    pub(super) fn new() -> Self {
        Self { entries: vec![Entry::default(); ENTRIES_MIN], newest: 0 }
    }

    /// Notes a packet. `grow` when the peer is known to answer.
    pub(super) fn note(&mut self, at: u64, sequence: u16, bytes: usize, grow: bool) {
        if grow && self.entries.len() < ENTRIES_MAX && self.slot(sequence).is_some_and(|entry| entry.bytes != 0) {
            self.widen();
        }
        self.newest = self.newest.max(at);
        // 15 bits hold any datagram of ours; an empty one would look like a free place.
        let bytes = (bytes.clamp(1, usize::from(MISSING) - 1)) as u16;
        if let Some(entry) = self.slot(sequence) {
            *entry = Entry { at: at as u32, sequence, bytes };
        }
    }

    /// The peer has it. `None` when it is unknown or was answered before.
    pub(super) fn received(&mut self, sequence: u16) -> Option<Sent> {
        let newest = self.newest;
        let entry = self.slot(sequence).filter(|entry| entry.sequence == sequence && entry.bytes != 0)?;
        let sent = entry.sent(newest);
        entry.bytes = 0;
        Some(sent)
    }

    /// The peer misses it. `None` when it is unknown or was answered before.
    pub(super) fn missing(&mut self, sequence: u16) -> Option<Sent> {
        let newest = self.newest;
        let entry = self.slot(sequence).filter(|entry| entry.sequence == sequence && entry.bytes != 0)?;
        let sent = entry.sent(newest);
        entry.bytes |= MISSING;
        (!sent.was_missing).then_some(sent)
    }

    fn slot(&mut self, sequence: u16) -> Option<&mut Entry> {
        let mask = self.entries.len() - 1;
        self.entries.get_mut(usize::from(sequence) & mask)
    }

    fn widen(&mut self) {
        let wider = vec![Entry::default(); self.entries.len() * 2];
        let narrow = std::mem::replace(&mut self.entries, wider);
        for entry in narrow.into_iter().filter(|entry| entry.bytes != 0) {
            if let Some(slot) = self.slot(entry.sequence) {
                *slot = entry;
            }
        }
    }
}

impl Entry {
    fn sent(self, newest: u64) -> Sent {
        let age = (newest as u32).wrapping_sub(self.at);
        Sent {
            at: newest.saturating_sub(u64::from(age)),
            bytes: u32::from(self.bytes & !MISSING),
            was_missing: self.bytes & MISSING != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_answered_once_each_way() {
        let mut history = History::new();
        history.note(5_000_000_000, 65_535, 1_200, true);
        history.note(5_000_000_900, 0, 100, true);
        assert_eq!(history.missing(0).map(|sent| (sent.at, sent.bytes)), Some((5_000_000_900, 100)));
        assert_eq!(history.missing(0), None);
        assert!(history.received(0).is_some_and(|sent| sent.was_missing));
        assert_eq!(history.received(0), None);
        assert_eq!(history.received(65_535).map(|sent| sent.at), Some(5_000_000_000));
        assert_eq!(history.received(7), None);
    }

    #[test]
    fn it_grows_only_for_peers_that_answer_and_only_so_far() {
        for (grow, expected) in [(false, ENTRIES_MIN), (true, ENTRIES_MAX)] {
            let mut history = History::new();
            (0..5_000_u16).for_each(|sequence| history.note(u64::from(sequence), sequence, 100, grow));
            assert_eq!(history.entries.len(), expected);
            assert_eq!((0..5_000_u16).filter(|sequence| history.received(*sequence).is_some()).count(), expected);
        }
    }
}
