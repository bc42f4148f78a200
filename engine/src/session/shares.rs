//! The two live shares of a session: carries out what the floors decide (`docs/protocol.md` §6).

use std::time::{Duration, Instant};

use fanlight_wire::limits::SHARE_START_MAX;
use fanlight_wire::policy::{Role, Surface};
use fanlight_wire::report::Report;
use fanlight_wire::signal::{SharePhase, ShareState, Slot, Stage, TAKEN_OVER, ToClient};
use fanlight_wire::{Code, ParticipantId, Refusal};

use super::sites::{Stated, Watch};
use super::{Context, Session};
use crate::deadline::{Deadline, Reason};
use crate::fanout::{MediaEvent, Source};
use crate::floor::{Effects, Event, Floor};

/// One slot: its floor and what is shown of it.
#[derive(Debug)]
pub(super) struct Share {
    slot: Slot,
    pub(super) floor: Floor,
    pub(super) asked: Option<Instant>,
    /// How long the holder may show nothing.
    pub(super) patience: Duration,
    pub(super) surface: Option<Surface>,
    audio: bool,
    /// Of a visitor's: who asked for it.
    asker: Option<ParticipantId>,
    /// Of an agent's while allowed sites are on: what is known of it.
    pub(super) watch: Option<Watch>,
}

/// Both slots.
#[derive(Debug)]
pub(super) struct Shares([Share; 2]);

impl Default for Shares {
    fn default() -> Self {
        Self(Slot::ALL.map(|slot| Share {
            slot,
            floor: Floor::default(),
            asked: None,
            patience: SHARE_START_MAX,
            surface: None,
            audio: false,
            asker: None,
            watch: None,
        }))
    }
}

impl Shares {
    pub(super) fn states(&self) -> Vec<ShareState> {
        self.0.iter().map(Share::state).collect()
    }

    pub(super) fn deadline(&self) -> Deadline {
        let starts = self.0.iter().filter_map(Share::start_deadline);
        let statements = self.0.iter().filter_map(Share::statement_deadline);
        starts.chain(statements).min().map_or(Deadline::IDLE, |at| Deadline::new(at, Reason::Floor))
    }

    pub(super) const fn of(&mut self, slot: Slot) -> &mut Share {
        let [agent, visitor] = &mut self.0;
        match slot {
            Slot::Agent => agent,
            Slot::Visitor => visitor,
        }
    }
}

impl Share {
    pub(super) fn state(&self) -> ShareState {
        let phase = match self.floor {
            Floor::Empty { .. } => SharePhase::Empty,
            Floor::Waiting { .. } if self.is_held() => SharePhase::Held,
            Floor::Waiting { .. } => SharePhase::Waiting,
            Floor::Live { .. } => SharePhase::Live,
        };
        let held = phase != SharePhase::Empty;
        ShareState {
            slot: self.slot,
            epoch: self.floor.epoch(),
            phase,
            holder: self.floor.holder(),
            surface: self.surface.filter(|_| held),
            audio: self.audio && held,
        }
    }

    fn start_deadline(&self) -> Option<Instant> {
        match self.floor {
            Floor::Waiting { .. } if !self.is_held() => self.asked.map(|asked| asked + self.patience),
            Floor::Empty { .. } | Floor::Waiting { .. } | Floor::Live { .. } => None,
        }
    }

    fn is_held(&self) -> bool {
        self.watch.as_ref().is_some_and(Watch::holds)
    }

    pub(super) fn statement_deadline(&self) -> Option<Instant> {
        self.floor.holder().and(self.watch.as_ref()).map(Watch::deadline)
    }
}

/// What a participant captured, as it says.
#[derive(Debug)]
pub(super) struct Capture {
    pub mid: String,
    pub audio_mid: Option<String>,
    pub surface: Option<Surface>,
    pub grant: Option<u32>,
    pub stated: Stated,
}

impl Session {
    /// A permitted participant has captured a screen and asks for its side's slot.
    pub(super) fn start_share(
        &mut self,
        cx: &mut Context<'_>,
        who: ParticipantId,
        role: Role,
        capture: Capture,
    ) -> Result<(), Refusal> {
        let slot = own_slot(role);
        if !self.fanout.can_publish(who.into(), &capture.mid) {
            return Err(Refusal::new(Code::Sdp, "protocol §12")
                .saying("There is no media section to share with. Send an offer first."));
        }
        let asker = match slot {
            Slot::Visitor => Some(self.redeem_grant(capture.grant, capture.surface)?),
            Slot::Agent => None,
        };
        let watched = self.wants_statements(role, capture.surface);
        self.refuse_known_sites(role, capture.surface, &capture.stated)?;
        let patience = self.patience_with(who);
        let share = self.shares.of(slot);
        let (floor, effects) = share.floor.next(Event::Request(who))?;
        share.floor = floor;
        share.asked = Some(cx.now);
        share.patience = patience;
        share.surface = capture.surface;
        share.audio = capture.audio_mid.is_some();
        share.asker = asker;
        share.watch = None;
        cx.reports.push_back(Report::ShareStarted { session: self.id, slot, participant: who });
        let source = Source { who: who.into(), mid: capture.mid, audio_mid: capture.audio_mid, epoch: floor.epoch() };
        if watched {
            // The slot is the new holder's, and nothing of it is forwarded before the first good statement.
            self.shares.of(slot).watch = Some(Watch::holding(cx.now, source));
            self.carry_out(cx, slot, effects, None);
        } else {
            self.carry_out(cx, slot, effects, Some(source));
        }
        Ok(())
    }

    /// Stops the participant's own share (R040).
    pub(super) fn stop_share(&mut self, cx: &mut Context<'_>, who: ParticipantId, role: Role) -> Result<(), Refusal> {
        self.floor_event(cx, own_slot(role), Event::Stop(who))
    }

