//! Frames over a WebSocket (RFC 6455), subprotocol `fanlight.1`: each binary message is exactly one frame.
//!
//! The upgrade is ours, on top of hyper's; messages and masks are the library's, with limits in place of its defaults
//! (64 MiB messages, no write limit, 128 KiB read buffer per connection).

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use fanlight_control::metrics::Lane;
use fanlight_engine::PipeOutput;
use fanlight_wire::{Code, Frame, Refusal, limits};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::admit::Gate;
use super::{ShardGone, Uplink, farewell};
use crate::edge::answer::{header_text, refused};
use crate::edge::slots::Slot;
use crate::edge::{Body, Inbound};

/// The only subprotocol.
pub const SUBPROTOCOL: &str = "fanlight.1";
/// Outputs written before one flush.
const BATCH: usize = 32;

/// Answers the upgrade request and starts the carrier. The page's origin has been checked by the door.
pub fn upgrade(mut request: Inbound, gate: Arc<Gate>) -> Response<Body> {
    let response = match accept(&request, SUBPROTOCOL) {
        Ok(response) => response,
        Err(refusal) => return refused(&refusal),
    };
    // Held until the carrier ends, so that it counts as one of its address's connections.
    let slot = request.extensions_mut().remove::<Arc<Option<Slot>>>();
    let upgraded = hyper::upgrade::on(&mut request);
    let guest = gate.crowd().enter();
    tokio::spawn(async move {
        match upgraded.await {
            Ok(stream) => run(TokioIo::new(stream), &gate).await,
            Err(error) => tracing::debug!(%error, "an upgrade failed"),
        }
        drop((slot, guest));
    });
    response
}

/// The answer to an upgrade request for this subprotocol.
///
/// # Errors
/// The [`Refusal`] that names the missing part.
pub fn accept(request: &Inbound, subprotocol: &'static str) -> Result<Response<Body>, Refusal> {
    let accept = derive_accept_key(check(request.method(), request.headers(), subprotocol)?.as_bytes());
    let mut response = Response::new(Body::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    Ok(response)
}

/// RFC 6455 §4.2.1. Gives the client's key.
fn check<'a>(method: &Method, headers: &'a HeaderMap, subprotocol: &str) -> Result<&'a str, Refusal> {
    let wrong = |what: String| Refusal::new(Code::Input, "RFC 6455 §4.2.1").saying(what);
    let names = |name, wanted: &str| {
        let list = header_text(headers, name).unwrap_or_default();
        list.split(',').any(|item| item.trim().eq_ignore_ascii_case(wanted))
    };
    if method != Method::GET {
        return Err(Refusal::new(Code::Method, "RFC 6455 §4.2.1"));
    }
    if !names(header::UPGRADE, "websocket") || !names(header::CONNECTION, "upgrade") {
        return Err(wrong("This address only answers to WebSocket upgrades.".into()));
    }
    if header_text(headers, header::SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err(wrong("Only WebSocket version 13 is spoken here.".into()));
    }
    if !names(header::SEC_WEBSOCKET_PROTOCOL, subprotocol) {
        return Err(wrong(format!("The subprotocol {subprotocol} must be offered.")));
    }
    match header_text(headers, header::SEC_WEBSOCKET_KEY) {
        Some(key) if key.len() == 24 => Ok(key),
        _ => Err(wrong("Sec-WebSocket-Key must hold 16 bytes in base64.".into())),
    }
}

fn limited() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(8 * 1_024)
        .write_buffer_size(limits::FRAME_BYTES_MAX)
        .max_write_buffer_size(limits::WEBSOCKET_WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(limits::WEBSOCKET_MESSAGE_BYTES_MAX))
        .max_frame_size(Some(limits::WEBSOCKET_MESSAGE_BYTES_MAX))
}

/// The life of one carrier.
async fn run<S: AsyncRead + AsyncWrite + Unpin>(stream: S, gate: &Gate) {
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(limited())).await;
    let first = match timeout(limits::HELLO_MAX, socket.next()).await {
        Ok(Some(Ok(Message::Binary(bytes)))) => {
            Frame::parse(bytes).map_err(|e| Refusal::new(Code::BadFrame, "hello").saying(e.to_string()))
        }
        Ok(Some(Ok(_))) => Err(Refusal::new(Code::BadFrame, "hello")),
        Ok(Some(Err(_)) | None) => return,
        Err(_) => Err(Refusal::new(Code::Timeout, "limits::HELLO_MAX")),
    };
    let admitted = match first {
        Ok(frame) => gate.open(&frame).await,
        Err(refusal) => Err(refusal),
    };
    let lane = match admitted {
        Ok(lane) => lane,
        Err(refusal) => {
            tracing::debug!(code = refusal.code.label(), "a WebSocket was refused");
            let told = farewell(&refusal).map(|frame| Message::Binary(frame.bytes().clone()));
            return close(socket, told, refusal.code).await;
        }
    };
    let uplink = lane.uplink();
    let mut output = lane.output;
    let (mut sink, mut source) = socket.split();
    let code = tokio::select! {
        code = inbound(&mut source, &uplink) => code.inspect(|code| gate.fault(Lane::WebSocket, *code)),
        code = outbound(&mut sink, &mut output, &uplink, limits::PIPE_DEAD) => code,
    };
    uplink.close().await;
    if let (Some(code), Ok(socket)) = (code, sink.reunite(source)) {
        close(socket, None, code).await;
    }
}

