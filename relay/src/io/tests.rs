//! One list of questions, asked of both backends. A host that refuses io_uring fails here by name: nothing is skipped.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use fanlight_engine::{Outbox, Transport};
use fanlight_wire::StreamId;
use fanlight_wire::limits::DATAGRAM_BYTES_MAX;

use crate::shard::tests::patiently;

use super::{BackendChoice, Gso, MediaBind, MediaSockets, Socket, SocketReport, uring};

macro_rules! on_both_backends {
    ($($question:ident),+ $(,)?) => {
        mod with_uring { $(#[test] fn $question() { super::run(super::BackendChoice::Uring, super::$question) })+ }
        mod with_mmsg { $(#[test] fn $question() { super::run(super::BackendChoice::Mmsg, super::$question) })+ }
    };
}

on_both_backends! {
    every_datagram_comes_back,
    trains_arrive_as_equal_datagrams_in_order,
    a_received_train_is_cut_as_it_was_sent,
    more_datagrams_than_buffers_are_all_received,
    sockets_keep_their_addresses,
    a_turn_ends_at_its_budget_and_the_rest_follows,
    what_names_no_socket_is_dropped_and_counted,
    a_refused_destination_hinders_nobody,
    a_train_that_cannot_be_cut_leaves_singly,
    ipv6_works_as_ipv4,
}

type Answer<'a> = std::pin::Pin<Box<dyn Future<Output = ()> + 'a>>;
type Question = for<'a> fn(&'a mut Bench) -> Answer<'a>;

/// Media sockets under test with a plain socket at the far end.
struct Bench {
    choice: BackendChoice,
    sockets: MediaSockets,
    far: UdpSocket,
}

fn run(choice: BackendChoice, question: Question) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut bench = Bench::new(choice, 1);
        let limit = Duration::from_secs(60);
        tokio::time::timeout(limit, question(&mut bench)).await.expect("datagrams on loopback arrive");
    });
}

impl Bench {
    fn new(choice: BackendChoice, sockets: usize) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let binds = vec![MediaBind { bind: any, advertise: any }; sockets];
        let sockets = open(choice, &binds);
        Self { choice, sockets, far: far(any) }
    }

    fn near_address(&self) -> SocketAddr {
        self.sockets.local_addrs()[0]
    }

    fn far_address(&self) -> SocketAddr {
        self.far.local_addr().unwrap()
    }

    /// Receives until `count` datagrams are here.
    async fn take(&mut self, count: usize) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
        take(&mut self.sockets, count).await
    }

    fn far_takes(&self) -> Vec<u8> {
        let mut buffer = vec![0; 65_536];
        let bytes = patiently(|| self.far.recv(&mut buffer)).expect("a datagram within the far end's patience");
        buffer.truncate(bytes);
        buffer
    }
}

fn open(choice: BackendChoice, binds: &[MediaBind]) -> MediaSockets {
    match MediaSockets::open(choice, binds) {
        Ok(sockets) => sockets,
        Err(error) => panic!("this host refuses the backend {choice:?}: {error}"),
    }
}

fn far(address: SocketAddr) -> UdpSocket {
    let far = Socket::open(&MediaBind { bind: address, advertise: address }).unwrap().socket;
    // Received one by one as an ordinary client does; the large buffers are what is wanted of `Socket::open`.
    socket2::SockRef::from(&far).set_nonblocking(false).unwrap();
    far.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    plain(far)
}

/// The same socket without joined receives.
fn plain(socket: UdpSocket) -> UdpSocket {
    super::cmsg::disable_gro(std::os::fd::AsFd::as_fd(&socket)).unwrap();
    socket
}

async fn take(sockets: &mut MediaSockets, count: usize) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
    let mut taken = Vec::new();
    while taken.len() < count {
        sockets.readable().await;
        sockets.receive(256, &mut |d| taken.push((d.source, d.destination, d.payload.to_vec())));
    }
    taken
}

fn payload(seed: usize, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (seed.wrapping_mul(31) ^ i) as u8).collect()
}

fn every_datagram_comes_back(bench: &mut Bench) -> Answer<'_> {
    Box::pin(async move {
        let (near, far) = (bench.near_address(), bench.far_address());
        let mut outbox = Outbox::default();
        for batch in 0..100 {
            let sent: Vec<_> =
                (0..100).map(|i| payload(batch * 100 + i, 1 + (batch * 977 + i * 131) % 1_500)).collect();
            for datagram in &sent {
                bench.far.send_to(datagram, near).unwrap();
            }
            let taken = bench.take(sent.len()).await;
            for ((source, destination, got), sent) in taken.iter().zip(&sent) {
                assert_eq!((*source, *destination), (far, near));
                assert!(got == sent, "a datagram changed on its way");
                outbox.push(Transport::Udp, near, far, got);
            }
            bench.sockets.send(&outbox);
            outbox.clear();
            for sent in &sent {
                assert!(&bench.far_takes() == sent, "an echo differs");
            }
        }
        let counters = bench.sockets.counters();
        assert_eq!((counters.datagrams_in, counters.segments_out, counters.drops), (10_000, 10_000, 0));
    })
}

