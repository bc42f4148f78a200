//! Join tickets and media tokens: made and checked here (RFC 7515 compact form, RFC 8037 EdDSA, RFC 8725).
//!
//! Invariant: exactly one form of each is accepted. The first segment must be, byte for byte, the encoding of [`HEADER`]
//! or [`MEDIA_HEADER`], so a ticket cannot choose its algorithm, its type or its key, and neither kind is ever taken for
//! the other; the claims must be exactly [`Claims`], each once; the signature must be ours; the time must fit; a join
//! ticket admits once.
//!
//! A general JWT library is not used: those at hand read the system's clock instead of being given the time, and accept
//! header fields that they do not understand.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanlight_wire::limits::{
    MEDIA_TOKEN_LIFE_MAX, NAME_CHARS_MAX, TICKET_BYTES_MAX, TICKET_LEEWAY, TICKET_LIFE, TICKETS_SPENT_MAX,
};
use fanlight_wire::token::{AUDIENCE, Claims, ISSUER};
use fanlight_wire::{Code, Refusal};

use crate::config::StartError;
use crate::locked;
use crate::secrets::keep_or_make;

/// The one header of a join ticket. `typ` is [`fanlight_wire::token::TICKET_TYPE`].
const HEADER: &str = r#"{"alg":"EdDSA","typ":"fanlight-join+jwt"}"#;
/// The one header of a media token. `typ` is [`fanlight_wire::token::MEDIA_TYPE`].
const MEDIA_HEADER: &str = r#"{"alg":"EdDSA","typ":"fanlight-media+jwt"}"#;
/// Characters of a `jti`; ours have 22.
const JTI_CHARS_MAX: usize = 64;
/// The longest time from minting to the last moment of acceptance.
const GENERATION: Duration = TICKET_LIFE.saturating_add(TICKET_LEEWAY).saturating_add(TICKET_LEEWAY);

/// Signs, verifies and spends tickets.
#[derive(Debug)]
pub(crate) struct Tokens {
    pair: Ed25519KeyPair,
    public: ParsedPublicKey,
    header: String,
    media_header: String,
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
        let make = || {
            let pair = Ed25519KeyPair::generate().expect("the random source works");
            pair.to_pkcs8().expect("a new key has an encoding").as_ref().to_vec()
        };
        let (pkcs8, path) = match key_path {
            Some(path) => {
                let kept = keep_or_make(path, make);
                (kept.map_err(|reason| StartError::File { setting: "ticket key", path: path.into(), reason })?, path)
            }
            None => (make(), Path::new("(memory)")),
        };
        let wrong = || StartError::Content {
            setting: "ticket key",
            path: path.into(),
            wanted: "an Ed25519 private key in PKCS#8",
        };
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|_| wrong())?;
        let public = ParsedPublicKey::new(&ED25519, pair.public_key().as_ref()).map_err(|_| wrong())?;
        Ok(Self {
            pair,
            public,
            header: URL_SAFE_NO_PAD.encode(HEADER),
            media_header: URL_SAFE_NO_PAD.encode(MEDIA_HEADER),
            spent: Mutex::default(),
        })
    }

    /// A ticket that says this. The caller has filled every claim; capabilities are narrowed to the role's ceiling.
    pub(crate) fn mint(&self, claims: Claims) -> String {
        self.encode(&self.header, claims)
    }

    /// A media token that says this, for as long as its claims say.
    pub(crate) fn mint_media(&self, claims: Claims) -> String {
        self.encode(&self.media_header, claims)
    }

    fn encode(&self, header: &str, mut claims: Claims) -> String {
        claims.capabilities = claims.capabilities.narrowed_to(claims.role.ceiling());
        // Serialising claims cannot fail: plain fields, string keys.
        let payload = serde_json::to_vec(&claims).unwrap_or_default();
        self.sign(header, &payload)
    }

    fn sign(&self, header: &str, payload: &[u8]) -> String {
        let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
        let signature = self.pair.sign(message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// What a ticket says, if it is ours and in time. It is not spent by this.
    ///
    /// # Errors
    /// `E_TICKET`, the same whatever is wrong.
    pub(crate) fn verify(&self, ticket: &str, unix: u64) -> Result<Claims, Refusal> {
        self.read(&self.header, ticket)
            .and_then(|claims| check(claims, unix, TICKET_LIFE))
            .inspect_err(|reason| tracing::debug!(reason, "a ticket is refused"))
            .map_err(|_| Refusal::new(Code::Ticket, "G-50"))
    }

    /// What a media token says, if it is ours and in time. It may be shown again and again.
    ///
    /// # Errors
    /// `E_TICKET`, the same whatever is wrong.
    pub(crate) fn verify_media(&self, token: &str, unix: u64) -> Result<Claims, Refusal> {
        self.read(&self.media_header, token)
            .and_then(|claims| check(claims, unix, MEDIA_TOKEN_LIFE_MAX))
            .inspect_err(|reason| tracing::debug!(reason, "a media token is refused"))
            .map_err(|_| Refusal::new(Code::Ticket, "G-50"))
    }

    fn read(&self, only: &str, ticket: &str) -> Result<Claims, &'static str> {
        if ticket.len() > TICKET_BYTES_MAX {
            return Err("too long");
        }
        let (message, signature) = ticket.rsplit_once('.').ok_or("not three segments")?;
        let (header, payload) = message.split_once('.').ok_or("not three segments")?;
        if header != only {
            return Err("another header");
        }
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| "signature is not base64url")?;
        self.public.verify_sig(message.as_bytes(), &signature).map_err(|_| "signature does not match")?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| "claims are not base64url")?;
        let mut claims: Claims = serde_json::from_slice(&payload).map_err(|_| "claims are not ours")?;
        claims.capabilities = claims.capabilities.narrowed_to(claims.role.ceiling());
        Ok(claims)
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
