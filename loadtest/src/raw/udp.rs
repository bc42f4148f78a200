//! Datagrams at the least cost: many per system call, joined trains in (`UDP_GRO`), equal segments out (`UDP_SEGMENT`).
//!
//! IPv4 only: load generators and what they load talk over loopback or one wire. A datagram that the kernel does not take at
//! once is dropped and counted, as a full network card does.
#![expect(unsafe_code, reason = "message vectors for the kernel; each block says why it holds")]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};

use socket2::{Domain, Protocol, Socket, Type};

/// Messages taken or handed over by one system call.
const BATCH: usize = 64;
/// Bytes of one received message: the largest train that the kernel joins.
const BUFFER_BYTES: usize = 64 * 1024;
/// Segments of a train (the kernel's `UDP_MAX_SEGMENTS` is 64 on old ones).
const SEGMENTS_MAX: usize = 64;
/// Bytes of a train: what fits one IP datagram.
const TRAIN_BYTES_MAX: usize = 65_000;
/// A control message's header.
const CONTROL_HEADER_BYTES: usize = size_of::<libc::cmsghdr>();

/// One socket of a client.
#[derive(Debug)]
pub struct Port {
    socket: UdpSocket,
    local: SocketAddrV4,
}

impl Port {
    /// A socket on `ip` with a port of the kernel's choice and socket buffers of `buffer_bytes`, as far as the host allows.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn open(ip: Ipv4Addr, buffer_bytes: usize) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        socket.set_recv_buffer_size(buffer_bytes)?;
        socket.set_send_buffer_size(buffer_bytes)?;
        socket.bind(&SocketAddrV4::new(ip, 0).into())?;
        set(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_GRO, 1)?;
        // Datagrams that may be cut on their way cost a number of their own.
        set(socket.as_raw_fd(), libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)?;
        let socket = UdpSocket::from(socket);
        let std::net::SocketAddr::V4(local) = socket.local_addr()? else {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        };
        Ok(Self { socket, local })
    }

    pub const fn local(&self) -> SocketAddrV4 {
        self.local
    }

    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Lets the kernel stamp what arrives from now on, so that it does not matter when somebody comes to read it.
    ///
    /// The first socket of a host that asks for stamps makes the kernel switch them on, which it does in the background: what
    /// arrives in the first milliseconds is stamped when it is read.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn stamp(&self) -> io::Result<()> {
        set(self.fd(), libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)
    }

    /// Lets [`Inbox::wait`] wait.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn block(&self) -> io::Result<()> {
        self.socket.set_nonblocking(false)
    }

    /// Sends one datagram; `false` when the kernel did not take it.
    pub fn send(&self, to: SocketAddrV4, bytes: &[u8]) -> bool {
        self.socket.send_to(bytes, to).is_ok()
    }
}

/// Turns on an option of the open socket `fd`.
fn set(fd: RawFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: `value` outlives the call with the length that is told; a descriptor that is not open is an error, no more.
    let done = unsafe { libc::setsockopt(fd, level, option, (&raw const value).cast(), length) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 64]);

/// Vectors of one receiving thread.
pub struct Inbox {
    buffers: Vec<u8>,
    vectors: Vec<libc::iovec>,
    names: Vec<libc::sockaddr_in>,
    controls: Vec<Control>,
    messages: Vec<libc::mmsghdr>,
}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbox").field("messages", &self.messages.len()).finish()
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self {
            buffers: vec![0; BATCH * BUFFER_BYTES],
            // SAFETY: all-zero is a valid value of these plain C structures.
            vectors: vec![unsafe { zeroed() }; BATCH],
            // SAFETY: as above.
            names: vec![unsafe { zeroed() }; BATCH],
            controls: vec![Control([0; 64]); BATCH],
            // SAFETY: as above.
            messages: vec![unsafe { zeroed() }; BATCH],
        }
    }
}

impl Inbox {
    /// Takes what waits on the socket `fd`, at most one system call of it, and shows each datagram with its sender and its
    /// stamp ([`Port::stamp`]). Returns whether more may wait.
    pub fn receive(&mut self, fd: RawFd, see: impl FnMut(Origin, &mut [u8])) -> bool {
        self.take(fd, libc::MSG_DONTWAIT, see)
    }

