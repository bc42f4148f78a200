//! What passes to one subscriber of one source.
//!
//! Invariants: no packet passes whose frame depends on one that was held back; an encoding begins with a keyframe; a
//! frame passes whole or not at all, however late its packets come; the base layer of the encoding that flows always
//! passes.

use super::{Place, SPATIAL_MAX, TEMPORAL_MAX, Target};

/// Pictures whose decision is remembered for late packets.
const PICTURES: usize = 16;
const SPATIAL_TOP: u8 = SPATIAL_MAX as u8 - 1;
const TEMPORAL_TOP: u8 = TEMPORAL_MAX as u8 - 1;

/// What to do with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It passes. `marker` when RTP's marker must be set because the rest of its picture is held back.
    Forward { marker: bool },
    /// It does not.
    Drop,
    /// It does not, and nothing flows before a keyframe of this simulcast encoding.
    WantKeyframe(u8),
}

/// Which layers of one picture were decided, and which of these pass; one bit per spatial layer.
#[derive(Debug, Clone, Copy, Default)]
struct Picture {
    timestamp: u32,
    decided: u8,
    passes: u8,
    key: bool,
}

/// One subscription's selection. About 250 bytes.
#[derive(Debug)]
pub struct Selector {
    target: Target,
    /// The encoding that flows.
    simulcast: Option<u8>,
    spatial: u8,
    /// The highest temporal layer that passes, per spatial layer; never above that of the layer below.
    temporal: [u8; SPATIAL_MAX],
    /// The highest spatial layer that was ever offered.
    offered: u8,
    /// Timestamp of the last keyframe.
    began: u32,
    /// Ring; `newest` is the place of the newest picture.
    pictures: [Picture; PICTURES],
    newest: usize,
    count: usize,
}

impl Default for Selector {
    fn default() -> Self {
        Self {
            target: Target::ALL,
            simulcast: None,
            spatial: 0,
            temporal: [0; SPATIAL_MAX],
            offered: 0,
            began: 0,
            pictures: [Picture::default(); PICTURES],
            newest: 0,
            count: 0,
        }
    }
}

impl Selector {
    /// Sets what shall flow. Lower layers take effect with the next picture, higher ones where the source lets them in.
    pub const fn aim(&mut self, target: Target) {
        self.target = target;
    }

    pub const fn target(&self) -> Target {
        self.target
    }

    /// The encoding that flows, if one does.
    pub const fn simulcast(&self) -> Option<u8> {
        self.simulcast
    }

    /// Another source, or none: nothing flows before a keyframe.
    pub fn change_source(&mut self) {
        *self = Self { target: self.target, ..Self::default() };
    }

    /// The encoding of which a keyframe would bring what is aimed at.
    pub fn wish(&self) -> Option<u8> {
        if self.simulcast != Some(self.target.simulcast) {
            return Some(self.target.simulcast);
        }
        (self.target.spatial.min(self.offered) > self.spatial).then_some(self.target.simulcast)
    }

    /// Judges a packet of an encoding, in the order in which they are sent. Packets of other encodings than those that
    /// flow or are aimed at may be left out.
    pub fn forward(&mut self, simulcast: u8, timestamp: u32, place: &Place) -> Verdict {
        if self.simulcast != Some(simulcast) {
            if simulcast != self.target.simulcast {
                return Verdict::Drop;
            }
            if !place.keyframe {
                return if self.simulcast.is_none() { Verdict::WantKeyframe(simulcast) } else { Verdict::Drop };
            }
            *self = Self { target: self.target, simulcast: Some(simulcast), began: timestamp, ..Self::default() };
        }
        self.offered = self.offered.max(place.spatial.min(SPATIAL_TOP));
        match self.find(timestamp) {
            Some(at) => self.judge(at, place),
            None if self.is_late(timestamp) => self.judge_late(timestamp, place),
            None => {
                self.open(timestamp);
                self.judge(self.newest, place)
            }
        }
    }

    /// What temporal layers may be passed now.
    fn temporal_aim(&self) -> u8 {
        match self.simulcast {
            // Until a keyframe of the smaller encoding comes, this one is thinned.
            Some(simulcast) if simulcast > self.target.simulcast => 0,
            Some(simulcast) if simulcast < self.target.simulcast => TEMPORAL_TOP,
            _ => self.target.temporal.min(TEMPORAL_TOP),
        }
    }

    fn spatial_aim(&self) -> u8 {
        if self.simulcast == Some(self.target.simulcast) { self.target.spatial.min(SPATIAL_TOP) } else { SPATIAL_TOP }
    }

    fn find(&self, timestamp: u32) -> Option<usize> {
        let mut ages = (0..self.count).map(|age| (self.newest + PICTURES - age) % PICTURES);
        ages.find(|at| self.pictures.get(*at).is_some_and(|picture| picture.timestamp == timestamp))
    }

