//! Which SRTP profile a handshake chose.
//!
//! str0m keeps that to itself, but asks its crypto provider for the ciphers of the chosen profile in the same call in
//! which the handshake completes. This provider is the ordinary one and notes, per thread, what was asked for last.

use std::cell::Cell;
use std::sync::{Arc, OnceLock};

use str0m::crypto::{
    AeadAes128GcmCipher, AeadAes256GcmCipher, Aes128CmSha1_80Cipher, CryptoProvider, SrtpProvider,
    SupportedAeadAes128Gcm, SupportedAeadAes256Gcm, SupportedAes128CmSha1_80, from_feature_flags,
};

/// Shown when a peer is connected and no cipher was made on this thread; an invariant of ours broke if it is seen.
const UNKNOWN: &str = "unknown";

thread_local! {
    static LAST: Cell<&'static str> = const { Cell::new(UNKNOWN) };
}

/// The profile of the ciphers made last on this thread.
pub(super) fn last_profile() -> &'static str {
    LAST.get()
}

/// The process's crypto provider, made once.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let make = || {
        let mut provider = from_feature_flags();
        provider.srtp_provider = noting(provider.srtp_provider);
        Arc::new(provider)
    };
    Arc::clone(PROVIDER.get_or_init(make))
}

fn noting(inner: &'static dyn SrtpProvider) -> &'static Noting {
    static NOTING: OnceLock<Noting> = OnceLock::new();
    NOTING.get_or_init(|| Noting {
        inner,
        cm: NotingCm(inner.aes_128_cm_sha1_80()),
        gcm_128: NotingGcm128(inner.aead_aes_128_gcm()),
        gcm_256: NotingGcm256(inner.aead_aes_256_gcm()),
    })
}

#[derive(Debug)]
struct Noting {
    inner: &'static dyn SrtpProvider,
    cm: NotingCm,
    gcm_128: NotingGcm128,
    gcm_256: NotingGcm256,
}

#[derive(Debug, Clone, Copy)]
struct NotingCm(&'static dyn SupportedAes128CmSha1_80);
#[derive(Debug, Clone, Copy)]
struct NotingGcm128(&'static dyn SupportedAeadAes128Gcm);
#[derive(Debug, Clone, Copy)]
struct NotingGcm256(&'static dyn SupportedAeadAes256Gcm);

impl SrtpProvider for Noting {
    fn aes_128_cm_sha1_80(&self) -> &'static dyn SupportedAes128CmSha1_80 {
        &noting(self.inner).cm
    }

    fn aead_aes_128_gcm(&self) -> &'static dyn SupportedAeadAes128Gcm {
        &noting(self.inner).gcm_128
    }

    fn aead_aes_256_gcm(&self) -> &'static dyn SupportedAeadAes256Gcm {
        &noting(self.inner).gcm_256
    }

    fn srtp_aes_128_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        self.inner.srtp_aes_128_ecb_round(key, input, output);
    }

    fn srtp_aes_256_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        self.inner.srtp_aes_256_ecb_round(key, input, output);
    }
}

impl SupportedAes128CmSha1_80 for NotingCm {
    fn create_cipher(&self, key: [u8; 16], encrypt: bool) -> Box<dyn Aes128CmSha1_80Cipher> {
        LAST.set("AES_128_CM_HMAC_SHA1_80");
        self.0.create_cipher(key, encrypt)
    }
}

impl SupportedAeadAes128Gcm for NotingGcm128 {
    fn create_cipher(&self, key: [u8; 16], encrypt: bool) -> Box<dyn AeadAes128GcmCipher> {
        LAST.set("AEAD_AES_128_GCM");
        self.0.create_cipher(key, encrypt)
    }
}

impl SupportedAeadAes256Gcm for NotingGcm256 {
    fn create_cipher(&self, key: [u8; 32], encrypt: bool) -> Box<dyn AeadAes256GcmCipher> {
        LAST.set("AEAD_AES_256_GCM");
        self.0.create_cipher(key, encrypt)
    }
}
