//! The RFCs' vectors and the invariants of both contexts. str0m as an independent peer: `peer/keying/tests.rs`.

mod vectors;

use proptest::prelude::*;

use super::*;
use crate::rtp::header::Header;

pub(super) const PROFILES: [Profile; 3] = [Profile::Aes128Gcm, Profile::Aes256Gcm, Profile::Aes128CmSha1_80];

fn keying(profile: Profile) -> Keying {
    let material: Vec<u8> = (1..=profile.material_bytes() as u8).collect();
    Keying::new(profile, &material).unwrap()
}

fn pair(profile: Profile) -> (Protect, Unprotect) {
    let keying = keying(profile);
    (Protect::new(&keying, Side::Server).unwrap(), Unprotect::new(&keying, Side::Server).unwrap())
}

/// A plain packet with room for the tag.
fn plain(ssrc: u32, index: u64, payload: &[u8], overhead: usize) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend_from_slice(&(index as u16).to_be_bytes());
    packet.extend_from_slice(&7_u32.to_be_bytes());
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(payload);
    packet.resize(packet.len() + overhead, 0);
    packet
}

fn sealed(protect: &mut Protect, ssrc: u32, index: u64, payload: &[u8]) -> Vec<u8> {
    let mut packet = plain(ssrc, index, payload, protect.rtp_overhead());
    protect.rtp(&mut packet, 12, index).unwrap();
    packet
}

/// Opens a copy: the index and the payload.
fn open(unprotect: &mut Unprotect, packet: &[u8]) -> Option<(u64, Vec<u8>)> {
    let mut packet = packet.to_vec();
    let header = Header::parse(&packet)?;
    let opened = unprotect.rtp(&mut packet, &header)?;
    Some((opened.index, packet[opened.payload].to_vec()))
}

fn report(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet
}

#[test]
fn what_is_protected_opens_to_the_same() {
    for profile in PROFILES {
        let (mut protect, mut unprotect) = pair(profile);
        for (index, payload) in [(0, b"one".as_slice()), (1, b""), (5, &[9; 1_200])] {
            let packet = sealed(&mut protect, 77, index, payload);
            assert_eq!(packet.len(), 12 + payload.len() + profile.rtp_overhead());
            assert!(payload.len() < 3 || !packet.windows(payload.len()).any(|w| w == payload), "encrypted");
            assert_eq!(open(&mut unprotect, &packet), Some((index, payload.to_vec())), "{}", profile.name());
        }
        let plain = report(77);
        for _ in 0..3 {
            let mut packet = plain.clone();
            protect.rtcp(&mut packet).unwrap();
            assert_eq!(unprotect.rtcp(&mut packet), Some(plain.len()));
            assert_eq!(packet[..plain.len()], plain);
        }
    }
}

#[test]
fn the_sides_have_keys_of_their_own() {
    for profile in PROFILES {
        let keying = keying(profile);
        let mut protect = Protect::new(&keying, Side::Server).unwrap();
        let mut other = Unprotect::new(&keying, Side::Client).unwrap();
        assert_eq!(open(&mut other, &sealed(&mut protect, 1, 1, b"x")), None);
        let mut packet = report(1);
        protect.rtcp(&mut packet).unwrap();
        assert_eq!(other.rtcp(&mut packet), None);
    }
}

#[test]
fn keying_of_another_length_is_none_and_shows_nothing() {
    assert!(Keying::new(Profile::Aes128Gcm, &[0; 55]).is_none());
    assert!(Keying::new(Profile::Aes128Gcm, &[0; 88]).is_none());
    assert_eq!(format!("{:?}", keying(Profile::Aes128Gcm)), "Keying(AEAD_AES_128_GCM)");
}

#[test]
fn padding_is_taken_off() {
    for profile in PROFILES {
        let (mut protect, mut unprotect) = pair(profile);
        let cases: [(&[u8], Option<&[u8]>); 4] =
            [(b"abc\0\0\x03", Some(b"abc")), (b"\0\0\0\x04", Some(b"")), (b"abc\0", None), (b"abc\x05", None)];
        for (index, (payload, expected)) in (10_u64..).zip(cases) {
            let mut packet = plain(3, index, payload, protect.rtp_overhead());
            packet[0] |= 0x20;
            protect.rtp(&mut packet, 12, index).unwrap();
            assert_eq!(open(&mut unprotect, &packet), expected.map(|plain| (index, plain.to_vec())));
        }
        let mut packet = plain(3, 30, b"", protect.rtp_overhead());
        packet[0] |= 0x20;
        protect.rtp(&mut packet, 12, 30).unwrap();
        assert_eq!(open(&mut unprotect, &packet), None, "padding without a length");
    }
}

