//! The table of addresses and patterns (G-71), and what holds of any text.

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Table {
    addresses: Vec<Read>,
    patterns: Vec<Shown>,
    matches: Vec<Matched>,
}

#[derive(Deserialize)]
struct Read {
    raw: String,
    /// Scheme and host as another implementation of the WHATWG standard (Node.js) reads them; `None` if it refuses.
    whatwg: Option<String>,
    host: Option<String>,
    refused: Option<Unfit>,
}

#[derive(Deserialize)]
struct Shown {
    pattern: String,
    shown: Option<String>,
    refused: Option<Unfit>,
}

#[derive(Deserialize)]
struct Matched {
    pattern: String,
    address: String,
    allowed: bool,
    why: String,
}

/// Where the two parsers are known to differ.
const EMPTY_PUNYCODE: [&str; 2] = ["https://xn--example-.org/", "https://xn--/"];

fn table() -> Table {
    serde_json::from_str(include_str!("../../../tests/vectors/addresses.json")).expect("the table is JSON")
}

#[test]
fn every_vector_is_decided_as_written() {
    // G-71, R055
    let Table { addresses, patterns, matches } = table();
    assert!(addresses.len() + patterns.len() + matches.len() >= 150, "the whole table was read");
    for Read { raw, host, refused, .. } in &addresses {
        let read = Address::parse(raw);
        let found = (read.as_ref().ok().map(|address| address.host().to_owned()), read.as_ref().err().copied());
        assert_eq!(found, (host.clone(), *refused), "{raw:?}");
    }
    for address in addresses.iter().filter_map(|row| Address::parse(&row.raw).ok()) {
        let text = String::from(address.clone());
        assert_eq!(Address::try_from(text), Ok(address), "its own spelling reads back");
    }
    for pattern in patterns.iter().filter_map(|row| Pattern::parse(&row.pattern).ok()) {
        let text = String::from(pattern.clone());
        assert_eq!(Pattern::try_from(text), Ok(pattern), "its own spelling reads back");
    }
    for Shown { pattern, shown, refused } in &patterns {
        let read = Pattern::parse(pattern);
        let found = (read.as_ref().ok().map(ToString::to_string), read.as_ref().err().copied());
        assert_eq!(found, (shown.clone(), *refused), "{pattern:?}");
    }
    for Matched { pattern, address, allowed, why } in &matches {
        let rule = Pattern::parse(pattern).unwrap_or_else(|unfit| panic!("{pattern}: {unfit:?}"));
        let found = Address::parse(address).is_ok_and(|address| rule.matches(&address));
        assert_eq!(found, *allowed, "{pattern} and {address}: {why}");
    }
}

#[test]
fn another_reader_of_the_standard_reads_the_same() {
    // G-71: whatever is accepted has the host that a browser would go to; whatever differs was refused by a named rule.
    for Read { raw, whatwg, refused, .. } in table().addresses {
        let ours =
            Url::parse(&raw).ok().map(|url| format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default()));
        // RUSTSEC-2024-0421: an empty punycode label is refused here and taken for a plain one there.
        let explained = ours.is_none() && EMPTY_PUNYCODE.contains(&raw.as_str());
        assert!(explained || ours == whatwg, "{raw:?}: {ours:?} here, {whatwg:?} there");
        let Ok(address) = Address::parse(&raw) else {
            assert!(refused.is_some());
            continue;
        };
        let theirs = whatwg.unwrap_or_else(|| panic!("{raw:?} is accepted, and refused by a browser"));
        let theirs = theirs.trim_start_matches("https://").trim_matches(['[', ']']).trim_end_matches('.');
        match (&address.host, address.host().parse::<std::net::IpAddr>()) {
            (Name::Ip(_), Ok(ip)) => assert_eq!(theirs.parse(), Ok(ip), "{raw:?}"),
            (_, _) => assert_eq!(address.host(), theirs, "{raw:?}"),
        }
    }
}

#[test]
fn a_host_beyond_ascii_can_be_told() {
    let international = |raw: &str| Address::parse(raw).is_ok_and(|address| address.is_international());
    assert!(international("https://аpple.example/"));
    assert!(!international("https://apple.example/"));
}

proptest! {
    #[test]
    fn no_text_is_too_strange(raw in "\\PC{0,60}", tail in "[a-z0-9@:/\\\\%.*?#\u{3002}\u{ad}-]{0,40}") {
        for text in [raw.clone(), format!("https://{raw}"), format!("https://{tail}"), format!("https://good.example{tail}")] {
            let address = Address::parse(&text);
            let pattern = Pattern::parse(&text);
            if let (Ok(address), Ok(pattern)) = (&address, &pattern) {
                prop_assert!(pattern.subtree || pattern.wildcard || pattern.matches(address), "{text:?} is itself");
            }
            if let Ok(pattern) = pattern {
                prop_assert_eq!(Pattern::parse(&pattern.to_string()), Ok(pattern.clone()), "{:?}", text);
            }
        }
    }

    #[test]
    fn what_is_allowed_is_on_the_host(host in "[a-z]{1,5}\\.[a-z]{1,5}", path in "[a-zA-Z0-9/%._~-]{0,20}") {
        let rule = Pattern::parse("https://good.example/*").expect("a pattern");
        let address = format!("https://{host}/{path}");
        let allowed = Address::parse(&address).is_ok_and(|address| rule.matches(&address));
        prop_assert!(!allowed || host == "good.example", "{}", address);
    }
}
