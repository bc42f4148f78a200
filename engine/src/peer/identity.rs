//! Who a peer is: its DTLS certificate, and the ICE credentials that name it (RFC 8122, RFC 8839 §5.4).

use std::fmt;

use fanlight_wire::ShardId;
use str0m::IceCreds;
use str0m::config::DtlsCert;

use super::keying;
use crate::entropy::Entropy;

/// A DTLS identity, shared by the peers of a process.
#[derive(Clone)]
pub struct Certificate(pub(super) DtlsCert);

/// What names a peer in connectivity checks and proves knowledge of it.
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    /// Two hexadecimal digits of the shard, then six random characters.
    pub ufrag: String,
    /// 24 random characters: 144 bits.
    pub pwd: String,
}

impl Certificate {
    /// A fresh self-signed one.
    pub fn generate() -> Option<Self> {
        keying::provider().dtls_provider.generate_certificate().map(Self)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate")
    }
}

impl IceCredentials {
    pub fn new(shard: ShardId, entropy: &mut Entropy) -> Self {
        Self { ufrag: format!("{:02x}{}", shard.0, entropy.text(6)), pwd: entropy.text(24) }
    }

    pub(super) fn to_str0m(&self) -> IceCreds {
        IceCreds { ufrag: self.ufrag.clone(), pass: self.pwd.clone() }
    }
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IceCredentials({})", self.ufrag)
    }
}
