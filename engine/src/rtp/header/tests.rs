//! Headers of our own read back, hostile bytes are refused.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const FIELDS: Fields =
    Fields { payload_type: 96, marker: true, sequence: 0xfffe, timestamp: 0xdead_beef, ssrc: 7, padded: false };

fn written(fields: &Fields, extensions: &[(u8, &[u8])]) -> Vec<u8> {
    let mut out = [0xaa; 1_500];
    let length = write(&mut out, fields, extensions).expect("it fits");
    out[..length].to_vec()
}

fn read(packet: &[u8]) -> (Header, Vec<(u8, Vec<u8>)>) {
    let header = Header::parse(packet).expect("a header");
    let extensions = header.extensions(packet).map(|(id, value)| (id, value.to_vec())).collect();
    (header, extensions)
}

#[test]
fn a_header_without_extensions_is_twelve_bytes() {
    let packet = written(&FIELDS, &[]);
    let (header, extensions) = read(&packet);
    assert_eq!((packet.len(), header.bytes, extensions.len()), (12, 12, 0));
    assert!(header.marker && !header.padded);
    assert_eq!((header.payload_type, header.sequence, header.timestamp, header.ssrc), (96, 0xfffe, 0xdead_beef, 7));
}

#[test]
fn the_form_follows_what_must_be_said() {
    let short: &[(u8, &[u8])] = &[(1, b"0"), (14, &[9; 16])];
    assert_eq!(written(&FIELDS, short)[12..16], [0xbe, 0xde, 0, 5]);
    for long in [(15, &b"0"[..]), (3, &[0; 17][..]), (4, &[][..])] {
        let packet = written(&FIELDS, &[(1, b"0"), long]);
        assert_eq!(packet[12..14], [0x10, 0x00], "{long:?}");
        assert_eq!(read(&packet).1, [(1, b"0".to_vec()), (long.0, long.1.to_vec())]);
        assert!(!fits_one_byte(long.0, long.1));
    }
}

#[test]
fn impossible_headers_are_not_written() {
    assert_eq!(write(&mut [0; 11], &FIELDS, &[]), None);
    assert_eq!(write(&mut [0; 19], &FIELDS, &[(1, b"0")]), None, "no room for the padding of the extensions");
    assert_eq!(write(&mut [0; 20], &FIELDS, &[(1, b"0")]), Some(20));
    assert_eq!(write(&mut [0; 600], &FIELDS, &[(0, b"0")]), None);
    assert_eq!(write(&mut [0; 600], &FIELDS, &[(1, &[0; 256])]), None);
}

#[test]
fn padding_and_the_reserved_identifier_are_obeyed() {
    // RFC 8285 §4.2: padding anywhere, identifier 15 stops.
    let mut packet = vec![0x90, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0xbe, 0xde, 0, 2];
    packet.extend([0, 0x10, 0xaa, 0, 0xf0, 1, 0x20, 0xbb]);
    assert_eq!(read(&packet).1, [(1, vec![0xaa])]);
    // A value longer than the extensions, and an unknown form.
    packet[17] = 0x1f;
    assert_eq!(read(&packet).1, []);
    packet[12] = 0;
    assert_eq!(read(&packet).1, []);
    assert_eq!(read(&packet).0.bytes, 24);
}

#[test]
fn contributing_sources_are_skipped() {
    let mut packet = written(&FIELDS, &[(3, b"abc")]);
    packet[0] |= 2;
    packet.splice(12..12, [1; 8]);
    let (header, extensions) = read(&packet);
    assert_eq!((header.bytes, extensions), (28, vec![(3, b"abc".to_vec())]));
}

#[test]
fn what_is_cut_or_of_another_version_is_no_header() {
    let packet = written(&FIELDS, &[(1, b"0"), (5, &[1; 3])]);
    for length in 0..packet.len() {
        assert_eq!(Header::parse(&packet[..length]), None, "{length}");
    }
    for flags in [0x00, 0x40, 0xc0] {
        assert_eq!(Header::parse(&[&[flags][..], &packet[1..]].concat()), None);
    }
}

#[test]
fn rtcp_is_told_by_its_second_byte() {
    for (kind, rtcp) in [(191, false), (192, true), (200, true), (206, true), (223, true), (224, false), (96, false)] {
        assert_eq!(is_rtcp(&[0x80, kind, 0, 0]), rtcp, "{kind}");
    }
    assert!(!is_rtcp(&[0x80]) && !is_rtcp(&[]) && !is_rtcp(&[0x16, 200]));
}

#[test]
fn a_map_names_each_identifier_once() {
    let mut map = ExtensionMap::default();
    assert_eq!(map.extension(0), None);
    for (id, extension) in (1..).zip(Extension::ALL) {
        map.insert(id, extension);
        assert_eq!(Extension::from_uri(extension.uri()), Some(extension));
        assert_eq!((map.id(extension), map.extension(id)), (Some(id), Some(extension)));
    }
    map.insert(1, Extension::ColorSpace);
    assert_eq!((map.id(Extension::Mid), map.extension(1)), (None, Some(Extension::ColorSpace)));
    assert_eq!(map.extension(10), None);
    map.insert(0, Extension::ColorSpace);
    assert_eq!((map.id(Extension::ColorSpace), map.extension(1), map.extension(0)), (None, None, None));
    assert_eq!(Extension::from_uri("urn:unknown"), None);
}

#[test]
fn absolute_send_time_is_six_and_eighteen_bits() {
    assert_eq!(absolute_send_time(Duration::from_secs(1)), [0x04, 0, 0]);
    assert_eq!(absolute_send_time(Duration::from_millis(64_500)), [0x02, 0, 0], "it wraps every 64 s");
    assert_eq!(absolute_send_time(Duration::from_nanos(63_999_999_999)), [0xff, 0xff, 0xff]);
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        (payload_type, marker, padded) in (0_u8..128, any::<bool>(), any::<bool>()),
        (sequence, timestamp, ssrc) in any::<(u16, u32, u32)>(),
        mut extensions in proptest::collection::vec((1_u8..=255, proptest::collection::vec(any::<u8>(), 0..40)), 0..8),
    ) {
        extensions.sort();
        let fields = Fields { payload_type, marker, sequence, timestamp, ssrc, padded };
        let lent: Vec<(u8, &[u8])> = extensions.iter().map(|(id, value)| (*id, &value[..])).collect();
        let packet = written(&fields, &lent);
        let (header, found) = read(&packet);
        prop_assert_eq!(header.bytes, packet.len());
        prop_assert_eq!(found, extensions);
        let Header { payload_type, marker, sequence, timestamp, ssrc, padded, .. } = header;
        prop_assert_eq!(Fields { payload_type, marker, sequence, timestamp, ssrc, padded }, fields);
    }

    // P9
    #[test]
    fn hostile_bytes_are_read_or_refused(mut packet in proptest::collection::vec(any::<u8>(), 0..64), form in 0_u8..4) {
        if let Some(flags) = packet.first_mut() {
            *flags = 0x80 | (*flags & 0x3f);
        }
        if let Some(profile) = packet.get_mut(12..14) {
            profile.copy_from_slice(&[[0xbe, 0xde], [0x10, 0], [0x10, 7], [1, 1]][usize::from(form)]);
        }
        if let Some(header) = Header::parse(&packet) {
            prop_assert!(header.bytes <= packet.len());
            prop_assert!(header.extensions(&packet).map(|(_, value)| value.len() + 1).sum::<usize>() <= header.bytes);
        }
    }
}
