//! The io_uring backend: multishot `recvmsg` into a ring of provided buffers, `sendmsg` by one submission per turn.
//!
//! Two rings, because their completions are awaited differently. The *receive* ring's descriptor is watched by the
//! runtime; only arriving datagrams complete there, so a turn's own sends never wake the shard again. The *send* ring
//! is entered and emptied inside one call: every entry carries `MSG_DONTWAIT`, so it completes while it is submitted,
//! and the outbox's memory can be lent to the kernel without a copy. Should an entry stay open all the same, the call
//! waits for it: no borrowed byte is visible to the kernel after `transmit` returns.
//!
//! Invariant: a buffer is either in the provided ring (the kernel's) or named by a completion that is being handled
//! (ours). Requests live on the thread that opened the backend, which must be the shard's own.
#![expect(unsafe_code, reason = "rings and shared buffers; each block says why it holds")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, CancelBuilder, Fd, Timespec};
use io_uring::{IoUring, Probe, cqueue, opcode};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::cmsg::{CONTROL_BYTES, NAME_BYTES, SendHeaders, read_name, read_segment};
use super::{Arrival, Counters, Job, Socket, Turn};

/// Buffers lent to the kernel. More datagrams than this in one wake-up end the multishot request; it is armed again.
pub(super) const BUFFERS: u16 = 256;
/// Bytes of a buffer: the largest train the kernel can join, behind the header it writes. Pages are touched on use.
const BUFFER_BYTES: usize = 64 * 1024 + 512;
const GROUP: u16 = 0;
/// Bytes of `struct io_uring_recvmsg_out`: lengths of name, control and payload, and flags.
const OUT_BYTES: usize = 16;
const RECEIVE_ENTRIES: u32 = 32;
/// Sends handed over by one submission; a larger turn takes several.
const SEND_ENTRIES: usize = 1024;
/// Marks the completion of a nudge, which carries nothing.
const NUDGE: u64 = u64::MAX;

/// Both rings of one shard.
#[derive(Debug)]
pub(super) struct Uring {
    receiver: Receiver,
    sender: Sender,
}

impl Uring {
    pub(super) fn open(sockets: &[Socket]) -> io::Result<Self> {
        Ok(Self { receiver: Receiver::open(sockets)?, sender: Sender::open()? })
    }

    pub(super) async fn readable(&self) {
        match self.receiver.ring.readable().await {
            // Cleared before the ring is read: what completes after that raises readiness anew.
            Ok(mut guard) => guard.clear_ready(),
            // The runtime is going away; so will the caller.
            Err(_) => std::future::pending().await,
        }
    }

    pub(super) fn nudge(&mut self, counters: &mut Counters) {
        self.receiver.nudge();
        self.receiver.submit(counters);
    }

    pub(super) fn receive(&mut self, sockets: &[Socket], turn: &mut Turn<'_>) {
        self.receiver.receive(sockets, turn);
    }

    pub(super) fn transmit(
        &mut self,
        sockets: &[Socket],
        jobs: &[Job<'_>],
        counters: &mut Counters,
        done: &mut dyn FnMut(usize, i32),
    ) {
        self.sender.transmit(sockets, jobs, counters, done);
    }
}

/// May this process use what this backend needs? Opens and closes a ring.
pub(super) fn probe() -> io::Result<()> {
    let ring = IoUring::new(8)?;
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    // Multishot recvmsg has no opcode of its own; it came with Linux 6.0, as did this one.
    if !probe.is_supported(opcode::SendZc::CODE) || !probe.is_supported(opcode::RecvMsgMulti::CODE) {
        return Err(io::Error::new(io::ErrorKind::Unsupported, "multishot recvmsg needs Linux 6.0"));
    }
    let memory = Buffers::new();
    memory.register(&ring)?;
    ring.submitter().unregister_buf_ring(GROUP)
}

struct Receiver {
    ring: AsyncFd<IoUring>,
    buffers: Buffers,
    /// What every request asks for: room for a name and for control messages. Boxed, because the kernel reads it.
    shape: Box<libc::msghdr>,
    /// Per socket: is its request running?
    armed: Vec<bool>,
}

impl Receiver {
    fn open(sockets: &[Socket]) -> io::Result<Self> {
        let entries = u32::from(BUFFERS) * 2;
        let ring = IoUring::builder().setup_cqsize(entries).build(RECEIVE_ENTRIES)?;
        let buffers = Buffers::new();
        buffers.register(&ring)?;
        // SAFETY: all-zero is a valid value of this plain C structure.
        let mut shape: Box<libc::msghdr> = Box::new(unsafe { zeroed() });
        shape.msg_namelen = NAME_BYTES as libc::socklen_t;
        shape.msg_controllen = CONTROL_BYTES;
        // SAFETY: the wrapper owns the ring, whose descriptor never changes.
        let ring = unsafe { AsyncFd::register_with_interest(ring, Interest::READABLE) }
            .map_err(|error| error.into_parts().1)?;
        let mut receiver = Self { ring, buffers, shape, armed: vec![false; sockets.len()] };
        receiver.buffers.lend_all();
        receiver.arm(sockets);
        receiver.submit(&mut Counters::default());
        Ok(receiver)
    }

