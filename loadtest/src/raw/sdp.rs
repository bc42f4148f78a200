//! Descriptions of one media section, written and read by hand: the generator needs a dozen lines of SDP, and servers of every
//! make must understand them.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::rtp::{EXT_MID, EXT_RID, EXT_TRANSPORT, PT_RTX, PT_VP8};

/// Names of simulcast encodings, the smallest first; the same as browsers are told by the widget.
pub const RIDS: [u8; 3] = *b"qhf";

/// How one side is reached and known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    pub ufrag: String,
    pub password: String,
    /// As in `a=fingerprint`: hash function, space, hexadecimal pairs with colons.
    pub fingerprint: String,
    pub candidates: Vec<SocketAddrV4>,
    /// Is this side the DTLS client? `None` in an offer that leaves it open.
    pub active: Option<bool>,
}

/// What the section is to carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The own video, with its SSRC and that of its repairs.
    Send {
        ssrc: u32,
        rtx: u32,
    },
    /// The own video in so many encodings, named by [`RIDS`].
    Simulcast {
        count: usize,
    },
    Receive,
}

/// The description could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SdpError {
    #[error("the description has no {0}")]
    Missing(&'static str),
}

/// An offer of one video section with bundling. `feedback` asks for transport-wide feedback and numbers.
pub fn offer(own: &Party, direction: Direction, feedback: bool) -> String {
    let mut sdp = String::from("v=0\r\no=- 7391 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n");
    sdp.push_str(&format!(
        "m=video 9 UDP/TLS/RTP/SAVPF {PT_VP8} {PT_RTX}\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n"
    ));
    identity(&mut sdp, own);
    sdp.push_str(&format!("a=mid:0\r\na=extmap:{EXT_MID} urn:ietf:params:rtp-hdrext:sdes:mid\r\n"));
    if feedback {
        let uri = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
        sdp.push_str(&format!("a=extmap:{EXT_TRANSPORT} {uri}\r\n"));
    }
    let way = if matches!(direction, Direction::Receive) { "recvonly" } else { "sendonly" };
    sdp.push_str(&format!("a={way}\r\n"));
    match direction {
        Direction::Send { ssrc, .. } => sdp.push_str(&format!("a=msid:load screen-{ssrc}\r\n")),
        Direction::Simulcast { .. } => {
            sdp.push_str(&format!("a=extmap:{EXT_RID} urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n"));
            sdp.push_str("a=msid:load camera\r\n");
        }
        Direction::Receive => {}
    }
    sdp.push_str(&format!("a=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:{PT_VP8} VP8/90000\r\n"));
    let kinds = ["nack", "nack pli", "ccm fir"].into_iter().chain(feedback.then_some("transport-cc"));
    kinds.for_each(|kind| {
        sdp.push_str(&format!("a=rtcp-fb:{PT_VP8} {kind}\r\n"));
    });
    sdp.push_str(&format!("a=rtpmap:{PT_RTX} rtx/90000\r\na=fmtp:{PT_RTX} apt={PT_VP8}\r\n"));
    match direction {
        Direction::Send { ssrc, rtx } => sdp.push_str(&format!(
            "a=ssrc-group:FID {ssrc} {rtx}\r\na=ssrc:{ssrc} cname:load\r\na=ssrc:{rtx} cname:load\r\n"
        )),
        Direction::Simulcast { count } => {
            let names: Vec<String> = RIDS.iter().take(count).map(|rid| char::from(*rid).to_string()).collect();
            names.iter().for_each(|name| sdp.push_str(&format!("a=rid:{name} send\r\n")));
            sdp.push_str(&format!("a=simulcast:send {}\r\n", names.join(";")));
        }
        Direction::Receive => {}
    }
    candidates(&mut sdp, own);
    sdp
}

/// An answer that accepts everything that `offer` sends.
pub fn answer(offer: &str, own: &Party) -> String {
    let mut sdp = String::from("v=0\r\no=- 7391 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n");
    let session = offer.lines().take_while(|line| !line.starts_with("m="));
    session.filter(|line| line.starts_with("a=group:")).for_each(|line| {
        sdp.push_str(&format!("{line}\r\n"));
    });
    for line in offer.lines().skip_while(|line| !line.starts_with("m=")) {
        let kept = ["m=", "a=mid:", "a=rtpmap:", "a=fmtp:", "a=rtcp-fb:", "a=extmap:", "a=rtcp-mux"];
        if line.starts_with("m=") {
            sdp.push_str(&format!("{line}\r\nc=IN IP4 0.0.0.0\r\na=recvonly\r\n"));
            identity(&mut sdp, own);
            candidates(&mut sdp, own);
        } else if kept.iter().any(|start| line.starts_with(start)) {
            sdp.push_str(&format!("{line}\r\n"));
        }
    }
    sdp
}

