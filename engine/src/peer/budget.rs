//! What one client can make us remember and compute.

use std::time::{Duration, Instant};

use fanlight_wire::limits::{DATAGRAM_BYTES_MAX, DTLS_BYTES_PER_SECOND, SSRC_MAX};

#[derive(Debug)]
pub(super) struct Budget {
    /// Sources heard since the last negotiation (G-28).
    ssrcs: Vec<u32>,
    /// Sources that the offer names. str0m gives a section to a source that it does not know before it authenticates
    /// the packet, and never takes it back: whoever could forge one packet would end a share. Empty: it names none.
    declared: Vec<u32>,
    /// DTLS bytes taken in since then (G-21).
    dtls: (Instant, u32),
}

impl Budget {
    pub(super) const fn new(now: Instant) -> Self {
        Self { ssrcs: Vec::new(), declared: Vec::new(), dtls: (now, 0) }
    }

    /// New sections may bring new sources.
    pub(super) fn renegotiated(&mut self, declared: &[u32]) {
        self.ssrcs.clear();
        self.declared = declared.to_vec();
    }

    /// May this datagram be worked on?
    pub(super) fn admits(&mut self, now: Instant, payload: &[u8]) -> bool {
        if payload.len() > DATAGRAM_BYTES_MAX {
            return false;
        }
        match payload.first() {
            Some(20..=63) => self.admits_dtls(now, payload.len()),
            Some(128..=191) if is_rtp(payload) => self.admits_source(payload),
            _ => true,
        }
    }

    fn admits_dtls(&mut self, now: Instant, bytes: usize) -> bool {
        if now.saturating_duration_since(self.dtls.0) >= Duration::from_secs(1) {
            self.dtls = (now, 0);
        }
        self.dtls.1 = self.dtls.1.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.dtls.1 <= DTLS_BYTES_PER_SECOND
    }

    fn admits_source(&mut self, payload: &[u8]) -> bool {
        let Some(ssrc) = payload.get(8..12).and_then(|bytes| bytes.try_into().ok()).map(u32::from_be_bytes) else {
            return false;
        };
        // Browsers probe the path with source 0, which carries no media.
        if !self.declared.is_empty() && ssrc != 0 && !self.declared.contains(&ssrc) {
            return false;
        }
        if !self.ssrcs.contains(&ssrc) {
            if self.ssrcs.len() >= SSRC_MAX {
                return false;
            }
            self.ssrcs.push(ssrc);
        }
        true
    }
}

/// RFC 5761 §4: on one port a payload type of 64–95 in the second byte is RTCP.
pub(super) fn is_rtp(payload: &[u8]) -> bool {
    matches!(payload, [128..=191, second, ..] if !(64..=95).contains(&(second & 0x7f)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
    fn base() -> Instant {
        Instant::now()
    }

    // G-28
    #[test]
    fn sources_are_bounded_and_known_ones_go_on() {
        let mut budget = Budget::new(base());
        let mut rtp = [0x80, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 7];
        let admitted = (0..100_u8)
            .filter(|ssrc| {
                rtp[11] = *ssrc;
                budget.admits(base(), &rtp)
            })
            .count();
        assert_eq!(admitted, SSRC_MAX);
        rtp[11] = 3;
        assert!(budget.admits(base(), &rtp));
        assert!(budget.admits(base(), &[0x80, 200, 0, 1, 0, 0, 0, 9]), "RTCP names no new source");
    }

    // G-21
    #[test]
    fn an_offer_that_names_its_sources_is_held_to_them() {
        let mut budget = Budget::new(base());
        budget.renegotiated(&[7]);
        let mut admits = |ssrc| budget.admits(base(), &[0x80, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, ssrc, 9]);
        assert_eq!([admits(7), admits(0), admits(8)], [true, true, false]);
    }

    #[test]
    fn dtls_is_bounded_per_second() {
        let base = base();
        let mut budget = Budget::new(base);
        let mut record = [0; 1_024];
        record[0] = 22;
        let admitted = (0..200).filter(|_| budget.admits(base, &record)).count();
        assert_eq!(admitted, DTLS_BYTES_PER_SECOND as usize / 1_024);
        assert!(budget.admits(base + Duration::from_secs(1), &record));
    }
}
