//! A synthetic page: the visitor's side of a DOM stream, without a browser.
//!
//! Invariant: its whole state is one number, a hash chain over every change since the page was loaded, so that two
//! copies are equal exactly when their chains are. What it sends are recorder events that a real viewer also accepts
//! (custom events), so a person may watch a load test.

use fanlight_wire::frame::{FrameError, Header};
use fanlight_wire::limits::PAYLOAD_BYTES_MAX;
use fanlight_wire::{Frame, Kind, MaskEpoch, PageEpoch, Sequence};
use serde::{Deserialize, Serialize};

/// Where a page, or a copy of one, stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    pub epoch: PageEpoch,
    pub mask: MaskEpoch,
    pub sequence: Sequence,
    pub chain: u64,
}

/// What a synthetic event carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The chain after this event.
    pub chain: u64,
    /// What was added to the chain; zero for a snapshot.
    pub step: u64,
    /// When it was made, in microseconds of the sender's clock.
    pub at_us: u64,
    /// Ballast.
    pub fill: String,
}

#[derive(Serialize, Deserialize)]
struct Tagged {
    tag: String,
    payload: Change,
}

#[derive(Serialize, Deserialize)]
struct Event {
    r#type: u8,
    timestamp: u64,
    data: Tagged,
}

/// The recorder's number of a custom event.
const CUSTOM: u8 = 5;
const TAG: &str = "fanlight.load";

impl Change {
    /// As the payload of a message: a JSON array with one custom event.
    pub fn to_payload(&self) -> Vec<u8> {
        let data = Tagged { tag: TAG.to_owned(), payload: self.clone() };
        let event = Event { r#type: CUSTOM, timestamp: self.at_us / 1_000, data };
        // Plain data with string keys serialises always.
        serde_json::to_vec(&[event]).unwrap_or_default()
    }

    /// Reads the payload of a whole message; `None` when it is not of this kind (a real page's, for example).
    pub fn read(payload: &[u8]) -> Option<Self> {
        let events: Vec<Event> = serde_json::from_slice(payload).ok()?;
        events.into_iter().find(|event| event.data.tag == TAG).map(|event| event.data.payload)
    }
}

/// The next link of a chain (splitmix64's finaliser: cheap, and no two steps cancel out).
pub const fn link(chain: u64, step: u64) -> u64 {
    let mut z = chain.rotate_left(23) ^ step.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The visitor's page.
#[derive(Debug)]
pub struct Page {
    state: State,
    message: u32,
    snapshot_bytes: usize,
    random: fastrand::Rng,
}

impl Page {
    /// The first page of a visit. `newest` and `mask` are what `welcome` told; a snapshot weighs `snapshot_bytes`.
    pub fn new(seed: u64, newest: PageEpoch, mask: MaskEpoch, snapshot_bytes: usize) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let chain = random.u64(..);
        let state = State { epoch: newest.next(), mask, sequence: Sequence(0), chain };
        Self { state, message: 0, snapshot_bytes, random }
    }

    pub const fn state(&self) -> State {
        self.state
    }

    /// The visitor follows a link: another page, another epoch. A snapshot must be sent next.
    pub fn load_another(&mut self) {
        self.state.epoch = self.state.epoch.next();
        self.state.sequence = Sequence(0);
        self.state.chain = self.random.u64(..);
    }

    /// More is hidden from now on; returns the epoch to announce. A snapshot must be sent next.
    pub const fn hide_more(&mut self) -> MaskEpoch {
        self.state.mask = self.state.mask.next();
        self.state.mask
    }

    /// The page as it is now. Contains the diff [`State::sequence`].
    pub fn snapshot(&mut self, at_us: u64) -> Vec<Frame> {
        let change = Change { chain: self.state.chain, step: 0, at_us, fill: self.fill(self.snapshot_bytes) };
        self.message(Kind::Snapshot, &change.to_payload())
    }

    /// Changes the page and returns the diff, with about `bytes` of ballast.
    pub fn change(&mut self, bytes: usize, at_us: u64) -> Vec<Frame> {
        let step = self.random.u64(..);
        self.state.chain = link(self.state.chain, step);
        self.state.sequence = Sequence(self.state.sequence.0.saturating_add(1));
        let change = Change { chain: self.state.chain, step, at_us, fill: self.fill(bytes) };
        self.message(Kind::Diff, &change.to_payload())
    }

    /// An image of `bytes` bytes with a random name.
    pub fn asset(&mut self, bytes: usize) -> Vec<Frame> {
        let mut payload: Vec<u8> = (0..16).map(|_| self.random.u8(..)).collect();
        payload.push(9);
        payload.extend_from_slice(b"image/png");
        payload.resize(payload.len() + bytes, 0x5a);
        self.message(Kind::Asset, &payload)
    }

    fn fill(&mut self, bytes: usize) -> String {
        (0..bytes).map(|_| self.random.alphanumeric()).collect()
    }

    fn message(&mut self, kind: Kind, payload: &[u8]) -> Vec<Frame> {
        self.message = self.message.wrapping_add(1);
        let header = Header {
            page_epoch: self.state.epoch,
            mask_epoch: self.state.mask,
            sequence: if kind == Kind::Asset { Sequence(0) } else { self.state.sequence },
            message: self.message,
            ..Header::single(kind)
        };
        // A message that is too large for its limits is a mistake in the scenario; it then has no frames.
        chunks(header, payload).unwrap_or_default()
    }
}

/// Spreads a message over frames.
///
/// # Errors
/// [`FrameError::Chunk`] when it needs more chunks than a message may have.
pub fn chunks(header: Header, payload: &[u8]) -> Result<Vec<Frame>, FrameError> {
    let count = payload.len().div_ceil(PAYLOAD_BYTES_MAX).max(1);
    let chunk_count = u16::try_from(count).unwrap_or(u16::MAX);
    if payload.is_empty() {
        return Ok(vec![Frame::new(Header { chunk_count, ..header }, payload)?]);
    }
    let pieces = (0..chunk_count).zip(payload.chunks(PAYLOAD_BYTES_MAX));
    pieces.map(|(chunk_index, piece)| Frame::new(Header { chunk_index, chunk_count, ..header }, piece)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_reads_back_from_its_payload() {
        let change = Change { chain: u64::MAX, step: 7, at_us: 12_345, fill: "abc".into() };
        assert_eq!(Change::read(&change.to_payload()), Some(change));
        assert_eq!(Change::read(b"[]"), None);
    }

    #[test]
    fn a_large_snapshot_is_spread_over_frames_in_order() {
        let mut page = Page::new(1, PageEpoch::ZERO, MaskEpoch::ZERO, 100_000);
        let frames = page.snapshot(0);
        assert_eq!(frames.len(), 100_000usize.div_ceil(PAYLOAD_BYTES_MAX));
        for (index, frame) in frames.iter().enumerate() {
            assert_eq!(usize::from(frame.header().chunk_index), index);
            assert_eq!(frame.header().message, frames[0].header().message);
        }
        let payload: Vec<u8> = frames.iter().flat_map(|frame| frame.payload().to_vec()).collect();
        assert_eq!(Change::read(&payload).expect("a change").chain, page.state().chain);
    }
}
