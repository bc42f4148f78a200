//! G-70: nobody makes this machine connect to where a stranger could not.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use fanlight_wire::limits::FETCH_BYTES_MAX;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Answers from a table; a name with several answers gives them one after the other, as a host that rebinds does.
#[derive(Debug, Default)]
struct Table {
    answers: BTreeMap<String, Vec<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Resolve for Arc<Table> {
    fn resolve<'a>(&'a self, host: &'a str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
        let mut asked = self.asked.lock().expect("no test panics while it holds this");
        let turn = asked.iter().filter(|name| *name == host).count();
        asked.push(host.to_owned());
        let answers = self.answers.get(host).map(Vec::as_slice).unwrap_or_default();
        let answer = answers.get(turn).or_else(|| answers.last()).cloned();
        Box::pin(async move { answer.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound)) })
    }
}

fn fetcher(names: &[(&str, &[&str])], named: &[&str]) -> (Fetcher, Arc<Table>) {
    let mut table = Table::default();
    for (name, turns) in names {
        let turn = |list: &&str| list.split(' ').map(|ip| ip.parse().expect("an address")).collect();
        table.answers.insert((*name).to_owned(), turns.iter().map(turn).collect());
    }
    let table = Arc::new(table);
    let outbound = Outbound { named: named.iter().map(|origin| (*origin).to_owned()).collect(), ca_path: None };
    let fetcher = Fetcher::open(&outbound).expect("origins");
    (Fetcher { resolver: Box::new(Arc::clone(&table)), ..fetcher }, table)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// Where a request for this address would connect to.
fn judged(fetcher: &Fetcher, url: &str) -> Result<Vec<SocketAddr>, FetchError> {
    let target = fetcher.target(url)?;
    run(fetcher.addresses(&target))
}

/// Every one of these is special in its own way.
const SPECIAL: &[&str] = &[
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.254",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.170",
    "192.0.2.1",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0.0.0.0",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "100::1",
    "100:0:0:1::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:a9fe:a9fe::1",
    "2620:4f:8000::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456:789a::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff05::2",
    "4000::1",
    "e000::1",
];

const PUBLIC: &[&str] = &[
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.1",
    "100.63.255.255",
    "100.128.0.1",
    "126.255.255.255",
    "128.0.0.1",
    "172.15.255.255",
    "172.32.0.1",
    "192.0.1.1",
    "192.167.255.255",
    "192.169.0.1",
    "198.17.255.255",
    "198.20.0.1",
    "223.255.255.255",
    "2606:4700::1111",
    "2a00:1450::1",
    "2001:4860:4860::8888",
    "2001:200::1",
    "2003::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
];

#[test]
fn a_special_address_is_never_connected_to_however_it_is_reached() {
    // G-70
    assert!(SPECIAL.len() >= 60, "{}", SPECIAL.len());
    for special in SPECIAL {
        // As a name that resolves to it, alone and beside a public one, in either order; and written down.
        let both = format!("8.8.8.8 {special}");
        let turned = format!("{special} 8.8.8.8");
        let names: [(&str, &[&str]); 3] =
            [("alone.example", &[special]), ("beside.example", &[&both]), ("turned.example", &[&turned])];
        let (fetcher, _) = fetcher(&names, &[]);
        for host in ["alone.example", "beside.example", "turned.example"] {
            assert_eq!(judged(&fetcher, &format!("https://{host}/")), Err(FetchError::Special), "{special} as {host}");
        }
        let literal =
            if special.contains(':') { format!("https://[{special}]/") } else { format!("https://{special}/") };
        assert_eq!(judged(&fetcher, &literal), Err(FetchError::Special), "{literal}");
    }
    for public in PUBLIC {
        let (fetcher, _) = fetcher(&[("good.example", &[public])], &[]);
        let at = SocketAddr::new(public.parse().expect("an address"), 443);
        assert_eq!(judged(&fetcher, "https://good.example/"), Ok(vec![at]), "{public}");
    }
}

#[test]
fn an_address_is_taken_only_as_everybody_reads_it() {
    // G-70, G-71
    let (fetcher, table) = fetcher(&[("good.example", &["8.8.8.8"])], &[]);
    for spelled in [
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://①②⑦.0.0.1/",
        "https://0/",
        "https://[::ffff:7f00:1]/",
        "https://[0:0:0:0:0:ffff:127.0.0.1]/",
        "https://127.0.0.1./",
    ] {
        assert_eq!(judged(&fetcher, spelled), Err(FetchError::Special), "{spelled}");
    }
    for refused in [
        "http://good.example/",
        "ftp://good.example/",
        "https://good.example:8443/",
        "https://good.example:80/",
        "https://user@good.example/",
        "https://good.example\\@127.0.0.1/",
        "https://127.0.0.1\\.good.example/",
        "https://good%2eexample/",
        "https:/good.example/",
        "https:good.example",
        "//good.example/",
        "good.example",
        "file:///etc/passwd",
        "gopher://good.example/",
        " https://good.example/",
        "https://good.example/\n",
        "",
        "https://good.example:0/",
        "https://good.example:65536/",
        "https://",
        "https://*.example/",
    ] {
        assert!(fetcher.target(refused).is_err(), "{refused:?}");
    }
    assert!(table.asked.lock().expect("ours").is_empty(), "nothing of this was looked up");
    assert!(judged(&fetcher, "https://good.example/hook?x=1").is_ok());
    assert_eq!(judged(&fetcher, "https://absent.example/"), Err(FetchError::Unresolved));
}

#[test]
fn a_name_that_rebinds_is_judged_each_time_and_asked_once_a_time() {
    // G-70: public when it was saved, this machine when it is used.
    let (fetcher, table) = fetcher(&[("rebind.example", &["8.8.8.8", "127.0.0.1", "10.0.0.7 8.8.8.8"])], &[]);
    assert!(judged(&fetcher, "https://rebind.example/").is_ok());
    assert_eq!(judged(&fetcher, "https://rebind.example/"), Err(FetchError::Special));
    assert_eq!(judged(&fetcher, "https://rebind.example/"), Err(FetchError::Special));
    assert_eq!(table.asked.lock().expect("ours").len(), 3);
}

#[test]
fn only_the_named_origin_is_let_past_and_plain_http_stays_on_this_machine() {
    let named = ["https://hooks.corp.example:8443", "http://127.0.0.1:9000", "http://elsewhere.example:9000"];
    let names: [(&str, &[&str]); 2] = [("hooks.corp.example", &["10.1.2.3"]), ("elsewhere.example", &["8.8.8.8"])];
    let (fetcher, _) = fetcher(&names, &named);
    assert_eq!(judged(&fetcher, "https://hooks.corp.example:8443/x"), Ok(vec!["10.1.2.3:8443".parse().expect("one")]));
    assert_eq!(
        judged(&fetcher, "https://hooks.corp.example/x"),
        Err(FetchError::Special),
        "another port is another origin"
    );
    assert_eq!(judged(&fetcher, "http://127.0.0.1:9000/x"), Ok(vec!["127.0.0.1:9000".parse().expect("one")]));
    assert_eq!(judged(&fetcher, "http://127.0.0.1:9001/x"), Err(FetchError::Port));
    assert_eq!(judged(&fetcher, "http://elsewhere.example:9000/"), Err(FetchError::Special));
    for wrong in ["hooks.corp.example", "https://hooks.corp.example/path", "ftp://x.example"] {
        let outbound = Outbound { named: vec![wrong.into()], ca_path: None };
        assert!(Fetcher::open(&outbound).is_err(), "{wrong}");
    }
}

#[test]
fn an_issuers_origin_is_let_past_for_its_own_addresses_and_for_nobody_elses() {
    // G-70, R130
    let names: [(&str, &[&str]); 3] =
        [("id.corp.example", &["10.1.2.3"]), ("inside.corp.example", &["10.1.2.4"]), ("keys.example", &["8.8.8.8"])];
    let (fetcher, _) = fetcher(&names, &[]);
    let issuer = Origin::of("https://id.corp.example:8443/realms/main").expect("an address");
    let beside = |url: &str| run(fetcher.addresses(&fetcher.target_beside(url, &issuer)?));
    let own = "https://id.corp.example:8443/realms/main/token?x=1";
    assert_eq!(beside(own), Ok(vec!["10.1.2.3:8443".parse().expect("one")]));
    assert_eq!(beside("https://keys.example/jwks"), Ok(vec!["8.8.8.8:443".parse().expect("one")]));
    assert_eq!(beside("https://inside.corp.example/jwks"), Err(FetchError::Special), "its document names another host");
    assert_eq!(beside("https://id.corp.example:9443/jwks"), Err(FetchError::Port), "another port is another origin");
    assert_eq!(beside("http://id.corp.example:8443/jwks"), Err(FetchError::Port), "nor is it the same in the clear");
    assert_eq!(judged(&fetcher, own), Err(FetchError::Port), "a webhook gets no further for it");
    let here = Origin::of("http://10.1.2.3:8080/").expect("an address");
    let clear = fetcher.target_beside("http://10.1.2.3:8080/token", &here).expect("named");
    assert_eq!(run(fetcher.addresses(&clear)), Err(FetchError::Special), "in the clear it stays on this machine");
}

#[test]
fn a_wanted_answer_is_whole_or_none() {
    run(async {
        let ask = async |length: usize| {
            let mut answer = format!("HTTP/1.1 200 OK\r\netag: \"x\"\r\ncontent-length: {length}\r\n\r\n").into_bytes();
            answer.resize(answer.len() + length, b'x');
            let (address, served) = receiver(answer).await;
            let here = format!("http://{address}");
            let fetcher = naming(&here);
            let sending = Sending { body: Bytes::from_static(b"{}"), wanted: Some(1_000), ..Sending::default() };
            let answered = fetcher.fetch(&fetcher.target(&here).expect("named"), sending).await;
            drop(served.await);
            answered
        };
        let answered = ask(1_000).await.expect("as long as wanted");
        assert_eq!((answered.status, answered.body.len()), (StatusCode::OK, 1_000));
        assert_eq!(answered.headers.get("etag").map(HeaderValue::as_bytes), Some(b"\"x\"".as_slice()));
        assert_eq!(ask(1_001).await.map(|answered| answered.body.len()), Err(FetchError::Long));
    });
}

fn naming(origin: &str) -> Fetcher {
    fetcher(&[], &[origin]).0
}

/// A receiver on this machine that answers once with these bytes; what it was sent.
async fn receiver(answer: Vec<u8>) -> (SocketAddr, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("somebody comes");
        let mut seen = Vec::new();
        while !seen.ends_with(b"{}") {
            let mut part = [0; 4_096];
            let read = stream.read(&mut part).await.expect("readable");
            if read == 0 {
                break;
            }
            seen.extend_from_slice(&part[..read]);
        }
        // Whoever has enough closes; that is no failure here.
        drop(stream.write_all(&answer).await);
        String::from_utf8_lossy(&seen).into_owned()
    });
    (address, served)
}

