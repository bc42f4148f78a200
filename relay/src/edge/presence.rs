//! The presence socket of a visitor's page: a WebSocket, subprotocol `fanlight-presence.1`, tiny text messages of JSON
//! (`docs/integrate.md`). What they mean is control's; here are the socket, its limits and its signs of life.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use fanlight_control::{Client, Control, PageId};
use fanlight_wire::{Code, Refusal, limits};
use futures_util::{SinkExt, StreamExt};
use hyper::{Response, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::Receiver;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::slots::Slot;
use super::{Body, Inbound, answer};
use crate::carrier::websocket::{accept, close};
use crate::clock;

/// Where the socket is; a GET without an upgrade is the API's.
pub const PATH: &str = "/v1/presence";
/// The only subprotocol.
const SUBPROTOCOL: &str = "fanlight-presence.1";

/// Answers the upgrade request and starts the socket. The page's origin has been checked by the door.
pub fn upgrade(mut request: Inbound, control: Arc<Control>, peer: IpAddr) -> Response<Body> {
    let response = match accept(&request, SUBPROTOCOL) {
        Ok(response) => response,
        Err(refusal) => return answer::refused(&refusal),
    };
    // Held until the socket is gone, so that it counts as one of its address's connections.
    let slot = request.extensions_mut().remove::<Arc<Option<Slot>>>();
    let origin = request.headers().get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let client = Client::of(origin);
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        match upgraded.await {
            Ok(stream) => run(TokioIo::new(stream), &control, peer, client).await,
            Err(error) => tracing::debug!(%error, "an upgrade failed"),
        }
        drop(slot);
    });
    response
}

fn limited() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(limits::PRESENCE_MESSAGE_BYTES_MAX)
        .max_message_size(Some(limits::PRESENCE_MESSAGE_BYTES_MAX))
        .max_frame_size(Some(limits::PRESENCE_MESSAGE_BYTES_MAX))
}

async fn run<S: AsyncRead + AsyncWrite + Unpin>(stream: S, control: &Control, peer: IpAddr, client: Client) {
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(limited())).await;
    let hello = match timeout(limits::HELLO_MAX, socket.next()).await {
        Ok(Some(Ok(Message::Text(text)))) => control.page_arrives(text.as_str(), peer, client).await,
        Ok(Some(Ok(_))) => Err(Refusal::new(Code::BadSignal, "docs/integrate.md")),
        Ok(Some(Err(_)) | None) => return,
        Err(_) => Err(Refusal::new(Code::Timeout, "limits::HELLO_MAX")),
    };
    let code = match hello {
        Ok((page, mailbox)) => {
            let code = converse(&mut socket, control, page, mailbox).await;
            control.page_goes(page);
            code
        }
        Err(refusal) => Some(refusal.code),
    };
    if let Some(code) = code {
        close(socket, None, code).await;
    }
}

/// Until the page goes (`None`) or must go.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
    control: &Control,
    page: PageId,
    mut mailbox: Receiver<String>,
) -> Option<Code> {
    let mut ping = interval(limits::PIPE_PING_INTERVAL);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut budget = Budget::default();
    let mut heard = clock::now();
    loop {
        let told = tokio::select! {
            message = socket.next() => {
                heard = clock::now();
                match message {
                    Some(Ok(Message::Text(text))) => {
                        if !budget.take(heard) {
                            return Some(Code::Rate);
                        }
                        if let Err(refusal) = control.page_says(page, text.as_str()).await {
                            return Some(refusal.code);
                        }
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Binary(_) | Message::Frame(_))) => return Some(Code::BadSignal),
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                }
                continue;
            }
            text = mailbox.recv() => match text {
                Some(text) => Message::text(text),
                // Control has let go: a drain, or too many pages of one visitor.
                None => return Some(Code::Replaced),
            },
            _ = ping.tick() => {
                if clock::now().duration_since(heard) > limits::PIPE_DEAD {
                    return Some(Code::Timeout);
                }
                Message::Ping(bytes::Bytes::new())
            }
        };
        match timeout(limits::PIPE_DEAD, socket.send(told)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return None,
            Err(_) => return Some(Code::TooSlow),
        }
    }
}

/// Messages of one page in a window of time.
#[derive(Debug, Default)]
struct Budget {
    began: Option<Instant>,
    taken: u32,
}

impl Budget {
    fn take(&mut self, now: Instant) -> bool {
        if self.began.is_none_or(|began| now.duration_since(began) >= limits::PRESENCE_WINDOW) {
            *self = Self { began: Some(now), taken: 0 };
        }
        self.taken += 1;
        self.taken <= limits::PRESENCE_MESSAGES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_so_much_in_a_minute() {
        let (mut budget, now) = (Budget::default(), clock::now());
        assert!((0..limits::PRESENCE_MESSAGES_MAX).all(|_| budget.take(now)));
        assert!(!budget.take(now));
        assert!(budget.take(now + limits::PRESENCE_WINDOW));
    }
}
