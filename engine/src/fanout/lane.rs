//! Who takes part in a session's media, and what they can follow.

use fanlight_wire::ParticipantId;
use fanlight_wire::signal::Slot;

/// Who sends or receives media in a session: a participant, or a resource that has no pipe. Never reused in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u32);

impl MemberId {
    /// The first one that names no participant.
    pub const FIRST_RESOURCE: Self = Self(256);

    /// The participant that it names, if any.
    pub fn participant(self) -> Option<ParticipantId> {
        u8::try_from(self.0).ok().map(ParticipantId)
    }
}

impl From<ParticipantId> for MemberId {
    fn from(who: ParticipantId) -> Self {
        Self(u32::from(who.0))
    }
}

/// What a subscriber can follow: the two slots of the floor, and the visitor's camera, which has no floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    Agent,
    Visitor,
    Camera,
}

/// How many lanes there are.
pub(super) const LANES: usize = 3;

impl Lane {
    pub const ALL: [Self; LANES] = [Self::Agent, Self::Visitor, Self::Camera];

    /// The slot that it is, if any.
    pub const fn slot(self) -> Option<Slot> {
        match self {
            Self::Agent => Some(Slot::Agent),
            Self::Visitor => Some(Slot::Visitor),
            Self::Camera => None,
        }
    }

    /// For tags and logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Agent => Slot::Agent.label(),
            Self::Visitor => Slot::Visitor.label(),
            Self::Camera => "camera",
        }
    }
}

/// What a member may see: its first receiving picture and its sound follow `main`, if anything, a second picture the
/// camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Views {
    pub main: Option<Lane>,
    pub camera: bool,
}

impl From<Lane> for Views {
    fn from(main: Lane) -> Self {
        Self { main: Some(main), camera: false }
    }
}

impl From<Slot> for Lane {
    fn from(slot: Slot) -> Self {
        match slot {
            Slot::Agent => Self::Agent,
            Slot::Visitor => Self::Visitor,
        }
    }
}
