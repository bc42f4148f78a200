//! One section of a subscriber, as a cursor into the ring of what it follows.
//!
//! Invariants: the first packet of every source is the first of a keyframe (sound starts anywhere); falling behind
//! means longer trains, falling off the ring a keyframe wish, never a queue.

use std::time::{Duration, Instant};

use fanlight_wire::report::Drop;

use super::filling::{Filling, Layer, Track};
use super::{Lane, MediaTotals};
use crate::rtp::layers::{Selector, Target, Verdict};
use crate::rtp::ring::Ring;
use crate::rtp::send::{Departure, Sender, Sending};

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) sender: Sender,
    pub(super) lane: Lane,
    pub(super) video: bool,
    /// Which encoding it gets.
    layer: usize,
    /// What of it passes.
    selector: Selector,
    /// Where the encoding that is aimed at stood when it was first aimed at: a keyframe from there on is fresh.
    aimed: Option<(usize, u64)>,
    /// The next position, and what it counts in.
    cursor: u64,
    generation: u32,
    open: bool,
    told_no_codec: bool,
}

impl Subscription {
    pub(super) fn new(sender: Sender, lane: Lane, video: bool) -> Self {
        Self {
            sender,
            lane,
            video,
            layer: 0,
            selector: Selector::default(),
            aimed: None,
            cursor: 0,
            generation: 0,
            open: false,
            told_no_codec: false,
        }
    }

    #[cfg(test)]
    pub(super) const fn had_layer(&mut self, layer: usize) {
        self.layer = layer;
    }

    /// Nothing is written before a keyframe.
    pub(super) const fn shut(&mut self) {
        self.open = false;
    }

    /// Writes everything that has come since the last visit. True when the client cannot decode it and that has not been
    /// said yet.
    pub(super) fn forward(
        &mut self,
        filling: &mut Filling,
        departure: &mut Departure<'_>,
        totals: &mut MediaTotals,
    ) -> bool {
        if !self.video {
            self.hear(&filling.audio, departure, totals);
            return false;
        }
        let no_codec = self.watch(filling, departure, totals);
        if self.change_layer(filling) {
            self.watch(filling, departure, totals);
        }
        no_codec && !std::mem::replace(&mut self.told_no_codec, true)
    }

    /// What shall flow.
    pub(super) const fn aim(&mut self, target: Target) {
        self.selector.aim(target);
    }

    /// The encoding that it gets, or waits for.
    pub(super) const fn layer(&self) -> usize {
        self.layer
    }

    /// Sends some packets again so that the path shows what it carries.
    pub(super) fn probe(&mut self, filling: &Filling, bytes: usize, departure: &mut Departure<'_>) {
        let track = self.track(filling);
        if track.generation == self.generation && self.open {
            self.sender.probe(&track.ring, bytes, departure);
        }
    }

    /// Nothing can be sent to this client now: what comes meanwhile is not for it.
    pub(super) fn pass_over(&mut self, filling: &Filling) {
        let track = self.track(filling);
        self.follow(track);
        self.open = false;
        self.cursor = track.ring.head();
    }

    /// Sends again what the client has lost.
    pub(super) fn repair(
        &mut self,
        filling: &Filling,
        lost: u16,
        round_trip: Duration,
        departure: &mut Departure<'_>,
    ) -> bool {
        let track = self.track(filling);
        // What was sent of a former source is gone for good.
        track.generation == self.generation && self.open && self.sender.repair(&track.ring, lost, round_trip, departure)
    }

    /// What the source's sender said of its timestamps, if that is what flows.
    pub(super) fn clock(&self, filling: &Filling) -> Option<(Instant, u32)> {
        let track = self.track(filling);
        track.clock.filter(|_| track.generation == self.generation && self.open)
    }

    /// Has the source changed since it was followed last?
    pub(super) fn is_left_by(&self, filling: &Filling) -> bool {
        self.track(filling).generation != self.generation
    }

