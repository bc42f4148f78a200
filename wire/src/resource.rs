//! Control → shard and back: media resources, the members of a session that came by WHIP (RFC 9725) or WHEP.
//!
//! Unlike a [`crate::command::Command`] each of these is a question with one answer.

use std::fmt;
use std::str::FromStr;

use crate::command::Admission;
use crate::id::{SessionId, ShardId};
use crate::signal::Slot;

/// Which way the media of a resource flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceKind {
    /// Into the session (WHIP).
    Whip,
    /// Out of it (WHEP).
    Whep,
}

impl ResourceKind {
    pub const ALL: [Self; 2] = [Self::Whip, Self::Whep];

    /// Path segment and metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Whip => "whip",
            Self::Whep => "whep",
        }
    }
}

/// A media resource: the shard that holds it and 120 random bits, shown as 32 lower-case hex digits. Together with a token
/// of its session it is all that is needed to change or delete the resource.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId([u8; 16]);

/// The text is not 32 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a resource id is 32 lower-case hex digits")]
pub struct ResourceIdError;

impl ResourceId {
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// A name for a resource on this shard.
    pub fn on(shard: ShardId, random: [u8; 15]) -> Self {
        let mut bytes = [0; 16];
        let [first, rest @ ..] = &mut bytes;
        (*first, *rest) = (shard.0, random);
        Self(bytes)
    }

    /// The shard that holds it, if there is such a resource.
    pub const fn shard(self) -> ShardId {
        let [first, ..] = self.0;
        ShardId(first)
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ResourceId {
    /// Whoever knows the id can end the resource, so logs do not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResourceId(..)")
    }
}

impl FromStr for ResourceId {
    type Err = ResourceIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(ResourceIdError);
        }
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| ResourceIdError)?;
        Ok(Self(bytes))
    }
}

/// What is published or watched, as the query parameter `source` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaSource {
    /// Published: one's own screen. Watched: the visitor's.
    Screen,
    /// The visitor's camera.
    Camera,
    Slot(Slot),
}

impl MediaSource {
    /// Every name, in the order of the documents.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("screen", Self::Screen),
        ("camera", Self::Camera),
        ("slot:visitor", Self::Slot(Slot::Visitor)),
        ("slot:agent", Self::Slot(Slot::Agent)),
    ];

    /// Reads one name of [`Self::NAMES`].
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, source)| *source)
    }
}

/// Which resource is meant, and by whom: only who made it may change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceRef {
    pub session: SessionId,
    pub kind: ResourceKind,
    pub resource: ResourceId,
    /// The token's `sub`.
    pub subject: String,
}

/// The version of a resource that a change was made for (RFC 9110 §13.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// `If-Match: *`
    Any,
    /// `If-Match: "…"`, without the quotes.
    Tag(String),
}

/// What a session's home allows a viewer that is served by another shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ViewPermit {
    /// Who gave it.
    pub home: ShardId,
    pub source: MediaSource,
    /// Rises whenever the visitor no longer agrees to be seen: an older permit is void.
    pub agreement: u32,
}

/// What control asks of a session's home, or of a shard that mirrors it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceInput {
    /// A new resource for the holder of a verified media token. Without a source: what its role is for.
    Create { kind: ResourceKind, admission: Admission, source: Option<MediaSource>, sdp: String },
    /// May the holder of this token watch, on another shard? Nothing is made here.
    Permit { admission: Admission, source: Option<MediaSource> },
    /// A new WHEP resource on a shard that is not the session's home.
    Mirror { permit: ViewPermit, admission: Admission, sdp: String },
    /// Trickle ICE or an ICE restart (RFC 8840 fragment).
    Patch { of: ResourceRef, condition: Condition, fragment: String },
    /// The resource shall not be any more.
    Delete { of: ResourceRef },
}

/// What the home answers, if it does not refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResourceOutput {
    Created {
        resource: ResourceId,
        /// Names the ICE session; changes at a restart.
        tag: String,
        sdp: String,
    },
    Permitted(ViewPermit),
    /// The candidates were taken note of.
    Noted,
    /// ICE has begun anew: the new name and our side's credentials.
    Restarted {
        tag: String,
        fragment: String,
    },
    Deleted,
}

impl ResourceInput {
    /// The session that is asked about.
    pub const fn session(&self) -> &SessionId {
        match self {
            Self::Create { admission, .. } | Self::Permit { admission, .. } | Self::Mirror { admission, .. } => {
                &admission.session
            }
            Self::Patch { of, .. } | Self::Delete { of } => &of.session,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_prints_and_stays_out_of_logs() {
        let id = ResourceId::from_bytes(*b"0123456789abcdef");
        assert_eq!(id.to_string().parse(), Ok(id));
        let placed = ResourceId::on(ShardId(7), [0xab; 15]);
        assert_eq!((placed.shard(), placed.to_string().len()), (ShardId(7), 32));
        assert!(!format!("{id:?}").contains(&id.to_string()));
        for bad in ["", "ab", "ABCDEF00000000000000000000000000", "../../../../../etc/passwd"] {
            assert_eq!(bad.parse::<ResourceId>(), Err(ResourceIdError), "{bad}");
        }
    }

    #[test]
    fn sources_have_their_documented_names_only() {
        for (name, source) in MediaSource::NAMES {
            assert_eq!(MediaSource::named(name), Some(source));
        }
        for bad in ["", "slot", "slot:", "SCREEN", "slot:relay"] {
            assert_eq!(MediaSource::named(bad), None, "{bad}");
        }
    }
}
