//! Which of the newest packets have been seen: a sliding bit map (RFC 3711 §3.3.2).

/// The newest index and which of the `64 × WORDS` up to it were seen. Bit 0 of word 0 is the newest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window<const WORDS: usize> {
    top: u64,
    seen: [u64; WORDS],
}

impl<const WORDS: usize> Window<WORDS> {
    /// How far back it reaches.
    pub(super) const SPAN: u64 = 64 * WORDS as u64;

    /// One that has seen `first` and nothing else. What came before `first` may still come.
    pub(super) const fn new(first: u64) -> Self {
        let mut seen = [0; WORDS];
        if let Some(newest) = seen.first_mut() {
            *newest = 1;
        }
        Self { top: first, seen }
    }

    pub(super) const fn top(&self) -> u64 {
        self.top
    }

    /// Was `index` seen, or is it too old to tell?
    pub(super) fn has(&self, index: u64) -> bool {
        let Some(age) = self.top.checked_sub(index) else {
            return false;
        };
        let (word, bit) = (age / 64, age % 64);
        let word = usize::try_from(word).ok().and_then(|word| self.seen.get(word));
        word.is_none_or(|word| word >> bit & 1 == 1)
    }

    /// Notes `index` as seen.
    pub(super) fn note(&mut self, index: u64) {
        if let Some(ahead) = index.checked_sub(self.top).filter(|ahead| *ahead > 0) {
            self.advance(ahead);
            self.top = index;
        }
        let age = self.top - index;
        let word = usize::try_from(age / 64).ok().and_then(|word| self.seen.get_mut(word));
        if let Some(word) = word {
            *word |= 1 << (age % 64);
        }
    }

    fn advance(&mut self, by: u64) {
        if by >= Self::SPAN {
            self.seen = [0; WORDS];
            return;
        }
        if by < 64 {
            // The everyday case: the next packet, or one after a small gap.
            let mut carry = 0;
            for word in &mut self.seen {
                let out = word.checked_shr(64 - by as u32).unwrap_or(0);
                *word = *word << by | carry;
                carry = out;
            }
            return;
        }
        let words = (by / 64) as usize;
        self.seen.rotate_right(words);
        self.seen.iter_mut().take(words).for_each(|word| *word = 0);
        self.advance(by % 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    #[test]
    fn what_is_older_than_the_window_counts_as_seen() {
        let mut window = Window::<4>::new(1_000);
        assert!(window.has(1_000) && !window.has(1_001) && !window.has(745) && window.has(744));
        window.note(745);
        assert!(window.has(745) && !window.has(746));
        window.note(1_064);
        assert!(window.has(1_000) && !window.has(1_001) && window.has(808));
        window.note(100_000);
        assert!(!window.has(99_999) && window.has(100_000) && window.has(1_064));
    }

    proptest! {
        #[test]
        fn it_remembers_as_a_set_would(first in 0_u64..2_000, steps in proptest::collection::vec(0_u64..3_000, 1..80)) {
            let mut window = Window::<2>::new(first);
            let mut seen = BTreeSet::from([first]);
            for step in steps {
                let top = *seen.last().unwrap();
                let expected = seen.contains(&step) || step + Window::<2>::SPAN <= top;
                prop_assert_eq!(window.has(step), expected, "index {} below {}", step, top);
                if !expected {
                    window.note(step);
                    seen.insert(step);
                }
                prop_assert_eq!(window.top(), *seen.last().unwrap());
            }
        }
    }
}
