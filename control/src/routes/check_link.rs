//! `POST /v1/config/check-link`: could browsers open this document (R091)?
//!
//! Approved documents are fetched by browsers, the agent's and the visitor's, and a browser hands a file of another host to
//! a page only if that host allows the page's origin (CORS). So the host is asked as these browsers would ask, once for
//! each origin, by way of the fetcher (G-70); of the document itself a byte is asked for and none is kept.

use std::sync::Arc;

use bytes::Bytes;
use fanlight_wire::limits::LINK_ORIGINS_MAX;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::control::Control;
use crate::fetcher::{Answered, FetchError, Fetcher, Sending, Target};
use crate::http::{Asked, Denied, json};
use crate::policies::DocumentKind;
use crate::policies::address::Address;

const ALLOW_ORIGIN: HeaderName = header::ACCESS_CONTROL_ALLOW_ORIGIN;
/// Characters of a content type that are repeated to a person.
const TYPE_CHARS_MAX: usize = 80;

#[derive(Deserialize)]
struct Wish {
    url: String,
    /// What the link says that it is; absent: any that may be shared.
    #[serde(rename = "type")]
    kind: Option<DocumentKind>,
}

#[derive(Serialize)]
struct Checked {
    /// Nothing stands in the way.
    good: bool,
    findings: Vec<Finding>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    about: Subject,
    good: bool,
    /// Of the pages that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    sentence: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Subject {
    Reachable,
    Type,
    Cors,
}

pub(crate) async fn check(control: &Control, asked: Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let Wish { url, kind } = asked.json()?;
    let findings = match target(control, &url) {
        Ok(target) => found(control, &target, kind).await,
        Err(error) => vec![unreachable(error.sentence().into())],
    };
    let good = findings.iter().all(|finding| finding.good);
    Ok(json(StatusCode::OK, &Checked { good, findings }))
}

/// R094: a page that came by https gets nothing by anything else.
fn target(control: &Control, url: &str) -> Result<Target, FetchError> {
    Address::parse(url).map_err(FetchError::Address)?;
    control.fetcher().target(url)
}

async fn found(control: &Control, target: &Target, kind: Option<DocumentKind>) -> Vec<Finding> {
    // The console is a page of the relay's own.
    let origins = control.origins().pages(control.public_url(), LINK_ORIGINS_MAX);
    let tries = origins.map(|origin| {
        let asked = ask(Arc::clone(control.fetcher()), target.clone(), origin.to_owned());
        (origin.to_owned(), tokio::spawn(asked))
    });
    let mut findings = Vec::new();
    for (origin, asked) in tries.collect::<Vec<_>>() {
        // A task of ours that panicked is a host that did not answer as hosts do.
        let answered = match asked.await.unwrap_or(Err(FetchError::Answer)) {
            Ok(answered) => answered,
            Err(error) => return vec![unreachable(error.sentence().into())],
        };
        if let Some(trouble) = trouble(answered.status) {
            return vec![unreachable(format!("The host answered {}: {trouble}", answered.status.as_u16()))];
        }
        if findings.is_empty() {
            let sentence = "The relay could reach the document.".to_owned();
            findings.push(Finding { about: Subject::Reachable, good: true, origin: None, sentence });
            findings.push(typed(&answered.headers, kind));
        }
        findings.push(allowed(&answered.headers, origin));
    }
    findings
}

/// As a page of that origin would, but for one byte only.
async fn ask(fetcher: Arc<Fetcher>, target: Target, origin: String) -> Result<Answered, FetchError> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ORIGIN, HeaderValue::try_from(origin).map_err(|_| FetchError::Answer)?);
    headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-0"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    fetcher.fetch(&target, Sending { headers, ..Sending::default() }).await
}

fn unreachable(sentence: String) -> Finding {
    Finding { about: Subject::Reachable, good: false, origin: None, sentence }
}

/// Why an answer of this status brings no document.
fn trouble(status: StatusCode) -> Option<&'static str> {
    Some(match status.as_u16() {
        200..=299 => return None,
        300..=399 => "the address leads elsewhere. Give the address that it leads to.",
        401 | 403 | 407 => "it wants a sign-in, which the people in a session do not have there.",
        404 | 410 => "there is no document at this address.",
        400..=499 => "it refuses the request.",
        _ => "it has trouble of its own. Try again later.",
    })
}

