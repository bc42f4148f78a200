//! The client's consent to be sent to (RFC 7675 §5.1): an answer to a check of ours, from where the check went, made
//! with the client's password. A check *by* the client is not consent, because its source may be forged.
//!
//! Owns the paths by which the client has shown up. Invariant: media takes a path only while an answer by that very path
//! is younger than [`ICE_CONSENT_MAX`] and the client, who is the controlling side, has nominated it (RFC 8445 §8.1.1).

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fanlight_wire::limits::{ICE_CONSENT_MAX, VALIDATED_ADDRESSES_MAX};

use super::stun::{self, Stun, Transaction};
use crate::datagram::{Datagram, Transport};
use crate::rtp::send::Destination;

/// Checks of ours that may still be answered.
const CHECKS_MAX: usize = 64;
/// Nominations within this time of each other are of one round: clients that nominate every path they try mean the best.
const NOMINATION_ROUND: Duration = Duration::from_secs(5);

#[derive(Debug, Default)]
pub(super) struct Consent {
    checks: VecDeque<(Transaction, SocketAddr)>,
    paths: Vec<Path>,
    chosen: Option<Destination>,
    last: Option<Instant>,
}

#[derive(Debug)]
struct Path {
    to: Destination,
    nominated: Option<Instant>,
    answered: Option<Instant>,
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

    /// Something arrived that is the client's. True when it renews consent.
    pub(super) fn note_received(&mut self, now: Instant, datagram: &Datagram<'_>, password: &str) -> bool {
        let payload: &[u8] = datagram.payload;
        if payload.first().is_none_or(|first| *first > 3) {
            return false;
        }
        let Some(message) = Stun::parse(payload) else {
            return false;
        };
        if message.nominates() {
            self.path(datagram).nominated = Some(now);
            self.choose();
            return false;
        }
        let Some(transaction) = stun::transaction(payload) else {
            return false;
        };
        let asked = self.checks.iter().position(|check| *check == (transaction, datagram.source));
        let Some(index) = asked else {
            return false;
        };
        let given = message.is_success() && message.is_from_knower_of(password);
        if given {
            self.checks.remove(index);
            self.last = Some(now);
            self.path(datagram).answered = Some(now);
            self.choose();
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

    /// Where media goes.
    pub(super) fn destination(&self, now: Instant) -> Option<Destination> {
        self.chosen.filter(|_| self.last.is_some() && self.is_given(now))
    }

    /// The path by which a datagram came; a new one takes the place of the one that has been silent for longest.
    fn path(&mut self, datagram: &Datagram<'_>) -> &mut Path {
        let to =
            Destination { transport: datagram.transport, source: datagram.destination, destination: datagram.source };
        let known = self.paths.iter().position(|path| path.to == to);
        let index = known.unwrap_or_else(|| {
            if self.paths.len() >= VALIDATED_ADDRESSES_MAX {
                let stalest = (0..self.paths.len()).min_by_key(|at| self.paths.get(*at).and_then(|path| path.answered));
                self.paths.swap_remove(stalest.unwrap_or_default());
            }
            self.paths.push(Path { to, nominated: None, answered: None });
            self.paths.len() - 1
        });
        &mut self.paths[index]
    }

    /// The latest nomination counts, but UDP before TCP when both are of one round.
    fn choose(&mut self) {
        let Some(newest) = self.last else { return };
        let valid = |path: &&Path| {
            path.answered.is_some_and(|answered| newest.saturating_duration_since(answered) < ICE_CONSENT_MAX)
        };
        let nominated = || self.paths.iter().filter(valid).filter_map(|path| Some((path.nominated?, path.to)));
        let Some(latest) = nominated().map(|(at, _)| at).max() else { return };
        let round = |at: Instant| latest.saturating_duration_since(at) < NOMINATION_ROUND;
        let best = nominated().max_by_key(|(at, to)| (round(*at) && to.transport == Transport::Udp, *at));
        self.chosen = best.map(|(_, to)| to);
    }
}
