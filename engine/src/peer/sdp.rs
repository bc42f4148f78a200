//! An offer, judged line by line before anything acts on it (RFC 8866, RFC 8839, RFC 8842, RFC 8122).
//!
//! Invariant: an [`Offer`] names no address. Candidates are struck out, so the relay can never be made to probe what a
//! client names; it learns where a client is from the client's own checks.

use fanlight_wire::limits::{MEDIA_SECTIONS_MAX, SIGNAL_BYTES_MAX, SSRC_MAX};
use fanlight_wire::{Code, Refusal};

/// An offer that may be handed to the WebRTC stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    /// Without candidates, and with SHA-256 as the only fingerprint.
    pub(super) text: String,
    pub(super) fingerprint: String,
    pub(super) ufrag: String,
    pub(super) password: String,
    /// The names of its media sections, in order.
    pub(super) mids: Vec<String>,
    /// The sources it names (RFC 5576 §4.1), at most [`SSRC_MAX`].
    pub(super) ssrcs: Vec<u32>,
}

impl Offer {
    pub(super) fn read(sdp: &str) -> Result<Self, Refusal> {
        if sdp.len() > SIGNAL_BYTES_MAX {
            return Err(refuse("The media offer is too large."));
        }
        if !sdp.starts_with("v=0") {
            return Err(refuse("The media offer is not a session description: it does not begin with v=0."));
        }
        check_sections(sdp)?;
        check_roles(sdp)?;
        let mids: Vec<_> = values(sdp, "a=mid:").map(str::to_owned).collect();
        if mids.len() != values(sdp, "m=").count() {
            return Err(refuse("Every media section of the offer needs an a=mid line."));
        }
        Ok(Self {
            fingerprint: fingerprint_of(sdp).ok_or_else(|| refuse("The media offer has no SHA-256 fingerprint."))?,
            ufrag: credential(sdp, "a=ice-ufrag:", 4)?,
            password: credential(sdp, "a=ice-pwd:", 22)?,
            mids,
            ssrcs: sources(sdp),
            text: without_addresses(sdp),
        })
    }
}

/// The SHA-256 fingerprint of the offer's first section, upper case. Two offers of the same PeerConnection share it.
pub fn fingerprint_of(sdp: &str) -> Option<String> {
    values(sdp, "a=fingerprint:").find_map(sha_256).map(str::to_ascii_uppercase)
}

fn sources(sdp: &str) -> Vec<u32> {
    let named = values(sdp, "a=ssrc:").filter_map(|value| value.split(' ').next()?.parse().ok());
    let distinct: std::collections::BTreeSet<u32> = named.collect();
    distinct.into_iter().take(SSRC_MAX).collect()
}

fn sha_256(value: &str) -> Option<&str> {
    let (algorithm, digest) = value.split_once(' ')?;
    algorithm.eq_ignore_ascii_case("sha-256").then_some(digest.trim())
}

fn check_sections(sdp: &str) -> Result<(), Refusal> {
    let mut sections = 0;
    for section in values(sdp, "m=") {
        let mut words = section.split_ascii_whitespace();
        let (kind, _port, protocol) = (words.next(), words.next(), words.next());
        if kind == Some("application") {
            return Err(refuse("Data channels are not used here; leave them out of the offer."));
        }
        if !matches!(kind, Some("audio" | "video")) {
            return Err(refuse("A media section of the offer is neither audio nor video."));
        }
        if protocol != Some("UDP/TLS/RTP/SAVPF") {
            return Err(refuse("A media section of the offer does not use UDP/TLS/RTP/SAVPF."));
        }
        sections += 1;
    }
    match sections {
        0 => Err(refuse("The media offer has no media section.")),
        1..=MEDIA_SECTIONS_MAX => Ok(()),
        _ => Err(refuse("The media offer has too many media sections.")),
    }
}

