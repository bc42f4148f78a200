//! What control is given at its start: settings, time, a way to the shards, and how it refuses to start.

use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Instant;

use fanlight_wire::command::Command;
use fanlight_wire::resource::{ResourceInput, ResourceOutput};
use fanlight_wire::{GroupId, Refusal, ShardId};
use serde::Serialize;

use crate::fetcher::Outbound;
use crate::sms::SmsConfig;

/// Settings. Secrets are paths: a file that does not exist is made at the first start, readable by its owner alone.
#[derive(Debug, Clone, Default)]
pub struct ControlConfig {
    /// The SQLite file; `None` keeps the store in memory (tests, trials).
    pub store_path: Option<PathBuf>,
    /// PKCS#8 of the Ed25519 key that signs join tickets; `None` makes one that dies with the process.
    pub key_path: Option<PathBuf>,
    /// The operator door's bearer token; `None` makes one that only [`crate::Control::operator_token`] knows.
    pub operator_token_path: Option<PathBuf>,
    /// Web origins whose pages may use this relay, for example `https://shop.example`. Compared exactly.
    pub origins: Vec<String>,
    /// STUN and TURN URLs that WHIP and WHEP clients are told (RFC 9725 §4.6), for example `stun:stun.example:3478`.
    pub ice_servers: Vec<String>,
    /// The key that webhooks' secrets are derived from; `None` makes one that dies with the process.
    pub webhook_key_path: Option<PathBuf>,
    /// Where requests to the outside may go beyond the public web.
    pub outbound: Outbound,
    /// Who sends text messages.
    pub sms: SmsConfig,
    /// Under which people reach this node, for links: `https://relay.example`.
    pub public_url: String,
    /// The group `demo` with its two agents exists, `/demo/config.json` shows their secrets, and pages that this host
    /// itself serves may use it. Never for a relay that strangers can reach.
    pub demo: bool,
    /// WHEP viewers on a shard from which on further ones go to a shard that has fewer; `None`: the product's own.
    pub viewers_per_shard: Option<u32>,
    /// Administrators and agents sign in with the operator's identity provider.
    pub identity: Option<IdentityConfig>,
}

/// An OpenID Connect provider, and what its word gives (`docs/identity.md`).
#[derive(Debug, Clone)]
pub struct IdentityConfig {
    /// Exactly as the provider's tokens say it.
    pub issuer: String,
    pub client_id: String,
    /// File with the client's secret; `None`: a public client, protected by PKCE alone.
    pub client_secret_path: Option<PathBuf>,
    /// What is asked for; holds `openid`.
    pub scope: String,
    /// The claim that names a person in the operator's own terms, for example `sub` or `preferred_username`.
    pub subject: String,
    /// The claim that says what somebody belongs to: a name, or a JSON pointer.
    pub claim: String,
    /// Values of that claim that make an administrator.
    pub admins: Vec<String>,
    /// Values of that claim that make an agent, the first that fits.
    pub agents: Vec<AgentRule>,
    /// How browsers reach the two doors, as registered with the provider.
    pub public_url: String,
    pub operator_url: String,
    /// Rules that hide less are put into production by another administrator than the one who saved them.
    pub four_eyes: bool,
}

/// Whoever belongs to `value` is an agent of this group.
#[derive(Debug, Clone)]
pub struct AgentRule {
    pub value: String,
    pub group: GroupId,
    pub role: Option<String>,
}

/// Where time comes from; the relay's one clock, or a test's.
pub trait Clock: Send + Sync {
    /// Seconds since 1970. May jump in either direction.
    fn unix_seconds(&self) -> u64;
    /// Never goes back.
    fn now(&self) -> Instant;
}

/// A shard's answer about a media resource, under way.
pub type Asking = Pin<Box<dyn Future<Output = Result<ResourceOutput, Refusal>> + Send>>;

/// The way to the shards.
pub trait ShardLink: Send + Sync {
    /// Hands a command to a shard without waiting.
    ///
    /// # Errors
    /// A [`Refusal`] when the shard's queue is full or the shard is gone.
    fn send(&self, shard: ShardId, command: Command) -> Result<(), Refusal>;

    /// Asks a shard about a media resource and waits for its answer, or for a limit that the host sets.
    fn ask(&self, shard: ShardId, input: ResourceInput) -> Asking;

    /// How many shards there are, 1 or more. Shards are numbered from 0.
    fn shard_count(&self) -> u8;
}

/// What control borrows from its host.
pub struct Hooks {
    pub clock: Box<dyn Clock>,
    pub shards: Box<dyn ShardLink>,
    /// Where a client of this shard connects; asked anew each time because certificates change.
    pub connect: Box<dyn Fn(ShardId) -> ConnectInfo + Send + Sync>,
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").field("shards", &self.shards.shard_count()).finish_non_exhaustive()
    }
}

/// The `connect` object of the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConnectInfo {
    /// Path or URL of the WebSocket, for example `/v1/ws`.
    pub websocket: String,
    /// `null` where the shard has no WebTransport.
    pub webtransport: Option<WebTransportInfo>,
}

/// Where and how to open a WebTransport session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WebTransportInfo {
    pub url: String,
    /// Base64 of the SHA-256 of each acceptable self-made certificate; empty behind a public one.
    pub hashes: Vec<String>,
}

/// Control cannot start. Names the setting and the cure in one line.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{setting}: cannot read or make {path}: {reason}. Check that its directory exists and is writable.")]
    File { setting: &'static str, path: PathBuf, reason: std::io::Error },
    #[error("{setting}: {path} is not {wanted}. Move it away to have a new one made.")]
    Content { setting: &'static str, path: PathBuf, wanted: &'static str },
    #[error("{setting}: {reason}")]
    Outbound { setting: &'static str, reason: String },
    #[error("store: {path}: {reason}. Check the file and its directory, or set another path.")]
    Store { path: PathBuf, reason: String },
}
