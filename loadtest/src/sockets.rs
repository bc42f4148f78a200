//! Media over real sockets: a [`Peer`] on UDP, or on one TCP stream framed by RFC 4571.
//!
//! A task owns the peer; the handle sends it wishes and takes measurements out of it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant as Wake, sleep_until, timeout};

use crate::clock;
use crate::media::{MediaError, Path, Peer, Publication, Transmit, addresses};

/// Time for the stream to the relay to open.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Largest datagram.
const DATAGRAM_BYTES_MAX: usize = 2_048;

/// Media could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error(transparent)]
    Media(#[from] MediaError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("the relay offers no {0:?} address")]
    NoAddress(Path),
    #[error("the relay's address does not answer")]
    Late,
}

/// A participant's media over real sockets.
#[derive(Debug)]
pub struct Media {
    path: Path,
    peer: Arc<Mutex<Peer>>,
    /// The peer was touched and may have something to send.
    touched: Arc<Notify>,
    socket: Option<UdpSocket>,
    local: IpAddr,
    /// Aborted when dropped.
    tasks: JoinSet<()>,
}

impl Media {
    /// A peer that will use `path` from the local address `local`, and its offer.
    ///
    /// # Errors
    /// [`SocketError`] when there is no socket to be had.
    pub async fn offer(path: Path, local: IpAddr) -> Result<(Self, String), SocketError> {
        let mut peer = Peer::new(clock::now(), clock::now_us());
        let socket = match path {
            Path::Udp => {
                let socket = UdpSocket::bind((local, 0)).await?;
                peer.add_address(path, socket.local_addr()?)?;
                Some(socket)
            }
            Path::Tcp => None,
        };
        let offer = peer.offer();
        let (peer, touched) = (Arc::new(Mutex::new(peer)), Arc::new(Notify::new()));
        Ok((Self { path, peer, touched, socket, local, tasks: JoinSet::new() }, offer))
    }

    /// Takes the relay's answer and begins.
    ///
    /// # Errors
    /// [`SocketError`] when the answer cannot be used or offers no address of the wanted kind.
    pub async fn answer(&mut self, sdp: &str) -> Result<(), SocketError> {
        let remote = addresses(sdp).into_iter().find(|(path, _)| *path == self.path);
        let (_, remote) = remote.ok_or(SocketError::NoAddress(self.path))?;
        lock(&self.peer).answer(clock::now(), sdp)?;
        let (peer, touched) = (Arc::clone(&self.peer), Arc::clone(&self.touched));
        if let Some(socket) = self.socket.take() {
            self.tasks.spawn(run_udp(peer, touched, socket));
        } else {
            let stream = timeout(CONNECT_MAX, TcpStream::connect(remote)).await.map_err(|_| SocketError::Late)??;
            stream.set_nodelay(true)?;
            let local = stream.local_addr()?;
            lock(&self.peer).add_address(Path::Tcp, local)?;
            let (reading, writing) = stream.into_split();
            self.tasks.spawn(read_tcp(Arc::clone(&peer), Arc::clone(&touched), reading, remote, local));
            self.tasks.spawn(run_tcp(peer, touched, writing));
        }
        Ok(())
    }

    /// Looks into the peer or tells it something.
    pub fn with<T>(&self, act: impl FnOnce(&mut Peer) -> T) -> T {
        let result = act(&mut lock(&self.peer));
        self.touched.notify_one();
        result
    }

    /// Begins to send a share.
    pub fn publish(&self, what: Publication) {
        self.with(|peer| peer.publish(clock::now(), what));
    }

    pub fn stop(&self) {
        self.with(Peer::stop);
    }

    pub const fn local(&self) -> IpAddr {
        self.local
    }
}

/// The loopback address, where tests are.
pub const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn lock(peer: &Mutex<Peer>) -> MutexGuard<'_, Peer> {
    peer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is ready to be sent, and when to look again.
fn step(peer: &Mutex<Peer>) -> (Vec<Transmit>, Wake) {
    let mut peer = lock(peer);
    let now = clock::now();
    if peer.deadline() <= now {
        peer.handle_timeout(now);
    }
    let ready = std::iter::from_fn(|| peer.poll_transmit()).collect();
    (ready, Wake::from_std(peer.deadline()))
}

async fn run_udp(peer: Arc<Mutex<Peer>>, touched: Arc<Notify>, socket: UdpSocket) {
    let Ok(local) = socket.local_addr() else { return };
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        let (ready, wake) = step(&peer);
        for transmit in ready {
            // A full socket buffer is a loss on the path, as in a browser.
            drop(socket.send_to(&transmit.payload, transmit.destination).await);
        }
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                let Ok((bytes, source)) = received else { continue };
                let payload = buffer.get(..bytes).unwrap_or_default().to_vec();
                let datagram = Transmit { path: Path::Udp, source, destination: local, payload };
                lock(&peer).handle_datagram(clock::now(), &datagram);
            }
            () = touched.notified() => {}
            () = sleep_until(wake) => {}
        }
    }
}

async fn run_tcp(peer: Arc<Mutex<Peer>>, touched: Arc<Notify>, mut stream: OwnedWriteHalf) {
    loop {
        let (ready, wake) = step(&peer);
        for transmit in ready.iter().filter(|transmit| transmit.path == Path::Tcp) {
            let length = u16::try_from(transmit.payload.len()).unwrap_or(u16::MAX);
            let frame = [&length.to_be_bytes()[..], &transmit.payload].concat();
            if stream.write_all(&frame).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = touched.notified() => {}
            () = sleep_until(wake) => {}
        }
    }
}

async fn read_tcp(
    peer: Arc<Mutex<Peer>>,
    touched: Arc<Notify>,
    mut stream: OwnedReadHalf,
    source: SocketAddr,
    destination: SocketAddr,
) {
    while let Ok(length) = stream.read_u16().await {
        let mut payload = vec![0; length.into()];
        if stream.read_exact(&mut payload).await.is_err() {
            return;
        }
        let datagram = Transmit { path: Path::Tcp, source, destination, payload };
        lock(&peer).handle_datagram(clock::now(), &datagram);
        touched.notify_one();
    }
}
