//! What shards report becomes counts, audit lines, metrics, and the end of a session's entry.

use fanlight_wire::limits::RETENTION_INTERVAL;
use fanlight_wire::report::Report;
use fanlight_wire::resource::ResourceKind;
use fanlight_wire::signal::Slot;
use fanlight_wire::{Code, ParticipantId, SessionId};
use rusqlite::Connection;
use tokio::sync::mpsc::Receiver;

use crate::audit::{About, what};
use crate::control::Control;
use crate::store::{SessionEnd, end_session, forget_old};

impl Control {
    /// Takes in one report. Never waits; may be called from any thread but a shard's, because it takes locks.
    pub fn report(&self, report: Report) {
        match report {
            Report::Joined { session, participant, role, resumed } => {
                self.directory().count(&session, |counts| counts.joined(role, resumed));
                self.note(what::JOINED, session, Some(participant), None);
            }
            Report::Left { session, participant, code, .. } => {
                self.note(what::LEFT, session, Some(participant), Some(code));
            }
            Report::Consent { session, participant, accepted, .. } => {
                let event = if accepted { what::CONSENT_GIVEN } else { what::CONSENT_DENIED };
                self.note(event, session, Some(participant), None);
            }
            Report::ShareStarted { session, participant, .. } => {
                self.directory().count(&session, |counts| counts.shares = counts.shares.saturating_add(1));
                self.note(what::SHARE_STARTED, session, Some(participant), None);
            }
            Report::ShareLive { slot, after, .. } => self.metrics().share_gap(slot, after),
            Report::ShareTakenOver { session, slot, to, .. } => self.taken_over(session, slot, to),
            Report::ShareStopped { session, participant, .. } => {
                self.note(what::SHARE_STOPPED, session, Some(participant), None);
            }
            Report::Narrowed { session, version } => self.directory().in_force(&session, version),
            Report::CameraStarted { session, participant } => {
                self.note(what::CAMERA_STARTED, session, Some(participant), None);
            }
            Report::CameraStopped { session, participant } => {
                self.note(what::CAMERA_STOPPED, session, Some(participant), None);
            }
            Report::Refused { session, code, .. } => {
                self.directory().count(&session, |counts| counts.refusals = counts.refusals.saturating_add(1));
                self.metrics().refusal(code);
            }
            Report::ResourceMade { session, kind, participant } => {
                let event = match kind {
                    ResourceKind::Whip => what::PUBLISH_BEGAN,
                    ResourceKind::Whep => what::WATCH_BEGAN,
                };
                self.note(event, session, participant, None);
            }
            Report::ResourceGone { session, kind, participant, code } => {
                let event = match kind {
                    ResourceKind::Whip => what::PUBLISH_ENDED,
                    ResourceKind::Whep => what::WATCH_ENDED,
                };
                self.note(event, session, participant, Some(code));
            }
            Report::Ended { session, code, by, .. } => self.ended(session, code, by),
        }
    }

    /// Takes in reports until their senders are gone.
    pub async fn follow(&self, mut reports: Receiver<Report>) {
        let mut rounds = tokio::time::interval(RETENTION_INTERVAL);
        loop {
            tokio::select! {
                report = reports.recv() => match report {
                    Some(report) => self.report(report),
                    None => return,
                },
                _ = rounds.tick() => self.forget_old(),
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
        self.note(what::SHARE_TAKEN_OVER, session, Some(to), None);
    }

    /// The one place where a session leaves the directory. A repeated report finds nothing.
    fn ended(&self, session: SessionId, code: Code, by: Option<ParticipantId>) {
        let Some(home) = self.directory().remove(&session) else { return };
        let (group, who) = (Some(home.group.clone()), by.map(|participant| participant.to_string()));
        self.audit(what::SESSION_ENDED, About { group, session: Some(session), who, code: Some(code) });
        self.placement().release(home.shard);
        self.presence().revoke_handle(&home.handle);
        self.keys().forget(&session);
        let end = SessionEnd { at: self.clock().unix_seconds(), code, counts: home.counts };
        let lost = self.metrics().audit_line_lost();
        self.store().tell(move |connection| end_session(connection, &session, &end), lost);
    }

    fn note(&self, event: &'static str, session: SessionId, who: Option<ParticipantId>, code: Option<Code>) {
        let group = self.directory().home(&session).map(|home| home.group);
        let who = who.map(|participant| participant.to_string());
        self.audit(event, About { group, session: Some(session), who, code });
    }
}
