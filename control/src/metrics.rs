//! Metrics of the node, in a registry of their own (Prometheus text format 0.0.4).
//!
//! Invariant: labels come from closed sets in `wire` or here, never from an id, a name or an address, so that the number
//! of series is known beforehand (G-61). Shards give absolute totals; a counter here rises by what a total has risen.

mod definitions;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use fanlight_wire::policy::Role;
use fanlight_wire::report::{Drop, ShardTotals};
use fanlight_wire::resource::ResourceKind;
use fanlight_wire::signal::{LagState, Slot};
use fanlight_wire::{Code, ShardId};
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::locked;
use definitions::{Definition, PAGE_GAP_BUCKETS, SHARE_GAP_BUCKETS};

/// A way bytes travel, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    WebSocket,
    WebTransport,
    MediaUdp,
    MediaTcp,
    Http,
}

impl Lane {
    pub const ALL: [Self; 5] = [Self::WebSocket, Self::WebTransport, Self::MediaUdp, Self::MediaTcp, Self::Http];

    pub const fn label(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::WebTransport => "webtransport",
            Self::MediaUdp => "media_udp",
            Self::MediaTcp => "media_tcp",
            Self::Http => "http",
        }
    }
}

/// What a broken invariant has ended, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    Session,
    Shard,
    /// A task of the edge runtime: one connection or request.
    Edge,
}

impl Owner {
    pub const ALL: [Self; 3] = [Self::Session, Self::Shard, Self::Edge];

    pub const fn label(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Shard => "shard",
            Self::Edge => "edge",
        }
    }
}

/// How datagrams reach the kernel, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Backend {
    IoUring,
    Mmsg,
}

impl Backend {
    pub const ALL: [Self; 2] = [Self::IoUring, Self::Mmsg];

    pub const fn label(self) -> &'static str {
        match self {
            Self::IoUring => "io_uring",
            Self::Mmsg => "mmsg",
        }
    }
}

/// What became of a try at a webhook's message, as a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Delivery {
    Delivered,
    /// It will be tried again.
    Failed,
    /// It was put aside.
    Dead,
    /// There was no room in the queue.
    Lost,
}

impl Delivery {
    const ALL: [Self; 4] = [Self::Delivered, Self::Failed, Self::Dead, Self::Lost];

    const fn label(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Lost => "lost",
        }
    }
}

