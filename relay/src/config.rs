//! The configuration: one TOML file, every key optional, values with their units, unknown keys refused by name.
//!
//! Owns what the file may say and the relations between its keys; a [`Config`] that [`Config::load`] returned is
//! consistent. Secrets are paths to files, never values. `systemd/fanlight.toml` shows every key at its default.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use fanlight_control::receipts::Fault;
use fanlight_wire::host::is_secure;
use fanlight_wire::{ShardId, limits};
use serde::{Deserialize, Serialize};

pub mod identity;
mod outside;
pub mod value;

pub use identity::{Identity, IdentityAgent};
pub use outside::{Outbound, Sms};
pub use value::{Listen, Size, Span};

/// The port of a shard, counted from a base that [`Config`] has checked.
pub const fn port_of(base: u16, shard: ShardId) -> u16 {
    if base == 0 { 0 } else { base + shard.0 as u16 }
}

/// Most shards of one node: a relay id in an ICE ufrag names the shard with two hex digits, and no edge host that this
/// is built for has more cores to give.
pub const SHARDS_MAX: usize = 64;

/// The node cannot start. Printed as one line that names the key (or what is missing on the host) and the cure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// Exit code 64.
    #[error("{key}: {problem}")]
    Config { key: String, problem: String },
    /// Exit code 69.
    #[error("{what}: {problem}")]
    Host { what: String, problem: String },
    /// A file of receipts is not what a node wrote. Exit code 65, or 75 when only its end is missing.
    #[error("receipts: {0}")]
    Receipts(Fault),
}

impl StartError {
    pub fn config(key: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self::Config { key: key.into(), problem: one_line(&problem) }
    }

    pub fn host(what: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self::Host { what: what.into(), problem: one_line(&problem) }
    }

    /// `EX_USAGE` for a bad configuration, `EX_UNAVAILABLE` for an unfit host, `EX_DATAERR` for bad receipts and
    /// `EX_TEMPFAIL` for receipts that are not closed (sysexits.h).
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Config { .. } => 64,
            Self::Host { .. } => 69,
            Self::Receipts(Fault::Open) => 75,
            Self::Receipts(_) => 65,
        }
    }
}

fn one_line(text: &impl fmt::Display) -> String {
    text.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Everything an operator may say.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub public: Public,
    pub operator: Operator,
    pub local: Local,
    pub media: Media,
    pub quic: Quic,
    pub store: Store,
    pub outbound: Outbound,
    pub sms: Sms,
    pub identity: Identity,
    pub demo: Demo,
    pub log: Log,
    pub limits: Limits,
}

/// The public door: join, carriers, static client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Public {
    pub http: Listen,
    pub https: Listen,
    /// PEM file with the certificate chain; empty: self-made under the data directory.
    pub cert: PathBuf,
    /// PEM file with the private key; empty: self-made.
    pub key: PathBuf,
    /// The name or address that clients use to reach this node; empty: the first media address.
    pub host: String,
    /// The origin by which browsers reach the public door, for links; empty: as the node itself serves it.
    pub url: String,
    /// Origins of other websites that may use this relay, for example `https://shop.example`. The node's own is known.
    pub origins: Vec<String>,
    /// Origins of pages that may hold the agent console in a frame, for example `https://desk.example`.
    pub embed_origins: Vec<String>,
    /// STUN and TURN URLs that WHIP and WHEP clients are told, for example `stun:stun.example:3478`.
    pub ice_servers: Vec<String>,
    /// TLS ends at a proxy in front: plain HTTP may then listen beyond loopback.
    pub behind_proxy: bool,
}

/// The operator door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Operator {
    pub listen: Listen,
    /// File with the bearer token; made at the first start.
    pub token_file: PathBuf,
}

/// The local door: probes, metrics, drain, log level. Loopback only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Local {
    pub listen: Listen,
}

/// Which kernel interface moves media datagrams.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// `io_uring` where the host allows it, else `mmsg`.
    #[default]
    Auto,
    IoUring,
    Mmsg,
}

