//! Hosts as clients, proxies and configurations name them: which ones are this very machine, and what counts as one
//! source of traffic. One answer for the whole house, because two parsers that disagree are a hole.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The host of `host[:port]`, without the brackets of an IPv6 address; `None` when it is anything else.
pub fn name_of(authority: &str) -> Option<&str> {
    let (name, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once(']')?;
            (name, port.strip_prefix(':').or_else(|| port.is_empty().then_some(""))?)
        }
        None => authority.split_once(':').unwrap_or((authority, "")),
    };
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':');
    (!name.is_empty() && name.bytes().all(legal) && port.bytes().all(|b| b.is_ascii_digit())).then_some(name)
}

/// Is this the name of this very machine? An address is parsed: `127.evil.example` only looks like one.
pub fn is_loopback(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        || name.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback())
}

/// May codes, tokens and documents travel to this URL or origin? By `https`, or by `http` within this very machine: what
/// browsers take for a secure context (W3C Secure Contexts §3.1).
pub fn is_secure(url: &str) -> bool {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let name = name_of(rest.split('/').next().unwrap_or_default());
    name.is_some_and(|name| scheme == "https" || (scheme == "http" && is_loopback(name)))
}

/// The address that budgets and places are counted for: an IPv6 host owns its whole /64, so that is one source here.
pub fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_few_names() {
        for name in ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "::1"] {
            assert!(is_loopback(name), "{name}");
        }
        for name in ["127.evil.example", "127.0.0.1.evil", "localhost.evil", "10.0.0.1", "::2", "[::1]", "127.1", ""] {
            assert!(!is_loopback(name), "{name}");
        }
    }

    #[test]
    fn a_host_is_read_one_way() {
        let cases = [
            ("relay.example", Some("relay.example")),
            ("relay.example:7700", Some("relay.example")),
            ("[::1]:7700", Some("::1")),
            ("[::1]", Some("::1")),
            ("127.0.0.1@evil", None),
            ("evil:x", None),
            ("[::1]evil", None),
            ("", None),
        ];
        for (authority, name) in cases {
            assert_eq!(name_of(authority), name, "{authority}");
        }
    }

    #[test]
    fn plain_text_stays_within_the_machine() {
        for url in ["https://a.example", "https://a.example:8443/x", "http://localhost:4000/realm", "http://[::1]:1"] {
            assert!(is_secure(url), "{url}");
        }
        for url in [
            "http://a.example",
            "http://localhost:x@evil.example",
            "http://127.0.0.1.evil.example",
            "https://",
            "https://me@a.example",
            "ftp://localhost",
            "localhost",
            "",
        ] {
            assert!(!is_secure(url), "{url}");
        }
    }

    #[test]
    fn one_host_is_one_source() {
        let source = |text: &str| source_of(text.parse().expect("an address"));
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:2"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
    }
}
