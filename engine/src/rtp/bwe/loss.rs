//! Does loss come from sending too much? Loss that does not depend on the rate (radio, a broken cable) is no reason to
//! send less; a full queue or a policer is.
//!
//! The last observations of (rate, packets, lost) are explained by two numbers: a capacity beyond which everything is
//! lost, and a share that is lost anyway. The likeliest pair wins, the higher capacity when two explain equally well
//! (the idea of libwebrtc's second loss-based controller, with a few candidates instead of a search).

const OBSERVATIONS: usize = 16;
/// An observation's weight per newer one.
const AGING: f64 = 0.85;
const OBSERVATION_US: u64 = 250_000;
const OBSERVATION_PACKETS: u32 = 20;
/// Loss beyond this is never taken for the path's nature.
const INHERENT_MAX: f64 = 0.2;
/// Loss below this share is not worth an explanation.
const NEGLIGIBLE: f64 = 0.01;
/// By how many nats a lower capacity must explain better. Random loss fluctuates.
const EVIDENCE: f64 = 3.0;
/// No path is as sure as 0 or 1.
const SURE: f64 = 0.002;

#[derive(Debug, Clone, Copy, Default)]
struct Observation {
    bps: f64,
    packets: f64,
    lost: f64,
}

#[derive(Debug, Default)]
struct Open {
    since: Option<u64>,
    until: u64,
    packets: u32,
    lost: u32,
    bytes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Loss {
    observations: [Observation; OBSERVATIONS],
    next: usize,
    open: Open,
    bound: Option<f64>,
    inherent: f64,
}

impl Loss {
    /// What the path carries by this measure, in bits per second; `None` while loss tells of no limit.
    pub(super) fn bound(&self) -> Option<u64> {
        self.bound.map(|bps| bps as u64)
    }

    /// The share that is lost whatever is sent, by the likeliest explanation.
    pub(super) const fn inherent(&self) -> f64 {
        self.inherent
    }

    /// Feedback about one packet, sent at `sent_us`.
    pub(super) fn packet(&mut self, sent_us: u64, bytes: u32, lost: bool) {
        let open = &mut self.open;
        open.since = Some(open.since.map_or(sent_us, |since| since.min(sent_us)));
        open.until = open.until.max(sent_us);
        open.packets += 1;
        open.lost += u32::from(lost);
        open.bytes += u64::from(bytes);
    }

    /// A packet that was counted as lost came late.
    pub(super) const fn came_late(&mut self) {
        self.open.lost = self.open.lost.saturating_sub(1);
    }

    /// Once per feedback: closes the observation if it is long enough, and explains anew. While a queue is `full`, what
    /// it drops is not the path's nature.
    pub(super) fn update(&mut self, full: bool) {
        let Some(since) = self.open.since else { return };
        let passed = self.open.until.saturating_sub(since);
        if passed < OBSERVATION_US || self.open.packets < OBSERVATION_PACKETS {
            return;
        }
        let open = std::mem::take(&mut self.open);
        let bps = open.bytes as f64 * 8e6 / passed as f64;
        self.observe(bps, f64::from(open.packets), f64::from(open.lost), full);
    }

    /// One observation at a time: what was sent, in bits per second and packets, and how many of them were lost.
    pub(super) fn observe(&mut self, bps: f64, packets: f64, lost: f64, full: bool) {
        if let Some(slot) = self.observations.get_mut(self.next % OBSERVATIONS) {
            *slot = Observation { bps, packets, lost: lost.min(packets) };
        }
        self.next += 1;
        self.explain(bps * (packets - lost) / packets.max(1.0), full);
    }

