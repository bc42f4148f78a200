//! What one participant knows: fed with the frames it receives, it keeps the state that a client would show.
//!
//! Invariant: [`Seat::handle_frame`] refuses what no correct relay sends, so that every test is also a test of that.

use std::collections::{BTreeMap, VecDeque};

use fanlight_wire::frame::Class;
use fanlight_wire::policy::{Capabilities, Mode, Role};
use fanlight_wire::signal::{CameraState, LagState, Member, ShareState, Slot, Stage, ToClient, ToRelay};
use fanlight_wire::{Code, Frame, Kind, MaskEpoch, PageEpoch, ParticipantId, SessionId};

use crate::mirror::{Applied, Broken, Mirror};

/// What `welcome` said last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub session: SessionId,
    pub you: ParticipantId,
    pub role: Role,
    pub capabilities: Capabilities,
    pub resumed: bool,
    pub page_epoch: PageEpoch,
    pub mask_epoch: MaskEpoch,
}

/// A correct relay does not send this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    #[error("before the welcome came {0}")]
    Early(&'static str),
    #[error("before consent came {0}")]
    Consent(&'static str),
    #[error("an unreadable signal")]
    Signal,
    #[error("floor epoch {found} after {have}")]
    Floor { have: u32, found: u32 },
    #[error(transparent)]
    Page(#[from] Broken),
    #[error("rights grew from {have:#x} to {found:#x}")]
    Rights { have: u32, found: u32 },
    #[error("the identity changed")]
    Identity,
}

/// What a frame was.
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, handed from seat to scenario; a box would cost more than it saves"
)]
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    Signal(ToClient),
    Page(Applied),
    /// A pointer, an input, a document.
    Other(Frame),
}

/// A question to a visitor, and what a yes to it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub number: u32,
    pub words: String,
}

impl Asked {
    /// Yes, the agent may come in.
    pub fn agree(self) -> ToRelay {
        ToRelay::Consent { ask: self.number, accept: true, words: Some(self.words) }
    }

    /// Yes, a screen will be shared.
    pub fn accept(self) -> ToRelay {
        ToRelay::ShareAccept { grant: self.number, words: Some(self.words) }
    }
}

fn note_asked(open: &mut VecDeque<Asked>, number: u32, words: &str) {
    if !open.iter().any(|known| known.number == number) {
        open.push_back(Asked { number, words: words.to_owned() });
    }
}

/// What one participant knows.
#[derive(Debug, Default)]
pub struct Seat {
    place: Option<Place>,
    resume: String,
    stage: Option<Stage>,
    mode: Option<Mode>,
    members: BTreeMap<ParticipantId, Member>,
    shares: BTreeMap<Slot, ShareState>,
    camera: Option<CameraState>,
    mirror: Mirror,
    lag: Option<LagState>,
    /// Snapshots that the relay asked for and that were not taken yet.
    pub snapshots_wanted: u32,
    /// Questions about agents, oldest first.
    pub asks: VecDeque<Asked>,
    /// Invitations to share, oldest first.
    pub grants: VecDeque<Asked>,
    /// Names the words of the question about the camera.
    pub camera_words: Option<String>,
    pub denials: Vec<(String, Code)>,
    pub taken_over: Vec<String>,
    pub answers: VecDeque<String>,
    pub ended: Option<Code>,
    resyncs: u32,
    /// Signals and pages come by streams of their own, in no order among each other.
    unordered: bool,
    /// The page came before the stage that allows it was told.
    ahead: bool,
}

impl Seat {
    /// A seat at a carrier that keeps no order between classes: what the visitor has agreed to may be told after it comes.
    pub fn unordered() -> Self {
        Self { unordered: true, ..Self::default() }
    }

    /// Judges and remembers one frame.
    ///
    /// # Errors
    /// [`Wrong`] for what a correct relay does not send.
    pub fn handle_frame(&mut self, frame: &Frame) -> Result<Received, Wrong> {
        if frame.header().kind == Kind::Signal {
            let signal = ToClient::parse(frame.payload()).map_err(|_| Wrong::Signal)?;
            self.note(&signal)?;
            return Ok(Received::Signal(signal));
        }
        let label = frame.header().kind.label();
        let place = self.place.as_ref().ok_or(Wrong::Early(label))?;
        // R116: nothing of the page before the visitor has agreed.
        if place.role != Role::Visitor && self.stage.is_none_or(|stage| stage == Stage::Waiting) {
            if !self.unordered {
                return Err(Wrong::Consent(label));
            }
            self.ahead = true;
        }
        if frame.header().kind.class() == Class::Dom {
            return Ok(Received::Page(self.mirror.handle_frame(frame)?));
        }
        Ok(Received::Other(frame.clone()))
    }

    /// The carrier is gone: the copy of the page goes with it, identity and rights stay.
    pub fn lost_carrier(&mut self) {
        self.mirror.forget();
        self.answers.clear();
    }

    pub const fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    pub fn id(&self) -> ParticipantId {
        self.place.as_ref().map_or(ParticipantId::RELAY, |place| place.you)
    }

    /// The newest resume token.
    pub fn resume(&self) -> &str {
        &self.resume
    }

    pub const fn stage(&self) -> Option<Stage> {
        self.stage
    }

    pub const fn mode(&self) -> Option<Mode> {
        self.mode
    }

    pub const fn members(&self) -> &BTreeMap<ParticipantId, Member> {
        &self.members
    }

    pub fn share(&self, slot: Slot) -> Option<&ShareState> {
        self.shares.get(&slot)
    }

