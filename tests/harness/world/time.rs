//! How a world moves from event to event.

use std::time::{Duration, Instant};

use fanlight_engine::{Datagram, PipeInput, PipeOutput, Transport};
use fanlight_loadtest::media::{Path, Transmit};
use fanlight_wire::{PipeId, StreamId};

use super::{Delivery, PATIENCE, STEPS_MAX, Who, World};
use crate::actor::Actor;

impl World {
    /// Lets this much time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.settle();
        while self.next_event().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = end;
    }

    /// Lets time pass until `done`.
    ///
    /// # Panics
    /// When that takes more than thirty seconds of the world's time.
    pub fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = self.now + PATIENCE;
        self.settle();
        while !done(self) {
            let next = self.next_event();
            assert!(next.is_some_and(|at| at <= end), "seed {}: waited in vain for {what}", self.seed);
            self.step();
        }
    }

    pub(super) fn fly_up(&mut self, pipe: PipeId, input: PipeInput) {
        self.sent += 1;
        self.flying.insert((self.now + self.route.latency, self.sent), Delivery::ToRelay(pipe, input));
    }

    fn next_event(&self) -> Option<Instant> {
        let frames = self.flying.keys().next().map(|(at, _)| *at);
        let actors = self.actors.iter().filter_map(Actor::next_deadline).min();
        [frames, actors, self.engine.deadline().at].into_iter().flatten().min()
    }

    /// Goes to the next event and does all that is due then.
    fn step(&mut self) {
        let Some(at) = self.next_event() else { return };
        if at > self.now {
            (self.now, self.steps) = (at, 0);
        }
        self.steps += 1;
        assert!(self.steps < STEPS_MAX, "seed {}: the world does not get on from {:?}", self.seed, self.age());
        while let Some(entry) = self.flying.first_entry().filter(|entry| entry.key().0 <= self.now) {
            match entry.remove() {
                Delivery::ToRelay(pipe, input) => self.engine.handle_pipe(self.now, pipe, input),
                Delivery::ToActor(who, pipe, output) => self.deliver(who, pipe, output),
            }
        }
        for who in self.everybody() {
            self.move_media(who);
        }
        if self.engine.deadline().is_due(self.now) {
            self.engine.handle_timeout(self.now);
        }
        self.settle();
    }

    fn move_media(&mut self, who: Who) {
        let now = self.now;
        let Some(media) = self.actors[who.0].media.as_mut() else { return };
        if media.down.due().is_some_and(|at| at <= now) {
            for datagram in media.down.receive(now) {
                media.peer.handle_datagram(now, &datagram);
            }
        }
        if media.peer.deadline() <= now {
            media.peer.handle_timeout(now);
        }
        while let Some(transmit) = media.peer.poll_transmit() {
            if let Some(overheard) = &mut self.overheard {
                overheard.push(transmit.clone());
            }
            media.up.send(now, transmit);
        }
        if media.up.due().is_some_and(|at| at <= now) {
            let transport = match media.path {
                Path::Udp => Transport::Udp,
                Path::Tcp => Transport::Tcp(StreamId(who.0 as u64)),
            };
            for mut datagram in media.up.receive(now) {
                self.engine.handle_datagram(
                    now,
                    Datagram {
                        transport,
                        source: datagram.source,
                        destination: datagram.destination,
                        payload: &mut datagram.payload,
                    },
                );
            }
        }
    }

    /// Takes everything that the engine has to give.
    pub(super) fn settle(&mut self) {
        while self.engine.poll_datagrams(&mut self.outbox) {}
        self.spread();
        while let Some((pipe, output)) = self.engine.poll_pipe() {
            self.fly_down(pipe, output);
        }
        while let Some(report) = self.engine.poll_report() {
            self.reports.push(report);
        }
    }

    pub(super) fn fly_down(&mut self, pipe: PipeId, output: PipeOutput) {
        let Some(who) = self.pipes.get(&pipe).copied() else { return };
        self.sent += 1;
        let at = self.now + self.route.latency;
        self.flying.insert((at, self.sent), Delivery::ToActor(who, pipe, output));
    }

    pub(super) fn spread(&mut self) {
        let now = self.now;
        for train in self.outbox.trains() {
            let actor = self.actors.iter_mut().find(|actor| actor.address == train.destination);
            let Some(media) = actor.and_then(|actor| actor.media.as_mut()) else {
                self.strays.push((train.destination, train.range.len()));
                continue;
            };
            let path = if train.transport == Transport::Udp { Path::Udp } else { Path::Tcp };
            for payload in self.outbox.segments(train) {
                let (source, destination) = (train.source, train.destination);
                media.down.send(now, Transmit { path, source, destination, payload: payload.to_vec() });
            }
        }
        self.outbox.clear();
    }
}
