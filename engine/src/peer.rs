//! One participant's WebRTC transport: ICE, DTLS 1.2, SRTP, RTP in and out. The only file (with its folder) that names
//! `str0m::`.
//!
//! Invariants:
//! - After every mutation str0m is polled until it names a timeout; no method returns before that.
//! - It answers checks and probes only addresses from which a check has come, never one that an offer names.
//! - It is always the DTLS server and the controlled ICE agent, with credentials the caller drew.
//! - Beyond STUN nothing leaves unless a check of ours was answered within [`fanlight_wire::limits::ICE_CONSENT_MAX`] (RFC 7675 §5.1).
//!
//! It leaves to [`crate::demux`] which datagrams are its, and to [`crate::fanout`] what is sent to whom.
//! RFCs: 8445 (ICE), 8829 (offer/answer), 5764 (DTLS-SRTP), 7714 (AES-GCM), 4588 (RTX).

mod budget;
mod candidates;
#[cfg(test)]
pub(crate) mod client;
mod consent;
mod formats;
#[cfg(test)]
mod keying;
mod sdp;
mod srtp;
pub(crate) mod stun;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fanlight_wire::limits::{DATAGRAM_BYTES_MAX, HANDSHAKE_MAX, VALIDATED_ADDRESSES_MAX};
use fanlight_wire::{Refusal, ShardId, StreamId};
use str0m::change::SdpOffer;
use str0m::config::DtlsCert;
use str0m::media::{Direction, KeyframeRequestKind};
use str0m::net::{Protocol, Receive, Transmit};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Event, IceCreds, Input, Output, Rtc};

use crate::datagram::{Datagram, Transport};
use crate::deadline::{Deadline, Reason};
use crate::entropy::Entropy;
use crate::outbox::Outbox;

pub use formats::{Carried, Format, PayloadType};
pub use sdp::fingerprint_of;
/// The name of a media section (RFC 5888).
pub use str0m::media::Mid;

/// Packets kept per video section to answer NACKs, and for how long. Three seconds outlast any useful repair.
const RTX_PACKETS: usize = 1_024;
const RTX_AGE: Duration = Duration::from_secs(3);
/// Repair may be at most this share of what is sent: a keyframe on a lossy path needs more than str0m's 0.15, and a
/// subscriber who asks for everything twice must not double our output.
const RTX_SHARE_MAX: f32 = 0.4;
/// Errors in a row after which str0m is no longer polled in a turn; it reports each only once.
const ERRORS_PER_TURN_MAX: usize = 8;

/// A DTLS identity, shared by the peers of a process.
#[derive(Clone)]
pub struct Certificate(DtlsCert);

/// What names a peer in connectivity checks and proves knowledge of it.
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// Two hexadecimal digits of the shard, then six random characters.
    pub ufrag: String,
    /// 24 random characters: 144 bits.
    pub pwd: String,
}

/// What the peers of a shard have in common.
#[derive(Debug, Clone)]
pub struct PeerConfig {
    pub shard: ShardId,
    /// Advertised UDP addresses.
    pub udp: Vec<SocketAddr>,
    /// Advertised addresses that accept TCP (RFC 6544 passive).
    pub tcp: Vec<SocketAddr>,
    pub certificate: Certificate,
}

/// A media section as we see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    pub mid: Mid,
    pub video: bool,
    /// We may send on it.
    pub sends: bool,
    /// We may receive on it.
    pub receives: bool,
}

/// A received RTP packet, decrypted, repaired and deduplicated.
#[derive(Debug, Clone)]
pub struct Packet {
    /// Changes when the client makes a new encoder for the section; numbers then begin anew.
    pub ssrc: u32,
    pub format: Format,
    /// Extended sequence number.
    pub sequence: u64,
    pub timestamp: u32,
    pub marker: bool,
    /// Shared by all subscribers.
    pub payload: Arc<[u8]>,
    pub carried: Carried,
    pub received: Instant,
}

