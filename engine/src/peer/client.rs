//! A WebRTC client for tests: str0m as a browser would use it, on virtual time.

use std::net::SocketAddr;
use std::time::Instant;

use str0m::bwe::BweKind;
use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::format::Codec as Named;
use str0m::ice::{StunMessage, TransId};
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive, TcpType};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc};

/// The packets a client hands to its tests.
pub(crate) mod str0m_rtp {
    pub(crate) use str0m::rtp::RtpPacket;
}

/// A connectivity check as any client can make one that knows (or guesses) the name and the password.
pub(crate) fn check(name: &str, password: &str) -> Vec<u8> {
    let message = StunMessage::binding_request(name, TransId::new(), true, 1, 1, false);
    let mut bytes = vec![0; 500];
    let length = message.to_bytes(Some(password.as_bytes()), &mut bytes, super::stun::hmac_sha1).expect("room");
    bytes.truncate(length);
    bytes
}

/// An answer to a check, as an address that was never asked may forge it.
pub(crate) fn answer(password: &str, to: SocketAddr) -> Vec<u8> {
    let message = StunMessage::binding_reply(TransId::new(), to);
    let mut bytes = vec![0; 500];
    let length = message.to_bytes(Some(password.as_bytes()), &mut bytes, super::stun::hmac_sha1).expect("room");
    bytes.truncate(length);
    bytes
}

/// An offering client with one UDP address.
pub(crate) struct Client {
    pub(crate) rtc: Rtc,
    pub(crate) address: SocketAddr,
    pub(crate) timeout: Instant,
    pub(crate) connected: bool,
    pub(crate) received: Vec<RtpPacket>,
    /// When somebody asked us for a keyframe.
    pub(crate) keyframe_requests: Vec<Instant>,
    /// What the relay says of this client's path, in bits per second.
    pub(crate) remb: Vec<u64>,
    pub(crate) watch: Option<Mid>,
    pub(crate) share: Option<Mid>,
    pub(crate) share_sound: Option<Mid>,
    protocol: Protocol,
    pending: Option<SdpPendingOffer>,
    now: Instant,
}

