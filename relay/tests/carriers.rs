//! A whole node in this process, with real sockets and real clients: who is let in, how a carrier ends, how a node stops.
//! Every story is told over both carriers.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fanlight::config::Config;
use fanlight::drain::Drain;
use fanlight::node::{Addresses, Node};
use fanlight::telemetry::LogLevel;
use fanlight_loadtest::carrier::{Arrival, Carrier, Connect, Kind};
use fanlight_loadtest::client::{Client, ClientError, Door, Way};
use fanlight_loadtest::http;
use fanlight_wire::limits::LINK_TRIES_PER_ADDRESS;
use fanlight_wire::signal::{ToClient, ToRelay};
use fanlight_wire::{Code, Frame, Header, Kind as FrameKind};
use futures_util::{SinkExt, StreamExt};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::{Error, Message};

const BOTH: [Kind; 2] = [Kind::WebSocket, Kind::WebTransport];

/// A node of its own: kernel-chosen ports, a folder that goes with it.
struct House {
    folder: PathBuf,
    addresses: Addresses,
    drain: Arc<Drain>,
    running: JoinHandle<()>,
}

impl House {
    async fn open(more: &str) -> Self {
        Self::with("", more).await
    }

    /// `public`: more lines of that section.
    async fn with(public: &str, more: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let nth = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("fanlight-carriers-{}-{nth}", std::process::id()));
        let text = format!(
            "[public]\nhttp = \"127.0.0.1:0\"\nhttps = \"127.0.0.1:0\"\n{public}[operator]\nlisten = \"127.0.0.1:0\"\n\
             token_file = \"{0}/operator.token\"\n[local]\nlisten = \"127.0.0.1:0\"\n[quic]\nbase_port = 0\n\
             [store]\npath = \"{0}/fanlight.db\"\n[media]\nbase_port = 0\nshards = 2\n{more}",
            folder.display()
        );
        let config = Config::parse(&text).expect("a good configuration");
        let node = Node::start(config, LogLevel::unattached()).await.expect("a node");
        let (addresses, drain) = (node.addresses(), node.drain());
        Self { folder, addresses, drain, running: tokio::spawn(node.until_stopped()) }
    }

    fn base(&self) -> String {
        format!("http://{}", self.addresses.http.expect("an open door"))
    }

    fn local(&self) -> String {
        format!("http://{}", self.addresses.local.expect("an open door"))
    }

    fn door(&self) -> Door {
        Door::new(self.base())
    }

    /// Two signals: the second ends what the first left.
    async fn close(self) {
        self.drain.step();
        self.drain.step();
        self.running.await.expect("a clean stop");
        std::fs::remove_dir_all(&self.folder).expect("its own folder");
    }
}

fn hello(ticket: &str) -> Frame {
    let hello = ToRelay::Hello { schema: 1, ticket: Some(ticket.into()), resume: None, client: Default::default() };
    hello.to_frame().expect("small")
}

/// Everything up to the close code; what the last signal was.
async fn to_the_end(carrier: &mut Carrier) -> (Option<ToClient>, Option<u16>) {
    let mut last = None;
    loop {
        match carrier.receive().await {
            Arrival::Frame(frame) => last = ToClient::parse(frame.payload()).ok(),
            Arrival::Closed { code } => return (last, code),
        }
    }
}

fn denial(signal: Option<&ToClient>) -> Option<Code> {
    match signal {
        Some(ToClient::Denied { re, refusal, .. }) if re == "hello" => Some(refusal.code),
        _ => None,
    }
}

// R116, R117
#[tokio::test(flavor = "multi_thread")]
async fn a_page_reaches_an_agent_after_consent() {
    let house = House::open("").await;
    let door = house.door();
    for kind in BOTH {
        let visit = door.visit("demo").await.expect("a session");
        let way = Way { door: &door, kind, connect: &visit.connect };
        let mut visitor = Client::join(&way, &visit.ticket).await.expect("the visitor is welcome");
        let token = door.login_demo(0).await.expect("an agent");
        let joining = door.join(&token, &visit.key).await.expect("a good key");
        let way = Way { door: &door, kind, connect: &joining.connect };
        let mut agent = Client::join(&way, &joining.ticket).await.expect("the agent is welcome");
        visitor.agree().await.expect("consent");
        let mut page = visitor.show_page(7, 300_000).await.expect("a page is wanted");
        for _ in 0..20 {
            visitor.send(page.change(2_000, 0)).await.expect("open");
        }
        let state = page.state();
        agent.follow("the visitor's page", |seat| seat.mirror().state() == Some(state)).await.expect("equal pages");
    }
    house.close().await;
}

