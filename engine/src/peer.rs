//! One member's WebRTC transport: ICE, DTLS 1.2, SDP, and the keys of its media. The only file (with its folder) that
//! names `str0m::`.
//!
//! Invariants:
//! - After every mutation str0m is polled until it names a timeout; no method returns before that.
//! - str0m never has keys, never sees RTP or RTCP, and nothing of the kind that it makes leaves: the sources that its
//!   answers announce are ours to use.
//! - It answers checks and probes only addresses from which a check has come, never one that an offer names.
//! - It is always the DTLS server and the controlled ICE agent, with credentials the caller drew.
//! - Beyond STUN nothing leaves unless a check of ours was answered within [`fanlight_wire::limits::ICE_CONSENT_MAX`] (RFC 7675 §5.1).
//!
//! It leaves to [`crate::demux`] which datagrams are its, to [`crate::rtp`] what is in media packets, and to
//! [`crate::fanout`] what is sent to whom. RFCs: 8445 (ICE), 8829 (offer/answer), 5764 (DTLS-SRTP), 7983 (what is what).

mod budget;
mod candidates;
#[cfg(test)]
pub(crate) mod client;
mod consent;
mod formats;
mod identity;
mod keying;
mod sdp;
pub(crate) mod stun;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use fanlight_wire::limits::{HANDSHAKE_MAX, VALIDATED_ADDRESSES_MAX};
use fanlight_wire::report::Drop;
use fanlight_wire::{Refusal, ShardId, StreamId};
use str0m::change::SdpOffer;
use str0m::media::Direction;
use str0m::net::{Protocol, Receive, Transmit};
use str0m::{Event, Input, Output, Rtc};

use crate::datagram::{Datagram, Transport};
use crate::deadline::{Deadline, Reason};
use crate::outbox::Outbox;
use crate::rtp::header::{ExtensionMap, Header, absolute_send_time, is_rtcp};
use crate::rtp::intake::Terms;
use crate::rtp::send::{Departure, Destination};
use crate::rtp::srtp::{Opened, Protect, Side, Unprotect};

pub(crate) use formats::Formats;
pub use formats::{Format, Meaning, PayloadType};
pub use identity::{Certificate, IceCredentials};
pub(crate) use sdp::Declared;
pub use sdp::fingerprint_of;
/// The name of a media section (RFC 5888).
pub use str0m::media::Mid;

/// Errors in a row after which str0m is no longer polled in a turn; it reports each only once.
const ERRORS_PER_TURN_MAX: usize = 8;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    pub mid: Mid,
    pub video: bool,
    /// We may send on it.
    pub sends: bool,
    /// We may receive on it.
    pub receives: bool,
    /// The source that we send as, and the one of its retransmissions.
    pub ssrc: u32,
    pub rtx: Option<u32>,
    pub extensions: ExtensionMap,
    /// Two-byte header extensions may be sent (RFC 8285 §6).
    pub mixed_extensions: bool,
}

/// What a media datagram turned out to be.
#[derive(Debug)]
pub(crate) enum Media {
    Rtp(Header, Opened),
    /// A plain compound packet of this many bytes at the front.
    Rtcp(usize),
    Dropped(Drop),
}

