//! The fixed frame header: 28 bytes in clear before an opaque payload. All integers are big-endian (network order).
//!
//! ```text
//!  0        1        2        3        4                8                12
//! +--------+--------+--------+--------+----------------+----------------+
//! |version | kind   | flags  | source |  page epoch    |  sequence      |
//! +--------+--------+--------+--------+----------------+----------------+
//! | 12  message id  | 16 chunk index, 18 chunk count   | 20 mask epoch  | 24 length |
//! ```
//!
//! The relay routes, checks rights and counts from the header alone; it never parses a payload other than `Signal` and
//! the 16-byte name at the head of an `Asset`. `source` is stamped by the relay: what a client writes there is ignored.

use bytes::Bytes;

use crate::id::{MaskEpoch, PageEpoch, ParticipantId, Sequence};
use crate::limits::{FRAME_BYTES_MAX, HEADER_BYTES, MESSAGE_CHUNKS_MAX, PAYLOAD_BYTES_MAX};

/// Version of the frame format; a frame of another version is refused.
pub const VERSION: u8 = 1;

/// A way of queueing: how frames of a kind are ordered, whether they may be lost, and who goes first.
/// Ordered by priority: `Ctl` before everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Signals: session, consent, share, mode, errors, SDP. Reliable, ordered.
    Ctl,
    /// Agent → visitor: input, navigation, annotations. Reliable, ordered.
    Input,
    /// Pointers and document view state. May be lost; the last value wins.
    Pointer,
    /// Visitor → agents: snapshots, diffs, assets. Reliable, ordered.
    Dom,
    /// Document bytes or page images, on demand. Reliable, ordered.
    Doc,
}

impl Class {
    pub const ALL: [Self; 5] = [Self::Ctl, Self::Input, Self::Pointer, Self::Dom, Self::Doc];

    /// Metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ctl => "ctl",
            Self::Input => "input",
            Self::Pointer => "pointer",
            Self::Dom => "dom",
            Self::Doc => "doc",
        }
    }

    /// The first byte of a WebTransport stream, which says what class it carries.
    pub const fn stream_byte(self) -> u8 {
        match self {
            Self::Ctl => 0,
            Self::Input => 1,
            Self::Pointer => 2,
            Self::Dom => 3,
            Self::Doc => 4,
        }
    }

    pub const fn from_stream_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Ctl),
            1 => Some(Self::Input),
            2 => Some(Self::Pointer),
            3 => Some(Self::Dom),
            4 => Some(Self::Doc),
            _ => None,
        }
    }
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// JSON of [`crate::signal`].
    Signal = 0x01,
    /// `input.click / key / text / select / scroll`: acts on the visitor's page.
    Input = 0x10,
    /// `nav.back / forward / reload / url`.
    Navigate = 0x11,
    /// `annot.*`.
    Annotate = 0x12,
    /// A labelled pointer: two big-endian u16, x and y in 1/65535 of the page's width and height, then a u8 of buttons.
    PointerMove = 0x20,
    /// A drawn pointer that replaces the visitor's own (True Pointer).
    PointerTrue = 0x21,
    /// A complete page: one deflate stream over the JSON array of recorder events.
    Snapshot = 0x30,
    /// A change that is valid only after the previous one of the same page epoch.
    Diff = 0x31,
    /// An image, font or style named by its hash: 16 bytes of SHA-256, then type and bytes.
    Asset = 0x32,
    /// Bytes or a page image of a document.
    Document = 0x40,
}

impl Kind {
    pub const ALL: [Self; 10] = [
        Self::Signal,
        Self::Input,
        Self::Navigate,
        Self::Annotate,
        Self::PointerMove,
        Self::PointerTrue,
        Self::Snapshot,
        Self::Diff,
        Self::Asset,
        Self::Document,
    ];

    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0x01 => Self::Signal,
            0x10 => Self::Input,
            0x11 => Self::Navigate,
            0x12 => Self::Annotate,
            0x20 => Self::PointerMove,
            0x21 => Self::PointerTrue,
            0x30 => Self::Snapshot,
            0x31 => Self::Diff,
            0x32 => Self::Asset,
            0x40 => Self::Document,
            _ => return None,
        })
    }

    pub const fn class(self) -> Class {
        match self {
            Self::Signal => Class::Ctl,
            Self::Input | Self::Navigate | Self::Annotate => Class::Input,
            Self::PointerMove | Self::PointerTrue => Class::Pointer,
            Self::Snapshot | Self::Diff | Self::Asset => Class::Dom,
            Self::Document => Class::Doc,
        }
    }

    /// Name in documents and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Input => "input",
            Self::Navigate => "navigate",
            Self::Annotate => "annotate",
            Self::PointerMove => "pointer_move",
            Self::PointerTrue => "pointer_true",
            Self::Snapshot => "snapshot",
            Self::Diff => "diff",
            Self::Asset => "asset",
            Self::Document => "document",
        }
    }
}

