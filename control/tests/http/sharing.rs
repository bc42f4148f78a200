//! What agents are shown to share, what they have opened, what they would have liked to share.

use fanlight_control::Door;
use fanlight_wire::command::Command;
use fanlight_wire::policy::{Capabilities, Masks, Policy, Surface};
use fanlight_wire::sites::Assurance;
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use crate::desk::{Answer, Desk};

const GOOD: &str = "https://www.good.example/returns";
const ABSENT: &str = "00000000000000000000000000000000";

fn bundle() -> Value {
    let link =
        |title: &str, url: &str, active: bool| json!({"kind": "link", "title": title, "url": url, "active": active});
    let document = |id: &str, roles: &[&str], active: bool| {
        json!({"id": id, "name": id, "url": "https://www.good.example/d", "roles": roles, "active": active,
               "download": false, "type": "pdf"})
    };
    json!({
        "sites": {
            "allowed": ["https://www.good.example/*"],
            "bookmarks": [
                link("Home", "https://www.good.example/", true),
                {"kind": "folder", "name": "Help", "active": true,
                 "links": [{"title": "Returns", "url": GOOD, "active": true}]},
                link("Off", "https://www.good.example/off", false),
            ],
        },
        "documents": {"links": [document("all", &[], true), document("sales", &["sales"], true), document("off", &[], false)]},
        "roles": {
            "sales": {"active": true, "escalate_to_show": true, "agent_surfaces": ["window"], "modes": ["view_only"]},
            "watch": {"active": true, "modes": ["view_only"]},
        },
    })
}

impl Desk {
    fn at(&self, session: &str, what: &str, bearer: Option<&str>, body: &Value) -> Answer {
        let path = format!("/v1/sessions/{session}/{what}");
        let method = if body.is_null() { Method::GET } else { Method::POST };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.ask(Door::Public, method, &path, bearer, &body)
    }

    fn menu(&self, session: &str, bearer: &str) -> Value {
        let answer = self.at(session, "shareable", Some(bearer), &Value::Null);
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        answer.body
    }

    /// An agent of this role; its token.
    fn hire(&self, agent: &str, role: Option<&str>) -> String {
        let put = json!({"name": agent, "role": role, "secret": "a secret of twelve"});
        let made = self.change(Method::PUT, &format!("/v1/groups/demo/agents/{agent}"), None, &put);
        assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
        let body = json!({"group": "demo", "agent": agent, "secret": "a secret of twelve"}).to_string();
        self.post("/v1/login", None, &body).text("token")
    }

    fn opened_with(&self) -> Vec<Policy> {
        let commands = self.shards.commands().into_iter();
        commands
            .filter_map(|(_, command)| match command {
                Command::Open { policy, .. } => Some(policy),
                _ => None,
            })
            .collect()
    }
}

fn titles(menu: &Value) -> Vec<String> {
    let title =
        |entry: &Value| entry["title"].as_str().or_else(|| entry["name"].as_str()).unwrap_or_default().to_owned();
    menu["bookmarks"].as_array().expect("a list").iter().map(title).collect()
}

fn ids(menu: &Value) -> Vec<&str> {
    menu["documents"].as_array().expect("a list").iter().filter_map(|one| one["id"].as_str()).collect()
}

#[test]
fn a_new_session_lists_what_is_published_and_an_old_one_does_not() {
    // R017, R025, R034, R036, R054
    let desk = Desk::new(true);
    let agent = desk.sign_in(0);
    let old = desk.visit().text("session");
    desk.publish(&bundle());
    let new = desk.visit().text("session");
    assert_eq!(titles(&desk.menu(&new, &agent)), ["Home", "Help"]);
    assert_eq!(desk.menu(&new, &agent)["bookmarks"][1]["links"], json!([{"title": "Returns", "url": GOOD}]));
    assert_eq!(desk.menu(&new, &agent)["sites"]["browser"], "proved");
    let pinned = desk.menu(&old, &agent);
    assert!(titles(&pinned).is_empty() && ids(&pinned).is_empty() && pinned.get("sites").is_none());
    // The shard of the new session judges by the same lists.
    let policies = desk.opened_with();
    let sites: Vec<bool> = policies.iter().map(|policy| policy.sites.are_on()).collect();
    assert_eq!(sites, [false, true]);
    let judged = |url| policies[1].sites.judge(Surface::Window, Some(url), Assurance::Stated).is_ok();
    assert!(judged(GOOD) && !judged("https://www.good.example/off"));
}

