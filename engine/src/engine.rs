//! One shard's sessions, and whose input is whose.
//!
//! Contract for the host: after any `handle_*`, poll [`Engine::poll_datagrams`] until it returns false, then [`Engine::poll_pipe`] and
//! [`Engine::poll_report`] until they are empty, submit, then sleep until [`Engine::deadline`] or the next input.
//! [`Engine::poll_handoff`] may be emptied at any time; what cannot be handed on is given back to [`Engine::handoff_lost`].

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

use fanlight_wire::command::{Admission, Command};
use fanlight_wire::limits::{
    DATAGRAM_BYTES_MAX, HANDSHAKES_WAITING_MAX, MIRRORS_PER_SHARD_MAX, SESSIONS_PER_SHARD_MAX, SLICE_SUBSCRIBERS,
};
use fanlight_wire::report::{Report, ShardTotals};
use fanlight_wire::resource::{ResourceInput, ResourceOutput};
use fanlight_wire::signal::ClientInfo;
use fanlight_wire::{Code, ParticipantId, PipeId, Refusal, SessionId, ShardId};

use crate::datagram::{Datagram, Transport};
use crate::deadline::{Deadline, Reason};
use crate::demux::{Demux, PeerKey};
use crate::entropy::Entropy;
use crate::fanout::MemberId;
use crate::handoff::{Handoff, Word};
use crate::outbox::Outbox;
use crate::peer::PeerConfig;
use crate::pipe::{PipeInput, PipeOutput};
use crate::session::{Context, Session};
use crate::timers::Timers;

/// Position of a session among its shard's; never reused.
type Index = u32;

/// Sessions that are to be looked at, each once, in the order in which they came.
#[derive(Debug, Default)]
struct Dirty {
    queue: VecDeque<Index>,
    known: HashSet<Index>,
}

impl Dirty {
    fn insert(&mut self, index: Index) {
        if self.known.insert(index) {
            self.queue.push_back(index);
        }
    }

    fn pop(&mut self) -> Option<Index> {
        let index = self.queue.pop_front()?;
        self.known.remove(&index);
        Some(index)
    }

    fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

/// A DTLS datagram that waits for its turn.
#[derive(Debug)]
struct Handshake {
    key: PeerKey,
    transport: Transport,
    source: SocketAddr,
    destination: SocketAddr,
    payload: Vec<u8>,
}

/// One shard's decisions.
#[derive(Debug)]
pub struct Engine {
    media: PeerConfig,
    entropy: Entropy,
    now: Instant,
    /// Boxed: a tree keeps room for eleven in a row.
    sessions: BTreeMap<Index, Box<Session>>,
    by_id: BTreeMap<SessionId, Index>,
    next_index: Index,
    /// How many of the sessions live elsewhere.
    mirrors: usize,
    pipes: BTreeMap<PipeId, (Index, ParticipantId)>,
    demux: Demux,
    timers: Timers<Index>,
    /// Sessions that may have datagrams to send.
    sending: Dirty,
    /// Sessions that may have frames to send, or another deadline.
    settling: Dirty,
    /// A flight of a handshake costs as much as thousands of packets: one at a time, after the media that is there.
    handshakes: VecDeque<Handshake>,
    outputs: VecDeque<(PipeId, PipeOutput)>,
    reports: VecDeque<Report>,
    handoffs: VecDeque<(ShardId, Handoff)>,
    draining_until: Option<Instant>,
    totals: ShardTotals,
    /// Totals of sessions that are gone.
    past: ShardTotals,
}

impl Engine {
    /// An engine without sessions. `entropy` is seeded in simulations and secure everywhere else.
    pub fn new(media: PeerConfig, entropy: Entropy, now: Instant) -> Self {
        Self {
            media,
            entropy,
            now,
            sessions: BTreeMap::new(),
            by_id: BTreeMap::new(),
            next_index: 0,
            mirrors: 0,
            pipes: BTreeMap::new(),
            demux: Demux::default(),
            timers: Timers::default(),
            sending: Dirty::default(),
            settling: Dirty::default(),
            handshakes: VecDeque::new(),
            outputs: VecDeque::new(),
            reports: VecDeque::new(),
            handoffs: VecDeque::new(),
            draining_until: None,
            totals: ShardTotals::default(),
            past: ShardTotals::default(),
        }
    }