    /// The same, but waits for the first datagram if the socket blocks ([`Port::block`]).
    pub fn wait(&mut self, fd: RawFd, see: impl FnMut(Origin, &mut [u8])) -> bool {
        self.take(fd, libc::MSG_WAITFORONE, see)
    }

    fn take(&mut self, fd: RawFd, flags: libc::c_int, mut see: impl FnMut(Origin, &mut [u8])) -> bool {
        let slots = self.buffers.chunks_exact_mut(BUFFER_BYTES).zip(&mut self.vectors);
        let slots = slots.zip(&mut self.names).zip(&mut self.controls).zip(&mut self.messages);
        for ((((buffer, vector), name), control), message) in slots {
            vector.iov_base = buffer.as_mut_ptr().cast();
            vector.iov_len = buffer.len();
            let header = &mut message.msg_hdr;
            header.msg_name = (&raw mut *name).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            header.msg_iov = &raw mut *vector;
            header.msg_iovlen = 1;
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = control.0.len();
        }
        // SAFETY: every header points into vectors of `self`, which live and do not move during the call.
        let count = unsafe {
            libc::recvmmsg(fd, self.messages.as_mut_ptr(), BATCH as libc::c_uint, flags, std::ptr::null_mut())
        };
        let count = usize::try_from(count).unwrap_or(0);
        let slots = self.buffers.chunks_exact_mut(BUFFER_BYTES).zip(&self.names);
        let slots = slots.zip(&self.controls).zip(&self.messages).take(count);
        for (((buffer, name), control), message) in slots {
            let address =
                SocketAddrV4::new(Ipv4Addr::from(name.sin_addr.s_addr.to_ne_bytes()), u16::from_be(name.sin_port));
            let length = (message.msg_len as usize).min(buffer.len());
            let bytes = buffer.get_mut(..length).unwrap_or_default();
            let told = Told::read(control.0.get(..message.msg_hdr.msg_controllen).unwrap_or_default());
            let from = Origin { address, stamp_ns: told.stamp_ns };
            for datagram in bytes.chunks_mut(told.segment.unwrap_or(BUFFER_BYTES)) {
                see(from, datagram);
            }
        }
        count == BATCH
    }
}

/// Where a datagram came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    pub address: SocketAddrV4,
    /// When it reached the socket, in nanoseconds of the wall clock.
    pub stamp_ns: Option<u64>,
}

/// What the kernel says about a received message.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Told {
    /// Bytes of each segment of a joined train.
    segment: Option<usize>,
    stamp_ns: Option<u64>,
}

impl Told {
    fn read(mut control: &[u8]) -> Self {
        let mut told = Self::default();
        // struct cmsghdr: length with the header, level, kind; the next begins at a multiple of eight.
        while let Some((length, rest)) = control.split_first_chunk::<8>() {
            let length = usize::from_ne_bytes(*length);
            let word = |at: usize| rest.get(at..at + 4)?.try_into().ok().map(i32::from_ne_bytes);
            let long = |at: usize| rest.get(at..at + 8)?.try_into().ok().map(i64::from_ne_bytes);
            match (word(0), word(4)) {
                (Some(libc::SOL_UDP), Some(libc::UDP_GRO)) => {
                    told.segment = word(8).and_then(|bytes| usize::try_from(bytes).ok()).filter(|bytes| *bytes > 0);
                }
                (Some(libc::SOL_SOCKET), Some(libc::SCM_TIMESTAMPNS)) => {
                    let parts = long(8).zip(long(16));
                    told.stamp_ns = parts.and_then(|(s, ns)| u64::try_from(s * 1_000_000_000 + ns).ok());
                }
                _ => {}
            }
            let Some(next) = control.get(length.max(CONTROL_HEADER_BYTES).next_multiple_of(8)..) else { break };
            control = next;
        }
        told
    }
}

