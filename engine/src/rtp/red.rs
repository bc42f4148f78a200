//! Redundant audio: Opus packets that repeat the ones before them (RFC 2198).
//!
//! The blocks are opaque; only the headers before them are read. Total over hostile bytes.

/// Set in a header that others follow.
const FOLLOWED: u8 = 0x80;
/// Bytes of a header that others follow: payload type, 14 bits of time, 10 bits of length.
const HEADER_BYTES: usize = 4;

/// What the packet would carry without redundancy: its last block.
pub(crate) fn primary(payload: &[u8]) -> Option<&[u8]> {
    let (mut at, mut redundant) = (0, 0);
    while payload.get(at)? & FOLLOWED != 0 {
        let [_, _, high, low] = *payload.get(at..)?.first_chunk::<HEADER_BYTES>()?;
        redundant += usize::from(u16::from_be_bytes([high & 3, low]));
        at += HEADER_BYTES;
    }
    payload.get(at + 1 + redundant..)
}

/// Calls every block what its receiver calls Opus. False when the headers do not end.
pub(crate) fn rename(payload: &mut [u8], payload_type: u8) -> bool {
    let mut at = 0;
    while let Some(first) = payload.get_mut(at) {
        let followed = *first & FOLLOWED;
        *first = followed | (payload_type & !FOLLOWED);
        if followed == 0 {
            return true;
        }
        at += HEADER_BYTES;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    /// Two blocks of 2 and 3 bytes, both of type 111.
    const TWICE: [u8; 10] = [0x80 | 111, 0x0f, 0x00, 2, 111, 1, 2, 7, 8, 9];

    #[test]
    fn the_last_block_is_the_packets_own() {
        assert_eq!(primary(&TWICE), Some(&[7, 8, 9][..]));
        assert_eq!(primary(&[111, 5, 6]), Some(&[5, 6][..]), "nothing is repeated");
        for cut in 0..7 {
            assert_eq!(primary(&TWICE[..cut]), None, "{cut} bytes");
        }
    }

    #[test]
    fn every_block_is_renamed_and_nothing_else() {
        let mut packet = TWICE;
        assert!(rename(&mut packet, 109));
        assert_eq!(packet, [0x80 | 109, 0x0f, 0x00, 2, 109, 1, 2, 7, 8, 9]);
        assert!(!rename(&mut [0x80 | 111, 0, 0, 2], 109));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let length = primary(&bytes).map(<[u8]>::len);
            prop_assert!(length.is_none_or(|length| length < bytes.len()));
            rename(&mut bytes, 96);
        }
    }
}
