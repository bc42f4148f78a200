//! A lane of frames with credit and a class order: what one carrier (WebSocket, WebTransport, simulation) is to the
//! engine.
//!
//! Invariants: classes leave in strict order (a snapshot under way never delays a signal by more than what the window
//! holds); what waits is bounded; nothing follows a close. Carriers, their writes and their credit belong to the host.

use std::collections::VecDeque;

use fanlight_wire::command::Admission;
use fanlight_wire::limits::{PIPE_RESERVE_BYTES, PIPE_SIGNALS_MAX, PIPE_WINDOW_BYTES};
use fanlight_wire::{Class, Code, Frame, SessionId};

/// What the host tells about a pipe.
#[derive(Debug, Clone)]
pub enum PipeInput {
    /// A carrier was opened and its `hello` carried a ticket that the host has verified.
    Join { admission: Box<Admission>, client: fanlight_wire::signal::ClientInfo },
    /// A carrier was opened and its `hello` carried a resume token; the engine verifies it.
    Resume { session: SessionId, token: String, client: fanlight_wire::signal::ClientInfo },
    /// A frame after `hello`.
    Frame(Frame),
    /// Bytes of earlier output have left the carrier.
    Credit(usize),
    /// The carrier is gone.
    Closed,
}

/// What the engine wants of a pipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PipeOutput {
    /// Send this; counts against the pipe's window until credited.
    Frame(Frame),
    /// Send what is queued, then close with this code. The last output of a pipe.
    Close(Code),
}

/// A queue of the pipe is full ([`PIPE_SIGNALS_MAX`]): the far end has not taken anything for a long time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PipeFull;

/// The sending side of one pipe: what waits, in class order, and how much is under way.
///
/// DOM frames never wait here. They stay in the session's ring and are pulled when there is window, so that a pipe that
/// does not move costs a few signals and no page content.
#[derive(Debug, Default)]
pub struct Pipe {
    signals: VecDeque<Frame>,
    inputs: VecDeque<Frame>,
    pointers: VecDeque<Frame>,
    documents: VecDeque<Frame>,
    /// Bytes handed to the host and not yet credited.
    in_flight: usize,
    closing: Closing,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Closing {
    #[default]
    Open,
    /// What waits still leaves, then the close.
    Last(Code),
    Done,
}

impl Pipe {
    /// An open pipe with nothing under way.
    pub fn new() -> Self {
        Self::default()
    }

    /// Queues a frame. Of pointers only the last value of each (source, kind) is kept. Once the pipe is closing,
    /// frames are dropped.
    ///
    /// # Errors
    /// [`PipeFull`] when [`PIPE_SIGNALS_MAX`] frames of its class wait, and for every DOM frame: those are pulled.
    pub fn push(&mut self, frame: Frame) -> Result<(), PipeFull> {
        if self.closing != Closing::Open {
            return Ok(());
        }
        let queue = match frame.header().kind.class() {
            Class::Ctl => &mut self.signals,
            Class::Input => &mut self.inputs,
            Class::Doc => &mut self.documents,
            Class::Pointer => {
                self.point(frame);
                return Ok(());
            }
            Class::Dom => return Err(PipeFull),
        };
        if queue.len() >= PIPE_SIGNALS_MAX {
            return Err(PipeFull);
        }
        queue.push_back(frame);
        Ok(())
    }

    /// The next output in strict class order, if the window allows it. `dom` is asked only when nothing more urgent
    /// waits and there is window for what it gives.
    pub fn next(&mut self, dom: impl FnOnce() -> Option<Frame>) -> Option<PipeOutput> {
        match self.closing {
            Closing::Open => {}
            Closing::Last(code) => return Some(self.next_last(code)),
            Closing::Done => return None,
        }
        let frame = self.next_urgent().or_else(|| {
            if !self.has_window() {
                return None;
            }
            self.pointers.pop_front().or_else(dom).or_else(|| self.documents.pop_front())
        })?;
        self.in_flight += frame.bytes().len();
        Some(PipeOutput::Frame(frame))
    }

    /// Bytes of earlier output have left the carrier.
    pub const fn credit(&mut self, bytes: usize) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
    }

    /// What is queued leaves, then the close, then nothing. The first code stays.
    pub fn close(&mut self, code: Code) {
        if self.closing == Closing::Open {
            self.pointers.clear();
            self.closing = Closing::Last(code);
        }
    }

    /// Is there room for a frame that may wait (pointer, DOM, document)?
    pub const fn has_window(&self) -> bool {
        self.in_flight < PIPE_WINDOW_BYTES
    }

    /// Bytes handed out and not yet credited.
    pub const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Has it been asked to close?
    pub fn is_closing(&self) -> bool {
        self.closing != Closing::Open
    }

    /// Signals and input have a reserve beyond the window, so that a full pipe still carries a decision.
    fn next_urgent(&mut self) -> Option<Frame> {
        if self.in_flight >= PIPE_WINDOW_BYTES + PIPE_RESERVE_BYTES {
            return None;
        }
        self.signals.pop_front().or_else(|| self.inputs.pop_front())
    }

    /// The window does not hold back a farewell: its far end may never credit again, and what waits is bounded.
    fn next_last(&mut self, code: Code) -> PipeOutput {
        let queued = self.signals.pop_front().or_else(|| self.inputs.pop_front());
        let Some(frame) = queued.or_else(|| self.documents.pop_front()) else {
            self.closing = Closing::Done;
            return PipeOutput::Close(code);
        };
        self.in_flight += frame.bytes().len();
        PipeOutput::Frame(frame)
    }

