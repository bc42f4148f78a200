//! What a client may not do: be slow with a request, open too many connections, come from a foreign page, send too much;
//! and what a relay survives: a process without file descriptors.

use std::process::Command;
use std::time::Duration;

use fanlight_loadtest::carrier::{Carrier, Kind};
use fanlight_loadtest::clock;
use fanlight_wire::Code;
use fanlight_wire::limits::{CONNECTIONS_PER_ADDRESS_MAX, HTTP_HEADER_MAX, WEBSOCKET_MESSAGE_BYTES_MAX};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::house::{Folder, House, binary, configuration};
use crate::plain;

const EVIL: &str = "https://evil.example";
const PATIENCE: Duration = Duration::from_secs(15);

/// Reads until the relay closes; what it said.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    // A reset is an end as well.
    let end = timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("the relay closes");
    drop(end);
    said
}

// G-40
#[tokio::test]
async fn a_slow_request_is_closed() {
    let mut house = House::open("auto", "");
    let mut stream = TcpStream::connect(&house.public).await.expect("connected");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.expect("sent");
    let began = clock::now();
    let drip = async {
        // One byte at a time is no excuse.
        while stream.write_all(b"a").await.is_ok() {
            sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(PATIENCE, drip).await.expect("the relay closes");
    assert!(
        clock::now().duration_since(began) >= HTTP_HEADER_MAX - Duration::from_secs(1),
        "a slow network is no attack"
    );
    assert_eq!(house.probe("/live").await.0, 200);
    house.assert_quiet().await;
}

// G-40
#[tokio::test]
async fn one_address_has_a_bounded_number_of_connections() {
    let mut house = House::open("auto", "");
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS_PER_ADDRESS_MAX {
        held.push(TcpStream::connect(&house.public).await.expect("connected"));
    }
    let mut beyond = TcpStream::connect(&house.public).await.expect("the kernel accepts");
    assert_eq!(rest(&mut beyond).await, b"", "closed without a word");
    // Another address is not concerned.
    let other = tokio::net::TcpSocket::new_v4().expect("a socket");
    other.bind("127.0.0.2:0".parse().expect("an address")).expect("bound");
    let mut other = other.connect(house.public.parse().expect("an address")).await.expect("connected");
    other.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("sent");
    assert!(rest(&mut other).await.starts_with(b"HTTP/1.1 "), "served");
    drop(held);
    let until = clock::now() + PATIENCE;
    while plain::exchange(&house.public, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .is_ok_and(|answer| answer.is_empty())
    {
        assert!(clock::now() < until, "places do not come back");
    }
    house.assert_quiet().await;
}

// G-35
#[tokio::test(flavor = "multi_thread")]
async fn foreign_pages_are_refused_everywhere() {
    let mut house = House::open("auto", "");
    let origin = format!("Origin: {EVIL}\r\n");
    let answer = plain::ask(&house.public, "POST /v1/keys", &origin, "{\"group\":\"demo\"}").await;
    assert_eq!(answer.status, Code::Origin.http_status(), "{answer:?}");
    assert!(answer.body.contains(Code::Origin.label()), "{answer:?}");
    assert!(!answer.head.to_ascii_lowercase().contains("access-control-allow-origin"), "{}", answer.head);
    let local = plain::ask(&house.local, "GET /metrics", &origin, "").await;
    assert_eq!(local.status, 403, "a page reads no numbers: {local:?}");

    let mut request = format!("ws://{}/v1/ws", house.public).into_client_request().expect("a request");
    request.headers_mut().insert("Origin", EVIL.parse().expect("a value"));
    request.headers_mut().insert("Sec-WebSocket-Protocol", "fanlight.1".parse().expect("a value"));
    let stream = TcpStream::connect(&house.public).await.expect("connected");
    match tokio_tungstenite::client_async(request, stream).await {
        Err(Error::Http(answer)) => assert_eq!(answer.status().as_u16(), Code::Origin.http_status()),
        other => panic!("it was let in: {:?}", other.map(drop)),
    }

    let visit = house.door().visit("demo").await.expect("a session");
    let opened = Carrier::open(Kind::WebTransport, EVIL, &visit.connect).await;
    assert!(opened.is_err(), "a foreign page opened WebTransport");
    assert!(Carrier::open(Kind::WebTransport, house.door().base(), &visit.connect).await.is_ok(), "the own page may");
    house.assert_quiet().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_websocket_message_closes() {
    let mut house = House::open("auto", "");
    let visit = house.door().visit("demo").await.expect("a session");
    let mut request = format!("ws://{}/v1/ws", house.public).into_client_request().expect("a request");
    request.headers_mut().insert("Sec-WebSocket-Protocol", "fanlight.1".parse().expect("a value"));
    let stream = TcpStream::connect(&house.public).await.expect("connected");
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.expect("upgraded");
    let hello = fanlight_wire::signal::ToRelay::Hello {
        schema: fanlight_wire::signal::SCHEMA,
        ticket: Some(visit.ticket),
        resume: None,
        client: Default::default(),
    };
    let hello = hello.to_frame().expect("small");
    socket.send(Message::Binary(hello.bytes().clone())).await.expect("sent");
    socket.next().await.expect("open").expect("a welcome");
    socket.send(Message::binary(vec![1; WEBSOCKET_MESSAGE_BYTES_MAX + 1])).await.expect("sent");
    let close = loop {
        match timeout(PATIENCE, socket.next()).await.expect("in time").expect("a close comes first") {
            Ok(Message::Close(close)) => break close.expect("a code"),
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(u16::from(close.code), Code::Size.close_code());
    house.assert_quiet().await;
}

/// File descriptors that the process gets: enough to start, not enough for the guests below.
const DESCRIPTORS: usize = 64;

// G-11
#[tokio::test(flavor = "multi_thread")]
async fn it_outlives_a_lack_of_file_descriptors() {
    let folder = Folder::new();
    let config = folder.write("fanlight.toml", &configuration(&folder.0, "auto", ""));
    let mut command = Command::new("sh");
    let line = format!("ulimit -n {DESCRIPTORS} && exec \"$0\" run --config \"$1\"");
    command.arg("-c").arg(line).arg(binary()).arg(config);
    let mut house = House::start(command, folder);
    let mut guests = Vec::new();
    for _ in 0..DESCRIPTORS {
        guests.push(TcpStream::connect(&house.public).await.expect("the kernel's queue has room"));
    }
    let until = clock::now() + PATIENCE;
    while !house.log().contains("no connection can be accepted") {
        assert!(clock::now() < until, "it never ran out of descriptors; the test has not tested\n{}", house.log());
        sleep(Duration::from_millis(50)).await;
    }
    assert!(house.is_alive());
    drop(guests);
    let until = clock::now() + PATIENCE;
    while !plain::exchange(&house.public, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200"))
    {
        assert!(clock::now() < until, "it does not recover\n{}", house.log());
    }
    assert_eq!(house.metric("fanlight_panics_total", "").await, 0.0);
    let complaints = house.log().matches(" ERROR ").count();
    assert!(complaints <= 4, "a line for every failure is a flood of its own: {complaints}");
}
