//! One WebTransport session: streams by class, datagrams, the pipe between them and the shard.
//!
//! Every stream has a reader and a writer of its own; the loop here only hands out what the shard wants sent. A class
//! that the client has not opened goes over `Ctl`, and stays there. At the end all that is queued is sent, acknowledged, and only then is
//! the session closed, because closing a QUIC connection forgets what is under way.

use std::collections::BTreeMap;

use bytes::Bytes;
use fanlight_control::metrics::Lane as Label;
use fanlight_engine::PipeOutput;
use fanlight_wire::frame::Splitter;
use fanlight_wire::signal::order_of;
use fanlight_wire::{Class, Code, Frame, Refusal, limits};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use web_transport_quinn::{RecvStream, SendStream, Session, SessionError};

use crate::carrier::admit::Gate;
use crate::carrier::{Lane, ShardGone, Uplink, farewell};

/// Bytes read from a stream at once.
const READ_BYTES: usize = 16 * 1024;

/// A stream whose class is known.
struct Stream {
    class: Class,
    send: SendStream,
    recv: RecvStream,
    splitter: Splitter,
}

/// What a client has opened when it says hello.
struct Streams {
    ctl: Stream,
    others: Vec<Stream>,
}

/// Why a session is closed by us.
enum Ending {
    /// The shard wants it.
    Wanted(Code),
    /// The client did or left undone something.
    Fault(Code),
}

/// How a part of the session ended.
type Ended = Result<(), Code>;

/// The life of one session.
pub(super) async fn run(session: Session, gate: &Gate) {
    let mut opening = JoinSet::new();
    let hello = match timeout(limits::HELLO_MAX, first_frame(&session, &mut opening)).await {
        Ok(hello) => hello,
        Err(_) => Err(Code::Timeout),
    };
    let (mut streams, first) = match hello {
        Ok(hello) => hello,
        Err(code) => return end(&session, code).await,
    };
    match gate.open(&first).await {
        Ok(lane) => Conversation::new(session, lane, opening).run(streams, gate).await,
        Err(refusal) => {
            tracing::debug!(code = refusal.code.label(), "a WebTransport session was refused");
            refuse(&mut streams.ctl.send, &refusal).await;
            end(&session, refusal.code).await;
        }
    }
}

type Opening = JoinSet<Result<Stream, Code>>;

/// Waits for the `Ctl` stream and its first frame. Streams whose class is not known by then stay in `opening`.
async fn first_frame(session: &Session, opening: &mut Opening) -> Result<(Streams, Frame), Code> {
    let mut others = Vec::new();
    let mut ctl = loop {
        tokio::select! {
            stream = session.accept_bi() => {
                let (send, recv) = stream.map_err(|_| Code::Left)?;
                opening.spawn(classify(send, recv));
            }
            Some(stream) = opening.join_next() => match stream.map_err(|_| Code::Bug)?? {
                stream if stream.class == Class::Ctl => break stream,
                stream => others.push(stream),
            },
        }
    };
    match next(&mut ctl.recv, &mut ctl.splitter).await? {
        Some(frame) => Ok((Streams { ctl, others }, frame)),
        None => Err(Code::Left),
    }
}

/// Reads the byte that says what a stream is for.
async fn classify(send: SendStream, mut recv: RecvStream) -> Result<Stream, Code> {
    let mut byte = [0];
    let read = timeout(limits::HELLO_MAX, recv.read_exact(&mut byte)).await.map_err(|_| Code::Timeout)?;
    read.map_err(|_| Code::Left)?;
    let [byte] = byte;
    let class = Class::from_stream_byte(byte).ok_or(Code::BadFrame)?;
    // Quinn sends higher numbers first; signals are `Class::Ctl`, stream byte 0.
    let priority = -i32::from(class.stream_byte());
    send.set_priority(priority).map_err(|_| Code::Left)?;
    Ok(Stream { class, send, recv, splitter: Splitter::default() })
}

