//! The engine as a shard's way to decide.

use std::time::Instant;

use fanlight_engine::{
    Certificate, Datagram, Deadline, Engine, Entropy, Handoff, Outbox, PeerConfig, PipeInput, PipeOutput,
};
use fanlight_wire::command::Command;
use fanlight_wire::report::{Report, ShardTotals};
use fanlight_wire::resource::{ResourceInput, ResourceOutput};
use fanlight_wire::{PipeId, Refusal, ShardId};

use super::{Bear, Birth, Decide};

/// Makes engines with secure randomness and this DTLS identity.
pub fn bear_engine(certificate: Certificate) -> Bear<Engine> {
    Box::new(move |Birth { shard, now, udp, tcp }| {
        let media = PeerConfig { shard, udp, tcp, certificate: certificate.clone() };
        Engine::new(media, Entropy::secure(), now)
    })
}

impl Decide for Engine {
    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) {
        Self::handle_datagram(self, now, datagram);
    }

    fn handle_pipe(&mut self, now: Instant, pipe: PipeId, input: PipeInput) {
        Self::handle_pipe(self, now, pipe, input);
    }

    fn handle_command(&mut self, now: Instant, command: Command) {
        Self::handle_command(self, now, command);
    }

    fn handle_resource(&mut self, now: Instant, input: ResourceInput) -> Result<ResourceOutput, Refusal> {
        Self::handle_resource(self, now, input)
    }

    fn handle_handoff(&mut self, now: Instant, handoff: &Handoff) {
        Self::handle_handoff(self, now, handoff);
    }

    fn handoff_lost(&mut self, now: Instant, to: ShardId, handoff: &Handoff) {
        Self::handoff_lost(self, now, to, handoff);
    }

    fn poll_handoff(&mut self) -> Option<(ShardId, Handoff)> {
        Self::poll_handoff(self)
    }

    fn handle_timeout(&mut self, now: Instant) {
        Self::handle_timeout(self, now);
    }

    fn poll_datagrams(&mut self, outbox: &mut Outbox) -> bool {
        Self::poll_datagrams(self, outbox)
    }

    fn poll_pipe(&mut self) -> Option<(PipeId, PipeOutput)> {
        Self::poll_pipe(self)
    }

    fn poll_report(&mut self) -> Option<Report> {
        Self::poll_report(self)
    }

    fn deadline(&self) -> Deadline {
        Self::deadline(self)
    }

    fn totals(&mut self) -> ShardTotals {
        Self::totals(self).clone()
    }
}
