//! One participant's media: its peer, and its subscriptions to the slot it watches.

use std::time::Instant;

use fanlight_wire::report::Drop;

use super::{Filling, Lane, MediaTotals};
use crate::demux::PeerKey;
use crate::entropy::Entropy;
use crate::peer::{Mid, Packet, Peer};
use crate::subscribe::Subscription;

#[derive(Debug)]
pub(super) struct Member {
    pub(super) peer: Peer,
    pub(super) key: PeerKey,
    pub(super) view: Lane,
    video: Option<Subscription>,
    audio: Option<Subscription>,
}

impl Member {
    pub(super) const fn new(peer: Peer, key: PeerKey, view: Lane) -> Self {
        Self { peer, key, view, video: None, audio: None }
    }

    /// Subscribes the first video and the first audio section on which the client receives. A section that was
    /// subscribed before keeps its numbering.
    pub(super) fn subscribe(&mut self, view: Lane, entropy: &mut Entropy) {
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

    /// The source has begun to count anew.
    pub(super) const fn begin_anew(&mut self, video: bool) {
        let subscription = if video { &mut self.video } else { &mut self.audio };
        if let Some(subscription) = subscription {
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
            no_codec = picture(&mut self.peer, subscription, filling, totals) && subscription.tell_no_codec();
        }
        if let Some(subscription) = &mut self.audio {
            if subscription.is_shut()
                && let Some(first) = filling.audio.first()
            {
                subscription.open(first);
            }
            // Sound without a common codec is left out; the picture is what a share is about.
            write(&mut self.peer, subscription, &filling.audio, totals);
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

/// A subscriber that waits is served from the last keyframe in the ring, which holds this turn's packets too. True
/// when it has not agreed to the codec.
fn picture(peer: &mut Peer, subscription: &mut Subscription, filling: &mut Filling, totals: &mut MediaTotals) -> bool {
    if !subscription.is_shut() {
        return write(peer, subscription, &filling.video, totals);
    }
    let Some(packets) = filling.track.since_keyframe() else {
        // The wish is already open while the first keyframe is awaited; later ones are for those who came later.
        filling.wish.wish();
        totals.drop(Drop::Unwanted, filling.video.len());
        return false;
    };
    if let Some(first) = packets.first() {
        subscription.open(first);
    }
    write(peer, subscription, packets, totals)
}

/// True when a codec was missing.
#[expect(single_use_lifetimes, reason = "an impl in an argument cannot elide it")]
fn write<'a>(
    peer: &mut Peer,
    subscription: &mut Subscription,
    packets: impl IntoIterator<Item = &'a Packet>,
    totals: &mut MediaTotals,
) -> bool {
    let mut no_codec = false;
    for packet in packets {
        let agreed = subscription.payload_type(packet.format, |mid, format| peer.payload_type(mid, format));
        let Some(payload_type) = agreed else {
            no_codec = true;
            totals.drop(Drop::Unwanted, 1);
            continue;
        };
        let Some(header) = subscription.rewrite(packet, payload_type) else {
            totals.drop(Drop::Unwanted, 1);
            continue;
        };
        if !peer.write(subscription.mid, header, packet) {
            totals.drop(Drop::Unsent, 1);
        }
    }
    no_codec
}
