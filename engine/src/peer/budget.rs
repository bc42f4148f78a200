//! What one client can make us remember and compute.

use std::time::{Duration, Instant};

use fanlight_wire::limits::{DATAGRAM_BYTES_MAX, DTLS_BYTES_PER_SECOND};

#[derive(Debug)]
pub(super) struct Budget {
    /// Sources that the offer names; empty when it leaves them open.
    declared: Vec<u32>,
    /// DTLS bytes taken in since then (G-21).
    dtls: (Instant, u32),
}

impl Budget {
    pub(super) const fn new(now: Instant) -> Self {
        Self { declared: Vec::new(), dtls: (now, 0) }
    }

    /// New sections may bring new sources. With none declared, any may come, up to
    /// [`fanlight_wire::limits::SSRC_MAX`] that prove to have the keys.
    pub(super) fn renegotiated(&mut self, declared: Vec<u32>) {
        self.declared = declared;
    }

    /// May this datagram be worked on?
    pub(super) fn admits(&mut self, now: Instant, payload: &[u8]) -> bool {
        match payload.first() {
            _ if payload.len() > DATAGRAM_BYTES_MAX => false,
            Some(20..=63) => self.admits_dtls(now, payload.len()),
            _ => true,
        }
    }

    /// May media with this source be looked at? Browsers probe the path with source 0, which carries no media.
    pub(super) fn admits_source(&self, ssrc: u32) -> bool {
        self.declared.is_empty() || ssrc == 0 || self.declared.contains(&ssrc)
    }

    fn admits_dtls(&mut self, now: Instant, bytes: usize) -> bool {
        if now.saturating_duration_since(self.dtls.0) >= Duration::from_secs(1) {
            self.dtls = (now, 0);
        }
        self.dtls.1 = self.dtls.1.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.dtls.1 <= DTLS_BYTES_PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a base for virtual time")]
    fn base() -> Instant {
        Instant::now()
    }

    // G-21
    #[test]
    fn an_offer_that_names_its_sources_is_held_to_them() {
        let mut budget = Budget::new(base());
        assert!(budget.admits_source(8), "it names none");
        budget.renegotiated(vec![7]);
        assert_eq!([7, 0, 8].map(|ssrc| budget.admits_source(ssrc)), [true, true, false]);
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