async fn post(fetcher: &Fetcher, url: &str) -> Result<StatusCode, FetchError> {
    fetcher.post(&fetcher.target(url)?, HeaderMap::new(), Bytes::from_static(b"{}")).await
}

#[test]
fn a_redirect_is_an_answer_and_nobody_follows_it() {
    // G-70
    run(async {
        let canary = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        canary.set_nonblocking(true).expect("a socket of ours");
        let trap = canary.local_addr().expect("bound");
        for status in [301, 302, 303, 307, 308] {
            let answer = format!("HTTP/1.1 {status} x\r\nlocation: http://{trap}/\r\ncontent-length: 0\r\n\r\n");
            let (address, served) = receiver(answer.into_bytes()).await;
            let (here, there) = (format!("http://{address}"), format!("http://{trap}"));
            let (fetcher, _) = fetcher(&[], &[&here, &there]);
            assert_eq!(post(&fetcher, &format!("{here}/hook")).await.map(|got| got.as_u16()), Ok(status));
            let seen = served.await.expect("served");
            assert!(
                seen.starts_with("POST /hook HTTP/1.1\r\n") && seen.contains(&format!("host: {address}\r\n")),
                "{seen}"
            );
        }
        // The answers are in: who had followed would be waiting here.
        assert!(canary.accept().is_err(), "nobody came where the redirects lead");
    });
}

