//! The control plane: who may create, find, join and end a session, by which rules, and what is kept about it.
//!
//! Owns the HTTP API, the directory of sessions, keys and tickets, sign-ins, presence and invites, groups' rules, the store with
//! reports and receipts, webhooks and metrics. It is called from the relay's edge runtime and never from a shard: a shard gets
//! [`fanlight_wire::command::Command`]s and gives [`fanlight_wire::report::Report`]s. If everything here stalls, running sessions go on with what they know.
//!
//! It leaves sockets, TLS, static files and body limits to the relay, and every decision inside a session to the engine.

mod admins;
mod audit;
mod bearers;
mod budget;
mod cameras;
mod codes;
mod config;
mod control;
mod directory;
mod fetcher;
mod http;
mod identity;
mod invites;
mod keys;
mod leases;
mod links;
mod live;
mod lobby;
pub mod metrics;
mod mint;
mod openapi;
mod origins;
mod particulars;
mod passes;
mod placement;
mod policies;
mod presence;
pub mod receipts;
mod reports;
mod revoke;
mod routes;
mod secrets;
mod servers;
mod sms;
mod store;
mod tokens;
mod visitors;
mod watchers;
mod webhooks;

pub use config::{
    AgentRule, Asking, Clock, ConnectInfo, ControlConfig, Hooks, IdentityConfig, ShardLink, StartError,
    WebTransportInfo,
};
pub use control::Control;
pub use fetcher::Outbound;
pub use http::{Door, serves};
pub use metrics::Metrics;
pub use mint::{Client, Mint};
pub use sms::SmsConfig;
pub use store::{BackupError, backup};
pub use visitors::PageId;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The guard of a short critical section. A panic while it was held cannot leave these maps half-changed in a way that
/// matters more than keeping the control plane up.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
