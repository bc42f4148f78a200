//! What a turn of the shard's loop costs beside the kernel: the real loop with a scripted engine that only copies,
//! against a thread that does the same with three system calls and nothing else.
//!
//! One publisher on loopback sends 285 packets of 1 100 bytes per second; each packet goes to N destinations. CPU is the
//! thread's own, taken from the scheduler, divided by the packets that left. Variants take turns window by window, so
//! that a busy neighbour spoils all of them alike. Compare ratios, never absolute figures.
//!
//! `cargo bench -p fanlight-bench --bench turn -- [destinations,…] [even|groups|frames,…] [windows]`
#![expect(clippy::print_stdout, reason = "a table is what this is for")]
#![expect(unsafe_code, reason = "the floor calls the kernel itself; each block says why it holds")]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fanlight::clock;
use fanlight::io::{BackendChoice, MediaBind, cores, pin};
use fanlight::queue::ShardInput;
use fanlight::shard::{Birth, Decide, Shard, ShardConfig};
use fanlight_engine::{Datagram, Deadline, Outbox, PipeInput, PipeOutput, Transport};
use fanlight_wire::command::Command;
use fanlight_wire::report::{Report, ShardTotals};
use fanlight_wire::{PipeId, ShardId};
use tokio::sync::mpsc;

const PACKET_BYTES: usize = 1_100;
const PACKETS_PER_SECOND: u32 = 285;
const WINDOW: Duration = Duration::from_secs(2);

/// How the publisher's packets come.
#[derive(Debug, Clone, Copy)]
struct Arrivals {
    name: &'static str,
    together: u32,
}

const ARRIVALS: [Arrivals; 3] = [
    Arrivals { name: "even", together: 1 },
    Arrivals { name: "groups", together: 4 },
    Arrivals { name: "frames", together: 10 },
];

/// Copies each packet to every destination, destination by destination, as the engine's fan-out does.
struct Repeat {
    near: SocketAddr,
    destinations: Arc<[SocketAddr]>,
    packets: Vec<u8>,
    out: Arc<AtomicU64>,
}

impl Decide for Repeat {
    fn handle_datagram(&mut self, _: Instant, datagram: Datagram<'_>) {
        self.packets.extend_from_slice(datagram.payload);
    }

    fn handle_pipe(&mut self, _: Instant, _: PipeId, _: PipeInput) {}

    fn handle_command(&mut self, _: Instant, _: Command) {}

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_datagrams(&mut self, outbox: &mut Outbox) -> bool {
        for destination in self.destinations.iter() {
            for packet in self.packets.chunks(PACKET_BYTES) {
                outbox.push(Transport::Udp, self.near, *destination, packet);
            }
        }
        let packets = self.destinations.len() * self.packets.len() / PACKET_BYTES;
        self.out.fetch_add(packets as u64, Ordering::Relaxed);
        self.packets.clear();
        false
    }

    fn poll_pipe(&mut self) -> Option<(PipeId, PipeOutput)> {
        None
    }

    fn poll_report(&mut self) -> Option<Report> {
        None
    }

    fn deadline(&self) -> Deadline {
        Deadline::IDLE
    }

    fn totals(&mut self) -> ShardTotals {
        ShardTotals::default()
    }
}

/// Something that repeats packets on a thread of its own.
struct Repeater {
    near: SocketAddr,
    thread: u32,
    out: Arc<AtomicU64>,
    end: End,
}

enum End {
    Shard(Shard),
    Floor(Arc<AtomicBool>, thread::JoinHandle<()>),
}

impl Repeater {
    fn shard(backend: BackendChoice, destinations: &Arc<[SocketAddr]>, core: usize) -> Self {
        let bind = SocketAddr::from(([127, 0, 0, 1], 0));
        let media = vec![MediaBind { bind, advertise: bind }];
        let config =
            ShardConfig { id: ShardId(0), core: Some(core), backend, media, tcp: true, neighbours: Arc::default() };
        let (reports, _reported) = mpsc::channel(8);
        let out = Arc::new(AtomicU64::new(0));
        let (destinations, own_out) = (Arc::clone(destinations), Arc::clone(&out));
        let bear = move |birth: Birth| {
            let (destinations, out) = (Arc::clone(&destinations), Arc::clone(&own_out));
            Repeat { near: birth.udp[0], destinations, packets: Vec::new(), out }
        };
        let before = threads();
        let shard = Shard::spawn(config, Box::new(bear), Vec::new(), reports).expect("a shard");
        let thread = threads().into_iter().find(|t| !before.contains(t)).expect("its thread");
        Self { near: shard.udp[0], thread, out, end: End::Shard(shard) }
    }

