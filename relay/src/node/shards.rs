//! The shard threads of a node: how they are configured, fed, watched and stopped.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fanlight_control::Control;
use fanlight_control::metrics::{Backend as BackendLabel, Owner};
use fanlight_engine::{Certificate, Engine};
use fanlight_wire::ShardId;
use fanlight_wire::report::Report;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::carrier::admit::Shards;
use crate::config::{Backend, Config, StartError, port_of};
use crate::edge::local::About;
use crate::io::{BackendChoice, BackendKind, MediaBind, cores};
use crate::queue::{Handle, ShardInput};
use crate::shard::{Bear, Board, Companion, Shard, ShardConfig, bear_engine};

/// Reports that wait for control; a shard drops and counts what does not fit.
const REPORTS_MAX: usize = 4_096;
/// How often the shards' totals become metrics.
const TOTALS_INTERVAL: Duration = Duration::from_millis(500);
/// How long the threads have to end.
const STOP_MAX: Duration = Duration::from_secs(5);

/// The running shards.
pub(super) struct Threads {
    shards: Vec<Shard>,
    reports: std::sync::Mutex<Option<mpsc::Receiver<Report>>>,
}

/// Starts all shards, each with its WebTransport endpoint.
pub(super) fn start(
    config: &Config,
    count: u8,
    mut endpoints: Vec<Companion>,
    all: &Arc<Shards>,
) -> Result<Threads, StartError> {
    let (report, reports) = mpsc::channel(REPORTS_MAX);
    let cores = cores().unwrap_or_default();
    let mut shards = Vec::with_capacity(usize::from(count));
    for n in 0..count {
        let id = ShardId(n);
        // A core of its own only where there are enough; sharing by pinning would hurt more than it helps.
        let core = if usize::from(count) <= cores.len() { cores.get(usize::from(n)).copied() } else { None };
        let (media, neighbours) = (media(config, id), Arc::clone(all));
        let shard = ShardConfig { id, core, backend: backend(config), media, tcp: config.media.tcp, neighbours };
        // One endpoint per shard, or none at all.
        let companions = if endpoints.is_empty() { Vec::new() } else { vec![endpoints.remove(0)] };
        let started = Shard::spawn(shard, bear()?, companions, report.clone());
        shards.push(started.map_err(|e| StartError::host(format!("media.base_port (shard {n})"), e))?);
    }
    Ok(Threads { shards, reports: std::sync::Mutex::new(Some(reports)) })
}

/// Makes the engines of one shard. Its DTLS certificate lives as long as the process, so that a client that holds the
/// fingerprint still finds it after an engine had to be replaced.
fn bear() -> Result<Bear<Engine>, StartError> {
    let none = || StartError::host("DTLS", "the crypto library made no certificate");
    Certificate::generate().map(bear_engine).ok_or_else(none)
}

const fn backend(config: &Config) -> BackendChoice {
    match config.media.backend {
        Backend::Auto => BackendChoice::Auto,
        Backend::IoUring => BackendChoice::Uring,
        Backend::Mmsg => BackendChoice::Mmsg,
    }
}

fn media(config: &Config, shard: ShardId) -> Vec<MediaBind> {
    let port = port_of(config.media.base_port, shard);
    let at = |ip| SocketAddr::new(ip, port);
    config.media.addresses.iter().map(|a| MediaBind { bind: at(a.bind()), advertise: at(a.advertise()) }).collect()
}

impl Threads {
    pub(super) fn handles(&self) -> Vec<Handle> {
        self.shards.iter().map(|shard| shard.handle.clone()).collect()
    }

    pub(super) fn about(&self) -> About {
        About {
            version: env!("CARGO_PKG_VERSION"),
            shards: self.shards.len(),
            backend: self.backend().map_or("none", BackendKind::name),
        }
    }

    fn backend(&self) -> Option<BackendKind> {
        self.shards.first().map(|shard| shard.backend)
    }

    /// Lets control know what the shards report and count, for as long as the runtime lives.
    pub(super) fn report_to(&self, control: &Arc<Control>) {
        match self.backend() {
            Some(BackendKind::Uring) => control.metrics().io_backend(BackendLabel::IoUring),
            Some(BackendKind::Mmsg) => control.metrics().io_backend(BackendLabel::Mmsg),
            None => {}
        }
        let reports = self.reports.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(reports) = reports {
            let control = Arc::clone(control);
            tokio::spawn(async move { control.follow(reports).await });
        }
        let boards = self.shards.iter().map(|shard| Arc::clone(&shard.board)).collect();
        tokio::spawn(watch_boards(boards, Arc::clone(control)));
    }

    /// Ends the threads after their sessions have ended.
    pub(super) async fn stop(self, shards: &Shards) {
        for handle in shards.all() {
            if handle.send(ShardInput::Stop).await.is_err() {
                tracing::warn!("a shard was gone before its stop");
            }
        }
        let joined = tokio::task::spawn_blocking(move || self.shards.into_iter().map(Shard::join).collect::<Vec<_>>());
        match timeout(STOP_MAX, joined).await {
            Ok(Ok(all)) if all.iter().all(Result::is_ok) => {}
            Ok(_) => tracing::error!("a shard's thread ended by a panic"),
            Err(_) => tracing::warn!("a shard's thread did not end in time"),
        }
    }
}

impl fmt::Display for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backend = self.backend().map_or("none", BackendKind::name);
        let plural = if self.shards.len() == 1 { "" } else { "s" };
        write!(f, "{} shard{plural} on {backend}", self.shards.len())
    }
}

impl fmt::Debug for Threads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Threads").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

/// Turns the shards' absolute counts into metrics.
async fn watch_boards(boards: Vec<Arc<Board>>, control: Arc<Control>) {
    let mut look = tokio::time::interval(TOTALS_INTERVAL);
    let mut panics = vec![0; boards.len()];
    loop {
        look.tick().await;
        for (board, known) in boards.iter().zip(&mut panics) {
            let status = board.read();
            control.note_load(status.shard, status.load_permille);
            control.note_viewers(status.shard, status.totals.viewers());
            control.metrics().set_shard_totals(status.shard, status.totals);
            while *known < status.panics {
                *known += 1;
                control.metrics().panic(Owner::Shard);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_have_consecutive_ports_on_every_address() {
        let text = "[media]\naddresses = [{ bind = \"10.0.0.5\", advertise = \"203.0.113.5\" }, \"::1\"]\n";
        let config = Config::parse(text).expect("good");
        let binds = media(&config, ShardId(3));
        let shown: Vec<_> = binds.iter().map(|b| (b.bind.to_string(), b.advertise.to_string())).collect();
        let wanted = [("10.0.0.5:7733", "203.0.113.5:7733"), ("[::1]:7733", "[::1]:7733")];
        assert_eq!(shown, wanted.map(|(bind, advertise)| (bind.to_string(), advertise.to_string())));
    }
}
