//! How many connections are open, in all and per source address. An IPv6 source is counted by its /64, which is what
//! one household or host is given.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fanlight_wire::host::source_of;

/// The counts of one or several listeners.
#[derive(Debug)]
pub struct Slots {
    total_max: usize,
    per_address_max: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    per_address: HashMap<IpAddr, usize>,
}

/// One open connection. Gives its place back when dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Arc<Slots>,
    source: IpAddr,
}

impl Slots {
    pub fn new(total_max: usize, per_address_max: usize) -> Arc<Self> {
        Arc::new(Self { total_max, per_address_max, open: Mutex::default() })
    }

    /// A place for a connection from `address`, if there is one left.
    pub fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Slot> {
        let source = source_of(address);
        let mut open = self.lock();
        if open.total >= self.total_max {
            return None;
        }
        let count = open.per_address.entry(source).or_default();
        if *count >= self.per_address_max {
            return None;
        }
        *count += 1;
        open.total += 1;
        Some(Slot { slots: Arc::clone(self), source })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.slots.lock();
        open.total -= 1;
        if let Some(count) = open.per_address.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                open.per_address.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_source_cannot_take_all_places() {
        let slots = Slots::new(3, 2);
        let held: Vec<_> = (0..2).map(|_| slots.enter(ip("192.0.2.1")).expect("room")).collect();
        assert!(slots.enter(ip("192.0.2.1")).is_none(), "a third from there");
        assert!(slots.enter(ip("::ffff:192.0.2.1")).is_none(), "the same in other words");
        let other = slots.enter(ip("192.0.2.2")).expect("room for others");
        assert!(slots.enter(ip("192.0.2.3")).is_none(), "the house is full");
        drop((held, other));
        assert!(slots.lock().per_address.is_empty(), "nobody is remembered");
        assert_eq!(slots.lock().total, 0);
    }

    #[test]
    fn an_ipv6_source_is_a_64() {
        let slots = Slots::new(10, 1);
        let _held = slots.enter(ip("2001:db8::1")).expect("room");
        assert!(slots.enter(ip("2001:db8::2:3:4:5")).is_none());
        assert!(slots.enter(ip("2001:db8:0:1::1")).is_some());
    }
}
