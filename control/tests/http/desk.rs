//! A control plane on a desk: time that stands still unless told to go on, shards that note their commands.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanlight_control::{Asking, Clock, ConnectInfo, Control, ControlConfig, Door, Hooks, ShardLink, WebTransportInfo};
use fanlight_wire::command::Command;
use fanlight_wire::resource::{ResourceInput, ResourceOutput};
use fanlight_wire::{Code, Refusal, ShardId};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::Value;
use tokio::runtime::Runtime;

pub(crate) const HOST: &str = "127.0.0.1:7700";
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// One node's control plane with two shards.
pub(crate) struct Desk {
    pub(crate) control: Arc<Control>,
    pub(crate) shards: Shards,
    pub(crate) time: Time,
    runtime: Runtime,
}

/// Shared with the control plane under test.
#[derive(Clone, Default)]
pub(crate) struct Shards(Arc<Mutex<Noted>>);

#[derive(Default)]
struct Noted {
    commands: Vec<(ShardId, Command)>,
    asked: Vec<ResourceInput>,
    asked_at: Vec<ShardId>,
    permit: Option<Result<ResourceOutput, Refusal>>,
    answer: Option<Result<ResourceOutput, Refusal>>,
    refuse: bool,
}

impl Shards {
    pub(crate) fn commands(&self) -> Vec<(ShardId, Command)> {
        self.0.lock().expect("no test panics while it holds this").commands.clone()
    }

    /// What was asked about media resources.
    pub(crate) fn asked(&self) -> Vec<ResourceInput> {
        self.0.lock().expect("no test panics while it holds this").asked.clone()
    }

    /// Where it was asked.
    pub(crate) fn asked_at(&self) -> Vec<ShardId> {
        self.0.lock().expect("no test panics while it holds this").asked_at.clone()
    }

    /// From now on a home answers like this when it is asked whether somebody may watch on another shard.
    pub(crate) fn permits(&self, permit: Result<ResourceOutput, Refusal>) {
        self.0.lock().expect("no test panics while it holds this").permit = Some(permit);
    }

    /// From now on every question about a media resource is answered like this.
    pub(crate) fn answers(&self, answer: Result<ResourceOutput, Refusal>) {
        self.0.lock().expect("no test panics while it holds this").answer = Some(answer);
    }

    /// From now on every queue is full.
    pub(crate) fn refuse(&self) {
        self.0.lock().expect("no test panics while it holds this").refuse = true;
    }
}

impl ShardLink for Shards {
    fn send(&self, shard: ShardId, command: Command) -> Result<(), Refusal> {
        let mut noted = self.0.lock().expect("no test panics while it holds this");
        if noted.refuse {
            return Err(Refusal::new(Code::Overload, "a full queue"));
        }
        noted.commands.push((shard, command));
        Ok(())
    }

    fn ask(&self, shard: ShardId, input: ResourceInput) -> Asking {
        let mut noted = self.0.lock().expect("no test panics while it holds this");
        let permit = noted.permit.clone().filter(|_| matches!(input, ResourceInput::Permit { .. }));
        noted.asked.push(input);
        noted.asked_at.push(shard);
        if let Some(permit) = permit {
            return Box::pin(async { permit });
        }
        let answer = noted.answer.clone().unwrap_or(Err(Refusal::new(Code::Bug, "nothing was scripted")));
        Box::pin(async { answer })
    }

    fn shard_count(&self) -> u8 {
        2
    }
}

/// A clock in the test's hand.
#[derive(Clone)]
pub(crate) struct Time(Arc<Mutex<(u64, Instant)>>);

impl Time {
    #[expect(clippy::disallowed_methods, reason = "an `Instant` can be had in no other way; its value does not matter")]
    fn new() -> Self {
        Self(Arc::new(Mutex::new((1_800_000_000, Instant::now()))))
    }

    pub(crate) fn pass(&self, by: Duration) {
        let mut time = self.0.lock().expect("no test panics while it holds this");
        time.0 += by.as_secs();
        time.1 += by;
    }
}

impl Clock for Time {
    fn unix_seconds(&self) -> u64 {
        self.0.lock().expect("no test panics while it holds this").0
    }

    fn now(&self) -> Instant {
        self.0.lock().expect("no test panics while it holds this").1
    }
}

