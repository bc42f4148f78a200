//! Before a session: pages that are open, agents that watch for them, invites, links. What the relay calls for a page's
//! presence socket, and what is due by time.
//!
//! Invariant: nothing here is needed by a running session. An accepted invite is the visitor's consent to that agent: the
//! session's home is told so before anybody has a ticket, and the agent is let in once without a second question.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use fanlight_wire::command::Command;
use fanlight_wire::consent::Question;
use fanlight_wire::host::source_of;
use fanlight_wire::limits::{VIEW_LIFE, VIEWS_MAX};
use fanlight_wire::{Code, Event, GroupId, Refusal, SessionId};
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Request, Response};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::Receiver;

use crate::audit::About;
use crate::bearers::Bearers;
use crate::config::ConnectInfo;
use crate::control::Control;
use crate::directory::Home;
use crate::http::EXPOSED;
use crate::invites::{Invite, Invites, Outcome};
use crate::keys::Guesser;
use crate::links::Links;
use crate::mint::Client;
use crate::particulars::{Kind, reference};
use crate::policies::to_pin;
use crate::presence::Login;
use crate::routes::keys::visitor;
use crate::routes::presence;
use crate::visitors::{Looks, PageId, Standing, Visitor, Visitors};
use crate::watchers::{Watchers, line};

/// Whom a `view_url` lets in, where.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    pub(crate) login: Login,
    pub(crate) session: SessionId,
    /// The server key that asked for it.
    pub(crate) key: Option<Arc<str>>,
}

#[derive(Debug)]
pub(crate) struct Lobby {
    pub(crate) visitors: Visitors,
    pub(crate) watchers: Watchers,
    pub(crate) invites: Invites,
    pub(crate) links: Links,
    pub(crate) views: Bearers<Seat>,
}

/// What a page says on its presence socket.
#[derive(Debug, Deserialize)]
#[serde(tag = "t", rename_all = "snake_case")]
enum FromPage {
    Hello {
        group: GroupId,
        visitor: String,
    },
    Looks(Looks),
    /// A yes names the words that were shown.
    Answer {
        invite: String,
        accept: bool,
        words: Option<String>,
    },
    Ping,
}

/// What a page is told.
#[derive(Debug, Serialize)]
#[serde(tag = "t", rename_all = "snake_case")]
enum ToPage<'a> {
    Ready,
    Pong,
    Invite {
        invite: &'a str,
        name: &'a str,
        kind: Kind,
        seconds: u64,
        #[serde(flatten)]
        question: &'a Question,
        words: String,
    },
    /// The question is no longer open.
    Withdrawn {
        invite: &'a str,
        code: Code,
    },
    /// The way into the session that the visitor agreed to.
    Accepted {
        invite: &'a str,
        session: SessionId,
        kind: Kind,
        ticket: String,
        handle: String,
        connect: ConnectInfo,
    },
    Refused {
        #[serde(flatten)]
        refusal: &'a Refusal,
    },
}

#[derive(Serialize)]
struct Seen<'a> {
    visitor: &'a str,
    state: Standing,
}

#[derive(Serialize)]
struct InviteNews<'a> {
    invite: &'a str,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize)]
struct SessionNews {
    session: SessionId,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
}

impl Lobby {
    pub(crate) fn new() -> Self {
        Self {
            visitors: Visitors::new(),
            watchers: Watchers::default(),
            invites: Invites::default(),
            links: Links::new(),
            views: Bearers::new(VIEWS_MAX),
        }
    }

    /// Lets go of pages and streams so that they go to another node; takes them again when the drain is called off.
    pub(crate) fn close(&self, closed: bool) {
        self.visitors.close(closed);
        self.watchers.close(closed);
    }

    /// What an agent may know of a visitor.
    pub(crate) fn standing(&self, visitor: Visitor) -> Standing {
        match self.visitors.standing(visitor) {
            Standing::Present if self.invites.rings(visitor) => Standing::Busy,
            standing => standing,
        }
    }

    /// Something about a visitor may have changed.
    pub(crate) fn news_of(&self, visitor: Visitor) {
        let state = self.standing(visitor);
        self.watchers.tell_about(visitor, "presence", |name| Seen { visitor: name, state }.owned());
    }

    fn tell_page(&self, page: PageId, told: &ToPage<'_>) -> bool {
        // Serialising our own messages cannot fail: plain fields, string keys.
        self.visitors.tell(page, serde_json::to_string(told).unwrap_or_default())
    }

    /// The address, relative to the public door, of a viewer in this seat: good once, and not for long (R146).
    ///
    /// # Errors
    /// `E_OVERLOAD` when there are too many such addresses.
    pub(crate) fn view(&self, seat: Seat, now: Instant) -> Result<String, Refusal> {
        let issued = self.views.issue(seat, Some(now + VIEW_LIFE), now);
        let (token, _) = issued.ok_or_else(|| Refusal::new(Code::Overload, "limits::VIEWS_MAX"))?;
        // In the fragment: it is sent to no server and stays out of logs and referrers.
        Ok(format!("/agent/#view={token}"))
    }

