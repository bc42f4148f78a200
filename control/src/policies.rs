//! Which rules a new session pins: those of its group's row. Published bundles, staging and enforcing come later.

use fanlight_wire::policy::Policy;
use fanlight_wire::{Code, GroupId, Refusal};

use crate::store::{Store, group_policy};

/// The rules of an active group.
///
/// # Errors
/// `E_NOT_FOUND` for a group that is absent or not active, `E_STORE` when the store cannot say or its text is no policy.
pub(crate) async fn policy_of(store: &Store, group: &GroupId) -> Result<Policy, Refusal> {
    let name = group.clone();
    let Some(text) = store.ask(move |connection| group_policy(connection, &name)).await? else {
        let refusal = Refusal::new(Code::NotFound, "control::policies");
        return Err(refusal.saying("There is no such group, or it is not active."));
    };
    serde_json::from_str(&text).map_err(|error| {
        tracing::error!(%error, "a group's policy cannot be read");
        Refusal::new(Code::Store, "control::policies").saying("The group's policy cannot be read. Publish it again.")
    })
}
