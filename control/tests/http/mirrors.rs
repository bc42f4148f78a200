//! Viewers beyond what a session's home should serve: who judges them, who serves them, how they are found again.

use bytes::Bytes;
use fanlight_control::{ControlConfig, Door};
use fanlight_wire::command::Command;
use fanlight_wire::limits::SHARD_SPILL_LOAD;
use fanlight_wire::report::Report;
use fanlight_wire::resource::{MediaSource, ResourceId, ResourceInput, ResourceKind, ResourceOutput, ViewPermit};
use fanlight_wire::signal::Slot;
use fanlight_wire::{Code, Refusal, SessionId, ShardId};
use hyper::{Method, Request};
use serde_json::json;

use crate::desk::{Answer, Desk, HOST};

const HOME: ShardId = ShardId(0);
const OTHER: ShardId = ShardId(1);
const PERMIT: ViewPermit = ViewPermit { home: HOME, source: MediaSource::Slot(Slot::Agent), agreement: 3 };

/// A session on the first of two shards, of which each has its share with two viewers.
struct Stage {
    desk: Desk,
    session: SessionId,
    token: String,
}

impl Stage {
    fn new() -> Self {
        let desk = Desk::with(ControlConfig { demo: true, viewers_per_shard: Some(2), ..ControlConfig::default() });
        let session = desk.visit().text("session");
        let wish = json!({"session": session, "role": "upstream", "name": "Wall", "subject": "wall", "media_s": 900});
        let token = desk.operate(Method::POST, "/v1/tickets", &wish.to_string()).text("ticket");
        desk.shards.permits(Ok(ResourceOutput::Permitted(PERMIT)));
        Self { desk, session: session.parse().expect("an id"), token }
    }

    fn send(&self, method: &str, tail: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("/v1/sessions/{}/{tail}", self.session));
        request = request.header("host", HOST).header("authorization", format!("Bearer {}", self.token));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.desk.send(Door::Public, request.body(Bytes::from_static(b"v=0")).expect("a request"))
    }

    /// A viewer whom `shard` is to serve.
    fn watches(&self, shard: ShardId) -> Answer {
        let resource = ResourceId::on(shard, [7; 15]);
        self.desk.shards.answers(Ok(ResourceOutput::Created { resource, tag: "1".into(), sdp: "v=0".into() }));
        self.send("POST", "whep?source=slot:agent", &[("content-type", "application/sdp")])
    }
}

#[test]
fn the_home_judges_and_another_shard_serves() {
    let stage = Stage::new();
    for _ in 0..2 {
        assert_eq!(stage.watches(HOME).status, 201);
    }
    let third = stage.watches(OTHER);
    assert_eq!(third.status, 201, "{third:?}");
    let asked = stage.desk.shards.asked();
    let [first, second, permit, mirror] = asked.as_slice() else { panic!("{asked:?}") };
    for own in [first, second] {
        assert!(matches!(own, ResourceInput::Create { kind: ResourceKind::Whep, .. }), "{own:?}");
    }
    let wanted = Some(MediaSource::Slot(Slot::Agent));
    assert!(matches!(permit, ResourceInput::Permit { source, .. } if *source == wanted), "{permit:?}");
    assert!(matches!(mirror, ResourceInput::Mirror { permit: PERMIT, .. }), "{mirror:?}");
    assert_eq!(stage.desk.shards.asked_at(), [HOME, HOME, HOME, OTHER]);

    let path = third.header("location").expect("where it is").rsplit('/').next().expect("an id").to_owned();
    stage.desk.shards.answers(Ok(ResourceOutput::Deleted));
    assert_eq!(stage.send("DELETE", &format!("whep/{path}"), &[]).status, 200);
    assert_eq!(stage.desk.shards.asked_at().last(), Some(&OTHER), "it is found by its name");
}

#[test]
fn whom_the_home_refuses_no_other_shard_hears_of() {
    // R116
    let stage = Stage::new();
    stage.desk.control.note_load(HOME, SHARD_SPILL_LOAD + 1);
    stage.desk.shards.permits(Err(Refusal::new(Code::Consent, "R116")));
    let refused = stage.watches(OTHER);
    assert_eq!((refused.status.as_u16(), refused.code()), (403, Some("E_CONSENT")));
    assert_eq!(stage.desk.shards.asked_at(), [HOME]);
}

#[test]
fn an_unknown_resource_is_absent_wherever_its_name_points() {
    // G-52
    let stage = Stage::new();
    let headers = [("content-type", "application/trickle-ice-sdpfrag"), ("if-match", "*")];
    let mut answers = Vec::new();
    for shard in [HOME, OTHER, ShardId(2), ShardId(255)] {
        // What a shard says of a session that it does not have, and a home of a resource that it does not have.
        let sentence = "There is no such resource, or it has ended.";
        let code = if shard == OTHER { Code::Session } else { Code::NotFound };
        stage.desk.shards.answers(Err(Refusal::new(code, "G-52").saying(sentence)));
        let path = format!("whep/{}", ResourceId::on(shard, [9; 15]));
        answers.push((stage.send("DELETE", &path, &[]), stage.send("PATCH", &path, &headers)));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    assert_eq!(answers[0].0.code(), Some("E_NOT_FOUND"));
    let at: Vec<_> = stage.desk.shards.asked_at().into_iter().step_by(2).collect();
    assert_eq!(at, [HOME, OTHER, HOME, HOME], "a shard that is not there is not asked");
}

#[test]
fn the_end_of_a_session_reaches_the_shards_that_mirror_it() {
    let stage = Stage::new();
    stage.desk.control.note_load(HOME, SHARD_SPILL_LOAD + 1);
    assert_eq!(stage.watches(OTHER).status, 201);
    let (session, lasted) = (stage.session, std::time::Duration::ZERO);
    stage.desk.control.report(Report::Ended { session, code: Code::Bug, by: None, lasted });
    let last = stage.desk.shards.commands().pop();
    assert_eq!(last, Some((OTHER, Command::End { session, code: Code::Bug })));
    assert_eq!(stage.watches(OTHER).code(), Some("E_SESSION"), "and no further viewer is sent there");
}
