//! Consent receipts: what the visitor was asked, by whom, in which words, and what it answered (R045, R116, R138).
//!
//! Invariant: the receipts of a session are a chain. Each holds the hash of the one before, its own hash is over its
//! canonical JSON (keys in order, no spaces), and the last one, written at the session's end, is signed with the node's
//! receipt key. So nobody can change, drop, add or reorder one afterwards without [`verify`] finding where. Receipts are
//! written by the store's thread, tried again while it cannot ([`Book`]), never changed, and go with their session's record.

mod book;
mod verify;

use std::collections::BTreeMap;
use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanlight_wire::consent::{Answer, Matter};
use fanlight_wire::{GroupId, SessionId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub(crate) use book::{Book, Entry};
pub use verify::{Fault, Verified, verify};

use crate::config::StartError;
use crate::secrets::{keep_or_make, sha256};

/// The form of a file of receipts.
const FORMAT: &str = "fanlight-receipts/1";
/// What a signature is made for, so that it can be taken for nothing else.
const PURPOSE: &str = "fanlight-receipts/1 ";
/// What the first receipt of a session holds for the one before.
const NOTHING_BEFORE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One receipt: flat, and in the order of its keys.
pub(crate) type Record = BTreeMap<String, Value>;

/// A file of receipts as it is exported.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    format: String,
    session: String,
    group: String,
    /// The public half of the node's receipt key, base64url.
    key: String,
    /// The words that were shown, by their hash.
    texts: BTreeMap<String, String>,
    records: Vec<Record>,
    /// Of the last record's hash, base64url; absent while the session runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
}

/// What happened to a consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Happened {
    Answered(Answer),
    /// It is over: the agent left, the share or the camera was stopped.
    Over,
    /// The visitor paused, and went on.
    Paused,
    Resumed,
}

impl Happened {
    const fn label(self) -> &'static str {
        match self {
            Self::Answered(answer) => answer.label(),
            Self::Over => "over",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
        }
    }
}

/// What a receipt says beyond its place in the chain.
#[derive(Debug, Clone)]
pub(crate) struct Receipt {
    pub(crate) session: SessionId,
    pub(crate) group: GroupId,
    /// Seconds since 1970.
    pub(crate) at: u64,
    pub(crate) matter: Matter,
    pub(crate) happened: Happened,
    /// The agent: its id, and its name as the visitor saw it. None: everybody who was let in, or nobody asked.
    pub(crate) agent: Option<(String, String)>,
    /// The words and the terms address that were shown.
    pub(crate) shown: Option<(String, Option<String>)>,
    pub(crate) policy_version: u32,
}

impl Receipt {
    pub(crate) fn record(&self) -> Record {
        let agent = self.agent.as_ref().map(|(agent, _)| agent_hash(&self.group, agent));
        let mut record = Record::new();
        let fields = [
            ("at", json!(self.at)),
            ("session", json!(self.session.to_string())),
            ("group", json!(self.group.as_str())),
            ("matter", json!(self.matter.label())),
            ("happened", json!(self.happened.label())),
            ("agent", json!(agent)),
            ("name", json!(self.agent.as_ref().map(|(_, name)| name))),
            ("text", json!(self.shown.as_ref().map(|(text, _)| text_hash(text)))),
            ("terms", json!(self.shown.as_ref().and_then(|(_, terms)| terms.as_deref()))),
            ("policy_version", json!(self.policy_version)),
        ];
        record.extend(fields.map(|(name, value)| (name.to_owned(), value)));
        record
    }
}

/// The end of a chain.
#[derive(Debug, Clone)]
pub(crate) struct Closing {
    pub(crate) session: SessionId,
    pub(crate) group: GroupId,
    /// Seconds since 1970.
    pub(crate) at: u64,
    /// Why the session ended; none when the node stopped under it.
    pub(crate) code: Option<&'static str>,
    /// How many receipts there should be; fewer when the store could not take one.
    pub(crate) wanted: Option<u64>,
}

impl Closing {
    /// `kept` receipts came before.
    pub(crate) fn record(&self, kept: u64) -> Record {
        let mut record = Record::new();
        let fields = [
            ("at", json!(self.at)),
            ("session", json!(self.session.to_string())),
            ("group", json!(self.group.as_str())),
            ("matter", json!("session")),
            ("happened", json!("closed")),
            ("code", json!(self.code)),
            ("kept", json!(kept)),
            ("lost", json!(self.wanted.map(|wanted| wanted.saturating_sub(kept)))),
        ];
        record.extend(fields.map(|(name, value)| (name.to_owned(), value)));
        record
    }
}

/// Puts a record behind the one before: its number, the hash before, its own hash.
pub(crate) fn chained(mut record: Record, number: u64, before: Option<&str>) -> Record {
    record.insert("seq".into(), json!(number));
    record.insert("prev".into(), json!(before.unwrap_or(NOTHING_BEFORE)));
    let hash = record_hash(&record);
    record.insert("hash".into(), json!(hash));
    record
}

/// SHA-256 of the canonical JSON of everything but the hash itself.
fn record_hash(record: &Record) -> String {
    let said: BTreeMap<&String, &Value> = record.iter().filter(|(name, _)| *name != "hash").collect();
    // Serialising JSON values cannot fail: their keys are strings.
    hex::encode(sha256(&serde_json::to_vec(&said).unwrap_or_default()))
}

fn text_hash(text: &str) -> String {
    hex::encode(sha256(text.as_bytes()))
}

/// The same agent has the same hash in all receipts of its group.
fn agent_hash(group: &GroupId, agent: &str) -> String {
    hex::encode(sha256(format!("{}/{agent}", group.as_str()).as_bytes()))
}

/// The node's receipt key.
#[derive(Debug)]
pub(crate) struct Signer(Ed25519KeyPair);

impl Signer {
    /// With the key of that file, made at the first start; or with a key of this process.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, StartError> {
        let make = || {
            let pair = Ed25519KeyPair::generate().expect("the random source works");
            pair.to_pkcs8().expect("a new key has an encoding").as_ref().to_vec()
        };
        let (pkcs8, path) = match path {
            Some(path) => {
                let kept = keep_or_make(path, make);
                (kept.map_err(|reason| StartError::File { setting: "receipt key", path: path.into(), reason })?, path)
            }
            None => (make(), Path::new("(memory)")),
        };
        let wanted = "an Ed25519 private key in PKCS#8";
        let wrong = |_| StartError::Content { setting: "receipt key", path: path.into(), wanted };
        Ed25519KeyPair::from_pkcs8(&pkcs8).map(Self).map_err(wrong)
    }

    /// Signs the end of a chain by its hash.
    pub(crate) fn sign(&self, hash: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.0.sign(format!("{PURPOSE}{hash}").as_bytes()))
    }

    fn public(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.public_key())
    }

    /// The file of a session's receipts. `texts` are the words that may have been shown.
    pub(crate) fn file(
        &self,
        session: &SessionId,
        group: &str,
        (records, signature): (Vec<Record>, Option<String>),
        texts: impl IntoIterator<Item = String>,
    ) -> File {
        let shown = |hash: &String| records.iter().any(|record| record.get("text") == Some(&json!(hash)));
        let texts = texts.into_iter().map(|text| (text_hash(&text), text)).filter(|(hash, _)| shown(hash)).collect();
        let (session, group) = (session.to_string(), group.to_owned());
        File { format: FORMAT.into(), session, group, key: self.public(), texts, records, signature }
    }
}

#[cfg(test)]
mod tests;
