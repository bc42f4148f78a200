//! Frames over WebTransport: one bidirectional stream per class, pointers as datagrams.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fanlight_wire::Frame;
use fanlight_wire::frame::{Class, Splitter};
use tokio::sync::mpsc;
use web_transport_quinn::http::{HeaderName, HeaderValue};
use web_transport_quinn::proto::ConnectRequest;
use web_transport_quinn::{ClientBuilder, RecvStream, SendStream, Session, SessionError};

use super::{Arrival, Carrier, CarrierError, WebTransport};

/// The classes that a client opens a stream for at once.
const STREAMS: [Class; 3] = [Class::Ctl, Class::Input, Class::Dom];
/// Largest frame that travels as a datagram.
const DATAGRAM_BYTES_MAX: usize = 1_200;

fn failed(error: impl std::fmt::Display) -> CarrierError {
    CarrierError::WebTransport(error.to_string())
}

pub(super) async fn open(base: &str, place: &WebTransport) -> Result<Carrier, CarrierError> {
    let hashes: Result<Vec<_>, _> = place.hashes.iter().map(|hash| BASE64_STANDARD.decode(hash)).collect();
    let client = ClientBuilder::new().with_server_certificate_hashes(hashes.map_err(failed)?).map_err(failed)?;
    let url: url::Url = place.url.parse().map_err(failed)?;
    let origin = HeaderValue::from_str(base.trim_end_matches('/')).map_err(failed)?;
    let request = ConnectRequest::new(url).with_header(HeaderName::from_static("origin"), origin);
    let session = client.connect(request).await.map_err(failed)?;
    let (mut carrier, to_send, received) = Carrier::new();
    let mut sinks = Vec::new();
    for class in STREAMS {
        let (mut sink, stream) = session.open_bi().await.map_err(failed)?;
        sink.write_all(&[class.stream_byte()]).await.map_err(failed)?;
        sinks.push((class, sink));
        carrier.tasks.spawn(read(stream, received.clone()));
    }
    carrier.tasks.spawn(read_datagrams(session.clone(), received.clone()));
    carrier.tasks.spawn(watch_end(session.clone(), received));
    carrier.tasks.spawn(write(session, sinks, to_send));
    Ok(carrier)
}

async fn write(session: Session, mut sinks: Vec<(Class, SendStream)>, mut to_send: mpsc::Receiver<Frame>) {
    while let Some(frame) = to_send.recv().await {
        let class = frame.header().kind.class();
        if class == Class::Pointer && frame.bytes().len() <= DATAGRAM_BYTES_MAX {
            // A datagram that does not leave is lost, as datagrams are.
            drop(session.send_datagram(frame.bytes().clone()));
            continue;
        }
        let own = sinks.iter().position(|(carried, _)| *carried == class).unwrap_or(0);
        let Some((_, sink)) = sinks.get_mut(own) else { return };
        if sink.write_all(frame.bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(mut stream: RecvStream, received: mpsc::Sender<Arrival>) {
    let mut splitter = Splitter::default();
    while let Ok(Some(chunk)) = stream.read_chunk(16 * 1024, true).await {
        splitter.push(&chunk.bytes);
        while let Ok(Some(frame)) = splitter.next_frame() {
            if received.send(Arrival::Frame(frame)).await.is_err() {
                return;
            }
        }
    }
}

async fn read_datagrams(session: Session, received: mpsc::Sender<Arrival>) {
    while let Ok(datagram) = session.read_datagram().await {
        if let Ok(frame) = Frame::parse(datagram)
            && received.send(Arrival::Frame(frame)).await.is_err()
        {
            return;
        }
    }
}

async fn watch_end(session: Session, received: mpsc::Sender<Arrival>) {
    let code = match session.closed().await {
        SessionError::WebTransportError(web_transport_quinn::WebTransportError::Closed(code, _)) => {
            u16::try_from(code).ok()
        }
        _ => None,
    };
    // Nobody may be listening any more.
    drop(received.send(Arrival::Closed { code }).await);
}
