//! Groups and their rules, at the operator's door: read, save to staging, publish, roll back, enforce, compare, ask.
//!
//! Invariant: a head moves only for somebody who names what it was (`If-Match`, RFC 9110 §13.1.1), so that two
//! administrators never overwrite each other unseen. Leaves the meaning of a bundle to [`crate::policies`] and the
//! statements to the store.

mod agents;
mod four_eyes;
mod groups;
mod heads;
mod looks;
mod server_keys;
mod suggestions;

use bytes::Bytes;
use fanlight_wire::limits::NAME_CHARS_MAX;
use fanlight_wire::{Code, GroupId, Refusal};
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde::Serialize;

use crate::control::Control;
use crate::http::{Asked, Denied, json};
use crate::policies::check::Problem;
use crate::presence::Caller;
use crate::routes::group_of;
use crate::store::policies::{Author, Head, Mark};

/// One address under `/v1/groups` and `/v1/policy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    Schema,
    Evaluate,
    Groups,
    Group(&'a str),
    Agents(&'a str),
    Agent(&'a str, &'a str),
    ServerKeys(&'a str),
    ServerKey(&'a str, &'a str),
    Head(&'a str, Head),
    Version(&'a str, &'a str),
    Export(&'a str, &'a str),
    Import(&'a str),
    Publish(&'a str),
    Rollback(&'a str),
    Enforce(&'a str),
    Diff(&'a str),
    History(&'a str),
    Rollout(&'a str),
    Suggestions(&'a str),
    Suggestion(&'a str, &'a str),
}

impl<'a> Place<'a> {
    pub(crate) fn of(path: &'a str) -> Option<Self> {
        let segments: Vec<&str> = path.strip_prefix("/v1/")?.split('/').collect();
        Some(match segments.as_slice() {
            ["policy", "schema.json"] => Self::Schema,
            ["policy", "evaluate"] => Self::Evaluate,
            ["groups"] => Self::Groups,
            ["groups", group] => Self::Group(group),
            ["groups", group, "agents"] => Self::Agents(group),
            ["groups", group, "agents", agent] => Self::Agent(group, agent),
            ["groups", group, "keys"] => Self::ServerKeys(group),
            ["groups", group, "keys", key] => Self::ServerKey(group, key),
            ["groups", group, "policy", "staging"] => Self::Head(group, Head::Staging),
            ["groups", group, "policy", "production"] => Self::Head(group, Head::Production),
            ["groups", group, "policy", "versions", version] => Self::Version(group, version),
            ["groups", group, "policy", "versions", version, "export"] => Self::Export(group, version),
            ["groups", group, "policy", "import"] => Self::Import(group),
            ["groups", group, "policy", "publish"] => Self::Publish(group),
            ["groups", group, "policy", "rollback"] => Self::Rollback(group),
            ["groups", group, "policy", "enforce"] => Self::Enforce(group),
            ["groups", group, "policy", "diff"] => Self::Diff(group),
            ["groups", group, "policy", "history"] => Self::History(group),
            ["groups", group, "policy", "rollout"] => Self::Rollout(group),
            ["groups", group, "suggestions"] => Self::Suggestions(group),
            ["groups", group, "suggestions", id] => Self::Suggestion(group, id),
            _ => return None,
        })
    }

    /// Has it this address at the public door too?
    pub(crate) const fn is_public(self) -> bool {
        matches!(self, Self::Schema)
    }

    /// As the `Allow` header says it.
    pub(crate) const fn methods(self) -> &'static str {
        match self {
            Self::Groups | Self::ServerKeys(_) => "GET, POST",
            Self::ServerKey(..) => "DELETE",
            Self::Group(_) => "GET, PATCH",
            Self::Agent(..) => "PUT",
            Self::Suggestion(..) => "DELETE",
            Self::Head(_, Head::Staging) => "GET, PUT",
            Self::Evaluate | Self::Import(_) | Self::Publish(_) | Self::Rollback(_) | Self::Enforce(_) => "POST",
            Self::Schema
            | Self::Agents(_)
            | Self::Head(_, Head::Production)
            | Self::Version(..)
            | Self::Export(..)
            | Self::Diff(_)
            | Self::History(_)
            | Self::Suggestions(_)
            | Self::Rollout(_) => "GET",
        }
    }
}

/// A request about policies: what [`Asked`] knows, and the condition it is under.
pub(crate) struct Inquiry<'a> {
    pub(crate) asked: Asked<'a>,
    if_match: Option<&'a str>,
}

impl<'a> Inquiry<'a> {
    pub(crate) fn new(asked: Asked<'a>, request: &'a Request<Bytes>) -> Self {
        let if_match = request.headers().get(header::IF_MATCH).and_then(|value| value.to_str().ok());
        Self { asked, if_match }
    }

    /// The state that the sender has seen.
    ///
    /// # Errors
    /// `E_UNCONDITIONAL` without one.
    fn seen(&self) -> Result<String, Refusal> {
        let seen = self.if_match.ok_or_else(|| Refusal::new(Code::Unconditional, "R026"))?;
        Ok(seen.trim().to_owned())
    }
}

pub(crate) async fn answer(
    control: &Control,
    place: Place<'_>,
    inquiry: Inquiry<'_>,
) -> Result<Response<Bytes>, Denied> {
    let writes = *inquiry.asked.method != Method::GET;
    match place {
        Place::Schema => Ok(json(StatusCode::OK, &crate::policies::schema::schema())),
        Place::Evaluate => looks::evaluate(control, &inquiry).await,
        Place::Groups if writes => groups::create(control, &inquiry).await,
        Place::Groups => groups::list(control, &inquiry).await,
        Place::Group(group) if writes => groups::change(control, &inquiry, named(group)?).await,
        Place::Group(group) => groups::show(control, named(group)?).await,
        Place::Agents(group) => agents::list(control, &inquiry, named(group)?).await,
        Place::Agent(group, agent) => agents::put(control, &inquiry, named(group)?, agent).await,
        Place::ServerKeys(group) if writes => server_keys::make(control, &inquiry, named(group)?).await,
        Place::ServerKeys(group) => server_keys::list(control, named(group)?).await,
        Place::ServerKey(group, key) => server_keys::revoke(control, &inquiry, named(group)?, key).await,
        Place::Head(group, Head::Staging) if writes => heads::save(control, &inquiry, named(group)?).await,
        Place::Head(group, head) => heads::show(control, named(group)?, head).await,
        Place::Version(group, version) => heads::version(control, named(group)?, numbered(version)?).await,
        Place::Export(group, version) => heads::export(control, named(group)?, numbered(version)?).await,
        Place::Import(group) => heads::import(control, &inquiry, named(group)?).await,
        Place::Publish(group) => heads::publish(control, &inquiry, named(group)?).await,
        Place::Rollback(group) => heads::roll_back(control, &inquiry, named(group)?).await,
        Place::Enforce(group) => looks::enforce(control, &inquiry, named(group)?).await,
        Place::Diff(group) => looks::diff(control, &inquiry, named(group)?).await,
        Place::History(group) => looks::history(control, &inquiry, named(group)?).await,
        Place::Rollout(group) => looks::rollout(control, named(group)?).await,
        Place::Suggestions(group) => suggestions::list(control, named(group)?).await,
        Place::Suggestion(group, id) => suggestions::remove(control, named(group)?, id).await,
    }
}

fn named(group: &str) -> Result<GroupId, Refusal> {
    group_of(group, absent)
}

fn numbered(version: &str) -> Result<u32, Refusal> {
    version.parse().map_err(|_| absent())
}

fn absent() -> Refusal {
    Refusal::new(Code::NotFound, "docs/policy.md").saying("There is no such group or version.")
}

/// Who does it: an administrator has signed in; the operator's bearer has no name, so the sender may give one.
fn author(control: &Control, inquiry: &Inquiry<'_>, by: Option<String>) -> Result<Author, Refusal> {
    let at = control.clock().unix_seconds();
    if let Caller::Admin(admin) = &inquiry.asked.caller {
        return Ok(Author { who: admin.subject.clone(), at });
    }
    let who = by.unwrap_or_else(|| "operator".into());
    let length = who.chars().count();
    if length == 0 || length > NAME_CHARS_MAX || who.chars().any(char::is_control) {
        return Err(Refusal::new(Code::Input, "limits::NAME_CHARS_MAX").saying("\"by\" must be 1 to 80 characters."));
    }
    Ok(Author { who, at })
}

/// 412 with the state that is, so that the sender can look at it.
fn stale(control: &Control, now: Mark) -> Response<Bytes> {
    let refusal = Refusal::new(Code::Precondition, "R026");
    control.metrics().refusal(refusal.code);
    with_etag(Denied::from(refusal).response(), now.etag())
}

#[derive(Serialize)]
struct Unfit<'a> {
    #[serde(flatten)]
    problem: fanlight_wire::Problem<'a>,
    problems: &'a [Problem],
}

/// 422 with everything that has to be changed.
fn unfit(control: &Control, problems: &[Problem]) -> Response<Bytes> {
    let count = problems.len();
    let sentence = format!("The policy has {count} {}.", if count == 1 { "problem" } else { "problems" });
    let rule = problems.first().map(|problem| problem.rule.clone()).unwrap_or_default();
    let refusal = Refusal { code: Code::Policy, rule: rule.into(), sentence: sentence.into() };
    control.metrics().refusal(refusal.code);
    let unfit = Unfit { problem: fanlight_wire::Problem::of(&refusal, None), problems };
    Denied::from(refusal.clone()).response_with(&unfit)
}

fn with_etag(mut response: Response<Bytes>, etag: String) -> Response<Bytes> {
    if let Ok(value) = HeaderValue::try_from(etag) {
        response.headers_mut().insert(header::ETAG, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_one_place() {
        assert_eq!(Place::of("/v1/groups/g/policy/staging"), Some(Place::Head("g", Head::Staging)));
        assert_eq!(Place::of("/v1/groups/g/policy/versions/3/export"), Some(Place::Export("g", "3")));
        for none in
            ["/v1/groups/", "/v1/groups/g/", "/v1/groups/g/policy", "/v1/policy", "/v1/groups/g/policy/x", "/groups"]
        {
            assert!(Place::of(none).is_none_or(|place| matches!(place, Place::Group(""))), "{none}");
        }
        assert!(named("").is_err() && numbered("-1").is_err());
    }
}
