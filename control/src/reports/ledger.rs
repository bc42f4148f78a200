//! What an auditor will ask for: consent receipts, and who saw what.

use std::sync::Arc;

use fanlight_wire::consent::{Answer, Matter};
use fanlight_wire::report::Report;
use fanlight_wire::signal::{Ask, Slot, Stage};
use fanlight_wire::{Code, ParticipantId, SessionId};
use rusqlite::Connection;

use crate::control::Control;
use crate::directory::Home;
use crate::live::Attendee;
use crate::receipts::{Closing, Entry, Happened, Receipt};
use crate::store::attendance::keep_attendee;

/// A consent that something happened to.
struct Noted<'a> {
    matter: Matter,
    happened: Happened,
    agent: Option<&'a Attendee>,
    /// The visitor was asked, in the words of the session.
    asked: bool,
}

impl Control {
    /// Notes what a report says about who is in its session, and writes the receipt that it calls for.
    pub(super) fn record(&self, report: &Report) {
        let Some(session) = session_of(report) else { return };
        let Some(before) = self.directory().home(&session) else { return };
        let at = self.clock().unix_seconds();
        self.directory().live(&session, |live| live.note(report, at));
        let Some(home) = self.directory().home(&session) else { return };
        for noted in noted(report, &before, &home) {
            self.write_receipt(session, &home, at, &noted);
        }
        if let Report::Consent { participant, .. }
        | Report::Unanswered { participant, .. }
        | Report::Left { participant, .. } = report
        {
            self.keep_attendees(session, &home, |who| who == participant);
        }
    }

    /// The session is over: whoever was in it has left it, and its receipts are closed and signed.
    pub(super) fn close_record(&self, session: SessionId, mut home: Home, code: Code) {
        let at = self.clock().unix_seconds();
        for attendee in home.live.attendees.values_mut() {
            attendee.left.get_or_insert((at, code));
        }
        self.keep_attendees(session, &home, |_| true);
        let wanted = Some(home.live.receipts);
        let closing = Closing { session, group: home.group, at, code: Some(code.label()), wanted };
        self.enter(Entry::Closing(closing));
    }

    fn write_receipt(&self, session: SessionId, home: &Home, at: u64, noted: &Noted<'_>) {
        // The home takes no yes that names other words than these.
        let shown = noted.asked.then(|| home.policy().questions.about(noted.matter).clone());
        let receipt = Receipt {
            session,
            group: home.group.clone(),
            at,
            matter: noted.matter,
            happened: noted.happened,
            agent: noted.agent.map(|agent| (agent.subject.clone(), agent.name.clone())),
            shown: shown.map(|question| (question.text, question.terms)),
            policy_version: home.pinned.version,
        };
        self.directory().live(&session, |live| live.receipts += 1);
        self.enter(Entry::Receipt(receipt));
    }

    fn enter(&self, entry: Entry) {
        if !self.book().enter(entry) {
            tracing::error!("a consent receipt is lost: too many wait for the store");
            self.metrics().audit_line_lost()();
        }
        self.write_receipts();
    }

    /// Has the store write what waits. What it does not take goes on waiting, for the next tick.
    pub(crate) fn write_receipts(&self) {
        if !self.book().has_any() {
            return;
        }
        let (book, lost) = (Arc::clone(self.book()), self.metrics().audit_lines_lost());
        let write = move |connection: &Connection| book.write(connection).map(lost);
        self.store().tell(write, || tracing::debug!("the store is busy or away; receipts wait"));
    }

    fn keep_attendees(&self, session: SessionId, home: &Home, chosen: impl Fn(&ParticipantId) -> bool) {
        for (who, attendee) in home.live.attendees.iter().filter(|(who, _)| chosen(who)) {
            let (who, attendee) = (*who, attendee.clone());
            let lost = self.metrics().audit_line_lost();
            self.store().tell(move |connection| keep_attendee(connection, &session, who, &attendee), lost);
        }
    }
}

/// What a report says about consents; `before` and `home` are the session before and after it.
fn noted<'a>(report: &Report, before: &Home, home: &'a Home) -> Vec<Noted<'a>> {
    let one = |matter, happened, agent| vec![Noted { matter, happened, agent, asked: false }];
    let answered = |who: ParticipantId, kind: Ask, answer| {
        let agent = home.live.attendees.get(&who);
        vec![Noted { matter: kind.into(), happened: Happened::Answered(answer), agent, asked: agent.is_some() }]
    };
    match report {
        Report::Consent { participant, kind, accepted, .. } => {
            answered(*participant, *kind, if *accepted { Answer::Accepted } else { Answer::Declined })
        }
        Report::Unanswered { participant, kind, .. } => answered(*participant, *kind, Answer::TimedOut),
        Report::Withdrawn { participant, kind, .. } => answered(*participant, *kind, Answer::Withdrawn),
        Report::Left { participant, .. } => {
            let was_in = before.live.attendees.get(participant).is_some_and(Attendee::watches);
            let agent = home.live.attendees.get(participant).filter(|_| was_in);
            agent.map_or_else(Vec::new, |agent| one(Matter::View, Happened::Over, Some(agent)))
        }
        Report::Stage { stage, .. } => match (before.live.stage, stage) {
            (_, Stage::Paused) => one(Matter::View, Happened::Paused, None),
            (Some(Stage::Paused), Stage::Active) => one(Matter::View, Happened::Resumed, None),
            _ => Vec::new(),
        },
        Report::ShareStopped { slot: Slot::Visitor, .. } => one(Matter::Screen, Happened::Over, None),
        Report::CameraStarted { own, .. } => {
            let happened = Happened::Answered(Answer::Accepted);
            vec![Noted { matter: Matter::Camera, happened, agent: None, asked: *own }]
        }
        Report::CameraStopped { .. } => one(Matter::Camera, Happened::Over, None),
        _ => Vec::new(),
    }
}

/// The session that a report changes the record of; its end is another matter.
const fn session_of(report: &Report) -> Option<SessionId> {
    match report {
        Report::Joined { session, .. }
        | Report::Left { session, .. }
        | Report::Consent { session, .. }
        | Report::Unanswered { session, .. }
        | Report::Withdrawn { session, .. }
        | Report::Stage { session, .. }
        | Report::ModeChanged { session, .. }
        | Report::Lag { session, .. }
        | Report::ShareStarted { session, .. }
        | Report::ShareStopped { session, .. }
        | Report::CameraStarted { session, .. }
        | Report::CameraStopped { session, .. } => Some(*session),
        _ => None,
    }
}
