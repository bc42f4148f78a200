//! The media of one session: who publishes, who watches which slot, and what is forwarded to whom.
//!
//! Owns the session's [`Peer`]s and, per slot, the packets that came in this turn. Invariants:
//! - Subscribers follow a *slot*, not a track; only packets of the slot's source leave, and after
//!   [`Fanout::set_source`] returns nothing of the source before does (R015, P17).
//! - A burst is collected, then written subscriber by subscriber, so that what goes to one address leaves as one train.
//! - A subscriber's failure touches no other subscriber.
//!
//! It leaves who may publish to [`crate::floor`] and [`crate::permit`].

mod lane;
mod member;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use fanlight_wire::report::{Drop, ShardTotals};
use fanlight_wire::{FloorEpoch, Refusal};

use crate::datagram::Datagram;
use crate::deadline::Deadline;
use crate::demux::{Demux, PeerKey};
use crate::entropy::Entropy;
use crate::keyframe::KeyframeWish;
use crate::outbox::Outbox;
use crate::peer::{IceCredentials, Mid, Packet, Peer, PeerConfig, PeerEvent};
use crate::track::{Continuity, Track};

pub use lane::{Lane, MemberId};
use member::Member;

/// What fills a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub who: MemberId,
    /// The media section with the picture.
    pub mid: String,
    /// The media section with its sound.
    pub audio_mid: Option<String>,
    pub epoch: FloorEpoch,
}

/// What happened to a session's media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaEvent {
    /// Media can flow to and from this participant; with the SRTP profile that was negotiated.
    Connected { who: MemberId, srtp: &'static str },
    /// It no longer can.
    Disconnected { who: MemberId },
    /// The first whole keyframe of the slot's source has arrived.
    FirstKeyframe { lane: Lane, epoch: FloorEpoch },
    /// This subscriber did not agree to the codec of the slot's source. Once per source.
    NoCodec { who: MemberId, lane: Lane },
}

/// The media plane of one session.
#[derive(Debug, Default)]
pub struct Fanout {
    members: BTreeMap<MemberId, Member>,
    /// By [`Lane`].
    fillings: [Filling; Lane::ALL.len()],
    events: VecDeque<MediaEvent>,
    totals: MediaTotals,
    /// Peers that have left and still say goodbye.
    leaving: Vec<Peer>,
    /// Advances every turn: no subscriber is always served last.
    turn: usize,
}

/// A slot and what came in for it this turn.
#[derive(Debug, Default)]
struct Filling {
    source: Option<(Source, Mid, Option<Mid>)>,
    track: Track,
    wish: KeyframeWish,
    /// The first whole keyframe has arrived.
    live: bool,
    /// It is still to be reported.
    first_keyframe: Option<FloorEpoch>,
    video: Vec<Packet>,
    audio: Vec<Packet>,
    video_continuity: Continuity,
    audio_continuity: Continuity,
}

/// Counted since the session began, in datagrams where not said otherwise.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct MediaTotals {
    pub packets_in: u64,
    pub bytes_in: u64,
    pub packets_out: u64,
    pub bytes_out: u64,
    /// RTP packets dropped, by [`Drop::ALL`].
    pub drops: [u64; Drop::ALL.len()],
    /// Wishes of subscribers, and requests to publishers.
    pub keyframe_requests_in: u64,
    pub keyframe_requests_out: u64,
    /// Handshakes that chose an AES-GCM profile for SRTP, and those that chose another.
    pub srtp_gcm: u64,
    pub srtp_other: u64,
}

impl Fanout {
    /// Answers an offer. One of a PeerConnection that is already served renegotiates; any other replaces the
    /// participant's peer. `view` is the slot this participant watches, `key` names a new peer in `demux`.
    ///
    /// # Errors
    /// `E_SDP` with the reason when the offer cannot be used; an existing peer then stays.
    #[expect(clippy::too_many_arguments, reason = "the engine lends what a session does not own")]
    pub fn offer(
        &mut self,
        now: Instant,
        who: MemberId,
        view: Lane,
        sdp: &str,
        config: &PeerConfig,
        entropy: &mut Entropy,
        demux: &mut Demux,
        key: PeerKey,
    ) -> Result<String, Refusal> {
        let credentials = IceCredentials::new(config.shard, entropy);
        if let Some(member) = self.members.get_mut(&who)
            && member.peer.is_of(sdp)
        {
            let (answer, restarted) = member.peer.renegotiate(now, sdp, &credentials)?;
            if restarted {
                demux.insert(member.key, &credentials);
            }
            member.subscribe(view, entropy);
            return Ok(answer);
        }
        let (peer, answer) = Peer::accept_offer(config, &credentials, now, sdp)?;
        self.remove(who, demux);
        demux.insert(key, &credentials);
        let mut member = Member::new(peer, key, view);
        member.subscribe(view, entropy);
        self.members.insert(who, member);
        Ok(answer)
    }

