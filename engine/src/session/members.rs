//! Coming, going away, coming back, leaving.

use std::time::Instant;

use fanlight_wire::command::Admission;
use fanlight_wire::limits::{AGENT_GRACE, AGENTS_MAX, ASSET_NAMES_MAX, VISITOR_GRACE};
use fanlight_wire::policy::{Masks, Role};
use fanlight_wire::report::Report;
use fanlight_wire::signal::{Ask, ClientInfo, Member, ShareState, Stage, ToClient};
use fanlight_wire::{Code, ParticipantId, PipeId, Refusal};

use super::{Context, Session};
use crate::deadline::{Deadline, Reason};
use crate::floor::Event;
use crate::participant::{Participant, read_token};
use crate::pipe::PipeOutput;

/// An asset's name in a `welcome`: 32 hex digits, two quotes, a comma.
const ASSET_NAME_BYTES: usize = 35;

impl Session {
    /// Admits the holder of a verified ticket.
    ///
    /// # Errors
    /// [`Code::Full`], [`Code::Busy`] (there is a visitor), [`Code::Consent`] (a recent "no").
    pub(crate) fn join(
        &mut self,
        cx: &mut Context<'_>,
        pipe: PipeId,
        admission: Admission,
        client: ClientInfo,
    ) -> Result<ParticipantId, Refusal> {
        self.revoked.admits(&admission)?;
        self.may_join(cx.now, &admission)?;
        let id = self.next_id()?;
        self.displace(cx, &admission);
        let mut participant = Participant::new(id, self.narrowed_admission(admission), client);
        participant.attach(pipe);
        let consented = participant.consented;
        cx.reports.push_back(participant.joined(self.id, false));
        self.participants.insert(id, participant);
        self.report_here(cx, id);
        self.welcome(cx, id, false);
        self.announce(id);
        if consented {
            self.visitor_arrived(cx);
        } else {
            self.ask_to_view(cx, id);
        }
        self.dispatch(cx);
        Ok(id)
    }

    /// Gives a participant its place back.
    ///
    /// # Errors
    /// [`Code::Resume`] when the token is not the newest one of a participant that still has a place.
    pub(crate) fn resume(
        &mut self,
        cx: &mut Context<'_>,
        pipe: PipeId,
        token: &str,
        client: ClientInfo,
    ) -> Result<ParticipantId, Refusal> {
        let refusal = || Refusal::new(Code::Resume, "rules decision 12");
        let (id, secret) = read_token(self.id, token).ok_or_else(refusal)?;
        let participant = self.participants.get_mut(&id).filter(|p| p.knows(&secret)).ok_or_else(refusal)?;
        participant.client = client;
        let left = participant.away_since;
        if let Some((old, _)) = participant.attach(pipe) {
            cx.orphans.push_back((old, PipeOutput::Close(Code::Replaced)));
        }
        let (role, watches) = (participant.role, participant.may_watch());
        cx.reports.push_back(participant.joined(self.id, true));
        self.report_here(cx, id);
        self.welcome(cx, id, true);
        self.announce(id);
        if role == Role::Visitor {
            self.visitor_arrived(cx);
            self.page_left = left;
            self.dom.visitor_back(cx.now);
        } else if watches {
            // The client's copy went with its connection: it begins again from the snapshot.
            self.dom.leave(id);
            self.dom.join(cx.now, id);
        }
        self.dispatch(cx);
        Ok(id)
    }

    /// The carrier is gone; the place is kept for the grace time.
    pub(crate) fn carrier_closed(&mut self, cx: &mut Context<'_>, pipe: PipeId, who: ParticipantId) {
        let Some(participant) = self.participants.get_mut(&who) else { return };
        if participant.carrier.as_ref().is_none_or(|(current, _)| *current != pipe) {
            return;
        }
        participant.detach(cx.now);
        self.report_here(cx, who);
        let Some(participant) = self.participants.get(&who) else { return };
        if participant.consented {
            self.dom.leave(who);
            self.announce(who);
            cx.reports.push_back(Report::Away { session: self.id, participant: who });
        } else {
            // Whoever has not been let in has no place to come back to.
            self.remove(cx, who, Code::Left);
        }
        self.dispatch(cx);
    }

