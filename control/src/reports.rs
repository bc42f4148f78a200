//! What shards report becomes counts, audit lines, receipts, metrics, and the end of a session's entry.

mod ledger;

use fanlight_wire::command::Command;
use fanlight_wire::limits::{INVITE_TICK, RETENTION_INTERVAL, REVOCATION_RETRY};
use fanlight_wire::policy::Role;
use fanlight_wire::report::Report;
use fanlight_wire::resource::ResourceKind;
use fanlight_wire::signal::{Ask, Slot};
use fanlight_wire::{Code, Event, ParticipantId, SessionId};
use rusqlite::Connection;
use tokio::sync::mpsc::Receiver;

use crate::audit::About;
use crate::cameras::Stage;
use crate::control::Control;
use crate::keys::Guesser;
use crate::store::{SessionEnd, end_session, forget_old};

impl Control {
    /// Takes in one report. Never waits; may be called from any thread but a shard's, because it takes locks.
    pub fn report(&self, report: Report) {
        self.record(&report);
        match report {
            Report::Joined { session, participant, role, resumed, .. } => {
                self.directory().count(&session, |counts| counts.joined(role, resumed));
                self.joined(session, participant, role, resumed);
            }
            Report::Away { session, participant } => {
                self.note(Event::ConnectionChanged, About { detail: Some("away"), ..of(session, participant) });
            }
            Report::AgentHere { session, participant, subject, here } => {
                self.agent_here(session, participant, subject, here);
            }
            Report::Left { session, participant, role, code } => self.has_left(session, participant, role, code),
            Report::Started { session } => {
                self.directory().count(&session, |counts| counts.agreed = true);
                self.note(Event::SessionStarted, About { session: Some(session), ..About::default() });
            }
            Report::Asked { session, participant, kind } => self.asked(Event::ConsentAsked, session, participant, kind),
            Report::Unanswered { session, participant, kind } => {
                self.asked(Event::ConsentExpired, session, participant, kind);
            }
            Report::Consent { session, participant, role, kind, accepted } => {
                self.answered((session, participant, role), kind, accepted);
            }
            Report::ModeChanged { session, mode, by } => {
                self.note(Event::ModeChanged, About { detail: Some(mode.label()), ..of(session, by) });
            }
            Report::ShareStarted { session, slot, participant } => {
                self.directory().count(&session, |counts| counts.shares = counts.shares.saturating_add(1));
                self.note(Event::ShareStarted, About { detail: Some(slot.label()), ..of(session, participant) });
            }
            Report::ShareLive { slot, after, .. } => self.metrics().share_gap(slot, after),
            Report::ShareTakenOver { session, slot, to, .. } => self.taken_over(session, slot, to),
            Report::ShareStopped { session, slot, participant } => {
                self.note(Event::ShareStopped, About { detail: Some(slot.label()), ..of(session, participant) });
            }
            Report::ShareRefused { session, participant, code } => {
                self.note(Event::ShareRefused, About { code: Some(code), ..of(session, participant) });
            }
            Report::Narrowed { session, version } => self.directory().in_force(&session, version),
            Report::MaskFailed { session, participant } => self.note(Event::MaskError, of(session, participant)),
            Report::CameraStarted { session, participant, .. } => {
                self.note(Event::CameraStarted, of(session, participant));
            }
            Report::CameraStopped { session, participant } => {
                self.note(Event::CameraStopped, of(session, participant));
            }
            Report::PageShown { after, .. } => self.metrics().page_gap(after),
            Report::Refused { session, code, .. } => {
                self.directory().count(&session, |counts| counts.refusals = counts.refusals.saturating_add(1));
                self.metrics().refusal(code);
            }
            Report::ResourceMade { session, kind, participant } => {
                let event = match kind {
                    ResourceKind::Whip => Event::PublishBegan,
                    ResourceKind::Whep => Event::WatchBegan,
                };
                self.note(event, About { who: shown(participant), session: Some(session), ..About::default() });
            }
            Report::ResourceGone { session, kind, participant, code } => {
                let event = match kind {
                    ResourceKind::Whip => Event::PublishEnded,
                    ResourceKind::Whep => Event::WatchEnded,
                };
                let about = About { who: shown(participant), session: Some(session), ..About::default() };
                self.note(event, About { code: Some(code), ..about });
            }
            Report::Withdrawn { .. } | Report::Stage { .. } | Report::Lag { .. } => {}
            Report::Ended { session, code, by, .. } => self.ended(session, code, by),
        }
    }

    fn answered(&self, (session, participant, role): (SessionId, ParticipantId, Role), kind: Ask, accepted: bool) {
        let event = if accepted { Event::ConsentGiven } else { Event::ConsentDenied };
        self.asked(event, session, participant, kind);
        if accepted && role == Role::Guest && kind == Ask::View {
            self.note(Event::GuestAdmitted, of(session, participant));
        }
    }