/// The header of a packet to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing {
    pub payload_type: PayloadType,
    pub sequence: u64,
    pub timestamp: u32,
}

/// What happened at a peer.
#[derive(Debug)]
pub enum PeerEvent {
    /// ICE and DTLS are complete (again); with the SRTP profile's name.
    Connected {
        srtp: &'static str,
    },
    /// Consent has run out, the handshake took too long, or the client closed.
    Disconnected,
    /// The client wishes for a keyframe on what we send there.
    KeyframeRequest(Mid),
    Packet(Mid, Packet),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Handshake,
    Connected,
    /// Consent has run out; an answered check revives it.
    Silent,
    Closed,
}

/// One participant's WebRTC transport.
pub struct Peer {
    rtc: Rtc,
    config: PeerConfig,
    state: State,
    srtp: &'static str,
    fingerprint: String,
    remote: IceCredentials,
    sections: Vec<Section>,
    formats: formats::Formats,
    /// Where TCP clients are reached, newest last.
    streams: VecDeque<(SocketAddr, StreamId)>,
    consent: consent::Consent,
    born: Instant,
    now: Instant,
    timeout: Instant,
    /// Written to or wished for since str0m was last told the time.
    written: bool,
    outgoing: Vec<Transmit>,
    events: VecDeque<PeerEvent>,
    budget: budget::Budget,
}

impl Certificate {
    /// A fresh self-signed one.
    pub fn generate() -> Option<Self> {
        srtp::provider().dtls_provider.generate_certificate().map(Self)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate")
    }
}

impl IceCredentials {
    pub fn new(shard: ShardId, entropy: &mut Entropy) -> Self {
        Self { ufrag: format!("{:02x}{}", shard.0, entropy.text(6)), pwd: entropy.text(24) }
    }

    fn to_str0m(&self) -> IceCreds {
        IceCreds { ufrag: self.ufrag.clone(), pass: self.pwd.clone() }
    }
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IceCredentials({})", self.ufrag)
    }
}

impl Peer {
    /// Answers a first offer.
    ///
    /// # Errors
    /// `E_SDP` with the reason when the offer cannot be used.
    pub fn accept_offer(
        config: &PeerConfig,
        credentials: &IceCredentials,
        now: Instant,
        sdp: &str,
    ) -> Result<(Self, String), Refusal> {
        let offer = sdp::Offer::read(sdp)?;
        let mut rtc = formats::configure(credentials.to_str0m(), config.certificate.0.clone()).build(now);
        for candidate in candidates::locals(config) {
            rtc.add_local_candidate(candidate);
        }
        let mut peer = Self {
            rtc,
            config: config.clone(),
            state: State::Handshake,
            srtp: "",
            fingerprint: offer.fingerprint.clone(),
            remote: IceCredentials { ufrag: String::new(), pwd: String::new() },
            sections: Vec::new(),
            formats: formats::Formats::default(),
            streams: VecDeque::new(),
            consent: consent::Consent::default(),
            born: now,
            now,
            timeout: now,
            written: false,
            outgoing: Vec::new(),
            events: VecDeque::new(),
            budget: budget::Budget::new(now),
        };
        let answer = peer.negotiate(now, &offer)?;
        Ok((peer, answer))
    }

    /// Answers a further offer of the same PeerConnection. When it restarts ICE, `fresh` becomes our credentials.
    ///
    /// Returns the answer and whether `fresh` was used.
    ///
    /// # Errors
    /// `E_SDP` with the reason; the peer goes on as before, or has become [`PeerEvent::Disconnected`].
    pub fn renegotiate(&mut self, now: Instant, sdp: &str, fresh: &IceCredentials) -> Result<(String, bool), Refusal> {
        let offer = sdp::Offer::read(sdp)?;
        if offer.fingerprint != self.fingerprint {
            return Err(sdp::refuse("The offer comes from another PeerConnection."));
        }
        let before = self.rtc.direct_api().local_ice_credentials();
        let answer = self.negotiate(now, &offer)?;
        let drawn = self.rtc.direct_api().local_ice_credentials();
        if drawn == before {
            return Ok((answer, false));
        }
        // str0m draws credentials of its own at a restart; ours name the shard and come from the caller's source. The
        // name also stands in every candidate.
        self.rtc.direct_api().set_local_ice_credentials(fresh.to_str0m());
        self.drain();
        let answer = answer.replace(&drawn.ufrag, &fresh.ufrag).replace(&drawn.pass, &fresh.pwd);
        Ok((answer, true))
    }

