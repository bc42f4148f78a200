//! One agent of a DOM stream: where it stands, how it keeps up, and what it was told.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use fanlight_wire::limits::{
    DEGRADE_WINDOW, DEGRADED_PATIENCE, DEGRADED_SNAPSHOT_INTERVAL, LAG_BYTES, LAG_TIME, RESYNC_BYTES, RESYNC_TIME,
};
use fanlight_wire::signal::LagState;
use fanlight_wire::{Frame, ParticipantId};

use super::audience::Stock;
use super::lag::{self, Distance, Event, Losses};
use super::ring::Ring;
use super::shelf::Reader;
use super::{DomEvent, Snapshot};

/// Where an agent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Begins with the newest snapshot as soon as it takes frames and there is one.
    Outside,
    /// Before this chunk of the snapshot.
    Snapshot(usize),
    /// Before this position of the ring.
    Ring(u64),
    /// Degraded or closed: gets nothing for now.
    Resting,
}

#[derive(Debug)]
pub(super) struct Viewer {
    pub(super) id: ParticipantId,
    pub(super) place: Place,
    pub(super) state: LagState,
    /// A snapshot is kept for it: it was following, or takes frames and has none.
    pub(super) asking: bool,
    pub(super) reader: Reader,
    /// The state it was last told.
    told: LagState,
    /// It has taken frames since it was last told to forget its copy.
    dirty: bool,
    losses: Losses,
    /// Set while [`LagState::Degraded`].
    degraded: Option<Degraded>,
    /// Generation of the snapshot it was last given whole, and the head of the ring then.
    seen: Option<(u64, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Degraded {
    since: Instant,
    /// When the next snapshot may begin.
    due: Instant,
    /// Since when something waits that it does not take.
    waiting: Option<Instant>,
}

impl Degraded {
    fn is_starved(self, now: Instant) -> bool {
        self.waiting.is_some_and(|at| now >= at + DEGRADED_PATIENCE)
    }
}

impl Viewer {
    /// It begins with a snapshot; that is no fault of its own and it is told nothing.
    pub(super) fn new(id: ParticipantId) -> Self {
        Self {
            id,
            place: Place::Outside,
            state: LagState::Resync,
            asking: true,
            reader: Reader::default(),
            told: LagState::Live,
            dirty: false,
            losses: Losses::default(),
            degraded: None,
            seen: None,
        }
    }

    /// Begins anew without fault. A degraded agent keeps its slow rhythm.
    pub(super) fn restart(&mut self, reason: &'static str, events: &mut VecDeque<DomEvent>) {
        if self.state == LagState::Closed {
            return;
        }
        self.asking |= self.place != Place::Outside;
        self.place = if self.degraded.is_some() { Place::Resting } else { Place::Outside };
        self.state = lag::next(self.state, Event::Restarted);
        self.seen = None;
        self.forget(reason, events);
    }

    /// Gives its cursor up. Nothing more is done for it until it takes frames again.
    pub(super) fn lose(&mut self, now: Instant, distance: Distance, events: &mut VecDeque<DomEvent>) {
        let event = self.losses.note(now);
        self.place = Place::Outside;
        self.asking = false;
        self.seen = None;
        self.state = lag::next(self.state, event);
        if self.state == LagState::Degraded && self.degraded.is_none() {
            self.degraded = Some(Degraded { since: now, due: now, waiting: Some(now) });
        }
        self.tell(distance, events);
        self.forget("lag", events);
    }

    /// The next chunk of the snapshot; after the last one the ring follows, or a rest for the degraded.
    pub(super) fn next_chunk(&mut self, now: Instant, snapshot: &Snapshot, head: u64) -> Option<Frame> {
        let chunk = match self.place {
            Place::Snapshot(chunk) => chunk,
            Place::Outside | Place::Ring(_) | Place::Resting => {
                if let Some(degraded) = &mut self.degraded {
                    degraded.due = now + DEGRADED_SNAPSHOT_INTERVAL;
                }
                0
            }
        };
        let frame = snapshot.frames.get(chunk)?.clone();
        self.place = if chunk + 1 < snapshot.frames.len() {
            Place::Snapshot(chunk + 1)
        } else {
            self.seen = Some((snapshot.generation, head));
            if self.degraded.is_some() { Place::Resting } else { Place::Ring(snapshot.start) }
        };
        Some(frame)
    }

    /// It has taken a frame.
    pub(super) fn took(&mut self, now: Instant) {
        self.dirty = true;
        if let Some(degraded) = &mut self.degraded {
            degraded.waiting = (self.place != Place::Resting).then_some(now);
        }
    }

    /// Has an agent that was behind caught up?
    pub(super) fn settle(&mut self, now: Instant, ring: &Ring, events: &mut VecDeque<DomEvent>) -> bool {
        let Some(distance) = self.distance(now, ring).filter(|distance| distance.is_near()) else { return false };
        self.state = lag::next(self.state, Event::Near);
        self.tell(distance, events);
        true
    }

    /// Judges how far behind it is; true when it was lost. Catching up is not judged: it ends near, or off the ring.
    pub(super) fn measure(&mut self, now: Instant, ring: &Ring, events: &mut VecDeque<DomEvent>) -> bool {
        if !matches!(self.state, LagState::Live | LagState::Lagging) {
            return false;
        }
        let Some(distance) = self.distance(now, ring) else { return false };
        let event = distance.event();
        if event == Event::Lost {
            self.lose(now, distance, events);
            return true;
        }
        self.state = lag::next(self.state, event);
        self.tell(distance, events);
        false
    }

    /// Looks after a degraded agent: its next snapshot, its recovery, its end.
    pub(super) fn attend(&mut self, now: Instant, stock: Stock<'_>, events: &mut VecDeque<DomEvent>) {
        let behind = self.is_behind(stock);
        let Some(degraded) = &mut self.degraded else { return };
        match self.place {
            Place::Resting | Place::Outside if degraded.waiting.is_none() && now >= degraded.since + DEGRADE_WINDOW => {
                self.degraded = None;
                self.state = lag::next(self.state, Event::Recovered);
                self.tell(Distance::default(), events);
                self.begin_again("recovered", events);
            }
            Place::Resting if now >= degraded.due => {
                degraded.due = now + DEGRADED_SNAPSHOT_INTERVAL;
                if behind {
                    degraded.waiting.get_or_insert(now);
                    self.begin_again("degraded", events);
                }
            }
            Place::Outside if stock.snapshot.is_none() => degraded.waiting = None,
            Place::Outside | Place::Snapshot(_) if degraded.is_starved(now) => {
                self.degraded = None;
                self.place = Place::Resting;
                self.state = lag::next(self.state, Event::Starved);
                self.tell(Distance::default(), events);
                events.push_back(DomEvent::Close { agent: self.id });
            }
            Place::Outside | Place::Snapshot(_) | Place::Ring(_) | Place::Resting => {}
        }
    }

    /// There was no snapshot and now there is: from now on the patience with it counts.
    pub(super) fn offer(&mut self, now: Instant) {
        if let Some(degraded) = &mut self.degraded
            && self.place == Place::Outside
        {
            degraded.waiting = Some(now);
        }
    }

    /// When it is to be attended to next, if it is degraded.
    pub(super) fn next_attention(&self) -> Option<Instant> {
        let Degraded { since, due, waiting } = self.degraded?;
        let end = since + DEGRADE_WINDOW;
        Some(match (self.place, waiting) {
            (Place::Resting, None) => due.min(end),
            (Place::Resting, Some(_)) => due,
            (Place::Outside | Place::Snapshot(_) | Place::Ring(_), None) => end,
            (Place::Outside | Place::Snapshot(_) | Place::Ring(_), Some(at)) => at + DEGRADED_PATIENCE,
        })
    }

    /// When it is to be judged next.
    pub(super) fn next_look(&self, ring: &Ring) -> Option<Instant> {
        let Place::Ring(position) = self.place else { return None };
        let came = ring.came(position)?;
        match self.state {
            LagState::Live => Some(came + LAG_TIME),
            // Only what is older than the limit is lost.
            LagState::Lagging => Some(came + RESYNC_TIME + Duration::from_millis(1)),
            LagState::Resync | LagState::Degraded | LagState::Closed => None,
        }
    }

    /// The end of the ring at which it is to be looked at next.
    pub(super) fn next_end(&self, ring: &Ring) -> u64 {
        let Place::Ring(position) = self.place else { return u64::MAX };
        let taken = ring.end() - ring.bytes_from(position);
        match self.state {
            LagState::Live => taken + LAG_BYTES as u64 - 1,
            LagState::Lagging => taken + RESYNC_BYTES as u64,
            LagState::Resync | LagState::Degraded | LagState::Closed => u64::MAX,
        }
    }

    pub(super) fn distance(&self, now: Instant, ring: &Ring) -> Option<Distance> {
        let Place::Ring(position) = self.place else { return None };
        Some(Distance { bytes: ring.bytes_from(position), time: ring.age(now, position) })
    }

    /// Is there something that a snapshot would show it?
    fn is_behind(&self, stock: Stock<'_>) -> bool {
        let Some((generation, head)) = self.seen else { return true };
        match stock.snapshot {
            Some(snapshot) => snapshot.generation != generation,
            None => stock.ring.head() != head,
        }
    }

    fn begin_again(&mut self, reason: &'static str, events: &mut VecDeque<DomEvent>) {
        self.asking |= self.place == Place::Resting;
        self.place = Place::Outside;
        self.forget(reason, events);
    }

    /// Tells it once to forget its copy, if it has one.
    fn forget(&mut self, reason: &'static str, events: &mut VecDeque<DomEvent>) {
        if std::mem::take(&mut self.dirty) {
            events.push_back(DomEvent::Resync { agent: self.id, reason });
        }
    }

    /// Tells it how it keeps up, if that changed.
    fn tell(&mut self, distance: Distance, events: &mut VecDeque<DomEvent>) {
        if self.told == self.state {
            return;
        }
        self.told = self.state;
        let ms = u64::try_from(distance.time.as_millis()).unwrap_or(u64::MAX);
        events.push_back(DomEvent::Lag { agent: self.id, state: self.state, bytes: distance.bytes, ms });
    }
}
