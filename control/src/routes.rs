//! One file per noun of the API. A handler reads its request, checks who asks, does one thing, and answers.

pub(crate) mod cameras;
pub(crate) mod connect;
pub(crate) mod demo;
pub(crate) mod effective;
pub(crate) mod join;
pub(crate) mod keys;
pub(crate) mod login;
pub(crate) mod media;
pub(crate) mod oidc;
pub(crate) mod policies;
pub(crate) mod reports;
pub(crate) mod sessions;
pub(crate) mod shareable;
pub(crate) mod signing_key;
pub(crate) mod tickets;
pub(crate) mod webhooks;

use fanlight_wire::{Code, Refusal, SessionId};

/// A session id from a path; what is none is a session that does not exist.
fn session_of(text: &str) -> Result<SessionId, Refusal> {
    text.parse().map_err(|_| Refusal::new(Code::Session, "G-52"))
}
