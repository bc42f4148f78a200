//! Where the keys of a handshake go: to us and not to str0m.
//!
//! The provider is the ordinary one, except that its DTLS endpoints keep the keying material back. So a str0m instance
//! that is connected has no ciphers: it can neither read nor write RTP and RTCP, and no key has two users. It leaves to
//! [`crate::rtp::srtp`] what is made of the keys.
//!
//! And except that the endpoints of a process share one configuration. The ordinary provider makes one for each, and
//! dimpl tries every algorithm out when it makes one: that costs as much as the handshake itself.
//!
//! What an unkeyed str0m does otherwise: it says goodbye by a DTLS alert alone; it goes on composing reports for the
//! streams of its sections, and drops them. So streams are best removed once their numbers are known, and those we send
//! on declared again before a further offer is answered.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use dimpl::{Config, ConfigBuilder, Dtls};
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

/// What every endpoint of the process is made with.
fn configuration(mtu: Option<usize>) -> Result<Arc<Config>, CryptoError> {
    static MADE: OnceLock<(Option<usize>, Arc<Config>)> = OnceLock::new();
    if let Some((_, made)) = MADE.get().filter(|(of, _)| *of == mtu) {
        return Ok(Arc::clone(made));
    }
    // A cookie would prove that packets come back from where the client says it is; ICE has done that before.
    let builder = Config::builder().use_server_cookie(false);
    let builder = mtu.into_iter().fold(builder, ConfigBuilder::mtu);
    let made = Arc::new(builder.build().map_err(|error| CryptoError::Other(error.to_string()))?);
    // The first is kept. Two shards that make it at the same time have one each for that connection.
    drop(MADE.set((mtu, Arc::clone(&made))));
    Ok(made)
}

#[derive(Debug)]
struct Keeping(&'static dyn DtlsProvider);

#[derive(Debug)]
struct Endpoint(Dtls);

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
        if !matches!(dtls_version, DtlsVersion::Dtls12) {
            return Err(CryptoError::Other(format!("{dtls_version} is not offered to clients")));
        }
        Ok(Box::new(Endpoint(Dtls::new_12(configuration(mtu)?, cert.clone(), now))))
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
        keep_back(self.0.poll_output(buf))
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

/// Takes the keys out of what a DTLS endpoint says.
fn keep_back(output: DtlsOutput<'_>) -> DtlsOutput<'_> {
    match output {
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

fn profile_of(profile: SrtpProfile) -> Option<Profile> {
    match profile {
        SrtpProfile::AEAD_AES_128_GCM => Some(Profile::Aes128Gcm),
        SrtpProfile::AEAD_AES_256_GCM => Some(Profile::Aes256Gcm),
        SrtpProfile::AES128_CM_SHA1_80 => Some(Profile::Aes128CmSha1_80),
        _ => None,
    }
}
