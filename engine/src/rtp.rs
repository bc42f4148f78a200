//! The media plane: RTP and RTCP between a datagram and a track, and between a track and a datagram.
//!
//! Owns protection, formats, reception, repair, feedback, congestion and layers. Nothing here knows sessions, rights or
//! sockets, and nothing asks for the time. Invariant: whatever the bytes, reading them returns; state changes only
//! through authenticated packets. ICE, DTLS and SDP are left to [`crate::peer`].

pub mod bwe;
pub mod header;
pub(crate) mod intake;
pub mod layers;
mod read;
pub mod receive;
pub(crate) mod red;
pub(crate) mod ring;
pub mod rtcp;
pub(crate) mod send;
pub mod srtp;
pub mod twcc;
