//! The client's side of SRTP with AES-GCM (RFC 3711 key derivation, RFC 7714), written apart from the relay's own so that
//! each proves the other.
//!
//! Replay is not checked: a generator wants to see what arrives twice.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;

/// Bytes of an authentication tag.
pub const TAG_BYTES: usize = 16;
const SALT_BYTES: usize = 12;
/// Bytes that protecting adds to an RTCP packet: tag and index.
const RTCP_BYTES: usize = TAG_BYTES + 4;

/// What a handshake yields (RFC 5764 §4.2): client key, server key, client salt, server salt.
#[derive(Clone, PartialEq, Eq)]
pub struct Keying {
    material: Vec<u8>,
    key_bytes: usize,
}

impl std::fmt::Debug for Keying {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keying").field("key_bytes", &self.key_bytes).finish_non_exhaustive()
    }
}

impl Keying {
    /// `None` unless the material is that of AES-GCM with a key of 128 or 256 bits.
    pub fn new(material: &[u8]) -> Option<Self> {
        let key_bytes = (material.len() / 2).checked_sub(SALT_BYTES)?;
        matches!(key_bytes, 16 | 32).then(|| Self { material: material.to_vec(), key_bytes })
    }

    /// Keys of nobody else, for a lane without a handshake.
    pub fn random() -> Self {
        let mut material = vec![0; 2 * (16 + SALT_BYTES)];
        fastrand::fill(&mut material);
        Self { material, key_bytes: 16 }
    }

    /// The same as bytes, for [`Self::new`] of another process.
    pub fn material(&self) -> &[u8] {
        &self.material
    }

    /// What the DTLS client writes with, or the server.
    pub fn lane(&self, client: bool) -> Option<Lane> {
        let (keys, salts) = self.material.split_at_checked(2 * self.key_bytes)?;
        let (key, salt) = (keys.chunks_exact(self.key_bytes), salts.chunks_exact(SALT_BYTES));
        let (key, salt) = key.zip(salt).nth(usize::from(!client))?;
        Lane::new(key, salt)
    }
}

/// One direction of one peer.
pub struct Lane {
    rtp: LessSafeKey,
    rtp_salt: [u8; SALT_BYTES],
    rtcp: LessSafeKey,
    rtcp_salt: [u8; SALT_BYTES],
    rtcp_index: u32,
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").field("rtcp_index", &self.rtcp_index).finish_non_exhaustive()
    }
}

impl Lane {
    fn new(key: &[u8], salt: &[u8]) -> Option<Self> {
        let gcm = if key.len() == 16 { &AES_128_GCM } else { &AES_256_GCM };
        let cipher = |label| {
            let mut bytes = [0; 32];
            let bytes = bytes.get_mut(..key.len())?;
            derive(key, salt, label, bytes)?;
            Some(LessSafeKey::new(UnboundKey::new(gcm, bytes).ok()?))
        };
        let own_salt = |label| {
            let mut bytes = [0; SALT_BYTES];
            derive(key, salt, label, &mut bytes)?;
            Some(bytes)
        };
        let (rtp, rtp_salt, rtcp, rtcp_salt) = (cipher(0)?, own_salt(2)?, cipher(3)?, own_salt(5)?);
        Some(Self { rtp, rtp_salt, rtcp, rtcp_salt, rtcp_index: 0 })
    }

    /// Encrypts in place; the last [`TAG_BYTES`] of `packet` are spare. `index` is rollover counter << 16 | sequence.
    pub fn seal(&self, packet: &mut [u8], header_bytes: usize, index: u64) -> Option<()> {
        let nonce = self.rtp_nonce(packet, index)?;
        let end = packet.len().checked_sub(TAG_BYTES)?;
        let (plain, spare) = packet.split_at_mut_checked(end)?;
        let (header, payload) = plain.split_at_mut_checked(header_bytes)?;
        let tag = self.rtp.seal_in_place_separate_tag(nonce, Aad::from(&*header), payload).ok()?;
        spare.copy_from_slice(tag.as_ref());
        Some(())
    }

