//! Ingress: everything that one member sends us as media.
//!
//! Owns which source belongs to which media section and encoding, what is received of each, and what is said back:
//! receiver reports, NACKs, transport-wide feedback, keyframe requests. Invariants:
//! - Only authenticated packets come here, so only they create state; at most [`SSRC_MAX`] sources are known,
//!   of which the longest silent one gives way.
//! - Of every source number, one packet at most goes on to the track.
//!
//! It leaves to [`crate::peer`] what is authentic, to [`super::ring`] what is kept.
//! RFCs: 3550, 4585 (feedback), 4588 (RTX), 5576 and 8852 (what a source is).

use std::ops::Range;
use std::time::{Duration, Instant};

use fanlight_wire::limits::{REPORT_INTERVAL, SSRC_MAX};

use super::bwe::{Departed, Observer};
use super::header::{Extension, ExtensionMap, Header};
use super::receive::{Reception, original};
use super::rtcp::{self, Item, ReportBlock};
use super::{ring, twcc};
use crate::peer::{Declared, Format, Meaning, Section};

/// Encodings of one section.
pub(crate) const LAYERS_MAX: usize = super::layers::SIMULCAST_MAX;
/// Feedback may wait so long for a packet to go with before time alone sends it.
const FEEDBACK_SLACK: Duration = Duration::from_millis(50);

/// Feedback about arrivals, of 900 bytes at most, follows no more reports and wishes than this in one datagram.
const FEEDBACK_ROOM: usize = 300;

/// A member's media as it comes in.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    streams: Vec<Stream>,
    recorder: twcc::Recorder,
    /// For a member that wants to be told what its path carries.
    observer: Option<Box<Observer>>,
    /// A source to name in transport-wide feedback.
    heard: u32,
    reported: Option<Instant>,
    /// Extensions of the packet that was taken in last.
    carried: Vec<u8>,
    lost: Vec<u16>,
}

#[derive(Debug)]
struct Stream {
    ssrc: u32,
    section: usize,
    layer: usize,
    /// It repeats the packets of this source.
    repairs: Option<u32>,
    reception: Reception,
    keyframe_wanted: bool,
    heard: Instant,
}

/// A packet for a track.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) section: usize,
    pub(crate) layer: usize,
    pub(crate) ssrc: u32,
    pub(crate) format: Format,
    pub(crate) sequence: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) payload: &'a [u8],
    /// As [`ring::carry`] writes them.
    pub(crate) carried: &'a [u8],
    /// What its dependency descriptor says, if it has one.
    pub(crate) dependency: Option<&'a [u8]>,
}

/// What was negotiated with the member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) sections: &'a [Section],
    pub(crate) declared: &'a [Declared],
    /// The names of each section's encodings (RFC 8852), smallest first.
    pub(crate) rids: &'a [(usize, String)],
    pub(crate) meaning: Option<Meaning>,
    /// It reads REMB and no transport-wide feedback.
    pub(crate) reads_remb: bool,
}

/// Why a packet goes nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dead {
    /// Belongs to no section, or has a payload type that was not agreed on.
    Unknown,
    /// Padding, or a packet that was there before.
    Surplus,
}

/// Extensions that say where a packet belongs.
#[derive(Debug, Default)]
struct Labels<'a> {
    mid: Option<&'a [u8]>,
    rid: Option<&'a [u8]>,
    repaired_rid: Option<&'a [u8]>,
}

