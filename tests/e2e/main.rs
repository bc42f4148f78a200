//! The real binary over real sockets: start and stop, both carriers, both backends, a stuck agent, hostile input, limits,
//! and a WebRTC stack of somebody else. Each test starts a relay of its own on ports of the kernel's choice.
//!
//! `FANLIGHT_BIN` names the binary; without it `target/release/fanlight` is used. Figures are printed with the load
//! average under which they were taken, because latencies of a busy machine say little about the product.

mod control;
mod dom;
mod flood;
mod garble;
mod hostile;
mod house;
mod interop;
mod intruders;
mod layers;
mod life;
mod limits;
mod media;
mod mirrors;
#[path = "../fuzz/mutate.rs"]
mod mutate;
mod plain;
mod scene;
mod stuck;
mod tls;
