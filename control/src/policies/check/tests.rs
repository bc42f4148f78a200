//! What may be saved, what may be published.

use serde_json::{Value, json};

use super::*;

fn link(url: &str) -> Value {
    json!({"kind": "link", "title": "A page", "url": url, "active": true})
}

fn folder(name: &str, links: usize) -> Value {
    let link = json!({"title": "A page", "url": "https://good.example/a", "active": true});
    json!({"kind": "folder", "name": name, "active": true, "links": vec![link; links]})
}

fn refused(document: &Value) -> Vec<(String, String)> {
    let problems = check(document).expect_err("not a bundle to be saved");
    problems.into_iter().map(|problem| (problem.path, problem.rule)).collect()
}

fn unpublishable(document: &Value) -> Vec<(String, String)> {
    let checked = check(document).expect("may be saved");
    checked.before_publish.into_iter().map(|problem| (problem.path, problem.rule)).collect()
}

fn pair(path: &str, rule: &str) -> (String, String) {
    (path.to_owned(), rule.to_owned())
}

#[test]
fn an_empty_document_is_the_default_and_may_be_published() {
    let checked = check(&json!({})).expect("defaults");
    assert_eq!((checked.bundle, checked.before_publish, checked.warnings), (Bundle::default(), vec![], vec![]));
}

#[test]
fn twenty_items_fit_and_the_twenty_first_is_refused_with_the_count() {
    // R035: bookmarks and folders together.
    let with = |links: usize| json!({"sites": {"bookmarks": [folder("A", links), link("https://good.example/")]}});
    assert!(check(&with(18)).is_ok());
    let problems = check(&with(19)).expect_err("21 items");
    assert_eq!(problems.len(), 1);
    assert!(problems[0].rule == "R035" && problems[0].sentence.contains("21"), "{problems:?}");
}

#[test]
fn hosted_documents_are_patterns_of_web_addresses() {
    // R056 R059
    let with = |patterns: &[&str], level: u16| json!({"feature_level": level, "documents": {"hosted": patterns}});
    let good = with(&["https://shop.example/files/*", "https://*.shop.example/terms.pdf"], 52);
    assert_eq!(unpublishable(&good), []);
    let bad = ["http://shop.example/a.pdf", "https://*.com/*", "https://shop.example/a*b.pdf", "files/*"];
    let places = (0..bad.len()).map(|at| pair(&format!("/documents/hosted/{at}"), "R059")).collect::<Vec<_>>();
    assert_eq!(refused(&with(&bad, 60)), places);
    assert_eq!(unpublishable(&with(&["https://shop.example/a.pdf"], 51)), [pair("/documents/hosted", "R056")]);
    let odd = check(&with(&["https://b\u{fc}cher.example/*"], 60)).expect("may be saved");
    assert_eq!(odd.warnings.len(), 1, "letters that may look like others: {:?}", odd.warnings);
}

#[test]
fn twenty_document_links_fit_and_no_more() {
    // R090
    let link = |at: usize| {
        json!({"id": format!("d{at}"), "name": "D", "url": "https://good.example/d.pdf", "roles": [], "active": true,
               "download": true, "type": "pdf"})
    };
    let with = |count: usize| json!({"documents": {"links": (0..count).map(link).collect::<Vec<_>>()}});
    assert!(check(&with(20)).is_ok());
    assert_eq!(refused(&with(21)), [pair("/documents/links", "R090")]);
}

#[test]
fn a_document_link_has_a_name_a_safe_address_and_a_known_type() {
    // R060, R093, R094, R098
    let with = |name: &str, url: &str, kind: &str| {
        let link = json!({"id": "terms", "name": name, "url": url, "roles": [], "active": true, "download": true, "type": kind});
        json!({"documents": {"links": [link]}})
    };
    for kind in ["pdf", "xls", "csv"] {
        assert!(check(&with("Terms", "https://good.example/t", kind)).is_ok(), "{kind}");
    }
    for (name, url, kind, place) in [
        ("", "https://good.example/t", "pdf", "/documents/links/0/name"),
        ("Terms", "http://good.example/t", "pdf", "/documents/links/0/url"),
        ("Terms", "https://good.example/t", "docx", "/documents/links/0/type"),
    ] {
        let places: Vec<String> = refused(&with(name, url, kind)).into_iter().map(|(path, _)| path).collect();
        assert_eq!(places, [place]);
    }
}

#[test]
fn a_bookmark_must_be_on_both_lists_while_sites_are_allowed() {
    // R018, R019, R020
    let other = "https://other.example/x";
    assert_eq!(unpublishable(&json!({"sites": {"bookmarks": [link(other)]}})), []);
    let sites = json!({"allowed": ["https://good.example/help/*"],
                       "bookmarks": [link("https://good.example/help/a"), link(other), folder("F", 1)]});
    let expected = [pair("/sites/bookmarks/1/url", "R019"), pair("/sites/bookmarks/2/links/0/url", "R020")];
    assert_eq!(unpublishable(&json!({"sites": sites})), expected);
}

