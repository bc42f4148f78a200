//! `GET /v1/presence?visitor=…&visitor=…`: how visitors stand now, as JSON, or as a stream of events with
//! `Accept: text/event-stream` (R114). The stream also tells the agent what becomes of its invites and sessions.

use bytes::Bytes;
use fanlight_wire::limits::WATCHED_MAX;
use fanlight_wire::{Code, Refusal};
use hyper::{Request, Response, StatusCode};
use serde::Serialize;
use tokio::sync::mpsc::Receiver;

use crate::control::Control;
use crate::http::{Asked, Denied, bearer_of, json};
use crate::particulars::reference;
use crate::presence::{Caller, Login};
use crate::routes::{agent_of, guesser};
use crate::visitors::{Standing, Visitor};

#[derive(Serialize)]
struct Stand {
    visitor: String,
    state: Standing,
}

#[derive(Serialize)]
struct List {
    visitors: Vec<Stand>,
}

pub(crate) fn list(control: &Control, asked: &Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let login = agent_of(&asked.caller)?;
    let stand = |(visitor, known)| Stand { visitor, state: control.lobby().standing(known) };
    let visitors = named(control, login, asked.query)?.into_iter().map(stand).collect();
    Ok(json(StatusCode::OK, &List { visitors }))
}

/// The stream of an agent.
pub(crate) fn open_stream<T>(control: &Control, request: &Request<T>) -> Result<Receiver<Bytes>, Denied> {
    let bearer = bearer_of(request.headers());
    let caller: Caller = control.public_caller(bearer);
    let login = agent_of(&caller)?;
    let visitors = named(control, login, request.uri().query().unwrap_or_default())?;
    let first = |name: &str, visitor| control.standing_line(name, visitor);
    Ok(control.lobby().watchers.open(guesser(login), visitors, first)?)
}

fn named(control: &Control, login: &Login, query: &str) -> Result<Vec<(String, Visitor)>, Denied> {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let mut visitors: Vec<(String, Visitor)> = Vec::new();
    for (_, id) in pairs.filter(|(name, _)| name == "visitor") {
        reference(&id, "R114")?;
        if visitors.len() >= WATCHED_MAX {
            let sentence = "One stream follows at most 100 visitors. Ask for those on the screen.";
            return Err(Refusal::new(Code::Input, "limits::WATCHED_MAX").saying(sentence).into());
        }
        let known = control.lobby().visitors.named(&login.group, &id);
        if !visitors.iter().any(|(_, other)| *other == known) {
            visitors.push((id.into_owned(), known));
        }
    }
    Ok(visitors)
}