    /// Is this the offer of the PeerConnection that this peer already serves?
    pub fn is_of(&self, sdp: &str) -> bool {
        fingerprint_of(sdp).is_some_and(|fingerprint| fingerprint == self.fingerprint) && self.state != State::Closed
    }

    /// Takes in one datagram that [`crate::demux`] found to be this peer's. False when a budget is used up.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &Datagram<'_>) -> bool {
        self.tell(now);
        let payload: &[u8] = datagram.payload;
        if !self.budget.admits(self.now, payload) {
            return false;
        }
        self.note_stream(datagram);
        let renewed = self.consent.note_received(self.now, datagram.source, payload, &self.remote.pwd);
        if renewed && self.state == State::Silent {
            self.state = State::Connected;
            self.events.push_back(PeerEvent::Connected { srtp: self.srtp });
        }
        let protocol = match datagram.transport {
            Transport::Udp => Protocol::Udp,
            Transport::Tcp(_) => Protocol::Tcp,
        };
        let received = Receive::new(protocol, datagram.source, datagram.destination, payload);
        if let Ok(receive) = received
            && let Err(error) = self.rtc.handle_input(Input::Receive(self.now, receive))
        {
            // A forged record must not end a call; str0m closes by itself when it cannot go on.
            tracing::debug!(%error, "a datagram was not understood");
        }
        self.drain();
        true
    }

    /// Lets time pass; due at [`Self::deadline`].
    pub fn handle_timeout(&mut self, now: Instant) {
        self.tell(now);
        self.flush();
        self.check_consent();
    }

    pub fn deadline(&self) -> Deadline {
        let lapse = match self.state {
            State::Handshake => Some(self.born + HANDSHAKE_MAX),
            State::Connected => self.consent.lapses_at(),
            State::Silent => None,
            State::Closed => return Deadline::IDLE,
        };
        let stack = Deadline::new(self.timeout, Reason::Ice);
        lapse.map_or(stack, |at| stack.min(Deadline::new(at, Reason::Ice)))
    }

    pub fn poll_event(&mut self) -> Option<PeerEvent> {
        self.events.pop_front()
    }

    /// Sends what was written and appends all that has to leave, in one run of segments for one destination. Returns
    /// how many datagrams and bytes.
    pub fn poll(&mut self, now: Instant, outbox: &mut Outbox) -> (u64, u64) {
        self.tell(now);
        if self.written {
            self.flush();
        }
        let (mut packets, mut bytes) = (0, 0);
        for transmit in std::mem::take(&mut self.outgoing) {
            let transport = match transmit.proto {
                Protocol::Udp => Transport::Udp,
                _ => {
                    let newest = self.streams.iter().rev().find(|(source, _)| *source == transmit.destination);
                    let Some((_, stream)) = newest else {
                        continue;
                    };
                    Transport::Tcp(*stream)
                }
            };
            outbox.push(transport, transmit.source, transmit.destination, &transmit.contents);
            packets += 1;
            bytes += transmit.contents.len() as u64;
        }
        (packets, bytes)
    }

    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// May media be sent?
    pub fn is_connected(&self) -> bool {
        self.state == State::Connected
    }

    /// What a format is called on this section, or `None` when the client did not agree to it.
    pub fn payload_type(&self, mid: Mid, format: Format) -> Option<PayloadType> {
        self.formats.payload_type(mid, format)
    }

    /// Sends a packet under a new header, if media may be sent; leaves with the next [`Self::poll`].
    pub fn write(&mut self, mid: Mid, header: Outgoing, packet: &Packet) -> bool {
        if !self.is_connected() || packet.payload.len() > DATAGRAM_BYTES_MAX {
            return false;
        }
        let mut direct = self.rtc.direct_api();
        let Some(stream) = direct.stream_tx_by_mid(mid, None) else {
            return false;
        };
        let payload = Arc::clone(&packet.payload);
        let write = RtpWrite::new(
            header.payload_type.to_str0m(),
            header.sequence.into(),
            header.timestamp,
            packet.received,
            payload,
        )
        .marker(packet.marker)
        .nackable(packet.format.codec.is_video())
        .ext_vals(packet.carried.to_str0m());
        stream.write_rtp(write);
        self.written = true;
        true
    }

    /// Makes sure that nothing written before leaves from now on: not what waits, not what a NACK asks for.
    ///
    /// str0m drops scheduled repairs whose packet is no longer in its cache, and a new cache is empty; datagrams that
    /// are encrypted but not yet polled are struck here.
    pub fn fence(&mut self, now: Instant, mid: Mid) {
        self.tell(now);
        self.flush();
        let mut direct = self.rtc.direct_api();
        if let Some(stream) = direct.stream_tx_by_mid(mid, None) {
            stream.set_rtx_cache(RTX_PACKETS, RTX_AGE, Some(RTX_SHARE_MAX));
        }
        self.drain();
        self.outgoing.retain(|transmit| !budget::is_rtp(&transmit.contents));
    }

    /// Asks the client for a keyframe of what it sends there; leaves with the next [`Self::poll`].
    pub fn request_keyframe(&mut self, mid: Mid) -> bool {
        let mut direct = self.rtc.direct_api();
        let Some(stream) = direct.stream_rx_by_mid(mid, None) else {
            return false;
        };
        stream.request_keyframe(KeyframeRequestKind::Pli);
        self.written = true;
        true
    }

    /// Says goodbye (RTCP BYE, DTLS close_notify) with the next [`Self::poll`].
    pub fn close(&mut self) {
        if let Err(error) = self.rtc.close() {
            tracing::debug!(%error, "closing without a goodbye");
        }
        self.state = State::Closed;
        self.drain();
        self.outgoing.retain(|transmit| !budget::is_rtp(&transmit.contents));
    }

    fn negotiate(&mut self, now: Instant, offer: &sdp::Offer) -> Result<String, Refusal> {
        self.tell(now);
        let parsed = SdpOffer::from_sdp_string(&offer.text).map_err(|error| unusable(&error.to_string()))?;
        let answer = self.rtc.sdp_api().accept_offer(parsed);
        self.drain();
        let answer = answer.map_err(|error| unusable(&error.to_string()))?.to_sdp_string();
        self.remote = IceCredentials { ufrag: offer.ufrag.clone(), pwd: offer.password.clone() };
        self.budget.renegotiated(&offer.ssrcs);
        self.read_sections(&offer.mids);
        Ok(answer)
    }

    fn read_sections(&mut self, mids: &[String]) {
        let known: Vec<Mid> = self.sections.iter().map(|section| section.mid).collect();
        self.sections.clear();
        for mid in mids.iter().map(|mid| Mid::from(mid.as_str())) {
            let Some(media) = self.rtc.media(mid) else {
                continue;
            };
            let direction = media.direction();
            self.sections.push(Section {
                mid,
                video: media.kind().is_video(),
                sends: matches!(direction, Direction::SendOnly | Direction::SendRecv),
                receives: matches!(direction, Direction::RecvOnly | Direction::SendRecv),
            });
        }
        self.formats = formats::Formats::read(&self.rtc, &self.sections);
        for section in self.sections.iter().filter(|s| s.video && s.sends && !known.contains(&s.mid)) {
            let mut direct = self.rtc.direct_api();
            if let Some(stream) = direct.stream_tx_by_mid(section.mid, None) {
                stream.set_rtx_cache(RTX_PACKETS, RTX_AGE, Some(RTX_SHARE_MAX));
            }
        }
        self.drain();
    }

    fn tell(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// Tells str0m the time, which is when it looks at what was written.
    fn flush(&mut self) {
        self.written = false;
        if let Err(error) = self.rtc.handle_input(Input::Timeout(self.now)) {
            tracing::debug!(%error, "the stack could not go on");
        }
        self.drain();
    }

    fn drain(&mut self) {
        let mut errors = 0;
        while errors < ERRORS_PER_TURN_MAX {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.timeout = at;
                    break;
                }
                Ok(Output::Transmit(transmit)) => self.take(transmit),
                Ok(Output::Event(event)) => self.note(event),
                Err(error) => {
                    tracing::debug!(%error, "the stack reported an error");
                    errors += 1;
                }
            }
        }
        if !self.rtc.is_alive() && self.state != State::Closed {
            self.state = State::Closed;
            self.events.push_back(PeerEvent::Disconnected);
        }
    }

    fn take(&mut self, transmit: Transmit) {
        self.consent.note_sent(transmit.destination, &transmit.contents);
        let is_stun = transmit.contents.first().is_some_and(|first| *first < 4);
        if is_stun || self.consent.is_given(self.now) {
            self.outgoing.push(transmit);
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Connected => {
                self.srtp = srtp::last_profile();
                self.state = State::Connected;
                self.events.push_back(PeerEvent::Connected { srtp: self.srtp });
            }
            Event::RtpPacket(packet) => self.note_packet(packet),
            Event::KeyframeRequest(request) => self.events.push_back(PeerEvent::KeyframeRequest(request.mid)),
            Event::Closed if self.state != State::Closed => {
                self.state = State::Closed;
                self.events.push_back(PeerEvent::Disconnected);
            }
            _ => {}
        }
    }

    fn note_packet(&mut self, packet: RtpPacket) {
        let mut direct = self.rtc.direct_api();
        let Some(mid) = direct.stream_rx(&packet.header.ssrc).map(|stream| stream.mid()) else {
            return;
        };
        let Some(format) = self.formats.named(packet.header.payload_type) else {
            return;
        };
        let packet = Packet {
            ssrc: *packet.header.ssrc,
            format,
            sequence: *packet.seq_no,
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            carried: Carried::read(&packet.header.ext_vals),
            payload: packet.payload,
            received: packet.timestamp,
        };
        self.events.push_back(PeerEvent::Packet(mid, packet));
    }

    fn check_consent(&mut self) {
        let lapsed = match self.state {
            State::Handshake => self.now.saturating_duration_since(self.born) >= HANDSHAKE_MAX,
            State::Connected => !self.consent.is_given(self.now),
            State::Silent | State::Closed => false,
        };
        if lapsed {
            self.state = if self.state == State::Connected { State::Silent } else { State::Closed };
            self.events.push_back(PeerEvent::Disconnected);
        }
    }

    fn note_stream(&mut self, datagram: &Datagram<'_>) {
        let Transport::Tcp(stream) = datagram.transport else {
            return;
        };
        if self.streams.back() == Some(&(datagram.source, stream)) {
            return;
        }
        self.streams.retain(|(source, _)| *source != datagram.source);
        self.streams.push_back((datagram.source, stream));
        if self.streams.len() > VALIDATED_ADDRESSES_MAX {
            self.streams.pop_front();
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("shard", &self.config.shard)
            .field("state", &self.state)
            .field("srtp", &self.srtp)
            .field("sections", &self.sections)
            .finish_non_exhaustive()
    }
}

fn unusable(reason: &str) -> Refusal {
    let short: String = reason.chars().filter(|c| !c.is_control()).take(120).collect();
    let mut refusal = sdp::refuse("");
    refusal.sentence = format!("The media offer could not be used: {short}.").into();
    refusal
}
