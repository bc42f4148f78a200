//! SRTP and SRTCP: the keys of one transport, and the two contexts that protect what leaves and open what arrives.
//!
//! Invariants:
//! - A nonce is used once: the caller counts a 48-bit index per SSRC and never repeats one; debug builds check it.
//! - Nothing of an inbound context changes before a packet is authenticated: no window, no rollover count, no SSRC.
//! - Neither context allocates per packet, and no key is expanded per packet.
//!
//! It leaves to [`crate::peer`] how keys are agreed, and to the receiving side which SSRCs are welcome.
//! RFCs: 3711 (SRTP, AES-CM, key derivation), 7714 (AES-GCM), 5764 §4.2 (keys from DTLS).

mod cipher;
mod cm;
mod derive;
mod gcm;
mod protect;
#[cfg(test)]
mod tests;
mod unprotect;
mod window;

use std::fmt;

use zeroize::Zeroize;

pub use protect::{Protect, ProtectError};
pub use unprotect::{Opened, Unprotect};

/// Keys and salts of both sides in the longest profile: AES-256-GCM, 2 × 32 + 2 × 12 bytes.
const MATERIAL_BYTES_MAX: usize = 88;

/// How packets are protected (RFC 5764 §4.1.2, RFC 7714 §14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    Aes128Gcm,
    Aes256Gcm,
    /// For peers without AES-GCM.
    Aes128CmSha1_80,
}

/// Whose keys: those with which the DTLS client writes, or the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// What a DTLS handshake yields for SRTP: master keys and salts of both sides. Wiped when dropped.
pub struct Keying {
    profile: Profile,
    material: [u8; MATERIAL_BYTES_MAX],
}

impl Profile {
    /// IANA's name without its prefix, as logs and metrics show it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "AEAD_AES_128_GCM",
            Self::Aes256Gcm => "AEAD_AES_256_GCM",
            Self::Aes128CmSha1_80 => "AES_128_CM_HMAC_SHA1_80",
        }
    }

    /// Bytes that protection adds to an RTP packet: its tag.
    pub const fn rtp_overhead(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm => gcm::TAG_BYTES,
            Self::Aes128CmSha1_80 => cm::TAG_BYTES,
        }
    }

    /// Bytes of keying material that the DTLS exporter yields for it.
    pub const fn material_bytes(self) -> usize {
        2 * (self.key_bytes() + self.salt_bytes())
    }

    const fn key_bytes(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes128CmSha1_80 => 16,
            Self::Aes256Gcm => 32,
        }
    }

    const fn salt_bytes(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes256Gcm => gcm::SALT_BYTES,
            Self::Aes128CmSha1_80 => cm::SALT_BYTES,
        }
    }
}

impl Keying {
    /// `material` is what the exporter of RFC 5764 §4.2 yields: client key, server key, client salt, server salt.
    /// `None` when its length is not the profile's.
    pub fn new(profile: Profile, material: &[u8]) -> Option<Self> {
        if material.len() != profile.material_bytes() {
            return None;
        }
        let mut keying = Self { profile, material: [0; MATERIAL_BYTES_MAX] };
        keying.material.get_mut(..material.len())?.copy_from_slice(material);
        Some(keying)
    }

    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// What the same handshake would have yielded for a profile with less material.
    #[cfg(test)]
    pub(crate) fn cut(&self, profile: Profile) -> Option<Self> {
        let length = profile.material_bytes();
        Self::new(profile, self.material.get(..length.min(self.profile.material_bytes()))?)
    }

    /// The master key and the master salt with which a side writes.
    fn master(&self, side: Side) -> Option<(&[u8], &[u8])> {
        let (key_bytes, salt_bytes) = (self.profile.key_bytes(), self.profile.salt_bytes());
        let (keys, rest) = self.material.split_at_checked(2 * key_bytes)?;
        let (client_key, server_key) = keys.split_at_checked(key_bytes)?;
        let (client_salt, rest) = rest.split_at_checked(salt_bytes)?;
        match side {
            Side::Client => Some((client_key, client_salt)),
            Side::Server => Some((server_key, rest.get(..salt_bytes)?)),
        }
    }
}

impl Drop for Keying {
    fn drop(&mut self) {
        self.material.zeroize();
    }
}

impl fmt::Debug for Keying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keying({})", self.profile.name())
    }
}