/// Datagrams that are about to leave, in trains of equal segments to one destination.
pub struct Departures {
    bytes: Vec<u8>,
    used: usize,
    trains: Vec<Train>,
    headers: Vec<(libc::sockaddr_in, libc::iovec, Control)>,
    messages: Vec<libc::mmsghdr>,
    /// Join datagrams at all.
    join: bool,
    /// Datagrams that the kernel did not take.
    pub refused: u64,
}

// SAFETY: the pointers of headers and messages point into this very value's own heap blocks, are written anew before each
// use, and are followed only by the kernel during one call of `depart`, which has the value to itself.
unsafe impl Send for Departures {}

#[derive(Debug, Clone, Copy)]
struct Train {
    to: SocketAddrV4,
    start: usize,
    length: usize,
    segment: usize,
    count: usize,
    /// A shorter segment ends a train.
    closed: bool,
}

impl std::fmt::Debug for Departures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Departures").field("trains", &self.trains.len()).finish_non_exhaustive()
    }
}

impl Departures {
    /// Room for `bytes` between two calls of [`Self::depart`].
    pub fn new(bytes: usize, join: bool) -> Self {
        let (trains, headers, messages) = (Vec::new(), Vec::new(), Vec::new());
        Self { bytes: vec![0; bytes], used: 0, trains, headers, messages, join, refused: 0 }
    }

    /// Would a datagram of `bytes` find no room?
    pub const fn is_full(&self, bytes: usize) -> bool {
        self.used + bytes > self.bytes.len()
    }

    /// Space for one datagram to `to`; `None` when the room is used up and it is time to [`Self::depart`].
    pub fn reserve(&mut self, to: SocketAddrV4, bytes: usize) -> Option<&mut [u8]> {
        let start = self.used;
        let end = start + bytes;
        if end > self.bytes.len() {
            return None;
        }
        self.used = end;
        let join = self.join;
        match self.trains.last_mut() {
            Some(train)
                if join
                    && train.to == to
                    && !train.closed
                    && bytes <= train.segment
                    && train.count < SEGMENTS_MAX
                    && train.length + bytes <= TRAIN_BYTES_MAX =>
            {
                train.length += bytes;
                train.count += 1;
                train.closed = bytes < train.segment;
            }
            _ => self.trains.push(Train { to, start, length: bytes, segment: bytes, count: 1, closed: false }),
        }
        self.bytes.get_mut(start..end)
    }

    /// Hands everything to the kernel; returns how many datagrams it took.
    pub fn depart(&mut self, port: &Port) -> u64 {
        let count = self.trains.len();
        if self.headers.len() < count {
            // SAFETY: all-zero is a valid value of these plain C structures.
            self.headers.resize_with(count, || unsafe { zeroed() });
            // SAFETY: as above.
            self.messages.resize_with(count, || unsafe { zeroed() });
        }
        for ((train, parts), message) in self.trains.iter().zip(&mut self.headers).zip(&mut self.messages) {
            let Some(bytes) = self.bytes.get_mut(train.start..train.start + train.length) else { continue };
            point(message, parts, train, bytes);
        }
        let mut sent = 0;
        let mut next = 0;
        while next < count {
            let Some(rest) = self.messages.get_mut(next..count) else { break };
            // SAFETY: the headers point into `self.headers` and `self.bytes`, which live and do not move during the call.
            let taken = unsafe { libc::sendmmsg(port.fd(), rest.as_mut_ptr(), rest.len() as libc::c_uint, 0) };
            let taken = usize::try_from(taken).unwrap_or(0);
            let done = self.trains.get(next..next + taken).unwrap_or_default();
            sent += done.iter().map(|train| train.count as u64).sum::<u64>();
            next += taken;
            if taken == 0 {
                // The first of the rest was refused: it is lost, the others are tried.
                self.refused += self.trains.get(next).map_or(0, |train| train.count as u64);
                next += 1;
            }
        }
        self.trains.clear();
        self.used = 0;
        sent
    }
}

