//! Insiders whose clients are broken below the frame: messages of a WebSocket and streams of a WebTransport session that
//! are no frames at all, after a good `hello`.

use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fanlight_loadtest::carrier::Connect;
use fanlight_wire::Frame;
use fanlight_wire::frame::Class;
use fanlight_wire::signal::{SCHEMA, ToRelay};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use web_transport_quinn::ClientBuilder;

use crate::flood::{add, inputs};
use crate::intruders::Insider;
use crate::mutate::mutated;

/// Messages of one round, if the relay takes that many.
const MESSAGES: usize = 200;
const PATIENCE: Duration = Duration::from_secs(1);

fn hello(made: &Value) -> Option<Frame> {
    let ticket = made["visitor_ticket"].as_str().map(str::to_owned);
    ToRelay::Hello { schema: SCHEMA, ticket, resume: None, client: Default::default() }.to_frame().ok()
}

/// Messages of a WebSocket, round after round.
pub(crate) async fn messages(insider: Insider, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    while !insider.stop.load(Ordering::Relaxed) {
        let made = insider.session().await;
        // However a round ends, the relay has the last word.
        drop(timeout(PATIENCE, websocket(&insider, &made, &mut random)).await);
        insider.end(made["session"].as_str().unwrap_or_default()).await;
        add(&insider.tally.rounds, 1);
    }
}

async fn websocket(insider: &Insider, made: &Value, random: &mut fastrand::Rng) -> Option<()> {
    let authority = insider.door.base().strip_prefix("http://")?;
    let mut request = format!("ws://{authority}/v1/ws").into_client_request().ok()?;
    request.headers_mut().insert("Sec-WebSocket-Protocol", "fanlight.1".parse().ok()?);
    let stream = TcpStream::connect(authority).await.ok()?;
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.ok()?;
    let frame = hello(made)?;
    socket.send(Message::Binary(frame.bytes().clone())).await.ok()?;
    socket.next().await?.ok()?;
    let corpus = inputs("frame");
    for _ in 0..MESSAGES {
        socket.send(Message::binary(mutated(random, &corpus))).await.ok()?;
        add(&insider.tally.frames, 1);
    }
    // The close comes last.
    while socket.next().await?.is_ok() {}
    Some(())
}

/// Streams and datagrams of a WebTransport session, round after round.
pub(crate) async fn streams(insider: Insider, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    while !insider.stop.load(Ordering::Relaxed) {
        let made = insider.session().await;
        drop(timeout(PATIENCE, webtransport(&insider, &made, &mut random)).await);
        insider.end(made["session"].as_str().unwrap_or_default()).await;
        add(&insider.tally.rounds, 1);
    }
}

async fn webtransport(insider: &Insider, made: &Value, random: &mut fastrand::Rng) -> Option<()> {
    let connect: Connect = serde_json::from_value(made["connect"].clone()).ok()?;
    let place = connect.webtransport?;
    let hashes: Vec<_> = place.hashes.iter().filter_map(|hash| BASE64_STANDARD.decode(hash).ok()).collect();
    let client = ClientBuilder::new().with_server_certificate_hashes(hashes).ok()?;
    let session = client.connect(place.url.parse::<url::Url>().ok()?).await.ok()?;
    let (mut control, mut answers) = session.open_bi().await.ok()?;
    control.write_all(&[Class::Ctl.stream_byte()]).await.ok()?;
    control.write_all(hello(made)?.bytes()).await.ok()?;
    answers.read_chunk(16 * 1024, true).await.ok()??;
    let corpus = inputs("frame");
    for nth in 0..MESSAGES {
        let garbage = mutated(random, &corpus);
        match nth % 4 {
            0 => {
                // More streams than there are classes, of classes that do not exist.
                let (mut stream, _) = session.open_bi().await.ok()?;
                stream.write_all(&garbage).await.ok()?;
            }
            1 => {
                let mut stream = session.open_uni().await.ok()?;
                stream.write_all(&garbage).await.ok()?;
            }
            2 => control.write_all(&garbage).await.ok()?,
            // Too large for a datagram, perhaps; then it is not one.
            _ => drop(session.send_datagram(garbage.into())),
        }
        add(&insider.tally.frames, 1);
    }
    session.closed().await;
    Some(())
}
