//! The operator door: the API for sessions, tickets, groups and policies, and the admin console's files. Control asks for
//! the bearer token, which the console's files do not need: without it they can do nothing. Here only limits.

use std::net::IpAddr;
use std::sync::Arc;

use fanlight_control::{Control, Door as ControlDoor};
use hyper::Response;

use super::{Body, Door, Inbound, answer};
use crate::statics::Statics;

/// Answers the operator.
#[derive(Debug)]
pub struct Operator {
    pub control: Arc<Control>,
    pub statics: Statics,
    /// Largest body of a request.
    pub body_max: usize,
}

impl Door for Operator {
    async fn answer(&self, request: Inbound, peer: IpAddr) -> Response<Body> {
        if self.statics.is_admin(request.uri().path()) {
            return self.statics.admin(&request).map(Body::from);
        }
        match answer::collected(request, self.body_max).await {
            Ok(request) => self.control.handle(ControlDoor::Operator, request, peer).await.map(Body::from),
            Err(refusal) => answer::refused(&refusal),
        }
    }
}
