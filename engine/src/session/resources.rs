//! Members that came by WHIP (RFC 9725) or WHEP: a publisher is a participant without a pipe, a viewer holds no place.
//!
//! Invariants: what shows the visitor's content is watched only while the visitor agrees to be seen (R116); a published
//! screen obeys the floor like a browser's share, and its resource ends with its share; a resource whose media is cut off
//! for [`RESOURCE_GRACE`] is gone; every end is reported once.
//!
//! Leaves SDP to [`offer`] and [`crate::peer`], and the HTTP side to control.

mod offer;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use fanlight_wire::command::{Admission, Whom};
use fanlight_wire::limits::{
    PARTICIPANTS_LIFETIME_MAX, PARTICIPANTS_RESERVED, PUBLISH_START_MAX, PUBLISHERS_PER_SESSION_MAX, RESOURCE_GRACE,
    SHARE_START_MAX, VIEWERS_PER_SESSION_MAX,
};
use fanlight_wire::policy::{Capabilities, Role};
use fanlight_wire::report::{Report, ShardTotals};
use fanlight_wire::resource::{
    Condition, MediaSource, ResourceId, ResourceInput, ResourceKind, ResourceOutput, ResourceRef, ViewPermit,
};
use fanlight_wire::signal::{ClientInfo, Slot, Stage, ToRelay};
use fanlight_wire::{Code, ParticipantId, Refusal};

use super::shares::{Capture, watched_slot};
use super::sites::Stated;
use super::{Context, Session};
use crate::deadline::{Deadline, Reason};
use crate::fanout::{Lane, MemberId};
use crate::participant::Participant;
use crate::permit::{self, Standing};
use offer::Offer;

/// The media resources of one session.
#[derive(Debug, Default)]
pub(super) struct Resources {
    /// Boxed: a tree keeps room for eleven in a row.
    held: BTreeMap<MemberId, Box<Resource>>,
    by_id: BTreeMap<ResourceId, MemberId>,
    /// Viewers made so far: their names are never used again.
    viewers_born: u32,
    /// How many of each kind there are, by [`ResourceKind::ALL`].
    counts: [usize; ResourceKind::ALL.len()],
    /// Whose media was cut off, and when; in the order of time. An entry is void once the media is back.
    cut: VecDeque<(Instant, MemberId)>,
    /// What has ended while something else was being done, and why.
    ending: Vec<(MemberId, Code)>,
}

#[derive(Debug)]
struct Resource {
    id: ResourceId,
    kind: ResourceKind,
    subject: String,
    role: Role,
    /// What its token and every narrowing since allow.
    rights: Capabilities,
    epoch: u32,
    lane: Lane,
    /// The visitor's agreement under which it was made.
    agreement: u32,
    /// What the client last offered.
    offer: Offer,
    tag: String,
    cut_since: Option<Instant>,
    /// A publisher's share has begun.
    started: bool,
}

impl Resources {
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Has something ended that is still to be closed?
    pub(super) fn is_ending(&self) -> bool {
        !self.ending.is_empty()
    }

    pub(super) fn add_totals(&self, to: &mut ShardTotals) {
        to.media_resources.iter_mut().zip(self.counts).for_each(|(to, count)| *to += count as u64);
    }

    pub(super) fn deadline(&self) -> Deadline {
        self.cut.front().map_or(Deadline::IDLE, |(since, _)| Deadline::new(*since + RESOURCE_GRACE, Reason::Grace))
    }

    fn of(&mut self, wanted: &ResourceRef) -> Result<(MemberId, &mut Resource), Refusal> {
        let none = || Refusal::new(Code::NotFound, "G-52").saying("There is no such resource, or it has ended.");
        let member = *self.by_id.get(&wanted.resource).ok_or_else(none)?;
        let resource = self.held.get_mut(&member).ok_or_else(none)?;
        if resource.kind == wanted.kind && resource.subject == wanted.subject {
            Ok((member, resource))
        } else {
            Err(none())
        }
    }

    fn insert(&mut self, member: MemberId, resource: Box<Resource>) {
        self.count(resource.kind, |count| *count += 1);
        self.by_id.insert(resource.id, member);
        self.held.insert(member, resource);
    }

