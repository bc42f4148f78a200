//! Handshakes without media: str0m does ICE and DTLS, and never learns the keys that DTLS yields.
//!
//! The wrapper swallows them into a place of this thread, where [`take`] finds them right after the poll that brought them; an
//! unkeyed str0m sends no RTP and no RTCP, so that every SSRC and every nonce is ours.

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use str0m::config::{DtlsCert, DtlsVersion};
use str0m::crypto::dtls::{DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, ProtocolVersion};
use str0m::crypto::{CryptoError, CryptoProvider, from_feature_flags};

use super::srtp::Keying;

thread_local! {
    static SWALLOWED: RefCell<Option<Swallowed>> = const { RefCell::new(None) };
}

/// What a handshake came to.
#[derive(Debug, Clone)]
pub struct Swallowed {
    /// `None` when the peer chose something else than AES-GCM.
    pub keying: Option<Keying>,
    /// Is the own side the DTLS client?
    pub client: bool,
    /// Name of the negotiated SRTP profile.
    pub profile: String,
}

/// The keying material that a poll on this thread brought last.
pub fn take() -> Option<Swallowed> {
    SWALLOWED.with_borrow_mut(Option::take)
}

/// The stock provider with keys kept from str0m.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(CryptoProvider { dtls_provider: &Swallowing, ..from_feature_flags() })))
}

/// One certificate for all clients of this process; making one for each would cost more than its handshake.
pub fn certificate() -> Option<DtlsCert> {
    static CERTIFICATE: OnceLock<Option<DtlsCert>> = OnceLock::new();
    CERTIFICATE.get_or_init(|| from_feature_flags().dtls_provider.generate_certificate()).clone()
}

#[derive(Debug)]
struct Swallowing;

impl DtlsProvider for Swallowing {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        from_feature_flags().dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        let inner = from_feature_flags().dtls_provider.new_dtls(certificate, now, version, mtu)?;
        Ok(Box::new(Muzzled { inner, past: now }))
    }
}

#[derive(Debug)]
struct Muzzled {
    inner: Box<dyn DtlsInstance>,
    /// A moment that has passed; a timeout of then asks for another poll at once.
    past: Instant,
}

impl DtlsInstance for Muzzled {
    fn set_active(&mut self, active: bool) {
        self.inner.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.inner.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        let client = self.inner.is_active();
        let output = self.inner.poll_output(buffer);
        let DtlsOutput::KeyingMaterial(material, profile) = output else { return output };
        let (keying, profile) = (Keying::new(&material), format!("{profile:?}"));
        SWALLOWED.set(Some(Swallowed { keying, client, profile }));
        DtlsOutput::Timeout(self.past)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.inner.handle_timeout(now)
    }

    fn send_application_data(&mut self, bytes: &[u8]) -> Result<usize, DtlsImplError> {
        self.inner.send_application_data(bytes)
    }

    fn is_active(&self) -> bool {
        self.inner.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.inner.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.inner.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.inner.close()
    }
}
