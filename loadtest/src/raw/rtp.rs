//! The little of RTP and RTCP that a generator reads and writes (RFC 3550, 4585, 5104, 8285, and transport-wide feedback).

use std::ops::Range;

/// Ids of header extensions in every offer made here.
pub const EXT_MID: u8 = 1;
/// Transport-wide sequence numbers.
pub const EXT_TRANSPORT: u8 = 3;
/// The name of an encoding (RFC 8852).
pub const EXT_RID: u8 = 4;
/// Payload types of every offer made here.
pub const PT_VP8: u8 = 96;
pub const PT_RTX: u8 = 97;
pub const PT_OPUS: u8 = 111;

/// An RTP header, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    pub payload_type: u8,
    pub marker: bool,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: u32,
    /// Bytes before the payload.
    pub bytes: usize,
    /// Where the extensions are, if they have the one-byte form.
    extensions: Range<usize>,
}

impl Header {
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let (fixed, rest) = packet.split_first_chunk::<12>()?;
        let [first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *fixed;
        if first >> 6 != 2 {
            return None;
        }
        let mut bytes = 12 + 4 * usize::from(first & 15);
        let mut extensions = 0..0;
        if first & 0x10 != 0 {
            let at = bytes - 12;
            let words = u16::from_be_bytes(rest.get(at + 2..at + 4)?.try_into().ok()?);
            let start = bytes + 4;
            bytes = start + 4 * usize::from(words);
            if rest.get(at..at + 2)? == [0xbe, 0xde] {
                extensions = start..bytes;
            }
        }
        (bytes <= packet.len()).then_some(Self {
            payload_type: second & 0x7f,
            marker: second & 0x80 != 0,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
            bytes,
            extensions,
        })
    }

    /// The value of extension `id`.
    pub fn extension<'a>(&self, packet: &'a [u8], id: u8) -> Option<&'a [u8]> {
        let mut rest = packet.get(self.extensions.clone())?;
        while let Some((head, tail)) = rest.split_first() {
            if *head == 0 {
                rest = tail;
                continue;
            }
            let length = usize::from(head & 15) + 1;
            let value = tail.get(..length)?;
            if head >> 4 == id {
                return Some(value);
            }
            rest = tail.get(length..)?;
        }
        None
    }
}

/// RFC 5761 §4.
pub fn is_rtcp(packet: &[u8]) -> bool {
    packet.get(1).is_some_and(|kind| (192..=223).contains(kind))
}

/// Bytes of a header written by [`write`].
pub const HEADER_BYTES: usize = 12 + 4 + 8;

/// Writes a header with MID `0`, a transport-wide sequence number and, if there is one, the encoding's name.
pub fn write(out: &mut [u8], header: &Header, transport: u16, rid: Option<u8>) -> Option<()> {
    let marker = u8::from(header.marker) << 7;
    let [t0, t1] = transport.to_be_bytes();
    let [r0, r1] = rid.map_or([0, 0], |name| [EXT_RID << 4, name]);
    let extensions = [0xbe, 0xde, 0, 2, EXT_MID << 4, b'0', EXT_TRANSPORT << 4 | 1, t0, t1, r0, r1, 0];
    let fields = [0x90, marker | header.payload_type].into_iter().chain(header.sequence.to_be_bytes());
    let fields = fields.chain(header.timestamp.to_be_bytes()).chain(header.ssrc.to_be_bytes()).chain(extensions);
    out.get_mut(..HEADER_BYTES)?.iter_mut().zip(fields).for_each(|(byte, field)| *byte = field);
    Some(())
}

/// The header of a packet that [`write`] is to write.
pub const fn header(payload_type: u8, marker: bool, sequence: u16, timestamp: u32, ssrc: u32) -> Header {
    Header { payload_type, marker, sequence, timestamp, ssrc, bytes: HEADER_BYTES, extensions: 0..0 }
}

/// What a peer reports or wishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// A keyframe (PLI or FIR).
    Keyframe {
        ssrc: u32,
    },
    /// Lost packets: first, and a mask of the sixteen after it.
    Resend {
        ssrc: u32,
        first: u16,
        mask: u16,
    },
    /// Transport-wide feedback has arrived.
    Feedback,
    /// A bitrate that the receiver can take.
    Remb,
    /// Sender or receiver report.
    Report,
    Bye,
}

