//! The gate of every carrier: reads the `hello`, has control verify its ticket, finds the home shard, opens the pipe.
//!
//! A resume token is verified by the engine, which keeps its secret; here only the session is read from it. Nothing of
//! a hello is logged.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use fanlight_control::metrics::Lane as Label;
use fanlight_control::{Asking, Control, ShardLink};
use fanlight_engine::PipeInput;
use fanlight_wire::command::Command;
use fanlight_wire::resource::ResourceInput;
use fanlight_wire::signal::{ClientInfo, SCHEMA, ToRelay};
use fanlight_wire::{Code, Frame, Kind, PipeId, Refusal, SessionId, ShardId, limits};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::{Crowd, Lane};
use crate::queue::{Handle, ShardInput};

/// The queues of all shards. Filled once, because shards need the gate and the gate needs shards.
#[derive(Debug, Default)]
pub struct Shards {
    handles: OnceLock<Vec<Handle>>,
    count: u8,
}

impl Shards {
    /// A place for `count` shards.
    pub fn new(count: u8) -> Arc<Self> {
        Arc::new(Self { handles: OnceLock::new(), count })
    }

    /// Fills the place. A second filling is ignored.
    pub fn fill(&self, handles: Vec<Handle>) {
        let filled = self.handles.set(handles);
        debug_assert!(filled.is_ok(), "shards are started once");
    }

    pub fn handle(&self, shard: ShardId) -> Option<&Handle> {
        self.handles.get()?.get(usize::from(shard.0))
    }

    /// All queues, in the order of shards.
    pub fn all(&self) -> &[Handle] {
        self.handles.get().map(Vec::as_slice).unwrap_or_default()
    }
}

/// Control's way to the shards.
#[derive(Debug)]
pub struct Link(pub Arc<Shards>);

impl ShardLink for Link {
    fn send(&self, shard: ShardId, command: Command) -> Result<(), Refusal> {
        let busy = || Refusal::new(Code::Overload, "shard queue");
        let handle = self.0.handle(shard).ok_or_else(busy)?;
        handle.try_send(ShardInput::Command(command)).map_err(|_| busy())
    }

    fn ask(&self, shard: ShardId, input: ResourceInput) -> Asking {
        let handle = self.0.handle(shard).cloned();
        Box::pin(async move {
            let busy = || Refusal::new(Code::Overload, "shard queue");
            let (answer, answered) = oneshot::channel();
            let sent = handle.ok_or_else(busy)?.try_send(ShardInput::Resource(input, answer));
            sent.map_err(|_| busy())?;
            match timeout(limits::RESOURCE_ANSWER_MAX, answered).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) | Err(_) => Err(busy()),
            }
        })
    }

    fn shard_count(&self) -> u8 {
        self.0.count
    }
}

/// Lets carriers in.
pub struct Gate {
    control: Arc<Control>,
    shards: Arc<Shards>,
    next_pipe: AtomicU64,
    crowd: Arc<Crowd>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("shards", &self.shards).finish_non_exhaustive()
    }
}

impl Gate {
    pub fn new(control: Arc<Control>, shards: Arc<Shards>) -> Arc<Self> {
        Arc::new(Self { control, shards, next_pipe: AtomicU64::new(1), crowd: Arc::default() })
    }

    /// The carriers that are open, admitted or not.
    pub const fn crowd(&self) -> &Arc<Crowd> {
        &self.crowd
    }

    /// Counts a carrier that this side had to end for something its client did or left undone.
    pub fn fault(&self, carrier: Label, code: Code) {
        self.control.metrics().fault(carrier, code);
        tracing::debug!(carrier = carrier.label(), code = code.label(), "a carrier was ended");
    }

    /// May a page of this origin open a carrier at this host? (G-35)
    pub fn origin_allowed(&self, origin: Option<&str>, host: &str) -> bool {
        self.control.origin_allowed(origin, host)
    }

