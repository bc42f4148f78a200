//! Which rules a group has, which of them a new session pins, and what they say about a wish.
//!
//! Invariant: a version never changes once it is kept, and a session keeps the version it was created with; only
//! *enforce* reaches running sessions, and only to narrow them. Decides nothing inside a session: the engine gets the
//! compiled [`Policy`] and tickets carry what a role leaves of an agent's capabilities.

pub(crate) mod bundle;
pub(crate) mod check;
mod compile;
pub(crate) mod diff;
mod enforce;
pub(crate) mod judge;
pub(crate) mod lowered;
pub(crate) mod schema;
pub(crate) mod shareable;

pub(crate) use fanlight_wire::address;
use fanlight_wire::{Code, GroupId, Refusal};

pub(crate) use bundle::{Bundle, DocumentKind, Engine, Keys};
pub(crate) use compile::{capabilities, coming_in, compile, from_policy, of_session, questions};

use crate::store::Store;
use crate::store::policies::{Version, in_force};

/// A bundle and its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Numbered {
    pub(crate) version: u32,
    pub(crate) bundle: Bundle,
}

/// The rules that a new session of this group pins.
///
/// # Errors
/// `E_NOT_FOUND` for a group that is absent or not active, `E_CAPABILITY` when cobrowsing is switched off (R142),
/// `E_STORE` when the store cannot say or its text is no bundle.
pub(crate) async fn to_pin(store: &Store, group: &GroupId) -> Result<Numbered, Refusal> {
    let name = group.clone();
    let Some(kept) = store.ask(move |connection| in_force(connection, &name)).await? else {
        let refusal = Refusal::new(Code::NotFound, "control::policies");
        return Err(refusal.saying("There is no such group, or it is not active."));
    };
    let numbered = read(&kept)?;
    if !numbered.bundle.cobrowse_enabled {
        let refusal = Refusal::new(Code::Capability, "R142");
        return Err(refusal.saying("Cobrowsing is switched off for this group. Ask your administrator."));
    }
    Ok(numbered)
}

/// # Errors
/// `E_STORE` for a text that is no bundle.
pub(crate) fn read(kept: &Version) -> Result<Numbered, Refusal> {
    let bundle = serde_json::from_str(&kept.bundle).map_err(|error| {
        tracing::error!(%error, "a group's policy cannot be read");
        Refusal::new(Code::Store, "control::policies").saying("The group's policy cannot be read. Publish it again.")
    })?;
    Ok(Numbered { version: kept.version, bundle })
}
