//! The agents of one DOM stream: a cursor and a lag state each, and what they must be told.
//!
//! Invariants: an agent that takes nothing costs its cursor and nothing else; what an agent is given always continues
//! what it has, or begins with a snapshot that was announced by a `Resync` event. Owns no page content: ring, snapshot
//! and shelf are lent for each call ([`Stock`]).

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use fanlight_wire::limits::{LAG_TIME, RESYNC_BYTES};
use fanlight_wire::signal::LagState;
use fanlight_wire::{Frame, ParticipantId};

use super::lag::Distance;
use super::ring::Ring;
use super::shelf::Shelf;
use super::viewer::{Place, Viewer};
use super::{DomEvent, Snapshot};

/// The page content that agents are served from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stock<'a> {
    pub(super) snapshot: Option<&'a Snapshot>,
    pub(super) ring: &'a Ring,
    pub(super) shelf: &'a Shelf,
}

/// What an agent was given.
#[derive(Debug)]
pub(super) enum Served {
    Frame(Frame),
    /// The first frame of a snapshot.
    Begun(Frame),
    /// Nothing is due.
    Nothing,
    /// It waits for a snapshot and there is none.
    Wanting,
}

#[derive(Debug, Default)]
pub(super) struct Audience {
    viewers: BTreeMap<ParticipantId, Viewer>,
    pub(super) events: VecDeque<DomEvent>,
    /// When somebody may have fallen behind in time, or a degraded agent is due.
    watch_at: Option<Instant>,
    /// Bytes of the ring beyond which somebody may have fallen behind.
    watch_end: u64,
    /// How often an agent was given snapshot + log anew because it fell behind or asked.
    pub(super) resyncs: u64,
}

impl Audience {
    pub(super) fn join(&mut self, agent: ParticipantId) {
        self.viewers.insert(agent, Viewer::new(agent));
    }

    pub(super) fn lag(&self) -> [u64; LagState::ALL.len()] {
        let mut states = [0; LagState::ALL.len()];
        for viewer in self.viewers.values() {
            states[viewer.state as usize] += 1;
        }
        states
    }

    pub(super) fn leave(&mut self, agent: ParticipantId) {
        self.viewers.remove(&agent);
    }

    /// Begins anew with everybody; nobody is at fault.
    pub(super) fn restart_all(&mut self, reason: &'static str) {
        for viewer in self.viewers.values_mut() {
            viewer.restart(reason, &mut self.events);
            self.watch_at = earliest(self.watch_at, viewer.next_attention());
        }
    }

    /// There was no snapshot and now there is.
    pub(super) fn offer(&mut self, now: Instant) {
        for viewer in self.viewers.values_mut() {
            viewer.offer(now);
            self.watch_at = earliest(self.watch_at, viewer.next_attention());
        }
    }

    /// Begins anew with the newer snapshot for those who are in the middle of an older one.
    pub(super) fn restart_unfinished(&mut self) {
        for viewer in self.viewers.values_mut().filter(|viewer| matches!(viewer.place, Place::Snapshot(_))) {
            viewer.restart("newer", &mut self.events);
            self.watch_at = earliest(self.watch_at, viewer.next_attention());
        }
    }

    /// Begins anew with one agent, at its own wish. Its assets stay good: they are named by their content.
    pub(super) fn restart(&mut self, agent: ParticipantId) {
        if let Some(viewer) = self.viewers.get_mut(&agent)
            && viewer.place != Place::Outside
        {
            self.resyncs += 1;
            viewer.restart("asked", &mut self.events);
            self.watch_at = earliest(self.watch_at, viewer.next_attention());
        }
    }

    /// The snapshot is gone: whoever was in the middle of it was too slow.
    pub(super) fn lose_unfinished(&mut self, now: Instant) {
        for viewer in self.viewers.values_mut().filter(|viewer| matches!(viewer.place, Place::Snapshot(_))) {
            self.resyncs += 1;
            viewer.lose(now, Distance::default(), &mut self.events);
            self.watch_at = Some(now);
        }
    }

