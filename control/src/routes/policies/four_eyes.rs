//! Two people lower what is hidden: a version that hides less of visitors' pages than the one in production goes there by
//! another administrator than the one who saved it (promises 3.1, 3.2).
//!
//! The operator's token is nobody in particular, and whoever has it has the whole node; it is held to nothing here, and the
//! history names it.

use fanlight_wire::{Code, GroupId, Refusal};

use super::Inquiry;
use crate::control::Control;
use crate::identity::Identity;
use crate::policies::Bundle;
use crate::policies::lowered::lowered;
use crate::presence::Caller;
use crate::store::policies::{self as kept, Head, Version};

/// # Errors
/// `E_ROLE` for who has saved what would lower the group's masks.
pub(super) async fn four_eyes(
    control: &Control,
    inquiry: &Inquiry<'_>,
    group: &GroupId,
    version: &Version,
) -> Result<(), Refusal> {
    let Caller::Admin(admin) = &inquiry.asked.caller else { return Ok(()) };
    if version.who != admin.subject || !control.identity().is_some_and(Identity::wants_four_eyes) {
        return Ok(());
    }
    let group = group.clone();
    let now = control.store().ask(move |connection| kept::headed(connection, &group, Head::Production)).await?;
    let Some((_, now)) = now else { return Ok(()) };
    let [before, after] = [&now, version].map(|version| serde_json::from_str::<Bundle>(&version.bundle));
    // What cannot be compared may be anything.
    let place = match (before, after) {
        (Ok(before), Ok(after)) => lowered(&before.privacy, &after.privacy),
        _ => Some("/privacy".into()),
    };
    let Some(place) = place else { return Ok(()) };
    let sentence = format!(
        "This version hides less of visitors' pages ({place}). Another administrator than the one who has saved it has to \
         put it into production."
    );
    Err(Refusal::new(Code::Role, "docs/identity.md").saying(sentence))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use bytes::Bytes;
    use hyper::header::HeaderValue;
    use hyper::{Method, Request, Response, StatusCode};
    use serde_json::{Value, json};

    use super::*;
    use crate::admins::Admin;
    use crate::config::{ControlConfig, IdentityConfig};
    use crate::control::testing::control_of;
    use crate::http::Door;

    const STAGING: &str = "/v1/groups/shop/policy/staging";
    const PRODUCTION: &str = "/v1/groups/shop/policy/production";

    type Wish = (Method, &'static str, Option<&'static str>);

    const SAVE: Wish = (Method::PUT, STAGING, Some(STAGING));
    const PUBLISH: Wish = (Method::POST, "/v1/groups/shop/policy/publish", Some(PRODUCTION));
    const BACK: Wish = (Method::POST, "/v1/groups/shop/policy/rollback", Some(PRODUCTION));

    fn house(four_eyes: bool) -> Arc<Control> {
        let identity = IdentityConfig {
            issuer: "https://id.example".into(),
            client_id: "fanlight".into(),
            client_secret_path: None,
            scope: "openid".into(),
            subject: "sub".into(),
            claim: "groups".into(),
            admins: vec!["admins".into()],
            agents: Vec::new(),
            public_url: "https://relay.example".into(),
            operator_url: "https://admin.example".into(),
            four_eyes,
        };
        control_of(&ControlConfig { identity: Some(identity), ..ControlConfig::default() })
    }

    fn signed_in(control: &Control, subject: &str) -> String {
        let admin = Admin { subject: subject.into(), name: subject.into() };
        control.admins().sign_in(admin, control.clock().now()).expect("room")
    }

    /// As the console asks for one administrator, who has just looked at `head`.
    async fn ask(control: &Control, who: &str, (method, path, head): Wish, body: Value) -> (StatusCode, Value) {
        let seen = match head {
            Some(head) => {
                send(control, who, (Method::GET, head), None, String::new()).await.headers().get("etag").cloned()
            }
            None => None,
        };
        let answer = send(control, who, (method, path), seen, body.to_string()).await;
        (answer.status(), serde_json::from_slice(answer.body()).unwrap_or_default())
    }

    async fn send(
        control: &Control,
        who: &str,
        (method, path): (Method, &str),
        seen: Option<HeaderValue>,
        body: String,
    ) -> Response<Bytes> {
        let mut request = Request::builder().method(method).uri(path).header("host", "admin.example");
        request = request.header("origin", "https://admin.example").header("cookie", format!("fanlight_admin={who}"));
        if let Some(seen) = seen {
            request = request.header("if-match", seen);
        }
        let request = request.body(Bytes::from(body)).expect("a request");
        control.handle(Door::Operator, request, Ipv4Addr::LOCALHOST.into()).await
    }

    async fn story(four_eyes: bool, alone: StatusCode) {
        let control = house(four_eyes);
        let (ada, ben) = (signed_in(&control, "ada"), signed_in(&control, "ben"));
        let made =
            ask(&control, &ada, (Method::POST, "/v1/groups", None), json!({"group": "shop", "name": "Shop"})).await;
        assert_eq!(made.0, StatusCode::CREATED, "{}", made.1);
        let save_all = async |who: &str, rules: Value| {
            let saved = ask(&control, who, SAVE, json!({"bundle": {"privacy": {"instant": rules}}})).await;
            assert_eq!(saved.0, StatusCode::OK, "{}", saved.1);
        };
        let save = async |who: &str, mask: &[&str]| save_all(who, json!({"mask": mask})).await;
        let publish = async |who: &str| ask(&control, who, PUBLISH, json!({})).await;
        save_all(&ada, json!({"unmask": ["input"]})).await;
        let refused = publish(&ada).await;
        assert_eq!(refused.0, alone, "what opens fields, from the first version on: {}", refused.1);
        save(&ada, &[".card", ".name"]).await;
        assert_eq!(publish(&ada).await.0, StatusCode::OK, "hiding more takes one");
        save(&ada, &[".card"]).await;
        let refused = publish(&ada).await;
        assert_eq!(refused.0, alone, "{}", refused.1);
        if !four_eyes {
            return;
        }
        let sentence = refused.1["detail"].as_str().expect("a sentence");
        assert!(sentence.contains("/privacy/instant/mask"), "{sentence}");
        assert_eq!(publish(&ben).await.0, StatusCode::OK, "the second person");
        save(&ben, &[".card", ".name"]).await;
        assert_eq!(publish(&ben).await.0, StatusCode::OK);
        let back = async |who: &str| ask(&control, who, BACK, json!({})).await.0;
        assert_eq!(back(&ada).await, StatusCode::FORBIDDEN, "going back to it is no way round");
        assert_eq!(back(&ben).await, StatusCode::OK);
    }

    #[test]
    fn two_people_lower_what_is_hidden() {
        // R154
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(story(true, StatusCode::FORBIDDEN));
        runtime.block_on(story(false, StatusCode::OK));
    }
}
