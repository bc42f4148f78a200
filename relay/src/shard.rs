//! The loop of one core: a pinned thread that owns one engine, its media sockets and its streams.
//!
//! One turn: datagrams (≤ 256) → words of other shards → commands (≤ 64) → pipes → timers due → fan out in slices, with a look at what came in
//! between them → drain the engine; then sleep until the engine's deadline or the next input. What left is flushed when a
//! turn's input is exhausted, never on a timer.
//! Commands go before pipes, so that a join never overtakes the command that opened its session.
//!
//! Invariant: only this thread touches the engine. A panic in a turn ends the shard's sessions and nothing else: a fresh
//! engine takes over the same sockets, pipes are dropped (clients join again), and control is told that the sessions
//! ended. The thread runs on `tokio_uring` when its backend is io_uring, on plain tokio otherwise; QUIC and TCP media
//! run beside the loop on the same thread.

use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::mpsc as start;
use std::task::Poll;
use std::thread;
use std::time::Instant;

use fanlight_engine::{Datagram, Deadline, Handoff, Outbox, PipeInput, PipeOutput};
use fanlight_wire::command::Command;
use fanlight_wire::report::{Report, ShardTotals};
use fanlight_wire::resource::{ResourceInput, ResourceOutput};
use fanlight_wire::{Code, PipeId, Refusal, ShardId};
use tokio::sync::mpsc;
use tokio::task::LocalSet;

use crate::carrier::admit::Shards;
use crate::carrier::tcp::{Flavour, TcpMedia};
use crate::clock;
use crate::io::{BackendChoice, BackendKind, MediaBind, MediaSockets, SocketReport, pin as pin_thread, select};
use crate::queue::{Handle, queues};

mod board;
mod engine;
mod load;
mod turn;

pub use board::{Board, Status};
pub use engine::bear_engine;
use turn::{Core, Next};

/// Turns without a pause after which a `tokio_uring` runtime is given one to hand its own requests to the kernel.
const TURNS_PER_PAUSE: u32 = 4;

/// What a shard decides with; the engine, or a scripted one in tests. The contract is the engine's.
pub trait Decide {
    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>);
    fn handle_pipe(&mut self, now: Instant, pipe: PipeId, input: PipeInput);
    fn handle_command(&mut self, now: Instant, command: Command);
    /// Without media resources there is none to be found.
    ///
    /// # Errors
    /// The [`Refusal`] to answer with.
    fn handle_resource(&mut self, _: Instant, _: ResourceInput) -> Result<ResourceOutput, Refusal> {
        Err(Refusal::new(Code::NotFound, "docs/whip-whep.md"))
    }
    /// Without other shards there is nobody to hear from.
    fn handle_handoff(&mut self, _: Instant, _: &Handoff) {}
    /// A word for another shard found no room.
    fn handoff_lost(&mut self, _: Instant, _: ShardId, _: &Handoff) {}
    fn poll_handoff(&mut self) -> Option<(ShardId, Handoff)> {
        None
    }
    fn handle_timeout(&mut self, now: Instant);
    /// True when more waits.
    fn poll_datagrams(&mut self, outbox: &mut Outbox) -> bool;
    fn poll_pipe(&mut self) -> Option<(PipeId, PipeOutput)>;
    fn poll_report(&mut self) -> Option<Report>;
    fn deadline(&self) -> Deadline;
    fn totals(&mut self) -> ShardTotals;
}

/// What a new engine is told.
#[derive(Debug, Clone)]
pub struct Birth {
    pub shard: ShardId,
    pub now: Instant,
    /// Advertised UDP addresses, with their real ports.
    pub udp: Vec<SocketAddr>,
    /// Advertised addresses that accept TCP; empty when media over TCP is off.
    pub tcp: Vec<SocketAddr>,
}

/// Makes an engine: at the start, and again after a panic.
pub type Bear<D> = Box<dyn FnMut(Birth) -> D + Send>;

