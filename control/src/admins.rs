//! Administrators that have signed in to the console with the identity provider.
//!
//! Invariant: a session is an opaque handle of 128 bits, kept as its hash; it ends after [`ADMIN_LIFE`], after
//! [`ADMIN_IDLE`] without a request, or when its holder signs out.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use fanlight_wire::limits::{ADMIN_IDLE, ADMIN_LIFE, ADMINS_MAX};
use fanlight_wire::{Code, Refusal};

use crate::locked;
use crate::secrets::{Hash, opaque, sha256};

/// Who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Admin {
    /// In the operator's own terms.
    pub(crate) subject: String,
    /// For the console.
    pub(crate) name: String,
}

/// Everybody who is signed in.
#[derive(Debug, Default)]
pub(crate) struct Admins {
    held: Mutex<HashMap<Hash, Held>>,
}

#[derive(Debug)]
struct Held {
    admin: Admin,
    until: Instant,
    idle_until: Instant,
}

impl Held {
    fn is_good(&self, now: Instant) -> bool {
        now < self.until && now < self.idle_until
    }
}

impl Admins {
    /// A handle for somebody who has just signed in.
    ///
    /// # Errors
    /// `E_OVERLOAD` when too many are signed in.
    pub(crate) fn sign_in(&self, admin: Admin, now: Instant) -> Result<String, Refusal> {
        let mut held = locked(&self.held);
        held.retain(|_, held| held.is_good(now));
        if held.len() >= ADMINS_MAX {
            return Err(Refusal::new(Code::Overload, "limits::ADMINS_MAX"));
        }
        let text = opaque();
        held.insert(sha256(text.as_bytes()), Held { admin, until: now + ADMIN_LIFE, idle_until: now + ADMIN_IDLE });
        Ok(text)
    }

    /// Who asks; asking keeps the session from being idle.
    pub(crate) fn find(&self, text: &str, now: Instant) -> Option<Admin> {
        let mut held = locked(&self.held);
        let found = held.get_mut(&sha256(text.as_bytes())).filter(|held| held.is_good(now))?;
        found.idle_until = now + ADMIN_IDLE;
        Some(found.admin.clone())
    }

    pub(crate) fn sign_out(&self, text: &str) {
        locked(&self.held).remove(&sha256(text.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::control::testing::an_instant;

    #[test]
    fn a_session_ends_by_its_life_by_idleness_and_by_signing_out() {
        let (admins, start) = (Admins::default(), an_instant());
        let ada = || Admin { subject: "ada".into(), name: "Ada".into() };
        let (idle, busy, out) =
            (admins.sign_in(ada(), start), admins.sign_in(ada(), start), admins.sign_in(ada(), start));
        let (idle, busy, out) = (idle.expect("room"), busy.expect("room"), out.expect("room"));
        admins.sign_out(&out);
        assert_eq!(admins.find(&out, start), None);
        let mut now = start;
        while now + ADMIN_IDLE / 2 < start + ADMIN_LIFE {
            now += ADMIN_IDLE / 2;
            assert_eq!(admins.find(&busy, now), Some(ada()));
        }
        assert_eq!(admins.find(&busy, start + ADMIN_LIFE), None, "however busy");
        assert_eq!(admins.find(&idle, start + ADMIN_IDLE), None);
        let again = admins.sign_in(ada(), start).expect("room");
        assert!(admins.find(&again, start + ADMIN_IDLE - Duration::from_secs(1)).is_some());
        assert_eq!(admins.find("guess", start), None);
    }
}