    fn joined(&self, session: SessionId, participant: ParticipantId, role: Role, resumed: bool) {
        let about = of(session, participant);
        if role == Role::Visitor && !resumed {
            self.visitor_came(session);
        }
        match (role, resumed) {
            (Role::Visitor, true) => self.note(Event::SessionContinued, about),
            (_, true) => self.note(Event::ConnectionChanged, About { detail: Some("here"), ..about }),
            (Role::Visitor, false) => self.note(Event::VisitorJoined, about),
            (Role::Agent, false) => self.note(Event::AgentJoined, about),
            (Role::Guest, false) => self.note(Event::GuestRequested, about),
            (Role::Upstream, false) => self.note(Event::UpstreamJoined, about),
        }
    }

    fn asked(&self, event: Event, session: SessionId, participant: ParticipantId, kind: Ask) {
        self.note(event, About { detail: Some(kind.label()), ..of(session, participant) });
    }

    fn has_left(&self, session: SessionId, participant: ParticipantId, role: Role, code: Code) {
        self.leases().left(session, participant);
        self.note(left(role), About { code: Some(code), ..of(session, participant) });
    }

    fn agent_here(&self, session: SessionId, participant: ParticipantId, subject: String, here: bool) {
        if let Some(home) = self.directory().home(&session) {
            self.leases().here(session, participant, Guesser { group: home.group, agent: subject }, here);
        }
    }

    /// Takes in reports until their senders are gone.
    pub async fn follow(&self, mut reports: Receiver<Report>) {
        let mut rounds = tokio::time::interval(RETENTION_INTERVAL);
        let mut repeats = tokio::time::interval(REVOCATION_RETRY);
        let mut ticks = tokio::time::interval(INVITE_TICK);
        loop {
            tokio::select! {
                report = reports.recv() => match report {
                    Some(report) => self.report(report),
                    None => return,
                },
                _ = rounds.tick() => self.forget_old(),
                _ = repeats.tick() => self.repeat_revocations(),
                _ = ticks.tick() => self.tend(),
            }
        }
    }

    /// What the groups' retention no longer covers. Repeating it is harmless.
    fn forget_old(&self) {
        let now = self.clock().unix_seconds();
        let look = move |connection: &Connection| {
            let gone = forget_old(connection, now)?;
            if gone > 0 {
                tracing::info!(gone, "old audit lines and session records are removed");
            }
            Ok(())
        };
        self.store().tell(look, || tracing::debug!("the store is busy or away; old lines stay a little longer"));
    }

    fn taken_over(&self, session: SessionId, slot: Slot, to: ParticipantId) {
        self.directory().count(&session, |counts| counts.takeovers = counts.takeovers.saturating_add(1));
        self.metrics().takeover(slot);
        self.note(Event::ShareTakenOver, About { detail: Some(slot.label()), ..of(session, to) });
    }

    /// The one place where a session leaves the directory. A repeated report finds nothing.
    fn ended(&self, session: SessionId, code: Code, by: Option<ParticipantId>) {
        let Some(home) = self.directory().remove(&session) else { return };
        let about = || About::of(session, &home);
        self.audit(Event::SessionEnded, About { code: Some(code), who: shown(by), ..about() });
        self.metrics().session_ended(home.counts.agreed);
        self.close_record(session, home.clone(), code);
        self.placement().release(home.shard);
        self.session_gone(session, &home, code);
        if self.cameras().ended(&session).is_some_and(|link| link.stage == Stage::Sent) {
            self.audit(Event::InviteExpired, About { detail: Some("camera"), ..about() });
        }
        for &shard in &home.mirrors {
            // A mirror that is not told finds out by its next greeting.
            if self.send(shard, Command::End { session, code }).is_err() {
                tracing::debug!(shard = shard.0, "a mirror's shard is busy");
            }
        }
        self.presence().revoke_handle(&home.handle);
        self.keys().forget(&session);
        self.leases().ended(&session);
        self.passes().forget(&session);
        let end = SessionEnd { at: self.clock().unix_seconds(), code, counts: home.counts };
        let lost = self.metrics().audit_line_lost();
        self.store().tell(move |connection| end_session(connection, &session, &end), lost);
    }

    fn note(&self, event: Event, about: About) {
        let home = about.session.and_then(|session| self.directory().home(&session));
        self.audit(event, About { group: home.map(|home| home.group), ..about });
    }
}

fn of(session: SessionId, participant: ParticipantId) -> About {
    About { session: Some(session), who: Some(participant.to_string()), ..About::default() }
}

fn shown(participant: Option<ParticipantId>) -> Option<String> {
    participant.map(|participant| participant.to_string())
}

const fn left(role: Role) -> Event {
    match role {
        Role::Visitor => Event::VisitorLeft,
        Role::Agent => Event::AgentLeft,
        Role::Guest => Event::GuestLeft,
        Role::Upstream => Event::UpstreamLeft,
    }
}