    /// Bytes have left a carrier.
    pub(crate) fn credit(&mut self, who: ParticipantId, bytes: usize) {
        if let Some((_, pipe)) = self.participants.get_mut(&who).and_then(|p| p.carrier.as_mut()) {
            pipe.credit(bytes);
        }
    }

    /// Takes a participant out for good.
    pub(super) fn remove(&mut self, cx: &mut Context<'_>, who: ParticipantId, code: Code) {
        let Some(mut participant) = self.participants.remove(&who) else { return };
        self.dom.leave(who);
        self.fanout.remove(who.into(), cx.demux);
        self.withdraw_asks_about(cx, who);
        self.both_floors(cx, Event::Left(who));
        self.camera_event(cx, Event::Left(who));
        if let Some((id, pipe)) = &mut participant.carrier {
            pipe.close(code);
            while let Some(output) = pipe.next(|| None) {
                cx.orphans.push_back((*id, output));
            }
        }
        cx.reports.push_back(Report::Left { session: self.id, participant: who, role: participant.role, code });
        if self.has_ended() {
            return;
        }
        self.each(|member| member.consented, |member| member.tell(&ToClient::MemberLeft { id: who }));
        if participant.role == Role::Visitor {
            self.end(cx, code, Some(who));
        } else if participant.consented && !participant.is_resource && !self.has_watchers() {
            if self.policy.end_on_agent_leave && code == Code::Left {
                self.end(cx, Code::Ended, Some(who));
            } else {
                self.set_stage(cx, Stage::Waiting);
            }
        }
    }

    /// Closes a participant's carrier but keeps its place, so that it can come back.
    pub(super) fn disconnect(&mut self, cx: &mut Context<'_>, who: ParticipantId, code: Code) {
        let Some(participant) = self.participants.get_mut(&who) else { return };
        if let Some((pipe, _)) = participant.carrier.take() {
            participant.away_since = Some(cx.now);
            cx.orphans.push_back((pipe, PipeOutput::Close(code)));
            cx.reports.push_back(Report::Away { session: self.id, participant: who });
        }
        self.report_here(cx, who);
        self.dom.leave(who);
        self.announce(who);
    }

    /// Control has to know in how many sessions an agent is at a time (R143).
    fn report_here(&self, cx: &mut Context<'_>, who: ParticipantId) {
        let Some(participant) = self.participants.get(&who).filter(|participant| participant.role == Role::Agent)
        else {
            return;
        };
        let (subject, here) = (participant.subject.clone(), participant.carrier.is_some());
        cx.reports.push_back(Report::AgentHere { session: self.id, participant: who, subject, here });
    }

    /// Removes everybody whose grace time is over.
    pub(super) fn expire_members(&mut self, cx: &mut Context<'_>) {
        let gone: Vec<ParticipantId> = self
            .participants
            .values()
            .filter(|participant| grace_end(participant).is_some_and(|end| end <= cx.now))
            .map(|participant| participant.id)
            .collect();
        for who in gone {
            self.remove(cx, who, Code::Timeout);
        }
    }

    pub(super) fn grace_deadline(&self) -> Deadline {
        self.participants
            .values()
            .filter_map(grace_end)
            .min()
            .map_or(Deadline::IDLE, |end| Deadline::new(end, Reason::Grace))
    }

    /// Everybody's view of one member, its own included: presence is decided here, not guessed by clients.
    pub(super) fn announce(&mut self, who: ParticipantId) {
        let Some(member) = self.participants.get(&who).map(Participant::member) else { return };
        let told = ToClient::Member(member);
        self.each(|other| other.consented, |other| other.tell(&told));
    }

