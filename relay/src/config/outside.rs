//! Where this node connects to by itself, beside the identity provider: webhooks' receivers, hosts of documents, the service
//! for text messages.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Requests to the outside.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outbound {
    /// Origins that may be anywhere and at any port, for example `https://hooks.corp.example:8443`.
    pub named: Vec<String>,
    /// PEM file with certificates that are trusted beside the host's own; empty: none.
    pub ca_file: PathBuf,
}

/// Text messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sms {
    /// The operator's own service; empty: there are no text messages.
    pub url: String,
    /// File with the secret that signs what it is sent; made at the first start.
    pub secret_file: PathBuf,
}

impl Default for Sms {
    fn default() -> Self {
        Self { url: String::new(), secret_file: "data/sms.secret".into() }
    }
}
