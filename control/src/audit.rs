//! The audit trail: what happened, when, to which session, by whom (ids only). Appended, never changed.
//!
//! A line is queued for the store's thread; when it is not taken (a full queue, a full or missing disk) it is lost and counted, because a relay that
//! stops working when its disk does is worse than a gap that can be seen. Names of lines: [`Event`].

use std::sync::Arc;

use fanlight_wire::event::Ear;
use fanlight_wire::{Code, Event, GroupId, SessionId};

use rusqlite::Connection;

use crate::control::Control;
use crate::directory::Home;
use crate::particulars::Particulars;
use crate::store::{AuditLine, append};
use crate::webhooks::message;

/// Whom and what a line is about; unset fields stay empty.
#[derive(Debug, Default)]
pub(crate) struct About {
    pub(crate) group: Option<GroupId>,
    pub(crate) session: Option<SessionId>,
    pub(crate) who: Option<String>,
    pub(crate) code: Option<Code>,
    /// One word of a closed set that the event is about: a mode, a slot, what consent was asked for.
    pub(crate) detail: Option<&'static str>,
    /// What the session is about, for webhooks; of a running session it is known.
    pub(crate) particulars: Option<Arc<Particulars>>,
}

impl About {
    /// A session that may be in the directory no longer.
    pub(crate) fn of(session: SessionId, home: &Home) -> Self {
        let (group, particulars) = (Some(home.group.clone()), Some(Arc::clone(&home.particulars)));
        Self { group, session: Some(session), particulars, ..Self::default() }
    }
}

impl Control {
    pub(crate) fn audit(&self, what: Event, mut about: About) {
        let at = self.clock().unix_seconds();
        if about.particulars.is_none() && what.is_heard_by(Ear::Webhook) {
            about.particulars = about.session.and_then(|session| self.directory().particulars(&session));
        }
        let message = message(what, &about, at);
        let About { group, session, who, code, detail, .. } = about;
        let line = AuditLine { at, what, group, session, who, code, detail };
        let (wake, missed) = (self.webhooks().wake(), self.metrics().webhooks_lost());
        let write = move |connection: &Connection| {
            append(connection, &line)?;
            if let Some(message) = message {
                let taken = message.queue(connection)?;
                missed(taken.lost);
                // Most events are nobody's: a look at the queue for each would cost the store more than the line.
                if taken.queued > 0 {
                    wake();
                }
            }
            Ok(())
        };
        self.store().tell(write, self.metrics().audit_line_lost());
    }
}