#[test]
fn a_session_runs_under_the_privacy_profile_of_its_engine() {
    // R153: there is one engine so far, and a wish for the other one is refused instead of being given the wrong profile.
    let desk = Desk::new(true);
    let mut rules = bundle();
    rules["privacy"] = json!({
        "instant": {"mask": [".instant"]},
        "advanced": {"everything": true, "block": ["#advanced"]},
    });
    desk.publish(&rules);
    desk.visit();
    let instant = Masks { mask: vec![".instant".into()], ..Masks::default() };
    assert_eq!(desk.opened_with()[0].masks, instant);
    let listed = desk.operate(Method::GET, "/v1/sessions", "").body;
    assert_eq!(listed["sessions"][0]["engine"], "instant");
    let advanced = desk.operate(Method::POST, "/v1/sessions", r#"{"group": "demo", "engine": "advanced"}"#);
    assert_eq!((advanced.code(), &advanced.body["rule"]), (Some("E_INPUT"), &json!("R153")));
    assert_eq!(desk.opened_with().len(), 1);
}

#[test]
fn what_is_enforced_leaves_the_menu_of_an_old_session() {
    let desk = Desk::new(true);
    let agent = desk.sign_in(0);
    desk.publish(&bundle());
    let session = desk.visit().text("session");
    let mut fewer = bundle();
    fewer["sites"]["bookmarks"][0]["active"] = json!(false);
    fewer["documents"]["links"] = json!([]);
    desk.publish(&fewer);
    assert_eq!(titles(&desk.menu(&session, &agent)), ["Home", "Help"], "publishing changes nothing here");
    desk.change(Method::POST, "/v1/groups/demo/policy/enforce", None, &Value::Null);
    let menu = desk.menu(&session, &agent);
    assert_eq!((titles(&menu), ids(&menu)), (vec!["Help".to_owned()], vec![]));
    desk.publish(&bundle());
    desk.change(Method::POST, "/v1/groups/demo/policy/enforce", None, &Value::Null);
    assert_eq!(titles(&desk.menu(&session, &agent)), ["Help"], "and nothing gives it back");
}

#[test]
fn a_menu_is_of_the_agents_role_and_the_groups_level() {
    // R007, R016, R056, R089, R095, R096, R101, R152
    let desk = Desk::new(true);
    desk.publish(&bundle());
    let (plain, sales, watch) = (desk.sign_in(0), desk.hire("sam", Some("sales")), desk.hire("wim", Some("watch")));
    let session = desk.visit().text("session");
    let menu = |bearer: &str| desk.menu(&session, bearer);
    assert_eq!(ids(&menu(&plain)), ["all"]);
    assert_eq!(ids(&menu(&sales)), ["all", "sales"]);
    assert_eq!(menu(&plain)["surfaces"], json!(["browser", "window"]), "a monitor can prove nothing");
    assert_eq!(menu(&sales)["surfaces"], json!(["window"]));
    assert_eq!((menu(&watch)["surfaces"].clone(), titles(&menu(&watch))), (json!([]), vec![]), "shows nothing");
    // R007: the same goes into the ticket.
    let key = json!({"key": desk.visit().text("key")}).to_string();
    let ticket = desk.post("/v1/join", Some(&sales), &key).text("ticket");
    let rights = desk.control.admit(&ticket).expect("a good ticket").capabilities;
    assert_eq!(rights.narrowed_to(Capabilities::SHOW_ANY), Capabilities::SHOW_WINDOW);

    let mut low = bundle();
    low["feature_level"] = json!(51);
    low["sites"]["bookmarks"] = json!([]);
    low["documents"]["links"] = json!([]);
    desk.publish(&low);
    let below = desk.menu(&desk.visit().text("session"), &plain);
    assert_eq!((titles(&below), ids(&below), below["surfaces"].clone()), (vec![], vec![], json!([])));
}

#[test]
fn only_a_bookmark_of_the_session_is_noted_as_opened() {
    // R019, R020, R037
    let desk = Desk::new(true);
    let agent = desk.sign_in(0);
    desk.publish(&bundle());
    let session = desk.visit().text("session");
    let open = |url: &str| desk.at(&session, "bookmarks", Some(&agent), &json!({"url": url}));
    assert_eq!(open(GOOD).status, StatusCode::NO_CONTENT);
    assert_eq!(
        open("https://WWW.good.example:443/returns").status,
        StatusCode::NO_CONTENT,
        "one address, two spellings"
    );
    for other in ["https://www.good.example/off", "https://www.good.example/other", "javascript:alert(1)", ""] {
        assert_eq!(open(other).code(), Some("E_SITE"), "{other}");
    }
}

#[test]
fn a_suggestion_waits_for_the_administrator_without_its_query() {
    // R054
    let desk = Desk::new(true);
    let agent = desk.sign_in(0);
    let session = desk.visit().text("session");
    let suggest = |url: &str| desk.at(&session, "suggestions", Some(&agent), &json!({"url": url}));
    for url in ["https://new.example/page?customer=7", "https://NEW.example/page#top"] {
        assert_eq!(suggest(url).status, StatusCode::NO_CONTENT);
    }
    assert_eq!(suggest("http://new.example/").code(), Some("E_INPUT"));
    let list = || desk.read("/v1/groups/demo/suggestions").body["suggestions"].clone();
    let listed = list();
    assert_eq!((listed.as_array().map(Vec::len), &listed[0]["url"]), (Some(1), &json!("https://new.example/page")));
    assert_eq!((&listed[0]["times"], &listed[0]["agent"]), (&json!(2), &json!("ann")));
    let remove = |group: &str, id: &Value| {
        desk.operate(Method::DELETE, &format!("/v1/groups/{group}/suggestions/{id}"), "").status
    };
    desk.operate(Method::POST, "/v1/groups", r#"{"group": "other", "name": "Other"}"#);
    assert_eq!(remove("other", &listed[0]["id"]), StatusCode::NOT_FOUND, "it is another group's");
    assert_eq!(remove("demo", &listed[0]["id"]), StatusCode::NO_CONTENT);
    assert_eq!(remove("demo", &listed[0]["id"]), StatusCode::NOT_FOUND);
    assert_eq!(list(), json!([]));
    assert_eq!(desk.operate(Method::GET, "/v1/groups/absent/suggestions", "").code(), Some("E_NOT_FOUND"));
}

#[test]
fn suggestions_of_a_group_are_bounded() {
    let desk = Desk::new(true);
    let agent = desk.sign_in(0);
    let session = desk.visit().text("session");
    let suggest = |n: usize| {
        let url = format!("https://n{n}.example/");
        desk.at(&session, "suggestions", Some(&agent), &json!({"url": url}))
    };
    for n in 0..fanlight_wire::limits::SUGGESTIONS_MAX {
        assert_eq!(suggest(n).status, StatusCode::NO_CONTENT, "{n}");
    }
    assert_eq!(suggest(1_000).code(), Some("E_FULL"));
    assert_eq!(suggest(0).status, StatusCode::NO_CONTENT, "one that is there is counted");
}

#[test]
fn absent_and_foreign_sessions_are_the_same_and_visitors_have_no_menu() {
    // G-52
    let desk = Desk::new(true);
    let agent = desk.sign_in(0);
    desk.operate(Method::POST, "/v1/groups", r#"{"group": "other", "name": "Other"}"#);
    let foreign = desk.operate(Method::POST, "/v1/sessions", r#"{"group": "other"}"#);
    let own = desk.visit();
    let url = json!({"url": GOOD});
    for (what, body) in [("shareable", &Value::Null), ("bookmarks", &url), ("suggestions", &url)] {
        let absent = desk.at(ABSENT, what, Some(&agent), body);
        assert_eq!((absent.status, absent.code()), (StatusCode::NOT_FOUND, Some("E_SESSION")), "{what}");
        for session in [foreign.text("session").as_str(), "x"] {
            assert_eq!(desk.at(session, what, Some(&agent), body), absent, "{what}");
        }
        let session = own.text("session");
        assert_eq!(desk.at(&session, what, None, body).code(), Some("E_LOGIN"));
        assert_eq!(desk.at(&session, what, Some(&own.text("handle")), body).code(), Some("E_ROLE"));
    }
}
