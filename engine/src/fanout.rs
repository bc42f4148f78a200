//! The media of one session: who publishes, who watches which lane, and what is forwarded to whom.
//!
//! Owns the session's [`Peer`]s and, per lane, the rings of what came in. Invariants:
//! - Subscribers follow a *lane*, not a track; only packets of the lane's source leave, and after
//!   [`Fanout::set_source`] returns nothing of the source before does (R015, P17).
//! - Subscribers are visited one by one, so that what goes to one address leaves as one train; each visit writes all
//!   that has come since the last. Who is visited first changes every pass; newcomers come after the others.
//! - Only members that have something to send or to follow are visited; nothing walks over idle ones.
//! - A subscriber's failure touches no other subscriber.
//!
//! It leaves who may publish to [`crate::floor`] and [`crate::permit`].

mod filling;
mod lane;
mod member;
mod mirror;
mod mirrors;
mod path;
mod subscription;
#[cfg(test)]
mod tests;
mod totals;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use fanlight_wire::report::{Drop, ShardTotals};
use fanlight_wire::{FloorEpoch, Refusal};

use crate::datagram::Datagram;
use crate::deadline::Deadline;
use crate::demux::{Demux, PeerKey};
use crate::entropy::Entropy;
use crate::handoff::Wish;
use crate::outbox::Outbox;
use crate::peer::{IceCredentials, Media, Mid, Peer, PeerConfig, PeerEvent};
use crate::rtp::header::Header;
use crate::rtp::intake::Dead;
use crate::rtp::srtp::Opened;
use crate::timers::Timers;
use filling::Filling;
use lane::LANES;
pub use lane::{Lane, MemberId, Views};
use member::{Asked, Member, section_index};
use mirrors::Mirrors;
pub use totals::MediaTotals;

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
    /// Boxed: a tree keeps room for eleven in a row.
    members: BTreeMap<MemberId, Box<Member>>,
    /// By [`Lane`].
    lanes: [Filling; LANES],
    events: VecDeque<MediaEvent>,
    totals: MediaTotals,
    /// Members that have left and still say goodbye.
    leaving: Vec<Member>,
    /// Who is to be visited in the pass under way.
    queue: VecDeque<MemberId>,
    timers: Timers<MemberId>,
    /// Advances every pass: no subscriber is always served last.
    pass: usize,
    /// Where reports are written.
    compound: Vec<u8>,
    /// Shards that repeat what comes in here.
    mirrors: Option<Box<Mirrors>>,
    /// On a mirror, the keyframes that its home is to be asked for.
    upward: Option<Vec<Wish>>,
    /// Rises whenever the visitor no longer agrees to be seen.
    agreement: u32,
}

impl Fanout {
    /// Answers an offer. One of a PeerConnection that is already served renegotiates; any other replaces the
    /// member's peer. `views` is what this member watches, `key` names a new peer in `demux`.
    ///
    /// # Errors
    /// `E_SDP` with the reason when the offer cannot be used; an existing peer then stays.
    #[expect(clippy::too_many_arguments, reason = "the engine lends what a session does not own")]
    pub fn offer(
        &mut self,
        now: Instant,
        who: MemberId,
        views: impl Into<Views>,
        sdp: &str,
        config: &PeerConfig,
        entropy: &mut Entropy,
        demux: &mut Demux,
        key: PeerKey,
    ) -> Result<String, Refusal> {
        let views = views.into();
        let credentials = IceCredentials::new(config.shard, entropy);
        if let Some(member) = self.members.get_mut(&who)
            && member.peer.is_of(sdp)
        {
            let (answer, restarted) = member.peer.renegotiate(now, sdp, &credentials)?;
            if restarted {
                demux.insert(member.key, &credentials);
            }
            member.forget_sources();
            member.subscribe(views, entropy);
            self.settle(who);
            return Ok(answer);
        }
        let (peer, answer) = Peer::accept_offer(config, &credentials, now, sdp)?;
        self.remove(who, demux);
        demux.insert(key, &credentials);
        let mut member = Box::new(Member::new(now, peer, key));
        member.subscribe(views, entropy);
        self.members.insert(who, member);
        self.settle(who);
        Ok(answer)
    }

