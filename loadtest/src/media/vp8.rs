//! Synthetic VP8: what a relay reads of it is real (RFC 7741 descriptor, RFC 6386 frame header), the picture is ballast
//! that says who sent it, when, and what comes next, so that a receiver can tell what it got.

/// What a packet says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Which share it belongs to: a number that the scenario never gives twice.
    pub share: u32,
    /// Frame of that share, from zero.
    pub frame: u32,
    pub key: bool,
    /// Packet of the frame, and how many there are.
    pub index: u8,
    pub count: u8,
    /// When it was sent, in microseconds of the sender's clock.
    pub at_us: u64,
}

/// Descriptor with a 15-bit picture id: X, I.
const DESCRIPTOR_BYTES: usize = 4;
const MAGIC: [u8; 4] = *b"FLvp";
const MARK_BYTES: usize = 4 + 4 + 4 + 1 + 1 + 1 + 8;
/// Bytes of a keyframe's and of another frame's header (RFC 6386 §9.1).
const KEY_HEADER: [u8; 10] = [0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01];
const DELTA_HEADER: [u8; 3] = [0x11, 0x02, 0x00];

/// The least a packet can weigh.
pub const PACKET_BYTES_MIN: usize = DESCRIPTOR_BYTES + KEY_HEADER.len() + MARK_BYTES;

impl Mark {
    /// The RTP payload of this packet, padded to `bytes`.
    pub fn to_payload(self, bytes: usize) -> Vec<u8> {
        let start = if self.index == 0 { 0x10 } else { 0 };
        let [.., high, low] = self.frame.to_be_bytes();
        let mut payload = Vec::with_capacity(bytes.max(PACKET_BYTES_MIN));
        payload.extend_from_slice(&[0x80 | start, 0x80, 0x80 | high, low]);
        match (self.index, self.key) {
            (0, true) => payload.extend_from_slice(&KEY_HEADER),
            (0, false) => payload.extend_from_slice(&DELTA_HEADER),
            _ => {}
        }
        payload.extend_from_slice(&MAGIC);
        payload.extend_from_slice(&self.share.to_be_bytes());
        payload.extend_from_slice(&self.frame.to_be_bytes());
        payload.extend_from_slice(&[u8::from(self.key), self.index, self.count]);
        payload.extend_from_slice(&self.at_us.to_be_bytes());
        if payload.len() < bytes {
            payload.resize(bytes, 0xa5);
        }
        payload
    }

    /// Reads a payload; `None` when it was not made here.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let (descriptor, rest) = payload.split_first_chunk::<DESCRIPTOR_BYTES>()?;
        let starts = descriptor.first()? & 0x10 != 0;
        let rest = match (starts, rest.first()? & 1) {
            (true, 0) => rest.get(KEY_HEADER.len()..)?,
            (true, _) => rest.get(DELTA_HEADER.len()..)?,
            (false, _) => rest,
        };
        let rest = rest.strip_prefix(&MAGIC)?;
        let (share, rest) = rest.split_first_chunk::<4>()?;
        let (frame, rest) = rest.split_first_chunk::<4>()?;
        let ([key, index, count], rest) = rest.split_first_chunk::<3>()?;
        Some(Self {
            share: u32::from_be_bytes(*share),
            frame: u32::from_be_bytes(*frame),
            key: *key == 1,
            index: *index,
            count: *count,
            at_us: u64::from_be_bytes(*rest.first_chunk::<8>()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_from_every_kind_of_packet() {
        for (index, key) in [(0, true), (1, true), (0, false), (1, false)] {
            let mark = Mark { share: 9, frame: 70_000, key, index, count: 2, at_us: 1 << 40 };
            assert_eq!(Mark::read(&mark.to_payload(1_100)), Some(mark));
            assert_eq!(Mark::read(&mark.to_payload(0)), Some(mark));
        }
        assert_eq!(Mark::read(&[0x90, 0x80, 0, 0, 1]), None);
    }
}
