//! One direction's transform for one kind of packet, whatever the profile.

use super::derive::{self, Labels};
use super::{Keying, Profile, Side, cm, gcm};

/// Set in the word after an SRTCP packet when its body is encrypted (RFC 3711 §3.4).
pub(super) const ENCRYPTED: u32 = 1 << 31;
/// What every RTCP packet shows in the clear: its first header word and the sender's SSRC.
pub(super) const RTCP_HEADER_BYTES: usize = 8;

/// The session keys of one direction for RTP or for RTCP.
pub(super) enum Cipher {
    Gcm(Box<gcm::Gcm>),
    Cm(Box<cm::Cm>),
}

impl Cipher {
    /// The transform with which `side` protects the packets that `labels` stand for.
    pub(super) fn new(keying: &Keying, side: Side, labels: Labels) -> Option<Self> {
        let (key, salt) = keying.master(side)?;
        match keying.profile {
            Profile::Aes128Gcm | Profile::Aes256Gcm => {
                gcm::Gcm::new(key, salt, labels).map(|gcm| Self::Gcm(Box::new(gcm)))
            }
            Profile::Aes128CmSha1_80 => cm::Cm::new(key, salt, labels).map(|cm| Self::Cm(Box::new(cm))),
        }
    }

    /// Protects `header | payload | spare bytes for the tag` in place.
    pub(super) fn seal_rtp(&self, packet: &mut [u8], header_bytes: usize, ssrc: u32, index: u64) -> Option<()> {
        match self {
            Self::Gcm(gcm) => gcm.seal_rtp(packet, header_bytes, ssrc, index),
            Self::Cm(cm) => cm.seal_rtp(packet, header_bytes, ssrc, index),
        }
    }

    /// Authenticates and decrypts in place; where the payload ends. After `None` the payload is worthless.
    pub(super) fn open_rtp(&self, packet: &mut [u8], header_bytes: usize, ssrc: u32, index: u64) -> Option<usize> {
        match self {
            Self::Gcm(gcm) => gcm.open_rtp(packet, header_bytes, ssrc, index),
            Self::Cm(cm) => cm.open_rtp(packet, header_bytes, ssrc, index),
        }
    }

    /// Encrypts what follows the first [`RTCP_HEADER_BYTES`] and appends index word and tag in the profile's order.
    pub(super) fn seal_rtcp(&self, packet: &mut Vec<u8>, ssrc: u32, index: u32) -> Option<()> {
        match self {
            Self::Gcm(gcm) => gcm.seal_rtcp(packet, ssrc, index),
            Self::Cm(cm) => cm.seal_rtcp(packet, ssrc, index),
        }
    }

    /// Authenticates and decrypts in place; the length of the plain packet at the front.
    pub(super) fn open_rtcp(&self, packet: &mut [u8], ssrc: u32, word: u32) -> Option<usize> {
        match self {
            Self::Gcm(gcm) => gcm.open_rtcp(packet, ssrc, word),
            Self::Cm(cm) => cm.open_rtcp(packet, ssrc, word),
        }
    }

    /// The word with the index and [`ENCRYPTED`], before anything is authenticated.
    pub(super) fn rtcp_word(&self, packet: &[u8]) -> Option<u32> {
        let after = match self {
            Self::Gcm(_) => 0,
            Self::Cm(_) => cm::TAG_BYTES,
        };
        let end = packet.len().checked_sub(after)?;
        packet.get(..end)?.last_chunk().map(|word| u32::from_be_bytes(*word))
    }
}

/// A session salt combined with what makes a packet unique: SSRC, then a 48-bit index (RFC 3711 §4.1.1, RFC 7714 §8.1
/// and §9.1). Both profiles place them in the last ten bytes before the block counter.
pub(super) fn mix<const BYTES: usize>(salt: [u8; BYTES], ssrc: u32, index: u64) -> [u8; BYTES] {
    let unique = u128::from(ssrc) << 48 | u128::from(index & ((1 << 48) - 1));
    let mut mixed = salt;
    for (byte, unique) in mixed.iter_mut().rev().zip(unique.to_le_bytes()) {
        *byte ^= unique;
    }
    mixed
}

/// The session key and salt that `labels` stand for.
pub(super) fn session_salt<const BYTES: usize>(key: &[u8], salt: &[u8], labels: Labels) -> Option<[u8; BYTES]> {
    let mut session = [0; BYTES];
    derive::derive(key, salt, labels.salt, &mut session)?;
    Some(session)
}
