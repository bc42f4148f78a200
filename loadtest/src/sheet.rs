//! A report as one self-contained HTML page: tables and line plots in inline SVG, no script, nothing from the network.

/// Size of a plot in pixels, and the room for its scales.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 240.0;
const MARGIN: f64 = 56.0;
/// Colours of a plot's lines, told apart also without colour vision.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/// A page under construction.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    title: String,
    body: String,
}

/// One line of a plot: its name and its points.
#[derive(Debug, Clone, Default)]
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

impl Sheet {
    pub fn new(title: &str) -> Self {
        Self { title: escape(title), body: String::new() }
    }

    pub fn heading(&mut self, text: &str) {
        self.body.push_str(&format!("<h2>{}</h2>\n", escape(text)));
    }

    pub fn text(&mut self, text: &str) {
        self.body.push_str(&format!("<p>{}</p>\n", escape(text)));
    }

    /// The first row names the columns.
    pub fn table(&mut self, rows: &[Vec<String>]) {
        self.body.push_str("<table>\n");
        for (at, row) in rows.iter().enumerate() {
            let tag = if at == 0 { "th" } else { "td" };
            self.body.push_str("<tr>");
            row.iter().for_each(|cell| {
                self.body.push_str(&format!("<{tag}>{}</{tag}>", escape(cell)));
            });
            self.body.push_str("</tr>\n");
        }
        self.body.push_str("</table>\n");
    }

    /// Lines over one scale each way, from zero up.
    pub fn plot(&mut self, title: &str, unit: &str, lines: &[Line]) {
        let points = || lines.iter().flat_map(|line| &line.points);
        let most = |pick: fn(&(f64, f64)) -> f64| points().map(pick).fold(0.0, f64::max).max(1e-9);
        let (x_max, y_max) = (most(|point| point.0), most(|point| point.1));
        let x = |value: f64| MARGIN + value / x_max * (WIDTH - 2.0 * MARGIN);
        let y = |value: f64| HEIGHT - 28.0 - value / y_max * (HEIGHT - 56.0);
        self.body.push_str(&format!(
            "<h3>{}</h3>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
            escape(title),
            escape(title)
        ));
        for step in 0..=4 {
            let (at_y, at_x) = (y_max * f64::from(step) / 4.0, x_max * f64::from(step) / 4.0);
            self.body.push_str(&format!("<line x1=\"{MARGIN}\" x2=\"{:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" class=\"grid\"/><text x=\"{:.1}\" y=\"{:.1}\" \
                 text-anchor=\"end\">{}</text><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
                WIDTH - MARGIN,
                y(at_y),
                y(at_y),
                MARGIN - 6.0,
                y(at_y) + 4.0,
                brief(at_y),
                x(at_x),
                HEIGHT - 10.0,
                brief(at_x),));
        }
        self.body.push_str(&format!("<text x=\"6\" y=\"14\">{}</text>\n", escape(unit)));
        for (at, line) in lines.iter().enumerate() {
            let colour = COLOURS.get(at % COLOURS.len()).copied().unwrap_or("#000");
            let path: Vec<String> =
                line.points.iter().map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
            self.body.push_str(&format!(
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\" points=\"{}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>\n",
                path.join(" "),
                MARGIN + 8.0 + 150.0 * at as f64,
                14.0,
                escape(&line.name)
            ));
        }
        self.body.push_str("</svg>\n");
    }

    /// The page.
    pub fn finish(self) -> String {
        let Self { title, body } = self;
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<style>\n\
             body {{ font: 15px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }}\n\
             table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .6rem 0 1.4rem }}\n\
             th, td {{ border-bottom: 1px solid #ccc; padding: .2rem .7rem; text-align: right }}\n\
             th:first-child, td:first-child {{ text-align: left }}\n\
             svg {{ width: 100%; height: auto; font-size: 11px }}\n.grid {{ stroke: #ddd }}\n</style>\n</head>\n\
             <body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n"
        )
    }
}

/// A number in few characters.
fn brief(value: f64) -> String {
    match value.abs() {
        large if large >= 1e6 => format!("{:.1}M", value / 1e6),
        large if large >= 1e4 => format!("{:.0}k", value / 1e3),
        large if large >= 100.0 => format!("{value:.0}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.2}"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_needs_nothing_from_elsewhere_and_keeps_text_text() {
        let mut sheet = Sheet::new("a <b>");
        sheet.table(&[vec!["x".into()], vec!["1 & 2".into()]]);
        let line = Line { name: "p99".into(), points: vec![(0.0, 1.0), (10.0, 20_000.0)] };
        sheet.plot("over time", "µs", &[line]);
        let page = sheet.finish();
        assert!(page.contains("a &lt;b&gt;") && page.contains("1 &amp; 2") && page.contains("<polyline"));
        assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("<script"));
    }
}
