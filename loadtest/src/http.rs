//! The public door over HTTP/1.1: one request, one connection. Small on purpose; a load test is not about this door.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Time for a whole request.
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// The door could not be used.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("`{0}` is not an http://host:port address")]
    Address(String),
    #[error("the connection failed: {0}")]
    Io(#[from] std::io::Error),
    #[error("no answer in time")]
    Late,
    #[error("the answer is not HTTP")]
    Answer,
    #[error("refused with status {status}: {body}")]
    Refused { status: u16, body: Value },
}

/// An answer: its status, and its body when that is JSON (else a string).
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

/// `host:port` of an `http://` address.
///
/// # Errors
/// [`HttpError::Address`] for anything else.
pub fn authority(base: &str) -> Result<&str, HttpError> {
    let rest = base.strip_prefix("http://").ok_or_else(|| HttpError::Address(base.to_owned()))?;
    Ok(rest.trim_end_matches('/'))
}

/// Sends one request.
///
/// # Errors
/// [`HttpError`] when there is no answer; a refusal is an answer.
pub async fn request(
    base: &str,
    method: &str,
    path: &str,
    bearer: Option<&str>,
    body: Option<&Value>,
) -> Result<Answer, HttpError> {
    let authority = authority(base)?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let bearer = bearer.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nOrigin: http://{authority}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n{bearer}\r\n",
        body.len()
    );
    let exchange = async {
        let mut stream = TcpStream::connect(authority).await?;
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let bytes = timeout(REQUEST_MAX, exchange).await.map_err(|_| HttpError::Late)??;
    read(&bytes).ok_or(HttpError::Answer)
}

/// Sends one request that must succeed, and returns the body.
///
/// # Errors
/// [`HttpError`], also for every status that is not 2xx.
pub async fn call(
    base: &str,
    method: &str,
    path: &str,
    bearer: Option<&str>,
    body: Option<&Value>,
) -> Result<Value, HttpError> {
    let Answer { status, body } = request(base, method, path, bearer, body).await?;
    if !(200..300).contains(&status) {
        return Err(HttpError::Refused { status, body });
    }
    Ok(body)
}

fn read(bytes: &[u8]) -> Option<Answer> {
    let at = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = bytes.split_at_checked(at)?;
    let head = std::str::from_utf8(head).ok()?;
    let body = body.get(4..)?;
    let status = head.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunk(body)? } else { body.to_vec() };
    let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
    Some(Answer { status, body: serde_json::from_slice(&body).unwrap_or_else(|_| text()) })
}

/// RFC 9112 §7.1.
fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(rest.get(..end)?).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        rest = rest.get(end + 2..)?;
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_with_and_without_chunks() {
        let plain = read(b"HTTP/1.1 201 Created\r\nContent-Length: 7\r\n\r\n{\"a\":1}").expect("an answer");
        assert_eq!((plain.status, &plain.body["a"]), (201, &Value::from(1)));
        let chunked =
            read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n");
        assert_eq!(chunked.expect("an answer").body["a"], 1);
        assert_eq!(read(b"HTTP/1.1 204 No Content\r\n\r\n").expect("an answer").body, "");
        assert_eq!(read(b"nonsense"), None);
    }
}
