//! Links to approved documents, tried out as browsers would open them: against a real TLS server on this machine.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use fanlight_control::{ControlConfig, Door, Outbound};
use hyper::{Method, StatusCode};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::desk::{Answer, Desk, Folder};

const RELAY: &str = "https://relay.example";
const SHOP: &str = "https://shop.example";
const CHECK: &str = "/v1/config/check-link";

/// A host of documents, and the heads of the requests that came.
struct Host {
    desk: Desk,
    url: String,
    heads: Receiver<String>,
    _folder: Folder,
}

impl Host {
    fn new(test: &str) -> Self {
        let folder = Folder::new(test);
        std::fs::create_dir_all(&folder.0).expect("writable");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let ca_path = folder.0.join("ca.pem");
        std::fs::write(&ca_path, made.cert.pem()).expect("writable");
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.expect("versions").with_no_client_auth();
        let config =
            Arc::new(config.with_single_cert(vec![made.cert.der().clone()], key).expect("they belong together"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("https://localhost:{}", listener.local_addr().expect("bound").port());
        let (keep, heads) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let session = ServerConnection::new(Arc::clone(&config)).expect("a good configuration");
                let mut stream = StreamOwned::new(session, stream);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    let mut byte = [0];
                    if stream.read(&mut byte).unwrap_or(0) == 0 {
                        break;
                    }
                    head.push(byte[0].into());
                }
                // Who was refused by the certificate or has left hears nothing.
                drop(stream.write_all(answer(&head).as_bytes()));
                drop(stream.flush());
                stream.conn.send_close_notify();
                drop(stream.flush());
                drop(keep.send(head));
            }
        });
        let outbound = Outbound { named: vec![url.clone()], ca_path: Some(ca_path) };
        let config = ControlConfig { demo: true, outbound, public_url: RELAY.into(), ..ControlConfig::default() };
        Self { desk: Desk::with(config), url, heads, _folder: folder }
    }

    fn check(&self, path: &str, kind: &str) -> Answer {
        check(&self.desk, &format!("{}{path}", self.url), kind)
    }

    fn head(&self) -> String {
        self.heads.recv_timeout(Duration::from_secs(20)).expect("somebody came")
    }
}

/// What each path of the host answers.
fn answer(head: &str) -> String {
    let path = head.split(' ').nth(1).unwrap_or_default();
    let origin = head.lines().find_map(|line| line.strip_prefix("origin: ")).unwrap_or_default();
    let (status, more) = match path {
        "/anybody.pdf" => ("206 x", "content-type: application/pdf\r\naccess-control-allow-origin: *\r\n".to_owned()),
        "/echo.csv" => {
            ("200 x", format!("content-type: text/csv; charset=utf-8\r\naccess-control-allow-origin: {origin}\r\n"))
        }
        "/relay.xlsx" => (
            "200 x",
            format!(
                "content-type: application/vnd.openxmlformats-officedocument.spreadsheetml.sheet\r\n\
                 access-control-allow-origin: {RELAY}\r\n"
            ),
        ),
        "/nobody.pdf" => ("200 x", "content-type: application/pdf\r\n".to_owned()),
        "/page.pdf" => ("200 x", "content-type: text/html\r\naccess-control-allow-origin: *\r\n".to_owned()),
        "/moved.pdf" => ("302 x", "location: https://elsewhere.example/\r\n".to_owned()),
        _ => ("404 x", String::new()),
    };
    format!("HTTP/1.1 {status}\r\n{more}connection: close\r\ncontent-length: 1\r\n\r\n%")
}

fn check(desk: &Desk, url: &str, kind: &str) -> Answer {
    desk.operate(Method::POST, CHECK, &json!({"url": url, "type": kind}).to_string())
}

/// What was found, without its sentences.
fn found(answer: &Answer) -> Vec<(String, Option<String>, bool)> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let findings = answer.body["findings"].as_array().expect("findings").clone();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let found: Vec<_> = findings
        .iter()
        .map(|one| {
            assert!(one["sentence"].as_str().is_some_and(|sentence| sentence.ends_with('.')), "{one}");
            (text(&one["about"]).expect("a subject"), text(&one["origin"]), one["good"] == true)
        })
        .collect();
    assert_eq!(answer.body["good"] == true, found.iter().all(|(.., good)| *good));
    found
}

fn of(about: &str, origin: Option<&str>, good: bool) -> (String, Option<String>, bool) {
    (about.to_owned(), origin.map(str::to_owned), good)
}

