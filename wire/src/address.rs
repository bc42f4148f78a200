//! Web addresses and the patterns that allow them: the one parser of the house (rules.md decision 8; G-71). The control
//! plane reads with it what administrators write, the engine what shares are said to show.
//!
//! Invariant: what is compared was parsed, by the WHATWG URL Standard (crate `url`), after everything that parsers are
//! known to disagree about was refused on the raw text. Never a prefix of a string, never a pixel (R055). Host names are
//! compared label by label in punycode, the path literally and case-sensitively, an underscore is a letter like others.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::limits::ADDRESS_BYTES_MAX;

/// Port of `https` where none is written.
const HTTPS: u16 = 443;
/// Octets of a DNS label and of a whole name (RFC 1035 §2.3.4).
const LABEL_BYTES_MAX: usize = 63;
const NAME_BYTES_MAX: usize = 253;
/// How a pattern for the hosts below a domain begins.
const WILDCARD: &str = "https://*.";

/// A parsed `https` address. Fragment and one trailing dot of the host are gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    host: Name,
    port: u16,
    /// Percent-encoding in one spelling; dot segments resolved.
    path: String,
    query: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Name {
    /// Lower case, punycode.
    Domain(String),
    /// As the standard writes it.
    Ip(String),
}

/// What an administrator allows: one address, or with a trailing `/*` everything at and below it, on one host or, with
/// `*.` as the whole left-most label, on each host one label below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    address: Address,
    subtree: bool,
    wildcard: bool,
}

/// Why a text is no address or no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}", self.sentence())]
#[serde(rename_all = "snake_case")]
pub enum Unfit {
    Empty,
    Long,
    Control,
    Space,
    Backslash,
    Scheme,
    Credentials,
    PercentInHost,
    Label,
    Asterisk,
    Unreadable,
    /// Of a pattern: a fragment never reaches a server.
    Fragment,
    /// Of a pattern: `*.` above, at or without a registrable domain.
    Suffix,
}

impl Unfit {
    /// For a person.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Empty => "Enter an address that begins with https://.",
            Self::Long => "The address is too long: at most 2 048 bytes.",
            Self::Control => "The address holds a control character. Type it anew instead of pasting it.",
            Self::Space => "The address begins or ends with a space. Remove it.",
            Self::Backslash => "The address holds a backslash, which browsers read differently. Use a slash.",
            Self::Scheme => "The address must begin with https:// and a host.",
            Self::Credentials => "The address holds an @ before its path. Addresses with user names are not taken.",
            Self::PercentInHost => "The host holds a percent sign. Write the host as it is shown in a browser.",
            Self::Label => "A part of the host between two dots is empty or longer than 63 characters.",
            Self::Asterisk => {
                "An asterisk may stand only as the whole left-most part of the host, or as /* at the end."
            }
            Self::Unreadable => "This is not an address that a browser could open.",
            Self::Fragment => "Leave out what follows the # sign: it cannot be checked.",
            Self::Suffix => "An asterisk must stand before a domain of one owner, such as *.shop.example.",
        }
    }
}

impl Address {
    /// Reads an address as a browser reports it.
    ///
    /// # Errors
    /// [`Unfit`] for anything but an unambiguous `https` address.
    pub fn parse(raw: &str) -> Result<Self, Unfit> {
        refuse_ambiguous(raw)?;
        let url = Url::parse(raw).map_err(|_| Unfit::Unreadable)?;
        if url.scheme() != "https" {
            return Err(Unfit::Scheme);
        }
        let host = match url.host().ok_or(Unfit::Unreadable)? {
            Host::Domain(name) => Name::Domain(domain(name)?),
            Host::Ipv4(ip) => Name::Ip(ip.to_string()),
            Host::Ipv6(ip) => Name::Ip(ip.to_string()),
        };
        let port = url.port().unwrap_or(HTTPS);
        if port == 0 {
            return Err(Unfit::Unreadable);
        }
        Ok(Self { host, port, path: one_spelling(url.path()), query: url.query().map(one_spelling) })
    }

