//! A request as handlers see it.

use std::borrow::Cow;
use std::net::IpAddr;

use bytes::Bytes;
use fanlight_wire::{Code, Refusal};
use hyper::Method;

use crate::mint::Client;
use crate::presence::Caller;

/// A request, taken apart once.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) caller: Caller,
    pub(crate) bearer: Option<&'a str>,
    pub(crate) peer: IpAddr,
    pub(crate) body: &'a Bytes,
    /// Without its question mark.
    pub(crate) query: &'a str,
    /// What asks.
    pub(crate) client: Client,
}

impl<'a> Asked<'a> {
    /// The JSON body. Unknown fields are ignored so that an older relay understands a newer client.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(self.body).map_err(|error| {
            // The position only: the message of the parser may repeat a secret.
            let place =
                format!("The request's JSON is not as expected at line {}, column {}.", error.line(), error.column());
            Refusal::new(Code::Input, "docs/api.md").saying(place)
        })
    }

    /// The same, where a request may have no body.
    pub(crate) fn json_or_nothing<T: serde::de::DeserializeOwned + Default>(&self) -> Result<T, Refusal> {
        if self.body.is_empty() { Ok(T::default()) } else { self.json() }
    }

    /// A parameter of the query, the first of that name.
    pub(crate) fn parameter(&self, name: &str) -> Option<Cow<'a, str>> {
        let mut pairs = url::form_urlencoded::parse(self.query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value)
    }
}
