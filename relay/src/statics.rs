//! The web client and the demo pages, embedded at build time, with the headers that keep them safe.
//!
//! Owns the table of files and their headers. The agent's pages get the policy under which a replayed page can fetch
//! nothing and run nothing; the demo shop stands for somebody else's site and gets an ordinary one. The admin console is
//! served at the operator's door only.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

/// Path, entity tag, bytes; sorted by path.
type Table = &'static [(&'static str, &'static str, &'static [u8])];

static FILES: Table = include!(concat!(env!("OUT_DIR"), "/statics.rs"));

const MISSING: &str = "<!doctype html><meta charset=utf-8><title>Fanlight</title>\
<body style=\"font:16px/1.5 system-ui;max-width:40rem;margin:4rem auto;padding:0 1rem\">\
<h1>Fanlight is running</h1><p>This binary was built without the web client. Build it and then the binary again:</p>\
<pre>npm --prefix web ci\nnpm --prefix web run build\ncargo build --release -p fanlight</pre>";

/// The console's scripts build every element themselves; nothing inline, nothing from elsewhere.
const ADMIN_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; \
base-uri 'none'; form-action 'none'; frame-src 'none'; frame-ancestors 'none'";

/// Answers for static files.
#[derive(Debug)]
pub struct Statics {
    agent_policy: HeaderValue,
    link_policy: HeaderValue,
    site_policy: HeaderValue,
    phone_policy: HeaderValue,
    demo: bool,
}

/// Who a page is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    /// Shows what a stranger's page contains.
    Agent,
    /// The page behind a join link: an address that somebody reads out.
    Link,
    /// The demo's own pages, which stand for a customer's site.
    Site,
    /// A phone that shows its camera.
    Phone,
    /// Loaded by pages of other origins.
    Widget,
    /// The admin console: talks to its own door and to nothing else.
    Admin,
}