    /// The resource was permitted under this agreement, which may be an older one than is known here.
    fn made_under(&mut self, id: ResourceId, agreement: u32) {
        let resource = self.by_id.get(&id).and_then(|member| self.held.get_mut(member));
        if let Some(resource) = resource {
            resource.agreement = agreement;
        }
    }

    fn take(&mut self, member: MemberId) -> Option<Box<Resource>> {
        let resource = self.held.remove(&member)?;
        self.by_id.remove(&resource.id);
        self.count(resource.kind, |count| *count -= 1);
        Some(resource)
    }

    fn count(&mut self, kind: ResourceKind, change: impl FnOnce(&mut usize)) {
        if let Some(count) = self.counts.get_mut(kind as usize) {
            change(count);
        }
    }

    fn room(&self, kind: ResourceKind, most: usize, rule: &'static str) -> Result<(), Refusal> {
        let full = self.counts.get(kind as usize).is_some_and(|count| *count >= most);
        if full { Err(Refusal::new(Code::Full, rule)) } else { Ok(()) }
    }

    /// The publisher on a lane that has no floor.
    fn holder(&self, lane: Lane) -> bool {
        self.held.values().any(|resource| resource.kind == ResourceKind::Whip && resource.lane == lane)
    }
}

impl Session {
    /// Makes, changes or ends a media resource.
    ///
    /// # Errors
    /// The [`Refusal`] to answer with; nothing has changed then.
    pub(crate) fn handle_resource(
        &mut self,
        cx: &mut Context<'_>,
        input: ResourceInput,
    ) -> Result<ResourceOutput, Refusal> {
        let result = match input {
            ResourceInput::Create { kind: ResourceKind::Whip, admission, source, sdp } => {
                self.publish(cx, admission, source, &sdp)
            }
            ResourceInput::Create { kind: ResourceKind::Whep, admission, source, sdp } => {
                let admission = self.narrowed_admission(admission);
                self.watch(cx, &admission, source, &sdp)
            }
            ResourceInput::Permit { admission, source } => {
                let admission = self.narrowed_admission(admission);
                self.permit(cx, &admission, source)
            }
            ResourceInput::Mirror { permit, admission, sdp } => self.watch_mirror(cx, permit, &admission, &sdp),
            ResourceInput::Patch { of, condition, fragment } => self.patch(cx, &of, &condition, &fragment),
            ResourceInput::Delete { of } => self.resources.of(&of).map(|(member, _)| member).map(|member| {
                self.close_resource(cx, member, Code::Left);
                ResourceOutput::Deleted
            }),
        };
        self.dispatch(cx);
        result
    }

    fn publish(
        &mut self,
        cx: &mut Context<'_>,
        admission: Admission,
        source: Option<MediaSource>,
        sdp: &str,
    ) -> Result<ResourceOutput, Refusal> {
        self.revoked.admits(&admission)?;
        let lane = self.may_publish(&admission, source)?;
        self.resources.room(ResourceKind::Whip, PUBLISHERS_PER_SESSION_MAX, "limits::PUBLISHERS_PER_SESSION_MAX")?;
        let in_use = || self.resources.holder(Lane::Camera) || self.camera.is_held_against(None);
        if lane == Lane::Camera && in_use() {
            return Err(Refusal::new(Code::Busy, "docs/whip-whep.md").saying("Another camera is being shown."));
        }
        let offer = Offer::read(ResourceKind::Whip, sdp)?;
        if offer.video_mid.is_none() {
            return Err(Refusal::new(Code::Sdp, "docs/whip-whep.md").saying("The offer has no video section."));
        }
        // Encoders come again by themselves after every end; each time takes a place that is never free again.
        if usize::from(self.born) >= PARTICIPANTS_LIFETIME_MAX - PARTICIPANTS_RESERVED {
            return Err(Refusal::new(Code::Full, "limits::PARTICIPANTS_RESERVED"));
        }
        let id = self.next_id()?;
        // A publisher watches nothing: its offer has no section that receives.
        let answer = self.answer(cx, id.into(), Lane::Visitor, &offer.text).inspect_err(|_| {
            // Nobody has seen this name yet.
            self.born -= 1;
        })?;
        let participant = Participant::without_pipe(id, admission.clone(), ClientInfo::default());
        cx.reports.push_back(participant.joined(self.id, false));
        self.participants.insert(id, participant);
        self.announce(id);
        Ok(self.keep(cx, id.into(), ResourceKind::Whip, &admission, lane, offer, answer))
    }

