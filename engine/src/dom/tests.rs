//! Rules of the DOM stream, one test each, and the clients that both these and the model use.

mod model;
mod rules;
mod slow;

use std::time::{Duration, Instant};

use fanlight_wire::frame::FLAG_DEFLATE;
use fanlight_wire::signal::{LagState, SnapshotReason};
use fanlight_wire::{Code, Frame, Header, Kind, MaskEpoch, PageEpoch, ParticipantId, Sequence};

use super::{Dom, DomEvent};

const VISITOR: ParticipantId = ParticipantId(1);
const ANN: ParticipantId = ParticipantId(2);
const BEN: ParticipantId = ParticipantId(3);

/// The origin of virtual time.
#[expect(clippy::disallowed_methods, reason = "the origin of a test's virtual time")]
pub(super) fn origin() -> Instant {
    Instant::now()
}

/// The visitor's numbers, as its page counts them.
#[derive(Debug, Clone)]
struct Page {
    mask: u32,
    page: u32,
    sequence: u32,
    message: u32,
}

impl Page {
    fn new() -> Self {
        Self { mask: 0, page: 1, sequence: 0, message: 0 }
    }

    /// The whole page as it is now, in chunks of `bytes` each.
    fn snapshot(&mut self, chunks: u16, bytes: usize) -> Vec<Frame> {
        self.message(Kind::Snapshot, chunks, bytes)
    }

    /// The next change.
    fn diff(&mut self, chunks: u16, bytes: usize) -> Vec<Frame> {
        self.sequence += 1;
        self.message(Kind::Diff, chunks, bytes)
    }

    fn asset(&mut self, name: u8, chunks: u16, bytes: usize) -> Vec<Frame> {
        let mut frames = self.message(Kind::Asset, chunks, bytes);
        let mut payload = vec![name; 16];
        payload.resize(bytes.max(17), 9);
        frames[0] = Frame::new(*frames[0].header(), &payload).expect("fits a frame");
        frames
    }

    fn message(&mut self, kind: Kind, chunks: u16, bytes: usize) -> Vec<Frame> {
        self.message += 1;
        let header = Header {
            kind,
            flags: FLAG_DEFLATE,
            source: VISITOR,
            page_epoch: PageEpoch::new(self.page),
            sequence: Sequence(self.sequence),
            message: self.message,
            chunk_index: 0,
            chunk_count: chunks,
            mask_epoch: MaskEpoch::new(self.mask),
            length: 0,
        };
        let chunk = |chunk_index| Frame::new(Header { chunk_index, ..header }, &vec![7; bytes]).expect("fits a frame");
        (0..chunks).map(chunk).collect()
    }

    fn state(&self) -> State {
        (self.mask, self.page, self.sequence)
    }
}

/// Mask epoch, page epoch and sequence: two copies of a page with the same three are equal.
type State = (u32, u32, u32);

/// An agent's copy of the page, built from frames as a viewer builds it. Panics when it is given what does not
/// continue what it has.
#[derive(Debug, Default)]
struct Copy {
    state: Option<State>,
    /// The message under way and its next chunk.
    open: Option<(Kind, u32, u16)>,
    /// It was told to forget its copy, or has none.
    cleared: bool,
    taken: usize,
}

impl Copy {
    fn new() -> Self {
        Self { cleared: true, ..Self::default() }
    }

    /// A `Resync` event.
    fn clear(&mut self) {
        assert!(self.taken > 0, "told to forget what it does not have");
        assert!(!self.cleared, "told twice to forget");
        self.cleared = true;
    }

    fn take(&mut self, frame: &Frame) {
        let header = *frame.header();
        self.taken += 1;
        match header.kind {
            Kind::Snapshot => self.take_snapshot(&header),
            Kind::Diff => self.take_diff(&header),
            other => assert_eq!(other, Kind::Asset),
        }
    }

    fn take_snapshot(&mut self, header: &Header) {
        if header.chunk_index == 0 {
            assert!(std::mem::take(&mut self.cleared), "a snapshot nobody announced: {header:?}");
            self.state = None;
        } else {
            assert_eq!(self.open, Some((Kind::Snapshot, header.message, header.chunk_index)), "{header:?}");
        }
        self.open = Some((Kind::Snapshot, header.message, header.chunk_index + 1));
        if header.is_last_chunk() {
            self.open = None;
            self.state = Some((header.mask_epoch.value(), header.page_epoch.value(), header.sequence.0));
        }
    }

