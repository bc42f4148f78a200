//! Is a file of receipts what the node wrote? Needs the file alone; with the node's public key it also says whose it is.

use aws_lc_rs::signature::{ED25519, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::{FORMAT, File, NOTHING_BEFORE, PURPOSE, Record, record_hash, text_hash};

/// A file without a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub session: String,
    /// Receipts before the closing one.
    pub receipts: u64,
    /// Receipts that the node's store could not take; none when nobody knows, because the node stopped under the session.
    pub lost: Option<u64>,
    /// Who signed: compare it with the node's.
    pub key: String,
}

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("not a file of receipts: {0}")]
    Form(String),
    /// Counted from 1.
    #[error("receipt {record}: {what}")]
    Record { record: usize, what: &'static str },
    #[error("the words with hash {0} are not the ones that were shown, or were shown by no receipt")]
    Text(String),
    #[error("the signature does not match: the file was changed, or its key is another one")]
    Signature,
    #[error("signed with another key than the given one")]
    Key,
    /// Nothing is wrong, but nothing says that the end is not missing either.
    #[error("there is no closing receipt: the session was still running, or the end was cut off")]
    Open,
}

/// Checks a whole file. `key` is the public key that the node is known to have, base64url.
///
/// # Errors
/// The first [`Fault`].
pub fn verify(file: &[u8], key: Option<&str>) -> Result<Verified, Fault> {
    let file: File = serde_json::from_slice(file).map_err(|error| Fault::Form(error.to_string()))?;
    if file.format != FORMAT {
        return Err(Fault::Form(format!("its format is not {FORMAT}")));
    }
    if key.is_some_and(|key| key != file.key) {
        return Err(Fault::Key);
    }
    let mut before = NOTHING_BEFORE.to_owned();
    for (at, record) in file.records.iter().enumerate() {
        before = linked(&file, at, record, &before)?;
    }
    check_texts(&file)?;
    closed(&file, &before)
}

/// Is this record whole, of this session, and the one after `before`? Its hash.
fn linked(file: &File, at: usize, record: &Record, before: &str) -> Result<String, Fault> {
    let wrong = |what| Fault::Record { record: at + 1, what };
    let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("hash") != record_hash(record) {
        return Err(wrong("its content does not match its hash"));
    }
    if text("prev") != before {
        return Err(wrong("it does not follow the receipt before it"));
    }
    if record.get("seq").and_then(Value::as_u64) != Some(at as u64 + 1) {
        return Err(wrong("its number is not the next one"));
    }
    if text("session") != file.session || text("group") != file.group {
        return Err(wrong("it is of another session or group"));
    }
    let last = at + 1 == file.records.len();
    if text("happened") == "closed" && !last {
        return Err(wrong("the chain was closed before its end"));
    }
    Ok(text("hash").to_owned())
}

/// Each text is the one of its hash, and every hash that a receipt names has its text.
fn check_texts(file: &File) -> Result<(), Fault> {
    let named: Vec<&str> = file.records.iter().filter_map(|record| record.get("text")?.as_str()).collect();
    for (hash, text) in &file.texts {
        if *hash != text_hash(text) || !named.contains(&hash.as_str()) {
            return Err(Fault::Text(hash.clone()));
        }
    }
    match named.into_iter().find(|hash| !file.texts.contains_key(*hash)) {
        Some(missing) => Err(Fault::Text(missing.to_owned())),
        None => Ok(()),
    }
}

fn closed(file: &File, end: &str) -> Result<Verified, Fault> {
    let closing = file.records.last().filter(|last| last.get("happened").and_then(Value::as_str) == Some("closed"));
    let (Some(closing), Some(signature)) = (closing, &file.signature) else { return Err(Fault::Open) };
    let key = URL_SAFE_NO_PAD.decode(&file.key).map_err(|_| Fault::Signature)?;
    let key = ParsedPublicKey::new(&ED25519, &key).map_err(|_| Fault::Signature)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Fault::Signature)?;
    key.verify_sig(format!("{PURPOSE}{end}").as_bytes(), &signature).map_err(|_| Fault::Signature)?;
    Ok(Verified {
        session: file.session.clone(),
        receipts: file.records.len() as u64 - 1,
        lost: closing.get("lost").and_then(Value::as_u64),
        key: file.key.clone(),
    })
}
