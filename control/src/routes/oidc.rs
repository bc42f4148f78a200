//! Signing in with the operator's identity provider: `GET /v1/oidc`, `…/start` and `…/callback` at both doors,
//! `POST /v1/oidc/login` for an agent's page, `GET /v1/admin` and `POST /v1/admin/logout` for the console.
//!
//! A flow is bound to its browser by a cookie that is sent to these addresses only. An agent's page gets a code that is good
//! once, for a minute, in that same browser; the console gets a cookie that no script can read.

use std::borrow::Cow;

use bytes::Bytes;
use fanlight_wire::host::source_of;
use fanlight_wire::limits::{ADMIN_LIFE, IDENTITY_FLOW_MAX, LOGIN_LIFE};
use fanlight_wire::{Code, Event, Refusal};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::admins::Admin;
use crate::audit::About;
use crate::control::Control;
use crate::http::{Asked, Denied, Door, empty, json, text_of};
use crate::identity::{Identity, Person, Returned};
use crate::presence::{Caller, Login};
use crate::secrets::sha256;
use crate::store::agents as kept;

const FLOW_COOKIE: &str = "fanlight_flow";
const ADMIN_COOKIE: &str = "fanlight_admin";
/// Characters of a path that a flow may go back to.
const BACK_CHARS_MAX: usize = 512;

#[derive(Serialize)]
struct Offered {
    /// Where a page sends the browser to sign in; `null` where there is no identity provider.
    start: Option<&'static str>,
}

#[derive(Deserialize)]
struct Shown {
    code: String,
}

#[derive(Serialize)]
struct SignedIn<'a> {
    token: String,
    group: &'a str,
    name: &'a str,
    agent: &'a str,
    expires_s: u64,
}

#[derive(Serialize)]
struct Me<'a> {
    who: &'a str,
    name: &'a str,
}

pub(crate) fn offer(control: &Control, door: Door) -> Response<Bytes> {
    let serves = control.identity().is_some_and(|identity| identity.serves(door));
    json(StatusCode::OK, &Offered { start: serves.then_some("/v1/oidc/start") })
}

/// `GET /v1/oidc/start?back=…`.
pub(crate) async fn start(control: &Control, door: Door, asked: &Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let identity = identity_of(control, door)?;
    let back = asked.parameter("back").filter(|back| is_own_path(back));
    let back = back.map_or_else(|| home_of(door).to_owned(), Cow::into_owned);
    let begun = identity.begin(door, back, source_of(asked.peer), control.clock().now()).await?;
    let mut response = redirect(&begun.location)?;
    let life = IDENTITY_FLOW_MAX.as_secs();
    // Lax: the provider's page leads back here.
    let cookie = Cookie { name: FLOW_COOKIE, value: &begun.cookie, path: "/v1/oidc", same_site: "Lax", life };
    cookie.set(&mut response, identity.is_secure(door))?;
    Ok(response)
}

/// `GET /v1/oidc/callback?code=…&state=…`: a browser on its way, so it is sent on whatever happens.
pub(crate) async fn callback(
    control: &Control,
    door: Door,
    asked: &Asked<'_>,
    request: &Request<Bytes>,
) -> Result<Response<Bytes>, Denied> {
    let identity = identity_of(control, door)?;
    let field = |name| asked.parameter(name).unwrap_or_default();
    let (code, state, issuer) = (field("code"), field("state"), asked.parameter("iss"));
    let cookie = cookie_of(request.headers(), FLOW_COOKIE).unwrap_or_default();
    let returned = Returned { code: &code, state: &state, issuer: issuer.as_deref(), cookie };
    let clock = control.clock();
    let (back, person) = identity.finish(door, returned, clock.now(), clock.unix_seconds()).await;
    let back = back.unwrap_or_else(|| home_of(door).to_owned());
    let arrived = match person {
        Ok(person) => admit(control, door, &person, cookie).await,
        Err(refusal) => Err(refusal),
    };
    let text = match arrived {
        Ok(text) => text,
        Err(refusal) => {
            control.metrics().refusal(refusal.code);
            let event = if door == Door::Operator { Event::AdminSignInRefused } else { Event::AgentSignInRefused };
            control.audit(event, About { code: Some(refusal.code), ..About::default() });
            return redirect(&format!("{back}#refused={}", refusal.code.label()));
        }
    };
    match door {
        Door::Public => redirect(&format!("{back}#signed-in={text}")),
        Door::Operator => {
            let mut response = redirect(&back)?;
            let life = ADMIN_LIFE.as_secs();
            let cookie = Cookie { name: ADMIN_COOKIE, value: &text, path: "/", same_site: "Strict", life };
            cookie.set(&mut response, identity.is_secure(door))?;
            Ok(response)
        }
    }
}

