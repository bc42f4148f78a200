//! STUN as far as the engine reads it itself: whose check it is, and whether the sender knows the password.

use aws_lc_rs::hmac;
use str0m::ice::StunMessage;

/// A well-formed STUN message.
pub(crate) struct Stun<'a>(StunMessage<'a>);

/// What a STUN message is to us.
pub(crate) enum StunKind<'a> {
    /// A connectivity check for the peer with this name.
    Check { to: &'a str },
    /// An answer to a check, good or bad.
    Answer,
    /// Nothing that a peer of ours sends.
    Other,
}

/// A transaction id (RFC 8489 §5).
pub(crate) type Transaction = [u8; 12];

impl<'a> Stun<'a> {
    pub(crate) fn parse(payload: &'a [u8]) -> Option<Self> {
        StunMessage::parse(payload).ok().map(Self)
    }

    pub(crate) fn kind(&self) -> StunKind<'a> {
        if self.0.is_binding_request() {
            // RFC 8445 §7.2.2: the name is "receiver:sender".
            let name = self.0.username().and_then(|name| name.split_once(':'));
            name.map_or(StunKind::Other, |(to, _)| StunKind::Check { to })
        } else if self.0.is_successful_binding_response() || self.0.is_failed_binding_response() {
            StunKind::Answer
        } else {
            StunKind::Other
        }
    }

    /// Is MESSAGE-INTEGRITY present and made with this password? Compared in constant time.
    pub(crate) fn is_from_knower_of(&self, password: &str) -> bool {
        self.0.verify(password.as_bytes(), hmac_sha1)
    }

    /// Does the controlling side choose the path that this check came by (RFC 8445 §7.3.1.5)?
    pub(crate) fn nominates(&self) -> bool {
        self.0.is_binding_request() && self.0.use_candidate()
    }

    pub(crate) fn is_success(&self) -> bool {
        self.0.is_successful_binding_response()
    }
}

/// HMAC-SHA1, which RFC 8489 §14.5 prescribes for MESSAGE-INTEGRITY.
pub(super) fn hmac_sha1(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key));
    parts.iter().for_each(|part| context.update(part));
    let mut tag = [0; 20];
    tag.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
    tag
}

/// The transaction of a binding request in raw bytes.
pub(crate) fn request_transaction(payload: &[u8]) -> Option<Transaction> {
    payload.starts_with(&[0x00, 0x01]).then(|| transaction(payload))?
}

/// The transaction of any STUN message.
pub(crate) fn transaction(payload: &[u8]) -> Option<Transaction> {
    payload.get(8..20)?.try_into().ok()
}
