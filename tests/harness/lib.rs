//! What the tests of whole sessions stand on: worlds on virtual time, clients without a network, oracles.
//!
//! A [`World`] is one engine, one session and its participants, with lossy links between them. It never sleeps: time
//! jumps from event to event. The oracles run in every world, whatever its story is about.

mod actor;
mod oracle;
mod world;

pub use actor::Actor;
pub use oracle::Floors;
pub use world::{RELAY, Route, Who, World};
