//! One shared visit and everybody in it: who is there, what stage it is in, where each frame goes.
//!
//! Invariants: nothing flows before the visitor's consent (R116); a reconnect brings back the same identity with the
//! same or narrower rights; every carrier of a participant that left is closed. Leaves the DOM stream to [`crate::dom`],
//! media to [`crate::fanout`], the slots to [`crate::floor`] and every permission to [`crate::permit`].

mod asks;
mod camera;
mod enforce;
mod length;
mod members;
mod mirrors;
mod resources;
mod revoke;
mod shares;
mod signals;
mod sites;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use fanlight_wire::frame::Kind;
use fanlight_wire::limits::{NEVER_JOINED_MAX, PARTICIPANTS_LIFETIME_MAX};
use fanlight_wire::policy::{Mode, Policy, Role};
use fanlight_wire::report::{Report, ShardTotals};
use fanlight_wire::signal::{LagState, SnapshotReason, Stage, ToClient};
use fanlight_wire::{Code, Frame, ParticipantId, PipeId, Refusal, SessionId, ShardId};

use crate::deadline::Deadline;
use crate::dom::{Dom, DomEvent};
use crate::fanout::{Fanout, MemberId};
use crate::floor::Event;
use crate::handoff::Handoff;
use crate::participant::Participant;
use crate::permit::{self, Route, Standing};
use crate::pipe::PipeOutput;
use asks::Asks;
use camera::Camera;
use enforce::Narrowed;
use mirrors::Home;
use resources::Resources;
use revoke::Revoked;
use shares::Shares;

/// What a session shares with its shard while it handles something.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub now: Instant,
    pub entropy: &'a mut crate::entropy::Entropy,
    pub demux: &'a mut crate::demux::Demux,
    pub media: &'a crate::peer::PeerConfig,
    pub reports: &'a mut VecDeque<Report>,
    /// Pipes that a session no longer owns, with their last outputs.
    pub orphans: &'a mut VecDeque<(PipeId, PipeOutput)>,
    /// What other shards are to be told.
    pub handoffs: &'a mut VecDeque<(ShardId, Handoff)>,
}

/// One session on its home shard, or what another shard has of it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    /// Position of this session among its shard's, part of its peers' keys.
    index: u32,
    policy: Policy,
    narrowed: Narrowed,
    revoked: Revoked,
    created: Instant,
    stage: Stage,
    /// It has been active once.
    started: bool,
    mode: Mode,
    participants: BTreeMap<ParticipantId, Participant>,
    born: u8,
    asks: Asks,
    shares: Shares,
    /// When everybody was told that the session has reached its longest time.
    warned: Option<Instant>,
    camera: Camera,
    resources: Resources,
    /// How long it may be without participants and resources, counted from its creation.
    empty_max: Duration,
    dom: Dom,
    /// When the visitor's last page went, until agents see the next one.
    page_left: Option<Instant>,
    /// DOM frames accepted and handed out: snapshots, diffs, assets.
    dom_frames_in: [u64; 3],
    dom_frames_out: [u64; 3],
    pub(crate) fanout: Fanout,
    /// What is due of everything but media, as of the last [`Self::deadline`].
    beside_media: Deadline,
    /// On a mirror, where the session lives: there is nobody here but viewers.
    home: Option<Home>,
    ended: Option<Code>,
}

impl Session {
    pub(crate) fn new(id: SessionId, index: u32, policy: Policy, now: Instant) -> Self {
        Self {
            id,
            index,
            created: now,
            stage: Stage::Waiting,
            started: false,
            mode: policy.default_mode,
            participants: BTreeMap::new(),
            born: 0,
            asks: Asks::default(),
            shares: Shares::default(),
            warned: None,
            camera: Camera::default(),
            resources: Resources::default(),
            empty_max: NEVER_JOINED_MAX,
            dom: Dom::new(policy.dom_cache),
            page_left: None,
            dom_frames_in: [0; 3],
            dom_frames_out: [0; 3],
            fanout: Fanout::default(),
            beside_media: Deadline::IDLE,
            home: None,
            policy,
            narrowed: Narrowed::default(),
            revoked: Revoked::default(),
            ended: None,
        }
    }

