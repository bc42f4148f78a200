//! An agent's copy of a synthetic page, and the oracle of a DOM stream: it accepts exactly what a viewer could apply.
//!
//! Invariant: after every accepted frame the copy is a state that the visitor's page really had.

use std::collections::{BTreeMap, BTreeSet};

use fanlight_wire::{Frame, Kind, MaskEpoch, Sequence};

use crate::page::{Change, State, link};

/// What a frame did to the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// A part of a message; more follows.
    Part,
    /// A whole page, made at this time of the sender's clock (microseconds).
    Snapshot {
        at_us: u64,
    },
    /// A change, made at this time.
    Diff {
        at_us: u64,
    },
    Asset,
}

/// The stream is not one that a viewer could apply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    #[error("diff {found:?} follows {have:?}")]
    Gap { have: Sequence, found: Sequence },
    #[error("a diff of another page, or before any snapshot")]
    Page,
    #[error("the chain does not continue")]
    Chain,
    #[error("chunk {found} came where {expected} was due")]
    Chunk { expected: u16, found: u16 },
    #[error("a frame under mask {found:?} after mask {have:?}")]
    Mask { have: MaskEpoch, found: MaskEpoch },
    #[error("a snapshot of the page it already has, without a resync")]
    Unannounced,
    #[error("an unreadable payload")]
    Payload,
}

#[derive(Debug)]
struct Assembly {
    message: u32,
    bytes: Vec<u8>,
    next: u16,
}

/// An agent's copy.
#[derive(Debug, Default)]
pub struct Mirror {
    state: Option<State>,
    mask: MaskEpoch,
    open: BTreeMap<Kind, Assembly>,
    assets: BTreeSet<[u8; 16]>,
    snapshots: u64,
    diffs: u64,
}

impl Mirror {
    /// Where the copy stands; `None` before the first snapshot and during a resync.
    pub const fn state(&self) -> Option<State> {
        self.state
    }

    pub const fn snapshots(&self) -> u64 {
        self.snapshots
    }

    pub const fn diffs(&self) -> u64 {
        self.diffs
    }

    pub fn asset_count(&self) -> usize {
        self.assets.len()
    }

    /// The relay said `resync`, or the carrier was lost: a snapshot follows.
    pub fn forget(&mut self) {
        self.state = None;
        self.open.clear();
    }

    /// Applies a frame of the `Dom` class.
    ///
    /// # Errors
    /// [`Broken`] when a viewer could not apply it.
    pub fn handle_frame(&mut self, frame: &Frame) -> Result<Applied, Broken> {
        let header = frame.header();
        if header.mask_epoch < self.mask {
            return Err(Broken::Mask { have: self.mask, found: header.mask_epoch });
        }
        self.mask = header.mask_epoch;
        let Some(message) = self.assemble(frame)? else { return Ok(Applied::Part) };
        match header.kind {
            Kind::Snapshot => self.apply_snapshot(frame, &message),
            Kind::Diff => self.apply_diff(frame, &message),
            _ => {
                let name = message.first_chunk::<16>().ok_or(Broken::Payload)?;
                self.assets.insert(*name);
                Ok(Applied::Asset)
            }
        }
    }

    fn assemble(&mut self, frame: &Frame) -> Result<Option<Vec<u8>>, Broken> {
        let header = frame.header();
        // A message that breaks off (the visitor's page went away in the middle) gives way to the next one.
        if header.chunk_index == 0 {
            self.open.insert(header.kind, Assembly { message: header.message, bytes: Vec::new(), next: 0 });
        }
        let found = header.chunk_index;
        let open = self.open.get_mut(&header.kind).ok_or(Broken::Chunk { expected: 0, found })?;
        if open.message != header.message || open.next != found {
            return Err(Broken::Chunk { expected: open.next, found });
        }
        open.bytes.extend_from_slice(frame.payload());
        open.next += 1;
        let whole = header.is_last_chunk();
        Ok(whole.then(|| self.open.remove(&header.kind).map(|open| open.bytes)).flatten())
    }