    fn receive(&mut self, sockets: &[Socket], turn: &mut Turn<'_>) {
        while turn.has_budget() {
            let Some(completion) = self.ring.get_mut().completion().next() else { break };
            self.take(sockets, &completion, turn);
        }
        self.buffers.publish();
        let rearmed = self.arm(sockets);
        // Completions left behind raise no new readiness by themselves.
        let left = !self.ring.get_mut().completion().is_empty();
        if left {
            self.nudge();
        }
        if left || rearmed {
            self.submit(turn.counters);
        }
    }

    fn take(&mut self, sockets: &[Socket], completion: &cqueue::Entry, turn: &mut Turn<'_>) {
        let Some(index) = usize::try_from(completion.user_data()).ok().filter(|&index| index < sockets.len()) else {
            return;
        };
        if !cqueue::more(completion.flags())
            && let Some(armed) = self.armed.get_mut(index)
        {
            *armed = false;
        }
        if completion.result() == -libc::ENOBUFS {
            turn.counters.exhausted += 1;
        }
        let Some(id) = cqueue::buffer_select(completion.flags()) else { return };
        let mut held = Held { buffers: &mut self.buffers, id };
        match (sockets.get(index), read(held.bytes())) {
            (Some(socket), Some(arrival)) if completion.result() > 0 => turn.deliver(socket, arrival),
            _ => turn.counters.malformed += 1,
        }
    }

    /// Puts an entry for each socket whose request has ended; says whether there was one.
    fn arm(&mut self, sockets: &[Socket]) -> bool {
        let mut any = false;
        for (index, (armed, socket)) in self.armed.iter_mut().zip(sockets).enumerate() {
            if *armed {
                continue;
            }
            let fd = Fd(socket.socket.as_raw_fd());
            let entry = opcode::RecvMsgMulti::new(fd, &raw const *self.shape, GROUP).build().user_data(index as u64);
            // SAFETY: `shape` and the registered buffers live until `Drop` has cancelled the request.
            *armed = unsafe { self.ring.get_mut().submission().push(&entry) }.is_ok();
            any = true;
        }
        any
    }

    fn nudge(&mut self) {
        let entry = opcode::Nop::new().build().user_data(NUDGE);
        // SAFETY: a no-op refers to no memory. A full queue means that a submission follows anyway.
        let pushed = unsafe { self.ring.get_mut().submission().push(&entry) };
        debug_assert!(pushed.is_ok(), "the receive ring holds an entry per socket and a nudge");
    }

    fn submit(&self, counters: &mut Counters) {
        counters.submits += 1;
        // What a busy kernel does not take now stays queued for the next submission.
        if let Err(error) = self.ring.get_ref().submit() {
            tracing::debug!(%error, "the receive ring took nothing");
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let submitter = self.ring.get_ref().submitter();
        let patience = Timespec::new().sec(1);
        // No request may run any more when the buffers are freed. Closing the ring cancels too, but later.
        for result in
            [submitter.register_sync_cancel(Some(patience), CancelBuilder::any()), submitter.unregister_buf_ring(GROUP)]
        {
            if let Err(error) = result {
                tracing::debug!(%error, "closing a receive ring");
            }
        }
    }
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").field("armed", &self.armed).finish_non_exhaustive()
    }
}

/// Takes apart what the kernel wrote: lengths, name, control, payload.
fn read(buffer: &mut [u8]) -> Option<Arrival<'_>> {
    let field = |at: usize| {
        let bytes: [u8; 4] = buffer.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_ne_bytes(bytes))
    };
    let (name, control, payload, flags) = (field(0)?, field(4)?, field(8)?, field(12)?);
    let truncated = flags & libc::MSG_TRUNC.cast_unsigned() != 0;
    let (head, body) = buffer.split_at_mut_checked(OUT_BYTES + NAME_BYTES + CONTROL_BYTES)?;
    let (names, controls) = head.get(OUT_BYTES..)?.split_at_checked(NAME_BYTES)?;
    let source = read_name(names.get(..usize::try_from(name).ok()?)?)?;
    let segment = read_segment(controls.get(..usize::try_from(control).ok()?)?);
    let payload = body.get_mut(..usize::try_from(payload).ok()?)?;
    (!truncated).then_some(Arrival { source, segment, payload })
}

/// Memory shared with the kernel: the ring that offers buffers, and the buffers.
struct Buffers {
    entries: NonNull<BufRingEntry>,
    bytes: NonNull<u8>,
    /// Where the next returned buffer goes; published to the kernel as the ring's tail.
    tail: u16,
}

impl Buffers {
    fn new() -> Self {
        Self { entries: allocate(Self::entries_layout()).cast(), bytes: allocate(Self::bytes_layout()), tail: 0 }
    }

    /// Page alignment is demanded by the kernel.
    const fn entries_layout() -> Layout {
        match Layout::from_size_align(BUFFERS as usize * size_of::<BufRingEntry>(), 4096) {
            Ok(layout) => layout,
            Err(_) => panic!("a page-aligned ring"),
        }
    }