/// What the browser gets: the console's handle, or the code for an agent's page.
async fn admit(control: &Control, door: Door, person: &Person, browser: &str) -> Result<String, Refusal> {
    let now = control.clock().now();
    let refused = |sentence: &'static str| Refusal::new(Code::Login, "R130").saying(sentence);
    match door {
        Door::Operator => {
            if !person.admin {
                return Err(refused("Your account may not use this console. Ask whoever runs the identity provider."));
            }
            let admin = Admin { subject: person.subject.clone(), name: person.name.clone() };
            let who = Some(Caller::Admin(admin.clone()).who());
            let handle = control.admins().sign_in(admin, now)?;
            control.audit(Event::AdminSignedIn, About { who, ..About::default() });
            Ok(handle)
        }
        Door::Public => {
            let (group, role) =
                person.agent.clone().ok_or_else(|| refused("Your account is no agent's. Ask your administrator."))?;
            let (wanted, agent) = (group.clone(), person.subject.clone());
            let known = control.store().ask(move |connection| kept::standing(connection, &wanted, &agent)).await?;
            let Some(own) = known else { return Err(refused("Your account is switched off. Ask your administrator.")) };
            let login =
                Login { group, agent: person.subject.clone(), name: person.name.clone(), role: role.or(own.role) };
            control.codes().issue((login, sha256(browser.as_bytes())), now)
        }
    }
}

/// `POST /v1/oidc/login`: an agent's page exchanges its code for a bearer.
pub(crate) fn login(control: &Control, asked: &Asked<'_>, request: &Request<Bytes>) -> Result<Response<Bytes>, Denied> {
    let Shown { code } = asked.json()?;
    let browser = sha256(cookie_of(request.headers(), FLOW_COOKIE).unwrap_or_default().as_bytes());
    let login = control.codes().redeem(&code, &browser, control.clock().now());
    let login = login.ok_or_else(|| Refusal::new(Code::Login, "R130"))?;
    let token = control.presence().sign_in(login.clone(), control.clock().now())?;
    let about = About { group: Some(login.group.clone()), who: Some(login.agent.clone()), ..About::default() };
    control.audit(Event::AgentSignedIn, about);
    let (group, expires_s) = (login.group.as_str(), LOGIN_LIFE.as_secs());
    Ok(json(StatusCode::OK, &SignedIn { token, group, name: &login.name, agent: &login.agent, expires_s }))
}

/// `GET /v1/admin`: who is signed in at the console.
pub(crate) fn me(asked: &Asked<'_>) -> Response<Bytes> {
    let who = asked.caller.who();
    let name = match &asked.caller {
        Caller::Admin(admin) => admin.name.as_str(),
        _ => who.as_str(),
    };
    json(StatusCode::OK, &Me { who: &who, name })
}

