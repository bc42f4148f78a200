//! *Revoke*: somebody whose right has been taken back is out at once, and stays out.
//!
//! Invariant: a place, a media resource, a resume token and a ticket that is still on its way through a queue all end with
//! the same epoch. What was admitted later, with a right given anew, is not touched, so repeating a command is harmless.

use std::collections::VecDeque;

use fanlight_wire::command::{Admission, Whom};
use fanlight_wire::{Code, ParticipantId, Refusal};

use super::{Context, Session};

/// Revocations remembered here. Control checks every ticket itself; these are for what it has let through a moment before.
const REMEMBERED: usize = 64;

/// The newest revocations and their epochs.
#[derive(Debug, Default)]
pub(super) struct Revoked(VecDeque<(Whom, u32)>);

impl Revoked {
    /// # Errors
    /// [`Code::Ticket`] for an admission that was revoked after it was given.
    pub(super) fn admits(&self, admission: &Admission) -> Result<(), Refusal> {
        let Admission { role, subject, epoch, .. } = admission;
        let revoked = self.0.iter().any(|(whom, before)| *epoch < *before && whom.means(*role, subject));
        if revoked { Err(Refusal::new(Code::Ticket, "G-54")) } else { Ok(()) }
    }

    fn note(&mut self, whom: Whom, epoch: u32) {
        self.0.retain(|(known, _)| *known != whom);
        if self.0.len() >= REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((whom, epoch));
    }
}

impl Session {
    /// Ends what `whom` has in this session by an admission older than `epoch`.
    pub(crate) fn revoke(&mut self, cx: &mut Context<'_>, whom: Whom, epoch: u32, code: Code) {
        self.close_resources_of(cx, &whom, epoch, code);
        let meant =
            self.participants.values().filter(|place| place.epoch < epoch && whom.means(place.role, &place.subject));
        let out: Vec<ParticipantId> = meant.map(|place| place.id).collect();
        self.revoked.note(whom, epoch);
        for who in out {
            self.remove(cx, who, code);
        }
        self.dispatch(cx);
    }
}
