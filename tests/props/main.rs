//! Properties of every decoder of `wire`: what is written reads back, and no bytes whatever make one panic.

mod frames;
mod values;