    /// Would this offer replace the participant's peer?
    pub fn is_fresh(&self, who: MemberId, sdp: &str) -> bool {
        self.members.get(&who).is_none_or(|member| !member.peer.is_of(sdp))
    }

    /// Has this participant a video section with this name on which it may send?
    pub fn can_publish(&self, who: MemberId, mid: &str) -> bool {
        let mid = Mid::from(mid);
        self.members
            .get(&who)
            .is_some_and(|member| member.peer.sections().iter().any(|s| s.mid == mid && s.video && s.receives))
    }

    /// A datagram that [`Demux::route`] found to be this participant's.
    pub fn handle_datagram(&mut self, now: Instant, who: MemberId, datagram: Datagram<'_>) {
        self.totals.packets_in += 1;
        self.totals.bytes_in += datagram.payload.len() as u64;
        let Some(member) = self.members.get_mut(&who) else {
            return self.totals.drop(Drop::Unknown, 1);
        };
        if !member.peer.handle_datagram(now, &datagram) {
            self.totals.drop(Drop::Limited, 1);
        }
        self.pump(who);
    }

    /// Fills or empties a slot. When this returns, no packet of what filled it before leaves any more; the new
    /// source's leave from the first packet of its first keyframe on.
    pub fn set_source(&mut self, now: Instant, lane: Lane, source: Option<Source>) {
        let filling = self.filling(lane);
        *filling = Filling::default();
        filling.source = source.map(|source| {
            let (mid, audio_mid) = (Mid::from(source.mid.as_str()), source.audio_mid.as_deref().map(Mid::from));
            (source, mid, audio_mid)
        });
        if filling.source.is_some() {
            filling.wish.wish();
        }
        for member in self.members.values_mut().filter(|member| member.view == lane) {
            member.fence(now);
        }
        self.request_keyframes(now);
    }

    /// Takes a participant's media out.
    pub fn remove(&mut self, who: MemberId, demux: &mut Demux) {
        if let Some(mut member) = self.members.remove(&who) {
            demux.remove(member.key);
            member.peer.close();
            self.leaving.push(member.peer);
        }
    }

