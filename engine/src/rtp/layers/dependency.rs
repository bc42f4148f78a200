//! The dependency descriptor (AV1 RTP specification, appendix A): templates kept, places read from them.
//!
//! Reading walks over at most [`TEMPLATES_MAX`] templates and the bits that are there; whatever does not add up is
//! `None` and changes nothing.

use super::Place;

const TEMPLATES_MAX: usize = 64;
const NEXT_TEMPORAL: u32 = 1;
const NEXT_SPATIAL: u32 = 2;
const LAST_TEMPLATE: u32 = 3;
/// Decode target indications: not present 0, discardable 1, switch 2, required 3.
const NOT_PRESENT: u32 = 0;
const SWITCH: u32 = 2;

/// What a template says about frames made after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Template {
    spatial: u8,
    temporal: u8,
    opens: u8,
    independent: bool,
    /// Two bits per decode target.
    indications: u64,
}

/// The templates that a keyframe announced.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Structure {
    offset: u32,
    templates: Vec<Template>,
    /// Highest spatial and temporal layer of each decode target.
    targets: Vec<(u8, u8)>,
    chains: u32,
}

/// The place that `bytes` describes. A structure inside replaces the one that is kept.
pub(super) fn place(kept: &mut Option<Box<Structure>>, bytes: &[u8]) -> Option<Place> {
    let mut bits = Bits { bytes, at: 0 };
    let (begins, ends) = (bits.read(1)? == 1, bits.read(1)? == 1);
    let (template, _frame_number) = (bits.read(6)?, bits.read(16)?);
    let mut flags = [false; 5];
    if bytes.len() > 3 {
        for flag in &mut flags {
            *flag = bits.read(1)? == 1;
        }
    }
    let [announces, active, own_indications, own_references, _own_chains] = flags;
    if announces {
        *kept = Some(Box::new(Structure::read(&mut bits)?));
    }
    let structure = kept.as_deref()?;
    if active {
        bits.read(u32::try_from(structure.targets.len()).ok()?)?;
    }
    let index = (template + 64 - structure.offset) % 64;
    let mut found = *structure.templates.get(usize::try_from(index).ok()?)?;
    if own_indications {
        found.indications = bits.indications(structure.targets.len())?;
        found.opens = structure.opens(&found);
    }
    if own_references {
        found.independent = bits.references_are_near(found.spatial)?;
    }
    Some(Place {
        spatial: found.spatial,
        temporal: found.temporal,
        opens: found.opens,
        begins_frame: begins,
        ends_frame: ends,
        independent: found.independent,
        ..Place::default()
    })
}

impl Structure {
    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        let mut structure = Self { offset: bits.read(6)?, ..Self::default() };
        let targets = bits.read(5)? as usize + 1;
        structure.read_layers(bits)?;
        for template in &mut structure.templates {
            template.indications = bits.indications(targets)?;
        }
        for template in &mut structure.templates {
            template.independent = true;
            while bits.read(1)? == 1 {
                let back = bits.read(4)? + 1;
                // A frame no farther back than there are lower spatial layers belongs to the same picture.
                template.independent &= back <= u32::from(template.spatial);
            }
        }
        structure.skip_chains(bits, targets)?;
        structure.targets = (0..targets).map(|target| structure.target(target)).collect();
        for index in 0..structure.templates.len() {
            let opens = structure.templates.get(index).map(|template| structure.opens(template));
            if let (Some(template), Some(opens)) = (structure.templates.get_mut(index), opens) {
                template.opens = opens;
            }
        }
        if bits.read(1)? == 1 {
            let spatial = structure.templates.iter().map(|template| template.spatial).max()?;
            (0..=spatial).try_for_each(|_| bits.read(32).map(|_| ()))?;
        }
        Some(structure)
    }

    fn read_layers(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        let (mut spatial, mut temporal) = (0_u8, 0_u8);
        loop {
            if self.templates.len() == TEMPLATES_MAX {
                return None;
            }
            self.templates.push(Template { spatial, temporal, ..Template::default() });
            match bits.read(2)? {
                NEXT_TEMPORAL => temporal += 1,
                NEXT_SPATIAL => (spatial, temporal) = (spatial + 1, 0),
                LAST_TEMPLATE => return Some(()),
                _ => {}
            }
        }
    }

    fn skip_chains(&mut self, bits: &mut Bits<'_>, targets: usize) -> Option<()> {
        self.chains = bits.below(targets as u32 + 1)?;
        if self.chains == 0 {
            return Some(());
        }
        for _ in 0..targets {
            bits.below(self.chains)?;
        }
        for _ in 0..self.templates.len() * self.chains as usize {
            bits.read(4)?;
        }
        Some(())
    }

    fn target(&self, target: usize) -> (u8, u8) {
        let present = self.templates.iter().filter(|template| template.indication(target) != NOT_PRESENT);
        present.fold((0, 0), |(spatial, temporal), template| {
            (spatial.max(template.spatial), temporal.max(template.temporal))
        })
    }

    /// The highest temporal layer of a target of this spatial layer that may begin here.
    fn opens(&self, template: &Template) -> u8 {
        let begins =
            self.targets.iter().enumerate().filter(|(target, (spatial, _))| {
                *spatial == template.spatial && template.indication(*target) == SWITCH
            });
        begins.map(|(_, (_, temporal))| *temporal).max().unwrap_or(0).max(template.temporal)
    }
}

