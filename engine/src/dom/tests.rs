//! Rules of the DOM stream.