impl Intake {
    /// Takes in an opened packet.
    pub(crate) fn take<'a>(
        &'a mut self,
        now: Instant,
        terms: Terms<'_>,
        header: &Header,
        packet: &'a [u8],
        payload: Range<usize>,
    ) -> Result<Incoming<'a>, Dead> {
        let known = self.streams.iter().position(|stream| stream.ssrc == header.ssrc);
        let index = match known {
            Some(index) => index,
            None => self.introduce(now, terms, header, packet)?,
        };
        let extensions = terms.sections.get(self.streams.get(index).ok_or(Dead::Unknown)?.section);
        let extensions = extensions.map(|section| section.extensions).ok_or(Dead::Unknown)?;
        self.heard = header.ssrc;
        let dependency = self.read_extensions(now, &extensions, header, packet);
        if terms.reads_remb && terms.meaning.is_some_and(Meaning::is_video) {
            self.observe(now, &extensions, header, packet);
        }
        let payload = packet.get(payload).unwrap_or_default();
        let stream = self.streams.get_mut(index).ok_or(Dead::Unknown)?;
        stream.heard = now;
        let Stream { section, layer, repairs, .. } = *stream;
        let (ssrc, format, sequence, payload) = match (repairs, terms.meaning) {
            (None, Some(Meaning::Media(format))) => {
                let stream = self.streams.get_mut(index).ok_or(Dead::Unknown)?;
                let arrival = stream.reception.arrived(now, header.sequence, header.timestamp);
                (header.ssrc, format, arrival.sequence().ok_or(Dead::Surplus)?, payload)
            }
            (Some(repaired), Some(Meaning::Repair(format))) => {
                if let Some(stream) = self.streams.get_mut(index) {
                    stream.reception.arrived(now, header.sequence, header.timestamp);
                }
                let (sequence, payload) = original(payload).ok_or(Dead::Surplus)?;
                let main = self.streams.iter_mut().find(|stream| stream.ssrc == repaired).ok_or(Dead::Surplus)?;
                let arrival = main.reception.repaired(now, sequence);
                (repaired, format, arrival.sequence().ok_or(Dead::Surplus)?, payload)
            }
            _ => return Err(Dead::Unknown),
        };
        let Header { timestamp, marker, .. } = *header;
        let carried = self.carried.as_slice();
        Ok(Incoming { section, layer, ssrc, format, sequence, timestamp, marker, payload, carried, dependency })
    }

    /// Forgets the sources that are no longer `wanted`, so that others find room.
    pub(crate) fn retain(&mut self, wanted: impl Fn(u32) -> bool) {
        self.streams.retain(|stream| wanted(stream.ssrc));
    }

    /// Takes in what a sender says about its sources.
    pub(crate) fn note(&mut self, now: Instant, item: &Item<'_>) {
        if let Item::SenderReport { ssrc, ntp, timestamp, .. } = item
            && let Some(stream) = self.streams.iter_mut().find(|stream| stream.ssrc == *ssrc)
        {
            stream.reception.sender_report(now, *ntp, *timestamp);
        }
    }

    /// Asks for a keyframe with the next feedback. False while the encoding has not been heard.
    pub(crate) fn request_keyframe(&mut self, section: usize, layer: usize) -> bool {
        let wanted =
            |stream: &&mut Stream| stream.section == section && stream.layer == layer && stream.repairs.is_none();
        // A section whose encoder was made anew has an old source as well; the newest is the one that is alive.
        let stream = self.streams.iter_mut().rev().find(wanted);
        stream.map(|stream| stream.keyframe_wanted = true).is_some()
    }

    /// Packets were given up: only a keyframe helps. The section and encoding, one at a time.
    pub(crate) fn poll_broken(&mut self) -> Option<(usize, usize)> {
        self.streams
            .iter_mut()
            .find_map(|stream| stream.reception.take_keyframe_wish().then_some((stream.section, stream.layer)))
    }

    /// Is there something to say at `now`? Never by who has sent nothing. Feedback about arrivals goes with the packet that finds it due.
    pub(crate) fn has_output(&self, now: Instant) -> bool {
        if self.streams.is_empty() {
            return false;
        }
        let due = |at: Instant| at <= now;
        self.recorder.deadline().is_some_and(due)
            || self.observer.as_ref().is_some_and(|observer| due(observer.deadline()))
            || self.streams.iter().any(|stream| stream.keyframe_wanted || stream.reception.deadline().is_some_and(due))
            || self.report_at().is_some_and(due)
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.streams.is_empty() {
            return None;
        }
        let repairs = self.streams.iter().filter_map(|stream| stream.reception.deadline()).min();
        let feedback = self.recorder.deadline().map(|at| at + FEEDBACK_SLACK);
        [repairs, feedback].into_iter().flatten().min()
    }

    /// Appends the reports and wishes that are due. `sender` is the SSRC to speak as.
    pub(crate) fn report(&mut self, now: Instant, sender: u32, out: &mut Vec<u8>) {
        let mut blocks = [ReportBlock::default(); SSRC_MAX];
        let mut count = 0;
        if self.report_at().is_some_and(|at| at <= now) {
            self.reported = Some(now);
            for stream in &mut self.streams {
                if let (Some(block), Some(place)) = (stream.reception.report(now, stream.ssrc), blocks.get_mut(count)) {
                    *place = block;
                    count += 1;
                }
            }
        }
        // RFC 3550 §6.1: a compound begins with a report, even an empty one.
        let begins = out.len();
        rtcp::receiver_report(out, sender, blocks.get(..count).unwrap_or_default());
        let empty = out.len();
        for stream in &mut self.streams {
            self.lost.clear();
            stream.reception.wishes(now, &mut self.lost);
            if !self.lost.is_empty() {
                rtcp::nack(out, sender, stream.ssrc, self.lost.iter().copied());
            }
            if std::mem::take(&mut stream.keyframe_wanted) {
                rtcp::pli(out, sender, stream.ssrc);
            }
        }
        if let Some(bps) = self.observer.as_mut().and_then(|observer| observer.say(now)) {
            let mut sources = [0; SSRC_MAX];
            let heard = self.streams.iter().filter(|stream| stream.repairs.is_none());
            let count = sources.iter_mut().zip(heard).map(|(place, stream)| *place = stream.ssrc).count();
            rtcp::remb(out, sender, bps, sources.get(..count).unwrap_or_default());
        }
        // What does not fit goes with the next compound.
        let more = out.len() - begins <= FEEDBACK_ROOM && self.recorder.build(now, sender, self.heard, out);
        if out.len() == empty && count == 0 && !more {
            out.truncate(begins);
        }
    }

    fn report_at(&self) -> Option<Instant> {
        self.reported.map(|at| at + REPORT_INTERVAL)
    }

    /// Finds out what a new source is.
    fn introduce(&mut self, now: Instant, terms: Terms<'_>, header: &Header, packet: &[u8]) -> Result<usize, Dead> {
        let named = terms.declared.iter().find(|declared| declared.ssrc == header.ssrc);
        let (section, layer, repairs) = match named {
            Some(declared) => (declared.section, declared.layer, declared.repairs),
            None => self.place(terms, header, packet).ok_or(Dead::Unknown)?,
        };
        let receives = terms.sections.get(section).is_some_and(|section| section.receives);
        if !receives || layer >= LAYERS_MAX {
            return Err(Dead::Unknown);
        }
        let (clock, is_repairable) = match terms.meaning.ok_or(Dead::Unknown)? {
            Meaning::Media(format) => (format.codec.clock_hertz(), format.codec.is_video()),
            Meaning::Repair(format) => (format.codec.clock_hertz(), false),
        };
        self.reported.get_or_insert(now);
        self.make_room();
        let (ssrc, reception) = (header.ssrc, Reception::new(clock, is_repairable));
        self.streams.push(Stream { ssrc, section, layer, repairs, reception, keyframe_wanted: false, heard: now });
        Ok(self.streams.len() - 1)
    }

    /// Where an offer does not name its sources, encoders that are made anew leave old ones behind.
    fn make_room(&mut self) {
        if self.streams.len() >= SSRC_MAX
            && let Some(silent) =
                (0..self.streams.len()).min_by_key(|place| self.streams.get(*place).map(|stream| stream.heard))
        {
            self.streams.remove(silent);
        }
    }

    /// Where a source belongs that no offer names: by its labels, else by the only section that its format fits.
    fn place(&self, terms: Terms<'_>, header: &Header, packet: &[u8]) -> Option<(usize, usize, Option<u32>)> {
        let is_repair = matches!(terms.meaning?, Meaning::Repair(..));
        let video = terms.meaning?.is_video();
        let candidates = || terms.sections.iter().enumerate().filter(|(_, s)| s.receives && s.video == video);
        let labelled = candidates().find_map(|(index, section)| {
            let labels = Labels::read(&section.extensions, header, packet);
            (labels.mid? == section.mid.as_bytes()).then_some((index, labels))
        });
        let (section, labels) = match labelled {
            Some(found) => found,
            None => {
                let mut fitting = candidates();
                let (index, section) = fitting.next()?;
                let labels = Labels::read(&section.extensions, header, packet);
                (fitting.next().is_none() && labels.mid.is_none()).then_some((index, labels))?
            }
        };
        let layer = labels.rid.or(labels.repaired_rid).map_or(Some(0), |rid| terms.layer(section, rid))?;
        if !is_repair {
            return Some((section, layer, None));
        }
        let main = |stream: &&Stream| stream.section == section && stream.layer == layer && stream.repairs.is_none();
        // A repair of what has not been heard cannot be placed yet.
        let repaired = self.streams.iter().rev().find(main)?.ssrc;
        Some((section, layer, Some(repaired)))
    }

    /// Measures the member's path.
    fn observe(&mut self, now: Instant, extensions: &ExtensionMap, header: &Header, packet: &[u8]) {
        let absolute = header
            .extensions(packet)
            .find(|(id, _)| extensions.extension(*id) == Some(Extension::AbsoluteSendTime))
            .and_then(|(_, value)| value.try_into().ok());
        let Header { ssrc, timestamp, .. } = *header;
        let departed = absolute.map_or(Departed::Timestamp { ssrc, timestamp }, Departed::Absolute);
        let observer = self.observer.get_or_insert_with(|| Box::new(Observer::new(now)));
        observer.on_packet(now, departed, packet.len());
    }

    /// Notes the packet for feedback, keeps what travels on; the dependency descriptor, if there is one.
    fn read_extensions<'a>(
        &mut self,
        now: Instant,
        extensions: &ExtensionMap,
        header: &Header,
        packet: &'a [u8],
    ) -> Option<&'a [u8]> {
        let mut dependency = None;
        self.carried.clear();
        for (id, value) in header.extensions(packet) {
            match extensions.extension(id) {
                Some(Extension::TransportSequence) => {
                    if let Ok(sequence) = value.try_into() {
                        self.recorder.note(u16::from_be_bytes(sequence), now);
                    }
                }
                Some(extension) if extension.is_carried() => {
                    ring::carry(&mut self.carried, extension, value);
                    if extension == Extension::DependencyDescriptor {
                        dependency = Some(value);
                    }
                }
                _ => {}
            }
        }
        dependency
    }
}

impl Terms<'_> {
    fn layer(&self, section: usize, rid: &[u8]) -> Option<usize> {
        let of_section = self.rids.iter().filter(|(known, _)| *known == section);
        of_section.map(|(_, name)| name.as_bytes()).position(|name| name == rid)
    }
}

impl<'a> Labels<'a> {
    fn read(extensions: &ExtensionMap, header: &Header, packet: &'a [u8]) -> Self {
        let mut labels = Self::default();
        for (id, value) in header.extensions(packet) {
            match extensions.extension(id) {
                Some(Extension::Mid) => labels.mid = Some(value),
                Some(Extension::Rid) => labels.rid = Some(value),
                Some(Extension::RepairedRid) => labels.repaired_rid = Some(value),
                _ => {}
            }
        }
        labels
    }
}