fn identity(sdp: &mut String, own: &Party) {
    let setup = match own.active {
        None => "actpass",
        Some(true) => "active",
        Some(false) => "passive",
    };
    let Party { ufrag, password, fingerprint, .. } = own;
    sdp.push_str(&format!(
        "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\na=fingerprint:{fingerprint}\r\na=setup:{setup}\r\n"
    ));
}

fn candidates(sdp: &mut String, own: &Party) {
    for (at, candidate) in own.candidates.iter().enumerate() {
        let (ip, port) = (candidate.ip(), candidate.port());
        sdp.push_str(&format!("a=candidate:{at} 1 udp 2130706431 {ip} {port} typ host\r\n"));
    }
    sdp.push_str("a=end-of-candidates\r\n");
}

/// Reads the other side's description.
///
/// # Errors
/// [`SdpError`] names what is missing.
pub fn party(sdp: &str) -> Result<Party, SdpError> {
    let value = |name: &'static str| {
        let found = sdp.lines().find_map(|line| line.strip_prefix("a=")?.strip_prefix(name)?.strip_prefix(':'));
        found.map(|found| found.trim().to_owned()).ok_or(SdpError::Missing(name))
    };
    let active = match value("setup")?.as_str() {
        "active" => Some(true),
        "passive" => Some(false),
        _ => None,
    };
    let candidates: Vec<_> = sdp.lines().filter_map(candidate).collect();
    if candidates.is_empty() {
        return Err(SdpError::Missing("UDP candidate with an IPv4 address"));
    }
    let (ufrag, password, fingerprint) = (value("ice-ufrag")?, value("ice-pwd")?, value("fingerprint")?);
    Ok(Party { ufrag, password, fingerprint, candidates, active })
}

/// The payload type of VP8 in a description, and that of its repairs.
pub fn payload_types(sdp: &str) -> (Option<u8>, Option<u8>) {
    let kind = |name: &str| {
        sdp.lines().find_map(|line| {
            let (number, format) = line.strip_prefix("a=rtpmap:")?.split_once(' ')?;
            format.to_ascii_lowercase().starts_with(name).then(|| number.parse().ok())?
        })
    };
    (kind("vp8/"), kind("rtx/"))
}

fn candidate(line: &str) -> Option<SocketAddrV4> {
    let mut words = line.strip_prefix("a=candidate:")?.split_whitespace();
    let (component, transport) = (words.nth(1)?, words.next()?);
    let ip: Ipv4Addr = words.nth(1)?.parse().ok()?;
    let port = words.next()?.parse().ok()?;
    (component == "1" && transport.eq_ignore_ascii_case("udp")).then(|| SocketAddrV4::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Party {
        let candidates = vec![SocketAddrV4::new(Ipv4Addr::LOCALHOST, 4_000)];
        let word = |text: &str| text.to_owned();
        Party { ufrag: word("u"), password: word("p"), fingerprint: word("sha-256 AB:CD"), candidates, active: None }
    }

    #[test]
    fn an_offer_reads_back() {
        let sdp = offer(&own(), Direction::Send { ssrc: 5, rtx: 6 }, true);
        assert_eq!(party(&sdp).expect("readable"), own());
        assert_eq!(payload_types(&sdp), (Some(PT_VP8), Some(PT_RTX)));
        let reply = answer(&sdp, &Party { active: Some(true), ..own() });
        assert_eq!(party(&reply).expect("readable").active, Some(true));
        assert!(reply.contains("a=mid:0\r\n") && reply.contains("a=recvonly\r\n") && !reply.contains("ssrc"));
        assert!(party("v=0\r\n").is_err());
        let simulcast = offer(&own(), Direction::Simulcast { count: 2 }, true);
        let rids = "a=rid:q send\r\na=rid:h send\r\na=simulcast:send q;h\r\n";
        assert!(simulcast.contains(rids) && !simulcast.contains("a=ssrc"), "{simulcast}");
    }
}