/// A folder for one test, removed afterwards.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(test: &str) -> Self {
        Self(std::env::temp_dir().join(format!("fanlight-{test}-{}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A test that failed before it wrote anything has nothing to remove.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: Value,
}

/// The same to whoever reads it. What is left of the reader's own budget is another number after each try.
impl PartialEq for Answer {
    fn eq(&self, other: &Self) -> bool {
        let told = |answer: &Self| {
            let mut headers = answer.headers.clone();
            headers.remove("ratelimit");
            headers
        };
        (self.status, &self.body, told(self)) == (other.status, &other.body, told(other))
    }
}

impl Answer {
    /// A text field of the body.
    pub(crate) fn text(&self, field: &str) -> String {
        self.body[field].as_str().unwrap_or_else(|| panic!("no text {field:?} in {}", self.body)).to_owned()
    }

    pub(crate) fn code(&self) -> Option<&str> {
        self.body["code"].as_str()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }
}

impl Desk {
    /// With everything in memory.
    pub(crate) fn new(demo: bool) -> Self {
        Self::with(ControlConfig { demo, ..ControlConfig::default() })
    }

    /// With everything in a folder, as after a restart when there was one before.
    pub(crate) fn kept_in(folder: &Folder, demo: bool) -> Self {
        let at = |name: &str| Some(folder.0.join(name));
        Self::with(ControlConfig {
            store_path: at("fanlight.db"),
            key_path: at("ticket.key"),
            operator_token_path: at("operator.token"),
            demo,
            ..ControlConfig::default()
        })
    }

    pub(crate) fn with(config: ControlConfig) -> Self {
        let (shards, time) = (Shards::default(), Time::new());
        let connect = |shard: ShardId| ConnectInfo {
            websocket: "/v1/ws".into(),
            webtransport: Some(WebTransportInfo {
                url: format!("https://127.0.0.1:{}/v1/wt", 7710 + u16::from(shard.0)),
                hashes: vec!["aGFzaA==".into()],
            }),
        };
        let hooks =
            Hooks { clock: Box::new(time.clone()), shards: Box::new(shards.clone()), connect: Box::new(connect) };
        let config = ControlConfig { origins: vec!["https://shop.example".into()], ..config };
        let control = Control::open(&config, hooks).expect("memory, or a folder that can be written");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        Self { control, shards, time, runtime }
    }

    /// Runs something where the control plane runs.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) fn send(&self, door: Door, request: Request<Bytes>) -> Answer {
        let response: Response<Bytes> = self.runtime.block_on(self.control.handle(door, request, PEER));
        let (parts, body) = response.into_parts();
        let is_json = parts.headers.get("content-type").is_none_or(|kind| kind.as_bytes().ends_with(b"json"));
        let body = match is_json {
            _ if body.is_empty() => Value::Null,
            true => serde_json::from_slice(&body).expect("JSON or nothing"),
            false => String::from_utf8(body.to_vec()).expect("text").into(),
        };
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) fn ask(&self, door: Door, method: Method, path: &str, bearer: Option<&str>, body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", HOST);
        if let Some(bearer) = bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        self.send(door, request.body(Bytes::copy_from_slice(body.as_bytes())).expect("a request"))
    }

    pub(crate) fn post(&self, path: &str, bearer: Option<&str>, body: &str) -> Answer {
        self.ask(Door::Public, Method::POST, path, bearer, body)
    }

    pub(crate) fn operate(&self, method: Method, path: &str, body: &str) -> Answer {
        self.ask(Door::Operator, method, path, Some(self.control.operator_token()), body)
    }

    /// The operator's POST with an `Idempotency-Key`.
    pub(crate) fn keyed(&self, path: &str, key: &str, body: &str) -> Answer {
        let request =
            Request::builder().method(Method::POST).uri(path).header("host", HOST).header("idempotency-key", key);
        let request = request.header("authorization", format!("Bearer {}", self.control.operator_token()));
        self.send(Door::Operator, request.body(Bytes::copy_from_slice(body.as_bytes())).expect("a request"))
    }

    /// A visitor's page asks for a key.
    pub(crate) fn visit(&self) -> Answer {
        let answer = self.post("/v1/keys", None, r#"{"group":"demo"}"#);
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        answer
    }

    /// Signs a demo agent in, by its place in the demo's list; its token.
    pub(crate) fn sign_in(&self, n: usize) -> String {
        let config = self.ask(Door::Public, Method::GET, "/demo/config.json", None, "").body;
        let agent = &config["agents"][n];
        let body = serde_json::json!({"group": config["group"], "agent": agent["agent"], "secret": agent["secret"]});
        let answer = self.post("/v1/login", None, &body.to_string());
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.text("token")
    }
}
