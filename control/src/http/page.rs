//! Lists in pages: `limit` and an opaque `after`, and where the next page is (RFC 8288 `Link`).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use fanlight_wire::limits::{PAGE_ITEMS, PAGE_ITEMS_MAX};
use fanlight_wire::{Code, Refusal};
use hyper::Response;
use hyper::header::{self, HeaderValue};

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) limit: usize,
    /// The place of the last item of the page before.
    pub(crate) after: Option<String>,
}

impl Page {
    /// From a request's query.
    ///
    /// # Errors
    /// `E_INPUT` for a limit that is no number from 1 to [`PAGE_ITEMS_MAX`], or a cursor that is none of ours.
    pub(crate) fn of(query: &str) -> Result<Self, Refusal> {
        let wrong = |sentence: &'static str| Refusal::new(Code::Input, "limits::PAGE_ITEMS_MAX").saying(sentence);
        let mut page = Self { limit: PAGE_ITEMS, after: None };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=PAGE_ITEMS_MAX).contains(limit));
                    page.limit = limit.ok_or_else(|| wrong("\"limit\" is a number from 1 to 500."))?;
                }
                "after" => {
                    let place = URL_SAFE_NO_PAD.decode(&*value).ok().and_then(|place| String::from_utf8(place).ok());
                    let unknown =
                        || wrong("\"after\" is what an earlier page gave as \"next\". Begin again without it.");
                    page.after = Some(place.ok_or_else(unknown)?);
                }
                _ => {}
            }
        }
        Ok(page)
    }

    /// The place after which this page begins, as a number.
    ///
    /// # Errors
    /// `E_INPUT` for a cursor of another list.
    pub(crate) fn after_number(&self) -> Result<Option<i64>, Refusal> {
        let parsed = self.after.as_deref().map(str::parse).transpose();
        parsed.map_err(|_| Refusal::new(Code::Input, "limits::PAGE_ITEMS_MAX").saying("\"after\" is of another list."))
    }

    /// This page of a whole list that is in order, and the cursor of the next one.
    pub(crate) fn cut<T>(&self, all: Vec<T>, place: impl Fn(&T) -> String) -> (Vec<T>, Option<String>) {
        let after = self.after.as_deref();
        let rest = all.into_iter().filter(|item| after.is_none_or(|after| place(item).as_str() > after));
        self.closed(rest.take(self.limit + 1).collect(), place)
    }

    /// A page that was read with one item too many where there are more, and the cursor of the next one.
    pub(crate) fn closed<T>(&self, mut items: Vec<T>, place: impl Fn(&T) -> String) -> (Vec<T>, Option<String>) {
        let more = items.len() > self.limit;
        items.truncate(self.limit);
        let next = items.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(place(last)));
        (items, next)
    }
}

/// `Link: <…>; rel="next"`, relative to the address that was asked, with the other parameters as they were.
pub(crate) fn link(mut response: Response<Bytes>, query: &str, next: Option<&str>) -> Response<Bytes> {
    let Some(next) = next else { return response };
    let mut parameters = url::form_urlencoded::Serializer::new(String::new());
    let others = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "after");
    parameters.extend_pairs(others).append_pair("after", next);
    if let Ok(value) = HeaderValue::try_from(format!("<?{}>; rel=\"next\"", parameters.finish())) {
        response.headers_mut().insert(header::LINK, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_on_one_page() {
        let all: Vec<String> = (0..25).map(|n| format!("{n:02}")).collect();
        let (mut seen, mut query, mut pages) = (Vec::new(), "limit=10".to_owned(), 0);
        loop {
            let page = Page::of(&query).expect("our own query");
            let (items, next) = page.cut(all.clone(), Clone::clone);
            seen.extend(items);
            pages += 1;
            let Some(next) = next else { break };
            query = format!("limit=10&after={next}");
        }
        assert_eq!((seen, pages), (all, 3));
    }

    #[test]
    fn a_page_that_cannot_be_is_refused() {
        for bad in ["limit=0", "limit=501", "limit=-1", "limit=x", "limit=", "after=%%", "after=_w"] {
            assert_eq!(Page::of(bad).map_err(|refusal| refusal.code), Err(Code::Input), "{bad}");
        }
        let page = Page::of("after=eA&other=1").expect("a legal query");
        assert_eq!(page.after.as_deref(), Some("x"));
        assert!(page.after_number().is_err());
    }

    #[test]
    fn the_next_page_keeps_the_other_parameters() {
        let response = link(crate::http::empty(hyper::StatusCode::OK), "agent=a%26b&after=x&limit=2", Some("eQ"));
        let value = response.headers().get("link").and_then(|value| value.to_str().ok());
        assert_eq!(value, Some("<?agent=a%26b&limit=2&after=eQ>; rel=\"next\""));
    }
}
