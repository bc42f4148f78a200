//! The listeners of a node: opened first, so that an occupied port is a start error, and served last.

use std::net::SocketAddr;
use std::sync::Arc;

use fanlight_control::Control;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::Addresses;
use crate::carrier::admit::Gate;
use crate::config::{Config, Listen, StartError};
use crate::drain::Drain;
use crate::edge::local::{About, Local};
use crate::edge::operator::Operator;
use crate::edge::public::Public;
pub(super) use crate::edge::public::WEBSOCKET_PATH;
use crate::edge::slots::Slots;
use crate::edge::{self, Listener};
use crate::statics::Statics;
use crate::telemetry::LogLevel;
use crate::tls::Certificates;

/// Open listeners that nobody serves yet.
#[derive(Debug)]
pub(super) struct Doors {
    http: Option<TcpListener>,
    https: Option<TcpListener>,
    operator: Option<TcpListener>,
    local: Option<TcpListener>,
}

/// What the doors hand requests to.
pub(super) struct Parts<'a> {
    pub(super) control: &'a Arc<Control>,
    pub(super) gate: Arc<Gate>,
    pub(super) drain: &'a Arc<Drain>,
    pub(super) log_level: LogLevel,
    pub(super) about: About,
    pub(super) slots: Arc<Slots>,
    /// Origins of the WebTransport endpoints.
    pub(super) webtransport: Vec<String>,
}

impl Doors {
    pub(super) fn open(config: &Config) -> Result<Self, StartError> {
        let open = |key: &str, listen: Listen| {
            let Some(address) = listen.0 else { return Ok(None) };
            let opened = edge::listen(address).map(Some);
            opened.map_err(|e| StartError::host(key, format!("{address} cannot be listened on ({e})")))
        };
        Ok(Self {
            http: open("public.http", config.public.http)?,
            https: open("public.https", config.public.https)?,
            operator: open("operator.listen", config.operator.listen)?,
            local: open("local.listen", config.local.listen)?,
        })
    }

    pub(super) fn addresses(&self) -> Addresses {
        let at = |listener: &Option<TcpListener>| -> Option<SocketAddr> { listener.as_ref()?.local_addr().ok() };
        Addresses { http: at(&self.http), https: at(&self.https), operator: at(&self.operator), local: at(&self.local) }
    }

    pub(super) fn serve(
        self,
        config: &Config,
        certificates: &Certificates,
        parts: Parts<'_>,
        stop: &watch::Receiver<bool>,
    ) -> Result<(), StartError> {
        let body_max = usize::try_from(config.limits.body.0).unwrap_or(usize::MAX);
        let public = |behind_proxy| {
            Arc::new(Public {
                control: Arc::clone(parts.control),
                gate: Arc::clone(&parts.gate),
                statics: Statics::new(&parts.webtransport, &config.public.embed_origins, config.demo_on()),
                body_max,
                behind_proxy,
            })
        };
        let operator =
            Arc::new(Operator { control: Arc::clone(parts.control), statics: Statics::new(&[], &[], false), body_max });
        let local = Arc::new(Local {
            control: Arc::clone(parts.control),
            drain: Arc::clone(parts.drain),
            log_level: parts.log_level,
            about: parts.about,
        });
        let counted = Some(parts.slots);
        if let Some(tcp) = self.http {
            // Behind a proxy all connections come from its one address.
            let slots = if config.public.behind_proxy { None } else { counted.clone() };
            let public = public(config.public.behind_proxy);
            tokio::spawn(edge::serve(Listener { tcp, tls: None, slots }, public, stop.clone()));
        }
        if let Some(tcp) = self.https {
            let tls = Some(TlsAcceptor::from(certificates.https_config()?));
            // Whoever comes by HTTPS comes by itself: the proxy ends TLS.
            tokio::spawn(edge::serve(Listener { tcp, tls, slots: counted.clone() }, public(false), stop.clone()));
        }
        if let Some(tcp) = self.operator {
            tokio::spawn(edge::serve(Listener { tcp, tls: None, slots: counted }, operator, stop.clone()));
        }
        if let Some(tcp) = self.local {
            // Not counted: probes must get through when the house is full.
            tokio::spawn(edge::serve(Listener { tcp, tls: None, slots: None }, local, stop.clone()));
        }
        Ok(())
    }
}
