//! A real listener and real sockets: what a careless or hostile client can do to the doors.

use std::time::Duration;

use hyper::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Collects the body, then says what it saw.
struct Echo;

impl Door for Echo {
    async fn answer(&self, request: Inbound, _: IpAddr) -> Response<Body> {
        match answer::collected(request, 16).await {
            Ok(request) => answer::text(StatusCode::OK, format!("{} bytes", request.body().len())),
            Err(refusal) => answer::refused(&refusal),
        }
    }
}

struct House {
    address: SocketAddr,
    stop: watch::Sender<bool>,
}

async fn house(slots: Option<Arc<Slots>>) -> House {
    let tcp = listen("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let address = tcp.local_addr().expect("bound");
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(serve(Listener { tcp, tls: None, slots }, Arc::new(Echo), stopped));
    House { address, stop }
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    // A refused connection may be reset after its answer; what was read counts.
    drop(stream.read_to_end(&mut answer).await);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_body_is_taken_up_to_its_limit() {
    let house = house(None).await;
    let post = |body: &str| {
        format!("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    };
    assert!(ask(house.address, &post("0123456789abcdef")).await.ends_with("16 bytes"));
    let refused = ask(house.address, &post("0123456789abcdef!")).await;
    assert!(refused.starts_with("HTTP/1.1 413") && refused.contains("E_SIZE"), "{refused}");
    // G-72: a body without a length is counted as it comes.
    let chunked = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
                   10\r\n0123456789abcdef\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n";
    assert!(ask(house.address, chunked).await.starts_with("HTTP/1.1 413"));
}

// G-41
#[tokio::test]
async fn heads_that_servers_read_differently_are_refused() {
    let house = house(None).await;
    for head in [
        "GET / HTTP/1.1\r\nhost: x\r\nx_forwarded_for: 1\r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\nhost: y\r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: x\r\nbad name: 1\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n1",
        "GET / HTTP/1.1\r\n folded: 1\r\nhost: x\r\n\r\n",
    ] {
        let answer = ask(house.address, head).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{head:?} gave {answer:?}");
    }
    let long = format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "a".repeat(64 * 1024));
    let answer = ask(house.address, &long).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer:?}");
}

#[tokio::test]
async fn a_source_that_holds_its_share_gets_no_more() {
    let house = house(Some(Slots::new(100, 2))).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(house.address).await.expect("connected");
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
        let mut byte = [0];
        stream.read_exact(&mut byte).await.expect("an answer");
        held.push(stream);
    }
    assert_eq!(ask(house.address, "GET / HTTP/1.1\r\nhost: x\r\n\r\n").await, "");
}

#[tokio::test]
async fn a_stop_closes_idle_connections_and_accepts_no_more() {
    let house = house(None).await;
    let mut idle = TcpStream::connect(house.address).await.expect("connected");
    idle.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    let mut byte = [0];
    idle.read_exact(&mut byte).await.expect("an answer");
    house.stop.send(true).expect("somebody listens");
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(10), idle.read_to_end(&mut rest)).await;
    assert!(matches!(closed, Ok(Ok(_))), "{closed:?}");
    // The listener may be dropped a moment after the connection is closed; then connecting fails.
    while TcpStream::connect(house.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn complaints_about_accepting_are_rationed() {
    let mut complaints = Complaints::default();
    let error = io::Error::from_raw_os_error(libc::EMFILE);
    let start = clock::now();
    for nth in 0..50 {
        complaints.about(&error, start + nth * limits::ACCEPT_REST);
    }
    assert_eq!(complaints.unsaid, 49);
    complaints.about(&error, start + limits::ACCEPT_COMPLAINT_INTERVAL);
    assert_eq!(complaints.unsaid, 0);
    assert!(!is_about_one_connection(&error));
}
