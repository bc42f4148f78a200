//! The OpenAPI 3.1 document of the API, `docs/openapi.json`, served at `GET /v1/openapi.json` as it is committed.
//!
//! Invariant: it names every address and method of the route table and no other, and its `Bundle` is the policy schema;
//! the tests below hold the three together. `x-door` says at which listener an address is.

use bytes::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};

use crate::http::empty;

const DOCUMENT: &str = include_str!("../../docs/openapi.json");

/// `GET /v1/openapi.json`.
pub(crate) fn show() -> Response<Bytes> {
    let mut response = empty(StatusCode::OK);
    *response.body_mut() = Bytes::from_static(DOCUMENT.as_bytes());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests;
