//! What a run found: rows of windows, single figures with what was asked of them, and how both are shown.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fanlight_loadtest::raw::process;
use fanlight_loadtest::raw::source::Pattern;
use fanlight_loadtest::sheet::Sheet;
use serde::Serialize;

use crate::measure::Window;

/// Everything of one run.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Load average when the run began: above one, somebody else was at work and the figures say less.
    pub load_average: f64,
    pub rows: Vec<Row>,
    pub figures: Vec<Figure>,
}

/// The median window of one server in one case.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Such as `1 → 100`.
    pub shape: String,
    pub pattern: &'static str,
    pub target: String,
    /// Cost per packet over that of the floor in the same rounds; medians of the rounds.
    pub ratio: Option<f64>,
    pub window: Window,
}

/// One figure, and what it should be.
#[derive(Debug, Clone, Serialize)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    pub unit: &'static str,
    /// At most (or, when `at_least`, at least) this.
    pub target: Option<f64>,
    pub at_least: bool,
    /// What there is to know about it.
    pub note: String,
}

impl Row {
    /// What a ratio is called in the baseline.
    pub fn key(&self) -> String {
        format!("{}, {}, {}", self.shape, self.pattern, self.target)
    }

    fn cells(&self) -> Vec<String> {
        let window = &self.window;
        let ratio = self.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let mut cells = vec![self.shape.clone(), self.pattern.to_owned(), self.target.clone()];
        cells.extend([format!("{:.3}", window.us_per_packet), ratio, format!("{:.1}", window.server_share * 100.0)]);
        cells.extend([window.p50_us, window.p99_us, window.max_us, window.seen_p99_us].map(|us| us.to_string()));
        cells.extend([format!("{:.2}", window.spread), format!("{:.3}", window.loss * 100.0)]);
        cells.extend([format!("{:.0}", window.own_share * 100.0), format!("{:.1}", window.late_share * 100.0)]);
        cells.push(if window.generator_limits { "generator".into() } else { String::new() });
        cells
    }
}

const COLUMNS: [&str; 15] = [
    "shape",
    "arrivals",
    "server",
    "µs/packet",
    "× floor",
    "core %",
    "p50 µs",
    "p99 µs",
    "max µs",
    "seen p99",
    "spread",
    "loss %",
    "own %",
    "late %",
    "limited by",
];

impl Figure {
    pub fn most(name: impl Into<String>, value: f64, unit: &'static str, target: Option<f64>) -> Self {
        Self { name: name.into(), value, unit, target, at_least: false, note: String::new() }
    }

    pub fn least(name: impl Into<String>, value: f64, unit: &'static str, target: Option<f64>) -> Self {
        Self { at_least: true, ..Self::most(name, value, unit, target) }
    }

    pub fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    /// `None` without a target.
    pub fn is_met(&self) -> Option<bool> {
        self.target.map(|target| if self.at_least { self.value >= target } else { self.value <= target })
    }

    fn cells(&self) -> Vec<String> {
        let sign = if self.at_least { "≥" } else { "≤" };
        let target = self.target.map_or_else(String::new, |target| format!("{sign} {target}"));
        let verdict = match self.is_met() {
            Some(true) => "met",
            Some(false) => "missed",
            None => "",
        };
        let digits = if self.value.abs() >= 1_000.0 { 0 } else { 3 };
        let value = format!("{:.digits$}", self.value);
        vec![self.name.clone(), value, self.unit.to_owned(), target, verdict.to_owned(), self.note.clone()]
    }
}

const FIGURE_COLUMNS: [&str; 6] = ["figure", "value", "unit", "target", "", "note"];

impl Report {
    pub fn new() -> Self {
        Self { load_average: process::load_average().unwrap_or_default(), ..Self::default() }
    }

    /// Adds a row and shows it.
    pub fn row(&mut self, row: Row) {
        if self.rows.is_empty() {
            say(&line(&COLUMNS.map(str::to_owned)));
        }
        say(&line(&row.cells()));
        self.rows.push(row);
    }

