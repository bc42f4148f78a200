//! The operator door: create and end sessions, mint tickets. Control asks for the bearer token; here only limits.

use std::net::IpAddr;
use std::sync::Arc;

use fanlight_control::{Control, Door as ControlDoor};
use http_body_util::Full;
use hyper::Response;

use super::{Body, Door, Inbound, answer};

/// Answers the operator.
#[derive(Debug)]
pub struct Operator {
    pub control: Arc<Control>,
    /// Largest body of a request.
    pub body_max: usize,
}

impl Door for Operator {
    async fn answer(&self, request: Inbound, peer: IpAddr) -> Response<Body> {
        match answer::collected(request, self.body_max).await {
            Ok(request) => self.control.handle(ControlDoor::Operator, request, peer).await.map(Full::new),
            Err(refusal) => answer::refused(&refusal),
        }
    }
}
