//! A str0m that was given no keys, and str0m as an independent SRTP peer: a real handshake in virtual time, then packets
//! both ways between its SRTP and ours.

use std::net::SocketAddr;
use std::time::Duration;

use str0m::crypto::dtls::KeyingMaterial;
use str0m::media::{Direction, KeyframeRequestKind, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::{RtpPacket, RtpWrite};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

use super::*;
use crate::rtp::header::Header;
use crate::rtp::srtp::{Protect, Side, Unprotect};

const PROFILES: [Profile; 3] = [Profile::Aes128Gcm, Profile::Aes256Gcm, Profile::Aes128CmSha1_80];
const TICK: Duration = Duration::from_millis(5);

/// An ordinary str0m client whose DTLS settles on one profile. What the exporter yields for a shorter profile is the
/// beginning of what it yields for a longer one (RFC 5246 §5), so the longest is cut.
#[derive(Debug)]
struct Settling(&'static dyn DtlsProvider, SrtpProfile);

#[derive(Debug)]
struct Settled(Box<dyn DtlsInstance>, SrtpProfile);

impl DtlsProvider for Settling {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        self.0.generate_certificate()
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        dtls_version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        Ok(Box::new(Settled(self.0.new_dtls(cert, now, dtls_version, mtu)?, self.1)))
    }
}

impl DtlsInstance for Settled {
    fn set_active(&mut self, active: bool) {
        self.0.set_active(active);
    }
    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.0.handle_packet(packet)
    }
    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        match self.0.poll_output(buf) {
            DtlsOutput::KeyingMaterial(material, _) => {
                let cut = KeyingMaterial::new(&material[..self.1.keying_material_len()]);
                DtlsOutput::KeyingMaterial(cut, self.1)
            }
            other => other,
        }
    }
    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.0.handle_timeout(now)
    }
    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.0.send_application_data(data)
    }
    fn is_active(&self) -> bool {
        self.0.is_active()
    }
    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.0.protocol_version()
    }
    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.0.close()
    }
}

/// One end, and what it was told.
struct End {
    rtc: Rtc,
    address: SocketAddr,
    connected: bool,
    closed: bool,
    packets: Vec<RtpPacket>,
    keyframe_requests: usize,
    /// Datagrams of RTP and RTCP that arrived here, when they are not for its str0m.
    media: Option<Vec<Vec<u8>>>,
    media_sent: usize,
}

struct Pair {
    now: Instant,
    client: End,
    server: End,
    keying: Option<Keying>,
    share: Mid,
    watch: Mid,
}

const fn is_media(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(128..=191))
}

impl End {
    fn new(config: RtcConfig, address: SocketAddr, now: Instant, media: Option<Vec<Vec<u8>>>) -> Self {
        let mut rtc = config.set_rtp_mode(true).set_dtls_version(DtlsVersion::Dtls12).build(now);
        rtc.add_local_candidate(Candidate::host(address, Protocol::Udp).expect("an address"));
        Self {
            rtc,
            address,
            connected: false,
            closed: false,
            packets: Vec::new(),
            keyframe_requests: 0,
            media,
            media_sent: 0,
        }
    }

    fn tick(&mut self, now: Instant) -> Vec<Vec<u8>> {
        self.rtc.handle_input(Input::Timeout(now)).expect("time");
        let mut out = Vec::new();
        loop {
            match self.rtc.poll_output().expect("output") {
                Output::Timeout(_) => return out,
                Output::Transmit(transmit) => {
                    self.media_sent += usize::from(is_media(&transmit.contents));
                    out.push(transmit.contents.to_vec());
                }
                Output::Event(Event::Connected) => self.connected = true,
                Output::Event(Event::Closed) => self.closed = true,
                Output::Event(Event::RtpPacket(packet)) => self.packets.push(packet),
                Output::Event(Event::KeyframeRequest(_)) => self.keyframe_requests += 1,
                Output::Event(_) => {}
            }
        }
    }