    /// Checks and decrypts in place; the plain payload.
    pub fn open<'a>(&self, packet: &'a mut [u8], header_bytes: usize, index: u64) -> Option<&'a mut [u8]> {
        let nonce = self.rtp_nonce(packet, index)?;
        let (header, payload) = packet.split_at_mut_checked(header_bytes)?;
        self.rtp.open_in_place(nonce, Aad::from(&*header), payload).ok().map(|plain| &mut *plain)
    }

    /// RFC 7714 §8.1.
    fn rtp_nonce(&self, packet: &[u8], index: u64) -> Option<Nonce> {
        let mut nonce = [0; SALT_BYTES];
        nonce.get_mut(2..6)?.copy_from_slice(packet.get(8..12)?);
        nonce.get_mut(6..)?.copy_from_slice(index.to_be_bytes().get(2..)?);
        nonce.iter_mut().zip(self.rtp_salt).for_each(|(byte, salt)| *byte ^= salt);
        Some(Nonce::assume_unique_for_key(nonce))
    }

    /// Encrypts a compound packet and appends tag and index.
    pub fn seal_rtcp(&mut self, packet: &mut Vec<u8>) -> Option<()> {
        let index = self.rtcp_index;
        self.rtcp_index += 1;
        let word = (index | 1 << 31).to_be_bytes();
        let nonce = self.rtcp_nonce(packet, index)?;
        let (header, payload) = packet.split_at_mut_checked(8)?;
        let aad = rtcp_aad(header, word)?;
        let tag = self.rtcp.seal_in_place_separate_tag(nonce, Aad::from(aad), payload).ok()?;
        packet.extend_from_slice(tag.as_ref());
        packet.extend_from_slice(&word);
        Some(())
    }

    /// Checks and decrypts a compound packet in place.
    pub fn open_rtcp<'a>(&self, packet: &'a mut [u8]) -> Option<&'a [u8]> {
        let end = packet.len().checked_sub(4)?;
        packet.len().checked_sub(8 + RTCP_BYTES)?;
        let word: [u8; 4] = packet.get(end..)?.try_into().ok()?;
        let nonce = self.rtcp_nonce(packet, u32::from_be_bytes(word) & !(1 << 31))?;
        let packet = packet.get_mut(..end)?;
        let (header, payload) = packet.split_at_mut_checked(8)?;
        let aad = rtcp_aad(header, word)?;
        self.rtcp.open_in_place(nonce, Aad::from(aad), payload).ok()?;
        packet.get(..end - TAG_BYTES)
    }

    /// RFC 7714 §9.1.
    fn rtcp_nonce(&self, packet: &[u8], index: u32) -> Option<Nonce> {
        let mut nonce = [0; SALT_BYTES];
        nonce.get_mut(2..6)?.copy_from_slice(packet.get(4..8)?);
        nonce.get_mut(8..)?.copy_from_slice(&index.to_be_bytes());
        nonce.iter_mut().zip(self.rtcp_salt).for_each(|(byte, salt)| *byte ^= salt);
        Some(Nonce::assume_unique_for_key(nonce))
    }
}

fn rtcp_aad(header: &[u8], word: [u8; 4]) -> Option<[u8; 12]> {
    let mut aad = [0; 12];
    aad.get_mut(..8)?.copy_from_slice(header);
    aad.get_mut(8..)?.copy_from_slice(&word);
    Some(aad)
}

/// RFC 3711 §4.3.3 with a key derivation rate of zero.
fn derive(key: &[u8], salt: &[u8], label: u8, out: &mut [u8]) -> Option<()> {
    let mut iv = [0; 16];
    iv.iter_mut().zip(salt).for_each(|(byte, salt)| *byte = *salt);
    *iv.get_mut(7)? ^= label;
    let aes = if key.len() == 16 { &AES_128 } else { &AES_256 };
    let cipher = EncryptingKey::ctr(UnboundCipherKey::new(aes, key).ok()?).ok()?;
    out.fill(0);
    cipher.less_safe_encrypt(out, EncryptionContext::Iv128(FixedLength::from(iv))).ok()?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_read_what_the_other_wrote() {
        let keying = Keying::random();
        let again = Keying::new(keying.material()).expect("the same");
        let (own, theirs) = (keying.lane(true).expect("a lane"), again.lane(true).expect("a lane"));
        let mut packet = vec![7; 60 + TAG_BYTES];
        own.seal(&mut packet, 12, 1 << 16 | 9).expect("sealed");
        assert_ne!(packet[12..60], [7; 48]);
        assert!(theirs.open(&mut packet.clone(), 12, 9).is_none(), "another rollover counter");
        assert_eq!(theirs.open(&mut packet, 12, 1 << 16 | 9).expect("opened"), [7; 48]);

        let mut own = keying.lane(false).expect("a lane");
        let theirs = again.lane(false).expect("a lane");
        for _ in 0..2 {
            let mut packet = vec![5; 24];
            own.seal_rtcp(&mut packet).expect("sealed");
            assert_eq!(theirs.open_rtcp(&mut packet).expect("opened"), [5; 24]);
        }
    }

    /// RFC 3711 B.3.
    #[test]
    fn keys_derive_as_the_rfc_says() {
        let key = hex("E1F97A0D3E018BE0D64FA32C06DE4139");
        let salt = hex("0EC675AD498AFEEBB6960B3AABE6");
        let mut out = [0; 16];
        derive(&key, &salt, 0, &mut out).expect("a key");
        assert_eq!(out.to_vec(), hex("C61E7A93744F39EE10734AFE3FF7A087"));
        derive(&key, &salt, 2, &mut out).expect("a salt");
        assert_eq!(out.get(..14).expect("14 bytes"), hex("30CBBC08863D8C85D49DB34A9AE1"));
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<char> = text.chars().collect();
        let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("hex");
        digits.chunks(2).map(byte).collect()
    }
}