    pub const fn shard(&self) -> ShardId {
        self.media.shard
    }

    /// A datagram that arrived at `now` on one of this shard's media sockets or TCP streams.
    pub fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) {
        self.now = now;
        let Some(key) = self.demux.route(now, &datagram) else { return };
        // RFC 7983 §7
        if !matches!(datagram.payload.first(), Some(20..=63)) {
            return self.deliver(key, datagram);
        }
        // Whoever finds the queue full sends again (RFC 6347 §4.2.4).
        if self.handshakes.len() < HANDSHAKES_WAITING_MAX && datagram.payload.len() <= DATAGRAM_BYTES_MAX {
            let Datagram { transport, source, destination, payload } = datagram;
            self.handshakes.push_back(Handshake { key, transport, source, destination, payload: payload.to_vec() });
        }
    }

    /// Something happened on a pipe.
    pub fn handle_pipe(&mut self, now: Instant, pipe: PipeId, input: PipeInput) {
        self.now = now;
        match input {
            PipeInput::Join { admission, client } => self.join(pipe, *admission, client),
            PipeInput::Resume { session, token, client } => self.resume(pipe, session, &token, client),
            PipeInput::Frame(frame) => self.with_pipe(pipe, |session, cx, who| session.handle_frame(cx, who, frame)),
            PipeInput::Credit(bytes) => self.with_pipe(pipe, |session, _, who| session.credit(who, bytes)),
            PipeInput::Closed => self.forget_pipe(pipe),
        }
    }

    /// Control wants something; repeating it is harmless.
    pub fn handle_command(&mut self, now: Instant, command: Command) {
        self.now = now;
        match command {
            Command::Open { session, policy, .. } => {
                if self.by_id.contains_key(&session) || self.sessions.len() - self.mirrors >= SESSIONS_PER_SHARD_MAX {
                    return;
                }
                self.insert(session, |index| Session::new(session, index, policy, now));
            }
            Command::End { session, code } => {
                if let Some(index) = self.by_id.get(&session).copied() {
                    self.with_session(index, |session, cx| session.end(cx, code, None));
                }
            }
            Command::Keep { session, empty_max } => {
                if let Some(index) = self.by_id.get(&session).copied() {
                    self.with_session(index, |session, _| session.keep_empty(empty_max));
                }
            }
            Command::Narrow { session, narrowing } => {
                if let Some(index) = self.by_id.get(&session).copied() {
                    self.with_session(index, |session, cx| session.narrow(cx, *narrowing));
                }
            }
            Command::Revoke { session, whom, epoch, code } => {
                if let Some(index) = self.by_id.get(&session).copied() {
                    self.with_session(index, |session, cx| session.revoke(cx, whom, epoch, code));
                }
            }
            Command::Welcome { session, subject } => {
                if let Some(index) = self.by_id.get(&session).copied() {
                    self.with_session(index, |session, cx| session.expect_agent(cx, subject));
                }
            }
            Command::Drain { within } => {
                self.draining_until = Some(now + within);
                self.end_where(Session::is_empty);
            }
        }
    }

    /// Control asks about a media resource. The answer is final; what it sets in motion leaves by the usual ways.
    ///
    /// # Errors
    /// The [`Refusal`] to answer with.
    pub fn handle_resource(&mut self, now: Instant, input: ResourceInput) -> Result<ResourceOutput, Refusal> {
        self.now = now;
        let is_new = matches!(input, ResourceInput::Create { .. } | ResourceInput::Mirror { .. });
        if self.draining_until.is_some() && is_new {
            return Err(Refusal::new(Code::Draining, "promises P3"));
        }
        let absent = || Refusal::new(Code::Session, "protocol §8");
        if let ResourceInput::Mirror { permit, admission, .. } = &input {
            self.mirror(admission.session, permit.home)?;
        }
        let index = self.open_session(input.session()).ok_or_else(absent)?;
        let answer = self.with_session(index, |session, cx| session.handle_resource(cx, input));
        answer.unwrap_or_else(|| Err(absent()))
    }

