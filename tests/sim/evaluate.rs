//! `POST /v1/policy/evaluate` and a running session are asked about the same wishes under the same rules, and agree.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanlight_control::{Asking, Clock, ConnectInfo, Control, ControlConfig, Door, Hooks, ShardLink};
use fanlight_loadtest::clock;
use fanlight_tests::{Who, World};
use fanlight_wire::command::{Command, Narrowing};
use fanlight_wire::policy::{Capabilities, Policy, Surface};
use fanlight_wire::resource::ResourceInput;
use fanlight_wire::signal::{SharePhase, Slot, ToRelay};
use fanlight_wire::sites::Assurance;
use fanlight_wire::{Code, Refusal, ShardId};
use hyper::{Method, Request};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::screen::meeting;

const SURFACES: [&str; 3] = ["browser", "window", "monitor"];
const ASSURANCES: [&str; 4] = ["none", "surface", "stated", "proved"];
/// Allowed, a bookmark, both, neither, no address at all.
const URLS: [&str; 6] = [
    "https://good.example/help/a",
    "https://good.example/shop",
    "https://other.example/",
    "https://evil.example/",
    "https://good.example@evil.example/",
    "nonsense",
];

struct Stopped(Instant);

impl Clock for Stopped {
    fn unix_seconds(&self) -> u64 {
        1_800_000_000
    }

    fn now(&self) -> Instant {
        self.0
    }
}

struct Nowhere;

impl ShardLink for Nowhere {
    fn send(&self, _: ShardId, _: Command) -> Result<(), Refusal> {
        Ok(())
    }

    fn ask(&self, _: ShardId, _: ResourceInput) -> Asking {
        Box::pin(async { Err(Refusal::new(Code::Bug, "nobody is asked")) })
    }

    fn shard_count(&self) -> u8 {
        1
    }
}

/// The control plane, and an agent without a role and one with the role `sales`.
struct Desk {
    control: Arc<Control>,
    runtime: tokio::runtime::Runtime,
    tokens: [String; 2],
}

impl Desk {
    fn new() -> Self {
        let connect = |_| ConnectInfo { websocket: "/v1/ws".into(), webtransport: None };
        let hooks =
            Hooks { clock: Box::new(Stopped(clock::now())), shards: Box::new(Nowhere), connect: Box::new(connect) };
        let control =
            Control::open(&ControlConfig { demo: true, ..ControlConfig::default() }, hooks).expect("all in memory");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let mut desk = Self { control, runtime: runtime.expect("a runtime"), tokens: Default::default() };
        for (role, agent) in [(None, "plain"), (Some("sales"), "sam")] {
            let put = json!({"name": agent, "role": role, "secret": "a secret of twelve"});
            desk.operate(Method::PUT, &format!("/v1/groups/demo/agents/{agent}"), None, &put);
            let login = json!({"group": "demo", "agent": agent, "secret": "a secret of twelve"});
            let (_, told) = desk.send(Door::Public, Method::POST, "/v1/login", None, &[], &login);
            desk.tokens[usize::from(role.is_some())] = told["token"].as_str().expect("signed in").to_owned();
        }
        desk
    }

