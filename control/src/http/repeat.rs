//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a POST that is repeated with its key is answered again
//! and not done again.
//!
//! Invariant: one key of one caller stands for one request. The same request gets the first answer, another one 422, and
//! one that comes while the first is still being done 409. Answers are kept in memory only, because some hold bearers, and
//! within [`IDEMPOTENCY_KEYS_MAX`] and [`IDEMPOTENCY_BYTES_MAX`]; beyond, the oldest is forgotten.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::Instant;

use bytes::Bytes;
use fanlight_wire::limits::{IDEMPOTENCY_BYTES_MAX, IDEMPOTENCY_KEY_CHARS_MAX, IDEMPOTENCY_KEYS_MAX, IDEMPOTENCY_LIFE};
use fanlight_wire::{Code, Refusal};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, Request, Response};

use super::text_of;
use crate::locked;
use crate::secrets::{Hash, sha256};

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Marks an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The answers of one door.
#[derive(Debug, Default)]
pub(crate) struct Repeats(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    answers: HashMap<Hash, Entry>,
    /// By age, oldest first.
    order: VecDeque<(Instant, Hash)>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    /// What was asked, as a hash.
    request: Hash,
    /// `None` while it is being done.
    answer: Option<Response<Bytes>>,
}

/// What a request with a key meets.
#[derive(Debug)]
pub(crate) enum Claim<'a> {
    /// It is new: it is to be done, and its answer noted.
    New(Pending<'a>),
    Again(Box<Response<Bytes>>),
}

/// A request that is being done. Dropped without an answer, its key is free again.
#[derive(Debug)]
pub(crate) struct Pending<'a> {
    kept: &'a Mutex<Kept>,
    key: Hash,
}

impl Repeats {
    /// Claims the key of a request; `None` without one. The caller has shown a good bearer: strangers' keys would use up
    /// the room of those who have business here.
    ///
    /// # Errors
    /// `E_INPUT` for a key that is none, `E_REPEAT` for one that stands for another request, `E_BUSY` for one whose
    /// request is still being done.
    pub(crate) fn claim(&self, request: &Request<Bytes>, now: Instant) -> Result<Option<Claim<'_>>, Refusal> {
        if request.method() != Method::POST {
            return Ok(None);
        }
        let Some(name) = text_of(request.headers(), &IDEMPOTENCY_KEY) else { return Ok(None) };
        let legal = (1..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&name.len()) && name.bytes().all(|c| c.is_ascii_graphic());
        if !legal {
            let sentence = "An Idempotency-Key is 1 to 128 visible ASCII characters, for example a UUID.";
            return Err(Refusal::new(Code::Input, "limits::IDEMPOTENCY_KEY_CHARS_MAX").saying(sentence));
        }
        let bearer = text_of(request.headers(), &header::AUTHORIZATION).unwrap_or_default();
        let key = hashed(&[bearer.as_bytes(), name.as_bytes()]);
        let path = request.uri().path_and_query().map_or("", |path| path.as_str());
        let asked = hashed(&[path.as_bytes(), request.body()]);
        let mut kept = locked(&self.0);
        kept.forget_old(now);
        match kept.answers.get(&key) {
            Some(entry) if entry.request != asked => Err(Refusal::new(Code::Repeat, "docs/api.md")),
            Some(Entry { answer: None, .. }) => {
                let sentence =
                    "The first request with this Idempotency-Key is still being done. Repeat it in a moment.";
                Err(Refusal::new(Code::Busy, "docs/api.md").saying(sentence))
            }
            Some(Entry { answer: Some(answer), .. }) => {
                let mut again = answer.clone();
                again.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
                Ok(Some(Claim::Again(Box::new(again))))
            }
            None => {
                kept.answers.insert(key, Entry { request: asked, answer: None });
                kept.order.push_back((now, key));
                Ok(Some(Claim::New(Pending { kept: &self.0, key })))
            }
        }
    }
}

impl Pending<'_> {
    /// The request is done. An answer that waiting or repairing may change is not kept: a repetition is a new try.
    pub(crate) fn done(self, answer: &Response<Bytes>) {
        let passing = answer.status().is_server_error() || matches!(answer.status().as_u16(), 401 | 408 | 429);
        if passing || answer.body().len() > IDEMPOTENCY_BYTES_MAX {
            return;
        }
        let mut kept = locked(self.kept);
        if let Some(entry) = kept.answers.get_mut(&self.key) {
            entry.answer = Some(answer.clone());
            kept.bytes += answer.body().len();
        }
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let mut kept = locked(self.kept);
        if kept.answers.get(&self.key).is_some_and(|entry| entry.answer.is_none()) {
            kept.answers.remove(&self.key);
            kept.order.retain(|(_, key)| *key != self.key);
        }
    }
}

