//! A session on several shards: its home, and the mirrors that repeat its media for viewers of their own.
//!
//! A mirror is a session without people: viewers that its home has permitted, lanes that its home fills. It says what it
//! needs and comes to an end by itself, so that nothing on either side has to be certain of the other. Invariants:
//! - A mirror shows nothing that its home does not show: it has no packet that the home's floor, consent and fence did not
//!   let into a ring first, and the end of a filling reaches it before anything newer.
//! - It holds no place, counts as no session, and reports no end of the session.
//! - Greetings repeat, so a lost word, a home that began anew and a mirror that began anew all heal within one.

use std::collections::VecDeque;
use std::time::Instant;

use fanlight_wire::limits::{MIRROR_GREETING_INTERVAL, MIRROR_KNOCK_INTERVAL, MIRROR_LINGER};
use fanlight_wire::policy::Policy;
use fanlight_wire::{Code, SessionId, ShardId};

use super::{Context, Session};
use crate::deadline::{Deadline, Reason};
use crate::fanout::Fanout;
use crate::handoff::{Batch, Handoff, Wish, Word};

/// A mirror's home.
#[derive(Debug)]
pub(super) struct Home {
    shard: ShardId,
    /// It has told what fills the lanes.
    heard: bool,
    /// When it is to be greeted next.
    greet: Instant,
    /// Since when nobody watches here.
    empty_since: Option<Instant>,
}

impl Home {
    pub(super) fn deadline(&self) -> Deadline {
        let lingers = self.empty_since.map_or(self.greet, |since| since + MIRROR_LINGER);
        Deadline::new(self.greet.min(lingers), Reason::Mirror)
    }
}

impl Session {
    /// A mirror of a session that lives on `home`.
    pub(crate) fn mirroring(id: SessionId, index: u32, home: ShardId, now: Instant) -> Self {
        let home = Home { shard: home, heard: false, greet: now, empty_since: Some(now) };
        Self { fanout: Fanout::mirroring(), home: Some(home), ..Self::new(id, index, Policy::default(), now) }
    }

    pub(crate) const fn is_mirror(&self) -> bool {
        self.home.is_some()
    }

    // ---- at home ----

    /// There is a mirror on this shard.
    pub(crate) fn mirror_greets(&mut self, now: Instant, from: ShardId, fresh: bool) {
        self.fanout.greet_mirror(now, from, fresh);
    }

    /// There is none any more.
    pub(crate) fn mirror_leaves(&mut self, from: ShardId) {
        self.fanout.forget_mirror(from);
    }

    pub(crate) fn mirror_wishes(&mut self, wish: &Wish) {
        self.fanout.wish_from_mirror(wish);
    }

    /// What was handed to this shard did not get there.
    pub(crate) fn handoff_lost(&mut self, now: Instant, to: ShardId, handoff: &Handoff) {
        if let Word::Media(batch) = &handoff.word {
            self.fanout.mirror_missed(now, to, batch);
        }
    }

    /// The session is over.
    pub(super) fn end_mirrors(&self, cx: &mut Context<'_>, code: Code) {
        for shard in self.fanout.mirrors() {
            self.say(cx, shard, Word::End(code));
        }
    }

    /// Hands out what this side has to say to the other.
    pub(crate) fn pass_on(&mut self, from: ShardId, handoffs: &mut VecDeque<(ShardId, Handoff)>) {
        let session = self.id;
        while let Some((shard, batch)) = self.fanout.poll_mirrors() {
            handoffs.push_back((shard, Handoff { from, session, word: Word::Media(batch) }));
        }
        let Some(home) = self.home.as_ref().map(|home| home.shard) else { return };
        while let Some(wish) = self.fanout.poll_wish() {
            handoffs.push_back((home, Handoff { from, session, word: Word::Keyframe(wish) }));
        }
    }

    // ---- on a mirror ----

    /// The home says what fills the lanes and what came in.
    pub(crate) fn mirror_takes(&mut self, batch: &Batch) {
        let Some(home) = &mut self.home else { return };
        home.heard |= batch.is_whole;
        // Before it has said everything once, the home speaks to a mirror that was here before.
        if !home.heard {
            return;
        }
        let before = self.fanout.agreement();
        self.fanout.take_over(batch);
        if before < batch.agreement {
            self.close_resources_of_old_agreements();
        }
    }

    /// Greets the home when that is due, and goes when nobody has watched for a while.
    pub(super) fn tend_mirror(&mut self, cx: &mut Context<'_>) {
        let is_empty = self.resources.is_empty();
        let Some(home) = &mut self.home else { return };
        let since = home.empty_since.filter(|_| is_empty);
        home.empty_since = since.or_else(|| is_empty.then_some(cx.now));
        if since.is_some_and(|since| since + MIRROR_LINGER <= cx.now) {
            return self.end(cx, Code::Ended, None);
        }
        if home.greet > cx.now {
            return;
        }
        let interval = if home.heard { MIRROR_GREETING_INTERVAL } else { MIRROR_KNOCK_INTERVAL };
        home.greet = cx.now + interval;
        let (shard, fresh) = (home.shard, !home.heard);
        self.say(cx, shard, Word::Greeting { fresh });
    }

    /// A mirror ends without a word to anybody but its viewers and its home.
    pub(super) fn end_mirror(&mut self, cx: &mut Context<'_>, code: Code) {
        self.ended = Some(code);
        self.close_resources(cx, code);
        if let Some(home) = self.home.as_ref().map(|home| home.shard) {
            self.say(cx, home, Word::Farewell);
        }
    }

    fn say(&self, cx: &mut Context<'_>, to: ShardId, word: Word) {
        cx.handoffs.push_back((to, Handoff { from: cx.media.shard, session: self.id, word }));
    }
}
