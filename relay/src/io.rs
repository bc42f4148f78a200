//! The media UDP sockets of one shard: trains in, trains out, by two equal backends.
//!
//! [`MediaSockets`] owns the sockets (one per advertised address), joins and cuts trains through the kernel (UDP GRO and
//! GSO) and counts. `uring` and `mmsg` receive, `send` sends for both; whatever a test here asks is asked of both.
//! Media may lose: a datagram that the kernel does not take at once is dropped and counted, nothing is ever queued.
//! What a datagram means is the engine's business; which one runs when is the shard's.

mod affinity;
mod cmsg;
mod mmsg;
mod send;
#[cfg(test)]
mod tests;
mod uring;

use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use fanlight_engine::Outbox;
use fanlight_wire::limits::{DATAGRAM_BYTES_MAX, SOCKET_BUFFER_BYTES};
use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, Type};

pub use affinity::{cores, pin};
use send::Sender;

/// Which backend an operator wants.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum BackendChoice {
    /// io_uring where the host allows it, else the plain one.
    #[default]
    Auto,
    Uring,
    Mmsg,
}

/// Which backend runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendKind {
    Uring,
    Mmsg,
}

/// A media socket to open. Ports of 0 are chosen by the kernel, an advertised 0 becomes the port that was bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaBind {
    pub bind: SocketAddr,
    /// The address that clients are told (the ICE host candidate).
    pub advertise: SocketAddr,
}

/// One received datagram, to be decrypted in place.
#[derive(Debug)]
pub struct Received<'a> {
    pub source: SocketAddr,
    /// The advertised address of the socket it came in on.
    pub destination: SocketAddr,
    pub payload: &'a mut [u8],
}

/// Absolute counts since the sockets were opened.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    pub datagrams_in: u64,
    pub bytes_in: u64,
    /// Trains taken by the kernel; a train that had to be sent segment by segment counts once per segment.
    pub trains_out: u64,
    pub segments_out: u64,
    pub bytes_out: u64,
    /// Segments the kernel did not take, or that name no socket of this shard.
    pub drops: u64,
    /// Received datagrams larger than [`DATAGRAM_BYTES_MAX`].
    pub oversize: u64,
    /// Received messages whose header made no sense.
    pub malformed: u64,
    /// Times the receive buffers ran out before the shard took them back.
    pub exhausted: u64,
    /// Trains that the kernel refused to cut and that went out singly.
    pub uncut: u64,
    /// System calls for receiving and sending.
    pub submits: u64,
}

/// What the kernel granted to one socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketReport {
    pub local: SocketAddr,
    /// Bytes asked for in each direction.
    pub wanted_bytes: usize,
    pub receive_bytes: usize,
    pub send_bytes: usize,
    pub gro: bool,
    pub gso: bool,
}

impl SocketReport {
    /// The kernel settings that hold this socket back, with the value they should have.
    pub fn clamps(&self) -> impl Iterator<Item = (&'static str, usize)> + use<> {
        let wanted = self.wanted_bytes;
        [("net.core.rmem_max", self.receive_bytes), ("net.core.wmem_max", self.send_bytes)]
            .into_iter()
            .filter(move |(_, granted)| *granted < wanted)
            .map(move |(key, _)| (key, wanted))
    }
}

/// The media sockets of one shard. Lives on the thread that opened it, inside a tokio runtime.
#[derive(Debug)]
pub struct MediaSockets {
    // Before the sockets: requests end before descriptors close.
    backend: Backend,
    sender: Sender,
    sockets: Vec<Socket>,
    counters: Counters,
}

#[derive(Debug)]
enum Backend {
    Uring(Box<uring::Receiver>),
    Mmsg(Box<mmsg::Mmsg>),
}