/// An address of this host for media.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected an IP address or { bind = \"…\", advertise = \"…\" }")]
pub enum MediaAddress {
    Same(IpAddr),
    /// Behind one-to-one NAT: listens on `bind`, tells clients `advertise`.
    Nat {
        bind: IpAddr,
        advertise: IpAddr,
    },
}

impl MediaAddress {
    pub const fn bind(self) -> IpAddr {
        match self {
            Self::Same(ip) | Self::Nat { bind: ip, .. } => ip,
        }
    }

    pub const fn advertise(self) -> IpAddr {
        match self {
            Self::Same(ip) | Self::Nat { advertise: ip, .. } => ip,
        }
    }
}

/// Media over UDP and TCP: one port per shard, counted from `base_port`; 0 lets the kernel choose each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Media {
    pub addresses: Vec<MediaAddress>,
    pub base_port: u16,
    pub tcp: bool,
    pub backend: Backend,
    /// 0: one per core, at most 8.
    pub shards: usize,
}

/// WebTransport: one UDP port per shard, counted from `base_port`; 0 lets the kernel choose each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quic {
    pub enabled: bool,
    pub base_port: u16,
}

/// Metadata at rest. Its folder is the data directory, which also holds the keys that the node makes for itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    pub path: PathBuf,
}

/// `true`, `false` or `"auto"`: on as long as the public door listens on loopback only.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Switch {
    #[default]
    Auto,
    On,
    Off,
}

/// The demo group, its agents and pages.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Demo {
    pub enabled: Switch,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// A level, or directives such as `info,fanlight_engine=debug`.
    pub level: String,
    pub format: LogFormat,
}

/// Limits that depend on the host and its visitors; all others are constants of the product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Open TCP connections in all.
    pub connections: usize,
    /// Open TCP connections per source address.
    pub connections_per_address: usize,
    /// Largest body of a request.
    pub body: Size,
    /// How long a drain waits for sessions to end by themselves.
    pub drain: Span,
    /// WHEP viewers on a shard from which on further ones are served by another, if there is one that has fewer.
    pub viewers_per_shard: u32,
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

const fn loopback(port: u16) -> Listen {
    Listen(Some(SocketAddr::new(LOOPBACK, port)))
}

impl Default for Public {
    fn default() -> Self {
        Self {
            http: loopback(7700),
            https: loopback(7743),
            cert: PathBuf::new(),
            key: PathBuf::new(),
            host: String::new(),
            url: String::new(),
            origins: Vec::new(),
            embed_origins: Vec::new(),
            ice_servers: Vec::new(),
            behind_proxy: false,
        }
    }
}

impl Default for Operator {
    fn default() -> Self {
        Self { listen: loopback(7780), token_file: "data/operator.token".into() }
    }
}

impl Default for Local {
    fn default() -> Self {
        Self { listen: loopback(7790) }
    }
}

impl Default for Media {
    fn default() -> Self {
        Self {
            addresses: vec![MediaAddress::Same(LOOPBACK)],
            base_port: 7730,
            tcp: true,
            backend: Backend::Auto,
            shards: 0,
        }
    }
}

impl Default for Quic {
    fn default() -> Self {
        Self { enabled: true, base_port: 7710 }
    }
}

impl Default for Store {
    fn default() -> Self {
        Self { path: "data/fanlight.db".into() }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Text }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: limits::CONNECTIONS_MAX,
            connections_per_address: limits::CONNECTIONS_PER_ADDRESS_MAX,
            body: Size(limits::HTTP_BODY_BYTES_MAX as u64),
            drain: Span(limits::DRAIN_MAX),
            viewers_per_shard: limits::VIEWERS_PER_SHARD,
        }
    }
}

