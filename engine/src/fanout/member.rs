//! One participant's media: its peer, and its subscriptions to the slot it watches.

use std::time::Instant;

use fanlight_wire::report::Drop;
use fanlight_wire::signal::Slot;

use super::{Filling, MediaTotals};
use crate::demux::PeerKey;
use crate::entropy::Entropy;
use crate::peer::{Mid, Packet, Peer};
use crate::subscribe::Subscription;

#[derive(Debug)]
pub(super) struct Member {
    pub(super) peer: Peer,
    pub(super) key: PeerKey,
    pub(super) view: Slot,
    video: Option<Subscription>,
    audio: Option<Subscription>,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Written,
    Dropped(Drop),
    NoCodec,
}

impl Member {
    pub(super) const fn new(peer: Peer, key: PeerKey, view: Slot) -> Self {
        Self { peer, key, view, video: None, audio: None }
    }

    /// Subscribes the first video and the first audio section on which the client receives. A section that was
    /// subscribed before keeps its numbering.
    pub(super) fn subscribe(&mut self, view: Slot, entropy: &mut Entropy) {
        self.view = view;
        let first = |video| self.peer.sections().iter().find(|s| s.sends && s.video == video).map(|s| s.mid);
        let (video, audio) = (first(true), first(false));
        renew(&mut self.video, video, entropy);
        renew(&mut self.audio, audio, entropy);
    }

    /// Does it receive its slot's picture there?
    pub(super) fn watches(&self, mid: Mid) -> bool {
        self.video.as_ref().is_some_and(|subscription| subscription.mid == mid)
    }

    /// Nothing that was written leaves any more, and nothing is written before a new source begins.
    pub(super) fn fence(&mut self, now: Instant) {
        for subscription in [&mut self.video, &mut self.audio].into_iter().flatten() {
            subscription.change_source();
            self.peer.fence(now, subscription.mid);
        }
    }

    /// Nothing is written before a keyframe.
    pub(super) fn shut(&mut self) {
        for subscription in [&mut self.video, &mut self.audio].into_iter().flatten() {
            subscription.shut();
        }
    }

    /// Writes a turn's packets. True when the client cannot decode them and that has not been said yet.
    pub(super) fn forward(&mut self, filling: &mut Filling, totals: &mut MediaTotals) -> bool {
        if filling.source.is_none() || !self.peer.is_connected() {
            return false;
        }
        let mut no_codec = false;
        if let Some(subscription) = &mut self.video {
            let fates = picture(&mut self.peer, subscription, filling);
            no_codec = count(&fates, totals) && subscription.tell_no_codec();
        }
        if let Some(subscription) = &mut self.audio {
            if subscription.is_shut()
                && let Some(first) = filling.audio.first()
            {
                subscription.open(first);
            }
            let write = |packet: &Packet| write(&mut self.peer, subscription, packet);
            let fates: Vec<_> = filling.audio.iter().map(write).collect();
            // Sound without a common codec is left out; the picture is what a share is about.
            count(&fates, totals);
        }
        no_codec
    }
}

fn renew(subscription: &mut Option<Subscription>, mid: Option<Mid>, entropy: &mut Entropy) {
    match (subscription.as_mut(), mid) {
        (Some(known), Some(mid)) if known.mid == mid => known.renegotiated(),
        (_, Some(mid)) => *subscription = Some(Subscription::new(mid, entropy)),
        (_, None) => *subscription = None,
    }
}

/// A subscriber that waits is served from the last keyframe in the ring, which holds this turn's packets too.
fn picture(peer: &mut Peer, subscription: &mut Subscription, filling: &mut Filling) -> Vec<Fate> {
    if !subscription.is_shut() {
        return filling.video.iter().map(|packet| write(peer, subscription, packet)).collect();
    }
    let Some(packets) = filling.track.since_keyframe() else {
        // The wish is already open while the first keyframe is awaited; later ones are for those who came later.
        filling.wish.wish();
        return vec![Fate::Dropped(Drop::Unwanted); filling.video.len()];
    };
    if let Some(first) = packets.first() {
        subscription.open(first);
    }
    packets.into_iter().map(|packet| write(peer, subscription, packet)).collect()
}

fn write(peer: &mut Peer, subscription: &mut Subscription, packet: &Packet) -> Fate {
    let Some(payload_type) = subscription.payload_type(packet.format, |mid, format| peer.payload_type(mid, format))
    else {
        return Fate::NoCodec;
    };
    let Some(header) = subscription.rewrite(packet, payload_type) else {
        return Fate::Dropped(Drop::Unwanted);
    };
    if peer.write(subscription.mid, header, packet) { Fate::Written } else { Fate::Dropped(Drop::Unsent) }
}

/// Adds to the totals; true when a codec was missing.
fn count(fates: &[Fate], totals: &mut MediaTotals) -> bool {
    for fate in fates {
        match fate {
            Fate::Written => {}
            Fate::Dropped(reason) => totals.drop(*reason, 1),
            Fate::NoCodec => totals.drop(Drop::Unwanted, 1),
        }
    }
    fates.contains(&Fate::NoCodec)
}
