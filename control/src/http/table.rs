//! Tables as files: CSV that no spreadsheet executes (G-73), or JSON; both to be saved, never shown in place.

use std::borrow::Cow;

use bytes::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};

use super::empty;

/// What spreadsheets take for the beginning of a formula, in the width of their keyboards too.
const FORMULA: [char; 12] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠', '\u{feff}'];

/// The form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Csv,
    Json,
}

/// A file to be saved under this name.
pub(crate) fn download(name: &str, content_type: &'static str, content: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = empty(StatusCode::OK);
    *response.body_mut() = content.into();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'"));
    // Names are made of our own words and ids.
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

/// RFC 4180, every field quoted, formulas made text.
pub(crate) fn csv<R: AsRef<[String]>>(heads: &[&str], rows: impl IntoIterator<Item = R>) -> String {
    let mut text = String::new();
    line(&mut text, heads.iter().copied());
    for row in rows {
        line(&mut text, row.as_ref().iter().map(String::as_str));
    }
    text
}

fn line(to: &mut String, fields: impl Iterator<Item = impl AsRef<str>>) {
    for (at, field) in fields.enumerate() {
        let comma = if at == 0 { "" } else { "," };
        to.push_str(&format!("{comma}\"{}\"", harmless(field.as_ref()).replace('"', "\"\"")));
    }
    to.push_str("\r\n");
}

/// A field that begins like a formula, also behind blanks, gets an apostrophe before it.
fn harmless(field: &str) -> Cow<'_, str> {
    let first = field.chars().find(|c| *c == '\t' || *c == '\r' || *c == '\n' || !c.is_whitespace());
    match first {
        Some(first) if FORMULA.contains(&first) => Cow::Owned(format!("'{field}")),
        _ => Cow::Borrowed(field),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOADS: [&str; 40] = [
        "=1+1",
        "=cmd|'/C calc'!A0",
        "=HYPERLINK(\"http://evil.example\",\"click\")",
        "=IMPORTXML(\"http://evil.example\",\"//a\")",
        "=WEBSERVICE(\"http://evil.example\")",
        "=DDE(\"cmd\";\"/C calc\";\"__DdeLink_60_870516294\")",
        "=2+5+cmd|' /C calc'!A0",
        "==1+1",
        "= 1+1",
        "+1+1",
        "+cmd|'/C calc'!A0",
        "+HYPERLINK(\"x\")",
        "-1+1",
        "-2+3+cmd|'/C calc'!A0",
        "-@SUM(A1)",
        "@SUM(1+1)*cmd|'/C calc'!A0",
        "@SUM(A1:A9)",
        "\t=1+1",
        "\t1",
        "\r=1+1",
        "\r1",
        "\n=1+1",
        "\n1",
        "\r\n=1+1",
        " =1+1",
        "   +1",
        "\u{a0}=1+1",
        "\u{3000}=1+1",
        "\u{2003}@SUM(1)",
        "\u{feff}=1+1",
        "＝1+1",
        "＋1",
        "－1",
        "＠SUM(1)",
        "\"=1+1",
        "\",=1+1,\"",
        "a\",\"=1+1",
        "a\"\r\n\"=1+1",
        "';=1+1",
        "ann,=1+1\r\n=2",
    ];

    /// An RFC 4180 reader, written from the standard.
    fn read(text: &str) -> Vec<Vec<String>> {
        let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match (quoted, c) {
                (true, '"') if rest.peek() == Some(&'"') => {
                    rest.next();
                    field.push('"');
                }
                (_, '"') => quoted = !quoted,
                (false, ',') => row.push(std::mem::take(&mut field)),
                (false, '\r') => {}
                (false, '\n') => {
                    row.push(std::mem::take(&mut field));
                    rows.push(std::mem::take(&mut row));
                }
                (_, c) => field.push(c),
            }
        }
        rows
    }

    #[test]
    fn no_payload_is_a_formula_and_none_leaves_its_cell() {
        // G-73
        let rows: Vec<[String; 2]> =
            PAYLOADS.iter().map(|payload| [(*payload).to_owned(), "next".to_owned()]).collect();
        let back = read(&csv(&["first", "second"], &rows));
        assert_eq!(back.len(), PAYLOADS.len() + 1, "no payload makes a row");
        for (payload, row) in PAYLOADS.iter().zip(&back[1..]) {
            let [cell, next] = row.as_slice() else { panic!("{payload:?} makes a column: {row:?}") };
            assert_eq!(
                (cell.strip_prefix('\'').unwrap_or(cell), next.as_str()),
                (payload.strip_prefix('\'').unwrap_or(payload), "next")
            );
            let first = cell.trim_start_matches([' ', '\u{a0}', '\u{3000}', '\u{2003}']).chars().next();
            assert!(first.is_none_or(|first| !FORMULA.contains(&first)), "{payload:?} stays a formula");
        }
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        assert_eq!(
            csv(&["a"], [["ann".to_owned()], [String::new()], ["3-4".to_owned()]]),
            "\"a\"\r\n\"ann\"\r\n\"\"\r\n\"3-4\"\r\n"
        );
    }

    #[test]
    fn a_download_is_saved_and_not_shown() {
        // G-73
        let response = download("x.csv", "text/csv; charset=utf-8", "a");
        let of = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!(of("x-content-type-options"), Some("nosniff"));
        assert_eq!(of("content-disposition"), Some("attachment; filename=\"x.csv\""));
        assert_eq!(of("content-security-policy"), Some("sandbox; default-src 'none'"));
    }
}