/// The payload is compressed with raw deflate (RFC 1951).
pub const FLAG_DEFLATE: u8 = 0b0000_0001;
/// Bits that must be zero.
const FLAGS_RESERVED: u8 = !FLAG_DEFLATE;

/// The header of a frame, parsed and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    /// [`FLAG_DEFLATE`] or zero.
    pub flags: u8,
    /// Who sent it. Written by the relay; zero from a client.
    pub source: ParticipantId,
    /// The page it belongs to; zero for signals.
    pub page_epoch: PageEpoch,
    /// Diff: its position. Snapshot: the diff it already contains. Else a counter of the sender, or zero.
    pub sequence: Sequence,
    /// The same for all chunks of a message, different from the message before.
    pub message: u32,
    /// `0..chunk_count`.
    pub chunk_index: u16,
    /// `1..=MESSAGE_CHUNKS_MAX`.
    pub chunk_count: u16,
    /// The masking rules in force when it was recorded; zero for signals.
    pub mask_epoch: MaskEpoch,
    /// Bytes of payload, `0..=PAYLOAD_BYTES_MAX`.
    pub length: u32,
}

/// The bytes are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("{0} bytes are too few for a header of {HEADER_BYTES}")]
    Short(usize),
    #[error("{0} bytes are more than a frame's {FRAME_BYTES_MAX}")]
    Long(usize),
    #[error("version {0} is not {VERSION}")]
    Version(u8),
    #[error("unknown kind {0:#04x}")]
    Kind(u8),
    #[error("reserved flags are set: {0:#010b}")]
    Flags(u8),
    #[error("chunk {index} of {count}")]
    Chunk { index: u16, count: u16 },
    #[error("the header says {said} bytes of payload, {found} are there")]
    Length { said: u32, found: usize },
}

impl Header {
    /// A header for a message of one chunk; the length is filled in by [`Frame::new`].
    pub const fn single(kind: Kind) -> Self {
        Self {
            kind,
            flags: 0,
            source: ParticipantId::RELAY,
            page_epoch: PageEpoch::ZERO,
            sequence: Sequence(0),
            message: 0,
            chunk_index: 0,
            chunk_count: 1,
            mask_epoch: MaskEpoch::ZERO,
            length: 0,
        }
    }

    /// Reads the first [`HEADER_BYTES`] of `bytes`. The payload need not be there yet.
    ///
    /// # Errors
    /// [`FrameError`] when the bytes are not a header of this version.
    pub fn parse(bytes: &[u8]) -> Result<Self, FrameError> {
        let head: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(FrameError::Short(bytes.len()))?;
        let [version, kind, flags, source, rest @ ..] = head;
        if *version != VERSION {
            return Err(FrameError::Version(*version));
        }
        let kind = Kind::from_byte(*kind).ok_or(FrameError::Kind(*kind))?;
        if flags & FLAGS_RESERVED != 0 {
            return Err(FrameError::Flags(*flags));
        }
        let mut fields = Fields(rest);
        let header = Self {
            kind,
            flags: *flags,
            source: ParticipantId(*source),
            page_epoch: PageEpoch::new(fields.u32()),
            sequence: Sequence(fields.u32()),
            message: fields.u32(),
            chunk_index: fields.u16(),
            chunk_count: fields.u16(),
            mask_epoch: MaskEpoch::new(fields.u32()),
            length: fields.u32(),
        };
        header.check()?;
        Ok(header)
    }

