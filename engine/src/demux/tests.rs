//! Whose datagram is whose, and what an attacker may not learn or do (G-20, G-22, G-25).

use std::time::Duration;

use fanlight_wire::ShardId;
use proptest::prelude::*;

use super::*;
use crate::entropy::Entropy;
use crate::peer::client::{answer, check};

const ANN: PeerKey = PeerKey(1);
const BEN: PeerKey = PeerKey(2);
const DTLS: [u8; 14] = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0];
const RTP: [u8; 13] = [0x80, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 7];
const RTCP: [u8; 8] = [0x80, 201, 0, 1, 0, 0, 0, 1];

struct Table {
    demux: Demux,
    ann: IceCredentials,
    ben: IceCredentials,
    now: Instant,
}

impl Table {
    #[expect(clippy::disallowed_methods, reason = "the base of virtual time")]
    fn new() -> Self {
        let mut entropy = Entropy::seeded(1);
        let ann = IceCredentials::new(ShardId(0x1f), &mut entropy);
        let ben = IceCredentials::new(ShardId(0x1f), &mut entropy);
        let mut demux = Demux::default();
        demux.insert(ANN, &ann);
        demux.insert(BEN, &ben);
        Self { demux, ann, ben, now: Instant::now() }
    }

    fn route(&mut self, from: u16, payload: &[u8]) -> Option<PeerKey> {
        self.route_over(Transport::Udp, from, payload)
    }

    fn route_over(&mut self, transport: Transport, from: u16, payload: &[u8]) -> Option<PeerKey> {
        let mut payload = payload.to_vec();
        let datagram = Datagram {
            transport,
            source: SocketAddr::from(([192, 0, 2, 1], from)),
            destination: SocketAddr::from(([192, 0, 2, 9], 7730)),
            payload: &mut payload,
        };
        self.demux.route(self.now, &datagram)
    }

    fn prove(&mut self, from: u16, who: PeerKey) -> Option<PeerKey> {
        let credentials = if who == ANN { &self.ann } else { &self.ben };
        let payload = check(&format!("{}:them", credentials.ufrag), &credentials.pwd);
        self.route(from, &payload)
    }
}

#[test]
fn credentials_name_the_shard_and_carry_enough_secret() {
    let table = Table::new();
    assert!(table.ann.ufrag.starts_with("1f") && table.ann.ufrag.len() == 8);
    assert!(table.ann.pwd.len() == 24 && table.ann.pwd != table.ben.pwd);
    assert!(!format!("{:?}", table.ann).contains(&table.ann.pwd), "a password is never printed");
}

// G-20, G-25
#[test]
fn only_a_valid_check_opens_an_address_and_only_its_own() {
    let mut table = Table::new();
    for payload in [&DTLS[..], &RTP, &RTCP] {
        assert_eq!(table.route(5, payload), None);
    }
    assert_eq!(table.prove(5, ANN), Some(ANN));
    for payload in [&DTLS[..], &RTP, &RTCP] {
        assert_eq!(table.route(5, payload), Some(ANN));
        assert_eq!(table.route(6, payload), None, "another port");
        assert_eq!(table.route_over(Transport::Tcp(fanlight_wire::StreamId(1)), 5, payload), None, "another transport");
    }
    assert_eq!(table.demux.drops().unproven, 9);
}

// G-22, G-23
#[test]
fn a_guessed_name_or_password_gets_silence() {
    let mut table = Table::new();
    let unknown = check("1fAAAAAA:them", "whatever-it-may-be-at-all");
    assert_eq!(table.route(5, &unknown), None);
    let guessed = check(&format!("{}:them", table.ann.ufrag), "not-her-password-at-all");
    assert_eq!(table.route(5, &guessed), None);
    let forged = answer("not-her-password-at-all", SocketAddr::from(([192, 0, 2, 1], 5)));
    assert_eq!(table.route(5, &forged), None);
    assert_eq!(table.route(5, &DTLS), None, "nothing was opened by trying");
    let expected = DemuxDrops { malformed: 0, unknown_name: 1, bad_integrity: 1, stray_answer: 1, unproven: 1 };
    assert_eq!(*table.demux.drops(), expected);
}