    pub(super) fn has_watchers(&self) -> bool {
        self.participants.values().any(|p| p.consented && !p.is_resource && p.role != Role::Visitor)
    }

    fn may_join(&self, now: Instant, admission: &Admission) -> Result<(), Refusal> {
        let others =
            || self.participants.values().filter(|p| p.subject != admission.subject || p.role != admission.role);
        match admission.role {
            Role::Visitor if self.participants.values().any(|p| p.role == Role::Visitor) => {
                Err(Refusal::new(Code::Busy, "protocol §8").saying("The visitor of this session is already here."))
            }
            Role::Visitor => Ok(()),
            Role::Agent | Role::Guest | Role::Upstream => {
                let most = usize::from(self.policy.agents_max).min(AGENTS_MAX);
                if others().filter(|p| p.role != Role::Visitor && !p.is_resource).count() >= most {
                    return Err(Refusal::new(Code::Full, "R185"));
                }
                self.asks.may_ask(now, Ask::View, &admission.subject)
            }
        }
    }

    /// The same agent joining once more gives up its earlier place.
    fn displace(&mut self, cx: &mut Context<'_>, admission: &Admission) {
        let same = |p: &&Participant| p.role == admission.role && p.subject == admission.subject && !p.is_resource;
        let earlier = self.participants.values().find(same).map(|p| p.id);
        if let Some(earlier) = earlier {
            self.remove(cx, earlier, Code::Replaced);
        }
    }

    fn welcome(&mut self, cx: &mut Context<'_>, who: ParticipantId, resumed: bool) {
        let (members, shares) = self.company(who);
        let camera = self.participants.get(&who).and_then(|participant| self.camera_for(participant));
        let mut assets = Vec::new();
        let mut masks = None;
        let Some(participant) = self.participants.get_mut(&who) else { return };
        let resume = participant.rotate_token(self.id, cx.entropy);
        if participant.role == Role::Visitor {
            assets = self.dom.asset_names();
            masks = Some(self.policy.masks.clone()).filter(|masks| !masks.is_empty());
            // What is not named is sent once more; a welcome that does not fit its frame would never arrive.
            let room = ASSET_NAMES_MAX.saturating_sub(masks.as_ref().map_or(0, Masks::bytes) / ASSET_NAME_BYTES);
            assets.drain(..assets.len().saturating_sub(room));
        }
        let told = ToClient::Welcome {
            session: self.id,
            you: who,
            role: participant.role,
            name: participant.name.clone(),
            capabilities: participant.capabilities,
            resume,
            resumed,
            stage: if participant.consented { self.stage } else { Stage::Waiting },
            mode: self.mode,
            modes: self.policy.allowed_modes.clone(),
            members,
            shares,
            camera,
            page_epoch: self.dom.page_epoch(),
            mask_epoch: self.dom.mask_epoch(),
            assets,
            policy_version: self.policy.version,
            masks,
        };
        participant.tell(&told);
        self.put_camera_words(who);
    }

    /// Whom and what `who` is shown at its welcome. Before the visitor's consent (R116): itself, and that there is a
    /// visitor; the rest is told by `let_in`.
    fn company(&self, who: ParticipantId) -> (Vec<Member>, Vec<ShareState>) {
        let members = self.participants.values().map(Participant::member);
        if self.participants.get(&who).is_some_and(|participant| participant.consented) {
            return (members.collect(), self.shares.states());
        }
        let near = members.filter(|member| member.id == who || member.role == Role::Visitor);
        (near.map(|member| Member { client: None, ..member }).collect(), Vec::new())
    }
}

fn grace_end(participant: &Participant) -> Option<Instant> {
    let grace = match participant.role {
        Role::Visitor => VISITOR_GRACE,
        Role::Agent | Role::Guest | Role::Upstream => AGENT_GRACE,
    };
    participant.away_since.map(|since| since + grace)
}
