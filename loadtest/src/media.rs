//! A participant's media, without a browser and without I/O: a WebRTC peer that always offers, may publish synthetic
//! video, and watches what it receives. The same peer runs over real sockets ([`crate::sockets`]) and in simulated
//! worlds on virtual time.
//!
//! It leaves to the caller: sockets, time, and signals.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive, TcpType};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

pub use vp8::Mark;
pub use watch::{Run, Watch};

pub mod vp8;
pub mod watch;

/// How a datagram travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Path {
    Udp,
    /// One RFC 4571 frame of a stream that the client opened (RFC 6544 active candidate).
    Tcp,
}

/// A datagram on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    pub path: Path,
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub payload: Vec<u8>,
}

/// What to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publication {
    /// A number that is never given twice; receivers see it in [`Watch::runs`].
    pub share: u32,
    pub frames_per_second: u32,
    pub packets_per_frame: u8,
    pub packet_bytes: usize,
}

/// The description could not be used.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    #[error("the answer is not readable: {0}")]
    Answer(String),
    #[error("there is no open offer")]
    NoOffer,
    #[error("an address that cannot be a candidate: {0}")]
    Candidate(SocketAddr),
}

/// RTP ticks per second of video (RFC 7741 §4.1).
const CLOCK: u64 = 90_000;

struct Publishing {
    what: Publication,
    frame: u32,
    due: Instant,
}

/// A participant's WebRTC peer.
pub struct Peer {
    rtc: Rtc,
    born: Instant,
    now: Instant,
    timeout: Instant,
    pending: Option<SdpPendingOffer>,
    /// Receives the other side's video.
    view: Option<Mid>,
    /// Carries the own share.
    own: Option<Mid>,
    publishing: Option<Publishing>,
    next_number: u64,
    key_wanted: bool,
    keyframe_requests: u64,
    outgoing: VecDeque<Transmit>,
    watches: BTreeMap<Mid, Watch>,
    connected: bool,
    /// Added to the peer's own clock so that it equals the scenario's.
    epoch_us: u64,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer")
            .field("connected", &self.connected)
            .field("watches", &self.watches)
            .finish_non_exhaustive()
    }
}

impl Peer {
    /// A peer without addresses. `epoch_us` is what the scenario's clock shows at `now`.
    pub fn new(now: Instant, epoch_us: u64) -> Self {
        let rtc =
            RtcConfig::new().set_rtp_mode(true).clear_codecs().enable_opus(true, false).enable_vp8(true).build(now);
        Self {
            rtc,
            born: now,
            now,
            timeout: now,
            pending: None,
            view: None,
            own: None,
            publishing: None,
            next_number: 1,
            key_wanted: true,
            keyframe_requests: 0,
            outgoing: VecDeque::new(),
            watches: BTreeMap::new(),
            connected: false,
            epoch_us,
        }
    }

    /// Makes an own address known. Before the offer for UDP; for TCP when the stream to the relay is open.
    ///
    /// # Errors
    /// [`MediaError::Candidate`] for an address that nobody could send to.
    pub fn add_address(&mut self, path: Path, address: SocketAddr) -> Result<(), MediaError> {
        let candidate = match path {
            Path::Udp => Candidate::builder().udp().host(address).build(),
            Path::Tcp => Candidate::builder().tcp().host(address).tcptype(TcpType::Active).build(),
        };
        let candidate = candidate.map_err(|_| MediaError::Candidate(address))?;
        self.rtc.add_local_candidate(candidate);
        self.drain();
        Ok(())
    }

    /// The offer of the contract: the other side's video and sound, then the own ones. Once per peer.
    pub fn offer(&mut self) -> String {
        let mut changes = self.rtc.sdp_api();
        let view = changes.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        changes.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        let own = changes.add_media(MediaKind::Video, Direction::SendOnly, None, None, None);
        changes.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
        (self.view, self.own) = (Some(view), Some(own));
        let Some((offer, pending)) = changes.apply() else { return String::new() };
        self.pending = Some(pending);
        self.drain();
        offer.to_sdp_string()
    }

    /// Takes the relay's answer.
    ///
    /// # Errors
    /// [`MediaError`] when it cannot be used.
    pub fn answer(&mut self, now: Instant, sdp: &str) -> Result<(), MediaError> {
        self.advance(now);
        let pending = self.pending.take().ok_or(MediaError::NoOffer)?;
        let unusable = |error: &dyn std::fmt::Display| MediaError::Answer(error.to_string());
        let answer = SdpAnswer::from_sdp_string(sdp).map_err(|error| unusable(&error))?;
        let accepted = self.rtc.sdp_api().accept_answer(pending, answer).map_err(|error| unusable(&error));
        self.drain();
        accepted
    }

    /// The media section that carries the own share, for `share.start`.
    pub fn own_mid(&self) -> String {
        self.own.map(|mid| mid.to_string()).unwrap_or_default()
    }

    /// Begins to send; a keyframe comes first.
    pub fn publish(&mut self, now: Instant, what: Publication) {
        self.publishing = Some(Publishing { what, frame: 0, due: now });
        self.key_wanted = true;
    }

    /// Ends it; nothing more is sent.
    pub fn stop(&mut self) {
        self.publishing = None;
    }