    fn check(&self) -> Result<(), FrameError> {
        let (index, count) = (self.chunk_index, self.chunk_count);
        if count == 0 || usize::from(count) > MESSAGE_CHUNKS_MAX || index >= count {
            return Err(FrameError::Chunk { index, count });
        }
        if self.length as usize > PAYLOAD_BYTES_MAX {
            return Err(FrameError::Long(self.length as usize + HEADER_BYTES));
        }
        Ok(())
    }

    /// The header's bytes.
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        let fields: [&[u8]; 8] = [
            &[VERSION, self.kind as u8, self.flags, self.source.0],
            &self.page_epoch.value().to_be_bytes(),
            &self.sequence.0.to_be_bytes(),
            &self.message.to_be_bytes(),
            &self.chunk_index.to_be_bytes(),
            &self.chunk_count.to_be_bytes(),
            &self.mask_epoch.value().to_be_bytes(),
            &self.length.to_be_bytes(),
        ];
        let mut rest = out.as_mut_slice();
        for field in fields {
            let (here, after) = rest.split_at_mut(field.len());
            here.copy_from_slice(field);
            rest = after;
        }
        out
    }

    /// Is this the last chunk of its message?
    pub const fn is_last_chunk(&self) -> bool {
        self.chunk_index + 1 == self.chunk_count
    }
}

/// Takes big-endian integers off a header whose length was checked before.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn u32(&mut self) -> u32 {
        let Some((head, rest)) = self.0.split_first_chunk::<4>() else { return 0 };
        self.0 = rest;
        u32::from_be_bytes(*head)
    }

    fn u16(&mut self) -> u16 {
        let Some((head, rest)) = self.0.split_first_chunk::<2>() else { return 0 };
        self.0 = rest;
        u16::from_be_bytes(*head)
    }
}

/// A whole frame: a checked header and the bytes it came in, shared and never copied on the way through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    header: Header,
    bytes: Bytes,
}

impl Frame {
    /// Builds a frame; the header's `length` is set from the payload.
    ///
    /// # Errors
    /// [`FrameError::Long`] when the payload exceeds [`PAYLOAD_BYTES_MAX`], [`FrameError::Chunk`] for bad chunk numbers.
    pub fn new(mut header: Header, payload: &[u8]) -> Result<Self, FrameError> {
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(FrameError::Long(payload.len() + HEADER_BYTES));
        }
        header.length = payload.len() as u32;
        header.check()?;
        let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
        bytes.extend_from_slice(&header.to_bytes());
        bytes.extend_from_slice(payload);
        Ok(Self { header, bytes: bytes.into() })
    }

    /// Reads one frame that fills `bytes` exactly.
    ///
    /// # Errors
    /// [`FrameError`] when it does not.
    pub fn parse(bytes: Bytes) -> Result<Self, FrameError> {
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(FrameError::Long(bytes.len()));
        }
        let header = Header::parse(&bytes)?;
        let found = bytes.len() - HEADER_BYTES;
        if header.length as usize != found {
            return Err(FrameError::Length { said: header.length, found });
        }
        Ok(Self { header, bytes })
    }

    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Header and payload as they go over the wire.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub fn payload(&self) -> &[u8] {
        self.bytes.get(HEADER_BYTES..).unwrap_or_default()
    }

    /// The same frame with the relay's stamp of who sent it. Copies the bytes only when the stamp changes them.
    #[must_use]
    pub fn stamped(self, source: ParticipantId) -> Self {
        if self.header.source == source {
            return self;
        }
        let header = Header { source, ..self.header };
        // Unshared bytes (the common case: one frame, one buffer) are stamped in place.
        let mut bytes = self.bytes.try_into_mut().unwrap_or_else(|shared| shared.as_ref().into());
        if let Some(place) = bytes.get_mut(3) {
            *place = source.0;
        }
        Self { header, bytes: bytes.freeze() }
    }

    /// The same frame in memory of its own. Carriers cut frames out of larger buffers, and a small frame that is kept
    /// for long would keep the whole buffer.
    #[must_use]
    pub fn detached(self) -> Self {
        Self { bytes: Bytes::copy_from_slice(&self.bytes), ..self }
    }
}

/// Splits a byte stream (WebTransport, TCP) into frames. Holds at most one frame's bytes.
#[derive(Debug, Default)]
pub struct Splitter {
    buffer: bytes::BytesMut,
}

