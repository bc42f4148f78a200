//! Where the keys of a handshake go: to us and not to str0m.
//!
//! The provider is the ordinary one, except that its DTLS endpoints keep the keying material back. So a str0m instance
//! that is connected has no ciphers: it can neither read nor write RTP and RTCP, and no key has two users. It leaves to
//! [`crate::rtp::srtp`] what is made of the keys.
//!
//! What an unkeyed str0m does otherwise: it says goodbye by a DTLS alert alone; it goes on composing reports for the
//! streams of its sections, and drops them. So streams are best removed once their numbers are known, and those we send
//! on declared again before a further offer is answered.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use str0m::crypto::dtls::{
    DtlsCert, DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, DtlsVersion, ProtocolVersion, SrtpProfile,
};
use str0m::crypto::{CryptoError, CryptoProvider, from_feature_flags};

use crate::rtp::srtp::{Keying, Profile};

thread_local! {
    /// What the last handshake on this thread yielded. str0m is polled synchronously, so whoever is told of a
    /// connection finds its keys here.
    static LAST: RefCell<Option<Keying>> = const { RefCell::new(None) };
}

/// The keys of the handshake that str0m just reported as connected on this thread, once. `None` when the two sides
/// agreed on no SRTP profile: such a connection carries no media.
pub(super) fn take() -> Option<Keying> {
    LAST.take()
}

/// The process's crypto provider, made once.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    let make = || {
        let mut provider = from_feature_flags();
        provider.dtls_provider = keeping(provider.dtls_provider);
        Arc::new(provider)
    };
    Arc::clone(PROVIDER.get_or_init(make))
}

fn keeping(inner: &'static dyn DtlsProvider) -> &'static Keeping {
    static KEEPING: OnceLock<Keeping> = OnceLock::new();
    KEEPING.get_or_init(|| Keeping(inner))
}

#[derive(Debug)]
struct Keeping(&'static dyn DtlsProvider);

#[derive(Debug)]
struct Endpoint(Box<dyn DtlsInstance>);

impl DtlsProvider for Keeping {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        self.0.generate_certificate()
    }

    fn new_dtls(
        &self,
        cert: &DtlsCert,
        now: Instant,
        dtls_version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let inner = self.0.new_dtls(cert, now, dtls_version, mtu)?;
        Ok(Box::new(Endpoint(inner)))
    }

    fn is_test(&self) -> bool {
        self.0.is_test()
    }
}

impl DtlsInstance for Endpoint {
    fn set_active(&mut self, active: bool) {
        self.0.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.0.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        match self.0.poll_output(buf) {
            DtlsOutput::KeyingMaterial(material, profile) => {
                LAST.set(profile_of(profile).and_then(|profile| Keying::new(profile, &material)));
                // Something has to be said in its place; the server's keys follow "connected", which may be repeated.
                DtlsOutput::Connected
            }
            DtlsOutput::Connected => {
                // Without a common profile no keys follow, and those of another handshake must not stand in for them.
                LAST.set(None);
                DtlsOutput::Connected
            }
            other => other,
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.0.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.0.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.0.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.0.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.0.close()
    }
}

fn profile_of(profile: SrtpProfile) -> Option<Profile> {
    match profile {
        SrtpProfile::AEAD_AES_128_GCM => Some(Profile::Aes128Gcm),
        SrtpProfile::AEAD_AES_256_GCM => Some(Profile::Aes256Gcm),
        SrtpProfile::AES128_CM_SHA1_80 => Some(Profile::Aes128CmSha1_80),
        _ => None,
    }
}