fn trains_arrive_as_equal_datagrams_in_order(bench: &mut Bench) -> Answer<'_> {
    Box::pin(async move {
        let (near, far) = (bench.near_address(), bench.far_address());
        for segments in 1..=64 {
            let mut outbox = Outbox::default();
            let mut sent: Vec<_> = (0..segments).map(|i| payload(i, 1_000)).collect();
            sent.last_mut().unwrap().truncate(1 + segments * 7);
            for datagram in &sent {
                outbox.push(Transport::Udp, near, far, datagram);
            }
            assert_eq!(outbox.trains().len(), 1, "one train of {segments}");
            bench.sockets.send(&outbox);
            for sent in &sent {
                assert!(&bench.far_takes() == sent, "a segment of a train of {segments} differs");
            }
        }
        let counters = bench.sockets.counters();
        assert_eq!((counters.trains_out, counters.segments_out, counters.uncut), (64, 64 * 65 / 2, 0));
    })
}

fn a_received_train_is_cut_as_it_was_sent(bench: &mut Bench) -> Answer<'_> {
    Box::pin(async move {
        let mut sender = Bench::new(bench.choice, 1).sockets;
        let (from, near) = (sender.local_addrs()[0], bench.near_address());
        let mut sent = Vec::new();
        for (round, bytes) in [1_200_usize, 37, 1_000, 1].into_iter().enumerate() {
            let mut outbox = Outbox::default();
            for i in 0..50 {
                let datagram = payload(round * 50 + i, if i == 49 { bytes.div_ceil(2) } else { bytes });
                outbox.push(Transport::Udp, from, near, &datagram);
                sent.push(datagram);
            }
            sender.send(&outbox);
        }
        let taken = bench.take(sent.len()).await;
        assert_eq!(taken.len(), sent.len());
        for ((source, _, got), sent) in taken.iter().zip(&sent) {
            assert!(*source == from && got == sent, "a segment differs after joining and cutting");
        }
    })
}

fn more_datagrams_than_buffers_are_all_received(bench: &mut Bench) -> Answer<'_> {
    Box::pin(async move {
        let near = bench.near_address();
        let count = usize::from(uring::BUFFERS) * 3 + 5;
        for round in 0..4 {
            for i in 0..count {
                bench.far.send_to(&payload(round + i, 40 + i % 7), near).unwrap();
            }
            let taken = bench.take(count).await;
            for (i, (_, _, got)) in taken.iter().enumerate() {
                assert!(*got == payload(round + i, 40 + i % 7), "datagram {i} of round {round} differs");
            }
        }
        let counters = bench.sockets.counters();
        if bench.choice == BackendChoice::Uring {
            assert!(counters.exhausted > 0, "the test must exhaust the buffers: {counters:?}");
        }
        assert_eq!(counters.datagrams_in, 4 * count as u64);
    })
}

fn sockets_keep_their_addresses(bench: &mut Bench) -> Answer<'_> {
    Box::pin(async move {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let public: SocketAddr = "203.0.113.9:4000".parse().unwrap();
        let binds = [MediaBind { bind: any, advertise: any }, MediaBind { bind: any, advertise: public }];
        let mut sockets = open(bench.choice, &binds);
        let locals = sockets.local_addrs();
        assert_eq!(sockets.advertised(), [locals[0], public]);
        bench.far.send_to(b"first", locals[0]).unwrap();
        bench.far.send_to(b"second", locals[1]).unwrap();
        let mut taken = take(&mut sockets, 2).await;
        taken.sort_by_key(|(_, _, payload)| payload.clone());
        assert_eq!(taken[0], (bench.far_address(), locals[0], b"first".to_vec()));
        assert_eq!(taken[1], (bench.far_address(), public, b"second".to_vec()));
        let mut outbox = Outbox::default();
        outbox.push(Transport::Udp, public, bench.far_address(), b"from the second");
        outbox.push(Transport::Udp, locals[0], bench.far_address(), b"from the first");
        sockets.send(&outbox);
        let mut buffer = [0; 64];
        let mut answers = Vec::new();
        for _ in 0..2 {
            let (bytes, from) = patiently(|| bench.far.recv_from(&mut buffer)).unwrap();
            answers.push((from, buffer[..bytes].to_vec()));
        }
        answers.sort_by_key(|(_, payload)| payload.clone());
        assert_eq!(answers, [(locals[0], b"from the first".to_vec()), (locals[1], b"from the second".to_vec())]);
    })
}

fn a_turn_ends_at_its_budget_and_the_rest_follows(bench: &mut Bench) -> Answer<'_> {
    Box::pin(async move {
        let near = bench.near_address();
        for i in 0..100 {
            bench.far.send_to(&payload(i, 20), near).unwrap();
        }
        let mut turns = Vec::new();
        while turns.iter().sum::<usize>() < 100 {
            bench.sockets.readable().await;
            turns.push(bench.sockets.receive(40, &mut |_| {}));
        }
        // The plain backend finishes the batch that reaches the budget.
        assert!(turns.iter().all(|&taken| taken <= 64), "{turns:?}");
        assert!(turns.len() >= 2, "{turns:?}");
    })
}

