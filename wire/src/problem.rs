//! A refusal as the body of an HTTP answer: a problem document (RFC 9457). One form for every door of the node.

use std::time::Duration;

use serde::Serialize;

use crate::code::{Code, Refusal};

/// RFC 9457 §3.1, and three members of our own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem<'a> {
    r#type: String,
    /// The same for every refusal with this code.
    title: &'static str,
    status: u16,
    /// What happened this time and what to do, for a person.
    detail: &'a str,
    /// For programs.
    code: Code,
    /// The requirement that refuses.
    rule: &'a str,
    /// Whoever waits that many seconds is not refused for the same reason again.
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_s: Option<u64>,
}

impl<'a> Problem<'a> {
    /// RFC 9457 §3.
    pub const MEDIA_TYPE: &'static str = "application/problem+json";

    /// `wait` is the time after which the same request may succeed, where waiting helps.
    pub fn of(refusal: &'a Refusal, wait: Option<Duration>) -> Self {
        let Refusal { code, rule, sentence } = refusal;
        Self {
            r#type: format!("urn:fanlight:problem:{code}"),
            title: code.sentence(),
            status: code.http_status(),
            detail: sentence,
            code: *code,
            rule,
            wait_s: wait.map(|wait| wait.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_a_problem_with_its_own_type_and_status() {
        for code in Code::ALL {
            let refusal = Refusal::new(*code, "a rule").saying("What happened.");
            let json = serde_json::to_value(Problem::of(&refusal, None)).expect("plain data");
            assert_eq!(json["type"], format!("urn:fanlight:problem:{code}"));
            assert_eq!((&json["title"], &json["detail"]), (&code.sentence().into(), &"What happened.".into()));
            assert_eq!(json["status"], code.http_status());
            assert_eq!((&json["code"], &json["rule"]), (&code.label().into(), &"a rule".into()));
            assert!(json.get("wait_s").is_none(), "nobody is told to wait for nothing");
        }
        let refusal = Refusal::new(Code::Rate, "a rule");
        let json = serde_json::to_value(Problem::of(&refusal, Some(Duration::from_secs(7)))).expect("plain data");
        assert_eq!(json["wait_s"], 7);
    }
}
