//! The bounded ways into a shard.
//!
//! Three queues: one for pipes and TCP media, one for control, so that a flood of frames never delays a command, and one for
//! what other shards say, whose end of a share must not wait for either.
//! Invariants: inputs of one carrier keep their order; a command that was sent before a pipe's input is handled before
//! it; nothing that was accepted is lost while the shard lives. The way out is per pipe, see [`PipeSink`].

use std::net::SocketAddr;

use fanlight_engine::{Handoff, PipeInput, PipeOutput};
use fanlight_wire::command::Command;
use fanlight_wire::limits::{
    SHARD_COMMAND_QUEUE, SHARD_HANDOFF_QUEUE, SHARD_PIPE_QUEUE, TURN_COMMANDS_MAX, TURN_PIPE_INPUTS_MAX,
};
use fanlight_wire::resource::{ResourceInput, ResourceOutput};
use fanlight_wire::{PipeId, Refusal, ShardId, StreamId};
use tokio::sync::{mpsc, oneshot};

use crate::carrier::tcp::TcpSink;
use crate::shard::Status;

/// Where a pipe's frames go. The channel has no bound of its own: the engine never has more than its window plus its
/// reserve under way per pipe (`limits::PIPE_WINDOW_BYTES`, `PIPE_RESERVE_BYTES`) until the carrier gives credit.
#[derive(Debug, Clone)]
pub struct PipeSink(mpsc::UnboundedSender<PipeOutput>);

/// Something for a shard.
#[derive(Debug)]
pub enum ShardInput {
    /// A carrier was admitted: where its frames go, and its first input ([`PipeInput::Join`] or `Resume`).
    Open {
        pipe: PipeId,
        output: PipeSink,
        input: PipeInput,
    },
    /// What a known pipe says.
    Pipe(PipeId, PipeInput),
    /// A TCP media stream that has begun with a STUN message.
    TcpOpened {
        stream: StreamId,
        peer: SocketAddr,
        local: SocketAddr,
        output: TcpSink,
    },
    /// One packet of it.
    Tcp {
        stream: StreamId,
        bytes: Vec<u8>,
    },
    TcpClosed(StreamId),
    /// Control's wish.
    Command(Command),
    /// Control's question about a media resource.
    Resource(ResourceInput, oneshot::Sender<Result<ResourceOutput, Refusal>>),
    /// How are you?
    Query(oneshot::Sender<Status>),
    /// The thread shall end after this turn.
    Stop,
}

/// A shard's queues from outside.
#[derive(Debug, Clone)]
pub struct Handle {
    shard: ShardId,
    pipes: mpsc::Sender<ShardInput>,
    control: mpsc::Sender<ShardInput>,
    handoffs: mpsc::Sender<Vec<Handoff>>,
}

/// The queue has no place, or the shard is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    #[error("the shard's queue is full")]
    Full,
    #[error("the shard is gone")]
    Gone,
}

impl Handle {
    pub const fn shard(&self) -> ShardId {
        self.shard
    }

    /// Hands something in without waiting.
    ///
    /// # Errors
    /// [`QueueError`]; the input is then dropped.
    pub fn try_send(&self, input: ShardInput) -> Result<(), QueueError> {
        self.queue(&input).try_send(input).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => QueueError::Full,
            mpsc::error::TrySendError::Closed(_) => QueueError::Gone,
        })
    }

    /// Another shard says something. Never waits; what finds no room comes back.
    ///
    /// # Errors
    /// The words.
    pub fn hand_over(&self, words: Vec<Handoff>) -> Result<(), Vec<Handoff>> {
        self.handoffs.try_send(words).map_err(mpsc::error::TrySendError::into_inner)
    }

    /// Hands something in, waiting for a place.
    ///
    /// # Errors
    /// [`QueueError::Gone`].
    pub async fn send(&self, input: ShardInput) -> Result<(), QueueError> {
        self.queue(&input).send(input).await.map_err(|_| QueueError::Gone)
    }

    /// Asks the shard how it is.
    ///
    /// # Errors
    /// [`QueueError::Gone`].
    pub async fn status(&self) -> Result<Status, QueueError> {
        let (answer, answered) = oneshot::channel();
        self.send(ShardInput::Query(answer)).await?;
        answered.await.map_err(|_| QueueError::Gone)
    }

    const fn queue(&self, input: &ShardInput) -> &mpsc::Sender<ShardInput> {
        match input {
            ShardInput::Command(_) | ShardInput::Resource(..) | ShardInput::Query(_) | ShardInput::Stop => {
                &self.control
            }
            _ => &self.pipes,
        }
    }
}

impl From<mpsc::UnboundedSender<PipeOutput>> for PipeSink {
    fn from(sender: mpsc::UnboundedSender<PipeOutput>) -> Self {
        Self(sender)
    }
}

impl PipeSink {
    /// Passes an output on; `false` when the carrier is gone (it says so itself by [`PipeInput::Closed`]).
    pub fn send(&self, output: PipeOutput) -> bool {
        self.0.send(output).is_ok()
    }
}

/// A shard's queues from inside.
#[derive(Debug)]
pub(crate) struct Inputs {
    pipes: mpsc::Receiver<ShardInput>,
    control: mpsc::Receiver<ShardInput>,
    handoffs: mpsc::Receiver<Vec<Handoff>>,
    /// What [`Self::wait`] took; handled first in the next turn.
    carried_pipe: Option<ShardInput>,
    carried_control: Option<ShardInput>,
    carried_handoffs: Option<Vec<Handoff>>,
}

