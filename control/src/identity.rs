//! Signing in with the operator's own identity provider: OpenID Connect, authorization code flow with PKCE (OpenID Connect
//! Core 1.0 §3.1, RFC 7636, RFC 9700), for administrators at the operator's door and for agents at the public one (R130).
//!
//! Invariants: each flow begins here and ends once, in the browser that began it, at the door it began at; the provider's
//! word is believed only as [`jwt`] says; what somebody may do comes from the configuration's mapping and from nowhere
//! else. Leaves the sessions that come of it to [`crate::admins`] and [`crate::presence`].

mod jwt;
mod web;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanlight_wire::limits::{
    ADDRESSES_REMEMBERED_MAX, IDENTITY_FLOW_MAX, IDENTITY_FLOWS_MAX, IDENTITY_KEYS_AGAIN, IDENTITY_KEYS_AGE,
    LOGIN_TRIES_PER_ADDRESS, LOGIN_TRY_WINDOW, NAME_CHARS_MAX,
};
use fanlight_wire::{Code, GroupId, Refusal};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::budget::{Rule, Windows};
use crate::config::{IdentityConfig, StartError};
use crate::fetcher::Fetcher;
use crate::http::{Denied, Door};
use crate::locked;
use crate::secrets::{Hash, opaque, sha256};
use jwt::{Doubt, Key, Wanted};
use web::{Form, Web};

/// Where the provider sends the browser back to, at either door.
pub(crate) const CALLBACK: &str = "/v1/oidc/callback";
/// Characters of an agent's id.
const AGENT_CHARS_MAX: usize = 128;

/// See the module.
pub(crate) struct Identity {
    config: IdentityConfig,
    secret: Option<String>,
    web: Web,
    provider: tokio::sync::Mutex<Option<Provider>>,
    flows: Mutex<Flows>,
}

impl fmt::Debug for Identity {
    /// Without what it keeps secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("issuer", &self.config.issuer).finish_non_exhaustive()
    }
}

struct Flows {
    open: HashMap<Hash, Flow>,
    begun: Windows<IpAddr>,
}

/// What a flow needs at its end.
struct Flow {
    door: Door,
    /// What the browser's cookie has to be.
    browser: Hash,
    nonce: String,
    verifier: String,
    back: String,
    until: Instant,
}

/// What a provider says of itself (OpenID Connect Discovery 1.0 §3), and its keys.
#[derive(Debug, Clone)]
struct Provider {
    about: Arc<About>,
    keys: Arc<Vec<Key>>,
    read: Instant,
}

#[derive(Debug, Deserialize)]
struct About {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
}

/// A flow that has begun.
pub(crate) struct Begun {
    /// Where the browser goes.
    pub(crate) location: String,
    /// What it has to bring back.
    pub(crate) cookie: String,
}

/// What the provider has sent the browser back with.
#[derive(Clone, Copy)]
pub(crate) struct Returned<'a> {
    pub(crate) code: &'a str,
    pub(crate) state: &'a str,
    /// RFC 9207.
    pub(crate) issuer: Option<&'a str>,
    pub(crate) cookie: &'a str,
}

/// Who somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    /// In the operator's own terms.
    pub(crate) subject: String,
    pub(crate) name: String,
    pub(crate) admin: bool,
    /// Group and role as an agent.
    pub(crate) agent: Option<(GroupId, Option<String>)>,
}

impl Identity {
    /// # Errors
    /// [`StartError`] when the secret cannot be read or the issuer has no address.
    pub(crate) fn open(config: &IdentityConfig, fetcher: &Arc<Fetcher>) -> Result<Self, StartError> {
        let web = Web::new(&config.issuer, fetcher);
        let unfit = |reason: &str| StartError::Outbound { setting: "identity.issuer", reason: reason.into() };
        let secret = config.client_secret_path.as_ref().map(|path| {
            let read = std::fs::read_to_string(path);
            let read = read.map_err(|reason| StartError::File { setting: "identity", path: path.clone(), reason });
            read.map(|text| text.trim().to_owned())
        });
        let rule = Rule { limit: LOGIN_TRIES_PER_ADDRESS, length: LOGIN_TRY_WINDOW };
        let flows = Flows { open: HashMap::new(), begun: Windows::new(rule, ADDRESSES_REMEMBERED_MAX) };
        Ok(Self {
            config: config.clone(),
            secret: secret.transpose()?,
            web: web.map_err(unfit)?,
            provider: tokio::sync::Mutex::default(),
            flows: Mutex::new(flows),
        })
    }

