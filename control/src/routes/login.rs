//! `POST /v1/login`: an agent signs in with its group, its id and its secret.
//!
//! An agent that does not exist costs the same work and gets the same answer as a wrong secret. Checks run on blocking
//! threads, a few at a time, so that a flood of logins leaves the processor to those who are in.

use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Instant;

use bytes::Bytes;
use fanlight_wire::host::source_of;
use fanlight_wire::limits::{
    ADDRESSES_REMEMBERED_MAX, LOGIN_CHECKS_MAX, LOGIN_LIFE, LOGIN_WAITING_MAX, NAME_CHARS_MAX,
};
use fanlight_wire::{Code, Event, GroupId, Refusal};
use hyper::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::audit::About;
use crate::budget::{Rule, Standing, Windows};
use crate::control::Control;
use crate::http::{Asked, Denied, empty, json};
use crate::locked;
use crate::presence::{Caller, Login};
use crate::secrets::stretched_matches;
use crate::store::agent as find_agent;

/// Characters of an agent's id and bytes of its secret.
const AGENT_CHARS_MAX: usize = 128;
const SECRET_BYTES_MAX: usize = 1_024;

#[derive(Deserialize)]
struct Credentials {
    group: String,
    agent: String,
    secret: String,
}

#[derive(Serialize)]
struct SignedIn<'a> {
    token: String,
    name: &'a str,
    agent: &'a str,
    expires_s: u64,
}

/// Budgets of wrong secrets, and the turnstile before the checks.
#[derive(Debug)]
pub(crate) struct Logins {
    budgets: Mutex<Budgets>,
    /// Everybody inside, checking or waiting.
    inside: Semaphore,
    checking: Semaphore,
}

#[derive(Debug)]
struct Budgets {
    agents: Windows<(IpAddr, String, String)>,
    addresses: Windows<IpAddr>,
}

impl Budgets {
    /// The scarcer of the two.
    fn standing(&mut self, who: &(IpAddr, String, String), now: Instant) -> Standing {
        let agent = self.agents.standing("logins", who, now);
        let address = self.addresses.standing("logins", &who.0, now);
        if address.left < agent.left { address } else { agent }
    }
}

impl Logins {
    pub(crate) fn new(per_agent: Rule, per_address: Rule) -> Self {
        let budgets = Budgets {
            agents: Windows::new(per_agent, ADDRESSES_REMEMBERED_MAX),
            addresses: Windows::new(per_address, ADDRESSES_REMEMBERED_MAX),
        };
        Self {
            budgets: Mutex::new(budgets),
            inside: Semaphore::new(LOGIN_CHECKS_MAX + LOGIN_WAITING_MAX),
            checking: Semaphore::new(LOGIN_CHECKS_MAX),
        }
    }

    /// Takes a try from the budgets before the check, so that tries made at the same time cannot share one.
    fn take_try(&self, control: &Control, who: &(IpAddr, String, String)) -> Result<Standing, Denied> {
        let now = control.clock().now();
        let mut budgets = locked(&self.budgets);
        let wait = budgets.agents.wait(who, now).max(budgets.addresses.wait(&who.0, now));
        if let Some(wait) = wait {
            let refusal = Refusal::new(Code::Rate, "limits::LOGIN_TRIES_PER_AGENT");
            let refusal = refusal.saying("Too many attempts to sign in. Wait a little and try again.");
            return Err(Denied::wait(refusal, wait).under(budgets.standing(who, now)));
        }
        budgets.agents.note(who.clone(), now);
        budgets.addresses.note(who.0, now);
        Ok(budgets.standing(who, now))
    }

    /// A right secret was no guess.
    fn give_back(&self, who: &(IpAddr, String, String)) {
        let mut budgets = locked(&self.budgets);
        budgets.agents.forgive(who);
        budgets.addresses.forgive(&who.0);
    }
}

pub(crate) async fn sign_in(control: &Control, asked: Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let Credentials { group, agent, secret } = asked.json()?;
    if agent.chars().count() > AGENT_CHARS_MAX || secret.len() > SECRET_BYTES_MAX {
        return Err(Refusal::new(Code::Input, "docs/api.md").into());
    }
    let who = (source_of(asked.peer), group.chars().take(AGENT_CHARS_MAX).collect(), agent.clone());
    let standing = control.logins().take_try(control, &who)?;
    let Some(login) = check(control, &group, agent, secret).await? else {
        // Neither group nor agent are audited: they are whatever somebody typed.
        control.audit(Event::AgentSignInRefused, About { code: Some(Code::Login), ..About::default() });
        let refusal =
            Refusal::new(Code::Login, "G-52").saying("Group, name or secret is not right. Check and try again.");
        return Err(Denied::from(refusal).under(standing));
    };
    control.logins().give_back(&who);
    let token = control.presence().sign_in(login.clone(), control.clock().now())?;
    let about = About { group: Some(login.group), who: Some(login.agent.clone()), ..About::default() };
    control.audit(Event::AgentSignedIn, about);
    let signed_in = SignedIn { token, name: &login.name, agent: &login.agent, expires_s: LOGIN_LIFE.as_secs() };
    Ok(json(StatusCode::OK, &signed_in))
}

/// `POST /v1/logout`: this login is over, and so is whatever the agent watches: a screen that was left open shows nothing
/// once its agent has gone home.
pub(crate) fn sign_out(control: &Control, asked: &Asked<'_>) -> Result<Response<Bytes>, Denied> {
    let Caller::Agent(login) = &asked.caller else { return Err(Refusal::new(Code::Login, "G-52").into()) };
    control.presence().end_login(asked.bearer.unwrap_or_default());
    control.put_out(&login.group, &login.agent, Code::Login);
    let about = About { group: Some(login.group.clone()), who: Some(login.agent.clone()), ..About::default() };
    control.audit(Event::AgentSignedOut, about);
    Ok(empty(StatusCode::NO_CONTENT))
}

/// The agent, if all three are right; the same work if not.
async fn check(control: &Control, group: &str, agent: String, secret: String) -> Result<Option<Login>, Denied> {
    let busy = || Refusal::new(Code::Overload, "limits::LOGIN_WAITING_MAX");
    let _inside = control.logins().inside.try_acquire().map_err(|_| busy())?;
    let _turn = control.logins().checking.acquire().await.map_err(|_| busy())?;
    let group = GroupId::new(group).ok();
    let row = match group.clone() {
        Some(group) => {
            let agent = agent.clone();
            control.store().ask(move |connection| find_agent(connection, &group, &agent)).await?
        }
        None => None,
    };
    let (salt, hash) =
        row.as_ref().map_or_else(|| (vec![0; 16], vec![0; 32]), |row| (row.salt.clone(), row.hash.clone()));
    let checked = tokio::task::spawn_blocking(move || stretched_matches(&salt, &secret, &hash)).await;
    let right = checked.map_err(|_| Refusal::new(Code::Bug, "control::login"))?;
    let (Some(group), Some(row), true) = (group, row, right) else { return Ok(None) };
    let name = row.name.chars().take(NAME_CHARS_MAX).collect();
    Ok(Some(Login { group, agent, name, role: row.role }))
}