// G-13: an agent that stops reading delays nobody, and catches up by a snapshot.
#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_agent_delays_nobody_and_comes_back() {
    let house = House::open("").await;
    let door = house.door();
    for kind in BOTH {
        let visit = door.visit("demo").await.expect("a session");
        let way = Way { door: &door, kind, connect: &visit.connect };
        let mut visitor = Client::join(&way, &visit.ticket).await.expect("welcome");
        let mut agents = Vec::new();
        for index in 0..2 {
            let key = if index == 0 { visit.key.clone() } else { door.further_key(&visit).await.expect("a key") };
            let token = door.login_demo(index).await.expect("an agent");
            let joining = door.join(&token, &key).await.expect("a good key");
            agents.push(Client::join(&way, &joining.ticket).await.expect("welcome"));
            visitor.agree().await.expect("consent");
        }
        let mut page = visitor.show_page(3, 50_000).await.expect("a page is wanted");
        for agent in &mut agents {
            let state = page.state();
            agent.follow("the page", |seat| seat.mirror().state() == Some(state)).await.expect("equal pages");
        }
        let [reading, stuck] = agents.as_mut_slice() else { panic!("two agents") };
        // Four times what the relay keeps for an agent before it gives the cursor up, and more than sockets hold.
        for _ in 0..100 {
            visitor.send(page.change(160_000, 0)).await.expect("open");
            let state = page.state();
            reading.follow("a change", |seat| seat.mirror().state() == Some(state)).await.expect("in time");
            if visitor.seat().snapshots_wanted > 0 {
                break;
            }
        }
        let before = stuck.seat().resyncs();
        let state = page.state();
        let answer = async {
            loop {
                visitor.follow("a wish for a snapshot", |seat| seat.snapshots_wanted > 0).await.expect("in time");
                visitor.seat_mut().snapshots_wanted = 0;
                visitor.send(page.snapshot(0)).await.expect("open");
            }
        };
        tokio::select! {
            done = stuck.follow("what it missed", |seat| seat.mirror().state() == Some(state)) => {
                assert!(done.is_ok(), "{done:?} over {kind:?}");
            }
            () = answer => {}
        }
        assert!(stuck.seat().resyncs() > before, "it was not stuck over {kind:?}");
    }
    house.close().await;
}

