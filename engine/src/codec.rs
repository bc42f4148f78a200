//! Where a keyframe begins, read from RTP payloads.
//!
//! Total functions over bytes a stranger wrote: they never panic and never look beyond the payload descriptor (VP8 RFC
//! 7741, VP9 RFC 9628, H.264 RFC 6184, AV1 per the Alliance for Open Media's RTP specification). They leave to
//! [`crate::rtp::ring`] when a keyframe is whole, and to the decoder whether it is any good.

/// What a media section carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    Opus,
    /// Opus with its own past beside it (RFC 2198).
    Red,
    Vp8,
    H264,
    Vp9,
    Av1,
}

impl Codec {
    /// RTP clock ticks per second.
    pub const fn clock_hertz(self) -> u32 {
        match self {
            Self::Opus | Self::Red => 48_000,
            Self::Vp8 | Self::H264 | Self::Vp9 | Self::Av1 => 90_000,
        }
    }

    pub const fn is_video(self) -> bool {
        !matches!(self, Self::Opus | Self::Red)
    }

    /// Does a decoder that knows nothing yet start with this packet? Sound starts anywhere.
    pub fn begins_keyframe(self, payload: &[u8]) -> bool {
        match self {
            Self::Opus | Self::Red => true,
            Self::Vp8 => vp8(payload).unwrap_or(false),
            Self::H264 => h264(payload).unwrap_or(false),
            Self::Vp9 => vp9(payload).unwrap_or(false),
            Self::Av1 => av1(payload).unwrap_or(false),
        }
    }
}

/// RFC 7741 §4.2, §4.3: start of partition 0 with a payload header whose inverse key frame flag is 0.
fn vp8(payload: &[u8]) -> Option<bool> {
    let first = *payload.first()?;
    let (extended, starts, partition) = (first & 0x80 != 0, first & 0x10 != 0, first & 0x0f);
    if !starts || partition != 0 {
        return Some(false);
    }
    let mut at = 1;
    if extended {
        let flags = *payload.get(at)?;
        at += 1;
        if flags & 0x80 != 0 {
            // A picture id of 15 bits is announced by its own top bit.
            at += if payload.get(at)? & 0x80 != 0 { 2 } else { 1 };
        }
        at += usize::from(flags & 0x40 != 0);
        at += usize::from(flags & 0x30 != 0);
    }
    Some(payload.get(at)? & 0x01 == 0)
}

/// RFC 6184 §5.2: a sequence parameter set or the start of an IDR slice, alone, aggregated or fragmented.
fn h264(payload: &[u8]) -> Option<bool> {
    const IDR: u8 = 5;
    const SPS: u8 = 7;
    const STAP_A: u8 = 24;
    const FU_A: u8 = 28;
    match payload.first()? & 0x1f {
        IDR | SPS => Some(true),
        STAP_A => {
            let mut rest = payload.get(1..)?;
            while let [high, low, unit @ ..] = rest {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                if matches!(unit.first()? & 0x1f, IDR | SPS) {
                    return Some(true);
                }
                rest = unit.get(length.max(1)..)?;
            }
            Some(false)
        }
        FU_A => {
            let header = *payload.get(1)?;
            Some(header & 0x80 != 0 && matches!(header & 0x1f, IDR | SPS))
        }
        _ => Some(false),
    }
}

/// RFC 9628 §4.2: beginning of a frame (B) of the lowest spatial layer that is not inter-predicted (P).
fn vp9(payload: &[u8]) -> Option<bool> {
    let first = *payload.first()?;
    let (picture_id, predicted, layers, begins) =
        (first & 0x80 != 0, first & 0x40 != 0, first & 0x20 != 0, first & 0x08 != 0);
    if predicted || !begins {
        return Some(false);
    }
    if !layers {
        return Some(true);
    }
    let mut at = 1;
    if picture_id {
        at += if payload.get(at)? & 0x80 != 0 { 2 } else { 1 };
    }
    // An upper spatial layer of a key picture is not inter-predicted either, but needs the lower one.
    Some((payload.get(at)? >> 1) & 0x07 == 0)
}

