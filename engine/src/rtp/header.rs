//! The RTP header, read and written in place (RFC 3550 §5.1, RFC 8285).
//!
//! Owns the fixed header, contributing sources (skipped) and both forms of header extensions; [`Extension`] and
//! [`ExtensionMap`] name the extensions. Invariant: reading is total over hostile bytes and [`Header::bytes`] never
//! exceeds the packet. Nothing here allocates. What an extension's value means and where padding ends is left to the
//! modules that have the plain text (padding is encrypted with the payload, RFC 3711 §3.1).

mod extension;
#[cfg(test)]
mod tests;

pub use extension::{ABSOLUTE_SEND_TIME_BYTES, Extension, ExtensionMap, absolute_send_time};

use super::read::{u16_at, u32_at};

/// The header without contributing sources and extensions.
pub const FIXED_BYTES: usize = 12;
/// RFC 8285 §4.2.
const ONE_BYTE_FORM: u16 = 0xbede;
/// RFC 8285 §4.3: the low four bits are free.
const TWO_BYTE_FORM: u16 = 0x1000;
/// RFC 5761 §4: packet types of RTCP are told from payload types by this range of the second byte.
const RTCP_TYPES: std::ops::RangeInclusive<u8> = 192..=223;

/// What a packet's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// 0–127.
    pub payload_type: u8,
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// The whole header with contributing sources and extensions; the payload begins here.
    pub bytes: usize,
    /// The payload ends with padding, whose last byte is its length.
    pub padded: bool,
    form: Form,
    /// Where the extensions begin; they end where the payload begins.
    extensions_at: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// No extensions, or of a form that nobody here knows.
    None,
    OneByte,
    TwoByte,
}

impl Header {
    /// `None` when `packet` is no RTP of version 2 or ends within its header.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let [flags, kind, ..] = *packet.first_chunk::<FIXED_BYTES>()?;
        if flags >> 6 != 2 {
            return None;
        }
        let sources_end = FIXED_BYTES + usize::from(flags & 0x0f) * 4;
        let (form, extensions_at, bytes) = if flags & 0x10 == 0 {
            (Form::None, sources_end, sources_end)
        } else {
            let at = sources_end + 4;
            let form = match u16_at(packet, sources_end)? {
                ONE_BYTE_FORM => Form::OneByte,
                profile if profile & 0xfff0 == TWO_BYTE_FORM => Form::TwoByte,
                _ => Form::None,
            };
            (form, at, at + usize::from(u16_at(packet, sources_end + 2)?) * 4)
        };
        Some(Self {
            payload_type: kind & 0x7f,
            marker: kind & 0x80 != 0,
            sequence: u16_at(packet, 2)?,
            timestamp: u32_at(packet, 4)?,
            ssrc: u32_at(packet, 8)?,
            bytes: (bytes <= packet.len()).then_some(bytes)?,
            padded: flags & 0x20 != 0,
            form,
            extensions_at: extensions_at as u16,
        })
    }

    /// The extensions of the packet this header was read from, in their order; reading ends at the first malformed one.
    pub fn extensions<'a>(&self, packet: &'a [u8]) -> impl Iterator<Item = (u8, &'a [u8])> + use<'a> {
        let rest = packet.get(usize::from(self.extensions_at)..self.bytes).unwrap_or_default();
        Extensions { form: self.form, rest }
    }
}

struct Extensions<'a> {
    form: Form,
    rest: &'a [u8],
}

