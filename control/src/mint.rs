//! What a new ticket shall say, and what it will be used in.
//!
//! Invariant: the right to share documents is for pages in a browser that are secure contexts, in groups whose level has
//! documents; every ticket and media token is minted here, so no other has it (R056, R062, R064).

use std::time::Duration;

use fanlight_wire::host::is_secure;
use fanlight_wire::policy::{Capabilities, LEVEL_DOCUMENTS, Role};
use fanlight_wire::token::{AUDIENCE, Claims, ClientKind, ISSUER};
use fanlight_wire::{Refusal, SessionId};

use crate::control::Control;
use crate::secrets::opaque;

/// What a new ticket shall say beyond the session's own facts.
#[derive(Debug, Clone)]
pub struct Mint {
    pub role: Role,
    /// Narrowed to the role's ceiling, and to what may be done in such a client.
    pub capabilities: Capabilities,
    /// Who this is in the group's own terms.
    pub subject: String,
    /// Display name, 1–80 characters.
    pub name: String,
    pub client: Client,
}

/// What a ticket will be used in.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// A program, or nobody has said.
    #[default]
    Program,
    Page {
        /// What browsers call a secure context: `https`, or this very machine.
        secure: bool,
    },
}

impl Client {
    /// The page of this `Origin`, which browsers name and nobody else has to.
    pub fn of(origin: Option<&str>) -> Self {
        origin.map_or(Self::Program, |origin| Self::Page { secure: is_secure(origin) })
    }

    const fn kind(self) -> ClientKind {
        match self {
            Self::Program => ClientKind::Native,
            Self::Page { .. } => ClientKind::Web,
        }
    }
}

impl Control {
    /// The claims of a ticket for a running session.
    ///
    /// # Errors
    /// `E_SESSION` when there is no such session.
    pub(crate) fn claims(&self, session: &SessionId, mint: Mint, life: Duration) -> Result<Claims, Refusal> {
        let home = self.home_of(session)?;
        let now = self.clock().unix_seconds();
        let epoch = self.passes().give(session, mint.role, &mint.subject, None)?;
        let has_documents = home.pinned.bundle.feature_level >= LEVEL_DOCUMENTS;
        let documents = has_documents && mint.client == Client::Page { secure: true };
        let never = if documents { Capabilities::NONE } else { Capabilities::DOC };
        Ok(Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            exp: now.saturating_add(life.as_secs()),
            iat: now,
            jti: opaque(),
            sub: mint.subject,
            group: home.group,
            session: *session,
            epoch,
            role: mint.role,
            capabilities: mint.capabilities.without(never),
            name: mint.name,
            client_kind: mint.client.kind(),
        })
    }
}
