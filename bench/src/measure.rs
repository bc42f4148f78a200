//! Servers under test and windows of measurement: the same clients, the same arrivals, one after the other in one run.
//!
//! A window begins and ends in silence, so that every packet sent is counted against every packet delivered, and all time that
//! the server spends on them is in the count.

use std::io;
use std::process::Child;
use std::time::Duration;

use fanlight_loadtest::clock;
use fanlight_loadtest::raw::process;
use fanlight_loadtest::raw::source::Pattern;
use fanlight_loadtest::raw::swarm::Swarm;
use serde::Serialize;

/// What is still under way when publishers fall silent arrives within this.
const DRAIN: Duration = Duration::from_millis(150);
/// A generator that is busier than this may be what limits the result.
const OWN_SHARE_MAX: f64 = 0.85;
/// A share of departures later than a millisecond that makes an arrival pattern another one.
const LATE_SHARE_MAX: f64 = 0.05;

/// A server with its clients in place.
#[derive(Debug)]
pub struct Target {
    pub name: String,
    pub pid: u32,
    /// Killed when dropped.
    pub child: Option<Child>,
    /// Numbers of publishers in the swarm, and of subscribers.
    pub sources: Vec<usize>,
    pub watchers: Vec<usize>,
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// What a window came to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Window {
    pub sent: u64,
    pub delivered: u64,
    /// Share of `sent` × subscribers that did not arrive.
    pub loss: f64,
    /// Missing numbers, as the subscribers see them.
    pub missing: u64,
    /// Time of the server process per packet delivered, in microseconds.
    pub us_per_packet: f64,
    /// Share of one core that the server used.
    pub server_share: f64,
    pub packets_per_second: f64,
    /// Microseconds from the publisher's send to the subscriber's socket, by the kernel's stamp.
    pub p50_us: u32,
    pub p90_us: u32,
    pub p99_us: u32,
    pub max_us: u32,
    /// The same until the subscriber has seen the packet, the generator's own delay included.
    pub seen_p50_us: u32,
    pub seen_p99_us: u32,
    /// Largest over median of the subscribers' own p99, on arrival.
    pub spread: f64,
    /// Share of its core that the generator used, and share of packets that left late.
    pub own_share: f64,
    pub late_share: f64,
    /// Is it the generator that limits?
    pub generator_limits: bool,
}

impl Target {
    /// Another pattern of departures.
    pub fn arrange(&self, swarm: &mut Swarm, pattern: Pattern) {
        self.each_source(swarm, |source| source.arrange(pattern));
    }

    /// Packets per second of each publisher; 0 is silence. Publishers of several sessions are spread over a frame's time.
    pub fn pace(&self, swarm: &mut Swarm, packets_per_second: u32) {
        let now = clock::now();
        let count = u32::try_from(self.sources.len()).unwrap_or(1).max(1);
        let frame = Duration::from_secs(10) / packets_per_second.max(1);
        for (nth, at) in (0..).zip(&self.sources) {
            let Some(source) = swarm.member(*at).and_then(|member| member.source()) else { continue };
            source.pace(now + frame * nth / count, packets_per_second);
        }
    }

    fn each_source(&self, swarm: &mut Swarm, mut act: impl FnMut(&mut fanlight_loadtest::raw::source::Source)) {
        for at in &self.sources {
            if let Some(source) = swarm.member(*at).and_then(|member| member.source()) {
                act(source);
            }
        }
    }

    fn sent(&self, swarm: &mut Swarm) -> (u64, u64) {
        let (mut sent, mut late) = (0, 0);
        self.each_source(swarm, |source| {
            sent += source.sent();
            late += source.late;
        });
        (sent, late)
    }

    /// One window at this rate, in the pattern arranged before.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn window(&self, swarm: &mut Swarm, packets_per_second: u32, length: Duration) -> io::Result<Window> {
        for at in &self.watchers {
            if let Some(watcher) = swarm.member(*at).and_then(|member| member.watcher()) {
                watcher.restart();
            }
        }
        let before = (self.sent(swarm), process::cpu_time(self.pid), process::own_cpu_time(), clock::now());
        self.pace(swarm, packets_per_second);
        swarm.run(clock::now() + length, None)?;
        self.pace(swarm, 0);
        let busy = (process::own_cpu_time(), clock::now());
        swarm.run(clock::now() + DRAIN, None)?;
        let after = (self.sent(swarm), process::cpu_time(self.pid));
        let used = after.1.zip(before.1).map(|(after, before)| after.saturating_sub(before)).unwrap_or_default();
        let wall = busy.1.saturating_duration_since(before.3).as_secs_f64();
        let (sent, late) = (after.0.0 - before.0.0, after.0.1 - before.0.1);
        let own_share = busy.0.saturating_sub(before.2).as_secs_f64() / wall;
        let mut window = self.count(swarm);
        let per_source = self.watchers.len() as f64 / self.sources.len().max(1) as f64;
        let expected = sent as f64 * per_source;
        window.sent = sent;
        window.loss = (1.0 - window.delivered as f64 / expected.max(1.0)).max(0.0);
        window.us_per_packet = used.as_secs_f64() * 1e6 / window.delivered.max(1) as f64;
        window.server_share = used.as_secs_f64() / wall;
        window.packets_per_second = window.delivered as f64 / wall;
        window.own_share = own_share;
        window.late_share = late as f64 / sent.max(1) as f64;
        window.generator_limits = own_share > OWN_SHARE_MAX || window.late_share > LATE_SHARE_MAX;
        Ok(window)
    }

    /// p99 of everything since the last look, in microseconds: on arrival, and until seen.
    pub fn tail(&self, swarm: &mut Swarm) -> (u32, u32) {
        let window = self.count(swarm);
        (window.p99_us, window.seen_p99_us)
    }

    fn count(&self, swarm: &mut Swarm) -> Window {
        let mut window = Window { spread: 1.0, ..Window::default() };
        let (mut all, mut seen, mut tails) = (Vec::new(), Vec::new(), Vec::new());
        for at in &self.watchers {
            let Some(watcher) = swarm.member(*at).and_then(|member| member.watcher()) else { continue };
            let (received, missing) = watcher.counts();
            window.delivered += received;
            window.missing += missing;
            watcher.arrived_after_us.sort_unstable();
            tails.extend(rank(&watcher.arrived_after_us, 99));
            all.append(&mut watcher.arrived_after_us);
            seen.append(&mut watcher.seen_after_us);
        }
        all.sort_unstable();
        seen.sort_unstable();
        (window.seen_p50_us, window.seen_p99_us) = (rank(&seen, 50).unwrap_or(0), rank(&seen, 99).unwrap_or(0));
        let at = |percent| rank(&all, percent).unwrap_or(0);
        (window.p50_us, window.p90_us, window.p99_us, window.max_us) = (at(50), at(90), at(99), at(100));
        tails.sort_unstable();
        if let (Some(most), Some(middle)) = (tails.last(), rank(&tails, 50)) {
            window.spread = f64::from(*most) / f64::from(middle.max(1));
        }
        window
    }
}

/// Nearest rank of sorted samples.
fn rank(sorted: &[u32], percent: usize) -> Option<u32> {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied()
}

/// The window in the middle by cost.
pub fn median(mut windows: Vec<Window>) -> Window {
    windows.sort_by(|one, other| one.us_per_packet.total_cmp(&other.us_per_packet));
    let middle = windows.len() / 2;
    windows.into_iter().nth(middle).unwrap_or_default()
}