fn what_names_no_socket_is_dropped_and_counted(bench: &mut Bench) -> Answer<'_> {
    Box::pin(async move {
        let (near, far) = (bench.near_address(), bench.far_address());
        let mut outbox = Outbox::default();
        outbox.push(Transport::Udp, far, far, b"not our source");
        outbox.push(Transport::Tcp(StreamId(1)), near, far, b"not our transport");
        outbox.push(Transport::Udp, near, far, b"ours");
        bench.sockets.send(&outbox);
        assert_eq!(bench.far_takes(), b"ours");
        let counters = bench.sockets.counters();
        assert_eq!((counters.drops, counters.segments_out), (1, 1));
        bench.far.send_to(&[7; DATAGRAM_BYTES_MAX + 1], near).unwrap();
        bench.far.send_to(&[8; DATAGRAM_BYTES_MAX], near).unwrap();
        let taken = bench.take(1).await;
        assert_eq!(taken[0].2, [8; DATAGRAM_BYTES_MAX]);
        assert_eq!(bench.sockets.counters().oversize, 1);
    })
}

fn a_refused_destination_hinders_nobody(bench: &mut Bench) -> Answer<'_> {
    Box::pin(async move {
        let (near, far) = (bench.near_address(), bench.far_address());
        // Nobody listens there any more: the kernel answers with an ICMP error.
        let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut outbox = Outbox::default();
        for round in 0..20 {
            outbox.push(Transport::Udp, near, closed, b"into the void");
            // An IPv4 socket cannot send there: the send itself fails.
            outbox.push(Transport::Udp, near, "[2001:db8::1]:9".parse().unwrap(), b"wrong family");
            outbox.push(Transport::Udp, near, far, &payload(round, 100));
            bench.sockets.send(&outbox);
            outbox.clear();
            assert_eq!(bench.far_takes(), payload(round, 100));
            bench.far.send_to(&payload(round, 60), near).unwrap();
            assert_eq!(bench.take(1).await[0].2, payload(round, 60));
        }
        assert_eq!(bench.sockets.counters().drops, 20);
    })
}

fn a_train_that_cannot_be_cut_leaves_singly(bench: &mut Bench) -> Answer<'_> {
    Box::pin(async move {
        let (near, far) = (bench.near_address(), bench.far_address());
        // The kernel cuts no train without checksums (it answers EINVAL), which stands for a path that cannot take one.
        super::cmsg::set_no_checksum(std::os::fd::AsFd::as_fd(&bench.sockets.sockets[0].socket)).unwrap();
        let mut outbox = Outbox::default();
        for i in 0..10 {
            outbox.push(Transport::Udp, near, far, &payload(i, 500));
        }
        for _ in 0..2 {
            bench.sockets.send(&outbox);
            for i in 0..10 {
                assert_eq!(bench.far_takes(), payload(i, 500));
            }
        }
        let counters = bench.sockets.counters();
        assert_eq!((counters.uncut, counters.segments_out, counters.drops), (2, 20, 0));
    })
}

fn ipv6_works_as_ipv4(bench: &mut Bench) -> Answer<'_> {
    Box::pin(async move {
        let any: SocketAddr = "[::1]:0".parse().unwrap();
        let mut sockets = open(bench.choice, &[MediaBind { bind: any, advertise: any }]);
        let (near, far) = (sockets.local_addrs()[0], far(any));
        far.send_to(b"six", near).unwrap();
        assert_eq!(take(&mut sockets, 1).await, [(far.local_addr().unwrap(), near, b"six".to_vec())]);
        let mut outbox = Outbox::default();
        outbox.push(Transport::Udp, near, far.local_addr().unwrap(), b"back");
        sockets.send(&outbox);
        let mut buffer = [0; 16];
        let (bytes, from) = patiently(|| far.recv_from(&mut buffer)).unwrap();
        assert_eq!((&buffer[..bytes], from), (b"back".as_slice(), near));
    })
}

#[test]
fn segmentation_rests_after_refusals_and_is_tried_again() {
    let mut gso = Gso::new(true);
    (1..Gso::REFUSALS_MAX).for_each(|_| gso.refused(libc::EINVAL));
    assert!(gso.allowed(), "a few destinations with a small MTU change nothing");
    gso.refused(libc::EINVAL);
    let tries = (0..Gso::REST_TRAINS).filter(|_| gso.allowed()).count();
    assert_eq!(tries, 0);
    assert!(gso.allowed());
    gso.refused(libc::EIO);
    assert!(!gso.allowed());
    assert!(!Gso::new(false).allowed());
}

#[test]
fn a_clamped_buffer_names_the_setting() {
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let report =
        SocketReport { local: address, wanted_bytes: 4096, receive_bytes: 212, send_bytes: 4096, gro: true, gso: true };
    assert_eq!(report.clamps().collect::<Vec<_>>(), [("net.core.rmem_max", 4096)]);
}
