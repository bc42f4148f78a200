//! The hot path takes no memory from the heap: the real engine on a real shard, one publisher, twenty subscribers, and an
//! allocator that counts what the shard's thread asks of it.
//!
//! Connectivity checks cost some memory per peer and second, whatever flows. So the same peers are looked at twice, with
//! little media and with much: what differs is what packets and turns cost.
//!
//! A binary of its own, because the allocator is the whole process's.
#![expect(unsafe_code, reason = "a counting allocator; it passes every call on")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fanlight::io::{BackendChoice, MediaBind};
use fanlight::queue::ShardInput;
use fanlight::shard::{Bear, Birth, Shard, ShardConfig, Status, bear_engine};
use fanlight_engine::{Certificate, Engine};
use fanlight_loadtest::clock;
use fanlight_loadtest::raw::handshake::Handshake;
use fanlight_loadtest::raw::sdp::{self, Direction};
use fanlight_loadtest::raw::source::{Load, Pattern};
use fanlight_loadtest::raw::swarm::{Member, Plan, Swarm};
use fanlight_loadtest::raw::udp::Port;
use fanlight_loadtest::raw::watcher::Manner;
use fanlight_wire::command::{Admission, Command};
use fanlight_wire::policy::{Capabilities, Policy, Role};
use fanlight_wire::resource::{MediaSource, ResourceInput, ResourceKind, ResourceOutput};
use fanlight_wire::signal::Slot;
use fanlight_wire::{GroupId, SessionId, ShardId};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

const SESSION: SessionId = SessionId::from_bytes([7; 16]);
const SUBSCRIBERS: usize = 20;
/// Everything has grown to its size after this long: rings, boxes, the runtime's own tables.
const WARM_UP: Duration = Duration::from_secs(2);
const WINDOW: Duration = Duration::from_secs(4);
/// Packets per second from the publisher, evenly spaced, so that nearly each of them is a turn of its own.
const LITTLE: u32 = 30;
const MUCH: u32 = 300;
/// Checks fall unevenly into windows, by a few per peer. One allocation per turn would be a thousand.
const SLACK: u64 = 4 * SUBSCRIBERS as u64;

struct Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