impl<'a> Iterator for Extensions<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (id, length, rest) = loop {
            let (&first, rest) = self.rest.split_first()?;
            self.rest = rest;
            match (self.form, first) {
                (Form::None, _) => return None,
                // Padding between extensions.
                (_, 0) => {}
                (Form::OneByte, _) if first >> 4 == 15 => {
                    // RFC 8285 §4.2: identifier 15 ends the reading.
                    self.rest = &[];
                    return None;
                }
                (Form::OneByte, _) => break (first >> 4, usize::from(first & 0x0f) + 1, rest),
                (Form::TwoByte, id) => {
                    let (&length, rest) = rest.split_first()?;
                    break (id, usize::from(length), rest);
                }
            }
        };
        // Identifier 0 with a length is malformed padding of the one-byte form.
        let Some((value, rest)) = rest.split_at_checked(length).filter(|_| id != 0) else {
            self.rest = &[];
            return None;
        };
        self.rest = rest;
        Some((id, value))
    }
}

/// What [`write`] puts into the fixed header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields {
    /// 0–127; the highest bit is ignored.
    pub payload_type: u8,
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// The payload will end with padding.
    pub padded: bool,
}

/// Can this extension stand in the one-byte form? A transport whose far end did not agree to mixed forms
/// (`a=extmap-allow-mixed`, RFC 8285 §6) must not be sent one that cannot.
pub const fn fits_one_byte(id: u8, value: &[u8]) -> bool {
    matches!(id, 1..=14) && matches!(value.len(), 1..=16)
}

/// Writes a header at the front of `out` and returns its length; `None` when it does not fit or an extension is
/// impossible (identifier 0, more than 255 bytes).
///
/// `extensions` in ascending order of identifiers; the one-byte form is used while every one of them fits it.
pub fn write(out: &mut [u8], fields: &Fields, extensions: &[(u8, &[u8])]) -> Option<usize> {
    let flags = 0x80 | (u8::from(fields.padded) << 5) | (u8::from(!extensions.is_empty()) << 4);
    let kind = (u8::from(fields.marker) << 7) | (fields.payload_type & 0x7f);
    let (fixed, rest) = out.split_first_chunk_mut::<FIXED_BYTES>()?;
    let ([sequence_high, sequence_low], timestamp, ssrc) =
        (fields.sequence.to_be_bytes(), fields.timestamp.to_be_bytes(), fields.ssrc.to_be_bytes());
    let [t0, t1, t2, t3] = timestamp;
    let [s0, s1, s2, s3] = ssrc;
    *fixed = [flags, kind, sequence_high, sequence_low, t0, t1, t2, t3, s0, s1, s2, s3];
    if extensions.is_empty() {
        return Some(FIXED_BYTES);
    }
    let one_byte = extensions.iter().all(|(id, value)| fits_one_byte(*id, value));
    let (introduction, body) = rest.split_first_chunk_mut::<4>()?;
    let mut at = 0;
    for (id, value) in extensions {
        at += write_extension(body.get_mut(at..)?, one_byte, *id, value)?;
    }
    let padded = at.next_multiple_of(4);
    body.get_mut(at..padded)?.fill(0);
    let [form_high, form_low] = if one_byte { ONE_BYTE_FORM } else { TWO_BYTE_FORM }.to_be_bytes();
    let [words_high, words_low] = u16::try_from(padded / 4).ok()?.to_be_bytes();
    *introduction = [form_high, form_low, words_high, words_low];
    Some(FIXED_BYTES + 4 + padded)
}

fn write_extension(out: &mut [u8], one_byte: bool, id: u8, value: &[u8]) -> Option<usize> {
    let length = u8::try_from(value.len()).ok()?;
    let begins = if one_byte {
        *out.first_mut()? = (id << 4) | (length - 1);
        1
    } else {
        *out.first_chunk_mut::<2>()? = [(id != 0).then_some(id)?, length];
        2
    };
    out.get_mut(begins..begins + value.len())?.copy_from_slice(value);
    Some(begins + value.len())
}

/// Is this datagram RTCP? Only for what came on a port that carries RTP and RTCP (RFC 5761 §4).
pub fn is_rtcp(packet: &[u8]) -> bool {
    matches!(packet, [flags, kind, ..] if flags >> 6 == 2 && RTCP_TYPES.contains(kind))
}
