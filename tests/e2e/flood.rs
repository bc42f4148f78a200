//! Strangers: whoever can reach a port sends damaged datagrams and garbage to every port that the process has open, as
//! fast as it can.

use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fanlight_loadtest::carrier::{Carrier, Connect, Kind, WebTransport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::mutate::mutated;

/// What all attackers did, for the progress line.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) datagrams: AtomicU64,
    pub(crate) connections: AtomicU64,
    pub(crate) inside_datagrams: AtomicU64,
    pub(crate) frames: AtomicU64,
    pub(crate) rounds: AtomicU64,
}

impl Tally {
    /// Datagrams, connections, datagrams of insiders, frames, sessions attacked from within.
    pub(crate) fn counts(&self) -> [u64; 5] {
        [&self.datagrams, &self.connections, &self.inside_datagrams, &self.frames, &self.rounds]
            .map(|count| count.load(Ordering::Relaxed))
    }
}

pub(crate) fn add(count: &AtomicU64, more: u64) {
    count.fetch_add(more, Ordering::Relaxed);
}

/// Datagrams worth damaging; insiders add what they see.
#[derive(Debug)]
pub(crate) struct Corpus {
    datagrams: Mutex<Vec<Vec<u8>>>,
}

/// More than this is repetition.
const CORPUS_MAX: usize = 512;

impl Corpus {
    /// What the fuzz targets know, and a first datagram of QUIC.
    pub(crate) async fn gather() -> Self {
        let mut datagrams = inputs("demux");
        datagrams.push(quic_initial().await);
        Self { datagrams: Mutex::new(datagrams) }
    }

    pub(crate) fn learn(&self, datagram: &[u8]) {
        let mut known = self.datagrams.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < CORPUS_MAX {
            known.push(datagram.to_vec());
        }
    }

    fn known(&self) -> Vec<Vec<u8>> {
        self.datagrams.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The corpus of a fuzz target.
pub(crate) fn inputs(target: &str) -> Vec<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz/corpus/{target}.txt"));
    let text = std::fs::read_to_string(path).expect("it is in the repository");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| hex::decode(line.trim()).expect("hexadecimal")).collect()
}

/// What a WebTransport client says first, caught at a port of our own.
async fn quic_initial() -> Vec<u8> {
    let trap = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}/v1/wt", trap.local_addr().expect("bound"));
    let place = WebTransport { url, hashes: vec![BASE64_STANDARD.encode([7; 32])] };
    let connect = Connect { websocket: String::new(), webtransport: Some(place) };
    let mut initial = vec![0; 2_048];
    tokio::select! {
        caught = trap.recv(&mut initial) => initial.truncate(caught.expect("a datagram")),
        _ = Carrier::open(Kind::WebTransport, "http://127.0.0.1", &connect) => panic!("nobody answers there"),
    }
    initial
}

/// A socket of the process, as the kernel's table shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OpenSocket {
    pub(crate) port: u16,
    /// Datagrams that found its buffer full.
    pub(crate) dropped: u64,
}

/// The UDP sockets and the TCP listeners of process `pid`.
pub(crate) fn open_sockets(pid: u32) -> (Vec<OpenSocket>, Vec<OpenSocket>) {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it is ours");
    let links: Vec<_> = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok()).collect();
    let ours = |inode: &str| links.iter().any(|link| link.as_os_str().to_str() == Some(&format!("socket:[{inode}]")));
    let sockets = |table: &str, state: &str| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).expect("the kernel says so");
        let rows = text.lines().skip(1).filter_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (local, found, inode) = (words.get(1)?, words.get(3)?, words.get(9)?);
            let (_, port) = local.split_once(':')?;
            let port = u16::from_str_radix(port, 16).ok()?;
            let dropped = words.get(12).and_then(|count| count.parse().ok()).unwrap_or_default();
            (*found == state && ours(inode)).then_some(OpenSocket { port, dropped })
        });
        rows.collect::<Vec<_>>()
    };
    // States of the kernel's tables: a bound UDP socket counts as closed, a TCP listener as listening.
    (sockets("udp", "07"), sockets("tcp", "0A"))
}

/// Sends damaged datagrams from many addresses until told to stop. Blocks its thread.
pub(crate) fn datagrams(seed: u64, ports: &[u16], corpus: &Corpus, tally: &Tally, stop: &AtomicBool) {
    let mut random = fastrand::Rng::with_seed(seed);
    let sockets: Vec<_> =
        (1..=16u8).map(|nth| UdpSocket::bind((std::net::Ipv4Addr::new(127, 0, 9, nth), 0)).expect("a port")).collect();
    while !stop.load(Ordering::Relaxed) {
        let known = corpus.known();
        let mut sent = 0;
        for _ in 0..5_000 {
            let datagram = mutated(&mut random, &known);
            let socket = &sockets[random.usize(..sockets.len())];
            let port = ports[random.usize(..ports.len())];
            let bytes = datagram.get(..1_472).unwrap_or(&datagram);
            sent += u64::from(socket.send_to(bytes, ("127.0.0.1", port)).is_ok());
        }
        add(&tally.datagrams, sent);
    }
}

fn streams() -> Vec<Vec<u8>> {
    let upgrade = b"GET /v1/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Protocol: fanlight.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x82\x85\x01\x02\x03\x04hello";
    // Of a group that does not exist: a session made by a request that was not damaged enough is nobody's leak.
    let post = b"POST /v1/keys HTTP/1.1\r\nHost: x\r\nContent-Length: 18\r\n\r\n{\"group\":\"nobody\"}";
    let chunked =
        b"POST /v1/join HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n2\r\n1}\r\n0\r\n\r\n";
    let hello = b"\x16\x03\x01\x00\x31\x01\x00\x00\x2d\x03\x03________________________________\x00\x00\x02\x13\x01\x01\x00\x00\x02\x00\x17";
    let mut streams = vec![upgrade.to_vec(), post.to_vec(), chunked.to_vec(), hello.to_vec()];
    // RFC 4571: packets of media over TCP.
    for packet in inputs("demux") {
        let length = u16::try_from(packet.len()).expect("short").to_be_bytes();
        streams.push([&length[..], &packet].concat());
    }
    streams
}

/// Opens streams to every listener and says garbage, until told to stop.
pub(crate) async fn connections(seed: u64, ports: Vec<u16>, tally: Arc<Tally>, stop: Arc<AtomicBool>) {
    let mut random = fastrand::Rng::with_seed(seed);
    let streams = streams();
    while !stop.load(Ordering::Relaxed) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.8.1:0".parse().expect("an address")).expect("bound");
        let port = ports[random.usize(..ports.len())];
        let Ok(Ok(mut stream)) = timeout(Duration::from_secs(1), socket.connect(([127, 0, 0, 1], port).into())).await
        else {
            continue;
        };
        let said = mutated(&mut random, &streams);
        // The relay may close at any byte; it may also wait for more, which is not worth this attacker's time.
        if stream.write_all(&said).await.is_ok() {
            let mut answer = [0; 512];
            drop(timeout(Duration::from_millis(5), stream.read(&mut answer)).await);
        }
        add(&tally.connections, 1);
    }
}
