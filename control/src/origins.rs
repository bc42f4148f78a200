//! Which web pages may use this relay. Checked for the API, WebSocket and WebTransport alike (G-35): a carrier is not
//! protected by CORS, so the server has to look at `Origin` itself (RFC 6455 §10.2).

use fanlight_wire::host::{is_loopback, is_secure, name_of};

/// The allow-list.
#[derive(Debug, Clone)]
pub(crate) struct Origins {
    listed: Vec<String>,
    /// Pages that this host serves itself (the demo).
    own: bool,
}

impl Origins {
    pub(crate) fn new(listed: &[String], own: bool) -> Self {
        let listed = listed.iter().map(|origin| origin.trim_end_matches('/').to_ascii_lowercase()).collect();
        Self { listed, own }
    }

    /// Origins of the pages that may show a document (R062: by https, or of this machine), `first` before the others; a
    /// few of them.
    pub(crate) fn pages<'a>(&'a self, first: &'a str, most: usize) -> impl Iterator<Item = &'a str> {
        let first = first.trim_end_matches('/');
        let others = self.listed.iter().map(String::as_str).filter(move |origin| *origin != first);
        Some(first).into_iter().chain(others).filter(|origin| is_secure(origin)).take(most)
    }

    /// `host` is the `Host` header or `:authority`. A client without `Origin` is no browser and is allowed: what
    /// protects a session is the ticket, the origin only protects people from other pages in their browser.
    pub(crate) fn allow(&self, origin: Option<&str>, host: &str) -> bool {
        let Some(origin) = origin else { return true };
        let origin = origin.to_ascii_lowercase();
        self.listed.contains(&origin) || (self.own && is_own(&origin, host))
    }
}

/// The page comes from the host it talks to. Ports are ignored because WebTransport has its own; the names of the
/// loopback are one host, because a page opened as `localhost` is told to connect to `127.0.0.1`.
fn is_own(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    if scheme != "http" && scheme != "https" {
        return false;
    }
    let (page, host) = (name_of(authority), name_of(host));
    match (page, host) {
        (Some(page), Some(host)) => page.eq_ignore_ascii_case(host) || (is_loopback(page) && is_loopback(host)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_origins_and_the_own_host_of_a_demo() {
        // G-35
        let demo = Origins::new(&["https://shop.example/".into()], true);
        let closed = Origins::new(&["https://shop.example".into()], false);
        let cases = [
            (None, "relay.example", true, true),
            (Some("https://shop.example"), "relay.example", true, true),
            (Some("HTTPS://SHOP.EXAMPLE"), "relay.example", true, true),
            (Some("https://shop.example:8443"), "relay.example", false, false),
            (Some("http://shop.example"), "relay.example", false, false),
            (Some("https://shop.example.evil"), "relay.example", false, false),
            (Some("http://127.0.0.1:7700"), "127.0.0.1:7710", true, false),
            (Some("http://localhost:7700"), "127.0.0.1:7710", true, false),
            (Some("http://[::1]:7700"), "[::1]:7700", true, false),
            (Some("http://relay.example"), "relay.example:7700", true, false),
            (Some("http://127.0.0.1.evil"), "127.0.0.1:7700", false, false),
            (Some("http://127.0.0.1@evil"), "127.0.0.1:7700", false, false),
            (Some("http://evil:x"), "evil:x", false, false),
            (Some("null"), "null", false, false),
            (Some(""), "", false, false),
            (Some("http://"), "", false, false),
            (Some("file://"), "127.0.0.1", false, false),
        ];
        for (origin, host, with_demo, without) in cases {
            assert_eq!(demo.allow(origin, host), with_demo, "{origin:?} at {host} with demo");
            assert_eq!(closed.allow(origin, host), without, "{origin:?} at {host}");
        }
    }

    #[test]
    fn only_secure_pages_may_show_a_document() {
        // R091
        let listed = ["https://shop.example", "http://shop.example", "https://relay.example", "http://127.0.0.1:7700"];
        let origins = Origins::new(&listed.map(str::to_owned), false);
        let pages = |first, most| origins.pages(first, most).collect::<Vec<_>>();
        let wanted = ["https://relay.example", "https://shop.example", "http://127.0.0.1:7700"];
        assert_eq!(pages("https://relay.example/", 9), wanted);
        assert_eq!(pages("", 1), ["https://shop.example"]);
    }
}
