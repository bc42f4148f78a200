//! WHIP (RFC 9725) and WHEP: media into and out of a session for tools that speak HTTP and WebRTC and nothing else.
//!
//! Owns the HTTP side: addresses, media types, conditions, CORS. What is asked is decided by the session's home. Invariant:
//! without a good media token every address answers the same 401, and with one every session but the token's own answers like
//! one that does not exist (G-52).

use bytes::Bytes;
use fanlight_wire::command::Admission;
use fanlight_wire::resource::{Condition, MediaSource, ResourceInput, ResourceKind, ResourceOutput, ResourceRef};
use fanlight_wire::{Code, Refusal, ShardId};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use crate::control::Control;
use crate::http::{Denied, bearer_of, empty, text_of};

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";
/// What a page of another origin may read beyond the body.
const EXPOSED: &str = "Location, ETag, Link, Accept-Post, Accept-Patch, Retry-After";
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

/// An address of WHIP or WHEP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Address<'a> {
    kind: ResourceKind,
    session: &'a str,
    /// Absent: the endpoint that makes resources.
    resource: Option<&'a str>,
}

impl<'a> Address<'a> {
    pub(crate) fn of(path: &'a str) -> Option<Self> {
        let mut segments = path.strip_prefix("/v1/sessions/")?.split('/');
        let (session, named, resource) = (segments.next()?, segments.next()?, segments.next());
        let kind = ResourceKind::ALL.into_iter().find(|kind| kind.label() == named)?;
        segments.next().is_none().then_some(Self { kind, session, resource })
    }

    /// As the `Allow` header says it.
    pub(crate) const fn methods(self) -> &'static str {
        if self.resource.is_some() { "OPTIONS, PATCH, DELETE" } else { "OPTIONS, POST" }
    }
}

/// Answers one request; a refusal is a problem document.
pub(crate) async fn answer(control: &Control, address: Address<'_>, request: &Request<Bytes>) -> Response<Bytes> {
    let allowed = address.methods().split(", ").any(|method| method == request.method().as_str());
    let mut response = if !allowed {
        let mut response = problem(control, &Refusal::new(Code::Method, "RFC 9725 §4").into());
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(address.methods()));
        response
    } else if request.method() == Method::OPTIONS {
        options(address)
    } else {
        act(control, address, request).await.unwrap_or_else(|denied| problem(control, &denied))
    };
    response.headers_mut().insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    response
}

async fn act(control: &Control, address: Address<'_>, request: &Request<Bytes>) -> Result<Response<Bytes>, Denied> {
    let (admission, shard) = admitted(control, address, request.headers())?;
    match (address.resource, request.method()) {
        (None, _) => create(control, address, request, admission, shard).await,
        (Some(resource), method) => {
            let none = || Refusal::new(Code::NotFound, "G-52").saying("There is no such resource, or it has ended.");
            let resource = resource.parse().map_err(|_| none())?;
            let Admission { session, subject, .. } = admission;
            let of = ResourceRef { session, kind: address.kind, resource, subject };
            let (home, shard) = (shard, control.holder_of(shard, &of));
            // A shard without this session has no such resource either (G-52).
            let same = |denied: Denied| {
                let foreign = shard != home && denied.refusal.code == Code::Session;
                if foreign { none().into() } else { denied }
            };
            if *method == Method::PATCH {
                patch(control, request, of, shard).await.map_err(same)
            } else {
                delete(control, of, shard).await.map_err(same)
            }
        }
    }
}

fn admitted(control: &Control, address: Address<'_>, headers: &HeaderMap) -> Result<(Admission, ShardId), Denied> {
    let none = || Refusal::new(Code::Ticket, "RFC 9725 §4.7").saying("Send a media token as the bearer.");
    let (admission, shard) = control.admit_media(bearer_of(headers).ok_or_else(none)?)?;
    if address.session.parse() != Ok(admission.session) {
        return Err(Refusal::new(Code::Session, "G-52").into());
    }
    Ok((admission, shard))
}