#[test]
fn rollover_is_followed_both_ways() {
    for profile in PROFILES {
        let (mut protect, mut unprotect) = pair(profile);
        // The sender's counts; the receiver sees only 16 bits and meets them out of order around two rollovers.
        let order =
            [65_530, 65_535, 65_537, 65_534, 65_536, 65_600, 65_531, 98_340, 131_071, 131_073, 131_072, 131_070];
        let packets: Vec<(u64, Vec<u8>)> = {
            let mut sorted = order.to_vec();
            sorted.sort_unstable();
            sorted.into_iter().map(|index| (index, sealed(&mut protect, 5, index, &index.to_be_bytes()))).collect()
        };
        for index in order {
            let (_, packet) = packets.iter().find(|(at, _)| *at == index).unwrap();
            assert_eq!(open(&mut unprotect, packet), Some((index, index.to_be_bytes().to_vec())), "{index}");
        }
        for (index, packet) in packets {
            assert_eq!(open(&mut unprotect, &packet), None, "{index} is a replay");
        }
    }
}

#[test]
fn a_packet_before_the_first_index_is_turned_away() {
    let (mut protect, mut unprotect) = pair(Profile::Aes128Gcm);
    assert!(open(&mut unprotect, &sealed(&mut protect, 5, 3, b"first")).is_some());
    // Its number can only mean "before zero" here.
    assert_eq!(open(&mut unprotect, &sealed(&mut protect, 5, 65_535, b"far")), None);
}

#[test]
fn a_replay_is_turned_away_once_it_was_seen_or_is_too_old() {
    let (mut protect, mut unprotect) = pair(Profile::Aes128Gcm);
    let packets: Vec<_> = (0..400).map(|index| sealed(&mut protect, 5, index, b"x")).collect();
    for index in [0, 300, 100, 45] {
        assert!(open(&mut unprotect, &packets[index]).is_some(), "{index} is new");
        assert!(open(&mut unprotect, &packets[index]).is_none(), "{index} is a replay");
    }
    assert!(open(&mut unprotect, &packets[44]).is_none(), "older than 256");
    let mut reports: Vec<_> = (0..100).map(|_| report(5)).collect();
    reports.iter_mut().for_each(|report| protect.rtcp(report).unwrap());
    for at in [0, 90, 27] {
        assert!(unprotect.rtcp(&mut reports[at].clone()).is_some(), "{at} is new");
        assert!(unprotect.rtcp(&mut reports[at].clone()).is_none(), "{at} is a replay");
    }
    assert!(unprotect.rtcp(&mut reports[26].clone()).is_none(), "older than 64");
}

/// G-26
#[test]
fn a_hundred_thousand_replays_open_nothing() {
    let (mut protect, mut unprotect) = pair(Profile::Aes128Gcm);
    let packets: Vec<_> = (65_000..66_000).map(|index| sealed(&mut protect, 5, index, b"x")).collect();
    packets.iter().for_each(|packet| assert!(open(&mut unprotect, packet).is_some()));
    for _ in 0..100 {
        packets.iter().for_each(|packet| assert_eq!(open(&mut unprotect, packet), None));
    }
}

#[test]
fn a_forgery_changes_nothing() {
    for profile in PROFILES {
        let (mut protect, mut unprotect) = pair(profile);
        let packets: Vec<_> = [10_u64, 11, 40_000].map(|index| sealed(&mut protect, 5, index, b"payload")).into();
        assert!(open(&mut unprotect, &packets[0]).is_some());
        let mut far = packets[2].clone();
        for at in 0..packets[1].len() {
            let mut forged = packets[1].clone();
            forged[at] ^= 1;
            assert_eq!(open(&mut unprotect, &forged), None, "byte {at}");
        }
        *far.last_mut().unwrap() ^= 1;
        assert_eq!(open(&mut unprotect, &far), None, "a jump ahead");
        assert_eq!(open(&mut unprotect, &packets[1]).map(|(index, _)| index), Some(11), "the window stands");
        let mut genuine = report(5);
        protect.rtcp(&mut genuine).unwrap();
        for at in 0..genuine.len() {
            let mut forged = genuine.clone();
            forged[at] ^= 1;
            assert_eq!(unprotect.rtcp(&mut forged), None, "byte {at}");
        }
        assert!(unprotect.rtcp(&mut genuine).is_some());
    }
}