/// R060, R098: is it called what it may be?
fn typed(headers: &HeaderMap, kind: Option<DocumentKind>) -> Finding {
    let finding = |good, sentence| Finding { about: Subject::Type, good, origin: None, sentence };
    let said = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let said = said.and_then(|text| text.split(';').next()).map(|text| text.trim().to_ascii_lowercase());
    let readable = |text: &String| {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+/".contains(&b);
        (1..=TYPE_CHARS_MAX).contains(&text.len()) && text.bytes().all(legal)
    };
    let wanted: Vec<&str> = match kind {
        Some(kind) => kind.content_types().to_vec(),
        None => DocumentKind::ALL.iter().flat_map(|kind| kind.content_types()).copied().collect(),
    };
    let wish = wanted.join(" or ");
    match said.filter(readable) {
        Some(said) if wanted.contains(&said.as_str()) => finding(true, format!("The host calls it {said}.")),
        Some(said) => finding(false, format!("The host calls it {said}. It has to be {wish}.")),
        None => finding(false, format!("The host does not say what it is. Its Content-Type has to be {wish}.")),
    }
}

/// The Fetch Standard's CORS check, for a request without credentials.
fn allowed(headers: &HeaderMap, origin: String) -> Finding {
    let mut said = headers.get_all(ALLOW_ORIGIN).iter();
    let sentence = match (said.next(), said.next()) {
        (Some(only), None) if only.as_bytes() == b"*" || only.as_bytes() == origin.as_bytes() => {
            let sentence = format!("Pages of {origin} may read it.");
            return Finding { about: Subject::Cors, good: true, origin: Some(origin), sentence };
        }
        (None, _) => format!(
            "Pages of {origin} may not read it: the header Access-Control-Allow-Origin is missing. Have the host send it \
             with this origin or *."
        ),
        (Some(_), None) => format!(
            "Pages of {origin} may not read it: the header Access-Control-Allow-Origin names another origin. Have the \
             host name this one or *."
        ),
        (Some(_), Some(_)) => format!(
            "Pages of {origin} may not read it: the header Access-Control-Allow-Origin is there more than once, and \
             browsers refuse that."
        ),
    };
    Finding { about: Subject::Cors, good: false, origin: Some(origin), sentence }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_content_type_is_judged_by_what_the_link_says() {
        // R091
        let good = |said: &'static str, kind| typed(&headers(&[("content-type", said)]), kind).good;
        assert!(good("application/pdf", Some(DocumentKind::Pdf)) && good("Text/CSV; charset=utf-8", None));
        assert!(good("application/vnd.ms-excel", Some(DocumentKind::Xls)));
        assert!(!good("application/pdf", Some(DocumentKind::Csv)) && !good("text/html", None));
        let odd = typed(&headers(&[("content-type", "<script>")]), None);
        assert!(!odd.good && !odd.sentence.contains("script"), "{odd:?}");
        assert!(!typed(&HeaderMap::new(), None).good);
    }

    #[test]
    fn an_origin_is_allowed_as_browsers_allow_it() {
        // R091
        let ours = "https://relay.example";
        let good = |values: &[&'static str]| {
            let mut all = HeaderMap::new();
            for value in values {
                all.append(ALLOW_ORIGIN, HeaderValue::from_static(value));
            }
            allowed(&all, ours.into()).good
        };
        assert!(good(&["*"]) && good(&["https://relay.example"]));
        for bad in [
            &[][..],
            &["https://relay.example/"],
            &["https://RELAY.example"],
            &["null"],
            &["https://shop.example"],
            &["https://relay.example, https://shop.example"],
            &["*", "*"],
            &["https://relay.example", "https://relay.example"],
        ] {
            assert!(!good(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_status_that_brings_no_document_has_its_reason() {
        for status in [301, 302, 401, 403, 404, 410, 418, 500, 503] {
            assert!(trouble(StatusCode::from_u16(status).expect("a status")).is_some(), "{status}");
        }
        assert!(trouble(StatusCode::OK).is_none() && trouble(StatusCode::PARTIAL_CONTENT).is_none());
    }
}
