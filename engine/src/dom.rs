//! Placeholder so that the crate builds; replaced in this change.