    /// Opens the pipe that a first frame asks for.
    ///
    /// # Errors
    /// A [`Refusal`] when the frame is no hello, its ticket is not good, or its session is not here.
    pub async fn open(&self, first: &Frame) -> Result<Lane, Refusal> {
        let (session, input) = match read(first)? {
            Hello::Ticket(ticket, client) => {
                let admission = self.control.admit(&ticket)?;
                (admission.session, PipeInput::Join { admission: Box::new(admission), client })
            }
            Hello::Resume(session, token, client) => (session, PipeInput::Resume { session, token, client }),
        };
        let missing = || Refusal::new(Code::Session, "directory");
        let shard = self.control.home(&session).ok_or_else(missing)?;
        let shard = self.shards.handle(shard).cloned().ok_or_else(missing)?;
        let pipe = PipeId(self.next_pipe.fetch_add(1, Ordering::Relaxed));
        let (sink, output) = mpsc::unbounded_channel();
        let open = ShardInput::Open { pipe, output: sink.into(), input };
        shard.send(open).await.map_err(|_| Refusal::new(Code::Overload, "shard queue"))?;
        Ok(Lane { pipe, shard, output })
    }
}

enum Hello {
    Ticket(String, ClientInfo),
    Resume(SessionId, String, ClientInfo),
}

fn read(first: &Frame) -> Result<Hello, Refusal> {
    let wrong = || Refusal::new(Code::BadSignal, "hello").saying("The first frame must be a hello.");
    if first.header().kind != Kind::Signal {
        return Err(wrong());
    }
    let Ok(ToRelay::Hello { schema, ticket, resume, client }) = ToRelay::parse(first.payload()) else {
        return Err(wrong());
    };
    if schema != SCHEMA {
        return Err(Refusal::new(Code::Schema, "hello"));
    }
    let client = trimmed(client);
    match (ticket, resume) {
        (Some(ticket), None) if ticket.len() <= limits::TICKET_BYTES_MAX => Ok(Hello::Ticket(ticket, client)),
        (None, Some(token)) if token.len() <= limits::TICKET_BYTES_MAX => {
            let session = token.split('.').next().and_then(|id| id.parse().ok());
            let session = session.ok_or_else(|| Refusal::new(Code::Resume, "hello"))?;
            Ok(Hello::Resume(session, token, client))
        }
        _ => Err(wrong().saying("A hello carries one ticket or one resume token.")),
    }
}

/// Versions are short; whatever is longer is cut so that nothing else can be stored in them.
fn trimmed(client: ClientInfo) -> ClientInfo {
    let cut = |text: String| text.chars().take(limits::NAME_CHARS_MAX).collect();
    ClientInfo { os: cut(client.os), browser: cut(client.browser), client: cut(client.client) }
}

#[cfg(test)]
mod tests {
    use fanlight_wire::Header;

    use super::*;

    fn refused(signal: &str) -> Code {
        let frame = Frame::new(Header::single(Kind::Signal), signal.as_bytes()).expect("small");
        match read(&frame) {
            Ok(_) => panic!("let in: {signal}"),
            Err(refusal) => refusal.code,
        }
    }

    #[test]
    fn only_a_hello_with_one_proof_opens_a_carrier() {
        assert_eq!(refused(r#"{"t":"ping","at":1}"#), Code::BadSignal);
        assert_eq!(refused("{}"), Code::BadSignal);
        assert_eq!(refused(r#"{"t":"hello","schema":2,"ticket":"x"}"#), Code::Schema);
        assert_eq!(refused(r#"{"t":"hello","schema":1}"#), Code::BadSignal);
        assert_eq!(refused(r#"{"t":"hello","schema":1,"ticket":"x","resume":"y"}"#), Code::BadSignal);
        assert_eq!(refused(r#"{"t":"hello","schema":1,"resume":"nonsense.1.x"}"#), Code::Resume);
        let long = format!(r#"{{"t":"hello","schema":1,"ticket":"{}"}}"#, "x".repeat(limits::TICKET_BYTES_MAX + 1));
        assert_eq!(refused(&long), Code::BadSignal);
        let pointer = Frame::new(Header::single(Kind::PointerMove), b"").expect("small");
        assert!(read(&pointer).is_err());
    }

    #[test]
    fn a_resume_token_names_its_session() {
        let id = "00112233445566778899aabbccddeeff";
        let hello =
            format!(r#"{{"t":"hello","schema":1,"resume":"{id}.2.c2VjcmV0","client":{{"os":"{}"}}}}"#, "x".repeat(500));
        let frame = Frame::new(Header::single(Kind::Signal), hello.as_bytes()).expect("small");
        let Ok(Hello::Resume(session, _, client)) = read(&frame) else { panic!("refused") };
        assert_eq!(session.to_string(), id);
        assert_eq!(client.os.len(), limits::NAME_CHARS_MAX);
    }
}
