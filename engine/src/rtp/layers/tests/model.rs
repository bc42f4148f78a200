//! An encoder that knows what each of its frames depends on, against the selector.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// A frame's name: picture and spatial layer.
type Name = (u32, u8);

struct Encoder {
    spatial: u8,
    temporal: u8,
    /// Upper spatial layers use lower ones only in key pictures (K-SVC).
    key_only: bool,
    /// Marks the frames that begin their temporal layer anew, as VP8 does; otherwise the frames after which higher
    /// ones begin anew, as VP9 and AV1 do.
    marks_begin: bool,
    /// The last frame of each spatial × temporal layer.
    last: [[Option<Name>; 4]; 3],
}

struct Frame {
    name: Name,
    place: Place,
    needs: Vec<Name>,
}

impl Encoder {
    fn picture(&mut self, picture: u32, keyframe: bool, syncs: u8) -> Vec<Frame> {
        let temporal = match (self.temporal, picture % 4) {
            (3, 1 | 3) => 2,
            (3, 2) | (2, 1 | 3) => 1,
            _ => 0,
        };
        let temporal = if keyframe { 0 } else { temporal };
        let sync = |spatial: u8| syncs >> spatial & 1 == 1;
        (0..self.spatial).map(|spatial| self.frame((picture, spatial), temporal, keyframe, sync(spatial))).collect()
    }

    fn frame(&mut self, name: Name, temporal: u8, keyframe: bool, sync: bool) -> Frame {
        let (picture, spatial) = name;
        let row = &mut self.last[usize::from(spatial)];
        let begins = self.marks_begin && sync && temporal > 0;
        let mut needs: Vec<Name> = if keyframe {
            Vec::new()
        } else if begins {
            row[0].into_iter().collect()
        } else {
            row[..=usize::from(temporal)].iter().flatten().copied().collect()
        };
        let independent = needs.is_empty();
        if spatial > 0 && (keyframe || !self.key_only) {
            needs.push((picture, spatial - 1));
        }
        if keyframe {
            *row = [None; 4];
        }
        let opens = !self.marks_begin && sync;
        if opens {
            row[usize::from(temporal) + 1..].fill(None);
        }
        row[usize::from(temporal)] = Some(name);
        let is_key = keyframe && spatial == 0;
        let place = Place {
            spatial,
            temporal,
            opens: if opens || is_key { 3 } else { temporal },
            begins_frame: true,
            ends_frame: true,
            keyframe: is_key,
            independent,
            switch_up: begins,
        };
        Frame { name, place, needs }
    }
}

#[derive(Debug, Clone)]
struct Turn {
    keyframe: bool,
    /// Where temporal layers begin anew; one bit per spatial layer.
    syncs: u8,
    aim: Option<(u8, u8, u8)>,
    /// The last packet of this picture comes after the next picture.
    late: bool,
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let aim = proptest::option::weighted(0.15, (0..2_u8, 0..3_u8, 0..4_u8));
    let turn = (proptest::bool::weighted(0.08), any::<u8>(), aim, proptest::bool::weighted(0.1))
        .prop_map(|(keyframe, syncs, aim, late)| Turn { keyframe, syncs, aim, late });
    proptest::collection::vec(turn, 20..160)
}

fn encoder(shape: (u8, u8, bool, bool)) -> Encoder {
    let (spatial, temporal, key_only, marks_begin) = shape;
    // VP8 has no spatial layers.
    let spatial = if marks_begin { 1 } else { spatial };
    Encoder { spatial, temporal, key_only, marks_begin, last: [[None; 4]; 3] }
}

/// What a viewer has of one encoding, and what the rules say about it.
#[derive(Default)]
struct Viewer {
    flowing: Option<u8>,
    has: BTreeSet<Name>,
    refused: BTreeSet<Name>,
    shown: u32,
}

