//! The outbound context.

use std::fmt;

use super::cipher::{Cipher, ENCRYPTED, RTCP_HEADER_BYTES};
#[cfg(debug_assertions)]
use super::window::Window;
use super::{Keying, Profile, Side, derive};

/// An RTP header without extensions, up to and including its SSRC.
const RTP_HEADER_BYTES_MIN: usize = 12;
/// 32 bits of rollover count and 16 of sequence number: a key protects no more packets per SSRC (RFC 3711 §9.2).
const INDEX_LIMIT: u64 = 1 << 48;

/// What a packet could not be protected for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtectError {
    /// Shorter than its header and the tag need.
    Short,
    /// The key has protected as many packets as it may; only a new handshake helps.
    Exhausted,
}

/// Protects what leaves over one transport.
pub struct Protect {
    profile: Profile,
    rtp: Cipher,
    rtcp: Cipher,
    /// Of the next SRTCP packet, whatever its SSRC; 31 bits.
    rtcp_index: u32,
    #[cfg(debug_assertions)]
    used: Vec<(u32, Window<16>)>,
}

impl Protect {
    /// The context with which `side` sends. `None` when the crypto library refuses the keys.
    pub fn new(keying: &Keying, side: Side) -> Option<Self> {
        Some(Self {
            profile: keying.profile(),
            rtp: Cipher::new(keying, side, derive::RTP)?,
            rtcp: Cipher::new(keying, side, derive::RTCP)?,
            rtcp_index: 0,
            #[cfg(debug_assertions)]
            used: Vec::new(),
        })
    }

    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// Bytes that an RTP packet grows by: 16 for AES-GCM, 10 for AES-CM.
    pub const fn rtp_overhead(&self) -> usize {
        self.profile.rtp_overhead()
    }

    /// Protects a packet in place: `header_bytes` of header with its extensions, the payload, and
    /// [`Self::rtp_overhead`] spare bytes that become the tag.
    ///
    /// `index` is the packet's extended sequence number: rollover count above the 16 bits that its header says. The
    /// caller counts it per SSRC and never uses one twice, not even to send the same packet again; debug builds panic
    /// when it does.
    ///
    /// # Errors
    /// [`ProtectError`]; the packet is then worthless.
    pub fn rtp(&mut self, packet: &mut [u8], header_bytes: usize, index: u64) -> Result<(), ProtectError> {
        if index >= INDEX_LIMIT {
            return Err(ProtectError::Exhausted);
        }
        let header: &[u8; RTP_HEADER_BYTES_MIN] =
            packet.get(..header_bytes).and_then(<[u8]>::first_chunk).ok_or(ProtectError::Short)?;
        let [_, _, high, low, _, _, _, _, a, b, c, d] = *header;
        debug_assert_eq!(u16::from_be_bytes([high, low]), index as u16, "the header names another packet");
        let ssrc = u32::from_be_bytes([a, b, c, d]);
        #[cfg(debug_assertions)]
        self.use_once(ssrc, index);
        self.rtp.seal_rtp(packet, header_bytes, ssrc, index).ok_or(ProtectError::Short)
    }

    /// Protects a plain compound packet and appends index and tag.
    ///
    /// # Errors
    /// [`ProtectError`]; the packet is then worthless.
    pub fn rtcp(&mut self, packet: &mut Vec<u8>) -> Result<(), ProtectError> {
        if self.rtcp_index >= ENCRYPTED {
            return Err(ProtectError::Exhausted);
        }
        let header: &[u8; RTCP_HEADER_BYTES] = packet.first_chunk().ok_or(ProtectError::Short)?;
        let [_, _, _, _, a, b, c, d] = *header;
        let index = self.rtcp_index;
        self.rtcp_index += 1;
        self.rtcp.seal_rtcp(packet, u32::from_be_bytes([a, b, c, d]), index).ok_or(ProtectError::Short)
    }

    /// With AES-GCM a repeated nonce reveals the authentication key, so it ends the program where tests can see it.
    #[cfg(debug_assertions)]
    fn use_once(&mut self, ssrc: u32, index: u64) {
        let known = self.used.iter_mut().find(|(known, _)| *known == ssrc);
        let Some((_, window)) = known else {
            self.used.push((ssrc, Window::new(index)));
            return;
        };
        assert!(!window.has(index), "index {index} is used a second time, or more than 1 024 packets late");
        window.note(index);
    }
}

impl fmt::Debug for Protect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Protect({})", self.profile.name())
    }
}

impl fmt::Display for ProtectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "the packet has no room for its header and tag",
            Self::Exhausted => "the key has protected as many packets as it may",
        })
    }
}

impl std::error::Error for ProtectError {}
