//! `POST /v1/signing-key/rotate`, operator: a new key signs tickets; those of the one before are good until they expire.

use bytes::Bytes;
use fanlight_wire::Event;
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::audit::About;
use crate::control::Control;
use crate::http::{Asked, Denied, json};

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wish {
    /// Somebody else may have the key: it is good no longer, nor is any ticket or media token that there is.
    forget: bool,
}

#[derive(Serialize)]
struct Rotated {
    kid: String,
}

pub(crate) fn rotate(control: &Control, asked: &Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let Wish { forget } = asked.json_or_nothing()?;
    let kid = control.tokens().rotate(control.clock().unix_seconds(), forget)?;
    control.audit(Event::SigningKeyRotated, About { who: Some(asked.caller.who()), ..About::default() });
    Ok(json(StatusCode::OK, &Rotated { kid }))
}
