//! The plain backend: `recvmmsg` with the same joining of trains, for hosts that refuse io_uring (Docker's default
//! seccomp profile does).
//!
//! Readiness comes from the runtime's own poller. A receive that filled less than its batch has emptied the socket, so
//! readiness is given back without asking the kernel a second time.
#![expect(unsafe_code, reason = "message vectors for a system call; each block says why it holds")]

use std::io;
use std::mem::zeroed;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::task::Poll;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::cmsg::{CONTROL_BYTES, NAME_BYTES, read_name, read_segment};
use super::{Arrival, Counters, Socket, Turn};

/// Messages taken by one system call.
const BATCH: usize = 32;
/// Bytes of a message's buffer: the largest train the kernel can join.
const BUFFER_BYTES: usize = 64 * 1024;
/// Errors taken off one socket before it is left alone for this turn.
const ERRORS_IN_A_ROW: usize = 16;

/// The receive vectors of one shard.
pub(super) struct Mmsg {
    ready: Vec<AsyncFd<UdpSocket>>,
    /// The socket that is asked first; it moves on each turn so that none starves.
    first: usize,
    inbox: Inbox,
}

impl Mmsg {
    pub(super) fn open(sockets: &[Socket]) -> io::Result<Self> {
        let ready = sockets
            .iter()
            .map(|socket| {
                let own = socket.socket.try_clone()?;
                // SAFETY: the wrapper owns this descriptor and never replaces it.
                unsafe { AsyncFd::register_with_interest(own, Interest::READABLE) }
                    .map_err(|error| error.into_parts().1)
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { ready, first: 0, inbox: Inbox::new() })
    }

    pub(super) async fn readable(&self) {
        std::future::poll_fn(|context| {
            for socket in &self.ready {
                if let Poll::Ready(Ok(mut guard)) = socket.poll_read_ready(context) {
                    guard.retain_ready();
                    return Poll::Ready(());
                }
            }
            Poll::Pending
        })
        .await;
    }

    pub(super) fn receive(&mut self, sockets: &[Socket], turn: &mut Turn<'_>) {
        self.first = self.first.wrapping_add(1);
        for step in 0..sockets.len() {
            let index = (self.first % sockets.len() + step) % sockets.len();
            let (Some(socket), Some(ready)) = (sockets.get(index), self.ready.get(index)) else { continue };
            while turn.has_budget() && self.inbox.fill(ready, turn.counters) {
                self.inbox.deliver(socket, turn);
            }
        }
    }
}

impl std::fmt::Debug for Mmsg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mmsg").field("sockets", &self.ready.len()).finish_non_exhaustive()
    }
}

/// What one `recvmmsg` writes into. The vectors never change their length, so the headers may point into them.
struct Inbox {
    messages: Vec<libc::mmsghdr>,
    vectors: Vec<libc::iovec>,
    names: Vec<[u8; NAME_BYTES]>,
    controls: Vec<[u8; CONTROL_BYTES]>,
    bytes: Vec<u8>,
    filled: usize,
}

impl Inbox {
    fn new() -> Self {
        Self {
            // SAFETY: all-zero is a valid value of this plain C structure.
            messages: vec![unsafe { zeroed() }; BATCH],
            // SAFETY: as above.
            vectors: vec![unsafe { zeroed() }; BATCH],
            names: vec![[0; NAME_BYTES]; BATCH],
            controls: vec![[0; CONTROL_BYTES]; BATCH],
            bytes: vec![0; BATCH * BUFFER_BYTES],
            filled: 0,
        }
    }

    /// Takes a batch; `false` when there was nothing.
    ///
    /// The kernel is asked whatever the poller has last seen: between slices of a turn nobody has visited the poller.
    fn fill(&mut self, ready: &AsyncFd<UdpSocket>, counters: &mut Counters) -> bool {
        self.filled = self.call(ready.get_ref(), counters);
        if self.filled < BATCH {
            // The socket is empty: forget what the poller has seen, the next datagram is an edge of its own.
            let forget = ready.try_io(Interest::READABLE, |_| Err::<(), _>(io::ErrorKind::WouldBlock.into()));
            debug_assert!(forget.is_err(), "nothing else was answered");
        }
        self.filled > 0
    }

    fn call(&mut self, socket: &UdpSocket, counters: &mut Counters) -> usize {
        self.point();
        for _ in 0..ERRORS_IN_A_ROW {
            counters.submits += 1;
            let (messages, flags) = (self.messages.as_mut_ptr(), libc::MSG_DONTWAIT);
            // SAFETY: each of the `BATCH` headers was just pointed at memory of its own that lives in `self`.
            let taken =
                unsafe { libc::recvmmsg(socket.as_raw_fd(), messages, BATCH as u32, flags, std::ptr::null_mut()) };
            match usize::try_from(taken) {
                Ok(taken) => return taken,
                Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock => return 0,
                // An interruption, or a report of an earlier send (ICMP): datagrams may wait behind it.
                Err(_) => {}
            }
        }
        0
    }

    /// Points each header at its own memory; the kernel overwrites lengths and flags on every call.
    fn point(&mut self) {
        let buffers = self.bytes.chunks_mut(BUFFER_BYTES);
        let places = self.names.iter_mut().zip(&mut self.controls).zip(buffers);
        for ((message, vector), ((name, control), buffer)) in
            self.messages.iter_mut().zip(&mut self.vectors).zip(places)
        {
            vector.iov_base = buffer.as_mut_ptr().cast();
            vector.iov_len = buffer.len();
            let header = &mut message.msg_hdr;
            header.msg_name = name.as_mut_ptr().cast();
            header.msg_namelen = NAME_BYTES as libc::socklen_t;
            header.msg_iov = &raw mut *vector;
            header.msg_iovlen = 1;
            header.msg_control = control.as_mut_ptr().cast();
            header.msg_controllen = CONTROL_BYTES;
            header.msg_flags = 0;
        }
    }

    fn deliver(&mut self, socket: &Socket, turn: &mut Turn<'_>) {
        let buffers = self.bytes.chunks_mut(BUFFER_BYTES);
        let places = self.names.iter().zip(&self.controls).zip(buffers);
        for (message, ((name, control), buffer)) in self.messages.iter().zip(places).take(self.filled) {
            match read(message, name, control, buffer) {
                Some(arrival) => turn.deliver(socket, arrival),
                None => turn.counters.malformed += 1,
            }
        }
    }
}

fn read<'a>(message: &libc::mmsghdr, name: &[u8], control: &[u8], buffer: &'a mut [u8]) -> Option<Arrival<'a>> {
    let header = &message.msg_hdr;
    let source = read_name(name.get(..usize::try_from(header.msg_namelen).ok()?)?)?;
    let segment = read_segment(control.get(..header.msg_controllen)?);
    let payload = buffer.get_mut(..usize::try_from(message.msg_len).ok()?)?;
    let truncated = header.msg_flags & libc::MSG_TRUNC != 0;
    (!truncated).then_some(Arrival { source, segment, payload })
}
