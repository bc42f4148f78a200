//! The public door: the API, the WebSocket carrier, the static client. A page of another website is let in only when
//! its origin is allowed (G-35); control checks that for the API, here it is checked for the carrier.

use std::net::IpAddr;
use std::sync::Arc;

use fanlight_control::{Control, Door as ControlDoor};
use fanlight_wire::{Code, Refusal};
use hyper::Response;
use hyper::header::{self, HeaderMap};

use super::{Body, Door, Inbound, answer, presence};
use crate::carrier::admit::Gate;
use crate::carrier::websocket;
use crate::statics::Statics;

/// Where the WebSocket carrier is.
pub const WEBSOCKET_PATH: &str = "/v1/ws";

/// Answers everybody.
#[derive(Debug)]
pub struct Public {
    pub control: Arc<Control>,
    pub gate: Arc<Gate>,
    pub statics: Statics,
    /// Largest body of a request.
    pub body_max: usize,
    /// The proxy in front of this listener says who the client is.
    pub behind_proxy: bool,
}

impl Door for Public {
    async fn answer(&self, request: Inbound, peer: IpAddr) -> Response<Body> {
        let path = request.uri().path();
        if path == WEBSOCKET_PATH {
            self.websocket(request)
        } else if path == presence::PATH && request.headers().contains_key(header::UPGRADE) {
            self.presence(request, peer)
        } else if path == presence::PATH && wants_events(request.headers()) {
            self.events(&request)
        } else if fanlight_control::serves(ControlDoor::Public, path) {
            self.api(request, peer).await
        } else {
            self.statics.answer(&request).map(Body::from)
        }
    }
}

impl Public {
    fn websocket(&self, request: Inbound) -> Response<Body> {
        if !self.lets_in(request.headers()) {
            return answer::refused(&Refusal::new(Code::Origin, "G-35"));
        }
        websocket::upgrade(request, Arc::clone(&self.gate))
    }

    fn presence(&self, request: Inbound, peer: IpAddr) -> Response<Body> {
        if !self.lets_in(request.headers()) {
            return answer::refused(&Refusal::new(Code::Origin, "G-35"));
        }
        let address = self.client(request.headers(), peer);
        presence::upgrade(request, Arc::clone(&self.control), address)
    }

    fn events(&self, request: &Inbound) -> Response<Body> {
        match self.control.events(request) {
            Ok((headers, lines)) => {
                let mut response = Response::new(Body::events(lines));
                *response.headers_mut() = headers;
                response
            }
            Err(refused) => (*refused).map(Body::from),
        }
    }

    /// May the page that opens a socket use the relay?
    fn lets_in(&self, headers: &HeaderMap) -> bool {
        // A browser names the page's origin once; what cannot be read is nobody's origin.
        let origin = headers.contains_key(header::ORIGIN).then(|| answer::header_text(headers, header::ORIGIN));
        let host = answer::header_text(headers, header::HOST).unwrap_or_default();
        self.gate.origin_allowed(origin.map(|text| text.unwrap_or("null")), host)
    }

    fn client(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        if self.behind_proxy { forwarded(headers, peer) } else { peer }
    }

    async fn api(&self, request: Inbound, peer: IpAddr) -> Response<Body> {
        let address = self.client(request.headers(), peer);
        match answer::collected(request, self.body_max).await {
            Ok(request) => self.control.handle(ControlDoor::Public, request, address).await.map(Body::from),
            Err(refusal) => answer::refused(&refusal),
        }
    }
}

/// A stream of events is asked for as browsers do.
fn wants_events(headers: &HeaderMap) -> bool {
    answer::header_text(headers, header::ACCEPT).is_some_and(|kinds| kinds.contains("text/event-stream"))
}

/// The client as the proxy saw it: the last entry, because earlier ones were written by the client itself.
fn forwarded(headers: &HeaderMap, proxy: IpAddr) -> IpAddr {
    let last = headers.get_all("x-forwarded-for").iter().next_back().and_then(|v| v.to_str().ok());
    last.and_then(|list| list.rsplit(',').next()).and_then(|ip| ip.trim().parse().ok()).unwrap_or(proxy)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn a_client_cannot_choose_its_own_address() {
        let proxy: IpAddr = "127.0.0.1".parse().expect("an address");
        let mut headers = HeaderMap::new();
        assert_eq!(forwarded(&headers, proxy), proxy);
        headers.append("x-forwarded-for", HeaderValue::from_static("198.51.100.1, 192.0.2.7"));
        assert_eq!(forwarded(&headers, proxy).to_string(), "192.0.2.7");
        headers.append("x-forwarded-for", HeaderValue::from_static("garbage"));
        assert_eq!(forwarded(&headers, proxy), proxy);
    }
}
