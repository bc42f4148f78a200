//! Answers of every door: refusals as problem documents, bodies taken in within limits, requests that no door should see.

use bytes::Bytes;
use fanlight_wire::{Code, Problem, Refusal, limits};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode, Version};

use super::{Body, Inbound};

/// A refusal in the API's form, with the code's status and `Retry-After` where waiting helps.
pub fn refused(refusal: &Refusal) -> Response<Body> {
    let status = StatusCode::from_u16(refusal.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let may_pass = matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
    let wait = may_pass.then_some(limits::RETRY_AFTER);
    let mut response = typed(status, Problem::MEDIA_TYPE, written(&Problem::of(refusal, wait)));
    if let Some(wait) = wait {
        response.headers_mut().insert(header::RETRY_AFTER, wait.as_secs().into());
    }
    response
}

/// A value as JSON that nobody keeps.
pub fn json(value: &impl serde::Serialize) -> Response<Body> {
    typed(StatusCode::OK, "application/json", written(value))
}

fn written(value: &impl serde::Serialize) -> Vec<u8> {
    // Only our own plain types come here; writing them cannot fail.
    serde_json::to_vec(value).unwrap_or_default()
}

/// A line of text.
pub fn text(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    typed(status, "text/plain; charset=utf-8", text.into().into_bytes())
}

fn typed(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What is wrong with a head, whatever it asks for: names with `_` are read differently by different servers (G-41),
/// and HTTP/1.1 needs exactly one `Host` (RFC 9112 §3.2).
pub fn unsound(headers: &HeaderMap, version: Version) -> Option<Refusal> {
    if headers.keys().any(|name| name.as_str().contains('_')) {
        return Some(Refusal::new(Code::Input, "G-41").saying("A header name contains an underscore."));
    }
    let hosts = headers.get_all(header::HOST).iter().count();
    let wanted = if version == Version::HTTP_11 { 1..=1 } else { 0..=1 };
    if !wanted.contains(&hosts) {
        return Some(Refusal::new(Code::Input, "RFC 9112 §3.2").saying("The request must name one host."));
    }
    None
}

/// The request with its whole body.
///
/// # Errors
/// A [`Refusal`] when the body is larger than `bytes_max` or does not come within [`limits::HTTP_BODY_MAX`].
pub async fn collected(request: Inbound, bytes_max: usize) -> Result<Request<Bytes>, Refusal> {
    let (head, body) = request.into_parts();
    if matches!(head.method, Method::GET | Method::HEAD) {
        return Ok(Request::from_parts(head, Bytes::new()));
    }
    let whole = tokio::time::timeout(limits::HTTP_BODY_MAX, Limited::new(body, bytes_max).collect()).await;
    match whole {
        Ok(Ok(body)) => Ok(Request::from_parts(head, body.to_bytes())),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Refusal::new(Code::Size, "limits::HTTP_BODY_BYTES_MAX"))
        }
        Ok(Err(_)) => Err(Refusal::new(Code::Input, "RFC 9112 §6").saying("The body could not be read.")),
        Err(_) => Err(Refusal::new(Code::Timeout, "limits::HTTP_BODY_MAX")),
    }
}

/// A header as text, if it is there once and is text.
pub fn header_text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?;
    if all.next().is_some() { None } else { first.to_str().ok() }
}
