//! How long a session may be: without anybody, and at all.
//!
//! Invariant: a session that ends for its age was announced [`SESSION_WARNING`] before, also when the longest time was
//! made shorter while it ran.

use std::time::{Duration, Instant};

use fanlight_wire::Code;
use fanlight_wire::limits::SESSION_WARNING;
use fanlight_wire::signal::ToClient;

use super::{Context, Session};
use crate::deadline::{Deadline, Reason};

impl Session {
    /// When the next thing about its length is due.
    pub(super) fn length_deadline(&self) -> Deadline {
        let never_joined = self.is_empty().then(|| self.created + self.empty_max);
        let age = match self.warned {
            Some(warned) => self.policy.minutes_max.map(|_| warned + SESSION_WARNING),
            None => self.warning_due(),
        };
        let first = [never_joined, age].into_iter().flatten().min();
        first.map_or(Deadline::IDLE, |at| Deadline::new(at, Reason::Session))
    }

    pub(super) fn expire_session(&mut self, cx: &mut Context<'_>) {
        if self.is_empty() && cx.now >= self.created + self.empty_max {
            self.end(cx, Code::Timeout, None);
        } else if let Some(warned) = self.warned {
            if cx.now >= warned + SESSION_WARNING {
                self.end_saying(cx, Code::Timeout, None, "The session has reached the longest time that is allowed.");
            }
        } else if self.warning_due().is_some_and(|due| cx.now >= due) {
            self.warned = Some(cx.now);
            let seconds = u32::try_from(SESSION_WARNING.as_secs()).unwrap_or(u32::MAX);
            self.each(|_| true, |member| member.tell(&ToClient::SessionEnding { seconds }));
        }
    }

    fn warning_due(&self) -> Option<Instant> {
        let longest = Duration::from_secs(u64::from(self.policy.minutes_max?) * 60);
        Some(self.created + longest.saturating_sub(SESSION_WARNING))
    }
}
