//! Who is asking: agents that have signed in, visitors that hold their session's handle, a group's servers, administrators, the
//! operator.

use std::time::Instant;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use fanlight_wire::limits::{LOGIN_LIFE, LOGINS_MAX, LOGINS_PER_AGENT_MAX, SESSIONS_PER_SHARD_MAX};
use fanlight_wire::{Code, GroupId, Refusal, SessionId};

use crate::admins::Admin;
use crate::bearers::Bearers;
use crate::control::Control;
use crate::secrets::{Hash, sha256};
use crate::servers::Server;
use crate::store::agent as find_agent;

/// An agent that has signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) group: GroupId,
    pub(crate) agent: String,
    /// Display name.
    pub(crate) name: String,
    /// Its role in the group's bundle; none: what the group allows.
    pub(crate) role: Option<String>,
}

/// Whom a bearer stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Caller {
    /// No bearer was shown.
    Nobody,
    /// The visitor of this session.
    Visitor(SessionId),
    Agent(Login),
    /// A group's back end.
    Server(Server),
    /// Signed in to the console with the identity provider.
    Admin(Admin),
    Operator,
    /// A bearer that is unknown, has expired or belongs to another door.
    Stranger,
}

impl Caller {
    /// As audit lines and histories name it.
    pub(crate) fn who(&self) -> String {
        match self {
            Self::Nobody | Self::Stranger => "nobody".into(),
            Self::Visitor(_) => "visitor".into(),
            Self::Agent(login) => login.agent.clone(),
            Self::Server(server) => format!("key:{}", server.key),
            Self::Admin(admin) => format!("admin:{}", admin.subject),
            Self::Operator => "operator".into(),
        }
    }
}

/// Everybody who holds a bearer.
#[derive(Debug)]
pub(crate) struct Presence {
    logins: Bearers<Login>,
    handles: Bearers<SessionId>,
    operator: Hash,
}

impl Presence {
    pub(crate) fn new(shards: u8, operator_token: &str) -> Self {
        Self {
            logins: Bearers::new(LOGINS_MAX),
            handles: Bearers::new(usize::from(shards.max(1)) * SESSIONS_PER_SHARD_MAX),
            operator: sha256(operator_token.as_bytes()),
        }
    }

    /// A bearer for an agent. Of those it has already the newest stay good, so that one agent cannot use up the node's.
    ///
    /// # Errors
    /// `E_OVERLOAD` when too many agents are signed in.
    pub(crate) fn sign_in(&self, login: Login, now: Instant) -> Result<String, Refusal> {
        self.logins.thin(LOGINS_PER_AGENT_MAX - 1, |held| *held == login);
        let issued = self.logins.issue(login, Some(now + LOGIN_LIFE), now);
        issued.map(|(text, _)| text).ok_or_else(|| Refusal::new(Code::Overload, "limits::LOGINS_MAX"))
    }

    /// Ends the logins of a group's agents, or of one of them.
    pub(crate) fn sign_out(&self, group: &GroupId, agent: Option<&str>) {
        self.logins.thin(0, |login| login.group == *group && agent.is_none_or(|agent| login.agent == agent));
    }

    /// Ends the login with this bearer.
    pub(crate) fn end_login(&self, bearer: &str) {
        self.logins.revoke(&sha256(bearer.as_bytes()));
    }

    /// A visitor's handle for its session, and what revokes it.
    ///
    /// # Errors
    /// `E_OVERLOAD` when there are as many as there may be sessions.
    pub(crate) fn handle(&self, session: SessionId, now: Instant) -> Result<(String, Hash), Refusal> {
        let issued = self.handles.issue(session, None, now);
        issued.ok_or_else(|| Refusal::new(Code::Overload, "limits::SESSIONS_PER_SHARD_MAX"))
    }

    pub(crate) fn revoke_handle(&self, handle: &Hash) {
        self.handles.revoke(handle);
    }

    /// Whose bearer this is, at the public door.
    pub(crate) fn public_caller(&self, bearer: Option<&str>, now: Instant) -> Caller {
        let Some(bearer) = bearer else { return Caller::Nobody };
        if let Some(login) = self.logins.find(bearer, now) {
            return Caller::Agent(login);
        }
        self.handles.find(bearer, now).map_or(Caller::Stranger, Caller::Visitor)
    }

    /// An agent that is signed in now.
    fn login_of(&self, group: &GroupId, agent: &str, now: Instant) -> Option<Login> {
        self.logins.any(now, |login| login.group == *group && login.agent == agent)
    }

    /// Whose bearer this is, at the operator's door, where nobody else has any business.
    pub(crate) fn operator_caller(&self, bearer: Option<&str>) -> Caller {
        match bearer {
            None => Caller::Nobody,
            Some(bearer) => match verify_slices_are_equal(&sha256(bearer.as_bytes()), &self.operator) {
                Ok(()) => Caller::Operator,
                Err(_) => Caller::Stranger,
            },
        }
    }
}

impl Control {
    /// An agent whom somebody else names: one that is signed in, or may sign in with a secret.
    ///
    /// # Errors
    /// `E_NOT_FOUND` for anybody else, `E_STORE` when that cannot be known.
    pub(crate) async fn agent_named(&self, group: &GroupId, agent: &str) -> Result<Login, Refusal> {
        if let Some(login) = self.presence().login_of(group, agent, self.clock().now()) {
            return Ok(login);
        }
        let (of, named) = (group.clone(), agent.to_owned());
        let row = self.store().ask(move |connection| find_agent(connection, &of, &named)).await?;
        let row = row.ok_or_else(|| Refusal::new(Code::NotFound, "G-52").saying("There is no such agent."))?;
        Ok(Login { group: group.clone(), agent: agent.to_owned(), name: row.name, role: row.role })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::control::testing::an_instant;

    #[test]
    fn an_agent_that_signs_in_again_and_again_keeps_its_newest_logins() {
        let presence = Presence::new(1, "operator");
        let login = |agent: &str| {
            let group = GroupId::new("demo").expect("a legal id");
            Login { group, agent: agent.into(), name: agent.into(), role: None }
        };
        let start = an_instant();
        let ben = presence.sign_in(login("ben"), start).expect("room");
        let tokens: Vec<_> = (0..100)
            .map(|second| presence.sign_in(login("ann"), start + Duration::from_secs(second)).expect("room"))
            .collect();
        let now = start + Duration::from_secs(100);
        let good = |token: &&String| matches!(presence.public_caller(Some(token), now), Caller::Agent(_));
        assert_eq!(tokens.iter().filter(good).count(), LOGINS_PER_AGENT_MAX);
        assert!(tokens.last().as_ref().is_some_and(good) && good(&&ben), "the newest, and other agents' stay");
    }
}
