//! `GET /v1/connect/<session>`: where a client of this session connects now. A client that resumes asks again, because a
//! self-made certificate is replaced now and then. The session's id is all one needs to know: it cannot be guessed, and
//! the answer grants nothing.

use bytes::Bytes;
use hyper::{Response, StatusCode};

use crate::control::Control;
use crate::http::{Denied, json};
use crate::routes::session_of;

pub(crate) fn show(control: &Control, session: &str) -> Result<Response<Bytes>, Denied> {
    let home = control.home_of(&session_of(session)?)?;
    Ok(json(StatusCode::OK, &control.connect(home.shard)))
}