#[test]
fn addresses_and_patterns_are_read_by_the_one_parser() {
    // R024, R094, R082
    let document = json!({
        "sites": {"allowed": ["http://good.example/*", "https://*.com/*"], "bookmarks": [link("https://a@b.example/")]},
        "documents": {"links": [{"id": "d", "name": "D", "url": "ftp://x", "roles": [], "active": true,
                                 "download": true, "type": "csv"}]},
        "terms": {"document": "good.example"},
    });
    let expected = [
        pair("/sites/allowed/0", "rules decision 8"),
        pair("/sites/allowed/1", "rules decision 8"),
        pair("/sites/bookmarks/0/url", "R024"),
        pair("/documents/links/0/url", "R094"),
        pair("/terms/document", "R082"),
    ];
    assert_eq!(refused(&document), expected);
}

#[test]
fn folders_have_names_of_their_own_and_need_their_level() {
    // R021, R030
    let twice = json!({"sites": {"bookmarks": [folder("Help", 0), folder(" help", 0)]}});
    assert_eq!(refused(&twice), [pair("/sites/bookmarks/1/name", "R030")]);
    let early = json!({"feature_level": 57, "sites": {"bookmarks": [folder("Help", 0)]}});
    assert_eq!(refused(&early), [pair("/sites/bookmarks/0", "R021")]);
    let older = json!({"feature_level": 52, "sites": {"bookmarks": [link("https://good.example/")]}});
    assert_eq!(unpublishable(&older), [pair("/sites/bookmarks", "R016")]);
}

#[test]
fn a_folder_within_a_folder_does_not_exist() {
    // R033
    let mut nested = folder("Outer", 0);
    nested["links"] = json!([folder("Inner", 0)]);
    let found = refused(&json!({"sites": {"bookmarks": [nested]}}));
    assert!(found.contains(&pair("/sites/bookmarks/0/links/0/links", "docs/policy.md")), "{found:?}");
}

#[test]
fn modes_are_those_of_their_engine() {
    // R155, R163
    let document = json!({"modes": {"instant": {"allowed": ["true_pointer"], "default": "view_only"}}});
    let expected = [pair("/modes/instant/default", "R155"), pair("/modes/instant/allowed", "R163")];
    assert_eq!(refused(&document), expected);
}

#[test]
fn six_digits_want_a_smaller_budget() {
    let six = |tries: u32| json!({"keys": {"digits": 6, "tries_per_group_hour": tries}});
    assert_eq!(refused(&six(180)), [pair("/keys/tries_per_group_hour", "rules decision 10")]);
    assert!(check(&six(20)).is_ok());
}

#[test]
fn a_link_names_roles_that_exist_and_a_strange_host_is_pointed_out() {
    // R095, G-71
    let document = json!({
        "sites": {"allowed": ["https://аpple.example/*"]},
        "documents": {"links": [{"id": "d", "name": "D", "url": "https://good.example/d.csv", "roles": ["sales"],
                                 "active": true, "download": true, "type": "csv"}]},
    });
    assert_eq!(unpublishable(&document), [pair("/documents/links/0/roles/0", "R095")]);
    let warned = check(&document).expect("may be saved").warnings;
    assert_eq!(warned.iter().map(|problem| problem.path.as_str()).collect::<Vec<_>>(), ["/sites/allowed/0"]);
}

#[test]
fn selectors_fit_one_frame() {
    // R154
    let with = |count: usize| json!({"privacy": {"instant": {"mask": vec!["x".repeat(400); count]}}});
    assert!(check(&with(9)).is_ok());
    assert_eq!(refused(&with(11)), [pair("/privacy/instant", "R154")]);
}

#[test]
fn a_selector_cannot_swallow_the_next() {
    // R154
    let with = |selector: &str| json!({"privacy": {"advanced": {"mask": [".card", selector]}}});
    for good in [".a", "input[name=\"a(\"]", ":is(.a, [b=']'])", ".sm\\:x", "#a > b ~ c", "[href=\"/*\\\"\"]"] {
        assert!(check(&with(good)).is_ok(), "{good}");
    }
    for bad in [
        ":not(*",
        "[a",
        "[a=\"b]",
        ".a\\",
        "/*",
        "*/ .a /*",
        ":is(.a]",
        ".a)",
        "{",
        ":is(url(a')):is('))",
        "[a=\"\n\"]",
    ] {
        assert_eq!(refused(&with(bad)), [pair("/privacy/advanced/mask/1", "R154")], "{bad}");
    }
}