#[test]
fn an_address_is_not_taken_over_while_its_owner_is_alive() {
    let mut table = Table::new();
    table.prove(5, ANN);
    assert_eq!(table.prove(5, BEN), Some(BEN), "the check itself is answered");
    assert_eq!(table.route(5, &RTP), Some(ANN), "but the address stays");
    table.now += ICE_CONSENT_MAX + Duration::from_millis(1);
    table.prove(5, BEN);
    assert_eq!(table.route(5, &RTP), Some(BEN), "a port that was handed on");
    table.demux.remove(ANN);
    assert_eq!(table.route(5, &RTP), Some(BEN));
}

#[test]
fn addresses_are_bounded_and_the_stalest_leaves() {
    let mut table = Table::new();
    for port in 0..VALIDATED_ADDRESSES_MAX as u16 {
        table.prove(port, ANN);
        table.now += Duration::from_millis(10);
    }
    table.prove(0, ANN);
    table.now += Duration::from_millis(10);
    table.prove(99, ANN);
    assert_eq!(table.demux.proven(ANN), VALIDATED_ADDRESSES_MAX);
    assert_eq!((table.route(0, &RTP), table.route(1, &RTP), table.route(99, &RTP)), (Some(ANN), None, Some(ANN)));
}

#[test]
fn a_peer_that_left_is_a_stranger() {
    let mut table = Table::new();
    table.prove(5, ANN);
    table.demux.remove(ANN);
    assert_eq!(table.route(5, &RTP), None);
    assert_eq!(table.prove(5, ANN), None);
    assert_eq!(table.prove(5, BEN), Some(BEN));
}

#[test]
fn after_an_ice_restart_both_names_are_good() {
    let mut table = Table::new();
    let fresh = IceCredentials::new(ShardId(0x1f), &mut Entropy::seeded(9));
    table.demux.insert(ANN, &fresh);
    assert_eq!(table.prove(5, ANN), Some(ANN));
    let payload = check(&format!("{}:them", fresh.ufrag), &fresh.pwd);
    assert_eq!(table.route(6, &payload), Some(ANN));
}

proptest! {
    #[test]
    fn any_bytes_are_dropped_in_silence(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut table = Table::new();
        prop_assert_eq!(table.route(5, &payload), None);
    }

    #[test]
    fn a_damaged_check_opens_nothing(at in 0_usize..100, flip in 1_u8..) {
        let mut table = Table::new();
        let mut payload = check(&format!("{}:them", table.ann.ufrag), &table.ann.pwd);
        // The last eight bytes are the FINGERPRINT, which integrity does not cover.
        let at = at % (payload.len() - 8);
        payload[at] ^= flip;
        prop_assert_eq!(table.route(5, &payload), None);
        prop_assert_eq!(table.route(5, &DTLS), None);
    }
}

#[test]
fn a_peer_that_restarts_again_and_again_keeps_few_names() {
    let mut table = Table::new();
    let mut entropy = Entropy::seeded(2);
    let newer: Vec<_> = (0..100).map(|_| IceCredentials::new(ShardId(0x1f), &mut entropy)).collect();
    newer.iter().for_each(|credentials| table.demux.insert(ANN, credentials));
    assert_eq!(table.demux.names.len(), ICE_NAMES_MAX + 1, "those of Ann, and Ben's");
    assert_eq!(table.prove(5_000, ANN), None, "the first is long replaced");
    table.ann = newer.last().expect("a hundred").clone();
    assert_eq!(table.prove(5_000, ANN), Some(ANN));
    assert_eq!(table.prove(5_001, BEN), Some(BEN));
}
