//! Ratios that must not get worse: a committed list, compared with what a run has found.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::report::Report;

/// A ratio above the baseline's by this factor is a regression.
const REGRESSION: f64 = 1.1;
/// With so few packets, waking a core is most of the cost, and two quiet runs differ by nearly half: only a plain change shows.
const RESTLESS: [&str; 2] = ["1 → 1,", "1 → 10,"];
const RESTLESS_REGRESSION: f64 = 1.5;

/// Where the list is.
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline.json")
}

/// Ratios by the name of their row.
pub type Ratios = BTreeMap<String, f64>;

/// # Errors
/// A file that is not there or cannot be read.
pub fn load(path: &Path) -> io::Result<Ratios> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// The ratios of a run, rounded to what two runs agree on.
pub fn ratios(report: &Report) -> Ratios {
    let rounded = |ratio: f64| (ratio * 100.0).round() / 100.0;
    report.rows.iter().filter_map(|row| Some((row.key(), rounded(row.ratio?)))).collect()
}

/// Makes a run's ratios the baseline; those that it did not measure stay.
///
/// # Errors
/// What the file system says.
pub fn store(path: &Path, report: &Report) -> io::Result<()> {
    let mut all = load(path).unwrap_or_default();
    all.extend(ratios(report));
    let mut text = serde_json::to_string_pretty(&all)?;
    text.push('\n');
    fs::write(path, text)
}

/// The names of those that have got worse.
pub fn worse(baseline: &Ratios, found: &Ratios) -> Vec<String> {
    let is_worse = |key: &str, ratio: f64| {
        let restless = RESTLESS.iter().any(|shape| key.starts_with(shape));
        let factor = if restless { RESTLESS_REGRESSION } else { REGRESSION };
        baseline.get(key).is_some_and(|before| ratio > before * factor)
    };
    found.iter().filter(|(key, ratio)| is_worse(key, **ratio)).map(|(key, _)| key.clone()).collect()
}

/// A case was measured once more: whoever was better once is no worse, because noise only adds.
pub fn relent(found: &mut Ratios, again: &Ratios) {
    for (key, ratio) in again {
        found.entry(key.clone()).and_modify(|before| *before = before.min(*ratio)).or_insert(*ratio);
    }
}

/// What has got worse, in words.
pub fn regressions(baseline: &Ratios, found: &Ratios) -> Vec<String> {
    let tell = |key: String| {
        let (ratio, before) = (found.get(&key)?, baseline.get(&key)?);
        Some(format!("{key}: {ratio:.2} times the floor, {before:.2} in the baseline"))
    };
    worse(baseline, found).into_iter().filter_map(tell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_more_is_a_regression_and_less_is_not() {
        let list = |ratio| Ratios::from([("1 → 100, bursts, io_uring".to_owned(), ratio)]);
        assert!(regressions(&list(1.5), &list(1.64)).is_empty());
        assert!(regressions(&list(1.5), &list(0.4)).is_empty());
        assert_eq!(regressions(&list(1.5), &list(1.66)).len(), 1);
        assert!(regressions(&Ratios::new(), &list(9.0)).is_empty(), "a new case has no past");
    }

    #[test]
    fn few_packets_must_be_worse_by_half() {
        let list = |ratio| Ratios::from([("1 → 10, even, mmsg".to_owned(), ratio)]);
        assert!(regressions(&list(1.0), &list(1.49)).is_empty());
        assert_eq!(regressions(&list(1.0), &list(1.51)).len(), 1);
    }

    #[test]
    fn a_regression_is_one_that_shows_every_time() {
        let list = |ratio| Ratios::from([("1 → 100, bursts, io_uring".to_owned(), ratio)]);
        let mut found = list(2.0);
        relent(&mut found, &list(1.9));
        assert_eq!(
            regressions(&list(1.5), &found),
            ["1 → 100, bursts, io_uring: 1.90 times the floor, 1.50 in the baseline"]
        );
        relent(&mut found, &list(1.6));
        assert!(regressions(&list(1.5), &found).is_empty());
    }
}