    fn watch(
        &mut self,
        cx: &mut Context<'_>,
        admission: &Admission,
        source: Option<MediaSource>,
        sdp: &str,
    ) -> Result<ResourceOutput, Refusal> {
        self.revoked.admits(admission)?;
        let lane = self.may_watch_lane(admission, source)?;
        self.let_watch(cx, lane, admission, sdp)
    }

    /// May the holder of this token watch on another shard?
    fn permit(
        &self,
        cx: &Context<'_>,
        admission: &Admission,
        source: Option<MediaSource>,
    ) -> Result<ResourceOutput, Refusal> {
        self.revoked.admits(admission)?;
        let source = match self.may_watch_lane(admission, source)? {
            Lane::Agent => MediaSource::Slot(Slot::Agent),
            Lane::Visitor => MediaSource::Slot(Slot::Visitor),
            Lane::Camera => MediaSource::Camera,
        };
        let (home, agreement) = (cx.media.shard, self.fanout.agreement());
        Ok(ResourceOutput::Permitted(ViewPermit { home, source, agreement }))
    }

    /// A viewer whom the home has permitted.
    fn watch_mirror(
        &mut self,
        cx: &mut Context<'_>,
        permit: ViewPermit,
        admission: &Admission,
        sdp: &str,
    ) -> Result<ResourceOutput, Refusal> {
        self.revoked.admits(admission)?;
        let lane = match permit.source {
            MediaSource::Slot(slot) => slot.into(),
            MediaSource::Camera => Lane::Camera,
            MediaSource::Screen => Lane::Visitor,
        };
        if lane != Lane::Agent && permit.agreement < self.fanout.agreement() {
            return Err(Refusal::new(Code::Consent, "R116").saying("The visitor has not agreed yet."));
        }
        let made = self.let_watch(cx, lane, admission, sdp)?;
        if let ResourceOutput::Created { resource, .. } = &made {
            self.resources.made_under(*resource, permit.agreement);
        }
        Ok(made)
    }

    fn let_watch(
        &mut self,
        cx: &mut Context<'_>,
        lane: Lane,
        admission: &Admission,
        sdp: &str,
    ) -> Result<ResourceOutput, Refusal> {
        self.resources.room(ResourceKind::Whep, VIEWERS_PER_SESSION_MAX, "limits::VIEWERS_PER_SESSION_MAX")?;
        let offer = Offer::read(ResourceKind::Whep, sdp)?;
        let member = MemberId(MemberId::FIRST_RESOURCE.0.saturating_add(self.resources.viewers_born));
        let answer = self.answer(cx, member, lane, &offer.text)?;
        self.resources.viewers_born = self.resources.viewers_born.saturating_add(1);
        Ok(self.keep(cx, member, ResourceKind::Whep, admission, lane, offer, answer))
    }

    /// The lane that this publisher may fill. A screen is judged as a browser's share is; while nobody is there to see
    /// it, it may wait, because it shows nothing of the visitor.
    fn may_publish(&self, admission: &Admission, source: Option<MediaSource>) -> Result<Lane, Refusal> {
        if admission.role != Role::Upstream {
            let sentence = "Only a token of the role upstream may publish.";
            return Err(Refusal::new(Code::Role, "docs/whip-whep.md").saying(sentence));
        }
        match source.unwrap_or(MediaSource::Screen) {
            MediaSource::Screen | MediaSource::Slot(Slot::Agent) => {
                permit::signal(self.publisher_standing(admission), &self.policy, &a_screen())?;
                Ok(Lane::Agent)
            }
            MediaSource::Camera => {
                needs(admission, Capabilities::PUB_CAMERA)?;
                self.visitor_agrees()?;
                Ok(Lane::Camera)
            }
            MediaSource::Slot(Slot::Visitor) => Err(Refusal::new(Code::Role, "R041")
                .saying("The visitor's slot is filled by the visitor. Publish to slot:agent.")),
        }
    }

