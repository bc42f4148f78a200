//! The one component that opens connections to the outside: webhooks and text messages go through it, nothing else does
//! (promises D1, G-70).
//!
//! Invariants: a host is resolved once per request, every address that comes back is judged, and the connection goes to
//! one of exactly these addresses, so that a name cannot mean something else a moment later; a redirect is an answer like
//! others and never followed; only `https` at port 443, unless the operator has named that very origin in the
//! configuration; an answer's body is counted and thrown away. Leaves retries to whoever asks.

mod special;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use fanlight_wire::limits::{FETCH_ADDRESSES_MAX, FETCH_BYTES_MAX, FETCH_CONNECT_MAX, FETCH_MAX};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::policies::address::{Address, Unfit};
use special::is_public;

/// Ports of `https` where none is written, and the only one for origins that nobody has named.
const HTTPS: u16 = 443;
const AGENT: &str = concat!("Fanlight/", env!("CARGO_PKG_VERSION"));

/// What the operator allows beyond the public web.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outbound {
    /// Origins that may be anywhere and at any port, for example `https://hooks.corp.example:8443`. Plain `http` only to
    /// this very machine.
    pub named: Vec<String>,
    /// PEM file with certificates that are trusted beside the host's own.
    pub ca_path: Option<PathBuf>,
}

/// Why nothing was answered. The sentence is for the person who has set the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("{}", .0.sentence())]
    Address(Unfit),
    #[error("The address must use https at port 443, unless the operator has named it in [outbound].")]
    Port,
    #[error("The host has an address that is not on the public internet. The operator can name it in [outbound].")]
    Special,
    #[error("The host's name could not be resolved.")]
    Unresolved,
    #[error("No connection could be made to the host.")]
    Connect,
    #[error("The host's certificate is not trusted, or it does not speak TLS 1.2 or newer.")]
    Tls,
    #[error("The host did not answer in time.")]
    Timeout,
    #[error("The host did not answer as HTTP servers do.")]
    Answer,
}

impl FetchError {
    /// Would another try end in the same way, whatever the host does?
    pub(crate) const fn is_final(self) -> bool {
        matches!(self, Self::Address(_) | Self::Port)
    }
}

/// Names become addresses.
pub(crate) trait Resolve: fmt::Debug + Send + Sync {
    fn resolve<'a>(&'a self, host: &'a str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>>;
}

/// As the host resolves them.
#[derive(Debug)]
struct System;

impl Resolve for System {
    fn resolve<'a>(&'a self, host: &'a str) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'a>> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, 0)).await?.map(|address| address.ip()).collect()) })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    tls: bool,
    host: String,
    port: u16,
}

/// An address that a request may go to, as far as its text says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    origin: Origin,
    path: String,
    /// The operator vouches for its origin.
    named: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Fetcher {
    resolver: Box<dyn Resolve>,
    named: Vec<Origin>,
    extra: Vec<CertificateDer<'static>>,
    tls: OnceCell<Arc<ClientConfig>>,
}

