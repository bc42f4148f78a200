//! A lane of frames with credit and a class order: what one carrier (WebSocket, WebTransport, simulation) is to the
//! engine.

use fanlight_wire::command::Admission;
use fanlight_wire::{Code, Frame, SessionId};

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
