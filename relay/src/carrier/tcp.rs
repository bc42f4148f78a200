//! Media over TCP for networks that block UDP: passive ICE candidates (RFC 6544) with RFC 4571 framing.
//!
//! Owns the accepted streams of one shard, on the shard's own thread. A stream carries the same packets as the UDP
//! port; the engine treats each as a datagram. What keeps strangers out: the first packet must be STUN and come soon;
//! a stream is *proven* when the engine answers on it (it answers valid checks only); unproven streams are few per
//! address and short-lived. Media may lose: whole packets are dropped when a stream is slow, never parts.
//!
//! Two transports behind one enum: `tokio_uring` where the shard runs on it, tokio elsewhere.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use fanlight_wire::host::source_of;
use fanlight_wire::limits::{
    ACCEPT_COMPLAINT_INTERVAL, ACCEPT_REST, CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX, DATAGRAM_BYTES_MAX,
    HANDSHAKE_MAX, HELLO_MAX, TCP_MEDIA_BACKLOG_BYTES_MAX, TCP_MEDIA_IDLE_MAX, TCP_MEDIA_UNPROVEN_MAX,
};
use fanlight_wire::{ShardId, StreamId};
use tokio::sync::mpsc;
use tokio::time::timeout_at;

use crate::clock;
use crate::queue::{Handle, ShardInput};

mod framing;
mod stream;

use framing::Framing;
pub use stream::Flavour;
use stream::{Listener, Stream};

/// Bytes read at once.
const READ_BYTES: usize = 16 * 1024;
/// Bytes written at once, about; what waits beyond is written next.
const WRITE_BYTES: usize = 32 * 1024;

/// Where the packets for one stream go.
#[derive(Debug, Clone)]
pub struct TcpSink {
    packets: mpsc::UnboundedSender<Vec<u8>>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Bytes handed to the sink and not yet taken by the kernel.
    backlog: AtomicUsize,
    proven: AtomicBool,
}

impl TcpSink {
    /// Queues one packet; `false` when it was dropped because the stream is slow or gone. Proves the stream.
    pub fn send(&self, packet: &[u8]) -> bool {
        self.shared.proven.store(true, Ordering::Relaxed);
        let Some(framed) = framing::framed(packet) else { return false };
        let bytes = framed.len();
        if self.shared.backlog.load(Ordering::Relaxed) + bytes > TCP_MEDIA_BACKLOG_BYTES_MAX {
            return false;
        }
        self.shared.backlog.fetch_add(bytes, Ordering::Relaxed);
        self.packets.send(framed).is_ok()
    }
}

/// The accepted streams of one shard. Cheap to clone; lives on one thread.
#[derive(Debug, Clone)]
pub struct TcpMedia {
    shard: Handle,
    flavour: Flavour,
    book: Rc<RefCell<Book>>,
}

impl TcpMedia {
    pub fn new(shard: Handle, flavour: Flavour) -> Self {
        let book = Rc::new(RefCell::new(Book { next: first_stream(shard.shard()), total: 0, open: BTreeMap::new() }));
        Self { shard, flavour, book }
    }

    /// Accepts streams for ever. `local` is the address that clients were told.
    ///
    /// # Errors
    /// When the listener cannot be handed to the runtime.
    pub async fn serve(self, listener: std::net::TcpListener, local: SocketAddr) -> io::Result<()> {
        let listener = Listener::new(listener, self.flavour)?;
        let mut complained: Option<Instant> = None;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.admit(stream, peer, local),
                Err(error) => {
                    let now = clock::now();
                    if complained.is_none_or(|at| now.duration_since(at) >= ACCEPT_COMPLAINT_INTERVAL) {
                        complained = Some(now);
                        tracing::warn!(%error, "media over TCP: no stream can be accepted at the moment");
                    }
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    }

    fn admit(&self, stream: Stream, peer: SocketAddr, local: SocketAddr) {
        let Some(place) = Place::take(&self.book, peer.ip()) else {
            tracing::debug!("media over TCP: an address has too many streams");
            return;
        };
        let shard = self.shard.clone();
        tokio::task::spawn_local(run(stream, Ends { peer, local }, place, shard));
    }
}

/// Streams of different shards never share an id.
fn first_stream(shard: ShardId) -> u64 {
    u64::from(shard.0) << 48
}

/// Who holds how many streams.
#[derive(Debug)]
struct Book {
    next: u64,
    /// Streams of all addresses, of which each counts as one source by [`source_of`].
    total: usize,
    open: BTreeMap<IpAddr, Count>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    all: usize,
    unproven: usize,
}

/// One stream's place in the book; given back when dropped.
struct Place {
    book: Rc<RefCell<Book>>,
    address: IpAddr,
    id: StreamId,
    proven: bool,
}

impl Place {
    fn take(book: &Rc<RefCell<Book>>, address: IpAddr) -> Option<Self> {
        let mut open = book.borrow_mut();
        let address = source_of(address);
        if open.total >= CONNECTIONS_MAX {
            return None;
        }
        let count = open.open.get(&address).copied().unwrap_or_default();
        if count.unproven >= TCP_MEDIA_UNPROVEN_MAX || count.all >= CONNECTIONS_PER_ADDRESS_MAX {
            return None;
        }
        open.total += 1;
        open.open.insert(address, Count { all: count.all + 1, unproven: count.unproven + 1 });
        let id = StreamId(open.next);
        open.next += 1;
        Some(Self { book: Rc::clone(book), address, id, proven: false })
    }

    fn prove(&mut self) {
        if !self.proven {
            self.proven = true;
            self.change(|count| count.unproven -= 1);
        }
    }

