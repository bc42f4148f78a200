//! The one list of events: what happens in and around a session, under one name in the audit trail, in webhooks and in the
//! visitor's and the agent's JavaScript (`docs/events.md`, kept in step by `tests/tidy`).
//!
//! An event carries ids, closed words and codes. Never page content, never the name of a person or a document.

use std::fmt;

/// Who hears of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ear {
    /// The audit trail.
    Audit,
    /// A group's webhooks that have chosen it.
    Webhook,
    /// The visitor's page: `Fanlight.on(name, …)`.
    Visitor,
    /// The agent's page: `FanlightAgent.on(name, …)`.
    Agent,
}

impl Ear {
    pub const ALL: [Self; 4] = [Self::Audit, Self::Webhook, Self::Visitor, Self::Agent];

    pub const fn label(self) -> &'static str {
        match self {
            Self::Audit => "audit",
            Self::Webhook => "webhook",
            Self::Visitor => "visitor",
            Self::Agent => "agent",
        }
    }
}

macro_rules! events {
    ($($name:ident = $label:literal, [$($ear:ident)+], $sentence:literal;)+) => {
        /// Something that happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Event { $($name,)+ }

        impl Event {
            /// Every event, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its name everywhere, for example `session.started`.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            /// Who hears of it.
            pub const fn ears(self) -> &'static [Ear] {
                match self { $(Self::$name => &[$(Ear::$ear,)+],)+ }
            }

            /// When it happens, for a person.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)+ }
            }
        }
    };
}

events! {
    SessionCreated = "session.created", [Audit Webhook Visitor], "A session was made; nobody has joined it yet.";
    SessionStarted = "session.started", [Audit Webhook Visitor Agent], "The visitor has agreed to an agent for the first time: from here on things flow.";
    SessionContinued = "session.continued", [Audit Webhook Visitor Agent], "The visitor came back after a page load or a lost connection.";
    SessionEnded = "session.ended", [Audit Webhook Visitor Agent], "The session is over; the code says why.";
    KeyCreated = "key.created", [Audit Webhook Visitor], "A session has a new key to tell an agent.";
    KeyUsed = "key.used", [Audit Webhook], "An agent has exchanged a key for admission.";
    KeyRefused = "key.refused", [Audit], "An agent has tried a key that is not valid.";
    InviteSent = "invite.sent", [Audit Webhook], "A visitor is invited to a session, on its page or by a link.";
    InviteAccepted = "invite.accepted", [Audit Webhook], "The visitor has followed the invitation.";
    InviteDeclined = "invite.declined", [Audit Webhook], "The visitor has said no to the invitation.";
    InviteExpired = "invite.expired", [Audit Webhook], "Nobody followed the invitation in time.";
    ConsentAsked = "consent.asked", [Audit Webhook Visitor Agent], "The visitor is asked whether an agent may see the page or a screen.";
    ConsentGiven = "consent.given", [Audit Webhook Visitor Agent], "The visitor has said yes.";
    ConsentDenied = "consent.denied", [Audit Webhook Visitor Agent], "The visitor has said no.";
    ConsentExpired = "consent.expired", [Audit Webhook Visitor Agent], "The visitor has not answered in time, or whoever asked has left.";
    VisitorJoined = "visitor.joined", [Audit Webhook Agent], "The visitor is there.";
    VisitorLeft = "visitor.left", [Audit Webhook Agent], "The visitor has left for good.";
    AgentJoined = "agent.joined", [Audit Webhook Visitor Agent], "An agent is there; before the visitor's consent it sees nothing.";
    AgentLeft = "agent.left", [Audit Webhook Visitor Agent], "An agent has left for good.";
    AgentMoved = "agent.moved", [Audit Webhook], "An agent has given up its place in a session because it joins another one.";
    GuestRequested = "guest.requested", [Audit Webhook Visitor Agent], "A guest is there and waits for the visitor's consent.";
    GuestAdmitted = "guest.admitted", [Audit Webhook Visitor Agent], "The visitor has agreed to a guest.";
    GuestLeft = "guest.left", [Audit Webhook Visitor Agent], "A guest has left for good.";
    UpstreamJoined = "upstream.joined", [Audit Webhook], "A service that publishes media is there.";
    UpstreamLeft = "upstream.left", [Audit Webhook], "A service that publishes media has left.";
    ConnectionChanged = "connection.changed", [Audit Webhook Visitor Agent], "A participant's connection was lost (`away`) or is back (`here`); its place is kept.";
    ModeChanged = "mode.changed", [Audit Webhook Visitor Agent], "An agent has chosen another mode.";
    ShareStarted = "share.started", [Audit Webhook Visitor Agent], "A screen is being shared.";
    ShareTakenOver = "share.taken_over", [Audit Webhook Visitor Agent], "Somebody else shares a screen instead.";
    ShareStopped = "share.stopped", [Audit Webhook Visitor Agent], "A screen is no longer shared.";
    ShareRefused = "share.refused", [Audit Webhook Visitor Agent], "A screen was offered and refused; the code says why.";
    BookmarkOpened = "bookmark.opened", [Audit Webhook], "An agent has opened a bookmark, to look at it before sharing it.";
    SiteSuggested = "site.suggested", [Audit Webhook], "An agent has asked for an address to be allowed.";
    CameraStarted = "camera.started", [Audit Webhook Visitor Agent], "A camera is switched on.";
    CameraStopped = "camera.stopped", [Audit Webhook Visitor Agent], "A camera is switched off.";
    PublishBegan = "publish.began", [Audit Webhook], "A WHIP client publishes.";
    PublishEnded = "publish.ended", [Audit Webhook], "A WHIP client has stopped.";
    WatchBegan = "watch.began", [Audit Webhook], "A WHEP client watches.";
    WatchEnded = "watch.ended", [Audit Webhook], "A WHEP client has stopped.";
    MaskError = "mask.error", [Audit Webhook Visitor], "The rules for hiding could not be applied: nothing is shown.";
    PolicySaved = "policy.saved", [Audit], "Rules were saved to staging.";
    PolicyPublished = "policy.published", [Audit Webhook], "Rules were published: new sessions get them.";
    PolicyRolledBack = "policy.rolled_back", [Audit Webhook], "An earlier version of the rules was published again.";
    PolicyEnforced = "policy.enforced", [Audit Webhook Visitor Agent], "Running sessions were narrowed to newer rules.";
    GroupCreated = "group.created", [Audit], "A group was made.";
    GroupChanged = "group.changed", [Audit], "A group was renamed, switched on or off.";
    AgentChanged = "agent.changed", [Audit], "An agent was made or changed.";
    AgentSignedIn = "agent.signed_in", [Audit], "An agent has signed in.";
    AgentSignInRefused = "agent.sign_in_refused", [Audit], "Somebody could not sign in.";
    WebhookChanged = "webhook.changed", [Audit], "A webhook was added, changed, removed or given a new secret.";
    AgentSignedOut = "agent.signed_out", [Audit], "An agent has signed out; what it watched has ended.";
    AdminSignedIn = "admin.signed_in", [Audit], "An administrator has signed in to the console.";
    AdminSignedOut = "admin.signed_out", [Audit], "An administrator has signed out.";
    AdminSignInRefused = "admin.sign_in_refused", [Audit], "Somebody could not sign in to the console.";
    KeysSteppedUp = "keys.stepped_up", [Audit Webhook], "Too many wrong keys were tried: the group's keys are longer for an hour.";
    ServerKeyCreated = "server_key.created", [Audit], "A group's server got a key.";
    ServerKeyRevoked = "server_key.revoked", [Audit], "A server's key was revoked, and what it had let in is out.";
    SigningKeyRotated = "signing_key.rotated", [Audit], "A new key signs tickets.";
    SessionRevoked = "session.revoked", [Audit Webhook], "Every ticket of a session was voided; everybody but the visitor is out.";
    TicketMinted = "ticket.minted", [Audit], "The operator or a group's server has minted a ticket or a media token.";
}