impl Template {
    const fn indication(&self, target: usize) -> u32 {
        ((self.indications >> (2 * target)) & 3) as u32
    }
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    /// At most 32 bits, high ones first.
    fn read(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    /// A number below `bound` (the specification's `ns(n)`).
    fn below(&mut self, bound: u32) -> Option<u32> {
        let width = u32::BITS - bound.leading_zeros();
        let short = (1 << width) - bound;
        let value = self.read(width - 1)?;
        if value < short {
            return Some(value);
        }
        Some((value << 1) - short + self.read(1)?)
    }

    fn indications(&mut self, targets: usize) -> Option<u64> {
        (0..targets).try_fold(0, |all, target| Some(all | u64::from(self.read(2)?) << (2 * target)))
    }

    /// Reads a frame's own references; true when all of them are within its picture.
    fn references_are_near(&mut self, spatial: u8) -> Option<bool> {
        let mut near = true;
        loop {
            let size = self.read(2)?;
            if size == 0 {
                return Some(near);
            }
            near &= self.read(4 * size)? < u32::from(spatial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes descriptors as the specification lays them out.
    #[derive(Default)]
    struct Writer(Vec<bool>);

    impl Writer {
        fn put(&mut self, width: u32, value: u32) {
            self.0.extend((0..width).rev().map(|bit| value >> bit & 1 == 1));
        }

        fn all(&mut self, fields: &[(u32, u32)]) {
            fields.iter().for_each(|(width, value)| self.put(*width, *value));
        }

        fn bytes(&self) -> Vec<u8> {
            let byte = |bits: &[bool]| (0..8).fold(0, |byte, at| byte << 1 | u8::from(bits.get(at) == Some(&true)));
            self.0.chunks(8).map(byte).collect()
        }
    }

    fn indication(letter: char) -> u32 {
        "-DSR".find(letter).map(|at| at as u32).expect("known")
    }

    /// L1T3 as libwebrtc describes it.
    fn l1t3(frame_template: u32) -> Vec<u8> {
        let mut out = Writer::default();
        out.all(&[(1, 1), (1, 0), (6, frame_template), (16, 7), (5, 0b10000), (6, 10), (5, 2)]);
        for next in [0, 1, 1, 0, 3] {
            out.put(2, next);
        }
        for template in ["SSS", "SSS", "-DS", "--D", "--D"] {
            template.chars().for_each(|letter| out.put(2, indication(letter)));
        }
        for references in [&[][..], &[4], &[2], &[1], &[1]] {
            references.iter().for_each(|back| out.all(&[(1, 1), (4, back - 1)]));
            out.put(1, 0);
        }
        // One chain: ns(4) = 1 has two bits, three times ns(1) has none, five times four bits.
        out.put(2, 1);
        (0..5).for_each(|_| out.put(4, 0));
        out.all(&[(1, 1), (16, 1_279), (16, 719)]);
        out.bytes()
    }

    #[test]
    fn templates_are_kept_and_places_read_from_them() {
        let mut kept = None;
        assert_eq!(place(&mut kept, &[0xca, 0, 8]), None, "no structure yet");
        let key = place(&mut kept, &l1t3(10)).expect("reads");
        assert!(key.begins_frame && !key.ends_frame && key.independent);
        assert_eq!((key.spatial, key.temporal, key.opens), (0, 0, 2));
        let read = |kept: &mut _, template: u8| {
            let place = place(kept, &[0xc0 | template, 0, 8]).expect("reads");
            (place.temporal, place.opens, place.independent)
        };
        assert_eq!(read(&mut kept, 11), (0, 2, false));
        assert_eq!(read(&mut kept, 12), (1, 2, false));
        assert_eq!(read(&mut kept, 14), (2, 2, false));
        assert_eq!(place(&mut kept, &[0xc0 | 20, 0, 8]), None, "no such template");
    }

    #[test]
    fn a_frame_may_say_otherwise() {
        let mut kept = None;
        place(&mut kept, &l1t3(10));
        let mut out = Writer::default();
        out.all(&[(2, 3), (6, 12), (16, 9), (5, 0b00110)]);
        "-DR".chars().for_each(|letter| out.put(2, indication(letter)));
        out.all(&[(2, 1), (4, 1), (2, 0)]);
        let place = place(&mut kept, &out.bytes()).expect("reads");
        assert_eq!((place.temporal, place.opens, place.independent), (1, 1, false));
    }

    #[test]
    fn what_is_cut_short_changes_nothing() {
        let whole = l1t3(10);
        let mut kept = None;
        place(&mut kept, &whole);
        for length in 4..whole.len() - 1 {
            assert_eq!(place(&mut kept, whole.get(..length).expect("shorter")), None, "{length}");
        }
        assert!(kept.is_some_and(|kept| kept.templates.len() == 5));
    }
}
