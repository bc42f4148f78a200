//! Names of things. A bare integer or string is never an identity.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A session: 128 random bits, shown as 32 lower-case hex digits. It is no secret and grants nothing (a ticket does),
/// but it cannot be guessed either.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// The text is not 32 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session id is 32 lower-case hex digits")]
pub struct SessionIdError;

impl FromStr for SessionId {
    type Err = SessionIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(SessionIdError);
        }
        let mut bytes = [0; 16];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| SessionIdError)?;
        Ok(Self(bytes))
    }
}

impl Serialize for SessionId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The customer account that owns policies, keys and agents: 1–64 characters of `a-z 0-9 -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct GroupId(String);

/// The text is not a group id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a group id is 1 to 64 characters of a-z, 0-9 and '-'")]
pub struct GroupIdError;

impl GroupId {
    /// # Errors
    /// [`GroupIdError`] unless `text` is 1–64 characters of `a-z 0-9 -`.
    pub fn new(text: impl Into<String>) -> Result<Self, GroupIdError> {
        let text = text.into();
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if text.is_empty() || text.len() > 64 || !text.bytes().all(legal) {
            return Err(GroupIdError);
        }
        Ok(Self(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for GroupId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// A participant within its session. Never reused in a session, so that a late frame cannot speak for somebody else.
/// `0` is the relay itself; it fits the `source` byte of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ParticipantId(pub u8);

impl ParticipantId {
    pub const RELAY: Self = Self(0);
}

impl fmt::Display for ParticipantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

/// One pinned thread that owns sessions, sockets, buffers and timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShardId(pub u8);

/// A lane of frames between one participant and its shard. Unique per process, chosen by the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipeId(pub u64);

/// A media stream over TCP (RFC 4571 framing) that the host accepted. Unique per process, chosen by the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// Position of a diff in its page epoch. The first diff after the first snapshot of an epoch has sequence 1.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sequence(pub u32);

impl Sequence {
    /// The one that follows, or `None` at the end of the number space (the epoch must then be renewed).
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(next) => Some(Self(next)),
            None => None,
        }
    }
}

/// The generation of a state that can be replaced as a whole. It begins with a new whole value and fences what came
/// before: older is stale, dropped and counted. `T` only keeps the epochs of different states apart.
pub struct Epoch<T>(u32, PhantomData<fn() -> T>);

impl<T> Epoch<T> {
    pub const ZERO: Self = Self(0, PhantomData);

    pub const fn new(value: u32) -> Self {
        Self(value, PhantomData)
    }

    pub const fn value(self) -> u32 {
        self.0
    }

    /// The epoch that fences this one. Saturates: an epoch space of 2³² is a session's end, never a wrap to the past.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1), PhantomData)
    }
}

impl<T> Clone for Epoch<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Epoch<T> {}
impl<T> Default for Epoch<T> {
    fn default() -> Self {
        Self::ZERO
    }
}
impl<T> PartialEq for Epoch<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Epoch<T> {}
impl<T> PartialOrd for Epoch<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Epoch<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<T> std::hash::Hash for Epoch<T> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<T> fmt::Debug for Epoch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "e{}", self.0)
    }
}
impl<T> Serialize for Epoch<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}
impl<'de, T> Deserialize<'de> for Epoch<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u32::deserialize(deserializer).map(Self::new)
    }
}

/// Marks the epoch of the visitor's page: raised at each page load.
#[derive(Debug)]
pub enum Page {}
/// Marks the epoch of the masking rules: raised when more must be hidden.
#[derive(Debug)]
pub enum Mask {}
/// Marks the epoch of a slot's holder: raised at each takeover.
#[derive(Debug)]
pub enum Floor {}

pub type PageEpoch = Epoch<Page>;
pub type MaskEpoch = Epoch<Mask>;
pub type FloorEpoch = Epoch<Floor>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_id_reads_back_what_it_prints() {
        let id = SessionId::from_bytes(*b"0123456789abcdef");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("ABCDEF00000000000000000000000000".parse::<SessionId>(), Err(SessionIdError));
        assert_eq!("ab".parse::<SessionId>(), Err(SessionIdError));
    }

    #[test]
    fn group_id_is_narrow() {
        assert!(GroupId::new("demo-1").is_ok());
        for bad in ["", "Demo", "a b", "a/b", &"x".repeat(65)] {
            assert_eq!(GroupId::new(bad), Err(GroupIdError), "{bad:?}");
        }
    }

    #[test]
    fn an_epoch_never_wraps_to_the_past() {
        assert_eq!(PageEpoch::new(u32::MAX).next().value(), u32::MAX);
        assert_eq!(Sequence(u32::MAX).next(), None);
    }
}