    /// What lies before `tail` is about to be forgotten: whoever has not taken it was too slow.
    pub(super) fn lose_before(&mut self, now: Instant, tail: u64, ring: &Ring) {
        for viewer in self.viewers.values_mut() {
            if let Place::Ring(position) = viewer.place
                && position < tail
            {
                let distance = viewer.distance(now, ring).unwrap_or_default();
                self.resyncs += 1;
                viewer.lose(now, distance, &mut self.events);
                self.watch_at = Some(now);
            }
        }
    }

    /// The oldest position that somebody still needs, or `keep` when nobody needs an older one.
    pub(super) fn lowest(&self, keep: u64) -> u64 {
        let positions = self.viewers.values().filter_map(|viewer| match viewer.place {
            Place::Ring(position) => Some(position),
            Place::Outside | Place::Snapshot(_) | Place::Resting => None,
        });
        positions.fold(keep, u64::min)
    }

    /// Does anybody need the snapshot that is held?
    pub(super) fn needs_snapshot(&self) -> bool {
        self.viewers.values().any(|viewer| match viewer.place {
            Place::Snapshot(_) => true,
            Place::Outside => viewer.asking,
            Place::Ring(_) | Place::Resting => false,
        })
    }

    /// A frame was added to the ring.
    pub(super) fn pushed(&mut self, now: Instant, stock: Stock<'_>) {
        if self.viewers.is_empty() {
            return;
        }
        self.watch_at.get_or_insert(now + LAG_TIME);
        if stock.ring.end() > self.watch_end {
            self.check(now, stock);
        }
    }

    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.watch_at
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, stock: Stock<'_>) {
        if self.watch_at.is_some_and(|at| at <= now) {
            self.check(now, stock);
        }
    }

    /// The next frame for an agent that can take one.
    pub(super) fn next_frame(&mut self, now: Instant, agent: ParticipantId, stock: Stock<'_>) -> Served {
        let Some(viewer) = self.viewers.get_mut(&agent) else { return Served::Nothing };
        let head = stock.ring.head();
        let served = match (viewer.place, stock.snapshot) {
            (Place::Resting, _) => Served::Nothing,
            (Place::Outside, Some(snapshot)) => {
                viewer.next_chunk(now, snapshot, head).map_or(Served::Nothing, Served::Begun)
            }
            (Place::Outside | Place::Snapshot(_), None) => {
                viewer.asking = true;
                Served::Wanting
            }
            (Place::Snapshot(_), Some(snapshot)) => {
                viewer.next_chunk(now, snapshot, head).map_or(Served::Nothing, Served::Frame)
            }
            (Place::Ring(position), _) => match stock.ring.frame(position).cloned() {
                Some(diff) => {
                    viewer.place = Place::Ring(position + 1);
                    Served::Frame(diff)
                }
                None => stock.shelf.next_frame(&mut viewer.reader).map_or(Served::Nothing, Served::Frame),
            },
        };
        if matches!(served, Served::Nothing | Served::Wanting) {
            return served;
        }
        viewer.took(now);
        self.watch_at = earliest(self.watch_at, viewer.next_attention());
        if viewer.state != LagState::Live && viewer.settle(now, stock.ring, &mut self.events) {
            self.watch_end = self.watch_end.min(stock.ring.end() + (RESYNC_BYTES / 2) as u64);
            self.watch_at.get_or_insert(now + LAG_TIME);
        }
        served
    }

    /// Judges everybody and finds out when that is needed next.
    fn check(&mut self, now: Instant, stock: Stock<'_>) {
        let (mut at, mut end) = (None, u64::MAX);
        for viewer in self.viewers.values_mut() {
            if viewer.measure(now, stock.ring, &mut self.events) {
                self.resyncs += 1;
            }
            viewer.attend(now, stock, &mut self.events);
            at = earliest(at, earliest(viewer.next_attention(), viewer.next_look(stock.ring)));
            end = end.min(viewer.next_end(stock.ring));
        }
        (self.watch_at, self.watch_end) = (at, end);
    }
}

fn earliest(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    [a, b].into_iter().flatten().min()
}
