//! The text of a WHIP or WHEP offer, and of the fragments that change its ICE credentials (RFC 9725 §4.2–4.4, RFC 8840).
//!
//! Owns what these two protocols ask of an offer beyond what every offer must be ([`crate::peer`] judges that): one
//! section per kind, all in one direction. Total over hostile text.

use fanlight_wire::resource::ResourceKind;
use fanlight_wire::{Code, Refusal};

/// An offer whose sections all flow as its kind says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    pub(super) text: String,
    pub(super) video_mid: Option<String>,
    pub(super) audio_mid: Option<String>,
}

/// A client's new ICE credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Credentials<'a> {
    pub(super) ufrag: &'a str,
    pub(super) password: &'a str,
}

const UFRAG: &str = "a=ice-ufrag:";
const PASSWORD: &str = "a=ice-pwd:";
const DIRECTIONS: [&str; 4] = ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"];

impl Offer {
    /// Reads an offer. A section that says both directions, or none, is taken as the one that is meant.
    ///
    /// # Errors
    /// `E_SDP` when a section flows the wrong way or there is more than one of a kind.
    pub(super) fn read(kind: ResourceKind, sdp: &str) -> Result<Self, Refusal> {
        let (ours, wrong) = match kind {
            ResourceKind::Whip => ("a=sendonly", "a=recvonly"),
            ResourceKind::Whep => ("a=recvonly", "a=sendonly"),
        };
        let mut offer = Self { text: String::with_capacity(sdp.len() + 32), video_mid: None, audio_mid: None };
        let mut section: Option<&str> = None;
        let mut seen: Vec<&str> = Vec::new();
        for line in sdp.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            if let Some(media) = line.strip_prefix("m=") {
                let named = media.split(' ').next().unwrap_or_default();
                if seen.contains(&named) {
                    return Err(refuse("An offer has at most one section of each kind, audio and video."));
                }
                seen.push(named);
                section = Some(named);
                offer.line(line);
                continue;
            }
            if line == wrong {
                return Err(refuse(match kind {
                    ResourceKind::Whip => "What is published is sent: use a=sendonly.",
                    ResourceKind::Whep => "What is watched is received: use a=recvonly.",
                }));
            }
            if DIRECTIONS.contains(&line) {
                continue;
            }
            offer.line(line);
            if let Some(mid) = line.strip_prefix("a=mid:") {
                offer.line(ours);
                match section {
                    Some("video") => offer.video_mid = Some(mid.to_owned()),
                    Some("audio") => offer.audio_mid = Some(mid.to_owned()),
                    _ => {}
                }
            }
        }
        Ok(offer)
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push_str("\r\n");
    }
}

/// The ICE credentials that a text names first.
pub(super) fn credentials(text: &str) -> Option<Credentials<'_>> {
    let first = |prefix| text.lines().find_map(|line| line.strip_prefix(prefix)).map(str::trim);
    Some(Credentials { ufrag: first(UFRAG)?, password: first(PASSWORD)? })
}

/// The same offer with other ICE credentials: what the client would offer to restart ICE.
pub(super) fn restarted(offer: &str, fresh: Credentials<'_>) -> String {
    let renew = |line: &str| match line {
        line if line.starts_with(UFRAG) => format!("{UFRAG}{}\r\n", fresh.ufrag),
        line if line.starts_with(PASSWORD) => format!("{PASSWORD}{}\r\n", fresh.password),
        line => format!("{line}\r\n"),
    };
    offer.lines().map(renew).collect()
}

/// What a client needs of an answer to go on after a restart (RFC 8840 §9): credentials, then the first section's
/// candidates, which are those of the whole bundle.
pub(super) fn fragment(answer: &str) -> String {
    let once = [UFRAG, PASSWORD, "m=", "a=mid:"];
    let first = once.iter().filter_map(|prefix| answer.lines().find(|line| line.starts_with(prefix)));
    let mut kept: Vec<&str> = first.map(str::trim_end).collect();
    for line in answer.lines().map(str::trim_end).filter(|line| line.starts_with("a=candidate:")) {
        if !kept.contains(&line) {
            kept.push(line);
        }
    }
    kept.push("a=end-of-candidates");
    kept.into_iter().flat_map(|line| [line, "\r\n"]).collect()
}

fn refuse(sentence: &'static str) -> Refusal {
    Refusal::new(Code::Sdp, "RFC 9725 §4.4").saying(sentence)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:a\r\na=sendrecv\r\na=ice-ufrag:old1\r\na=ice-pwd:p1\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\na=ice-ufrag:old1\r\na=ice-pwd:p1\r\n";

    #[test]
    fn every_section_flows_as_its_kind_says() {
        let offer = Offer::read(ResourceKind::Whip, OFFER).expect("a good offer");
        assert_eq!((offer.video_mid.as_deref(), offer.audio_mid.as_deref()), (Some("v"), Some("a")));
        assert_eq!(offer.text.matches("a=sendonly\r\n").count(), 2);
        assert!(!offer.text.contains("a=sendrecv"));
        let watched = Offer::read(ResourceKind::Whep, OFFER).expect("a good offer");
        assert_eq!(watched.text.matches("a=recvonly\r\n").count(), 2);
    }

    #[test]
    fn the_wrong_way_and_a_second_picture_are_refused() {
        let backwards = OFFER.replace("a=sendrecv", "a=recvonly");
        let twice = format!("{OFFER}m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:w\r\n");
        for (sdp, expected) in [(backwards, "a=sendonly"), (twice, "at most one")] {
            let refusal = Offer::read(ResourceKind::Whip, &sdp).expect_err(expected);
            assert!(refusal.code == Code::Sdp && refusal.sentence.contains(expected), "{refusal}");
        }
    }

    #[test]
    fn a_restart_changes_the_credentials_and_nothing_else() {
        let fresh = Credentials { ufrag: "new2", password: "p2" };
        let again = restarted(OFFER, fresh);
        assert_eq!(again.replace("new2", "old1").replace("p2", "p1"), OFFER);
        assert_eq!(credentials(&again), Some(fresh));
        assert_eq!(credentials("a=ice-ufrag:x"), None);
    }

    #[test]
    fn a_fragment_holds_what_ice_needs() {
        let answer = format!("{OFFER}a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=rtpmap:96 VP8/90000\r\n");
        let fragment = fragment(&answer);
        let wanted = "a=ice-ufrag:old1\r\na=ice-pwd:p1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:a\r\n\
            a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=end-of-candidates\r\n";
        assert_eq!(fragment, wanted);
    }
}
