//! What one client can make us remember and compute.

use std::time::{Duration, Instant};

use fanlight_wire::limits::{
    DATAGRAM_BYTES_MAX, DTLS_BYTES_PER_SECOND, PEER_BYTES_PER_SECOND, PEER_PACKETS_PER_SECOND,
};

#[derive(Debug)]
pub(super) struct Budget {
    /// Sources that the offer names; empty when it leaves them open.
    declared: Vec<u32>,
    /// DTLS bytes taken in since then (G-21).
    dtls: (Instant, u32),
    /// Everything taken in since then: packets and bytes (G-27).
    all: (Instant, u32, u32),
}

impl Budget {
    pub(super) const fn new(now: Instant) -> Self {
        Self { declared: Vec::new(), dtls: (now, 0), all: (now, 0, 0) }
    }

    /// New sections may bring new sources. With none declared, any may come that proves to have the keys,
    /// [`fanlight_wire::limits::SSRC_MAX`] at a time.
    pub(super) fn renegotiated(&mut self, declared: Vec<u32>) {
        self.declared = declared;
    }

    /// May this datagram be worked on?
    pub(super) fn admits(&mut self, now: Instant, payload: &[u8]) -> bool {
        match payload.first() {
            _ if payload.len() > DATAGRAM_BYTES_MAX || !self.admits_one_more(now, payload.len()) => false,
            Some(20..=63) => self.admits_dtls(now, payload.len()),
            _ => true,
        }
    }

    /// May media with this source be looked at? Browsers probe the path with source 0, which carries no media.
    pub(super) fn admits_source(&self, ssrc: u32) -> bool {
        self.declared.is_empty() || ssrc == 0 || self.declared.contains(&ssrc)
    }

    fn admits_one_more(&mut self, now: Instant, bytes: usize) -> bool {
        let (since, packets, sum) = &mut self.all;
        if now.saturating_duration_since(*since) >= Duration::from_secs(1) {
            self.all = (now, 1, u32::try_from(bytes).unwrap_or(u32::MAX));
            return true;
        }
        *packets = packets.saturating_add(1);
        *sum = sum.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        *packets <= PEER_PACKETS_PER_SECOND && *sum <= PEER_BYTES_PER_SECOND
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

    // G-27
    #[test]
    fn what_one_peer_sends_is_bounded_per_second() {
        let base = base();
        let mut budget = Budget::new(base);
        let admitted = |budget: &mut Budget, now, bytes: usize| {
            (0..2 * PEER_PACKETS_PER_SECOND).filter(|_| budget.admits(now, &[128; 1_500][..bytes])).count()
        };
        assert_eq!(admitted(&mut budget, base, 20), PEER_PACKETS_PER_SECOND as usize);
        let later = base + Duration::from_secs(1);
        assert_eq!(admitted(&mut budget, later, 1_500), PEER_BYTES_PER_SECOND as usize / 1_500);
        assert!(budget.admits(later + Duration::from_secs(1), &[0; 100]), "connectivity checks go on");
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
