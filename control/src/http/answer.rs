//! Responses: JSON that nobody caches, and refusals as problem documents (RFC 9457) with the time to wait.

use std::time::Duration;

use bytes::Bytes;
use fanlight_wire::limits::RETRY_AFTER;
use fanlight_wire::{Code, Problem, Refusal, SessionId};
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use crate::budget::Standing;

/// A refusal on its way to a client.
#[derive(Debug, Clone)]
pub(crate) struct Denied {
    pub(crate) refusal: Refusal,
    /// When to try again, where that helps. Whole seconds.
    pub(crate) retry_after: Option<Duration>,
    /// The budget that was looked at.
    pub(crate) standing: Option<Box<Standing>>,
    /// The asker's own sessions that stand in the way.
    pub(crate) sessions: Vec<SessionId>,
}

/// A problem document that names the asker's sessions.
#[derive(Serialize)]
struct Occupied<'a> {
    #[serde(flatten)]
    problem: Problem<'a>,
    sessions: &'a [SessionId],
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        let may_pass = matches!(refusal.code.http_status(), 429 | 503);
        Self { refusal, retry_after: may_pass.then_some(RETRY_AFTER), standing: None, sessions: Vec::new() }
    }
}

impl Denied {
    /// With the time to wait, rounded up: a client that waits as told is not refused again.
    pub(crate) fn wait(refusal: Refusal, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self { retry_after: Some(Duration::from_secs(seconds)), ..Self::from(refusal) }
    }

    /// With the asker's own sessions that stand in the way.
    pub(crate) fn occupied(refusal: Refusal, sessions: Vec<SessionId>) -> Self {
        Self { sessions, ..Self::from(refusal) }
    }

    /// With the budget that was looked at.
    pub(crate) fn under(mut self, standing: Standing) -> Self {
        self.standing = Some(Box::new(standing));
        self
    }

    pub(crate) fn response(&self) -> Response<Bytes> {
        let problem = Problem::of(&self.refusal, self.retry_after);
        if self.sessions.is_empty() {
            return self.response_with(&problem);
        }
        self.response_with(&Occupied { problem, sessions: &self.sessions })
    }

    /// The same with a problem document that says more.
    pub(crate) fn response_with<T: Serialize>(&self, problem: &T) -> Response<Bytes> {
        let status = StatusCode::from_u16(self.refusal.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = json(status, problem);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(Problem::MEDIA_TYPE));
        if let Some(standing) = &self.standing {
            standing.mark(&mut response);
        }
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        if matches!(self.refusal.code, Code::Login | Code::Ticket) {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<Bytes> {
    // Serialising our own answers cannot fail: plain fields, string keys.
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = empty(status);
    *response.body_mut() = Bytes::from(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

pub(crate) fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
