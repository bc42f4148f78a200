//! VP8's payload descriptor (RFC 7741 §4.2): where a packet belongs, and its picture numbers rewritten.
//!
//! A receiver takes a gap in the picture ids for a picture that is still to come, so what a subscriber does not get must
//! not be counted, and another encoding must continue the count.

use super::Place;

/// Pictures remembered, so that a late or repeated packet gets its picture's number: about two seconds.
const PICTURES: usize = 64;
const ID_MASK: u16 = 0x7fff;

/// Where the fields are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Descriptor {
    starts: bool,
    /// Place and value of the picture id, and whether it has 15 bits.
    picture: Option<(usize, u16, bool)>,
    /// Place and value of TL0PICIDX.
    base: Option<(usize, u8)>,
    temporal: u8,
    sync: bool,
}

fn parse(payload: &[u8]) -> Option<Descriptor> {
    let first = *payload.first()?;
    let mut read = Descriptor { starts: first & 0x10 != 0 && first & 0x0f == 0, ..Descriptor::default() };
    if first & 0x80 == 0 {
        return Some(read);
    }
    let flags = *payload.get(1)?;
    let mut at = 2;
    if flags & 0x80 != 0 {
        let high = *payload.get(at)?;
        if high & 0x80 != 0 {
            let id = u16::from_be_bytes([high & 0x7f, *payload.get(at + 1)?]);
            read.picture = Some((at, id, true));
            at += 2;
        } else {
            read.picture = Some((at, u16::from(high), false));
            at += 1;
        }
    }
    if flags & 0x40 != 0 {
        read.base = Some((at, *payload.get(at)?));
        at += 1;
    }
    if flags & 0x30 != 0 {
        let indices = *payload.get(at)?;
        if flags & 0x20 != 0 {
            read.temporal = indices >> 6;
            read.sync = indices & 0x20 != 0;
        }
    }
    Some(read)
}

/// `None` when the descriptor is cut short.
pub(super) fn place(payload: &[u8]) -> Option<Place> {
    let read = parse(payload)?;
    Some(Place {
        temporal: read.temporal,
        opens: read.temporal,
        begins_frame: read.starts,
        switch_up: read.sync,
        ..Place::default()
    })
}

#[derive(Debug, Clone, Copy)]
struct Picture {
    arrived: u16,
    leaves: u16,
    base: u8,
    dropped: bool,
}

/// One subscription's picture numbers. Up to half a kilobyte, and nothing for sources that number no pictures.
#[derive(Debug, Default)]
pub struct Rewriter {
    /// A ring; the newest is at `newest`.
    pictures: Vec<Picture>,
    newest: usize,
    /// What is taken off the numbers that arrive.
    id_less: u16,
    base_less: u8,
    /// The highest numbers that have left.
    last: Option<(u16, u8)>,
    /// Another encoding or source follows.
    joins: bool,
}

impl Rewriter {
    /// What follows comes from another encoding or source: its count continues the one that has left so far.
    pub fn change_source(&mut self) {
        self.pictures.clear();
        self.newest = 0;
        self.joins = self.last.is_some();
    }

    /// This packet is not sent. Its picture leaves no gap.
    pub fn skip(&mut self, payload: &[u8]) {
        if let Some(read) = parse(payload) {
            self.picture(&read, true);
        }
    }

    /// Rewrites the numbers in the copy that is sent. False when it must not be sent after all: its picture was skipped,
    /// or is older than what is remembered.
    pub fn rewrite(&mut self, payload: &mut [u8]) -> bool {
        let Some(read) = parse(payload) else { return true };
        let Some((at, _, wide)) = read.picture else { return true };
        let Some(picture) = self.picture(&read, false) else { return false };
        if picture.dropped {
            return false;
        }
        let [high, low] = picture.leaves.to_be_bytes();
        if let (true, Some([first, second])) = (wide, payload.get_mut(at..at + 2)) {
            (*first, *second) = (high | 0x80, low);
        } else if let Some(first) = payload.get_mut(at) {
            *first = low & 0x7f;
        }
        if let Some(byte) = read.base.and_then(|(at, _)| payload.get_mut(at)) {
            *byte = picture.base;
        }
        true
    }

