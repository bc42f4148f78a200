//! The short-lived certificate of the WebTransport ports. A browser accepts a self-made certificate when the page names
//! its SHA-256, it is ECDSA P-256 and it is valid for at most 14 days (W3C WebTransport, "custom certificate
//! requirements").
//!
//! Invariant: the next certificate is announced long before it is shown, so a client that learned the hashes just
//! before a change still gets in just after it.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::files::make;

/// Validity of one certificate, below the 14 days that browsers allow.
const LIFE: Duration = Duration::from_secs(13 * 86_400);
/// Part of it that lies in the past when it is made, for clients whose clock is behind.
const BACKDATED: Duration = Duration::from_secs(6 * 3_600);
/// How long one is shown. It waits as long as it is shown, so twice this must stay below [`LIFE`].
const SHOWN: Duration = Duration::from_secs(6 * 86_400);

const _: () = assert!(2 * SHOWN.as_secs() + BACKDATED.as_secs() < LIFE.as_secs(), "the next one outlives its turn");

/// The certificate shown now and the one that comes after it.
pub struct ShortLived {
    names: Vec<String>,
    pair: RwLock<Pair>,
}

struct Pair {
    shown: One,
    next: One,
    since: SystemTime,
}

#[derive(Clone)]
struct One {
    key: Arc<CertifiedKey>,
    hash: [u8; 32],
}

/// No certificate could be made.
#[derive(Debug, thiserror::Error)]
pub enum ShortError {
    #[error(transparent)]
    Made(#[from] rcgen::Error),
    #[error(transparent)]
    Key(#[from] rustls::Error),
}

impl ShortLived {
    /// # Errors
    /// [`ShortError`] when no certificate can be made for `names`.
    pub fn new(names: Vec<String>, now: SystemTime) -> Result<Self, ShortError> {
        let pair = Pair { shown: one(&names, now)?, next: one(&names, now)?, since: now };
        Ok(Self { names, pair: RwLock::new(pair) })
    }

    /// SHA-256 of the certificate shown and of the one that comes after it.
    pub fn hashes(&self) -> Vec<[u8; 32]> {
        let pair = self.pair.read().unwrap_or_else(PoisonError::into_inner);
        vec![pair.shown.hash, pair.next.hash]
    }

    /// Shows the next one when the current one has been shown for long enough. Says whether it did.
    ///
    /// # Errors
    /// [`ShortError`] when a successor cannot be made; nothing changes then.
    pub fn renew(&self, now: SystemTime) -> Result<bool, ShortError> {
        let mut pair = self.pair.write().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(pair.since).unwrap_or_default() < SHOWN {
            return Ok(false);
        }
        let after = one(&self.names, now)?;
        pair.shown = std::mem::replace(&mut pair.next, after);
        pair.since = now;
        Ok(true)
    }
}

fn one(names: &[String], now: SystemTime) -> Result<One, ShortError> {
    let made = make(names, now, LIFE, BACKDATED)?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, made.certificate.der());
    let mut hash = [0; 32];
    hash.copy_from_slice(digest.as_ref());
    Ok(One { key: Arc::new(made.certified()?), hash })
}

impl ResolvesServerCert for ShortLived {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.pair.read().unwrap_or_else(PoisonError::into_inner).shown.key))
    }
}

impl fmt::Debug for ShortLived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShortLived")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_certificate_was_announced_before() {
        let day = Duration::from_secs(86_400);
        let start = SystemTime::UNIX_EPOCH + 20_000 * day;
        let short = ShortLived::new(vec!["localhost".into()], start).expect("made");
        let before = short.hashes();
        assert_eq!(short.renew(start + 5 * day).ok(), Some(false));
        assert_eq!(short.hashes(), before);
        assert_eq!(short.renew(start + 6 * day).ok(), Some(true));
        let after = short.hashes();
        assert_eq!(after.first(), before.get(1), "the announced one is shown");
        assert!(!before.contains(after.last().expect("two")), "and a new one is announced");
    }
}
