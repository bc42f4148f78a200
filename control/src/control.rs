//! The façade: what the relay holds and calls. Creating, finding, admitting to and ending sessions.
//!
//! Invariant: a session is created in one order (place taken, record written, shard told, directory entered) and a step
//! that fails gives back what the ones before have taken.

#[cfg(test)]
pub(crate) mod testing;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fanlight_wire::command::{Admission, Command};
use fanlight_wire::limits::{
    ADDRESSES_REMEMBERED_MAX, LOGIN_TRIES_PER_ADDRESS, LOGIN_TRIES_PER_AGENT, LOGIN_TRY_WINDOW, MEDIA_TOKEN_LIFE_MAX,
    MEDIA_TOKEN_LIFE_MIN, SESSION_WINDOW, SESSIONS_PER_ADDRESS, TICKET_LIFE, VIEWERS_PER_SHARD,
};
use fanlight_wire::policy::Policy;
use fanlight_wire::resource::{ResourceInput, ResourceKind, ResourceRef};
use fanlight_wire::token::Claims;
use fanlight_wire::{Code, Event, GroupId, Refusal, SessionId, ShardId};

use crate::admins::Admins;
use crate::audit::About;
use crate::budget::{Rule, Standing, Windows};
use crate::cameras::Cameras;
use crate::codes::Codes;
use crate::config::{Asking, Clock, ConnectInfo, ControlConfig, Hooks, StartError};
use crate::directory::{Counts, Directory, Home};
use crate::fetcher::Fetcher;
use crate::http::{Denied, Door, Repeats};
use crate::identity::Identity;
use crate::keys::Keys;
use crate::leases::Leases;
use crate::live::Live;
use crate::lobby::Lobby;
use crate::locked;
use crate::metrics::Metrics;
use crate::mint::Mint;
use crate::origins::Origins;
use crate::particulars::Particulars;
use crate::passes::Passes;
use crate::placement::Placement;
use crate::policies::{Numbered, of_session, to_pin};
use crate::presence::Presence;
use crate::receipts::Book;
use crate::revoke::Revocations;
use crate::routes::demo::Demo;
use crate::routes::login::Logins;
use crate::secrets::{keep_or_make, opaque, random};
use crate::servers::Servers;
use crate::sms::Sms;
use crate::store::receipts::close_interrupted;
use crate::store::server_keys;
use crate::store::{Store, close_left_open, insert_session};
use crate::tokens::Tokens;
use crate::webhooks::Webhooks;

/// The control plane of one node. Shared; every method may be called from any thread.
pub struct Control {
    hooks: Hooks,
    origins: Origins,
    operator_token: String,
    draining: AtomicBool,
    store: Store,
    tokens: Tokens,
    book: Arc<Book>,
    keys: Keys,
    leases: Leases,
    passes: Passes,
    servers: Servers,
    admins: Admins,
    identity: Option<Identity>,
    codes: Codes,
    revocations: Revocations,
    presence: Presence,
    lobby: Lobby,
    directory: Directory,
    placement: Placement,
    metrics: Metrics,
    ice_servers: Vec<String>,
    demo: Option<Demo>,
    logins: Logins,
    creations: Mutex<Windows<std::net::IpAddr>>,
    /// Answers for requests that are repeated, at the public and at the operator's door.
    repeats: (Repeats, Repeats),
    webhooks: Webhooks,
    fetcher: Arc<Fetcher>,
    cameras: Cameras,
    sms: Option<Sms>,
    public_url: String,
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("hooks", &self.hooks).field("draining", &self.draining).finish_non_exhaustive()
    }
}

