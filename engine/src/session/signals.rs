//! What each signal of a client does, once the gate has let it through.

use fanlight_wire::policy::{Capabilities, Mode, Role};
use fanlight_wire::report::Report;
use fanlight_wire::signal::{Stage, ToClient, ToRelay};
use fanlight_wire::{Code, Frame, MaskEpoch, ParticipantId, Refusal};

use super::shares::{Capture, watched_slot};
use super::sites::Stated;
use super::{Context, Session};
use crate::fanout::Views;
use crate::floor::Event;
use crate::permit::{self, Standing};

impl Session {
    /// A `Signal` frame. Its refusals name the signal's tag, not the frame's kind.
    pub(super) fn handle_signal(
        &mut self,
        cx: &mut Context<'_>,
        who: ParticipantId,
        standing: Standing,
        frame: &Frame,
    ) -> Result<(), Refusal> {
        let Ok(signal) = ToRelay::parse(frame.payload()) else {
            return Err(Refusal::new(Code::BadSignal, "protocol §2"));
        };
        let tag = signal.tag();
        let result =
            permit::signal(standing, &self.policy, &signal).and_then(|()| self.act(cx, who, standing.role, signal));
        if let Err(refusal) = result {
            self.refuse(cx, who, tag, refusal);
        }
        Ok(())
    }

    fn act(&mut self, cx: &mut Context<'_>, who: ParticipantId, role: Role, signal: ToRelay) -> Result<(), Refusal> {
        match signal {
            ToRelay::Consent { ask, accept, words } => self.answer_view(cx, ask, accept, words.as_deref()),
            ToRelay::Mask { epoch } => self.raise_mask(epoch),
            ToRelay::MaskError => {
                cx.reports.push_back(Report::MaskFailed { session: self.id, participant: who });
                Ok(())
            }
            ToRelay::Pause { on } => self.pause(cx, on),
            ToRelay::Resync => {
                self.dom.resync(cx.now, who);
                Ok(())
            }
            ToRelay::Offer { sdp } => self.offer(cx, who, role, &sdp),
            ToRelay::ShareStart { mid, surface, audio_mid, grant, url, assurance } => {
                let stated = Stated { url, assurance };
                self.start_share(cx, who, role, Capture { mid, audio_mid, surface, grant, stated })
            }
            ToRelay::ShareStatement { url, assurance } => {
                self.state_share(cx, who, Stated { url, assurance: Some(assurance) });
                Ok(())
            }
            ToRelay::ShareStop => self.stop_share(cx, who, role),
            ToRelay::CameraStart { mid, words } => self.start_camera(cx, who, mid, words.as_deref()),
            ToRelay::CameraStop => self.stop_camera(cx, who),
            ToRelay::ShareInvite => self.invite_screen(cx, who),
            ToRelay::ShareAccept { grant, words } => self.accept_screen(cx, grant, words.as_deref()),
            ToRelay::ShareDecline { grant, reason } => self.decline_screen(cx, grant, &reason),
            ToRelay::ModeSet { mode } => {
                self.set_mode(cx, who, mode);
                Ok(())
            }
            ToRelay::Leave => {
                self.remove(cx, who, Code::Left);
                Ok(())
            }
            ToRelay::End => {
                self.end(cx, Code::Ended, Some(who));
                Ok(())
            }
            ToRelay::Ping { at } => {
                self.tell(who, &ToClient::Pong { at });
                Ok(())
            }
            // The gate refuses both before they come here.
            ToRelay::Hello { .. } | ToRelay::ControlRequest => Err(Refusal::new(Code::State, "protocol §9")),
        }
    }

    /// More is hidden from now on: what was recorded under the old rules is forgotten at once.
    fn raise_mask(&mut self, epoch: MaskEpoch) -> Result<(), Refusal> {
        if epoch <= self.dom.mask_epoch() {
            return Err(Refusal::new(Code::StaleMask, "protocol §4"));
        }
        self.dom.purge(epoch);
        Ok(())
    }

    fn pause(&mut self, cx: &mut Context<'_>, on: bool) -> Result<(), Refusal> {
        match (self.stage, on) {
            (Stage::Active, true) => self.set_stage(cx, Stage::Paused),
            (Stage::Paused, false) => self.set_stage(cx, Stage::Active),
            (Stage::Waiting, _) => return Err(Refusal::new(Code::State, "R009")),
            (Stage::Active, false) | (Stage::Paused, true) => {}
        }
        Ok(())
    }

    fn offer(&mut self, cx: &mut Context<'_>, who: ParticipantId, role: Role, sdp: &str) -> Result<(), Refusal> {
        let member = who.into();
        let fresh = self.fanout.is_fresh(member, sdp);
        let (key, views) = (self.peer_key(member), self.views_of(who, role));
        let answer = self.fanout.offer(cx.now, member, views, sdp, cx.media, cx.entropy, cx.demux, key)?;
        if fresh {
            // A page load took the old capture with it.
            self.both_floors(cx, Event::Left(who));
            self.camera_event(cx, Event::Left(who));
        }
        self.tell(who, &ToClient::Answer { sdp: answer });
        Ok(())
    }

    /// What of others' media this participant may see.
    pub(super) fn views_of(&self, who: ParticipantId, role: Role) -> Views {
        let may = |right| self.standing(who).is_some_and(|of| of.capabilities.contains(right));
        let main = may(Capabilities::SUB_SCREEN).then(|| watched_slot(role).into());
        Views { main, camera: may(Capabilities::SUB_CAMERA) }
    }

    fn set_mode(&mut self, cx: &mut Context<'_>, by: ParticipantId, mode: Mode) {
        if std::mem::replace(&mut self.mode, mode) != mode {
            cx.reports.push_back(Report::ModeChanged { session: self.id, mode, by });
        }
        let told = ToClient::ModeChanged { mode, by };
        self.each(|member| member.consented, |member| member.tell(&told));
    }
}
