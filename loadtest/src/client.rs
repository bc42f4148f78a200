//! One participant over real sockets: the public door, a carrier, a seat, and media.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use fanlight_wire::frame::FrameError;
use fanlight_wire::policy::Surface;
use fanlight_wire::signal::{ClientInfo, SCHEMA, Slot, Stage, ToClient, ToRelay};
use fanlight_wire::{Frame, SessionId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::carrier::{Arrival, Carrier, CarrierError, Connect, Kind};
use crate::clock;
use crate::http::{self, HttpError};
use crate::media::Path;
use crate::page::Page;
use crate::seat::{Received, Seat, Wrong};
use crate::sockets::{Media, SocketError};

/// Time to wait for something that a test expects.
const PATIENCE: Duration = Duration::from_secs(10);

/// It did not work.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Http(#[from] HttpError),
    #[error(transparent)]
    Carrier(#[from] CarrierError),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("the relay did wrong: {0}")]
    Wrong(#[from] Wrong),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the door said something else: {0}")]
    Door(#[from] serde_json::Error),
    #[error("no recording: {0}")]
    Trace(std::io::Error),
    #[error("waited in vain for {0}")]
    Late(&'static str),
    #[error("closed with {0:?}")]
    Closed(Option<u16>),
}

/// A visitor's session, as `POST /v1/keys` gives it.
#[derive(Debug, Clone, Deserialize)]
pub struct Visit {
    pub session: SessionId,
    pub key: String,
    pub ticket: String,
    /// The visitor's bearer token for further keys and the end.
    pub handle: String,
    pub connect: Connect,
}

/// An agent's admission, as `POST /v1/join` gives it.
#[derive(Debug, Clone, Deserialize)]
pub struct Joining {
    pub session: SessionId,
    pub ticket: String,
    pub connect: Connect,
}

/// The public door of a relay.
#[derive(Debug, Clone)]
pub struct Door {
    base: String,
}

impl Door {
    /// `base` is `http://host:port`.
    pub fn new(base: impl Into<String>) -> Self {
        Self { base: base.into() }
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    /// A visitor's page begins a session.
    ///
    /// # Errors
    /// [`ClientError`] when the door refuses.
    pub async fn visit(&self, group: &str) -> Result<Visit, ClientError> {
        self.post("/v1/keys", None, &json!({ "group": group })).await
    }

    /// Another key for a running session.
    ///
    /// # Errors
    /// [`ClientError`] when the door refuses.
    pub async fn further_key(&self, visit: &Visit) -> Result<String, ClientError> {
        #[derive(Deserialize)]
        struct Further {
            key: String,
        }
        let further: Further = self.post("/v1/keys", Some(&visit.handle), &json!({})).await?;
        Ok(further.key)
    }

    /// An agent signs in; returns its bearer token.
    ///
    /// # Errors
    /// [`ClientError`] when the door refuses.
    pub async fn login(&self, group: &str, agent: &str, secret: &str) -> Result<String, ClientError> {
        #[derive(Deserialize)]
        struct Login {
            token: String,
        }
        let body = json!({ "group": group, "agent": agent, "secret": secret });
        let login: Login = self.post("/v1/login", None, &body).await?;
        Ok(login.token)
    }

    /// Signs in as one of the demo's agents.
    ///
    /// # Errors
    /// [`ClientError`] when the demo is off or has no such agent.
    pub async fn login_demo(&self, index: usize) -> Result<String, ClientError> {
        let config = http::call(&self.base, "GET", "/demo/config.json", None, None).await?;
        let agent = &config["agents"][index];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.login(&text(&config["group"]), &text(&agent["agent"]), &text(&agent["secret"])).await
    }

    /// An agent exchanges a key for a ticket.
    ///
    /// # Errors
    /// [`ClientError`] when the door refuses.
    pub async fn join(&self, token: &str, key: &str) -> Result<Joining, ClientError> {
        self.post("/v1/join", Some(token), &json!({ "key": key })).await
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`ClientError`] when the door refuses.
    pub async fn end(&self, bearer: &str, session: SessionId) -> Result<(), ClientError> {
        http::call(&self.base, "POST", &format!("/v1/sessions/{session}/end"), Some(bearer), None).await?;
        Ok(())
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        bearer: Option<&str>,
        body: &Value,
    ) -> Result<T, ClientError> {
        let answer = http::call(&self.base, "POST", path, bearer, Some(body)).await?;
        Ok(serde_json::from_value(answer)?)
    }
}

/// One participant over real sockets.
#[derive(Debug)]
pub struct Client {
    carrier: Carrier,
    seat: Seat,
    media: Option<Media>,
    /// Signals that were received while something else was waited for.
    signals: VecDeque<ToClient>,
}

/// How a carrier is opened.
#[derive(Debug, Clone)]
pub struct Way<'a> {
    pub door: &'a Door,
    pub kind: Kind,
    pub connect: &'a Connect,
}

impl Client {
    /// Joins with a ticket; returns when welcomed.
    ///
    /// # Errors
    /// [`ClientError`] when that does not happen.
    pub async fn join(way: &Way<'_>, ticket: &str) -> Result<Self, ClientError> {
        let seat = match way.kind {
            Kind::WebSocket => Seat::default(),
            Kind::WebTransport => Seat::unordered(),
        };
        Self::hello(way, seat, Some(ticket), None).await
    }

    /// Comes back on a new carrier with the newest resume token. The old carrier is cut.
    ///
    /// # Errors
    /// [`ClientError`] when the relay does not let it.
    pub async fn resume(self, way: &Way<'_>) -> Result<Self, ClientError> {
        let Self { carrier, mut seat, media, .. } = self;
        drop(carrier);
        seat.lost_carrier();
        let token = seat.resume().to_owned();
        let mut client = Self::hello(way, seat, None, Some(&token)).await?;
        client.media = media;
        Ok(client)
    }

    async fn hello(way: &Way<'_>, seat: Seat, ticket: Option<&str>, resume: Option<&str>) -> Result<Self, ClientError> {
        let carrier = Carrier::open(way.kind, way.door.base(), way.connect).await?;
        let mut client = Self { carrier, seat, media: None, signals: VecDeque::new() };
        let info = ClientInfo { os: "any".into(), browser: "none".into(), client: env!("CARGO_PKG_VERSION").into() };
        let hello = ToRelay::Hello {
            schema: SCHEMA,
            ticket: ticket.map(str::to_owned),
            resume: resume.map(str::to_owned),
            client: info,
        };
        client.tell(&hello).await?;
        client.until("the welcome", |signal| matches!(signal, ToClient::Welcome { .. })).await?;
        Ok(client)
    }

    pub const fn seat(&self) -> &Seat {
        &self.seat
    }

    pub const fn seat_mut(&mut self) -> &mut Seat {
        &mut self.seat
    }

    pub const fn media(&self) -> Option<&Media> {
        self.media.as_ref()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// [`ClientError`] when the carrier is closed.
    pub async fn tell(&self, signal: &ToRelay) -> Result<(), ClientError> {
        Ok(self.carrier.send(signal.to_frame()?).await?)
    }

    /// Sends frames.
    ///
    /// # Errors
    /// [`ClientError`] when the carrier is closed.
    pub async fn send(&self, frames: Vec<Frame>) -> Result<(), ClientError> {
        for frame in frames {
            self.carrier.send(frame).await?;
        }
        Ok(())
    }

    /// The next frame, judged by the seat.
    ///
    /// # Errors
    /// [`ClientError::Closed`] at the end, [`ClientError::Wrong`] when the relay errs.
    pub async fn next(&mut self) -> Result<Received, ClientError> {
        match self.carrier.receive().await {
            Arrival::Frame(frame) => Ok(self.seat.handle_frame(&frame)?),
            Arrival::Closed { code } => Err(ClientError::Closed(code)),
        }
    }

    /// Waits for a signal; others are kept for later, pages are followed.
    ///
    /// # Errors
    /// [`ClientError::Late`] when it does not come in ten seconds.
    pub async fn until(
        &mut self,
        what: &'static str,
        wanted: impl Fn(&ToClient) -> bool,
    ) -> Result<ToClient, ClientError> {
        if let Some(at) = self.signals.iter().position(&wanted)
            && let Some(found) = self.signals.remove(at)
        {
            return Ok(found);
        }
        let waiting = async {
            loop {
                match self.next().await? {
                    Received::Signal(signal) if wanted(&signal) => return Ok(signal),
                    Received::Signal(signal) => self.signals.push_back(signal),
                    Received::Page(_) | Received::Other(_) => {}
                }
            }
        };
        timeout(PATIENCE, waiting).await.map_err(|_| ClientError::Late(what))?
    }

    /// Follows the stream until the seat is as wanted.
    ///
    /// # Errors
    /// [`ClientError::Late`] when it is not in ten seconds.
    pub async fn follow(&mut self, what: &'static str, wanted: impl Fn(&Seat) -> bool) -> Result<(), ClientError> {
        let following = async {
            while !wanted(&self.seat) {
                if let Received::Signal(signal) = self.next().await? {
                    self.signals.push_back(signal);
                }
            }
            Ok(())
        };
        timeout(PATIENCE, following).await.map_err(|_| ClientError::Late(what))?
    }

    /// Visitor: agrees to the next agent who asks.
    ///
    /// # Errors
    /// [`ClientError`] when nobody asks.
    pub async fn agree(&mut self) -> Result<(), ClientError> {
        self.follow("a question", |seat| !seat.asks.is_empty()).await?;
        while let Some(ask) = self.seat.asks.pop_front() {
            self.tell(&ask.agree()).await?;
        }
        self.follow("the session", |seat| seat.stage() == Some(Stage::Active)).await
    }

    /// Visitor: a first page of `snapshot_bytes`, sent when the relay wants it.
    ///
    /// # Errors
    /// [`ClientError`] when the relay does not want it.
    pub async fn show_page(&mut self, seed: u64, snapshot_bytes: usize) -> Result<Page, ClientError> {
        self.follow("a wish for a snapshot", |seat| seat.snapshots_wanted > 0).await?;
        self.seat.snapshots_wanted = 0;
        let (epoch, mask) = self.seat.place().map(|place| (place.page_epoch, place.mask_epoch)).unwrap_or_default();
        let mut page = Page::new(seed, epoch, mask, snapshot_bytes);
        self.send(page.snapshot(clock::now_us())).await?;
        Ok(page)
    }

    /// Sets up media: offer, answer, connectivity. Returns when connected.
    ///
    /// # Errors
    /// [`ClientError`] when that fails.
    pub async fn connect_media(&mut self, path: Path, local: IpAddr) -> Result<(), ClientError> {
        let (mut media, sdp) = Media::offer(path, local).await?;
        self.tell(&ToRelay::Offer { sdp }).await?;
        let ToClient::Answer { sdp } = self.until("an answer", |s| matches!(s, ToClient::Answer { .. })).await? else {
            return Err(ClientError::Late("an answer"));
        };
        media.answer(&sdp).await?;
        let connected = async {
            while !media.with(|peer| peer.is_connected()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, connected).await.map_err(|_| ClientError::Late("the media connection"))?;
        self.media = Some(media);
        Ok(())
    }

    /// Asks for the slot of one's own side; the share goes live when the first keyframe has come.
    ///
    /// # Errors
    /// [`ClientError`] when the relay does not answer.
    pub async fn start_share(&mut self, grant: Option<u32>) -> Result<(), ClientError> {
        let mid = self.media.as_ref().map(|media| media.with(|peer| peer.own_mid())).unwrap_or_default();
        let start = ToRelay::ShareStart {
            mid,
            surface: Some(Surface::Window),
            audio_mid: None,
            grant,
            url: None,
            assurance: None,
        };
        self.tell(&start).await
    }

    /// Waits until a slot shows what is wanted.
    ///
    /// # Errors
    /// [`ClientError`] when it does not.
    pub async fn see_share(
        &mut self,
        slot: Slot,
        wanted: impl Fn(&fanlight_wire::signal::ShareState) -> bool,
    ) -> Result<(), ClientError> {
        self.follow("a share", |seat| seat.share(slot).is_some_and(&wanted)).await
    }
}
