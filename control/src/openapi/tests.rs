//! The document, the route table and the policy schema are three descriptions of one thing.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::http::{Door, Route};
use crate::policies::schema::schema;
use crate::routes::media;

/// Where a test may write what it expects.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/openapi.json");
const METHODS: [&str; 7] = ["get", "put", "post", "patch", "delete", "head", "options"];

fn document() -> Value {
    serde_json::from_str(DOCUMENT).expect("docs/openapi.json is JSON")
}

/// Path, an address of its kind, the doors it is at, its methods.
fn described() -> Vec<(String, String, Vec<Door>, BTreeSet<String>)> {
    let document = document();
    let paths = document["paths"].as_object().expect("paths");
    let of = |(path, item): (&String, &Value)| {
        let doors = item["x-door"].as_array().unwrap_or_else(|| panic!("{path} has no x-door"));
        let doors = doors.iter().map(|door| match door.as_str() {
            Some("public") => Door::Public,
            Some("operator") => Door::Operator,
            _ => panic!("{path}: no such door"),
        });
        let address = path.split('/').map(|part| if part.starts_with('{') { "1" } else { part });
        let methods = METHODS.iter().filter(|name| item.get(**name).is_some()).map(|name| name.to_uppercase());
        (path.clone(), address.collect::<Vec<_>>().join("/"), doors.collect(), methods.collect())
    };
    paths.iter().map(of).collect()
}

fn listed(methods: &str) -> BTreeSet<String> {
    methods.split(", ").filter(|method| *method != "OPTIONS").map(str::to_owned).collect()
}

#[test]
fn what_the_document_describes_is_there() {
    for (path, address, doors, methods) in described() {
        for door in [Door::Public, Door::Operator] {
            let here = match (Route::of(door, &address), media::Address::of(&address)) {
                (_, Some(media)) if door == Door::Public => Some(listed(media.methods())),
                (Some(route), _) => Some(listed(route.methods())),
                (None, _) => None,
            };
            // A path may have some of its methods at one door and some at the other.
            match here {
                Some(here) if doors.contains(&door) => assert!(here.is_subset(&methods), "{path}: {here:?}"),
                here => assert_eq!(here.is_some(), doors.contains(&door), "{path} at {door:?}"),
            }
        }
        let served = doors.iter().flat_map(|door| match media::Address::of(&address) {
            Some(media) => listed(media.methods()),
            None => Route::of(*door, &address).map(|route| listed(route.methods())).unwrap_or_default(),
        });
        assert_eq!(served.collect::<BTreeSet<_>>(), methods, "{path}");
    }
}

/// The variants of an enum, read from its source: a route that nobody described has no address to find it by.
fn variants(source: &str, head: &str) -> BTreeSet<String> {
    let (_, body) = source.split_once(head).expect("the enum is in that file");
    let (body, _) = body.split_once("\n}").expect("it ends");
    let names = body.lines().map(|line| line.trim().trim_end_matches(','));
    let names = names.filter(|line| !line.is_empty() && !line.starts_with("//"));
    names.map(|line| line.split('(').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn what_is_there_is_described() {
    let mut wanted = variants(include_str!("../http.rs"), "enum Route<'a> {");
    wanted.extend(variants(include_str!("../routes/webhooks.rs"), "enum Hook<'a> {"));
    wanted.extend(variants(include_str!("../routes/cameras.rs"), "enum Wish {"));
    wanted.extend(variants(include_str!("../routes/policies.rs"), "enum Place<'a> {"));
    assert!(wanted.len() > 20 && wanted.contains("Keys") && wanted.contains("Rollout"), "{wanted:?}");
    let mut found = BTreeSet::new();
    for (_, address, doors, _) in described() {
        for route in doors.into_iter().filter_map(|door| Route::of(door, &address)) {
            let shown = format!("{route:?}");
            found.extend(shown.split('(').take(2).map(|name| name.trim_end_matches(')').to_owned()));
        }
    }
    let missing: Vec<_> = wanted.difference(&found).collect();
    assert!(missing.is_empty(), "docs/openapi.json does not describe {missing:?}");
    for address in ["/v1/sessions/{session}/whip", "/v1/sessions/{session}/whep/{resource}"] {
        assert!(document()["paths"].get(address).is_some(), "{address}");
    }
}

#[test]
fn every_operation_says_who_what_and_how_it_refuses() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in METHODS.iter().filter(|name| item.get(**name).is_some()) {
            let operation = &item[*method];
            let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no operationId"));
            assert!(ids.insert(id.to_owned()), "{id} twice");
            assert!(operation["summary"].is_string() && operation["security"].is_array(), "{id}");
            let answers = operation["responses"].as_object().expect("responses");
            assert!(answers.keys().any(|status| status.starts_with(['2', '3'])), "{id} never succeeds");
            assert!(answers.contains_key("default"), "{id} is never refused");
            for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
                let named = |parameter: &Value| {
                    let at = parameter["$ref"].as_str().and_then(|to| to.strip_prefix('#'));
                    at.map_or(Some(parameter), |at| document.pointer(at)).is_some_and(|found| found["name"] == name)
                };
                let parameters = item["parameters"].as_array().expect("path parameters");
                assert!(parameters.iter().any(named), "{id}: {name}");
            }
        }
    }
}

/// `WRITE_OPENAPI=1` writes the schema into the document, for who has changed it.
#[test]
fn its_bundle_is_the_policy_schema() {
    let mut wanted = schema();
    let fields = wanted.as_object_mut().expect("an object");
    fields.remove("$schema");
    let mut document = document();
    let same = document["components"]["schemas"]["Bundle"] == wanted;
    if !same && std::env::var_os("WRITE_OPENAPI").is_some() {
        document["components"]["schemas"]["Bundle"] = wanted;
        let text = serde_json::to_string_pretty(&document).expect("JSON");
        std::fs::write(FILE, text + "\n").expect("the checkout can be written");
    } else {
        assert!(same, "run this test with WRITE_OPENAPI=1 and commit docs/openapi.json");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn walk(document: &Value, value: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(to) = fields.get("$ref").and_then(Value::as_str) {
                    assert!(document.pointer(to.trim_start_matches('#')).is_some(), "{to}");
                }
                fields.values().for_each(|field| walk(document, field));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(document, item)),
            _ => {}
        }
    }
    walk(&document(), &document());
}

#[test]
fn the_document_says_what_an_administrator_may_do() {
    // G-52, promises 3.2: a new operation at the operator's door is held to its own description.
    use crate::admins::Admin;
    use crate::presence::Caller;
    let document = document();
    let admin = Caller::Admin(Admin { subject: "ada".into(), name: "Ada".into() });
    let mut seen = 0;
    for (path, address, doors, methods) in described() {
        let Some(route) = doors.contains(&Door::Operator).then(|| Route::of(Door::Operator, &address)).flatten() else {
            continue;
        };
        for method in listed(route.methods()).intersection(&methods) {
            let operation = &document["paths"][&path][method.to_lowercase()];
            let security = operation["security"].as_array().expect("security");
            let open = security.is_empty()
                || security.iter().any(|one| one.as_object().is_some_and(serde_json::Map::is_empty));
            let said = open || security.iter().any(|one| one.get("adminCookie").is_some());
            let id = operation["operationId"].as_str().expect("an id");
            // Its handler tells the two methods of that address apart.
            assert_eq!(said, route.is_for(&admin) && id != "createSession", "{id}");
            assert!(route.is_for(&Caller::Operator) && (open || !route.is_for(&Caller::Stranger)), "{id}");
            seen += 1;
        }
    }
    assert!(seen > 25, "{seen}");
}
