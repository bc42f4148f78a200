//! Join tickets and media tokens: made and checked here (RFC 7515 compact form, RFC 8037 EdDSA, RFC 8725).
//!
//! Invariant: exactly one form of each is accepted. The first segment must be, byte for byte, the header of a [`Ring`]'s
//! key, so a ticket cannot choose its algorithm or its type, names one of at most two keys, and neither kind is ever taken
//! for the other; the claims must be exactly [`Claims`], each once; the signature must be ours; the time must fit; a join
//! ticket admits once.
//!
//! A general JWT library is not used: those at hand read the system's clock instead of being given the time, and accept
//! header fields that they do not understand.

mod ring;

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanlight_wire::limits::{
    MEDIA_TOKEN_LIFE_MAX, NAME_CHARS_MAX, TICKET_BYTES_MAX, TICKET_LEEWAY, TICKET_LIFE, TICKETS_SPENT_MAX,
};
use fanlight_wire::token::{AUDIENCE, Claims, ISSUER};
use fanlight_wire::{Code, Refusal};

use crate::config::StartError;
use crate::locked;
use ring::{Kind, Ring};

/// Characters of a `jti`; ours have 22.
const JTI_CHARS_MAX: usize = 64;
/// The longest time from minting to the last moment of acceptance.
const GENERATION: Duration = TICKET_LIFE.saturating_add(TICKET_LEEWAY).saturating_add(TICKET_LEEWAY);

/// Signs, verifies and spends tickets.
#[derive(Debug)]
pub(crate) struct Tokens {
    ring: RwLock<Ring>,
    spent: Mutex<Spent>,
}

/// The tickets that have admitted somebody, in two generations: when the newer is as old as a ticket can be valid, the
/// older is forgotten.
#[derive(Debug, Default)]
struct Spent {
    newer: HashSet<String>,
    older: HashSet<String>,
    began: Option<Instant>,
}

impl Tokens {
    /// With the key of that file, made at the first start; or with a key of this process.
    pub(crate) fn open(key_path: Option<&Path>) -> Result<Self, StartError> {
        Ok(Self { ring: RwLock::new(Ring::open(key_path)?), spent: Mutex::default() })
    }

    /// From now on a new key signs. Tickets of the one before are good until they expire, unless it shall be forgotten
    /// because somebody else may have it. The new key's name.
    ///
    /// # Errors
    /// `E_BUSY` while two keys are in use already; `E_STORE` when the new key cannot be kept.
    pub(crate) fn rotate(&self, unix: u64, forget: bool) -> Result<String, Refusal> {
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        ring.rotate(unix, forget)
    }

    fn ring(&self) -> RwLockReadGuard<'_, Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// A ticket that says this. The caller has filled every claim; capabilities are narrowed to the role's ceiling.
    pub(crate) fn mint(&self, claims: Claims) -> String {
        encode(&self.ring(), Kind::Join, claims)
    }

    /// A media token that says this, for as long as its claims say.
    pub(crate) fn mint_media(&self, claims: Claims) -> String {
        encode(&self.ring(), Kind::Media, claims)
    }

    /// What a ticket says, if it is ours and in time. It is not spent by this.
    ///
    /// # Errors
    /// `E_TICKET`, the same whatever is wrong.
    pub(crate) fn verify(&self, ticket: &str, unix: u64) -> Result<Claims, Refusal> {
        read(&self.ring(), Kind::Join, ticket)
            .and_then(|claims| check(claims, unix, TICKET_LIFE))
            .inspect_err(|reason| tracing::debug!(reason, "a ticket is refused"))
            .map_err(|_| Refusal::new(Code::Ticket, "G-50"))
    }

    /// What a media token says, if it is ours and in time. It may be shown again and again.
    ///
    /// # Errors
    /// `E_TICKET`, the same whatever is wrong.
    pub(crate) fn verify_media(&self, token: &str, unix: u64) -> Result<Claims, Refusal> {
        read(&self.ring(), Kind::Media, token)
            .and_then(|claims| check(claims, unix, MEDIA_TOKEN_LIFE_MAX))
            .inspect_err(|reason| tracing::debug!(reason, "a media token is refused"))
            .map_err(|_| Refusal::new(Code::Ticket, "G-50"))
    }

    /// Marks a verified ticket as used.
    ///
    /// # Errors
    /// `E_TICKET` when it was used before; `E_OVERLOAD` when no more can be remembered.
    pub(crate) fn spend(&self, jti: &str, now: Instant) -> Result<(), Refusal> {
        let mut spent = locked(&self.spent);
        spent.turn(now);
        if spent.newer.contains(jti) || spent.older.contains(jti) {
            return Err(Refusal::new(Code::Ticket, "G-50"));
        }
        if spent.newer.len() >= TICKETS_SPENT_MAX {
            return Err(Refusal::new(Code::Overload, "limits::TICKETS_SPENT_MAX"));
        }
        spent.newer.insert(jti.to_owned());
        Ok(())
    }
}

impl Spent {
    fn turn(&mut self, now: Instant) {
        let age = self.began.map_or(Duration::MAX, |began| now.saturating_duration_since(began));
        if age >= GENERATION {
            self.older = std::mem::take(&mut self.newer);
            if age >= GENERATION * 2 {
                self.older.clear();
            }
            self.began = Some(now);
        }
    }
}

/// The claims beyond the signature. Every comparison of times saturates: the clock may jump (P14).
fn encode(ring: &Ring, kind: Kind, mut claims: Claims) -> String {
    claims.capabilities = claims.capabilities.narrowed_to(claims.role.ceiling());
    // Serialising claims cannot fail: plain fields, string keys.
    let payload = serde_json::to_vec(&claims).unwrap_or_default();
    ring.sign(kind, &payload)
}

fn read(ring: &Ring, kind: Kind, ticket: &str) -> Result<Claims, &'static str> {
    if ticket.len() > TICKET_BYTES_MAX {
        return Err("too long");
    }
    let (message, signature) = ticket.rsplit_once('.').ok_or("not three segments")?;
    let (header, payload) = message.split_once('.').ok_or("not three segments")?;
    let key = ring.named(kind, header).ok_or("another header")?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "signature is not base64url")?;
    key.verify(message.as_bytes(), &signature)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| "claims are not base64url")?;
    let mut claims: Claims = serde_json::from_slice(&payload).map_err(|_| "claims are not ours")?;
    if key.ended.is_some_and(|ended| claims.iat > ended) {
        return Err("signed with a key that had been replaced");
    }
    claims.capabilities = claims.capabilities.narrowed_to(claims.role.ceiling());
    Ok(claims)
}

fn check(claims: Claims, unix: u64, life: Duration) -> Result<Claims, &'static str> {
    let (life, leeway) = (life.as_secs(), TICKET_LEEWAY.as_secs());
    if claims.iss != ISSUER || claims.aud != AUDIENCE {
        return Err("from or for somebody else");
    }
    if claims.exp <= claims.iat || claims.exp - claims.iat > life {
        return Err("lives too long");
    }
    if unix > claims.exp.saturating_add(leeway) {
        return Err("expired");
    }
    if unix.saturating_add(leeway) < claims.iat {
        return Err("from the future");
    }
    if claims.jti.is_empty() || claims.jti.len() > JTI_CHARS_MAX || claims.sub.is_empty() {
        return Err("without an id");
    }
    if !(1..=NAME_CHARS_MAX).contains(&claims.name.chars().count()) {
        return Err("without a proper name");
    }
    Ok(claims)
}

#[cfg(test)]
mod tests;