/// Something that runs beside the loop on the shard's thread, for example the QUIC endpoint.
pub type Companion = Box<dyn FnOnce(Handle) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// What a shard is started with.
#[derive(Debug, Clone)]
pub struct ShardConfig {
    pub id: ShardId,
    /// The core to stay on; `None` leaves the choice to the scheduler.
    pub core: Option<usize>,
    pub backend: BackendChoice,
    pub media: Vec<MediaBind>,
    /// Accept media over TCP on the same addresses and ports.
    pub tcp: bool,
    /// The node's shards, which may mirror each other's sessions.
    pub neighbours: Arc<Shards>,
}

/// A running shard.
#[derive(Debug)]
pub struct Shard {
    pub handle: Handle,
    /// What it last published about itself.
    pub board: Arc<Board>,
    pub backend: BackendKind,
    /// What the kernel granted to its sockets.
    pub sockets: Vec<SocketReport>,
    /// The addresses its clients are told.
    pub udp: Vec<SocketAddr>,
    pub tcp: Vec<SocketAddr>,
    thread: thread::JoinHandle<()>,
}

struct Started {
    sockets: Vec<SocketReport>,
    udp: Vec<SocketAddr>,
    tcp: Vec<SocketAddr>,
}

impl Shard {
    /// Starts the thread and waits until its sockets are open.
    ///
    /// `reports` takes what control is to know; a full channel loses reports (counted), it never stops the shard.
    ///
    /// # Errors
    /// When a socket cannot be opened, the chosen backend cannot run, or the thread cannot be made.
    pub fn spawn<D: Decide + 'static>(
        config: ShardConfig,
        bear: Bear<D>,
        companions: Vec<Companion>,
        reports: mpsc::Sender<Report>,
    ) -> io::Result<Self> {
        let backend = select(config.backend)?;
        let (handle, inputs) = queues(config.id);
        let board = Arc::new(Board::new(config.id, backend));
        let (started, start) = start::sync_channel(1);
        let (own_handle, own_board) = (handle.clone(), Arc::clone(&board));
        let name = format!("shard-{}", config.id.0);
        let thread = thread::Builder::new().name(name).spawn(move || {
            let shard = config.id;
            on_runtime(backend, async move {
                let opened = Opened::open(&config, backend);
                let Opened { sockets, tcp } = match opened {
                    Ok(opened) => opened,
                    Err(error) => return answer(&started, Err(error)),
                };
                let addresses: Vec<_> = tcp.iter().map(|(_, address)| *address).collect();
                let facts = Started { sockets: sockets.reports(), udp: sockets.advertised(), tcp: addresses.clone() };
                beside(tcp, companions, &own_handle, backend);
                let core = Core::new(&config, bear, sockets, addresses, inputs, reports, own_board);
                answer(&started, Ok(facts));
                run(core).await;
            })
            .unwrap_or_else(|error| tracing::error!(shard = shard.0, %error, "a shard has no runtime"));
        })?;
        let gone = || io::Error::other("the shard's thread ended at its start");
        let Started { sockets, udp, tcp } = start.recv().map_err(|_| gone())??;
        tracing::info!(shard = handle.shard().0, %backend, "a shard runs");
        Ok(Self { handle, board, backend, sockets, udp, tcp, thread })
    }

    /// Waits until the thread has ended; ask it to by [`crate::queue::ShardInput::Stop`].
    ///
    /// # Errors
    /// When the thread ended by a panic outside a turn.
    pub fn join(self) -> Result<(), ShardPanic> {
        self.thread.join().map_err(|_| ShardPanic)
    }
}

/// The thread of a shard ended by a panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a shard's thread panicked")]
pub struct ShardPanic;

fn answer(started: &start::SyncSender<io::Result<Started>>, result: io::Result<Started>) {
    if started.send(result).is_err() {
        tracing::debug!("nobody waits for a shard's start");
    }
}

