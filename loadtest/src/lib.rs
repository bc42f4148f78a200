//! Real clients of a relay, for load and for tests.
//!
//! Without I/O, usable on virtual time: [`page`] (a visitor's synthetic page), [`mirror`] (an agent's copy, the oracle),
//! [`media`] (a WebRTC peer), [`seat`] (what one participant knows). Over real sockets: [`http`] (the public door),
//! [`carrier`] (WebSocket, WebTransport), [`sockets`] (media over UDP and TCP), [`client`] (all of it together). Scenarios of the
//! binary: [`fanout`], [`audience`]. Media alone, by the thousand: [`raw`]; reports: [`sheet`].

pub mod audience;
pub mod carrier;
pub mod client;
pub mod clock;
pub mod fanout;
pub mod http;
pub mod latencies;
pub mod media;
pub mod mirror;
pub mod page;
pub mod raw;
pub mod seat;
pub mod sheet;
pub mod sockets;
pub mod trace;
