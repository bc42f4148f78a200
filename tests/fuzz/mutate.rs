//! A small mutator: the changes that find most mistakes in parsers of length-prefixed fields.

/// Bytes that stand at the edges of ranges.
const EDGES: [u8; 8] = [0, 1, 0x7f, 0x80, 0xfe, 0xff, 0x30, 0x40];
/// Longest input.
const BYTES_MAX: usize = 4_096;

/// A changed copy of one input, sometimes crossed with another.
pub(crate) fn mutated(random: &mut fastrand::Rng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut input = corpus[random.usize(..corpus.len())].clone();
    for _ in 0..random.usize(1..6) {
        change(random, &mut input, corpus);
    }
    input.truncate(BYTES_MAX);
    input
}

fn change(random: &mut fastrand::Rng, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    let at = random.usize(..=input.len());
    let rest = input.len() - at;
    match random.u32(..8) {
        0 => input.truncate(at),
        1 => input.insert(at, random.u8(..)),
        2 if rest > 0 => input[at] ^= 1 << random.u32(..8),
        3 if rest > 0 => input[at] = EDGES[random.usize(..EDGES.len())],
        4 if rest > 0 => {
            input.drain(at..at + random.usize(..=rest.min(16)));
        }
        // A length field, as big-endian bytes.
        5 if rest >= 4 => {
            let value = [0, 1, u32::MAX, 16_356, 16_357, random.u32(..)][random.usize(..6)];
            input[at..at + 4].copy_from_slice(&value.to_be_bytes());
        }
        6 => {
            let other = &corpus[random.usize(..corpus.len())];
            let from = random.usize(..=other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
        _ => {
            let piece = input[at..at + random.usize(..=rest.min(32))].to_vec();
            let to = random.usize(..=input.len());
            input.splice(to..to, piece);
        }
    }
}