    /// The session is over; its shard may forget it once its pipes are drained.
    pub(crate) const fn has_ended(&self) -> bool {
        self.ended.is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.participants.is_empty() && self.resources.is_empty() && self.fanout.mirrors().next().is_none()
    }

    /// It may be empty for this long.
    pub(crate) const fn keep_empty(&mut self, empty_max: Duration) {
        self.empty_max = empty_max;
    }

    /// Adds what this session has counted and holds.
    pub(crate) fn add_totals(&self, to: &mut ShardTotals) {
        let counters = self.dom.counters();
        to.resyncs += counters.resyncs;
        to.snapshot_requests += counters.requests;
        to.snapshot_bytes += counters.snapshot_bytes;
        to.dom_evictions += counters.evictions;
        for at in 0..3 {
            to.dom_frames_in[at] += self.dom_frames_in[at];
            to.dom_frames_out[at] += self.dom_frames_out[at];
        }
        self.fanout.add_totals(to);
        if self.has_ended() {
            return;
        }
        if self.is_mirror() {
            to.mirrors += 1;
            return self.resources.add_totals(to);
        }
        to.dom_cache_bytes += self.dom.cached_bytes();
        to.sessions[self.stage as usize] += 1;
        for (sum, agents) in to.agents_lag.iter_mut().zip(self.dom.lag()) {
            *sum += agents;
        }
        self.resources.add_totals(to);
        for participant in self.participants.values() {
            to.participants[participant.role as usize] += 1;
        }
    }

    /// The key under which a member's media is known to the demultiplexer.
    pub(crate) const fn peer_key(&self, who: MemberId) -> crate::demux::PeerKey {
        crate::demux::PeerKey(((self.index as u64) << 32) | who.0 as u64)
    }

    /// A frame from a participant's carrier.
    pub(crate) fn handle_frame(&mut self, cx: &mut Context<'_>, who: ParticipantId, frame: Frame) {
        let Some(standing) = self.standing(who) else { return };
        let Some(sender) = self.participants.get_mut(&who) else { return };
        sender.heard();
        let kind = frame.header().kind;
        let result = sender
            .spend(cx.now, &frame)
            .and_then(|()| permit::frame(standing, frame.header()))
            .and_then(|route| self.route(cx, who, standing, route, frame));
        if let Err(refusal) = result {
            self.refuse(cx, who, kind.label(), refusal);
        }
        self.dispatch(cx);
    }

    fn route(
        &mut self,
        cx: &mut Context<'_>,
        who: ParticipantId,
        standing: Standing,
        route: Route,
        frame: Frame,
    ) -> Result<(), Refusal> {
        match route {
            Route::Signal => self.handle_signal(cx, who, standing, &frame),
            Route::Dom => {
                let (kind, page) = (frame.header().kind, self.dom.page_epoch());
                self.dom.handle_frame(cx.now, frame.detached().stamped(who))?;
                count_dom(&mut self.dom_frames_in, kind);
                if self.dom.page_epoch() > page
                    && let Some(left) = self.page_left.take()
                {
                    let after = cx.now.saturating_duration_since(left);
                    cx.reports.push_back(Report::PageShown { session: self.id, after });
                }
                Ok(())
            }
            Route::Visitor => {
                let frame = frame.stamped(who);
                self.each(|member| member.role == Role::Visitor, |member| member.forward(frame.clone()));
                Ok(())
            }
            Route::Agents => {
                let frame = frame.stamped(who);
                self.each(Participant::may_watch, |member| member.forward(frame.clone()));
                Ok(())
            }
        }
    }

    /// What the gate needs to know of a participant.
    fn standing(&self, who: ParticipantId) -> Option<Standing> {
        let sender = self.participants.get(&who)?;
        Some(Standing {
            role: sender.role,
            capabilities: sender.capabilities,
            consented: sender.consented,
            stage: self.stage,
            mode: self.mode,
            lease: false,
        })
    }

