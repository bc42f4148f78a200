//! The HTTP API: routes, methods, origins, and how a refusal is answered. Bodies are JSON both ways; a refusal is a
//! problem document with its code's status (`docs/api.md`).
//!
//! | door | method | path | who | what |
//! |---|---|---|---|---|
//! | public | POST | `/v1/keys` | a visitor's page, or its handle | a new session and its key, or a further key |
//! | public | POST | `/v1/login` | anybody | an agent signs in |
//! | public, operator | GET | `/v1/oidc`, `…/start`, `…/callback` | anybody | signing in with the identity provider ([`oidc`]) |
//! | public | POST | `/v1/oidc/login` | the browser that has signed in | an agent's token |
//! | operator | GET, POST | `/v1/admin`, `/v1/admin/logout` | operator, admin | who is signed in, signs out |
//! | public | POST | `/v1/logout` | agent | signs out, and ends what the agent watches |
//! | public | POST | `/v1/join` | agent | a key becomes a join ticket |
//! | public | GET | `/v1/connect/<session>` | anybody who knows the id | where to connect |
//! | public | GET | `/v1/presence` | agent | how visitors stand, once or as a stream of events |
//! | public | POST | `/v1/invites` | an agent, a server | asks a visitor who is on the website |
//! | public | GET, DELETE | `/v1/invites/<invite>` | its agent, its group's server | how it went, takes it back |
//! | public | POST | `/v1/sessions/<session>/join` | its host | a ticket |
//! | public, operator | POST | `/v1/sessions/<session>/view` | its host, a server, operator | a link that opens the viewer |
//! | public | POST | `/v1/views` | whoever has that link | a ticket, once |
//! | public | POST | `/v1/links`, `/v1/links/join` | whoever has a join link | what it is, a ticket |
//! | public | POST | `/v1/sessions/<session>/end` | its visitor, an agent or a server of its group | ends it |
//! | public | GET | `/v1/own-sessions` | an agent, a server | ids of those it is in, of its group's |
//! | public | POST | `/v1/sessions` | a server, an agent | creates one of its group; begins one with a link |
//! | public | POST | `/v1/tickets` | a server | mints a join ticket or a media token for a session of its group |
//! | public | GET | `/v1/sessions/<session>/shareable` | an agent of its group | the Share menu ([`shareable`]) |
//! | public | POST | `/v1/sessions/<session>/bookmarks`, `…/suggestions` | an agent of its group | a bookmark is opened, an address suggested |
//! | public | GET | `/v1/policy/effective` | visitor, agent, server | the rules that hold for it |
//! | public, operator | GET | `/v1/policy/schema.json` | anybody at that door | the shape of a bundle |
//! | operator | POST | `/v1/sessions/<session>/revoke` | operator | voids every ticket, puts out everybody but the visitor |
//! | public, operator | GET | `/v1/openapi.json` | anybody at that door | this table as OpenAPI 3.1 ([`crate::openapi`]) |
//! | public | GET | `/demo/config.json` | anybody, demo only | the demo's agents |
//! | public | POST | `/v1/sessions/<session>/whip`, `…/whep` | a media token | a media resource |
//! | public | PATCH, DELETE | `/v1/sessions/<session>/whip/<resource>`, `…/whep/<resource>` | a media token | changes or ends it |
//! | operator | POST, GET | `/v1/sessions` | operator | create, list |
//! | operator | DELETE | `/v1/sessions/<session>` | operator | ends it |
//! | public, operator | GET | `/v1/sessions/<session>/receipts` | a server, operator | who allowed what ([`reports`]) |
//! | operator | GET | `/v1/reports/…`, `/v1/audit` | operator | what was ([`reports`]) |
//! | operator | POST | `/v1/config/check-link` | operator | can browsers open this document ([`check_link`]) |
//! | operator | POST | `/v1/signing-key/rotate` | operator | a new key signs tickets |
//! | operator | POST | `/v1/tickets` | operator | mints a join ticket or a media token |
//! | public | POST, GET | `/v1/camera-invites`, `…/<session>` | agent | sends a camera link, says how it stands |
//! | public | POST | `/v1/camera-links/look`, `…/open`, `…/decline` | whoever holds the link | the phone's side |
//! | public, operator | GET, POST, PATCH, DELETE | `/v1/groups/<group>/webhooks…` | its server, operator | webhooks ([`webhooks`]) |
//! | operator | GET, POST, PUT, PATCH, DELETE | `/v1/groups/…`, `/v1/policy/…` | operator | groups and their rules ([`policies`]) |
//!
//! WHIP and WHEP have answers of their own form ([`media`]). Leaves static files, body limits, time limits and the local door to the relay.

