//! A scripted engine on real threads and sockets, on both backends.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fanlight_engine::{Datagram, Deadline, Outbox, PipeInput, PipeOutput, Reason, Transport};
use fanlight_wire::command::Command;
use fanlight_wire::policy::Policy;
use fanlight_wire::report::{Report, ShardTotals};
use fanlight_wire::signal::ClientInfo;
use fanlight_wire::{Code, Frame, GroupId, Header, Kind, PipeId, SessionId, ShardId};
use tokio::sync::mpsc;

use super::{Birth, Decide, Shard, ShardConfig};
use crate::io::{BackendChoice, MediaBind};
use crate::queue::ShardInput;

const SESSION: SessionId = SessionId::from_bytes([7; 16]);

macro_rules! on_both_backends {
    ($($question:ident),+ $(,)?) => {
        mod with_uring { $(#[test] fn $question() { super::$question(super::BackendChoice::Uring) })+ }
        mod with_mmsg { $(#[test] fn $question() { super::$question(super::BackendChoice::Mmsg) })+ }
    };
}

mod neighbours;
mod slices;

on_both_backends! {
    datagrams_and_frames_go_through_the_engine,
    a_deadline_wakes_a_shard_without_input,
    a_panic_ends_the_sessions_and_the_shard_goes_on,
    the_end_of_a_session_is_never_lost,
    an_occupied_port_is_named,
    a_pipe_ends_with_its_close,
}

/// Sends back what it gets. `poison` panics; a drain wakes it as soon as it allows.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    datagrams: Vec<(Transport, SocketAddr, SocketAddr, Vec<u8>)>,
    outputs: Vec<(PipeId, PipeOutput)>,
    reports: Vec<Report>,
    deadline: Option<Instant>,
    totals: ShardTotals,
}

impl Decide for Echo {
    fn handle_datagram(&mut self, _: Instant, datagram: Datagram<'_>) {
        assert!(datagram.payload != b"poison", "scripted");
        self.totals.packets_in += 1;
        let Datagram { transport, source, destination, payload } = datagram;
        self.datagrams.push((transport, destination, source, payload.to_vec()));
    }

    fn handle_pipe(&mut self, _: Instant, pipe: PipeId, input: PipeInput) {
        match input {
            PipeInput::Frame(frame) => self.outputs.push((pipe, PipeOutput::Frame(frame))),
            PipeInput::Resume { token, .. } if token == "no" => {
                self.outputs.push((pipe, PipeOutput::Close(Code::Resume)));
            }
            // Work of a given amount, so that a test can keep a shard busy.
            PipeInput::Credit(amount) => drop((0..amount).map(std::hint::black_box).count()),
            _ => {}
        }
    }

    fn handle_command(&mut self, now: Instant, command: Command) {
        if let Command::Drain { within } = command {
            self.deadline = Some(now + within);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        assert!(self.deadline.take().is_some_and(|at| at <= now), "woken at its time");
        self.reports.push(Report::Ended { session: SESSION, code: Code::Draining, by: None, lasted: Duration::ZERO });
    }

    fn poll_datagrams(&mut self, outbox: &mut Outbox) -> bool {
        for (transport, source, destination, payload) in self.datagrams.drain(..) {
            outbox.push(transport, source, destination, &payload);
        }
        false
    }

    fn poll_pipe(&mut self) -> Option<(PipeId, PipeOutput)> {
        (!self.outputs.is_empty()).then(|| self.outputs.remove(0))
    }

    fn poll_report(&mut self) -> Option<Report> {
        self.reports.pop()
    }

    fn deadline(&self) -> Deadline {
        self.deadline.map_or(Deadline::IDLE, |at| Deadline::new(at, Reason::Drain))
    }

    fn totals(&mut self) -> ShardTotals {
        self.totals.clone()
    }
}

/// A shard with a scripted engine on ports of the kernel's choice.
pub(crate) fn echo(backend: BackendChoice, bind: SocketAddr) -> (Shard, mpsc::Receiver<Report>) {
    let (reports, reported) = mpsc::channel(64);
    let media = vec![MediaBind { bind, advertise: bind }];
    let config = ShardConfig { id: ShardId(0), core: None, backend, media, tcp: true, neighbours: Arc::default() };
    let shard = match Shard::spawn(config, Box::new(|_: Birth| Echo::default()), Vec::new(), reports) {
        Ok(shard) => shard,
        Err(error) => panic!("this host refuses a shard on {backend:?}: {error}"),
    };
    (shard, reported)
}

pub(crate) fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Asks the shard to end and waits for it.
pub(crate) fn stop(shard: Shard) {
    shard.handle.try_send(ShardInput::Stop).unwrap();
    shard.join().unwrap();
}

fn client() -> UdpSocket {
    let client = UdpSocket::bind(any()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client
}

/// Repeats a call that was interrupted: the kernel winds up a closed ring on the thread that had opened it.
pub(crate) fn patiently<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn asks(client: &UdpSocket, shard: &Shard, question: &[u8]) {
    client.send_to(question, shard.udp[0]).unwrap();
    let mut buffer = [0; 1_500];
    let (bytes, from) = patiently(|| client.recv_from(&mut buffer)).expect("an echo");
    assert_eq!((&buffer[..bytes], from), (question, shard.udp[0]));
}

fn open_pipe(shard: &Shard, pipe: PipeId, token: &str) -> mpsc::UnboundedReceiver<PipeOutput> {
    let (sink, output) = mpsc::unbounded_channel();
    let input = PipeInput::Resume { session: SESSION, token: token.to_owned(), client: ClientInfo::default() };
    shard.handle.try_send(ShardInput::Open { pipe, output: sink.into(), input }).unwrap();
    output
}

fn frame(text: &str) -> Frame {
    Frame::new(Header::single(Kind::Signal), text.as_bytes()).unwrap()
}

fn datagrams_and_frames_go_through_the_engine(backend: BackendChoice) {
    let (shard, _reported) = echo(backend, any());
    let client = client();
    (0..100_u8).for_each(|i| asks(&client, &shard, &[i; 300]));
    let mut output = open_pipe(&shard, PipeId(5), "yes");
    for i in 0..100 {
        let sent = frame(&format!("{{\"t\":\"ping\",\"at\":{i}}}"));
        shard.handle.try_send(ShardInput::Pipe(PipeId(5), PipeInput::Frame(sent.clone()))).unwrap();
        assert_eq!(output.blocking_recv(), Some(PipeOutput::Frame(sent)));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let status = runtime.block_on(shard.handle.status()).unwrap();
    assert_eq!((status.totals.packets_in, status.sockets.datagrams_in, status.pipes), (100, 100, 1));
    let board = Arc::clone(&shard.board);
    stop(shard);
    assert_eq!(board.read().totals.packets_in, 100, "the last status is published");
    assert_eq!(output.blocking_recv(), None);
}

fn a_deadline_wakes_a_shard_without_input(backend: BackendChoice) {
    let (shard, mut reported) = echo(backend, any());
    for within in [Duration::from_millis(30), Duration::ZERO] {
        shard.handle.try_send(ShardInput::Command(Command::Drain { within })).unwrap();
        assert!(matches!(reported.blocking_recv(), Some(Report::Ended { code: Code::Draining, .. })));
    }
    stop(shard);
}

fn a_panic_ends_the_sessions_and_the_shard_goes_on(backend: BackendChoice) {
    let (shard, mut reported) = echo(backend, any());
    let client = client();
    let group = GroupId::new("demo").unwrap();
    // More panics than the backend has receive buffers: none of them may cost one.
    let panics = 300;
    for _ in 0..panics {
        let open = Command::Open { session: SESSION, group: group.clone(), policy: Policy::default() };
        shard.handle.try_send(ShardInput::Command(open)).unwrap();
        let mut output = open_pipe(&shard, PipeId(1), "yes");
        asks(&client, &shard, b"alive");
        client.send_to(b"poison", shard.udp[0]).unwrap();
        let report = reported.blocking_recv();
        assert!(
            matches!(report, Some(Report::Ended { session: SESSION, code: Code::Bug, by: None, .. })),
            "{report:?}"
        );
        assert_eq!(output.blocking_recv(), None, "the carrier learns it by the end of its channel");
        asks(&client, &shard, b"alive again");
    }
    let board = Arc::clone(&shard.board);
    stop(shard);
    let status = board.read();
    assert_eq!((status.panics, status.pipes, status.totals.packets_in), (panics, 0, 1));
}

fn the_end_of_a_session_is_never_lost(backend: BackendChoice) {
    let (shard, mut reported) = echo(backend, any());
    let client = client();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let group = GroupId::new("demo").unwrap();
    // More than find a place among the reports while nobody reads them.
    let sessions = 100;
    for number in 0..sessions {
        let session = SessionId::from_bytes([number; 16]);
        let open = Command::Open { session, group: group.clone(), policy: Policy::default() };
        shard.handle.try_send(ShardInput::Command(open)).unwrap();
        asks(&client, &shard, b"alive");
        client.send_to(b"poison", shard.udp[0]).unwrap();
        // What comes in the same burst as the poison is lost with it.
        while runtime.block_on(shard.handle.status()).unwrap().panics <= u64::from(number) {}
    }
    let ended = (0..sessions).filter(|_| matches!(reported.blocking_recv(), Some(Report::Ended { .. })));
    assert_eq!(ended.count(), usize::from(sessions));
    stop(shard);
}

fn an_occupied_port_is_named(backend: BackendChoice) {
    let taken = UdpSocket::bind(any()).unwrap();
    let bind = taken.local_addr().unwrap();
    let (reports, _reported) = mpsc::channel(1);
    let media = vec![MediaBind { bind, advertise: bind }];
    let config = ShardConfig { id: ShardId(9), core: None, backend, media, tcp: true, neighbours: Arc::default() };
    let error = Shard::spawn(config, Box::new(|_: Birth| Echo::default()), Vec::new(), reports).unwrap_err();
    assert!(error.to_string().contains(&bind.to_string()), "{error}");
}

fn a_pipe_ends_with_its_close(backend: BackendChoice) {
    let (shard, _reported) = echo(backend, any());
    let mut output = open_pipe(&shard, PipeId(8), "no");
    assert_eq!(output.blocking_recv(), Some(PipeOutput::Close(Code::Resume)));
    assert_eq!(output.blocking_recv(), None);
    stop(shard);
}