    const fn bytes_layout() -> Layout {
        match Layout::from_size_align(BUFFERS as usize * BUFFER_BYTES, 4096) {
            Ok(layout) => layout,
            Err(_) => panic!("page-aligned buffers"),
        }
    }

    fn register(&self, ring: &IoUring) -> io::Result<()> {
        let address = self.entries.as_ptr() as u64;
        // SAFETY: the entries are page-aligned, zeroed, `BUFFERS` long, and live until unregistered.
        unsafe { ring.submitter().register_buf_ring_with_flags(address, BUFFERS, GROUP, 0) }
    }

    fn lend_all(&mut self) {
        for id in 0..BUFFERS {
            self.lend(id);
        }
        self.publish();
    }

    /// Puts a buffer back; the kernel sees it after [`Self::publish`].
    fn lend(&mut self, id: u16) {
        let slot = usize::from(self.tail % BUFFERS);
        let address = self.bytes.as_ptr() as u64 + (usize::from(id % BUFFERS) * BUFFER_BYTES) as u64;
        // SAFETY: `slot` is inside the allocation; the kernel reads it only once the tail has passed it.
        let entry = unsafe { self.entries.add(slot).as_mut() };
        entry.set_addr(address);
        entry.set_len(BUFFER_BYTES as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    fn publish(&self) {
        // SAFETY: the pointer is the registered ring's first entry, whose last field is the tail, aligned and shared
        // with the kernel by atomic access only.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries.as_ptr()).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }

    fn slice_mut(&mut self, id: u16) -> &mut [u8] {
        let offset = usize::from(id % BUFFERS) * BUFFER_BYTES;
        // SAFETY: inside the allocation, initialised (zeroed at birth), and named by a completion, so the kernel has
        // given it up until it is lent again.
        unsafe { std::slice::from_raw_parts_mut(self.bytes.add(offset).as_ptr(), BUFFER_BYTES) }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout in `new`; `Receiver::drop` has ended the kernel's use of it.
        unsafe { dealloc(self.entries.as_ptr().cast(), Self::entries_layout()) };
        // SAFETY: as above.
        unsafe { dealloc(self.bytes.as_ptr(), Self::bytes_layout()) };
    }
}

/// A buffer that is ours for now. It goes back even when whoever reads it panics.
struct Held<'a> {
    buffers: &'a mut Buffers,
    id: u16,
}

impl Held<'_> {
    fn bytes(&mut self) -> &mut [u8] {
        self.buffers.slice_mut(self.id)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.buffers.lend(self.id);
    }
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: both layouts have a size above zero.
    NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}

struct Sender {
    ring: IoUring,
    headers: SendHeaders,
}

impl Sender {
    fn open() -> io::Result<Self> {
        // A failed entry must not hold up those behind it.
        let ring = IoUring::builder().setup_submit_all().build(SEND_ENTRIES as u32)?;
        Ok(Self { ring, headers: SendHeaders::default() })
    }

    fn transmit(
        &mut self,
        sockets: &[Socket],
        jobs: &[Job<'_>],
        counters: &mut Counters,
        done: &mut dyn FnMut(usize, i32),
    ) {
        for (part, jobs) in jobs.chunks(SEND_ENTRIES).enumerate() {
            let base = part * SEND_ENTRIES;
            let headers = self.headers.point_at(jobs);
            let mut queue = self.ring.submission();
            for (index, (header, job)) in headers.iter().zip(jobs).enumerate() {
                let Some(socket) = sockets.get(job.socket) else { continue };
                let entry = opcode::SendMsg::new(Fd(socket.socket.as_raw_fd()), &raw const header.msg_hdr)
                    .flags((libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL).cast_unsigned())
                    .build()
                    .user_data((base + index) as u64);
                // SAFETY: header and bytes outlive `complete`, which returns only when each entry has completed.
                let pushed = unsafe { queue.push(&entry) };
                assert!(pushed.is_ok(), "an emptied send ring holds a whole part");
            }
            let expected = queue.len();
            drop(queue);
            self.complete(expected, counters, done);
        }
    }

    /// Submits what is queued and hands out the results of `expected` entries.
    fn complete(&mut self, expected: usize, counters: &mut Counters, done: &mut dyn FnMut(usize, i32)) {
        let mut completed = 0;
        let mut wanted = 0;
        while completed < expected {
            counters.submits += 1;
            if let Err(error) = self.ring.submit_and_wait(wanted) {
                let passing = [libc::EINTR, libc::EAGAIN, libc::EBUSY, libc::ENOMEM];
                let code = error.raw_os_error().unwrap_or_default();
                assert!(passing.contains(&code), "the send ring is broken: {error}");
            }
            for completion in self.ring.completion() {
                completed += 1;
                done(usize::try_from(completion.user_data()).unwrap_or(usize::MAX), completion.result());
            }
            wanted = usize::from(self.ring.submission().is_empty());
        }
    }
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").field("headers", &self.headers).finish_non_exhaustive()
    }
}
