//! Frames and the splitter.

use bytes::Bytes;
use fanlight_wire::frame::{FLAG_DEFLATE, FrameError, Splitter};
use fanlight_wire::limits::{FRAME_BYTES_MAX, HEADER_BYTES, MESSAGE_CHUNKS_MAX, PAYLOAD_BYTES_MAX};
use fanlight_wire::{Frame, Header, Kind, MaskEpoch, PageEpoch, ParticipantId, Sequence};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

prop_compose! {
    fn header()(
        kind in select(Kind::ALL.to_vec()),
        flags in select(vec![0, FLAG_DEFLATE]),
        source: u8,
        page_epoch: u32,
        sequence: u32,
        message: u32,
        mask_epoch: u32,
        chunk_count in 1..=MESSAGE_CHUNKS_MAX as u16,
        index: Index,
    ) -> Header {
        Header {
            kind,
            flags,
            source: ParticipantId(source),
            page_epoch: PageEpoch::new(page_epoch),
            sequence: Sequence(sequence),
            message,
            chunk_index: index.index(chunk_count.into()) as u16,
            chunk_count,
            mask_epoch: MaskEpoch::new(mask_epoch),
            length: 0,
        }
    }
}

fn frame() -> impl Strategy<Value = Frame> {
    let payload = prop_oneof![
        8 => vec(any::<u8>(), 0..300),
        1 => Just(vec![7; PAYLOAD_BYTES_MAX]),
    ];
    (header(), payload).prop_map(|(header, payload)| Frame::new(header, &payload).expect("within the limits"))
}

/// Pushes `stream` in pieces of the given sizes (cycled) and collects the frames.
fn split(stream: &[u8], cuts: &[usize]) -> Result<Vec<Frame>, FrameError> {
    let mut splitter = Splitter::default();
    let mut frames = Vec::new();
    let mut rest = stream;
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*cut).clamp(1, rest.len()));
        rest = after;
        splitter.push(piece);
        while let Some(frame) = splitter.next_frame()? {
            frames.push(frame);
        }
    }
    Ok(frames)
}

proptest! {
    #[test]
    fn a_frame_reads_back(frame in frame()) {
        prop_assert!(frame.bytes().len() <= FRAME_BYTES_MAX);
        prop_assert_eq!(Frame::parse(frame.bytes().clone()), Ok(frame));
    }

    #[test]
    fn a_stamp_survives_the_wire(frame in frame(), source: u8) {
        let stamped = frame.clone().stamped(ParticipantId(source));
        prop_assert_eq!(stamped.payload(), frame.payload());
        prop_assert_eq!(Frame::parse(stamped.bytes().clone()), Ok(stamped));
    }

    #[test]
    fn arbitrary_bytes_are_a_frame_or_an_error(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(frame) = Frame::parse(Bytes::from(bytes.clone())) {
            prop_assert_eq!(frame.bytes().as_ref(), bytes.as_slice());
        }
    }

    #[test]
    fn one_changed_byte_is_another_frame_or_an_error(frame in frame(), at: Index, value: u8) {
        let mut bytes = frame.bytes().to_vec();
        let at = at.index(bytes.len().min(HEADER_BYTES));
        bytes[at] = value;
        if let Ok(changed) = Frame::parse(Bytes::from(bytes)) {
            let header = changed.header().to_bytes();
            prop_assert_eq!(&header[..], &changed.bytes()[..HEADER_BYTES]);
        }
    }

    #[test]
    fn a_stream_is_split_the_same_however_it_is_cut(
        frames in vec(frame(), 0..6),
        cuts in vec(1..20_000usize, 1..8),
    ) {
        let stream: Vec<u8> = frames.iter().flat_map(|frame| frame.bytes().to_vec()).collect();
        prop_assert_eq!(split(&stream, &cuts), Ok(frames));
    }

    #[test]
    fn a_hostile_stream_ends_with_an_error_or_waits(
        good in vec(frame(), 0..3),
        junk in vec(any::<u8>(), 0..400),
        cuts in vec(1..500usize, 1..8),
    ) {
        let mut stream: Vec<u8> = good.iter().flat_map(|frame| frame.bytes().to_vec()).collect();
        stream.extend_from_slice(&junk);
        if let Ok(found) = split(&stream, &cuts) {
            prop_assert!(found.len() >= good.len());
            prop_assert_eq!(&found[..good.len()], &good[..]);
        }
    }
}
