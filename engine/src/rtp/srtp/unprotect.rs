//! The inbound context: rollover estimates, replay windows, authentication.

use std::fmt;
use std::ops::Range;

use fanlight_wire::limits::{SSRC_MAX, SSRC_RETIRED_MAX};

use super::cipher::{Cipher, ENCRYPTED, RTCP_HEADER_BYTES};
use super::window::Window;
use super::{Keying, Profile, Side, derive};
use crate::rtp::header::Header;

/// 256 packets: a burst of a key frame may be overtaken by what follows it, and repairs have an SSRC of their own.
type RtpWindow = Window<4>;
type RtcpWindow = Window<1>;

/// 32 bits of rollover count and 16 of sequence number.
const INDEX_LIMIT: u64 = 1 << 48;

/// A packet that was authenticated and decrypted in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The extended sequence number: rollover count above the header's 16 bits.
    pub index: u64,
    /// Where in the packet the payload is, without padding; empty for padding alone.
    pub payload: Range<usize>,
}

/// Opens what arrives over one transport.
pub struct Unprotect {
    profile: Profile,
    rtp: Cipher,
    rtcp: Cipher,
    /// At most [`SSRC_MAX`] senders of media; few, so looking through them beats hashing.
    streams: Vec<Stream>,
    /// Senders that gave way to others. Their rollover counts are forgotten, so they are never believed again.
    retired: Vec<u32>,
    /// Packets of media that were opened.
    opened: u64,
    /// The last [`SSRC_MAX`] senders of RTCP, who spoke last at the end: the index counts per SSRC (RFC 3711 §3.2.1).
    reporters: Vec<(u32, RtcpWindow)>,
}

struct Stream {
    ssrc: u32,
    window: RtpWindow,
    /// When it was heard last, in opened packets.
    heard: u64,
}

impl Unprotect {
    /// The context for what `side` sends. `None` when the crypto library refuses the keys.
    pub fn new(keying: &Keying, side: Side) -> Option<Self> {
        Some(Self {
            profile: keying.profile(),
            rtp: Cipher::new(keying, side, derive::RTP)?,
            rtcp: Cipher::new(keying, side, derive::RTCP)?,
            streams: Vec::new(),
            retired: Vec::new(),
            opened: 0,
            reporters: Vec::new(),
        })
    }

    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// Authenticates and decrypts an SRTP packet in place. `None` for a replay, a forgery, a sender that has given way to
    /// another, or padding that contradicts itself; the packet is then worthless, and unless it was authentic nothing has
    /// changed here.
    pub fn rtp(&mut self, packet: &mut [u8], header: &Header) -> Option<Opened> {
        let room = self.streams.len() < SSRC_MAX || self.retired.len() < SSRC_RETIRED_MAX;
        let known = self.streams.iter_mut().find(|stream| stream.ssrc == header.ssrc);
        let index = match &known {
            Some(Stream { window, .. }) => {
                estimate(window.top(), header.sequence).filter(|index| !window.has(*index))?
            }
            // RFC 3711 §3.3.1: the rollover count of a sender begins at zero.
            None if room && !self.retired.contains(&header.ssrc) => u64::from(header.sequence),
            None => return None,
        };
        let end = self.rtp.open_rtp(packet, header.bytes, header.ssrc, index)?;
        self.opened += 1;
        match known {
            Some(stream) => {
                stream.window.note(index);
                stream.heard = self.opened;
            }
            None => self.introduce(header.ssrc, index),
        }
        let padding = if header.padded { usize::from(*packet.get(header.bytes..end)?.last()?) } else { 0 };
        if header.padded && padding == 0 {
            return None;
        }
        let end = end.checked_sub(padding).filter(|end| *end >= header.bytes)?;
        Some(Opened { index, payload: header.bytes..end })
    }

    /// Only who has the keys comes here; of those, who has been silent longest gives way, so that an encoder that is made
    /// anew again and again is heard.
    fn introduce(&mut self, ssrc: u32, index: u64) {
        if self.streams.len() >= SSRC_MAX
            && let Some(silent) =
                (0..self.streams.len()).min_by_key(|place| self.streams.get(*place).map(|stream| stream.heard))
        {
            self.retired.push(self.streams.swap_remove(silent).ssrc);
        }
        self.streams.push(Stream { ssrc, window: Window::new(index), heard: self.opened });
    }

    /// Authenticates and decrypts an SRTCP packet in place; the length of the plain compound packet at the front.
    /// `None` for a replay or a forgery.
    pub fn rtcp(&mut self, packet: &mut [u8]) -> Option<usize> {
        let header: &[u8; RTCP_HEADER_BYTES] = packet.first_chunk()?;
        let [_, _, _, _, a, b, c, d] = *header;
        let sender = u32::from_be_bytes([a, b, c, d]);
        let word = self.rtcp.rtcp_word(packet)?;
        let index = u64::from(word & !ENCRYPTED);
        let known = self.reporters.iter().position(|(ssrc, _)| *ssrc == sender);
        let of_sender = known.and_then(|place| self.reporters.get(place));
        if of_sender.is_some_and(|(_, window)| window.has(index)) {
            return None;
        }
        let plain = self.rtcp.open_rtcp(packet, sender, word)?;
        let window = match known.map(|place| self.reporters.remove(place)) {
            Some((_, mut window)) => {
                window.note(index);
                window
            }
            None => Window::new(index),
        };
        // Only who has the keys comes here; of those, who has been silent longest gives way.
        if self.reporters.len() >= SSRC_MAX {
            self.reporters.remove(0);
        }
        self.reporters.push((sender, window));
        Some(plain)
    }

    /// Forgets senders of media that are no longer wanted, once half the room is taken: one that comes back soon has
    /// its rollover count still. A forgotten sender's old packets would be taken for new ones: what is not `wanted` must
    /// be turned away before it comes here.
    pub fn retain(&mut self, wanted: impl Fn(u32) -> bool) {
        if self.streams.len() >= SSRC_MAX / 2 {
            self.streams.retain(|stream| wanted(stream.ssrc));
        }
    }
}

impl fmt::Debug for Unprotect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unprotect({}, {} senders)", self.profile.name(), self.streams.len())
    }
}

/// The index closest to the newest that ends in `sequence` (RFC 3711 §3.3.1). `None` before the first and after the
/// last.
fn estimate(top: u64, sequence: u16) -> Option<u64> {
    let ahead = sequence.wrapping_sub(top as u16).cast_signed();
    top.checked_add_signed(i64::from(ahead)).filter(|index| *index < INDEX_LIMIT)
}