    /// From now on this member sees no more and no less than `views`. What it may see again later goes on in the same
    /// numbering.
    pub fn set_views(&mut self, who: MemberId, views: impl Into<Views>, entropy: &mut Entropy) {
        if let Some(member) = self.members.get_mut(&who) {
            member.subscribe(views.into(), entropy);
            self.settle(who);
        }
    }

    /// Would this offer replace the member's peer?
    pub fn is_fresh(&self, who: MemberId, sdp: &str) -> bool {
        self.members.get(&who).is_none_or(|member| !member.peer.is_of(sdp))
    }

    /// Has this member a video section with this name on which it may send?
    pub fn can_publish(&self, who: MemberId, mid: &str) -> bool {
        let mid = Mid::from(mid);
        self.members
            .get(&who)
            .is_some_and(|member| member.peer.sections().iter().any(|s| s.mid == mid && s.video && s.receives))
    }

    /// A datagram that [`Demux::route`] found to be this member's.
    pub fn handle_datagram(&mut self, now: Instant, who: MemberId, datagram: Datagram<'_>) {
        self.totals.packets_in += 1;
        self.totals.bytes_in += datagram.payload.len() as u64;
        let Some(member) = self.members.get_mut(&who) else {
            return self.totals.drop(Drop::Unknown, 1);
        };
        if !Peer::is_media(datagram.payload) {
            if !member.peer.handle_datagram(now, &datagram) {
                self.totals.drop(Drop::Limited, 1);
            }
            self.pump(who);
        } else {
            match member.peer.open(now, datagram.payload) {
                Media::Rtp(header, opened) => self.take(now, who, &header, datagram.payload, opened),
                Media::Rtcp(length) => {
                    let mut asked = Asked::default();
                    member.note(now, datagram.payload.get(..length).unwrap_or_default(), &mut asked);
                    self.wish(&asked);
                    for (ssrc, timestamp) in asked.clocks.into_iter().flatten() {
                        self.lanes.iter_mut().for_each(|lane| lane.set_clock(now, who, ssrc, timestamp));
                    }
                }
                Media::Dropped(reason) => self.totals.drop(reason, 1),
            }
        }
        self.rouse(now, who);
    }

    /// Fills or empties a lane. When this returns, no packet of what filled it before leaves any more; the new
    /// source's leave from the first packet of its first keyframe on.
    pub fn set_source(&mut self, now: Instant, lane: Lane, source: Option<Source>) {
        self.lane(lane).fill(source.as_ref());
        self.request_keyframes(now);
    }

    /// Takes a member's media out.
    pub fn remove(&mut self, who: MemberId, demux: &mut Demux) {
        if let Some(member) = self.members.remove(&who) {
            demux.remove(member.key);
            self.timers.remove(who);
            self.lanes.iter_mut().for_each(|lane| lane.watchers.retain(|watcher| *watcher != who));
            self.leaving.push(*member);
        }
    }

    /// Lets time pass; due at [`Self::deadline`].
    pub fn handle_timeout(&mut self, now: Instant) {
        // A member whose deadline stays in the past is served once per call, so that the call ends.
        let rounds = self.timers.len();
        for _ in 0..rounds {
            let Some(who) = self.timers.pop_due(now) else { break };
            if let Some(member) = self.members.get_mut(&who) {
                member.timed = Deadline::IDLE;
                member.handle_timeout(now);
            }
            self.pump(who);
            self.rouse(now, who);
        }
        self.request_keyframes(now);
    }