    /// Shows the invite to the visitor. False when its page takes nothing.
    pub(crate) fn ring(&self, invite: &Invite, now: Instant) -> bool {
        let Invite { id, name, page, particulars, question, .. } = invite;
        let (seconds, words) = (invite.seconds(now), question.words());
        let kind = particulars.kind;
        self.tell_page(*page, &ToPage::Invite { invite: id, name, kind, seconds, question, words })
    }
}

impl Seen<'_> {
    fn owned(&self) -> serde_json::Value {
        serde_json::json!({"visitor": self.visitor, "state": self.state})
    }
}

impl Control {
    /// A page has opened its presence socket and said `hello`. Its messages arrive in the receiver; when that closes,
    /// the page must go.
    ///
    /// # Errors
    /// `E_SIGNAL` for anything but a `hello`, `E_NOT_FOUND` for a group that is not there or not active, and the limits'
    /// refusals.
    pub async fn page_arrives(
        &self,
        hello: &str,
        peer: IpAddr,
        client: Client,
    ) -> Result<(PageId, Receiver<String>), Refusal> {
        let arrived = self.arrived(hello, peer, client).await;
        arrived.inspect_err(|refusal| self.metrics().refusal(refusal.code))
    }

    async fn arrived(&self, hello: &str, peer: IpAddr, client: Client) -> Result<(PageId, Receiver<String>), Refusal> {
        let Ok(FromPage::Hello { group, visitor }) = serde_json::from_str(hello) else {
            return Err(Refusal::new(Code::BadSignal, "docs/integrate.md"));
        };
        reference(&visitor, "R108")?;
        to_pin(self.store(), &group).await?;
        let visitors = &self.lobby().visitors;
        let (page, mailbox) = visitors.enter(visitors.named(&group, &visitor), &group, source_of(peer), client)?;
        self.lobby().tell_page(page, &ToPage::Ready);
        Ok((page, mailbox))
    }

    /// A page says something.
    ///
    /// # Errors
    /// `E_SIGNAL` for what cannot be read: the page must go.
    pub async fn page_says(&self, page: PageId, text: &str) -> Result<(), Refusal> {
        let said = serde_json::from_str(text).map_err(|_| Refusal::new(Code::BadSignal, "docs/integrate.md"))?;
        match said {
            FromPage::Hello { .. } => return Err(Refusal::new(Code::BadSignal, "docs/integrate.md")),
            FromPage::Ping => {
                self.lobby().tell_page(page, &ToPage::Pong);
            }
            FromPage::Looks(looks) => {
                if let Some(visitor) = self.lobby().visitors.looks(page, looks) {
                    self.lobby().news_of(visitor);
                }
            }
            FromPage::Answer { invite, accept: false, .. } => self.page_declines(page, &invite),
            FromPage::Answer { invite, accept: true, words } => self.page_accepts(page, &invite, words).await,
        }
        Ok(())
    }

    /// A page's socket is gone. Whatever rang there has nobody to answer it.
    pub fn page_goes(&self, page: PageId) {
        let rang = self.lobby().invites.at(page);
        let visitor = self.lobby().visitors.leave(page);
        let now = self.clock().now();
        for id in rang {
            if let Some(invite) = self.lobby().invites.close(&id, Outcome::Expired, now, |_| true) {
                self.invite_over(&invite, Outcome::Expired, Code::Timeout);
            }
        }
        if let Some(visitor) = visitor {
            self.lobby().news_of(visitor);
        }
    }

    /// Does what is due by time.
    pub fn tend(&self) {
        self.write_receipts();
        for invite in self.lobby().invites.expire(self.clock().now()) {
            self.invite_over(&invite, Outcome::Expired, Code::Timeout);
        }
    }

    /// The visitor's no (R116). An answer that comes too late, or to another page's question, changes nothing.
    fn page_declines(&self, page: PageId, id: &str) {
        let mine = |invite: &Invite| invite.page == page;
        match self.lobby().invites.close(id, Outcome::Declined, self.clock().now(), mine) {
            Some(invite) => self.invite_over(&invite, Outcome::Declined, Code::Consent),
            None => self.too_late(page, id),
        }
    }

    fn too_late(&self, page: PageId, id: &str) {
        self.lobby().tell_page(page, &ToPage::Withdrawn { invite: id, code: Code::Timeout });
    }

    /// The visitor's yes (R116). One to other words than it was asked in is none: it is asked in these again.
    async fn page_accepts(&self, page: PageId, id: &str, words: Option<String>) {
        let (now, invites) = (self.clock().now(), &self.lobby().invites);
        let Some(asked) = invites.ringing(page, id) else { return self.too_late(page, id) };
        if words.is_none_or(|words| words != asked.question.words()) {
            self.lobby().ring(&asked, now);
            return;
        }
        let Some(invite) = invites.close(id, Outcome::Opening, now, |_| true) else { return self.too_late(page, id) };
        match self.open_accepted(&invite).await {
            Ok(session) => {
                self.lobby().invites.led_to(id, Outcome::Accepted { session });
                let about = invite.about(Some(session), None);
                self.audit(Event::InviteAccepted, about);
                let news = InviteNews { invite: id, outcome: Outcome::Accepted { session } };
                self.lobby().watchers.tell_agent(&invite.from, Event::InviteAccepted.label(), &news);
                self.lobby().news_of(invite.visitor);
            }
            Err(refusal) => {
                self.metrics().refusal(refusal.code);
                self.lobby().invites.led_to(id, Outcome::Withdrawn);
                self.lobby().tell_page(page, &ToPage::Refused { refusal: &refusal });
                self.invite_over(&invite, Outcome::Withdrawn, refusal.code);
            }
        }
    }