    /// What was last told of the camera.
    pub const fn camera(&self) -> Option<&CameraState> {
        self.camera.as_ref()
    }

    pub const fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    pub const fn lag(&self) -> Option<LagState> {
        self.lag
    }

    pub const fn resyncs(&self) -> u32 {
        self.resyncs
    }

    fn note(&mut self, signal: &ToClient) -> Result<(), Wrong> {
        if self.place.is_none() && !matches!(signal, ToClient::Welcome { .. } | ToClient::Denied { .. }) {
            return Err(Wrong::Early("a signal"));
        }
        match signal {
            ToClient::Welcome { .. } => self.note_welcome(signal)?,
            ToClient::ResumeToken { resume } => self.resume.clone_from(resume),
            ToClient::ConsentAsk { ask, words, .. } => note_asked(&mut self.asks, *ask, words),
            ToClient::ConsentWithdrawn { ask } => {
                self.asks.retain(|open| open.number != *ask);
                self.grants.retain(|open| open.number != *ask);
            }
            ToClient::ShareInvited { grant, words, .. } => note_asked(&mut self.grants, *grant, words),
            ToClient::CameraWords { words, .. } => self.camera_words = Some(words.clone()),
            ToClient::SessionStage { stage } => {
                if std::mem::take(&mut self.ahead) && *stage == Stage::Waiting {
                    return Err(Wrong::Consent("the page"));
                }
                self.stage = Some(*stage);
            }
            ToClient::SessionEnded { code, .. } => self.ended = Some(*code),
            ToClient::Member(member) => {
                self.members.insert(member.id, member.clone());
            }
            ToClient::MemberLeft { id } => {
                self.members.remove(id);
            }
            ToClient::SnapshotWanted { .. } => self.snapshots_wanted += 1,
            ToClient::Resync { .. } => {
                self.resyncs += 1;
                self.mirror.forget();
            }
            ToClient::Lag { state, .. } => self.lag = Some(*state),
            ToClient::Answer { sdp } => self.answers.push_back(sdp.clone()),
            ToClient::Share(share) => self.note_share(share)?,
            ToClient::Camera(camera) => self.note_camera(camera)?,
            ToClient::ShareTakenOver { text, .. } => self.taken_over.push(text.clone()),
            ToClient::ModeChanged { mode, .. } => self.mode = Some(*mode),
            ToClient::MaskRaised { epoch, .. } => {
                if let Some(place) = &mut self.place {
                    place.mask_epoch = *epoch;
                }
            }
            ToClient::PolicyNarrowed { capabilities, .. } => self.note_narrowed(*capabilities)?,
            ToClient::Denied { re, refusal, .. } => self.denials.push((re.clone(), refusal.code)),
            ToClient::SessionEnding { .. }
            | ToClient::ConsentResult { .. }
            | ToClient::ShareAnswered { .. }
            | ToClient::Pong { .. } => {}
        }
        Ok(())
    }

    fn note_narrowed(&mut self, capabilities: Capabilities) -> Result<(), Wrong> {
        let Some(place) = &mut self.place else { return Ok(()) };
        if !place.capabilities.contains(capabilities) {
            return Err(Wrong::Rights { have: place.capabilities.bits(), found: capabilities.bits() });
        }
        place.capabilities = capabilities;
        Ok(())
    }

    fn note_welcome(&mut self, signal: &ToClient) -> Result<(), Wrong> {
        let ToClient::Welcome {
            session,
            you,
            role,
            capabilities,
            resume,
            resumed,
            stage,
            mode,
            members,
            shares,
            camera,
            page_epoch,
            mask_epoch,
            ..
        } = signal
        else {
            return Ok(());
        };
        if let Some(before) = self.place.as_ref().filter(|_| *resumed) {
            // Rules, decision 12: a resume finds the same identity with the same or narrower rights.
            if !before.capabilities.contains(*capabilities) {
                return Err(Wrong::Rights { have: before.capabilities.bits(), found: capabilities.bits() });
            }
            if (before.session, before.you, before.role) != (*session, *you, *role) {
                return Err(Wrong::Identity);
            }
        }
        self.place = Some(Place {
            session: *session,
            you: *you,
            role: *role,
            capabilities: *capabilities,
            resumed: *resumed,
            page_epoch: *page_epoch,
            mask_epoch: *mask_epoch,
        });
        self.resume.clone_from(resume);
        (self.stage, self.mode) = (Some(*stage), Some(*mode));
        self.members = members.iter().map(|member| (member.id, member.clone())).collect();
        camera.iter().try_for_each(|camera| self.note_camera(camera))?;
        shares.iter().try_for_each(|share| self.note_share(share))
    }

    fn note_camera(&mut self, camera: &CameraState) -> Result<(), Wrong> {
        let have = self.camera.as_ref().map_or(0, |before| before.epoch.value());
        let found = camera.epoch.value();
        if found < have {
            return Err(Wrong::Floor { have, found });
        }
        self.camera = Some(camera.clone());
        Ok(())
    }

    /// Epochs of a floor grow; within one, a share goes from waiting to live and no further.
    fn note_share(&mut self, share: &ShareState) -> Result<(), Wrong> {
        let have = self.shares.get(&share.slot).map_or(0, |before| before.epoch.value());
        let found = share.epoch.value();
        if found < have {
            return Err(Wrong::Floor { have, found });
        }
        self.shares.insert(share.slot, share.clone());
        Ok(())
    }
}