    pub fn deadline(&self) -> Deadline {
        self.lanes.iter().map(Filling::deadline).fold(self.timers.next(), Deadline::min)
    }

    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        self.events.pop_front()
    }

    /// Does an event wait?
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Forwards what came in and hands out what has to leave, visiting at most `slice` members, whose number is taken
    /// off it. True when more waits ([`Self::has_output`]).
    pub fn poll(&mut self, now: Instant, outbox: &mut Outbox, slice: &mut usize) -> bool {
        for mut member in self.leaving.drain(..) {
            member.close(now, outbox, &mut self.totals);
        }
        self.request_keyframes(now);
        self.collect_for_mirrors(now);
        self.queue_watchers(now);
        while *slice > 0
            && let Some(who) = self.queue.pop_front()
        {
            *slice -= 1;
            self.visit(now, who, outbox);
        }
        // A subscriber that could not be served from the ring has wished meanwhile.
        self.request_keyframes(now);
        self.has_output()
    }

    /// Has [`Self::poll`] something to do?
    pub fn has_output(&self) -> bool {
        !self.queue.is_empty() || !self.leaving.is_empty() || self.lanes.iter().any(|lane| lane.hot)
    }

    /// Is this member's media connected?
    pub fn is_connected(&self, who: MemberId) -> bool {
        self.members.get(&who).is_some_and(|member| member.peer.is_connected())
    }

    pub const fn totals(&self) -> &MediaTotals {
        &self.totals
    }

    /// Adds what this session has counted to its shard's totals.
    pub fn add_totals(&self, to: &mut ShardTotals) {
        self.totals.add_to(to);
    }

    const fn lane(&mut self, lane: Lane) -> &mut Filling {
        let [agent, visitor, camera] = &mut self.lanes;
        match lane {
            Lane::Agent => agent,
            Lane::Visitor => visitor,
            Lane::Camera => camera,
        }
    }

    /// A member has new subscriptions.
    fn settle(&mut self, who: MemberId) {
        let Some(member) = self.members.get_mut(&who) else { return };
        for (lane, filling) in Lane::ALL.into_iter().zip(&mut self.lanes) {
            filling.watchers.retain(|watcher| *watcher != who);
            if member.follows(lane) {
                filling.watchers.push(who);
            }
        }
        enqueue(&mut self.queue, who, member);
        time(&mut self.timers, who, member);
    }

    /// Queues a member that has something to send, and sets its timer.
    fn rouse(&mut self, now: Instant, who: MemberId) {
        let Some(member) = self.members.get_mut(&who) else { return };
        if member.has_output(now) {
            enqueue(&mut self.queue, who, member);
        }
        time(&mut self.timers, who, member);
    }

    /// Queues who follows a lane for which something came in: those who have been here for a while, then newcomers, so that a
    /// storm of joins is felt by those who storm.
    fn queue_watchers(&mut self, now: Instant) {
        let Self { lanes, queue, members, pass, .. } = self;
        for filling in lanes {
            if !std::mem::take(&mut filling.hot) {
                continue;
            }
            *pass = pass.wrapping_add(1);
            // They stand in the order in which they came.
            let is_settled = |who: &MemberId| members.get(who).is_none_or(|member| member.is_settled(now));
            let (settled, newcomers) = filling.watchers.split_at(filling.watchers.partition_point(is_settled));
            for who in in_turn(settled, *pass).chain(in_turn(newcomers, *pass)) {
                if let Some(member) = members.get_mut(who) {
                    enqueue(queue, *who, member);
                }
            }
        }
    }

    fn visit(&mut self, now: Instant, who: MemberId, outbox: &mut Outbox) {
        let Self { members, lanes, totals, compound, events, timers, .. } = self;
        let Some(member) = members.get_mut(&who) else { return };
        member.queued = false;
        if let Some(lane) = member.visit(now, lanes, outbox, compound, totals) {
            events.push_back(MediaEvent::NoCodec { who, lane });
        }
        while let Some((section, layer)) = member.intake.poll_broken() {
            let Some(section) = member.peer.sections().get(section) else { continue };
            let broken = lanes.iter_mut().find(|filling| filling.role_of(who, section.mid) == Some(true));
            if let Some(layer) = broken.and_then(|filling| filling.layers.get_mut(layer)) {
                layer.wish.wish();
            }
        }
        time(timers, who, member);
    }

    /// Acts on what a peer has to say.
    fn pump(&mut self, who: MemberId) {
        let Some(member) = self.members.get_mut(&who) else { return };
        while let Some(event) = member.peer.poll_event() {
            match event {
                PeerEvent::Connected { srtp } => {
                    *(if srtp.contains("GCM") { &mut self.totals.srtp_gcm } else { &mut self.totals.srtp_other }) += 1;
                    self.events.push_back(MediaEvent::Connected { who, srtp });
                    enqueue(&mut self.queue, who, member);
                }
                PeerEvent::Disconnected => {
                    member.shut();
                    self.events.push_back(MediaEvent::Disconnected { who });
                }
            }
        }
    }

    fn wish(&mut self, asked: &Asked) {
        for (filling, layers) in self.lanes.iter_mut().zip(asked.keyframes) {
            for (layer, _) in layers.into_iter().enumerate().filter(|(_, asked)| *asked) {
                self.totals.keyframe_requests_in += 1;
                if filling.source.is_some() {
                    filling.wish(layer);
                }
            }
        }
    }

    /// Takes in a packet that a member has sent.
    fn take(&mut self, now: Instant, who: MemberId, header: &Header, packet: &[u8], opened: Opened) {
        let Self { members, lanes, totals, events, .. } = self;
        let Some(member) = members.get_mut(&who) else { return };
        let Member { peer, intake, .. } = &mut **member;
        let terms = peer.terms(header.payload_type);
        let incoming = match intake.take(now, terms, header, packet, opened.payload) {
            Ok(incoming) => incoming,
            Err(Dead::Unknown) => return totals.drop(Drop::Unknown, 1),
            // Padding and duplicates were never meant for anybody.
            Err(Dead::Surplus) => return,
        };
        let Some(section) = peer.sections().get(incoming.section) else { return };
        let role = |filling: &Filling| filling.role_of(who, section.mid);
        let found = Lane::ALL.into_iter().zip(lanes).find_map(|(lane, filling)| Some((lane, role(filling)?, filling)));
        let Some((lane, video, filling)) = found else {
            return totals.drop(Drop::StaleEpoch, 1);
        };
        filling.store(now, video, &incoming);
        if let Some(epoch) = filling.take_first_keyframe() {
            events.push_back(MediaEvent::FirstKeyframe { lane, epoch });
        }
    }

    /// Asks publishers for the keyframes that are due.
    fn request_keyframes(&mut self, now: Instant) {
        let Self { members, lanes, queue, totals, upward, .. } = self;
        for (lane, filling) in Lane::ALL.into_iter().zip(lanes) {
            let Some(source) = filling.source else { continue };
            let filled = filling.filling;
            for (layer, wish) in filling.wishes() {
                if !wish.is_due(now) {
                    continue;
                }
                if let Some(upward) = upward {
                    upward.push(Wish { lane, filling: filled, layer });
                    wish.asked(now, true);
                    continue;
                }
                let member = members.get_mut(&source.who);
                let sent = member.is_some_and(|member| {
                    let section = section_index(&member.peer, source.mid);
                    let sent = section.is_some_and(|section| member.intake.request_keyframe(section, layer));
                    if sent {
                        enqueue(queue, source.who, member);
                    }
                    sent
                });
                wish.asked(now, sent);
                totals.keyframe_requests_out += u64::from(sent);
            }
        }
    }
}

/// Sets a member's timer where it has changed: it rarely does, and members are visited for every packet.
fn time(timers: &mut Timers<MemberId>, who: MemberId, member: &mut Member) {
    let deadline = member.deadline();
    if member.timed != deadline {
        timers.set(who, deadline);
        member.timed = deadline;
    }
}

/// Each of them once; another begins with every pass, so that nobody is always last.
fn in_turn(watchers: &[MemberId], pass: usize) -> impl Iterator<Item = &MemberId> {
    let (before, after) = watchers.split_at(pass.checked_rem(watchers.len()).unwrap_or_default());
    after.iter().chain(before)
}

fn enqueue(queue: &mut VecDeque<MemberId>, who: MemberId, member: &mut Member) {
    if !std::mem::replace(&mut member.queued, true) {
        queue.push_back(who);
    }
}