mod answer;
mod asked;
mod page;
mod repeat;
mod table;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use fanlight_wire::{Code, Refusal};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

pub(crate) use answer::{Denied, empty, json};
pub(crate) use asked::Asked;
pub(crate) use page::{Page, link};
use repeat::Claim;
pub(crate) use repeat::Repeats;
pub(crate) use table::{Form, csv, download};

use crate::control::Control;
use crate::lobby::cross_origin;
use crate::mint::Client;
use crate::openapi;
use crate::presence::Caller;
use crate::routes::cameras::Wish;
use crate::routes::policies::{self, Inquiry, Place};
use crate::routes::reports::{self, Report};
use crate::routes::webhooks::Hook;
use crate::routes::{
    cameras, check_link, connect, demo, effective, invites, join, keys, links, login, media, oidc, presence, sessions,
    shareable, signing_key, starts, tickets, webhooks,
};
use crate::store::server_keys;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// What a page of another origin may send.
const ASKED_HEADERS: &str = "authorization, content-type, idempotency-key";
/// What it may read beyond the body.
pub(crate) const EXPOSED: HeaderValue = HeaderValue::from_static("Link, Retry-After, RateLimit, RateLimit-Policy");

/// Where a request came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Pages and agents.
    Public,
    /// The operator's own listener.
    Operator,
}

/// Is this path answered by [`Control::handle`]? Everything else at the public door is a static file or a carrier.
pub fn serves(door: Door, path: &str) -> bool {
    Route::of(door, path).is_some() || (path.starts_with("/v1/") && path != "/v1/ws" && path != "/v1/wt")
}

