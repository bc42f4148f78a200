//! The real binary over real sockets: start and stop, both carriers, both backends, a stuck agent, hostile input, limits,
//! and a WebRTC stack of somebody else. Each test starts a relay of its own on ports of the kernel's choice.
//!
//! `FANLIGHT_BIN` names the binary; without it `target/release/fanlight` is used. Figures are printed with the load
//! average under which they were taken, because latencies of a busy machine say little about the product.

mod dom;
mod house;
mod life;
mod media;
mod plain;
mod scene;