fn note() {
    // A thread that is ending has no such place any more, and is not the shard's.
    if COUNTED.try_with(Cell::get).unwrap_or(false) {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: as the caller vouches.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller vouches.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        note();
        // SAFETY: as the caller vouches.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A shard with the real engine, whose thread is counted.
fn shard(backend: BackendChoice) -> Shard {
    let bind = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = ShardConfig {
        id: ShardId(0),
        core: None,
        backend,
        media: vec![MediaBind { bind, advertise: bind }],
        tcp: true,
        neighbours: Arc::default(),
    };
    let mut bear = bear_engine(Certificate::generate().expect("a certificate"));
    let counted: Bear<Engine> = Box::new(move |birth: Birth| {
        COUNTED.set(true);
        bear(birth)
    });
    let (reports, _reported) = mpsc::channel(64);
    let shard = Shard::spawn(config, counted, Vec::new(), reports).expect("a shard");
    let group = GroupId::new("demo").expect("a name");
    let open = Command::Open { session: SESSION, group, policy: Policy::default() };
    shard.handle.try_send(ShardInput::Command(open)).expect("a place");
    shard
}

/// A client by WHIP or WHEP, without the HTTP.
fn client(shard: &Shard, kind: ResourceKind) -> Member {
    let began_us = clock::now_us();
    let port = Port::open(Ipv4Addr::LOCALHOST, 1 << 20).expect("a socket");
    let mut handshake = Handshake::new(clock::now(), port.local(), true);
    let (ssrc, rtx) = (0x0fa1_1147, 0x0fa1_1148);
    let (direction, capabilities, source) = match kind {
        ResourceKind::Whip => (Direction::Send { ssrc, rtx }, Capabilities::PUB_SCREEN, MediaSource::Screen),
        ResourceKind::Whep => (Direction::Receive, Capabilities::SUB_SCREEN, MediaSource::Slot(Slot::Agent)),
    };
    let offer = sdp::offer(&handshake.party(None), direction, true);
    let (role, name, subject) = (Role::Upstream, "test".to_owned(), format!("{kind:?}-{began_us}"));
    let admission = Admission { session: SESSION, role, capabilities, name, subject, epoch: 0 };
    let (answer, answered) = oneshot::channel();
    let create = ResourceInput::Create { kind, admission, source: Some(source), sdp: offer };
    shard.handle.try_send(ShardInput::Resource(create, answer)).expect("a place");
    let made = answered.blocking_recv().expect("an answer");
    let Ok(ResourceOutput::Created { sdp, .. }) = made else { panic!("refused: {made:?}") };
    let remote = sdp::party(&sdp).expect("an answer in SDP");
    handshake.begin(clock::now(), &remote, remote.active != Some(true)).expect("a handshake");
    let (payload_type, rtx) = sdp::payload_types(&sdp);
    let plan = match kind {
        ResourceKind::Whip => {
            let load = Load { pattern: Pattern::Even, packets_per_second: LITTLE, packet_bytes: 1_100 };
            Plan::Publish { load, ssrc, payload_type: payload_type.expect("a format"), join: false }
        }
        ResourceKind::Whep => Plan::Watch { manner: Manner { feedback: true, ..Manner::default() }, rtx },
    };
    Member::new(port, handshake, plan, began_us)
}

fn status(shard: &Shard, runtime: &Runtime) -> Status {
    runtime.block_on(shard.handle.status()).expect("a status")
}

/// What was allocated and what left in one window at this rate.
fn window(shard: &Shard, swarm: &mut Swarm, runtime: &Runtime, packets_per_second: u32) -> (u64, u64) {
    let now = clock::now();
    swarm.sources().for_each(|source| source.pace(now, packets_per_second));
    swarm.run(now + WINDOW / 4, None).expect("clients run");
    let (before, sent) = (COUNT.load(Ordering::Relaxed), status(shard, runtime).totals.packets_out);
    swarm.run(clock::now() + WINDOW, None).expect("clients run");
    let allocations = COUNT.load(Ordering::Relaxed) - before;
    (allocations, status(shard, runtime).totals.packets_out - sent)
}

fn forwarding_takes_nothing_from_the_heap(backend: BackendChoice) {
    // There is one count.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock();
    let shard = shard(backend);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut swarm = Swarm::new().expect("an epoll");
    swarm.add(client(&shard, ResourceKind::Whip)).expect("a publisher");
    for _ in 0..SUBSCRIBERS {
        swarm.add(client(&shard, ResourceKind::Whep)).expect("a subscriber");
    }
    // The higher rate first: what grows with it has grown before it is looked at.
    swarm.run(clock::now() + WARM_UP, None).expect("clients run");
    window(&shard, &mut swarm, &runtime, MUCH);
    let (much, many) = window(&shard, &mut swarm, &runtime, MUCH);
    let (little, few) = window(&shard, &mut swarm, &runtime, LITTLE);
    assert!(many > u64::from(MUCH) * WINDOW.as_secs() * SUBSCRIBERS as u64 / 4 && many > few * 4, "media flows");
    assert!(much <= little + SLACK, "{much} allocations with {many} packets, {little} with {few}");
    shard.handle.try_send(ShardInput::Stop).expect("a place");
    shard.join().expect("a clean end");
}

#[test]
fn forwarding_by_uring_takes_nothing_from_the_heap() {
    forwarding_takes_nothing_from_the_heap(BackendChoice::Uring);
}

#[test]
fn forwarding_by_mmsg_takes_nothing_from_the_heap() {
    forwarding_takes_nothing_from_the_heap(BackendChoice::Mmsg);
}
