//! Frames over WebTransport (HTTP/3 over QUIC; draft-ietf-webtrans-http3), one endpoint per shard on the shard's own
//! thread.
//!
//! Owns the endpoint, its limits (`promises` 1.2: quinn's defaults are made for friends) and one session per connection.
//! A client opens one bidirectional stream per class; its first byte says which. Pointer frames travel as datagrams.
//! Each stream has its own writer, so a page in flight never delays a signal. What a session does with its streams is
//! in [`session`].
//!
//! RFC 9000, RFC 9221, RFC 9114.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use fanlight_wire::limits;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, EndpointConfig, Incoming, ServerConfig, TransportConfig, VarInt};
use tokio::sync::watch;
use tokio::time::timeout;
use web_transport_quinn::Request;
use web_transport_quinn::http::{StatusCode, header};

use super::admit::Gate;
use crate::edge::slots::{Slot, Slots};

mod session;

/// Where WebTransport is.
pub const PATH: &str = "/v1/wt";
/// Bytes that the endpoint holds for a client that does not acknowledge. What waits beyond stays with the engine, which
/// can still forget it.
const SEND_WINDOW_BYTES: u64 = 256 * 1024;

/// What the endpoint of one shard needs.
pub struct QuicConfig {
    /// The bound socket. Opened at start, so that an occupied port is a start error.
    pub socket: UdpSocket,
    pub tls: Arc<rustls::ServerConfig>,
    pub gate: Arc<Gate>,
    /// Connections per source address, shared with the TCP listeners.
    pub slots: Arc<Slots>,
    /// True: no new connections, open ones are closed.
    pub stop: watch::Receiver<bool>,
}

impl std::fmt::Debug for QuicConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuicConfig").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// Opens the UDP socket of an endpoint with the buffers it asks for.
///
/// # Errors
/// [`io::Error`] when the address cannot be had.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::DGRAM.cloexec(), Some(socket2::Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    // The kernel clamps these to its limits; the media sockets report that once for the host.
    socket.set_recv_buffer_size(limits::SOCKET_BUFFER_BYTES)?;
    socket.set_send_buffer_size(limits::SOCKET_BUFFER_BYTES)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Serves WebTransport on the current runtime until it is told to stop.
///
/// # Errors
/// [`io::Error`] when the endpoint cannot be made of its socket and certificate.
pub async fn serve(config: QuicConfig) -> io::Result<()> {
    let QuicConfig { socket, tls, gate, slots, mut stop } = config;
    let runtime = quinn::default_runtime().ok_or_else(|| io::Error::other("WebTransport needs a tokio runtime"))?;
    let endpoint = Endpoint::new(EndpointConfig::default(), Some(server_config(tls)?), socket, runtime)?;
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let Some(incoming) = incoming else { break };
        if let Some((incoming, slot)) = screened(incoming, &endpoint, &slots) {
            tokio::spawn(connection(incoming, Arc::clone(&gate), slot));
        }
    }
    endpoint.close(VarInt::from_u32(0), b"");
    if timeout(limits::QUIC_CLOSE_MAX, endpoint.wait_idle()).await.is_err() {
        tracing::debug!("some WebTransport clients did not answer a close");
    }
    Ok(())
}

/// Who may go on to the handshake. When many connections are open, a newcomer proves its address first (RFC 9000 §8.1.2:
/// a Retry costs us no state), and a source that holds its share is refused.
fn screened(incoming: Incoming, endpoint: &Endpoint, slots: &Arc<Slots>) -> Option<(Incoming, Slot)> {
    let validated = incoming.remote_address_validated();
    if !validated && endpoint.open_connections() >= limits::QUIC_RETRY_ABOVE {
        if incoming.retry().is_err() {
            tracing::debug!("a client could not be asked to prove its address");
        }
        return None;
    }
    match slots.enter(incoming.remote_address().ip()) {
        Some(slot) => Some((incoming, slot)),
        None => {
            // An unproven address gets no answer: the packet may name a victim.
            if validated {
                incoming.refuse();
            } else {
                incoming.ignore();
            }
            None
        }
    }
}

fn server_config(tls: Arc<rustls::ServerConfig>) -> io::Result<ServerConfig> {
    let crypto = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config
        .max_incoming(limits::QUIC_INCOMING_MAX)
        .incoming_buffer_size(limits::QUIC_INCOMING_BUFFER_BYTES)
        .incoming_buffer_size_total(limits::QUIC_INCOMING_BUFFER_TOTAL_BYTES)
        .transport_config(Arc::new(transport()?));
    Ok(config)
}

fn transport() -> io::Result<TransportConfig> {
    let idle = limits::QUIC_IDLE_MAX.try_into().map_err(io::Error::other)?;
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(limits::QUIC_STREAMS_MAX.into())
        .max_concurrent_uni_streams(limits::QUIC_STREAMS_MAX.into())
        .stream_receive_window(limits::QUIC_STREAM_WINDOW_BYTES.into())
        .receive_window(limits::QUIC_RECEIVE_WINDOW_BYTES.into())
        .send_window(SEND_WINDOW_BYTES)
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(limits::PIPE_PING_INTERVAL))
        .datagram_receive_buffer_size(Some(limits::QUIC_DATAGRAM_BUFFER_BYTES))
        .datagram_send_buffer_size(limits::QUIC_DATAGRAM_BUFFER_BYTES);
    Ok(transport)
}

/// One connection: handshake, CONNECT, session; each with its deadline.
async fn connection(incoming: Incoming, gate: Arc<Gate>, slot: Slot) {
    let _guest = gate.crowd().enter();
    let handshake = async { incoming.await };
    let connection = match timeout(limits::HANDSHAKE_MAX, handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return tracing::debug!(%error, "a QUIC handshake failed"),
        Err(_) => return tracing::debug!("a QUIC handshake took too long"),
    };
    let request = match timeout(limits::HELLO_MAX, Request::accept(connection.clone())).await {
        Ok(Ok(request)) => request,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a QUIC connection asked for no WebTransport session");
            return connection.close(VarInt::from_u32(H3_REQUEST_REJECTED), b"");
        }
        Err(_) => return connection.close(VarInt::from_u32(H3_REQUEST_REJECTED), b""),
    };
    if let Some(status) = refused(&request, &gate) {
        if let Err(error) = request.reject(status).await {
            tracing::debug!(%error, "a WebTransport request could not be refused");
        }
        // The answer must reach the client before the connection goes.
        if timeout(limits::QUIC_CLOSE_MAX, connection.closed()).await.is_err() {
            connection.close(VarInt::from_u32(H3_REQUEST_REJECTED), b"");
        }
        return;
    }
    match request.ok().await {
        Ok(session) => session::run(session, &gate).await,
        Err(error) => tracing::debug!(%error, "a WebTransport session was not opened"),
    }
    drop(slot);
}

/// RFC 9114 §8.1.
const H3_REQUEST_REJECTED: u32 = 0x010b;

/// The status of a refusal, if there is a reason for one. A browser always names its page's origin (G-35).
fn refused(request: &Request, gate: &Gate) -> Option<StatusCode> {
    if request.url.path() != PATH {
        return Some(StatusCode::NOT_FOUND);
    }
    let origin = request.headers.get(header::ORIGIN);
    let host = request.url.host_str().unwrap_or_default();
    let allowed = match origin.map(|value| value.to_str()) {
        None => gate.origin_allowed(None, host),
        Some(Ok(origin)) => gate.origin_allowed(Some(origin), host),
        Some(Err(_)) => false,
    };
    (!allowed).then_some(StatusCode::FORBIDDEN)
}

#[cfg(test)]
mod tests;