    fn receive(&mut self, now: Instant, source: SocketAddr, datagram: &[u8]) {
        if let Some(media) = self.media.as_mut().filter(|_| is_media(datagram)) {
            media.push(datagram.to_vec());
            return;
        }
        let receive = Receive::new(Protocol::Udp, source, self.address, datagram).expect("a datagram");
        self.rtc.handle_input(Input::Receive(now, receive)).expect("input");
    }
}

impl Pair {
    /// Negotiated and connected.
    #[expect(clippy::disallowed_methods, reason = "the base of virtual time")]
    fn connect(client: RtcConfig, server: RtcConfig) -> Self {
        let now = Instant::now();
        let mut client = End::new(client, SocketAddr::from(([10, 0, 0, 2], 1_000)), now, None);
        let mut server = End::new(server, SocketAddr::from(([10, 0, 0, 1], 2_000)), now, Some(Vec::new()));
        let mut api = client.rtc.sdp_api();
        let share = api.add_media(MediaKind::Video, Direction::SendOnly, None, None, None);
        let watch = api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        let (offer, pending) = api.apply().expect("an offer");
        let answer = server.rtc.sdp_api().accept_offer(offer).expect("an answer");
        client.rtc.sdp_api().accept_answer(pending, answer).expect("an agreement");
        let mut pair = Self { now, client, server, keying: None, share, watch };
        pair.run(Duration::from_secs(2));
        assert!(pair.client.connected && pair.server.connected, "no connection");
        pair
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.now += TICK;
            let connected = self.server.connected;
            let back = self.server.tick(self.now);
            if self.server.connected && !connected {
                self.keying = take();
                assert!(take().is_none(), "keys are handed over once");
            }
            let forth = self.client.tick(self.now);
            back.iter().for_each(|datagram| self.client.receive(self.now, self.server.address, datagram));
            forth.iter().for_each(|datagram| self.server.receive(self.now, self.client.address, datagram));
        }
    }

    /// The client's next packet of media.
    fn client_writes(&mut self, sequence: u64, payload: &[u8]) {
        let pt = *self.client.rtc.media(self.share).expect("the section").remote_pts().first().expect("a codec");
        let mut direct = self.client.rtc.direct_api();
        let stream = direct.stream_tx_by_mid(self.share, None).expect("a stream");
        stream.write_rtp(RtpWrite::new(pt, sequence.into(), 3_000, self.now, payload));
        self.run(TICK * 4);
    }

    /// The number and the payload type under which the answer lets us send.
    fn sending(&mut self) -> (u32, u8) {
        let pt = *self.client.rtc.media(self.watch).expect("the section").remote_pts().first().expect("a codec");
        let mut direct = self.server.rtc.direct_api();
        (*direct.stream_tx_by_mid(self.watch, None).expect("a stream").ssrc(), *pt)
    }

    fn client_hears(&mut self, datagram: &[u8]) {
        self.client.receive(self.now, self.server.address, datagram);
        self.run(TICK * 2);
    }
}

fn ours() -> RtcConfig {
    RtcConfig::new().set_crypto_provider(provider())
}

fn settling(profile: Profile) -> RtcConfig {
    let theirs = SrtpProfile::ALL.iter().find(|theirs| profile_of(**theirs) == Some(profile)).expect("a profile");
    let mut provider = from_feature_flags();
    let settling: &'static Settling = Box::leak(Box::new(Settling(provider.dtls_provider, *theirs)));
    provider.dtls_provider = settling;
    RtcConfig::new().set_crypto_provider(Arc::new(provider))
}

/// The contexts of both directions, once for each profile.
fn contexts(keying: &Keying, profile: Profile) -> (Unprotect, Protect) {
    let cut = keying.cut(profile).expect("the longest profile's material");
    (Unprotect::new(&cut, Side::Client).expect("keys"), Protect::new(&cut, Side::Server).expect("keys"))
}

