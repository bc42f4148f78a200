//! Negotiation with the offers of real browsers.

use std::time::Duration;

use super::*;
use crate::codec::Codec;
use crate::entropy::Entropy;

/// `createOffer` of Chromium 156 with the protocol's four sections: watch picture and sound, share picture and sound.
const CHROMIUM: &str = include_str!("offers/chromium.sdp");

#[expect(clippy::disallowed_methods, reason = "the base of virtual time")]
fn accept(sdp: &str) -> Result<(Peer, String), Refusal> {
    let config = PeerConfig {
        shard: ShardId(2),
        udp: vec![SocketAddr::from(([192, 0, 2, 1], 7732))],
        tcp: vec![SocketAddr::from(([192, 0, 2, 1], 7732))],
        certificate: Certificate::generate().expect("a certificate"),
    };
    let credentials = IceCredentials::new(config.shard, &mut Entropy::seeded(1));
    Peer::accept_offer(&config, &credentials, Instant::now(), sdp)
}

#[test]
fn chromiums_offer_is_answered_with_all_we_carry() {
    let (peer, answer) = accept(CHROMIUM).expect("a usable offer");
    let shape: Vec<_> = peer.sections().iter().map(|s| (s.video, s.sends, s.receives)).collect();
    let (watch, share) = ((true, false), (false, true));
    assert_eq!(
        shape,
        [(true, watch.0, watch.1), (false, watch.0, watch.1), (true, share.0, share.1), (false, share.0, share.1)]
    );
    let first = peer.sections()[0].mid;
    for (codec, profile, packetization) in
        [(Codec::Vp8, 0, 0), (Codec::Vp9, 0, 0), (Codec::Av1, 0, 0), (Codec::H264, 0x42e0, 1), (Codec::H264, 0x4d00, 1)]
    {
        let format = Format { codec, profile, packetization };
        assert!(peer.payload_type(first, format).is_some(), "{format:?} is not agreed: {answer}");
    }
    assert!(
        peer.payload_type(peer.sections()[1].mid, Format { codec: Codec::Opus, profile: 0, packetization: 0 })
            .is_some()
    );
    for line in ["a=setup:passive", "a=ice-ufrag:02", "typ host tcptype passive", "rtx/90000", "transport-wide-cc"] {
        assert!(answer.contains(line), "{line} is missing: {answer}");
    }
    assert!(!answer.contains("a=ice-lite") && !answer.contains("H265"));
}

// RFC 2198
#[test]
fn redundant_sound_is_agreed_to_only_where_it_is_offered() {
    let agreed = |sdp: &str| {
        let (peer, answer) = accept(sdp).expect("a usable offer");
        let [_, watch_sound, ..] = peer.sections() else { panic!("four sections") };
        let red = peer.payload_type(watch_sound.mid, Format { codec: Codec::Red, profile: 0, packetization: 0 });
        (red.map(|payload_type| payload_type.main), answer.contains("red/48000/2"))
    };
    assert_eq!(agreed(CHROMIUM), (Some(63), true), "as Chromium calls it");
    let without: String = CHROMIUM
        .lines()
        .filter(|line| !line.contains(":63 "))
        .fold(String::new(), |sdp, line| sdp + &line.replace(" 111 63 ", " 111 ") + "\r\n");
    assert_eq!(agreed(&without), (None, false));
}

#[test]
fn what_a_browser_names_is_never_probed() {
    let named = CHROMIUM.replace("a=setup:", "a=candidate:1 1 udp 2122260223 203.0.113.7 4444 typ host\na=setup:");
    let (mut peer, _) = accept(&named).expect("a usable offer");
    let start = peer.now;
    for ms in (0..HANDSHAKE_MAX.as_millis() as u64).step_by(50) {
        let mut outbox = Outbox::default();
        peer.handle_timeout(start + Duration::from_millis(ms));
        peer.poll(&mut outbox);
        assert!(outbox.is_empty(), "something left before anybody had shown up");
    }
    peer.handle_timeout(start + HANDSHAKE_MAX);
    assert!(matches!(peer.poll_event(), Some(PeerEvent::Disconnected)), "and nobody is waited for longer");
}

#[test]
fn garbage_is_refused_and_never_panics() {
    let lines: Vec<_> = CHROMIUM.lines().collect();
    for skip in 0..lines.len() {
        let mutilated: Vec<_> = lines.iter().enumerate().filter(|(at, _)| *at != skip).map(|(_, line)| *line).collect();
        if let Err(refusal) = accept(&mutilated.join("\n")) {
            assert_eq!(refusal.code, fanlight_wire::Code::Sdp, "without {}", lines[skip]);
        }
    }
    for cut in (0..CHROMIUM.len()).step_by(97) {
        if let Err(refusal) = accept(&CHROMIUM[..cut]) {
            assert!(refusal.code == fanlight_wire::Code::Sdp && refusal.sentence.ends_with('.'), "{refusal}");
        }
    }
}
