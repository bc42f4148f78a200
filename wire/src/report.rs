//! Shard → control: facts that a session record, a receipt, an audit line or a metric is made of. No page content; no
//! names but those that the visitor was shown.
//! What happened once is a [`Report`]; what is only counted is in [`ShardTotals`].

use std::time::Duration;

use crate::code::Code;
use crate::id::{ParticipantId, SessionId};
use crate::policy::{Mode, Role};
use crate::resource::ResourceKind;
use crate::signal::{Ask, LagState, Slot, Stage};

/// Something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    Joined {
        session: SessionId,
        participant: ParticipantId,
        role: Role,
        resumed: bool,
        /// Its ticket's `sub`.
        subject: String,
        /// As everybody in the session sees it.
        name: String,
    },
    /// The connection of an agent's place has come, or has gone; the place itself ends with [`Self::Left`].
    AgentHere {
        session: SessionId,
        participant: ParticipantId,
        /// The ticket's `sub`. Not for logs.
        subject: String,
        here: bool,
    },
    Left {
        session: SessionId,
        participant: ParticipantId,
        role: Role,
        code: Code,
    },
    /// The carrier is gone, the place is kept.
    Away {
        session: SessionId,
        participant: ParticipantId,
    },
    /// The session became active for the first time.
    Started {
        session: SessionId,
    },
    ModeChanged {
        session: SessionId,
        mode: Mode,
        by: ParticipantId,
    },
    /// The visitor is asked about `participant`.
    Asked {
        session: SessionId,
        participant: ParticipantId,
        kind: Ask,
    },
    /// The visitor did not answer in time.
    Unanswered {
        session: SessionId,
        participant: ParticipantId,
        kind: Ask,
    },
    /// The visitor answered a question about `participant`.
    Consent {
        session: SessionId,
        participant: ParticipantId,
        role: Role,
        kind: Ask,
        accepted: bool,
    },
    /// A question was taken back: `participant` has left, or may no longer ask.
    Withdrawn {
        session: SessionId,
        participant: ParticipantId,
        kind: Ask,
    },
    /// The session is in another stage now.
    Stage {
        session: SessionId,
        stage: Stage,
    },
    /// An agent's copy of the page keeps up differently now.
    Lag {
        session: SessionId,
        participant: ParticipantId,
        state: LagState,
    },
    ShareStarted {
        session: SessionId,
        slot: Slot,
        participant: ParticipantId,
    },
    /// A share showed its first keyframe this long after it was asked for.
    ShareLive {
        session: SessionId,
        slot: Slot,
        participant: ParticipantId,
        after: Duration,
    },
    ShareTakenOver {
        session: SessionId,
        slot: Slot,
        from: ParticipantId,
        to: ParticipantId,
    },
    ShareStopped {
        session: SessionId,
        slot: Slot,
        participant: ParticipantId,
    },
    ShareRefused {
        session: SessionId,
        participant: ParticipantId,
        code: Code,
    },
    /// The session runs under narrower rules, those of this version.
    Narrowed {
        session: SessionId,
        version: u32,
    },
    /// A camera was switched on; `participant` is the visitor or publishes for it.
    CameraStarted {
        session: SessionId,
        participant: ParticipantId,
        /// The visitor's own, who was shown the words of the session.
        own: bool,
    },
    CameraStopped {
        session: SessionId,
        participant: ParticipantId,
    },
    /// The visitor's page cannot apply the rules for hiding and shows nothing.
    MaskFailed {
        session: SessionId,
        participant: ParticipantId,
    },
    /// The visitor went to another page, which agents could see this long after the old one was gone.
    PageShown {
        session: SessionId,
        after: Duration,
    },
    Refused {
        session: SessionId,
        participant: ParticipantId,
        code: Code,
    },
    /// A media resource was made; a WHIP one is a participant.
    ResourceMade {
        session: SessionId,
        kind: ResourceKind,
        participant: Option<ParticipantId>,
    },
    ResourceGone {
        session: SessionId,
        kind: ResourceKind,
        participant: Option<ParticipantId>,
        code: Code,
    },
    Ended {
        session: SessionId,
        code: Code,
        by: Option<ParticipantId>,
        lasted: Duration,
    },
}

