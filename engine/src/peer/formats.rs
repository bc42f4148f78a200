//! What is negotiated: codecs, their parameters and payload types, and the header extensions that travel end to end.

use str0m::config::{DtlsCert, DtlsVersion};
use str0m::format::{Codec as Named, PayloadParams};
use str0m::media::{Mid, Pt};
use str0m::rtp::{ExtensionValues, VideoOrientation};
use str0m::{IceCreds, Rtc, RtcConfig};

use super::{Section, srtp};
use crate::codec::Codec;

/// A codec with the parameters that a decoder must share with the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Format {
    pub codec: Codec,
    /// H.264: profile and constraints; VP9: profile; else 0.
    pub profile: u16,
    /// H.264's packetization mode; else 0.
    pub packetization: u8,
}

/// How a format is called on one transport (RFC 3551 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PayloadType(u8);

/// The header extensions that are forwarded; all others belong to one hop.
#[derive(Debug, Default, Clone, Copy)]
pub struct Carried {
    level: Option<i8>,
    voice: Option<bool>,
    rotation: Option<VideoOrientation>,
}

/// The formats of one transport.
#[derive(Debug, Default)]
pub(super) struct Formats {
    named: Vec<(Pt, Format)>,
    sends: Vec<(Mid, Vec<Pt>)>,
}

/// H.264 constraint bits that only say "this also decodes as a smaller profile".
const CONSTRAINED_BASELINE: u16 = 0x42e0;
const BASELINE: u16 = 0x4200;

/// RTP mode; only what the product carries. Receivers of our video may ask for repair; senders get transport-wide
/// feedback, by which a browser adapts its rate to the path towards us.
pub(super) fn configure(credentials: IceCreds, certificate: DtlsCert) -> RtcConfig {
    // (payload type, its RTX, profile-level-id), all in packetization mode 1.
    const H264: [(u8, u8, u32); 5] = [
        (108, 109, 0x0042_e01f),
        (127, 121, 0x0042_001f),
        (123, 119, 0x004d_001f),
        (112, 113, 0x0064_0c1f),
        (114, 115, 0x0064_001f),
    ];
    let mut config = RtcConfig::new()
        .set_rtp_mode(true)
        .set_dtls_version(DtlsVersion::Dtls12)
        .set_crypto_provider(srtp::provider())
        .set_local_ice_credentials(credentials)
        .set_dtls_cert(certificate)
        .clear_codecs()
        .enable_opus(true, false)
        .enable_vp8(true)
        .enable_vp9(true)
        .enable_av1(true);
    for (main, rtx, profile_level) in H264 {
        config.codec_config().add_h264(main.into(), Some(rtx.into()), true, profile_level);
    }
    config
}

impl Format {
    fn read(params: &PayloadParams) -> Option<Self> {
        let spec = params.spec();
        let (codec, profile) = match spec.codec {
            Named::Opus => (Codec::Opus, 0),
            Named::Vp8 => (Codec::Vp8, 0),
            Named::Vp9 => (Codec::Vp9, spec.format.profile_id.unwrap_or(0)),
            Named::Av1 => (Codec::Av1, 0),
            // RFC 6184 §8.1: the last byte is a level, which may differ between the ends.
            Named::H264 => (Codec::H264, spec.format.profile_level_id.unwrap_or(0x0042_001f) >> 8),
            _ => return None,
        };
        let packetization = spec.format.packetization_mode.unwrap_or(0);
        Some(Self { codec, profile: u16::try_from(profile).unwrap_or(u16::MAX), packetization })
    }

    /// Can a receiver of `self` decode `sent`?
    fn decodes(self, sent: Self) -> bool {
        let smaller = sent.profile == CONSTRAINED_BASELINE && self.profile == BASELINE;
        self == sent || (smaller && self.codec == sent.codec && self.packetization == sent.packetization)
    }
}

impl PayloadType {
    #[cfg(test)]
    pub(crate) const fn test(value: u8) -> Self {
        Self(value)
    }

    pub(super) fn to_str0m(self) -> Pt {
        self.0.into()
    }
}

impl Carried {
    pub(super) const fn read(values: &ExtensionValues) -> Self {
        Self { level: values.audio_level, voice: values.voice_activity, rotation: values.video_orientation }
    }

    pub(super) fn to_str0m(self) -> ExtensionValues {
        ExtensionValues {
            audio_level: self.level,
            voice_activity: self.voice,
            video_orientation: self.rotation,
            ..Default::default()
        }
    }
}

impl Formats {
    pub(super) fn read(rtc: &Rtc, sections: &[Section]) -> Self {
        let params = rtc.codec_config().params();
        let named = params.iter().filter_map(|p| Format::read(p).map(|format| (p.pt(), format))).collect();
        let agreed = |section: &Section| rtc.media(section.mid).map(|media| (section.mid, media.remote_pts().to_vec()));
        Self { named, sends: sections.iter().filter(|s| s.sends).filter_map(agreed).collect() }
    }

    pub(super) fn named(&self, payload_type: Pt) -> Option<Format> {
        self.named.iter().find(|(pt, _)| *pt == payload_type).map(|(_, format)| *format)
    }

    pub(super) fn payload_type(&self, mid: Mid, sent: Format) -> Option<PayloadType> {
        let (_, agreed) = self.sends.iter().find(|(section, _)| *section == mid)?;
        let exact = |(_, format): &&(Pt, Format)| *format == sent;
        let able = |(_, format): &&(Pt, Format)| format.decodes(sent);
        let offered = || self.named.iter().filter(|(pt, _)| agreed.contains(pt));
        let found = offered().find(exact).or_else(|| offered().find(able))?;
        Some(PayloadType(*found.0))
    }
}
