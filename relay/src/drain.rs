//! Stopping without hurting anybody: *serving* → *draining* → *stopping*.
//!
//! The first SIGTERM or SIGINT (or `POST /drain`) drains: not ready, newcomers get 503 with `Retry-After`, sessions are
//! told and may end by themselves within `limits.drain`. A second signal, or the deadline, ends what is left with a
//! code. SIGHUP reads the operator's certificate again. A drain is never taken back: whoever asked for it has moved on.

use std::sync::Arc;
use std::time::Duration;

use fanlight_control::Control;
use fanlight_wire::command::Command;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::carrier::admit::Shards;
use crate::queue::ShardInput;
use crate::tls::Certificates;

/// How often a drain looks whether the last session has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How long ended sessions, and then their carriers, have to tell their clients before the process goes.
pub const FAREWELL: Duration = Duration::from_secs(2);

/// Where a node stands between start and stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    Serving,
    Draining,
    Stopping,
}

impl Phase {
    pub const fn label(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Draining => "draining",
            Self::Stopping => "stopping",
        }
    }
}

/// The node's phase. Only goes forward.
#[derive(Debug)]
pub struct Drain {
    phase: watch::Sender<Phase>,
}

impl Default for Drain {
    fn default() -> Self {
        Self { phase: watch::Sender::new(Phase::Serving) }
    }
}

impl Drain {
    pub fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Begins to drain, unless that has begun.
    pub fn begin(&self) {
        self.advance(Phase::Draining);
    }

    /// One step on: what a signal asks for.
    pub fn step(&self) {
        self.phase.send_modify(|phase| {
            *phase = if *phase == Phase::Serving { Phase::Draining } else { Phase::Stopping };
        });
    }

    /// Waits until the phase is `wanted` or later.
    pub async fn reached(&self, wanted: Phase) {
        // The sender is `self`, so waiting cannot fail.
        let mut phase = self.phase.subscribe();
        if phase.wait_for(|phase| *phase >= wanted).await.is_err() {
            tracing::debug!("the phase has no sender any more");
        }
    }

    fn advance(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let forward = *phase < to;
            *phase = (*phase).max(to);
            forward
        });
    }
}

/// Turns signals into steps, for as long as the process lives.
///
/// # Errors
/// [`std::io::Error`] when the process cannot listen to signals.
pub fn listen_to_signals(drain: Arc<Drain>, certificates: Arc<Certificates>) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        while let Some(wish) = wish(&mut terminate, &mut interrupt, &mut hangup).await {
            match wish {
                Wish::Stop => drain.step(),
                Wish::Reload => match certificates.reload() {
                    Ok(true) => tracing::info!("the certificate was read again"),
                    Ok(false) => tracing::info!("the certificate is self-made; there is nothing to read again"),
                    Err(why) => tracing::warn!(why, "the certificate was not replaced"),
                },
            }
        }
    });
    Ok(())
}

enum Wish {
    Stop,
    Reload,
}

async fn wish(terminate: &mut Signal, interrupt: &mut Signal, hangup: &mut Signal) -> Option<Wish> {
    tokio::select! {
        signal = terminate.recv() => signal.map(|()| Wish::Stop),
        signal = interrupt.recv() => signal.map(|()| Wish::Stop),
        signal = hangup.recv() => signal.map(|()| Wish::Reload),
    }
}

/// Waits for a drain and sees it through: returns when no session is left, or when those that are left were ended.
pub async fn until_drained(drain: &Drain, control: &Control, shards: &Shards, within: Duration) {
    drain.reached(Phase::Draining).await;
    tracing::info!(sessions = control.session_count(), within_s = within.as_secs(), "draining");
    control.set_draining(true);
    tell(shards, within).await;
    tokio::select! {
        () = sessions_gone(control) => {}
        () = sleep(within) => tracing::info!("the drain's time is over"),
        () = drain.reached(Phase::Stopping) => tracing::info!("a second signal: ending now"),
    }
    drain.advance(Phase::Stopping);
    if control.session_count() > 0 {
        tracing::info!(sessions = control.session_count(), "ending the sessions that are left");
        tell(shards, Duration::ZERO).await;
        if timeout(FAREWELL, sessions_gone(control)).await.is_err() {
            tracing::warn!(sessions = control.session_count(), "some sessions did not end in time");
        }
    }
}

async fn tell(shards: &Shards, within: Duration) {
    for shard in shards.all() {
        if shard.send(ShardInput::Command(Command::Drain { within })).await.is_err() {
            tracing::warn!("a shard was gone before its drain");
        }
    }
}

async fn sessions_gone(control: &Control) {
    let mut look = interval(LOOK_INTERVAL);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while control.session_count() > 0 {
        look.tick().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_drain_goes_forward_only() {
        let drain = Drain::default();
        assert_eq!(drain.phase(), Phase::Serving);
        drain.step();
        drain.begin();
        assert_eq!(drain.phase(), Phase::Draining, "draining twice is draining");
        drain.step();
        drain.begin();
        assert_eq!(drain.phase(), Phase::Stopping, "a second signal ends, and nothing takes that back");
        drain.reached(Phase::Draining).await;
    }
}
