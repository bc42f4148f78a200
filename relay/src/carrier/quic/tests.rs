//! The limits that replace quinn's defaults.

use super::*;

#[test]
fn a_client_can_make_us_hold_only_so_much() {
    let shown = format!("{:?}", transport().expect("legal values"));
    for (name, value) in [
        ("max_concurrent_bidi_streams", u64::from(limits::QUIC_STREAMS_MAX)),
        ("max_concurrent_uni_streams", u64::from(limits::QUIC_STREAMS_MAX)),
        ("stream_receive_window", u64::from(limits::QUIC_STREAM_WINDOW_BYTES)),
        ("receive_window", u64::from(limits::QUIC_RECEIVE_WINDOW_BYTES)),
        ("send_window", SEND_WINDOW_BYTES),
    ] {
        assert!(shown.contains(&format!("{name}: {value}")), "{name} in {shown}");
    }
}
