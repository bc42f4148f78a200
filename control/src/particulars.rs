//! What a session is about, in the host product's own terms: its kind, the way into it, the case or chat it belongs to.
//!
//! Invariant: fixed at the session's creation; bounded; shown to the group's own people and copied into events and
//! reports, never read by the relay.

use std::collections::BTreeSet;

use fanlight_wire::consent::Matter;
use fanlight_wire::limits::{CONTEXT_TYPE_CHARS_MAX, REFERENCE_CHARS_MAX};
use fanlight_wire::policy::Capabilities;
use fanlight_wire::{Code, Refusal};
use serde::{Deserialize, Serialize};

use crate::policies::Engine;

/// What a session is for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The visitor's page, and whatever it is escalated to.
    #[default]
    Cobrowse,
    /// The agent shows a screen to a visitor who shows nothing (R127).
    Show,
    /// The visitor shows a screen and no page (R136).
    View,
    /// The visitor shows a camera and no page (R110).
    Camera,
}

impl Kind {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Cobrowse => "cobrowse",
            Self::Show => "show",
            Self::View => "view",
            Self::Camera => "camera",
        }
    }

    /// What the visitor is asked when an agent would like to come in: about what the session is for.
    pub(crate) const fn asks(self) -> Matter {
        match self {
            Self::Cobrowse => Matter::View,
            Self::Show => Matter::Show,
            // R138: agreeing to be seen and choosing what is one press.
            Self::View => Matter::Screen,
            Self::Camera => Matter::Camera,
        }
    }

    /// What the visitor of such a session may do: what is not meant to be shown cannot be.
    pub(crate) const fn visitor(self) -> Capabilities {
        let always = Capabilities::SUB_SCREEN.union(Capabilities::END);
        match self {
            Self::Cobrowse => Capabilities::from_bits(u32::MAX),
            Self::Show => always,
            Self::View => always.union(Capabilities::PUB_SCREEN),
            Self::Camera => always.union(Capabilities::PUB_CAMERA),
        }
    }

    /// What an agent may do in such a session, of what the group leaves it.
    pub(crate) const fn agent(self) -> Capabilities {
        let always = Capabilities::SUB_SCREEN.union(Capabilities::END);
        match self {
            Self::Cobrowse => Capabilities::from_bits(u32::MAX),
            Self::Show => always.union(Capabilities::PUB_SCREEN).union(Capabilities::SHOW_ANY),
            Self::View => always.union(Capabilities::INVITE).union(Capabilities::VIEW_ANY),
            Self::Camera => always.union(Capabilities::SUB_CAMERA),
        }
    }

    /// The right without which an agent cannot begin such a session, and the rule that asks for it.
    pub(crate) const fn needs(self) -> (Capabilities, &'static str) {
        match self {
            Self::Cobrowse => (Capabilities::SUB_DOM, "R142"),
            Self::Show => (Capabilities::PUB_SCREEN, "R006"),
            Self::View => (Capabilities::INVITE, "R136"),
            Self::Camera => (Capabilities::SUB_CAMERA, "R110"),
        }
    }
}

/// How the visitor came in (R107).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entry {
    /// The visitor asked for a key.
    #[default]
    Key,
    /// An agent's invite was accepted.
    Presence,
    /// The visitor opened a link.
    Link,
    /// The camera link of a text message.
    Message,
    /// A server made it and hands out the tickets.
    Server,
}

impl Entry {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Presence => "presence",
            Self::Link => "link",
            Self::Message => "message",
            Self::Server => "server",
        }
    }
}

/// The object of the host product that a session was started from (R113, R144).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Context {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) id: String,
}

/// What a request may say about a new session.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Wish {
    #[serde(default)]
    pub(crate) kind: Kind,
    #[serde(default)]
    engine: Engine,
    context: Option<Context>,
    external_ref: Option<String>,
}

/// All of it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Particulars {
    pub(crate) kind: Kind,
    /// Which modes and which privacy profile hold (R153).
    pub(crate) engine: Engine,
    pub(crate) entry: Entry,
    pub(crate) context: Option<Context>,
    /// What the host product calls the interaction; by default the visitor's id (R111).
    pub(crate) external_ref: Option<String>,
    /// Agents who may come in without a key: whoever made the session or whose invite was accepted.
    pub(crate) hosts: BTreeSet<String>,
    /// Who invites, as the landing page says it.
    pub(crate) host_name: String,
}