/// Walks a compound packet.
pub fn wishes(mut compound: &[u8], mut see: impl FnMut(Wish)) {
    while let Some((head, rest)) = compound.split_first_chunk::<4>() {
        let [first, kind, high, low] = *head;
        let length = 4 * usize::from(u16::from_be_bytes([high, low]));
        let Some((body, after)) = rest.split_at_checked(length) else { return };
        compound = after;
        let word = |at: usize| body.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
        match (kind, first & 31) {
            (200 | 201, _) => see(Wish::Report),
            (203, _) => see(Wish::Bye),
            (205, 1) => {
                for at in (8..length).step_by(4) {
                    let (Some(ssrc), Some(pair)) = (word(4), word(at)) else { break };
                    see(Wish::Resend { ssrc, first: (pair >> 16) as u16, mask: pair as u16 });
                }
            }
            (205, 15) => see(Wish::Feedback),
            (206, 1) => see(Wish::Keyframe { ssrc: word(4).unwrap_or(0) }),
            (206, 4) => see(Wish::Keyframe { ssrc: word(8).unwrap_or(0) }),
            (206, 15) => see(Wish::Remb),
            _ => {}
        }
    }
}

fn head(out: &mut Vec<u8>, count: u8, kind: u8, words: usize) {
    out.extend_from_slice(&[0x80 | count, kind]);
    out.extend_from_slice(&u16::try_from(words).unwrap_or(u16::MAX).to_be_bytes());
}

/// One block of a receiver report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Block {
    pub ssrc: u32,
    /// Fraction lost since the last report, in 1/256.
    pub fraction: u8,
    pub lost: u32,
    /// Extended highest sequence number.
    pub highest: u32,
    pub jitter: u32,
}