#[test]
fn a_link_is_tried_out_as_the_pages_would_open_it() {
    // R091
    let host = Host::new("check-link");
    let reached = || vec![of("reachable", None, true), of("type", None, true)];
    let with = |relay: bool, shop: bool| {
        let cors = [of("cors", Some(RELAY), relay), of("cors", Some(SHOP), shop)];
        reached().into_iter().chain(cors).collect::<Vec<_>>()
    };
    assert_eq!(found(&host.check("/anybody.pdf", "pdf")), with(true, true));
    let (first, second) = (host.head(), host.head());
    let mut origins = [&first, &second].map(|head| head.lines().find(|line| line.starts_with("origin: ")));
    origins.sort_unstable();
    assert_eq!(origins, [Some("origin: https://relay.example"), Some("origin: https://shop.example")]);
    assert!(first.starts_with("GET /anybody.pdf HTTP/1.1\r\n") && first.contains("range: bytes=0-0\r\n"), "{first}");
    assert!(!first.contains("authorization") && !first.contains("cookie"), "as a stranger: {first}");
    assert_eq!(found(&host.check("/echo.csv", "csv")), with(true, true));
    assert_eq!(found(&host.check("/relay.xlsx", "xls")), with(true, false));
    let nobody = host.check("/nobody.pdf", "pdf");
    assert_eq!(found(&nobody), with(false, false));
    let sentence = nobody.body["findings"][2]["sentence"].as_str().expect("text");
    assert!(sentence.contains("Access-Control-Allow-Origin is missing") && sentence.contains(RELAY), "{sentence}");
    assert_eq!(found(&host.check("/page.pdf", "pdf"))[1], of("type", None, false));
    assert_eq!(found(&host.check("/anybody.pdf", "csv"))[1], of("type", None, false), "not what the link says");
    for (path, status) in [("/moved.pdf", "302"), ("/gone.pdf", "404")] {
        let answer = host.check(path, "pdf");
        assert_eq!(found(&answer), [of("reachable", None, false)], "{path}");
        assert!(answer.body["findings"][0]["sentence"].as_str().is_some_and(|text| text.contains(status)), "{path}");
    }
}

#[test]
fn nobody_can_point_the_relay_at_what_is_not_theirs() {
    // R091, G-70, G-52
    let host = Host::new("check-link-inside");
    let port = host.url.rsplit(':').next().expect("a port");
    for url in [
        format!("https://127.0.0.1:{port}/anybody.pdf"),
        format!("http://localhost:{port}/anybody.pdf"),
        "https://169.254.169.254/latest/meta-data".into(),
        "https://10.0.0.1/x.pdf".into(),
        "https://user@shop.example/x.pdf".into(),
        "file:///etc/passwd".into(),
        String::new(),
    ] {
        assert_eq!(found(&check(&host.desk, &url, "pdf")), [of("reachable", None, false)], "{url}");
    }
    assert!(host.heads.try_recv().is_err(), "nobody was asked");
    for wrong in [r#"{"url": 1}"#, r#"{"type": "pdf"}"#, r#"{"url": "https://a.example/", "type": "exe"}"#, ""] {
        assert_eq!(host.desk.operate(Method::POST, CHECK, wrong).code(), Some("E_INPUT"), "{wrong}");
    }
    let body = json!({"url": host.url, "type": "pdf"}).to_string();
    let agent = host.desk.sign_in(0);
    assert_eq!(host.desk.post(CHECK, Some(&agent), &body).status, StatusCode::NOT_FOUND, "not at the public door");
    assert_eq!(host.desk.ask(Door::Operator, Method::POST, CHECK, Some(&agent), &body).code(), Some("E_LOGIN"));
}

#[test]
fn a_host_that_is_not_trusted_or_not_there_is_not_reachable() {
    // R091
    let host = Host::new("check-link-trust");
    let outbound = Outbound { named: vec![host.url.clone()], ca_path: None };
    let config = ControlConfig { outbound, public_url: RELAY.into(), ..ControlConfig::default() };
    let answer = check(&Desk::with(config), &format!("{}/anybody.pdf", host.url), "pdf");
    assert_eq!(found(&answer), [of("reachable", None, false)]);
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    let url = format!("https://localhost:{closed}");
    let outbound = Outbound { named: vec![url.clone()], ca_path: None };
    let config = ControlConfig { outbound, public_url: RELAY.into(), ..ControlConfig::default() };
    let answer = check(&Desk::with(config), &format!("{url}/x.pdf"), "pdf");
    assert_eq!(found(&answer), [of("reachable", None, false)]);
}
