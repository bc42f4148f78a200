//! Random values, hashes, and small files that hold a secret.
//!
//! Invariant: a bearer's text is never stored, only its hash; a secret file is readable by its owner alone and appears
//! whole or not at all.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::num::NonZeroU32;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::{pbkdf2, rand};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanlight_wire::limits::SECRET_ROUNDS;

/// SHA-256, or an HMAC of the same size.
pub(crate) type Hash = [u8; 32];

const ROUNDS: NonZeroU32 = match NonZeroU32::new(SECRET_ROUNDS) {
    Some(rounds) => rounds,
    None => panic!("a secret is hashed at least once"),
};

/// Bytes from the process's secure source.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the operating system's random source works");
    bytes
}

/// A new opaque 128-bit bearer: 22 characters of base64url.
pub(crate) fn opaque() -> String {
    URL_SAFE_NO_PAD.encode(random::<16>())
}

pub(crate) fn sha256(text: &[u8]) -> Hash {
    fixed(digest(&SHA256, text).as_ref())
}

/// The first 32 bytes; shorter input is filled with zeros.
pub(crate) fn fixed(bytes: &[u8]) -> Hash {
    let mut hash = [0; 32];
    for (to, from) in hash.iter_mut().zip(bytes) {
        *to = *from;
    }
    hash
}

/// A salted hash of an agent's secret. Costs about 50 ms of a core: not for an async thread.
pub(crate) fn stretch(salt: &[u8], secret: &str) -> Hash {
    let mut out = [0; 32];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, salt, secret.as_bytes(), &mut out);
    out
}

/// Does the secret give this hash? In constant time, at the cost of [`stretch`].
pub(crate) fn stretched_matches(salt: &[u8], secret: &str, hash: &[u8]) -> bool {
    pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA256, ROUNDS, salt, secret.as_bytes(), hash).is_ok()
}

/// The file's content, or what `make` gives, written there first.
pub(crate) fn keep_or_make(path: &Path, make: impl FnOnce() -> Vec<u8>) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Ok(content) => return Ok(content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let content = make();
    write_secret(path, &content)?;
    Ok(content)
}

/// Writes a file that holds a secret, or leaves it as it was.
pub(crate) fn write_secret(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_file_is_made_once_and_is_private() {
        let folder = std::env::temp_dir().join(format!("fanlight-secret-{}", opaque()));
        let path = folder.join("deep").join("ticket.key");
        let first = keep_or_make(&path, || b"first".to_vec()).expect("a writable folder");
        let second = keep_or_make(&path, || b"second".to_vec()).expect("the file from before");
        let mode = fs::metadata(&path).expect("the file").permissions().mode() & 0o777;
        fs::remove_dir_all(&folder).expect("ours to remove");
        assert_eq!((first, second, mode), (b"first".to_vec(), b"first".to_vec(), 0o600));
    }

    #[test]
    fn a_stretched_secret_matches_itself_only() {
        let hash = stretch(b"salt", "horse");
        assert!(stretched_matches(b"salt", "horse", &hash));
        assert!(!stretched_matches(b"salt", "horsf", &hash));
        assert!(!stretched_matches(b"pepper", "horse", &hash));
    }
}
