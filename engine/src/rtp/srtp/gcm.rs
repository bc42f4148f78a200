//! AES-GCM for SRTP and SRTCP (RFC 7714): the tag authenticates the header and encrypts the payload at once.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroize;

use super::cipher::{ENCRYPTED, RTCP_HEADER_BYTES, mix, session_salt};
use super::derive::{Labels, derive};

pub(super) const SALT_BYTES: usize = NONCE_LEN;
pub(super) const TAG_BYTES: usize = 16;
const WORD_BYTES: usize = 4;

/// Session key and salt of one direction for one kind of packet.
pub(super) struct Gcm {
    key: LessSafeKey,
    salt: [u8; SALT_BYTES],
}

impl Gcm {
    pub(super) fn new(master: &[u8], salt: &[u8], labels: Labels) -> Option<Self> {
        let algorithm = match master.len() {
            16 => &AES_128_GCM,
            32 => &AES_256_GCM,
            _ => return None,
        };
        let mut session = [0; 32];
        let key = session.get_mut(..master.len())?;
        derive(master, salt, labels.encryption, key)?;
        let made = Self::from_session(algorithm, key, session_salt(master, salt, labels)?);
        session.zeroize();
        made
    }

    pub(super) fn from_session(algorithm: &'static Algorithm, key: &[u8], salt: [u8; SALT_BYTES]) -> Option<Self> {
        Some(Self { key: LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?), salt })
    }

    pub(super) fn seal_rtp(&self, packet: &mut [u8], header_bytes: usize, ssrc: u32, index: u64) -> Option<()> {
        let (header, body) = packet.split_at_mut_checked(header_bytes)?;
        let (payload, tag) = body.split_at_mut_checked(body.len().checked_sub(TAG_BYTES)?)?;
        self.key.seal_in_place_scatter(self.nonce(ssrc, index), Aad::from(header), payload, &[], tag).ok()
    }

    pub(super) fn open_rtp(&self, packet: &mut [u8], header_bytes: usize, ssrc: u32, index: u64) -> Option<usize> {
        let end = packet.len().checked_sub(TAG_BYTES)?;
        let (header, body) = packet.split_at_mut_checked(header_bytes)?;
        let (payload, tag) = body.split_at_mut_checked(end.checked_sub(header_bytes)?)?;
        self.key.open_in_place_separate_tag(self.nonce(ssrc, index), Aad::from(header), tag, payload).ok()?;
        Some(end)
    }

    /// RFC 7714 §9.2: header, ciphertext, tag, index word; the word is authenticated as if it followed the header.
    pub(super) fn seal_rtcp(&self, packet: &mut Vec<u8>, ssrc: u32, index: u32) -> Option<()> {
        let word = (index | ENCRYPTED).to_be_bytes();
        let plain = packet.len();
        packet.resize(plain + TAG_BYTES, 0);
        let (header, body) = packet.split_at_mut_checked(RTCP_HEADER_BYTES)?;
        let aad = associated(header, word)?;
        let (payload, tag) = body.split_at_mut_checked(plain.checked_sub(RTCP_HEADER_BYTES)?)?;
        let nonce = self.nonce(ssrc, u64::from(index));
        self.key.seal_in_place_scatter(nonce, Aad::from(aad), payload, &[], tag).ok()?;
        packet.extend_from_slice(&word);
        Some(())
    }

    pub(super) fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, word: u32) -> Option<usize> {
        let plain = packet.len().checked_sub(TAG_BYTES + WORD_BYTES)?;
        let nonce = self.nonce(ssrc, u64::from(word & !ENCRYPTED));
        if word & ENCRYPTED == 0 {
            // RFC 7714 §9.3: all is associated data, the word right after the packet; so it takes the tag's place.
            let tag: [u8; TAG_BYTES] = *packet.get(plain..)?.first_chunk()?;
            packet.get_mut(plain..)?.first_chunk_mut::<WORD_BYTES>()?.copy_from_slice(&word.to_be_bytes());
            let aad = Aad::from(packet.get(..plain + WORD_BYTES)?);
            self.key.open_in_place_separate_tag(nonce, aad, &tag, &mut []).ok()?;
            return Some(plain);
        }
        let (header, body) = packet.split_at_mut_checked(RTCP_HEADER_BYTES)?;
        let aad = associated(header, word.to_be_bytes())?;
        let (payload, rest) = body.split_at_mut_checked(plain.checked_sub(RTCP_HEADER_BYTES)?)?;
        let tag = rest.first_chunk::<TAG_BYTES>()?;
        self.key.open_in_place_separate_tag(nonce, Aad::from(aad), tag, payload).ok()?;
        Some(plain)
    }

    fn nonce(&self, ssrc: u32, index: u64) -> Nonce {
        Nonce::assume_unique_for_key(mix(self.salt, ssrc, index))
    }
}

fn associated(header: &[u8], word: [u8; WORD_BYTES]) -> Option<[u8; RTCP_HEADER_BYTES + WORD_BYTES]> {
    let mut aad = [0; RTCP_HEADER_BYTES + WORD_BYTES];
    aad.first_chunk_mut::<RTCP_HEADER_BYTES>()?.copy_from_slice(header.first_chunk::<RTCP_HEADER_BYTES>()?);
    aad.last_chunk_mut::<WORD_BYTES>()?.copy_from_slice(&word);
    Some(aad)
}