fn point(
    message: &mut libc::mmsghdr,
    parts: &mut (libc::sockaddr_in, libc::iovec, Control),
    train: &Train,
    bytes: &mut [u8],
) {
    let (name, vector, control) = parts;
    name.sin_family = libc::AF_INET as libc::sa_family_t;
    name.sin_port = train.to.port().to_be();
    name.sin_addr.s_addr = u32::from_ne_bytes(train.to.ip().octets());
    vector.iov_base = bytes.as_mut_ptr().cast();
    vector.iov_len = bytes.len();
    let header = &mut message.msg_hdr;
    header.msg_name = (&raw mut *name).cast();
    header.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    header.msg_iov = &raw mut *vector;
    header.msg_iovlen = 1;
    header.msg_control = std::ptr::null_mut();
    header.msg_controllen = 0;
    if train.count > 1 {
        let length = CONTROL_HEADER_BYTES + size_of::<u16>();
        let fields = length.to_ne_bytes().into_iter().chain(libc::SOL_UDP.to_ne_bytes());
        let fields = fields.chain(libc::UDP_SEGMENT.to_ne_bytes()).chain((train.segment as u16).to_ne_bytes());
        control.0.iter_mut().zip(fields).for_each(|(byte, field)| *byte = field);
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = CONTROL_HEADER_BYTES + size_of::<usize>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;

    #[test]
    fn trains_arrive_as_the_datagrams_they_were() {
        let (from, to) = (Port::open(Ipv4Addr::LOCALHOST, 1 << 20), Port::open(Ipv4Addr::LOCALHOST, 1 << 20));
        let (from, to) = (from.expect("a socket"), to.expect("a socket"));
        let mut departures = Departures::new(100_000, true);
        for (number, bytes) in [(1_u8, 900), (2, 900), (3, 400), (4, 900)] {
            departures.reserve(to.local(), bytes).expect("room").fill(number);
        }
        assert_eq!((departures.trains.len(), departures.depart(&from), departures.refused), (2, 4, 0));
        let (mut inbox, mut seen) = (Inbox::default(), Vec::new());
        while seen.len() < 4 {
            inbox.receive(to.fd(), |sender, bytes| {
                assert_eq!(sender, Origin { address: from.local(), stamp_ns: None });
                seen.push((bytes[0], bytes.len()));
            });
        }
        assert_eq!(seen, [(1, 900), (2, 900), (3, 400), (4, 900)]);
        assert!(departures.reserve(to.local(), 100_001).is_none(), "more than there is room");
    }

    #[test]
    fn the_kernel_tells_when_a_datagram_came_however_late_it_is_read() {
        let (from, to) = (Port::open(Ipv4Addr::LOCALHOST, 1 << 20), Port::open(Ipv4Addr::LOCALHOST, 1 << 20));
        let (from, to) = (from.expect("a socket"), to.expect("a socket"));
        to.stamp().expect("an option of every kernel");
        // See `Port::stamp`: rounds until the kernel has switched stamping on. Where it never stamps on arrival, none is good.
        let rounds = (0..50).map(|_| stamps_are_of_the_arrival(&from, &to));
        assert!(rounds.into_iter().any(|good| good), "fifty trains were all stamped when they were read");
    }

    /// Sends a train, reads it 20 ms later, and tells whether all stamps are of the time when it was sent.
    fn stamps_are_of_the_arrival(from: &Port, to: &Port) -> bool {
        let before = Moment::take();
        let mut departures = Departures::new(100_000, true);
        for bytes in [900, 900, 400] {
            departures.reserve(to.local(), bytes).expect("room").fill(1);
        }
        assert_eq!(departures.depart(from), 3);
        let sent = Moment::take();
        while Moment::take().now_us < sent.now_us + 20_000 {}
        let (mut inbox, mut stamps) = (Inbox::default(), Vec::new());
        while stamps.len() < 3 {
            inbox.receive(to.fd(), |from, _| stamps.push(from.stamp_ns.expect("a stamp")));
        }
        let read = Moment::take();
        stamps.into_iter().all(|stamp| {
            let at = read.place(stamp).expect("nobody sets the clock now");
            before.now_us <= at + 100 && at <= sent.now_us + 100
        })
    }
}
