//! What the benches feed to the engine: real frames of a synthetic page.

use fanlight_loadtest::page::Page;
use fanlight_wire::{Frame, MaskEpoch, PageEpoch};

/// The frames of one diff of `bytes` bytes.
pub fn diff(bytes: usize) -> Vec<Frame> {
    page(1_000).change(bytes, 0)
}

/// A page whose snapshots weigh `bytes` bytes; always the same.
pub fn page(bytes: usize) -> Page {
    Page::new(1, PageEpoch::ZERO, MaskEpoch::ZERO, bytes)
}