impl MediaSockets {
    /// Binds every address and readies the backend. Call it on the shard's thread, in its runtime.
    ///
    /// # Errors
    /// What the kernel says about an address, or why the backend that was chosen cannot run.
    pub fn open(choice: BackendChoice, binds: &[MediaBind]) -> io::Result<Self> {
        let sockets = binds.iter().map(Socket::open).collect::<io::Result<Vec<_>>>()?;
        let backend = match select(choice)? {
            BackendKind::Uring => Backend::Uring(Box::new(uring::Receiver::open(&sockets)?)),
            BackendKind::Mmsg => Backend::Mmsg(Box::new(mmsg::Mmsg::open(&sockets)?)),
        };
        Ok(Self { backend, sender: Sender::new(), sockets, counters: Counters::default() })
    }

    pub const fn backend(&self) -> BackendKind {
        match self.backend {
            Backend::Uring(_) => BackendKind::Uring,
            Backend::Mmsg(_) => BackendKind::Mmsg,
        }
    }

    pub const fn backend_name(&self) -> &'static str {
        self.backend().name()
    }

    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// The bound addresses, in the order of the binds.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|socket| socket.report.local).collect()
    }

    /// The addresses clients are told, in the order of the binds.
    pub fn advertised(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|socket| socket.advertise).collect()
    }

    pub fn reports(&self) -> Vec<SocketReport> {
        self.sockets.iter().map(|socket| socket.report).collect()
    }

    /// Waits until [`Self::receive`] may find something.
    pub async fn readable(&self) {
        match &self.backend {
            Backend::Uring(backend) => backend.readable().await,
            Backend::Mmsg(backend) => backend.readable().await,
        }
    }

    /// Makes the next [`Self::readable`] return after one visit to the poller.
    ///
    /// A runtime of `tokio_uring` hands its own requests to the kernel only when it parks. A shard that always finds
    /// work calls this now and then so that everything else on its thread is served. Nothing to do for the plain one.
    pub fn nudge(&mut self) -> bool {
        match &mut self.backend {
            Backend::Uring(backend) => {
                backend.nudge();
                true
            }
            Backend::Mmsg(_) => false,
        }
    }

    /// Hands every waiting datagram to `each`, trains already cut, until `budget` datagrams are reached (the train that
    /// reaches it is finished). Returns how many there were.
    pub fn receive(&mut self, budget: usize, each: &mut dyn FnMut(Received<'_>)) -> usize {
        let mut turn = Turn { budget, taken: 0, each, counters: &mut self.counters };
        match &mut self.backend {
            Backend::Uring(backend) => backend.receive(&self.sockets, &mut turn),
            Backend::Mmsg(backend) => backend.receive(&self.sockets, &mut turn),
        }
        turn.taken
    }

    /// Sends every UDP train of `outbox`; trains of other transports are not touched.
    pub fn send(&mut self, outbox: &Outbox) {
        self.sender.send(&mut self.sockets, outbox, &mut self.counters);
    }
}

impl BackendKind {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uring => "io_uring",
            Self::Mmsg => "mmsg",
        }
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which backend a choice leads to on this host.
///
/// # Errors
/// Why io_uring cannot run, when it was asked for by name.
pub fn select(choice: BackendChoice) -> io::Result<BackendKind> {
    match choice {
        BackendChoice::Mmsg => Ok(BackendKind::Mmsg),
        BackendChoice::Uring => uring::probe().map(|()| BackendKind::Uring),
        BackendChoice::Auto => Ok(uring::probe().map_or(BackendKind::Mmsg, |()| BackendKind::Uring)),
    }
}

/// May this process use io_uring as this relay needs it?
///
/// # Errors
/// What the kernel said.
pub fn probe_uring() -> io::Result<()> {
    uring::probe()
}

/// What the kernel grants to a media socket on loopback.
///
/// # Errors
/// When not even such a socket can be opened.
pub fn probe_socket() -> io::Result<SocketReport> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Socket::open(&MediaBind { bind: any, advertise: any }).map(|socket| socket.report)
}

/// One bound socket.
#[derive(Debug)]
struct Socket {
    socket: UdpSocket,
    advertise: SocketAddr,
    gso: Gso,
    report: SocketReport,
}

