//! The client's consent to be sent to (RFC 7675 §5.1): an answer to a check of ours, from where the check went, made
//! with the client's password. A check *by* the client is not consent, because its source may be forged.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use fanlight_wire::limits::ICE_CONSENT_MAX;

use super::stun::{self, Stun, Transaction};

/// Checks of ours that may still be answered.
const CHECKS_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Consent {
    checks: VecDeque<(Transaction, SocketAddr)>,
    last: Option<Instant>,
}

impl Consent {
    /// Something leaves; if it is a check, its answer is consent.
    pub(super) fn note_sent(&mut self, destination: SocketAddr, payload: &[u8]) {
        if let Some(transaction) = stun::request_transaction(payload) {
            self.checks.push_back((transaction, destination));
            if self.checks.len() > CHECKS_MAX {
                self.checks.pop_front();
            }
        }
    }

    /// Something arrived. True when it renews consent.
    pub(super) fn note_received(&mut self, now: Instant, source: SocketAddr, payload: &[u8], password: &str) -> bool {
        if payload.first().is_none_or(|first| *first > 3) {
            return false;
        }
        let Some(transaction) = stun::transaction(payload) else {
            return false;
        };
        let asked = self.checks.iter().position(|check| *check == (transaction, source));
        let Some((index, message)) = asked.zip(Stun::parse(payload)) else {
            return false;
        };
        let given = message.is_success() && message.is_from_knower_of(password);
        if given {
            self.checks.remove(index);
            self.last = Some(now);
        }
        given
    }

    /// May anything but STUN be sent? Before the first answer there is no address to send to, so nothing is held back.
    pub(super) fn is_given(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now.saturating_duration_since(last) < ICE_CONSENT_MAX)
    }

    pub(super) fn lapses_at(&self) -> Option<Instant> {
        self.last.map(|last| last + ICE_CONSENT_MAX)
    }
}