/// Names that belong to features which are not there yet, so that nothing else takes them.
pub const RESERVED: [&str; 11] = [
    "control.requested",
    "control.granted",
    "control.denied",
    "control.suspended",
    "control.ended",
    "doc.requested",
    "doc.shared",
    "doc.preview_ended",
    "doc.downloaded",
    "doc.refused",
    "doc.ended",
];

impl Event {
    /// The event of this name.
    pub fn named(label: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|event| event.label() == label)
    }

    pub fn is_heard_by(self, ear: Ear) -> bool {
        self.ears().contains(&ear)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_have_a_noun_and_a_verb() {
        let names: Vec<_> = Event::ALL.iter().map(|event| event.label()).chain(RESERVED).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        for name in names {
            let (noun, verb) = name.split_once('.').unwrap_or_default();
            let legal = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            assert!(legal(noun) && legal(verb), "{name}");
        }
    }

    #[test]
    fn the_list_has_every_name_of_the_protocol() {
        // R106, protocol §14
        let wanted = "session.created session.started session.continued session.ended invite.sent invite.accepted \
            invite.declined invite.expired agent.joined agent.left guest.requested guest.admitted mode.changed \
            share.started share.taken_over share.stopped share.refused mask.error connection.changed policy.published \
            control.requested control.granted control.denied control.suspended control.ended doc.requested doc.shared \
            doc.downloaded doc.ended doc.preview_ended";
        for name in wanted.split_whitespace() {
            assert!(Event::named(name).is_some() || RESERVED.contains(&name), "{name}");
        }
        assert_eq!(Event::named("session.nothing"), None);
    }
}
