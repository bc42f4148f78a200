//! Whoever publishes: a source at a steady rate, or several encodings of one picture.

use std::time::Instant;

use super::simulcast::Simulcast;
use super::source::Source;
use super::udp::Port;

/// A publisher under way.
#[derive(Debug)]
pub enum Publisher {
    Steady(Box<Source>),
    Simulcast(Box<Simulcast>),
}

impl Publisher {
    /// When there is something to send.
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Steady(source) => Some(source.deadline()),
            Self::Simulcast(source) => source.deadline(),
        }
    }

    /// Sends what is due.
    pub fn handle_timeout(&mut self, now: Instant, port: &Port) {
        match self {
            Self::Steady(source) => source.handle_timeout(now, port),
            Self::Simulcast(source) => source.handle_timeout(now, port),
        }
    }

    /// Sender reports.
    pub fn report(&mut self, port: &Port) {
        match self {
            Self::Steady(source) => source.report(port),
            Self::Simulcast(source) => source.report(port),
        }
    }

    /// Answers a wish for a keyframe of the source `ssrc`.
    pub fn wish(&mut self, ssrc: u32) {
        match self {
            Self::Steady(source) => source.wish(),
            Self::Simulcast(source) => source.wish(ssrc),
        }
    }

    /// Falls silent.
    pub fn stop(&mut self, now: Instant) {
        match self {
            Self::Steady(source) => source.pace(now, 0),
            Self::Simulcast(source) => source.stop(),
        }
    }

    /// Packets sent, packets that left late, and keyframes asked for.
    pub fn counts(&self) -> (u64, u64, usize) {
        match self {
            Self::Steady(source) => (source.sent(), source.late, source.wishes().len()),
            Self::Simulcast(source) => {
                let all = source.encodings().iter();
                let (sent, wishes) =
                    all.fold((0, 0), |(sent, wishes), encoding| (sent + encoding.sent, wishes + encoding.wishes.len()));
                (sent, source.late, wishes)
            }
        }
    }
}
