//! Our own addresses as ICE candidates (RFC 8839 §5.1, RFC 6544 §4.5).

use str0m::Candidate;
use str0m::net::TcpType;

use super::PeerConfig;

/// UDP first, then TCP: the lower the preference, the later a client tries it.
pub(super) fn locals(config: &PeerConfig) -> Vec<Candidate> {
    let udp = config.udp.iter().map(|address| Candidate::builder().udp().host(*address).build());
    let tcp =
        config.tcp.iter().map(|address| Candidate::builder().tcp().host(*address).tcptype(TcpType::Passive).build());
    udp.chain(tcp).filter_map(Result::ok).collect()
}
