//! Text messages: handed as JSON to the operator's own service, which knows a provider. There is no SMS code here.
//!
//! Invariant: number and link are in one request to that service and in no log, store or metric.

use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;
use fanlight_wire::{Code, Refusal};
use serde::Serialize;

use crate::config::StartError;
use crate::control::Control;
use crate::fetcher::{Fetcher, Target};
use crate::presence::Login;
use crate::secrets::{keep_or_make, opaque};
use crate::webhooks::{Key, new_secret};

/// Where text messages go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SmsConfig {
    /// Takes `{"to", "text", "link", "group", "id"}` by `POST`; empty: there are no text messages.
    pub url: String,
    /// File with the secret that signs them, made at the first start.
    pub secret_path: Option<PathBuf>,
}

/// The way to the operator's service.
pub(crate) struct Sms {
    target: Target,
    key: Key,
}

impl fmt::Debug for Sms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sms").field("target", &self.target).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    to: &'a str,
    text: &'a str,
    link: &'a str,
    group: &'a str,
}

impl Sms {
    /// `None` when none are configured.
    pub(crate) fn open(config: &SmsConfig, fetcher: &Fetcher) -> Result<Option<Self>, StartError> {
        if config.url.is_empty() {
            return Ok(None);
        }
        let target = fetcher
            .target(&config.url)
            .map_err(|reason| StartError::Outbound { setting: "sms.url", reason: reason.to_string() })?;
        let secret = match &config.secret_path {
            Some(path) => {
                let kept = keep_or_make(path, || new_secret().into_bytes());
                kept.map_err(|reason| StartError::File { setting: "sms secret", path: path.clone(), reason })?
            }
            None => new_secret().into_bytes(),
        };
        let key = Key::read(&String::from_utf8_lossy(&secret)).ok_or_else(|| StartError::Content {
            setting: "sms secret",
            path: config.secret_path.clone().unwrap_or_default(),
            wanted: "\"whsec_\" and base64",
        })?;
        Ok(Some(Self { target, key }))
    }

    /// Has a link sent to a phone.
    ///
    /// # Errors
    /// `E_OVERLOAD` when the operator's service does not take it.
    pub(crate) async fn send(&self, control: &Control, from: &Login, to: &str, token: &str) -> Result<(), Refusal> {
        let link = format!("{}/c/{token}", control.public_url());
        let text = format!("{} asks you to show your camera. Open this link on your phone: {link}", from.name);
        let id = format!("sms_{}", opaque());
        let body = Body { id: &id, to, text: &text, link: &link, group: from.group.as_str() };
        // Plain fields: writing them cannot fail.
        let body = serde_json::to_string(&body).unwrap_or_default();
        let headers = self.key.headers(&id, control.clock().unix_seconds(), &body);
        let answered = control.fetcher().post(&self.target, headers, Bytes::from(body)).await;
        match answered {
            Ok(status) if status.is_success() => Ok(()),
            Ok(status) => Err(failed(&format!("it answered {}", status.as_u16()))),
            Err(error) => Err(failed(&error.to_string())),
        }
    }
}

fn failed(why: &str) -> Refusal {
    tracing::warn!(why, "the service for text messages did not take one");
    Refusal::new(Code::Overload, "R124").saying("The text message could not be sent. Try again in a moment.")
}