    /// The last value wins; its place in the round stays, so that no source starves another.
    fn point(&mut self, frame: Frame) {
        let key = |frame: &Frame| (frame.header().source, frame.header().kind);
        match self.pointers.iter_mut().find(|waiting| key(waiting) == key(&frame)) {
            Some(waiting) => *waiting = frame,
            None => self.pointers.push_back(frame),
        }
    }
}

#[cfg(test)]
mod tests {
    use fanlight_wire::limits::PAYLOAD_BYTES_MAX;
    use fanlight_wire::{Header, Kind, ParticipantId};

    use super::*;

    fn frame(kind: Kind, source: u8, bytes: usize) -> Frame {
        let header = Header { source: ParticipantId(source), ..Header::single(kind) };
        Frame::new(header, &vec![source; bytes]).expect("fits a frame")
    }

    fn kinds(pipe: &mut Pipe, mut dom: usize) -> Vec<Kind> {
        let mut kinds = Vec::new();
        while let Some(PipeOutput::Frame(frame)) = pipe.next(|| {
            dom = dom.checked_sub(1)?;
            Some(frame(Kind::Diff, 1, 10))
        }) {
            kinds.push(frame.header().kind);
        }
        kinds
    }

    #[test]
    fn classes_leave_in_their_order() {
        let mut pipe = Pipe::new();
        for kind in [Kind::Document, Kind::PointerMove, Kind::Input, Kind::Signal] {
            pipe.push(frame(kind, 2, 5)).expect("room");
        }
        assert_eq!(
            kinds(&mut pipe, 2),
            [Kind::Signal, Kind::Input, Kind::PointerMove, Kind::Diff, Kind::Diff, Kind::Document]
        );
    }

    #[test]
    fn a_full_window_holds_back_the_page_but_not_a_signal() {
        let mut pipe = Pipe::new();
        while pipe.next(|| Some(frame(Kind::Snapshot, 1, PAYLOAD_BYTES_MAX))).is_some() {}
        assert_eq!(pipe.in_flight(), PIPE_WINDOW_BYTES);
        pipe.push(frame(Kind::PointerMove, 2, 5)).expect("room");
        pipe.push(frame(Kind::Document, 2, 5)).expect("room");
        assert_eq!(pipe.next(|| None), None, "pointers and documents wait");
        let mut signals = 0;
        while pipe.push(frame(Kind::Signal, 0, PAYLOAD_BYTES_MAX)).is_ok() && pipe.next(|| None).is_some() {
            signals += 1;
        }
        assert_eq!(signals, 4, "the reserve carries four whole frames");
        pipe.credit(usize::MAX);
        assert_eq!((pipe.in_flight(), pipe.has_window()), (0, true));
        assert_eq!(kinds(&mut pipe, 0), [Kind::Signal, Kind::PointerMove, Kind::Document]);
    }

    #[test]
    fn the_page_is_asked_only_when_there_is_window() {
        let mut pipe = Pipe::new();
        pipe.in_flight = PIPE_WINDOW_BYTES;
        assert_eq!(pipe.next(|| unreachable!("no window")), None);
        pipe.credit(1);
        assert!(pipe.next(|| Some(frame(Kind::Diff, 1, 10))).is_some());
    }

    #[test]
    fn of_pointers_the_last_value_of_each_source_and_kind_wins() {
        let mut pipe = Pipe::new();
        for (kind, source, value) in
            [(Kind::PointerMove, 2, 1), (Kind::PointerMove, 3, 2), (Kind::PointerTrue, 2, 3), (Kind::PointerMove, 2, 4)]
        {
            pipe.push(frame(kind, source, value)).expect("pointers never fill a pipe");
        }
        let mut seen = Vec::new();
        while let Some(PipeOutput::Frame(frame)) = pipe.next(|| None) {
            seen.push((frame.header().source.0, frame.payload().len()));
        }
        assert_eq!(seen, [(2, 4), (3, 2), (2, 3)]);
    }

    #[test]
    fn queues_are_bounded_each_by_itself() {
        let mut pipe = Pipe::new();
        for kind in [Kind::Input, Kind::Document, Kind::Signal] {
            for _ in 0..PIPE_SIGNALS_MAX {
                pipe.push(frame(kind, 2, 1)).expect("room");
            }
            assert_eq!(pipe.push(frame(kind, 2, 1)), Err(PipeFull));
        }
        assert_eq!(pipe.push(frame(Kind::Diff, 1, 1)), Err(PipeFull), "the page is pulled, not queued");
    }

    #[test]
    fn a_close_comes_last_even_when_nothing_is_credited() {
        let mut pipe = Pipe::new();
        pipe.push(frame(Kind::Signal, 0, 9)).expect("room");
        pipe.push(frame(Kind::PointerMove, 2, 9)).expect("room");
        pipe.in_flight = PIPE_WINDOW_BYTES + PIPE_RESERVE_BYTES;
        pipe.close(Code::TooSlow);
        pipe.close(Code::Ended);
        pipe.push(frame(Kind::Signal, 0, 9)).expect("dropped, not refused");
        assert!(matches!(pipe.next(|| unreachable!("closing")), Some(PipeOutput::Frame(_))));
        assert_eq!(pipe.next(|| None), Some(PipeOutput::Close(Code::TooSlow)));
        assert_eq!(pipe.next(|| None), None);
    }
}