#[test]
fn an_unkeyed_stack_connects_and_sends_no_media() {
    let mut pair = Pair::connect(RtcConfig::new(), ours());
    assert_eq!(pair.keying.as_ref().expect("keys").profile(), Profile::Aes256Gcm);
    let (_, pt) = pair.sending();
    for sequence in 1..50 {
        pair.client_writes(sequence, b"from the client");
        let mut direct = pair.server.rtc.direct_api();
        let stream = direct.stream_tx_by_mid(pair.watch, None).expect("a stream");
        stream.write_rtp(RtpWrite::new(pt.into(), sequence.into(), 9_000, pair.now, b"never".as_slice()));
        if let Some(stream) = direct.stream_rx_by_mid(pair.share, None) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
    }
    pair.run(Duration::from_secs(20));
    assert_eq!(pair.server.media_sent, 0, "it has no keys, so it says nothing");
    assert!(pair.client.packets.is_empty() && pair.server.packets.is_empty());
    assert!(pair.server.media.as_ref().is_some_and(|media| media.len() >= 49), "what the client sends comes to us");
    assert!(pair.server.rtc.is_alive() && !pair.client.closed, "and the connection stands");
}

#[test]
fn an_unkeyed_stack_says_goodbye_in_dtls_alone() {
    let mut pair = Pair::connect(RtcConfig::new(), ours());
    pair.server.rtc.close().expect("closing");
    pair.run(Duration::from_secs(1));
    assert!(pair.client.closed && !pair.server.rtc.is_alive());
    assert_eq!(pair.server.media_sent, 0);
}

/// Streams that it neither sends nor hears cost it memory, and reports that nobody may read.
#[test]
fn without_streams_an_unkeyed_stack_is_woken_by_ice_alone() {
    let mut pair = Pair::connect(RtcConfig::new(), ours());
    let (ssrc, _) = pair.sending();
    let mut direct = pair.server.rtc.direct_api();
    assert!(direct.remove_stream_tx(ssrc.into()));
    let announced = direct.stream_rx_by_mid(pair.share, None).expect("the client's").ssrc();
    assert!(direct.remove_stream_rx(announced));
    for _ in 0..60 {
        pair.run(Duration::from_secs(1));
        assert_eq!(pair.server.rtc.last_timeout_reason(), str0m::Reason::Ice);
    }
    assert!(pair.server.rtc.is_alive() && !pair.client.closed);
}

#[test]
fn a_removed_stream_keeps_its_number_when_it_is_declared_before_the_next_offer() {
    let mut pair = Pair::connect(RtcConfig::new(), ours());
    let (ssrc, _) = pair.sending();
    let rtx = pair.server.rtc.direct_api().stream_tx(&ssrc.into()).and_then(|stream| stream.rtx());
    assert!(rtx.is_some() && pair.server.rtc.direct_api().remove_stream_tx(ssrc.into()));
    let mut api = pair.client.rtc.sdp_api();
    api.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
    let (offer, pending) = api.apply().expect("an offer");
    pair.server.rtc.direct_api().declare_stream_tx(ssrc.into(), rtx, pair.watch, None);
    let answer = pair.server.rtc.sdp_api().accept_offer(offer).expect("an answer");
    let text = answer.to_sdp_string();
    for number in [ssrc, *rtx.expect("a repair stream")] {
        assert!(text.contains(&format!("a=ssrc:{number} ")), "{number} is missing: {text}");
    }
    pair.client.rtc.sdp_api().accept_answer(pending, answer).expect("an agreement");
    assert_eq!(pair.sending().0, ssrc);
}