/// AV1 RTP §4.4: the aggregation header's N bit marks the first packet of a coded video sequence; an encoder that
/// forgets it still has to begin with a sequence header OBU that does not continue another packet's.
fn av1(payload: &[u8]) -> Option<bool> {
    const SEQUENCE_HEADER: u8 = 1;
    const TEMPORAL_DELIMITER: u8 = 2;
    let aggregation = *payload.first()?;
    if aggregation & 0x80 != 0 {
        return Some(false);
    }
    if aggregation & 0x08 != 0 {
        return Some(true);
    }
    let count = usize::from((aggregation >> 4) & 0x03);
    let mut rest = payload.get(1..)?;
    for index in 1..=2 {
        // With a count W the last element has no length; with W = 0 every element has one.
        let (length, after) = if count == index { (rest.len(), rest) } else { leb128(rest)? };
        let kind = (after.first()? >> 3) & 0x0f;
        if kind != TEMPORAL_DELIMITER {
            return Some(kind == SEQUENCE_HEADER);
        }
        rest = after.get(length..)?;
    }
    Some(false)
}

/// A little-endian base-128 number of at most five bytes, and what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(codec: Codec, cases: &[(&[u8], bool)]) {
        for (payload, expected) in cases {
            assert_eq!(codec.begins_keyframe(payload), *expected, "{codec:?} {payload:02x?}");
        }
    }

    #[test]
    fn vp8_keyframes_begin_at_partition_zero() {
        check(
            Codec::Vp8,
            &[
                (&[0x10, 0x00], true),
                (&[0x10, 0x01], false),
                (&[0x00, 0x00], false),
                (&[0x11, 0x00], false),
                (&[0x90, 0x80, 0x81, 0x23, 0x00], true),
                (&[0x90, 0xe0, 0x81, 0x23, 0x05, 0x40, 0x00], true),
                (&[0x90, 0x80, 0x01, 0x01], false),
                (&[0x90, 0x80, 0x81], false),
                (&[], false),
            ],
        );
    }

    #[test]
    fn h264_keyframes_begin_with_sps_or_idr() {
        check(
            Codec::H264,
            &[
                (&[0x67, 0x42], true),
                (&[0x65, 0x88], true),
                (&[0x41, 0x9a], false),
                (&[0x78, 0, 2, 0x67, 0x42, 0, 1, 0x68], true),
                (&[0x78, 0, 1, 0x68, 0, 2, 0x65, 0x88], true),
                (&[0x78, 0, 1, 0x68, 0, 2, 0x41, 0x88], false),
                (&[0x78, 0, 0, 0x68], false),
                (&[0x7c, 0x85, 1], true),
                (&[0x7c, 0x05, 1], false),
                (&[0x7c, 0x81, 1], false),
                (&[0x7c], false),
            ],
        );
    }

    #[test]
    fn vp9_keyframes_begin_in_the_lowest_layer() {
        check(
            Codec::Vp9,
            &[
                (&[0x88, 0x01], true),
                (&[0x80, 0x01], false),
                (&[0xc8, 0x01], false),
                (&[0xa8, 0x81, 0x02, 0x00], true),
                (&[0xa8, 0x81, 0x02, 0x02], false),
                (&[0xa8, 0x81], false),
            ],
        );
    }

    #[test]
    fn av1_keyframes_begin_with_a_new_sequence() {
        check(
            Codec::Av1,
            &[
                (&[0x18, 0x0a, 0x01], true),
                (&[0x88, 0x0a, 0x01], false),
                (&[0x10, 0x0a, 0x01], true),
                (&[0x10, 0x32, 0x01], false),
                (&[0x20, 0x02, 0x12, 0x00, 0x0a, 0x01], true),
                (&[0x00, 0x01, 0x12, 0x02, 0x0a, 0x01], true),
                (&[0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0a], false),
            ],
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(payload in proptest::collection::vec(any::<u8>(), 0..64)) {
            for codec in [Codec::Opus, Codec::Red, Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1] {
                let _answer: bool = codec.begins_keyframe(&payload);
            }
        }
    }
}
