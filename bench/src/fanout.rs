//! The relay beside the floor, and beside its peers: rounds of windows, one server after the other, the same arrivals.

use std::time::Duration;

use fanlight_loadtest::raw::door::{Door, JoinError};
use fanlight_loadtest::raw::source::{Load, Pattern};
use fanlight_loadtest::raw::swarm::Swarm;

use crate::measure::{Target, Window, median};
use crate::relay::Relay;
use crate::report::{Report, Row};
use crate::{floor, janus};

/// What one publisher sends: a 2.5 Mbit/s screen.
pub const PACKETS_PER_SECOND: u32 = 285;
pub const PACKET_BYTES: usize = 1_100;

/// How runs are made.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// Core of the servers; the generator has another.
    pub core: usize,
    pub length: Duration,
    pub rounds: usize,
    /// Departures of a publisher leave as one train.
    pub join: bool,
}

impl Manner {
    /// A publisher that waits to be paced.
    pub const fn load(self) -> Load {
        Load { pattern: Pattern::Bursts, packets_per_second: 0, packet_bytes: PACKET_BYTES }
    }
}

/// Which servers stand beside the floor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// The relay on this backend.
    Relay(&'static str),
    Janus,
    /// Any server with WHIP and WHEP that runs already, as process `pid`.
    Doors {
        name: String,
        whip: Door,
        whep: Door,
        pid: u32,
    },
}

impl Server {
    fn name(&self) -> String {
        match self {
            Self::Relay(backend) => (*backend).to_owned(),
            Self::Janus => "janus".to_owned(),
            Self::Doors { name, .. } => name.clone(),
        }
    }

    /// Opens it with its clients in place and silent.
    ///
    /// # Errors
    /// [`JoinError`].
    pub fn open(&self, swarm: &mut Swarm, manner: Manner, shape: (usize, usize)) -> Result<Target, JoinError> {
        let load = manner.load();
        match self {
            Self::Relay(backend) => Relay::start(manner.core, backend)?.fill(swarm, backend, shape, load, manner.join),
            Self::Janus => janus::open(swarm, manner.core, shape.1, load),
            Self::Doors { name, whip, whep, pid } => {
                crate::relay::doors(swarm, (name, *pid), (whip, whep), shape.1, load)
            }
        }
    }
}

/// `1 → 100`, or `200 × 1 → 3`.
pub fn shape_name((sessions, subscribers): (usize, usize)) -> String {
    if sessions == 1 { format!("1 → {subscribers}") } else { format!("{sessions} × 1 → {subscribers}") }
}

/// One shape, every pattern: the floor and each server in turn, `rounds` times. A row per server and pattern, the ratio
/// taken within the rounds.
///
/// # Errors
/// [`JoinError`].
pub fn compare(
    report: &mut Report,
    manner: Manner,
    shape: (usize, usize),
    servers: &[Server],
    patterns: &[Pattern],
) -> Result<(), JoinError> {
    let mut swarm = Swarm::new()?;
    let mut targets = vec![floor::target::open(&mut swarm, manner.core, shape, manner.load(), manner.join)?];
    for server in servers {
        match server.open(&mut swarm, manner, shape) {
            Ok(target) => targets.push(target),
            Err(error) => crate::report::say(&format!("{} at {}: {error}", server.name(), shape_name(shape))),
        }
    }
    for pattern in patterns {
        let mut windows: Vec<Vec<Window>> = targets.iter().map(|_| Vec::new()).collect();
        for target in &targets {
            // The first departures after a silence meet cold caches and sleeping threads everywhere.
            target.arrange(&mut swarm, *pattern);
            target.window(&mut swarm, PACKETS_PER_SECOND, manner.length / 4)?;
        }
        for _ in 0..manner.rounds {
            for (target, windows) in targets.iter().zip(&mut windows) {
                windows.push(target.window(&mut swarm, PACKETS_PER_SECOND, manner.length)?);
            }
        }
        let floor: Vec<f64> = windows.first().into_iter().flatten().map(|window| window.us_per_packet).collect();
        for (nth, (target, windows)) in targets.iter().zip(windows).enumerate() {
            let mut ratios: Vec<f64> =
                windows.iter().zip(&floor).map(|(window, floor)| window.us_per_packet / floor.max(1e-9)).collect();
            ratios.sort_by(f64::total_cmp);
            let ratio = ratios.get(ratios.len() / 2).copied().filter(|_| nth > 0);
            let (shape, pattern, target) = (shape_name(shape), pattern.name(), target.name.clone());
            report.row(Row { shape, pattern, target, ratio, window: median(windows) });
        }
    }
    Ok(())
}