impl Control {
    /// Opens the store and the keys. With `demo` this hashes two secrets (about 0.1 s of a core).
    ///
    /// # Errors
    /// [`StartError`] when a file cannot be read, made or understood.
    pub fn open(config: &ControlConfig, hooks: Hooks) -> Result<Arc<Self>, StartError> {
        let tokens = Tokens::open(config.key_path.as_deref())?;
        // Beside the key of tickets: one folder holds what the node is known by.
        let receipt_key = config.key_path.as_ref().map(|path| path.with_file_name("receipt.key"));
        let book = Arc::new(Book::open(receipt_key.as_deref())?);
        let operator_token = operator_token(config)?;
        let webhooks = Webhooks::open(config.webhook_key_path.as_deref())?;
        let fetcher = Fetcher::open(&config.outbound).map(Arc::new);
        let fetcher = fetcher.map_err(|reason| StartError::Outbound { setting: "outbound", reason })?;
        let demo = config.demo.then(Demo::new);
        let started = hooks.clock.unix_seconds();
        let mut server_keys = Vec::new();
        let store = Store::open(config.store_path.as_deref(), |connection| {
            close_interrupted(connection, started, &book.signer)?;
            close_left_open(connection, started)?;
            Demo::seed(demo.as_ref(), connection, started)?;
            server_keys = server_keys::good(connection)?;
            Ok(())
        })?;
        let shards = hooks.shards.shard_count();
        let creations = Rule { limit: SESSIONS_PER_ADDRESS, length: SESSION_WINDOW };
        Ok(Arc::new(Self {
            origins: Origins::new(&config.origins, config.demo),
            draining: AtomicBool::new(false),
            store,
            tokens,
            book,
            keys: Keys::new(),
            leases: Leases::default(),
            passes: Passes::default(),
            servers: Servers::new(server_keys),
            admins: Admins::default(),
            identity: config.identity.as_ref().map(|one| Identity::open(one, &fetcher)).transpose()?,
            codes: Codes::default(),
            revocations: Revocations::default(),
            presence: Presence::new(shards, &operator_token),
            operator_token,
            lobby: Lobby::new(),
            directory: Directory::default(),
            placement: Placement::new(shards, config.viewers_per_shard.unwrap_or(VIEWERS_PER_SHARD)),
            metrics: Metrics::new(),
            ice_servers: config.ice_servers.clone(),
            demo,
            logins: Logins::new(
                Rule { limit: LOGIN_TRIES_PER_AGENT, length: LOGIN_TRY_WINDOW },
                Rule { limit: LOGIN_TRIES_PER_ADDRESS, length: LOGIN_TRY_WINDOW },
            ),
            creations: Mutex::new(Windows::new(creations, ADDRESSES_REMEMBERED_MAX)),
            repeats: Default::default(),
            webhooks,
            sms: Sms::open(&config.sms, &fetcher)?,
            fetcher,
            cameras: Cameras::new(),
            public_url: config.public_url.clone(),
            hooks,
        }))
    }

    /// Verifies a join ticket and uses it up.
    ///
    /// # Errors
    /// `E_TICKET` for a ticket that is not ours, not in time, used before or revoked; `E_SESSION` when its session has
    /// ended; `E_DRAIN` while draining.
    pub fn admit(&self, ticket: &str) -> Result<Admission, Refusal> {
        let admitted = self.admitted(ticket);
        if let Err(refusal) = &admitted {
            self.metrics.refusal(refusal.code);
        }
        admitted
    }

    fn admitted(&self, ticket: &str) -> Result<Admission, Refusal> {
        let claims = self.tokens.verify(ticket, self.hooks.clock.unix_seconds())?;
        self.refuse_while_draining()?;
        let home = self.home_of(&claims.session)?;
        self.refuse_revoked(&claims, &home)?;
        self.tokens.spend(&claims.jti, self.hooks.clock.now())?;
        let Claims { sub: subject, session, epoch, role, capabilities, name, .. } = claims;
        Ok(Admission { session, role, capabilities, name, subject, epoch })
    }

    /// What a media token admits to, and where.
    ///
    /// # Errors
    /// `E_TICKET` for a token that is not ours, not in time or revoked; `E_SESSION` when its session has ended.
    pub(crate) fn admit_media(&self, token: &str) -> Result<(Admission, ShardId), Refusal> {
        let claims = self.tokens.verify_media(token, self.hooks.clock.unix_seconds())?;
        let home = self.home_of(&claims.session)?;
        self.refuse_revoked(&claims, &home)?;
        let Claims { sub: subject, session, epoch, role, capabilities, name, .. } = claims;
        Ok((Admission { session, role, capabilities, name, subject, epoch }, home.shard))
    }

    fn refuse_revoked(&self, claims: &Claims, home: &Home) -> Result<(), Refusal> {
        let good = self.passes.is_good(&claims.session, claims.role, &claims.sub, claims.epoch);
        if good && claims.group == home.group { Ok(()) } else { Err(Refusal::new(Code::Ticket, "G-54")) }
    }

    /// A shard has told how busy it is, in thousandths: new sessions and viewers go by that.
    pub fn note_load(&self, shard: ShardId, permille: u32) {
        self.metrics.shard_load(shard, permille);
        self.placement.note_load(shard, permille);
    }

    /// A shard has told how many WHEP viewers it serves: further ones go by that.
    pub fn note_viewers(&self, shard: ShardId, viewers: u64) {
        self.placement.note_viewers(shard, viewers);
    }

