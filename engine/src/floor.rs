//! The right to fill a slot: at most one holder, and whoever asked last has it (RFC 8855's sense of a floor).
//!
//! Invariants: the epoch strictly grows with each holder; a keyframe, a timeout or a stop that names an older epoch or
//! another holder changes nothing; nothing comes back by itself after a takeover (R014, R015, P17).

use fanlight_wire::{Code, FloorEpoch, ParticipantId, Refusal};

/// Who has the floor of one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floor {
    /// Nobody; `epoch` is that of the last holder.
    Empty { epoch: FloorEpoch },
    /// `holder` asked and was granted; its first whole keyframe is awaited.
    Waiting { epoch: FloorEpoch, holder: ParticipantId },
    /// `holder`'s share is seen.
    Live { epoch: FloorEpoch, holder: ParticipantId },
}

/// What happens to a floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Has captured a screen and asks, with every permission checked.
    Request(ParticipantId),
    /// The first whole keyframe of the share of this epoch was received.
    Keyframe(FloorEpoch),
    /// Stopped sharing on purpose.
    Stop(ParticipantId),
    /// Left, or its media is gone.
    Left(ParticipantId),
    /// Showed no keyframe in time.
    TimedOut(FloorEpoch),
    /// Policy, pause or consent took the right away from whoever has it.
    Revoked,
}

/// What must be done about it, in this order: fence, tell, forward.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Effects {
    /// Nothing of the earlier share may leave any more.
    pub fence: bool,
    /// To be told that somebody else is sharing now.
    pub taken_over: Option<ParticipantId>,
    /// No longer sharing for any other reason.
    pub stopped: Option<ParticipantId>,
    /// From now on this participant's media fills the slot.
    pub source: Option<ParticipantId>,
    /// The share became visible.
    pub live: bool,
}

impl Effects {
    /// Did anything change that others must see?
    pub fn any(self) -> bool {
        self != Self::default()
    }
}

impl Default for Floor {
    fn default() -> Self {
        Self::Empty { epoch: FloorEpoch::ZERO }
    }
}

impl Floor {
    pub const fn epoch(self) -> FloorEpoch {
        match self {
            Self::Empty { epoch } | Self::Waiting { epoch, .. } | Self::Live { epoch, .. } => epoch,
        }
    }

    pub const fn holder(self) -> Option<ParticipantId> {
        match self {
            Self::Empty { .. } => None,
            Self::Waiting { holder, .. } | Self::Live { holder, .. } => Some(holder),
        }
    }

    /// The state after `event`, and what to do.
    ///
    /// # Errors
    /// [`Code::State`] when somebody stops a share that is not theirs.
    pub fn next(self, event: Event) -> Result<(Self, Effects), Refusal> {
        match event {
            Event::Request(by) => Ok(self.granted(by)),
            Event::Keyframe(seen) => Ok(self.shown(seen)),
            Event::Stop(by) if self.holder() == Some(by) => Ok(self.emptied()),
            Event::Stop(_) => Err(Refusal::new(Code::State, "R040").saying("You are not sharing your screen.")),
            Event::Left(who) if self.holder() == Some(who) => Ok(self.emptied()),
            Event::TimedOut(epoch) if matches!(self, Self::Waiting { .. }) && self.epoch() == epoch => {
                Ok(self.emptied())
            }
            Event::Left(_) | Event::TimedOut(_) => Ok((self, Effects::default())),
            Event::Revoked => Ok(self.emptied()),
        }
    }

    /// Whoever asks last has it; the one before is told, unless it asks again itself.
    fn granted(self, by: ParticipantId) -> (Self, Effects) {
        let before = self.holder();
        let effects = Effects {
            fence: before.is_some(),
            taken_over: before.filter(|old| *old != by),
            source: Some(by),
            ..Effects::default()
        };
        (Self::Waiting { epoch: self.epoch().next(), holder: by }, effects)
    }

    fn shown(self, seen: FloorEpoch) -> (Self, Effects) {
        match self {
            Self::Waiting { epoch, holder } if epoch == seen => {
                (Self::Live { epoch, holder }, Effects { live: true, ..Effects::default() })
            }
            Self::Empty { .. } | Self::Waiting { .. } | Self::Live { .. } => (self, Effects::default()),
        }
    }

    /// Nothing comes back by itself: the slot is empty whoever held it before.
    fn emptied(self) -> (Self, Effects) {
        let holder = self.holder();
        let effects = Effects { fence: holder.is_some(), stopped: holder, ..Effects::default() };
        (Self::Empty { epoch: self.epoch() }, effects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ParticipantId = ParticipantId(2);
    const B: ParticipantId = ParticipantId(3);

    fn epoch(value: u32) -> FloorEpoch {
        FloorEpoch::new(value)
    }

    /// Every state × event, so that no transition is unseen.
    #[test]
    fn the_whole_table() {
        let states = [
            Floor::Empty { epoch: epoch(4) },
            Floor::Waiting { epoch: epoch(4), holder: A },
            Floor::Live { epoch: epoch(4), holder: A },
        ];
        let events = [
            Event::Request(A),
            Event::Request(B),
            Event::Keyframe(epoch(3)),
            Event::Keyframe(epoch(4)),
            Event::Stop(A),
            Event::Stop(B),
            Event::Left(A),
            Event::Left(B),
            Event::TimedOut(epoch(3)),
            Event::TimedOut(epoch(4)),
            Event::Revoked,
        ];
        let mut table = String::new();
        for state in states {
            for event in events {
                let row = match state.next(event) {
                    Ok((next, effects)) => format!("{} + {event:?} = {}{}\n", brief(state), brief(next), did(effects)),
                    Err(refusal) => format!("{} + {event:?} = {}\n", brief(state), refusal.code),
                };
                table.push_str(&row);
            }
        }
        assert_eq!(table, include_str!("floor/table.txt"), "the transition table changed:\n{table}");
    }

    fn brief(floor: Floor) -> String {
        match floor {
            Floor::Empty { epoch } => format!("Empty({epoch:?})"),
            Floor::Waiting { epoch, holder } => format!("Waiting({holder},{epoch:?})"),
            Floor::Live { epoch, holder } => format!("Live({holder},{epoch:?})"),
        }
    }

    fn did(effects: Effects) -> String {
        let mut text = String::new();
        if effects.fence {
            text.push_str(" fence");
        }
        if let Some(old) = effects.taken_over {
            text.push_str(&format!(" taken_over:{old}"));
        }
        if let Some(old) = effects.stopped {
            text.push_str(&format!(" stopped:{old}"));
        }
        if let Some(new) = effects.source {
            text.push_str(&format!(" source:{new}"));
        }
        if effects.live {
            text.push_str(" live");
        }
        text
    }

    #[test]
    fn the_second_agent_wins_and_nothing_comes_back() {
        // R014, R015
        let (floor, _) = Floor::default().next(Event::Request(A)).expect("free");
        let (floor, _) = floor.next(Event::Keyframe(floor.epoch())).expect("its keyframe");
        let (floor, effects) = floor.next(Event::Request(B)).expect("a takeover");
        assert_eq!((effects.fence, effects.taken_over, effects.source), (true, Some(A), Some(B)));
        let (floor, effects) = floor.next(Event::Stop(B)).expect("its own share");
        assert_eq!((floor.holder(), effects.source), (None, None));
    }
}
