//! What unit tests share: time, and a control plane whose shards take everything.

use std::sync::Arc;
use std::time::Instant;

use fanlight_wire::command::Command;
use fanlight_wire::resource::{ResourceInput, ResourceOutput};
use fanlight_wire::{Refusal, ShardId};

use crate::config::{Asking, Clock, ConnectInfo, ControlConfig, Hooks, ShardLink};
use crate::control::Control;

/// Some instant; tests only add to it.
#[expect(clippy::disallowed_methods, reason = "an `Instant` can be had in no other way; its value does not matter")]
pub(crate) fn an_instant() -> Instant {
    Instant::now()
}

struct StandStill(Instant);

impl Clock for StandStill {
    fn unix_seconds(&self) -> u64 {
        1_800_000_000
    }

    fn now(&self) -> Instant {
        self.0
    }
}

struct TakesAll;

impl ShardLink for TakesAll {
    fn send(&self, _: ShardId, _: Command) -> Result<(), Refusal> {
        Ok(())
    }

    fn ask(&self, _: ShardId, _: ResourceInput) -> Asking {
        Box::pin(async { Ok(ResourceOutput::Deleted) })
    }

    fn shard_count(&self) -> u8 {
        1
    }
}

pub(crate) fn a_control() -> Arc<Control> {
    control_of(&ControlConfig::default())
}

pub(crate) fn control_of(config: &ControlConfig) -> Arc<Control> {
    let connect = |_| ConnectInfo { websocket: "/v1/ws".into(), webtransport: None };
    let clock = Box::new(StandStill(an_instant()));
    let hooks = Hooks { clock, shards: Box::new(TakesAll), connect: Box::new(connect) };
    Control::open(config, hooks).expect("all in memory")
}
