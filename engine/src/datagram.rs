//! A datagram as the host hands it in.

use std::net::SocketAddr;

use fanlight_wire::StreamId;

/// How a datagram travelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    Udp,
    /// One RFC 4571 frame of an accepted TCP stream (RFC 6544 passive candidate).
    Tcp(StreamId),
}

/// One received datagram, borrowed from the host's buffer; the engine decrypts in place.
#[derive(Debug)]
pub struct Datagram<'a> {
    pub transport: Transport,
    pub source: SocketAddr,
    /// The address this shard advertises for the socket it came in on (its ICE host candidate).
    pub destination: SocketAddr,
    pub payload: &'a mut [u8],
}
