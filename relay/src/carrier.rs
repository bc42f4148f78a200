//! Carriers: the ways a participant's frames travel between its client and its home shard.
//!
//! A carrier owns its connection and one pipe of the engine. Invariants: the first frame is a `hello` that [`admit`] has
//! checked; every byte the engine sends is credited back only after the transport took it, so a reader that is stuck
//! stops the engine and not our memory; the two directions never wait for each other; the pipe is closed exactly once.
//! [`websocket`] and [`quic`] are equals; [`tcp`] carries media packets, not frames.

use std::sync::Arc;

use fanlight_engine::{PipeInput, PipeOutput};
use fanlight_wire::signal::ToClient;
use fanlight_wire::{Frame, PipeId, Refusal};
use tokio::sync::{mpsc, watch};

use crate::queue::{Handle, ShardInput};

pub mod admit;
pub mod quic;
pub mod tcp;
pub mod websocket;

/// An admitted pipe: the shard it ends at and what the shard wants sent.
#[derive(Debug)]
pub struct Lane {
    pub pipe: PipeId,
    pub shard: Handle,
    /// Ends when the shard is gone.
    pub output: mpsc::UnboundedReceiver<PipeOutput>,
}

/// How many carriers are open, so that a stop can wait until each has said goodbye.
#[derive(Debug, Default)]
pub struct Crowd {
    count: watch::Sender<usize>,
}

/// One open carrier; counted until dropped.
#[derive(Debug)]
pub struct Guest(Arc<Crowd>);

impl Crowd {
    pub fn enter(self: &Arc<Self>) -> Guest {
        self.count.send_modify(|count| *count += 1);
        Guest(Arc::clone(self))
    }

    /// Waits until no carrier is open.
    pub async fn gone(&self) {
        // The sender is `self`, so waiting cannot fail.
        drop(self.count.subscribe().wait_for(|count| *count == 0).await);
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.count.send_modify(|count| *count -= 1);
    }
}

/// The shard is gone; the carrier cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardGone;

/// The sending half of a pipe, towards the shard.
#[derive(Debug, Clone)]
pub struct Uplink {
    pipe: PipeId,
    shard: Handle,
}

impl Lane {
    pub fn uplink(&self) -> Uplink {
        Uplink { pipe: self.pipe, shard: self.shard.clone() }
    }
}

impl Uplink {
    /// Hands a frame in. Waits while the shard is busy: the client's own flow control then slows the client.
    ///
    /// # Errors
    /// [`ShardGone`].
    pub async fn frame(&self, frame: Frame) -> Result<(), ShardGone> {
        self.give(PipeInput::Frame(frame)).await
    }

    /// Says that the transport took this many bytes.
    ///
    /// # Errors
    /// [`ShardGone`].
    pub async fn credit(&self, bytes: usize) -> Result<(), ShardGone> {
        self.give(PipeInput::Credit(bytes)).await
    }

    /// Hands in a frame that may be lost.
    pub fn try_frame(&self, frame: Frame) {
        if self.shard.try_send(ShardInput::Pipe(self.pipe, PipeInput::Frame(frame))).is_err() {
            tracing::debug!("a shard is busy; a pointer was dropped");
        }
    }

    /// Says that the carrier is gone.
    pub async fn close(&self) {
        // A shard that is gone has forgotten the pipe already.
        if self.give(PipeInput::Closed).await.is_err() {
            tracing::debug!("a pipe closed after its shard");
        }
    }

    async fn give(&self, input: PipeInput) -> Result<(), ShardGone> {
        self.shard.send(ShardInput::Pipe(self.pipe, input)).await.map_err(|_| ShardGone)
    }
}

/// What a client is told before its carrier closes because of a refusal.
fn farewell(refusal: &Refusal) -> Option<Frame> {
    let denied =
        ToClient::Denied { re: "hello".into(), refusal: refusal.clone(), policy_version: 0, allowed: Vec::new() };
    denied.to_frame().ok()
}
