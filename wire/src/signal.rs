//! What client and relay say to each other in `Signal` frames: JSON objects with the tag `t`.
//!
//! [`ToRelay`] is read from the network: unknown tags and malformed fields are refused with [`crate::Code::BadSignal`];
//! unknown *fields* are ignored so that an older relay understands a newer client. [`ToClient`] is written by the relay
//! alone.

use serde::{Deserialize, Serialize};

use crate::code::{Code, Refusal};
use crate::consent::Question;
use crate::frame::{Class, Frame, FrameError, Header, Kind};
use crate::id::{FloorEpoch, MaskEpoch, PageEpoch, ParticipantId, SessionId};
use crate::policy::{Capabilities, Masks, Mode, Role, Surface};
use crate::sites::Assurance;

/// Number of the payload schema (recorder events, signals). Client and relay must agree.
pub const SCHEMA: u32 = 1;

/// R014, word for word.
pub const TAKEN_OVER: &str = "Another agent is sharing their screen. You are no longer sharing your screen.";

/// What a client says about itself in `hello` (R169): versions only, nothing that fingerprints.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientInfo {
    pub os: String,
    pub browser: String,
    /// Version of the Fanlight client.
    pub client: String,
}

/// Which of the two live shares of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slot {
    /// Agents → visitor.
    Agent,
    /// Visitor → agents.
    Visitor,
}

impl Slot {
    pub const ALL: [Self; 2] = [Self::Agent, Self::Visitor];

    pub const fn label(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Visitor => "visitor",
        }
    }
}

/// Client → relay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t")]
pub enum ToRelay {
    /// The first frame of every carrier: exactly one of `ticket` and `resume`.
    #[serde(rename = "hello")]
    Hello {
        schema: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ticket: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resume: Option<String>,
        #[serde(default)]
        client: ClientInfo,
    },
    /// The visitor's answer to [`ToClient::ConsentAsk`]. A yes names the words that were shown ([`Question::words`]).
    #[serde(rename = "consent")]
    Consent {
        ask: u32,
        accept: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        words: Option<String>,
    },
    /// From now on more is hidden: the relay forgets what it holds and waits for a snapshot under the new epoch.
    #[serde(rename = "mask")]
    Mask { epoch: MaskEpoch },
    /// Visitor: the rules for hiding cannot be applied, so nothing is recorded.
    #[serde(rename = "mask.error")]
    MaskError,
    /// The visitor pauses or goes on; agents keep the last picture.
    #[serde(rename = "pause")]
    Pause { on: bool },
    /// Viewer: my copy no longer matches, begin again from a snapshot.
    #[serde(rename = "resync")]
    Resync,
    /// SDP offer (the client always offers). The relay answers with [`ToClient::Answer`].
    #[serde(rename = "offer")]
    Offer { sdp: String },
    /// I have captured a screen and want the slot of my side. Sent only after the picker has resolved (R011).
    /// `mid` names the media section that carries it.
    #[serde(rename = "share.start")]
    ShareStart {
        mid: String,
        /// Absent where the browser does not say; treated as `monitor` (R047).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        surface: Option<Surface>,
        /// Media section with the tab's sound, if there is any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audio_mid: Option<String>,
        /// The accepted grant of [`ToClient::ShareInvited`]; every share of a visitor uses one up (R045).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        grant: Option<u32>,
        /// Agent, while allowed sites are on: the address that it shows, if it is known already.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
        /// How surely `url` is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        assurance: Option<Assurance>,
    },
    /// Agent, while allowed sites are on: my share shows this now. Repeated every
    /// [`crate::limits::STATEMENT_INTERVAL`] (`docs/protocol.md` §6).
    #[serde(rename = "share.statement")]
    ShareStatement {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
        assurance: Assurance,
    },
    #[serde(rename = "share.stop")]
    ShareStop,
    /// Visitor: I have opened my camera, and `mid` names the media section that carries it (R110, R126). `words` names
    /// those of [`ToClient::CameraWords`] that were shown before.
    #[serde(rename = "camera.start")]
    CameraStart {
        mid: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        words: Option<String>,
    },
    #[serde(rename = "camera.stop")]
    CameraStop,
    /// Agent: ask the visitor to share a screen (R044).
    #[serde(rename = "share.invite")]
    ShareInvite,
    /// Visitor: no to an invitation. Yes is [`ToRelay::ShareStart`] with the grant, after [`ToRelay::ShareAccept`].
    #[serde(rename = "share.decline")]
    ShareDecline { grant: u32, reason: String },
    /// Visitor: clicked Accept; the picker is open (R045). `words` names those that were shown.
    #[serde(rename = "share.accept")]
    ShareAccept {
        grant: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        words: Option<String>,
    },
    /// Agent: choose a mode (R155).
    #[serde(rename = "mode.set")]
    ModeSet { mode: Mode },
    /// Agent: ask for the lease (refused until leases exist).
    #[serde(rename = "control.request")]
    ControlRequest,
    /// I leave on purpose; my place is not kept.
    #[serde(rename = "leave")]
    Leave,
    /// End the session for everybody (R188).
    #[serde(rename = "end")]
    End,
    /// Answered by [`ToClient::Pong`] with the same `at`, for the client's own round-trip time.
    #[serde(rename = "ping")]
    Ping { at: f64 },
}