async fn create(
    control: &Control,
    address: Address<'_>,
    request: &Request<Bytes>,
    admission: Admission,
    shard: ShardId,
) -> Result<Response<Bytes>, Denied> {
    control.refuse_while_draining()?;
    typed(request.headers(), SDP)?;
    acceptable(request.headers())?;
    let source = source_of(request.uri().query().unwrap_or_default())?;
    let sdp = text(request.body())?;
    let session = admission.session;
    let made = match address.kind {
        ResourceKind::Whip => {
            control.ask(shard, ResourceInput::Create { kind: ResourceKind::Whip, admission, source, sdp }).await?
        }
        ResourceKind::Whep => {
            let still_admitted = || admitted(control, address, request.headers()).map(drop);
            watch(control, shard, admission, source, sdp, still_admitted).await?
        }
    };
    let ResourceOutput::Created { resource, tag, sdp } = made else { return Err(unexpected()) };
    let mut response = empty(StatusCode::CREATED);
    *response.body_mut() = Bytes::from(sdp);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(SDP));
    headers.insert(ACCEPT_PATCH, HeaderValue::from_static(FRAGMENT));
    let location = format!("/v1/sessions/{session}/{}/{resource}", address.kind.label());
    insert(headers, header::LOCATION, &location);
    insert(headers, header::ETAG, &format!("\"{tag}\""));
    for server in control.ice_servers() {
        if let Ok(link) = HeaderValue::from_str(&format!("<{server}>; rel=\"ice-server\"")) {
            headers.append(header::LINK, link);
        }
    }
    Ok(response)
}

/// A viewer is served by the session's home, or by a shard that mirrors it. Its rights are the home's to judge either way.
async fn watch(
    control: &Control,
    home: ShardId,
    admission: Admission,
    source: Option<MediaSource>,
    sdp: String,
    still_admitted: impl Fn() -> Result<(), Denied>,
) -> Result<ResourceOutput, Denied> {
    let mirrors = control.home_of(&admission.session)?.mirrors;
    let shard = control.placement().admit_viewer(home, &mirrors)?;
    if shard == home {
        let wish = ResourceInput::Create { kind: ResourceKind::Whep, admission, source, sdp };
        return Ok(control.ask(home, wish).await?);
    }
    let asked = control.ask(home, ResourceInput::Permit { admission: admission.clone(), source }).await?;
    let ResourceOutput::Permitted(permit) = asked else { return Err(unexpected()) };
    // Noted before it exists: whoever ends the session meanwhile ends it there, too.
    if !control.directory().note_mirror(&admission.session, shard) {
        return Err(Refusal::new(Code::Session, "G-52").into());
    }
    let Admission { session, subject, .. } = admission.clone();
    let made = control.ask(shard, ResourceInput::Mirror { permit, admission, sdp }).await?;
    // A right that was taken back meanwhile may have been so before this shard had anything to end (G-54).
    if let (Err(denied), ResourceOutput::Created { resource, .. }) = (still_admitted(), &made) {
        let of = ResourceRef { session, kind: ResourceKind::Whep, resource: *resource, subject };
        control.ask(shard, ResourceInput::Delete { of }).await?;
        return Err(denied);
    }
    Ok(made)
}

async fn patch(
    control: &Control,
    request: &Request<Bytes>,
    of: ResourceRef,
    shard: ShardId,
) -> Result<Response<Bytes>, Denied> {
    typed(request.headers(), FRAGMENT)?;
    let condition = condition_of(request.headers())?;
    let fragment = text(request.body())?;
    match control.ask(shard, ResourceInput::Patch { of, condition, fragment }).await? {
        ResourceOutput::Noted => Ok(empty(StatusCode::NO_CONTENT)),
        ResourceOutput::Restarted { tag, fragment } => {
            let mut response = empty(StatusCode::OK);
            *response.body_mut() = Bytes::from(fragment);
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(FRAGMENT));
            insert(headers, header::ETAG, &format!("\"{tag}\""));
            Ok(response)
        }
        ResourceOutput::Created { .. } | ResourceOutput::Permitted(_) | ResourceOutput::Deleted => Err(unexpected()),
    }
}

async fn delete(control: &Control, of: ResourceRef, shard: ShardId) -> Result<Response<Bytes>, Denied> {
    control.ask(shard, ResourceInput::Delete { of }).await?;
    Ok(empty(StatusCode::OK))
}

/// For clients that ask what is understood here, and for browsers that ask before they send (RFC 9725 §4.2).
fn options(address: Address<'_>) -> Response<Bytes> {
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    let takes = if address.resource.is_some() { (ACCEPT_PATCH, FRAGMENT) } else { (ACCEPT_POST, SDP) };
    headers.insert(takes.0, HeaderValue::from_static(takes.1));
    headers.insert(header::ALLOW, HeaderValue::from_static(address.methods()));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(address.methods()));
    let asked = HeaderValue::from_static("authorization, content-type, if-match");
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

fn problem(control: &Control, denied: &Denied) -> Response<Bytes> {
    control.metrics().refusal(denied.refusal.code);
    denied.response()
}

