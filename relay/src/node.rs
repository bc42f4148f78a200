//! A running relay: every part made, connected and started in order, and stopped in the opposite order.
//!
//! Owns the assembly and nothing else. Whatever can be refused (configuration, ports, files, host) is refused before the
//! first client is let in, as a [`StartError`] that names the key and the cure.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use fanlight_control::{Clock, Control, ControlConfig, Hooks, Outbound, SmsConfig};
use tokio::sync::watch;

use crate::carrier::Crowd;
use crate::carrier::admit::{Gate, Link, Shards};
use crate::config::{Config, StartError};
use crate::drain::{self, Drain};
use crate::edge::slots::Slots;
use crate::host::Host;
use crate::telemetry::LogLevel;
use crate::tls::Certificates;
use crate::{cli, clock};

mod doors;
mod shards;
mod webtransport;

use doors::Doors;
use shards::Threads;
use webtransport::Endpoints;

/// How often the node looks whether its short-lived certificate should change.
const RENEW_INTERVAL: Duration = Duration::from_secs(3_600);

/// A running relay.
#[derive(Debug)]
pub struct Node {
    config: Config,
    addresses: Addresses,
    control: Arc<Control>,
    shards: Arc<Shards>,
    threads: Threads,
    drain: Arc<Drain>,
    certificates: Arc<Certificates>,
    crowd: Arc<Crowd>,
    stop: watch::Sender<bool>,
}

/// Where the doors are, after port 0 has become a real port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    pub http: Option<SocketAddr>,
    pub https: Option<SocketAddr>,
    pub operator: Option<SocketAddr>,
    pub local: Option<SocketAddr>,
}

impl Node {
    /// Starts everything. Must be called inside the edge runtime.
    ///
    /// # Errors
    /// [`StartError`] when the configuration or the host does not allow it; nothing keeps running then.
    pub async fn start(config: Config, log_level: LogLevel) -> Result<Self, StartError> {
        let host = Host::probe();
        cli::fit(&config, &host)?;
        make_data_dir(&config)?;
        let doors = Doors::open(&config)?;
        let addresses = doors.addresses();
        let certificates = Arc::new(Certificates::open(&config, UNIX_EPOCH + clock::since_epoch())?);
        let count = u8::try_from(config.shard_count(host.shards())).unwrap_or(u8::MAX);
        let endpoints = Endpoints::open(&config, count)?;
        let webtransport = endpoints.origins();
        let shards = Shards::new(count);
        let hooks = Hooks {
            clock: Box::new(NodeClock),
            shards: Box::new(Link(Arc::clone(&shards))),
            connect: Box::new(endpoints.connect(Arc::clone(&certificates))),
        };
        let control = open_control(&config, &addresses, hooks)?;
        let gate = Gate::new(Arc::clone(&control), Arc::clone(&shards));
        let crowd = Arc::clone(gate.crowd());
        let (stop, stopped) = watch::channel(false);
        let slots = Slots::new(config.limits.connections, config.limits.connections_per_address);
        let companions = endpoints.companions(&certificates, &gate, &slots, &stopped)?;
        let threads = shards::start(&config, count, companions, &shards)?;
        shards.fill(threads.handles());
        threads.report_to(&control);
        tokio::spawn(Arc::clone(&control).deliver());
        for warning in host.warnings() {
            tracing::warn!("{warning}");
        }
        let drain = Arc::new(Drain::default());
        let about = threads.about();
        let parts = doors::Parts { control: &control, gate, drain: &drain, log_level, about, slots, webtransport };
        doors.serve(&config, &certificates, parts, &stopped)?;
        tokio::spawn(renew(Arc::clone(&certificates), stopped));
        Ok(Self { config, addresses, control, shards, threads, drain, certificates, crowd, stop })
    }

    /// Serves until a signal or the local door asks for the end, drains, and stops.
    ///
    /// # Errors
    /// [`StartError`] when the process cannot listen to signals.
    pub async fn run(self) -> Result<(), StartError> {
        drain::listen_to_signals(Arc::clone(&self.drain), Arc::clone(&self.certificates))
            .map_err(|e| StartError::host("signals", e))?;
        self.until_stopped().await;
        Ok(())
    }

    /// Like [`Self::run`], for a process that has its own signals.
    pub async fn until_stopped(self) {
        drain::until_drained(&self.drain, &self.control, &self.shards, self.config.limits.drain.0).await;
        // The sessions have ended; now each carrier tells its client why.
        if tokio::time::timeout(drain::FAREWELL, self.crowd.gone()).await.is_err() {
            tracing::info!("some clients did not answer a goodbye");
        }
        self.stop.send_replace(true);
        self.threads.stop(&self.shards).await;
        tracing::info!("stopped");
    }

