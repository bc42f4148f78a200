//! Known answers: RFC 3711 appendix B, RFC 7714 sections 16 and 17, and the packets with which libsrtp checks itself.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM};

use super::*;
use crate::rtp::srtp::{cm::Cm, gcm::Gcm};

/// "Quid pro quo".
const SALT: &str = "517569642070726f2071756f";
/// "Gallia est omnis divisa in partes tres".
const RTP: &str =
    "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573";
const RTP_SSRC: u32 = 0x5501_a0b2;
const RTP_INDEX: u64 = 0xf17b;
const RTCP: &str = concat!(
    "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61",
    "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef"
);
const RTCP_SSRC: u32 = 0x4d61_7273;
const RTCP_INDEX: u32 = 0x5d4;

struct Vector {
    rtp: &'static str,
    rtcp: &'static str,
    /// Of the packet that is authenticated and not encrypted.
    rtcp_tag: &'static str,
}

const AES_128: Vector = Vector {
    rtp: concat!(
        "8040f17b8041f8d35501a0b2",
        "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833",
        "899d7f27beb16a9152cf765ee4390cce"
    ),
    rtcp: concat!(
        "81c8000d4d617273",
        "63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275b",
        "c84aa45896cf4d2fc5abf87245d9eade",
        "800005d4"
    ),
    rtcp_tag: "841dd9683dd78ec92ae58790125f62b3",
};

const AES_256: Vector = Vector {
    rtp: concat!(
        "8040f17b8041f8d35501a0b2",
        "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b",
        "7aa3db36dfffd6b0f9bb7878d7a76c13"
    ),
    rtcp: concat!(
        "81c8000d4d617273",
        "d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad",
        "1d1eb30c4446839f57ff6f6cb26ac3be",
        "800005d4"
    ),
    rtcp_tag: "91db4afbfeee5a978fab4393ed2615fe",
};

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

fn gcm(key_bytes: u8) -> Gcm {
    let key: Vec<u8> = (0..key_bytes).collect();
    let algorithm = if key_bytes == 16 { &AES_128_GCM } else { &AES_256_GCM };
    Gcm::from_session(algorithm, &key, bytes(SALT).try_into().unwrap()).unwrap()
}

/// RFC 7714 §16.1.1, §16.1.2, §16.2.1, §16.2.2.
#[test]
fn rtp_of_rfc_7714() {
    for (key_bytes, vector) in [(16, AES_128), (32, AES_256)] {
        let gcm = gcm(key_bytes);
        let mut packet = bytes(RTP);
        packet.resize(packet.len() + 16, 0);
        gcm.seal_rtp(&mut packet, 12, RTP_SSRC, RTP_INDEX).unwrap();
        assert_eq!(hex::encode(&packet), vector.rtp);
        let end = gcm.open_rtp(&mut packet, 12, RTP_SSRC, RTP_INDEX).unwrap();
        assert_eq!(hex::encode(&packet[..end]), RTP);
    }
}

/// RFC 7714 §17.1 and §17.2, each with both keys.
#[test]
fn rtcp_of_rfc_7714() {
    for (key_bytes, vector) in [(16, AES_128), (32, AES_256)] {
        let gcm = gcm(key_bytes);
        let mut packet = bytes(RTCP);
        gcm.seal_rtcp(&mut packet, RTCP_SSRC, RTCP_INDEX).unwrap();
        assert_eq!(hex::encode(&packet), vector.rtcp);
        let end = gcm.open_rtcp(&mut packet, RTCP_SSRC, RTCP_INDEX | cipher::ENCRYPTED).unwrap();
        assert_eq!(hex::encode(&packet[..end]), RTCP);
    }
}

/// RFC 7714 §17.3 and §17.4: authenticated, not encrypted.
#[test]
fn open_rtcp_of_rfc_7714() {
    for (key_bytes, vector) in [(16, AES_128), (32, AES_256)] {
        let gcm = gcm(key_bytes);
        let genuine = bytes(&format!("{RTCP}{}000005d4", vector.rtcp_tag));
        let mut packet = genuine.clone();
        let end = gcm.open_rtcp(&mut packet, RTCP_SSRC, RTCP_INDEX).unwrap();
        assert_eq!(hex::encode(&packet[..end]), RTCP);
        for at in 0..genuine.len() - 4 {
            let mut forged = genuine.clone();
            forged[at] ^= 0x80;
            assert_eq!(gcm.open_rtcp(&mut forged, RTCP_SSRC, RTCP_INDEX), None, "byte {at}");
        }
    }
}

/// RFC 3711 §B.2: the key stream, blocks 0–2 and around the 16-bit block counter's end.
#[test]
fn key_stream_of_rfc_3711() {
    let key = bytes("2B7E151628AED2A6ABF7158809CF4F3C").try_into().unwrap();
    let cm = Cm::from_session(&key, &[0; 20], bytes("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap()).unwrap();
    let mut packet = vec![0; 12 + 0xff02 * 16 + 10];
    cm.seal_rtp(&mut packet, 12, 0, 0).unwrap();
    let block = |at: usize| hex::encode_upper(&packet[12 + at * 16..12 + (at + 1) * 16]);
    assert_eq!(block(0), "E03EAD0935C95E80E166B16DD92B4EB4");
    assert_eq!(block(1), "D23513162B02D0F72A43A2FE4A5F97AB");
    assert_eq!(block(2), "41E95B3BB0A2E8DD477901E4FCA894C0");
    assert_eq!(block(0xfeff), "EC8CDF7398607CB0F2D21675EA9EA1E4");
    assert_eq!(block(0xff00), "362B7C3C6773516318A077D7FC5073AE");
    assert_eq!(block(0xff01), "6A2CC3787889374FBEB4C81B17BA6C44");
}

/// From a master key, so that derivation, encryption and authentication agree with libsrtp's at once.
#[test]
fn packets_of_libsrtp() {
    let (key, salt) = ("E1F97A0D3E018BE0D64FA32C06DE4139", "0EC675AD498AFEEBB6960B3AABE6");
    let keying = Keying::new(Profile::Aes128CmSha1_80, &bytes(&format!("{key}{key}{salt}{salt}"))).unwrap();
    let mut protect = Protect::new(&keying, Side::Client).unwrap();
    let mut packet = bytes("800f1234decafbadcafebabeabababababababababababababababab");
    packet.resize(packet.len() + 10, 0);
    protect.rtp(&mut packet, 12, 0x1234).unwrap();
    let expected = "800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb";
    assert_eq!(hex::encode(packet), expected);
    let plain = bytes("81c8000bcafebabeabababababababababababababababab");
    protect.rtcp(&mut plain.clone()).unwrap();
    let mut second = plain;
    protect.rtcp(&mut second).unwrap();
    let expected = "81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798";
    assert_eq!(hex::encode(second), expected);
}
