//! Claims of a join ticket: a short-lived EdDSA JWT that admits one participant to one session (RFC 7519, RFC 8725), and
//! of a media token, which lives longer and is shown at every request of a WHIP or WHEP client.
//!
//! Signing and verifying live in `control::tokens`. Every carrier asks it, so a ticket that is spent or revoked admits nobody.

use serde::{Deserialize, Serialize};

use crate::id::{GroupId, SessionId};
use crate::policy::{Capabilities, Role};

/// The `typ` header of a join ticket (RFC 8725 §3.11: explicit typing).
pub const TICKET_TYPE: &str = "fanlight-join+jwt";
/// The `typ` header of a media token: the same claims, for WHIP and WHEP only, good for many requests.
pub const MEDIA_TYPE: &str = "fanlight-media+jwt";
/// The `iss` claim.
pub const ISSUER: &str = "fanlight";
/// The `aud` claim.
pub const AUDIENCE: &str = "fanlight-relay";

/// What kind of client a ticket was minted for (R064).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientKind {
    /// A page in a browser.
    Web,
    /// Anything else, or nobody has said.
    #[default]
    Native,
}

/// What a join ticket says. Every field is required.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    /// Seconds since 1970 after which the ticket is void.
    pub exp: u64,
    /// Seconds since 1970 at which it was minted.
    pub iat: u64,
    /// Unique per ticket; a ticket admits once per relay.
    pub jti: String,
    /// Who this is in the group's own terms (agent id), or `visitor`. Never shown to others, never logged above DEBUG.
    pub sub: String,
    pub group: GroupId,
    pub session: SessionId,
    /// Epoch of the session's rights: a ticket of an older epoch was revoked.
    pub epoch: u32,
    pub role: Role,
    pub capabilities: Capabilities,
    /// Display name, 1–80 characters.
    pub name: String,
    pub client_kind: ClientKind,
}
