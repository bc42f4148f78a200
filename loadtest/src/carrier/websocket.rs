//! Frames over a WebSocket (RFC 6455): each binary message is one frame.

use fanlight_wire::Frame;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{Arrival, Carrier, CarrierError};
use crate::http::authority;

type Socket = WebSocketStream<TcpStream>;

impl From<Error> for CarrierError {
    fn from(error: Error) -> Self {
        Self::WebSocket(Box::new(error))
    }
}

pub(super) async fn open(base: &str, path: &str) -> Result<Carrier, CarrierError> {
    let authority = authority(base)?;
    let mut request = format!("ws://{authority}{path}").into_client_request()?;
    let headers = request.headers_mut();
    headers.insert("Sec-WebSocket-Protocol", HeaderValue::from_static("fanlight.1"));
    if let Ok(origin) = HeaderValue::from_str(&format!("http://{authority}")) {
        headers.insert("Origin", origin);
    }
    let stream = TcpStream::connect(authority).await?;
    stream.set_nodelay(true)?;
    let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
    let (sink, stream) = socket.split();
    let (mut carrier, to_send, received) = Carrier::new();
    carrier.tasks.spawn(write(sink, to_send));
    carrier.tasks.spawn(read(stream, received));
    Ok(carrier)
}

async fn write(mut sink: SplitSink<Socket, Message>, mut to_send: mpsc::Receiver<Frame>) {
    while let Some(frame) = to_send.recv().await {
        if sink.send(Message::Binary(frame.bytes().clone())).await.is_err() {
            return;
        }
    }
}

async fn read(mut stream: SplitStream<Socket>, received: mpsc::Sender<Arrival>) {
    let mut code = None;
    while let Some(message) = stream.next().await {
        let frame = match message {
            Ok(Message::Binary(bytes)) => Frame::parse(bytes),
            Ok(Message::Close(close)) => {
                code = close.map(|close| close.code.into());
                break;
            }
            Ok(_) => continue,
            Err(_) => break,
        };
        let Ok(frame) = frame else { break };
        if received.send(Arrival::Frame(frame)).await.is_err() {
            return;
        }
    }
    // Nobody may be listening any more.
    drop(received.send(Arrival::Closed { code }).await);
}