    fn apply_snapshot(&mut self, frame: &Frame, message: &[u8]) -> Result<Applied, Broken> {
        let header = frame.header();
        let change = Change::read(message).ok_or(Broken::Payload)?;
        if self.state.is_some_and(|have| have.epoch == header.page_epoch && have.mask == header.mask_epoch) {
            return Err(Broken::Unannounced);
        }
        self.state = Some(State {
            epoch: header.page_epoch,
            mask: header.mask_epoch,
            sequence: header.sequence,
            chain: change.chain,
        });
        self.snapshots += 1;
        Ok(Applied::Snapshot { at_us: change.at_us })
    }

    fn apply_diff(&mut self, frame: &Frame, message: &[u8]) -> Result<Applied, Broken> {
        let header = frame.header();
        let change = Change::read(message).ok_or(Broken::Payload)?;
        let state = self.state.as_mut().filter(|have| have.epoch == header.page_epoch).ok_or(Broken::Page)?;
        if state.sequence.next() != Some(header.sequence) {
            return Err(Broken::Gap { have: state.sequence, found: header.sequence });
        }
        if link(state.chain, change.step) != change.chain {
            return Err(Broken::Chain);
        }
        (state.sequence, state.chain) = (header.sequence, change.chain);
        self.diffs += 1;
        Ok(Applied::Diff { at_us: change.at_us })
    }
}

#[cfg(test)]
mod tests {
    use fanlight_wire::PageEpoch;

    use super::*;
    use crate::page::Page;

    fn page() -> Page {
        Page::new(7, PageEpoch::ZERO, MaskEpoch::ZERO, 40_000)
    }

    fn feed(mirror: &mut Mirror, frames: &[Frame]) -> Result<Applied, Broken> {
        frames
            .iter()
            .map(|frame| mirror.handle_frame(frame))
            .collect::<Result<Vec<_>, _>>()
            .map(|all| all[all.len() - 1])
    }

    #[test]
    fn a_copy_follows_its_page() {
        let (mut page, mut mirror) = (page(), Mirror::default());
        assert_eq!(feed(&mut mirror, &page.snapshot(1)), Ok(Applied::Snapshot { at_us: 1 }));
        for bytes in [0, 10, 50_000] {
            assert_eq!(feed(&mut mirror, &page.change(bytes, 2)), Ok(Applied::Diff { at_us: 2 }));
        }
        assert_eq!(mirror.state(), Some(page.state()));
        page.load_another();
        assert!(feed(&mut mirror, &page.snapshot(3)).is_ok());
        assert_eq!(mirror.state(), Some(page.state()));
    }

    #[test]
    fn every_way_to_break_a_stream_is_seen() {
        let (mut page, mut mirror) = (page(), Mirror::default());
        assert_eq!(feed(&mut mirror, &page.change(1, 0)), Err(Broken::Page));
        let snapshot = page.snapshot(0);
        assert_eq!(mirror.handle_frame(&snapshot[1]), Err(Broken::Chunk { expected: 0, found: 1 }));
        assert!(feed(&mut mirror, &snapshot).is_ok());
        assert_eq!(feed(&mut mirror, &snapshot), Err(Broken::Unannounced));
        page.change(1, 0);
        assert!(matches!(feed(&mut mirror, &page.change(1, 0)), Err(Broken::Gap { .. })));
        page.hide_more();
        assert!(feed(&mut mirror, &page.snapshot(0)).is_ok());
        assert!(matches!(feed(&mut mirror, &snapshot), Err(Broken::Mask { .. })));
        let mut other = Page::new(8, PageEpoch::ZERO, page.state().mask, 10);
        for _ in 0..3 {
            other.change(1, 0);
        }
        assert_eq!(feed(&mut mirror, &other.change(1, 0)), Err(Broken::Chain));
    }
}
