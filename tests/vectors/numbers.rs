//! The limits and versions that a client must know.

use fanlight_wire::limits::*;
use fanlight_wire::{frame, signal};
use serde_json::{Map, Value};

fn numbers() -> Map<String, Value> {
    let mut numbers = Map::new();
    macro_rules! limits {
        (counts: $($count:ident),+; durations_ms: $($duration:ident),+) => {
            $(numbers.insert(stringify!($count).into(), Value::from($count as u64));)+
            $(numbers.insert(
                concat!(stringify!($duration), "_MS").into(),
                Value::from($duration.as_millis() as u64),
            );)+
        };
    }
    limits! {
        counts: FRAME_BYTES_MAX, HEADER_BYTES, PAYLOAD_BYTES_MAX, MESSAGE_BYTES_MAX, MESSAGE_CHUNKS_MAX,
            SIGNAL_BYTES_MAX, POINTER_BYTES_MAX, SNAPSHOT_BYTES_MAX, ASSET_BYTES_MAX, ASSET_COUNT_MAX, LAG_BYTES,
            RESYNC_BYTES, SIGNALS_PER_SECOND, SIGNALS_BURST, POINTERS_PER_SECOND, POINTERS_BURST, INPUTS_PER_SECOND,
            INPUTS_BURST, DOM_BYTES_PER_SECOND, DOM_BYTES_BURST, NAME_CHARS_MAX, KEY_DIGITS, MEDIA_SECTIONS_MAX;
        durations_ms: MESSAGE_ASSEMBLY_MAX, HELLO_MAX, VISITOR_GRACE, AGENT_GRACE, CONSENT_MAX, DENIAL_REMEMBERED,
            KEY_LIFE, TICKET_LIFE, SHARE_START_MAX, PIPE_PING_INTERVAL, PIPE_DEAD, RETRY_AFTER
    }
    numbers.insert("FRAME_VERSION".into(), frame::VERSION.into());
    numbers.insert("FLAG_DEFLATE".into(), frame::FLAG_DEFLATE.into());
    numbers.insert("SCHEMA".into(), signal::SCHEMA.into());
    numbers
}

#[test]
fn limits_are_the_committed_numbers() {
    super::check("limits.json", &Value::Object(numbers()));
}
