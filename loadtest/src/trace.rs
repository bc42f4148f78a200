//! A recorded page: when it changed and how much that weighed. The relay never reads content, so this is all of a page that it
//! can feel; `loadtest/record.mjs` records one in Chromium with rrweb.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use tokio::time::{Instant, sleep_until};

/// The demo's shop, browsed for fifteen seconds.
const SHOP: &str = include_str!("../traces/shop.json");

/// A recorded page.
#[derive(Debug, Clone, Deserialize)]
pub struct Trace {
    /// Bytes of the first whole page.
    pub snapshot_bytes: usize,
    /// Milliseconds since then, and bytes of the change.
    pub changes: Vec<(u64, usize)>,
}

impl Trace {
    /// The recording in the file, or the one that is built in.
    ///
    /// # Errors
    /// A file that cannot be read, or that is no recording.
    pub fn load(path: Option<&Path>) -> std::io::Result<Self> {
        let text = path.map_or_else(|| Ok(SHOP.to_owned()), std::fs::read_to_string)?;
        Ok(serde_json::from_str(&text)?)
    }
}

/// Tells when a page changes, and by how many bytes.
#[derive(Debug)]
pub struct Beat {
    changes: Vec<(u64, usize)>,
    next: usize,
    /// When the recording began, or began again.
    start: Instant,
    /// Until it begins again.
    length: Duration,
}

impl Beat {
    /// So many changes per second, all of the same weight.
    pub fn even(now: Instant, per_second: u64, bytes: usize) -> Self {
        let per_second = per_second.clamp(1, 1_000);
        let changes = (0..per_second).map(|nth| (nth * 1_000 / per_second, bytes)).collect();
        Self { changes, next: 0, start: now, length: Duration::from_secs(1) }
    }

    /// As recorded, over and over. `offset`: how far into the recording to begin, so that pages do not change in step.
    pub fn recorded(now: Instant, trace: &Trace, offset: Duration) -> Self {
        let last = trace.changes.last().map_or(0, |(at, _)| *at);
        let length = Duration::from_millis(last.max(1_000));
        let passed = u64::try_from(offset.as_millis()).unwrap_or(0) % last.max(1_000);
        let start = now.checked_sub(Duration::from_millis(passed)).unwrap_or(now);
        let next = trace.changes.partition_point(|(at, _)| *at < passed);
        Self { changes: trace.changes.clone(), next, start, length }
    }

    /// Waits for the next change; its bytes. Nothing is lost when the wait is given up.
    pub async fn next(&mut self) -> usize {
        if self.next >= self.changes.len() {
            self.next = 0;
            self.start += self.length;
        }
        let Some((at, bytes)) = self.changes.get(self.next).copied() else { return std::future::pending().await };
        sleep_until(self.start + Duration::from_millis(at)).await;
        self.next += 1;
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_recording_goes_round() {
        let now = Instant::now();
        let trace = Trace { snapshot_bytes: 1, changes: vec![(0, 5), (1, 6)] };
        let mut beat =
            Beat::recorded(now.checked_sub(Duration::from_secs(60)).expect("an hour ago"), &trace, Duration::ZERO);
        let mut seen = Vec::new();
        while seen.len() < 5 {
            seen.push(beat.next().await);
        }
        assert_eq!(seen, [5, 6, 5, 6, 5]);
        let mut later = Beat::recorded(now, &trace, Duration::from_millis(1));
        assert_eq!(later.next().await, 6);
    }

    #[test]
    fn the_recording_that_is_built_in_is_one() {
        let trace = Trace::load(None).expect("a recording");
        assert!(trace.snapshot_bytes > 1_000 && trace.changes.len() > 20);
        assert!(trace.changes.is_sorted_by_key(|(at, _)| *at));
    }
}