impl Kept {
    fn forget_old(&mut self, now: Instant) {
        while let Some((at, key)) = self.order.front().copied() {
            let full = self.answers.len() >= IDEMPOTENCY_KEYS_MAX || self.bytes > IDEMPOTENCY_BYTES_MAX;
            if !full && now.saturating_duration_since(at) < IDEMPOTENCY_LIFE {
                return;
            }
            self.order.pop_front();
            let answer = self.answers.remove(&key).and_then(|entry| entry.answer);
            self.bytes -= answer.map_or(0, |answer| answer.body().len());
        }
    }
}

/// A hash that no other split into parts shares.
fn hashed(parts: &[&[u8]]) -> Hash {
    let mut text = Vec::new();
    for part in parts {
        text.extend_from_slice(&(part.len() as u64).to_be_bytes());
        text.extend_from_slice(part);
    }
    sha256(&text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::StatusCode;

    use super::*;
    use crate::control::testing::an_instant;
    use crate::http::json;

    fn request(key: &str, body: &'static str) -> Request<Bytes> {
        let request = Request::post("/v1/sessions").header("authorization", "Bearer x").header("idempotency-key", key);
        request.body(Bytes::from_static(body.as_bytes())).expect("a request")
    }

    fn answered(repeats: &Repeats, key: &str, now: Instant, status: StatusCode) {
        let Ok(Some(Claim::New(pending))) = repeats.claim(&request(key, "{}"), now) else { panic!("{key} is not new") };
        pending.done(&json(status, &key));
    }

    fn code(claim: Result<Option<Claim<'_>>, Refusal>) -> Option<Code> {
        claim.err().map(|refusal| refusal.code)
    }

    #[test]
    fn a_key_stands_for_one_request_for_a_day() {
        let (repeats, start) = (Repeats::default(), an_instant());
        answered(&repeats, "a", start, StatusCode::CREATED);
        let Ok(Some(Claim::Again(again))) = repeats.claim(&request("a", "{}"), start) else { panic!("forgotten") };
        assert_eq!((again.status(), &again.body()[..]), (StatusCode::CREATED, &b"\"a\""[..]));
        assert!(again.headers().contains_key("idempotent-replayed"));
        assert_eq!(code(repeats.claim(&request("a", "{\"other\":1}"), start)), Some(Code::Repeat));
        let next_day = start + IDEMPOTENCY_LIFE;
        assert!(matches!(repeats.claim(&request("a", "{}"), next_day), Ok(Some(Claim::New(_)))));
    }

    #[test]
    fn what_is_under_way_is_not_done_twice_and_what_was_given_up_can_be_tried_again() {
        let (repeats, start) = (Repeats::default(), an_instant());
        let first = repeats.claim(&request("a", "{}"), start).expect("a new key");
        assert_eq!(code(repeats.claim(&request("a", "{}"), start)), Some(Code::Busy));
        drop(first);
        answered(&repeats, "a", start, StatusCode::SERVICE_UNAVAILABLE);
        answered(&repeats, "a", start, StatusCode::TOO_MANY_REQUESTS);
        answered(&repeats, "a", start, StatusCode::CONFLICT);
        assert!(matches!(repeats.claim(&request("a", "{}"), start), Ok(Some(Claim::Again(_)))));
    }

    #[test]
    fn the_oldest_make_room() {
        let (repeats, start) = (Repeats::default(), an_instant());
        for n in 0..=IDEMPOTENCY_KEYS_MAX {
            answered(&repeats, &n.to_string(), start + Duration::from_millis(n as u64), StatusCode::CREATED);
        }
        let kept = locked(&repeats.0);
        assert_eq!((kept.answers.len(), kept.order.len()), (IDEMPOTENCY_KEYS_MAX, IDEMPOTENCY_KEYS_MAX));
        let bytes: usize =
            kept.answers.values().flat_map(|entry| &entry.answer).map(|answer| answer.body().len()).sum();
        assert_eq!(kept.bytes, bytes);
        drop(kept);
        let later = start + Duration::from_secs(60);
        assert!(matches!(repeats.claim(&request("0", "{}"), later), Ok(Some(Claim::New(_)))));
        let newest = IDEMPOTENCY_KEYS_MAX.to_string();
        assert!(matches!(repeats.claim(&request(&newest, "{}"), later), Ok(Some(Claim::Again(_)))));
    }

    #[test]
    fn only_posts_with_a_legal_key_are_looked_at() {
        let (repeats, now) = (Repeats::default(), an_instant());
        let plain = Request::post("/v1/sessions").body(Bytes::new()).expect("a request");
        assert!(matches!(repeats.claim(&plain, now), Ok(None)));
        let get = Request::get("/v1/sessions").header("idempotency-key", "a").body(Bytes::new()).expect("a request");
        assert!(matches!(repeats.claim(&get, now), Ok(None)));
        for bad in ["", "a b", "é", &"x".repeat(IDEMPOTENCY_KEY_CHARS_MAX + 1)] {
            assert_eq!(code(repeats.claim(&request(bad, "{}"), now)), Some(Code::Input), "{bad:?}");
        }
    }
}