impl Socket {
    fn open(bind: &MediaBind) -> io::Result<Self> {
        let raw = RawSocket::new(Domain::for_address(bind.bind), Type::DGRAM, Some(Protocol::UDP))?;
        if bind.bind.is_ipv6() {
            raw.set_only_v6(true)?;
        }
        raw.set_nonblocking(true)?;
        // Refusal is no error here: the report tells what was granted.
        for result in [raw.set_recv_buffer_size(SOCKET_BUFFER_BYTES), raw.set_send_buffer_size(SOCKET_BUFFER_BYTES)] {
            if let Err(error) = result {
                tracing::debug!(%error, "asking for a larger socket buffer");
            }
        }
        if bind.bind.is_ipv4()
            && let Err(error) = cmsg::forbid_fragments(raw.as_fd())
        {
            tracing::debug!(%error, "asking that datagrams are not cut on their way");
        }
        raw.bind(&bind.bind.into()).map_err(|error| named(&error, bind.bind))?;
        let gro = cmsg::enable_gro(raw.as_fd()).is_ok();
        let gso = cmsg::probe_gso(raw.as_fd()).is_ok();
        let socket = UdpSocket::from(raw);
        let local = socket.local_addr()?;
        let reference = SockRef::from(&socket);
        let report = SocketReport {
            local,
            wanted_bytes: SOCKET_BUFFER_BYTES,
            // The kernel keeps twice what it grants, for its own accounting.
            receive_bytes: reference.recv_buffer_size()? / 2,
            send_bytes: reference.send_buffer_size()? / 2,
            gro,
            gso,
        };
        let mut advertise = bind.advertise;
        if advertise.port() == 0 {
            advertise.set_port(local.port());
        }
        Ok(Self { socket, advertise, gso: Gso::new(gso), report })
    }
}

fn named(error: &io::Error, address: SocketAddr) -> io::Error {
    io::Error::new(error.kind(), format!("media socket {address}: {error}"))
}

/// May trains be cut by the kernel on this socket?
///
/// `EIO` means that the way out cannot do it. `EINVAL` may concern one destination only (a small path MTU), so it
/// counts only when nothing else succeeds. Either way it is tried again later: routes change.
#[derive(Debug)]
struct Gso {
    known: bool,
    /// Trains to send singly before the next try.
    rest: u32,
    refused_in_a_row: u32,
}

impl Gso {
    const REFUSALS_MAX: u32 = 64;
    const REST_TRAINS: u32 = 100_000;

    const fn new(known: bool) -> Self {
        Self { known, rest: 0, refused_in_a_row: 0 }
    }

    const fn allowed(&mut self) -> bool {
        if self.rest > 0 {
            self.rest -= 1;
            return false;
        }
        self.known
    }

    fn refused(&mut self, code: i32) {
        self.refused_in_a_row += 1;
        if code == libc::EIO || self.refused_in_a_row >= Self::REFUSALS_MAX {
            self.refused_in_a_row = 0;
            self.rest = Self::REST_TRAINS;
            tracing::warn!(code, "the kernel does not segment UDP here; trains leave singly for a while");
        }
    }
}

/// One received message as a backend reads it.
struct Arrival<'a> {
    source: SocketAddr,
    segment: Option<usize>,
    payload: &'a mut [u8],
}

/// One call of [`MediaSockets::receive`].
struct Turn<'a> {
    budget: usize,
    taken: usize,
    each: &'a mut dyn FnMut(Received<'_>),
    counters: &'a mut Counters,
}

impl Turn<'_> {
    const fn has_budget(&self) -> bool {
        self.taken < self.budget
    }

    fn deliver(&mut self, socket: &Socket, arrival: Arrival<'_>) {
        let segment = arrival.segment.unwrap_or(arrival.payload.len()).max(1);
        for payload in arrival.payload.chunks_mut(segment) {
            self.taken += 1;
            self.counters.datagrams_in += 1;
            self.counters.bytes_in += payload.len() as u64;
            if payload.len() > DATAGRAM_BYTES_MAX {
                self.counters.oversize += 1;
                continue;
            }
            (self.each)(Received { source: arrival.source, destination: socket.advertise, payload });
        }
    }
}
