//! Taking rights back, effective within a second (G-54): tickets are void before the shard is told, the shard ends what
//! runs, and a shard whose queue is full is told again until it has taken it.

use std::sync::Mutex;

use fanlight_wire::command::{Command, Whom};
use fanlight_wire::policy::Role;
use fanlight_wire::{Code, GroupId, Refusal, SessionId, ShardId};

use crate::control::Control;
use crate::locked;

/// What a shard has yet to take.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    waiting: Mutex<Vec<(ShardId, Command)>>,
}

impl Control {
    /// Voids what these hold in a session and puts them out.
    ///
    /// # Errors
    /// `E_SESSION` when there is no such session.
    pub(crate) fn revoke(&self, session: &SessionId, whom: Whom, code: Code) -> Result<(), Refusal> {
        let home = self.home_of(session)?;
        let Some(epoch) = self.passes().revoke(session, &whom) else { return Ok(()) };
        // A visitor's ticket is void now; its running page is its own and ends with the session.
        if matches!(whom, Whom::One { role: Role::Visitor, .. }) {
            return Ok(());
        }
        let command = Command::Revoke { session: *session, whom, epoch, code };
        // Read after the tickets are void: whoever comes to another shard from here on is looked at again there.
        let mirrors = self.directory().home(session).map(|home| home.mirrors).unwrap_or_default();
        for shard in mirrors.into_iter().chain([home.shard]) {
            if let Err(refusal) = self.send(shard, command.clone()) {
                tracing::warn!(%session, code = %refusal.code, "a revocation waits for its shard");
                locked(&self.revocations().waiting).push((shard, command.clone()));
            }
        }
        Ok(())
    }

    /// An agent may no longer be where it is: signed out, changed or switched off.
    pub(crate) fn put_out(&self, group: &GroupId, agent: &str, code: Code) {
        let whom = Whom::One { role: Role::Agent, subject: agent.to_owned() };
        self.lobby().views.thin(0, |seat| seat.login.group == *group && seat.login.agent == agent);
        for session in self.passes().of_agent(agent) {
            if self.directory().home(&session).is_some_and(|home| home.group == *group) {
                self.revoke_known(&session, whom.clone(), code);
            }
        }
    }

    /// A group is switched off: its visitors' pages are their own, everybody else is out.
    pub(crate) fn put_out_everybody(&self, group: &GroupId, code: Code) {
        for (session, _) in self.directory().all().into_iter().filter(|(_, home)| home.group == *group) {
            self.revoke_known(&session, Whom::Everybody, code);
        }
    }

    /// A server key is revoked, and with it whatever it has given.
    pub(crate) fn put_out_by_key(&self, key: &str) {
        self.lobby().views.thin(0, |seat| seat.key.as_deref() == Some(key));
        for (session, role, subject) in self.passes().of_key(key) {
            self.revoke_known(&session, Whom::One { role, subject }, Code::Ticket);
        }
    }

    fn revoke_known(&self, session: &SessionId, whom: Whom, code: Code) {
        // It may have ended a moment ago: then there is nothing to take back.
        drop(self.revoke(session, whom, code));
    }

    /// Tells shards again what they have not taken.
    pub(crate) fn repeat_revocations(&self) {
        let waiting = std::mem::take(&mut *locked(&self.revocations().waiting));
        for (shard, command) in waiting {
            if self.send(shard, command.clone()).is_err() {
                locked(&self.revocations().waiting).push((shard, command));
            }
        }
    }
}
