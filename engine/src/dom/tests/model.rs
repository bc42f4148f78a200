//! Random histories: the visitor, its carrier, its masks and pages, and agents of every speed, one step at a time.
//!
//! Oracles: an agent is never given a gap, a repetition, an unannounced snapshot or a frame of an older mask epoch
//! ([`Copy`]); what is held stays within its limits; requests keep their distance; and when all is quiet every agent's
//! page equals the visitor's.

use std::collections::{BTreeMap, VecDeque};

use fanlight_wire::limits::{
    ASSET_BYTES_MAX, FRAME_BYTES_MAX, LOG_BYTES_MAX, MESSAGE_BYTES_MAX, PAYLOAD_BYTES_MAX, RESYNC_BYTES,
    SNAPSHOT_REQUEST_INTERVAL,
};

use super::*;

const SEEDS: u64 = 400;
const STEPS: usize = 2_000;

/// One history.
struct World {
    random: fastrand::Rng,
    dom: Dom,
    now: Instant,
    page: Page,
    /// Frames on their way from the visitor, in order.
    uplink: VecDeque<Frame>,
    agents: BTreeMap<ParticipantId, Copy>,
    /// The visitor was asked and has not answered yet.
    asked: bool,
    /// When the visitor was last asked.
    last_request: Option<Instant>,
    /// Bytes of the largest frame's payload.
    largest: usize,
    /// Undisturbed for long, so that logs and backlogs grow.
    calm: bool,
    /// How often each thing happened to an agent.
    seen: BTreeMap<&'static str, usize>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let cache = random.u8(..4) > 0;
        // Some histories are of small frames, some run into every limit in bytes.
        let largest = if random.bool() { 200 } else { PAYLOAD_BYTES_MAX };
        let calm = random.bool();
        let dom = Dom::new(cache);
        let (page, now) = (Page::new(), origin());
        let agents = BTreeMap::new();
        Self {
            random,
            dom,
            now,
            page,
            uplink: VecDeque::new(),
            agents,
            asked: false,
            last_request: None,
            largest,
            calm,
            seen: BTreeMap::new(),
        }
    }

    fn step(&mut self) {
        let most = if self.calm && self.random.u8(..40) > 0 { 95 } else { 100 };
        match self.random.u8(..most) {
            0..35 => self.change(),
            35..60 => self.arrive(),
            60..80 => self.pull(),
            80..84 => self.answer(),
            84..94 => self.pass(),
            94 => self.ask_resync(),
            95 => self.come_or_go(),
            96 => self.load_page(),
            97 => self.mask(),
            98 => self.lose(),
            _ => self.disturb(),
        }
        self.events();
        let limit = 2 * MESSAGE_BYTES_MAX + LOG_BYTES_MAX + RESYNC_BYTES + ASSET_BYTES_MAX + 4 * FRAME_BYTES_MAX;
        assert!(self.dom.cached_bytes() <= limit as u64);
    }

    /// Carries out what happened; before any frame is pulled.
    fn events(&mut self) {
        while let Some(event) = self.dom.poll_event() {
            match event {
                DomEvent::SnapshotWanted(_) => {
                    let distance = self.last_request.map(|at| self.now - at);
                    assert!(distance.is_none_or(|time| time >= SNAPSHOT_REQUEST_INTERVAL), "asked after {distance:?}");
                    self.last_request = Some(self.now);
                    self.asked = true;
                }
                DomEvent::Resync { agent, reason } => {
                    *self.seen.entry(reason).or_default() += 1;
                    self.agents.get_mut(&agent).expect("an agent that is there").clear();
                }
                DomEvent::Lag { .. } => {}
                DomEvent::Close { agent } => {
                    self.dom.leave(agent);
                    self.agents.remove(&agent);
                    *self.seen.entry("closed").or_default() += 1;
                }
            }
        }
    }

    fn size(&mut self) -> usize {
        self.random.usize(..self.largest)
    }

    fn change(&mut self) {
        let frames = match self.random.u8(..10) {
            0 => {
                let (name, bytes) = (self.random.u8(..6), self.size());
                let chunks = self.random.u16(1..4);
                self.page.asset(name, chunks, bytes)
            }
            1..8 => {
                let bytes = self.size();
                self.page.diff(1, bytes)
            }
            _ => {
                let (chunks, bytes) = (self.random.u16(2..5), self.size());
                self.page.diff(chunks, bytes)
            }
        };
        self.uplink.extend(frames);
    }

    fn snapshot(&mut self) {
        let (chunks, bytes) = (self.random.u16(1..20), self.size());
        let frames = self.page.snapshot(chunks, bytes);
        self.uplink.extend(frames);
    }

    fn arrive(&mut self) {
        for _ in 0..self.random.usize(..30) {
            let Some(frame) = self.uplink.pop_front() else { break };
            // A refusal is told to the visitor; what it must do about it comes as a request.
            let _refused = self.dom.handle_frame(self.now, frame);
            self.events();
        }
    }

    fn pull(&mut self) {
        let count = self.random.usize(..40);
        let Some(agent) = self.pick() else { return };
        self.take(agent, count);
    }

    fn take(&mut self, agent: ParticipantId, count: usize) {
        for _ in 0..count {
            let frame = self.dom.next_frame(self.now, agent);
            let Some(frame) = frame else { break };
            assert_eq!(frame.header().mask_epoch, self.dom.mask_epoch(), "hidden content");
            self.agents.get_mut(&agent).expect("an agent that is there").take(&frame);
        }
    }

    /// The later an agent came, the faster it is.
    fn pick(&mut self) -> Option<ParticipantId> {
        let keys: Vec<_> = self.agents.keys().copied().collect();
        let index = self.random.usize(..keys.len().max(1)).max(self.random.usize(..keys.len().max(1)));
        keys.get(index).copied()
    }

    fn answer(&mut self) {
        if std::mem::take(&mut self.asked) {
            self.snapshot();
        }
    }

    fn come_or_go(&mut self) {
        let agent = ParticipantId(2 + self.random.u8(..5));
        if self.agents.remove(&agent).is_some() {
            self.dom.leave(agent);
        } else {
            self.agents.insert(agent, Copy::new());
            self.dom.join(self.now, agent);
        }
    }

    fn ask_resync(&mut self) {
        if let Some(agent) = self.pick() {
            self.dom.resync(self.now, agent);
        }
    }

    /// Time passes, mostly little.
    fn pass(&mut self) {
        let limit = if self.random.u8(..10) == 0 { 15_000 } else { 300 };
        let time = Duration::from_millis(self.random.u64(..limit));
        self.advance(time);
    }

    fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        self.events();
        let mut turns = 0;
        while let Some(at) = self.dom.deadline().at.filter(|at| *at <= end) {
            turns += 1;
            assert!(turns < 10_000, "a deadline that does not move");
            self.now = self.now.max(at);
            self.dom.handle_timeout(self.now);
            self.events();
        }
        self.now = end;
    }

    fn load_page(&mut self) {
        self.page.page += 1;
        self.page.sequence = 0;
        self.snapshot();
    }

    fn mask(&mut self) {
        self.page.mask += 1;
        if self.random.bool() {
            // The signal overtakes what is on its way.
            self.dom.purge(MaskEpoch::new(self.page.mask));
        } else {
            self.snapshot();
        }
    }

    /// The visitor's carrier breaks and a new one comes.
    fn lose(&mut self) {
        self.uplink.clear();
        self.last_request = None;
        self.dom.visitor_back(self.now);
    }

    /// A frame is lost, repeated, or of an older page.
    fn disturb(&mut self) {
        let at = self.random.usize(..self.uplink.len().max(1));
        match self.random.u8(..3) {
            0 => {
                self.uplink.remove(at);
            }
            1 => {
                if let Some(frame) = self.uplink.get(at).cloned() {
                    self.uplink.push_back(frame);
                }
            }
            _ => {
                let mut older = Page { page: self.page.page.saturating_sub(1), ..self.page.clone() };
                self.uplink.extend(older.diff(1, 10));
            }
        }
    }

    /// No more disturbance: everything is answered, sent and taken.
    fn settle(&mut self) {
        for _ in 0..40 {
            // A change after the silence shows what was lost before it.
            let frames = self.page.diff(1, 10);
            self.uplink.extend(frames);
            self.answer();
            while !self.uplink.is_empty() {
                self.arrive();
            }
            let agents: Vec<_> = self.agents.keys().copied().collect();
            for agent in agents {
                self.take(agent, usize::MAX);
            }
            self.advance(Duration::from_secs(5));
        }
        let agents: Vec<_> = self.agents.keys().copied().collect();
        for agent in agents {
            self.take(agent, usize::MAX);
        }
        for (agent, copy) in &self.agents {
            assert_eq!(copy.state, Some(self.page.state()), "{agent} has another page than the visitor");
        }
    }
}

#[test]
fn every_agent_ends_with_the_visitors_page() {
    let mut seen = BTreeMap::new();
    for seed in 0..SEEDS {
        let outcome = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            world.load_page();
            (0..4).for_each(|_| world.come_or_go());
            for _ in 0..STEPS {
                world.step();
            }
            world.settle();
            let evictions = world.dom.counters().evictions;
            world.seen.insert("evicted", usize::try_from(evictions).expect("a small count"));
            world.seen
        });
        let Ok(counts) = outcome else { panic!("seed {seed}") };
        for (what, count) in counts {
            *seen.entry(what).or_insert(0) += count;
        }
    }
    // The histories reach what they are meant to reach.
    for what in ["page", "gap", "mask", "lag", "asked", "newer", "degraded", "recovered", "closed", "evicted"] {
        assert!(seen.get(what).is_some_and(|count| *count > 0), "{what} never happened: {seen:?}");
    }
    println!("{SEEDS} histories of {STEPS} steps: {seen:?}");
}
