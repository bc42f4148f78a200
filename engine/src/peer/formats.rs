//! What is negotiated: codecs, their parameters and payload types, and the header extensions.

use str0m::config::{DtlsCert, DtlsVersion};
use str0m::format::{Codec as Named, PayloadParams};
use str0m::media::{Media, Mid, Pt};
use str0m::rtp::{Extension as Announced, ExtensionMap as Announcements, ExtensionSerializer, ExtensionValues};
use str0m::{IceCreds, Rtc, RtcConfig};

use super::{Section, keying};
use crate::codec::Codec;
use crate::rtp::header::{Extension, ExtensionMap};

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
pub struct PayloadType {
    pub main: u8,
    /// Of its retransmissions (RFC 4588), if they were agreed on.
    pub rtx: Option<u8>,
}

/// What a received payload type stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    Media(Format),
    /// Retransmissions of this format.
    Repair(Format),
}

impl Meaning {
    pub(crate) const fn is_video(self) -> bool {
        let (Self::Media(format) | Self::Repair(format)) = self;
        format.codec.is_video()
    }
}

/// The formats of one transport.
#[derive(Debug, Default)]
pub(crate) struct Formats {
    named: Vec<(PayloadType, Format)>,
    sends: Vec<(Mid, Vec<Pt>)>,
}

/// The highest identifier that the stack negotiates.
const EXTENSION_ID_MAX: u8 = 16;
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
        .set_crypto_provider(keying::provider())
        .set_local_ice_credentials(credentials)
        .set_dtls_cert(certificate)
        .set_extension_map(announcements())
        .clear_codecs()
        .enable_opus(true, true)
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

impl Formats {
    pub(super) fn read(rtc: &Rtc, sections: &[Section]) -> Self {
        let params = rtc.codec_config().params();
        let mut named = Vec::new();
        for (p, format) in params.iter().filter_map(|p| Format::read(p).map(|format| (p, format))) {
            named.push((PayloadType { main: *p.pt(), rtx: p.resend().map(|rtx| *rtx) }, format));
            // RFC 2198: redundancy is a payload type of its own beside the codec's.
            named.extend(p.red().map(|red| {
                (PayloadType { main: *red, rtx: None }, Format { codec: Codec::Red, profile: 0, packetization: 0 })
            }));
        }
        let agreed = |section: &Section| {
            let mut agreed = rtc.media(section.mid)?.remote_pts().to_vec();
            let reds = params.iter().filter(|p| agreed.contains(&p.pt())).filter_map(PayloadParams::red);
            let reds: Vec<Pt> = reds.collect();
            agreed.extend(reds);
            Some((section.mid, agreed))
        };
        Self { named, sends: sections.iter().filter(|s| s.sends).filter_map(agreed).collect() }
    }

    pub(super) fn meaning(&self, payload_type: u8) -> Option<Meaning> {
        self.named.iter().find_map(|(known, format)| match known {
            known if known.main == payload_type => Some(Meaning::Media(*format)),
            known if known.rtx == Some(payload_type) => Some(Meaning::Repair(*format)),
            _ => None,
        })
    }

    pub(crate) fn payload_type(&self, mid: Mid, sent: Format) -> Option<PayloadType> {
        let (_, agreed) = self.sends.iter().find(|(section, _)| *section == mid)?;
        let exact = |(_, format): &&(PayloadType, Format)| *format == sent;
        let able = |(_, format): &&(PayloadType, Format)| format.decodes(sent);
        let offered = || self.named.iter().filter(|(known, _)| agreed.contains(&Pt::from(known.main)));
        offered().find(exact).or_else(|| offered().find(able)).map(|(payload_type, _)| *payload_type)
    }
}

/// The identifiers that a section's extensions have on this transport.
pub(super) fn extensions(media: &Media) -> ExtensionMap {
    let mut map = ExtensionMap::default();
    for id in 1..=EXTENSION_ID_MAX {
        let announced = media.remote_extmap().lookup(id);
        if let Some(extension) = announced.and_then(|announced| Extension::from_uri(announced.as_uri())) {
            map.insert(id, extension);
        }
    }
    map
}

/// What an answer may agree to; the offer decides on the identifiers.
fn announcements() -> Announcements {
    let mut map = Announcements::standard();
    map.set(6, Announced::PlayoutDelay);
    map.set(7, Announced::ColorSpace);
    map.set(8, Announced::with_serializer(Extension::DependencyDescriptor.uri(), Opaque));
    map
}

/// An extension that the stack only has to negotiate: it is read and written by us.
#[derive(Debug)]
struct Opaque;

impl ExtensionSerializer for Opaque {
    fn write_to(&self, _buffer: &mut [u8], _values: &ExtensionValues) -> usize {
        0
    }

    fn parse_value(&self, _buffer: &[u8], _values: &mut ExtensionValues) -> bool {
        false
    }

    fn is_video(&self) -> bool {
        true
    }

    fn is_audio(&self) -> bool {
        false
    }
}