/// Every metric. Cheap to call; not meant for once per packet.
pub struct Metrics {
    registry: Registry,
    sessions: IntGaugeVec,
    participants: IntGaugeVec,
    media_resources: IntGaugeVec,
    refusals: IntCounterVec,
    faults: IntCounterVec,
    packets: IntCounterVec,
    bytes: IntCounterVec,
    drops: IntCounterVec,
    dom_frames: IntCounterVec,
    dom_cache: IntGaugeVec,
    resyncs: IntCounterVec,
    snapshot_requests: IntCounterVec,
    snapshot_bytes: IntCounterVec,
    dom_evictions: IntCounterVec,
    agents_lag: IntGaugeVec,
    page_gap: HistogramVec,
    keyframe_requests: IntCounterVec,
    share_gap: HistogramVec,
    takeovers: IntCounterVec,
    srtp: IntCounterVec,
    panics: IntCounterVec,
    io_backend: IntGaugeVec,
    shard_load: GaugeVec,
    sessions_ended: IntCounterVec,
    mirrors: IntGaugeVec,
    mirrored: IntCounterVec,
    audit_lost: IntCounterVec,
    webhook_deliveries: IntCounterVec,
    webhook_queue: IntGaugeVec,
    key_step_ups: IntCounterVec,
    shards: Mutex<BTreeMap<ShardId, ShardTotals>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

const STAGES: [&str; 3] = ["waiting", "active", "paused"];
const DOM_KINDS: [&str; 3] = ["snapshot", "diff", "asset"];
/// A visitor agreed to something, or never did.
const OUTCOMES: [&str; 2] = ["active", "never_active"];
const NO_LABELS: [&str; 0] = [];

impl Metrics {
    /// All metrics at zero. Series of small label sets exist from the start, so that a rate of them is never "no data".
    pub fn new() -> Self {
        use definitions as d;
        let registry = Registry::new();
        let counters = |definition: &Definition| counters(&registry, definition);
        let gauges = |definition: &Definition| gauges(&registry, definition);
        let metrics = Self {
            sessions: gauges(&d::SESSIONS),
            participants: gauges(&d::PARTICIPANTS),
            media_resources: gauges(&d::MEDIA_RESOURCES),
            refusals: counters(&d::REFUSALS),
            faults: counters(&d::FAULTS),
            packets: counters(&d::FORWARDED_PACKETS),
            bytes: counters(&d::FORWARDED_BYTES),
            drops: counters(&d::DROPPED_PACKETS),
            dom_frames: counters(&d::DOM_FRAMES),
            dom_cache: gauges(&d::DOM_CACHE_BYTES),
            resyncs: counters(&d::RESYNCS),
            snapshot_requests: counters(&d::SNAPSHOT_REQUESTS),
            snapshot_bytes: counters(&d::SNAPSHOT_BYTES),
            dom_evictions: counters(&d::DOM_EVICTIONS),
            agents_lag: gauges(&d::AGENTS_LAG),
            page_gap: histogram(&registry, &d::PAGE_GAP, &PAGE_GAP_BUCKETS),
            keyframe_requests: counters(&d::KEYFRAME_REQUESTS),
            share_gap: histogram(&registry, &d::SHARE_GAP, &SHARE_GAP_BUCKETS),
            takeovers: counters(&d::TAKEOVERS),
            srtp: counters(&d::SRTP_HANDSHAKES),
            panics: counters(&d::PANICS),
            io_backend: gauges(&d::IO_BACKEND),
            shard_load: shares(&registry, &d::SHARD_LOAD),
            sessions_ended: counters(&d::SESSIONS_ENDED),
            mirrors: gauges(&d::MIRRORS),
            mirrored: counters(&d::MIRRORED_PACKETS),
            audit_lost: counters(&d::AUDIT_LINES_LOST),
            webhook_deliveries: counters(&d::WEBHOOK_DELIVERIES),
            webhook_queue: gauges(&d::WEBHOOK_QUEUE),
            key_step_ups: counters(&d::KEY_STEP_UPS),
            shards: Mutex::default(),
            registry,
        };
        metrics.touch_small_sets();
        metrics
    }

    fn touch_small_sets(&self) {
        for code in Code::ALL {
            self.refusals.with_label_values(&[code.label()]);
        }
        for owner in Owner::ALL {
            self.panics.with_label_values(&[owner.label()]);
        }
        for slot in Slot::ALL {
            self.share_gap.with_label_values(&[slot.label()]);
            self.takeovers.with_label_values(&[slot.label()]);
        }
        for outcome in OUTCOMES {
            self.sessions_ended.with_label_values(&[outcome]);
        }
        self.page_gap.with_label_values(&NO_LABELS);
        self.audit_lost.with_label_values(&NO_LABELS);
        for outcome in Delivery::ALL {
            self.webhook_deliveries.with_label_values(&[outcome.label()]);
        }
        self.webhook_queue(0);
        self.key_step_ups.with_label_values(&NO_LABELS);
        self.set_shard_totals(ShardId(0), ShardTotals::default());
        self.shard_load(ShardId(0), 0);
    }

    /// Something was refused, at any door or in a session.
    pub fn refusal(&self, code: Code) {
        self.refusals.with_label_values(&[code.label()]).inc();
    }

    /// A lane could not go on.
    pub fn fault(&self, lane: Lane, code: Code) {
        self.faults.with_label_values(&[lane.label(), code.label()]).inc();
    }

    /// An invariant broke and its owner was ended.
    pub fn panic(&self, owner: Owner) {
        self.panics.with_label_values(&[owner.label()]).inc();
    }

