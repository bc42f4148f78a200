//! The io_uring backend: multishot `recvmsg` into a ring of provided buffers.
//!
//! The kernel's part of a completion is deferred until the shard asks for it (`DEFER_TASKRUN`): an arriving datagram
//! then wakes a sleeping shard once, through an eventfd that the runtime watches, and never interrupts its waiting or its
//! work. While the shard looks at the ring itself, the eventfd is kept quiet. Sockets are registered, so the kernel looks
//! none of them up. Sending needs no ring (see `send`).
//!
//! Invariants: a buffer is either in the provided ring (the kernel's) or named by a completion that is being handled
//! (ours). After [`Receiver::receive`] either nothing waits, or `more` is set, or the eventfd will say so. All calls come
//! from the thread that opened the backend, which must be the shard's own.
#![expect(unsafe_code, reason = "rings and shared buffers; each block says why it holds")]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fs::File;
use std::io::{self, Write};
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering, fence};

use io_uring::types::{BufRingEntry, CancelBuilder, Fixed, Timespec};
use io_uring::{IoUring, Probe, cqueue, opcode};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::cmsg::{CONTROL_BYTES, NAME_BYTES, read_name, read_segment};
use super::{Arrival, Counters, Socket, Turn};

/// Buffers lent to the kernel. More datagrams than this in one wake-up end the multishot request; it is armed again.
pub(super) const BUFFERS: u16 = 256;
/// Bytes of a buffer: the largest train the kernel can join, behind the header it writes. Pages are touched on use.
const BUFFER_BYTES: usize = 64 * 1024 + 512;
const GROUP: u16 = 0;
/// Bytes of `struct io_uring_recvmsg_out`: lengths of name, control and payload, and flags.
const OUT_BYTES: usize = 16;
const RECEIVE_ENTRIES: u32 = 32;

/// May this process use what this backend needs? Opens and closes a ring.
pub(super) fn probe() -> io::Result<()> {
    let ring = build(8)?;
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

/// The receiving ring of one shard.
pub(super) struct Receiver {
    ring: IoUring,
    wake: Wake,
    buffers: Buffers,
    /// What every request asks for: room for a name and for control messages. Boxed, because the kernel reads it.
    shape: Box<libc::msghdr>,
    /// Per socket: is its request running?
    armed: Vec<bool>,
    /// Something was left behind that raises no readiness by itself.
    more: bool,
}

impl Receiver {
    pub(super) fn open(sockets: &[Socket]) -> io::Result<Self> {
        let ring = build(RECEIVE_ENTRIES)?;
        let files: Vec<_> = sockets.iter().map(|socket| socket.socket.as_raw_fd()).collect();
        ring.submitter().register_files(&files)?;
        let wake = Wake::new()?;
        ring.submitter().register_eventfd(wake.0.get_ref().as_raw_fd())?;
        let buffers = Buffers::new();
        buffers.register(&ring)?;
        // SAFETY: all-zero is a valid value of this plain C structure.
        let mut shape: Box<libc::msghdr> = Box::new(unsafe { zeroed() });
        shape.msg_namelen = NAME_BYTES as libc::socklen_t;
        shape.msg_controllen = CONTROL_BYTES;
        let armed = vec![false; sockets.len()];
        let mut receiver = Self { ring, wake, buffers, shape, armed, more: false };
        receiver.buffers.lend_all();
        receiver.arm();
        receiver.enter(&mut Counters::default());
        Ok(receiver)
    }

    pub(super) async fn readable(&self) {
        if !self.more {
            self.wake.happens().await;
        }
    }

    /// Makes the next [`Self::readable`] return, but not before the runtime has visited its poller.
    pub(super) fn nudge(&mut self) {
        self.more = false;
        self.wake.raise();
    }

    pub(super) fn receive(&mut self, sockets: &[Socket], turn: &mut Turn<'_>) {
        while turn.has_budget() {
            let next = self.ring.completion().next();
            match next {
                Some(completion) => self.take(sockets, &completion, turn),
                None if self.is_waiting() => self.enter(turn.counters),
                None => break,
            }
        }
        self.buffers.publish();
        if self.arm() {
            self.enter(turn.counters);
        }
        self.more = !self.ring.completion().is_empty() || self.is_waiting();
    }

    /// Has the kernel deferred something until we ask for it?
    fn is_waiting(&mut self) -> bool {
        // What `enter` wrote about the eventfd must be visible before this is read: else either the kernel would raise it
        // or we would see the flag, but possibly neither.
        fence(Ordering::SeqCst);
        self.ring.submission().taskrun()
    }

    /// Submits, and lets the kernel complete what it deferred.
    fn enter(&mut self, counters: &mut Counters) {
        counters.submits += 1;
        self.ring.completion().disable_eventfd();
        // What a busy kernel does not take now stays queued for the next submission.
        if let Err(error) = self.ring.submit() {
            tracing::debug!(%error, "the receive ring took nothing");
        }
        self.ring.completion().enable_eventfd();
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
    fn arm(&mut self) -> bool {
        let mut any = false;
        for (index, armed) in (0_u32..).zip(&mut self.armed) {
            if *armed {
                continue;
            }
            let entry = opcode::RecvMsgMulti::new(Fixed(index), &raw const *self.shape, GROUP);
            let entry = entry.build().user_data(index.into());
            // SAFETY: `shape` and the registered buffers live until `Drop` has cancelled the request.
            *armed = unsafe { self.ring.submission().push(&entry) }.is_ok();
            any = true;
        }
        any
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let submitter = self.ring.submitter();
        let patience = Timespec::new().sec(1);
        // No request may run any more when the buffers are freed. Closing the ring cancels too, but later; so do the
        // sockets that it knows, whose ports would stay taken.
        let ends = [
            submitter.register_sync_cancel(Some(patience), CancelBuilder::any()),
            submitter.unregister_buf_ring(GROUP),
            submitter.unregister_files(),
        ];
        for error in ends.into_iter().filter_map(Result::err) {
            tracing::debug!(%error, "closing a receive ring");
        }
    }
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Receiver").field("armed", &self.armed).finish_non_exhaustive()
    }
}

/// A ring whose completions wait for us. Only this thread may use it.
fn build(entries: u32) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder.setup_cqsize(u32::from(BUFFERS) * 2);
    builder.setup_single_issuer().setup_defer_taskrun().setup_taskrun_flag().build(entries)
}

/// The eventfd by which the ring wakes the runtime. It is never read: every write is an edge of its own.
struct Wake(AsyncFd<File>);

impl Wake {
    fn new() -> io::Result<Self> {
        // SAFETY: makes a descriptor that nobody else knows.
        let descriptor = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: it is open and ours alone.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
        // SAFETY: the wrapper owns this descriptor and never replaces it.
        let watched = unsafe { AsyncFd::register_with_interest(file, Interest::READABLE) };
        watched.map(Self).map_err(|error| error.into_parts().1)
    }

    async fn happens(&self) {
        match self.0.readable().await {
            // Cleared before the ring is read: what completes after that raises readiness anew.
            Ok(mut guard) => guard.clear_ready(),
            // The runtime is going away; so will the caller.
            Err(_) => std::future::pending().await,
        }
    }

    /// Forgets what the runtime has seen and makes it see a new edge.
    fn raise(&self) {
        let seen: io::Result<()> = self.0.try_io(Interest::READABLE, |_| Err(io::ErrorKind::WouldBlock.into()));
        let raised = self.0.get_ref().write_all(&1_u64.to_ne_bytes());
        debug_assert!(seen.is_err() && raised.is_ok(), "an eventfd counts further than any life lasts");
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
