//! A client's way to its server: ICE and DTLS by str0m, which sees no media and no keys ([`super::keying`]).
//!
//! Invariant: datagrams whose first byte is 128–191 never pass through here (RFC 7983).

use std::collections::VecDeque;
use std::net::{SocketAddr, SocketAddrV4};
use std::time::Instant;

use str0m::crypto::Fingerprint;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, IceCreds, Input, Output, Rtc, RtcConfig};

use super::keying::{self, Swallowed};
use super::sdp::Party;

/// The handshake of one client, and afterwards its consent.
pub struct Handshake {
    rtc: Rtc,
    local: SocketAddrV4,
    timeout: Instant,
    outgoing: VecDeque<(SocketAddrV4, Vec<u8>)>,
    /// Where the last DTLS packet went: the path that ICE has chosen.
    pub remote: Option<SocketAddrV4>,
    pub connected: bool,
    pub failed: bool,
    pub keys: Option<Swallowed>,
}

impl std::fmt::Debug for Handshake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handshake")
            .field("local", &self.local)
            .field("connected", &self.connected)
            .finish_non_exhaustive()
    }
}

/// The server's description makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    #[error("the fingerprint is not readable")]
    Fingerprint,
    #[error("the handshake cannot begin: {0}")]
    Start(String),
}

impl Handshake {
    /// A client at `local`. `controlling` is whoever offered.
    pub fn new(now: Instant, local: SocketAddrV4, controlling: bool) -> Self {
        let config = RtcConfig::new().set_rtp_mode(true).clear_codecs().set_crypto_provider(keying::provider());
        let config = match keying::certificate() {
            Some(certificate) => config.set_dtls_cert(certificate),
            None => config,
        };
        let mut rtc = config.build(now);
        if let Ok(candidate) = Candidate::host(SocketAddr::V4(local), "udp") {
            rtc.add_local_candidate(candidate);
        }
        rtc.direct_api().set_ice_controlling(controlling);
        Self {
            rtc,
            local,
            timeout: now,
            outgoing: VecDeque::new(),
            remote: None,
            connected: false,
            failed: false,
            keys: None,
        }
    }

    /// How to describe this client.
    pub fn party(&mut self, active: Option<bool>) -> Party {
        let direct = self.rtc.direct_api();
        let (credentials, print) = (direct.local_ice_credentials(), direct.local_dtls_fingerprint().to_string());
        Party {
            ufrag: credentials.ufrag,
            password: credentials.pass,
            fingerprint: print,
            candidates: vec![self.local],
            active,
        }
    }

    /// Begins. `active`: the own side is the DTLS client.
    ///
    /// # Errors
    /// [`HandshakeError`] when the description cannot be used.
    pub fn begin(&mut self, now: Instant, remote: &Party, active: bool) -> Result<(), HandshakeError> {
        let print: Fingerprint = remote.fingerprint.parse().map_err(|_| HandshakeError::Fingerprint)?;
        for address in &remote.candidates {
            if let Ok(candidate) = Candidate::host(SocketAddr::V4(*address), "udp") {
                self.rtc.add_remote_candidate(candidate);
            }
        }
        let mut direct = self.rtc.direct_api();
        direct.set_remote_ice_credentials(IceCreds { ufrag: remote.ufrag.clone(), pass: remote.password.clone() });
        direct.set_remote_fingerprint(print);
        direct.start_dtls(active).map_err(|error| HandshakeError::Start(error.to_string()))?;
        self.handle_timeout(now);
        Ok(())
    }

    /// A STUN or DTLS datagram.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddrV4, bytes: &[u8]) {
        let Ok(receive) = Receive::new(Protocol::Udp, from.into(), self.local.into(), bytes) else { return };
        // What cannot be read is dropped, as in a browser.
        drop(self.rtc.handle_input(Input::Receive(now, receive)));
        self.drain(now);
    }

    /// Lets time pass; due at [`Self::deadline`].
    pub fn handle_timeout(&mut self, now: Instant) {
        drop(self.rtc.handle_input(Input::Timeout(now)));
        self.drain(now);
    }

    pub const fn deadline(&self) -> Instant {
        self.timeout
    }

    pub fn poll_transmit(&mut self) -> Option<(SocketAddrV4, Vec<u8>)> {
        self.outgoing.pop_front()
    }

    /// Says goodbye.
    pub fn close(&mut self, now: Instant) {
        drop(self.rtc.close());
        self.drain(now);
    }

    fn drain(&mut self, now: Instant) {
        self.poll(now);
        // Whatever the poll has brought belongs to this client; nothing of it may be found by the next.
        if let Some(keys) = keying::take() {
            self.keys = Some(keys);
        }
    }

    fn poll(&mut self, now: Instant) {
        // A timeout in the past asks for another poll at once; bounded, so that no peer can keep us here.
        for _ in 0..64 {
            if !self.rtc.is_alive() {
                self.failed = true;
                self.timeout = now + std::time::Duration::from_secs(3_600);
                return;
            }
            match self.rtc.poll_output() {
                Ok(Output::Transmit(transmit)) => {
                    let SocketAddr::V4(to) = transmit.destination else { continue };
                    match transmit.contents.first() {
                        Some(20..=63) => self.remote = Some(to),
                        Some(128..=191) => continue,
                        _ => {}
                    }
                    self.outgoing.push_back((to, transmit.contents.to_vec()));
                }
                Ok(Output::Event(Event::Connected)) => self.connected = true,
                Ok(Output::Event(Event::IceConnectionStateChange(state))) => {
                    self.failed |= state == str0m::IceConnectionState::Disconnected;
                }
                Ok(Output::Event(_)) => {}
                Ok(Output::Timeout(timeout)) => {
                    self.timeout = timeout;
                    if timeout > now {
                        return;
                    }
                    drop(self.rtc.handle_input(Input::Timeout(now)));
                }
                Err(_) => {
                    self.failed = true;
                    return;
                }
            }
        }
    }
}