    /// Another shard says something about a session that lives here or there.
    pub fn handle_handoff(&mut self, now: Instant, handoff: &Handoff) {
        self.now = now;
        let Handoff { from, session, word } = handoff;
        let found = self.open_session(session).and_then(|index| Some((index, self.sessions.get(&index)?.is_mirror())));
        match (word, found) {
            (Word::Greeting { fresh }, Some((index, false))) => {
                self.with_session(index, |session, _| session.mirror_greets(now, *from, *fresh));
            }
            (Word::Farewell, Some((index, false))) => {
                self.with_session(index, |session, _| session.mirror_leaves(*from));
            }
            (Word::Keyframe(wish), Some((index, false))) => {
                self.with_session(index, |session, _| session.mirror_wishes(wish));
            }
            (Word::Media(batch), Some((index, true))) => {
                self.with_session(index, |session, _| session.mirror_takes(batch));
            }
            (Word::End(code), Some((index, true))) => {
                self.with_session(index, |session, cx| session.end(cx, *code, None));
            }
            // Whoever speaks of what is gone is told so.
            (Word::Greeting { .. }, _) => self.answer(*from, *session, Word::End(Code::Ended)),
            (Word::Media(_), _) => self.answer(*from, *session, Word::Farewell),
            (Word::Farewell | Word::Keyframe(_) | Word::End(_), _) => {}
        }
    }

    /// The next word for another shard.
    pub fn poll_handoff(&mut self) -> Option<(ShardId, Handoff)> {
        self.handoffs.pop_front()
    }

    /// A word found no room on its way.
    pub fn handoff_lost(&mut self, now: Instant, to: ShardId, handoff: &Handoff) {
        self.now = now;
        if let Some(index) = self.open_session(&handoff.session) {
            self.with_session(index, |session, _| session.handoff_lost(now, to, handoff));
        }
    }

