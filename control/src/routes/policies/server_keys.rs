//! Keys for a group's own servers: made and shown once, listed, revoked.

use std::collections::BTreeSet;

use bytes::Bytes;
use fanlight_wire::limits::{NAME_CHARS_MAX, SERVER_KEYS_MAX};
use fanlight_wire::{Code, Event, GroupId, Refusal};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::{Inquiry, absent};
use crate::audit::About;
use crate::control::Control;
use crate::http::{Denied, empty, json};
use crate::secrets::random;
use crate::servers::{Kept, Scope, Server, new_text};
use crate::store::server_keys::{self as kept, ServerKey};

#[derive(Deserialize)]
struct Wish {
    name: String,
    /// Absent: everything that a server may do.
    scopes: Option<BTreeSet<Scope>>,
}

#[derive(Serialize)]
struct List {
    keys: Vec<ServerKey>,
}

#[derive(Serialize)]
struct Made {
    #[serde(flatten)]
    key: ServerKey,
    /// Shown this once.
    secret: String,
}

pub(super) async fn list(control: &Control, group: GroupId) -> Result<Response<Bytes>, Denied> {
    let keys = control.store().ask(move |connection| kept::list(connection, &group)).await?;
    Ok(json(StatusCode::OK, &List { keys: keys.ok_or_else(absent)? }))
}

pub(super) async fn make(control: &Control, inquiry: &Inquiry<'_>, group: GroupId) -> Result<Response<Bytes>, Denied> {
    let Wish { name, scopes } = inquiry.asked.json()?;
    let scopes = scopes.unwrap_or_else(|| Scope::ALL.into());
    let length = name.trim().chars().count();
    if length == 0 || length > NAME_CHARS_MAX || name.chars().any(char::is_control) || scopes.is_empty() {
        let sentence = "A key has a name of 1 to 80 characters and at least one scope.";
        return Err(Refusal::new(Code::Input, "docs/api.md").saying(sentence).into());
    }
    let (secret, hash) = new_text();
    let id = hex(random::<8>());
    let server = Server { group: group.clone(), key: id.as_str().into(), scopes: scopes.clone() };
    let who = inquiry.asked.caller.who();
    let created = control.clock().unix_seconds();
    let key = ServerKey { key: id, name, scopes, created, who: who.clone(), used: None, revoked: None };
    let (row, shown, wanted) = (Kept { hash, server }, key.clone(), group.clone());
    let stored = control.store().ask(move |connection| {
        if kept::list(connection, &wanted)?.is_none() {
            return Ok(None);
        }
        let room = kept::insert(connection, &row, &shown, SERVER_KEYS_MAX)?;
        // Only a key of an active group is good: what is read back decides.
        Ok(Some((room, kept::good_of(connection, &wanted)?)))
    });
    let (room, good) = stored.await?.ok_or_else(absent)?;
    if !room {
        let sentence = "The group has as many server keys as it may have. Revoke one that is no longer used.";
        return Err(Refusal::new(Code::Full, "limits::SERVER_KEYS_MAX").saying(sentence).into());
    }
    control.servers().add(good);
    control.audit(Event::ServerKeyCreated, About { group: Some(group), who: Some(who), ..About::default() });
    Ok(json(StatusCode::CREATED, &Made { key, secret }))
}

pub(super) async fn revoke(
    control: &Control,
    inquiry: &Inquiry<'_>,
    group: GroupId,
    key: &str,
) -> Result<Response<Bytes>, Denied> {
    let (wanted, id, at) = (group.clone(), key.to_owned(), control.clock().unix_seconds());
    let known = control.store().ask(move |connection| kept::revoke(connection, &wanted, &id, at)).await?;
    if !known {
        return Err(absent().into());
    }
    control.servers().remove(key);
    control.put_out_by_key(key);
    let who = Some(inquiry.asked.caller.who());
    control.audit(Event::ServerKeyRevoked, About { group: Some(group), who, ..About::default() });
    Ok(empty(StatusCode::NO_CONTENT))
}

fn hex(bytes: [u8; 8]) -> String {
    format!("{:016x}", u64::from_be_bytes(bytes))
}
