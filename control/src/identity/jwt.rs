//! Reads an identity provider's token (OpenID Connect Core 1.0 §2, §3.1.3.7; RFC 7519, RFC 8725).
//!
//! Invariant: the algorithm is one of three, each bound to the type of the key that is tried, so that a token cannot have a
//! public key used as a secret; nothing in a header but `alg` and `kid` has any effect; every claim that is judged must be
//! there and have its type.

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanlight_wire::limits::{IDENTITY_BYTES_MAX, IDENTITY_KEYS_MAX, IDENTITY_SKEW};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A provider's public key (RFC 7517, RFC 7518 §6, RFC 8037).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    kid: Option<String>,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// The uncompressed point.
    P256(Vec<u8>),
    Ed25519(Vec<u8>),
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default, rename = "use")]
    usage: Option<String>,
    #[serde(default)]
    crv: String,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<Value>,
}

/// What a token must be for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) issuer: &'a str,
    pub(super) client: &'a str,
    pub(super) nonce: &'a str,
    /// Seconds since 1970.
    pub(super) now: u64,
}

/// Why a token is not believed. For the log: it says nothing about the token's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// No key at hand has made it; newer keys may have.
    Key,
    Not(&'static str),
}

/// The keys of a set that this reads; others are left out.
pub(super) fn keys(document: &[u8]) -> Option<Vec<Key>> {
    let Jwks { keys } = serde_json::from_slice(document).ok()?;
    let read = keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok()).filter_map(|jwk| key(&jwk));
    Some(read.take(IDENTITY_KEYS_MAX).collect())
}

fn key(jwk: &Jwk) -> Option<Key> {
    if jwk.usage.as_deref().is_some_and(|usage| usage != "sig") {
        return None;
    }
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).ok().filter(|bytes| !bytes.is_empty());
    let kind = match (jwk.kty.as_str(), jwk.crv.as_str()) {
        ("RSA", _) => Kind::Rsa { n: bytes(&jwk.n)?, e: bytes(&jwk.e)? },
        ("EC", "P-256") => {
            let (x, y) = (bytes(&jwk.x)?, bytes(&jwk.y)?);
            if x.len() != 32 || y.len() != 32 {
                return None;
            }
            Kind::P256([vec![4], x, y].concat())
        }
        ("OKP", "Ed25519") => Kind::Ed25519(bytes(&jwk.x).filter(|x| x.len() == 32)?),
        _ => return None,
    };
    Some(Key { kid: jwk.kid.clone(), kind })
}

/// The claims of an ID token that is believed.
///
/// # Errors
/// [`Doubt`].
pub(super) fn read(token: &str, keys: &[Key], wanted: Wanted<'_>) -> Result<Map<String, Value>, Doubt> {
    if token.len() > IDENTITY_BYTES_MAX {
        return Err(Doubt::Not("too long"));
    }
    let (message, signature) = token.rsplit_once('.').ok_or(Doubt::Not("not three segments"))?;
    let (header, payload) = message.split_once('.').ok_or(Doubt::Not("not three segments"))?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| Doubt::Not("not base64url"));
    let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| Doubt::Not("another header"))?;
    if header.crit.is_some() {
        return Err(Doubt::Not("a critical header"));
    }
    if !matches!(header.alg.as_str(), "RS256" | "ES256" | "EdDSA") {
        return Err(Doubt::Not("another algorithm"));
    }
    let signature = decode(signature)?;
    let named = |key: &&Key| header.kid.is_none() || key.kid == header.kid;
    if !keys.iter().filter(named).any(|key| key.has_signed(&header.alg, message.as_bytes(), &signature)) {
        return Err(Doubt::Key);
    }
    let claims: Map<String, Value> =
        serde_json::from_slice(&decode(payload)?).map_err(|_| Doubt::Not("claims are no object"))?;
    judge(&claims, wanted).map_err(Doubt::Not)?;
    Ok(claims)
}

impl Key {
    /// Only with the algorithm that is this key's.
    fn has_signed(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> bool {
        match (&self.kind, algorithm) {
            (Kind::Rsa { n, e }, "RS256") => {
                PublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature).is_ok()
            }
            (Kind::P256(point), "ES256") => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
            }
            (Kind::Ed25519(x), "EdDSA") => UnparsedPublicKey::new(&ED25519, x).verify(message, signature).is_ok(),
            _ => false,
        }
    }
}

fn judge(claims: &Map<String, Value>, wanted: Wanted<'_>) -> Result<(), &'static str> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(wanted.issuer) {
        return Err("from another issuer");
    }
    let (mine, several) = match claims.get("aud") {
        Some(Value::String(one)) => (one == wanted.client, false),
        Some(Value::Array(all)) => (all.iter().any(|one| one.as_str() == Some(wanted.client)), all.len() > 1),
        _ => (false, false),
    };
    if !mine {
        return Err("for somebody else");
    }
    // §3.1.3.7 (4), (5)
    if (several || claims.contains_key("azp")) && text("azp") != Some(wanted.client) {
        return Err("authorised for somebody else");
    }
    // A number of seconds, whole or not; a text is none (CVE-2026-25537).
    let seconds = |name: &str| claims.get(name).and_then(Value::as_f64).filter(|time| time.is_finite() && *time >= 0.0);
    let (now, skew) = (wanted.now as f64, IDENTITY_SKEW.as_secs_f64());
    if !seconds("exp").is_some_and(|exp| now < exp + skew) {
        return Err("expired");
    }
    if !seconds("iat").is_some_and(|iat| iat <= now + skew) {
        return Err("from the future");
    }
    if claims.contains_key("nbf") && !seconds("nbf").is_some_and(|nbf| nbf <= now + skew) {
        return Err("not valid yet");
    }
    if text("nonce") != Some(wanted.nonce) {
        return Err("an answer to another question");
    }
    if !text("sub").is_some_and(|sub| (1..=255).contains(&sub.len())) {
        return Err("about nobody");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