    /// [`Self::deadline`] has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        if self.draining_until.is_some_and(|until| until <= now) {
            self.end_where(|_| true);
        }
        // A session whose deadline stays in the past is served once per call, so that the call ends.
        let mut due = Vec::new();
        while let Some(index) = self.timers.pop_due(now) {
            due.push(index);
        }
        for index in due {
            let only_media = self.sessions.get_mut(&index).is_some_and(|session| session.handle_media_timeout(now));
            if only_media {
                self.sending.insert(index);
            } else {
                self.with_session(index, Session::handle_timeout);
            }
        }
    }

    /// Fills `outbox` with one slice of the datagrams that are ready. True when more waits: send these, look at what
    /// came in meanwhile, and call again. Poll it before the pipes: media events become signals here.
    pub fn poll_datagrams(&mut self, outbox: &mut Outbox) -> bool {
        let (now, mut slice) = (self.now, SLICE_SUBSCRIBERS);
        while slice > 0
            && let Some(index) = self.sending.pop()
        {
            let Some(session) = self.sessions.get_mut(&index) else { continue };
            session.fanout.poll(now, outbox, &mut slice);
            session.pass_on(self.media.shard, &mut self.handoffs);
            // Packets alone concern nobody's carrier and no rule: then nobody is looked at but who is sent to.
            if session.has_events() {
                self.act(index, Session::dispatch);
            } else {
                self.timers.set(index, session.media_deadline());
            }
            if self.sessions.get(&index).is_some_and(|session| session.fanout.has_output()) {
                self.sending.insert(index);
            }
        }
        if self.sending.is_empty()
            && let Some(Handshake { key, transport, source, destination, mut payload }) = self.handshakes.pop_front()
        {
            self.deliver(key, Datagram { transport, source, destination, payload: &mut payload });
        }
        !self.sending.is_empty() || !self.handshakes.is_empty()
    }

    /// The next frame or close for a carrier.
    pub fn poll_pipe(&mut self) -> Option<(PipeId, PipeOutput)> {
        loop {
            if let Some((pipe, output)) = self.outputs.pop_front() {
                if matches!(output, PipeOutput::Close(_)) {
                    self.forget_pipe(pipe);
                }
                return Some((pipe, output));
            }
            let index = self.settling.pop()?;
            self.settle(index);
        }
    }

    /// The next fact for control.
    pub fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// When [`Self::handle_timeout`] is due, and why.
    pub fn deadline(&self) -> Deadline {
        let drain = self.draining_until.map_or(Deadline::IDLE, |at| Deadline::new(at, Reason::Drain));
        let drain = if self.sessions.is_empty() { Deadline::IDLE } else { drain };
        self.timers.next().min(drain)
    }

    /// Has no session anything to settle?
    #[cfg(test)]
    pub(crate) fn is_settled(&self) -> bool {
        self.settling.is_empty()
    }

    /// Sessions that are not over, mirrors among them.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// What this shard has counted. Walks its sessions: ask a few times a second, not per packet.
    pub fn totals(&mut self) -> &ShardTotals {
        let mut totals = self.past.clone();
        for session in self.sessions.values() {
            session.add_totals(&mut totals);
        }
        self.demux.add_totals(&mut totals);
        self.totals = totals;
        &self.totals
    }

    fn deliver(&mut self, key: PeerKey, datagram: Datagram<'_>) {
        let (index, who) = owner(key);
        let Some(session) = self.sessions.get_mut(&index) else { return };
        session.fanout.handle_datagram(self.now, who, datagram);
        self.sending.insert(index);
    }

    fn answer(&mut self, to: ShardId, session: SessionId, word: Word) {
        self.handoffs.push_back((to, Handoff { from: self.shard(), session, word }));
    }

    /// There shall be a mirror of a session that lives elsewhere.
    fn mirror(&mut self, session: SessionId, home: ShardId) -> Result<(), Refusal> {
        let known = self.by_id.get(&session).and_then(|index| self.sessions.get(index));
        match known {
            // One that has ended still says goodbye; the next request finds it gone.
            Some(known) if known.has_ended() || !known.is_mirror() => {
                Err(Refusal::new(Code::Overload, "docs/decisions/0015"))
            }
            Some(_) => Ok(()),
            None if self.mirrors >= MIRRORS_PER_SHARD_MAX => {
                Err(Refusal::new(Code::Overload, "limits::MIRRORS_PER_SHARD_MAX"))
            }
            None => {
                let now = self.now;
                self.mirrors += 1;
                self.insert(session, |index| Session::mirroring(session, index, home, now));
                Ok(())
            }
        }
    }

    fn insert(&mut self, session: SessionId, make: impl FnOnce(Index) -> Session) {
        let index = self.next_index;
        self.next_index += 1;
        self.sessions.insert(index, Box::new(make(index)));
        self.by_id.insert(session, index);
        self.settling.insert(index);
    }

    fn join(&mut self, pipe: PipeId, admission: Admission, client: ClientInfo) {
        if self.draining_until.is_some() {
            return self.turn_away(pipe, &Refusal::new(Code::Draining, "promises P3"));
        }
        self.enter(pipe, admission.session, |session, cx| session.join(cx, pipe, admission, client));
    }

    fn resume(&mut self, pipe: PipeId, session: SessionId, token: &str, client: ClientInfo) {
        self.enter(pipe, session, |session, cx| session.resume(cx, pipe, token, client));
    }

    fn enter(
        &mut self,
        pipe: PipeId,
        session: SessionId,
        act: impl FnOnce(&mut Session, &mut Context<'_>) -> Result<ParticipantId, Refusal>,
    ) {
        let is_home = |index: &Index| self.sessions.get(index).is_some_and(|session| !session.is_mirror());
        let Some(index) = self.open_session(&session).filter(is_home) else {
            return self.turn_away(pipe, &Refusal::new(Code::Session, "protocol §8"));
        };
        match self.with_session(index, act) {
            Some(Ok(who)) => {
                self.pipes.insert(pipe, (index, who));
            }
            Some(Err(refusal)) => self.turn_away(pipe, &refusal),
            None => self.turn_away(pipe, &Refusal::new(Code::Session, "protocol §8")),
        }
    }

    /// A session that lets somebody in. One that has ended is only still there to say goodbye: whoever came in now would
    /// be left behind when it goes.
    fn open_session(&self, session: &SessionId) -> Option<Index> {
        let index = *self.by_id.get(session)?;
        self.sessions.get(&index).filter(|session| !session.has_ended()).map(|_| index)
    }

    fn turn_away(&mut self, pipe: PipeId, refusal: &Refusal) {
        tracing::debug!(code = %refusal.code, rule = %refusal.rule, "turned away");
        self.outputs.push_back((pipe, PipeOutput::Close(refusal.code)));
    }

    /// A carrier is gone or was told to go: from here on its participant is away, whether or not the host says so too.
    fn forget_pipe(&mut self, pipe: PipeId) {
        self.with_pipe(pipe, |session, cx, who| session.carrier_closed(cx, pipe, who));
        self.pipes.remove(&pipe);
    }

    fn with_pipe(&mut self, pipe: PipeId, act: impl FnOnce(&mut Session, &mut Context<'_>, ParticipantId)) {
        if let Some((index, who)) = self.pipes.get(&pipe).copied() {
            self.with_session(index, |session, cx| act(session, cx, who));
        }
    }

    /// Lets a session act, and remembers that it may have something to send.
    fn with_session<T>(&mut self, index: Index, act: impl FnOnce(&mut Session, &mut Context<'_>) -> T) -> Option<T> {
        let result = self.act(index, act);
        if result.is_some() {
            self.sending.insert(index);
        }
        result
    }

    fn act<T>(&mut self, index: Index, act: impl FnOnce(&mut Session, &mut Context<'_>) -> T) -> Option<T> {
        let session = self.sessions.get_mut(&index)?;
        let mut cx = Context {
            now: self.now,
            entropy: &mut self.entropy,
            demux: &mut self.demux,
            media: &self.media,
            reports: &mut self.reports,
            orphans: &mut self.outputs,
            handoffs: &mut self.handoffs,
        };
        let result = act(session, &mut cx);
        self.settling.insert(index);
        Some(result)
    }

    /// Collects what a session has to send, sets its timer, forgets it when it is over.
    fn settle(&mut self, index: Index) {
        let Some(session) = self.sessions.get_mut(&index) else { return };
        session.drain(self.now, &mut self.outputs);
        if session.has_ended() {
            session.add_totals(&mut self.past);
            self.mirrors -= usize::from(session.is_mirror());
            self.by_id.remove(&session.id);
            self.sessions.remove(&index);
            self.timers.remove(index);
            self.pipes.retain(|_, (owner, _)| *owner != index);
        } else {
            self.timers.set(index, session.deadline());
        }
    }

    fn end_where(&mut self, chosen: impl Fn(&Session) -> bool) {
        let ending: Vec<Index> =
            self.sessions.iter().filter(|(_, session)| chosen(session)).map(|(index, _)| *index).collect();
        for index in ending {
            self.with_session(index, |session, cx| session.end(cx, Code::Draining, None));
        }
    }
}

/// Session and member that a peer's key stands for; the inverse of `Session::peer_key`.
const fn owner(key: PeerKey) -> (Index, MemberId) {
    ((key.0 >> 32) as Index, MemberId((key.0 & 0xffff_ffff) as u32))
}

#[cfg(test)]
mod tests;
