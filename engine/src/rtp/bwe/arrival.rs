//! Differences between send and arrival times of groups of packets (draft-ietf-rmcat-gcc-02 §5.2).
//!
//! Packets sent within five milliseconds are one group, and so are those that a queue let go together. Invariant: times
//! inside a group never run backwards; a receiver whose clock jumps begins anew.

/// Packets sent within this are one group, and packets that arrive within it may be.
const BURST_US: u64 = 5_000;
/// A group that a queue has pushed together is no longer than this.
const PUSHED_US_MAX: u64 = 100_000;

#[derive(Debug, Clone, Copy)]
struct Group {
    first_sent: u64,
    last_sent: u64,
    first_arrived: u64,
    last_arrived: u64,
}

/// How two neighbouring groups differ, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delta {
    pub(super) sent: u64,
    pub(super) arrived: u64,
    /// When the later group was complete, by the receiver's clock.
    pub(super) at: u64,
}

#[derive(Debug, Default)]
pub(super) struct Grouping {
    previous: Option<Group>,
    current: Option<Group>,
}

impl Grouping {
    /// Takes a packet's times, both in microseconds; `Some` when it is the first of a new group.
    pub(super) fn add(&mut self, sent: u64, arrived: u64) -> Option<Delta> {
        let Some(current) = &mut self.current else {
            self.current = Some(Group::new(sent, arrived));
            return None;
        };
        if sent < current.first_sent {
            return None;
        }
        if current.takes(sent, arrived) {
            current.last_sent = current.last_sent.max(sent);
            current.last_arrived = current.last_arrived.max(arrived);
            return None;
        }
        let complete = std::mem::replace(current, Group::new(sent, arrived));
        let previous = self.previous.replace(complete)?;
        Some(Delta {
            sent: complete.last_sent.saturating_sub(previous.last_sent),
            arrived: complete.last_arrived.saturating_sub(previous.last_arrived),
            at: complete.last_arrived,
        })
    }
}

impl Group {
    const fn new(sent: u64, arrived: u64) -> Self {
        Self { first_sent: sent, last_sent: sent, first_arrived: arrived, last_arrived: arrived }
    }

    const fn takes(&self, sent: u64, arrived: u64) -> bool {
        if sent.saturating_sub(self.first_sent) <= BURST_US {
            return true;
        }
        let arrived_later = arrived.saturating_sub(self.last_arrived);
        arrived_later < sent.saturating_sub(self.last_sent)
            && arrived_later <= BURST_US
            && arrived.saturating_sub(self.first_arrived) < PUSHED_US_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_train_is_one_group_and_groups_are_compared_by_their_ends() {
        let mut grouping = Grouping::default();
        assert_eq!(grouping.add(0, 10_000), None);
        assert_eq!(grouping.add(0, 14_000), None, "same train");
        assert_eq!(grouping.add(33_000, 43_000), None, "nothing to compare with yet");
        assert_eq!(grouping.add(33_000, 49_000), None);
        assert_eq!(grouping.add(66_000, 80_000), Some(Delta { sent: 33_000, arrived: 35_000, at: 49_000 }));
        assert_eq!(grouping.add(60_000, 81_000), None, "reordered");
        assert_eq!(grouping.add(75_000, 81_000), None, "pushed together by a queue");
    }
}