    pub const fn is_connected(&self) -> bool {
        self.connected
    }

    /// Keyframe requests received.
    pub const fn keyframe_requests(&self) -> u64 {
        self.keyframe_requests
    }

    /// What arrived on the section of the other side's video.
    pub fn watch(&self) -> Option<&Watch> {
        self.watches.get(&self.view?)
    }

    /// The same, to take measurements from.
    pub fn watch_mut(&mut self) -> Option<&mut Watch> {
        self.watches.get_mut(&self.view?)
    }

    /// One datagram from the network.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &Transmit) {
        self.advance(now);
        let protocol = match datagram.path {
            Path::Udp => Protocol::Udp,
            Path::Tcp => Protocol::Tcp,
        };
        let Ok(receive) = Receive::new(protocol, datagram.source, datagram.destination, &datagram.payload) else {
            return;
        };
        // What cannot be read is dropped, as in a browser.
        drop(self.rtc.handle_input(Input::Receive(now, receive)));
        self.drain();
    }

    /// Lets time pass; due at [`Self::deadline`].
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
        while let Some(publishing) = self.publishing.as_mut().filter(|publishing| publishing.due <= now) {
            let what = publishing.what;
            let frame = publishing.frame;
            publishing.frame += 1;
            publishing.due += Duration::from_secs(1) / what.frames_per_second.max(1);
            self.send_frame(what, frame);
        }
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn deadline(&self) -> Instant {
        self.publishing.as_ref().map_or(self.timeout, |publishing| publishing.due.min(self.timeout))
    }

    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outgoing.pop_front()
    }

    /// Says goodbye.
    pub fn close(&mut self) {
        drop(self.rtc.close());
        self.drain();
    }

    fn now_us(&self) -> u64 {
        let age = self.now.saturating_duration_since(self.born).as_micros();
        self.epoch_us + u64::try_from(age).unwrap_or(u64::MAX)
    }

    fn advance(&mut self, now: Instant) {
        self.now = self.now.max(now);
        drop(self.rtc.handle_input(Input::Timeout(self.now)));
        self.drain();
    }

    fn send_frame(&mut self, what: Publication, frame: u32) {
        let at_us = self.now_us();
        let key = std::mem::take(&mut self.key_wanted);
        let vp8 = self.rtc.codec_config().find(|params| params.spec().codec == str0m::format::Codec::Vp8);
        let (Some(mid), Some(pt), true) = (self.own, vp8.map(str0m::format::PayloadParams::pt), self.connected) else {
            self.key_wanted |= key;
            return;
        };
        let timestamp = (u128::from(at_us) * u128::from(CLOCK) / 1_000_000) as u32;
        let count = what.packets_per_frame.max(1);
        for index in 0..count {
            let mark = Mark { share: what.share, frame, key, index, count, at_us };
            let mut direct = self.rtc.direct_api();
            let Some(stream) = direct.stream_tx_by_mid(mid, None) else { return };
            let payload = mark.to_payload(what.packet_bytes);
            let packet = RtpWrite::new(pt, self.next_number.into(), timestamp, self.now, payload)
                .marker(index + 1 == count)
                .nackable(true);
            stream.write_rtp(packet);
            self.next_number += 1;
            self.advance(self.now);
        }
    }

    /// str0m must be polled until it names a timeout after every mutation.
    fn drain(&mut self) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.timeout = at.max(self.now + Duration::from_millis(1));
                    return;
                }
                Ok(Output::Transmit(transmit)) => {
                    let path = if transmit.proto == Protocol::Udp { Path::Udp } else { Path::Tcp };
                    self.outgoing.push_back(Transmit {
                        path,
                        source: transmit.source,
                        destination: transmit.destination,
                        payload: transmit.contents.to_vec(),
                    });
                }
                Ok(Output::Event(event)) => self.note(event),
                Err(_) => {
                    self.timeout = self.now + Duration::from_secs(1);
                    return;
                }
            }
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Connected => self.connected = true,
            Event::KeyframeRequest(_) => {
                self.keyframe_requests += 1;
                self.key_wanted = true;
            }
            Event::RtpPacket(packet) => {
                let ssrc = packet.header.ssrc;
                let mut direct = self.rtc.direct_api();
                let Some(mid) = direct.stream_rx(&ssrc).map(|stream| stream.mid()) else { return };
                let now_us = self.now_us();
                let watch = self.watches.entry(mid).or_default();
                watch.note(*packet.seq_no, packet.header.timestamp, &packet.payload, now_us);
            }
            _ => {}
        }
    }
}

/// The relay's addresses in an answer, for opening streams: UDP and TCP.
pub fn addresses(sdp: &str) -> Vec<(Path, SocketAddr)> {
    let mut found = Vec::new();
    for line in sdp.lines().filter_map(|line| line.strip_prefix("a=candidate:")) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, _, protocol, _, ip, port, ..] = words.as_slice() else { continue };
        let path = if protocol.eq_ignore_ascii_case("tcp") { Path::Tcp } else { Path::Udp };
        if let (Ok(ip), Ok(port)) = (ip.parse(), port.parse()) {
            let address = SocketAddr::new(ip, port);
            if !found.contains(&(path, address)) {
                found.push((path, address));
            }
        }
    }
    found
}
