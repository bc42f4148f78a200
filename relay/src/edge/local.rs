//! The local door, on loopback: `/live /ready /metrics /status`, `POST /drain`, `GET|PUT /log-level`.
//!
//! Whoever has a shell on this host may use it without a token. A web page in a browser on this host may not: requests
//! that carry an `Origin`, or a `Host` that is not the loopback's (a rebound name), are refused.

use std::net::IpAddr;
use std::sync::Arc;

use fanlight_control::Control;
use fanlight_wire::{Code, Refusal, host};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Response, StatusCode};
use serde::Serialize;

use super::{Body, Door, Inbound, answer};
use crate::drain::{Drain, Phase};
use crate::telemetry::LogLevel;

/// Answers probes and the local operator.
#[derive(Debug)]
pub struct Local {
    pub control: Arc<Control>,
    pub drain: Arc<Drain>,
    pub log_level: LogLevel,
    /// What runs, for `fanlight status`.
    pub about: About,
}

/// What runs, unchanged since the start.
#[derive(Debug, Clone, Serialize)]
pub struct About {
    pub version: &'static str,
    pub shards: usize,
    pub backend: &'static str,
}

#[derive(Debug, Serialize)]
struct Status<'a> {
    #[serde(flatten)]
    about: &'a About,
    phase: &'static str,
    sessions: usize,
}

impl Door for Local {
    async fn answer(&self, request: Inbound, _: IpAddr) -> Response<Body> {
        if let Some(refusal) = from_a_page(request.headers()) {
            return answer::refused(&refusal);
        }
        let (method, path) = (request.method().clone(), request.uri().path().to_string());
        match (&method, path.as_str()) {
            (&Method::GET, "/live") => answer::text(StatusCode::OK, "live\n"),
            (&Method::GET, "/ready") => self.ready(),
            (&Method::GET, "/status") => answer::json(&self.status()),
            (&Method::GET, "/metrics") => self.metrics(),
            (&Method::POST, "/drain") => {
                self.drain.begin();
                answer::text(StatusCode::ACCEPTED, "draining\n")
            }
            (&Method::GET, "/log-level") => answer::text(StatusCode::OK, self.log_level.shown() + "\n"),
            (&Method::PUT, "/log-level") => self.set_log_level(request).await,
            (_, "/live" | "/ready" | "/status" | "/metrics" | "/drain" | "/log-level") => {
                answer::refused(&Refusal::new(Code::Method, "local door"))
            }
            _ => answer::refused(&Refusal::new(Code::NotFound, "local door")),
        }
    }
}

impl Local {
    fn ready(&self) -> Response<Body> {
        match self.drain.phase() {
            Phase::Serving => answer::text(StatusCode::OK, "ready\n"),
            Phase::Draining | Phase::Stopping => answer::refused(&Refusal::new(Code::Draining, "local door")),
        }
    }

    fn status(&self) -> Status<'_> {
        Status { about: &self.about, phase: self.drain.phase().label(), sessions: self.control.session_count() }
    }

    fn metrics(&self) -> Response<Body> {
        let mut response = answer::text(StatusCode::OK, self.control.metrics().render());
        let format = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, format);
        response
    }

    async fn set_log_level(&self, request: Inbound) -> Response<Body> {
        let body = match answer::collected(request, 1_024).await {
            Ok(request) => request.into_body(),
            Err(refusal) => return answer::refused(&refusal),
        };
        match self.log_level.set(&String::from_utf8_lossy(&body)) {
            Ok(()) => answer::text(StatusCode::OK, self.log_level.shown() + "\n"),
            Err(why) => answer::refused(&Refusal::new(Code::Input, "log.level").saying(why)),
        }
    }
}

fn from_a_page(headers: &HeaderMap) -> Option<Refusal> {
    let named = answer::header_text(headers, header::HOST).unwrap_or_default();
    let own = host::name_of(named).is_some_and(host::is_loopback);
    let refusal = Refusal::new(Code::Origin, "local door").saying("Web pages may not use the local door.");
    (headers.contains_key(header::ORIGIN) || !own).then_some(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(headers: &[(&'static str, &'static str)]) -> bool {
        let map = headers.iter().map(|(n, v)| (n.parse().expect("a name"), HeaderValue::from_static(v))).collect();
        from_a_page(&map).is_some()
    }

    #[test]
    fn a_page_cannot_use_the_local_door() {
        for host in ["127.0.0.1:7790", "127.0.0.1", "localhost:7790", "[::1]:7790", "[::1]"] {
            assert!(!page(&[("host", host)]), "{host}");
        }
        for host in ["evil.example:7790", "127.evil.example:7790", "127.0.0.1.evil.example"] {
            assert!(page(&[("host", host)]), "a rebound name: {host}");
        }
        assert!(page(&[("host", "127.0.0.1:7790"), ("origin", "http://127.0.0.1:7700")]));
        assert!(page(&[]));
    }
}
