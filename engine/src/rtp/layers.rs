//! What a packet belongs to, and what a subscriber gets of it.
//!
//! [`Placer`] reads from each packet of an encoding to which spatial and temporal layer it belongs ([`Place`]); [`Meter`]
//! measures what the layers cost; [`Allocation`] decides what a subscriber's path has room for; [`Selector`] lets pass
//! what was decided, so that nothing leaves whose dependencies did not; [`vp8::Rewriter`] closes the gaps that are left
//! in VP8's own numbering.
//!
//! Invariants: reading is total over hostile bytes; layers rise only where the encoder says that they may, and fall at
//! the next frame; the lowest decodable layer always flows. Follows RFC 7741 (VP8), RFC 9628 (VP9) and the dependency
//! descriptor of the AV1 RTP specification. What a path carries is left to [`super::bwe`], sequence numbers and
//! packets to the sender.

mod allocate;
mod dependency;
mod ladder;
mod meter;
mod selector;
#[cfg(test)]
mod tests;
pub mod vp8;
mod vp9;

pub use allocate::{Allocation, allocate};
pub use ladder::{Kind, Ladder, Step};
pub use meter::{Meter, Rates};
pub use selector::{Selector, Verdict};

use crate::codec::Codec;
use dependency::Structure;

/// Simulcast encodings of a source.
pub const SIMULCAST_MAX: usize = 3;
/// Spatial layers within one encoding; higher ones count as the highest.
pub const SPATIAL_MAX: usize = 3;
/// Temporal layers; higher ones count as the highest.
pub const TEMPORAL_MAX: usize = 4;

/// A choice among what a source offers. A component beyond what exists means the highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Target {
    /// Which simulcast encoding; 0 is the smallest.
    pub simulcast: u8,
    /// The highest spatial layer within it.
    pub spatial: u8,
    /// The highest temporal layer.
    pub temporal: u8,
}

impl Target {
    /// Everything that the lowest encoding has.
    pub const ALL: Self = Self { simulcast: 0, spatial: SPATIAL_MAX as u8 - 1, temporal: TEMPORAL_MAX as u8 - 1 };
}

/// What one packet belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// Below [`SPATIAL_MAX`].
    pub spatial: u8,
    /// Below [`TEMPORAL_MAX`].
    pub temporal: u8,
    /// The highest temporal layer that may flow from this frame on once the frame itself has been let pass; its own
    /// layer when that is no switching point.
    pub opens: u8,
    /// The first packet of a frame of its spatial layer. False where the codec does not tell.
    pub begins_frame: bool,
    /// The last packet of a frame of its spatial layer. False where only RTP's marker tells.
    pub ends_frame: bool,
    /// A decoder that knows nothing yet starts with this packet.
    pub keyframe: bool,
    /// Its frame needs no earlier picture, only lower spatial layers of the same one.
    pub independent: bool,
    /// Its frame needs nothing of its own temporal layer or above.
    pub switch_up: bool,
}

/// Reads the places of one encoding's packets. Keeps the last dependency structure, at most about 1 KiB.
#[derive(Debug, Default)]
pub struct Placer {
    structure: Option<Box<Structure>>,
}

impl Placer {
    /// Where `payload` belongs; `dependency` is the packet's dependency descriptor, if it carries one. Answers for any
    /// bytes; what cannot be read belongs to the lowest layer.
    pub fn place(&mut self, codec: Codec, payload: &[u8], dependency: Option<&[u8]>) -> Place {
        let keyframe = codec.begins_keyframe(payload);
        let described = dependency.and_then(|bytes| dependency::place(&mut self.structure, bytes));
        let read = match codec {
            // Their own descriptors are always there and cannot disagree with themselves.
            Codec::Vp8 => vp8::place(payload),
            Codec::Vp9 => vp9::place(payload),
            Codec::Av1 | Codec::H264 => described,
            Codec::Opus | Codec::Red => None,
        };
        let place = read.unwrap_or_default();
        let top = TEMPORAL_MAX as u8 - 1;
        Place {
            spatial: place.spatial.min(SPATIAL_MAX as u8 - 1),
            temporal: place.temporal.min(top),
            opens: if keyframe { top } else { place.opens.max(place.temporal).min(top) },
            keyframe,
            independent: place.independent || keyframe,
            ..place
        }
    }
}

/// Where a packet belongs without knowledge of earlier ones: as [`Placer::place`] for formats whose every packet tells.
pub fn place(codec: Codec, payload: &[u8], dependency: Option<&[u8]>) -> Place {
    Placer::default().place(codec, payload, dependency)
}
