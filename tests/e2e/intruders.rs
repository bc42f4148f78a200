//! Insiders: people with good tickets whose clients send damaged frames and damaged media from addresses that the relay
//! trusts. Each round is a session of its own, made and ended through the operator's door.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fanlight_loadtest::carrier::{Connect, Kind};
use fanlight_loadtest::client::{Client, ClientError, Door, Way};
use fanlight_loadtest::clock;
use fanlight_loadtest::media::{Path, Peer, Transmit, addresses};
use fanlight_wire::Frame;
use fanlight_wire::signal::{ToClient, ToRelay};
use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tokio::time::{Instant as Wake, sleep_until, timeout};

use crate::flood::{Corpus, Tally, add, inputs};
use crate::media::screen;
use crate::mutate::mutated;
use crate::plain;

/// Frames of one insider in one round, if it is let to.
const FRAMES: usize = 2_000;
/// How long one peer of a round sends.
const MEDIA_ROUND: Duration = Duration::from_secs(4);
/// Damaged copies of each datagram.
const COPIES: usize = 20;

/// What an insider needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Insider {
    pub(crate) door: Door,
    pub(crate) operator: String,
    pub(crate) token: String,
    pub(crate) tally: Arc<Tally>,
    pub(crate) corpus: Arc<Corpus>,
    pub(crate) stop: Arc<AtomicBool>,
}

/// A session of a round, both inside.
struct Round {
    session: String,
    visitor: Client,
    agent: Client,
}

impl Insider {
    /// Damaged frames on both carriers, round after round.
    pub(crate) async fn frames(self, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        while !self.stop.load(Ordering::Relaxed) {
            let kind = if random.bool() { Kind::WebSocket } else { Kind::WebTransport };
            // A round that fails was ended by the relay, which is its right.
            let Ok(mut round) = self.round(kind).await else { continue };
            drop(round.visitor.show_page(1, 2_000).await);
            for client in [&mut round.visitor, &mut round.agent] {
                self.talk(client, &mut random).await;
            }
            self.end(&round.session).await;
            add(&self.tally.rounds, 1);
        }
    }

    /// Damaged media of a connected peer, round after round.
    pub(crate) async fn media(self, seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        while !self.stop.load(Ordering::Relaxed) {
            let Ok(mut round) = self.round(Kind::WebSocket).await else { continue };
            drop(self.share(&mut round, &mut random).await);
            self.end(&round.session).await;
            add(&self.tally.rounds, 1);
        }
    }

    /// A new session with both inside. When they cannot come in, it has ended again.
    async fn round(&self, kind: Kind) -> Result<Round, ClientError> {
        let made = self.session().await;
        let entered = self.enter(&made, kind).await;
        if entered.is_err() {
            self.end(made["session"].as_str().unwrap_or_default()).await;
        }
        entered
    }

    /// What the operator's door says about a new session.
    pub(crate) async fn session(&self) -> Value {
        self.operate("POST /v1/sessions", &json!({ "group": "demo" }), &[201]).await
    }

    async fn enter(&self, made: &Value, kind: Kind) -> Result<Round, ClientError> {
        let session = made["session"].as_str().unwrap_or_default().to_owned();
        let body = json!({ "session": session, "role": "agent", "name": "Eve", "subject": "eve" });
        let minted = self.operate("POST /v1/tickets", &body, &[201]).await;
        let connect: Connect = serde_json::from_value(made["connect"].clone())?;
        let way = Way { door: &self.door, kind, connect: &connect };
        let mut visitor = Client::join(&way, made["visitor_ticket"].as_str().unwrap_or_default()).await?;
        let agent = Client::join(&way, minted["ticket"].as_str().unwrap_or_default()).await?;
        visitor.agree().await?;
        Ok(Round { session, visitor, agent })
    }

    /// The operator is served, whatever strangers do. A disk that stands still for a second is not their doing: the
    /// relay says 503 then, and does what is asked within five seconds (P4).
    async fn operate(&self, what: &str, body: &Value, expected: &[u16]) -> Value {
        let bearer = format!("Authorization: Bearer {}\r\n", self.token);
        let mut answer = plain::ask(&self.operator, what, &bearer, &body.to_string()).await;
        for _ in 0..10 {
            if answer.status != 503 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            answer = plain::ask(&self.operator, what, &bearer, &body.to_string()).await;
        }
        assert!(expected.contains(&answer.status), "{what}: {answer:?}");
        serde_json::from_str(&answer.body).unwrap_or_default()
    }

    /// Ends a session, unless an insider has said `end` by accident.
    pub(crate) async fn end(&self, session: &str) {
        self.operate(&format!("DELETE /v1/sessions/{session}"), &json!({}), &[204, 404]).await;
    }

