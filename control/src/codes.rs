//! Codes that an agent's page exchanges for a bearer after the identity provider has sent it back: good once, for
//! [`LOGIN_CODE_LIFE`], in the browser that began.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use fanlight_wire::limits::{IDENTITY_FLOWS_MAX, LOGIN_CODE_LIFE};
use fanlight_wire::{Code, Refusal};

use crate::locked;
use crate::presence::Login;
use crate::secrets::{Hash, opaque, sha256};

/// Codes that nobody has used yet.
#[derive(Debug, Default)]
pub(crate) struct Codes {
    held: Mutex<HashMap<Hash, Held>>,
}

#[derive(Debug)]
struct Held {
    login: Login,
    browser: Hash,
    until: Instant,
}

impl Codes {
    /// # Errors
    /// `E_OVERLOAD` when there are too many.
    pub(crate) fn issue(&self, (login, browser): (Login, Hash), now: Instant) -> Result<String, Refusal> {
        let mut held = locked(&self.held);
        held.retain(|_, held| now < held.until);
        if held.len() >= IDENTITY_FLOWS_MAX {
            return Err(Refusal::new(Code::Overload, "limits::IDENTITY_FLOWS_MAX"));
        }
        let text = opaque();
        held.insert(sha256(text.as_bytes()), Held { login, browser, until: now + LOGIN_CODE_LIFE });
        Ok(text)
    }

    /// Whose code this is; it is used by this, whoever shows it.
    pub(crate) fn redeem(&self, code: &str, browser: &Hash, now: Instant) -> Option<Login> {
        let held = locked(&self.held).remove(&sha256(code.as_bytes()))?;
        let same = verify_slices_are_equal(&held.browser, browser).is_ok();
        (now < held.until && same).then_some(held.login)
    }
}

#[cfg(test)]
mod tests {
    use fanlight_wire::GroupId;

    use super::*;
    use crate::control::testing::an_instant;

    #[test]
    fn a_code_is_good_once_in_its_own_browser_for_a_minute() {
        let (codes, now) = (Codes::default(), an_instant());
        let group = GroupId::new("demo").expect("a legal id");
        let login = Login { group, agent: "ann".into(), name: "Ann".into(), role: None };
        let issue = || codes.issue((login.clone(), [1; 32]), now).expect("room");
        let code = issue();
        assert_eq!(codes.redeem(&code, &[1; 32], now), Some(login.clone()));
        assert_eq!(codes.redeem(&code, &[1; 32], now), None, "once");
        let code = issue();
        assert_eq!(codes.redeem(&code, &[2; 32], now), None, "another browser");
        assert_eq!(codes.redeem(&code, &[1; 32], now), None, "and it is used up");
        assert_eq!(codes.redeem(&issue(), &[1; 32], now + LOGIN_CODE_LIFE), None);
    }
}
