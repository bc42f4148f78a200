//! The session's camera: one at a time, the visitor's own or one that is published for it over HTTP (R110, R126).
//!
//! Its states are a [`Floor`]'s, but nobody takes a camera over: whoever comes second is refused. Invariants: no picture
//! flows unless the session is active, and what ended it (pause, page load, leaving, the end of consent) never brings it
//! back by itself; only members that may see it are told of it. Leaves permission to [`crate::permit`].

use std::time::{Duration, Instant};

use fanlight_wire::limits::SHARE_START_MAX;
use fanlight_wire::policy::{Capabilities, Role};
use fanlight_wire::report::Report;
use fanlight_wire::signal::{CameraState, SharePhase, ToClient};
use fanlight_wire::{Code, ParticipantId, Refusal};

use super::asks::same_words;
use super::{Context, Session};
use crate::deadline::{Deadline, Reason};
use crate::fanout::{Lane, Source};
use crate::floor::{Effects, Event, Floor};
use crate::participant::Participant;

/// Who shows a camera, and since when its first picture is awaited.
#[derive(Debug)]
pub(super) struct Camera {
    floor: Floor,
    asked: Option<Instant>,
    patience: Duration,
}

impl Default for Camera {
    fn default() -> Self {
        Self { floor: Floor::default(), asked: None, patience: SHARE_START_MAX }
    }
}

impl Camera {
    /// Is it in other hands than these?
    pub(super) fn is_held_against(&self, who: Option<ParticipantId>) -> bool {
        self.floor.holder().is_some_and(|holder| Some(holder) != who)
    }

    pub(super) fn deadline(&self) -> Deadline {
        self.due().map_or(Deadline::IDLE, |at| Deadline::new(at, Reason::Floor))
    }

    fn due(&self) -> Option<Instant> {
        match self.floor {
            Floor::Waiting { .. } => self.asked.map(|asked| asked + self.patience),
            Floor::Empty { .. } | Floor::Live { .. } => None,
        }
    }

    fn state(&self) -> CameraState {
        let phase = match self.floor {
            Floor::Empty { .. } => SharePhase::Empty,
            Floor::Waiting { .. } => SharePhase::Waiting,
            Floor::Live { .. } => SharePhase::Live,
        };
        CameraState { epoch: self.floor.epoch(), phase, holder: self.floor.holder() }
    }
}

impl Session {
    /// The visitor has opened its camera on this media section.
    pub(super) fn start_camera(
        &mut self,
        cx: &mut Context<'_>,
        who: ParticipantId,
        mid: String,
        words: Option<&str>,
    ) -> Result<(), Refusal> {
        if let Err(refusal) = same_words(&self.policy.questions.camera, words) {
            self.put_camera_words(who);
            return Err(refusal);
        }
        if !self.fanout.can_publish(who.into(), &mid) {
            return Err(Refusal::new(Code::Sdp, "protocol §6")
                .saying("There is no media section for the camera. Send an offer with one first."));
        }
        self.show_camera(cx, who, mid, None)
    }

    /// Whoever may show a camera does so from its next keyframe on.
    pub(super) fn show_camera(
        &mut self,
        cx: &mut Context<'_>,
        who: ParticipantId,
        mid: String,
        audio_mid: Option<String>,
    ) -> Result<(), Refusal> {
        if self.camera.is_held_against(Some(who)) {
            return Err(Refusal::new(Code::Busy, "R110").saying("Another camera is being shown."));
        }
        let patience = self.patience_with(who);
        let (floor, effects) = self.camera.floor.next(Event::Request(who))?;
        self.camera = Camera { floor, asked: Some(cx.now), patience };
        let own = self.participants.get(&who).is_some_and(|holder| holder.role == Role::Visitor);
        cx.reports.push_back(Report::CameraStarted { session: self.id, participant: who, own });
        let source = Source { who: who.into(), mid, audio_mid, epoch: floor.epoch() };
        self.carry_out_camera(cx, effects, Some(source));
        Ok(())
    }

    /// The visitor stops its camera.
    pub(super) fn stop_camera(&mut self, cx: &mut Context<'_>, who: ParticipantId) -> Result<(), Refusal> {
        if self.camera.floor.holder() != Some(who) {
            return Err(Refusal::new(Code::State, "R110").saying("You are not showing a camera."));
        }
        self.camera_event(cx, Event::Stop(who));
        Ok(())
    }

    /// Anything else that may concern the camera.
    pub(super) fn camera_event(&mut self, cx: &mut Context<'_>, event: Event) {
        // Only a stop by somebody else can be refused, and `stop_camera` lets none through.
        let Ok((floor, effects)) = self.camera.floor.next(event) else { return };
        self.camera.floor = floor;
        if effects.any() {
            self.carry_out_camera(cx, effects, None);
        }
    }

    /// Ends a camera that has shown nothing in time.
    pub(super) fn expire_camera(&mut self, cx: &mut Context<'_>) {
        if self.camera.due().is_none_or(|at| at > cx.now) {
            return;
        }
        let (holder, epoch) = (self.camera.floor.holder(), self.camera.floor.epoch());
        self.camera_event(cx, Event::TimedOut(epoch));
        if let Some(holder) = holder {
            let refusal =
                Refusal::new(Code::Timeout, "R110").saying("No picture arrived from the camera. Please show it again.");
            self.refuse(cx, holder, "camera.start", refusal);
        }
    }

    /// What a member is shown of the camera when it is let in.
    pub(super) fn camera_for(&self, member: &Participant) -> Option<CameraState> {
        let on = !matches!(self.camera.floor, Floor::Empty { .. });
        (on && member.consented && may_know(member)).then(|| self.camera.state())
    }

    /// Tells a visitor who may show a camera in which words it agrees to that.
    pub(super) fn put_camera_words(&mut self, who: ParticipantId) {
        let question = self.policy.questions.camera.clone();
        let may = |member: &Participant| {
            member.role == Role::Visitor && member.capabilities.contains(Capabilities::PUB_CAMERA)
        };
        if self.participants.get(&who).is_some_and(may) {
            let words = question.words();
            self.tell(who, &ToClient::CameraWords { question, words });
        }
    }

    /// Fence first, then tell.
    fn carry_out_camera(&mut self, cx: &mut Context<'_>, effects: Effects, source: Option<Source>) {
        if effects.fence || source.is_some() {
            self.fanout.set_source(cx.now, Lane::Camera, source);
        }
        if let Some(participant) = effects.stopped {
            cx.reports.push_back(Report::CameraStopped { session: self.id, participant });
            self.resource_lost_floor(participant, Code::Ended);
        }
        let told = ToClient::Camera(self.camera.state());
        self.each(|member| member.consented && may_know(member), |member| member.tell(&told));
    }
}

/// Whose camera it is, or who may see it.
fn may_know(member: &Participant) -> bool {
    member.role == Role::Visitor || member.capabilities.contains(Capabilities::SUB_CAMERA)
}