    /// Adds a figure and shows it.
    pub fn figure(&mut self, figure: Figure) {
        let Figure { name, note, .. } = &figure;
        let cells = figure.cells();
        let shown = cells.get(1..5).unwrap_or_default().join(" ");
        say(&format!("{name}: {}{}{note}", shown.trim_end(), if note.is_empty() { "" } else { "; " }));
        self.figures.push(figure);
    }

    /// The window of a server in a case that has been measured.
    pub fn window(&self, shape: &str, pattern: Pattern, target: &str) -> Option<&Window> {
        let same = |row: &&Row| row.shape == shape && row.pattern == pattern.name() && row.target == target;
        self.rows.iter().find(same).map(|row| &row.window)
    }

    /// Ratios to the floor at 1 → 100, with what is asked of them.
    pub fn judge_floor(&mut self) {
        for row in self.rows.clone() {
            let Some(ratio) = row.ratio.filter(|_| row.shape == "1 → 100") else { continue };
            self.figure(Figure::most(format!("{} over the floor", row.key()), ratio, "", Some(1.6)));
        }
    }

    /// What `peer` costs and how late it is over `own`, at 1 → 100.
    pub fn judge_peer(&mut self, own: &str, peer: &str) {
        for (pattern, times) in [(Pattern::Bursts, 8.0), (Pattern::Groups, 8.0), (Pattern::Even, 5.0)] {
            let both = self.window("1 → 100", pattern, own).zip(self.window("1 → 100", pattern, peer));
            let Some((own_window, peer_window)) = both else { continue };
            let cost = peer_window.us_per_packet / own_window.us_per_packet.max(1e-9);
            let late = f64::from(own_window.p99_us) / f64::from(peer_window.p99_us.max(1));
            let name = |what: &str| format!("1 → 100, {}: {what}", pattern.name());
            self.figure(Figure::least(name(&format!("cost of {peer} over that of {own}")), cost, "", Some(times)));
            self.figure(Figure::most(name(&format!("p99 of {own} over that of {peer}")), late, "", Some(0.25)));
        }
    }

    /// Writes `<name>.json` and `<name>.html` into `folder`; returns where the page is.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&self, folder: &Path, name: &str) -> io::Result<PathBuf> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join(format!("{name}.json")), serde_json::to_vec_pretty(self)?)?;
        let mut sheet = Sheet::new("Fan-out on this machine");
        let load = self.load_average;
        sheet
            .text(&format!("Load average when the run began: {load:.2}. Columns are explained in docs/benchmarks.md."));
        if !self.rows.is_empty() {
            sheet.heading("Cost and latency");
            let columns = COLUMNS.map(str::to_owned).to_vec();
            let rows: Vec<_> = std::iter::once(columns).chain(self.rows.iter().map(Row::cells)).collect();
            sheet.table(&rows);
        }
        if !self.figures.is_empty() {
            sheet.heading("Figures");
            let columns = FIGURE_COLUMNS.map(str::to_owned).to_vec();
            let rows: Vec<_> = std::iter::once(columns).chain(self.figures.iter().map(Figure::cells)).collect();
            sheet.table(&rows);
        }
        let page = folder.join(format!("{name}.html"));
        fs::write(&page, sheet.finish())?;
        Ok(page)
    }
}

fn line(cells: &[String]) -> String {
    let widths = [10, 9, 14, 10, 8, 7, 8, 8, 8, 9, 7, 7, 6, 7, 10];
    let padded = cells
        .iter()
        .zip(widths)
        .enumerate()
        .map(|(at, (cell, width))| if at < 3 { format!("{cell:<width$}") } else { format!("{cell:>width$}") });
    padded.collect::<Vec<_>>().join(" ")
}

/// One line on standard output.
#[expect(clippy::print_stdout, reason = "a command line tool reports there")]
pub fn say(line: &str) {
    println!("{line}");
}
