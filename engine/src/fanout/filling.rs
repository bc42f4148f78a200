//! What fills a lane: its source, the rings of its picture's encodings and of its sound, and who asks for keyframes.
//!
//! Invariant: a ring holds packets of the present source only, and its generation changes with the source, so that a
//! subscriber who looks at an older generation finds nothing there (R015, P17).

use std::time::Instant;

use fanlight_wire::FloorEpoch;

use super::{MemberId, Source};
use crate::deadline::Deadline;
use crate::handoff::Run;
use crate::keyframe::KeyframeWish;
use crate::peer::Mid;
use crate::rtp::intake::{Incoming, LAYERS_MAX};
use crate::rtp::layers::{Meter, Place, Placer};
use crate::rtp::ring::{Arrival, Ring, Slot};

/// Tracks of a lane: the encodings of its picture, and its sound.
pub(super) const TRACKS: usize = LAYERS_MAX + 1;

/// A lane and what came in for it.
#[derive(Debug, Default)]
pub(super) struct Filling {
    pub(super) source: Option<Filled>,
    /// By encoding, the smallest first.
    pub(super) layers: [Layer; LAYERS_MAX],
    pub(super) audio: Track,
    /// Who follows it.
    pub(super) watchers: Vec<MemberId>,
    /// Its picture comes in more than one layer: there is something to select.
    pub(super) layered: bool,
    /// Something came in since the watchers were last queued.
    pub(super) hot: bool,
    /// How often it was filled or emptied; on a mirror, how often at home.
    pub(super) filling: u32,
    /// The first whole keyframe has arrived.
    live: bool,
    /// It is still to be reported.
    first_keyframe: Option<FloorEpoch>,
}

/// A source with its names as the transport knows them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filled {
    pub(super) who: MemberId,
    pub(super) mid: Mid,
    pub(super) audio_mid: Option<Mid>,
    pub(super) epoch: FloorEpoch,
}

/// A ring that changes its generation whenever what is in it begins anew.
#[derive(Debug, Default)]
pub(super) struct Track {
    pub(super) ring: Ring,
    pub(super) generation: u32,
    /// What the source's sender said last of its timestamps, and when.
    pub(super) clock: Option<(Instant, u32)>,
    /// On a mirror, the generation at home.
    pub(super) at_home: Option<u32>,
}

/// One encoding of the picture.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub(super) track: Track,
    pub(super) wish: KeyframeWish,
    placer: Placer,
    pub(super) meter: Meter,
}

impl Filling {
    /// Another source, or none. What was there is gone when this returns.
    pub(super) fn fill(&mut self, source: Option<&Source>) {
        self.source = source.map(|source| Filled {
            who: source.who,
            mid: Mid::from(source.mid.as_str()),
            audio_mid: source.audio_mid.as_deref().map(Mid::from),
            epoch: source.epoch,
        });
        for layer in &mut self.layers {
            layer.track.begin_anew();
            layer.wish = KeyframeWish::default();
            (layer.placer, layer.meter) = (Placer::default(), Meter::default());
        }
        self.layered = false;
        self.filling = self.filling.wrapping_add(1);
        self.audio.begin_anew();
        (self.live, self.first_keyframe) = (false, None);
        if self.source.is_some()
            && let [lowest, ..] = &mut self.layers
        {
            lowest.wish.wish();
        }
    }

    /// Is this section of this member its picture (true) or its sound (false)?
    pub(super) fn role_of(&self, who: MemberId, mid: Mid) -> Option<bool> {
        let source = self.source.as_ref().filter(|source| source.who == who)?;
        (source.mid == mid || source.audio_mid == Some(mid)).then_some(source.mid == mid)
    }

    /// Keeps a packet of the source.
    pub(super) fn store(&mut self, now: Instant, video: bool, incoming: &Incoming<'_>) {
        let codec = incoming.format.codec;
        let Some(layer) = self.layers.get_mut(if video { incoming.layer } else { 0 }) else { return };
        let place =
            if video { layer.placer.place(codec, incoming.payload, incoming.dependency) } else { Place::default() };
        let arrival = Arrival {
            place,
            ssrc: incoming.ssrc,
            format: incoming.format,
            sequence: incoming.sequence,
            timestamp: incoming.timestamp,
            marker: incoming.marker,
            received: now,
            payload: incoming.payload,
            carried: incoming.carried,
        };
        self.keep(video.then_some(incoming.layer), &arrival);
    }