    fn publisher_standing(&self, admission: &Admission) -> Standing {
        let stage = if self.stage == Stage::Waiting { Stage::Active } else { self.stage };
        Standing {
            role: admission.role,
            capabilities: admission.capabilities.narrowed_to(admission.role.ceiling()),
            consented: true,
            stage,
            mode: self.mode,
            lease: false,
        }
    }

    fn may_watch_lane(&self, admission: &Admission, source: Option<MediaSource>) -> Result<Lane, Refusal> {
        let usual = match admission.role {
            Role::Upstream => Slot::Agent,
            Role::Visitor | Role::Agent | Role::Guest => watched_slot(admission.role),
        };
        let lane = match source.unwrap_or(MediaSource::Slot(usual)) {
            MediaSource::Screen => Lane::Visitor,
            MediaSource::Camera => Lane::Camera,
            MediaSource::Slot(slot) => slot.into(),
        };
        needs(admission, to_watch(lane))?;
        if lane != Lane::Agent {
            self.visitor_agrees()?;
        }
        Ok(lane)
    }

    /// R116
    fn visitor_agrees(&self) -> Result<(), Refusal> {
        match self.stage {
            Stage::Active => Ok(()),
            Stage::Waiting => Err(Refusal::new(Code::Consent, "R116").saying("The visitor has not agreed yet.")),
            Stage::Paused => Err(Refusal::new(Code::State, "R009").saying("The visitor has paused the session.")),
        }
    }

