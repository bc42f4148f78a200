//! Join links (R132–R134): what the landing page `/j/<code>` asks, and how its visitor comes in.

use bytes::Bytes;
use fanlight_wire::SessionId;
use fanlight_wire::host::source_of;
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::config::ConnectInfo;
use crate::control::Control;
use crate::http::{Asked, Denied, json};
use crate::particulars::Kind;
use crate::routes::keys::visitor;

#[derive(Deserialize)]
struct Shown {
    code: String,
    key: Option<String>,
}

#[derive(Serialize)]
struct Look {
    kind: Kind,
    key_required: bool,
    expires_s: u64,
    /// Who invites. Not told before the key where one is needed: such a code alone is short.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

#[derive(Serialize)]
struct Entered {
    kind: Kind,
    name: String,
    session: SessionId,
    ticket: String,
    handle: String,
    connect: ConnectInfo,
}

/// `POST /v1/links`.
pub(crate) fn look(control: &Control, asked: &Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let Shown { code, .. } = asked.json()?;
    let now = control.clock().now();
    let seen = control.lobby().links.look(&code, source_of(asked.peer), now)?;
    let home = control.home_of(&seen.session)?;
    let expires_s = seen.until.saturating_duration_since(now).as_secs();
    let name = (!seen.key_required).then(|| home.particulars.host_name.clone());
    Ok(json(StatusCode::OK, &Look { kind: home.particulars.kind, key_required: seen.key_required, expires_s, name }))
}

/// `POST /v1/links/join`.
pub(crate) fn enter(control: &Control, asked: &Asked<'_>) -> Result<Response<Bytes>, Denied> {
    control.refuse_while_draining()?;
    let Shown { code, key } = asked.json()?;
    let now = control.clock().now();
    let session = control.lobby().links.enter(&code, key.as_deref(), source_of(asked.peer), now)?;
    let home = control.home_of(&session)?;
    let kind = home.particulars.kind;
    let handle = control.renew_handle(&session)?;
    let ticket = control.mint(&session, visitor(kind, asked.client))?;
    let connect = control.connect(home.shard);
    Ok(json(
        StatusCode::OK,
        &Entered { kind, name: home.particulars.host_name.clone(), session, ticket, handle, connect },
    ))
}