/// Runs the shard's future on the runtime of its backend, with tasks that stay on this thread.
fn on_runtime(backend: BackendKind, shard: impl Future<Output = ()>) -> io::Result<()> {
    match backend {
        BackendKind::Uring => {
            tokio_uring::builder().entries(256).start(shard);
            Ok(())
        }
        BackendKind::Mmsg => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            LocalSet::new().block_on(&runtime, shard);
            Ok(())
        }
    }
}

/// The sockets of one shard. Opened on its own thread, because the kernel ties requests to the thread that made them.
struct Opened {
    sockets: MediaSockets,
    tcp: Vec<(TcpListener, SocketAddr)>,
}

impl Opened {
    fn open(config: &ShardConfig, backend: BackendKind) -> io::Result<Self> {
        if let Some(core) = config.core
            && let Err(error) = pin_thread(core)
        {
            tracing::warn!(shard = config.id.0, core, %error, "a shard could not be kept on its core");
        }
        let choice = match backend {
            BackendKind::Uring => BackendChoice::Uring,
            BackendKind::Mmsg => BackendChoice::Mmsg,
        };
        let sockets = MediaSockets::open(choice, &config.media)?;
        let mut tcp = Vec::new();
        if config.tcp {
            for (bind, local) in config.media.iter().zip(sockets.local_addrs()) {
                tcp.push(listen(bind, local)?);
            }
        }
        Ok(Self { sockets, tcp })
    }
}

/// Listens on the port of the UDP socket, or on any when the kernel was to choose that one too.
fn listen(bind: &MediaBind, local: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let address = if bind.bind.port() == 0 { bind.bind } else { local };
    let named = |error: io::Error| io::Error::new(error.kind(), format!("media over TCP on {address}: {error}"));
    let listener = TcpListener::bind(address).map_err(named)?;
    let mut advertise = bind.advertise;
    if bind.bind.port() == 0 || advertise.port() == 0 {
        advertise.set_port(listener.local_addr()?.port());
    }
    Ok((listener, advertise))
}

/// Starts what shares the shard's thread.
fn beside(tcp: Vec<(TcpListener, SocketAddr)>, companions: Vec<Companion>, handle: &Handle, backend: BackendKind) {
    let flavour = match backend {
        BackendKind::Uring => Flavour::Uring,
        BackendKind::Mmsg => Flavour::Tokio,
    };
    let media = TcpMedia::new(handle.clone(), flavour);
    for (listener, advertised) in tcp {
        let media = media.clone();
        tokio::task::spawn_local(async move {
            if let Err(error) = media.serve(listener, advertised).await {
                tracing::error!(%error, "media over TCP is off");
            }
        });
    }
    for companion in companions {
        tokio::task::spawn_local(companion(handle.clone()));
    }
}

/// Turn after turn, until told to stop.
async fn run<D: Decide>(mut core: Core<D>) {
    let mut sleep = pin!(tokio::time::sleep_until(clock::now().into()));
    let mut without_pause = 0;
    loop {
        let began = clock::now();
        let Next::SleepUntil(until) = core.turn(began) else { return };
        core.note_turn(began, clock::now());
        if let Some(until) = until {
            sleep.as_mut().reset(until.into());
        }
        let waited = pauses(async {
            let (sockets, inputs) = core.sources();
            tokio::select! {
                biased;
                () = sockets.readable() => {}
                () = inputs.wait() => {}
                () = sleep.as_mut(), if until.is_some() => {}
            }
        })
        .await;
        if waited {
            without_pause = 0;
            continue;
        }
        // The other tasks of this thread get their turn, and now and then so do the runtime's own requests.
        without_pause += 1;
        tokio::task::yield_now().await;
        if without_pause >= TURNS_PER_PAUSE && core.nudge() {
            without_pause = 0;
            core.sources().0.readable().await;
        }
    }
}

/// Runs a future and says whether it had to wait.
async fn pauses(future: impl Future<Output = ()>) -> bool {
    let mut future = pin!(future);
    let mut waited = false;
    poll_fn(|context| {
        let poll = future.as_mut().poll(context);
        waited |= poll.is_pending();
        match poll {
            Poll::Ready(()) => Poll::Ready(waited),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
pub(crate) mod tests;
