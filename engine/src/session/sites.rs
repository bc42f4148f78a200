//! Allowed sites in a running session: a share is held until its holder has said something good about what it shows, and
//! cut when a statement is bad or missing (`docs/protocol.md` §6; R004, R013, R047, R052).
//!
//! Invariant: while statements are wanted, no frame is forwarded before the first good one, nor longer than
//! [`STATEMENT_MAX`] after the last. A modified client can lie about what it shows; that is what the assurance is for.

use std::time::Instant;

use fanlight_wire::limits::STATEMENT_MAX;
use fanlight_wire::policy::{Capabilities, Role, Surface};
use fanlight_wire::signal::{Slot, ToClient};
use fanlight_wire::sites::Assurance;
use fanlight_wire::{Code, ParticipantId, Refusal};

use super::{Context, Session};
use crate::fanout::Source;
use crate::permit;

/// What a client says that its share shows.
#[derive(Debug, Default, Clone)]
pub(super) struct Stated {
    pub url: Option<String>,
    pub assurance: Option<Assurance>,
}

/// What is known of a share about which statements are wanted.
#[derive(Debug)]
pub(super) struct Watch {
    /// Where it will come from, until the first good statement.
    held: Option<Source>,
    /// The last good statement, or the beginning.
    heard: Instant,
    last: Stated,
}

impl Watch {
    pub(super) fn holding(now: Instant, source: Source) -> Self {
        Self { held: Some(source), heard: now, last: Stated::default() }
    }

    pub(super) const fn holds(&self) -> bool {
        self.held.is_some()
    }

    pub(super) fn deadline(&self) -> Instant {
        self.heard + STATEMENT_MAX
    }
}

impl Session {
    /// Does this share need statements?
    pub(super) fn wants_statements(&self, role: Role, surface: Option<Surface>) -> bool {
        role == Role::Agent && self.policy.sites.want_statements(counted(surface))
    }

    /// A share that says itself that it may not be shown takes the slot from nobody (R011).
    pub(super) fn refuse_known_sites(
        &self,
        role: Role,
        surface: Option<Surface>,
        stated: &Stated,
    ) -> Result<(), Refusal> {
        match stated {
            Stated { url: Some(url), assurance } if role == Role::Agent => {
                self.policy.sites.judge(counted(surface), Some(url), assurance.unwrap_or(Assurance::None))
            }
            Stated { .. } => Ok(()),
        }
    }

    /// The holder says what its share shows.
    pub(super) fn state_share(&mut self, cx: &mut Context<'_>, who: ParticipantId, stated: Stated) {
        let share = self.shares.of(Slot::Agent);
        // A statement may cross the end of its share.
        let Some(watch) = share.watch.as_mut().filter(|_| share.floor.holder() == Some(who)) else { return };
        let surface = counted(share.surface);
        watch.last = stated;
        let known = watch.last.assurance.unwrap_or(Assurance::None);
        if let Err(refusal) = self.policy.sites.judge(surface, watch.last.url.as_deref(), known) {
            self.cut_share(cx, who, refusal);
            return;
        }
        watch.heard = cx.now;
        let Some(source) = watch.held.take() else { return };
        // It has had no chance to show anything so far.
        let waited = share.asked.map(|asked| cx.now.saturating_duration_since(asked)).unwrap_or_default();
        share.patience += waited;
        self.fanout.set_source(cx.now, Slot::Agent.into(), Some(source));
        let told = ToClient::Share(self.shares.of(Slot::Agent).state());
        self.each(|member| member.consented, |member| member.tell(&told));
    }

    /// Cuts a share about which nothing good was said for too long.
    pub(super) fn expire_statements(&mut self, cx: &mut Context<'_>) {
        let share = self.shares.of(Slot::Agent);
        if share.statement_deadline().is_none_or(|due| due > cx.now) {
            return;
        }
        let Some(holder) = share.floor.holder() else { return };
        let refusal = Refusal::new(Code::Site, "protocol §11")
            .saying("It is not known any more what you share, so it was stopped. Share an approved page again.");
        self.cut_share(cx, holder, refusal);
    }

    /// Other sites are allowed now: may the running share go on until its next statement?
    pub(super) fn still_on_sites(&mut self, surface: Option<Surface>) -> bool {
        let surface = counted(surface);
        if !self.policy.sites.want_statements(surface) {
            return true;
        }
        let Some(watch) = &self.shares.of(Slot::Agent).watch else { return false };
        let known = watch.last.assurance.unwrap_or(Assurance::None);
        watch.holds() || self.policy.sites.judge(surface, watch.last.url.as_deref(), known).is_ok()
    }

    /// What the asker of something refused for its surface may share instead.
    pub(super) fn surfaces_of(&self, who: ParticipantId) -> Vec<Surface> {
        let Some(asker) = self.participants.get(&who) else { return Vec::new() };
        match asker.role {
            Role::Visitor => {
                let rights = self.askers().filter_map(|asker| self.participants.get(&asker));
                let rights = rights.fold(Capabilities::NONE, |all, asker| all.union(asker.capabilities));
                permit::visitor_surfaces(&self.policy, rights)
            }
            Role::Agent => permit::agent_surfaces(&self.policy, asker.capabilities),
            Role::Guest | Role::Upstream => self.policy.agent_surfaces.clone(),
        }
    }

    fn cut_share(&mut self, cx: &mut Context<'_>, holder: ParticipantId, refusal: Refusal) {
        self.revoke_share(cx, Slot::Agent);
        self.refuse(cx, holder, "share.start", refusal);
    }
}

/// R047: what a browser does not say counts as the whole monitor.
pub(super) fn counted(surface: Option<Surface>) -> Surface {
    surface.unwrap_or(Surface::Monitor)
}