/// G-28: strangers cannot use up the room for senders.
#[test]
fn only_authentic_senders_take_a_place() {
    let (mut protect, mut unprotect) = pair(Profile::Aes128Gcm);
    for ssrc in 100..200 {
        let mut forged = sealed(&mut protect, ssrc, 1, b"x");
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(open(&mut unprotect, &forged), None);
    }
    let most = fanlight_wire::limits::SSRC_MAX as u32;
    for ssrc in 0..most {
        assert!(open(&mut unprotect, &sealed(&mut protect, ssrc, 2, b"x")).is_some(), "{ssrc} finds room");
    }
    let recorded = sealed(&mut protect, 1, 3, b"x");
    assert!(open(&mut unprotect, &recorded).is_some() && open(&mut unprotect, &recorded).is_none());
    let mut heard = |ssrc, index| open(&mut unprotect, &sealed(&mut protect, ssrc, index, b"x")).is_some();
    assert!(heard(most, 2) && !heard(0, 3), "the longest silent one has given way for good");
    assert!(heard(most, 3) && heard(1, 4) && heard(2, 3), "the others go on");
    for ssrc in 1_000..1_500 {
        heard(ssrc, 2);
    }
    assert!(!heard(5_000, 2), "the list of those is bounded");
    assert_eq!(open(&mut unprotect, &recorded), None, "what is forgotten is not taken for new");
}

/// G-28: reporters come and go with the sources; the ones that still speak are known.
#[test]
fn a_new_reporter_takes_the_place_of_the_longest_silent_one() {
    let (mut protect, mut unprotect) = pair(Profile::Aes128Gcm);
    for ssrc in 0..100_u32 {
        for speaker in [ssrc, 0] {
            let mut report = [[0x80, 201, 0, 1], speaker.to_be_bytes()].concat();
            protect.rtcp(&mut report).unwrap();
            assert!(unprotect.rtcp(&mut report.clone()).is_some(), "{ssrc} finds room");
            assert!(unprotect.rtcp(&mut report).is_none(), "but not twice");
        }
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let (mut protect, _) = pair(Profile::Aes128Gcm);
    assert_eq!(protect.rtp(&mut [0; 27], 12, 0), Err(ProtectError::Short));
    assert_eq!(protect.rtp(&mut [0; 40], 11, 1), Err(ProtectError::Short));
    assert_eq!(protect.rtp(&mut [0; 40], 41, 2), Err(ProtectError::Short));
    assert_eq!(protect.rtp(&mut [0; 40], 12, 1 << 48), Err(ProtectError::Exhausted));
    assert_eq!(protect.rtcp(&mut vec![0; 7]), Err(ProtectError::Short));
}

/// The oracle that every simulation runs with: no nonce twice.
#[cfg(debug_assertions)]
#[test]
#[should_panic(expected = "used a second time")]
fn a_repeated_index_ends_a_debug_build() {
    let (mut protect, _) = pair(Profile::Aes128Gcm);
    sealed(&mut protect, 5, 9, b"one");
    sealed(&mut protect, 6, 9, b"another sender may");
    sealed(&mut protect, 5, 8, b"late is not twice");
    sealed(&mut protect, 5, 9, b"two");
}

#[test]
fn a_context_is_small() {
    let beyond = size_of::<Protect>() + size_of::<Unprotect>();
    let senders = fanlight_wire::limits::SSRC_MAX
        * (size_of::<(u32, u64, window::Window<4>)>() + size_of::<(u32, window::Window<1>)>());
    assert!(beyond < 240 && senders <= 2_816, "{beyond} and {senders} bytes");
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), with_version in any::<bool>()) {
        for profile in PROFILES {
            let (_, mut unprotect) = pair(profile);
            let mut bytes = bytes.clone();
            if let (true, Some(first)) = (with_version, bytes.first_mut()) {
                *first = *first & 0x3f | 0x80;
            }
            prop_assert_eq!(unprotect.rtcp(&mut bytes.clone()), None);
            if let Some(header) = Header::parse(&bytes) {
                prop_assert_eq!(unprotect.rtp(&mut bytes.clone(), &header), None);
                // A header that was read from another packet.
                bytes.truncate(bytes.len() / 2);
                prop_assert_eq!(unprotect.rtp(&mut bytes, &header), None);
            }
        }
    }
}
