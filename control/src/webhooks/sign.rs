//! Signatures as the Standard Webhooks specification writes them, so that receivers can use a library they have.
//!
//! `webhook-id`, `webhook-timestamp`, and in `webhook-signature` a base64 HMAC-SHA-256 of `id.timestamp.body` after `v1,`; two
//! of them while an earlier secret is still good. A secret is derived from the node's key, the webhook's id and its
//! generation: it is shown once and stored nowhere.

use std::path::Path;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use crate::config::StartError;
use crate::secrets::{keep_or_make, random};

/// Bytes of the node's key, and of a secret.
const KEY_BYTES: usize = 32;
/// What a shown secret begins with; libraries take it off.
const PREFIX: &str = "whsec_";

/// A new secret, as it is shown.
pub(crate) fn new_secret() -> String {
    format!("{PREFIX}{}", STANDARD.encode(random::<KEY_BYTES>()))
}

/// What signs messages.
pub(crate) struct Key(hmac::Key);

impl Key {
    fn new(bytes: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// From a secret as it is shown.
    pub(crate) fn read(secret: &str) -> Option<Self> {
        STANDARD.decode(secret.trim().strip_prefix(PREFIX)?).ok().map(|bytes| Self::new(&bytes))
    }

    /// The headers of a message.
    pub(crate) fn headers(&self, id: &str, at: u64, body: &str) -> HeaderMap {
        headers(std::slice::from_ref(self), id, at, body)
    }
}

/// The headers of a message, signed with each of these keys.
pub(super) fn headers(keys: &[Key], id: &str, at: u64, body: &str) -> HeaderMap {
    let text = format!("{id}.{at}.{body}");
    let sign = |key: &Key| format!("v1,{}", STANDARD.encode(hmac::sign(&key.0, text.as_bytes())));
    let signatures = keys.iter().map(sign).collect::<Vec<_>>().join(" ");
    let mut headers = HeaderMap::new();
    for (name, value) in
        [("webhook-id", id.to_owned()), ("webhook-timestamp", at.to_string()), ("webhook-signature", signatures)]
    {
        // Ids, numbers and base64 are legal in a header.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers
}

/// Holds the node's key.
#[derive(Debug)]
pub(crate) struct Signer {
    master: hmac::Key,
}

impl Signer {
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, StartError> {
        let make = || random::<KEY_BYTES>().to_vec();
        let bytes = match path {
            Some(path) => {
                let kept = keep_or_make(path, make);
                kept.map_err(|reason| StartError::File { setting: "webhook key", path: path.into(), reason })?
            }
            None => make(),
        };
        if bytes.len() != KEY_BYTES {
            let path = path.unwrap_or_else(|| Path::new("(memory)")).into();
            return Err(StartError::Content { setting: "webhook key", path, wanted: "32 random bytes" });
        }
        Ok(Self { master: hmac::Key::new(hmac::HMAC_SHA256, &bytes) })
    }

    /// The secret of a webhook's generation, as it is shown.
    pub(crate) fn secret(&self, webhook: &str, generation: u32) -> String {
        format!("{PREFIX}{}", STANDARD.encode(self.derived(webhook, generation)))
    }

    pub(crate) fn key(&self, webhook: &str, generation: u32) -> Key {
        Key::new(self.derived(webhook, generation).as_ref())
    }

    fn derived(&self, webhook: &str, generation: u32) -> hmac::Tag {
        hmac::sign(&self.master, format!("webhook/{webhook}/{generation}").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(secret: &str) -> hmac::Key {
        Key::read(secret).expect("as it is shown").0
    }

    #[test]
    fn a_receiver_can_check_each_signature_with_the_secret_it_was_shown() {
        let signer = Signer::open(None).expect("in memory");
        let keys = [signer.key("w1", 2), signer.key("w1", 1)];
        let headers = headers(&keys, "evt_1", 1_800_000_000, "{}");
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!((text("webhook-id"), text("webhook-timestamp")), ("evt_1", "1800000000"));
        let signatures: Vec<_> = text("webhook-signature").split(' ').collect();
        assert_eq!(signatures.len(), 2);
        for (signature, generation) in signatures.into_iter().zip([2, 1]) {
            let tag = STANDARD.decode(signature.strip_prefix("v1,").expect("v1")).expect("base64");
            let key = key_of(&signer.secret("w1", generation));
            assert!(hmac::verify(&key, b"evt_1.1800000000.{}", &tag).is_ok());
            assert!(hmac::verify(&key, b"evt_1.1800000001.{}", &tag).is_err(), "another time");
            assert!(hmac::verify(&key, b"evt_1.1800000000.{ }", &tag).is_err(), "another body");
            assert!(hmac::verify(&key_of(&signer.secret("w2", generation)), b"evt_1.1800000000.{}", &tag).is_err());
        }
    }
}