    /// Which backend this node runs on.
    pub fn io_backend(&self, used: Backend) {
        for backend in Backend::ALL {
            self.io_backend.with_label_values(&[backend.label()]).set(i64::from(backend == used));
        }
    }

    /// How busy a shard is, in thousandths. Shards are few and numbered from zero.
    pub(crate) fn shard_load(&self, shard: ShardId, permille: u32) {
        self.shard_load.with_label_values(&[&shard.0.to_string()]).set(f64::from(permille) / 1_000.0);
    }

    pub(crate) fn share_gap(&self, slot: Slot, gap: Duration) {
        self.share_gap.with_label_values(&[slot.label()]).observe(gap.as_secs_f64());
    }

    pub(crate) fn page_gap(&self, gap: Duration) {
        self.page_gap.with_label_values(&NO_LABELS).observe(gap.as_secs_f64());
    }

    pub(crate) fn session_ended(&self, was_active: bool) {
        let [active, never] = OUTCOMES;
        self.sessions_ended.with_label_values(&[if was_active { active } else { never }]).inc();
    }

    pub(crate) fn takeover(&self, slot: Slot) {
        self.takeovers.with_label_values(&[slot.label()]).inc();
    }

    /// Somebody guesses join keys of a group.
    pub(crate) fn key_step_up(&self) {
        self.key_step_ups.with_label_values(&NO_LABELS).inc();
    }

    /// Counts a lost line; may go with it to the store's thread.
    pub(crate) fn audit_line_lost(&self) -> impl FnOnce() + Send + 'static {
        let lost = self.audit_lines_lost();
        move || lost(1)
    }

    pub(crate) fn audit_lines_lost(&self) -> impl FnOnce(u64) + Send + 'static {
        let lost = self.audit_lost.with_label_values(&NO_LABELS);
        move |count| lost.inc_by(count)
    }

    pub(crate) fn webhook(&self, outcome: Delivery) {
        self.webhook_deliveries.with_label_values(&[outcome.label()]).inc();
    }

    /// Counts messages that found no room; may go with them to the store's thread.
    pub(crate) fn webhooks_lost(&self) -> impl FnOnce(u64) + Send + 'static {
        let lost = self.webhook_deliveries.with_label_values(&[Delivery::Lost.label()]);
        move |count| lost.inc_by(count)
    }

    pub(crate) fn webhook_queue(&self, waiting: u64) {
        set(&self.webhook_queue, &NO_LABELS, waiting);
    }

    /// A shard's totals as they are now. Repeating them changes nothing.
    pub fn set_shard_totals(&self, shard: ShardId, now: ShardTotals) {
        let mut shards = locked(&self.shards);
        let before = shards.get(&shard).cloned().unwrap_or_default();
        self.raise_media(&before, &now);
        self.raise_dom(&before, &now);
        shards.insert(shard, now);
        let sum = |of: &dyn Fn(&ShardTotals) -> u64| shards.values().map(of).fold(0, u64::saturating_add);
        for (n, stage) in STAGES.iter().enumerate() {
            set(&self.sessions, &[stage], sum(&|totals| totals.sessions.get(n).copied().unwrap_or(0)));
        }
        for (n, role) in Role::ALL.iter().enumerate() {
            let count = sum(&|totals| totals.participants.get(n).copied().unwrap_or(0));
            set(&self.participants, &[role.label()], count);
        }
        for (n, kind) in ResourceKind::ALL.iter().enumerate() {
            let count = sum(&|totals| totals.media_resources.get(n).copied().unwrap_or(0));
            set(&self.media_resources, &[kind.label()], count);
        }
        for (n, state) in LagState::ALL.iter().enumerate() {
            let count = sum(&|totals| totals.agents_lag.get(n).copied().unwrap_or(0));
            set(&self.agents_lag, &[state.label()], count);
        }
        set(&self.mirrors, &NO_LABELS, sum(&|totals| totals.mirrors));
        set(&self.dom_cache, &NO_LABELS, sum(&|totals| totals.dom_cache_bytes));
    }

    fn raise_media(&self, before: &ShardTotals, now: &ShardTotals) {
        raise(&self.packets, &["in"], before.packets_in, now.packets_in);
        raise(&self.packets, &["out"], before.packets_out, now.packets_out);
        raise(&self.bytes, &["in"], before.bytes_in, now.bytes_in);
        raise(&self.bytes, &["out"], before.bytes_out, now.bytes_out);
        for ((reason, before), now) in Drop::ALL.iter().zip(before.drops).zip(now.drops) {
            raise(&self.drops, &[reason.label()], before, now);
        }
        raise(&self.keyframe_requests, &["in"], before.keyframe_requests_in, now.keyframe_requests_in);
        raise(&self.keyframe_requests, &["out"], before.keyframe_requests_out, now.keyframe_requests_out);
        raise(&self.mirrored, &["out"], before.mirrored_out, now.mirrored_out);
        raise(&self.mirrored, &["lost"], before.mirrored_lost, now.mirrored_lost);
        raise(&self.mirrored, &["in"], before.mirrored_in, now.mirrored_in);
        raise(&self.srtp, &["aes_gcm"], before.srtp_gcm, now.srtp_gcm);
        raise(&self.srtp, &["other"], before.srtp_other, now.srtp_other);
    }

    fn raise_dom(&self, before: &ShardTotals, now: &ShardTotals) {
        let directions =
            [("in", before.dom_frames_in, now.dom_frames_in), ("out", before.dom_frames_out, now.dom_frames_out)];
        for (direction, before, now) in directions {
            for ((kind, before), now) in DOM_KINDS.iter().zip(before).zip(now) {
                raise(&self.dom_frames, &[direction, kind], before, now);
            }
        }
        raise(&self.resyncs, &NO_LABELS, before.resyncs, now.resyncs);
        raise(&self.snapshot_requests, &NO_LABELS, before.snapshot_requests, now.snapshot_requests);
        raise(&self.snapshot_bytes, &NO_LABELS, before.snapshot_bytes, now.snapshot_bytes);
        raise(&self.dom_evictions, &NO_LABELS, before.dom_evictions, now.dom_evictions);
    }

    /// The text for a scraper (`text/plain; version=0.0.4`).
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_else(|error| {
            tracing::error!(%error, "metrics cannot be written");
            String::new()
        })
    }
}

