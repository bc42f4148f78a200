//! Wishes and the rules that decide them.

use serde_json::{Value, json};

use super::*;
use crate::policies::check::check;

fn bundle(document: &Value) -> Bundle {
    check(document).expect("may be saved").bundle
}

fn decided(bundle: &Bundle, role: Option<&str>, wish: Value) -> (bool, &'static str) {
    let wish = serde_json::from_value(wish).expect("a wish");
    match judge(bundle, role, &wish) {
        Verdict { allowed, rule: Cow::Borrowed(rule), .. } => (allowed, rule),
        Verdict { rule, .. } => panic!("a rule made up on the way: {rule}"),
    }
}

#[test]
fn a_tab_only_group_refuses_windows_and_monitors() {
    // R007, R047, R050
    let bundle = bundle(&json!({"sharing": {"agent_surfaces": ["browser"]}}));
    let share = |surface: Value| decided(&bundle, None, json!({"ask": "share", "side": "agent", "surface": surface}));
    assert_eq!(share(json!("browser")), (true, "R006"));
    assert_eq!(share(json!("window")), (false, "R007"));
    assert_eq!(share(json!("monitor")), (false, "R007"));
    assert_eq!(share(Value::Null), (false, "R007"));
}

#[test]
fn an_address_must_be_allowed_sure_and_for_a_bookmark_listed() {
    // R004, R020, R052, rules.md decision 8
    let bookmark = |url: &str, active: bool| json!({"kind": "link", "title": "T", "url": url, "active": active});
    let bundle = bundle(&json!({"sites": {
        "allowed": ["https://good.example/*"],
        "bookmarks": [bookmark("https://good.example/a", true), bookmark("https://good.example/b", false)],
    }}));
    let share = |url: &str, surface: &str| {
        let wish = json!({"ask": "share", "side": "agent", "surface": surface, "url": url});
        decided(&bundle, None, wish)
    };
    assert_eq!(share("https://good.example/anything_at_all", "browser"), (true, "R006"));
    for surface in ["browser", "window"] {
        assert_eq!(share("https://evil.example/", surface), (false, "R052"));
        assert_eq!(share("https://good.example@evil.example/", surface), (false, "G-71"));
        assert_eq!(share("https://good.example/a", surface), (true, "R006"));
    }
    assert_eq!(share("https://good.example/b", "window"), (false, "R020"), "a bookmark that is not active");
    assert_eq!(share("https://good.example/anything_at_all", "window"), (false, "R020"));
    let guess = json!({"ask": "share", "side": "agent", "surface": "browser", "assurance": "stated"});
    assert_eq!(decided(&bundle, None, guess), (false, "rules decision 8"));
    let monitor = json!({"ask": "share", "side": "agent", "surface": "monitor"});
    assert_eq!(decided(&bundle, None, monitor), (false, "rules decision 8"));
}

#[test]
fn a_role_is_named_when_it_decides() {
    // R152
    let bundle = bundle(&json!({"roles": {"sales": {"active": true, "modes": ["view_only"]}}}));
    let share = json!({"ask": "share", "side": "agent", "surface": "window"});
    assert_eq!(decided(&bundle, None, share.clone()), (true, "R006"));
    assert_eq!(decided(&bundle, Some("sales"), share), (false, "R152"));
    let mode = |mode: &str| json!({"ask": "mode", "mode": mode});
    assert_eq!(decided(&bundle, Some("sales"), mode("view_only")), (true, "R155"));
    assert_eq!(decided(&bundle, Some("sales"), mode("view_pointer")), (false, "R152"));
    assert_eq!(decided(&bundle, None, mode("full_control")), (false, "R155"));
    assert_eq!(decided(&bundle, None, mode("true_pointer")), (false, "R163"));
    let advanced = json!({"ask": "mode", "mode": "true_pointer", "engine": "advanced"});
    assert_eq!(decided(&bundle, None, advanced), (true, "R155"));
}