    /// Tells the asker, counts, and goes on. `re` names what was refused.
    fn refuse(&mut self, cx: &mut Context<'_>, who: ParticipantId, re: &str, refusal: Refusal) {
        tracing::debug!(session = %self.id, participant = %who, code = %refusal.code, rule = %refusal.rule, re, "refused");
        cx.reports.push_back(Report::Refused { session: self.id, participant: who, code: refusal.code });
        if re == "share.start" {
            cx.reports.push_back(Report::ShareRefused { session: self.id, participant: who, code: refusal.code });
        }
        let allowed = if refusal.code == Code::Surface { self.surfaces_of(who) } else { Vec::new() };
        let policy_version = self.policy.version;
        // Whoever has captured a screen waits for this answer, however soon it follows another one.
        let waits = re == "share.start";
        if let Some(asker) = self.participants.get_mut(&who)
            && (asker.may_be_told(cx.now, refusal.code) || waits)
        {
            asker.tell(&ToClient::Denied { re: re.to_owned(), refusal, policy_version, allowed });
        }
    }

    /// Carries out what the DOM stream, the media plane and the clock have brought about.
    pub(crate) fn dispatch(&mut self, cx: &mut Context<'_>) {
        while let Some(event) = self.dom.poll_event() {
            self.handle_dom_event(cx, event);
        }
        while let Some(event) = self.fanout.poll_event() {
            self.handle_media_event(cx, event);
        }
        self.close_ended_resources(cx);
    }

    fn handle_dom_event(&mut self, cx: &mut Context<'_>, event: DomEvent) {
        match event {
            DomEvent::SnapshotWanted(reason) => {
                // A paused or waiting visitor is not asked; going on asks anew.
                if self.stage == Stage::Active {
                    self.tell_visitor(&ToClient::SnapshotWanted { reason });
                }
            }
            DomEvent::Resync { agent, reason } => {
                self.tell(agent, &ToClient::Resync { reason: reason.to_owned() });
            }
            DomEvent::Lag { agent, state, bytes, ms } => {
                cx.reports.push_back(Report::Lag { session: self.id, participant: agent, state });
                if state != LagState::Closed {
                    self.tell(agent, &ToClient::Lag { state, bytes, ms });
                }
            }
            DomEvent::Close { agent } => self.disconnect(cx, agent, Code::TooSlow),
        }
    }