/// One address of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    Keys,
    Login,
    Logout,
    Oidc,
    OidcStart,
    OidcCallback,
    OidcLogin,
    Admin,
    AdminLogout,
    Join,
    Connect(&'a str),
    End(&'a str),
    Shareable(&'a str),
    Bookmarks(&'a str),
    Suggest(&'a str),
    DemoConfig,
    Sessions,
    Mine,
    CreateOwn,
    Session(&'a str),
    Revoke(&'a str),
    Tickets,
    OwnTickets,
    SigningKey,
    CheckLink,
    Effective,
    /// A host of a session comes in.
    Enter(&'a str),
    /// A link that opens a viewer in a session.
    View(&'a str),
    Views,
    Presence,
    Invites,
    Invite(&'a str),
    Links,
    LinkJoin,
    OpenApi,
    CameraInvites,
    CameraInvite(&'a str),
    CameraLinks(Wish),
    Webhooks(Hook<'a>),
    Policies(Place<'a>),
    Reports(Report<'a>),
}

impl<'a> Route<'a> {
    pub(crate) fn of(door: Door, path: &'a str) -> Option<Self> {
        if let Some(place) = Place::of(path).filter(|place| door == Door::Operator || place.is_public()) {
            return Some(Self::Policies(place));
        }
        if let Some(hook) = Hook::of(path) {
            return Some(Self::Webhooks(hook));
        }
        if let Some(report) = Report::of(path).filter(|report| door == Door::Operator || report.is_public()) {
            return Some(Self::Reports(report));
        }
        let mut segments = path.strip_prefix('/')?.split('/');
        let four = (segments.next()?, segments.next()?, segments.next(), segments.next());
        if segments.next().is_some() {
            return None;
        }
        Some(match (door, four) {
            (_, ("v1", "openapi.json", None, None)) => Self::OpenApi,
            (Door::Public, ("v1", "keys", None, None)) => Self::Keys,
            (Door::Public, ("v1", "login", None, None)) => Self::Login,
            (_, ("v1", "oidc", None, None)) => Self::Oidc,
            (_, ("v1", "oidc", Some("start"), None)) => Self::OidcStart,
            (_, ("v1", "oidc", Some("callback"), None)) => Self::OidcCallback,
            (Door::Public, ("v1", "oidc", Some("login"), None)) => Self::OidcLogin,
            (Door::Operator, ("v1", "admin", None, None)) => Self::Admin,
            (Door::Operator, ("v1", "admin", Some("logout"), None)) => Self::AdminLogout,
            (Door::Public, ("v1", "logout", None, None)) => Self::Logout,
            (Door::Public, ("v1", "sessions", None, None)) => Self::CreateOwn,
            (Door::Public, ("v1", "own-sessions", None, None)) => Self::Mine,
            (Door::Public, ("v1", "tickets", None, None)) => Self::OwnTickets,
            (Door::Public, ("v1", "policy", Some("effective"), None)) => Self::Effective,
            (Door::Operator, ("v1", "sessions", Some(session), Some("revoke"))) => Self::Revoke(session),
            (Door::Public, ("v1", "join", None, None)) => Self::Join,
            (Door::Public, ("v1", "connect", Some(session), None)) => Self::Connect(session),
            (Door::Public, ("v1", "sessions", Some(session), Some("end"))) => Self::End(session),
            (Door::Public, ("v1", "sessions", Some(session), Some("shareable"))) => Self::Shareable(session),
            (Door::Public, ("v1", "sessions", Some(session), Some("bookmarks"))) => Self::Bookmarks(session),
            (Door::Public, ("v1", "sessions", Some(session), Some("suggestions"))) => Self::Suggest(session),
            (Door::Public, ("v1", "sessions", Some(session), Some("join"))) => Self::Enter(session),
            (_, ("v1", "sessions", Some(session), Some("view"))) => Self::View(session),
            (Door::Public, ("v1", "views", None, None)) => Self::Views,
            (Door::Public, ("v1", "presence", None, None)) => Self::Presence,
            (Door::Public, ("v1", "invites", None, None)) => Self::Invites,
            (Door::Public, ("v1", "invites", Some(invite), None)) => Self::Invite(invite),
            (Door::Public, ("v1", "links", None, None)) => Self::Links,
            (Door::Public, ("v1", "links", Some("join"), None)) => Self::LinkJoin,
            (Door::Public, ("demo", "config.json", None, None)) => Self::DemoConfig,
            (Door::Public, ("v1", "camera-invites", None, None)) => Self::CameraInvites,
            (Door::Public, ("v1", "camera-invites", Some(session), None)) => Self::CameraInvite(session),
            (Door::Public, ("v1", "camera-links", Some("look"), None)) => Self::CameraLinks(Wish::Look),
            (Door::Public, ("v1", "camera-links", Some("open"), None)) => Self::CameraLinks(Wish::Open),
            (Door::Public, ("v1", "camera-links", Some("decline"), None)) => Self::CameraLinks(Wish::Decline),
            (Door::Operator, ("v1", "sessions", None, None)) => Self::Sessions,
            (Door::Operator, ("v1", "sessions", Some(session), None)) => Self::Session(session),
            (Door::Operator, ("v1", "signing-key", Some("rotate"), None)) => Self::SigningKey,
            (Door::Operator, ("v1", "tickets", None, None)) => Self::Tickets,
            (Door::Operator, ("v1", "config", Some("check-link"), None)) => Self::CheckLink,
            _ => return None,
        })
    }

    /// As the `Allow` header says it.
    pub(crate) const fn methods(self) -> &'static str {
        match self {
            Self::Enter(_) | Self::View(_) | Self::Views => "POST",
            Self::Invites | Self::Links | Self::LinkJoin => "POST",
            Self::Invite(_) => "GET, DELETE",
            Self::Presence => "GET",
            Self::OidcLogin | Self::AdminLogout => "POST",
            Self::Oidc | Self::OidcStart | Self::OidcCallback | Self::Admin => "GET",
            Self::Keys | Self::Login | Self::Logout | Self::Join | Self::End(_) | Self::Revoke(_) => "POST",
            Self::Tickets | Self::OwnTickets | Self::CreateOwn | Self::SigningKey => "POST",
            Self::Connect(_) | Self::DemoConfig | Self::OpenApi | Self::Effective | Self::Mine => "GET",
            Self::CameraInvites | Self::CameraLinks(_) => "POST",
            Self::CameraInvite(_) => "GET",
            Self::Bookmarks(_) | Self::Suggest(_) | Self::CheckLink => "POST",
            Self::Shareable(_) => "GET",
            Self::Reports(_) => "GET",
            Self::Sessions => "GET, POST",
            Self::Session(_) => "DELETE",
            Self::Webhooks(hook) => hook.methods(),
            Self::Policies(place) => place.methods(),
        }
    }

    /// May this caller ask at the operator's door? An administrator decides what others may do; it takes part in no
    /// session and lets nobody into one (promises 3.2).
    pub(crate) fn is_for(self, caller: &Caller) -> bool {
        match self {
            Self::Oidc | Self::OidcStart | Self::OidcCallback | Self::AdminLogout => true,
            Self::Tickets | Self::View(_) => *caller == Caller::Operator,
            _ => matches!(caller, Caller::Operator | Caller::Admin(_)),
        }
    }

    fn takes(self, method: &Method) -> bool {
        self.methods().split(", ").any(|known| known == method.as_str())
    }
}

impl Control {
    /// Answers one request. The relay has collected and limited the body. Never waits longer than the store's deadline
    /// and, at login, the check of a secret; whoever has a server tried out or a link checked waits for that server.
    pub async fn handle(&self, door: Door, request: Request<Bytes>, peer: IpAddr) -> Response<Bytes> {
        let headers = request.headers();
        let origin = text_of(headers, &header::ORIGIN).map(str::to_owned);
        let host = text_of(headers, &header::HOST).or_else(|| request.uri().host()).unwrap_or_default();
        // The operator's door has a page of its own: the admin console.
        let own = door == Door::Operator && origin.as_deref().is_some_and(|origin| is_page_of(origin, host));
        let mut response = if own || self.origin_allowed(origin.as_deref(), host) {
            let answered = self.answer(door, &request, peer, own).await;
            answered.unwrap_or_else(|denied| self.refused(&denied))
        } else {
            return self.refused(&Refusal::new(Code::Origin, "G-35").into());
        };
        cross_origin(response.headers_mut(), origin);
        response
    }

    /// The page that asks at the public door, if it may use the relay.
    pub(crate) fn origin_of<T>(&self, request: &Request<T>) -> Result<Option<String>, Denied> {
        let headers = request.headers();
        let origin = text_of(headers, &header::ORIGIN);
        let host = text_of(headers, &header::HOST).or_else(|| request.uri().host()).unwrap_or_default();
        if self.origin_allowed(origin, host) {
            return Ok(origin.map(str::to_owned));
        }
        Err(Refusal::new(Code::Origin, "G-35").into())
    }

    async fn answer(
        &self,
        door: Door,
        request: &Request<Bytes>,
        peer: IpAddr,
        own: bool,
    ) -> Result<Response<Bytes>, Denied> {
        if let (Door::Public, Some(address)) = (door, media::Address::of(request.uri().path())) {
            return Ok(media::answer(self, address, request).await);
        }
        let Some(route) = Route::of(door, request.uri().path()) else {
            return Err(Refusal::new(Code::NotFound, "docs/api.md").into());
        };
        if request.method() == Method::OPTIONS {
            return Ok(preflight(route));
        }
        if !route.takes(request.method()) {
            let mut response = self.refused(&Refusal::new(Code::Method, "docs/api.md").into());
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(route.methods()));
            return Ok(response);
        }
        let bearer = bearer_of(request.headers());
        let caller = match door {
            Door::Public => self.public_caller(bearer),
            Door::Operator if bearer.is_some() => self.presence().operator_caller(bearer),
            Door::Operator => oidc::admin_of(self, request, own).unwrap_or(Caller::Nobody),
        };
        if door == Door::Operator && !route.is_for(&caller) {
            let code = if matches!(caller, Caller::Admin(_)) { Code::Role } else { Code::Login };
            return Err(Refusal::new(code, "G-52").into());
        }
        // Repeats are kept by bearer; who comes with a cookie has none.
        let known = bearer.is_some() && !matches!(caller, Caller::Nobody | Caller::Stranger);
        let query = request.uri().query().unwrap_or_default();
        let client = Client::of(text_of(request.headers(), &header::ORIGIN));
        let asked = Asked { method: request.method(), caller, bearer, peer, body: request.body(), query, client };
        let claim = if known { self.repeats(door).claim(request, self.clock().now())? } else { None };
        let pending = match claim {
            Some(Claim::Again(answer)) => return Ok(*answer),
            Some(Claim::New(pending)) => Some(pending),
            None => None,
        };
        let answer = self.act(door, route, asked, request).await.unwrap_or_else(|denied| self.refused(&denied));
        if let Some(pending) = pending {
            pending.done(&answer);
        }
        Ok(answer)
    }

    async fn act(
        &self,
        door: Door,
        route: Route<'_>,
        asked: Asked<'_>,
        request: &Request<Bytes>,
    ) -> Result<Response<Bytes>, Denied> {
        match route {
            Route::Keys => keys::make(self, asked).await,
            Route::Login => login::sign_in(self, asked).await,
            Route::Oidc => Ok(oidc::offer(self, door)),
            Route::OidcStart => oidc::start(self, door, &asked).await,
            Route::OidcCallback => oidc::callback(self, door, &asked, request).await,
            Route::OidcLogin => oidc::login(self, &asked, request),
            Route::Admin => Ok(oidc::me(&asked)),
            Route::AdminLogout => oidc::leave(self, &asked, request),
            Route::Logout => login::sign_out(self, &asked),
            Route::Join => join::exchange(self, &asked),
            Route::Connect(session) => connect::show(self, session),
            Route::End(session) => sessions::end(self, &asked, session),
            Route::Shareable(session) => shareable::show(self, &asked, session),
            Route::Bookmarks(session) => shareable::opened(self, &asked, session),
            Route::Suggest(session) => shareable::suggest(self, asked, session).await,
            Route::DemoConfig => demo::show(self),
            Route::Enter(session) => starts::join(self, &asked, session),
            Route::View(session) if matches!(asked.caller, Caller::Operator | Caller::Server(_)) => {
                starts::view_for(self, asked, session).await
            }
            Route::View(session) => starts::view(self, &asked, session),
            Route::Views => starts::open(self, &asked),
            Route::Presence => presence::list(self, &asked),
            Route::Invites => invites::send(self, asked).await,
            Route::Invite(invite) if asked.method == Method::GET => invites::show(self, &asked, invite),
            Route::Invite(invite) => invites::withdraw(self, &asked, invite),
            Route::Links => links::look(self, &asked),
            Route::LinkJoin => links::enter(self, &asked),
            Route::Sessions if asked.method == Method::GET => sessions::list(self, &asked),
            Route::Sessions => sessions::create(self, asked).await,
            Route::Mine => sessions::list_own(self, &asked),
            Route::CreateOwn if matches!(asked.caller, Caller::Agent(_)) => starts::begin(self, asked).await,
            Route::CreateOwn => sessions::create_own(self, asked).await,
            Route::Revoke(session) => sessions::revoke(self, &asked, session),
            Route::OwnTickets => tickets::mint_own(self, &asked),
            Route::Effective => effective::show(self, &asked).await,
            Route::Session(session) => sessions::remove(self, session),
            Route::SigningKey => signing_key::rotate(self, &asked),
            Route::Tickets => tickets::mint(self, &asked),
            Route::CheckLink => check_link::check(self, asked).await,
            Route::OpenApi => Ok(openapi::show()),
            Route::CameraInvites => cameras::invite(self, asked).await,
            Route::CameraInvite(session) => cameras::show(self, &asked, session),
            Route::CameraLinks(wish) => cameras::answer(self, &asked, wish),
            Route::Webhooks(hook) => webhooks::answer(self, hook, asked).await,
            Route::Reports(report) => reports::answer(self, report, &asked).await,
            Route::Policies(place) => policies::answer(self, place, Inquiry::new(asked, request)).await,
        }
    }

    pub(crate) fn public_caller(&self, bearer: Option<&str>) -> Caller {
        let today = self.clock().unix_seconds() / DAY;
        let Some((server, fresh)) = bearer.and_then(|bearer| self.servers().find(bearer, today)) else {
            return self.presence().public_caller(bearer, self.clock().now());
        };
        if fresh {
            let key = Arc::clone(&server.key);
            let lost = || tracing::debug!("the store is busy or away; a key's last day of use is noted another time");
            self.store().tell(move |connection| server_keys::note_use(connection, &key, today), lost);
        }
        Caller::Server(server)
    }

    pub(crate) fn refused(&self, denied: &Denied) -> Response<Bytes> {
        self.metrics().refusal(denied.refusal.code);
        denied.response()
    }
}

/// Does this page come from exactly this host and port? Its scheme is not known behind a proxy.
fn is_page_of(origin: &str, host: &str) -> bool {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| !host.is_empty() && authority.eq_ignore_ascii_case(host))
}

/// The answer to a browser that asks before it sends `Authorization` or JSON from another origin.
fn preflight(route: Route<'_>) -> Response<Bytes> {
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(route.methods()));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ASKED_HEADERS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

pub(crate) fn text_of<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    // A header that is not text is treated as an origin, host or bearer that nobody has.
    headers.get(name).map(|value| value.to_str().unwrap_or("\u{fffd}"))
}

/// RFC 6750 §2.1. Another scheme is shown as a bearer that nobody has.
pub(crate) fn bearer_of(headers: &HeaderMap) -> Option<&str> {
    let text = text_of(headers, &header::AUTHORIZATION)?;
    let (scheme, bearer) = text.split_once(' ').unwrap_or((text, ""));
    Some(if scheme.eq_ignore_ascii_case("bearer") { bearer.trim() } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carriers_and_files_are_not_the_apis() {
        for path in ["/v1/keys", "/v1/connect/x", "/v1/nothing", "/demo/config.json", "/v1/sessions/x/end"] {
            assert!(serves(Door::Public, path), "{path}");
        }
        for path in ["/", "/v1/ws", "/v1/wt", "/fanlight.js", "/demo/", "/demo/agent.html", "/v1", "v1/keys", ""] {
            assert!(!serves(Door::Public, path), "{path}");
        }
    }

    #[test]
    fn only_a_page_of_the_very_door_is_its_own() {
        assert!(is_page_of("http://127.0.0.1:7780", "127.0.0.1:7780"));
        assert!(is_page_of("https://Relay.example", "relay.example"));
        for origin in ["http://127.0.0.1:7700", "http://localhost:7780", "null", "127.0.0.1:7780", "http://"] {
            assert!(!is_page_of(origin, "127.0.0.1:7780"), "{origin}");
        }
        assert!(!is_page_of("http://", ""));
    }

    #[test]
    fn a_door_has_only_its_own_routes() {
        for path in
            ["/v1/groups", "/v1/sessions/x", "/v1/sessions/x/revoke", "/v1/audit", "/v1/keys/", "/v1/keys/x/y/z"]
        {
            assert_eq!(Route::of(Door::Public, path), None, "{path}");
        }
        for path in ["/v1/keys", "/v1/login", "/v1/join", "/v1/sessions/x/end", "/demo/config.json"] {
            assert_eq!(Route::of(Door::Operator, path), None, "{path}");
        }
    }

    /// As the document writes a request, where it is served, and an address of it.
    const ROUTES: &[(&str, Door, &str)] = &[
        ("POST /v1/keys", Door::Public, "/v1/keys"),
        ("POST /v1/login", Door::Public, "/v1/login"),
        ("POST /v1/join", Door::Public, "/v1/join"),
        ("GET /v1/own-sessions", Door::Public, "/v1/own-sessions"),
        ("GET /v1/oidc", Door::Public, "/v1/oidc"),
        ("GET /v1/oidc/start", Door::Operator, "/v1/oidc/start"),
        ("GET /v1/oidc/callback", Door::Operator, "/v1/oidc/callback"),
        ("POST /v1/oidc/login", Door::Public, "/v1/oidc/login"),
        ("GET /v1/admin", Door::Operator, "/v1/admin"),
        ("POST /v1/admin/logout", Door::Operator, "/v1/admin/logout"),
        ("POST /v1/signing-key/rotate", Door::Operator, "/v1/signing-key/rotate"),
        ("POST /v1/config/check-link", Door::Operator, "/v1/config/check-link"),
        ("POST /v1/logout", Door::Public, "/v1/logout"),
        ("GET /v1/policy/effective", Door::Public, "/v1/policy/effective"),
        ("POST /v1/sessions/<session>/revoke", Door::Operator, "/v1/sessions/x/revoke"),
        ("GET /v1/groups/<group>/keys", Door::Operator, "/v1/groups/g/keys"),
        ("POST /v1/groups/<group>/keys", Door::Operator, "/v1/groups/g/keys"),
        ("DELETE /v1/groups/<group>/keys/<key>", Door::Operator, "/v1/groups/g/keys/k"),
        ("GET /v1/connect/<session>", Door::Public, "/v1/connect/x"),
        ("POST /v1/sessions/<session>/end", Door::Public, "/v1/sessions/x/end"),
        ("GET /v1/sessions/<session>/shareable", Door::Public, "/v1/sessions/x/shareable"),
        ("POST /v1/sessions/<session>/bookmarks", Door::Public, "/v1/sessions/x/bookmarks"),
        ("POST /v1/sessions/<session>/suggestions", Door::Public, "/v1/sessions/x/suggestions"),
        ("GET /v1/groups/<group>/suggestions", Door::Operator, "/v1/groups/g/suggestions"),
        ("DELETE /v1/groups/<group>/suggestions/<n>", Door::Operator, "/v1/groups/g/suggestions/1"),
        ("GET /v1/presence", Door::Public, "/v1/presence"),
        ("POST /v1/invites", Door::Public, "/v1/invites"),
        ("GET /v1/invites/<invite>", Door::Public, "/v1/invites/x"),
        ("DELETE /v1/invites/<invite>", Door::Public, "/v1/invites/x"),
        ("POST /v1/sessions", Door::Public, "/v1/sessions"),
        ("POST /v1/sessions/<session>/join", Door::Public, "/v1/sessions/x/join"),
        ("POST /v1/sessions/<session>/view", Door::Public, "/v1/sessions/x/view"),
        ("POST /v1/views", Door::Public, "/v1/views"),
        ("POST /v1/links", Door::Public, "/v1/links"),
        ("POST /v1/links/join", Door::Public, "/v1/links/join"),
        ("GET /demo/config.json", Door::Public, "/demo/config.json"),
        ("POST /v1/sessions", Door::Operator, "/v1/sessions"),
        ("GET /v1/sessions", Door::Operator, "/v1/sessions"),
        ("DELETE /v1/sessions/<session>", Door::Operator, "/v1/sessions/x"),
        ("POST /v1/tickets", Door::Operator, "/v1/tickets"),
        ("GET /v1/openapi.json", Door::Public, "/v1/openapi.json"),
        ("GET /v1/policy/schema.json", Door::Public, "/v1/policy/schema.json"),
        ("POST /v1/policy/evaluate", Door::Operator, "/v1/policy/evaluate"),
        ("GET /v1/sessions/<session>/receipts", Door::Operator, "/v1/sessions/x/receipts"),
        ("GET /v1/reports/sessions", Door::Operator, "/v1/reports/sessions"),
        ("GET /v1/reports/sessions/<session>", Door::Operator, "/v1/reports/sessions/x"),
        ("GET /v1/reports/summary", Door::Operator, "/v1/reports/summary"),
        ("GET /v1/audit", Door::Operator, "/v1/audit"),
        ("GET /v1/groups", Door::Operator, "/v1/groups"),
        ("POST /v1/groups", Door::Operator, "/v1/groups"),
        ("GET /v1/groups/<group>", Door::Operator, "/v1/groups/g"),
        ("PATCH /v1/groups/<group>", Door::Operator, "/v1/groups/g"),
        ("GET /v1/groups/<group>/agents", Door::Operator, "/v1/groups/g/agents"),
        ("PUT /v1/groups/<group>/agents/<agent>", Door::Operator, "/v1/groups/g/agents/a"),
        ("GET /v1/groups/<group>/policy/staging", Door::Operator, "/v1/groups/g/policy/staging"),
        ("PUT /v1/groups/<group>/policy/staging", Door::Operator, "/v1/groups/g/policy/staging"),
        ("GET /v1/groups/<group>/policy/production", Door::Operator, "/v1/groups/g/policy/production"),
        ("GET /v1/groups/<group>/policy/versions/<n>", Door::Operator, "/v1/groups/g/policy/versions/1"),
        ("GET /v1/groups/<group>/policy/versions/<n>/export", Door::Operator, "/v1/groups/g/policy/versions/1/export"),
        ("POST /v1/groups/<group>/policy/import", Door::Operator, "/v1/groups/g/policy/import"),
        ("POST /v1/groups/<group>/policy/publish", Door::Operator, "/v1/groups/g/policy/publish"),
        ("POST /v1/groups/<group>/policy/rollback", Door::Operator, "/v1/groups/g/policy/rollback"),
        ("POST /v1/groups/<group>/policy/enforce", Door::Operator, "/v1/groups/g/policy/enforce"),
        ("GET /v1/groups/<group>/policy/diff", Door::Operator, "/v1/groups/g/policy/diff"),
        ("GET /v1/groups/<group>/policy/history", Door::Operator, "/v1/groups/g/policy/history"),
        ("GET /v1/groups/<group>/policy/rollout", Door::Operator, "/v1/groups/g/policy/rollout"),
    ];

    #[test]
    fn the_document_names_every_route() {
        let document = include_str!("../../docs/api.md");
        for &(request, door, path) in ROUTES {
            assert!(document.contains(&format!("`{request}`")), "docs/api.md lacks {request}");
            let method = request.split(' ').next().and_then(|method| method.parse().ok()).expect("a method");
            assert!(Route::of(door, path).is_some_and(|route| route.takes(&method)), "{request}");
        }
    }

    #[test]
    fn the_document_names_every_capability() {
        use fanlight_wire::policy::{Capabilities, Role};
        let document = include_str!("../../docs/api.md");
        for (name, capability) in Capabilities::NAMES {
            let cell = |role: Role| if role.ceiling().contains(capability) { " yes |" } else { " |" };
            let row = format!("| `{name}` |{}", Role::ALL.map(cell).concat());
            assert!(document.lines().any(|line| line == row), "docs/api.md lacks {row}");
        }
    }
}