/// A total that has fallen belongs to a shard that began anew.
fn raise(counters: &IntCounterVec, labels: &[&str], before: u64, now: u64) {
    counters.with_label_values(labels).inc_by(now.checked_sub(before).unwrap_or(now));
}

fn set(gauges: &IntGaugeVec, labels: &[&str], value: u64) {
    gauges.with_label_values(labels).set(i64::try_from(value).unwrap_or(i64::MAX));
}

const VALID: &str = "a definition of ours is valid and its name is used once";

fn counters(registry: &Registry, definition: &Definition) -> IntCounterVec {
    let counters = IntCounterVec::new(opts(definition), definition.labels).expect(VALID);
    registry.register(Box::new(counters.clone())).expect(VALID);
    counters
}

fn gauges(registry: &Registry, definition: &Definition) -> IntGaugeVec {
    let gauges = IntGaugeVec::new(opts(definition), definition.labels).expect(VALID);
    registry.register(Box::new(gauges.clone())).expect(VALID);
    gauges
}

fn shares(registry: &Registry, definition: &Definition) -> GaugeVec {
    let shares = GaugeVec::new(opts(definition), definition.labels).expect(VALID);
    registry.register(Box::new(shares.clone())).expect(VALID);
    shares
}

fn histogram(registry: &Registry, definition: &Definition, buckets: &[f64]) -> HistogramVec {
    let opts = HistogramOpts::from(opts(definition)).buckets(buckets.to_vec());
    let histogram = HistogramVec::new(opts, definition.labels).expect(VALID);
    registry.register(Box::new(histogram.clone())).expect(VALID);
    histogram
}

fn opts(definition: &Definition) -> Opts {
    Opts::new(definition.name, definition.help)
}

#[cfg(test)]
mod tests;
