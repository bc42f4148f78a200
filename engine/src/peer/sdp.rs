//! An offer, judged line by line before anything acts on it (RFC 8866, RFC 8839, RFC 8842, RFC 8122).
//!
//! Invariant: an [`Offer`] names no address. Candidates are struck out, so the relay can never be made to probe what a
//! client names; it learns where a client is from the client's own checks.

use fanlight_wire::limits::{MEDIA_SECTIONS_MAX, SIGNAL_BYTES_MAX, SSRC_MAX};
use fanlight_wire::{Code, Refusal};

/// Longest name of an encoding.
const RID_BYTES_MAX: usize = 32;

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
    pub(super) sources: Vec<Declared>,
    /// The names of encodings that its sections send, in its order; their sources are named in their packets only (RFC
    /// 8853).
    pub(super) rids: Vec<(usize, String)>,
    /// Two-byte header extensions may be sent (RFC 8285 §6).
    pub(super) mixed_extensions: bool,
    /// The client reads our estimate of its path (draft-alvestrand-rmcat-remb-03) and makes none of its own from
    /// transport-wide feedback.
    pub(super) reads_remb: bool,
}

/// A source that an offer names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) ssrc: u32,
    /// Its media section, counted from 0.
    pub(crate) section: usize,
    /// Which of the simulcast encodings it carries or repairs, counted from 0 in the order of the offer.
    pub(crate) layer: usize,
    /// The source whose packets it repeats (RFC 4588, RFC 5576 §4.2).
    pub(crate) repairs: Option<u32>,
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
            sources: sources(sdp),
            rids: rids(sdp),
            mixed_extensions: sdp.lines().any(|line| line.trim_end() == "a=extmap-allow-mixed"),
            reads_remb: feedback(sdp, "goog-remb") && !feedback(sdp, "transport-cc"),
            text: without_addresses(sdp),
        })
    }
}

/// The SHA-256 fingerprint of the offer's first section, upper case. Two offers of the same PeerConnection share it.
pub fn fingerprint_of(sdp: &str) -> Option<String> {
    values(sdp, "a=fingerprint:").find_map(sha_256).map(str::to_ascii_uppercase)
}

/// Does any format of the offer read this kind of feedback (RFC 4585 §4.2)?
fn feedback(sdp: &str, kind: &str) -> bool {
    values(sdp, "a=rtcp-fb:").any(|value| value.split_ascii_whitespace().nth(1) == Some(kind))
}

fn rids(sdp: &str) -> Vec<(usize, String)> {
    let named = sdp.split("\nm=").skip(1).enumerate().flat_map(|(section, text)| {
        values(text, "a=rid:").filter_map(move |value| {
            let mut words = value.split_ascii_whitespace();
            let name = words.next()?;
            (words.next() == Some("send") && name.len() <= RID_BYTES_MAX).then(|| (section, name.to_owned()))
        })
    });
    named.take(SSRC_MAX).collect()
}

fn sources(sdp: &str) -> Vec<Declared> {
    let mut found: Vec<Declared> = Vec::new();
    for (section, text) in sdp.split("\nm=").skip(1).enumerate() {
        let groups = |semantics: &'static str| {
            values(text, "a=ssrc-group:").filter_map(move |value| {
                let members = value.strip_prefix(semantics)?.split_ascii_whitespace();
                Some(members.filter_map(|ssrc| ssrc.parse::<u32>().ok()).take(SSRC_MAX).collect::<Vec<_>>())
            })
        };
        let layers: Vec<u32> = groups("SIM ").next().unwrap_or_default();
        let repairs = |ssrc: u32| {
            groups("FID ").find_map(|pair| match pair.as_slice() {
                [main, repair] if *repair == ssrc => Some(*main),
                _ => None,
            })
        };
        for ssrc in values(text, "a=ssrc:").filter_map(|value| value.split(' ').next()?.parse().ok()) {
            if found.len() < SSRC_MAX && found.iter().all(|declared| declared.ssrc != ssrc) {
                let repairs = repairs(ssrc);
                let layer = layers.iter().position(|layer| *layer == repairs.unwrap_or(ssrc)).unwrap_or_default();
                found.push(Declared { ssrc, section, layer, repairs });
            }
        }
    }
    found
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
    fn sources_are_found_in_their_sections_with_their_roles() {
        let named = GOOD.to_owned()
            + "a=ssrc-group:SIM 1 2\r\na=ssrc-group:FID 1 11\r\na=ssrc-group:FID 2 12\r\na=ssrc:1 cname:x\r\n\
               a=ssrc:1 msid:a b\r\na=ssrc:2 cname:x\r\na=ssrc:11 cname:x\r\na=ssrc:12 cname:x\r\n\
               m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\na=ssrc:5 cname:x\r\n";
        let offer = Offer::read(&named).expect("a good offer");
        let found: Vec<_> = offer.sources.iter().map(|s| (s.ssrc, s.section, s.layer, s.repairs)).collect();
        assert_eq!(
            found,
            [(1, 0, 0, None), (2, 0, 1, None), (11, 0, 0, Some(1)), (12, 0, 1, Some(2)), (5, 1, 0, None)]
        );
        let simulcast = Offer::read(&format!("{GOOD}a=rid:q send\r\na=rid:f send pt=96\r\na=rid:r recv\r\n"));
        assert_eq!(simulcast.expect("good").rids, [(0, "q".to_owned()), (0, "f".to_owned())]);
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
