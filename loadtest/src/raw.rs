//! Thousands of real media clients on one thread, cheap enough that the server under test saturates first.
//!
//! ICE and DTLS are str0m's; SRTP, RTP and RTCP are a few hundred lines of our own, apart from the relay's, that count every
//! packet by its clear header and decrypt a sample. Signalling is WHIP and WHEP ([`door`]) or whatever a scenario brings: a
//! [`swarm::Member`] needs a socket, a handshake under way and a plan.

pub mod crowd;
pub mod door;
pub mod encoding;
pub mod epoll;
pub mod handshake;
pub mod keying;
pub mod process;
pub mod publisher;
pub mod rtp;
pub mod sdp;
pub mod simulcast;
pub mod source;
pub mod srtp;
pub mod swarm;
pub mod tally;
pub mod udp;
pub mod viewing;
pub mod watcher;