#[test]
fn what_str0m_protects_opens_here() {
    for profile in PROFILES {
        let mut pair = Pair::connect(settling(profile), ours());
        let (mut unprotect, _) = contexts(pair.keying.as_ref().expect("keys"), profile);
        // Over a rollover, with padding-free payloads of several lengths, and sender reports in between.
        let sequences = [65_500_u64, 65_534, 65_535, 65_536, 65_537, 90_000, 120_000, 131_072, 140_000];
        for (sequence, bytes) in sequences.into_iter().zip([1, 15, 16, 17, 100, 1_000, 1_150, 2, 3]) {
            pair.client_writes(sequence, &vec![sequence as u8; bytes]);
        }
        pair.run(Duration::from_secs(10));
        let (mut heard, mut reports) = (Vec::new(), 0);
        for mut datagram in pair.server.media.take().expect("our media") {
            if crate::rtp::header::is_rtcp(&datagram) {
                let length = unprotect.rtcp(&mut datagram).expect("authentic");
                assert!(datagram[0] >> 6 == 2 && (200..=207).contains(&datagram[1]), "{}", profile.name());
                assert!(length.is_multiple_of(4) && length >= 8);
                reports += 1;
                continue;
            }
            let header = Header::parse(&datagram).expect("a header");
            let opened = unprotect.rtp(&mut datagram, &header).expect("authentic");
            heard.push((opened.index, datagram[opened.payload].to_vec()));
        }
        for (sequence, bytes) in sequences.into_iter().zip([1, 15, 16, 17, 100, 1_000, 1_150, 2, 3]) {
            assert!(heard.contains(&(sequence, vec![sequence as u8; bytes])), "{sequence} under {}", profile.name());
        }
        assert!(reports >= 2, "{reports} reports under {}", profile.name());
    }
}

#[test]
fn what_is_protected_here_opens_in_str0m() {
    for profile in PROFILES {
        let mut pair = Pair::connect(settling(profile), ours());
        let (_, mut protect) = contexts(pair.keying.as_ref().expect("keys"), profile);
        let (ssrc, pt) = pair.sending();
        let indices = [65_533_u64, 65_534, 65_536, 65_535, 65_537];
        for index in indices {
            let mut packet = vec![0x80, pt];
            packet.extend_from_slice(&(index as u16).to_be_bytes());
            packet.extend_from_slice(&6_000_u32.to_be_bytes());
            packet.extend_from_slice(&ssrc.to_be_bytes());
            packet.extend_from_slice(&index.to_be_bytes());
            packet.resize(packet.len() + protect.rtp_overhead(), 0);
            protect.rtp(&mut packet, 12, index).expect("protection");
            pair.client_hears(&packet);
        }
        let heard: Vec<_> =
            pair.client.packets.iter().map(|packet| (*packet.seq_no, packet.payload.to_vec())).collect();
        assert_eq!(heard, indices.map(|index| (index, index.to_be_bytes().to_vec())), "{}", profile.name());

        let theirs = {
            let mut direct = pair.client.rtc.direct_api();
            *direct.stream_tx_by_mid(pair.share, None).expect("a stream").ssrc()
        };
        for times in 1..4 {
            // RFC 4585 §6.3.1: a picture loss indication, here a compound of its own (RFC 5506).
            let mut packet = vec![0x81, 206, 0, 2];
            packet.extend_from_slice(&ssrc.to_be_bytes());
            packet.extend_from_slice(&theirs.to_be_bytes());
            protect.rtcp(&mut packet).expect("protection");
            pair.client_hears(&packet);
            assert_eq!(pair.client.keyframe_requests, times, "{}", profile.name());
        }
    }
}

#[test]
fn keys_of_another_handshake_are_never_taken_for_ones_own() {
    LAST.set(Keying::new(Profile::Aes128Gcm, &[1; 56]));
    // Without a common SRTP profile a handshake says no more than this.
    assert!(matches!(keep_back(DtlsOutput::Connected), DtlsOutput::Connected));
    assert!(take().is_none());
}

#[test]
fn endpoints_share_one_configuration() {
    let (first, second) = (configuration(Some(1_200)), configuration(Some(1_200)));
    let (first, second) = (first.expect("a configuration"), second.expect("a configuration"));
    assert!(Arc::ptr_eq(&first, &second));
    let other = configuration(Some(900)).expect("a configuration");
    assert!(!Arc::ptr_eq(&first, &other) && other.mtu() == 900);
}