    /// The shard that holds this resource of a session that lives on `home`. Where there is no such shard, the home says
    /// that there is no such resource.
    pub(crate) fn holder_of(&self, home: ShardId, of: &ResourceRef) -> ShardId {
        let named = of.resource.shard();
        if of.kind == ResourceKind::Whep && named.0 < self.hooks.shards.shard_count() { named } else { home }
    }

    /// Asks a shard about a media resource.
    pub(crate) fn ask(&self, shard: ShardId, input: ResourceInput) -> Asking {
        self.hooks.shards.ask(shard, input)
    }

    /// The home shard of a session, if the session exists. Also for resume tokens, which name their session.
    pub fn home(&self, session: &SessionId) -> Option<ShardId> {
        self.directory.home(session).map(|home| home.shard)
    }

    /// May a page of this origin use the relay? `host` is the request's `Host` or `:authority`; no origin is no browser.
    pub fn origin_allowed(&self, origin: Option<&str>, host: &str) -> bool {
        self.origins.allow(origin, host)
    }

    pub(crate) const fn origins(&self) -> &Origins {
        &self.origins
    }

    /// While draining, new sessions, keys and joins are refused with `E_DRAIN`; what runs goes on.
    pub fn set_draining(&self, draining: bool) {
        self.draining.store(draining, Ordering::Release);
        self.lobby.close(draining);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The operator door's bearer.
    pub fn operator_token(&self) -> &str {
        &self.operator_token
    }

    /// How many sessions there are.
    pub fn session_count(&self) -> usize {
        self.directory.len()
    }

    /// Asks the home shard to end a session; the entry goes when the shard reports the end.
    ///
    /// # Errors
    /// `E_SESSION` when there is no such session, or the shard's refusal.
    pub fn end(&self, session: &SessionId, code: Code) -> Result<(), Refusal> {
        let home = self.home_of(session)?;
        self.hooks.shards.send(home.shard, Command::End { session: *session, code })
    }

    /// Lets a session be without participants until this long after its creation.
    pub(crate) fn keep_empty(&self, session: &SessionId, empty_max: Duration) -> Result<(), Refusal> {
        let home = self.home_of(session)?;
        self.hooks.shards.send(home.shard, Command::Keep { session: *session, empty_max })
    }

    /// Hands a command to a shard.
    pub(crate) fn send(&self, shard: ShardId, command: Command) -> Result<(), Refusal> {
        self.hooks.shards.send(shard, command)
    }

    /// A ticket for a running session.
    ///
    /// # Errors
    /// `E_SESSION` when there is no such session.
    pub fn mint(&self, session: &SessionId, mint: Mint) -> Result<String, Refusal> {
        Ok(self.tokens.mint(self.claims(session, mint, TICKET_LIFE)?))
    }

    /// A media token for a running session: what a WHIP or WHEP client shows at every request.
    ///
    /// # Errors
    /// `E_SESSION` when there is no such session.
    pub fn mint_media(&self, session: &SessionId, mint: Mint, life: Duration) -> Result<String, Refusal> {
        let life = life.clamp(MEDIA_TOKEN_LIFE_MIN, MEDIA_TOKEN_LIFE_MAX);
        Ok(self.tokens.mint_media(self.claims(session, mint, life)?))
    }

    /// A new session of this group; its id and its visitor's handle.
    pub(crate) async fn create(
        &self,
        group: &GroupId,
        who: &str,
        particulars: Particulars,
    ) -> Result<(SessionId, String), Refusal> {
        self.refuse_while_draining()?;
        let pinned = to_pin(&self.store, group).await?;
        let session = SessionId::from_bytes(random());
        let created = self.hooks.clock.unix_seconds();
        let place = self.placement.place()?;
        let (of, version, particulars) = (group.clone(), pinned.version, Arc::new(particulars));
        let about = Arc::clone(&particulars);
        let kept =
            self.store.ask(move |connection| insert_session(connection, &session, &of, version, created, &about));
        kept.await?;
        let handle = self.open_on(place.shard(), session, group, (pinned, particulars), created)?;
        place.keep();
        let about = About { group: Some(group.clone()), session: Some(session), ..About::default() };
        self.audit(Event::SessionCreated, About { who: Some(who.to_owned()), ..about });
        Ok((session, handle))
    }

    fn open_on(
        &self,
        shard: ShardId,
        session: SessionId,
        group: &GroupId,
        (pinned, particulars): (Numbered, Arc<Particulars>),
        created: u64,
    ) -> Result<String, Refusal> {
        let (handle, hash) = self.presence.handle(session, self.hooks.clock.now())?;
        // Entered first: the shard may report about the session before its command has returned here.
        let policy: Policy = of_session(&pinned, &particulars);
        let home = Home {
            shard,
            group: group.clone(),
            created,
            handle: hash,
            counts: Counts::default(),
            in_force: pinned.version,
            roles: BTreeMap::new(),
            particulars,
            enforced: Vec::new(),
            live: Live { mode: Some(policy.default_mode), ..Live::default() },
            mirrors: BTreeSet::new(),
            pinned: Arc::new(pinned),
        };
        self.passes.open(session);
        self.directory.insert(session, home);
        let opened = self.hooks.shards.send(shard, Command::Open { session, group: group.clone(), policy });
        if let Err(refusal) = opened {
            self.directory.remove(&session);
            self.passes.forget(&session);
            self.presence.revoke_handle(&hash);
            return Err(refusal);
        }
        Ok(handle)
    }

    /// May this address create another session now?
    pub(crate) fn note_creation(&self, address: std::net::IpAddr) -> Result<Standing, Denied> {
        let now = self.hooks.clock.now();
        let mut creations = locked(&self.creations);
        if let Some(wait) = creations.wait(&address, now) {
            let denied = Denied::wait(Refusal::new(Code::Rate, "limits::SESSIONS_PER_ADDRESS"), wait);
            return Err(denied.under(creations.standing("sessions", &address, now)));
        }
        creations.note(address, now);
        Ok(creations.standing("sessions", &address, now))
    }

    pub(crate) const fn repeats(&self, door: Door) -> &Repeats {
        match door {
            Door::Public => &self.repeats.0,
            Door::Operator => &self.repeats.1,
        }
    }

    pub(crate) fn home_of(&self, session: &SessionId) -> Result<Home, Refusal> {
        self.directory.home(session).ok_or_else(|| Refusal::new(Code::Session, "G-52"))
    }

    pub(crate) fn connect(&self, shard: ShardId) -> ConnectInfo {
        (self.hooks.connect)(shard)
    }

    pub(crate) fn refuse_while_draining(&self) -> Result<(), Refusal> {
        if self.is_draining() { Err(Refusal::new(Code::Draining, "P3")) } else { Ok(()) }
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.hooks.clock
    }

    pub(crate) const fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) const fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    pub(crate) const fn keys(&self) -> &Keys {
        &self.keys
    }