/// Is the body what this address takes? Parameters of the media type are ignored.
fn typed(headers: &HeaderMap, wanted: &str) -> Result<(), Refusal> {
    let named = text_of(headers, &header::CONTENT_TYPE).and_then(|value| value.split(';').next()).unwrap_or_default();
    if named.trim().eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    Err(Refusal::new(Code::MediaType, "RFC 9725 §4").saying(format!("The body must be {wanted}.")))
}

/// Does the client take SDP (RFC 9110 §12.5.1)? Weights are not looked at: there is one form only.
fn acceptable(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut accepted = headers.get_all(header::ACCEPT).iter().peekable();
    let takes = |range: &str| {
        let range = range.split(';').next().unwrap_or_default().trim();
        [SDP, "application/*", "*/*"].iter().any(|known| range.eq_ignore_ascii_case(known))
    };
    let any = |value: &HeaderValue| value.to_str().is_ok_and(|list| list.split(',').any(takes));
    if accepted.peek().is_none() || accepted.any(any) {
        return Ok(());
    }
    Err(Refusal::new(Code::NotAcceptable, "RFC 9725 §4").saying("The answer is application/sdp."))
}

/// RFC 9725 §4.3.1: a change names what it was made for. One strong tag or `*`.
fn condition_of(headers: &HeaderMap) -> Result<Condition, Refusal> {
    let Some(value) = text_of(headers, &header::IF_MATCH) else {
        return Err(Refusal::new(Code::Unconditional, "RFC 9725 §4.3.1"));
    };
    let tag = value.trim();
    if tag == "*" {
        return Ok(Condition::Any);
    }
    let bare = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    bare.map(|tag| Condition::Tag(tag.to_owned())).ok_or_else(|| {
        Refusal::new(Code::Input, "RFC 9110 §13.1.1").saying("If-Match must be * or one entity tag in quotes.")
    })
}

/// The query parameter `source`; the last one counts, others are ignored.
fn source_of(query: &str) -> Result<Option<MediaSource>, Refusal> {
    let named = query.split('&').filter_map(|pair| pair.strip_prefix("source=")).next_back();
    let Some(named) = named else { return Ok(None) };
    let plain = named.replace("%3A", ":").replace("%3a", ":");
    MediaSource::named(&plain).map(Some).ok_or_else(|| {
        let names = MediaSource::NAMES.map(|(name, _)| name).join(", ");
        Refusal::new(Code::Input, "docs/whip-whep.md").saying(format!("The source is one of {names}."))
    })
}

fn text(body: &Bytes) -> Result<String, Refusal> {
    let wrong = || Refusal::new(Code::Sdp, "RFC 8866 §5").saying("The body is not UTF-8.");
    std::str::from_utf8(body).map(str::to_owned).map_err(|_| wrong())
}

/// What is written here is made of our own ids; it is always a legal header.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn unexpected() -> Denied {
    tracing::error!("a shard answered another question");
    Refusal::new(Code::Bug, "wire::resource").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_apart() {
        let of = |path| Address::of(path).map(|address| (address.kind, address.session, address.resource));
        assert_eq!(of("/v1/sessions/x/whip"), Some((ResourceKind::Whip, "x", None)));
        assert_eq!(of("/v1/sessions/x/whep/y"), Some((ResourceKind::Whep, "x", Some("y"))));
        for none in ["/v1/sessions/x", "/v1/sessions/x/whap", "/v1/sessions/x/whip/y/z", "/v1/sessions", "/whip", ""] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn a_source_is_named_in_the_query() {
        use fanlight_wire::signal::Slot;
        assert_eq!(source_of(""), Ok(None));
        assert_eq!(source_of("a=b&source=slot%3Avisitor"), Ok(Some(MediaSource::Slot(Slot::Visitor))));
        assert_eq!(source_of("source=camera&source=screen"), Ok(Some(MediaSource::Screen)));
        for bad in ["source=", "source=desktop", "source=slot:", "source=slot%00"] {
            assert_eq!(source_of(bad).map_err(|refusal| refusal.code), Err(Code::Input), "{bad}");
        }
    }

    #[test]
    fn a_condition_is_one_strong_tag_or_a_star() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MATCH, HeaderValue::from_static(value));
            condition_of(&headers).map_err(|refusal| refusal.code)
        };
        assert_eq!(condition_of(&HeaderMap::new()).map_err(|r| r.code), Err(Code::Unconditional));
        assert_eq!(of("*"), Ok(Condition::Any));
        assert_eq!(of("\"00abcdef\""), Ok(Condition::Tag("00abcdef".into())));
        assert_eq!(of("W/\"x\""), Err(Code::Input));
        assert_eq!(of("x"), Err(Code::Input));
    }
}