    /// Called when [`Self::deadline`] has come.
    pub(crate) fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        self.dom.handle_timeout(cx.now);
        self.fanout.handle_timeout(cx.now);
        self.expire_asks(cx);
        self.expire_shares(cx);
        self.expire_statements(cx);
        self.expire_camera(cx);
        self.expire_members(cx);
        self.expire_resources(cx);
        self.fanout.expire_mirrors(cx.now);
        if self.is_mirror() {
            self.tend_mirror(cx);
        } else {
            self.expire_session(cx);
        }
        self.dispatch(cx);
    }

    /// Has [`Self::dispatch`] something to carry out?
    pub(crate) fn has_events(&self) -> bool {
        self.fanout.has_events() || self.dom.has_events() || self.resources.is_ending()
    }

    /// Lets time pass for the media alone. False when something else is due too, and nothing was done.
    pub(crate) fn handle_media_timeout(&mut self, now: Instant) -> bool {
        let only_media = !self.beside_media.is_due(now);
        if only_media {
            self.fanout.handle_timeout(now);
        }
        only_media
    }

    /// The next moment at which something is due, when nothing but media has happened since [`Self::deadline`].
    pub(crate) fn media_deadline(&self) -> Deadline {
        self.beside_media.min(self.fanout.deadline())
    }

    /// The next moment at which something is due. Looks at everybody.
    pub(crate) fn deadline(&mut self) -> Deadline {
        let whole = self.home.as_ref().map_or_else(|| self.length_deadline(), Home::deadline);
        self.beside_media = self
            .dom
            .deadline()
            .min(self.asks.deadline())
            .min(self.shares.deadline())
            .min(self.camera.deadline())
            .min(self.resources.deadline())
            .min(self.grace_deadline())
            .min(self.fanout.mirrors_deadline())
            .min(whole);
        self.media_deadline()
    }

    /// Frames that carriers have room for, to be sent now.
    pub(crate) fn drain(&mut self, now: Instant, out: &mut VecDeque<(PipeId, PipeOutput)>) {
        for participant in self.participants.values_mut() {
            let watches = participant.may_watch();
            let Some((id, pipe)) = &mut participant.carrier else { continue };
            while let Some(output) = pipe.next(|| if watches { self.dom.next_frame(now, participant.id) } else { None })
            {
                if let PipeOutput::Frame(frame) = &output {
                    count_dom(&mut self.dom_frames_out, frame.header().kind);
                }
                out.push_back((*id, output));
            }
        }
    }

    /// Ends the session for everybody; each is told before its carrier closes (R187).
    pub(crate) fn end(&mut self, cx: &mut Context<'_>, code: Code, by: Option<ParticipantId>) {
        self.end_saying(cx, code, by, code.sentence());
    }

    fn end_saying(&mut self, cx: &mut Context<'_>, code: Code, by: Option<ParticipantId>, sentence: &'static str) {
        if self.ended.is_some() {
            return;
        }
        if self.is_mirror() {
            return self.end_mirror(cx, code);
        }
        self.ended = Some(code);
        let told = ToClient::SessionEnded { code, sentence: sentence.to_owned(), by };
        self.each(|_| true, |member| member.tell(&told));
        self.close_resources(cx, code);
        self.end_mirrors(cx, code);
        let all: Vec<ParticipantId> = self.participants.keys().copied().collect();
        for who in all {
            self.remove(cx, who, code);
        }
        let lasted = cx.now.saturating_duration_since(self.created);
        cx.reports.push_back(Report::Ended { session: self.id, code, by, lasted });
        tracing::info!(session = %self.id, code = %code, "session ended");
    }

    fn set_stage(&mut self, cx: &mut Context<'_>, stage: Stage) {
        if self.stage == stage {
            return;
        }
        let before = std::mem::replace(&mut self.stage, stage);
        cx.reports.push_back(Report::Stage { session: self.id, stage });
        if stage != Stage::Active {
            self.revoke_shares(cx);
            self.camera_event(cx, Event::Revoked);
            self.close_resources_of_visitor(stage);
        }
        let told = ToClient::SessionStage { stage };
        self.each(|member| member.consented, |member| member.tell(&told));
        if stage == Stage::Active {
            if !std::mem::replace(&mut self.started, true) {
                cx.reports.push_back(Report::Started { session: self.id });
            }
            self.dom.go_on(cx.now);
        }
        if before == Stage::Paused && stage == Stage::Active {
            self.tell_visitor(&ToClient::SnapshotWanted { reason: SnapshotReason::Unpaused });
        }
    }

    fn tell(&mut self, who: ParticipantId, signal: &ToClient) {
        if let Some(member) = self.participants.get_mut(&who) {
            member.tell(signal);
        }
    }

    fn tell_visitor(&mut self, signal: &ToClient) {
        self.each(|member| member.role == Role::Visitor, |member| member.tell(signal));
    }

    /// Does `act` to each participant that `chosen` picks.
    fn each(&mut self, chosen: impl Fn(&Participant) -> bool, mut act: impl FnMut(&mut Participant)) {
        for participant in self.participants.values_mut().filter(|participant| chosen(participant)) {
            act(participant);
        }
    }

    /// The next identity of this session; never one that was used before.
    fn next_id(&mut self) -> Result<ParticipantId, Refusal> {
        if usize::from(self.born) >= PARTICIPANTS_LIFETIME_MAX {
            return Err(Refusal::new(Code::Full, "limits::PARTICIPANTS_LIFETIME_MAX"));
        }
        self.born += 1;
        Ok(ParticipantId(self.born))
    }
}

/// Counts a DOM frame in the order snapshot, diff, asset; other kinds are not DOM.
const fn count_dom(counters: &mut [u64; 3], kind: Kind) {
    let [snapshots, diffs, assets] = counters;
    match kind {
        Kind::Snapshot => *snapshots += 1,
        Kind::Diff => *diffs += 1,
        Kind::Asset => *assets += 1,
        Kind::Signal
        | Kind::Input
        | Kind::Navigate
        | Kind::Annotate
        | Kind::PointerMove
        | Kind::PointerTrue
        | Kind::Document => {}
    }
}
