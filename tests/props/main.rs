//! Properties of every decoder of `wire` and of the media plane: what is written reads back, here and elsewhere, and no
//! bytes whatever make one panic.

mod frames;
mod rtcp;
mod values;
