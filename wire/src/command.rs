//! Control → shard. Each command states a target, so repeating it is harmless.

use std::time::Duration;

use crate::code::Code;
use crate::id::{GroupId, SessionId};
use crate::policy::{Capabilities, Policy, Role};

/// What control wants of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a session is opened once, and its rules are moved then")]
pub enum Command {
    /// There shall be this session. A session that exists keeps its policy.
    Open { session: SessionId, group: GroupId, policy: Policy },
    /// Nobody in this session shall be allowed more than this. What is not named stays as it is.
    Narrow { session: SessionId, narrowing: Box<Narrowing> },
    /// Whoever is meant and was admitted before this epoch shall be out of this session, and stay out.
    Revoke { session: SessionId, whom: Whom, epoch: u32, code: Code },
    /// There shall be no such session.
    End { session: SessionId, code: Code },
    /// This session may be without participants and media resources until this long after its creation, instead of
    /// [`crate::limits::NEVER_JOINED_MAX`].
    Keep { session: SessionId, empty_max: Duration },
    /// The visitor has agreed to this agent before it came, by accepting its invitation: it is let in without being
    /// asked about, once.
    Welcome { session: SessionId, subject: String },
    /// No new participants; sessions that are empty end, the others have until the deadline.
    Drain { within: Duration },
}

/// Whose admission is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// Everybody but the visitor, whose right to its own page nobody has given.
    Everybody,
    /// Every place and media resource of one holder.
    One { role: Role, subject: String },
}

impl Whom {
    pub fn means(&self, role: Role, subject: &str) -> bool {
        match self {
            Self::Everybody => role != Role::Visitor,
            Self::One { role: meant, subject: named } => *meant == role && named == subject,
        }
    }
}

/// The most that a running session may allow from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrowing {
    /// The rules of the session; its version is the one that refusals name from now on.
    pub policy: Policy,
    /// What agents may do.
    pub agents: Capabilities,
    /// What agents with a role may do, by subject.
    pub subjects: Vec<(String, Capabilities)>,
}

impl Narrowing {
    /// The most that the agent with this subject may do.
    pub fn of(&self, subject: &str) -> Capabilities {
        let own = self.subjects.iter().find(|(known, _)| known == subject);
        own.map_or(self.agents, |(_, capabilities)| *capabilities)
    }
}

/// A participant whose ticket the host has verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    pub session: SessionId,
    pub role: Role,
    pub capabilities: Capabilities,
    pub name: String,
    /// The ticket's `sub`: the same agent joining twice replaces its own earlier place.
    pub subject: String,
    pub epoch: u32,
}