    fn track<'a>(&self, filling: &'a Filling) -> &'a Track {
        match filling.layers.get(self.layer) {
            Some(layer) if self.video => &layer.track,
            _ => &filling.audio,
        }
    }

    /// Notices that the source has begun anew.
    fn follow(&mut self, track: &Track) {
        if self.generation != track.generation {
            self.generation = track.generation;
            self.open = false;
            self.told_no_codec = false;
            self.cursor = track.ring.first();
            self.sender.change_source();
            self.selector.change_source();
        }
    }

    /// Goes over to the encoding that is aimed at, at a keyframe of it. True when that has happened.
    fn change_layer(&mut self, filling: &mut Filling) -> bool {
        let target = usize::from(self.selector.target().simulcast);
        // One that gets nothing has nothing to lose by an encoding of which little is known.
        let suits = |layer: &&mut Layer| target != self.layer && (!self.open || layer.meter.is_ready());
        let Some(layer) = filling.layers.get_mut(target).filter(suits) else {
            self.aimed = None;
            return false;
        };
        let ring = &layer.track.ring;
        let since = match self.aimed {
            Some((aimed, since)) if aimed == target => since,
            _ => {
                self.aimed = Some((target, ring.head()));
                ring.head()
            }
        };
        // A waiting subscriber takes any keyframe that can be replayed.
        let fresh = ring.bootstrap().is_some_and(|first| first.position >= since || !self.open);
        if !fresh {
            layer.wish.wish();
            return false;
        }
        (self.layer, self.aimed, self.open) = (target, None, false);
        self.generation = layer.track.generation;
        self.cursor = ring.head();
        self.selector.change_source();
        true
    }

    fn hear(&mut self, track: &Track, departure: &mut Departure<'_>, totals: &mut MediaTotals) {
        self.follow(track);
        self.note_fallen(&track.ring, totals);
        if !self.open
            && let Some(first) = track.ring.from(self.cursor)
            && let Some(slot) = track.ring.slot(first.position)
        {
            self.cursor = first.position;
            self.sender.open(&first, slot.format.codec.clock_hertz());
            self.open = true;
        }
        // Sound without a common codec is left out; the picture is what a share is about.
        self.write(&track.ring, false, departure, totals);
    }

    /// A subscriber that waits is served from the last keyframe in the ring. True when a codec was missing.
    fn watch(&mut self, filling: &mut Filling, departure: &mut Departure<'_>, totals: &mut MediaTotals) -> bool {
        let is_layered = filling.layered;
        let Some(Layer { track, wish, .. }) = filling.layers.get_mut(self.layer) else { return false };
        self.follow(track);
        self.note_fallen(&track.ring, totals);
        let head = track.ring.head();
        if !self.open {
            let begins = track.ring.bootstrap().and_then(|first| Some((first, track.ring.slot(first.position)?)));
            let Some((first, slot)) = begins else {
                // The wish is already open while the first keyframe is awaited; later ones are for those who came later.
                wish.wish();
                totals.drop(Drop::Unwanted, head.saturating_sub(self.cursor));
                self.cursor = head;
                return false;
            };
            self.cursor = first.position;
            self.sender.open(&first, slot.format.codec.clock_hertz());
            self.open = true;
        }
        let (no_codec, broken) = self.write(&track.ring, is_layered, departure, totals);
        if broken {
            wish.wish();
        }
        no_codec
    }

    /// The ring has gone on without this subscriber.
    fn note_fallen(&mut self, ring: &Ring, totals: &mut MediaTotals) {
        let missed = ring.first().saturating_sub(self.cursor);
        if missed > 0 {
            totals.drop(if self.open { Drop::Congested } else { Drop::Unwanted }, missed);
            self.cursor = ring.first();
            self.open = false;
        }
    }

    /// Writes everything up to the head. True when a codec was missing, and when a keyframe is.
    fn write(
        &mut self,
        ring: &Ring,
        is_layered: bool,
        departure: &mut Departure<'_>,
        totals: &mut MediaTotals,
    ) -> (bool, bool) {
        let (mut no_codec, mut broken) = (false, false);
        if is_layered {
            self.sender.number_pictures();
        }
        while let Some(slot) = ring.slot(self.cursor) {
            // Keyframes are always judged: layers may show only after the first.
            let verdict = if is_layered || slot.place.keyframe {
                self.selector.forward(self.layer as u8, slot.timestamp, &slot.place)
            } else {
                Verdict::Forward { marker: false }
            };
            let sending = match verdict {
                Verdict::Forward { marker } => self.sender.send(ring, self.cursor, slot, marker, departure),
                Verdict::Drop | Verdict::WantKeyframe(_) => {
                    broken |= verdict != Verdict::Drop;
                    self.sender.omit(ring, slot);
                    Sending::Skipped
                }
            };
            no_codec |= sending == Sending::NoCodec;
            match sending {
                Sending::Sent => {}
                Sending::NoCodec | Sending::Late | Sending::Skipped => totals.drop(Drop::Unwanted, 1),
                Sending::Failed => totals.drop(Drop::Unsent, 1),
            }
            self.cursor += 1;
        }
        (no_codec, broken)
    }
}
