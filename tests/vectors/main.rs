//! The bytes that Rust and TypeScript both reproduce. The committed files are what the types of `wire` produce: a
//! change of the wire shows up here as a difference, never unseen. `UPDATE_VECTORS=1` writes them anew.

use std::path::PathBuf;

use bytes::Bytes;
use fanlight_wire::frame::{FLAG_DEFLATE, FrameError, VERSION};
use fanlight_wire::limits::{HEADER_BYTES, MESSAGE_CHUNKS_MAX, PAYLOAD_BYTES_MAX};
use fanlight_wire::{Code, Event, Frame, Header, Kind, MaskEpoch, PageEpoch, ParticipantId, Sequence};
use serde_json::{Value, json};

mod numbers;
mod signals;

/// Compares `value` with the committed `name`, or writes it when asked to.
fn check(name: &str, value: &Value) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    let mut text = serde_json::to_string_pretty(value).expect("plain data");
    text.push('\n');
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(&path, &text).expect("the vectors directory is writable");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "{name} differs from what the types produce; look at it, then run with UPDATE_VECTORS=1"
    );
}

fn header(kind: Kind, message: u32) -> Header {
    Header { message, ..Header::single(kind) }
}

/// Good frames: every kind, every field at both ends of its range.
fn frames() -> Vec<(&'static str, Header, Vec<u8>)> {
    let dom = |kind, sequence, message| Header {
        page_epoch: PageEpoch::new(1),
        mask_epoch: MaskEpoch::new(1),
        sequence: Sequence(sequence),
        ..header(kind, message)
    };
    let chunk = |index, count, header| Header { chunk_index: index, chunk_count: count, ..header };
    let asset = [&[0xab; 16][..], &[9], b"image/png", b"\x89PNG"].concat();
    let last = MESSAGE_CHUNKS_MAX as u16;
    vec![
        ("signal", header(Kind::Signal, 1), br#"{"t":"resync"}"#.to_vec()),
        ("input", header(Kind::Input, 2), br#"{"type":"click","node":7}"#.to_vec()),
        ("navigate", header(Kind::Navigate, 3), br#"{"type":"back"}"#.to_vec()),
        ("annotate", header(Kind::Annotate, 4), br#"{"type":"clear"}"#.to_vec()),
        ("pointer_move", dom(Kind::PointerMove, 0, 5), vec![0x80, 0x00, 0xff, 0xff, 1]),
        ("pointer_true", dom(Kind::PointerTrue, 0, 6), vec![0, 0, 0, 1, 0]),
        ("snapshot_first_chunk", chunk(0, 2, dom(Kind::Snapshot, 0, 7)), b"[{\"type\":4,".to_vec()),
        ("snapshot_last_chunk", chunk(1, 2, dom(Kind::Snapshot, 0, 7)), b"\"data\":{}}]".to_vec()),
        ("diff", dom(Kind::Diff, 1, 8), b"[]".to_vec()),
        ("diff_deflated", Header { flags: FLAG_DEFLATE, ..dom(Kind::Diff, 2, 9) }, vec![0x8b, 0x8e, 0x05, 0x00]),
        ("asset", dom(Kind::Asset, 0, 10), asset),
        ("document", header(Kind::Document, 11), vec![0, 1, 2, 3]),
        ("empty_payload", header(Kind::Diff, 12), vec![]),
        ("stamped", Header { source: ParticipantId(3), ..dom(Kind::Diff, 3, 13) }, b"[1]".to_vec()),
        (
            "largest_numbers",
            Header {
                source: ParticipantId(u8::MAX),
                page_epoch: PageEpoch::new(u32::MAX),
                mask_epoch: MaskEpoch::new(u32::MAX),
                sequence: Sequence(u32::MAX),
                ..chunk(last - 1, last, header(Kind::Snapshot, u32::MAX))
            },
            vec![0xff],
        ),
    ]
}

/// Bytes that are no frame, and what is wrong with them.
fn bad_frames() -> Vec<(&'static str, Vec<u8>)> {
    let good = Frame::new(header(Kind::Diff, 1), b"hello").expect("a small frame").bytes().to_vec();
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    let mut count = with(18, (MESSAGE_CHUNKS_MAX + 1).to_be_bytes()[6]);
    count[19] = (MESSAGE_CHUNKS_MAX + 1).to_be_bytes()[7];
    let mut length = good.clone();
    length[24..28].copy_from_slice(&(PAYLOAD_BYTES_MAX as u32 + 1).to_be_bytes());
    vec![
        ("nothing", vec![]),
        ("one_byte_short_of_a_header", good[..HEADER_BYTES - 1].to_vec()),
        ("version_zero", with(0, 0)),
        ("next_version", with(0, VERSION + 1)),
        ("unknown_kind", with(1, 0x33)),
        ("reserved_flag", with(2, 0b0000_0010)),
        ("no_chunks", with(19, 0)),
        ("index_beyond_count", with(17, 1)),
        ("too_many_chunks", count),
        ("length_beyond_a_frame", length),
        ("payload_missing", good[..good.len() - 1].to_vec()),
        ("payload_left_over", [&good[..], &[0]].concat()),
    ]
}

fn error_name(error: &FrameError) -> &'static str {
    match error {
        FrameError::Short(_) => "short",
        FrameError::Long(_) => "long",
        FrameError::Version(_) => "version",
        FrameError::Kind(_) => "kind",
        FrameError::Flags(_) => "flags",
        FrameError::Chunk { .. } => "chunk",
        FrameError::Length { .. } => "length",
    }
}

#[test]
fn frames_are_the_committed_bytes() {
    let mut rows = Vec::new();
    for (name, header, payload) in frames() {
        let frame = Frame::new(header, &payload).expect("a good frame");
        assert_eq!(Frame::parse(frame.bytes().clone()).as_ref(), Ok(&frame), "{name}");
        rows.push(json!({
            "name": name,
            "kind": header.kind as u8,
            "flags": header.flags,
            "source": header.source.0,
            "page_epoch": header.page_epoch.value(),
            "sequence": header.sequence.0,
            "message": header.message,
            "chunk_index": header.chunk_index,
            "chunk_count": header.chunk_count,
            "mask_epoch": header.mask_epoch.value(),
            "payload_hex": hex::encode(&payload),
            "bytes_hex": hex::encode(frame.bytes()),
        }));
    }
    for kind in Kind::ALL {
        assert!(rows.iter().any(|row| row["kind"] == kind as u8), "no vector of kind {}", kind.label());
    }
    check("frames.json", &Value::Array(rows));
}

#[test]
fn bad_frames_are_refused_with_the_committed_error() {
    let rows = bad_frames()
        .into_iter()
        .map(|(name, bytes)| {
            let error = Frame::parse(Bytes::from(bytes.clone())).expect_err(name);
            json!({ "name": name, "bytes_hex": hex::encode(bytes), "error": error_name(&error) })
        })
        .collect();
    check("frames_bad.json", &Value::Array(rows));
}

#[test]
fn codes_are_the_committed_list() {
    let row = |code: &Code| {
        json!({
            "label": code.label(),
            "http": code.http_status(),
            "close": code.close_code(),
            "sentence": code.sentence(),
        })
    };
    check("codes.json", &Code::ALL.iter().map(row).collect());
}

#[test]
fn events_are_the_committed_list() {
    // R106
    let row = |event: &Event| {
        let ears: Vec<_> = event.ears().iter().map(|ear| ear.label()).collect();
        json!({ "name": event.label(), "ears": ears, "sentence": event.sentence() })
    };
    check("events.json", &Event::ALL.iter().map(row).collect());
}