impl Fetcher {
    /// # Errors
    /// A sentence that names what in the configuration cannot be used.
    pub(crate) fn open(outbound: &Outbound) -> Result<Self, String> {
        let named = outbound.named.iter().map(|text| {
            let unfit = |unfit: Unfit| format!("{text:?} is no origin. {}", unfit.sentence());
            let (origin, path) = read(text).map_err(unfit)?;
            if path == "/" { Ok(origin) } else { Err(format!("{text:?} must end after the host and port.")) }
        });
        let extra = match &outbound.ca_path {
            Some(path) => CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect)
                .map_err(|error| format!("{}: no PEM certificates ({error}).", path.display()))?,
            None => Vec::new(),
        };
        Ok(Self { resolver: Box::new(System), named: named.collect::<Result<_, _>>()?, extra, tls: OnceCell::new() })
    }

    /// Reads an address that somebody has set.
    ///
    /// # Errors
    /// [`FetchError::Address`] and [`FetchError::Port`].
    pub(crate) fn target(&self, text: &str) -> Result<Target, FetchError> {
        let (origin, path) = read(text).map_err(FetchError::Address)?;
        let named = self.named.contains(&origin);
        if !named && (!origin.tls || origin.port != HTTPS) {
            return Err(FetchError::Port);
        }
        Ok(Target { origin, path, named })
    }

    /// Sends JSON and gives the status of the answer, whatever it is.
    ///
    /// # Errors
    /// [`FetchError`] when there is no answer.
    pub(crate) async fn post(&self, to: &Target, headers: HeaderMap, body: Bytes) -> Result<StatusCode, FetchError> {
        timeout(FETCH_MAX, self.posted(to, headers, body)).await.map_err(|_| FetchError::Timeout)?
    }

    async fn posted(&self, to: &Target, headers: HeaderMap, body: Bytes) -> Result<StatusCode, FetchError> {
        let stream = connect(&self.addresses(to).await?).await?;
        let request = request(to, headers, body).ok_or(FetchError::Answer)?;
        if !to.origin.tls {
            return exchange(stream, request).await;
        }
        let name = ServerName::try_from(to.origin.host.clone()).map_err(|_| FetchError::Tls)?;
        let stream = self.connector().await?.connect(name, stream).await.map_err(|_| FetchError::Tls)?;
        exchange(stream, request).await
    }

    /// Where the connection may go: every address of the host, if all of them may be reached.
    async fn addresses(&self, to: &Target) -> Result<Vec<SocketAddr>, FetchError> {
        let found = match to.origin.host.parse::<IpAddr>() {
            Ok(ip) => vec![ip],
            Err(_) => self.resolver.resolve(&to.origin.host).await.map_err(|_| FetchError::Unresolved)?,
        };
        if found.is_empty() {
            return Err(FetchError::Unresolved);
        }
        // In the clear it may not leave this machine, whoever names it.
        let local = |ip: &IpAddr| ip.to_canonical().is_loopback();
        let allowed = |ip: &IpAddr| if to.origin.tls { to.named || is_public(*ip) } else { local(ip) };
        if !found.iter().all(allowed) {
            return Err(FetchError::Special);
        }
        let at = |ip: IpAddr| SocketAddr::new(ip, to.origin.port);
        Ok(found.into_iter().take(FETCH_ADDRESSES_MAX).map(at).collect())
    }

    /// Made at the first use: reading the host's certificates takes a moment.
    async fn connector(&self) -> Result<TlsConnector, FetchError> {
        let make = || async {
            let mut roots = RootCertStore::empty();
            let own = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
            roots.add_parsable_certificates(own.map(|found| found.certs).unwrap_or_default());
            roots.add_parsable_certificates(self.extra.iter().cloned());
            if roots.is_empty() {
                tracing::error!("this host has no root certificates; install ca-certificates or set outbound.ca_file");
            }
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
            let config = config.map_err(|_| FetchError::Tls)?.with_root_certificates(roots).with_no_client_auth();
            Ok(Arc::new(config))
        };
        self.tls.get_or_try_init(make).await.map(|config| TlsConnector::from(Arc::clone(config)))
    }
}

/// Origin and path of an address. `http` is read by the same parser, as if it were `https`.
fn read(text: &str) -> Result<(Origin, String), Unfit> {
    let (tls, address) = match text.strip_prefix("http://") {
        Some(rest) => (false, Address::parse(&format!("https://{rest}"))?),
        None => (true, Address::parse(text)?),
    };
    let origin = Origin { tls, host: address.host().to_owned(), port: address.port() };
    Ok((origin, address.path_and_query()))
}

/// To the first of these that answers.
async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, FetchError> {
    for address in addresses {
        if let Ok(Ok(stream)) = timeout(FETCH_CONNECT_MAX, TcpStream::connect(address)).await {
            return Ok(stream);
        }
    }
    Err(FetchError::Connect)
}

fn request(to: &Target, headers: HeaderMap, body: Bytes) -> Option<Request<Full<Bytes>>> {
    let Origin { host, port, .. } = &to.origin;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let host = if *port == HTTPS { host } else { format!("{host}:{port}") };
    let mut request = Request::builder().method(Method::POST).uri(to.path.as_str()).body(Full::new(body)).ok()?;
    *request.headers_mut() = headers;
    request.headers_mut().insert(header::HOST, HeaderValue::try_from(host).ok()?);
    request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Some(request)
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<StatusCode, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |_| FetchError::Answer;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let running = Running(tokio::spawn(async move {
        // Its trouble is seen by whoever waits for the answer.
        drop(connection.await);
    }));
    let response = sender.send_request(request).await.map_err(failed)?;
    let status = response.status();
    let (mut body, mut seen) = (response.into_body(), 0_usize);
    while let Some(Ok(frame)) = body.frame().await {
        seen = seen.saturating_add(frame.data_ref().map_or(0, Bytes::len));
        if seen > FETCH_BYTES_MAX {
            break;
        }
    }
    drop(running);
    Ok(status)
}

/// A connection's task, ended with the request.
struct Running(tokio::task::JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests;