/// What happened at a peer.
#[derive(Debug)]
pub enum PeerEvent {
    /// ICE and DTLS are complete (again); with the SRTP profile's name.
    Connected { srtp: &'static str },
    /// Consent has run out, the handshake took too long, or the client closed.
    Disconnected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Handshake,
    Connected,
    /// Consent has run out; an answered check revives it.
    Silent,
    Closed,
}

/// The keys of a connection.
struct Keys {
    protect: Protect,
    unprotect: Unprotect,
}

/// One member's WebRTC transport.
pub struct Peer {
    /// Boxed: it is 10 KiB that forwarding never looks at, and what forwarding looks at lies closely together.
    rtc: Box<Rtc>,
    /// There once DTLS is complete, if both sides found an SRTP profile.
    keys: Option<Box<Keys>>,
    state: State,
    srtp: &'static str,
    fingerprint: String,
    remote: IceCredentials,
    sections: Vec<Section>,
    declared: Vec<Declared>,
    rids: Vec<(usize, String)>,
    reads_remb: bool,
    formats: Formats,
    /// Where TCP clients are reached, newest last.
    streams: VecDeque<(SocketAddr, StreamId)>,
    consent: consent::Consent,
    born: Instant,
    now: Instant,
    timeout: Instant,
    transport_sequence: u16,
    outgoing: Vec<Transmit>,
    events: VecDeque<PeerEvent>,
    budget: budget::Budget,
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
        let mut rtc = Box::new(formats::configure(credentials.to_str0m(), config.certificate.0.clone()).build(now));
        for candidate in candidates::locals(config) {
            rtc.add_local_candidate(candidate);
        }
        let mut peer = Self {
            rtc,
            keys: None,
            state: State::Handshake,
            srtp: "",
            fingerprint: offer.fingerprint.clone(),
            remote: IceCredentials { ufrag: String::new(), pwd: String::new() },
            sections: Vec::new(),
            declared: Vec::new(),
            rids: Vec::new(),
            reads_remb: false,
            formats: Formats::default(),
            streams: VecDeque::new(),
            consent: consent::Consent::default(),
            born: now,
            now,
            timeout: now,
            transport_sequence: 0,
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

    /// Takes in one datagram with STUN or DTLS that [`crate::demux`] found to be this peer's. False when a budget is
    /// used up.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &Datagram<'_>) -> bool {
        self.tell(now);
        let payload: &[u8] = datagram.payload;
        if !self.budget.admits(self.now, payload) {
            return false;
        }
        self.note_stream(datagram);
        let renewed = self.consent.note_received(self.now, datagram, &self.remote.pwd);
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

    /// Is this RTP or RTCP (RFC 7983 §7)? Such datagrams are [opened](Self::open) instead of handled.
    pub(crate) const fn is_media(payload: &[u8]) -> bool {
        matches!(payload, [128..=191, ..])
    }

    /// May media come from this source, by the last offer?
    pub(crate) fn admits_source(&self, ssrc: u32) -> bool {
        self.budget.admits_source(ssrc)
    }

    /// Decrypts a media datagram in place. Nothing but an authentic packet changes anything.
    pub(crate) fn open(&mut self, now: Instant, packet: &mut [u8]) -> Media {
        self.tell(now);
        if !self.budget.admits(self.now, packet) {
            return Media::Dropped(Drop::Limited);
        }
        let Some(keys) = self.keys.as_mut().filter(|_| self.state != State::Closed) else {
            return Media::Dropped(Drop::Unvalidated);
        };
        if is_rtcp(packet) {
            return keys.unprotect.rtcp(packet).map_or(Media::Dropped(Drop::Malformed), Media::Rtcp);
        }
        let Some(header) = Header::parse(packet) else {
            return Media::Dropped(Drop::Malformed);
        };
        if !self.budget.admits_source(header.ssrc) {
            return Media::Dropped(Drop::Unknown);
        }
        let opened = keys.unprotect.rtp(packet, &header);
        opened.map_or(Media::Dropped(Drop::Malformed), |opened| Media::Rtp(header, opened))
    }

    /// What media needs to leave now, if it may.
    pub(crate) fn departure<'a>(&'a mut self, now: Instant, outbox: &'a mut Outbox) -> Option<Departure<'a>> {
        self.tell(now);
        let to = self.destination()?;
        let protect = &mut self.keys.as_mut()?.protect;
        let send_time = absolute_send_time(now.saturating_duration_since(self.born));
        let transport_sequence = &mut self.transport_sequence;
        let formats = &self.formats;
        Some(Departure {
            outbox,
            protect,
            formats,
            to,
            now,
            send_time,
            transport_sequence,
            estimator: None,
            packets: 0,
            bytes: 0,
        })
    }

    /// Protects a compound packet in place and sends it; how many bytes left.
    pub(crate) fn send_rtcp(&mut self, now: Instant, compound: &mut Vec<u8>, outbox: &mut Outbox) -> Option<u64> {
        self.tell(now);
        let Destination { transport, source, destination } = self.destination()?;
        let protect = &mut self.keys.as_mut()?.protect;
        if let Err(error) = protect.rtcp(compound) {
            tracing::debug!(%error, "a report could not be protected");
            return None;
        }
        outbox.push(transport, source, destination, compound);
        Some(compound.len() as u64)
    }

    /// Lets time pass; due at [`Self::deadline`].
    pub fn handle_timeout(&mut self, now: Instant) {
        self.tell(now);
        if let Err(error) = self.rtc.handle_input(Input::Timeout(self.now)) {
            tracing::debug!(%error, "the stack could not go on");
        }
        self.drain();
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

    /// Has the stack something to send?
    pub(crate) const fn has_output(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Appends what the stack has to send. Returns how many datagrams and bytes.
    pub fn poll(&mut self, outbox: &mut Outbox) -> (u64, u64) {
        let (mut packets, mut bytes) = (0, 0);
        for transmit in self.outgoing.drain(..) {
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
    #[cfg(test)]
    pub(crate) fn payload_type(&self, mid: Mid, format: Format) -> Option<PayloadType> {
        self.formats.payload_type(mid, format)
    }

    #[cfg(test)]
    pub(crate) const fn transport_sequence(&self) -> u16 {
        self.transport_sequence
    }

    /// What was agreed on, for reading a packet with this payload type.
    pub(crate) fn terms(&self, payload_type: u8) -> Terms<'_> {
        let Self { sections, declared, rids, reads_remb, formats, .. } = self;
        Terms { sections, declared, rids, meaning: formats.meaning(payload_type), reads_remb: *reads_remb }
    }

    /// Says goodbye (DTLS close_notify) with the next [`Self::poll`].
    pub fn close(&mut self) {
        if let Err(error) = self.rtc.close() {
            tracing::debug!(%error, "closing without a goodbye");
        }
        self.state = State::Closed;
        self.drain();
    }

    fn negotiate(&mut self, now: Instant, offer: &sdp::Offer) -> Result<String, Refusal> {
        self.tell(now);
        let parsed = SdpOffer::from_sdp_string(&offer.text).map_err(|error| unusable(&error.to_string()))?;
        self.declare_streams();
        let answer = self.rtc.sdp_api().accept_offer(parsed);
        self.drain();
        let answer = answer.map_err(|error| unusable(&error.to_string()))?.to_sdp_string();
        self.remote = IceCredentials { ufrag: offer.ufrag.clone(), pwd: offer.password.clone() };
        let open = !offer.rids.is_empty() || offer.sources.is_empty();
        let named = || offer.sources.iter().map(|source| source.ssrc).collect();
        self.budget.renegotiated(if open { Vec::new() } else { named() });
        if let Some(keys) = &mut self.keys {
            keys.unprotect.retain(|ssrc| self.budget.admits_source(ssrc));
        }
        self.declared.clone_from(&offer.sources);
        self.rids.clone_from(&offer.rids);
        self.reads_remb = offer.reads_remb;
        self.read_sections(offer);
        Ok(answer)
    }

    fn read_sections(&mut self, offer: &sdp::Offer) {
        self.sections.clear();
        for mid in offer.mids.iter().map(|mid| Mid::from(mid.as_str())) {
            let mut sources = (0, None);
            if let Some(stream) = self.rtc.direct_api().stream_tx_by_mid(mid, None) {
                sources = (*stream.ssrc(), stream.rtx().map(|rtx| *rtx));
            }
            let Some(media) = self.rtc.media(mid) else {
                continue;
            };
            let direction = media.direction();
            self.sections.push(Section {
                mid,
                video: media.kind().is_video(),
                sends: matches!(direction, Direction::SendOnly | Direction::SendRecv),
                receives: matches!(direction, Direction::RecvOnly | Direction::SendRecv),
                ssrc: sources.0,
                rtx: sources.1,
                extensions: formats::extensions(media),
                mixed_extensions: offer.mixed_extensions,
            });
        }
        self.formats = Formats::read(&self.rtc, &self.sections);
        self.remove_streams();
        self.drain();
    }

    /// The stack names the streams that it knows in its answer.
    fn declare_streams(&mut self) {
        for section in self.sections.iter().filter(|section| section.ssrc != 0) {
            if self.rtc.media(section.mid).is_some() {
                let rtx = section.rtx.map(Into::into);
                self.rtc.direct_api().declare_stream_tx(section.ssrc.into(), rtx, section.mid, None);
            }
        }
    }

    /// Streams that it neither sends nor hears cost it memory and reports that nobody may read.
    fn remove_streams(&mut self) {
        let mut direct = self.rtc.direct_api();
        for section in self.sections.iter().filter(|section| section.ssrc != 0) {
            direct.remove_stream_tx(section.ssrc.into());
        }
        for declared in &self.declared {
            direct.remove_stream_rx(declared.ssrc.into());
        }
    }

    fn destination(&self) -> Option<Destination> {
        self.consent.destination(self.now).filter(|_| self.state == State::Connected)
    }

    fn tell(&mut self, now: Instant) {
        self.now = self.now.max(now);
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
        let is_ours = Self::is_media(&transmit.contents);
        if !is_ours && (is_stun || self.consent.is_given(self.now)) {
            self.outgoing.push(transmit);
        }
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Connected => self.take_keys(),
            Event::Closed if self.state != State::Closed => {
                self.state = State::Closed;
                self.events.push_back(PeerEvent::Disconnected);
            }
            _ => {}
        }
    }

    /// The handshake is complete; the client is the DTLS client.
    fn take_keys(&mut self) {
        let keys = keying::take().and_then(|keying| {
            self.srtp = keying.profile().name();
            let (protect, unprotect) = (Protect::new(&keying, Side::Server)?, Unprotect::new(&keying, Side::Client)?);
            Some(Box::new(Keys { protect, unprotect }))
        });
        self.keys = keys;
        self.state = State::Connected;
        self.events.push_back(PeerEvent::Connected { srtp: self.srtp });
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
