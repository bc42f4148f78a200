//! VP9's payload descriptor as far as layers go (RFC 9628 §4.2).

use super::Place;

/// `None` when the descriptor is cut short.
pub(super) fn place(payload: &[u8]) -> Option<Place> {
    let first = *payload.first()?;
    let (picture_id, predicted, layers) = (first & 0x80 != 0, first & 0x40 != 0, first & 0x20 != 0);
    let mut place = Place {
        begins_frame: first & 0x08 != 0,
        ends_frame: first & 0x04 != 0,
        independent: !predicted,
        ..Place::default()
    };
    if layers {
        let mut at = 1;
        if picture_id {
            at += if payload.get(at)? & 0x80 != 0 { 2 } else { 1 };
        }
        let indices = *payload.get(at)?;
        place.temporal = indices >> 5;
        place.spatial = (indices >> 1) & 0x07;
        // U: later frames of higher temporal layers need nothing of theirs from before this frame.
        place.opens = if indices & 0x10 != 0 { u8::MAX } else { place.temporal };
    }
    Some(place)
}
