//! One section of a subscriber, as a cursor into the ring of what it follows.
//!
//! Invariants: the first packet of every source is the first of a keyframe (sound starts anywhere); falling behind
//! means longer trains, falling off the ring a keyframe wish, never a queue.

use fanlight_wire::report::Drop;

use super::filling::{Filling, Track};
use super::{Lane, MediaTotals};
use crate::keyframe::KeyframeWish;
use crate::rtp::ring::Ring;
use crate::rtp::send::{Departure, Sender, Sending};

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) sender: Sender,
    pub(super) lane: Lane,
    pub(super) video: bool,
    /// Which encoding it gets.
    layer: usize,
    /// The next position, and what it counts in.
    cursor: u64,
    generation: u32,
    open: bool,
    told_no_codec: bool,
}

impl Subscription {
    pub(super) const fn new(sender: Sender, lane: Lane, video: bool) -> Self {
        Self { sender, lane, video, layer: 0, cursor: 0, generation: 0, open: false, told_no_codec: false }
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
        let Some(layer) = filling.layers.get_mut(self.layer) else { return false };
        self.watch(&layer.track, &mut layer.wish, departure, totals)
            && !std::mem::replace(&mut self.told_no_codec, true)
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
        round_trip: std::time::Duration,
        departure: &mut Departure<'_>,
    ) -> bool {
        let track = self.track(filling);
        // What was sent of a former source is gone for good.
        track.generation == self.generation && self.open && self.sender.repair(&track.ring, lost, round_trip, departure)
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
        }
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
        self.write(&track.ring, departure, totals);
    }

    /// A subscriber that waits is served from the last keyframe in the ring. True when a codec was missing.
    fn watch(
        &mut self,
        track: &Track,
        wish: &mut KeyframeWish,
        departure: &mut Departure<'_>,
        totals: &mut MediaTotals,
    ) -> bool {
        self.follow(track);
        self.note_fallen(&track.ring, totals);
        let head = track.ring.head();
        if self.open {
            return self.write(&track.ring, departure, totals);
        }
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
        self.write(&track.ring, departure, totals)
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

    /// True when a codec was missing.
    fn write(&mut self, ring: &Ring, departure: &mut Departure<'_>, totals: &mut MediaTotals) -> bool {
        let mut no_codec = false;
        while let Some(slot) = ring.slot(self.cursor) {
            match self.sender.send(ring, self.cursor, slot, departure) {
                Sending::Sent => {}
                Sending::NoCodec => {
                    no_codec = true;
                    totals.drop(Drop::Unwanted, 1);
                }
                Sending::Late => totals.drop(Drop::Unwanted, 1),
                Sending::Failed => totals.drop(Drop::Unsent, 1),
            }
            self.cursor += 1;
        }
        no_codec
    }
}
