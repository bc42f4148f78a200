//! What a viewer would have on the screen of the packets that came: pictures in their order, standstills, changes of encoding.
//!
//! A picture is shown once it is whole and the one before it was shown, or when it is a keyframe. Order is that of the
//! receiver's numbering, so that late packets and repairs do not look like a way back.

use std::collections::BTreeMap;

use crate::media::{Mark, Run, Watch};

/// Frames under way, and whole frames that wait for an earlier one.
const FRAMES_MAX: usize = 128;

/// A frame by its source and number.
type Name = (u32, u32);

/// One viewer's screen.
#[derive(Debug, Default)]
pub struct Viewing {
    /// Packets still missing.
    partial: BTreeMap<Name, u8>,
    /// Whole, and the number of its first packet.
    waiting: BTreeMap<Name, u64>,
    shown: Option<(Name, u64)>,
    /// Whole keyframe shown first, and the last picture.
    pub first_us: Option<u64>,
    last_us: u64,
    pub frames: u64,
    /// The longest time between two pictures.
    pub gap_us_max: u64,
    /// Changes of encoding: when, and to which source.
    pub switches: Vec<(u64, u32)>,
    newest: Option<(u64, u32)>,
    /// The numbering as a whole, kept by those who look at every packet.
    watch: Watch,
}

impl Viewing {
    /// One packet: its extended number, its RTP time, its plain payload.
    pub fn note(&mut self, number: u64, timestamp: u32, payload: &[u8], at_us: u64) -> Option<Mark> {
        let mark = Mark::read(payload)?;
        self.watch.note(number, timestamp, payload, at_us);
        match self.newest {
            Some((newest, _)) if number < newest => {}
            before => {
                self.newest = Some((number, mark.share));
                if before.is_some_and(|(_, share)| share != mark.share) {
                    self.switches.push((at_us, mark.share));
                }
            }
        }
        self.note_packet(number, mark, at_us);
        Some(mark)
    }

    fn note_packet(&mut self, number: u64, mark: Mark, at_us: u64) {
        let name = (mark.share, mark.frame);
        let missing = self.partial.entry(name).or_insert(mark.count);
        *missing = missing.saturating_sub(1);
        if *missing > 0 {
            while self.partial.len() > FRAMES_MAX {
                self.partial.pop_first();
            }
            return;
        }
        self.partial.remove(&name);
        let first = number.saturating_sub(mark.index.into());
        let is_past = self.shown.is_some_and(|(_, shown)| first <= shown);
        if is_past {
            return;
        }
        if mark.key || self.shown.is_some_and(|(shown, _)| shown == (mark.share, mark.frame.wrapping_sub(1))) {
            self.show(name, first, at_us);
        } else {
            self.waiting.insert(name, first);
            while self.waiting.len() > FRAMES_MAX {
                self.waiting.pop_first();
            }
        }
    }

    fn show(&mut self, name: Name, first: u64, at_us: u64) {
        let (mut name, mut first) = (name, first);
        loop {
            self.shown = Some((name, first));
            self.frames += 1;
            let Some(next) = self.waiting.remove(&(name.0, name.1.wrapping_add(1))) else { break };
            (name, first) = ((name.0, name.1.wrapping_add(1)), next);
        }
        self.waiting.retain(|_, waiting| *waiting > first);
        if self.first_us.is_some() {
            self.gap_us_max = self.gap_us_max.max(at_us.saturating_sub(self.last_us));
        }
        self.first_us.get_or_insert(at_us);
        self.last_us = self.last_us.max(at_us);
    }

    /// The run ends: a picture that stands still until then counts.
    pub fn finish(&mut self, at_us: u64) {
        if self.first_us.is_some() {
            self.gap_us_max = self.gap_us_max.max(at_us.saturating_sub(self.last_us));
        }
    }

    /// For how long there has been no new picture.
    pub fn stands_since(&self) -> Option<u64> {
        self.first_us.map(|_| self.last_us)
    }

