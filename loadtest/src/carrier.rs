//! A carrier over real sockets: frames in, frames out, however they travel.
//!
//! Invariant: what is not taken with [`Carrier::receive`] stays in the transport, so a client that stops reading is a
//! slow client for the relay too. Dropping a carrier cuts the connection without a word of the protocol.

mod websocket;
mod webtransport;

use std::time::Duration;

use fanlight_wire::Frame;
use fanlight_wire::frame::FrameError;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::http::HttpError;

/// Time to open a carrier.
const OPEN_MAX: Duration = Duration::from_secs(10);
/// Frames taken off the transport and not yet looked at.
const RECEIVED_MAX: usize = 4;
/// Frames waiting for the transport.
const QUEUED_MAX: usize = 64;

/// How frames travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Kind {
    #[value(name = "websocket")]
    WebSocket,
    #[value(name = "webtransport")]
    WebTransport,
}

/// Where a session's carriers are; the `connect` object of the public door.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Connect {
    /// Path of the WebSocket on the public door.
    pub websocket: String,
    pub webtransport: Option<WebTransport>,
}

/// Where WebTransport is, and which certificates to accept there.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct WebTransport {
    pub url: String,
    /// Base64 of SHA-256; empty when the certificate is one that browsers know.
    pub hashes: Vec<String>,
}

/// What comes from a carrier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    Frame(Frame),
    /// The last one. `code` is a [`fanlight_wire::Code::close_code`] when the relay closed on purpose.
    Closed {
        code: Option<u16>,
    },
}

/// The carrier could not be opened or has gone.
#[derive(Debug, thiserror::Error)]
pub enum CarrierError {
    #[error("WebSocket: {0}")]
    WebSocket(Box<tokio_tungstenite::tungstenite::Error>),
    #[error("WebTransport: {0}")]
    WebTransport(String),
    #[error("this session has no such carrier")]
    None,
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("too slow")]
    Late,
    #[error("it is closed")]
    Closed,
}

/// A carrier over real sockets.
#[derive(Debug)]
pub struct Carrier {
    outgoing: mpsc::Sender<Frame>,
    incoming: mpsc::Receiver<Arrival>,
    /// Aborted when dropped.
    tasks: JoinSet<()>,
}

impl Carrier {
    /// Opens a carrier. `base` is the public door, `http://host:port`.
    ///
    /// # Errors
    /// [`CarrierError`] when it cannot be opened in time.
    pub async fn open(kind: Kind, base: &str, connect: &Connect) -> Result<Self, CarrierError> {
        let opening = async {
            match kind {
                Kind::WebSocket => websocket::open(base, &connect.websocket).await,
                Kind::WebTransport => {
                    webtransport::open(base, connect.webtransport.as_ref().ok_or(CarrierError::None)?).await
                }
            }
        };
        timeout(OPEN_MAX, opening).await.map_err(|_| CarrierError::Late)?
    }

    /// Sends a frame; waits while the transport is full.
    ///
    /// # Errors
    /// [`CarrierError::Closed`].
    pub async fn send(&self, frame: Frame) -> Result<(), CarrierError> {
        self.outgoing.send(frame).await.map_err(|_| CarrierError::Closed)
    }

    /// Waits for what comes next.
    pub async fn receive(&mut self) -> Arrival {
        self.incoming.recv().await.unwrap_or(Arrival::Closed { code: None })
    }

    fn new() -> (Self, mpsc::Receiver<Frame>, mpsc::Sender<Arrival>) {
        let (outgoing, to_send) = mpsc::channel(QUEUED_MAX);
        let (received, incoming) = mpsc::channel(RECEIVED_MAX);
        (Self { outgoing, incoming, tasks: JoinSet::new() }, to_send, received)
    }
}
