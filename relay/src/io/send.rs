//! The way out, the same for both backends: an outbox's trains to the kernel by `sendmmsg`, a thousand to a call.
//!
//! Measured (decision 0011): for single packets a call of `sendmmsg` is cheaper than the same messages as io_uring
//! entries, for trains there is no difference, so one way serves both. Nothing is queued: what the kernel does not take
//! at once is dropped and counted. Nothing is allocated: headers are made once and pointed at the outbox's memory.
//! A train that cannot be cut (see [`super::Gso`]) leaves again, segment by segment, in the same call.
#![expect(unsafe_code, reason = "one system call; its block says why it holds")]

use std::io;
use std::os::fd::AsRawFd;

use fanlight_engine::{Outbox, Train, Transport};

use super::cmsg::{Parcel, SendHeaders};
use super::{Counters, Socket};

/// Messages handed over by one system call (the kernel's `UIO_MAXIOV`).
const BATCH: usize = 1024;

/// Refusals in a row for want of room after which the kernel is not asked again in this turn.
const FULL_MAX: usize = 8;

/// The send headers of one shard.
#[derive(Debug)]
pub(super) struct Sender {
    headers: SendHeaders,
    /// What each filled header stands for.
    slots: Vec<Slot>,
    /// The socket of the headers that are filled.
    socket: usize,
    /// Trains, by their number in the outbox, that the kernel refused to cut.
    uncut: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    train: usize,
    /// Datagrams that the kernel makes of it.
    segments: usize,
    bytes: usize,
    cut: bool,
}

impl Sender {
    pub(super) fn new() -> Self {
        let (slots, uncut) = (Vec::with_capacity(BATCH), Vec::new());
        Self { headers: SendHeaders::new(BATCH), slots, socket: 0, uncut }
    }

    /// Sends every UDP train of `outbox`; trains of other transports are not touched.
    pub(super) fn send(&mut self, sockets: &mut [Socket], outbox: &Outbox, counters: &mut Counters) {
        self.start_anew();
        for (number, train) in outbox.trains().iter().enumerate() {
            if train.transport != Transport::Udp {
                continue;
            }
            let Some(index) = self.leads_from(train, sockets) else {
                counters.drops += train.segments as u64;
                continue;
            };
            if index != self.socket {
                self.flush(sockets, counters);
                self.socket = index;
            }
            let whole = train.segments > 1 && sockets.get_mut(index).is_some_and(|socket| socket.gso.allowed());
            match u16::try_from(train.segment_bytes) {
                Ok(segment) if whole => {
                    self.add(sockets, counters, number, train, outbox.bytes(train), Some(segment));
                }
                _ => self.singly(sockets, counters, number, outbox),
            }
        }
        self.flush(sockets, counters);
        self.send_uncut(sockets, outbox, counters);
    }

    fn send_uncut(&mut self, sockets: &mut [Socket], outbox: &Outbox, counters: &mut Counters) {
        let mut uncut = std::mem::take(&mut self.uncut);
        for number in uncut.drain(..) {
            let Some(train) = outbox.trains().get(number) else { continue };
            if let Some(index) = self.leads_from(train, sockets)
                && index != self.socket
            {
                self.flush(sockets, counters);
                self.socket = index;
            }
            self.singly(sockets, counters, number, outbox);
        }
        self.flush(sockets, counters);
        // Its memory is for the next turn; singles are never refused for being a train.
        self.uncut = uncut;
    }

    /// The socket that a train leaves by: mostly the one of the train before.
    fn leads_from(&self, train: &Train, sockets: &[Socket]) -> Option<usize> {
        if sockets.get(self.socket).is_some_and(|socket| socket.advertise == train.source) {
            return Some(self.socket);
        }
        sockets.iter().position(|socket| socket.advertise == train.source)
    }

    fn singly(&mut self, sockets: &mut [Socket], counters: &mut Counters, number: usize, outbox: &Outbox) {
        let Some(train) = outbox.trains().get(number) else { return };
        for segment in outbox.segments(train) {
            self.add(sockets, counters, number, train, segment, None);
        }
    }

    fn add(
        &mut self,
        sockets: &mut [Socket],
        counters: &mut Counters,
        number: usize,
        train: &Train,
        bytes: &[u8],
        segment: Option<u16>,
    ) {
        let parcel = Parcel { destination: train.destination, bytes, segment };
        if !self.headers.push(&parcel) {
            self.flush(sockets, counters);
            let pushed = self.headers.push(&parcel);
            debug_assert!(pushed, "emptied headers take a parcel");
        }
        let segments = if segment.is_some() { train.segments } else { 1 };
        self.slots.push(Slot { train: number, segments, bytes: bytes.len(), cut: segment.is_some() });
    }

    fn start_anew(&mut self) {
        self.headers.clear();
        self.slots.clear();
        self.uncut.clear();
    }

    fn flush(&mut self, sockets: &mut [Socket], counters: &mut Counters) {
        self.flush_to(call, sockets, counters);
    }

