//! One turn of a shard, and what happens when a turn panics.
//!
//! Owns the engine and the tables that turn its outputs into sends. Everything in a turn is synchronous; waiting is
//! the loop's business.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fanlight_engine::{Datagram, Handoff, Outbox, PipeInput, PipeOutput, Transport};
use fanlight_wire::command::Command;
use fanlight_wire::limits::{SLICE_DATAGRAMS_MAX, TOTALS_INTERVAL, TURN_DATAGRAMS_MAX};
use fanlight_wire::report::Report;
use fanlight_wire::{Code, PipeId, SessionId, ShardId, StreamId};
use tokio::sync::mpsc;

use super::load::Load;
use super::{Bear, Birth, Board, Decide, ShardConfig, Status};
use crate::carrier::admit::Shards;
use crate::carrier::tcp::TcpSink;
use crate::io::{Counters, MediaSockets};
use crate::queue::{Inputs, PipeSink, ShardInput};

/// The runtime's timers count in milliseconds.
const TIMER_TICK: Duration = Duration::from_millis(1);

/// Sending of one turn ends after this long, however much is left; pipes, commands and timers wait no longer (G-66).
const TURN_MAX: Duration = Duration::from_millis(20);

/// What the loop does after a turn.
pub(super) enum Next {
    /// Wait for input, or until then.
    SleepUntil(Option<Instant>),
    Stop,
}

/// A shard without its waiting.
pub(super) struct Core<D> {
    bear: Bear<D>,
    sockets: MediaSockets,
    tcp: Vec<SocketAddr>,
    inputs: Inputs,
    engine: D,
    ties: Ties,
    outbox: Outbox,
    neighbours: Arc<Shards>,
    /// What this turn has to say to other shards, by shard.
    words: BTreeMap<ShardId, Vec<Handoff>>,
    board: Arc<Board>,
    published: Instant,
    load: Load,
    /// Something happened since the last publication.
    stale: bool,
    /// The last turn ended with more to send.
    behind: bool,
}

/// Who is tied to the engine from outside.
struct Ties {
    pipes: HashMap<PipeId, PipeSink>,
    streams: HashMap<StreamId, Stream>,
    /// Open sessions and when they were opened, so that a panic can tell control which ones ended.
    sessions: BTreeMap<SessionId, Instant>,
    reports: mpsc::Sender<Report>,
    /// Ends that found no place among the reports. Control counts sessions by them, so they are never lost; it opens no
    /// more than it counts, which bounds them.
    unsaid: VecDeque<Report>,
    status: Status,
    stop: bool,
}

struct Stream {
    peer: SocketAddr,
    local: SocketAddr,
    output: TcpSink,
}

impl<D: Decide> Core<D> {
    pub(super) fn new(
        config: &ShardConfig,
        mut bear: Bear<D>,
        sockets: MediaSockets,
        tcp: Vec<SocketAddr>,
        inputs: Inputs,
        reports: mpsc::Sender<Report>,
        board: Arc<Board>,
    ) -> Self {
        let (now, shard) = (crate::clock::now(), config.id);
        let engine = bear(Birth { shard, now, udp: sockets.advertised(), tcp: tcp.clone() });
        let ties = Ties {
            pipes: HashMap::new(),
            streams: HashMap::new(),
            sessions: BTreeMap::new(),
            reports,
            unsaid: VecDeque::new(),
            status: Status::new(shard, sockets.backend()),
            stop: false,
        };
        let outbox = Outbox::default();
        let load = Load::new(now);
        Self {
            bear,
            sockets,
            tcp,
            inputs,
            engine,
            ties,
            outbox,
            neighbours: Arc::clone(&config.neighbours),
            words: BTreeMap::new(),
            board,
            published: now,
            load,
            stale: true,
            behind: false,
        }
    }

    /// What the loop waits for.
    pub(super) const fn sources(&mut self) -> (&MediaSockets, &mut Inputs) {
        (&self.sockets, &mut self.inputs)
    }

    pub(super) fn nudge(&mut self) -> bool {
        self.sockets.nudge()
    }

    /// A turn has begun and ended at these moments.
    pub(super) fn note_turn(&mut self, began: Instant, ended: Instant) {
        self.load.spend(ended.saturating_duration_since(began));
    }