    async fn talk(&self, client: &mut Client, random: &mut fastrand::Rng) {
        let payloads = [inputs("frame"), inputs("signal")].concat();
        for _ in 0..FRAMES {
            let Some(frame) = nonsense(random, &payloads) else { continue };
            match timeout(Duration::from_secs(1), client.send(vec![frame])).await {
                Ok(Ok(())) => add(&self.tally.frames, 1),
                _ => return,
            }
            // What comes back may be as damaged as what others sent; only the end counts.
            if let Ok(Err(ClientError::Closed(_))) = timeout(Duration::ZERO, client.next()).await {
                return;
            }
        }
    }

    /// A peer that connects and shares while every datagram goes out damaged, too, from the very same address.
    async fn share(&self, round: &mut Round, random: &mut fastrand::Rng) -> Result<(), ClientError> {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let local = socket.local_addr().expect("bound");
        let (mut peer, to) = agree_on_media(round, local).await?;
        let until = clock::now() + MEDIA_ROUND;
        let (mut buffer, mut seen) = (vec![0; 2_048], Vec::new());
        while clock::now() < until && !self.stop.load(Ordering::Relaxed) {
            peer.handle_timeout(clock::now());
            while let Some(transmit) = peer.poll_transmit() {
                self.corpus.learn(&transmit.payload);
                seen.push(transmit.payload.clone());
                seen.drain(..seen.len().saturating_sub(64));
                // What a full socket does not take is lost, as on any path.
                drop(socket.send_to(&transmit.payload, to).await);
                for _ in 0..COPIES {
                    let copy = mutated(random, &seen);
                    drop(socket.send_to(copy.get(..1_472).unwrap_or(&copy), to).await);
                }
                add(&self.tally.inside_datagrams, COPIES as u64);
            }
            tokio::select! {
                received = socket.recv_from(&mut buffer) => {
                    let Ok((bytes, source)) = received else { continue };
                    let payload = buffer.get(..bytes).unwrap_or_default().to_vec();
                    let datagram = Transmit { path: Path::Udp, source, destination: local, payload };
                    peer.handle_datagram(clock::now(), &datagram);
                }
                () = sleep_until(Wake::from_std(peer.deadline())) => {}
            }
        }
        Ok(())
    }
}

/// The visitor of a round gets a peer that shares, and the relay's address.
async fn agree_on_media(round: &mut Round, local: SocketAddr) -> Result<(Peer, SocketAddr), ClientError> {
    let mut peer = Peer::new(clock::now(), clock::now_us());
    let useless = |_| ClientError::Late("a usable description");
    peer.add_address(Path::Udp, local).map_err(useless)?;
    let visitor = &mut round.visitor;
    visitor.tell(&ToRelay::Offer { sdp: peer.offer() }).await?;
    let ToClient::Answer { sdp } = visitor.until("an answer", |s| matches!(s, ToClient::Answer { .. })).await? else {
        return Err(ClientError::Late("an answer"));
    };
    peer.answer(clock::now(), &sdp).map_err(useless)?;
    round.agent.tell(&ToRelay::ShareInvite).await?;
    visitor.follow("an invitation", |seat| !seat.grants.is_empty()).await?;
    let grant = visitor.seat_mut().grants.pop_front().map(|invited| invited.number);
    let mid = peer.own_mid();
    visitor
        .tell(&ToRelay::ShareStart { mid, surface: None, audio_mid: None, grant, url: None, assurance: None })
        .await?;
    peer.publish(clock::now(), screen(666));
    let to = addresses(&sdp).into_iter().find(|(path, _)| *path == Path::Udp);
    let (_, to) = to.ok_or(ClientError::Late("an address"))?;
    Ok((peer, to))
}

/// A frame whose header can be read and says anything, around a damaged payload.
fn nonsense(random: &mut fastrand::Rng, payloads: &[Vec<u8>]) -> Option<Frame> {
    const KINDS: [u8; 10] = [0x01, 0x10, 0x11, 0x12, 0x20, 0x21, 0x30, 0x31, 0x32, 0x40];
    let small = |random: &mut fastrand::Rng| if random.u8(..8) == 0 { random.u32(..) } else { random.u32(..4) };
    let payload = mutated(random, payloads);
    let count = random.u16(1..4);
    let kind = KINDS[random.usize(..KINDS.len())];
    let mut bytes = vec![1, kind, random.u8(..2), random.u8(..)];
    for _ in 0..3 {
        bytes.extend_from_slice(&small(random).to_be_bytes());
    }
    bytes.extend_from_slice(&random.u16(..count).to_be_bytes());
    bytes.extend_from_slice(&count.to_be_bytes());
    bytes.extend_from_slice(&small(random).to_be_bytes());
    bytes.extend_from_slice(&u32::try_from(payload.len()).unwrap_or_default().to_be_bytes());
    bytes.extend_from_slice(&payload);
    Frame::parse(bytes.into()).ok()
}
