//! The doors: accepting TCP, TLS, HTTP/1.1 with limits, and who answers behind which door.
//!
//! Owns every TCP connection of the edge until it is upgraded to a WebSocket. Invariant: whatever a client does or
//! leaves undone, it holds a bounded number of bytes for a bounded time (`promises` 1.3, G-40): a limit and a deadline
//! on the TLS handshake, the head, the body and the number of connections, and an accept loop that outlives a process
//! without file descriptors. What a request means is left to the doors: [`public`], [`operator`], [`local`].
//!
//! RFC 9110, RFC 9112.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use fanlight_wire::limits;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

pub mod answer;
pub mod body;
pub mod local;
pub mod operator;
pub mod presence;
pub mod public;
pub mod slots;

pub use body::Body;
use slots::{Slot, Slots};

use crate::clock;

/// Bytes that the kernel holds for a connection beyond what is under way. More would only be older when it arrives.
const UNSENT_BYTES_MAX: u32 = limits::PIPE_WINDOW_BYTES as u32;

/// A request as a door gets it.
pub type Inbound = Request<Incoming>;

/// Answers the requests of one listener.
pub trait Door: Send + Sync + 'static {
    /// Answers one request. Refusals are answers too.
    fn answer(&self, request: Inbound, peer: IpAddr) -> impl Future<Output = Response<Body>> + Send;
}

/// One listener and what it needs.
pub struct Listener {
    pub tcp: TcpListener,
    pub tls: Option<TlsAcceptor>,
    /// Absent behind a proxy: all connections come from its one address, and counting per client is its duty.
    pub slots: Option<Arc<Slots>>,
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listener").field("tcp", &self.tcp).field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}

/// Opens a TCP listener that several restarts in a row do not find occupied.
///
/// # Errors
/// [`io::Error`] when the address cannot be had.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM.nonblocking().cloexec(),
        Some(socket2::Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1_024)?;
    TcpListener::from_std(socket.into())
}

/// Serves until `stop` becomes true; then nothing new is accepted, and idle connections are closed.
pub async fn serve<D: Door>(listener: Listener, door: Arc<D>, mut stop: watch::Receiver<bool>) {
    let mut complaints = Complaints::default();
    loop {
        let accepted = tokio::select! {
            accepted = listener.tcp.accept() => accepted,
            () = stopped(&mut stop) => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(slot) = enter(listener.slots.as_ref(), peer.ip()) else { continue };
                let tls = listener.tls.clone();
                tokio::spawn(connection(stream, peer.ip(), tls, Arc::clone(&door), slot, stop.clone()));
            }
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                complaints.about(&error, clock::now());
                tokio::time::sleep(limits::ACCEPT_REST).await;
            }
        }
    }
}

/// Waits until the node stops, or until nobody is left who could say so.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

/// A place among the open connections; `None` when there is none left. A listener that does not count gives no slot.
fn enter(slots: Option<&Arc<Slots>>, address: IpAddr) -> Option<Option<Slot>> {
    slots.map_or(Some(None), |slots| slots.enter(address).map(Some))
}

/// The peer gave up between its SYN and our accept: nobody's fault.
fn is_about_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | ConnectionRefused)
}

/// Says that accepting fails, but not for every failure (G-11).
#[derive(Debug, Default)]
struct Complaints {
    last: Option<Instant>,
    unsaid: u64,
}

impl Complaints {
    fn about(&mut self, error: &io::Error, now: Instant) {
        if self.last.is_some_and(|last| now.duration_since(last) < limits::ACCEPT_COMPLAINT_INTERVAL) {
            self.unsaid += 1;
            return;
        }
        tracing::error!(%error, unsaid = self.unsaid, "no connection can be accepted; raise LimitNOFILE if this stays");
        *self = Self { last: Some(now), unsaid: 0 };
    }
}

async fn connection<D: Door>(
    stream: TcpStream,
    peer: IpAddr,
    tls: Option<TlsAcceptor>,
    door: Arc<D>,
    slot: Option<Slot>,
    stop: watch::Receiver<bool>,
) {
    // Small frames must not wait for an acknowledgement, and what a slow reader has not taken must stay where it can
    // still be forgotten. A socket that cannot do either still works.
    let unsent = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX);
    if let Err(error) = stream.set_nodelay(true).and(unsent) {
        tracing::debug!(%error, "a connection keeps the kernel's own settings");
    }
    match tls {
        None => http(stream, peer, door, slot, stop).await,
        Some(tls) => match tokio::time::timeout(limits::TLS_HANDSHAKE_MAX, tls.accept(stream)).await {
            Ok(Ok(stream)) => http(stream, peer, door, slot, stop).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        },
    }
}

/// HTTP/1.1 on one connection. The slot is held until the connection, upgraded or not, is gone.
async fn http<D: Door, S>(stream: S, peer: IpAddr, door: Arc<D>, slot: Option<Slot>, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let slot = Arc::new(slot);
    let service = service_fn(|mut request: Inbound| {
        let door = Arc::clone(&door);
        request.extensions_mut().insert(Arc::clone(&slot));
        async move {
            let response = match answer::unsound(request.headers(), request.version()) {
                Some(refusal) => answer::refused(&refusal),
                None => door.answer(request, peer).await,
            };
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HTTP_HEADER_MAX)
        .max_headers(64)
        .max_buf_size(limits::HTTP_HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopped(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP connection ended");
    }
}

#[cfg(test)]
mod tests;
