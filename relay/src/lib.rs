//! Threads, sockets and assembly: what makes one binary of `wire`, `engine` and `control`.
//!
//! The hot path is [`shard`] with [`io`], [`queue`] and [`clock`]: pinned threads that each own one engine. Everything
//! else runs on the edge runtime: [`edge`] (HTTP, TLS, the three doors), [`carrier`] (WebSocket, WebTransport, media
//! over TCP), [`statics`] (the web client), [`config`], [`cli`], [`drain`], [`telemetry`]. [`host`] says what this
//! machine can do, [`node`] puts all of it together. A library beside the binary so that tests and the load test start
//! the same product in one process.

pub mod carrier;
pub mod cli;
pub mod clock;
pub mod config;
pub mod drain;
pub mod edge;
pub mod host;
pub mod io;
pub mod node;
pub mod queue;
pub mod shard;
pub mod statics;
pub mod telemetry;
pub mod tls;