/// One member, as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub id: ParticipantId,
    pub role: Role,
    pub name: String,
    pub presence: Presence,
    /// Of the visitor only: what the agents' client info shows (R169).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<ClientInfo>,
}

/// Is a member there?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// Waits for the visitor's consent.
    Waiting,
    Here,
    /// The carrier is gone, the place is kept.
    Away,
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Somebody is missing, or the visitor has not agreed yet. Nothing flows.
    Waiting,
    /// At least one agent has the visitor's consent.
    Active,
    /// The visitor has paused.
    Paused,
}

/// What a slot shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareState {
    pub slot: Slot,
    pub epoch: FloorEpoch,
    pub phase: SharePhase,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<ParticipantId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surface: Option<Surface>,
    pub audio: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SharePhase {
    Empty,
    /// Allowed sites are on, and what the new holder shows is being checked: nothing is forwarded (R013).
    Held,
    /// The new holder's first keyframe is awaited: "content is loading".
    Waiting,
    Live,
}

/// What the camera of a session shows; it has no sound and nobody can take it over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CameraState {
    pub epoch: FloorEpoch,
    pub phase: SharePhase,
    /// The visitor, or whoever publishes a camera for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<ParticipantId>,
}

/// What is asked of the visitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// An agent wants to see the page (R116).
    View,
    /// An agent asks for the visitor's screen (R045).
    Screen,
}

impl Ask {
    pub const fn label(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Screen => "screen",
        }
    }
}

/// Why a fresh snapshot is wanted; the visitor's page is blocked for its duration, so it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotReason {
    /// There is none yet.
    First,
    /// A diff is missing.
    Gap,
    /// The log since the last one is too long.
    Compact,
    /// It was evicted or purged.
    Evicted,
    /// The session went on after a pause.
    Unpaused,
}

