//! One member's media: its peer, what it sends us, and its subscriptions.

use std::time::{Duration, Instant};

use fanlight_wire::limits::{FEEDBACK_ITEMS_MAX, HISTORY_PACKETS, REPORT_INTERVAL};

use super::filling::Filling;
use super::path::Path;
use super::subscription::Subscription;
use super::{LANES, Lane, MediaTotals, Views};
use crate::deadline::{Deadline, Reason};
use crate::demux::PeerKey;
use crate::entropy::Entropy;
use crate::outbox::Outbox;
use crate::peer::{Mid, Peer, Section};
use crate::rtp::intake::{Intake, LAYERS_MAX};
use crate::rtp::receive::RoundTrip;
use crate::rtp::rtcp::{self, Item, Ntp, ReportBlock};
use crate::rtp::send::Sender;

/// What the round trip is believed to be before a report tells.
const ROUND_TRIP_GUESS: Duration = Duration::from_millis(50);
/// How the streams that we send to one member belong together (RFC 3550 §6.5.1).
const CNAME: &str = "fanlight";
/// Whoever is here for so long is served before newcomers: as long as a storm of joins and its keyframes may last.
const SETTLED_AFTER: Duration = Duration::from_secs(5);
/// Sender reports of one compound that are looked at: a picture's encodings and sound.
const CLOCKS: usize = 4;
/// The source of reports to a member that we send nothing to.
const SILENT_SSRC: u32 = 1;

#[derive(Debug)]
pub(super) struct Member {
    pub(super) peer: Peer,
    pub(super) key: PeerKey,
    pub(super) intake: Intake,
    pub(super) subscriptions: Vec<Subscription>,
    /// Of sections that do not receive now. Their numbers go on when they do again: no nonce may be used twice
    /// (RFC 7714 §8.1).
    retired: Vec<Subscription>,
    /// What the client asks for again: index of the subscription, and number.
    lost: Vec<(usize, u16)>,
    round_trip: RoundTrip,
    /// What its path carries, once it follows something with layers.
    pub(super) path: Option<Box<Path>>,
    reported: Option<Instant>,
    born: Instant,
    /// It waits for its turn.
    pub(super) queued: bool,
    /// What its timer is set to.
    pub(super) timed: Deadline,
}

/// What reports and wishes of a member ask for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// The lanes of which it wishes a keyframe.
    pub(super) keyframes: [[bool; LAYERS_MAX]; LANES],
    /// SSRC and timestamp of what its own sources said of their clocks.
    pub(super) clocks: [Option<(u32, u32)>; CLOCKS],
}