/// The next whole frame of a stream, `None` at its end.
async fn next(recv: &mut RecvStream, splitter: &mut Splitter) -> Result<Option<Frame>, Code> {
    loop {
        if let Some(frame) = splitter.next_frame().map_err(|_| Code::BadFrame)? {
            return Ok(Some(frame));
        }
        match recv.read_chunk(READ_BYTES, true).await {
            Ok(Some(chunk)) => splitter.push(&chunk.bytes),
            Ok(None) | Err(_) => return Ok(None),
        }
    }
}

/// On which stream the frames of a class travel: on its own, or on `Ctl` where the client had not opened that one when the
/// first frame was sent. It stays so, because there is no order between two streams.
#[derive(Debug, Default)]
struct Routes(BTreeMap<Class, Class>);

impl Routes {
    fn of(&mut self, class: Class, is_open: bool) -> Class {
        *self.0.entry(class).or_insert(if is_open { class } else { Class::Ctl })
    }
}

struct Conversation {
    session: Session,
    uplink: Uplink,
    output: mpsc::UnboundedReceiver<PipeOutput>,
    opening: Opening,
    readers: JoinSet<Ended>,
    writers: JoinSet<Ended>,
    /// What each open class still has to send. Bounded by the engine's window.
    queues: BTreeMap<Class, mpsc::UnboundedSender<Bytes>>,
    routes: Routes,
}

impl Conversation {
    fn new(session: Session, lane: Lane, opening: Opening) -> Self {
        let (uplink, output) = (lane.uplink(), lane.output);
        Self {
            session,
            uplink,
            output,
            opening,
            readers: JoinSet::new(),
            writers: JoinSet::new(),
            queues: BTreeMap::new(),
            routes: Routes::default(),
        }
    }

    async fn run(mut self, streams: Streams, gate: &Gate) {
        let Streams { ctl, others } = streams;
        let ended = match [ctl].into_iter().chain(others).try_for_each(|stream| self.adopt(stream)) {
            Ok(()) => self.talk().await,
            Err(code) => Some(Ending::Fault(code)),
        };
        self.uplink.close().await;
        let code = match ended {
            None => return,
            Some(Ending::Wanted(code)) => code,
            Some(Ending::Fault(code)) => {
                gate.fault(Label::WebTransport, code);
                code
            }
        };
        // Without their queues the writers send what is left and end.
        self.queues.clear();
        if timeout(limits::QUIC_CLOSE_MAX, self.writers.join_all()).await.is_err() {
            tracing::debug!("a client did not take what was queued for it");
        }
        // An acknowledgement is the browser's, not the page's: what the page has not read dies with the session.
        if timeout(limits::QUIC_LINGER, self.session.closed()).await.is_err() {
            tracing::trace!("lingered before a close");
        }
        end(&self.session, code).await;
    }

    /// Until the client goes (`None`) or must go.
    async fn talk(&mut self) -> Option<Ending> {
        loop {
            tokio::select! {
                output = self.output.recv() => match output {
                    Some(PipeOutput::Frame(frame)) => match self.send(&frame).await {
                        Ok(()) => {}
                        Err(Code::Left) => return None,
                        Err(code) => return Some(Ending::Fault(code)),
                    },
                    Some(PipeOutput::Close(code)) => return Some(Ending::Wanted(code)),
                    None => return Some(Ending::Fault(Code::Bug)),
                },
                datagram = self.session.read_datagram() => match datagram {
                    Ok(bytes) => self.pointer(bytes),
                    Err(_) => return None,
                },
                stream = self.session.accept_bi() => match stream {
                    Ok((send, recv)) => {
                        self.opening.spawn(classify(send, recv));
                    }
                    Err(_) => return None,
                },
                Some(stream) = self.opening.join_next() => {
                    let adopted = stream.unwrap_or(Err(Code::Bug)).and_then(|stream| self.adopt(stream));
                    match adopted {
                        Ok(()) | Err(Code::Left) => {}
                        Err(code) => return Some(Ending::Fault(code)),
                    }
                }
                Some(ended) = self.readers.join_next() => if let Err(code) = ended.unwrap_or(Err(Code::Bug)) {
                    return Some(Ending::Fault(code));
                },
                Some(ended) = self.writers.join_next() => match ended.unwrap_or(Err(Code::Bug)) {
                    Ok(()) | Err(Code::Left) => return None,
                    Err(code) => return Some(Ending::Fault(code)),
                },
            }
        }
    }