impl Config {
    /// Reads and checks the file; `None` is the built-in configuration.
    ///
    /// # Errors
    /// [`StartError::Config`] that names the key and the cure.
    pub fn load(path: Option<&Path>) -> Result<Self, StartError> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(path)
            .map_err(|e| StartError::config(path.display().to_string(), format!("the file cannot be read ({e})")))?;
        Self::parse(&text)
    }

    /// Reads and checks the text of a file.
    ///
    /// # Errors
    /// [`StartError::Config`] that names the key and the cure.
    pub fn parse(text: &str) -> Result<Self, StartError> {
        let config: Self = toml::from_str(text).map_err(|e| {
            let line = e.span().map_or(1, |span| 1 + text.bytes().take(span.start).filter(|b| *b == b'\n').count());
            StartError::config(format!("configuration line {line}"), e.message())
        })?;
        config.check()?;
        Ok(config)
    }

    /// The effective configuration as a file.
    pub fn to_toml(&self) -> String {
        // Every field is a string, number, boolean, list or table, so writing cannot fail.
        toml::to_string_pretty(self).unwrap_or_default()
    }

    /// Where the node keeps what it makes for itself.
    pub fn data_dir(&self) -> PathBuf {
        match self.store.path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir.to_path_buf(),
            _ => PathBuf::from("."),
        }
    }

    /// How many shards will run on a host with `cores`.
    pub fn shard_count(&self, cores: usize) -> usize {
        if self.media.shards == 0 { cores.clamp(1, 8) } else { self.media.shards }
    }

    /// Are the demo group and its pages on?
    pub fn demo_on(&self) -> bool {
        match self.demo.enabled {
            Switch::On => true,
            Switch::Off => false,
            Switch::Auto => self.public_addresses().all(|a| a.ip().is_loopback()),
        }
    }

    /// The host part of URLs that clients are given.
    pub fn public_host(&self) -> String {
        if !self.public.host.is_empty() {
            return self.public.host.clone();
        }
        match self.media.addresses.first().map(|a| a.advertise()) {
            Some(IpAddr::V6(ip)) => format!("[{ip}]"),
            Some(IpAddr::V4(ip)) => ip.to_string(),
            None => LOOPBACK.to_string(),
        }
    }

    /// Does the node make its certificate itself?
    pub fn self_made_certificate(&self) -> bool {
        self.public.cert.as_os_str().is_empty()
    }

    fn public_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        [self.public.http.0, self.public.https.0].into_iter().flatten()
    }

    fn check(&self) -> Result<(), StartError> {
        self.check_doors()?;
        self.check_media()?;
        self.identity.check()?;
        if self.limits.connections == 0 || self.limits.connections_per_address == 0 {
            return Err(StartError::config("limits.connections", "0 would let nobody in; leave the key out"));
        }
        if self.limits.viewers_per_shard == 0 {
            return Err(StartError::config("limits.viewers_per_shard", "must be at least 1; leave the key out"));
        }
        if self.limits.body.0 == 0 || self.limits.body.0 > 1 << 20 {
            return Err(StartError::config("limits.body", "must be between 1B and 1MiB"));
        }
        if self.store.path.file_name().is_none() {
            return Err(StartError::config("store.path", "must name a file, for example \"data/fanlight.db\""));
        }
        Ok(())
    }

    fn check_doors(&self) -> Result<(), StartError> {
        let public = &self.public;
        if self.public_addresses().next().is_none() {
            return Err(StartError::config("public.http", "both public listeners are off; set http or https"));
        }
        if let Some(http) = public.http.0
            && !http.ip().is_loopback()
            && !public.behind_proxy
        {
            let cure = "plain HTTP beyond loopback; use public.https, or set public.behind_proxy = true behind TLS";
            return Err(StartError::config("public.http", cure));
        }
        if public.cert.as_os_str().is_empty() != public.key.as_os_str().is_empty() {
            return Err(StartError::config("public.key", "public.cert and public.key belong together; set both"));
        }
        if let Some(local) = self.local.listen.0
            && !local.ip().is_loopback()
        {
            return Err(StartError::config("local.listen", "the local door must listen on loopback"));
        }
        if self.operator.listen.0.is_some() && self.operator.token_file.as_os_str().is_empty() {
            return Err(StartError::config("operator.token_file", "the operator door needs a file for its token"));
        }
        for (key, list) in [("public.origins", &public.origins), ("public.embed_origins", &public.embed_origins)] {
            if let Some(wrong) = list.iter().find(|o| !is_origin(o)) {
                let problem =
                    format!("`{wrong}` is not an origin; write scheme and host, for example https://shop.example");
                return Err(StartError::config(key, problem));
            }
        }
        let leads_there = is_origin(&public.url) && is_secure(&public.url);
        if !public.url.is_empty() && !leads_there {
            let problem = format!(
                "`{}` is not where browsers can safely go; write https:// and the host, for example https://relay.example, \
                 without a path; plain http:// is for this very machine only",
                public.url
            );
            return Err(StartError::config("public.url", problem));
        }
        if let Some(wrong) = public.ice_servers.iter().find(|url| !is_ice_server(url)) {
            let problem = format!("`{wrong}` is no STUN or TURN URL; write, for example, stun:stun.example:3478");
            return Err(StartError::config("public.ice_servers", problem));
        }
        Ok(())
    }

    fn check_media(&self) -> Result<(), StartError> {
        if self.media.addresses.is_empty() {
            return Err(StartError::config("media.addresses", "at least one address is needed"));
        }
        if let Some(wrong) = self.media.addresses.iter().find(|a| a.advertise().is_unspecified()) {
            let problem = format!("{} cannot be told to clients; write {{ bind, advertise }}", wrong.advertise());
            return Err(StartError::config("media.addresses", problem));
        }
        if self.media.shards > SHARDS_MAX {
            return Err(StartError::config("media.shards", format!("at most {SHARDS_MAX}")));
        }
        let last = SHARDS_MAX as u16;
        let (media, quic) = (self.media.base_port, self.quic.base_port);
        for (key, base) in [("media.base_port", media), ("quic.base_port", quic)] {
            if base.checked_add(last).is_none() {
                return Err(StartError::config(key, format!("must be at most {}", u16::MAX - last)));
            }
        }
        // Shards are counted at start; eight is what `shards = 0` gives at most.
        let shards = if self.media.shards == 0 { 8 } else { self.media.shards as u16 };
        if self.quic.enabled && media != 0 && quic != 0 && media.abs_diff(quic) < shards {
            return Err(StartError::config("quic.base_port", "its ports overlap those of media.base_port"));
        }
        Ok(())
    }
}

