//! Certificates in files: the operator's, or one that the node makes for itself under its data directory.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::{older_than, provider};
use crate::config::StartError;

/// A self-made certificate is good for this long (browsers take up to 398 days)…
const SELF_MADE_DAYS: u64 = 397;
/// …and is replaced at a start after this long.
const SELF_MADE_RENEW_DAYS: u64 = 300;

/// Reads a certificate chain and its key from PEM files.
///
/// # Errors
/// Text for a person when a file cannot be read or the two do not belong together.
pub fn load(cert: &Path, key: &Path) -> Result<CertifiedKey, String> {
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| format!("{}: no PEM certificates ({e})", cert.display()))?;
    if chain.is_empty() {
        return Err(format!("{}: no PEM certificates", cert.display()));
    }
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|e| format!("{}: no PEM private key ({e})", key.display()))?;
    CertifiedKey::from_der(chain, private, &provider())
        .map_err(|e| format!("{} and {} do not belong together ({e})", cert.display(), key.display()))
}

/// The node's own certificate for HTTPS: kept under `dir`, so that a person who trusted it once need not do so again.
///
/// # Errors
/// [`StartError::Host`] when it can be neither read nor made.
pub fn self_made(dir: &Path, names: &[String], now: SystemTime) -> Result<CertifiedKey, StartError> {
    let (cert, key) = (dir.join("https.crt"), dir.join("https.key"));
    if !older_than(&cert, SELF_MADE_RENEW_DAYS, now)
        && let Ok(kept) = load(&cert, &key)
    {
        return Ok(kept);
    }
    let made = make(names, now, Duration::from_secs(SELF_MADE_DAYS * 86_400), Duration::from_secs(86_400))
        .map_err(|e| StartError::host("self-made certificate", e))?;
    let failed = |e: io::Error| StartError::config("store.path", format!("{} cannot be written ({e})", dir.display()));
    std::fs::create_dir_all(dir).map_err(failed)?;
    write_secret(&key, made.key.serialize_pem().as_bytes()).map_err(failed)?;
    std::fs::write(&cert, made.certificate.pem()).map_err(failed)?;
    made.certified().map_err(|e| StartError::host("self-made certificate", e))
}

/// A certificate and its key, just made.
pub(super) struct Made {
    pub(super) certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Made {
    pub(super) fn certified(&self) -> Result<CertifiedKey, rustls::Error> {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).map_err(|e| rustls::Error::General(e.into()))?;
        CertifiedKey::from_der(vec![self.certificate.der().clone()], key, &provider())
    }
}

/// Makes a self-signed ECDSA P-256 certificate, valid for `life` of which `backdated` lies in the past, because the
/// clocks of clients differ.
pub(super) fn make(
    names: &[String],
    now: SystemTime,
    life: Duration,
    backdated: Duration,
) -> Result<Made, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "Fanlight, self-made");
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let begin = rcgen::date_time_ymd(1970, 1, 1) + since_1970.saturating_sub(backdated);
    params.not_before = begin;
    params.not_after = begin + life;
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    Ok(Made { certificate: params.self_signed(&key)?, key })
}

/// Writes a file that only its owner may read. An older file of that name is replaced, never reopened, so that its mode
/// cannot linger.
///
/// # Errors
/// [`io::Error`] of the file system.
pub fn write_secret(path: &Path, content: &[u8]) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn folder(name: &str) -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("fanlight-tls-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a temporary folder");
        dir
    }

    fn now() -> SystemTime {
        // The age of a file is counted from its own time, so a test needs no clock.
        let probe = folder("now").join("probe");
        std::fs::write(&probe, b"").expect("a temporary file");
        std::fs::metadata(&probe).and_then(|m| m.modified()).expect("a time")
    }

    #[test]
    fn a_self_made_certificate_is_kept_until_it_is_old() {
        let dir = folder("kept");
        let names = ["localhost".to_string()];
        let first = self_made(&dir, &names, now()).expect("made");
        let mode = std::fs::metadata(dir.join("https.key")).expect("a key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = self_made(&dir, &names, now()).expect("kept");
        assert_eq!(first.cert, again.cert);
        let later = now() + Duration::from_secs((SELF_MADE_RENEW_DAYS + 1) * 86_400);
        let renewed = self_made(&dir, &names, later).expect("renewed");
        assert_ne!(first.cert, renewed.cert);
    }

    // G-18: a bad reload is never applied.
    #[test]
    fn files_that_do_not_belong_together_are_refused() {
        let (one, two) = (folder("one"), folder("two"));
        for dir in [&one, &two] {
            self_made(dir, &["localhost".into()], now()).expect("made");
        }
        assert!(load(&one.join("https.crt"), &one.join("https.key")).is_ok());
        let mixed = load(&one.join("https.crt"), &two.join("https.key")).expect_err("mixed");
        assert!(mixed.contains("do not belong together"), "{mixed}");
        assert!(load(&one.join("https.key"), &one.join("https.key")).is_err());
        assert!(load(&one.join("missing"), &one.join("https.key")).is_err());
    }
}
