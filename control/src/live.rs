//! What is going on in a session now, and who has been in it: read from its shard's reports.
//!
//! Invariant: a report that is lost or comes twice makes a number stale, never a right wider; nothing here decides anything.

use std::collections::{BTreeMap, BTreeSet};

use fanlight_wire::consent::Answer;
use fanlight_wire::limits::PARTICIPANTS_LIFETIME_MAX;
use fanlight_wire::policy::{Mode, Role};
use fanlight_wire::report::Report;
use fanlight_wire::signal::{Ask, LagState, Slot, Stage};
use fanlight_wire::{Code, ParticipantId};

/// One session, now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Live {
    pub(crate) stage: Option<Stage>,
    pub(crate) mode: Option<Mode>,
    /// Everybody but the visitor who has been here.
    pub(crate) attendees: BTreeMap<ParticipantId, Attendee>,
    pub(crate) visitor_here: bool,
    /// Receipts that were to be written.
    pub(crate) receipts: u64,
}

/// Somebody who watches, or asked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attendee {
    pub(crate) role: Role,
    /// The agent's id.
    pub(crate) subject: String,
    /// As the visitor saw it.
    pub(crate) name: String,
    /// Seconds since 1970, as the others.
    pub(crate) joined: u64,
    pub(crate) answer: Option<Answer>,
    pub(crate) allowed: Option<u64>,
    pub(crate) left: Option<(u64, Code)>,
    /// The modes that were in force while it could see the page.
    pub(crate) modes: BTreeSet<Mode>,
    /// Its own shares, and the visitor's that it could see.
    pub(crate) shares: u32,
    pub(crate) screens: u32,
    pub(crate) cameras: u32,
    pub(crate) lag: Option<LagState>,
}

impl Attendee {
    pub(crate) const fn watches(&self) -> bool {
        self.allowed.is_some() && self.left.is_none()
    }
}

impl Live {
    /// Takes in what a shard says, at that second.
    pub(crate) fn note(&mut self, report: &Report, at: u64) {
        match report {
            Report::Joined { participant, role, subject, name, .. } => {
                self.joined(*participant, *role, subject, name, at);
            }
            Report::Left { participant, role, code, .. } => {
                if *role == Role::Visitor {
                    self.visitor_here = false;
                } else if let Some(attendee) = self.attendees.get_mut(participant) {
                    attendee.left.get_or_insert((at, *code));
                }
            }
            Report::Consent { participant, kind: Ask::View, accepted, .. } => {
                let answer = if *accepted { Answer::Accepted } else { Answer::Declined };
                self.answered(*participant, answer, at);
            }
            Report::Unanswered { participant, kind: Ask::View, .. } => {
                self.answered(*participant, Answer::TimedOut, at);
            }
            Report::Withdrawn { participant, kind: Ask::View, .. } => {
                self.answered(*participant, Answer::Withdrawn, at);
            }
            Report::Stage { stage, .. } => self.stage = Some(*stage),
            Report::ModeChanged { mode, .. } => {
                self.mode = Some(*mode);
                self.each_watching(|attendee| attendee.modes.extend([*mode]));
            }
            Report::Lag { participant, state, .. } => {
                if let Some(attendee) = self.attendees.get_mut(participant) {
                    attendee.lag = Some(*state);
                }
            }
            Report::ShareStarted { slot: Slot::Visitor, .. } => self.each_watching(|one| one.screens += 1),
            Report::ShareStarted { slot: Slot::Agent, participant, .. } => {
                if let Some(attendee) = self.attendees.get_mut(participant) {
                    attendee.shares += 1;
                }
            }
            Report::CameraStarted { .. } => self.each_watching(|one| one.cameras += 1),
            _ => {}
        }
    }

    fn joined(&mut self, who: ParticipantId, role: Role, subject: &str, name: &str, at: u64) {
        if role == Role::Visitor {
            self.visitor_here = true;
        } else if self.attendees.len() < PARTICIPANTS_LIFETIME_MAX {
            let attendee = Attendee {
                role,
                subject: subject.to_owned(),
                name: name.to_owned(),
                joined: at,
                answer: None,
                allowed: None,
                left: None,
                modes: BTreeSet::new(),
                shares: 0,
                screens: 0,
                cameras: 0,
                lag: None,
            };
            // Who resumes is there already.
            self.attendees.entry(who).or_insert(attendee);
        }
    }

    fn answered(&mut self, who: ParticipantId, answer: Answer, at: u64) {
        let mode = self.mode;
        let Some(attendee) = self.attendees.get_mut(&who) else { return };
        attendee.answer = Some(answer);
        if answer == Answer::Accepted {
            attendee.allowed.get_or_insert(at);
            attendee.modes.extend(mode);
        }
    }

    fn each_watching(&mut self, act: impl FnMut(&mut Attendee)) {
        self.attendees.values_mut().filter(|attendee| attendee.watches()).for_each(act);
    }

    /// Members that are in the session, the visitor included.
    pub(crate) fn present(&self) -> usize {
        let others = self.attendees.values().filter(|attendee| attendee.left.is_none()).count();
        others + usize::from(self.visitor_here)
    }

    /// How the slowest copy of the page keeps up.
    pub(crate) fn worst_lag(&self) -> Option<LagState> {
        self.attendees.values().filter(|attendee| attendee.watches()).filter_map(|attendee| attendee.lag).max()
    }
}

#[cfg(test)]
mod tests {
    use fanlight_wire::SessionId;

    use super::*;

    #[test]
    fn who_saw_what_is_counted_for_those_who_were_let_in() {
        // R190
        let (session, visitor, ann, ben) =
            (SessionId::from_bytes([1; 16]), ParticipantId(1), ParticipantId(2), ParticipantId(3));
        let joined = |participant, role, subject: &str| Report::Joined {
            session,
            participant,
            role,
            resumed: false,
            subject: subject.into(),
            name: subject.to_uppercase(),
        };
        let consent = |participant, accepted| Report::Consent {
            session,
            participant,
            role: Role::Agent,
            kind: Ask::View,
            accepted,
        };
        let mut live = Live::default();
        let told = [
            joined(visitor, Role::Visitor, "visitor"),
            joined(ann, Role::Agent, "ann"),
            joined(ben, Role::Agent, "ben"),
            consent(ann, true),
            Report::Stage { session, stage: Stage::Active },
            Report::ModeChanged { session, by: ann, mode: Mode::ViewOnly },
            Report::ShareStarted { session, slot: Slot::Visitor, participant: visitor },
            consent(ben, false),
            Report::Left { session, participant: ben, role: Role::Agent, code: Code::Consent },
            Report::ShareStarted { session, slot: Slot::Agent, participant: ann },
            Report::Lag { session, participant: ann, state: LagState::Lagging },
        ];
        for (at, report) in told.iter().enumerate() {
            live.note(report, at as u64);
        }
        assert_eq!((live.present(), live.worst_lag(), live.stage), (2, Some(LagState::Lagging), Some(Stage::Active)));
        let (ann, ben) = (&live.attendees[&ann], &live.attendees[&ben]);
        assert_eq!((ann.allowed, ann.screens, ann.shares, ann.left), (Some(3), 1, 1, None));
        assert!(ann.modes.contains(&Mode::ViewOnly));
        assert_eq!((ben.allowed, ben.screens, ben.answer), (None, 0, Some(Answer::Declined)));
        assert_eq!(ben.left, Some((8, Code::Consent)));
        live.note(&Report::Left { session, participant: visitor, role: Role::Visitor, code: Code::Left }, 20);
        assert_eq!(live.present(), 1);
    }
}