    /// The picture that a packet belongs to, noted when it is new.
    fn picture(&mut self, read: &Descriptor, dropped: bool) -> Option<Picture> {
        let (_, id, wide) = read.picture?;
        let base = read.base.map_or(0, |(_, base)| base);
        if let Some(known) = self.find(id) {
            return Some(known);
        }
        let newest = self.pictures.get(self.newest).copied();
        if newest.is_some_and(|newest| !is_newer(id, newest.arrived, wide)) {
            return None;
        }
        if std::mem::take(&mut self.joins)
            && let Some((last_id, last_base)) = self.last
        {
            self.id_less = id.wrapping_sub(last_id).wrapping_sub(1);
            self.base_less = base.wrapping_sub(last_base).wrapping_sub(1);
        }
        let leaves = id.wrapping_sub(self.id_less) & ID_MASK;
        let picture = Picture { arrived: id, leaves, base: base.wrapping_sub(self.base_less), dropped };
        if dropped {
            self.id_less = self.id_less.wrapping_add(1);
        } else {
            self.last = Some((picture.leaves, picture.base));
        }
        self.note(picture);
        Some(picture)
    }

    fn find(&self, id: u16) -> Option<Picture> {
        let (newer, older) = self.pictures.split_at_checked(self.newest + 1)?;
        newer.iter().rev().chain(older.iter().rev()).find(|picture| picture.arrived == id).copied()
    }

    fn note(&mut self, picture: Picture) {
        if self.pictures.len() < PICTURES {
            self.pictures.push(picture);
            self.newest = self.pictures.len() - 1;
            return;
        }
        self.newest = (self.newest + 1) % PICTURES;
        if let Some(slot) = self.pictures.get_mut(self.newest) {
            *slot = picture;
        }
    }
}

/// Numbers count in circles of 15 bits, or of 7.
const fn is_newer(id: u16, than: u16, wide: bool) -> bool {
    let mask = if wide { ID_MASK } else { 0x7f };
    let ahead = id.wrapping_sub(than) & mask;
    ahead != 0 && ahead <= mask / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(id: u16, base: u8, temporal: u8) -> Vec<u8> {
        let [high, low] = id.to_be_bytes();
        vec![0x90, 0xe0, high | 0x80, low, base, temporal << 6, 0x01]
    }

    fn sent(rewriter: &mut Rewriter, id: u16, base: u8) -> Option<(u16, u8)> {
        let mut payload = packet(id, base, 0);
        let sent = rewriter.rewrite(&mut payload).then(|| parse(&payload).expect("whole"))?;
        Some((sent.picture?.1, sent.base?.1))
    }

    #[test]
    fn what_is_skipped_is_not_counted_and_repeats_keep_their_number() {
        let mut rewriter = Rewriter::default();
        assert_eq!(sent(&mut rewriter, 0x7ffe, 9), Some((0x7ffe, 9)));
        rewriter.skip(&packet(0x7fff, 9, 1));
        rewriter.skip(&packet(0x7fff, 9, 1));
        assert_eq!(sent(&mut rewriter, 0, 10), Some((0x7fff, 10)));
        assert_eq!(sent(&mut rewriter, 2, 11), Some((1, 11)), "a picture lost upstream stays a gap");
        assert_eq!(sent(&mut rewriter, 0x7ffe, 9), Some((0x7ffe, 9)), "repeated");
        assert_eq!(sent(&mut rewriter, 0x7fff, 9), None, "was skipped");
        assert_eq!(sent(&mut rewriter, 1, 10), None, "unknown and old");
    }

    #[test]
    fn another_encoding_continues_the_count() {
        let mut rewriter = Rewriter::default();
        assert_eq!(sent(&mut rewriter, 100, 50), Some((100, 50)));
        rewriter.change_source();
        assert_eq!(sent(&mut rewriter, 9_000, 3), Some((101, 51)));
        assert_eq!(sent(&mut rewriter, 9_001, 4), Some((102, 52)));
        rewriter.change_source();
        assert_eq!(sent(&mut rewriter, 7, 255), Some((103, 53)));
        assert_eq!(sent(&mut rewriter, 8, 0), Some((104, 54)));
    }

    #[test]
    fn a_count_of_seven_bits_wraps() {
        let mut rewriter = Rewriter::default();
        for id in [126_u8, 127, 0, 1] {
            let mut payload = vec![0x90, 0x80, id, 0x01];
            assert!(rewriter.rewrite(&mut payload));
            assert_eq!(payload.get(2), Some(&id));
        }
    }

    #[test]
    fn without_numbers_nothing_is_touched() {
        let mut rewriter = Rewriter::default();
        for bytes in [&[0x10_u8, 0x00][..], &[0x90, 0x20, 0x60, 0x00], &[0x90], &[]] {
            let mut payload = bytes.to_vec();
            assert!(rewriter.rewrite(&mut payload));
            assert_eq!(payload, bytes);
        }
    }
}