/// Why a media packet that came in did not go out to a subscription. A closed set: the label of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Drop {
    /// From an address that ICE has not validated.
    Unvalidated,
    /// Not decryptable, replayed, or not a packet at all.
    Malformed,
    /// No signalled track has this source.
    Unknown,
    /// Of a share that no longer holds its slot.
    StaleEpoch,
    /// Waits for a keyframe, or of a layer nobody chose.
    Unwanted,
    /// The subscriber's bandwidth or queue is used up.
    Congested,
    /// A rate or a budget is used up.
    Limited,
    /// The host's send buffer did not take it.
    Unsent,
}

impl Drop {
    pub const ALL: [Self; 8] = [
        Self::Unvalidated,
        Self::Malformed,
        Self::Unknown,
        Self::StaleEpoch,
        Self::Unwanted,
        Self::Congested,
        Self::Limited,
        Self::Unsent,
    ];

    /// Metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unvalidated => "unvalidated",
            Self::Malformed => "malformed",
            Self::Unknown => "unknown",
            Self::StaleEpoch => "stale_epoch",
            Self::Unwanted => "unwanted",
            Self::Congested => "congested",
            Self::Limited => "limited",
            Self::Unsent => "unsent",
        }
    }
}

/// What a shard has counted since its start, and what it holds now. Absolute totals, so that a lost or repeated report
/// changes nothing; a counter that falls means that the shard began anew. Arrays follow the order of the `ALL` beside
/// the type they are named after.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ShardTotals {
    /// Media packets and bytes (RTP and RTCP, as datagrams) received and sent.
    pub packets_in: u64,
    pub packets_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Media packets dropped, by [`Drop::ALL`].
    pub drops: [u64; Drop::ALL.len()],
    /// Frames accepted from visitors, then frames handed to agents, each: snapshot, diff, asset.
    pub dom_frames_in: [u64; 3],
    pub dom_frames_out: [u64; 3],
    /// Gauge: bytes of page content held in memory (snapshots, logs, assets).
    pub dom_cache_bytes: u64,
    /// Agents that were given snapshot + log again because they fell behind or asked.
    pub resyncs: u64,
    /// Snapshots asked of visitors.
    pub snapshot_requests: u64,
    /// Bytes of the snapshots taken in.
    pub snapshot_bytes: u64,
    /// Snapshots and assets given up for want of room.
    pub dom_evictions: u64,
    /// Gauge: agents that watch a page, by [`LagState::ALL`].
    pub agents_lag: [u64; LagState::ALL.len()],
    /// Keyframe wishes received from subscribers, and requests sent to publishers.
    pub keyframe_requests_in: u64,
    pub keyframe_requests_out: u64,
    /// Gauge: sessions, by stage: waiting, active, paused (the order of [`crate::signal::Stage`]).
    pub sessions: [u64; 3],
    /// Gauge: participants that hold a place, by [`Role::ALL`].
    pub participants: [u64; Role::ALL.len()],
    /// Gauge: media resources, by [`ResourceKind::ALL`].
    pub media_resources: [u64; ResourceKind::ALL.len()],
    /// Gauge: sessions of other shards that are mirrored here.
    pub mirrors: u64,
    /// Packets handed to mirrors on other shards, of these those that found no room on the way or had left the ring
    /// before, and packets taken in from homes.
    pub mirrored_out: u64,
    pub mirrored_lost: u64,
    pub mirrored_in: u64,
    /// DTLS handshakes that chose an AES-GCM profile for SRTP, and those that chose another.
    pub srtp_gcm: u64,
    pub srtp_other: u64,
}

impl ShardTotals {
    /// WHEP viewers.
    pub fn viewers(&self) -> u64 {
        self.media_resources.get(ResourceKind::Whep as usize).copied().unwrap_or_default()
    }
}
