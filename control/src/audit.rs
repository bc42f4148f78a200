//! The audit trail: what happened, when, to which session, by whom (ids only). Appended, never changed.
//!
//! A line is queued for the store's thread; when it is not taken (a full queue, a full or missing disk) it is lost and counted, because a relay that
//! stops working when its disk does is worse than a gap that can be seen.

use fanlight_wire::{Code, GroupId, SessionId};

use crate::control::Control;
use crate::store::{AuditLine, append};

/// Names of lines: the same as events of the SDK and of webhooks (`docs/protocol.md` §14).
pub(crate) mod what {
    pub(crate) const SESSION_CREATED: &str = "session.created";
    pub(crate) const SESSION_ENDED: &str = "session.ended";
    pub(crate) const KEY_MADE: &str = "invite.sent";
    pub(crate) const KEY_USED: &str = "invite.accepted";
    pub(crate) const KEY_REFUSED: &str = "invite.refused";
    pub(crate) const SIGNED_IN: &str = "agent.signed_in";
    pub(crate) const SIGN_IN_REFUSED: &str = "agent.sign_in_refused";
    pub(crate) const JOINED: &str = "participant.joined";
    pub(crate) const LEFT: &str = "participant.left";
    pub(crate) const CONSENT_GIVEN: &str = "consent.given";
    pub(crate) const CONSENT_DENIED: &str = "consent.denied";
    pub(crate) const SHARE_STARTED: &str = "share.started";
    pub(crate) const SHARE_TAKEN_OVER: &str = "share.taken_over";
    pub(crate) const SHARE_STOPPED: &str = "share.stopped";
    pub(crate) const CAMERA_STARTED: &str = "camera.started";
    pub(crate) const CAMERA_STOPPED: &str = "camera.stopped";
    pub(crate) const TICKET_MINTED: &str = "ticket.minted";
    pub(crate) const PUBLISH_BEGAN: &str = "publish.began";
    pub(crate) const PUBLISH_ENDED: &str = "publish.ended";
    pub(crate) const WATCH_BEGAN: &str = "watch.began";
    pub(crate) const WATCH_ENDED: &str = "watch.ended";
    pub(crate) const GROUP_CREATED: &str = "group.created";
    pub(crate) const AGENT_CHANGED: &str = "agent.changed";
    pub(crate) const GROUP_CHANGED: &str = "group.changed";
    pub(crate) const POLICY_SAVED: &str = "policy.saved";
    pub(crate) const POLICY_PUBLISHED: &str = "policy.published";
    pub(crate) const POLICY_ROLLED_BACK: &str = "policy.rolled_back";
    pub(crate) const POLICY_ENFORCED: &str = "policy.enforced";
}

/// Whom and what a line is about; unset fields stay empty.
#[derive(Debug, Default)]
pub(crate) struct About {
    pub(crate) group: Option<GroupId>,
    pub(crate) session: Option<SessionId>,
    pub(crate) who: Option<String>,
    pub(crate) code: Option<Code>,
}

impl Control {
    pub(crate) fn audit(&self, what: &'static str, about: About) {
        let About { group, session, who, code } = about;
        let line = AuditLine { at: self.clock().unix_seconds(), what, group, session, who, code };
        self.store().tell(move |connection| append(connection, &line), self.metrics().audit_line_lost());
    }
}
