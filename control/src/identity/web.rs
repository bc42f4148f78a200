//! What is asked of the identity provider, by way of the [`Fetcher`].
//!
//! Invariant: the operator vouches for the issuer's own origin by naming it in the configuration, so that it may be at any
//! address and port; whatever else its discovery document names has to be on the public web or in `[outbound]`, like
//! everybody's addresses. An answer's body has at most [`IDENTITY_BYTES_MAX`].

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use fanlight_wire::limits::IDENTITY_BYTES_MAX;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode};

use crate::fetcher::{Answered, FetchError, Fetcher, Origin, Sending};

/// A body to send, and whose it is.
pub(super) struct Form<'a> {
    pub(super) fields: &'a [(&'a str, &'a str)],
    /// Client id and secret (RFC 6749 §2.3.1).
    pub(super) basic: Option<(&'a str, &'a str)>,
}

/// See the module.
pub(super) struct Web {
    fetcher: Arc<Fetcher>,
    issuer: Origin,
}

impl Web {
    /// # Errors
    /// What is wrong with the issuer's address.
    pub(super) fn new(issuer: &str, fetcher: &Arc<Fetcher>) -> Result<Self, &'static str> {
        let issuer = Origin::of(issuer).map_err(|unfit| FetchError::Address(unfit).sentence())?;
        Ok(Self { fetcher: Arc::clone(fetcher), issuer })
    }

    /// # Errors
    /// Why there is no answer, for the log.
    pub(super) async fn get(&self, address: &str) -> Result<Bytes, &'static str> {
        let answered = self.ask(address, Sending::default()).await?;
        if answered.status == StatusCode::OK { Ok(answered.body) } else { Err("another status than 200") }
    }

    /// # Errors
    /// Why there is no answer, for the log.
    pub(super) async fn post(&self, address: &str, form: &Form<'_>) -> Result<(StatusCode, Bytes), &'static str> {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form.fields).finish();
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        if let Some((id, secret)) = form.basic {
            headers.insert(header::AUTHORIZATION, basic(id, secret).ok_or("a client that cannot be written")?);
        }
        let sending = Sending { method: Method::POST, headers, body: body.into(), wanted: None };
        let answered = self.ask(address, sending).await?;
        Ok((answered.status, answered.body))
    }

    async fn ask(&self, address: &str, mut sending: Sending) -> Result<Answered, &'static str> {
        sending.headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        let sending = Sending { wanted: Some(IDENTITY_BYTES_MAX), ..sending };
        let asked = async { self.fetcher.fetch(&self.fetcher.target_beside(address, &self.issuer)?, sending).await };
        asked.await.map_err(FetchError::sentence)
    }
}

fn basic(id: &str, secret: &str) -> Option<HeaderValue> {
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let both = STANDARD.encode(format!("{}:{}", encode(id), encode(secret)));
    let mut value = HeaderValue::try_from(format!("Basic {both}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}