    fn send(
        &self,
        door: Door,
        method: Method,
        path: &str,
        bearer: Option<&str>,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> (Option<String>, Value) {
        let mut request = Request::builder().method(method).uri(path).header("host", "127.0.0.1");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(bearer) = bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let request = request.body(Bytes::from(text)).expect("a request");
        let answer = self.runtime.block_on(self.control.handle(door, request, [127, 0, 0, 1].into()));
        let tag = answer.headers().get("etag").map(|tag| tag.to_str().expect("text").to_owned());
        (tag, serde_json::from_slice(answer.body()).unwrap_or_default())
    }

    fn operate(&self, method: Method, path: &str, seen: Option<&str>, body: &Value) -> (Option<String>, Value) {
        let seen = seen.map(|tag| ("if-match", tag));
        let token = self.control.operator_token();
        self.send(Door::Operator, method, path, Some(token), seen.as_slice(), body)
    }

    fn publish(&self, bundle: &Value) {
        let head = |name: &str| format!("/v1/groups/demo/policy/{name}");
        let tag = |name: &str| self.operate(Method::GET, &head(name), None, &Value::Null).0;
        let saved = self.operate(Method::PUT, &head("staging"), tag("staging").as_deref(), &json!({"bundle": bundle}));
        assert!(saved.1.get("version").is_some(), "{}", saved.1);
        let seen = tag("production");
        let published = self.operate(Method::POST, &head("publish"), seen.as_deref(), &Value::Null).1;
        assert!(published.get("version").is_some(), "{published}");
    }

    /// The rules that hold for an agent, with or without the role, and what its ticket may carry.
    fn effective(&self, role: bool) -> (Policy, Capabilities) {
        let bearer = self.tokens[usize::from(role)].as_str();
        let (_, told) = self.send(Door::Public, Method::GET, "/v1/policy/effective", Some(bearer), &[], &Value::Null);
        let policy = serde_json::from_value(told["policy"].clone()).expect("rules");
        let names = told["capabilities"].as_array().expect("of an agent").iter().filter_map(Value::as_str);
        let rights = names.map(|name| Capabilities::named(name).expect("a known right"));
        (policy, rights.fold(Capabilities::NONE, Capabilities::union))
    }

    fn evaluate(&self, role: bool, wish: &Wish) -> Value {
        let mut asked = json!({"ask": "share", "side": "agent"});
        let url = wish.url.map(|(url, assurance)| [("url", url), ("assurance", assurance)]);
        for (name, value) in url.into_iter().flatten().chain(wish.surface.map(|surface| ("surface", surface))) {
            asked[name] = value.into();
        }
        let body = json!({"group": "demo", "role": role.then_some("sales"), "wish": asked});
        self.operate(Method::POST, "/v1/policy/evaluate", None, &body).1["production"].clone()
    }
}

/// To share a surface, and what is said of it.
#[derive(Debug, Clone)]
struct Wish {
    surface: Option<&'static str>,
    url: Option<(&'static str, &'static str)>,
}

fn a_wish() -> impl Strategy<Value = Wish> {
    let url = (select(URLS.to_vec()), select(ASSURANCES.to_vec()));
    (option::weighted(0.9, select(SURFACES.to_vec())), option::weighted(0.8, url))
        .prop_map(|(surface, url)| Wish { surface, url })
}

fn surfaces() -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(SURFACES.to_vec(), 0..=3)
}

fn a_bundle() -> impl Strategy<Value = Value> {
    let assurance = || select(ASSURANCES.to_vec());
    let sharing = (proptest::bool::weighted(0.9), surfaces(), [assurance(), assurance(), assurance()]);
    let sites = (
        subsequence(vec!["https://good.example/help/*", "https://good.example/*", "https://other.example/*"], 0..=3),
        any::<[bool; 2]>(),
    );
    let role = (proptest::bool::weighted(0.9), proptest::bool::weighted(0.9), surfaces());
    (select(vec![52, 53, 60]), sharing, sites, role).prop_map(|(level, sharing, sites, role)| {
        let (show, surfaces, [browser, window, monitor]) = sharing;
        let (allowed, [help, other]) = sites;
        let link = |url: &str, active: bool| json!({"kind": "link", "title": "T", "url": url, "active": active});
        // While sites are on, a bookmark beyond them keeps a bundle from being published.
        let bookmarks = [(URLS[0], help, "https://good.example/"), (URLS[2], other, "https://other.example/")];
        let fits = |url: &str, host: &str| {
            allowed.iter().any(|pattern| pattern.starts_with(host) && url.starts_with(pattern.trim_end_matches('*')))
        };
        let bookmarks =
            bookmarks.into_iter().filter(|(url, _, host)| level > 52 && (allowed.is_empty() || fits(url, host)));
        let bookmarks: Vec<_> = bookmarks.map(|(url, active, _)| link(url, active)).collect();
        json!({
            "feature_level": level,
            "sharing": {
                "escalate_to_show": show, "agent_surfaces": surfaces,
                "assurance": {"browser": browser, "window": window, "monitor": monitor},
            },
            "sites": {"allowed": allowed, "bookmarks": bookmarks},
            "roles": {"sales": {
                "active": role.0, "escalate_to_show": role.1, "agent_surfaces": role.2, "modes": ["view_only"],
            }},
        })
    })
}

