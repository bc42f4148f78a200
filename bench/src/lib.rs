//! What the benches share: frames of a synthetic page for the micro benches; the floor, the servers under test, and the
//! measuring of both under the same arrivals.

use fanlight_loadtest::page::Page;
use fanlight_wire::{Frame, MaskEpoch, PageEpoch};

pub mod baseline;
pub mod fanout;
pub mod floor;
pub mod janus;
pub mod limits;
pub mod measure;
pub mod relay;
pub mod report;

/// The frames of one diff of `bytes` bytes.
pub fn diff(bytes: usize) -> Vec<Frame> {
    page(1_000).change(bytes, 0)
}

/// A page whose snapshots weigh `bytes` bytes; always the same.
pub fn page(bytes: usize) -> Page {
    Page::new(1, PageEpoch::ZERO, MaskEpoch::ZERO, bytes)
}