    fn change(&self, change: impl FnOnce(&mut Count)) {
        let mut book = self.book.borrow_mut();
        if let Some(count) = book.open.get_mut(&self.address) {
            change(count);
            if count.all == 0 {
                book.open.remove(&self.address);
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let unproven = usize::from(!self.proven);
        self.book.borrow_mut().total -= 1;
        self.change(|count| {
            count.all -= 1;
            count.unproven -= unproven;
        });
    }
}

/// Both addresses of a stream.
#[derive(Debug, Clone, Copy)]
struct Ends {
    peer: SocketAddr,
    local: SocketAddr,
}

/// A stream's life: reads until it ends or misbehaves, then takes everything down.
async fn run(stream: Stream, ends: Ends, place: Place, shard: Handle) {
    let stream = Rc::new(stream);
    let shared = Arc::new(Shared::default());
    let (packets, queued) = mpsc::unbounded_channel();
    let sink = TcpSink { packets, shared: Arc::clone(&shared) };
    let writer = tokio::task::spawn_local(write(Rc::clone(&stream), queued, Arc::clone(&shared)));
    let id = place.id;
    let opened = clock::now();
    let mut reader = Reader { stream: &stream, ends, place, shard: &shard, sink: Some(sink), opened, heard: opened };
    let end = reader.read(&shared).await;
    tracing::debug!(?end, "a TCP media stream ended");
    if reader.sink.is_none() && shard.send(ShardInput::TcpClosed(id)).await.is_err() {
        tracing::debug!("a TCP media stream outlived its shard");
    }
    // A write that hangs ends with the connection.
    stream.shutdown();
    writer.abort();
}

/// Why a stream ended.
#[derive(Debug)]
enum End {
    /// The peer or the network closed it.
    Closed,
    /// The first packet was no STUN message, or a packet was too large.
    Foreign,
    /// Nothing came in time, or nothing that the engine answered.
    Silent,
    /// The shard is gone.
    Shard,
}

struct Reader<'a> {
    stream: &'a Stream,
    ends: Ends,
    place: Place,
    shard: &'a Handle,
    /// Handed to the shard with the first packet.
    sink: Option<TcpSink>,
    opened: Instant,
    /// When the last bytes came.
    heard: Instant,
}

impl Reader<'_> {
    async fn read(&mut self, shared: &Shared) -> End {
        let stream = self.stream;
        let mut framing = Framing::default();
        let mut buffer = Vec::with_capacity(READ_BYTES);
        loop {
            buffer.clear();
            // Never dropped before it is done: a request that the kernel holds would swallow what comes next.
            let mut reading = pin!(stream.read(buffer));
            let (result, returned) = loop {
                let Some(deadline) = self.deadline(shared) else { return End::Silent };
                if let Ok(done) = timeout_at(deadline.into(), reading.as_mut()).await {
                    break done;
                }
            };
            buffer = returned;
            match result {
                Ok(0) | Err(_) => return End::Closed,
                Ok(_) => framing.push(&buffer),
            }
            self.heard = clock::now();
            if let Err(end) = self.hand_over(&mut framing).await {
                return end;
            }
        }
    }

    /// Until when the next bytes must be here; `None` when that has passed.
    fn deadline(&mut self, shared: &Shared) -> Option<Instant> {
        if shared.proven.load(Ordering::Relaxed) {
            self.place.prove();
        }
        let deadline = patience(self.opened, self.heard, self.sink.is_none(), self.place.proven);
        Some(deadline).filter(|&deadline| deadline > clock::now())
    }

    async fn hand_over(&mut self, framing: &mut Framing) -> Result<(), End> {
        let stream = self.place.id;
        while let Some(packet) = framing.next(DATAGRAM_BYTES_MAX).map_err(|_| End::Foreign)? {
            if let Some(output) = self.sink.take() {
                if !is_stun(&packet) {
                    self.sink = Some(output);
                    return Err(End::Foreign);
                }
                let Ends { peer, local } = self.ends;
                self.give(ShardInput::TcpOpened { stream, peer, local, output }).await?;
            }
            self.give(ShardInput::Tcp { stream, bytes: packet }).await?;
        }
        Ok(())
    }

    /// Waits while the shard is busy: TCP then slows the peer.
    async fn give(&self, input: ShardInput) -> Result<(), End> {
        self.shard.send(input).await.map_err(|_| End::Shard)
    }
}

/// How long a stream may stay silent: short until it has begun, a little longer until the engine answers it.
fn patience(opened: Instant, heard: Instant, begun: bool, proven: bool) -> Instant {
    match (begun, proven) {
        (_, true) => heard + TCP_MEDIA_IDLE_MAX,
        (true, false) => opened + HANDSHAKE_MAX,
        (false, false) => opened + HELLO_MAX,
    }
}

/// RFC 8489 §5: two zero bits, and the magic cookie.
fn is_stun(packet: &[u8]) -> bool {
    packet.first().is_some_and(|first| *first < 4) && packet.get(4..8) == Some(&[0x21, 0x12, 0xA4, 0x42])
}

/// Writes what the shard queues, several packets at a time, until the shard forgets the stream.
async fn write(stream: Rc<Stream>, mut queued: mpsc::UnboundedReceiver<Vec<u8>>, shared: Arc<Shared>) {
    let mut batch = Vec::with_capacity(WRITE_BYTES);
    while let Some(packet) = queued.recv().await {
        batch.clear();
        batch.extend_from_slice(&packet);
        while batch.len() < WRITE_BYTES
            && let Ok(packet) = queued.try_recv()
        {
            batch.extend_from_slice(&packet);
        }
        let bytes = batch.len();
        let (result, returned) = stream.write_all(batch).await;
        batch = returned;
        shared.backlog.fetch_sub(bytes, Ordering::Relaxed);
        if result.is_err() {
            break;
        }
    }
    stream.shutdown();
}

#[cfg(test)]
mod tests;
