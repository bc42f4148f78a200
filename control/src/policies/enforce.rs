//! *Enforce*: what runs gets no more than a version allows.
//!
//! Invariant: every session of the group is told, whichever version it has pinned, because narrowing twice is harmless;
//! tickets minted from now on are narrowed before the shards are told, so that nobody slips in between.

use std::sync::Arc;

use fanlight_wire::GroupId;
use fanlight_wire::command::{Command, Narrowing};

use crate::control::Control;
use crate::policies::{Numbered, capabilities, of_session};

impl Control {
    /// Tells the group's sessions; how many were told and how many shards' queues would not take it.
    pub(crate) fn enforce(&self, group: &GroupId, numbered: Numbered) -> (usize, usize) {
        let numbered = Arc::new(numbered);
        let (mut told, mut unreached) = (0, 0);
        for (session, _) in self.directory().all().into_iter().filter(|(_, home)| home.group == *group) {
            self.directory().enforced(&session, &numbered);
            // Read again: an agent's role may have been noted in the meantime.
            let Some(home) = self.directory().home(&session) else { continue };
            let subjects =
                home.roles.iter().map(|(subject, role)| (subject.clone(), capabilities(&numbered.bundle, Some(role))));
            let narrowing = Narrowing {
                policy: of_session(&numbered, &home.particulars),
                agents: capabilities(&numbered.bundle, None),
                subjects: subjects.collect(),
            };
            for mirror in home.mirrors {
                // Viewers on other shards; what is shown to them is the home's to narrow.
                let command = Command::Narrow { session, narrowing: Box::new(narrowing.clone()) };
                unreached += usize::from(self.send(mirror, command).is_err());
            }
            match self.send(home.shard, Command::Narrow { session, narrowing: Box::new(narrowing) }) {
                Ok(()) => told += 1,
                Err(refusal) => {
                    tracing::warn!(%session, code = %refusal.code, "a session could not be told of narrower rules");
                    unreached += 1;
                }
            }
        }
        (told, unreached)
    }
}