    pub(crate) const fn leases(&self) -> &Leases {
        &self.leases
    }

    pub(crate) const fn passes(&self) -> &Passes {
        &self.passes
    }

    pub(crate) const fn admins(&self) -> &Admins {
        &self.admins
    }

    pub(crate) const fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    pub(crate) const fn codes(&self) -> &Codes {
        &self.codes
    }

    pub(crate) const fn servers(&self) -> &Servers {
        &self.servers
    }

    pub(crate) const fn revocations(&self) -> &Revocations {
        &self.revocations
    }

    pub(crate) const fn presence(&self) -> &Presence {
        &self.presence
    }

    /// Who is on the website, who watches for them, and the ways in.
    pub(crate) const fn lobby(&self) -> &Lobby {
        &self.lobby
    }

    /// A new handle for the visitor of a session whose link is opened: the page before, if any, has lost its own.
    pub(crate) fn renew_handle(&self, session: &SessionId) -> Result<String, Refusal> {
        let (handle, hash) = self.presence.handle(*session, self.hooks.clock.now())?;
        let Some(before) = self.directory.renew_handle(session, hash) else {
            self.presence.revoke_handle(&hash);
            return Err(Refusal::new(Code::Session, "G-52"));
        };
        self.presence.revoke_handle(&before);
        Ok(handle)
    }

    pub(crate) const fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(crate) fn ice_servers(&self) -> &[String] {
        &self.ice_servers
    }

    pub(crate) const fn placement(&self) -> &Placement {
        &self.placement
    }

    pub(crate) const fn demo(&self) -> Option<&Demo> {
        self.demo.as_ref()
    }

    pub(crate) const fn webhooks(&self) -> &Webhooks {
        &self.webhooks
    }

    pub(crate) const fn fetcher(&self) -> &Arc<Fetcher> {
        &self.fetcher
    }

    pub(crate) const fn cameras(&self) -> &Cameras {
        &self.cameras
    }

