//! One shard's decisions, without I/O.
//!
//! Datagrams, pipe frames, commands and `now` go in; datagrams, frames, reports and one deadline come out. The engine
//! opens no socket, asks for no time and starts no thread, so a whole session can run on virtual time with a seed.
//! Dependencies with sockets or runtimes are kept out by `tests/tidy`.

pub mod codec;
pub mod datagram;
pub mod deadline;
pub mod demux;
pub mod dom;
mod engine;
pub mod entropy;
pub mod fanout;
pub mod floor;
mod handoff;
mod keyframe;
pub mod outbox;
mod participant;
pub mod peer;
pub mod permit;
pub mod pipe;
mod rate;
pub mod rtp;
mod session;
mod timers;

pub use datagram::{Datagram, Transport};
pub use deadline::{Deadline, Reason};
pub use engine::Engine;
pub use entropy::Entropy;
pub use handoff::Handoff;
pub use outbox::{Outbox, Train};
pub use peer::{Certificate, PeerConfig};
pub use pipe::{PipeInput, PipeOutput};