/// `scheme://host[:port]` and nothing after it, in lower case, as browsers write it.
fn is_origin(text: &str) -> bool {
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    host.is_some_and(|h| !h.is_empty() && h.bytes().all(|b| b.is_ascii_graphic() && !b"/?#@*".contains(&b)))
        && !text.bytes().any(|b| b.is_ascii_uppercase())
}

/// RFC 7064, RFC 7065; nothing that could end the link it is written into.
fn is_ice_server(url: &str) -> bool {
    let rest = ["stun:", "stuns:", "turn:", "turns:"].iter().find_map(|scheme| url.strip_prefix(scheme));
    rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"".contains(&b)))
}

impl<'de> Deserialize<'de> for Switch {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected true, false or \"auto\"")]
        enum Either {
            Bool(bool),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Bool(true) => Ok(Self::On),
            Either::Bool(false) => Ok(Self::Off),
            Either::Text(text) if text == "auto" => Ok(Self::Auto),
            Either::Text(text) => {
                Err(serde::de::Error::custom(format!("`{text}` is neither true, false nor \"auto\"")))
            }
        }
    }
}

impl Serialize for Switch {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::On => serializer.serialize_bool(true),
            Self::Off => serializer.serialize_bool(false),
        }
    }
}

#[cfg(test)]
mod tests;
