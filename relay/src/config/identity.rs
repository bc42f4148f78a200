//! The identity provider that administrators and agents sign in with.

use std::path::PathBuf;

use fanlight_control::{AgentRule, IdentityConfig};
use fanlight_wire::GroupId;
use fanlight_wire::host::is_secure;
use serde::{Deserialize, Serialize};

use super::StartError;

/// An OpenID Connect provider (`docs/identity.md`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// Empty: there is none.
    pub issuer: String,
    pub client_id: String,
    /// File with the client's secret; empty: a public client, protected by PKCE alone.
    pub client_secret_file: PathBuf,
    pub scope: String,
    /// The claim that names a person: what audit lines and histories say.
    pub subject: String,
    /// The claim that says what somebody belongs to: a name, or a JSON pointer such as `/realm_access/roles`.
    pub claim: String,
    /// Values of that claim that make an administrator of the console.
    pub admins: Vec<String>,
    /// How browsers reach the doors; empty: as the node itself says it.
    pub public_url: String,
    pub operator_url: String,
    /// Rules that hide less are put into production by another administrator than the one who saved them.
    pub four_eyes: bool,
    /// Values of that claim that make an agent; the first that fits counts.
    pub agents: Vec<IdentityAgent>,
}

/// Whoever belongs to `value` is an agent of `group`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityAgent {
    pub value: String,
    pub group: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            issuer: String::new(),
            client_id: String::new(),
            client_secret_file: PathBuf::new(),
            scope: "openid profile email".into(),
            subject: "sub".into(),
            claim: "groups".into(),
            admins: Vec::new(),
            public_url: String::new(),
            operator_url: String::new(),
            four_eyes: true,
            agents: Vec::new(),
        }
    }
}

impl Identity {
    pub(super) fn check(&self) -> Result<(), StartError> {
        let refused = |key: &str, problem: &str| Err(StartError::config(format!("identity.{key}"), problem));
        if self.issuer.is_empty() {
            return Ok(());
        }
        for (key, url) in
            [("issuer", &self.issuer), ("public_url", &self.public_url), ("operator_url", &self.operator_url)]
        {
            if !url.is_empty() && !is_secure(url) {
                return refused(key, "must be an https:// address; plain http:// is for this very machine only");
            }
        }
        if self.client_id.is_empty() {
            return refused("client_id", "the provider knows this node by an id; register one and write it here");
        }
        if !self.scope.split(' ').any(|word| word == "openid") {
            return refused("scope", "must hold \"openid\"");
        }
        if self.subject.is_empty() || self.claim.is_empty() {
            return refused("subject", "identity.subject and identity.claim must name claims");
        }
        if self.admins.is_empty() && self.agents.is_empty() {
            return refused("admins", "nobody could sign in; name values of the claim in admins or agents");
        }
        for rule in &self.agents {
            let role = rule.role.as_ref().is_some_and(|role| GroupId::new(role.clone()).is_err());
            if GroupId::new(rule.group.clone()).is_err() || role {
                return refused("agents", "group and role must be 1 to 64 characters of a-z, 0-9 and -");
            }
        }
        Ok(())
    }

    /// What control is given, with the doors' own addresses where none are written.
    pub(crate) fn settings(&self, public_url: &str, operator_url: &str) -> Option<IdentityConfig> {
        if self.issuer.is_empty() {
            return None;
        }
        let or = |text: &str, own: &str| if text.is_empty() { own.to_owned() } else { text.to_owned() };
        let rules = self.agents.iter().filter_map(|rule| {
            let group = GroupId::new(rule.group.clone()).ok()?;
            Some(AgentRule { value: rule.value.clone(), group, role: rule.role.clone() })
        });
        Some(IdentityConfig {
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            client_secret_path: Some(self.client_secret_file.clone()).filter(|path| !path.as_os_str().is_empty()),
            scope: self.scope.clone(),
            subject: self.subject.clone(),
            claim: self.claim.clone(),
            admins: self.admins.clone(),
            agents: rules.collect(),
            public_url: or(&self.public_url, public_url),
            operator_url: or(&self.operator_url, operator_url),
            four_eyes: self.four_eyes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[test]
    fn a_provider_is_named_whole_or_not_at_all() {
        let parse = |text: &str| Config::parse(&format!("[identity]\n{text}")).map_err(|error| error.to_string());
        let good = "issuer = \"https://id.example\"\nclient_id = \"fanlight\"\nadmins = [\"admins\"]\n\
                    [[identity.agents]]\nvalue = \"desk\"\ngroup = \"support\"\nrole = \"senior\"\n";
        let config = parse(good).expect("whole");
        let settings = config.identity.settings("https://relay.example", "http://127.0.0.1:7780").expect("a provider");
        assert_eq!((settings.public_url.as_str(), settings.agents.len()), ("https://relay.example", 1));
        assert_eq!(Config::parse(&config.to_toml()), Ok(config));
        assert!(parse("").expect("none").identity.settings("", "").is_none());
        let bad = [
            (good.replace("https://id.example", "http://id.example"), "identity.issuer"),
            (good.replace("https://id.example", "http://127.0.0.1.evil.example"), "identity.issuer"),
            (good.replace("https://id.example", "http://localhost:x@evil.example"), "identity.issuer"),
            (good.replace("\"fanlight\"", "\"\""), "identity.client_id"),
            (good.replace("\"support\"", "\"No Group\""), "identity.agents"),
            (format!("scope = \"email\"\n{good}"), "identity.scope"),
            (format!("operator_url = \"http://relay.example\"\n{good}"), "identity.operator_url"),
            ("issuer = \"https://id.example\"\nclient_id = \"x\"\n".to_owned(), "identity.admins"),
        ];
        for (text, key) in bad {
            assert!(parse(&text).expect_err(key).starts_with(key), "{text}");
        }
        for own in ["http://127.0.0.1:4000", "http://localhost/realms/a", "http://[::1]:4000"] {
            assert!(parse(&good.replace("https://id.example", own)).is_ok(), "{own}");
        }
    }
}
