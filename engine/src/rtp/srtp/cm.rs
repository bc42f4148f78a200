//! AES in counter mode with HMAC-SHA1-80 (RFC 3711 §4.1.1 and §4.2): what a peer without AES-GCM gets.

use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroize;

use super::cipher::{ENCRYPTED, RTCP_HEADER_BYTES, mix, session_salt};
use super::derive::{Labels, derive};

pub(super) const SALT_BYTES: usize = 14;
pub(super) const TAG_BYTES: usize = 10;
const KEY_BYTES: usize = 16;
const AUTHENTICATION_KEY_BYTES: usize = 20;
const WORD_BYTES: usize = 4;

/// Session keys and salt of one direction for one kind of packet.
pub(super) struct Cm {
    key: EncryptingKey,
    authentication: hmac::Key,
    salt: [u8; SALT_BYTES],
}

impl Cm {
    pub(super) fn new(master: &[u8], salt: &[u8], labels: Labels) -> Option<Self> {
        let (mut key, mut authentication) = ([0; KEY_BYTES], [0; AUTHENTICATION_KEY_BYTES]);
        derive(master, salt, labels.encryption, &mut key)?;
        derive(master, salt, labels.authentication, &mut authentication)?;
        let made = Self::from_session(&key, &authentication, session_salt(master, salt, labels)?);
        key.zeroize();
        authentication.zeroize();
        made
    }

    pub(super) fn from_session(
        key: &[u8; KEY_BYTES],
        authentication: &[u8; AUTHENTICATION_KEY_BYTES],
        salt: [u8; SALT_BYTES],
    ) -> Option<Self> {
        Some(Self {
            key: EncryptingKey::ctr(UnboundCipherKey::new(&AES_128, key).ok()?).ok()?,
            authentication: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, authentication),
            salt,
        })
    }

    pub(super) fn seal_rtp(&self, packet: &mut [u8], header_bytes: usize, ssrc: u32, index: u64) -> Option<()> {
        let (packet, tag) = packet.split_at_mut_checked(packet.len().checked_sub(TAG_BYTES)?)?;
        self.apply(packet.get_mut(header_bytes..)?, ssrc, index)?;
        tag.copy_from_slice(self.tag(&[packet, &rollovers(index)]).as_ref().get(..TAG_BYTES)?);
        Some(())
    }

    pub(super) fn open_rtp(&self, packet: &mut [u8], header_bytes: usize, ssrc: u32, index: u64) -> Option<usize> {
        let (packet, tag) = packet.split_at_mut_checked(packet.len().checked_sub(TAG_BYTES)?)?;
        self.verify(&[packet, &rollovers(index)], tag)?;
        self.apply(packet.get_mut(header_bytes..)?, ssrc, index)?;
        Some(packet.len())
    }

    /// RFC 3711 §3.4: header, ciphertext, index word, tag.
    pub(super) fn seal_rtcp(&self, packet: &mut Vec<u8>, ssrc: u32, index: u32) -> Option<()> {
        self.apply(packet.get_mut(RTCP_HEADER_BYTES..)?, ssrc, u64::from(index))?;
        packet.extend_from_slice(&(index | ENCRYPTED).to_be_bytes());
        let tag = self.tag(&[packet]);
        packet.extend_from_slice(tag.as_ref().get(..TAG_BYTES)?);
        Some(())
    }

    pub(super) fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, word: u32) -> Option<usize> {
        let (packet, tag) = packet.split_at_mut_checked(packet.len().checked_sub(TAG_BYTES)?)?;
        self.verify(&[packet], tag)?;
        let plain = packet.len().checked_sub(WORD_BYTES)?;
        let body = packet.get_mut(RTCP_HEADER_BYTES..plain)?;
        if word & ENCRYPTED != 0 {
            self.apply(body, ssrc, u64::from(word & !ENCRYPTED))?;
        }
        Some(plain)
    }

    /// Encrypts or decrypts: the key stream is the same.
    fn apply(&self, bytes: &mut [u8], ssrc: u32, index: u64) -> Option<()> {
        let mut counter = [0; 16];
        counter.first_chunk_mut::<SALT_BYTES>()?.copy_from_slice(&mix(self.salt, ssrc, index));
        self.key.less_safe_encrypt(bytes, EncryptionContext::Iv128(FixedLength::from(counter))).ok()?;
        Some(())
    }

    fn verify(&self, parts: &[&[u8]], tag: &[u8]) -> Option<()> {
        verify_slices_are_equal(self.tag(parts).as_ref().get(..TAG_BYTES)?, tag).ok()
    }

    fn tag(&self, parts: &[&[u8]]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.authentication);
        for part in parts {
            context.update(part);
        }
        context.sign()
    }
}

/// The rollover counter, which is authenticated but not sent (RFC 3711 §4.2).
const fn rollovers(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}