    /// An event that may concern either slot and is never refused.
    pub(super) fn both_floors(&mut self, cx: &mut Context<'_>, event: Event) {
        for slot in Slot::ALL {
            // Only a stop can be refused; this is not one.
            let _never_refused = self.floor_event(cx, slot, event);
        }
    }

    /// Policy, pause or the end of consent: nobody shares any more. Only a publisher without a pipe, who needs nobody's
    /// presence, goes on while the session waits for people.
    pub(super) fn revoke_shares(&mut self, cx: &mut Context<'_>) {
        for slot in Slot::ALL {
            let holder = self.shares.of(slot).floor.holder();
            if self.stage == Stage::Waiting && holder.is_some_and(|who| self.is_resource(who)) {
                continue;
            }
            // Only a stop can be refused; this is not one.
            let _never_refused = self.floor_event(cx, slot, Event::Revoked);
        }
    }

    /// Who fills a slot, with what, and who asked for it.
    pub(super) fn sharing(&mut self, slot: Slot) -> Option<(ParticipantId, Option<Surface>, Option<ParticipantId>)> {
        let share = self.shares.of(slot);
        share.floor.holder().map(|holder| (holder, share.surface, share.asker))
    }

    /// The rules no longer allow the share in this slot.
    pub(super) fn revoke_share(&mut self, cx: &mut Context<'_>, slot: Slot) {
        let _never_refused = self.floor_event(cx, slot, Event::Revoked);
    }

    /// Empties a slot whose new holder has shown nothing in time.
    pub(super) fn expire_shares(&mut self, cx: &mut Context<'_>) {
        for slot in Slot::ALL {
            let share = self.shares.of(slot);
            if share.start_deadline().is_none_or(|at| at > cx.now) {
                continue;
            }
            let (holder, epoch) = (share.floor.holder(), share.floor.epoch());
            let _never_refused = self.floor_event(cx, slot, Event::TimedOut(epoch));
            if let Some(holder) = holder {
                let refusal = Refusal::new(Code::Timeout, "protocol §12")
                    .saying("No picture arrived within three seconds. Please share again.");
                self.refuse(cx, holder, "share.start", refusal);
            }
        }
    }

    pub(super) fn handle_media_event(&mut self, cx: &mut Context<'_>, event: MediaEvent) {
        match event {
            MediaEvent::FirstKeyframe { lane, epoch } => match lane.slot() {
                Some(slot) => {
                    let _never_refused = self.floor_event(cx, slot, Event::Keyframe(epoch));
                }
                None => self.camera_event(cx, Event::Keyframe(epoch)),
            },
            MediaEvent::Disconnected { who } => {
                if let Some(who) = who.participant() {
                    self.both_floors(cx, Event::Left(who));
                    self.camera_event(cx, Event::Left(who));
                }
                self.resource_cut(cx, who);
            }
            MediaEvent::Connected { who, srtp } => {
                tracing::debug!(session = %self.id, member = who.0, srtp, "media connected");
                self.resource_connected(cx, who);
            }
            MediaEvent::NoCodec { who, lane } => {
                let refusal = Refusal::new(Code::Sdp, "protocol §12")
                    .saying("This browser cannot decode the codec of the share.");
                if let Some(who) = who.participant() {
                    self.refuse(cx, who, lane.label(), refusal);
                }
            }
        }
    }

    fn floor_event(&mut self, cx: &mut Context<'_>, slot: Slot, event: Event) -> Result<(), Refusal> {
        let share = self.shares.of(slot);
        let (floor, effects) = share.floor.next(event)?;
        share.floor = floor;
        if effects.any() {
            self.carry_out(cx, slot, effects, None);
        }
        Ok(())
    }

    /// Fence first, then tell, then forward: no packet of the old share leaves after its holder was told.
    pub(super) fn carry_out(&mut self, cx: &mut Context<'_>, slot: Slot, effects: Effects, source: Option<Source>) {
        if effects.fence || source.is_some() {
            self.fanout.set_source(cx.now, slot.into(), source);
        }
        let epoch = self.shares.of(slot).floor.epoch();
        if let (Some(from), Some(to)) = (effects.taken_over, effects.source) {
            self.tell(from, &ToClient::ShareTakenOver { slot, epoch, text: TAKEN_OVER.to_owned() });
            cx.reports.push_back(Report::ShareTakenOver { session: self.id, slot, from, to });
            self.resource_lost_floor(from, Code::Busy);
        }
        if let Some(participant) = effects.stopped {
            cx.reports.push_back(Report::ShareStopped { session: self.id, slot, participant });
            self.resource_lost_floor(participant, Code::Ended);
        }
        let share = self.shares.of(slot);
        if let (true, Some(participant)) = (effects.live, share.floor.holder()) {
            let after = share.asked.map_or(Duration::ZERO, |asked| cx.now.saturating_duration_since(asked));
            cx.reports.push_back(Report::ShareLive { session: self.id, slot, participant, after });
        }
        let told = ToClient::Share(self.shares.of(slot).state());
        self.each(|member| member.consented, |member| member.tell(&told));
    }
}

/// The slot that a role fills; its members watch the other one.
pub(super) const fn own_slot(role: Role) -> Slot {
    match role {
        Role::Visitor => Slot::Visitor,
        Role::Agent | Role::Guest | Role::Upstream => Slot::Agent,
    }
}

/// The slot that a role watches.
pub(super) const fn watched_slot(role: Role) -> Slot {
    match own_slot(role) {
        Slot::Agent => Slot::Visitor,
        Slot::Visitor => Slot::Agent,
    }
}
