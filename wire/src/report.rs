//! Shard → control: facts that a session record, an audit line or a metric is made of. No page content, no names.

use std::time::Duration;

use crate::code::Code;
use crate::id::{ParticipantId, SessionId};
use crate::policy::Role;
use crate::signal::{Ask, Slot};

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    Joined {
        session: SessionId,
        participant: ParticipantId,
        role: Role,
        resumed: bool,
    },
    Left {
        session: SessionId,
        participant: ParticipantId,
        role: Role,
        code: Code,
    },
    /// The visitor answered a question about `participant`.
    Consent {
        session: SessionId,
        participant: ParticipantId,
        kind: Ask,
        accepted: bool,
    },
    ShareStarted {
        session: SessionId,
        slot: Slot,
        participant: ParticipantId,
    },
    /// A share showed its first keyframe this long after it was asked for.
    ShareLive {
        session: SessionId,
        slot: Slot,
        participant: ParticipantId,
        after: Duration,
    },
    ShareTakenOver {
        session: SessionId,
        slot: Slot,
        from: ParticipantId,
        to: ParticipantId,
    },
    ShareStopped {
        session: SessionId,
        slot: Slot,
        participant: ParticipantId,
    },
    Refused {
        session: SessionId,
        participant: ParticipantId,
        code: Code,
    },
    Ended {
        session: SessionId,
        code: Code,
        by: Option<ParticipantId>,
        lasted: Duration,
    },
}