/// `POST /v1/admin/logout`.
pub(crate) fn leave(control: &Control, asked: &Asked<'_>, request: &Request<Bytes>) -> Result<Response<Bytes>, Denied> {
    if let Some(handle) = cookie_of(request.headers(), ADMIN_COOKIE) {
        control.admins().sign_out(handle);
        control.audit(Event::AdminSignedOut, About { who: Some(asked.caller.who()), ..About::default() });
    }
    let mut response = empty(StatusCode::NO_CONTENT);
    let secure = control.identity().is_some_and(|identity| identity.is_secure(Door::Operator));
    let cookie = Cookie { name: ADMIN_COOKIE, value: "", path: "/", same_site: "Strict", life: 0 };
    cookie.set(&mut response, secure)?;
    Ok(response)
}

/// Who asks by cookie at the operator's door. A page of another origin cannot send it (`SameSite=Strict`), and what
/// changes something must come from the console's own page besides.
pub(crate) fn admin_of(control: &Control, request: &Request<Bytes>, own_page: bool) -> Option<Caller> {
    let handle = cookie_of(request.headers(), ADMIN_COOKIE)?;
    if !request.method().is_safe() && !own_page {
        return None;
    }
    let same = text_of(request.headers(), &header::HeaderName::from_static("sec-fetch-site"));
    if same.is_some_and(|site| site != "same-origin" && site != "none") {
        return None;
    }
    control.admins().find(handle, control.clock().now()).map(Caller::Admin)
}

fn identity_of(control: &Control, door: Door) -> Result<&Identity, Refusal> {
    let absent = || Refusal::new(Code::NotFound, "docs/identity.md");
    control.identity().filter(|identity| identity.serves(door)).ok_or_else(absent)
}

const fn home_of(door: Door) -> &'static str {
    match door {
        Door::Public => "/agent/",
        Door::Operator => "/admin/",
    }
}

/// A path of this very host, and no other address in disguise.
fn is_own_path(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"/-._~?=&%".contains(&b);
    text.starts_with('/') && !text.starts_with("//") && text.len() <= BACK_CHARS_MAX && text.bytes().all(legal)
}

fn redirect(to: &str) -> Result<Response<Bytes>, Denied> {
    let mut response = empty(StatusCode::FOUND);
    let value = HeaderValue::from_str(to).map_err(|_| Refusal::new(Code::Bug, "control::oidc"))?;
    response.headers_mut().insert(header::LOCATION, value);
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}

struct Cookie<'a> {
    name: &'static str,
    value: &'a str,
    path: &'static str,
    same_site: &'static str,
    /// Seconds; 0 takes it away.
    life: u64,
}

impl Cookie<'_> {
    fn set(&self, response: &mut Response<Bytes>, secure: bool) -> Result<(), Refusal> {
        let Self { name, value, path, same_site, life } = self;
        let secure = if secure { "; Secure" } else { "" };
        let text = format!("{name}={value}; Path={path}; HttpOnly; SameSite={same_site}; Max-Age={life}{secure}");
        let mut value = HeaderValue::from_str(&text).map_err(|_| Refusal::new(Code::Bug, "control::oidc"))?;
        value.set_sensitive(true);
        response.headers_mut().append(header::SET_COOKIE, value);
        Ok(())
    }
}

/// The first cookie of this name (RFC 6265 §5.4).
fn cookie_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_goes_back_to_its_own_host() {
        for good in ["/demo/agent.html", "/agent/?session=1&x=%20", "/"] {
            assert!(is_own_path(good), "{good}");
        }
        let long = format!("/{}", "a".repeat(BACK_CHARS_MAX));
        for bad in ["", "//evil.example", "/\\evil.example", "https://evil.example", "/a#b", "/a\r\nx: y", "/@x", &long]
        {
            assert!(!is_own_path(bad), "{bad}");
        }
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; fanlight_admin=x; fanlight_admin=y"));
        headers.append(header::COOKIE, HeaderValue::from_static("b=2"));
        assert_eq!(cookie_of(&headers, ADMIN_COOKIE), Some("x"));
        assert_eq!((cookie_of(&headers, "b"), cookie_of(&headers, "c")), (Some("2"), None));
    }
}