/// Relay → client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "t")]
pub enum ToClient {
    /// The answer to `hello`.
    #[serde(rename = "welcome")]
    Welcome {
        session: SessionId,
        you: ParticipantId,
        role: Role,
        name: String,
        capabilities: Capabilities,
        /// Keep in `sessionStorage`; valid once, replaced at each use.
        resume: String,
        /// True when an earlier place was resumed.
        resumed: bool,
        stage: Stage,
        mode: Mode,
        modes: Vec<Mode>,
        members: Vec<Member>,
        shares: Vec<ShareState>,
        /// Absent when no camera is on, or when the receiver may not see it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        camera: Option<CameraState>,
        /// The newest page epoch known; a visitor's next page is the one after.
        page_epoch: PageEpoch,
        mask_epoch: MaskEpoch,
        /// Visitor: hex names of assets the relay still holds and need not be sent again.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        assets: Vec<String>,
        policy_version: u32,
        /// Visitor: what the group hides, beyond what the page was told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        masks: Option<Masks>,
    },
    /// To the visitor: will you? Answered by [`ToRelay::Consent`].
    #[serde(rename = "consent.ask")]
    ConsentAsk {
        ask: u32,
        kind: Ask,
        participant: ParticipantId,
        name: String,
        seconds: u32,
        /// The words to show: plain text, one statement per line.
        #[serde(flatten)]
        question: Question,
        /// What a yes names: [`Question::words`].
        words: String,
    },
    /// To the visitor: the question is withdrawn (timed out, or the agent left).
    #[serde(rename = "consent.withdrawn")]
    ConsentWithdrawn { ask: u32 },
    /// To the agent: the visitor's answer.
    #[serde(rename = "consent.result")]
    ConsentResult { kind: Ask, accepted: bool },
    /// The session is on (R117).
    #[serde(rename = "session.stage")]
    SessionStage { stage: Stage },
    /// To all: the session has reached its longest time and ends in `seconds`.
    #[serde(rename = "session.ending")]
    SessionEnding { seconds: u32 },
    /// To all, before their carriers close (R187).
    #[serde(rename = "session.ended")]
    SessionEnded {
        code: Code,
        sentence: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<ParticipantId>,
    },
    /// Somebody came, went away for a while, or came back.
    #[serde(rename = "member")]
    Member(Member),
    /// Somebody left for good.
    #[serde(rename = "member.left")]
    MemberLeft { id: ParticipantId },
    /// To the visitor: send a snapshot.
    #[serde(rename = "snapshot.wanted")]
    SnapshotWanted { reason: SnapshotReason },
    /// To an agent: forget your copy, a snapshot follows.
    #[serde(rename = "resync")]
    Resync { reason: String },
    /// To an agent: how far behind you are.
    #[serde(rename = "lag")]
    Lag { state: LagState, bytes: u64, ms: u64 },
    /// SDP answer; all candidates are in it.
    #[serde(rename = "answer")]
    Answer { sdp: String },
    /// A slot changed.
    #[serde(rename = "share.state")]
    Share(ShareState),
    /// The camera was switched on, is seen, or was switched off.
    #[serde(rename = "camera.state")]
    Camera(CameraState),
    /// To a visitor who may show a camera: the words to show before it is opened.
    #[serde(rename = "camera.words")]
    CameraWords {
        #[serde(flatten)]
        question: Question,
        words: String,
    },
    /// To the old holder (R014). `text` is [`TAKEN_OVER`].
    #[serde(rename = "share.taken_over")]
    ShareTakenOver { slot: Slot, epoch: FloorEpoch, text: String },
    /// To the visitor: an agent asks for your screen; answer with `share.accept` and `share.start`, or `share.decline`.
    #[serde(rename = "share.invited")]
    ShareInvited {
        grant: u32,
        participant: ParticipantId,
        name: String,
        seconds: u32,
        /// What the visitor may share on this invitation (R046).
        surfaces: Vec<Surface>,
        #[serde(flatten)]
        question: Question,
        words: String,
    },
    /// To the inviting agent.
    #[serde(rename = "share.answered")]
    ShareAnswered { grant: u32, accepted: bool, reason: String },
    #[serde(rename = "mode.changed")]
    ModeChanged { mode: Mode, by: ParticipantId },
    /// To the visitor: what was recorded so far is forgotten; hide this too, and send a snapshot under this mask epoch.
    #[serde(rename = "mask.raised")]
    MaskRaised { epoch: MaskEpoch, masks: Masks },
    /// The group's rules have been tightened: this is what you may still do.
    #[serde(rename = "policy.narrowed")]
    PolicyNarrowed { policy_version: u32, capabilities: Capabilities, modes: Vec<Mode> },
    /// Something you asked for is refused.
    #[serde(rename = "denied")]
    Denied {
        /// The tag of the signal or the kind of the frame that is refused.
        re: String,
        #[serde(flatten)]
        refusal: Refusal,
        policy_version: u32,
        /// For `E_SURFACE`: what is allowed.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        allowed: Vec<Surface>,
    },
    /// Keep this resume token instead of the one before.
    #[serde(rename = "resume")]
    ResumeToken { resume: String },
    #[serde(rename = "pong")]
    Pong { at: f64 },
}

/// How an agent keeps up (`docs/protocol.md` §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LagState {
    Live,
    Lagging,
    Resync,
    Degraded,
    Closed,
}

impl LagState {
    pub const ALL: [Self; 5] = [Self::Live, Self::Lagging, Self::Resync, Self::Degraded, Self::Closed];

    /// Metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Lagging => "lagging",
            Self::Resync => "resync",
            Self::Degraded => "degraded",
            Self::Closed => "closed",
        }
    }
}

