//! RFC 4571 §2: every packet behind its length as a big-endian u16.

/// A packet is longer than allowed; the stream cannot be trusted to be framed at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

/// Puts packets together from whatever pieces TCP delivers.
#[derive(Debug, Default)]
pub(super) struct Framing {
    bytes: Vec<u8>,
    /// Where the next length begins.
    start: usize,
}

impl Framing {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole packet. Empty packets are passed over (RFC 4571 §2 allows them).
    pub(super) fn next(&mut self, longest: usize) -> Result<Option<Vec<u8>>, TooLong> {
        loop {
            let Some(Ok(length)) = self.bytes.get(self.start..self.start + 2).map(<[u8; 2]>::try_from) else {
                return Ok(None);
            };
            let length = usize::from(u16::from_be_bytes(length));
            if length > longest {
                return Err(TooLong);
            }
            let begin = self.start + 2;
            let Some(packet) = self.bytes.get(begin..begin + length) else { return Ok(None) };
            let packet = packet.to_vec();
            self.start = begin + length;
            if !packet.is_empty() {
                return Ok(Some(packet));
            }
        }
    }
}

/// A packet behind its length; `None` when it is too long to have one.
pub(super) fn framed(packet: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(packet.len()).ok()?;
    Some([length.to_be_bytes().as_slice(), packet].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_out_whole_however_they_were_cut() {
        let packets = [vec![1; 20], vec![2], vec![3; 1_500], vec![4; 7]];
        let mut stream: Vec<u8> = packets.iter().flat_map(|packet| framed(packet).unwrap()).collect();
        stream.splice(22..22, [0, 0]);
        for piece in 1..=97 {
            let mut framing = Framing::default();
            let mut out = Vec::new();
            for bytes in stream.chunks(piece) {
                framing.push(bytes);
                while let Some(packet) = framing.next(1_500).unwrap() {
                    out.push(packet);
                }
            }
            assert_eq!(out, packets, "pieces of {piece}");
        }
    }

    #[test]
    fn a_packet_beyond_the_limit_is_refused_before_it_is_stored() {
        let mut framing = Framing::default();
        framing.push(&1_501_u16.to_be_bytes());
        assert_eq!(framing.next(1_500), Err(TooLong));
        assert_eq!(framed(&vec![0; 70_000]), None);
    }
}