impl Member {
    /// Has it been here for a while? Whoever watches does not wait for those who come by the hundred.
    pub(super) fn is_settled(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.born) >= SETTLED_AFTER
    }

    pub(super) fn new(now: Instant, peer: Peer, key: PeerKey) -> Self {
        Self {
            peer,
            key,
            intake: Intake::default(),
            subscriptions: Vec::new(),
            retired: Vec::new(),
            lost: Vec::new(),
            round_trip: RoundTrip::default(),
            path: None,
            reported: None,
            born: now,
            queued: false,
            timed: Deadline::IDLE,
        }
    }

    /// Subscribes the first video and the first audio section on which the client receives to the main view, and its
    /// second video section to the camera, as far as it may see them. A section that was subscribed before keeps its numbering.
    pub(super) fn subscribe(&mut self, views: Views, entropy: &mut Entropy) {
        let sections = || self.peer.sections().iter().filter(|section| section.sends);
        let mut videos = sections().filter(|section| section.video);
        let wanted: [Option<(&Section, Lane)>; 3] = [
            videos.next().zip(views.main),
            sections().find(|section| !section.video).zip(views.main),
            videos.next().filter(|_| views.camera).map(|section| (section, Lane::Camera)),
        ];
        let mut before = std::mem::take(&mut self.subscriptions);
        before.append(&mut self.retired);
        // What was asked for is named by places in the list.
        self.lost.clear();
        self.subscriptions.reserve_exact(wanted.iter().flatten().count());
        for (section, lane) in wanted.into_iter().flatten() {
            let same = |known: &Subscription| known.sender.mid() == section.mid && known.sender.ssrc() == section.ssrc;
            let mut subscription = match before.iter().position(same) {
                Some(index) => before.swap_remove(index),
                None => Subscription::new(Sender::new(section, entropy), lane, section.video),
            };
            if subscription.lane != lane {
                subscription.shut();
                subscription.lane = lane;
            }
            subscription.sender.renegotiate(section);
            self.subscriptions.push(subscription);
        }
        let lives = |known: &Subscription| {
            let (mid, ssrc) = (known.sender.mid(), known.sender.ssrc());
            self.peer.sections().iter().any(|section| section.mid == mid && section.ssrc == ssrc)
        };
        before.retain(lives);
        before.iter_mut().for_each(Subscription::shut);
        self.retired = before;
    }

    /// Forgets what came from sources that no offer names any more.
    pub(super) fn forget_sources(&mut self) {
        let Self { peer, intake, .. } = self;
        intake.retain(|ssrc| peer.admits_source(ssrc));
    }

    pub(super) fn follows(&self, lane: Lane) -> bool {
        self.subscriptions.iter().any(|subscription| subscription.lane == lane)
    }

    /// Nothing is written before a keyframe.
    pub(super) fn shut(&mut self) {
        self.subscriptions.iter_mut().for_each(Subscription::shut);
    }

    /// Takes in a plain compound packet.
    pub(super) fn note(&mut self, now: Instant, compound: &[u8], asked: &mut Asked) {
        let mut feedback = 0;
        for item in rtcp::parse(compound) {
            feedback += usize::from(matches!(item, Item::TransportFeedback(_)));
            self.intake.note(now, &item);
            if let Some(path) = self.path.as_mut().filter(|_| feedback <= FEEDBACK_ITEMS_MAX) {
                path.note(now, &item);
            }
            if let Item::SenderReport { ssrc, timestamp, .. } = item
                && let Some(free) = asked.clocks.iter_mut().find(|clock| clock.is_none())
            {
                *free = Some((ssrc, timestamp));
            }
            match item {
                Item::SenderReport { blocks, .. } | Item::ReceiverReport { blocks, .. } => {
                    for block in blocks {
                        self.note_block(now, &block);
                    }
                }
                Item::Nack { media_ssrc, lost } => {
                    if let Some(index) = self.subscription_of(media_ssrc) {
                        let room = HISTORY_PACKETS.saturating_sub(self.lost.len());
                        self.lost.extend(lost.take(room).map(|number| (index, number)));
                    }
                }
                Item::Pli { media_ssrc } => self.ask(media_ssrc, asked),
                Item::Fir { targets } => targets.for_each(|(ssrc, _)| self.ask(ssrc, asked)),
                Item::Remb { .. } | Item::TransportFeedback(_) | Item::Bye { .. } | Item::Other { .. } => {}
            }
        }
    }

    fn note_block(&mut self, now: Instant, block: &ReportBlock) {
        self.round_trip.measure(now, block);
        let round_trip = self.round_trip.smoothed().unwrap_or(ROUND_TRIP_GUESS);
        let of_video = self.subscriptions.iter().any(|known| known.video && known.sender.ssrc() == block.ssrc);
        if let Some(path) = self.path.as_mut().filter(|_| of_video) {
            path.note_block(now, block, round_trip);
        }
    }

    /// Lets time pass; due at [`Self::deadline`].
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.peer.deadline().is_due(now) {
            self.peer.handle_timeout(now);
        }
        if let Some(path) = &mut self.path {
            path.estimator.handle_timeout(now);
        }
    }

    /// Has it something to send that no ring has?
    pub(super) fn has_output(&self, now: Instant) -> bool {
        let probes = || self.path_deadline().is_some_and(|at| at <= now);
        self.peer.has_output() || !self.lost.is_empty() || self.intake.has_output(now) || probes()
    }

    pub(super) fn deadline(&self) -> Deadline {
        let intake = self.intake.deadline().map_or(Deadline::IDLE, |at| Deadline::new(at, Reason::Feedback));
        let path = self.path_deadline();
        let path = path.map_or(Deadline::IDLE, |at| Deadline::new(at, Reason::Rate));
        self.peer.deadline().min(intake).min(path)
    }

    /// Nothing can be learned of a path on which nothing may leave.
    fn path_deadline(&self) -> Option<Instant> {
        self.path.as_ref().filter(|_| self.peer.is_connected())?.estimator.deadline()
    }

    /// Sends what is due: handshakes and connectivity checks, repairs, what came in since the last visit, and reports.
    /// Returns a lane whose codec the client lacks, once. Reports go last: a train may end with a short packet, but not
    /// begin with one.
    pub(super) fn visit(
        &mut self,
        now: Instant,
        lanes: &mut [Filling; LANES],
        outbox: &mut Outbox,
        compound: &mut Vec<u8>,
        totals: &mut MediaTotals,
    ) -> Option<Lane> {
        let (packets, bytes) = self.peer.poll(outbox);
        totals.sent(packets, bytes);
        self.select(now, lanes);
        let no_codec = self.send_media(now, lanes, outbox, totals);
        self.report(now, lanes, outbox, compound, totals);
        no_codec
    }

    fn send_media(
        &mut self,
        now: Instant,
        lanes: &mut [Filling; LANES],
        outbox: &mut Outbox,
        totals: &mut MediaTotals,
    ) -> Option<Lane> {
        let round_trip = self.round_trip.smoothed().unwrap_or(ROUND_TRIP_GUESS);
        let Self { peer, subscriptions, lost, path, .. } = self;
        let Some(mut departure) = peer.departure(now, outbox) else {
            for subscription in subscriptions {
                if let Some(filling) = lanes.get(subscription.lane as usize) {
                    subscription.pass_over(filling);
                }
            }
            lost.clear();
            return None;
        };
        let probe = path.as_mut().and_then(|path| path.estimator.probe(now));
        departure.estimator = path.as_mut().map(|path| &mut path.estimator);
        for (index, number) in lost.drain(..) {
            if let Some(subscription) = subscriptions.get_mut(index)
                && let Some(filling) = lanes.get(subscription.lane as usize)
            {
                subscription.repair(filling, number, round_trip, &mut departure);
            }
        }
        let mut no_codec = None;
        for subscription in subscriptions.iter_mut() {
            if let Some(filling) = lanes.get_mut(subscription.lane as usize)
                && filling.source.is_some()
                && subscription.forward(filling, &mut departure, totals)
            {
                no_codec = Some(subscription.lane);
            }
        }
        if let Some(probe) = probe
            && let Some(subscription) = subscriptions.iter_mut().find(|subscription| subscription.video)
            && let Some(filling) = lanes.get(subscription.lane as usize)
        {
            subscription.probe(filling, probe.bytes, &mut departure);
        }
        totals.sent(departure.packets, departure.bytes);
        no_codec
    }

    /// Decides which layers flow, where there is a choice.
    fn select(&mut self, now: Instant, lanes: &[Filling; LANES]) {
        let has_choice =
            |known: &Subscription| known.video && lanes.get(known.lane as usize).is_some_and(|filling| filling.layered);
        if self.path.is_none() && self.subscriptions.iter().any(has_choice) {
            self.path = Some(Box::new(Path::new(now)));
        }
        let Some(path) = &mut self.path else { return };
        for (index, subscription) in self.subscriptions.iter_mut().enumerate() {
            if lanes.get(subscription.lane as usize).is_some_and(|filling| subscription.is_left_by(filling)) {
                path.change_source(index);
            }
        }
        path.decide(now, lanes, &mut self.subscriptions);
    }

    /// Says goodbye: RTCP BYE, then DTLS close_notify.
    pub(super) fn close(&mut self, now: Instant, outbox: &mut Outbox, totals: &mut MediaTotals) {
        let mut compound = Vec::new();
        rtcp::receiver_report(&mut compound, self.speaks_as(), &[]);
        let sources: Vec<u32> = self.subscriptions.iter().map(|subscription| subscription.sender.ssrc()).collect();
        rtcp::bye(&mut compound, &sources);
        if !sources.is_empty() {
            self.send(now, outbox, &mut compound, totals);
        }
        self.peer.close();
        let (packets, bytes) = self.peer.poll(outbox);
        totals.sent(packets, bytes);
    }

    fn report(
        &mut self,
        now: Instant,
        lanes: &[Filling; LANES],
        outbox: &mut Outbox,
        compound: &mut Vec<u8>,
        totals: &mut MediaTotals,
    ) {
        let speaks_as = self.speaks_as();
        if self.intake.has_output(now) {
            compound.clear();
            self.intake.report(now, speaks_as, compound);
            self.send(now, outbox, compound, totals);
        }
        if self.reported.is_some_and(|at| now.saturating_duration_since(at) < REPORT_INTERVAL) {
            return;
        }
        compound.clear();
        let ntp = Ntp::from_elapsed(now.saturating_duration_since(self.born));
        for subscription in &self.subscriptions {
            let clock = lanes.get(subscription.lane as usize).and_then(|filling| subscription.clock(filling));
            if let Some(report) = subscription.sender.report(now, clock) {
                rtcp::sender_report(compound, report.ssrc, ntp, report.timestamp, report.packets, report.bytes, &[]);
                rtcp::sdes_cname(compound, report.ssrc, CNAME);
            }
        }
        if !compound.is_empty() && self.send(now, outbox, compound, totals) {
            self.round_trip.sent(now, ntp);
            self.reported = Some(now);
        }
    }

    fn send(&mut self, now: Instant, outbox: &mut Outbox, compound: &mut Vec<u8>, totals: &mut MediaTotals) -> bool {
        if compound.is_empty() {
            return false;
        }
        let sent = self.peer.send_rtcp(now, compound, outbox);
        totals.sent(u64::from(sent.is_some()), sent.unwrap_or_default());
        sent.is_some()
    }

    fn speaks_as(&self) -> u32 {
        self.subscriptions.first().map_or(SILENT_SSRC, |subscription| subscription.sender.ssrc())
    }

    fn subscription_of(&self, ssrc: u32) -> Option<usize> {
        self.subscriptions.iter().position(|subscription| subscription.sender.ssrc() == ssrc)
    }

    fn ask(&self, ssrc: u32, asked: &mut Asked) {
        let subscription = self.subscription_of(ssrc).and_then(|index| self.subscriptions.get(index));
        if let Some(subscription) = subscription.filter(|subscription| subscription.video)
            && let Some(wishes) = asked.keyframes.get_mut(subscription.lane as usize)
            && let Some(wish) = wishes.get_mut(subscription.layer())
        {
            *wish = true;
        }
    }
}

/// Where in a member's list of sections one is.
pub(super) fn section_index(peer: &Peer, mid: Mid) -> Option<usize> {
    peer.sections().iter().position(|section| section.mid == mid)
}