/// The payload is not a signal.
#[derive(Debug, thiserror::Error)]
#[error("not a signal: {0}")]
pub struct SignalError(#[from] serde_json::Error);

impl ToRelay {
    /// Every tag a client may send, for documents and tests.
    pub const TAGS: [&'static str; 20] = [
        "hello",
        "consent",
        "mask",
        "mask.error",
        "pause",
        "resync",
        "offer",
        "share.start",
        "share.statement",
        "share.stop",
        "camera.start",
        "camera.stop",
        "share.invite",
        "share.decline",
        "share.accept",
        "mode.set",
        "control.request",
        "leave",
        "end",
        "ping",
    ];

    /// Reads a signal from a frame's payload.
    ///
    /// # Errors
    /// [`SignalError`] when the payload is not JSON of a known signal.
    pub fn parse(payload: &[u8]) -> Result<Self, SignalError> {
        Ok(serde_json::from_slice(payload)?)
    }

    /// The tag on the wire.
    pub const fn tag(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "hello",
            Self::Consent { .. } => "consent",
            Self::Mask { .. } => "mask",
            Self::MaskError => "mask.error",
            Self::Pause { .. } => "pause",
            Self::Resync => "resync",
            Self::Offer { .. } => "offer",
            Self::ShareStart { .. } => "share.start",
            Self::ShareStatement { .. } => "share.statement",
            Self::ShareStop => "share.stop",
            Self::CameraStart { .. } => "camera.start",
            Self::CameraStop => "camera.stop",
            Self::ShareInvite => "share.invite",
            Self::ShareDecline { .. } => "share.decline",
            Self::ShareAccept { .. } => "share.accept",
            Self::ModeSet { .. } => "mode.set",
            Self::ControlRequest => "control.request",
            Self::Leave => "leave",
            Self::End => "end",
            Self::Ping { .. } => "ping",
        }
    }

    /// The signal as a frame.
    ///
    /// # Errors
    /// [`FrameError::Long`] when its JSON is larger than a frame.
    pub fn to_frame(&self) -> Result<Frame, FrameError> {
        signal_frame(self)
    }
}

impl ToClient {
    /// Reads a signal from a frame's payload (clients, tests).
    ///
    /// # Errors
    /// [`SignalError`] when the payload is not JSON of a known signal.
    pub fn parse(payload: &[u8]) -> Result<Self, SignalError> {
        Ok(serde_json::from_slice(payload)?)
    }

    /// The signal as a frame.
    ///
    /// # Errors
    /// [`FrameError::Long`] when its JSON is larger than a frame.
    pub fn to_frame(&self) -> Result<Frame, FrameError> {
        signal_frame(self)
    }
}

/// The class whose order a frame to a client belongs to. A signal is `Ctl`, except `resync`: it says where in the `Dom`
/// stream a new beginning is, so it must neither overtake what was sent there before nor be overtaken.
pub fn order_of(frame: &Frame) -> Class {
    // `resync` is written by [`ToClient::to_frame`] alone, which puts the tag first.
    let resync = frame.header().kind == Kind::Signal && frame.payload().starts_with(br#"{"t":"resync","#);
    if resync { Class::Dom } else { frame.header().kind.class() }
}

fn signal_frame<T: Serialize>(signal: &T) -> Result<Frame, FrameError> {
    // Serialising these types cannot fail: their maps have string keys and nothing in them refuses.
    let json = serde_json::to_vec(signal).unwrap_or_default();
    Frame::new(Header::single(Kind::Signal), &json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_needs_only_what_it_needs() {
        let hello = ToRelay::parse(br#"{"t":"hello","schema":1,"ticket":"x","later":true}"#).expect("a hello");
        assert_eq!(
            hello,
            ToRelay::Hello { schema: 1, ticket: Some("x".into()), resume: None, client: ClientInfo::default() }
        );
    }

    #[test]
    fn a_resync_keeps_its_place_among_the_pages() {
        let of = |signal: ToClient| signal.to_frame().map(|frame| order_of(&frame));
        assert_eq!(of(ToClient::Resync { reason: "lag".into() }), Ok(Class::Dom));
        assert_eq!(of(ToClient::ResumeToken { resume: "resync".into() }), Ok(Class::Ctl));
        assert_eq!(of(ToClient::Pong { at: 1.0 }), Ok(Class::Ctl));
        let diff = Frame::new(Header::single(Kind::Diff), b"").expect("small");
        assert_eq!(order_of(&diff), Class::Dom);
    }

    #[test]
    fn unknown_tags_and_bad_fields_are_refused() {
        for bad in [&b"{}"[..], b"[]", b"\xff", br#"{"t":"root"}"#, br#"{"t":"mode.set","mode":"all"}"#] {
            assert!(ToRelay::parse(bad).is_err());
        }
    }

    #[test]
    fn a_denial_is_flat_json() {
        let denied = ToClient::Denied {
            re: "share.start".into(),
            refusal: Refusal::new(Code::Surface, "R007"),
            policy_version: 3,
            allowed: vec![Surface::Window],
        };
        let json: serde_json::Value = serde_json::to_value(&denied).expect("plain data");
        assert_eq!(json["code"], "E_SURFACE");
        assert_eq!(json["rule"], "R007");
        assert_eq!(json["allowed"][0], "window");
        assert_eq!(serde_json::from_value::<ToClient>(json).expect("its own text"), denied);
    }
}