    /// Can anybody sign in at this door?
    pub(crate) fn serves(&self, door: Door) -> bool {
        match door {
            Door::Public => !self.config.agents.is_empty(),
            Door::Operator => !self.config.admins.is_empty(),
        }
    }

    /// Does it take two administrators to hide less?
    pub(crate) const fn wants_four_eyes(&self) -> bool {
        self.config.four_eyes
    }

    /// Is this door's cookie for TLS only?
    pub(crate) fn is_secure(&self, door: Door) -> bool {
        self.base(door).starts_with("https://")
    }

    fn base(&self, door: Door) -> &str {
        match door {
            Door::Public => &self.config.public_url,
            Door::Operator => &self.config.operator_url,
        }
    }

    fn redirect_uri(&self, door: Door) -> String {
        format!("{}{CALLBACK}", self.base(door).trim_end_matches('/'))
    }

    /// Begins a flow that will end at `back`, a path of this door.
    ///
    /// # Errors
    /// `E_RATE` for an address that begins too many, `E_OVERLOAD` when there are too many, `E_STORE` when the provider
    /// does not answer.
    pub(crate) async fn begin(&self, door: Door, back: String, from: IpAddr, now: Instant) -> Result<Begun, Denied> {
        self.take_try(from, now)?;
        let provider = self.provider(now, false).await?;
        let (state, browser, nonce) = (opaque(), opaque(), opaque());
        let verifier = format!("{}{}", opaque(), opaque());
        let redirect = self.redirect_uri(door);
        let challenge = URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()));
        let mut location = url::Url::parse(&provider.about.authorization_endpoint).map_err(|_| unreachable())?;
        location.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", self.config.client_id.as_str()),
            ("redirect_uri", redirect.as_str()),
            ("scope", self.config.scope.as_str()),
            ("state", state.as_str()),
            ("nonce", nonce.as_str()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ]);
        let flow =
            Flow { door, browser: sha256(browser.as_bytes()), nonce, verifier, back, until: now + IDENTITY_FLOW_MAX };
        let mut flows = locked(&self.flows);
        if flows.open.len() >= IDENTITY_FLOWS_MAX {
            flows.open.retain(|_, flow| now < flow.until);
        }
        if flows.open.len() >= IDENTITY_FLOWS_MAX {
            return Err(Refusal::new(Code::Overload, "limits::IDENTITY_FLOWS_MAX").into());
        }
        flows.open.insert(sha256(state.as_bytes()), flow);
        Ok(Begun { location: location.into(), cookie: browser })
    }

    fn take_try(&self, from: IpAddr, now: Instant) -> Result<(), Denied> {
        let mut flows = locked(&self.flows);
        if let Some(wait) = flows.begun.wait(&from, now) {
            return Err(Denied::wait(Refusal::new(Code::Rate, "limits::LOGIN_TRIES_PER_ADDRESS"), wait));
        }
        flows.begun.note(from, now);
        Ok(())
    }

    /// Ends a flow: where it goes on, which is known even of one that fails if this browser has begun it, and who has
    /// signed in, or `E_LOGIN` whatever is wrong; the log says what.
    pub(crate) async fn finish(
        &self,
        door: Door,
        returned: Returned<'_>,
        now: Instant,
        unix: u64,
    ) -> (Option<String>, Result<Person, Refusal>) {
        let (back, person) = match self.claimed(door, returned, now) {
            Ok(flow) => {
                let person = self.signed_in(&flow, returned, now, unix).await;
                (Some(flow.back), person)
            }
            Err(reason) => (None, Err(reason)),
        };
        let person = person.map_err(|reason| {
            tracing::warn!(reason, "somebody could not sign in with the identity provider");
            Refusal::new(Code::Login, "R130").saying("Signing in with your identity provider did not work. Try again.")
        });
        (back, person)
    }

    /// The flow that this browser has begun at this door.
    fn claimed(&self, door: Door, returned: Returned<'_>, now: Instant) -> Result<Flow, &'static str> {
        // Taken out first: a state is good once, whatever comes of it.
        let flow = locked(&self.flows).open.remove(&sha256(returned.state.as_bytes())).ok_or("an unknown state")?;
        if now >= flow.until || flow.door != door {
            return Err("a flow that is over, or another door's");
        }
        verify_slices_are_equal(&flow.browser, &sha256(returned.cookie.as_bytes())).map_err(|_| "another browser")?;
        Ok(flow)
    }

    async fn signed_in(
        &self,
        flow: &Flow,
        returned: Returned<'_>,
        now: Instant,
        unix: u64,
    ) -> Result<Person, &'static str> {
        if returned.issuer.is_some_and(|issuer| issuer != self.config.issuer) {
            return Err("another issuer's answer (RFC 9207)");
        }
        let away = |_| "the provider does not answer";
        let provider = self.provider(now, false).await.map_err(away)?;
        let token = self.redeem(&provider, flow, returned.code).await?;
        let wanted =
            Wanted { issuer: &self.config.issuer, client: &self.config.client_id, nonce: &flow.nonce, now: unix };
        let claims = match jwt::read(&token, &provider.keys, wanted) {
            // The provider may have changed its keys a moment ago.
            Err(Doubt::Key) => {
                let fresh = self.provider(now, true).await.map_err(away)?;
                jwt::read(&token, &fresh.keys, wanted)
            }
            read => read,
        };
        let claims = claims.map_err(|doubt| match doubt {
            Doubt::Key => "signed by nobody we know",
            Doubt::Not(reason) => reason,
        })?;
        self.person(&claims)
    }

    async fn redeem(&self, provider: &Provider, flow: &Flow, code: &str) -> Result<String, &'static str> {
        let redirect = self.redirect_uri(flow.door);
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect.as_str()),
            ("code_verifier", flow.verifier.as_str()),
            ("client_id", self.config.client_id.as_str()),
        ];
        let basic = self.secret.as_deref().map(|secret| (self.config.client_id.as_str(), secret));
        let (status, body) = self.web.post(&provider.about.token_endpoint, &Form { fields: &fields, basic }).await?;
        if !status.is_success() {
            return Err("the provider refused the code");
        }
        let Tokens { id_token } = serde_json::from_slice(&body).map_err(|_| "an answer without an ID token")?;
        Ok(id_token)
    }

    /// The provider, read anew when what is known is old, or when `again` says so.
    async fn provider(&self, now: Instant, again: bool) -> Result<Provider, Refusal> {
        let mut known = self.provider.lock().await;
        let old = if again { IDENTITY_KEYS_AGAIN } else { IDENTITY_KEYS_AGE };
        if let Some(provider) = known.as_ref().filter(|provider| now.saturating_duration_since(provider.read) < old) {
            return Ok(provider.clone());
        }
        let read = self.discover(now).await.map_err(|reason| {
            tracing::warn!(reason, "the identity provider cannot be read");
            unreachable()
        });
        match read {
            Ok(provider) => Ok(known.insert(provider).clone()),
            // An hour's old word of a provider that is away for a moment is better than none.
            Err(refusal) => known.clone().ok_or(refusal),
        }
    }

    async fn discover(&self, now: Instant) -> Result<Provider, &'static str> {
        let issuer = self.config.issuer.trim_end_matches('/');
        let document = self.web.get(&format!("{issuer}/.well-known/openid-configuration")).await?;
        let about: About = serde_json::from_slice(&document).map_err(|_| "no discovery document")?;
        if about.issuer != self.config.issuer {
            return Err("the discovery document names another issuer");
        }
        let keys = jwt::keys(&self.web.get(&about.jwks_uri).await?).ok_or("no key set")?;
        Ok(Provider { about: Arc::new(about), keys: Arc::new(keys), read: now })
    }

    fn person(&self, claims: &Map<String, Value>) -> Result<Person, &'static str> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
        let subject = text(&self.config.subject).ok_or("without the claim that names people")?;
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"._@-".contains(&b);
        if subject.len() > AGENT_CHARS_MAX || !subject.bytes().all(legal) {
            return Err("a subject that is no agent's id");
        }
        let name = text("name").or_else(|| text("preferred_username")).unwrap_or(subject);
        let name = name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
        let belongs = self.memberships(claims);
        let is_in = |value: &String| belongs.contains(&value.as_str());
        let rule = self.config.agents.iter().find(|rule| is_in(&rule.value));
        let agent = rule.map(|rule| (rule.group.clone(), rule.role.clone()));
        Ok(Person { subject: subject.to_owned(), name, admin: self.config.admins.iter().any(is_in), agent })
    }

    /// One word or a list; a name, or a pointer into an object (RFC 6901).
    fn memberships<'a>(&self, claims: &'a Map<String, Value>) -> Vec<&'a str> {
        let claim = self.config.claim.as_str();
        let found = match claim.strip_prefix('/').unwrap_or(claim).split_once('/') {
            Some((first, rest)) if claim.starts_with('/') => {
                claims.get(first).and_then(|value| value.pointer(&format!("/{rest}")))
            }
            _ => claims.get(claim.strip_prefix('/').unwrap_or(claim)),
        };
        match found {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }
}

fn unreachable() -> Refusal {
    Refusal::new(Code::Store, "R130").saying("The identity provider does not answer. Try again in a few seconds.")
}