    fn is_late(&self, timestamp: u32) -> bool {
        self.count > 0 && self.pictures.get(self.newest).is_some_and(|newest| is_before(timestamp, newest.timestamp))
    }

    /// Of a picture that was never seen before newer ones: whether its layer flowed at that time is not known any more,
    /// but the base layer did since the last keyframe.
    fn judge_late(&self, timestamp: u32, place: &Place) -> Verdict {
        let is_base = place.temporal == 0 && place.spatial == 0;
        let marker = place.ends_frame && self.spatial == 0;
        if is_base && !is_before(timestamp, self.began) { Verdict::Forward { marker } } else { Verdict::Drop }
    }

    fn open(&mut self, timestamp: u32) {
        self.fall();
        self.newest = if self.count == 0 { 0 } else { (self.newest + 1) % PICTURES };
        self.count = (self.count + 1).min(PICTURES);
        if let Some(slot) = self.pictures.get_mut(self.newest) {
            *slot = Picture { timestamp, ..Picture::default() };
        }
        // A keyframe of hours ago must not seem to be still to come.
        if timestamp.wrapping_sub(self.began) > 1 << 30 {
            self.began = timestamp.wrapping_sub(1 << 29);
        }
    }

    /// At the beginning of a picture: what is not aimed at any more ends.
    fn fall(&mut self) {
        let aim = self.temporal_aim();
        self.spatial = self.spatial.min(self.spatial_aim());
        self.temporal.iter_mut().for_each(|temporal| *temporal = aim.min(*temporal));
    }

    fn judge(&mut self, at: usize, place: &Place) -> Verdict {
        let bit = 1 << place.spatial.min(SPATIAL_TOP);
        let Some(mut picture) = self.pictures.get(at).copied() else { return Verdict::Drop };
        picture.key |= place.keyframe;
        if picture.decided & bit == 0 {
            picture.decided |= bit;
            let passes = if at == self.newest { self.admit(&picture, place) } else { self.flows(place) };
            picture.passes |= if passes { bit } else { 0 };
        }
        if let Some(kept) = self.pictures.get_mut(at) {
            *kept = picture;
        }
        if picture.passes & bit == 0 {
            return Verdict::Drop;
        }
        Verdict::Forward { marker: place.ends_frame && self.is_top(&picture, place) }
    }

    fn flows(&self, place: &Place) -> bool {
        place.spatial <= self.spatial && place.temporal <= self.cap(place.spatial)
    }

    /// Does a frame of the newest picture pass, and what does it let in?
    fn admit(&mut self, picture: &Picture, place: &Place) -> bool {
        let aim = self.temporal_aim();
        if place.keyframe {
            self.temporal = [aim; SPATIAL_MAX];
            self.began = picture.timestamp;
        }
        if place.spatial > self.spatial && !self.rise(picture, place) {
            return false;
        }
        let below = if place.spatial == 0 { TEMPORAL_TOP } else { self.cap(place.spatial - 1) };
        let limit = aim.min(below);
        let cap = self.cap(place.spatial);
        let passes = place.temporal <= cap || (place.switch_up && place.temporal == cap + 1 && place.temporal <= limit);
        if passes {
            let opened = if place.opens > place.temporal { place.opens.min(limit) } else { place.temporal };
            self.set_cap(place.spatial, cap.max(opened));
        }
        passes
    }

    /// A higher spatial layer begins where it needs no earlier picture.
    fn rise(&mut self, picture: &Picture, place: &Place) -> bool {
        let next = place.spatial == self.spatial + 1 && place.spatial <= self.spatial_aim();
        if !next || !place.independent || picture.passes & (1 << self.spatial) == 0 {
            return false;
        }
        let cap = if picture.key { self.cap(self.spatial) } else { place.temporal };
        self.spatial = place.spatial;
        self.set_cap(place.spatial, cap.min(self.cap(place.spatial - 1)));
        true
    }

    /// Is this the highest spatial layer of its picture that passes?
    fn is_top(&self, picture: &Picture, place: &Place) -> bool {
        let top = if picture.key { self.spatial_aim() } else { self.spatial };
        (place.spatial + 1..=top).all(|above| self.cap(above) < place.temporal)
    }

    fn cap(&self, spatial: u8) -> u8 {
        self.temporal.get(usize::from(spatial)).copied().unwrap_or(0)
    }

    fn set_cap(&mut self, spatial: u8, temporal: u8) {
        if let Some(cap) = self.temporal.get_mut(usize::from(spatial)) {
            *cap = temporal;
        }
    }
}

/// In RTP's circle of timestamps.
const fn is_before(a: u32, b: u32) -> bool {
    a != b && b.wrapping_sub(a) <= u32::MAX / 2
}