    /// Lower case and punycode, without a trailing dot.
    pub fn host(&self) -> &str {
        match &self.host {
            Name::Domain(name) | Name::Ip(name) => name,
        }
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    /// As a request line has it.
    pub fn path_and_query(&self) -> String {
        self.query.as_ref().map_or_else(|| self.path.clone(), |query| format!("{}?{query}", self.path))
    }

    /// Does the host hold characters beyond ASCII, so that it may look like another one (promises D3)?
    pub fn is_international(&self) -> bool {
        self.host().split('.').any(|label| label.starts_with("xn--"))
    }

    /// The page alone: a query may hold what is nobody else's business.
    #[must_use]
    pub fn without_query(mut self) -> Self {
        self.query = None;
        self
    }

    /// In the one spelling, with what stands before the host and after the path.
    fn write(&self, f: &mut fmt::Formatter<'_>, before: &str, after: &str) -> fmt::Result {
        let Self { host, port, path, query } = self;
        let port = if *port == HTTPS { String::new() } else { format!(":{port}") };
        let host = match host {
            Name::Ip(ip) if ip.contains(':') => format!("[{ip}]"),
            Name::Ip(name) | Name::Domain(name) => name.clone(),
        };
        let query = query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
        write!(f, "https://{before}{host}{port}{path}{after}{query}")
    }
}

impl Pattern {
    /// Reads what an administrator typed.
    ///
    /// # Errors
    /// [`Unfit`] for what is no unambiguous `https` address, or allows more than one owner's hosts.
    pub fn parse(raw: &str) -> Result<Self, Unfit> {
        if raw.contains('#') {
            return Err(Unfit::Fragment);
        }
        let (address, wildcard) = match raw.split_at_checked(WILDCARD.len()) {
            Some((start, rest)) if start.eq_ignore_ascii_case(WILDCARD) => {
                (Address::parse(&format!("https://{rest}"))?, true)
            }
            Some(_) | None => (Address::parse(raw)?, false),
        };
        if wildcard {
            // At least one label below a public suffix: its owner speaks for everything below it.
            let Name::Domain(name) = &address.host else { return Err(Unfit::Suffix) };
            psl::domain_str(name).ok_or(Unfit::Suffix)?;
        }
        let subtree = address.path.ends_with("/*") && address.query.is_none();
        let path = if subtree { address.path.trim_end_matches('*').to_owned() } else { address.path.clone() };
        let query_has_one = address.query.as_ref().is_some_and(|query| query.contains('*'));
        if path.contains('*') || query_has_one {
            return Err(Unfit::Asterisk);
        }
        Ok(Self { address: Address { path, ..address }, subtree, wildcard })
    }

    /// Is this address allowed? A query counts only if the pattern has one.
    pub fn matches(&self, address: &Address) -> bool {
        self.matches_host(address)
            && self.address.port == address.port
            && self.matches_path(&address.path)
            && (self.address.query.is_none() || self.address.query == address.query)
    }

    /// Is this the host, or with a wildcard one of the hosts, that the pattern speaks of (R019)?
    pub fn matches_host(&self, address: &Address) -> bool {
        match (&self.address.host, &address.host) {
            (Name::Domain(mine), Name::Domain(theirs)) if self.wildcard => {
                theirs.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == mine)
            }
            (mine, theirs) => !self.wildcard && mine == theirs,
        }
    }

    pub fn is_international(&self) -> bool {
        self.address.is_international()
    }

    fn matches_path(&self, path: &str) -> bool {
        if !self.subtree {
            return self.address.path == path;
        }
        // `/help/*` is also `/help` itself, and never `/helpdesk`.
        let own = self.address.path.trim_end_matches('/');
        let Some(rest) = path.strip_prefix(own) else { return false };
        (rest.is_empty() || rest.starts_with('/')) && !climbs(rest)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, "", "")
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.write(f, if self.wildcard { "*." } else { "" }, if self.subtree { "*" } else { "" })
    }
}

impl TryFrom<String> for Address {
    type Error = Unfit;

    fn try_from(text: String) -> Result<Self, Unfit> {
        Self::parse(&text)
    }
}

impl TryFrom<String> for Pattern {
    type Error = Unfit;

    fn try_from(text: String) -> Result<Self, Unfit> {
        Self::parse(&text)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.to_string()
    }
}

/// Refuses on the raw text what parsers are known to read in different ways (promises 1.4, D2).
fn refuse_ambiguous(raw: &str) -> Result<(), Unfit> {
    if raw.is_empty() {
        return Err(Unfit::Empty);
    }
    if raw.len() > ADDRESS_BYTES_MAX {
        return Err(Unfit::Long);
    }
    if raw.chars().any(char::is_control) {
        return Err(Unfit::Control);
    }
    if raw.trim().len() != raw.len() {
        return Err(Unfit::Space);
    }
    if raw.contains('\\') {
        return Err(Unfit::Backslash);
    }
    let rest = match raw.split_at_checked("https://".len()) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https://") => rest,
        Some(_) | None => return Err(Unfit::Scheme),
    };
    if rest.is_empty() || rest.starts_with(['/', '?', '#', ':']) {
        return Err(Unfit::Scheme);
    }
    if rest.split('/').next().is_some_and(|before| before.contains('@')) {
        return Err(Unfit::Credentials);
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('%') {
        return Err(Unfit::PercentInHost);
    }
    if authority.contains('*') { Err(Unfit::Asterisk) } else { Ok(()) }
}

/// The name without one trailing dot, if its labels are such that every resolver could look them up.
fn domain(name: &str) -> Result<String, Unfit> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let legal = |label: &str| !label.is_empty() && label.len() <= LABEL_BYTES_MAX;
    if name.len() > NAME_BYTES_MAX || !name.split('.').all(legal) {
        return Err(Unfit::Label);
    }
    Ok(name.to_owned())
}

/// RFC 3986 §6.2.2: an encoded character that needs no encoding is written plainly, other encodings in upper case.
fn one_spelling(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok().filter(|_| is_hex(digits)));
        match byte {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => out.push(char::from(byte)),
            Some(byte) => out.push_str(&format!("%{byte:02X}")),
            None => out.push('%'),
        }
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    out.push_str(rest);
    out
}

fn is_hex(digits: &str) -> bool {
    digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

/// Would a server that decodes `%2F` or `%5C` before it resolves dots leave the subtree?
fn climbs(rest: &str) -> bool {
    rest.replace("%2F", "/").replace("%5C", "/").split('/').any(|segment| segment == ".." || segment == ".")
}

#[cfg(test)]
mod tests;
