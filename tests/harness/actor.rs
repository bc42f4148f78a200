//! One simulated participant: a seat, a pipe, media over two emulated links, and how it behaves.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use fanlight_engine::PipeOutput;
use fanlight_loadtest::media::{Path, Peer, Transmit};
use fanlight_loadtest::page::Page;
use fanlight_loadtest::seat::Seat;
use fanlight_wire::PipeId;
use fanlight_wire::policy::Role;
use str0m_netem::{Input, Netem, NetemConfig, Output};

/// A datagram as the emulator holds it.
#[derive(Debug, Clone)]
pub(crate) struct Flying(pub(crate) Transmit);

impl AsRef<[u8]> for Flying {
    fn as_ref(&self) -> &[u8] {
        &self.0.payload
    }
}

/// One direction of a participant's path to the relay.
pub(crate) struct Link(Netem<Flying>);

impl Link {
    pub(crate) fn new(config: NetemConfig) -> Self {
        Self(Netem::new(config))
    }

    pub(crate) fn send(&mut self, now: Instant, datagram: Transmit) {
        self.0.handle_input(Input::Packet(now, Flying(datagram)));
    }

    pub(crate) fn change(&mut self, config: NetemConfig) {
        self.0.set_config(config);
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        (!self.0.is_empty()).then(|| self.0.poll_timeout())
    }

    pub(crate) fn receive(&mut self, now: Instant) -> Vec<Transmit> {
        self.0.handle_input(Input::Timeout(now));
        let mut arrived = Vec::new();
        while let Some(output) = self.0.poll_output() {
            match output {
                Output::Packet(Flying(datagram)) => arrived.push(datagram),
                Output::Timeout(_) => break,
            }
        }
        arrived
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({} under way)", self.0.queue_len())
    }
}

/// Media of a participant.
#[derive(Debug)]
pub(crate) struct MediaPath {
    pub(crate) peer: Peer,
    pub(crate) path: Path,
    pub(crate) up: Link,
    pub(crate) down: Link,
}

/// One simulated participant.
#[derive(Debug)]
pub struct Actor {
    pub seat: Seat,
    pub role: Role,
    pub name: String,
    pub page: Option<Page>,
    /// Bytes of each snapshot it takes.
    pub snapshot_bytes: usize,
    /// How many snapshots it has taken.
    pub snapshots_taken: u32,
    /// Pointer frames that arrived.
    pub pointers_seen: u32,
    /// Visitor: says yes to whoever asks.
    pub agrees: bool,
    /// Stops its tracks when it is told that somebody took over. A hostile client does not.
    pub honest: bool,
    /// Reads nothing: what arrives waits, and the relay gets no credit for it.
    pub stuck: bool,
    /// Close codes of its carriers, in order.
    pub closed: Vec<u16>,
    pub(crate) pipe: Option<PipeId>,
    pub(crate) waiting: VecDeque<PipeOutput>,
    pub(crate) media: Option<MediaPath>,
    pub(crate) address: SocketAddr,
    /// Numbers of shares that it asked for and that are not answered yet.
    pub(crate) asked: VecDeque<u32>,
}

impl Actor {
    pub(crate) fn new(role: Role, name: &str, address: SocketAddr) -> Self {
        Self {
            seat: Seat::default(),
            role,
            name: name.to_owned(),
            page: None,
            snapshot_bytes: 20_000,
            snapshots_taken: 0,
            pointers_seen: 0,
            agrees: true,
            honest: true,
            stuck: false,
            closed: Vec::new(),
            pipe: None,
            waiting: VecDeque::new(),
            media: None,
            address,
            asked: VecDeque::new(),
        }
    }

    /// Its WebRTC peer.
    ///
    /// # Panics
    /// When it has none.
    pub fn peer(&mut self) -> &mut Peer {
        &mut self.media.as_mut().expect("media was set up").peer
    }

    pub fn has_media(&self) -> bool {
        self.media.as_ref().is_some_and(|media| media.peer.is_connected())
    }

    /// Whole frames received of the other side's share.
    pub fn frames_seen(&self) -> u64 {
        self.media.as_ref().and_then(|media| media.peer.watch()).map_or(0, |watch| watch.frames().0)
    }

    pub fn is_connected(&self) -> bool {
        self.pipe.is_some()
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        let media = self.media.as_ref()?;
        [Some(media.peer.deadline()), media.up.due(), media.down.due()].into_iter().flatten().min()
    }
}
