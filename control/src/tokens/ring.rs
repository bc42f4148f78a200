//! The keys that tickets are signed with: the one in use, and the one before it until its last ticket has expired.
//!
//! Invariant: a key is on disk before it signs; a replaced key verifies only what was minted before its end.

use std::fs;
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanlight_wire::limits::{MEDIA_TOKEN_LIFE_MAX, TICKET_LEEWAY};
use fanlight_wire::token::{MEDIA_TYPE, TICKET_TYPE};
use fanlight_wire::{Code, Refusal};

use crate::config::StartError;
use crate::secrets::{keep_or_make, sha256, write_secret};

/// Seconds after its end in which a replaced key may still be asked for: the longest life of what it has signed.
const OVERLAP: u64 = MEDIA_TOKEN_LIFE_MAX.as_secs() + TICKET_LEEWAY.as_secs();
/// Bytes before the key in the file of a replaced one: the second of its end.
const END_BYTES: usize = 8;

/// What a token is for. Each has a header of its own (RFC 8725 §3.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Join,
    Media,
}

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    pair: Ed25519KeyPair,
    public: ParsedPublicKey,
    pkcs8: Vec<u8>,
    name: String,
    /// As a ticket's first segment.
    join_header: String,
    media_header: String,
    /// The second in which another key took its place.
    pub(super) ended: Option<u64>,
}

/// At most two keys.
#[derive(Debug)]
pub(super) struct Ring {
    current: Key,
    previous: Option<Key>,
    path: Option<PathBuf>,
}

impl Key {
    fn read(pkcs8: Vec<u8>, ended: Option<u64>) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(&pkcs8).ok()?;
        let bytes = pair.public_key().as_ref();
        let public = ParsedPublicKey::new(&ED25519, bytes).ok()?;
        let name: String = sha256(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let header = |kind| URL_SAFE_NO_PAD.encode(header(kind, &name));
        let (join_header, media_header) = (header(Kind::Join), header(Kind::Media));
        Some(Self { pair, public, pkcs8, name, join_header, media_header, ended })
    }

    pub(super) fn header(&self, kind: Kind) -> &str {
        match kind {
            Kind::Join => &self.join_header,
            Kind::Media => &self.media_header,
        }
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), &'static str> {
        self.public.verify_sig(message, signature).map_err(|_| "signature does not match")
    }
}

/// The one header of this kind and key.
fn header(kind: Kind, name: &str) -> String {
    let kind = match kind {
        Kind::Join => TICKET_TYPE,
        Kind::Media => MEDIA_TYPE,
    };
    format!(r#"{{"alg":"EdDSA","typ":"{kind}","kid":"{name}"}}"#)
}

impl Ring {
    pub(super) fn open(path: Option<&Path>) -> Result<Self, StartError> {
        let file = |path: &Path, reason| StartError::File { setting: "ticket key", path: path.into(), reason };
        let shown = path.unwrap_or_else(|| Path::new("(memory)"));
        let wanted = "an Ed25519 private key in PKCS#8";
        let wrong = |path: &Path| StartError::Content { setting: "ticket key", path: path.into(), wanted };
        let pkcs8 = match path {
            Some(path) => keep_or_make(path, fresh).map_err(|reason| file(path, reason))?,
            None => fresh(),
        };
        let current = Key::read(pkcs8, None).ok_or_else(|| wrong(shown))?;
        let previous = match path.map(beside) {
            Some(path) if path.exists() => {
                let kept = fs::read(&path).map_err(|reason| file(&path, reason))?;
                let (end, pkcs8) = kept.split_at_checked(END_BYTES).ok_or_else(|| wrong(&path))?;
                let ended = u64::from_be_bytes(end.try_into().map_err(|_| wrong(&path))?);
                Some(Key::read(pkcs8.to_vec(), Some(ended)).ok_or_else(|| wrong(&path))?)
            }
            _ => None,
        };
        // The node ended between the two steps of a change: the key that was to be replaced is still the one in use.
        let previous = previous.filter(|previous| previous.name != current.name);
        Ok(Self { current, previous, path: path.map(Into::into) })
    }

    pub(super) fn rotate(&mut self, unix: u64, forget: bool) -> Result<String, Refusal> {
        let overlaps = |key: &Key| key.ended.is_some_and(|ended| unix < ended.saturating_add(OVERLAP));
        if !forget && self.previous.as_ref().is_some_and(overlaps) {
            let sentence = "The key before this one is still in use, for a day. Wait, or have it forgotten at once.";
            return Err(Refusal::new(Code::Busy, "promises 3.4").saying(sentence));
        }
        let next = Key::read(fresh(), None).ok_or_else(|| Refusal::new(Code::Bug, "control::tokens"))?;
        if let Some(path) = &self.path {
            let kept = self.keep(path, &next, unix, forget);
            kept.map_err(|error| {
                tracing::error!(%error, "a new ticket key could not be written; the one before stays");
                Refusal::new(Code::Store, "promises 3.4")
                    .saying("The new key could not be written. Check the data directory.")
            })?;
        }
        let mut last = std::mem::replace(&mut self.current, next);
        last.ended = Some(unix);
        self.previous = (!forget).then_some(last);
        Ok(self.current.name.clone())
    }

    fn keep(&self, path: &Path, next: &Key, unix: u64, forget: bool) -> std::io::Result<()> {
        let before = beside(path);
        if forget {
            if before.exists() {
                fs::remove_file(&before)?;
            }
        } else {
            let content = [unix.to_be_bytes().as_slice(), &self.current.pkcs8].concat();
            write_secret(&before, &content)?;
        }
        write_secret(path, &next.pkcs8)
    }

    /// The key that a ticket's first segment names.
    pub(super) fn named(&self, kind: Kind, header: &str) -> Option<&Key> {
        let both = std::iter::once(&self.current).chain(&self.previous);
        both.into_iter().find(|key| key.header(kind) == header)
    }

    pub(super) fn sign(&self, kind: Kind, payload: &[u8]) -> String {
        self.sign_headed(self.current.header(kind), payload)
    }

    fn sign_headed(&self, header: &str, payload: &[u8]) -> String {
        let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
        let signature = self.current.pair.sign(message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn fresh() -> Vec<u8> {
    let pair = Ed25519KeyPair::generate().expect("the random source works");
    pair.to_pkcs8().expect("a new key has an encoding").as_ref().to_vec()
}

/// Where the replaced key is kept.
fn beside(path: &Path) -> PathBuf {
    path.with_extension("previous")
}

#[cfg(test)]
impl Ring {
    pub(super) fn name(&self) -> &str {
        &self.current.name
    }

    /// With our key under any header.
    pub(super) fn forge(&self, header: &str, payload: &[u8]) -> String {
        self.sign_headed(header, payload)
    }
}