#[test]
fn an_endless_answer_is_cut_and_garbage_is_no_answer() {
    // G-70
    run(async {
        let mut endless = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n".to_vec();
        endless.resize(endless.len() + FETCH_BYTES_MAX + 1, b'x');
        let (address, served) = receiver(endless).await;
        let here = format!("http://{address}");
        let fetcher = naming(&here);
        assert_eq!(post(&fetcher, &here).await, Ok(StatusCode::OK), "judged by its status, not waited for");
        drop(served.await);
        let (address, served) = receiver(b"SSH-2.0-x\r\n".to_vec()).await;
        let here = format!("http://{address}");
        let fetcher = naming(&here);
        assert_eq!(post(&fetcher, &here).await, Err(FetchError::Answer));
        drop(served.await);
        let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("bound");
        let here = format!("http://{closed}");
        let fetcher = naming(&here);
        assert_eq!(post(&fetcher, &here).await, Err(FetchError::Connect));
    });
}

#[test]
fn a_certificate_counts_only_from_a_trusted_issuer() {
    run(async {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let folder = std::env::temp_dir().join(format!("fanlight-ca-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("writable");
        let ca_path = folder.join("ca.pem");
        std::fs::write(&ca_path, made.cert.pem()).expect("writable");
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("they belong together");
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let named = vec![format!("https://localhost:{}", listener.local_addr().expect("bound").port())];
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut part = [0; 4_096];
                drop(stream.read(&mut part).await);
                drop(stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await);
                drop(stream.shutdown().await);
            }
        });
        for (ca_path, wanted) in [(None, Err(FetchError::Tls)), (Some(ca_path), Ok(StatusCode::NO_CONTENT))] {
            let fetcher = Fetcher::open(&Outbound { named: named.clone(), ca_path }).expect("readable");
            let table = Table {
                answers: [("localhost".to_owned(), vec![vec![[127, 0, 0, 1].into()]])].into(),
                ..Table::default()
            };
            let fetcher = Fetcher { resolver: Box::new(Arc::new(table)), ..fetcher };
            assert_eq!(post(&fetcher, &format!("{}/", named[0])).await, wanted);
        }
        std::fs::remove_dir_all(&folder).expect("ours to remove");
    });
}