    /// Takes what is there, lets the engine decide, sends.
    pub(super) fn turn(&mut self, now: Instant) -> Next {
        // What a panic leaves half-done is thrown away by `restart`: the engine, the ties and the outbox.
        if catch_unwind(AssertUnwindSafe(|| self.work(now))).is_err() {
            self.restart(now);
        }
        if self.ties.stop {
            self.publish(now);
            return Next::Stop;
        }
        let publication = self.published + TOTALS_INTERVAL;
        if self.stale && publication <= now {
            self.publish(now);
        }
        if self.behind {
            return Next::SleepUntil(Some(now));
        }
        let publication = self.stale.then_some(publication);
        // What is still due was just served; without a pause a deadline that stays in the past would burn the core.
        let deadline = self.engine.deadline().at.map(|at| at.max(now + TIMER_TICK));
        Next::SleepUntil([deadline, publication].into_iter().flatten().min())
    }

    fn work(&mut self, now: Instant) {
        let received = self.receive(now, TURN_DATAGRAMS_MAX);
        let Self { sockets, inputs, engine, ties, .. } = self;
        let counters = sockets.counters();
        let mut happened = received;
        happened += inputs.take_handoffs(&mut |word| engine.handle_handoff(now, word));
        happened += inputs.take(&mut |input| ties.take(now, engine, counters, input));
        if self.engine.deadline().is_due(now) {
            happened += 1;
            self.engine.handle_timeout(now);
        }
        if happened == 0 && !self.behind {
            return;
        }
        self.stale = true;
        self.fan_out(now, TURN_DATAGRAMS_MAX.saturating_sub(received));
        self.drain();
        self.hand_over(now);
    }

    /// Hands at most `budget` waiting datagrams to the engine; how many there were.
    fn receive(&mut self, now: Instant, budget: usize) -> usize {
        let Self { sockets, engine, .. } = self;
        sockets.receive(budget, &mut |received| {
            let (source, destination, payload) = (received.source, received.destination, received.payload);
            engine.handle_datagram(now, Datagram { transport: Transport::Udp, source, destination, payload });
        })
    }

    /// Sends the engine's datagrams slice by slice. What came in meanwhile is taken between slices, so that sessions
    /// with few subscribers do not wait for one with many; `budget` bounds that, and [`TURN_MAX`] since `began` the turn.
    fn fan_out(&mut self, began: Instant, mut budget: usize) {
        self.behind = false;
        loop {
            let more = self.engine.poll_datagrams(&mut self.outbox);
            // Mirrors begin to send while this shard does.
            self.hand_over(began);
            self.send();
            if !more {
                return;
            }
            let now = crate::clock::now();
            if now.saturating_duration_since(began) >= TURN_MAX {
                self.behind = true;
                return;
            }
            if budget > 0 {
                let received = self.receive(now, budget.min(SLICE_DATAGRAMS_MAX));
                budget = budget.saturating_sub(received);
            }
        }
    }

    /// Tells other shards what there is to tell, each by one message, so that each is woken once.
    fn hand_over(&mut self, now: Instant) {
        let Some((to, first)) = self.engine.poll_handoff() else { return };
        self.words.entry(to).or_default().push(first);
        while let Some((to, word)) = self.engine.poll_handoff() {
            self.words.entry(to).or_default().push(word);
        }
        let Self { engine, neighbours, words, behind, .. } = self;
        for (to, words) in words.iter_mut().filter(|(_, words)| !words.is_empty()) {
            let words = std::mem::take(words);
            let lost = match neighbours.handle(*to) {
                Some(neighbour) => neighbour.hand_over(words),
                None => Err(words),
            };
            for word in lost.err().into_iter().flatten() {
                engine.handoff_lost(now, *to, &word);
                // It may have something to send now.
                *behind = true;
            }
        }
    }

    fn send(&mut self) {
        if !self.outbox.is_empty() {
            self.sockets.send(&self.outbox);
            self.ties.send_streams(&self.outbox);
            self.outbox.clear();
        }
    }

    /// Passes on what the engine has to say beside media.
    fn drain(&mut self) {
        let Self { engine, ties, .. } = self;
        while let Some((pipe, output)) = engine.poll_pipe() {
            ties.pass_on(pipe, output);
        }
        while let Some(report) = engine.poll_report() {
            ties.report(report);
        }
    }

    /// A bug ended this shard: everything it held is gone, a fresh engine takes over its sockets.
    fn restart(&mut self, now: Instant) {
        let shard = self.ties.status.shard;
        self.ties.status.panics += 1;
        tracing::error!(shard = shard.0, panics = self.ties.status.panics, "a shard panicked and begins anew");
        self.outbox.clear();
        self.words.clear();
        self.ties.forget(now);
        let birth = Birth { shard, now, udp: self.sockets.advertised(), tcp: self.tcp.clone() };
        let old = std::mem::replace(&mut self.engine, (self.bear)(birth));
        if catch_unwind(AssertUnwindSafe(|| drop(old))).is_err() {
            tracing::error!(shard = shard.0, "a broken engine could not be taken down in order");
        }
        (self.stale, self.behind) = (true, false);
    }

