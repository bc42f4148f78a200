//! *Enforce*: a running session gets narrower rules, at once.
//!
//! Invariant: nothing here gives anybody anything. Rules and rights become what both the old and the new allow; a share
//! that the new rules refuse ends with its reason; a mode that is no longer allowed becomes the least one; the mask epoch
//! rises, so that what was recorded before is forgotten with every backlog and asked for anew. Whoever joins or comes back
//! later meets the narrowed rights too.

use fanlight_wire::command::{Admission, Narrowing};
use fanlight_wire::policy::{Capabilities, LEVEL_INVITE, LEVEL_SHARE, Role, Surface};
use fanlight_wire::report::Report;
use fanlight_wire::signal::{Slot, ToClient};
use fanlight_wire::{Code, ParticipantId, Refusal};

use super::sites::counted;
use super::{Context, Session};

/// What is left of agents' rights by every narrowing so far.
#[derive(Debug, Default)]
pub(super) struct Narrowed(Vec<Narrowing>);

impl Narrowed {
    pub(super) fn of(&self, role: Role, subject: &str, rights: Capabilities) -> Capabilities {
        if role != Role::Agent {
            return rights;
        }
        self.0.iter().fold(rights, |rights, narrowing| rights.narrowed_to(narrowing.of(subject)))
    }

    /// One narrowing per version is kept: the same one again changes nothing.
    fn note(&mut self, narrowing: Narrowing) {
        self.0.retain(|kept| kept.policy.version != narrowing.policy.version);
        self.0.push(narrowing);
    }
}

impl Session {
    /// Nobody may do more than `narrowing` allows from now on.
    pub(crate) fn narrow(&mut self, cx: &mut Context<'_>, narrowing: Narrowing) {
        if self.is_mirror() {
            self.narrowed.note(narrowing);
            self.narrow_resources();
            return self.dispatch(cx);
        }
        self.policy = self.policy.narrowed_to(&narrowing.policy);
        self.narrowed.note(narrowing);
        for participant in self.participants.values_mut() {
            participant.capabilities =
                self.narrowed.of(participant.role, &participant.subject, participant.capabilities);
        }
        self.narrow_views(cx);
        self.narrow_resources();
        self.end_refused_shares(cx);
        if !self.policy.escalate_to_view || self.policy.feature_level < LEVEL_INVITE {
            self.withdraw_grants(cx);
        }
        if !self.policy.allowed_modes.contains(&self.mode) {
            self.mode = self.policy.default_mode;
            let (by, mode) = (ParticipantId::RELAY, self.mode);
            cx.reports.push_back(Report::ModeChanged { session: self.id, by, mode });
            let told = ToClient::ModeChanged { mode: self.mode, by: ParticipantId::RELAY };
            self.each(|member| member.consented, |member| member.tell(&told));
        }
        self.raise_mask_now();
        let version = self.policy.version;
        let told = |member: &crate::participant::Participant| ToClient::PolicyNarrowed {
            policy_version: version,
            capabilities: member.capabilities,
            modes: self.policy.allowed_modes.clone(),
        };
        for member in self.participants.values_mut() {
            let signal = told(member);
            member.tell(&signal);
        }
        cx.reports.push_back(Report::Narrowed { session: self.id, version });
        tracing::info!(session = %self.id, version, "rules narrowed");
        self.dispatch(cx);
    }

    /// Nobody goes on watching what it may no longer see.
    fn narrow_views(&mut self, cx: &mut Context<'_>) {
        let roles: Vec<_> = self.participants.iter().map(|(who, participant)| (*who, participant.role)).collect();
        for (who, role) in roles {
            let views = self.views_of(who, role);
            self.fanout.set_views(who.into(), views, cx.entropy);
        }
    }

    /// A ticket that was minted before says no more than one that is minted now.
    pub(super) fn narrowed_admission(&self, admission: Admission) -> Admission {
        let capabilities = self.narrowed.of(admission.role, &admission.subject, admission.capabilities);
        Admission { capabilities, ..admission }
    }

    /// Everything recorded so far is stale, whatever the visitor's page was told to hide.
    fn raise_mask_now(&mut self) {
        let epoch = self.dom.mask_epoch().next();
        self.dom.purge(epoch);
        self.tell_visitor(&ToClient::MaskRaised { epoch, masks: self.policy.masks.clone() });
    }

    fn end_refused_shares(&mut self, cx: &mut Context<'_>) {
        for slot in Slot::ALL {
            let Some((holder, surface, asker)) = self.sharing(slot) else { continue };
            let Err(refusal) = self.may_go_on(slot, holder, surface, asker) else { continue };
            self.revoke_share(cx, slot);
            self.refuse(cx, holder, "share.start", refusal);
        }
    }

    /// Would this share be allowed to begin now?
    fn may_go_on(
        &mut self,
        slot: Slot,
        holder: ParticipantId,
        surface: Option<Surface>,
        asker: Option<ParticipantId>,
    ) -> Result<(), Refusal> {
        let told = |rule: &'static str| {
            Refusal::new(Code::Policy, rule).saying("Your administrator has changed the rules. Your share has ended.")
        };
        let (level, rule, on, surfaces) = match slot {
            Slot::Agent => (LEVEL_SHARE, "R006", self.policy.escalate_to_show, &self.policy.agent_surfaces),
            Slot::Visitor => (LEVEL_INVITE, "R043", self.policy.escalate_to_view, &self.policy.visitor_surfaces),
        };
        let holder = self.participants.get(&holder);
        let capable = holder.is_none_or(|p| p.capabilities.contains(Capabilities::PUB_SCREEN));
        if !on || !capable || self.policy.feature_level < level {
            return Err(told(rule));
        }
        let kind = counted(surface);
        let of_role = match slot {
            Slot::Agent => holder.filter(|p| p.role == Role::Agent).map(|p| (p, Capabilities::showing(kind))),
            Slot::Visitor => {
                asker.and_then(|asker| self.participants.get(&asker)).map(|p| (p, Capabilities::viewing(kind)))
            }
        };
        if !surfaces.contains(&kind) || of_role.is_some_and(|(p, right)| !p.capabilities.contains(right)) {
            return Err(told("R007"));
        }
        let is_agents = slot == Slot::Agent && holder.is_some_and(|p| p.role == Role::Agent);
        if is_agents && !self.still_on_sites(surface) {
            return Err(told("R004"));
        }
        Ok(())
    }
}