pub fn receiver_report(out: &mut Vec<u8>, own: u32, block: Option<Block>) {
    head(out, u8::from(block.is_some()), 201, 1 + 6 * usize::from(block.is_some()));
    out.extend_from_slice(&own.to_be_bytes());
    let Some(block) = block else { return };
    let lost = u32::from(block.fraction) << 24 | block.lost & 0x00ff_ffff;
    for word in [block.ssrc, lost, block.highest, block.jitter, 0, 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

/// A sender report at `at_us` microseconds of the own clock.
pub fn sender_report(out: &mut Vec<u8>, own: u32, at_us: u64, timestamp: u32, packets: u32, bytes: u32) {
    head(out, 0, 200, 6);
    let seconds = (at_us / 1_000_000 + 3_900_000_000) as u32;
    let fraction = ((at_us % 1_000_000) << 32).checked_div(1_000_000).unwrap_or(0) as u32;
    for word in [own, seconds, fraction, timestamp, packets, bytes] {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

/// SDES with a CNAME of eight bytes.
pub fn cname(out: &mut Vec<u8>, own: u32) {
    head(out, 1, 202, 4);
    out.extend_from_slice(&own.to_be_bytes());
    out.extend_from_slice(&[1, 8]);
    out.extend_from_slice(format!("{own:08x}").as_bytes());
    out.extend_from_slice(&[0, 0]);
}

/// `lost` in ascending order of arrival numbers; at most a handful.
pub fn nack(out: &mut Vec<u8>, own: u32, ssrc: u32, lost: &[u16]) {
    let mut pairs: Vec<(u16, u16)> = Vec::new();
    for number in lost {
        match pairs.last_mut() {
            Some((first, mask)) if (1..=16).contains(&number.wrapping_sub(*first)) => {
                *mask |= 1 << (number.wrapping_sub(*first) - 1);
            }
            _ => pairs.push((*number, 0)),
        }
    }
    head(out, 1, 205, 2 + pairs.len());
    out.extend_from_slice(&own.to_be_bytes());
    out.extend_from_slice(&ssrc.to_be_bytes());
    for (first, mask) in pairs {
        out.extend_from_slice(&first.to_be_bytes());
        out.extend_from_slice(&mask.to_be_bytes());
    }
}

pub fn pli(out: &mut Vec<u8>, own: u32, ssrc: u32) {
    head(out, 1, 206, 2);
    out.extend_from_slice(&own.to_be_bytes());
    out.extend_from_slice(&ssrc.to_be_bytes());
}

/// Transport-wide feedback: the packets from `first` on, each with its arrival in microseconds or `None`
/// (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1), as two-bit status vectors.
pub fn transport_feedback(out: &mut Vec<u8>, own: u32, ssrc: u32, count: u8, first: u16, arrivals: &[Option<u64>]) {
    let Some(base) = arrivals.iter().flatten().next() else { return };
    // Reference time is in steps of 64 ms, deltas in steps of 250 µs.
    let reference = base / 64_000;
    let mut before = reference * 64_000 / 250;
    let (mut symbols, mut deltas) = (Vec::with_capacity(arrivals.len()), Vec::new());
    for arrival in arrivals {
        let Some(at) = arrival.map(|at| at / 250) else {
            symbols.push(0_u16);
            continue;
        };
        let delta = i64::try_from(at).unwrap_or(0) - i64::try_from(before).unwrap_or(0);
        before = at;
        if let Ok(small) = u8::try_from(delta) {
            symbols.push(1);
            deltas.push(small);
        } else {
            symbols.push(2);
            let clipped = delta.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
            deltas.extend_from_slice(&clipped.to_be_bytes());
        }
    }
    let mut body = Vec::with_capacity(16 + deltas.len() + symbols.len());
    body.extend_from_slice(&own.to_be_bytes());
    body.extend_from_slice(&ssrc.to_be_bytes());
    body.extend_from_slice(&first.to_be_bytes());
    body.extend_from_slice(&u16::try_from(arrivals.len()).unwrap_or(u16::MAX).to_be_bytes());
    body.extend_from_slice(&((reference as u32) << 8 | u32::from(count)).to_be_bytes());
    for chunk in symbols.chunks(7) {
        let word = chunk.iter().enumerate().fold(0xc000_u16, |word, (at, symbol)| word | symbol << (12 - 2 * at));
        body.extend_from_slice(&word.to_be_bytes());
    }
    body.extend_from_slice(&deltas);
    body.resize(body.len().next_multiple_of(4), 0);
    head(out, 15, 205, body.len() / 4);
    out.extend_from_slice(&body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_with_its_extensions() {
        let mut packet = vec![0; HEADER_BYTES + 5];
        let fields = header(PT_VP8, true, 65_535, 7, 0xdead_beef);
        write(&mut packet, &fields, 513, Some(b'q')).expect("room");
        let read = Header::parse(&packet).expect("a header");
        assert_eq!((read.sequence, read.ssrc, read.marker, read.bytes), (65_535, 0xdead_beef, true, HEADER_BYTES));
        assert_eq!(read.extension(&packet, EXT_MID), Some(&b"0"[..]));
        assert_eq!(read.extension(&packet, EXT_TRANSPORT), Some(&[2, 1][..]));
        assert_eq!(read.extension(&packet, EXT_RID), Some(&b"q"[..]));
        assert_eq!(read.extension(&packet, 9), None);
        write(&mut packet, &fields, 513, None).expect("room");
        assert_eq!(read.extension(&packet, EXT_RID), None);
        assert!(!is_rtcp(&packet) && Header::parse(&packet[..20]).is_none());
    }

    #[test]
    fn wishes_are_found_in_a_compound_packet() {
        let mut compound = Vec::new();
        receiver_report(&mut compound, 1, Some(Block { ssrc: 2, ..Block::default() }));
        nack(&mut compound, 1, 2, &[10, 12, 26, 27]);
        pli(&mut compound, 1, 2);
        transport_feedback(&mut compound, 1, 2, 0, 5, &[Some(64_000), None, Some(64_500), Some(900_000)]);
        cname(&mut compound, 1);
        assert!(is_rtcp(&compound) && compound.len() % 4 == 0);
        let mut seen = Vec::new();
        wishes(&compound, |wish| seen.push(wish));
        let expected = [
            Wish::Report,
            Wish::Resend { ssrc: 2, first: 10, mask: 1 << 1 | 1 << 15 },
            Wish::Resend { ssrc: 2, first: 27, mask: 0 },
            Wish::Keyframe { ssrc: 2 },
            Wish::Feedback,
        ];
        assert_eq!(seen, expected);
    }
}