    /// Asks for the end, or for an end at once when that was asked before.
    pub fn drain(&self) -> Arc<Drain> {
        Arc::clone(&self.drain)
    }

    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    pub const fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// What a person wants to know after a start.
    pub fn welcome(&self) -> String {
        let mut lines = vec![format!("{} is running: {}", cli::version(), self.threads)];
        let mut line = |what: &str, value: String| lines.push(format!("  {what:<18}{value}"));
        let base = self.addresses.http.map(|a| format!("http://{a}"));
        if let Some(base) = base.or_else(|| self.addresses.https.map(|_| self.own_origin())) {
            if self.config.demo_on() {
                line("start here", format!("{base}/"));
                line("demo shop", format!("{base}/demo/"));
                line("agent console", format!("{base}/demo/agent.html"));
            } else {
                line("public door", format!("{base}/"));
            }
        }
        if let Some(address) = self.addresses.operator {
            let token = self.config.operator.token_file.display();
            line("operator door", format!("http://{address}/v1/sessions  (bearer token in {token})"));
            line("admin console", format!("http://{address}/admin/"));
        }
        if let Some(address) = self.addresses.local {
            line("metrics", format!("http://{address}/metrics"));
        }
        lines.join("\n")
    }

    fn own_origin(&self) -> String {
        own_origins(&self.config, &self.addresses).into_iter().next_back().unwrap_or_default()
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doors = [("http", self.http), ("https", self.https), ("operator", self.operator), ("local", self.local)];
        let open = doors.iter().filter_map(|(name, address)| address.map(|a| format!("{name} {a}")));
        f.write_str(&open.collect::<Vec<_>>().join(", "))
    }
}

/// Only the node's own user may look into the data directory.
fn make_data_dir(config: &Config) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt;
    let dir = config.data_dir();
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
    made.map_err(|e| StartError::config("store.path", format!("{} cannot be made ({e})", dir.display())))
}

/// The origins under which browsers see this node's own pages; the one for links comes last.
fn own_origins(config: &Config, addresses: &Addresses) -> Vec<String> {
    let host = config.public_host();
    let origin = |scheme: &str, address: Option<SocketAddr>, usual: u16| {
        let port = address?.port();
        Some(if port == usual { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{port}") })
    };
    let both = [origin("http", addresses.http, 80), origin("https", addresses.https, 443)];
    let written = Some(config.public.url.clone()).filter(|url| !url.is_empty());
    both.into_iter().flatten().chain(written).collect()
}

fn open_control(config: &Config, addresses: &Addresses, hooks: Hooks) -> Result<Arc<Control>, StartError> {
    let data: PathBuf = config.data_dir();
    let mut origins = config.public.origins.clone();
    let own = own_origins(config, addresses);
    let url = own.last().cloned().unwrap_or_default();
    origins.extend(own);
    let operator = addresses.operator.map(|address| format!("http://{address}")).unwrap_or_default();
    let settings = ControlConfig {
        store_path: Some(config.store.path.clone()),
        key_path: Some(data.join("ticket.key")),
        operator_token_path: addresses.operator.map(|_| config.operator.token_file.clone()),
        origins,
        ice_servers: config.public.ice_servers.clone(),
        webhook_key_path: Some(data.join("webhook.key")),
        outbound: Outbound {
            named: config.outbound.named.clone(),
            ca_path: Some(config.outbound.ca_file.clone()).filter(|path| !path.as_os_str().is_empty()),
        },
        sms: SmsConfig { url: config.sms.url.clone(), secret_path: Some(config.sms.secret_file.clone()) },
        demo: config.demo_on(),
        identity: config.identity.settings(&url, &operator),
        public_url: url,
        viewers_per_shard: Some(config.limits.viewers_per_shard),
    };
    Control::open(&settings, hooks).map_err(|e| StartError::host("control", e))
}

/// The one clock, as control wants it.
struct NodeClock;

impl Clock for NodeClock {
    fn unix_seconds(&self) -> u64 {
        clock::since_epoch().as_secs()
    }

    fn now(&self) -> Instant {
        clock::now()
    }
}

/// Changes the short-lived certificate in time.
async fn renew(certificates: Arc<Certificates>, mut stop: watch::Receiver<bool>) {
    let mut look = tokio::time::interval(RENEW_INTERVAL);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        match certificates.renew(UNIX_EPOCH + clock::since_epoch()) {
            Ok(true) => tracing::info!("the WebTransport certificate was changed"),
            Ok(false) => {}
            Err(why) => tracing::error!(why, "the WebTransport certificate was not renewed; it ends within days"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Addresses {
        let at = |port: u16| Some(SocketAddr::from(([127, 0, 0, 1], port)));
        Addresses { http: at(7700), https: at(443), operator: None, local: at(7790) }
    }

    #[test]
    fn own_origins_are_written_as_browsers_write_them() {
        let config = Config::parse("[public]\nhost = \"relay.example\"\n").expect("good");
        assert_eq!(own_origins(&config, &addresses()), ["http://relay.example:7700", "https://relay.example"]);
        let behind = "[public]\nbehind_proxy = true\nhttps = \"off\"\nurl = \"https://relay.example\"\n";
        let (behind, http) = (Config::parse(behind).expect("good"), Addresses { https: None, ..addresses() });
        assert_eq!(
            own_origins(&behind, &http),
            ["http://127.0.0.1:7700", "https://relay.example"],
            "links are for browsers"
        );
        assert_eq!(addresses().to_string(), "http 127.0.0.1:7700, https 127.0.0.1:443, local 127.0.0.1:7790");
    }
}