    fn floor(destinations: &Arc<[SocketAddr]>, core: usize) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let near = socket.local_addr().expect("an address");
        let (out, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (destinations, own_out, own_stop) = (Arc::clone(destinations), Arc::clone(&out), Arc::clone(&stop));
        let before = threads();
        let thread = thread::spawn(move || {
            pin(core).expect("a core");
            Floor::new(socket, &destinations).run(&own_out, &own_stop);
        });
        let id = threads().into_iter().find(|t| !before.contains(t)).expect("its thread");
        Self { near, thread: id, out, end: End::Floor(stop, thread) }
    }

    /// Nanoseconds of CPU per packet that left in one window.
    fn measure(&self, arrivals: Arrivals) -> f64 {
        let (cpu, out) = (cpu_nanos(self.thread), self.out.load(Ordering::Relaxed));
        publish(self.near, arrivals);
        let packets = self.out.load(Ordering::Relaxed) - out;
        (cpu_nanos(self.thread) - cpu) as f64 / packets.max(1) as f64
    }

    fn end(self) {
        match self.end {
            End::Shard(shard) => {
                shard.handle.try_send(ShardInput::Stop).expect("a place");
                shard.join().expect("a clean end");
            }
            End::Floor(stop, thread) => {
                stop.store(true, Ordering::Relaxed);
                UdpSocket::bind("127.0.0.1:0").and_then(|s| s.send_to(&[0; PACKET_BYTES], self.near)).expect("a wake");
                thread.join().expect("a clean end");
            }
        }
    }
}

/// Waits for readiness, receives one joined burst, copies, sends one message per destination.
struct Floor {
    socket: UdpSocket,
    names: Vec<libc::sockaddr_in>,
    burst: Vec<u8>,
    bytes: Vec<u8>,
    vectors: Vec<libc::iovec>,
    messages: Vec<libc::mmsghdr>,
    control: [u64; 3],
}

impl Floor {
    fn new(socket: UdpSocket, destinations: &[SocketAddr]) -> Self {
        socket.set_nonblocking(true).expect("a socket");
        set_udp(&socket, libc::UDP_GRO, 1);
        let count = destinations.len();
        let names = destinations.iter().map(|address| {
            let SocketAddr::V4(v4) = address else { panic!("IPv4") };
            libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            }
        });
        Self {
            socket,
            names: names.collect(),
            burst: vec![0; 65_536],
            bytes: vec![0; count * 10 * PACKET_BYTES],
            // SAFETY: all-zero is a valid value of this plain C structure.
            vectors: vec![unsafe { zeroed() }; count],
            // SAFETY: as above.
            messages: vec![unsafe { zeroed() }; count],
            control: segment_message(),
        }
    }

    fn run(mut self, out: &AtomicU64, stop: &AtomicBool) {
        // SAFETY: creates a descriptor of our own, kept until the process ends.
        let poller = unsafe { libc::epoll_create1(0) };
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
        // SAFETY: both descriptors are ours; `event` lives through the call.
        unsafe { libc::epoll_ctl(poller, libc::EPOLL_CTL_ADD, self.socket.as_raw_fd(), &raw mut event) };
        while !stop.load(Ordering::Relaxed) {
            // SAFETY: room for one event.
            unsafe { libc::epoll_wait(poller, &raw mut event, 1, -1) };
            while let Ok(bytes) = self.socket.recv(&mut self.burst) {
                self.send(bytes);
                out.fetch_add((self.names.len() * bytes / PACKET_BYTES) as u64, Ordering::Relaxed);
            }
        }
    }

    fn send(&mut self, burst: usize) {
        let trains = self.bytes.chunks_mut(10 * PACKET_BYTES);
        let parts = self.names.iter_mut().zip(&mut self.vectors).zip(&mut self.messages).zip(trains);
        for (((name, vector), message), train) in parts {
            train[..burst].copy_from_slice(&self.burst[..burst]);
            vector.iov_base = train.as_mut_ptr().cast();
            vector.iov_len = burst;
            let header = &mut message.msg_hdr;
            header.msg_name = (&raw mut *name).cast();
            header.msg_namelen = size_of::<libc::sockaddr_in>() as u32;
            header.msg_iov = vector;
            header.msg_iovlen = 1;
            (header.msg_control, header.msg_controllen) = (std::ptr::null_mut(), 0);
            if burst > PACKET_BYTES {
                (header.msg_control, header.msg_controllen) = (self.control.as_mut_ptr().cast(), 24);
            }
        }
        let (messages, count) = (self.messages.as_mut_ptr(), self.messages.len() as u32);
        // SAFETY: every header was just pointed at memory that lives in `self`.
        unsafe { libc::sendmmsg(self.socket.as_raw_fd(), messages, count, libc::MSG_DONTWAIT) };
    }
}