    /// Lets time pass; due at [`Self::deadline`].
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |(who, member): (&MemberId, &Member)| member.peer.deadline().is_due(now).then_some(*who);
        let due: Vec<_> = self.members.iter().filter_map(due).collect();
        for who in due {
            if let Some(member) = self.members.get_mut(&who) {
                member.peer.handle_timeout(now);
            }
            self.pump(who);
        }
        self.request_keyframes(now);
    }

    pub fn deadline(&self) -> Deadline {
        let fillings = self.fillings.iter().map(|filling| filling.wish.deadline());
        let lanes = fillings.fold(Deadline::IDLE, Deadline::min);
        self.members.values().fold(lanes, |deadline, member| deadline.min(member.peer.deadline()))
    }

    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        self.events.pop_front()
    }

    /// Forwards what came in and hands out what has to leave, at most one slice of it. True when more waits.
    pub fn poll(&mut self, now: Instant, outbox: &mut Outbox) -> bool {
        for mut peer in std::mem::take(&mut self.leaving) {
            peer.poll(now, outbox);
        }
        self.request_keyframes(now);
        self.turn = self.turn.wrapping_add(1);
        let first = self.turn.checked_rem(self.members.len()).unwrap_or_default();
        let mut order: Vec<_> = self.members.keys().copied().collect();
        order.rotate_left(first);
        for who in order {
            let Some(member) = self.members.get_mut(&who) else {
                continue;
            };
            let view = member.view;
            let [agent, visitor, camera] = &mut self.fillings;
            let filling = match view {
                Lane::Agent => agent,
                Lane::Visitor => visitor,
                Lane::Camera => camera,
            };
            if member.forward(filling, &mut self.totals) {
                self.events.push_back(MediaEvent::NoCodec { who, lane: member.view });
            }
            let (packets, bytes) = member.peer.poll(now, outbox);
            self.totals.packets_out += packets;
            self.totals.bytes_out += bytes;
        }
        for filling in &mut self.fillings {
            filling.video.clear();
            filling.audio.clear();
        }
        // A subscriber that could not be served from the ring has wished meanwhile.
        self.request_keyframes(now);
        false
    }

    /// Is this participant's media connected?
    pub fn is_connected(&self, who: MemberId) -> bool {
        self.members.get(&who).is_some_and(|member| member.peer.is_connected())
    }

    pub const fn totals(&self) -> &MediaTotals {
        &self.totals
    }

    /// Adds what this session has counted to its shard's totals.
    pub fn add_totals(&self, to: &mut ShardTotals) {
        let from = &self.totals;
        to.packets_in += from.packets_in;
        to.bytes_in += from.bytes_in;
        to.packets_out += from.packets_out;
        to.bytes_out += from.bytes_out;
        to.keyframe_requests_in += from.keyframe_requests_in;
        to.keyframe_requests_out += from.keyframe_requests_out;
        to.srtp_gcm += from.srtp_gcm;
        to.srtp_other += from.srtp_other;
        to.drops.iter_mut().zip(from.drops).for_each(|(to, from)| *to += from);
    }

    const fn filling(&mut self, lane: Lane) -> &mut Filling {
        let [agent, visitor, camera] = &mut self.fillings;
        match lane {
            Lane::Agent => agent,
            Lane::Visitor => visitor,
            Lane::Camera => camera,
        }
    }

    /// Acts on what a peer has to say.
    fn pump(&mut self, who: MemberId) {
        while let Some(event) = self.members.get_mut(&who).and_then(|member| member.peer.poll_event()) {
            match event {
                PeerEvent::Connected { srtp } => {
                    *(if srtp.contains("GCM") { &mut self.totals.srtp_gcm } else { &mut self.totals.srtp_other }) += 1;
                    self.events.push_back(MediaEvent::Connected { who, srtp });
                }
                PeerEvent::Disconnected => {
                    if let Some(member) = self.members.get_mut(&who) {
                        member.shut();
                    }
                    self.events.push_back(MediaEvent::Disconnected { who });
                }
                PeerEvent::KeyframeRequest(mid) => self.wish(who, mid),
                PeerEvent::Packet(mid, packet) => self.take(who, mid, packet),
            }
        }
    }

    fn wish(&mut self, who: MemberId, mid: Mid) {
        self.totals.keyframe_requests_in += 1;
        let Some(view) = self.members.get(&who).filter(|m| m.watches(mid)).map(|member| member.view) else {
            return;
        };
        let filling = self.filling(view);
        if filling.source.is_some() {
            filling.wish.wish();
        }
    }

    fn take(&mut self, who: MemberId, mid: Mid, packet: Packet) {
        let fills = |filling: &Filling| {
            let (source, video, audio) = filling.source.as_ref()?;
            (source.who == who && (*video == mid || *audio == Some(mid))).then_some(*video == mid)
        };
        let found = Lane::ALL.into_iter().find_map(|lane| fills(self.filling(lane)).map(|video| (lane, video)));
        let Some((lane, video)) = found else {
            return self.totals.drop(Drop::StaleEpoch, 1);
        };
        let filling = self.filling(lane);
        if filling.store(packet, video) {
            for member in self.members.values_mut().filter(|member| member.view == lane) {
                member.begin_anew(video);
            }
        }
        let filling = self.filling(lane);
        if let Some(epoch) = filling.first_keyframe.take() {
            self.events.push_back(MediaEvent::FirstKeyframe { lane, epoch });
        }
    }

    fn request_keyframes(&mut self, now: Instant) {
        for filling in &mut self.fillings {
            let Some((source, mid, _)) = filling.source.as_ref().filter(|_| filling.wish.is_due(now)) else {
                continue;
            };
            let sent = self.members.get_mut(&source.who).is_some_and(|member| member.peer.request_keyframe(*mid));
            filling.wish.asked(now, sent);
            self.totals.keyframe_requests_out += u64::from(sent);
        }
    }
}

impl Filling {
    /// Keeps a packet of the source for this turn. True when the source has begun anew.
    fn store(&mut self, packet: Packet, video: bool) -> bool {
        if !video {
            let continues = self.audio_continuity.continues(&packet);
            if !continues {
                self.audio.clear();
            }
            self.audio.push(packet);
            return !continues;
        }
        let continues = self.video_continuity.continues(&packet);
        if !continues {
            self.track = Track::default();
            self.video.clear();
            self.wish.wish();
        }
        if self.track.push(&packet) {
            self.wish.granted();
            if !std::mem::replace(&mut self.live, true) {
                self.first_keyframe = self.source.as_ref().map(|(source, ..)| source.epoch);
            }
        }
        self.video.push(packet);
        !continues
    }
}

impl MediaTotals {
    fn drop(&mut self, reason: Drop, packets: usize) {
        if let Some(index) = Drop::ALL.iter().position(|known| *known == reason)
            && let Some(count) = self.drops.get_mut(index)
        {
            *count += packets as u64;
        }
    }
}
