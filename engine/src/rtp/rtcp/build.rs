//! Appending RTCP packets to a buffer; several appended one after another are a compound.

use super::{
    APPLICATION, BYE, NACK, Ntp, PAYLOAD_FEEDBACK, PLI, RECEIVER_REPORT, REMB, ReportBlock, SENDER_REPORT,
    SOURCE_DESCRIPTION, TRANSPORT_FEEDBACK, TRANSPORT_WIDE,
};

/// The five bits of a count.
const COUNT_MAX: usize = 31;
/// RFC 3550 §6.5.1.
const CNAME: u8 = 1;
/// The bits of a NACK's mask.
const MASK_BITS: u16 = 16;

/// At most 31 blocks are reported.
pub fn sender_report(
    out: &mut Vec<u8>,
    ssrc: u32,
    ntp: Ntp,
    timestamp: u32,
    packets: u32,
    bytes: u32,
    blocks: &[ReportBlock],
) {
    let blocks = blocks.get(..COUNT_MAX).unwrap_or(blocks);
    let at = begin(out, SENDER_REPORT, blocks.len() as u8);
    out.extend(ssrc.to_be_bytes());
    out.extend(ntp.0.to_be_bytes());
    append_words(out, [timestamp, packets, bytes]);
    blocks.iter().for_each(|block| append_block(out, block));
    end(out, at);
}

/// At most 31 blocks are reported.
pub fn receiver_report(out: &mut Vec<u8>, ssrc: u32, blocks: &[ReportBlock]) {
    let blocks = blocks.get(..COUNT_MAX).unwrap_or(blocks);
    let at = begin(out, RECEIVER_REPORT, blocks.len() as u8);
    out.extend(ssrc.to_be_bytes());
    blocks.iter().for_each(|block| append_block(out, block));
    end(out, at);
}

/// One chunk with one item; a name beyond 255 bytes is cut.
pub fn sdes_cname(out: &mut Vec<u8>, ssrc: u32, cname: &str) {
    let name = cname.as_bytes();
    let name = name.get(..255).unwrap_or(name);
    let at = begin(out, SOURCE_DESCRIPTION, 1);
    out.extend(ssrc.to_be_bytes());
    out.extend([CNAME, name.len() as u8]);
    out.extend(name);
    // One zero ends the items, more fill the word.
    out.push(0);
    end(out, at);
}

/// Asks for packets again; `lost` in ascending order (across the wrap) is packed best. Nothing for an empty list.
pub fn nack(out: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32, lost: impl IntoIterator<Item = u16>) {
    let mut lost = lost.into_iter();
    let Some(mut base) = lost.next() else { return };
    let at = begin(out, TRANSPORT_FEEDBACK, NACK);
    out.extend(sender_ssrc.to_be_bytes());
    out.extend(media_ssrc.to_be_bytes());
    let mut mask = 0_u16;
    let mut append = |base: u16, mask: u16| out.extend(((u32::from(base) << 16) | u32::from(mask)).to_be_bytes());
    for sequence in lost {
        match sequence.wrapping_sub(base) {
            0 => {}
            distance @ 1..=MASK_BITS => mask |= 1 << (distance - 1),
            _ => {
                append(base, mask);
                (base, mask) = (sequence, 0);
            }
        }
    }
    append(base, mask);
    end(out, at);
}

/// Asks for a keyframe.
pub fn pli(out: &mut Vec<u8>, sender_ssrc: u32, media_ssrc: u32) {
    let at = begin(out, PAYLOAD_FEEDBACK, PLI);
    out.extend(sender_ssrc.to_be_bytes());
    out.extend(media_ssrc.to_be_bytes());
    end(out, at);
}

/// Bounds what all of `sources` (at most 255) send together; rounded down to 18 significant bits.
pub fn remb(out: &mut Vec<u8>, sender_ssrc: u32, bps: u64, sources: &[u32]) {
    let sources = sources.get(..255).unwrap_or(sources);
    let exponent = (u64::BITS - bps.leading_zeros()).saturating_sub(18);
    let number = (exponent << 18) | (bps >> exponent) as u32;
    let at = begin(out, PAYLOAD_FEEDBACK, APPLICATION);
    out.extend(sender_ssrc.to_be_bytes());
    out.extend([0; 4]);
    out.extend(REMB);
    out.extend((((sources.len() as u32) << 24) | number).to_be_bytes());
    sources.iter().for_each(|ssrc| out.extend(ssrc.to_be_bytes()));
    end(out, at);
}

/// Takes leave of at most 31 sources.
pub fn bye(out: &mut Vec<u8>, sources: &[u32]) {
    let sources = sources.get(..COUNT_MAX).unwrap_or(sources);
    let at = begin(out, BYE, sources.len() as u8);
    sources.iter().for_each(|ssrc| out.extend(ssrc.to_be_bytes()));
    end(out, at);
}

/// Begins transport-wide feedback, whose body [`crate::rtp::twcc`] knows; returns where it begins.
pub(in crate::rtp) fn begin_transport_wide(out: &mut Vec<u8>) -> usize {
    begin(out, TRANSPORT_FEEDBACK, TRANSPORT_WIDE)
}

fn begin(out: &mut Vec<u8>, packet_type: u8, count: u8) -> usize {
    let at = out.len();
    out.extend([0x80 | count, packet_type, 0, 0]);
    at
}

/// Fills the last word and sets the length of the packet that begins at `at`.
pub(in crate::rtp) fn end(out: &mut Vec<u8>, at: usize) {
    let bytes = (out.len() - at).next_multiple_of(4);
    out.resize(at + bytes, 0);
    if let Some(length) = out.get_mut(at + 2..at + 4) {
        length.copy_from_slice(&((bytes / 4 - 1) as u16).to_be_bytes());
    }
}

fn append_block(out: &mut Vec<u8>, block: &ReportBlock) {
    let lost = block.cumulative_lost.clamp(-0x80_0000, 0x7f_ffff).cast_unsigned() & 0xff_ffff;
    let first = (u32::from(block.fraction_lost) << 24) | lost;
    append_words(out, [block.ssrc, first, block.highest, block.jitter, block.last_report, block.delay]);
}

fn append_words(out: &mut Vec<u8>, words: impl IntoIterator<Item = u32>) {
    words.into_iter().for_each(|word| out.extend(word.to_be_bytes()));
}
