//! Signalling over WHIP and WHEP (RFC 9725 and its sibling), and the plain HTTP/1.1 that it needs: one request per connection,
//! blocking, because joining is done by threads of its own.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use super::handshake::{Handshake, HandshakeError};
use super::sdp::{self, Direction, SdpError};
use super::simulcast::Layers;
use super::source::Load;
use super::swarm::{Member, Plan};
use super::udp::Port;
use super::watcher::Manner;
use crate::clock;

/// An answer takes no longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of an answer.
const ANSWER_MAX: u64 = 256 * 1024;
/// How often a full server is asked again, and after how long.
const KNOCKS: usize = 40;
const KNOCK_AGAIN: Duration = Duration::from_millis(500);
/// Socket buffers of a subscriber, and of a publisher.
const BUFFER_BYTES: usize = 1 << 20;

/// A client could not join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error("{0} is no http:// address")]
    Url(String),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the answer is not HTTP")]
    Http,
    #[error("status {status}: {body}")]
    Refused { status: u16, body: String },
    #[error(transparent)]
    Sdp(#[from] SdpError),
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    #[error("a handshake failed, or chose what is not spoken here: {0:?}")]
    Unkeyed(String),
    #[error("{0} clients did not get connected")]
    Absent(usize),
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub location: Option<String>,
    pub body: String,
}

/// Sends one request.
///
/// # Errors
/// [`JoinError`] when there is no answer; a status is not an error here.
pub fn request(method: &str, url: &str, bearer: Option<&str>, content: &str, body: &str) -> Result<Reply, JoinError> {
    let rest = url.strip_prefix("http://").ok_or_else(|| JoinError::Url(url.to_owned()))?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut stream = TcpStream::connect(host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let authority = bearer.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let head = format!(
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\n{authority}Content-Type: {content}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    let mut bytes = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut bytes)?;
    read(&bytes).ok_or(JoinError::Http)
}

/// Sends a `POST`, again after a while when the server is full: it says so while its measured load is high.
///
/// # Errors
/// [`JoinError`] when there is no answer; a status is not an error here.
pub fn knock(url: &str, bearer: Option<&str>, content: &str, body: &str) -> Result<Reply, JoinError> {
    let mut reply = request("POST", url, bearer, content, body)?;
    for _ in 0..KNOCKS {
        if reply.status != 503 {
            break;
        }
        std::thread::sleep(KNOCK_AGAIN);
        reply = request("POST", url, bearer, content, body)?;
    }
    Ok(reply)
}

fn read(bytes: &[u8]) -> Option<Reply> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let chunked = header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let body = if chunked { unchunk(body)? } else { body.to_owned() };
    Some(Reply { status, location: header("location"), body })
}

/// RFC 9112 §7.1, for text.
fn unchunk(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.push_str(after.get(..size)?);
        rest = after.get(size + 2..)?;
    }
}

/// Which of its addresses a client is at.
pub fn own_address(toward: Ipv4Addr) -> Ipv4Addr {
    let probe = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0));
    let local = probe.and_then(|probe| probe.connect((toward, 9)).and_then(|()| probe.local_addr()));
    match local.map(|local| local.ip()) {
        Ok(std::net::IpAddr::V4(ip)) => ip,
        _ => Ipv4Addr::LOCALHOST,
    }
}

/// A door of a server: where to publish or watch, and with what right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Door {
    pub url: String,
    pub token: Option<String>,
}

impl Door {
    /// Joins as a publisher.
    ///
    /// # Errors
    /// [`JoinError`].
    pub fn publish(&self, load: Load, join: bool) -> Result<Member, JoinError> {
        let ssrc = fastrand::u32(1 << 16..);
        self.enter(Direction::Send { ssrc, rtx: ssrc ^ 1 }, true, |answer| {
            let payload_type = sdp::payload_types(answer).0.unwrap_or(super::rtp::PT_VP8);
            Plan::Publish { load, ssrc, payload_type, join }
        })
    }

    /// Joins as a publisher of several encodings.
    ///
    /// # Errors
    /// [`JoinError`].
    pub fn publish_simulcast(&self, layers: Layers) -> Result<Member, JoinError> {
        self.enter(Direction::Simulcast { count: layers.count() }, true, |answer| {
            let payload_type = sdp::payload_types(answer).0.unwrap_or(super::rtp::PT_VP8);
            Plan::Simulcast { layers, payload_type }
        })
    }

    /// Joins as a subscriber.
    ///
    /// # Errors
    /// [`JoinError`].
    pub fn watch(&self, manner: Manner) -> Result<Member, JoinError> {
        self.enter(Direction::Receive, manner.feedback, |answer| Plan::Watch {
            manner,
            rtx: sdp::payload_types(answer).1,
        })
    }

    fn enter(
        &self,
        direction: Direction,
        feedback: bool,
        plan: impl FnOnce(&str) -> Plan,
    ) -> Result<Member, JoinError> {
        let began_us = clock::now_us();
        let host = self.url.strip_prefix("http://").and_then(|rest| rest.split([':', '/']).next());
        let toward = host.and_then(|host| host.parse().ok()).unwrap_or(Ipv4Addr::LOCALHOST);
        let port = Port::open(own_address(toward), BUFFER_BYTES)?;
        let mut handshake = Handshake::new(clock::now(), port.local(), true);
        let offer = sdp::offer(&handshake.party(None), direction, feedback);
        let reply = knock(&self.url, self.token.as_deref(), "application/sdp", &offer)?;
        if reply.status != 201 {
            return Err(JoinError::Refused { status: reply.status, body: reply.body });
        }
        let remote = sdp::party(&reply.body)?;
        // Who answers `active` is the DTLS client; any other answer leaves that to us.
        handshake.begin(clock::now(), &remote, remote.active != Some(true))?;
        let mut member = Member::new(port, handshake, plan(&reply.body), began_us);
        member.resource = reply.location.as_deref().map(|location| self.beside(location));
        Ok(member)
    }

    /// Another address of the same server, with the same right.
    fn beside(&self, location: &str) -> Self {
        let authority = self
            .url
            .match_indices('/')
            .nth(2)
            .map_or(self.url.as_str(), |(at, _)| self.url.get(..at).unwrap_or_default());
        let url = if location.starts_with('/') { format!("{authority}{location}") } else { location.to_owned() };
        Self { url, token: self.token.clone() }
    }

    /// Ends the resource that this door is.
    ///
    /// # Errors
    /// [`JoinError`] when there is no answer.
    pub fn leave(&self) -> Result<u16, JoinError> {
        request("DELETE", &self.url, self.token.as_deref(), "text/plain", "").map(|reply| reply.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_beside_its_door() {
        let door = Door { url: "http://127.0.0.1:7700/v1/sessions/0/whep?source=camera".into(), token: None };
        assert_eq!(door.beside("/v1/sessions/0/whep/1").url, "http://127.0.0.1:7700/v1/sessions/0/whep/1");
        assert_eq!(door.beside("http://other/r").url, "http://other/r");
    }

    #[test]
    fn replies_are_read_with_and_without_chunks() {
        let plain = read(b"HTTP/1.1 201 Created\r\nLocation: /r/1\r\nContent-Length: 3\r\n\r\nv=0").expect("a reply");
        assert_eq!((plain.status, plain.location.as_deref(), plain.body.as_str()), (201, Some("/r/1"), "v=0"));
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nv=\r\n1\r\n0\r\n0\r\n\r\n";
        assert_eq!(read(chunked).expect("a reply").body, "v=0");
        assert_eq!(read(b"nonsense"), None);
    }
}