/// The queues of a new shard, both ends.
pub(crate) fn queues(shard: ShardId) -> (Handle, Inputs) {
    let (to_pipes, pipes) = mpsc::channel(SHARD_PIPE_QUEUE);
    let (to_control, control) = mpsc::channel(SHARD_COMMAND_QUEUE);
    let (to_handoffs, handoffs) = mpsc::channel(SHARD_HANDOFF_QUEUE);
    let handle = Handle { shard, pipes: to_pipes, control: to_control, handoffs: to_handoffs };
    (handle, Inputs { pipes, control, handoffs, carried_pipe: None, carried_control: None, carried_handoffs: None })
}

impl Inputs {
    /// Waits until there is something. May be dropped and called again without loss.
    pub(crate) async fn wait(&mut self) {
        if self.carried_pipe.is_some() || self.carried_control.is_some() || self.carried_handoffs.is_some() {
            return;
        }
        tokio::select! {
            Some(words) = self.handoffs.recv() => self.carried_handoffs = Some(words),
            Some(input) = self.control.recv() => self.carried_control = Some(input),
            Some(input) = self.pipes.recv() => self.carried_pipe = Some(input),
            else => std::future::pending().await,
        }
    }

    /// Takes what other shards have said, all of it: nothing that has ended there may be sent from here. It is bounded by
    /// its queue.
    pub(crate) fn take_handoffs(&mut self, each: &mut dyn FnMut(&Handoff)) -> usize {
        let waiting = self.handoffs.len();
        let mut taken = 0;
        for _ in 0..=waiting {
            let Some(words) = self.carried_handoffs.take().or_else(|| self.handoffs.try_recv().ok()) else { break };
            taken += words.len();
            words.iter().for_each(&mut *each);
        }
        taken
    }

    /// Takes one turn's share: commands first, then those pipe inputs that were already waiting before the commands
    /// were taken. So a join never overtakes the command that opens its session.
    pub(crate) fn take(&mut self, each: &mut dyn FnMut(ShardInput)) -> usize {
        let waiting = self.pipes.len();
        let mut taken = 0;
        let mut hand = |input| {
            taken += 1;
            each(input);
        };
        for _ in 0..TURN_COMMANDS_MAX {
            let Some(input) = self.carried_control.take().or_else(|| self.control.try_recv().ok()) else { break };
            // An offer costs as much as thousands of packets: media goes in between.
            let is_costly = matches!(input, ShardInput::Resource(..));
            hand(input);
            if is_costly {
                break;
            }
        }
        if !self.control.is_empty() {
            return taken;
        }
        self.carried_pipe.take().into_iter().for_each(&mut hand);
        for _ in 0..waiting.min(TURN_PIPE_INPUTS_MAX) {
            let Ok(input) = self.pipes.try_recv() else { break };
            hand(input);
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn command() -> ShardInput {
        ShardInput::Command(Command::Drain { within: Duration::ZERO })
    }

    fn credit(pipe: u64) -> ShardInput {
        ShardInput::Pipe(PipeId(pipe), PipeInput::Credit(1))
    }

    fn taken(inputs: &mut Inputs) -> Vec<Option<u64>> {
        let mut taken = Vec::new();
        inputs.take(&mut |input| {
            taken.push(match input {
                ShardInput::Pipe(pipe, _) => Some(pipe.0),
                _ => None,
            });
        });
        taken
    }

    #[tokio::test]
    async fn commands_go_first_and_pipes_keep_their_order() {
        let (handle, mut inputs) = queues(ShardId(0));
        handle.try_send(credit(1)).unwrap();
        handle.try_send(credit(2)).unwrap();
        handle.try_send(command()).unwrap();
        inputs.wait().await;
        inputs.wait().await;
        assert_eq!(taken(&mut inputs), [None, Some(1), Some(2)]);
        assert_eq!(taken(&mut inputs), []);
    }

    #[tokio::test]
    async fn a_pipe_that_woke_the_shard_still_follows_the_commands() {
        let (handle, mut inputs) = queues(ShardId(0));
        handle.try_send(credit(1)).unwrap();
        inputs.wait().await;
        handle.try_send(command()).unwrap();
        handle.try_send(credit(2)).unwrap();
        assert_eq!(taken(&mut inputs), [None, Some(1), Some(2)]);
    }

    #[test]
    fn a_turn_has_a_bounded_share_and_pipes_wait_for_all_commands() {
        let (handle, mut inputs) = queues(ShardId(0));
        (0..TURN_COMMANDS_MAX + 1).for_each(|_| handle.try_send(command()).unwrap());
        (0..TURN_PIPE_INPUTS_MAX + 1).for_each(|_| handle.try_send(credit(7)).unwrap());
        assert_eq!(taken(&mut inputs), vec![None; TURN_COMMANDS_MAX]);
        let second = taken(&mut inputs);
        assert_eq!((second.len(), second[0]), (1 + TURN_PIPE_INPUTS_MAX, None));
        assert_eq!(taken(&mut inputs), [Some(7)]);
    }

    #[test]
    fn a_full_queue_refuses_and_the_other_one_goes_on() {
        let (handle, inputs) = queues(ShardId(3));
        (0..SHARD_PIPE_QUEUE).for_each(|_| handle.try_send(credit(1)).unwrap());
        assert_eq!(handle.try_send(credit(1)), Err(QueueError::Full));
        assert_eq!(handle.try_send(command()), Ok(()));
        drop(inputs);
        assert_eq!(handle.try_send(command()), Err(QueueError::Gone));
    }
}
