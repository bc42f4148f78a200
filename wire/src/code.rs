//! The one list of refusal and close codes: its name on the wire, HTTP status, close code, metric label and the
//! sentence a person reads. Kept in step with `docs/protocol.md` by `tests/tidy`.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $label:literal, $http:literal, $close:literal, $sentence:literal;)+) => {
        /// Why something was refused or ended.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $label)] $name,)+
        }

        impl Code {
            /// Every code, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Name on the wire and label in metrics, for example `E_STATE`.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)+ }
            }

            /// HTTP status of an answer that carries this code.
            pub const fn http_status(self) -> u16 {
                match self { $(Self::$name => $http,)+ }
            }

            /// Close code of a WebSocket (RFC 6455 §7.4.2, private range) and of a WebTransport session.
            pub const fn close_code(self) -> u16 {
                match self { $(Self::$name => $close,)+ }
            }

            /// What it means and what to do, for a person.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)+ }
            }
        }
    };
}

codes! {
    /// The session ended in an orderly way.
    Ended = "E_ENDED", 410, 4000, "The session has ended.";
    BadFrame = "E_FRAME", 400, 4001, "A frame could not be read. Reload the page; if it happens again, the client and the relay do not match.";
    BadSignal = "E_SIGNAL", 400, 4002, "A message could not be read. Reload the page; if it happens again, the client and the relay do not match.";
    Schema = "E_SCHEMA", 426, 4003, "This page speaks another version of the protocol. Reload it to get the current one.";
    Ticket = "E_TICKET", 401, 4004, "The ticket is not valid or has expired. Ask for a new one.";
    Resume = "E_RESUME", 401, 4005, "This connection can no longer be resumed. Join again with a new key.";
    Session = "E_SESSION", 404, 4006, "There is no such session, or it has ended.";
    Full = "E_FULL", 409, 4007, "The session has as many participants as it may have.";
    State = "E_STATE", 409, 4008, "That is not possible right now: the other side has not joined, or it has already happened.";
    Role = "E_ROLE", 403, 4009, "Your role in this session does not allow that.";
    Capability = "E_CAPABILITY", 403, 4010, "Your account is not allowed to do that. Ask your administrator.";
    Mode = "E_MODE", 403, 4011, "The current mode does not allow that.";
    Lease = "E_LEASE", 403, 4012, "Control of the page has not been granted.";
    Consent = "E_CONSENT", 403, 4013, "The visitor has not agreed, or has said no.";
    StaleEpoch = "E_EPOCH", 409, 4014, "The page has changed in the meantime.";
    StaleMask = "E_MASK", 409, 4015, "The rules for hiding content have changed in the meantime.";
    Gap = "E_GAP", 409, 4016, "A part of the page's changes is missing; a fresh copy was asked for.";
    Rate = "E_RATE", 429, 4017, "Too much in too short a time. Slow down and try again.";
    Size = "E_SIZE", 413, 4018, "That is larger than allowed.";
    Level = "E_LEVEL", 403, 4019, "Your group's feature level does not include that. Ask your administrator.";
    Surface = "E_SURFACE", 403, 4020, "That kind of screen may not be shared. Choose one of the allowed kinds and share again.";
    Grant = "E_GRANT", 403, 4021, "The invitation is no longer open.";
    Busy = "E_BUSY", 409, 4022, "Somebody else is holding that.";
    Key = "E_KEY", 404, 4023, "This key is not valid. Check the digits or ask the visitor for a new key.";
    Login = "E_LOGIN", 401, 4024, "Please sign in again.";
    Origin = "E_ORIGIN", 403, 4025, "This website is not allowed to use this relay. Add its origin to the configuration.";
    Draining = "E_DRAIN", 503, 4026, "This relay is being taken out of service. Try again in a few seconds.";
    Overload = "E_OVERLOAD", 503, 4027, "This relay is full. Try again in a few seconds.";
    TooSlow = "E_TOO_SLOW", 408, 4028, "The connection is too slow to follow. Reconnect when it is better.";
    Timeout = "E_TIMEOUT", 408, 4029, "That took too long.";
    Sdp = "E_SDP", 400, 4030, "The media offer could not be used.";
    Replaced = "E_REPLACED", 409, 4031, "The session continues in another tab or window.";
    Left = "E_LEFT", 410, 4032, "The participant has left the session.";
    Input = "E_INPUT", 400, 4033, "The request is not well formed.";
    NotFound = "E_NOT_FOUND", 404, 4034, "There is nothing at this address.";
    Method = "E_METHOD", 405, 4035, "This address does not answer to that method.";
    Store = "E_STORE", 503, 4036, "The control store cannot be reached. Running sessions go on; try again in a few seconds.";
    Precondition = "E_PRECONDITION", 412, 4037, "It has changed in the meantime. Read it again and repeat the change.";
    Unconditional = "E_UNCONDITIONAL", 428, 4038, "This change needs an If-Match header that names what it was made for.";
    NotAcceptable = "E_ACCEPT", 406, 4039, "There is no answer of a kind that the request accepts.";
    MediaType = "E_MEDIA_TYPE", 415, 4040, "This address does not take a body of that type.";
    Policy = "E_POLICY", 422, 4041, "The rules of the group do not allow that, or have been tightened in the meantime.";
    Disk = "E_DISK", 507, 4042, "The control store's disk is full. Running sessions go on; ask the operator to make room.";
    Repeat = "E_REPEAT", 422, 4043, "This Idempotency-Key belongs to another request. Use a new one.";
    Site = "E_SITE", 403, 4044, "What is shared is not on an allowed site, or cannot be checked. Share an approved page instead.";
    /// An invariant of ours broke and its smallest owner was ended.
    Bug = "E_BUG", 500, 4099, "The relay made a mistake and has logged it. Please try again.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// What was asked for is not allowed by policy, limits or state. Told to whoever asked; never a silent drop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code} ({rule}): {sentence}")]
pub struct Refusal {
    pub code: Code,
    /// The requirement that refuses, for example `R015` or `limits::SIGNALS_PER_SECOND`.
    pub rule: Cow<'static, str>,
    /// For a person: what happened and what to do.
    pub sentence: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with the code's own sentence.
    pub const fn new(code: Code, rule: &'static str) -> Self {
        Self { code, rule: Cow::Borrowed(rule), sentence: Cow::Borrowed(code.sentence()) }
    }

    /// The same with a sentence that names the particulars.
    #[must_use]
    pub fn saying(mut self, sentence: impl Into<Cow<'static, str>>) -> Self {
        self.sentence = sentence.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn labels_and_close_codes_are_unique_and_in_range() {
        let labels: BTreeSet<_> = Code::ALL.iter().map(|c| c.label()).collect();
        let closes: BTreeSet<_> = Code::ALL.iter().map(|c| c.close_code()).collect();
        assert_eq!((labels.len(), closes.len()), (Code::ALL.len(), Code::ALL.len()));
        for code in Code::ALL {
            assert!((4000..5000).contains(&code.close_code()), "{code}: outside the private range");
            assert!((400..600).contains(&code.http_status()), "{code}: not an error status");
            assert!(code.sentence().ends_with('.'), "{code}: a sentence ends with a full stop");
        }
    }

    #[test]
    fn a_code_reads_back_from_its_label() {
        for code in Code::ALL {
            let text = serde_json::to_string(code).expect("a unit variant");
            assert_eq!(text, format!("\"{}\"", code.label()));
            assert_eq!(serde_json::from_str::<Code>(&text).expect("its own text"), *code);
        }
    }
}