impl Splitter {
    /// Adds what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if it is there.
    ///
    /// # Errors
    /// [`FrameError`] when the stream does not continue with a header; the stream cannot be read any further.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.buffer.len() < HEADER_BYTES {
            return Ok(None);
        }
        let header = Header::parse(&self.buffer)?;
        let whole = HEADER_BYTES + header.length as usize;
        if self.buffer.len() < whole {
            return Ok(None);
        }
        let bytes = self.buffer.split_to(whole).freeze();
        Ok(Some(Frame { header, bytes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            kind: Kind::Diff,
            flags: FLAG_DEFLATE,
            source: ParticipantId(7),
            page_epoch: PageEpoch::new(3),
            sequence: Sequence(41),
            message: 0x0102_0304,
            chunk_index: 1,
            chunk_count: 2,
            mask_epoch: MaskEpoch::new(9),
            length: 5,
        }
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let bytes = header().to_bytes();
        assert_eq!(hex::encode(bytes), "013101070000000300000029010203040001000200000009 00000005".replace(' ', ""));
        assert_eq!(Header::parse(&bytes), Ok(header()));
    }

    #[test]
    fn each_field_that_can_be_wrong_is_refused() {
        let with = |at: usize, value: u8| {
            let mut bytes = header().to_bytes();
            bytes[at] = value;
            Header::parse(&bytes)
        };
        assert_eq!(with(0, 2), Err(FrameError::Version(2)));
        assert_eq!(with(1, 0xff), Err(FrameError::Kind(0xff)));
        assert_eq!(with(2, 0x80), Err(FrameError::Flags(0x80)));
        assert_eq!(with(19, 0), Err(FrameError::Chunk { index: 1, count: 0 }));
        assert_eq!(with(17, 2), Err(FrameError::Chunk { index: 2, count: 2 }));
        assert!(matches!(with(25, 1), Err(FrameError::Long(_))));
        assert_eq!(Header::parse(&[1; 27]), Err(FrameError::Short(27)));
    }

    #[test]
    fn length_must_match_exactly() {
        let frame = Frame::new(header(), b"hello").expect("a small frame");
        let mut long = frame.bytes().to_vec();
        long.push(0);
        assert_eq!(Frame::parse(long.into()), Err(FrameError::Length { said: 5, found: 6 }));
        assert_eq!(Frame::parse(frame.bytes().clone()), Ok(frame));
    }

    #[test]
    fn a_stamp_changes_the_source_and_nothing_else() {
        let frame = Frame::new(header(), b"hello").expect("a small frame");
        let stamped = frame.clone().stamped(ParticipantId(2));
        assert_eq!(stamped.header().source, ParticipantId(2));
        assert_eq!(stamped.payload(), frame.payload());
        assert_eq!(Frame::parse(stamped.bytes().clone()), Ok(stamped));
    }

    #[test]
    fn a_detached_frame_keeps_none_of_the_buffer_it_came_in() {
        let frame = Frame::new(header(), b"hello").expect("a small frame");
        let mut splitter = Splitter::default();
        splitter.push(&frame.bytes().repeat(100));
        let cut = splitter.next_frame().expect("a good stream").expect("a whole frame");
        assert!(!cut.bytes().is_unique(), "it shares the splitter's buffer");
        let detached = cut.detached();
        assert!(detached == frame && detached.bytes().is_unique());
    }

    #[test]
    fn a_stream_is_split_wherever_it_was_cut() {
        let frames: Vec<_> =
            (0..3u8).map(|n| Frame::new(header(), &vec![n; usize::from(n) * 100]).expect("small")).collect();
        let stream: Vec<u8> = frames.iter().flat_map(|f| f.bytes().to_vec()).collect();
        for cut in [1, 27, 28, 29, 130] {
            let mut splitter = Splitter::default();
            let mut found = Vec::new();
            for piece in stream.chunks(cut) {
                splitter.push(piece);
                while let Some(frame) = splitter.next_frame().expect("a good stream") {
                    found.push(frame);
                }
            }
            assert_eq!(found, frames, "cut every {cut} bytes");
        }
    }

    #[test]
    fn every_kind_and_class_reads_back_from_its_byte() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_byte(kind as u8), Some(kind));
        }
        for class in Class::ALL {
            assert_eq!(Class::from_stream_byte(class.stream_byte()), Some(class));
        }
    }
}
