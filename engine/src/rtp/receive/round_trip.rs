//! The round trip to somebody who receives from us, by what its reports echo (RFC 3550 §6.4.1, LSR and DLSR).

use std::time::{Duration, Instant};

use crate::rtp::rtcp::{Ntp, ReportBlock, from_middle_units};

/// Sender reports that may be echoed: one a second is sent, and each report echoes the newest.
const REMEMBERED: usize = 4;

/// Remembers the last sender reports, whatever clock their times are of.
#[derive(Debug, Default)]
pub struct RoundTrip {
    sent: [Option<(u32, Instant)>; REMEMBERED],
    oldest: usize,
    smoothed: Option<Duration>,
}

impl RoundTrip {
    /// A sender report with this time has left.
    pub fn sent(&mut self, now: Instant, ntp: Ntp) {
        if let Some(place) = self.sent.get_mut(self.oldest) {
            *place = Some((ntp.middle(), now));
        }
        self.oldest = (self.oldest + 1) % REMEMBERED;
    }

    /// A report came back; the measurement, if it echoes what was sent and claims no longer delay than has passed.
    pub fn measure(&mut self, now: Instant, block: &ReportBlock) -> Option<Duration> {
        let echoed = |(middle, _): &&(u32, Instant)| *middle == block.last_report && block.last_report != 0;
        let (_, sent) = self.sent.iter().flatten().find(echoed)?;
        let measured = now.saturating_duration_since(*sent).checked_sub(from_middle_units(block.delay))?;
        self.smoothed = Some(self.smoothed.map_or(measured, |smoothed| (smoothed * 7 + measured) / 8));
        Some(measured)
    }

    /// The mean over the last reports; `None` before the first.
    pub const fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }
}