    /// Hands what is filled to the kernel and counts.
    fn flush_to(
        &mut self,
        mut kernel: impl FnMut(&Socket, &mut [libc::mmsghdr]) -> Result<usize, i32>,
        sockets: &mut [Socket],
        counters: &mut Counters,
    ) {
        let Self { headers, slots, uncut, .. } = self;
        if let Some(socket) = sockets.get_mut(self.socket) {
            let mut rest = headers.filled();
            let mut slots = slots.as_slice();
            let mut full = 0;
            while !rest.is_empty() {
                let settled = match kernel(socket, rest) {
                    Ok(sent) => {
                        full = 0;
                        slots.iter().take(sent).for_each(|slot| slot.sent(socket, counters));
                        sent
                    }
                    Err(libc::EINTR) => continue,
                    // A full socket is full for the rest as well, and asking for each would cost a call apiece.
                    Err(libc::EAGAIN) if full + 1 >= FULL_MAX => {
                        counters.drops += slots.iter().map(|slot| slot.segments as u64).sum::<u64>();
                        rest.len()
                    }
                    Err(code) => {
                        full = if code == libc::EAGAIN { full + 1 } else { 0 };
                        // Only the first one failed; what follows is tried by itself.
                        slots.first().iter().for_each(|slot| slot.refused(code, socket, uncut, counters));
                        1
                    }
                };
                counters.submits += 1;
                slots = slots.get(settled..).unwrap_or_default();
                rest = rest.get_mut(settled..).unwrap_or_default();
            }
        }
        headers.clear();
        self.slots.clear();
    }
}

impl Slot {
    fn sent(&self, socket: &mut Socket, counters: &mut Counters) {
        counters.trains_out += 1;
        counters.segments_out += self.segments as u64;
        counters.bytes_out += self.bytes as u64;
        if self.cut {
            socket.gso.refused_in_a_row = 0;
        }
    }

    fn refused(&self, code: i32, socket: &mut Socket, uncut: &mut Vec<usize>, counters: &mut Counters) {
        if self.cut && (code == libc::EIO || code == libc::EINVAL) {
            socket.gso.refused(code);
            counters.uncut += 1;
            uncut.push(self.train);
        } else {
            counters.drops += self.segments as u64;
        }
    }
}

/// Hands messages over; how many the kernel took, at least one, or its complaint about the first.
fn call(socket: &Socket, messages: &mut [libc::mmsghdr]) -> Result<usize, i32> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let (first, count) = (messages.as_mut_ptr(), messages.len() as u32);
    // SAFETY: the headers and the outbox's bytes that they point at are borrowed until after the call; the count is theirs.
    match usize::try_from(unsafe { libc::sendmmsg(socket.socket.as_raw_fd(), first, count, flags) }) {
        Ok(sent) if sent > 0 => Ok(sent),
        _ => Err(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::MediaBind;

    const SEGMENTS: usize = 3;

    /// A hundred trains of three; what the kernel says to each call is scripted, and how often it is asked is counted.
    fn asked(mut answer: impl FnMut(usize, usize) -> Result<usize, i32>) -> (usize, Counters) {
        let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let mut sockets = [Socket::open(&MediaBind { bind: any, advertise: any }).expect("a socket")];
        let (mut sender, mut counters, mut calls) = (Sender::new(), Counters::default(), 0);
        let mut outbox = Outbox::default();
        for port in 1..=100 {
            for _ in 0..SEGMENTS {
                outbox.push(Transport::Udp, sockets[0].advertise, ([127, 0, 0, 1], port).into(), &[7; 100]);
            }
        }
        for (number, train) in outbox.trains().iter().enumerate() {
            sender.add(&mut sockets, &mut counters, number, train, outbox.bytes(train), Some(100));
        }
        let kernel = |_: &Socket, messages: &mut [libc::mmsghdr]| {
            calls += 1;
            answer(calls, messages.len())
        };
        sender.flush_to(kernel, &mut sockets, &mut counters);
        (calls, counters)
    }

    // Each question to a full socket would cost a call apiece, and the turn would never end.
    #[test]
    fn a_socket_that_stays_full_is_not_asked_again_in_this_turn() {
        let (calls, counters) = asked(|_, _| Err(libc::EAGAIN));
        assert_eq!((calls, counters.drops, counters.segments_out), (FULL_MAX, 100 * SEGMENTS as u64, 0));
    }

    #[test]
    fn a_socket_that_has_room_again_takes_the_rest() {
        let full = |call| call % FULL_MAX != 0;
        let (calls, counters) = asked(|call, left| if full(call) { Err(libc::EAGAIN) } else { Ok(left.min(10)) });
        let (drops, sent) = (counters.drops / SEGMENTS as u64, counters.trains_out);
        assert_eq!(drops + sent, 100, "every train is counted once");
        assert!(sent >= 50 && calls as u64 == drops + sent.div_ceil(10), "{calls} calls, {drops} drops, {sent} sent");
    }

    #[test]
    fn a_train_that_is_refused_for_itself_says_nothing_of_the_rest() {
        let (calls, counters) = asked(|call, left| if call % 2 == 0 { Ok(left.min(1)) } else { Err(libc::EPERM) });
        assert_eq!((calls, counters.drops, counters.trains_out), (100, 50 * SEGMENTS as u64, 50));
    }
}