    fn explain(&mut self, delivered: f64, full: bool) {
        let overall = self.inherent_beyond(f64::INFINITY);
        if overall < NEGLIGIBLE {
            (self.bound, self.inherent) = (None, overall);
            return;
        }
        let (inherent_max, evidence) = if full { (self.inherent, 0.0) } else { (INHERENT_MAX, EVIDENCE) };
        let known = self.bound.unwrap_or(delivered);
        // Up a little, stay, down to what arrived: the order in which equals win.
        let candidates = [known * 1.05, known, known.min(delivered), delivered];
        let (mut best, mut likeliest) = (f64::INFINITY, self.likelihood(f64::INFINITY, inherent_max) + evidence);
        for candidate in candidates {
            let likelihood = self.likelihood(candidate, inherent_max);
            if likelihood > likeliest + 0.1 {
                (best, likeliest) = (candidate, likelihood);
            }
        }
        self.bound = best.is_finite().then_some(best);
        self.inherent = self.inherent_beyond(best).min(inherent_max);
    }

    /// The share that is lost although `capacity` is not exceeded.
    fn inherent_beyond(&self, capacity: f64) -> f64 {
        let (lost, packets) = self.weighted().fold((0.0, 0.0), |(lost, packets), (weight, seen)| {
            let excess = seen.excess(capacity);
            let inherent = ((seen.lost / seen.packets - excess) / (1.0 - excess).max(SURE)).max(0.0);
            (lost + weight * inherent * seen.packets, packets + weight * seen.packets)
        });
        if packets > 0.0 { lost / packets } else { 0.0 }
    }

    /// Logarithm of how likely the observations are if the path carries `capacity` and the best inherent loss.
    fn likelihood(&self, capacity: f64, inherent_max: f64) -> f64 {
        let inherent = self.inherent_beyond(capacity).min(inherent_max);
        self.weighted().fold(0.0, |sum, (weight, seen)| {
            let excess = seen.excess(capacity);
            let share = (inherent + (1.0 - inherent) * excess).clamp(SURE, 1.0 - SURE);
            sum + weight * (seen.lost * share.ln() + (seen.packets - seen.lost) * (1.0 - share).ln())
        })
    }

    fn weighted(&self) -> impl Iterator<Item = (f64, &Observation)> {
        let newest_first =
            (1..=OBSERVATIONS.min(self.next)).filter_map(|age| self.observations.get((self.next - age) % OBSERVATIONS));
        newest_first.scan(1.0, |weight, seen| {
            let current = *weight;
            *weight *= AGING;
            Some((current, seen))
        })
    }
}

impl Observation {
    /// The share that does not fit.
    fn excess(&self, capacity: f64) -> f64 {
        if self.bps > capacity { 1.0 - capacity / self.bps } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_that_does_not_depend_on_the_rate_is_no_limit() {
        let mut loss = Loss::default();
        for step in 0..40 {
            loss.observe(1e6 + 5e4 * f64::from(step), 80.0, [8.0, 5.0, 11.0, 7.0][step as usize % 4], false);
            assert_eq!(loss.bound(), None, "step {step}");
        }
    }

    #[test]
    fn a_policer_is_found() {
        let mut loss = Loss::default();
        let mut rate = 1e6_f64;
        for _ in 0..40 {
            let share = (1.0 - 1.5e6 / rate).max(0.0);
            loss.observe(rate, 100.0, (100.0 * share).round(), false);
            rate = loss.bound().map_or(rate * 1.03, |bound| bound as f64);
            assert!(rate < 2.1e6, "{rate}");
        }
        assert!((1.2e6..2.0e6).contains(&rate), "{rate}");
    }

    #[test]
    fn what_a_full_queue_drops_is_a_limit_though_the_rate_is_constant() {
        for (full, bounded) in [(true, true), (false, false)] {
            let mut loss = Loss::default();
            (0..8).for_each(|_| loss.observe(1.9e6, 90.0, 1.0, false));
            (0..8).for_each(|_| loss.observe(1.9e6, 90.0, 12.0, full));
            assert_eq!(loss.bound().is_some(), bounded, "{:?} {}", loss.bound(), loss.inherent());
        }
    }

    #[test]
    fn half_of_everything_lost_is_a_limit_at_once() {
        let mut loss = Loss::default();
        loss.observe(3e6, 80.0, 40.0, false);
        assert!(loss.bound().is_some_and(|bound| (1_300_000..1_700_000).contains(&bound)), "{:?}", loss.bound());
    }
}
