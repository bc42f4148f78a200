//! The way to the identity provider: two kinds of requests, to addresses that the operator's configuration or the
//! provider's own discovery document names.
//!
//! Invariant: `https` with a certificate that the host trusts, plain `http` only to this very machine; one request per
//! connection, no redirects, a body of at most [`IDENTITY_BYTES_MAX`], all within [`IDENTITY_ANSWER_MAX`].

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fanlight_wire::limits::{IDENTITY_ANSWER_MAX, IDENTITY_BYTES_MAX};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;
use url::Url;

/// A body to send, and whose it is.
pub(super) struct Form<'a> {
    pub(super) fields: &'a [(&'a str, &'a str)],
    /// Client id and secret (RFC 6749 §2.3.1).
    pub(super) basic: Option<(&'a str, &'a str)>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Web {
    tls: OnceCell<TlsConnector>,
}

impl Web {
    /// # Errors
    /// Why there is no answer, for the log.
    pub(super) async fn get(&self, address: &str) -> Result<Bytes, &'static str> {
        let (status, body) = self.ask(address, None).await?;
        if status == StatusCode::OK { Ok(body) } else { Err("another status than 200") }
    }

    /// # Errors
    /// Why there is no answer, for the log.
    pub(super) async fn post(&self, address: &str, form: &Form<'_>) -> Result<(StatusCode, Bytes), &'static str> {
        self.ask(address, Some(form)).await
    }

    async fn ask(&self, address: &str, form: Option<&Form<'_>>) -> Result<(StatusCode, Bytes), &'static str> {
        let asked = tokio::time::timeout(IDENTITY_ANSWER_MAX, self.asked(address, form));
        asked.await.map_err(|_| "no answer in time")?
    }

    async fn asked(&self, address: &str, form: Option<&Form<'_>>) -> Result<(StatusCode, Bytes), &'static str> {
        let url = Url::parse(address).map_err(|_| "no address")?;
        let host = url.host_str().ok_or("no host")?.trim_matches(['[', ']']);
        let port = url.port_or_known_default().ok_or("no port")?;
        let request = request(&url, form).ok_or("an address that cannot be asked")?;
        let tls = match url.scheme() {
            "https" => true,
            "http" if is_here(host) => false,
            _ => return Err("neither https nor this machine"),
        };
        let stream = TcpStream::connect((host, port)).await.map_err(|_| "no connection")?;
        if !tls {
            return exchange(stream, request).await;
        }
        let name = ServerName::try_from(host.to_owned()).map_err(|_| "no name")?;
        let stream = self.connector().await?.connect(name, stream).await.map_err(|_| "a certificate is not trusted")?;
        exchange(stream, request).await
    }

    /// Made at the first use: reading the host's certificates takes a moment.
    async fn connector(&self) -> Result<TlsConnector, &'static str> {
        let make = || async {
            let mut roots = RootCertStore::empty();
            let own = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
            roots.add_parsable_certificates(own.map(|found| found.certs).unwrap_or_default());
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
            let config = config.map_err(|_| "no TLS")?.with_root_certificates(roots).with_no_client_auth();
            Ok(TlsConnector::from(Arc::new(config)))
        };
        self.tls.get_or_try_init(make).await.cloned()
    }
}

/// An address of this machine, written as one: a name could mean another machine a moment later.
pub(super) fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn request(url: &Url, form: Option<&Form<'_>>) -> Option<Request<Full<Bytes>>> {
    let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let body = form.map(|form| url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form.fields).finish());
    let method = if form.is_some() { Method::POST } else { Method::GET };
    let mut request = Request::builder().method(method).uri(path).body(Full::from(body.unwrap_or_default())).ok()?;
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str()?),
        None => url.host_str()?.to_owned(),
    };
    let headers = request.headers_mut();
    headers.insert(header::HOST, HeaderValue::try_from(host).ok()?);
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(form) = form {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        if let Some((id, secret)) = form.basic {
            let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            let both = STANDARD.encode(format!("{}:{}", encode(id), encode(secret)));
            let mut value = HeaderValue::try_from(format!("Basic {both}")).ok()?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
    }
    Some(request)
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), &'static str>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |_| "no HTTP";
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let running = tokio::spawn(async move {
        // Its trouble is seen by whoever waits for the answer.
        drop(connection.await);
    });
    let response = sender.send_request(request).await.map_err(failed)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), IDENTITY_BYTES_MAX).collect().await;
    running.abort();
    Ok((status, body.map_err(|_| "too long an answer")?.to_bytes()))
}
