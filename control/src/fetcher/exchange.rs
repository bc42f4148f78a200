//! One connection, one request, one answer: what every request to the outside is made of.
//!
//! Invariant: a certificate counts only from an issuer that this host or the operator trusts; an answer is read up to a
//! limit and never beyond it. Leaves to [`super::Fetcher`] where a connection may go and how long all of it may take.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use fanlight_wire::limits::{FETCH_BYTES_MAX, FETCH_CONNECT_MAX};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::FetchError;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Empty when nobody wanted it.
    pub(crate) body: Bytes,
}

/// Whose certificates count: the host's own issuers, and those of the operator.
#[derive(Debug, Default)]
pub(super) struct Trust {
    extra: Vec<CertificateDer<'static>>,
    made: OnceCell<Arc<ClientConfig>>,
}

impl Trust {
    /// # Errors
    /// A sentence that names the file that cannot be used.
    pub(super) fn open(ca_path: Option<&Path>) -> Result<Self, String> {
        let read = |path: &Path| {
            let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
            certificates.map_err(|error| format!("{}: no PEM certificates ({error}).", path.display()))
        };
        Ok(Self { extra: ca_path.map(read).transpose()?.unwrap_or_default(), made: OnceCell::new() })
    }

    /// Speaks TLS with a host of that name.
    pub(super) async fn secured(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, FetchError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| FetchError::Tls)?;
        let config = self.made.get_or_try_init(|| self.make()).await?;
        TlsConnector::from(Arc::clone(config)).connect(name, stream).await.map_err(|_| FetchError::Tls)
    }

    /// At the first use: reading the host's certificates takes a moment.
    async fn make(&self) -> Result<Arc<ClientConfig>, FetchError> {
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
    }
}

/// To the first of these that answers.
pub(super) async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, FetchError> {
    for address in addresses {
        if let Ok(Ok(stream)) = timeout(FETCH_CONNECT_MAX, TcpStream::connect(address)).await {
            return Ok(stream);
        }
    }
    Err(FetchError::Connect)
}

/// Asks and reads: of the body as much as is wanted, and a longer one is an error; without a wish it is counted and thrown
/// away, so that whoever answers at length has told its status all the same.
pub(super) async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    wanted: Option<usize>,
) -> Result<Answered, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |_| FetchError::Answer;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    let running = Running(tokio::spawn(async move {
        // Its trouble is seen by whoever waits for the answer.
        drop(connection.await);
    }));
    let (head, body) = sender.send_request(request).await.map_err(failed)?.into_parts();
    let body = match wanted {
        Some(most) => whole(body, most).await?,
        None => drained(body).await,
    };
    drop(running);
    Ok(Answered { status: head.status, headers: head.headers, body })
}

async fn whole(mut body: Incoming, most: usize) -> Result<Bytes, FetchError> {
    let mut kept = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| FetchError::Answer)?;
        let Some(part) = frame.data_ref() else { continue };
        if kept.len().saturating_add(part.len()) > most {
            return Err(FetchError::Long);
        }
        kept.extend_from_slice(part);
    }
    Ok(kept.freeze())
}

/// Nothing, once the body is over or has been long enough.
async fn drained(mut body: Incoming) -> Bytes {
    let mut seen = 0_usize;
    while let Some(Ok(frame)) = body.frame().await {
        seen = seen.saturating_add(frame.data_ref().map_or(0, Bytes::len));
        if seen > FETCH_BYTES_MAX {
            break;
        }
    }
    Bytes::new()
}

/// A connection's task, ended with the request.
struct Running(tokio::task::JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}