// G-50
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_admits_once_and_a_stranger_never() {
    let house = House::open("").await;
    let door = house.door();
    for kind in BOTH {
        let visit = door.visit("demo").await.expect("a session");
        let way = Way { door: &door, kind, connect: &visit.connect };
        let _first = Client::join(&way, &visit.ticket).await.expect("welcome");
        for (what, frame, code) in [
            ("a used ticket", hello(&visit.ticket), Code::Ticket),
            ("a forged ticket", hello("eyJhbGciOiJub25lIn0.e30."), Code::Ticket),
            ("no hello", ToRelay::Leave.to_frame().expect("small"), Code::BadSignal),
            ("no signal", Frame::new(Header::single(FrameKind::Diff), b"").expect("small"), Code::BadSignal),
        ] {
            if kind == Kind::WebTransport && frame.header().kind != FrameKind::Signal {
                // Travels on a stream of its own and waits there for a hello.
                continue;
            }
            let mut carrier = Carrier::open(kind, door.base(), &visit.connect).await.expect("an open carrier");
            carrier.send(frame).await.expect("sent");
            let (last, closed) = to_the_end(&mut carrier).await;
            assert_eq!(denial(last.as_ref()), Some(code), "{what} over {kind:?}");
            assert_eq!(closed, Some(code.close_code()), "{what} over {kind:?}");
        }
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_comes_back_on_the_other_carrier() {
    let house = House::open("").await;
    let door = house.door();
    let visit = door.visit("demo").await.expect("a session");
    let mut way = Way { door: &door, kind: Kind::WebTransport, connect: &visit.connect };
    let client = Client::join(&way, &visit.ticket).await.expect("welcome");
    let id = client.seat().id();
    way.kind = Kind::WebSocket;
    let client = client.resume(&way).await.expect("welcome back");
    assert_eq!(client.seat().id(), id);
    assert!(client.seat().place().is_some_and(|place| place.resumed));
    house.close().await;
}

// G-35
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_foreign_origins_open_no_carrier() {
    let house = House::open("").await;
    let visit = house.door().visit("demo").await.expect("a session");
    let address = house.addresses.http.expect("an open door");
    for (origin, welcome) in [
        (Some(format!("http://{address}")), true),
        (None, true),
        (Some("https://evil.example".into()), false),
        (Some("null".into()), false),
        (Some(format!("http://{address}.evil.example")), false),
    ] {
        let mut request = format!("ws://{address}/v1/ws").into_client_request().expect("a request");
        let headers = request.headers_mut();
        headers.insert("Sec-WebSocket-Protocol", HeaderValue::from_static("fanlight.1"));
        if let Some(origin) = &origin {
            headers.insert("Origin", origin.parse().expect("a value"));
        }
        let stream = TcpStream::connect(address).await.expect("connected");
        match tokio_tungstenite::client_async(request, stream).await {
            Ok(_) => assert!(welcome, "{origin:?} was let in"),
            Err(Error::Http(answer)) => {
                assert!(!welcome && answer.status() == StatusCode::FORBIDDEN, "{origin:?}: {}", answer.status());
            }
            Err(error) => panic!("{origin:?}: {error}"),
        }
        let origin = origin.unwrap_or_default();
        // The library that opens WebTransport takes the page's address for the origin.
        let base = if origin.is_empty() { house.base() } else { origin };
        let opened = Carrier::open(Kind::WebTransport, &base, &visit.connect).await;
        assert_eq!(opened.is_ok(), welcome, "{base} over WebTransport");
    }
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_that_talks_nonsense_is_closed_with_a_code() {
    let house = House::open("").await;
    let address = house.addresses.http.expect("an open door");
    for (message, code) in [
        (Message::text("hello"), Code::BadFrame),
        (Message::binary(vec![0; 40]), Code::BadFrame),
        (Message::binary(vec![1; 70_000]), Code::Size),
    ] {
        let visit = house.door().visit("demo").await.expect("a session");
        let mut request = format!("ws://{address}/v1/ws").into_client_request().expect("a request");
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("fanlight.1"));
        let stream = TcpStream::connect(address).await.expect("connected");
        let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.expect("upgraded");
        socket.send(Message::Binary(hello(&visit.ticket).bytes().clone())).await.expect("sent");
        let welcome = socket.next().await.expect("open").expect("a message");
        assert!(matches!(welcome, Message::Binary(_) | Message::Ping(_)), "{welcome:?}");
        socket.send(message).await.expect("sent");
        let close = loop {
            match socket.next().await.expect("a close comes first") {
                Ok(Message::Close(close)) => break close.expect("a code"),
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(u16::from(close.code), code.close_code());
    }
    house.close().await;
}

// G-06
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_refuses_newcomers_tells_those_inside_and_ends() {
    let house = House::open("").await;
    let door = house.door();
    let mut inside = Vec::new();
    for kind in BOTH {
        let visit = door.visit("demo").await.expect("a session");
        let way = Way { door: &door, kind, connect: &visit.connect };
        inside.push(Client::join(&way, &visit.ticket).await.expect("welcome"));
    }
    let ready = |local: String| async move { http::request(&local, "GET", "/ready", None, None).await };
    // The local door refuses whatever a page sends, and the load test's client says it is one.
    assert_eq!(ready(house.local()).await.expect("an answer").status, 403);
    house.drain.begin();
    let refused = loop {
        match door.visit("demo").await {
            Err(ClientError::Http(http::HttpError::Refused { status, body })) => break (status, body),
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!((refused.0, refused.1["code"].as_str()), (503, Some("E_DRAIN")));
    house.drain.step();
    for mut client in inside {
        let code = loop {
            match client.next().await {
                Ok(_) => {}
                Err(ClientError::Closed(code)) => break code,
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(code, Some(Code::Draining.close_code()));
    }
    house.running.await.expect("a clean stop");
    std::fs::remove_dir_all(&house.folder).expect("its own folder");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_object_names_what_is_there() {
    let house = House::open("[demo]\nenabled = true\n").await;
    let visit = house.door().visit("demo").await.expect("a session");
    let Connect { websocket, webtransport } = visit.connect;
    assert_eq!(websocket, "/v1/ws");
    assert_eq!(webtransport.expect("WebTransport is on").hashes.len(), 2, "the certificate shown and the next one");
    house.close().await;
}

/// The status of a try at somebody's link, from who says to be at `claimed`.
async fn tries_a_link(mut stream: impl AsyncRead + AsyncWrite + Unpin, claimed: &str) -> String {
    let body = r#"{"code": "aaaa-aaaa"}"#;
    let request = format!(
        "POST /v1/links HTTP/1.1\r\nhost: localhost\r\nx-forwarded-for: {claimed}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    // What was read counts, however the other side hangs up.
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap_or_default().to_owned()
}

// G-35: what a client writes about itself counts nowhere but behind the proxy.
#[tokio::test(flavor = "multi_thread")]
async fn only_a_proxy_says_who_the_client_is() {
    let house = House::with("behind_proxy = true\n", "").await;
    let (http, https) = (house.addresses.http.expect("open"), house.addresses.https.expect("open"));
    let mut roots = RootCertStore::empty();
    let own = CertificateDer::from_pem_file(house.folder.join("https.crt")).expect("the node's own");
    roots.add(own).expect("a certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions").with_root_certificates(roots);
    let tls = TlsConnector::from(Arc::new(config.with_no_client_auth()));
    let (mut past, mut through) = (Vec::new(), Vec::new());
    for nth in 0..=LINK_TRIES_PER_ADDRESS {
        let claimed = format!("192.0.2.{nth}");
        through.push(tries_a_link(TcpStream::connect(http).await.expect("open"), &claimed).await);
        let stream = TcpStream::connect(https).await.expect("open");
        let stream = tls.connect(ServerName::try_from("localhost").expect("a name"), stream).await.expect("TLS");
        past.push(tries_a_link(stream, &claimed).await);
    }
    assert!(through.iter().all(|status| status == "404"), "the proxy's word: as many clients as it says: {through:?}");
    assert_eq!((past.first().map(String::as_str), past.last().map(String::as_str)), (Some("404"), Some("429")));
    house.close().await;
}