/// The relay is always the DTLS server and the controlled ICE agent (RFC 8842 §5.3, RFC 8445 §6.1.1).
fn check_roles(sdp: &str) -> Result<(), Refusal> {
    if values(sdp, "a=setup:").any(|setup| !matches!(setup, "actpass" | "active")) {
        return Err(refuse("The offer must let the relay be the DTLS server: a=setup:actpass or active."));
    }
    if sdp.lines().any(|line| line.trim_end() == "a=ice-lite") {
        return Err(refuse("The offer must come from a full ICE agent; a=ice-lite cannot be served."));
    }
    Ok(())
}

fn credential(sdp: &str, prefix: &'static str, shortest: usize) -> Result<String, Refusal> {
    let first = values(sdp, prefix).next().unwrap_or_default();
    // RFC 8839 §5.4: ice-char only, at most 256 of them.
    let legal = first.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_' | b'='));
    if first.len() < shortest || first.len() > 256 || !legal {
        return Err(refuse("The media offer has no usable ICE credentials."));
    }
    if values(sdp, prefix).any(|other| other != first) {
        return Err(refuse("All media sections of the offer must share one transport (BUNDLE)."));
    }
    Ok(first.to_owned())
}

fn without_addresses(sdp: &str) -> String {
    const STRUCK: [&str; 3] = ["a=candidate:", "a=remote-candidates:", "a=end-of-candidates"];
    let keep = |line: &&str| {
        let other_hash = line.strip_prefix("a=fingerprint:").is_some_and(|value| sha_256(value).is_none());
        !line.is_empty() && !other_hash && !STRUCK.iter().any(|struck| line.starts_with(struck))
    };
    sdp.lines().map(str::trim_end).filter(keep).flat_map(|line| [line, "\r\n"]).collect()
}

fn values<'a>(sdp: &'a str, prefix: &'static str) -> impl Iterator<Item = &'a str> + use<'a> {
    sdp.lines().filter_map(move |line| line.strip_prefix(prefix)).map(str::trim)
}

/// An offer that cannot be used, with the reason for whoever wrote the client.
pub(super) fn refuse(sentence: &'static str) -> Refusal {
    Refusal::new(Code::Sdp, "RFC 8829").saying(sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n\
        a=fingerprint:sha-512 AA\r\na=fingerprint:sha-256 ab:cd\r\na=setup:actpass\r\na=mid:0\r\n\
        a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=end-of-candidates\r\na=rtpmap:96 VP8/90000\r\n";

    #[test]
    fn an_offer_loses_its_addresses_and_keeps_the_rest() {
        let offer = Offer::read(GOOD).expect("a good offer");
        assert!(!offer.text.contains("candidate") && !offer.text.contains("sha-512"), "{}", offer.text);
        assert!(offer.text.ends_with("a=rtpmap:96 VP8/90000\r\n"));
        assert_eq!((offer.fingerprint.as_str(), offer.ufrag.as_str()), ("AB:CD", "abcd"));
        assert_eq!(offer.mids, ["0"]);
    }

    #[test]
    fn what_cannot_be_served_is_refused_with_a_sentence() {
        let many = GOOD.to_owned() + &"m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n".repeat(MEDIA_SECTIONS_MAX);
        let cases = [
            ("", "v=0"),
            (&GOOD.replace("m=video", "m=application"), "Data channels"),
            (&GOOD.replace("m=video", "m=text"), "neither audio nor video"),
            (&GOOD.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "SAVPF"),
            (&GOOD.replace("actpass", "passive"), "DTLS server"),
            (&GOOD.replace("a=setup", "a=ice-lite\r\na=setup"), "ice-lite"),
            (&GOOD.replace("sha-256", "sha-1"), "SHA-256"),
            (&GOOD.replace("a=ice-pwd", "a=x"), "ICE credentials"),
            (&GOOD.replace("a=mid:0", "a=x:0"), "a=mid"),
            (&format!("{GOOD}a=ice-ufrag:other\r\n"), "BUNDLE"),
            (&many, "too many"),
            (&format!("v=0{}", " ".repeat(SIGNAL_BYTES_MAX)), "too large"),
        ];
        for (sdp, expected) in cases {
            let refusal = Offer::read(sdp).expect_err(expected);
            assert!(refusal.code == Code::Sdp && refusal.sentence.contains(expected), "{refusal}");
        }
    }
}