    fn take_diff(&mut self, header: &Header) {
        let (mask, page, sequence) = self.state.expect("a diff before a snapshot");
        assert!(!self.cleared, "a diff after it was told to forget its copy");
        assert_eq!((header.mask_epoch.value(), header.page_epoch.value()), (mask, page), "{header:?}");
        assert_eq!(header.sequence.0, sequence + 1, "a gap or a repetition: {header:?}");
        match self.open {
            None => assert_eq!(header.chunk_index, 0, "{header:?}"),
            open => assert_eq!(open, Some((Kind::Diff, header.message, header.chunk_index)), "{header:?}"),
        }
        self.open = Some((Kind::Diff, header.message, header.chunk_index + 1));
        if header.is_last_chunk() {
            self.open = None;
            self.state = Some((mask, page, sequence + 1));
        }
    }
}

/// A stream with a visitor's page, on virtual time.
struct Desk {
    dom: Dom,
    page: Page,
    now: Instant,
    told: Vec<DomEvent>,
}

impl Desk {
    fn new(cache: bool) -> Self {
        Self { dom: Dom::new(cache), page: Page::new(), now: origin(), told: Vec::new() }
    }

    /// With a page of `chunks` whole frames in the cache.
    fn with_page(chunks: u16) -> Self {
        let mut desk = Self::new(true);
        let page = desk.page.snapshot(chunks, 1_000);
        desk.give(&page);
        desk
    }

    /// Hands frames in; every one must be taken.
    fn give(&mut self, frames: &[Frame]) {
        for frame in frames {
            self.dom.handle_frame(self.now, frame.clone()).expect("taken");
        }
    }

    fn snapshot(&mut self, chunks: u16) {
        let frames = self.page.snapshot(chunks, 1_000);
        self.give(&frames);
    }

    fn diff(&mut self, chunks: u16, bytes: usize) {
        let frames = self.page.diff(chunks, bytes);
        self.give(&frames);
    }

    /// The code of each frame's refusal.
    fn refused(&mut self, frames: &[Frame]) -> Vec<Option<Code>> {
        let take = |frame: &Frame| self.dom.handle_frame(self.now, frame.clone()).err().map(|refusal| refusal.code);
        frames.iter().map(take).collect()
    }

    fn join(&mut self, agent: ParticipantId) {
        self.dom.join(self.now, agent);
    }

    fn pull(&mut self, agent: ParticipantId) -> Option<Frame> {
        self.dom.next_frame(self.now, agent)
    }

    /// Everything an agent is given now, as kind and sequence of each frame.
    fn drain(&mut self, agent: ParticipantId) -> Vec<(Kind, u32)> {
        let frame = || self.pull(agent).map(|frame| (frame.header().kind, frame.header().sequence.0));
        std::iter::from_fn(frame).collect()
    }

    /// What happened since it was asked last.
    fn events(&mut self) -> Vec<DomEvent> {
        self.poll();
        std::mem::take(&mut self.told)
    }

    fn poll(&mut self) {
        self.told.extend(std::iter::from_fn(|| self.dom.poll_event()));
    }

    /// Time passes, and everything that comes due is done when it is due.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        self.poll();
        let mut turns = 0;
        while let Some(at) = self.dom.deadline().at.filter(|at| *at <= end) {
            turns += 1;
            assert!(turns < 1_000, "a deadline that does not move: {:?}", self.dom.deadline());
            self.now = self.now.max(at);
            self.dom.handle_timeout(self.now);
            self.poll();
        }
        self.now = end;
    }
}

const fn wanted(reason: SnapshotReason) -> DomEvent {
    DomEvent::SnapshotWanted(reason)
}

const fn resync(agent: ParticipantId, reason: &'static str) -> DomEvent {
    DomEvent::Resync { agent, reason }
}

/// The lag states an agent was told, in order.
fn states(events: &[DomEvent], of: ParticipantId) -> Vec<LagState> {
    let state = |event: &DomEvent| match event {
        DomEvent::Lag { agent, state, .. } if *agent == of => Some(*state),
        _ => None,
    };
    events.iter().filter_map(state).collect()
}
