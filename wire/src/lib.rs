//! Every value that crosses a boundary of Fanlight.
//!
//! *wire* says · *engine* decides · *control* commands · *relay* moves. This crate holds no behaviour beyond parsing,
//! printing and checking its own values; it does no I/O, keeps no state and knows no clock. `docs/protocol.md` is the
//! normative text of what is written here, and `tests/vectors` holds bytes that Rust and TypeScript both reproduce.

pub mod address;
pub mod code;
pub mod command;
pub mod consent;
pub mod event;
pub mod frame;
pub mod host;
pub mod id;
pub mod limits;
pub mod policy;
pub mod problem;
pub mod report;
pub mod resource;
pub mod signal;
pub mod sites;
pub mod token;

pub use code::{Code, Refusal};
pub use event::Event;
pub use frame::{Class, Frame, Header, Kind};
pub use id::{
    Epoch, FloorEpoch, GroupId, MaskEpoch, PageEpoch, ParticipantId, PipeId, Sequence, SessionId, ShardId, StreamId,
};
pub use problem::Problem;
