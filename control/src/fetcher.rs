//! The one component that opens connections to the outside: webhooks, text messages, looks at document links and the
//! identity provider go through it, nothing else does (promises D1, G-70).
//!
//! Invariants: a host is resolved once per request, every address that comes back is judged, and the connection goes to
//! one of exactly these addresses, so that a name cannot mean something else a moment later; a redirect is an answer like
//! others and never followed; only `https` at port 443 and public addresses, unless the operator has named that very
//! origin in the configuration; an answer is read up to a limit. Who may name what: `[outbound]` for everybody, and
//! `identity.issuer` for signing in alone ([`Fetcher::target_beside`]). Leaves retries to whoever asks.

mod exchange;
mod special;

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;

use bytes::Bytes;
use fanlight_wire::limits::{FETCH_ADDRESSES_MAX, FETCH_MAX};
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};
use tokio::time::timeout;

use crate::policies::address::{Address, Unfit};
pub(crate) use exchange::Answered;
use exchange::{Trust, connect, exchange};
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

/// Why nothing was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.sentence())]
pub(crate) enum FetchError {
    Address(Unfit),
    Port,
    Special,
    Unresolved,
    Connect,
    Tls,
    Timeout,
    Answer,
    /// More than was wanted.
    Long,
}

impl FetchError {
    /// For the person who has set the address.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::Address(unfit) => unfit.sentence(),
            Self::Port => "The address must use https at port 443, unless the operator has named it in [outbound].",
            Self::Special => {
                "The host has an address that is not on the public internet. The operator can name it in [outbound]."
            }
            Self::Unresolved => "The host's name could not be resolved.",
            Self::Connect => "No connection could be made to the host.",
            Self::Tls => "The host's certificate is not trusted, or it does not speak TLS 1.2 or newer.",
            Self::Timeout => "The host did not answer in time.",
            Self::Answer => "The host did not answer as HTTP servers do.",
            Self::Long => "The host's answer is longer than it may be.",
        }
    }

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

/// Scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
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

/// One request, beyond where it goes.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Bytes of the answer's body that are wanted, all or none of it; `None`: it is thrown away.
    pub(crate) wanted: Option<usize>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Fetcher {
    resolver: Box<dyn Resolve>,
    named: Vec<Origin>,
    trust: Trust,
}

impl Origin {
    /// Of an address that the operator has written, with or without a path.
    pub(crate) fn of(text: &str) -> Result<Self, Unfit> {
        read(text).map(|(origin, _)| origin)
    }
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
        let named = named.collect::<Result<_, _>>()?;
        Ok(Self { resolver: Box::new(System), named, trust: Trust::open(outbound.ca_path.as_deref())? })
    }

    /// Reads an address that somebody has set.
    ///
    /// # Errors
    /// [`FetchError::Address`] and [`FetchError::Port`].
    pub(crate) fn target(&self, text: &str) -> Result<Target, FetchError> {
        self.judged(text, None)
    }

    /// Reads an address that comes from a provider whose own origin the operator has named: there it may be anywhere.
    ///
    /// # Errors
    /// As [`Self::target`].
    pub(crate) fn target_beside(&self, text: &str, provider: &Origin) -> Result<Target, FetchError> {
        self.judged(text, Some(provider))
    }

    fn judged(&self, text: &str, provider: Option<&Origin>) -> Result<Target, FetchError> {
        let (origin, path) = read(text).map_err(FetchError::Address)?;
        let named = self.named.contains(&origin) || provider == Some(&origin);
        if !named && (!origin.tls || origin.port != HTTPS) {
            return Err(FetchError::Port);
        }
        Ok(Target { origin, path, named })
    }

    /// Sends JSON and gives the status of the answer, whatever it is.
    ///
    /// # Errors
    /// [`FetchError`] when there is no answer.
    pub(crate) async fn post(
        &self,
        to: &Target,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<StatusCode, FetchError> {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let sending = Sending { method: Method::POST, headers, body, wanted: None };
        self.fetch(to, sending).await.map(|answered| answered.status)
    }

    /// Asks once and gives the answer, whatever its status is.
    ///
    /// # Errors
    /// [`FetchError`] when there is no answer.
    pub(crate) async fn fetch(&self, to: &Target, sending: Sending) -> Result<Answered, FetchError> {
        timeout(FETCH_MAX, self.fetched(to, sending)).await.map_err(|_| FetchError::Timeout)?
    }

    async fn fetched(&self, to: &Target, sending: Sending) -> Result<Answered, FetchError> {
        let stream = connect(&self.addresses(to).await?).await?;
        let wanted = sending.wanted;
        let request = request(to, sending).ok_or(FetchError::Answer)?;
        if !to.origin.tls {
            return exchange(stream, request, wanted).await;
        }
        exchange(self.trust.secured(&to.origin.host, stream).await?, request, wanted).await
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

fn request(to: &Target, sending: Sending) -> Option<Request<Full<Bytes>>> {
    let Sending { method, headers, body, .. } = sending;
    let Origin { host, port, .. } = &to.origin;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let host = if *port == HTTPS { host } else { format!("{host}:{port}") };
    let mut request = Request::builder().method(method).uri(to.path.as_str()).body(Full::new(body)).ok()?;
    *request.headers_mut() = headers;
    request.headers_mut().insert(header::HOST, HeaderValue::try_from(host).ok()?);
    request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
    Some(request)
}

#[cfg(test)]
mod tests;
