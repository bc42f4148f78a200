//! The schema and the type are two descriptions of one thing.

use serde_json::{Value, json};

use super::*;
use crate::policies::Bundle;

/// A bundle in which every list, map and option has an entry.
fn full() -> Value {
    let masks = json!({"everything": false, "mask": [".m"], "block": [".b"], "unmask": [".u"]});
    let link = json!({"title": "Help", "url": "https://good.example/help", "active": true});
    let mut single = link.clone();
    single["kind"] = json!("link");
    let mut document = serde_json::to_value(Bundle::default()).expect("plain fields");
    document["sites"] = json!({
        "allowed": ["https://good.example/*"],
        "bookmarks": [single, {"kind": "folder", "name": "More", "active": true, "links": [link]}],
    });
    document["documents"]["links"] = json!([{
        "id": "terms", "name": "Terms", "url": "https://good.example/t.pdf", "roles": ["sales"], "active": true,
        "download": false, "type": "pdf",
    }]);
    document["session"]["minutes_max"] = json!(60);
    document["privacy"] = json!({"instant": masks, "advanced": masks});
    document["documents"]["hosted"] = json!(["https://good.example/files/*"]);
    for name in MATTERS {
        document["terms"][name] = json!("https://good.example/terms");
    }
    document["roles"] = json!({"sales": {
        "active": true, "escalate_to_show": true, "escalate_to_view": true, "agent_surfaces": ["window"],
        "visitor_surfaces": ["window"], "modes": ["view_only"], "annotate": true, "share_documents": true,
        "save_documents": true,
    }});
    document
}

/// Pointers to every value inside.
fn places(value: &Value, path: &str, to: &mut Vec<String>) {
    to.push(path.to_owned());
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, field)| places(field, &format!("{path}/{name}"), to)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| places(item, &format!("{path}/{at}"), to));
        }
        _ => {}
    }
}

/// Keys of every object that the schema describes must be the keys that the type writes.
fn same_fields(schema: &Value, value: &Value, path: &str) {
    match value {
        Value::Object(fields) if schema.get("oneOf").is_some() => {
            let variants = schema["oneOf"].as_array().expect("a list");
            let variant = variants.iter().find(|variant| variant["properties"]["kind"]["const"] == fields["kind"]);
            same_fields(variant.expect("a known kind"), value, path);
        }
        Value::Object(fields) => {
            let entries = &schema["additionalProperties"];
            if entries.is_object() {
                return fields.iter().for_each(|(name, field)| same_fields(entries, field, &format!("{path}/{name}")));
            }
            let described = schema["properties"].as_object().expect("an object");
            let (ours, theirs): (Vec<_>, Vec<_>) = (described.keys().collect(), fields.keys().collect());
            assert_eq!(ours, theirs, "{path}");
            fields.iter().for_each(|(name, field)| same_fields(&described[name], field, &format!("{path}/{name}")));
        }
        Value::Array(items) => items.iter().for_each(|item| same_fields(&schema["items"], item, path)),
        _ => {}
    }
}

#[test]
fn the_schema_names_exactly_the_fields_of_the_type() {
    let read: Bundle = serde_json::from_value(full()).expect("a bundle");
    let written = serde_json::to_value(&read).expect("plain fields");
    assert_eq!(written, full());
    same_fields(&schema(), &written, "");
}

#[test]
fn there_are_words_for_every_matter() {
    // R045
    assert_eq!(MATTERS, fanlight_wire::consent::Matter::ALL.map(fanlight_wire::consent::Matter::label));
}

#[test]
fn schema_and_type_refuse_the_same_documents() {
    // Every place gets every kind of wrong value, one at a time.
    let mut all = Vec::new();
    places(&full(), "", &mut all);
    assert!(all.len() > 100, "every place is tried");
    let wrong = [json!(null), json!(true), json!(-1), json!(1.5), json!("~"), json!([]), json!({}), json!({"x": 1})];
    let mut refused = 0;
    for place in &all {
        for value in &wrong {
            let mut document = full();
            *document.pointer_mut(place).expect("a place of this document") = value.clone();
            let by_schema = !misfits(&schema(), &document).is_empty();
            let by_type = serde_json::from_value::<Bundle>(document).is_err();
            assert!(by_schema || !by_type, "{place} = {value}: the schema lets through what the type refuses");
            refused += usize::from(by_schema);
        }
    }
    assert!(refused > all.len() * 4, "most wrong values are refused: {refused}");
}

#[test]
fn everything_that_does_not_fit_is_named_at_once() {
    let document = json!({
        "feature_level": 99, "colour": "red", "sharing": {"escalate_to_show": "yes", "agent_surfaces": ["desk"]},
        "documents": {"links": [{"id": "A b"}]}, "keys": {"digits": 7}, "roles": {"No Good": {"active": true}},
    });
    let found: Vec<_> = misfits(&schema(), &document).into_iter().map(|problem| (problem.path, problem.rule)).collect();
    let has = |path: &str, rule: &str| found.contains(&(path.to_owned(), rule.to_owned()));
    assert!(has("/feature_level", "R005") && has("/colour", "docs/policy.md"), "{found:?}");
    assert!(has("/sharing/escalate_to_show", "R006") && has("/sharing/agent_surfaces/0", "R007"), "{found:?}");
    assert!(has("/documents/links/0/url", "R090") && has("/documents/links/0/id", "R101"), "{found:?}");
    assert!(has("/keys/digits", "rules decision 10") && has("/roles/No Good", "R152"), "{found:?}");
}
