//! Forged, altered, late and foreign ID tokens.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::json;

use super::*;

const NOW: u64 = 1_800_000_000;
const WANTED: Wanted<'static> = Wanted { issuer: "https://id.example", client: "fanlight", nonce: "n-1", now: NOW };

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A provider with one key of each kind.
struct Provider {
    rsa: RsaKeyPair,
    p256: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

impl Provider {
    fn new() -> Self {
        Self {
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"),
            p256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"),
            ed: Ed25519KeyPair::generate().expect("a key"),
        }
    }

    fn document(&self) -> Value {
        // RFC 8017 A.1.1: two lengths, a zero, 256 bytes of modulus; a length, three bytes of exponent.
        let der = self.rsa.public_key().as_ref();
        let (n, e) = (&der[9..265], &der[267..270]);
        let point = self.p256.public_key().as_ref();
        json!({"keys": [
            {"kty": "RSA", "kid": "r", "use": "sig", "alg": "RS256", "n": b64(n), "e": b64(e)},
            {"kty": "EC", "kid": "e", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..])},
            {"kty": "OKP", "kid": "o", "crv": "Ed25519", "x": b64(self.ed.public_key().as_ref())},
            {"kty": "RSA", "kid": "enc", "use": "enc", "n": b64(n), "e": b64(e)},
            {"kty": "oct", "kid": "s", "k": "c2VjcmV0"},
            {"kty": "EC", "kid": "short", "crv": "P-256", "x": "AA", "y": "AA"},
            "nonsense"
        ]})
    }

    fn keys(&self) -> Vec<Key> {
        keys(self.document().to_string().as_bytes()).expect("a set")
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", b64(header.to_string().as_bytes()), b64(claims.to_string().as_bytes()));
        let random = SystemRandom::new();
        let signature = match header["alg"].as_str() {
            Some("ES256") => self.p256.sign(&random, message.as_bytes()).expect("signed").as_ref().to_vec(),
            Some("EdDSA") => self.ed.sign(message.as_bytes()).as_ref().to_vec(),
            _ => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                self.rsa.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).expect("signed");
                signature
            }
        };
        format!("{message}.{}", b64(&signature))
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://id.example", "aud": "fanlight", "sub": "u-1", "nonce": "n-1",
        "exp": NOW + 300, "iat": NOW, "groups": ["desk"]
    })
}

#[test]
fn each_algorithm_reads_with_its_own_key_only() {
    let provider = Provider::new();
    let keys = provider.keys();
    assert_eq!(keys.len(), 3, "what this does not read is left out");
    for (alg, kid) in [("RS256", "r"), ("ES256", "e"), ("EdDSA", "o")] {
        let token = provider.sign(&json!({"alg": alg, "kid": kid}), &claims());
        assert_eq!(read(&token, &keys, WANTED).expect(alg)["sub"], "u-1");
        assert!(read(&provider.sign(&json!({"alg": alg}), &claims()), &keys, WANTED).is_ok(), "{alg} without kid");
        for other in ["r", "e", "o", "enc", "s", "absent", ""].into_iter().filter(|other| *other != kid) {
            let token = provider.sign(&json!({"alg": alg, "kid": other}), &claims());
            assert_eq!(read(&token, &keys, WANTED), Err(Doubt::Key), "{alg} as {other}");
        }
    }
    for alg in ["none", "None", "HS256", "RS384", "PS256", "ES384", "rs256", ""] {
        let token = provider.sign(&json!({"alg": alg, "kid": "r"}), &claims());
        assert!(matches!(read(&token, &keys, WANTED), Err(Doubt::Not(_))), "{alg}");
    }
    let critical = provider.sign(&json!({"alg": "RS256", "kid": "r", "crit": ["b64"]}), &claims());
    assert!(read(&critical, &keys, WANTED).is_err());
    let jwk = json!({"alg": "EdDSA", "jwk": provider.document()["keys"][2]});
    assert!(read(&Provider::new().sign(&jwk, &claims()), &keys, WANTED).is_err(), "a token brings no key along");
}

#[test]
fn every_claim_has_to_fit() {
    let provider = Provider::new();
    let keys = provider.keys();
    let header = json!({"alg": "EdDSA", "kid": "o"});
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        if value == json!("(absent)") {
            claims.as_object_mut().expect("an object").remove(name);
        } else {
            claims[name] = value;
        }
        read(&provider.sign(&header, &claims), &keys, WANTED).map(drop)
    };
    let good = [
        ("aud", json!(["fanlight"])),
        ("azp", json!("fanlight")),
        ("exp", json!(NOW as f64 + 0.5)),
        ("exp", json!(NOW - 59)),
        ("iat", json!(NOW + 59)),
        ("nbf", json!(NOW)),
    ];
    for (name, value) in good {
        assert_eq!(with(name, value.clone()), Ok(()), "{name} {value}");
    }
    let bad = [
        ("iss", json!("https://id.example/")),
        ("iss", json!("(absent)")),
        ("aud", json!("other")),
        ("aud", json!(["other"])),
        ("aud", json!(["fanlight", "other"])),
        ("aud", json!("(absent)")),
        ("azp", json!("other")),
        ("exp", json!(NOW - 60)),
        ("exp", json!((NOW + 300).to_string())),
        ("exp", json!(null)),
        ("exp", json!(-1)),
        ("exp", json!("(absent)")),
        ("iat", json!(NOW + 61)),
        ("iat", json!("(absent)")),
        ("nbf", json!(NOW + 61)),
        ("nbf", json!("0")),
        ("nonce", json!("n-2")),
        ("nonce", json!("(absent)")),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("sub", json!("(absent)")),
    ];
    for (name, value) in bad {
        assert!(matches!(with(name, value.clone()), Err(Doubt::Not(_))), "{name} {value}");
    }
}

#[test]
fn an_altered_token_is_never_believed() {
    let provider = Provider::new();
    let keys = provider.keys();
    let token = provider.sign(&json!({"alg": "ES256", "kid": "e"}), &claims());
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let altered = String::from_utf8(bytes).expect("text");
        // The last character of a segment may carry bits that mean nothing, which this decoder refuses.
        assert!(read(&altered, &keys, WANTED).is_err(), "byte {at}");
    }
    for text in ["", ".", "..", "a.b", "a.b.c.d", &"x".repeat(IDENTITY_BYTES_MAX + 1)] {
        assert!(read(text, &keys, WANTED).is_err());
    }
    assert!(keys_of("[]").is_none() && keys_of(r#"{"keys":[]}"#).is_some_and(|keys| keys.is_empty()));
}

fn keys_of(text: &str) -> Option<Vec<Key>> {
    keys(text.as_bytes())
}
