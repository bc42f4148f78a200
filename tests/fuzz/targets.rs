//! One target per decoder. Each is total: whatever the bytes, it returns.

use std::net::SocketAddr;
use std::sync::OnceLock;

use bytes::Bytes;
use fanlight_engine::codec::Codec;
use fanlight_engine::demux::{Demux, PeerKey};
use fanlight_engine::peer::{IceCredentials, Peer as EnginePeer, fingerprint_of};
use fanlight_engine::{Certificate, Datagram, Entropy, PeerConfig, Transport};
use fanlight_loadtest::clock;
use fanlight_loadtest::media::{Mark, Path, Peer};
use fanlight_wire::frame::Splitter;
use fanlight_wire::signal::{ToClient, ToRelay};
use fanlight_wire::token::Claims;
use fanlight_wire::{Frame, Header, Kind, ParticipantId, ShardId, StreamId};

use crate::history;

const HERE: ([u8; 4], u16) = ([10, 0, 0, 1], 7_730);
const THERE: ([u8; 4], u16) = ([10, 0, 0, 2], 9);

pub(crate) fn frame(input: &[u8]) {
    if let Ok(frame) = Frame::parse(Bytes::copy_from_slice(input)) {
        assert_eq!(frame.bytes().as_ref(), input);
        assert_eq!(frame.stamped(ParticipantId(9)).payload().len() + 28, input.len());
    }
}

/// The first byte says how the rest is cut.
pub(crate) fn splitter(input: &[u8]) {
    let Some((cut, stream)) = input.split_first() else { return };
    let mut splitter = Splitter::default();
    let mut whole = 0;
    'stream: for piece in stream.chunks(usize::from(*cut) + 1) {
        splitter.push(piece);
        loop {
            match splitter.next_frame() {
                Ok(Some(frame)) => whole += frame.bytes().len(),
                Ok(None) => break,
                Err(_) => break 'stream,
            }
        }
    }
    assert!(whole <= stream.len());
}

pub(crate) fn signal(input: &[u8]) {
    if let Ok(signal) = ToRelay::parse(input) {
        assert!(ToRelay::TAGS.contains(&signal.tag()));
    }
    drop(ToClient::parse(input));
}

pub(crate) fn claims(input: &[u8]) {
    drop(serde_json::from_slice::<Claims>(input));
}

pub(crate) fn keyframe(input: &[u8]) {
    for codec in [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1, Codec::Opus] {
        codec.begins_keyframe(input);
    }
}

/// A stranger who does not know the password never becomes anybody.
pub(crate) fn demux(input: &[u8]) {
    let mut demux = Demux::default();
    let mut entropy = Entropy::seeded(7);
    demux.insert(PeerKey(1), &IceCredentials::new(ShardId(0), &mut entropy));
    for transport in [Transport::Udp, Transport::Tcp(StreamId(1))] {
        let mut payload = input.to_vec();
        let datagram = Datagram {
            transport,
            source: SocketAddr::from(THERE),
            destination: SocketAddr::from(HERE),
            payload: &mut payload,
        };
        assert_eq!(demux.route(clock::now(), &datagram), None);
    }
}

pub(crate) fn fingerprint(input: &[u8]) {
    fingerprint_of(&String::from_utf8_lossy(input));
}

/// A stranger's offer is answered or refused; it never breaks the engine.
pub(crate) fn offer(input: &[u8]) {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    let certificate = CERTIFICATE.get_or_init(|| Certificate::generate().expect("a certificate")).clone();
    let config = PeerConfig { shard: ShardId(0), udp: vec![HERE.into()], tcp: vec![HERE.into()], certificate };
    let credentials = IceCredentials::new(ShardId(0), &mut Entropy::seeded(7));
    let sdp = String::from_utf8_lossy(input);
    if let Ok((_, answer)) = EnginePeer::accept_offer(&config, &credentials, clock::now(), &sdp) {
        assert!(!answer.contains("a=setup:active"), "the relay is never the one to begin DTLS (A14)");
    }
}

/// What the real encoders produce, as the first corpus of each target.
pub(crate) fn seeds() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let frames: Vec<Vec<u8>> = Kind::ALL
        .into_iter()
        .filter_map(|kind| Frame::new(Header::single(kind), b"payload").ok())
        .map(|frame| frame.bytes().to_vec())
        .collect();
    let streams = [1, 27, 28, 200].map(|cut| [&[cut][..], &frames.concat()].concat()).to_vec();
    let signals: Vec<Vec<u8>> = ToRelay::TAGS.iter().map(|tag| format!(r#"{{"t":"{tag}"}}"#).into_bytes()).collect();
    let claims = br#"{"iss":"fanlight","aud":"fanlight-relay","exp":1,"iat":1,"jti":"x","sub":"ann","group":"demo",
        "session":"30313233343536373839616263646566","epoch":1,"role":"agent","capabilities":8,"name":"Ann"}"#;
    let mark = |key| Mark { share: 1, frame: 1, key, index: 0, count: 1, at_us: 0 }.to_payload(60);
    let sdp = history::offer();
    // A binding request with USERNAME, PRIORITY, MESSAGE-INTEGRITY and FINGERPRINT, signed by nobody we know.
    let check = "000100502112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff\
        80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2\
        80280004e57a3bcf";
    let check = hex::decode(check.replace(char::is_whitespace, "")).expect("hexadecimal digits");
    let hello = hex::decode("16fefd0000000000000000002f0100002300000000000000").expect("hexadecimal digits");
    vec![
        ("frame", frames),
        ("splitter", streams),
        ("signal", signals),
        ("claims", vec![claims.to_vec()]),
        ("keyframe", vec![mark(true), mark(false), vec![0x78, 0, 4, 0x67, 0x42, 0xe0, 0x1f], vec![0x08, 0x0a, 0x0b]]),
        ("demux", vec![check, hello, vec![0x80, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1], vec![0; 20]]),
        ("fingerprint", vec![sdp.clone().into_bytes()]),
        ("offer", vec![sdp.into_bytes()]),
        ("engine", history::seeds()),
    ]
}

/// An offer as a client makes it.
pub(crate) fn real_offer() -> String {
    let mut peer = Peer::new(clock::now(), 0);
    peer.add_address(Path::Udp, SocketAddr::from(THERE)).expect("a usable address");
    peer.offer()
}