#[test]
fn levels_and_switches_decide_before_details() {
    // R005, R041, R043, R056, R142
    let view = json!({"ask": "share", "side": "visitor"});
    let paper = json!({"ask": "document", "side": "agent"});
    let at = |document: Value, wish: &Value| decided(&bundle(&document), None, wish.clone());
    assert_eq!(at(json!({"feature_level": 55}), &view), (false, "R041"));
    assert_eq!(at(json!({"sharing": {"escalate_to_view": false}}), &view), (false, "R043"));
    assert_eq!(at(json!({"sharing": {"visitor_surfaces": ["window"]}}), &view), (false, "R046"));
    assert_eq!(at(json!({"feature_level": 51}), &paper), (false, "R056"));
    assert_eq!(at(json!({"feature_level": 52}), &json!({"ask": "share", "side": "agent"})), (false, "R005"));
    assert_eq!(at(json!({"cobrowse_enabled": false}), &view), (false, "R142"));
}

#[test]
fn what_may_be_saved_has_a_size_and_what_is_only_seen_has_none() {
    // R057, R058, R061, R066–R068: the blank row of the source is the visitor's; the stricter of two levels wins.
    let saving = json!({"documents": {"visitor_may_save": true, "agent_may_save": true}});
    for side in ["agent", "visitor"] {
        let file = |bytes: u64, save: bool| json!({"ask": "document", "side": side, "bytes": bytes, "save": save});
        let judged = |document: &Value, wish: Value| decided(&bundle(document), None, wish);
        assert_eq!(judged(&saving, file(5_000_000, true)), (true, "R057"), "{side}");
        assert_eq!(judged(&saving, file(5_000_001, true)), (false, "R067"), "{side}");
        assert_eq!(judged(&saving, file(u64::MAX, false)), (true, "R057"), "{side}: view only has no limit");
        assert!(!judged(&json!({}), file(1, true)).0, "{side}: saving is off until it is switched on");
        let at = |level: u16| json!({"feature_level": level});
        assert_eq!(judged(&at(51), file(1, false)), (false, "R056"), "{side}");
        assert_eq!(judged(&at(52), file(1, false)), (true, "R057"), "{side}");
    }
}

#[test]
fn documents_follow_four_flags_two_limits_and_their_links() {
    // R067, R069–R072, R095–R097
    let link = |id: &str, roles: Value, active: bool| {
        json!({"id": id, "name": "N", "url": "https://good.example/d.pdf", "roles": roles, "active": active,
               "download": false, "type": "pdf"})
    };
    let bundle = bundle(&json!({
        "documents": {"visitor_may_save": true, "agent_may_share": false,
                      "links": [link("all", json!([]), true), link("some", json!(["sales"]), true),
                                link("old", json!([]), false)]},
        "roles": {"sales": {"active": true}},
    }));
    let agent = |more: Value| {
        let mut wish = json!({"ask": "document", "side": "agent"});
        wish.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        decided(&bundle, None, wish)
    };
    assert_eq!(agent(json!({})), (false, "R070"));
    assert_eq!(agent(json!({"link": "all"})), (true, "R057"));
    assert_eq!(agent(json!({"link": "all", "save": true})), (false, "R097"));
    assert_eq!(agent(json!({"link": "some"})), (false, "R095"));
    assert_eq!(agent(json!({"link": "old"})), (false, "R096"));
    assert_eq!(agent(json!({"link": "none"})), (false, "R101"));
    let visitor = json!({"ask": "document", "side": "visitor", "save": true});
    assert_eq!(decided(&bundle, None, visitor.clone()), (false, "R071"));
    let mut saving = bundle.clone();
    saving.documents.agent_may_save = true;
    assert_eq!(decided(&saving, None, visitor.clone()), (true, "R057"));
    assert_eq!(decided(&saving, Some("sales"), visitor), (false, "R071"));
    let large = json!({"ask": "document", "side": "visitor", "save": true, "bytes": 5_000_001});
    assert_eq!(decided(&saving, None, large), (false, "R067"));
}