    pub(crate) const fn sms(&self) -> Option<&Sms> {
        self.sms.as_ref()
    }

    pub(crate) fn public_url(&self) -> &str {
        &self.public_url
    }

    /// Consent receipts.
    pub(crate) const fn book(&self) -> &Arc<Book> {
        &self.book
    }

    pub(crate) const fn logins(&self) -> &Logins {
        &self.logins
    }
}

fn operator_token(config: &ControlConfig) -> Result<String, StartError> {
    let Some(path) = &config.operator_token_path else { return Ok(opaque()) };
    let kept = keep_or_make(path, || opaque().into_bytes());
    let kept = kept.map_err(|reason| StartError::File { setting: "operator token", path: path.clone(), reason })?;
    let text = String::from_utf8(kept).unwrap_or_default().trim().to_owned();
    // Sixteen characters of base64url are 96 bits: less could be guessed over the network.
    if text.len() < 16 {
        let wanted = "one line of at least 16 characters";
        return Err(StartError::Content { setting: "operator token", path: path.clone(), wanted });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use fanlight_wire::command::Whom;
    use fanlight_wire::policy::{Capabilities, Role};

    use super::testing::a_control;
    use super::*;
    use crate::mint::Client;
    use crate::particulars::Kind;
    use crate::policies::Bundle;

    fn home(group: &str) -> Home {
        let group = GroupId::new(group).expect("a legal id");
        let pinned = Arc::new(Numbered { version: 1, bundle: Bundle::default() });
        let counts = Counts::default();
        Home {
            shard: ShardId(0),
            group,
            created: 0,
            handle: [0; 32],
            counts,
            in_force: 1,
            pinned,
            roles: BTreeMap::new(),
            particulars: Arc::default(),
            enforced: Vec::new(),
            live: Live::default(),
            mirrors: BTreeSet::new(),
        }
    }

    #[test]
    fn a_ticket_of_an_older_epoch_or_another_group_is_revoked() {
        // G-54
        let control = a_control();
        let session = SessionId::from_bytes([1; 16]);
        control.passes.open(session);
        control.directory.insert(session, home("demo"));
        let visitor = || crate::routes::keys::visitor(Kind::Cobrowse, Client::Program);
        let guest = || Mint { role: Role::Guest, ..visitor() };
        let ticket = control.mint(&session, guest()).expect("a session");
        control.directory.insert(session, home("other"));
        let code = |ticket: &str| control.admit(ticket).map_err(|refusal| refusal.code);
        assert_eq!(code(&ticket), Err(Code::Ticket));
        control.directory.insert(session, home("demo"));
        let visitor = control.mint(&session, visitor()).expect("a session");
        control.revoke(&session, Whom::Everybody, Code::Ticket).expect("a session");
        assert_eq!(code(&ticket), Err(Code::Ticket));
        let newer = control.mint(&session, guest()).expect("a session");
        assert!(control.admit(&newer).is_ok() && control.admit(&visitor).is_ok());
    }

    #[test]
    fn documents_are_for_secure_pages_of_groups_whose_level_has_them() {
        // R056 R062 R064
        let control = a_control();
        let session = SessionId::from_bytes([1; 16]);
        control.passes.open(session);
        let has = |origin: Option<&str>, level: u16, role: Role| {
            let bundle = Bundle { feature_level: level, ..Bundle::default() };
            let pinned = Arc::new(Numbered { version: 1, bundle });
            control.directory.insert(session, Home { pinned, ..home("demo") });
            let (subject, name) = ("ann".to_owned(), "Ann".to_owned());
            let capabilities = Capabilities::from_bits(u32::MAX);
            let ticket = control.mint(&session, Mint { role, capabilities, subject, name, client: Client::of(origin) });
            let admission = control.admit(&ticket.expect("a session")).expect("a fresh ticket");
            admission.capabilities.contains(Capabilities::DOC)
        };
        for role in [Role::Visitor, Role::Agent] {
            for secure in ["https://shop.example", "http://localhost:8080", "http://127.0.0.1", "http://[::1]:1"] {
                assert!(has(Some(secure), 52, role), "{secure}");
                assert!(!has(Some(secure), 51, role), "{secure} at 5.1");
            }
            for other in [None, Some("http://shop.example"), Some("null"), Some(""), Some("http://localhost.evil")] {
                assert!(!has(other, 60, role), "{other:?}");
            }
        }
        assert!(!has(Some("https://shop.example"), 60, Role::Guest), "who only watches");
    }
}
