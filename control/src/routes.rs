//! One file per noun of the API. A handler reads its request, checks who asks, does one thing, and answers.

pub(crate) mod cameras;
pub(crate) mod check_link;
pub(crate) mod connect;
pub(crate) mod demo;
pub(crate) mod effective;
pub(crate) mod invites;
pub(crate) mod join;
pub(crate) mod keys;
pub(crate) mod links;
pub(crate) mod login;
pub(crate) mod media;
pub(crate) mod oidc;
pub(crate) mod policies;
pub(crate) mod presence;
pub(crate) mod reports;
pub(crate) mod sessions;
pub(crate) mod shareable;
pub(crate) mod signing_key;
pub(crate) mod starts;
pub(crate) mod tickets;
pub(crate) mod webhooks;

use fanlight_wire::{Code, GroupId, Refusal, SessionId};

use crate::keys::Guesser;
use crate::presence::{Caller, Login};
use crate::servers::{Scope, Server};

/// The agent who asks.
///
/// # Errors
/// `E_LOGIN` for nobody in particular, `E_ROLE` for somebody else.
fn agent_of(caller: &Caller) -> Result<&Login, Refusal> {
    match caller {
        Caller::Agent(login) => Ok(login),
        Caller::Visitor(_) | Caller::Server(_) | Caller::Admin(_) | Caller::Operator => {
            Err(Refusal::new(Code::Role, "G-52"))
        }
        Caller::Nobody | Caller::Stranger => Err(Refusal::new(Code::Login, "G-52")),
    }
}

/// The group's server that asks. Who has signed in but is no server gets another answer than who has not.
///
/// # Errors
/// `E_LOGIN` for nobody in particular, `E_ROLE` for somebody else.
fn server_of(caller: &Caller) -> Result<&Server, Refusal> {
    match caller {
        Caller::Server(server) => Ok(server),
        Caller::Visitor(_) | Caller::Agent(_) => Err(Refusal::new(Code::Role, "G-52")),
        Caller::Nobody | Caller::Stranger | Caller::Admin(_) | Caller::Operator => {
            Err(Refusal::new(Code::Login, "G-52"))
        }
    }
}

/// Whose affairs the asker may see to: its own group's, for a server with a key for that; every group's (`None`), for the
/// operator's people.
///
/// # Errors
/// Those of [`server_of`], and `E_CAPABILITY` for a key that is not for that.
fn own_group(caller: &Caller, scope: Scope) -> Result<Option<&GroupId>, Refusal> {
    if matches!(caller, Caller::Operator | Caller::Admin(_)) {
        return Ok(None);
    }
    let server = server_of(caller)?;
    server.may(scope)?;
    Ok(Some(&server.group))
}

/// A group from a path; what is no id names a group that does not exist.
fn group_of(text: &str, absent: impl FnOnce() -> Refusal) -> Result<GroupId, Refusal> {
    GroupId::new(text).map_err(|_| absent())
}

/// The agent as budgets and lists know it.
fn guesser(login: &Login) -> Guesser {
    Guesser { group: login.group.clone(), agent: login.agent.clone() }
}

/// A session id from a path; what is none is a session that does not exist.
fn session_of(text: &str) -> Result<SessionId, Refusal> {
    text.parse().map_err(|_| Refusal::new(Code::Session, "G-52"))
}