    /// Keeps a packet of the sound, or of one encoding of the picture.
    pub(super) fn keep(&mut self, layer: Option<usize>, arrival: &Arrival<'_>) {
        self.hot = true;
        let Some(index) = layer else {
            self.audio.ring.serve(self.watchers.len());
            self.audio.push(arrival);
            return;
        };
        let Some(layer) = self.layers.get_mut(index) else { return };
        layer.track.ring.serve(self.watchers.len());
        let place = &arrival.place;
        self.layered |= index > 0 || place.spatial > 0 || place.temporal > 0;
        layer.meter.count(arrival.received, place, arrival.payload.len());
        let (anew, completes_keyframe) = layer.track.push(arrival);
        if anew {
            layer.wish.wish();
        }
        if completes_keyframe {
            layer.wish.granted();
            if !std::mem::replace(&mut self.live, true) {
                self.first_keyframe = self.source.as_ref().map(|source| source.epoch);
            }
        }
    }

    /// The tracks in the order of their numbers in a [`Run`].
    pub(super) fn tracks(&self) -> [&Track; TRACKS] {
        let [small, middle, large] = &self.layers;
        [&small.track, &middle.track, &large.track, &self.audio]
    }

    /// On a mirror: takes over packets that a home has stored. Those of another filling are stale; how many were taken.
    pub(super) fn take_over(&mut self, run: &Run, packets: &[Slot], bytes: &[u8]) -> usize {
        if run.filling != self.filling || self.source.is_none() {
            return 0;
        }
        let layer = (run.track < LAYERS_MAX).then_some(run.track);
        if self.track_mut(layer).is_some_and(|track| track.follow_home(run))
            && let Some(Layer { meter, wish, .. }) = self.layers.get_mut(run.track)
        {
            *meter = Meter::default();
            wish.wish();
        }
        let arrivals = packets.iter().filter_map(|slot| slot.arrival(run.ssrc, bytes));
        let taken = arrivals.map(|arrival| self.keep(layer, &arrival)).count();
        if let Some(track) = self.track_mut(layer) {
            track.clock = run.clock;
        }
        taken
    }

    fn track_mut(&mut self, layer: Option<usize>) -> Option<&mut Track> {
        match layer {
            Some(layer) => self.layers.get_mut(layer).map(|layer| &mut layer.track),
            None => Some(&mut self.audio),
        }
    }

    /// The source's sender has said what time a timestamp of this SSRC stands for: now.
    pub(super) fn set_clock(&mut self, now: Instant, who: MemberId, ssrc: u32, timestamp: u32) {
        if self.source.as_ref().is_none_or(|source| source.who != who) {
            return;
        }
        let tracks = self.layers.iter_mut().map(|layer| &mut layer.track).chain([&mut self.audio]);
        for track in tracks.filter(|track| track.ring.ssrc() == Some(ssrc)) {
            track.clock = Some((now, timestamp));
        }
    }

    /// The epoch whose first whole keyframe has just arrived, once.
    pub(super) const fn take_first_keyframe(&mut self) -> Option<FloorEpoch> {
        self.first_keyframe.take()
    }

    /// Somebody needs a keyframe of this encoding.
    pub(super) fn wish(&mut self, layer: usize) {
        if let Some(layer) = self.layers.get_mut(layer) {
            layer.wish.wish();
        }
    }

    /// The wishes for each encoding.
    pub(super) fn wishes(&mut self) -> impl Iterator<Item = (usize, &mut KeyframeWish)> {
        self.layers.iter_mut().map(|layer| &mut layer.wish).enumerate()
    }

    /// When a keyframe has to be asked for again.
    pub(super) fn deadline(&self) -> Deadline {
        self.layers.iter().map(|layer| layer.wish.deadline()).fold(Deadline::IDLE, Deadline::min)
    }
}

impl Track {
    fn begin_anew(&mut self) {
        self.ring.begin_anew();
        self.generation = self.generation.wrapping_add(1);
        (self.clock, self.at_home) = (None, None);
    }

    /// On a mirror: begins anew if the track has done so at home. True when it has.
    fn follow_home(&mut self, run: &Run) -> bool {
        let begins = self.at_home.is_some_and(|before| before != run.generation);
        if begins {
            self.begin_anew();
        }
        self.at_home = Some(run.generation);
        begins
    }

    fn push(&mut self, arrival: &Arrival<'_>) -> (bool, bool) {
        let stored = self.ring.push(arrival);
        if stored.anew {
            self.generation = self.generation.wrapping_add(1);
            self.clock = None;
        }
        (stored.anew, stored.completes_keyframe)
    }
}