/// Client → shard, until the client goes (`None`) or must go. Any sign of life counts, also the answer to a ping.
async fn inbound<S>(source: &mut SplitStream<WebSocketStream<S>>, uplink: &Uplink) -> Option<Code>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let message = match timeout(limits::PIPE_DEAD, source.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(Error::Capacity(_)))) => return Some(Code::Size),
            Ok(Some(Err(_)) | None) => return None,
            Err(_) => return Some(Code::Timeout),
        };
        match message {
            Message::Binary(bytes) => match Frame::parse(bytes) {
                Ok(frame) => match uplink.frame(frame).await {
                    Ok(()) => {}
                    Err(ShardGone) => return Some(Code::Bug),
                },
                Err(_) => return Some(Code::BadFrame),
            },
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Close(_) => return None,
            Message::Text(_) | Message::Frame(_) => return Some(Code::BadFrame),
        }
    }
}

/// Shard → client, until the shard says so (`Some`) or the client is gone (`None`). A client that sends but takes nothing
/// for as long as `patience` is cut off: what the shard wants, a close too, waits behind the write.
async fn outbound<S>(
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
    output: &mut mpsc::UnboundedReceiver<PipeOutput>,
    uplink: &Uplink,
    patience: Duration,
) -> Option<Code>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut ping = interval(limits::PIPE_PING_INTERVAL);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            count = output.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    return Some(Code::Bug);
                }
                match timeout(patience, write(sink, &mut batch, uplink)).await {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(code)) => return code,
                    Err(_) => return Some(Code::TooSlow),
                }
            }
            _ = ping.tick() => {
                match timeout(patience, sink.send(Message::Ping(bytes::Bytes::new()))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return None,
                    Err(_) => return Some(Code::TooSlow),
                }
            }
        }
    }
}

/// Writes what the shard wants sent and flushes once; only then are the bytes credited.
async fn write<S>(
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
    batch: &mut Vec<PipeOutput>,
    uplink: &Uplink,
) -> ControlFlow<Option<Code>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut bytes, mut last) = (0, None);
    for output in batch.drain(..) {
        match output {
            PipeOutput::Frame(frame) => {
                bytes += frame.bytes().len();
                if sink.feed(Message::Binary(frame.bytes().clone())).await.is_err() {
                    return ControlFlow::Break(None);
                }
            }
            PipeOutput::Close(code) => {
                last = Some(code);
                break;
            }
        }
    }
    if sink.flush().await.is_err() {
        return ControlFlow::Break(None);
    }
    if last.is_some() {
        return ControlFlow::Break(last);
    }
    match uplink.credit(bytes).await {
        Ok(()) => ControlFlow::Continue(()),
        Err(ShardGone) => ControlFlow::Break(Some(Code::Bug)),
    }
}

/// Says why and waits for the client's own close, but not for long.
pub async fn close<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: WebSocketStream<S>,
    last: Option<Message>,
    code: Code,
) {
    let goodbye = async {
        if let Some(message) = last {
            socket.feed(message).await?;
        }
        let frame = CloseFrame { code: CloseCode::from(code.close_code()), reason: code.label().into() };
        socket.close(Some(frame)).await?;
        while socket.next().await.is_some_and(|message| message.is_ok()) {}
        discard(socket.get_mut()).await
    };
    if timeout(CLOSE_MAX, goodbye).await.is_err() {
        tracing::debug!("a client did not answer a close");
    }
}

/// Reads on to the end: bytes left unread would make the kernel send a reset, which overtakes the close and its code.
async fn discard<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Result<(), Error> {
    stream.shutdown().await?;
    let mut unread = [0; 4 * 1_024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

/// Time for the closing handshake.
const CLOSE_MAX: Duration = limits::QUIC_CLOSE_MAX;

#[cfg(test)]
mod tests {
    use fanlight_wire::{Header, Kind, PipeId, ShardId};

    use super::*;
    use crate::queue::queues;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter().map(|(n, v)| (n.parse().expect("a name"), HeaderValue::from_static(v))).collect()
    }

    const GOOD: [(&str, &str); 5] = [
        ("upgrade", "websocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-protocol", "chat, fanlight.1"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    #[test]
    fn a_whole_handshake_is_taken_and_each_missing_part_refused() {
        assert_eq!(check(&Method::GET, &headers(&GOOD), SUBPROTOCOL), Ok("dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(check(&Method::POST, &headers(&GOOD), SUBPROTOCOL).map_err(|r| r.code), Err(Code::Method));
        for (left_out, _) in GOOD {
            let rest: Vec<_> = GOOD.into_iter().filter(|(name, _)| *name != left_out).collect();
            assert_eq!(
                check(&Method::GET, &headers(&rest), SUBPROTOCOL).map_err(|r| r.code),
                Err(Code::Input),
                "{left_out}"
            );
        }
    }

    // G-13
    #[tokio::test]
    async fn a_client_that_takes_nothing_is_cut_off() {
        let (stream, _never_read) = tokio::io::duplex(1_024);
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(limited())).await;
        let (mut sink, _source) = socket.split();
        let (shard, _inputs) = queues(ShardId(0));
        let uplink = Uplink { pipe: PipeId(1), shard };
        let (engine, mut output) = mpsc::unbounded_channel();
        let frame = Frame::new(Header::single(Kind::Signal), &[7; 10_000]).expect("fits a frame");
        engine.send(PipeOutput::Frame(frame)).expect("an open channel");
        let patience = Duration::from_millis(1);
        assert_eq!(outbound(&mut sink, &mut output, &uplink, patience).await, Some(Code::TooSlow));
    }
}