/// What a session says to the wish: a share that is held counts when something good may be said of it.
fn is_allowed(world: &mut World, agent: Who, wish: &Wish) -> bool {
    let read = |text: &str| serde_json::from_value(text.into()).expect("a known word");
    let surface: Option<Surface> =
        wish.surface.map(|text| serde_json::from_value(text.into()).expect("a known surface"));
    let assurance: Option<Assurance> = wish.url.map(|(_, assurance)| read(assurance));
    let url = wish.url.map(|(url, _)| url.to_owned());
    let denials = world.actor(agent).seat.denials.len();
    let mid = world.actor_mut(agent).peer().own_mid();
    let start = ToRelay::ShareStart { mid, surface, audio_mid: None, grant: None, url: url.clone(), assurance };
    world.tell(agent, &start);
    world.run(Duration::from_millis(100));
    let phase = |world: &World| world.actor(agent).seat.share(Slot::Agent).map(|share| share.phase);
    if let (Some(SharePhase::Held), Some(assurance)) = (phase(world), assurance) {
        world.tell(agent, &ToRelay::ShareStatement { url, assurance });
        world.run(Duration::from_millis(100));
        assert_ne!(phase(world), Some(SharePhase::Held), "a statement is believed or not");
    }
    let denied = world.actor(agent).seat.denials.len() > denials;
    let shares = phase(world).is_some_and(|phase| phase != SharePhase::Empty);
    assert_eq!(denied, !shares, "a refusal is told, and a grant is no refusal");
    if shares {
        world.tell(agent, &ToRelay::ShareStop);
    }
    world.run(Duration::from_millis(300));
    shares
}

#[test]
fn evaluate_says_what_a_session_does() {
    // R004 R005 R006 R007 R020 R047 R052 R152, rules decision 8
    let desk = Desk::new();
    let cases = ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    let (mut allowed, mut refused) = (0, 0);
    // The same wishes in every run, as everywhere here.
    let seed = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(cases, seed);
    let story = (a_bundle(), any::<bool>(), vec(a_wish(), 6));
    let told = std::cell::RefCell::new((&mut allowed, &mut refused));
    let done = runner.run(&story, |(bundle, role, wishes)| {
        desk.publish(&bundle);
        let (policy, _) = desk.effective(false);
        let (_, agents) = desk.effective(role);
        let mut world = World::with_policy(61, policy.clone());
        let (_, members) = meeting(&mut world, 1);
        world.enforce(Narrowing { policy, agents, subjects: Vec::new() });
        world.run(Duration::from_millis(200));
        for wish in wishes {
            let verdict = desk.evaluate(role, &wish);
            let does = is_allowed(&mut world, members[0], &wish);
            let mut counts = told.borrow_mut();
            *(if does { &mut *counts.0 } else { &mut *counts.1 }) += 1;
            prop_assert_eq!(verdict["allowed"].as_bool(), Some(does), "{:?} under {}: {}", wish, bundle, verdict);
        }
        Ok(())
    });
    done.unwrap_or_else(|failed| panic!("{failed}"));
    assert!(allowed > 10 && refused > 10, "both answers are given: {allowed} and {refused}");
}