    /// Gives a stream its reader and writer. One stream per class: a second is a client that does not know what it does.
    fn adopt(&mut self, stream: Stream) -> Result<(), Code> {
        let (queue, waiting) = mpsc::unbounded_channel();
        if self.queues.insert(stream.class, queue).is_some() {
            return Err(Code::BadFrame);
        }
        let Stream { class, send, recv, splitter } = stream;
        self.readers.spawn(read(class, recv, splitter, self.uplink.clone()));
        self.writers.spawn(write(send, waiting, self.uplink.clone()));
        Ok(())
    }

    /// Hands a frame to the writer of its class; a small pointer goes as a datagram and may be lost.
    async fn send(&mut self, frame: &Frame) -> Result<(), Code> {
        let class = order_of(frame);
        let bytes = frame.bytes().clone();
        if class == Class::Pointer && bytes.len() <= self.session.max_datagram_size() {
            let length = bytes.len();
            return match self.session.send_datagram(bytes) {
                Ok(()) | Err(SessionError::SendDatagramError(_)) => {
                    self.uplink.credit(length).await.map_err(|ShardGone| Code::Bug)
                }
                Err(_) => Err(Code::Left),
            };
        }
        let route = self.routes.of(class, self.queues.contains_key(&class));
        self.queues.get(&route).ok_or(Code::Bug)?.send(bytes).map_err(|_| Code::Left)
    }

    fn pointer(&self, bytes: Bytes) {
        match Frame::parse(bytes) {
            Ok(frame) if frame.header().kind.class() == Class::Pointer => self.uplink.try_frame(frame),
            Ok(_) | Err(_) => tracing::debug!("a datagram was no pointer"),
        }
    }
}

/// Client → shard, one stream. A frame travels on the stream of its class, or on `Ctl`.
async fn read(class: Class, mut recv: RecvStream, mut splitter: Splitter, uplink: Uplink) -> Ended {
    while let Some(frame) = next(&mut recv, &mut splitter).await? {
        if class != Class::Ctl && frame.header().kind.class() != class {
            return Err(Code::BadFrame);
        }
        uplink.frame(frame).await.map_err(|ShardGone| Code::Bug)?;
    }
    Ok(())
}

/// Shard → client, one stream. At the end of its queue it waits until the client has acknowledged everything.
async fn write(mut send: SendStream, mut waiting: mpsc::UnboundedReceiver<Bytes>, uplink: Uplink) -> Ended {
    while let Some(bytes) = waiting.recv().await {
        let length = bytes.len();
        send.write_chunk(bytes).await.map_err(|_| Code::Left)?;
        uplink.credit(length).await.map_err(|ShardGone| Code::Bug)?;
    }
    finish(&mut send).await;
    Ok(())
}

async fn finish(send: &mut SendStream) {
    if send.finish().is_ok() && send.stopped().await.is_err() {
        tracing::debug!("a stream was lost before its end");
    }
}

async fn refuse(send: &mut SendStream, refusal: &Refusal) {
    let Some(frame) = farewell(refusal) else { return };
    let told = async {
        if send.write_chunk(frame.bytes().clone()).await.is_ok() {
            finish(send).await;
        }
    };
    if timeout(limits::QUIC_CLOSE_MAX, told).await.is_err() {
        tracing::debug!("a client did not listen to a refusal");
    }
}

/// Closes the session with a code and waits for the client's acknowledgement, but not for long.
async fn end(session: &Session, code: Code) {
    session.close(u32::from(code.close_code()), code.label().as_bytes());
    if timeout(limits::QUIC_CLOSE_MAX, session.closed()).await.is_err() {
        tracing::debug!("a client did not answer a close");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_keeps_to_the_stream_of_its_first_frame() {
        let mut routes = Routes::default();
        assert_eq!(routes.of(Class::Dom, false), Class::Ctl, "the client has not opened it yet");
        assert_eq!(routes.of(Class::Dom, true), Class::Ctl, "what was sent before must not be overtaken");
        assert_eq!((routes.of(Class::Input, true), routes.of(Class::Input, true)), (Class::Input, Class::Input));
    }
}