    async fn open_accepted(&self, invite: &Invite) -> Result<SessionId, Refusal> {
        let mut particulars = invite.particulars.clone();
        particulars.hosts.insert(invite.from.agent.clone());
        let kind = particulars.kind;
        let (session, handle) = self.create(&invite.from.group, "visitor", particulars).await?;
        let home = self.home_of(&session)?;
        if home.policy().questions.view != invite.question {
            // Published in the meantime: the session's receipt would hold words that nobody has seen.
            self.end(&session, Code::Policy)?;
            let sentence = "What you were asked has been changed in the meantime. The agent can ask you again.";
            return Err(Refusal::new(Code::Policy, "R116").saying(sentence));
        }
        // R116: the invite was the question; the home hears of the answer before anybody can come.
        self.send(home.shard, Command::Welcome { session, subject: invite.from.agent.clone() })?;
        let ticket = self.mint(&session, visitor(kind, self.lobby().visitors.client(invite.page)))?;
        let connect = self.connect(home.shard);
        let way_in = ToPage::Accepted { invite: &invite.id, session, kind, ticket, handle, connect };
        if self.lobby().tell_page(invite.page, &way_in) {
            return Ok(session);
        }
        self.end(&session, Code::Left)?;
        Err(Refusal::new(Code::Left, "R117"))
    }

    /// An open invite has ended without a session: the agent, the visitor and the watchers are told.
    pub(crate) fn invite_over(&self, invite: &Invite, outcome: Outcome, code: Code) {
        let event = if outcome == Outcome::Declined { Event::InviteDeclined } else { Event::InviteExpired };
        self.audit(event, invite.about(None, Some(code)));
        if outcome != Outcome::Declined {
            self.lobby().tell_page(invite.page, &ToPage::Withdrawn { invite: &invite.id, code });
        }
        let news = InviteNews { invite: &invite.id, outcome };
        self.lobby().watchers.tell_agent(&invite.from, event.label(), &news);
        self.lobby().news_of(invite.visitor);
    }

    /// The visitor of a session has come: its link has done its work, and its hosts may come in.
    pub(crate) fn visitor_came(&self, session: SessionId) {
        let Some(home) = self.directory().home(&session) else { return };
        if self.lobby().links.forget(&session) {
            self.audit(Event::InviteAccepted, About { who: Some("visitor".into()), ..About::of(session, &home) });
        }
        self.tell_hosts(session, &home, Event::VisitorJoined, None);
    }

    /// A session is over.
    pub(crate) fn session_gone(&self, session: SessionId, home: &Home, code: Code) {
        if self.lobby().links.forget(&session) {
            self.audit(Event::InviteExpired, About::of(session, home));
        }
        self.tell_hosts(session, home, Event::SessionEnded, Some(code));
    }

    fn tell_hosts(&self, session: SessionId, home: &Home, event: Event, code: Option<Code>) {
        for agent in &home.particulars.hosts {
            let host = Guesser { group: home.group.clone(), agent: agent.clone() };
            self.lobby().watchers.tell_agent(&host, event.label(), &SessionNews { session, code });
        }
    }

    /// The stream of events that an agent asks for: the headers of its answer, and its lines as they come. The first
    /// lines say how its visitors stand now.
    ///
    /// # Errors
    /// The answer to a request that is refused.
    pub fn events<T>(&self, request: &Request<T>) -> Result<(HeaderMap, Receiver<Bytes>), Box<Response<Bytes>>> {
        let origin = self.origin_of(request).map_err(|denied| Box::new(self.refused(&denied)))?;
        let opened = presence::open_stream(self, request).map_err(|denied| {
            let mut response = self.refused(&denied);
            cross_origin(response.headers_mut(), origin.clone());
            Box::new(response)
        })?;
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        cross_origin(&mut headers, origin);
        Ok((headers, opened))
    }

    pub(crate) fn standing_line(&self, name: &str, visitor: Visitor) -> Bytes {
        line("presence", &Seen { visitor: name, state: self.lobby().standing(visitor) })
    }
}

/// Lets the page that asked read the answer.
pub(crate) fn cross_origin(headers: &mut HeaderMap, origin: Option<String>) {
    if let Some(origin) = origin.and_then(|origin| HeaderValue::from_str(&origin).ok()) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.entry(header::ACCESS_CONTROL_EXPOSE_HEADERS).or_insert(EXPOSED);
    }
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
}
