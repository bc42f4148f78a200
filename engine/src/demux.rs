//! Whose datagram is this.
//!
//! Owns the table of ICE credentials and of the addresses they have proven. Invariant: bytes other than STUN reach a
//! peer only over a 5-tuple from which that peer's client has sent a connectivity check with valid MESSAGE-INTEGRITY
//! (RFC 8445 §7.3, RFC 8489 §9.1.3); nothing but such a check adds a tuple. Whatever fails is dropped in silence and
//! counted, so a stranger neither gets an answer nor learns which names exist. It leaves to [`crate::peer`] where to
//! send: only there a check of ours that was answered makes an address a destination.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use fanlight_wire::limits::{ICE_CONSENT_MAX, ICE_NAMES_MAX, VALIDATED_ADDRESSES_MAX};
use fanlight_wire::report::{Drop, ShardTotals};

use crate::datagram::{Datagram, Transport};
use crate::peer::IceCredentials;
use crate::peer::stun::{Stun, StunKind};

/// A media peer of this shard, named by the caller and never reused while it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub u64);

/// Datagrams dropped, by reason.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct DemuxDrops {
    /// Neither STUN, DTLS, RTP nor RTCP, or too short to be.
    pub malformed: u64,
    /// A check for a name that no peer has.
    pub unknown_name: u64,
    /// A check whose integrity is not the peer's.
    pub bad_integrity: u64,
    /// An answer from an address that proved nothing.
    pub stray_answer: u64,
    /// DTLS, RTP or RTCP from an address that proved nothing.
    pub unproven: u64,
}

/// The table of names and proven addresses of one shard.
#[derive(Debug, Default)]
pub struct Demux {
    names: HashMap<String, PeerKey>,
    peers: HashMap<PeerKey, Entry>,
    tuples: HashMap<Tuple, Owner>,
    drops: DemuxDrops,
}

#[derive(Debug)]
struct Entry {
    /// More than one after an ICE restart, newest last: the newest [`ICE_NAMES_MAX`] are good until the peer leaves.
    credentials: VecDeque<IceCredentials>,
    tuples: Vec<Tuple>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Tuple {
    transport: Transport,
    source: SocketAddr,
    destination: SocketAddr,
}

#[derive(Debug, Clone, Copy)]
struct Owner {
    key: PeerKey,
    proven: Instant,
}

impl Demux {
    /// Lets checks with these credentials in, for this peer. Called again for the same peer after an ICE restart.
    pub fn insert(&mut self, key: PeerKey, credentials: &IceCredentials) {
        self.names.insert(credentials.ufrag.clone(), key);
        let entry = self.peers.entry(key).or_insert_with(|| Entry { credentials: VecDeque::new(), tuples: Vec::new() });
        entry.credentials.push_back(credentials.clone());
        if entry.credentials.len() > ICE_NAMES_MAX
            && let Some(oldest) = entry.credentials.pop_front()
        {
            self.names.remove(&oldest.ufrag);
        }
    }

    /// Forgets a peer, its names and its addresses.
    pub fn remove(&mut self, key: PeerKey) {
        let Some(entry) = self.peers.remove(&key) else {
            return;
        };
        for credentials in &entry.credentials {
            self.names.remove(&credentials.ufrag);
        }
        for tuple in entry.tuples {
            self.disown(tuple, key);
        }
    }

    /// Names the peer that may read this datagram, or drops it.
    pub fn route(&mut self, now: Instant, datagram: &Datagram<'_>) -> Option<PeerKey> {
        let tuple = Tuple { transport: datagram.transport, source: datagram.source, destination: datagram.destination };
        // RFC 7983 §7: the first byte tells STUN (0–3) from DTLS (20–63) and RTP/RTCP (128–191).
        match datagram.payload.first() {
            Some(0..=3) => self.route_stun(now, tuple, datagram.payload),
            Some(20..=63 | 128..=191) => {
                let owner = self.tuples.get(&tuple).map(|owner| owner.key);
                self.drops.unproven += u64::from(owner.is_none());
                owner
            }
            _ => {
                self.drops.malformed += 1;
                None
            }
        }
    }