    fn answer(&mut self, cx: &mut Context<'_>, member: MemberId, view: Lane, sdp: &str) -> Result<String, Refusal> {
        let key = self.peer_key(member);
        self.fanout.offer(cx.now, member, view, sdp, cx.media, cx.entropy, cx.demux, key)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one record")]
    fn keep(
        &mut self,
        cx: &mut Context<'_>,
        member: MemberId,
        kind: ResourceKind,
        admission: &Admission,
        lane: Lane,
        offer: Offer,
        answer: String,
    ) -> ResourceOutput {
        let id = ResourceId::on(cx.media.shard, cx.entropy.array());
        let tag = tag_of(&answer);
        let Admission { role, capabilities: rights, ref subject, epoch, .. } = *admission;
        let resource = Box::new(Resource {
            id,
            kind,
            subject: subject.clone(),
            role,
            rights,
            epoch,
            lane,
            agreement: self.fanout.agreement(),
            offer,
            tag: tag.clone(),
            cut_since: None,
            started: false,
        });
        self.resources.insert(member, resource);
        cx.reports.push_back(Report::ResourceMade { session: self.id, kind, participant: member.participant() });
        ResourceOutput::Created { resource: id, tag, sdp: answer }
    }

    /// Candidates are only noted: where a client is, the relay learns from the client's own checks.
    fn patch(
        &mut self,
        cx: &mut Context<'_>,
        of: &ResourceRef,
        condition: &Condition,
        fragment: &str,
    ) -> Result<ResourceOutput, Refusal> {
        let (member, resource) = self.resources.of(of)?;
        if matches!(condition, Condition::Tag(tag) if *tag != resource.tag) {
            return Err(Refusal::new(Code::Precondition, "RFC 9725 §4.3.1"));
        }
        let Some(fresh) = offer::credentials(fragment) else {
            return match condition {
                Condition::Tag(_) => Ok(ResourceOutput::Noted),
                Condition::Any => Err(Refusal::new(Code::Sdp, "RFC 9725 §4.3.3")
                    .saying("To restart ICE, send the new a=ice-ufrag and a=ice-pwd.")),
            };
        };
        if offer::credentials(&resource.offer.text) == Some(fresh) {
            return Ok(ResourceOutput::Noted);
        }
        let again = offer::restarted(&resource.offer.text, fresh);
        let lane = resource.lane;
        if self.fanout.is_fresh(member, &again) {
            return Err(Refusal::new(Code::State, "RFC 9725 §4.3.3").saying("This resource's connection has ended."));
        }
        let view = if of.kind == ResourceKind::Whip { Lane::Visitor } else { lane };
        let answer = self.answer(cx, member, view, &again)?;
        let (_, resource) = self.resources.of(of)?;
        resource.offer.text = again;
        resource.tag = tag_of(&answer);
        Ok(ResourceOutput::Restarted { tag: resource.tag.clone(), fragment: offer::fragment(&answer) })
    }

    /// A resource's media flows (again).
    pub(super) fn resource_connected(&mut self, cx: &mut Context<'_>, member: MemberId) {
        let Some(resource) = self.resources.held.get_mut(&member) else { return };
        resource.cut_since = None;
        if resource.kind == ResourceKind::Whep || std::mem::replace(&mut resource.started, true) {
            return;
        }
        if let Err(refusal) = self.begin_publishing(cx, member) {
            tracing::debug!(session = %self.id, member = member.0, code = %refusal.code, "a publisher is refused");
            self.resources.ending.push((member, refusal.code));
        }
    }

    /// A publisher asks for its place when its media is connected, so that one that never connects costs nobody theirs.
    fn begin_publishing(&mut self, cx: &mut Context<'_>, member: MemberId) -> Result<(), Refusal> {
        let gone = || Refusal::new(Code::Left, "docs/whip-whep.md");
        let resource = self.resources.held.get(&member).ok_or_else(gone)?;
        let mid = resource.offer.video_mid.clone().ok_or_else(gone)?;
        let who = member.participant().ok_or_else(gone)?;
        let audio_mid = resource.offer.audio_mid.clone();
        if resource.lane == Lane::Camera {
            self.visitor_agrees()?;
            return self.show_camera(cx, who, mid, audio_mid);
        }
        let standing = self.standing(who).ok_or_else(gone)?;
        let stage = if self.stage == Stage::Waiting { Stage::Active } else { self.stage };
        permit::signal(Standing { stage, ..standing }, &self.policy, &a_screen())?;
        self.start_share(
            cx,
            who,
            Role::Upstream,
            Capture { mid, audio_mid, surface: None, grant: None, stated: Stated::default() },
        )
    }

    /// A resource's media is cut off.
    pub(super) fn resource_cut(&mut self, cx: &Context<'_>, member: MemberId) {
        if let Some(resource) = self.resources.held.get_mut(&member)
            && resource.cut_since.is_none()
        {
            resource.cut_since = Some(cx.now);
            self.resources.cut.push_back((cx.now, member));
        }
    }

    /// A share has ended; if it was a resource's, so has the resource.
    pub(super) fn resource_lost_floor(&mut self, who: ParticipantId, code: Code) {
        if self.resources.held.contains_key(&who.into()) {
            self.resources.ending.push((who.into(), code));
        }
    }

    /// Does this participant publish through a resource?
    pub(super) fn is_resource(&self, who: ParticipantId) -> bool {
        self.resources.held.contains_key(&who.into())
    }

    /// How long a new holder of the slot may show nothing.
    pub(super) fn patience_with(&self, who: ParticipantId) -> std::time::Duration {
        if self.is_resource(who) { PUBLISH_START_MAX } else { SHARE_START_MAX }
    }

    /// Closes what has ended while something else was being done.
    pub(super) fn close_ended_resources(&mut self, cx: &mut Context<'_>) {
        while let Some((member, code)) = self.resources.ending.pop() {
            self.close_resource(cx, member, code);
        }
    }

    pub(super) fn expire_resources(&mut self, cx: &mut Context<'_>) {
        while let Some((since, member)) = self.resources.cut.front().copied() {
            if since + RESOURCE_GRACE > cx.now {
                return;
            }
            self.resources.cut.pop_front();
            if self.resources.held.get(&member).is_some_and(|resource| resource.cut_since == Some(since)) {
                self.close_resource(cx, member, Code::Timeout);
            }
        }
    }

    /// The visitor agrees no longer to be seen, or not now: whoever shows it or watches it over HTTP has to come again.
    pub(super) fn close_resources_of_visitor(&mut self, stage: Stage) {
        let shows_visitor = |resource: &Resource| match (resource.kind, stage) {
            (_, Stage::Active) => false,
            (ResourceKind::Whip, _) => resource.lane == Lane::Camera,
            (ResourceKind::Whep, Stage::Waiting) => resource.lane != Lane::Agent,
            // Nothing flows in a pause; the same viewers see what comes after it.
            (ResourceKind::Whep, Stage::Paused) => false,
        };
        let Resources { held, ending, .. } = &mut self.resources;
        let chosen = held.iter().filter(|(_, resource)| shows_visitor(resource));
        ending.extend(chosen.map(|(member, _)| (*member, Code::Consent)));
        if stage == Stage::Waiting {
            self.fanout.end_agreement();
        }
    }

    /// On a mirror: whoever shows the visitor under an agreement that has ended at home has to come again.
    pub(super) fn close_resources_of_old_agreements(&mut self) {
        let agreement = self.fanout.agreement();
        let Resources { held, ending, .. } = &mut self.resources;
        let is_over = |resource: &Resource| resource.lane != Lane::Agent && resource.agreement < agreement;
        let chosen = held.iter().filter(|(_, resource)| is_over(resource));
        ending.extend(chosen.map(|(member, _)| (*member, Code::Consent)));
    }

    /// Who watches over HTTP goes on only with what the narrowed rules leave of its token.
    pub(super) fn narrow_resources(&mut self) {
        let Resources { held, ending, .. } = &mut self.resources;
        for (member, resource) in held.iter_mut().filter(|(_, resource)| resource.kind == ResourceKind::Whep) {
            resource.rights = self.narrowed.of(resource.role, &resource.subject, resource.rights);
            if !resource.rights.contains(to_watch(resource.lane)) {
                ending.push((*member, Code::Policy));
            }
        }
    }

    /// The session is over.
    pub(super) fn close_resources(&mut self, cx: &mut Context<'_>, code: Code) {
        let all: Vec<MemberId> = self.resources.held.keys().copied().collect();
        for member in all {
            self.close_resource(cx, member, code);
        }
    }

    /// The right that these were made with has been taken back.
    pub(super) fn close_resources_of(&mut self, cx: &mut Context<'_>, whom: &Whom, epoch: u32, code: Code) {
        let held = self.resources.held.iter();
        let meant = held.filter(|(_, resource)| resource.epoch < epoch && whom.means(resource.role, &resource.subject));
        let out: Vec<MemberId> = meant.map(|(member, _)| *member).collect();
        for member in out {
            self.close_resource(cx, member, code);
        }
    }

    fn close_resource(&mut self, cx: &mut Context<'_>, member: MemberId, code: Code) {
        let Some(resource) = self.resources.take(member) else { return };
        let participant = member.participant();
        match participant {
            Some(who) => self.remove(cx, who, code),
            None => self.fanout.remove(member, cx.demux),
        }
        let kind = resource.kind;
        cx.reports.push_back(Report::ResourceGone { session: self.id, kind, participant, code });
    }
}

/// What a published screen asks for. Nobody knows what a tool captures, so it counts as the monitor (R047).
const fn a_screen() -> ToRelay {
    ToRelay::ShareStart { mid: String::new(), surface: None, audio_mid: None, grant: None, url: None, assurance: None }
}

/// What is needed to watch a lane.
const fn to_watch(lane: Lane) -> Capabilities {
    match lane {
        Lane::Agent | Lane::Visitor => Capabilities::SUB_SCREEN,
        Lane::Camera => Capabilities::SUB_CAMERA,
    }
}

fn needs(admission: &Admission, capability: Capabilities) -> Result<(), Refusal> {
    if admission.capabilities.contains(capability) {
        Ok(())
    } else {
        Err(Refusal::new(Code::Capability, "docs/whip-whep.md"))
    }
}

/// The name of an ICE session: our side's user fragment.
fn tag_of(answer: &str) -> String {
    offer::credentials(answer).map(|credentials| credentials.ufrag.to_owned()).unwrap_or_default()
}