impl Statics {
    /// `connect` are the origins of the WebTransport ports, `embed` those of pages that may frame the agent console
    /// (R150), `demo` says whether demo pages are served.
    pub fn new(connect: &[String], embed: &[String], demo: bool) -> Self {
        let connect = connect.join(" ");
        let own = if demo { "'self' " } else { "" };
        let ancestors = match format!("{own}{}", embed.join(" ")) {
            none if none.is_empty() => "'none'".to_owned(),
            some => some,
        };
        let within = |ancestors: &str| {
            format!(
                "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data: blob:; \
             font-src data: blob:; media-src blob:; connect-src 'self' {connect}; base-uri 'none'; form-action 'none'; \
             frame-src 'none'; frame-ancestors {ancestors}"
            )
        };
        let phone = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self' {connect}; \
             base-uri 'none'; form-action 'none'; frame-src 'none'; frame-ancestors 'none'"
        );
        let site = format!(
            "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; \
             img-src * data: blob:; connect-src 'self' {connect}; object-src 'none'; base-uri 'none'"
        );
        // Both are made of visible ASCII: our own text and host names that the configuration has checked.
        let value =
            |text: String| HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("default-src 'none'"));
        let (agent, link) = (value(within(&ancestors)), value(within("'none'")));
        Self { agent_policy: agent, link_policy: link, site_policy: value(site), phone_policy: value(phone), demo }
    }

    /// The answer to a request that no other part of the public door wants.
    pub fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        let path = request.uri().path();
        if path.starts_with("/admin/") {
            return plain(StatusCode::NOT_FOUND, "there is nothing at this address\n");
        }
        if path.starts_with("/demo/") && !self.demo {
            return plain(StatusCode::NOT_FOUND, "the demo is switched off\n");
        }
        match path {
            "/demo" => return redirect("/demo/"),
            "/agent" => return redirect("/agent/"),
            _ => {}
        }
        // Behind a camera link: the token is for the page itself.
        let path = if path.starts_with("/c/") { "/c/index.html" } else { path };
        match find(FILES, path) {
            Some(file) => self.file(file, request),
            None if path == "/" => page(MISSING),
            None => plain(StatusCode::NOT_FOUND, "there is nothing at this address\n"),
        }
    }

    /// Is this an address of the admin console?
    pub fn is_admin(&self, path: &str) -> bool {
        path == "/" || path == "/admin" || path.starts_with("/admin/")
    }

    /// The answer of the operator's door to a request for such an address.
    pub fn admin<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refused;
        }
        let path = request.uri().path();
        match find(FILES, path) {
            Some(file) if path.starts_with("/admin/") => self.file(file, request),
            _ if path == "/" || path == "/admin" => redirect("/admin/"),
            None if path == "/admin/" => page(MISSING),
            _ => plain(StatusCode::NOT_FOUND, "there is nothing at this address\n"),
        }
    }

    fn file<B>(&self, file: File, request: &Request<B>) -> Response<Full<Bytes>> {
        let known = request.headers().get(header::IF_NONE_MATCH).and_then(|v| v.to_str().ok());
        let fresh = known.is_some_and(|tags| tags.split(',').any(|t| t.trim().trim_start_matches("W/") == file.tag));
        let mut response = Response::new(Full::default());
        if fresh {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        } else if request.method() == Method::GET {
            *response.body_mut() = Full::new(Bytes::from_static(file.bytes));
        } else {
            response.headers_mut().insert(header::CONTENT_LENGTH, file.bytes.len().into());
        }
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(file.path)));
        headers.insert(header::ETAG, HeaderValue::from_static(file.tag));
        let caching = if is_hashed(file.path) { "public, max-age=31536000, immutable" } else { "no-cache" };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
        self.guard(audience(file.path), headers);
        response
    }

    fn guard(&self, audience: Audience, headers: &mut HeaderMap) {
        let mut set = |name: &'static str, value: &'static str| {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        };
        set("x-content-type-options", "nosniff");
        match audience {
            Audience::Agent => {
                set("referrer-policy", "no-referrer");
                set("cross-origin-opener-policy", "same-origin");
                set("cross-origin-resource-policy", "same-origin");
                set("permissions-policy", "display-capture=(self), camera=(), geolocation=(), microphone=()");
                headers.insert(header::CONTENT_SECURITY_POLICY, self.agent_policy.clone());
            }
            Audience::Link => {
                set("referrer-policy", "no-referrer");
                set("cross-origin-opener-policy", "same-origin");
                set("cross-origin-resource-policy", "same-origin");
                set("permissions-policy", "display-capture=(self), camera=(), geolocation=(), microphone=()");
                headers.insert(header::CONTENT_SECURITY_POLICY, self.link_policy.clone());
            }
            Audience::Admin => {
                set("referrer-policy", "no-referrer");
                set("cross-origin-opener-policy", "same-origin");
                set("cross-origin-resource-policy", "same-origin");
                set("permissions-policy", "display-capture=(), camera=(), geolocation=(), microphone=()");
                set("content-security-policy", ADMIN_POLICY);
            }
            Audience::Phone => {
                set("referrer-policy", "no-referrer");
                set("cross-origin-opener-policy", "same-origin");
                set("cross-origin-resource-policy", "same-origin");
                set("permissions-policy", "camera=(self), display-capture=(), geolocation=(), microphone=()");
                headers.insert(header::CONTENT_SECURITY_POLICY, self.phone_policy.clone());
            }
            Audience::Site => {
                set("referrer-policy", "strict-origin-when-cross-origin");
                set("cross-origin-resource-policy", "same-origin");
                headers.insert(header::CONTENT_SECURITY_POLICY, self.site_policy.clone());
            }
            Audience::Widget => {
                set("cross-origin-resource-policy", "cross-origin");
                set("access-control-allow-origin", "*");
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct File {
    path: &'static str,
    tag: &'static str,
    bytes: &'static [u8],
}

/// The file for a path: itself, or the index of a folder.
fn find(table: Table, path: &str) -> Option<File> {
    let exact = |wanted: &str| {
        let at = table.binary_search_by(|(path, ..)| (*path).cmp(wanted)).ok()?;
        table.get(at).map(|(path, tag, bytes)| File { path, tag, bytes })
    };
    match path {
        // Every link has the same page, whatever its code: opening it tells nobody whether there is such a link.
        _ if path.starts_with("/j/") => exact("/j/index.html"),
        _ if path.ends_with('/') => exact(&format!("{path}index.html")),
        _ => exact(path),
    }
}

fn audience(path: &str) -> Audience {
    match path {
        "/fanlight.js" | "/fanlight.mjs" | "/fanlight-viewer.js" | "/fanlight-viewer.mjs" => Audience::Widget,
        _ if path.starts_with("/j/") || path.starts_with("/join/") => Audience::Link,
        "/demo/agent.html" => Audience::Agent,
        _ if path.starts_with("/agent/") => Audience::Agent,
        _ if path.starts_with("/c/") || path.starts_with("/camera/") => Audience::Phone,
        _ if path.starts_with("/admin/") => Audience::Admin,
        _ => Audience::Site,
    }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "webmanifest" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}

/// Does the name hold a hash of the content, as the bundler writes it (`name-Ab3_x9Zq.js`)? Those never change.
fn is_hashed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let Some((stem, _)) = name.rsplit_once('.') else { return false };
    let hash = stem.get(stem.len().saturating_sub(9)..).unwrap_or_default();
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    path.contains("/assets/")
        && hash.len() == 9
        && hash.starts_with('-')
        && hash.bytes().all(legal)
        && hash.bytes().any(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn page(html: &'static str) -> Response<Full<Bytes>> {
    let mut response = plain(StatusCode::OK, html);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

fn redirect(to: &'static str) -> Response<Full<Bytes>> {
    let mut response = plain(StatusCode::MOVED_PERMANENTLY, "");
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static(to));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = &[
        ("/agent/assets/main-Ab3_x9Zq.js", "\"1\"", b"1"),
        ("/demo/agent.html", "\"2\"", b"2"),
        ("/demo/index.html", "\"3\"", b"3"),
        ("/fanlight.js", "\"5\"", b"5"),
        ("/index.html", "\"4\"", b"4"),
        ("/j/index.html", "\"7\"", b"7"),
    ];

    fn statics() -> Statics {
        Statics::new(&["https://127.0.0.1:7710".into()], &["https://desk.example".into()], true)
    }

    #[test]
    fn paths_find_their_files() {
        let found = |path| find(TABLE, path).map(|f| f.path);
        assert_eq!(found("/"), Some("/index.html"));
        assert_eq!(found("/demo/"), Some("/demo/index.html"));
        assert_eq!(found("/fanlight.js"), Some("/fanlight.js"));
        for path in ["/demo/../fanlight.js", "//fanlight.js", "/FANLIGHT.js", "/agent", ""] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn the_embedded_table_is_sorted() {
        assert!(FILES.is_sorted_by_key(|(path, ..)| path));
    }

    #[test]
    fn only_hashed_names_are_immutable() {
        assert!(is_hashed("/agent/assets/main-Ab3_x9Zq.js"));
        assert!(is_hashed("/agent/assets/main-abcdefg1.css"));
        for path in ["/fanlight.js", "/assets/my-pictures.png", "/demo/main-Ab3_x9Zq.js", "/assets/x"] {
            assert!(!is_hashed(path), "{path}");
        }
    }

    #[test]
    fn an_agent_page_can_fetch_nothing_that_a_replayed_page_names() {
        let file = find(TABLE, "/demo/agent.html").expect("in the table");
        let response = statics().file(file, &Request::new(()));
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().expect("text");
        for part in ["default-src 'none'", "script-src 'self';", "frame-src 'none'", "https://127.0.0.1:7710;"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
    }

    #[test]
    fn only_configured_pages_frame_the_console_and_none_a_links_page() {
        // R150
        let policy = |statics: &Statics, path| {
            let response = statics.file(find(TABLE, path).expect("in the table"), &Request::new(()));
            response.headers()[header::CONTENT_SECURITY_POLICY].to_str().expect("text").to_owned()
        };
        let framed = "frame-ancestors 'self' https://desk.example";
        assert!(policy(&statics(), "/demo/agent.html").ends_with(framed));
        assert!(policy(&Statics::new(&[], &[], false), "/demo/agent.html").ends_with("frame-ancestors 'none'"));
        assert!(policy(&statics(), "/j/k7m2-9qtx").ends_with("frame-ancestors 'none'"));
        assert_eq!(find(TABLE, "/j/k7m2-9qtx"), find(TABLE, "/j/anything"));
    }

    #[test]
    fn the_admin_console_is_at_the_operators_door_only() {
        let get = |path: &str| Request::get(path).body(()).expect("good");
        for path in ["/admin/", "/admin/console.js"] {
            assert_eq!(statics().answer(&get(path)).status(), StatusCode::NOT_FOUND, "{path}");
        }
        for path in ["/", "/admin"] {
            assert_eq!(statics().admin(&get(path)).headers()[header::LOCATION], "/admin/");
        }
        for path in ["/v1/sessions", "/fanlight.js", "/demo/"] {
            assert!(!statics().is_admin(path), "{path}");
            assert_eq!(statics().admin(&get(path)).status(), StatusCode::NOT_FOUND, "{path}");
        }
        let response = statics().file(File { path: "/admin/index.html", tag: "\"6\"", bytes: b"6" }, &get("/admin/"));
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().expect("text");
        assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
    }

    #[test]
    fn a_known_tag_is_not_sent_again() {
        let file = find(TABLE, "/fanlight.js").expect("in the table");
        let request = Request::get("/fanlight.js").header("if-none-match", "W/\"5\", \"9\"").body(()).expect("good");
        let response = statics().file(file, &request);
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(response.headers()["cross-origin-resource-policy"], "cross-origin");
    }

    #[test]
    fn other_methods_and_a_demo_that_is_off_are_refused() {
        let post = Request::post("/").body(()).expect("good");
        assert_eq!(statics().answer(&post).status(), StatusCode::METHOD_NOT_ALLOWED);
        let off = Statics::new(&[], &[], false);
        let get = Request::get("/demo/agent.html").body(()).expect("good");
        assert_eq!(off.answer(&get).status(), StatusCode::NOT_FOUND);
    }
}