/// The control message that asks for segments of a packet each.
const fn segment_message() -> [u64; 3] {
    let kind = (libc::SOL_UDP as u64) | ((libc::UDP_SEGMENT as u64) << 32);
    [18, kind, PACKET_BYTES as u64]
}

fn set_udp(socket: &UdpSocket, option: libc::c_int, value: libc::c_int) {
    let length = size_of::<libc::c_int>() as u32;
    // SAFETY: the value outlives the call and has the length that is told.
    let set = unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_UDP, option, (&raw const value).cast(), length) };
    assert_eq!(set, 0, "{}", io::Error::last_os_error());
}

/// Sends one window of packets, paced.
fn publish(to: SocketAddr, arrivals: Arrivals) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    set_udp(&socket, libc::UDP_SEGMENT, PACKET_BYTES as libc::c_int);
    let burst = vec![7; PACKET_BYTES * arrivals.together as usize];
    let pause = Duration::from_secs(1) * arrivals.together / PACKETS_PER_SECOND;
    let begin = clock::now();
    let mut next = begin;
    while next < begin + WINDOW {
        thread::sleep(next.saturating_duration_since(clock::now()));
        socket.send_to(&burst, to).expect("a send");
        next += pause;
    }
    // The last burst is on its way; its cost is within the noise of the others.
    thread::sleep(pause);
}

fn threads() -> Vec<u32> {
    let tasks = std::fs::read_dir("/proc/self/task").expect("procfs");
    tasks.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

fn cpu_nanos(thread: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).expect("procfs");
    text.split_whitespace().next().and_then(|first| first.parse().ok()).expect("a number")
}

/// Sockets that take what comes and read none of it: their buffers are small, what does not fit costs the same for all.
fn sinks(count: usize) -> (Vec<UdpSocket>, Arc<[SocketAddr]>) {
    let sockets: Vec<_> = (0..count).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a socket")).collect();
    let addresses = sockets.iter().map(|socket| socket.local_addr().expect("an address")).collect();
    (sockets, addresses)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let listed = |n: usize, default: &str| {
        let text = arguments.get(n).cloned().unwrap_or_else(|| default.to_owned());
        text.split(',').map(str::to_owned).collect::<Vec<_>>()
    };
    let counts: Vec<usize> = listed(0, "1,10,100,400").iter().filter_map(|n| n.parse().ok()).collect();
    let names = listed(1, "even,groups,frames");
    let windows: usize = listed(2, "3").first().and_then(|n| n.parse().ok()).unwrap_or(3);
    let all = cores().unwrap_or_else(|_| vec![0]);
    let (first, last) = (all[0], all[all.len() - 1]);
    pin(last).expect("a core");
    println!("ns of CPU per packet out, medians of {windows} windows of {WINDOW:?}");
    println!("destinations  arrivals     floor  io_uring   (ratio)      mmsg   (ratio)");
    for count in counts {
        let (_sinks, destinations) = sinks(count);
        let repeaters = [
            Repeater::floor(&destinations, first),
            Repeater::shard(BackendChoice::Uring, &destinations, first),
            Repeater::shard(BackendChoice::Mmsg, &destinations, first),
        ];
        for arrivals in ARRIVALS.into_iter().filter(|a| names.iter().any(|name| name == a.name)) {
            let mut seen = vec![Vec::new(); repeaters.len()];
            for _ in 0..windows {
                for (repeater, seen) in repeaters.iter().zip(&mut seen) {
                    seen.push(repeater.measure(arrivals));
                }
            }
            let [floor, uring, mmsg] = [0, 1, 2].map(|n| median(&mut seen[n]));
            println!(
                "{count:>12}  {:<8} {floor:>9.0} {uring:>9.0} {:>9.2} {mmsg:>9.0} {:>9.2}",
                arrivals.name,
                uring / floor,
                mmsg / floor
            );
        }
        repeaters.into_iter().for_each(Repeater::end);
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
