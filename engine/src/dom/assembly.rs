//! Chunks of one message, gathered aside until it is whole (`docs/protocol.md` §4, §5).
//!
//! Invariant: at most one message is open; it is bounded in bytes and in time, and nothing of it is seen before its
//! last chunk is there.

use std::time::Instant;

use fanlight_wire::limits::{MESSAGE_ASSEMBLY_MAX, MESSAGE_BYTES_MAX};
use fanlight_wire::{Code, Frame, Header, Refusal};

/// The message that is being received, if any.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    open: Option<Message>,
}

/// A message as its frames.
#[derive(Debug)]
pub(super) struct Message {
    /// Header of its first chunk.
    pub(super) header: Header,
    pub(super) frames: Vec<Frame>,
    /// Bytes of its frames, headers included.
    pub(super) bytes: u64,
    until: Instant,
}

impl Assembly {
    /// Adds a chunk; gives the message when it was the last one. A first chunk begins anew: whoever sends it has given
    /// up the message before.
    ///
    /// # Errors
    /// [`Code::BadFrame`] for a chunk that does not continue the open message, [`Code::Size`] beyond
    /// [`MESSAGE_BYTES_MAX`]. The message is then given up.
    pub(super) fn add(&mut self, now: Instant, frame: Frame) -> Result<Option<Message>, Refusal> {
        let header = *frame.header();
        let mut message = match self.open.take() {
            _ if header.chunk_index == 0 => {
                Message { header, frames: Vec::new(), bytes: 0, until: now + MESSAGE_ASSEMBLY_MAX }
            }
            Some(message) if message.continues(&header) => message,
            Some(_) | None => return Err(Refusal::new(Code::BadFrame, "protocol §6")),
        };
        message.bytes += frame.bytes().len() as u64;
        message.frames.push(frame);
        if message.payload_bytes() > MESSAGE_BYTES_MAX as u64 {
            return Err(Refusal::new(Code::Size, "limits::MESSAGE_BYTES_MAX"));
        }
        if header.is_last_chunk() {
            return Ok(Some(message));
        }
        self.open = Some(message);
        Ok(None)
    }

    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Bytes gathered so far.
    pub(super) fn bytes(&self) -> u64 {
        self.open.as_ref().map_or(0, |message| message.bytes)
    }

    /// When the open message is given up.
    pub(super) fn until(&self) -> Option<Instant> {
        self.open.as_ref().map(|message| message.until)
    }

    /// Gives the open message up if its time is over.
    pub(super) fn expire(&mut self, now: Instant) {
        self.open.take_if(|message| message.until <= now);
    }

    pub(super) fn clear(&mut self) {
        self.open = None;
    }
}

impl Message {
    /// Is this the next chunk? Whatever all chunks share must be the same.
    fn continues(&self, next: &Header) -> bool {
        let shared = |header: &Header| Header { chunk_index: 0, length: 0, ..*header };
        usize::from(next.chunk_index) == self.frames.len() && shared(next) == shared(&self.header)
    }

    fn payload_bytes(&self) -> u64 {
        self.bytes - (self.frames.len() * fanlight_wire::limits::HEADER_BYTES) as u64
    }
}