/// Which codecs a client offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaks {
    Everything,
    /// Sound with redundancy, beside all the rest.
    Red,
    Vp8Only,
    H264Only,
    /// Everything, but its network lets no UDP through.
    OverTcp,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, now: Instant, speaks: Speaks) -> Self {
        let config = Rtc::builder().set_rtp_mode(true);
        let config = match speaks {
            Speaks::Everything | Speaks::OverTcp => config,
            Speaks::Red => config.enable_opus(true, true),
            Speaks::Vp8Only => config.clear_codecs().enable_opus(true, false).enable_vp8(true),
            Speaks::H264Only => config.clear_codecs().enable_opus(true, false).enable_h264(true),
        };
        let mut rtc = config.build(now);
        let (candidate, protocol) = if speaks == Speaks::OverTcp {
            (Candidate::builder().tcp().host(address).tcptype(TcpType::Active).build(), Protocol::Tcp)
        } else {
            (Candidate::host(address, Protocol::Udp), Protocol::Udp)
        };
        rtc.add_local_candidate(candidate.expect("an address"));
        Self {
            rtc,
            address,
            timeout: now,
            connected: false,
            received: Vec::new(),
            keyframe_requests: Vec::new(),
            remb: Vec::new(),
            watch: None,
            share: None,
            share_sound: None,
            protocol,
            pending: None,
            now,
        }
    }

    /// The four sections of the protocol: watch picture and sound, share picture and sound.
    pub(crate) fn offer(&mut self) -> String {
        let mut api = self.rtc.sdp_api();
        self.watch = Some(api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None));
        api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        self.share = Some(api.add_media(MediaKind::Video, Direction::SendOnly, None, None, None));
        self.share_sound = Some(api.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None));
        let (offer, pending) = api.apply().expect("changes");
        self.pending = Some(pending);
        offer.to_sdp_string()
    }

    /// What a WHIP client offers: a picture and its sound, to be sent.
    pub(crate) fn offer_to_publish(&mut self) -> String {
        let mut api = self.rtc.sdp_api();
        self.share = Some(api.add_media(MediaKind::Video, Direction::SendOnly, None, None, None));
        api.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
        let (offer, pending) = api.apply().expect("changes");
        self.pending = Some(pending);
        offer.to_sdp_string()
    }

    /// What a WHEP client offers: a picture and its sound, to be received.
    pub(crate) fn offer_to_watch(&mut self) -> String {
        let mut api = self.rtc.sdp_api();
        self.watch = Some(api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None));
        api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        let (offer, pending) = api.apply().expect("changes");
        self.pending = Some(pending);
        offer.to_sdp_string()
    }

    /// A further offer with new ICE credentials, as a browser makes after it changed networks.
    pub(crate) fn offer_restart(&mut self) -> String {
        let mut api = self.rtc.sdp_api();
        api.ice_restart(true);
        let (offer, pending) = api.apply().expect("changes");
        self.pending = Some(pending);
        offer.to_sdp_string()
    }

    /// The encoder is made anew: another SSRC.
    pub(crate) fn change_ssrc(&mut self) {
        let mid = self.share.expect("an offer");
        let mut direct = self.rtc.direct_api();
        let (ssrc, rtx) = (direct.new_ssrc(), direct.new_ssrc());
        assert!(direct.reset_stream_tx(mid, None, ssrc, Some(rtx)).is_some());
    }

    pub(crate) const fn is_over_tcp(&self) -> bool {
        matches!(self.protocol, Protocol::Tcp)
    }

    /// A further offer of the same PeerConnection, with one section more.
    pub(crate) fn offer_again(&mut self) -> String {
        let mut api = self.rtc.sdp_api();
        api.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
        let (offer, pending) = api.apply().expect("changes");
        self.pending = Some(pending);
        offer.to_sdp_string()
    }

    /// A further offer with a second picture to receive: the camera's.
    pub(crate) fn offer_camera_view(&mut self) -> String {
        let mut api = self.rtc.sdp_api();
        api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let (offer, pending) = api.apply().expect("changes");
        self.pending = Some(pending);
        offer.to_sdp_string()
    }

    pub(crate) fn offer_direction(&mut self, receives: bool) -> String {
        let mid = self.watch.expect("an offer");
        let mut api = self.rtc.sdp_api();
        api.set_direction(mid, if receives { Direction::RecvOnly } else { Direction::Inactive });
        let (offer, pending) = api.apply().expect("changes");
        self.pending = Some(pending);
        offer.to_sdp_string()
    }

    pub(crate) fn answer(&mut self, sdp: &str) {
        let answer = SdpAnswer::from_sdp_string(sdp).expect("an answer");
        let pending = self.pending.take().expect("an offer");
        self.rtc.sdp_api().accept_answer(pending, answer).expect("an acceptable answer");
    }

    /// A packet of VP8 (or what `codec` names) on the share section.
    pub(crate) fn send(&mut self, sequence: u64, timestamp: u32, marker: bool, payload: &[u8]) {
        let mid = self.share.expect("an offer");
        self.write(mid, None, (sequence, timestamp), marker, payload);
    }

    /// A packet of sound on the section of that name, with redundancy or without.
    pub(crate) fn speak(&mut self, mid: &str, sequence: u64, red: bool, payload: &[u8]) {
        let params = self.rtc.codec_config().params().iter().find(|p| p.spec().codec == Named::Opus).expect("Opus");
        let pt = if red { params.red().expect("agreed") } else { params.pt() };
        self.write(mid.into(), Some(pt), (sequence, sequence as u32 * 960), false, payload);
    }

    /// What this client calls Opus, and Opus with redundancy.
    pub(crate) fn opus(&self) -> (u8, Option<u8>) {
        let params = self.rtc.codec_config().params().iter().find(|p| p.spec().codec == Named::Opus).expect("Opus");
        (*params.pt(), params.red().map(|pt| *pt))
    }

    fn write(&mut self, mid: Mid, pt: Option<Pt>, (sequence, timestamp): (u64, u32), marker: bool, payload: &[u8]) {
        let pt =
            pt.unwrap_or_else(|| *self.rtc.media(mid).expect("the section").remote_pts().first().expect("a codec"));
        let mut direct = self.rtc.direct_api();
        let stream = direct.stream_tx_by_mid(mid, None).expect("a stream");
        let write = RtpWrite::new(pt, sequence.into(), timestamp, self.now, payload).marker(marker).nackable(true);
        stream.write_rtp(write);
        self.rtc.handle_input(Input::Timeout(self.now)).expect("time");
    }

    /// Tells the relay that a picture was lost.
    pub(crate) fn request_keyframe(&mut self) {
        let mid = self.watch.expect("an offer");
        let mut direct = self.rtc.direct_api();
        if let Some(stream) = direct.stream_rx_by_mid(mid, None) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
        self.rtc.handle_input(Input::Timeout(self.now)).expect("time");
    }

    pub(crate) fn receive(&mut self, now: Instant, source: SocketAddr, payload: &[u8]) {
        self.now = now;
        let receive = Receive::new(self.protocol, source, self.address, payload).expect("a datagram");
        self.rtc.handle_input(Input::Receive(now, receive)).expect("input");
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.rtc.handle_input(Input::Timeout(now)).expect("time");
    }

    /// Everything it wants to send, to where.
    pub(crate) fn poll(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut out = Vec::new();
        loop {
            match self.rtc.poll_output().expect("output") {
                Output::Timeout(at) => {
                    self.timeout = at;
                    return out;
                }
                Output::Transmit(transmit) => out.push((transmit.destination, transmit.contents.to_vec())),
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(Event::RtpPacket(packet)) => self.received.push(packet),
                Output::Event(Event::KeyframeRequest(_)) => self.keyframe_requests.push(self.now),
                Output::Event(Event::EgressBitrateEstimate(BweKind::Remb { estimate, .. })) => {
                    self.remb.push(estimate.as_u64());
                }
                Output::Event(_) => {}
            }
        }
    }
}