    fn publish(&mut self, now: Instant) {
        self.published = now;
        self.ties.status.load_permille = self.load.publish(now);
        // A load that was told must be seen to fall.
        self.stale = self.ties.repeat() || self.ties.status.load_permille > 0;
        let status = self.ties.status(&mut self.engine, self.sockets.counters());
        self.board.publish(status);
    }
}

impl Ties {
    /// Hands one input to the engine.
    fn take<D: Decide>(&mut self, now: Instant, engine: &mut D, counters: Counters, input: ShardInput) {
        match input {
            ShardInput::Open { pipe, output, input } => {
                self.pipes.insert(pipe, output);
                engine.handle_pipe(now, pipe, input);
            }
            ShardInput::Pipe(pipe, input) => {
                if matches!(input, PipeInput::Closed) {
                    self.pipes.remove(&pipe);
                }
                engine.handle_pipe(now, pipe, input);
            }
            ShardInput::TcpOpened { stream, peer, local, output } => {
                self.streams.insert(stream, Stream { peer, local, output });
            }
            ShardInput::Tcp { stream, mut bytes } => {
                let Some(Stream { peer, local, .. }) = self.streams.get(&stream) else { return };
                let transport = Transport::Tcp(stream);
                let datagram =
                    Datagram { transport, source: *peer, destination: *local, payload: bytes.as_mut_slice() };
                engine.handle_datagram(now, datagram);
            }
            ShardInput::TcpClosed(stream) => {
                self.streams.remove(&stream);
            }
            ShardInput::Command(command) => {
                self.note(now, &command);
                engine.handle_command(now, command);
            }
            ShardInput::Resource(input, answer) => {
                if answer.send(engine.handle_resource(now, input)).is_err() {
                    tracing::debug!("nobody waits for a resource's answer any more");
                }
            }
            ShardInput::Query(answer) => {
                if answer.send(self.status(engine, counters)).is_err() {
                    tracing::debug!("nobody waits for a status any more");
                }
            }
            ShardInput::Stop => self.stop = true,
        }
    }

    fn note(&mut self, now: Instant, command: &Command) {
        match command {
            Command::Open { session, .. } => {
                self.sessions.entry(*session).or_insert(now);
            }
            Command::End { session, .. } => {
                self.sessions.remove(session);
            }
            Command::Keep { .. }
            | Command::Narrow { .. }
            | Command::Revoke { .. }
            | Command::Welcome { .. }
            | Command::Drain { .. } => {}
        }
    }

    fn pass_on(&mut self, pipe: PipeId, output: PipeOutput) {
        let last = matches!(output, PipeOutput::Close(_));
        let gone = self.pipes.get(&pipe).is_some_and(|sink| !sink.send(output));
        if last || gone {
            self.pipes.remove(&pipe);
        }
    }

    fn report(&mut self, report: Report) {
        if let Report::Ended { session, .. } = &report {
            self.sessions.remove(session);
        }
        match self.reports.try_send(report) {
            Err(mpsc::error::TrySendError::Full(end @ Report::Ended { .. })) => self.unsaid.push_back(end),
            Err(_) => self.status.reports_lost += 1,
            Ok(()) => {}
        }
    }

    /// Says what found no place before. True when there is still none.
    fn repeat(&mut self) -> bool {
        for end in std::mem::take(&mut self.unsaid) {
            self.report(end);
        }
        !self.unsaid.is_empty()
    }

    fn send_streams(&mut self, outbox: &Outbox) {
        for train in outbox.trains() {
            let Transport::Tcp(stream) = train.transport else { continue };
            let sink = self.streams.get(&stream).map(|stream| &stream.output);
            let dropped = outbox.segments(train).filter(|packet| !sink.is_some_and(|sink| sink.send(packet)));
            self.status.stream_drops += dropped.count() as u64;
        }
    }

    /// Everybody outside learns that the engine is gone: carriers by the end of their sink, control by reports.
    fn forget(&mut self, now: Instant) {
        self.pipes.clear();
        self.streams.clear();
        for (session, opened) in std::mem::take(&mut self.sessions) {
            let lasted = now.saturating_duration_since(opened);
            self.report(Report::Ended { session, code: Code::Bug, by: None, lasted });
        }
    }

    fn status<D: Decide>(&self, engine: &mut D, sockets: Counters) -> Status {
        let (pipes, streams) = (self.pipes.len(), self.streams.len());
        Status { totals: engine.totals(), sockets, pipes, streams, ..self.status.clone() }
    }
}
