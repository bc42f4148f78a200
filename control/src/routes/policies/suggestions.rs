//! Addresses that agents would have liked to share (R054), for the administrator.

use bytes::Bytes;
use fanlight_wire::{Code, GroupId, Refusal};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::absent;
use crate::control::Control;
use crate::http::{Denied, empty, json};
use crate::store::suggestions::{self as kept, Suggestion};

#[derive(Serialize)]
struct List {
    suggestions: Vec<Suggestion>,
}

pub(super) async fn list(control: &Control, group: GroupId) -> Result<Response<Bytes>, Denied> {
    let found = control.store().ask(move |connection| kept::list(connection, &group)).await?;
    Ok(json(StatusCode::OK, &List { suggestions: found.ok_or_else(absent)? }))
}

pub(super) async fn remove(control: &Control, group: GroupId, id: &str) -> Result<Response<Bytes>, Denied> {
    let gone = || Refusal::new(Code::NotFound, "docs/api.md").saying("There is no such suggestion.");
    let id: i64 = id.parse().map_err(|_| gone())?;
    if control.store().ask(move |connection| kept::remove(connection, &group, id)).await? {
        Ok(empty(StatusCode::NO_CONTENT))
    } else {
        Err(gone().into())
    }
}
