//! The WebTransport endpoints of a node: sockets opened first, because clients are told their ports, and served by the
//! shards' own threads. They listen on the first media address.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fanlight_control::{ConnectInfo, WebTransportInfo};
use fanlight_wire::ShardId;
use tokio::sync::watch;

use super::doors::WEBSOCKET_PATH;
use crate::carrier::admit::Gate;
use crate::carrier::quic::{self, PATH, QuicConfig};
use crate::config::{Config, StartError, port_of};
use crate::edge::slots::Slots;
use crate::shard::Companion;
use crate::tls::Certificates;

/// Open sockets that nobody serves yet, one per shard; none when WebTransport is off.
#[derive(Debug)]
pub(super) struct Endpoints {
    sockets: Vec<UdpSocket>,
    host: String,
    ports: Vec<u16>,
}

impl Endpoints {
    pub(super) fn open(config: &Config, shards: u8) -> Result<Self, StartError> {
        let mut endpoints = Self { sockets: Vec::new(), host: config.public_host(), ports: Vec::new() };
        let Some(address) = config.media.addresses.first().filter(|_| config.quic.enabled) else {
            return Ok(endpoints);
        };
        for n in 0..shards {
            let address = SocketAddr::new(address.bind(), port_of(config.quic.base_port, ShardId(n)));
            let failed = |e| StartError::host("quic.base_port", format!("{address}/udp cannot be had ({e})"));
            let socket = quic::bind(address).map_err(failed)?;
            endpoints.ports.push(socket.local_addr().map_err(failed)?.port());
            endpoints.sockets.push(socket);
        }
        Ok(endpoints)
    }

    /// Origins of all endpoints, which pages must be allowed to connect to.
    pub(super) fn origins(&self) -> Vec<String> {
        self.ports.iter().map(|port| origin(&self.host, *port)).collect()
    }

    /// Where a client of a shard connects. Asked anew for each client, because the certificate changes.
    pub(super) fn connect(
        &self,
        certificates: Arc<Certificates>,
    ) -> impl Fn(ShardId) -> ConnectInfo + Send + Sync + use<> {
        let (host, ports) = (self.host.clone(), self.ports.clone());
        move |shard| ConnectInfo {
            websocket: WEBSOCKET_PATH.into(),
            webtransport: ports.get(usize::from(shard.0)).map(|port| WebTransportInfo {
                url: origin(&host, *port) + PATH,
                hashes: certificates.hashes().iter().map(|hash| STANDARD.encode(hash)).collect(),
            }),
        }
    }

    /// What serves them, one per shard.
    pub(super) fn companions(
        self,
        certificates: &Certificates,
        gate: &Arc<Gate>,
        slots: &Arc<Slots>,
        stop: &watch::Receiver<bool>,
    ) -> Result<Vec<Companion>, StartError> {
        let tls = certificates.quic_config()?;
        let companion = |socket| {
            let (tls, gate, slots, stop) = (Arc::clone(&tls), Arc::clone(gate), Arc::clone(slots), stop.clone());
            companion(QuicConfig { socket, tls, gate, slots, stop })
        };
        Ok(self.sockets.into_iter().map(companion).collect())
    }
}

fn companion(config: QuicConfig) -> Companion {
    Box::new(move |shard| {
        Box::pin(async move {
            if let Err(error) = quic::serve(config).await {
                let shard = shard.shard().0;
                tracing::error!(shard, %error, "WebTransport is off; clients fall back to WebSocket");
            }
        })
    })
}

fn origin(host: &str, port: u16) -> String {
    format!("https://{host}:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shard_has_its_own_port_and_a_node_may_have_none() {
        let config = Config::parse("[public]\nhost = \"[::1]\"\n[quic]\nbase_port = 0\n").expect("good");
        let endpoints = Endpoints::open(&config, 3).expect("free ports");
        let mut origins = endpoints.origins();
        assert!(origins.iter().all(|origin| origin.starts_with("https://[::1]:") && !origin.ends_with(":0")));
        origins.dedup();
        assert_eq!(origins.len(), 3);
        let off = Config::parse("[quic]\nenabled = false\n").expect("good");
        assert!(Endpoints::open(&off, 3).expect("nothing to open").origins().is_empty());
    }
}