    /// Adds what was dropped here to the shard's totals.
    pub fn add_totals(&self, to: &mut ShardTotals) {
        let DemuxDrops { malformed, unknown_name, bad_integrity, stray_answer, unproven } = self.drops;
        let by_reason =
            [(Drop::Malformed, malformed), (Drop::Unvalidated, unknown_name + bad_integrity + stray_answer + unproven)];
        for (reason, count) in by_reason {
            let index = Drop::ALL.iter().position(|known| *known == reason);
            if let Some(total) = index.and_then(|index| to.drops.get_mut(index)) {
                *total += count;
            }
        }
    }

    pub const fn drops(&self) -> &DemuxDrops {
        &self.drops
    }

    /// Addresses that have proven themselves for this peer.
    pub fn proven(&self, key: PeerKey) -> usize {
        self.peers.get(&key).map_or(0, |entry| entry.tuples.len())
    }

    fn route_stun(&mut self, now: Instant, tuple: Tuple, payload: &[u8]) -> Option<PeerKey> {
        let Some(stun) = Stun::parse(payload) else {
            self.drops.malformed += 1;
            return None;
        };
        match stun.kind() {
            StunKind::Answer => {
                let owner = self.tuples.get(&tuple).map(|owner| owner.key);
                self.drops.stray_answer += u64::from(owner.is_none());
                owner
            }
            StunKind::Check { to } => {
                let Some((key, credentials)) = self.named(to) else {
                    self.drops.unknown_name += 1;
                    return None;
                };
                if !stun.is_from_knower_of(&credentials.pwd) {
                    self.drops.bad_integrity += 1;
                    return None;
                }
                self.prove(now, tuple, key);
                Some(key)
            }
            StunKind::Other => {
                self.drops.malformed += 1;
                None
            }
        }
    }

    fn named(&self, ufrag: &str) -> Option<(PeerKey, &IceCredentials)> {
        let key = *self.names.get(ufrag)?;
        let credentials = self.peers.get(&key)?.credentials.iter().find(|c| c.ufrag == ufrag)?;
        Some((key, credentials))
    }

    /// A member of one session who forges the source of another's checks must not take that address over while its
    /// owner is alive, so ownership moves only after a whole consent time of silence.
    fn prove(&mut self, now: Instant, tuple: Tuple, key: PeerKey) {
        if let Some(owner) = self.tuples.get_mut(&tuple) {
            if owner.key == key {
                owner.proven = now;
                return;
            }
            if now.saturating_duration_since(owner.proven) < ICE_CONSENT_MAX {
                return;
            }
            let before = owner.key;
            if let Some(entry) = self.peers.get_mut(&before) {
                entry.tuples.retain(|t| *t != tuple);
            }
        }
        self.tuples.insert(tuple, Owner { key, proven: now });
        let Some(entry) = self.peers.get_mut(&key) else {
            return;
        };
        entry.tuples.push(tuple);
        if entry.tuples.len() <= VALIDATED_ADDRESSES_MAX {
            return;
        }
        // The one that has been silent for longest; the address in use proves itself every few seconds.
        let proven = |tuple: &&Tuple| self.tuples.get(tuple).map(|owner| owner.proven);
        if let Some(stalest) = entry.tuples.iter().min_by_key(proven).copied() {
            entry.tuples.retain(|tuple| *tuple != stalest);
            self.disown(stalest, key);
        }
    }

    fn disown(&mut self, tuple: Tuple, key: PeerKey) {
        if self.tuples.get(&tuple).is_some_and(|owner| owner.key == key) {
            self.tuples.remove(&tuple);
        }
    }
}

#[cfg(test)]
mod tests;
