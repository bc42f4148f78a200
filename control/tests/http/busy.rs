//! A busy node turns newcomers away and leaves everybody else alone.

use bytes::Bytes;
use fanlight_control::{ControlConfig, Door};
use fanlight_wire::ShardId;
use fanlight_wire::limits::SHARD_LOAD_MAX;
use fanlight_wire::resource::{ResourceId, ResourceOutput};
use hyper::{Method, Request};
use serde_json::json;

use crate::desk::{Answer, Desk, HOST};

fn offers(desk: &Desk, session: &str, kind: &str, token: &str) -> Answer {
    let request = Request::post(format!("/v1/sessions/{session}/{kind}")).header("host", HOST);
    let request = request.header("authorization", format!("Bearer {token}")).header("content-type", "application/sdp");
    desk.send(Door::Public, request.body(Bytes::from_static(b"v=0")).expect("a request"))
}

#[test]
fn new_sessions_and_viewers_wait_while_every_shard_is_busy() {
    let desk = Desk::with(ControlConfig { demo: true, ..ControlConfig::default() });
    // The first session's home is the first shard.
    let session = desk.visit().text("session");
    let wish = json!({"session": session, "role": "upstream", "name": "Mixer", "subject": "mixer", "media_s": 900});
    let token = desk.operate(Method::POST, "/v1/tickets", &wish.to_string()).text("ticket");
    let created =
        ResourceOutput::Created { resource: ResourceId::from_bytes([1; 16]), tag: "1".into(), sdp: "v=0".into() };
    desk.shards.answers(Ok(created));
    let newcomer = || desk.post("/v1/keys", None, r#"{"group":"demo"}"#);

    desk.control.note_load(ShardId(0), SHARD_LOAD_MAX + 1);
    assert_eq!(newcomer().status, 201, "the other shard has room");
    assert_eq!(offers(&desk, &session, "whip", &token).status, 201, "who publishes belongs to a session that runs");

    desk.control.note_load(ShardId(1), 1_000);
    let refused = newcomer();
    assert_eq!((refused.status.as_u16(), refused.code()), (503, Some("E_OVERLOAD")));
    assert!(refused.header("retry-after").is_some());
    let viewer = offers(&desk, &session, "whep", &token);
    assert_eq!((viewer.status.as_u16(), viewer.code()), (503, Some("E_OVERLOAD")));
    assert!(viewer.header("retry-after").is_some());
    let metrics = desk.control.metrics().render();
    assert!(metrics.contains("fanlight_shard_load{shard=\"1\"} 1\n"), "{metrics}");

    desk.control.note_load(ShardId(0), 0);
    assert_eq!(newcomer().status, 201);
    assert_eq!(offers(&desk, &session, "whep", &token).status, 201);
}
