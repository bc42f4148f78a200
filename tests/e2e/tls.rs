//! The encrypted door: pages and the WebSocket behind the certificate that the node made for itself.

use std::sync::Arc;

use fanlight_wire::Frame;
use fanlight_wire::signal::{SCHEMA, ToClient, ToRelay};
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::house::{Folder, House, binary, configuration};

/// Trusts nothing but the node's own certificate.
async fn connect(house: &House, address: &str) -> TlsStream<TcpStream> {
    let certificate = CertificateDer::from_pem_file(house.folder.0.join("https.crt")).expect("the node has made one");
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a sound certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = builder.expect("TLS 1.2 and 1.3").with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    let stream = TcpStream::connect(address).await.expect("connected");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.expect("a certificate for this address")
}

/// A port that was free a moment ago: the node does not say where its encrypted door is when it has a plain one.
fn free_port() -> u16 {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    holder.local_addr().expect("bound").port()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_websockets_travel_encrypted() {
    let folder = Folder::new();
    let address = format!("127.0.0.1:{}", free_port());
    let text =
        configuration(&folder.0, "auto", "").replace("https = \"127.0.0.1:0\"", &format!("https = \"{address}\""));
    let config = folder.write("fanlight.toml", &text);
    let mut command = std::process::Command::new(binary());
    command.arg("run").arg("--config").arg(config);
    let mut house = House::start(command, folder);

    let mut stream = connect(&house, &address).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("sent");
    let mut page = Vec::new();
    stream.read_to_end(&mut page).await.expect("an answer, and an end that was announced");
    assert!(page.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&page));

    let visit = house.door().visit("demo").await.expect("a session");
    let mut request = format!("wss://{address}/v1/ws").into_client_request().expect("a request");
    let headers = request.headers_mut();
    headers.insert("Sec-WebSocket-Protocol", "fanlight.1".parse().expect("a value"));
    headers.insert("Origin", format!("https://{address}").parse().expect("a value"));
    let stream = connect(&house, &address).await;
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.expect("upgraded");
    let hello = ToRelay::Hello { schema: SCHEMA, ticket: Some(visit.ticket), resume: None, client: Default::default() };
    let hello = hello.to_frame().expect("small");
    socket.send(Message::Binary(hello.bytes().clone())).await.expect("sent");
    let welcome = loop {
        match socket.next().await.expect("open").expect("a message") {
            Message::Binary(bytes) => break Frame::parse(bytes).expect("a frame"),
            other => assert!(!other.is_close(), "{other:?}"),
        }
    };
    assert!(matches!(ToClient::parse(welcome.payload()), Ok(ToClient::Welcome { .. })));
    house.assert_quiet().await;
}
