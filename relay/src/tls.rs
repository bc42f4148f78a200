//! Certificates of the public door and of WebTransport.
//!
//! Owns which certificate is shown; a swap is atomic and a certificate that does not check out never replaces one that
//! did. TLS 1.2 and 1.3 with aws-lc-rs, post-quantum key exchange preferred; no early data, so nothing can be replayed.
//! HTTPS shows the operator's files or a self-made certificate ([`files`]); WebTransport shows the operator's files too
//! or, because browsers take a self-made one only by its hash, a short-lived one ([`short`]).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::config::{Config, StartError};

pub mod files;
pub mod short;

/// The one crypto provider of the product.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A certificate that can be swapped while connections are being accepted.
pub struct Certificate {
    shown: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    pub fn new(key: CertifiedKey) -> Self {
        Self { shown: RwLock::new(Arc::new(key)) }
    }

    /// Shows `key` to everybody who connects from now on.
    pub fn swap(&self, key: CertifiedKey) {
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
    }

    fn current(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.shown.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate")
    }
}

/// All certificates of a node.
#[derive(Debug)]
pub struct Certificates {
    https: Arc<Certificate>,
    /// Absent when the operator's certificate serves WebTransport too.
    short: Option<Arc<short::ShortLived>>,
    /// The operator's files, to be read again.
    files: Option<(PathBuf, PathBuf)>,
}

impl Certificates {
    /// Reads or makes what the configuration wants.
    ///
    /// # Errors
    /// [`StartError`] when the files do not hold a certificate and its key, or a self-made one cannot be stored.
    pub fn open(config: &Config, now: SystemTime) -> Result<Self, StartError> {
        if config.self_made_certificate() {
            let https = files::self_made(&config.data_dir(), &names(config), now)?;
            let short = short::ShortLived::new(names(config), now)
                .map_err(|e| StartError::host("WebTransport certificate", e))?;
            return Ok(Self { https: Arc::new(Certificate::new(https)), short: Some(Arc::new(short)), files: None });
        }
        let (cert, key) = (config.public.cert.clone(), config.public.key.clone());
        let https = files::load(&cert, &key).map_err(|e| StartError::config("public.cert", e))?;
        Ok(Self { https: Arc::new(Certificate::new(https)), short: None, files: Some((cert, key)) })
    }

    /// TLS for the HTTPS listener.
    ///
    /// # Errors
    /// [`StartError`] when the crypto provider does not know the protocol versions.
    pub fn https_config(&self) -> Result<Arc<ServerConfig>, StartError> {
        let mut config = server_config(rustls::ALL_VERSIONS, Arc::<Certificate>::clone(&self.https))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// TLS for the WebTransport endpoints.
    ///
    /// # Errors
    /// [`StartError`] when the crypto provider does not know the protocol versions.
    pub fn quic_config(&self) -> Result<Arc<ServerConfig>, StartError> {
        let resolver: Arc<dyn ResolvesServerCert> = match &self.short {
            Some(short) => Arc::<short::ShortLived>::clone(short),
            None => Arc::<Certificate>::clone(&self.https),
        };
        let mut config = server_config(&[&rustls::version::TLS13], resolver)?;
        config.alpn_protocols = vec![web_transport_quinn::ALPN.as_bytes().to_vec()];
        Ok(Arc::new(config))
    }

    /// SHA-256 of the certificates a browser may meet at the WebTransport ports; none when they are publicly trusted.
    pub fn hashes(&self) -> Vec<[u8; 32]> {
        self.short.as_ref().map(|s| s.hashes()).unwrap_or_default()
    }

    /// Renews the short-lived certificate when it is time. Says whether it did.
    ///
    /// # Errors
    /// Text when no new one could be made; the old one stays.
    pub fn renew(&self, now: SystemTime) -> Result<bool, String> {
        self.short.as_ref().map_or(Ok(false), |short| short.renew(now).map_err(|e| e.to_string()))
    }

    /// Reads the operator's files again. Says whether there are any.
    ///
    /// # Errors
    /// Text when they do not hold a certificate and its key; the old one stays.
    pub fn reload(&self) -> Result<bool, String> {
        let Some((cert, key)) = &self.files else { return Ok(false) };
        self.https.swap(files::load(cert, key)?);
        Ok(true)
    }
}

fn server_config(
    versions: &[&'static rustls::SupportedProtocolVersion],
    resolver: Arc<dyn ResolvesServerCert>,
) -> Result<ServerConfig, StartError> {
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .map_err(|e| StartError::host("TLS", e))?;
    Ok(builder.with_no_client_auth().with_cert_resolver(resolver))
}

/// Names that a self-made certificate is good for.
fn names(config: &Config) -> Vec<String> {
    let host = config.public_host();
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(Into::into).into();
    let host = host.trim_matches(['[', ']']);
    if !names.iter().any(|n| n == host) {
        names.push(host.to_string());
    }
    names
}

/// Is the file older than `days`? An unreadable age counts as old.
fn older_than(path: &Path, days: u64, now: SystemTime) -> bool {
    let age = std::fs::metadata(path).and_then(|m| m.modified()).map(|made| now.duration_since(made));
    !matches!(age, Ok(Ok(age)) if age.as_secs() < days * 86_400)
}
