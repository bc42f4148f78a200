//! The header extensions that are spoken, and what each transport calls them.
//!
//! Invariant: within one [`ExtensionMap`] an identifier means one extension at most. What is not named here (for
//! example the video layers allocation, which describes a publisher's hop) is not negotiated and not forwarded.

use std::time::Duration;

/// A header extension of RTP packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Extension {
    /// The media section that a packet belongs to (RFC 9143 §15).
    Mid,
    /// The layer of a simulcast source (RFC 8852 §3.1).
    Rid,
    /// The layer that a retransmission repairs (RFC 8852 §3.2).
    RepairedRid,
    /// When the packet left, in 6.18 fixed-point seconds.
    AbsoluteSendTime,
    /// The number by which transport-wide feedback names a packet.
    TransportSequence,
    /// RFC 6464.
    AudioLevel,
    /// 3GPP TS 26.114 §7.4.5.
    VideoOrientation,
    /// How long a receiver may hold frames back.
    PlayoutDelay,
    /// Which layers a packet belongs to and what it depends on (AV1 RTP specification, appendix A).
    DependencyDescriptor,
    ColorSpace,
}

impl Extension {
    pub const ALL: [Self; 10] = [
        Self::Mid,
        Self::Rid,
        Self::RepairedRid,
        Self::AbsoluteSendTime,
        Self::TransportSequence,
        Self::AudioLevel,
        Self::VideoOrientation,
        Self::PlayoutDelay,
        Self::DependencyDescriptor,
        Self::ColorSpace,
    ];

    /// How `a=extmap` names it.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            Self::Rid => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            Self::RepairedRid => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            Self::AbsoluteSendTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            Self::TransportSequence => "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
            Self::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            Self::VideoOrientation => "urn:3gpp:video-orientation",
            Self::PlayoutDelay => "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
            Self::DependencyDescriptor => {
                "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension"
            }
            Self::ColorSpace => "http://www.webrtc.org/experiments/rtp-hdrext/color-space",
        }
    }

    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|extension| extension.uri() == uri)
    }

    /// Does it describe the media, so that it goes with a packet to every subscriber? The others belong to one hop.
    pub const fn is_carried(self) -> bool {
        match self {
            Self::AudioLevel
            | Self::VideoOrientation
            | Self::PlayoutDelay
            | Self::DependencyDescriptor
            | Self::ColorSpace => true,
            Self::Mid | Self::Rid | Self::RepairedRid | Self::AbsoluteSendTime | Self::TransportSequence => false,
        }
    }
}

/// The identifiers of one transport (1–255; 0 stands for "not agreed").
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ExtensionMap {
    ids: [u8; Extension::ALL.len()],
}

impl ExtensionMap {
    /// Agrees on an identifier. Whatever had it before loses it; 0 takes the extension away.
    pub fn insert(&mut self, id: u8, extension: Extension) {
        self.ids.iter_mut().filter(|known| **known == id).for_each(|known| *known = 0);
        if let Some(known) = self.ids.get_mut(extension as usize) {
            *known = id;
        }
    }

    /// What an identifier means here.
    pub fn extension(&self, id: u8) -> Option<Extension> {
        let at = self.ids.iter().position(|known| *known == id && id != 0)?;
        Extension::ALL.get(at).copied()
    }

    /// What an extension is called here.
    pub fn id(&self, extension: Extension) -> Option<u8> {
        self.ids.get(extension as usize).copied().filter(|id| *id != 0)
    }
}

/// Bytes of [`Extension::AbsoluteSendTime`].
pub const ABSOLUTE_SEND_TIME_BYTES: usize = 3;

/// The value of [`Extension::AbsoluteSendTime`] at a time since any fixed moment; wraps every 64 s.
pub const fn absolute_send_time(elapsed: Duration) -> [u8; ABSOLUTE_SEND_TIME_BYTES] {
    let fraction = ((elapsed.subsec_nanos() as u64) << 18) / 1_000_000_000;
    let [.., high, middle, low] = (((elapsed.as_secs() & 63) << 18) | fraction).to_be_bytes();
    [high, middle, low]
}
