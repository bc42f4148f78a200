//! The list of metrics: name, kind, labels, help. `docs/metrics.md` has the same table, kept in step by a test.

/// One metric.
#[derive(Debug)]
pub(crate) struct Definition {
    pub(crate) name: &'static str,
    #[cfg(test)]
    pub(crate) kind: &'static str,
    pub(crate) labels: &'static [&'static str],
    pub(crate) help: &'static str,
}

macro_rules! definitions {
    ($($constant:ident = $name:literal, $kind:literal, [$($label:literal),*], $help:literal;)+) => {
        $(pub(crate) const $constant: Definition =
            Definition { name: $name, #[cfg(test)] kind: $kind, labels: &[$($label),*], help: $help };)+

        /// Every metric, in the order of the table.
        #[cfg(test)]
        pub(crate) const ALL: &[&Definition] = &[$(&$constant),+];
    };
}

definitions! {
    SESSIONS = "fanlight_sessions", "gauge", ["stage"], "Sessions on this node now.";
    PARTICIPANTS = "fanlight_participants", "gauge", ["role"], "Participants that hold a place now.";
    MEDIA_RESOURCES = "fanlight_media_resources", "gauge", ["kind"], "Media resources of WHIP and WHEP clients now.";
    REFUSALS = "fanlight_refusals_total", "counter", ["code"], "Wishes refused, at a door or in a session.";
    FAULTS = "fanlight_faults_total", "counter", ["lane", "code"], "Lanes that could not go on.";
    FORWARDED_PACKETS = "fanlight_forwarded_packets_total", "counter", ["direction"], "Media packets received and sent.";
    FORWARDED_BYTES = "fanlight_forwarded_bytes_total", "counter", ["direction"], "Bytes of media packets received and sent.";
    DROPPED_PACKETS = "fanlight_dropped_packets_total", "counter", ["reason"], "Media packets not forwarded.";
    DOM_FRAMES = "fanlight_dom_frames_total", "counter", ["direction", "kind"], "Frames of pages received from visitors and sent to agents.";
    DOM_CACHE_BYTES = "fanlight_dom_cache_bytes", "gauge", [], "Bytes of page content held in memory for late agents.";
    RESYNCS = "fanlight_resyncs_total", "counter", [], "Agents given a whole page again because they fell behind or asked.";
    SNAPSHOT_REQUESTS = "fanlight_snapshot_requests_total", "counter", [], "Whole pages asked of visitors.";
    SNAPSHOT_BYTES = "fanlight_snapshot_bytes_total", "counter", [], "Bytes of whole pages received.";
    DOM_EVICTIONS = "fanlight_dom_evictions_total", "counter", [], "Whole pages and assets given up for want of room.";
    AGENTS_LAG = "fanlight_agents_lag", "gauge", ["state"], "Agents that watch a page, by how they keep up.";
    PAGE_GAP = "fanlight_page_gap_seconds", "histogram", [], "Time from the end of a visitor's page until the next one is seen.";
    KEYFRAME_REQUESTS = "fanlight_keyframe_requests_total", "counter", ["direction"], "Keyframes wished by subscribers and asked of publishers.";
    SHARE_GAP = "fanlight_share_gap_seconds", "histogram", ["slot"], "Time from a share's request to its first keyframe.";
    TAKEOVERS = "fanlight_takeovers_total", "counter", ["slot"], "Shares replaced by another participant's.";
    SRTP_HANDSHAKES = "fanlight_srtp_handshakes_total", "counter", ["profile"], "DTLS handshakes by the SRTP profile they chose.";
    KEY_STEP_UPS = "fanlight_key_step_ups_total", "counter", [], "Times that a group's join keys became longer because too many wrong ones were tried.";
    PANICS = "fanlight_panics_total", "counter", ["owner"], "Broken invariants, by what they ended.";
    IO_BACKEND = "fanlight_io_backend", "gauge", ["backend"], "1 for the way datagrams reach the kernel on this node.";
    SHARD_LOAD = "fanlight_shard_load", "gauge", ["shard"], "Share of the last second that a shard spent in turns, 0 to 1.";
    SESSIONS_ENDED = "fanlight_sessions_ended_total", "counter", ["outcome"], "Sessions that have ended, by whether a visitor ever agreed.";
    WEBHOOK_DELIVERIES = "fanlight_webhook_deliveries_total", "counter", ["outcome"], "Tries at delivering a message to a webhook, and messages that found no room.";
    WEBHOOK_QUEUE = "fanlight_webhook_queue", "gauge", [], "Messages that wait to be delivered to webhooks.";
    MIRRORS = "fanlight_mirrors", "gauge", [], "Sessions that are mirrored on a further shard now, once for each such shard.";
    MIRRORED_PACKETS = "fanlight_mirrored_packets_total", "counter", ["way"], "Media packets that homes handed to mirrors, that were lost on the way, and that mirrors took in.";
    AUDIT_LINES_LOST = "fanlight_audit_lines_lost_total", "counter", [], "Audit lines, session records and consent receipts that are lost because the store did not take them.";
}

/// Seconds. A page that is back within a second is hardly noticed; a place is kept for two minutes.
pub(crate) const PAGE_GAP_BUCKETS: [f64; 10] = [0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 15.0, 60.0];

/// Seconds. The target for a takeover is 0.5 s at the 95th percentile; a share that shows nothing for 3 s ends.
pub(crate) const SHARE_GAP_BUCKETS: [f64; 10] = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 3.0];