impl Viewer {
    /// One packet of a frame and its verdict; `first` when it is the first of its frame.
    fn packet(&mut self, simulcast: u8, frame: &Frame, verdict: Verdict, first: bool) -> Result<(), TestCaseError> {
        let passes = matches!(verdict, Verdict::Forward { .. });
        if self.flowing != Some(simulcast) {
            if !passes {
                return Ok(());
            }
            prop_assert!(frame.place.keyframe && first, "an encoding begins with a keyframe");
            *self = Self { flowing: Some(simulcast), shown: self.shown, ..Self::default() };
        }
        if !first {
            prop_assert_eq!(passes, self.has.contains(&frame.name), "{:?}: whole or not at all", frame.name);
            return Ok(());
        }
        if passes {
            for need in &frame.needs {
                prop_assert!(self.has.contains(need), "{:?} needs {need:?}", frame.name);
            }
            self.has.insert(frame.name);
            self.shown += 1;
        } else {
            prop_assert!(frame.place.spatial > 0 || frame.place.temporal > 0, "silence at {:?}", frame.name);
            self.refused.insert(frame.name);
        }
        Ok(())
    }
}

fn play(shape: (u8, u8, bool, bool), turns: &[Turn]) -> Result<u32, TestCaseError> {
    let mut encoders = [encoder(shape), encoder(shape)];
    let (mut selector, mut viewer) = (Selector::default(), Viewer::default());
    let mut late: Vec<(u8, Frame)> = Vec::new();
    for (number, turn) in turns.iter().enumerate() {
        let picture = number as u32;
        if let Some((simulcast, spatial, temporal)) = turn.aim {
            selector.aim(Target { simulcast, spatial, temporal });
        }
        let mut delayed = Vec::new();
        for (simulcast, encoder) in (0_u8..).zip(&mut encoders) {
            let keyframe = turn.keyframe || (selector.wish() == Some(simulcast) && picture.is_multiple_of(3));
            for frame in encoder.picture(picture, keyframe, turn.syncs) {
                let place = frame.place;
                let verdict = selector.forward(simulcast, picture * 3_000, &place);
                viewer.packet(simulcast, &frame, verdict, true)?;
                let aim = selector.target();
                let above = place.spatial > aim.spatial || place.temporal > aim.temporal;
                prop_assert!(
                    aim.simulcast != simulcast || !above || verdict == Verdict::Drop,
                    "above what is aimed at"
                );
                prop_assert_eq!(selector.simulcast(), viewer.flowing);
                if turn.late {
                    delayed.push((simulcast, frame));
                } else {
                    second(&mut selector, &mut viewer, simulcast, &frame)?;
                }
            }
        }
        for (simulcast, frame) in std::mem::replace(&mut late, delayed) {
            second(&mut selector, &mut viewer, simulcast, &frame)?;
        }
    }
    Ok(viewer.shown)
}

/// The second packet of a frame, some time later.
fn second(selector: &mut Selector, viewer: &mut Viewer, simulcast: u8, frame: &Frame) -> Result<(), TestCaseError> {
    let was_known = viewer.has.contains(&frame.name) || viewer.refused.contains(&frame.name);
    if selector.simulcast() != Some(simulcast) || !was_known {
        return Ok(());
    }
    let place = Place { begins_frame: false, keyframe: false, ..frame.place };
    let verdict = selector.forward(simulcast, frame.name.0 * 3_000, &place);
    viewer.packet(simulcast, frame, verdict, false)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_passes_without_what_it_needs(
        shape in (1..=3_u8, 1..=3_u8, any::<bool>(), any::<bool>()),
        turns in turns(),
    ) {
        play(shape, &turns)?;
    }

    #[test]
    fn everything_passes_when_everything_is_aimed_at(
        shape in (1..=3_u8, 1..=3_u8, any::<bool>(), any::<bool>()),
        mut turns in turns(),
    ) {
        turns.iter_mut().for_each(|turn| turn.aim = None);
        let frames = if shape.3 { 1 } else { u32::from(shape.0) } * turns.len() as u32;
        prop_assert_eq!(play(shape, &turns)?, frames, "the first picture is a keyframe by wish");
    }
}
