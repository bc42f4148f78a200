//! Randomness as an input.
//!
//! Credentials that keep strangers out of a session come from [`Entropy::secure`]; a simulation uses
//! [`Entropy::seeded`], so that one seed is one world. The engine draws from nowhere else.

use std::fmt;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

/// Where random bytes come from.
pub struct Entropy(Source);

enum Source {
    Secure(SystemRandom),
    Seeded(u64),
}

impl Entropy {
    /// The operating system's generator.
    pub fn secure() -> Self {
        Self(Source::Secure(SystemRandom::new()))
    }

    /// The same bytes for the same seed. For simulations only: whoever knows the seed knows every credential.
    pub const fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(seed))
    }

    /// Overwrites all of `bytes`.
    ///
    /// # Panics
    /// When the operating system has no randomness to give: a process that cannot make secrets must not go on.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        match &mut self.0 {
            Source::Secure(system) => {
                assert!(system.fill(bytes).is_ok(), "the operating system gives no random bytes");
            }
            Source::Seeded(state) => {
                for chunk in bytes.chunks_mut(8) {
                    let word = split_mix(state).to_le_bytes();
                    chunk.iter_mut().zip(word).for_each(|(to, from)| *to = from);
                }
            }
        }
    }

    /// One random byte array.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// `length` characters of `A-Z a-z 0-9 + /`, six random bits each (the `ice-char` of RFC 8839 §5.4).
    pub fn text(&mut self, length: usize) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut bytes = vec![0; length];
        self.fill(&mut bytes);
        bytes.iter().filter_map(|b| ALPHABET.get(usize::from(b & 63))).map(|c| char::from(*c)).collect()
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Source::Secure(_) => "Entropy(secure)",
            Source::Seeded(_) => "Entropy(seeded)",
        })
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): good enough to drive a simulation, and four lines.
const fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_world_and_the_secure_source_never_repeats() {
        assert_eq!(Entropy::seeded(7).array::<20>(), Entropy::seeded(7).array::<20>());
        assert_ne!(Entropy::seeded(7).array::<20>(), Entropy::seeded(8).array::<20>());
        let mut secure = Entropy::secure();
        assert_ne!(secure.array::<20>(), secure.array::<20>());
    }

    #[test]
    fn text_has_its_length_and_only_ice_characters() {
        let text = Entropy::seeded(1).text(24);
        assert!(
            text.len() == 24 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/'),
            "{text}"
        );
    }
}