impl Particulars {
    /// # Errors
    /// `E_INPUT` for a context or a reference beyond its bounds, and for an engine that is not there.
    pub(crate) fn checked(wish: Wish, entry: Entry) -> Result<Self, Refusal> {
        let Wish { kind, engine, context, external_ref } = wish;
        if engine != Engine::Instant {
            let sentence =
                "Advanced mode is not available on this relay. Ask for \"instant\", or leave \"engine\" out.";
            return Err(Refusal::new(Code::Input, "R153").saying(sentence));
        }
        if let Some(Context { kind, id }) = &context {
            let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
            if !(1..=CONTEXT_TYPE_CHARS_MAX).contains(&kind.len()) || !kind.chars().all(legal) {
                let sentence = "A context's type has 1 to 32 characters of a-z, 0-9, dot, dash and underscore.";
                return Err(Refusal::new(Code::Input, "R113").saying(sentence));
            }
            reference(id, "R113")?;
        }
        if let Some(text) = &external_ref {
            reference(text, "R111")?;
        }
        Ok(Self { kind, engine, entry, context, external_ref, ..Self::default() })
    }

    /// As `GET /v1/sessions` and events show it.
    pub(crate) fn shown(&self) -> Shown<'_> {
        Shown {
            kind: self.kind,
            engine: self.engine,
            entry: self.entry,
            context: self.context.as_ref(),
            external_ref: self.external_ref.as_deref(),
        }
    }
}

/// The part that people see.
#[derive(Debug, Serialize)]
pub(crate) struct Shown<'a> {
    kind: Kind,
    engine: Engine,
    entry: Entry,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<&'a Context>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_ref: Option<&'a str>,
}

/// Is this an id of another product?
///
/// # Errors
/// `E_INPUT` when it is empty, too long or has control characters.
pub(crate) fn reference(text: &str, rule: &'static str) -> Result<(), Refusal> {
    let length = text.chars().count();
    if (1..=REFERENCE_CHARS_MAX).contains(&length) && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Refusal::new(Code::Input, rule).saying("An id or a reference has 1 to 128 characters."))
}

#[cfg(test)]
mod tests {
    use fanlight_wire::policy::Role;

    use super::*;

    #[test]
    fn a_context_is_bounded() {
        // R113
        let wish = |kind: &str, id: &str| Wish {
            context: Some(Context { kind: kind.into(), id: id.into() }),
            ..Wish::default()
        };
        let good = Particulars::checked(wish("case", "C-1042 ü"), Entry::Link).expect("a good context");
        assert_eq!(good.context.map(|context| context.id).as_deref(), Some("C-1042 ü"));
        let long = "x".repeat(129);
        for (kind, id) in [("", "1"), ("Case", "1"), (&*long, "1"), ("case", ""), ("case", &*long), ("case", "a\nb")] {
            let refused = Particulars::checked(wish(kind, id), Entry::Link).map_err(|refusal| refusal.code);
            assert_eq!(refused, Err(Code::Input), "{kind:?} {id:?}");
        }
        let reference = Wish { external_ref: Some(long), ..Wish::default() };
        assert!(Particulars::checked(reference, Entry::Key).is_err());
    }

    #[test]
    fn an_engine_that_is_not_there_is_refused() {
        // R153
        let of = |text: &str| {
            let wish = serde_json::from_str(text).expect("a wish");
            Particulars::checked(wish, Entry::Key).map(|about| about.engine).map_err(|refusal| refusal.code)
        };
        assert_eq!((of("{}"), of(r#"{"engine": "instant"}"#)), (Ok(Engine::Instant), Ok(Engine::Instant)));
        assert_eq!(of(r#"{"engine": "advanced"}"#), Err(Code::Input));
    }

    #[test]
    fn only_a_cobrowse_visitor_shows_a_page() {
        // R127, R136
        for kind in [Kind::Show, Kind::View, Kind::Camera] {
            let visitor = Role::Visitor.ceiling().narrowed_to(kind.visitor());
            assert!(!visitor.contains(Capabilities::PUB_DOM) && visitor.contains(Capabilities::END), "{kind:?}");
            assert!(!Role::Agent.ceiling().narrowed_to(kind.agent()).contains(Capabilities::SUB_DOM), "{kind:?}");
        }
        assert!(!Kind::Show.visitor().contains(Capabilities::PUB_SCREEN), "who is shown a screen shows none");
    }
}