    /// The source of the newest packet.
    pub fn follows(&self) -> Option<u32> {
        self.newest.map(|(_, share)| share)
    }

    /// The most changes of encoding within ten seconds, those before `settled_us` aside.
    pub fn most_switches(&self, settled_us: u64) -> usize {
        let times = || self.switches.iter().map(|(at, _)| *at).filter(|at| *at >= settled_us);
        times().map(|from| times().filter(|at| (from..from + 10_000_000).contains(at)).count()).max().unwrap_or(0)
    }

    /// Changes of encoding that a correct server does not make: with nothing lost in between and no keyframe at the beginning.
    pub fn keyless(&self) -> Vec<Run> {
        let pairs = self.watch.runs().zip(self.watch.runs().skip(1));
        pairs.filter(|(one, next)| one.last + 1 == next.first && !next.from_key).map(|(_, next)| *next).collect()
    }

    /// What was received of which source, in the order of the numbering.
    pub const fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Forgets what was counted, not where the stream is.
    pub fn restart(&mut self) {
        (self.frames, self.gap_us_max) = (0, 0);
        self.switches.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sender(Viewing);

    impl Sender {
        fn frame(&mut self, first: u64, (share, frame, key): (u32, u32, bool), indices: &[u8], at_us: u64) {
            for index in indices {
                let mark = Mark { share, frame, key, index: *index, count: 2, at_us: 0 };
                self.0.note(first + u64::from(*index), frame * 3_000, &mark.to_payload(0), at_us);
            }
        }
    }

    #[test]
    fn a_picture_waits_for_the_one_before_it_and_a_keyframe_for_nobody() {
        let mut sender = Sender(Viewing::default());
        sender.frame(10, (1, 0, false), &[0, 1], 1);
        assert_eq!(sender.0.first_us, None, "nothing is shown before a keyframe");
        sender.frame(12, (1, 1, true), &[0, 1], 100);
        sender.frame(14, (1, 2, false), &[0], 200);
        sender.frame(16, (1, 3, false), &[0, 1], 300);
        assert_eq!((sender.0.first_us, sender.0.frames), (Some(100), 1));
        sender.frame(14, (1, 2, false), &[1], 900);
        assert_eq!((sender.0.frames, sender.0.gap_us_max), (3, 800), "a repair shows both");
        sender.frame(20, (1, 5, false), &[0, 1], 1_000);
        assert_eq!(sender.0.frames, 3, "one is missing");
        sender.frame(22, (1, 6, true), &[0, 1], 1_100);
        sender.frame(18, (1, 4, false), &[0, 1], 1_200);
        assert_eq!((sender.0.frames, sender.0.gap_us_max), (4, 800), "what came too late is not shown");
        sender.0.finish(5_000);
        assert_eq!(sender.0.gap_us_max, 3_900);
    }

    #[test]
    fn changes_of_encoding_are_counted_and_must_begin_with_a_keyframe() {
        let mut sender = Sender(Viewing::default());
        sender.frame(10, (1, 1, true), &[0, 1], 0);
        sender.frame(14, (2, 8, true), &[0, 1], 1_000_000);
        sender.frame(12, (1, 2, false), &[0, 1], 1_100_000);
        assert_eq!(sender.0.switches, [(1_000_000, 2)], "a late packet is no way back");
        sender.frame(16, (1, 3, false), &[0, 1], 9_000_000);
        assert_eq!((sender.0.most_switches(0), sender.0.most_switches(2_000_000)), (2, 1));
        let keyless: Vec<_> = sender.0.keyless().iter().map(|run| (run.share, run.first)).collect();
        assert_eq!(keyless, [(1, 16)]);
        // The beginning of this one was lost: nobody can say that it was not a keyframe.
        sender.frame(18, (2, 9, true), &[1], 9_100_000);
        assert_eq!(sender.0.keyless().len(), 1);
    }
}
