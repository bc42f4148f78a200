//! The JSON Schema (2020-12) of a bundle, published at `GET /v1/policy/schema.json`, and the walk that finds everything in
//! a document that does not have its shape.
//!
//! Invariant: the schema accepts exactly what [`super::bundle::Bundle`] reads; tests hold the two together. `x-rule` names
//! the requirement behind a bound.

use fanlight_wire::limits::{
    ADDRESS_BYTES_MAX, AGENTS_MAX, ALLOWED_SITES_MAX, BOOKMARK_ITEMS_MAX, CONSENT_SECONDS_MAX, CONSENT_SECONDS_MIN,
    CONSENT_TEXT_CHARS_MAX, DOCUMENT_LINKS_MAX, KEY_TRIES_PER_AGENT, KEY_TRIES_PER_GROUP_HOUR, NAME_CHARS_MAX,
    RETENTION_DAYS_MAX, ROLES_MAX, SELECTOR_CHARS_MAX, SELECTORS_MAX, SESSION_MINUTES_MAX,
};
use serde_json::{Map, Value, json};

use super::bundle::LEVELS;
use super::check::Problem;

/// Bytes of a saved document that a group may set: what a browser's memory can take.
const SAVE_BYTES_MAX: u64 = 100_000_000;
/// Minutes that a key may live.
const KEY_MINUTES_MAX: u16 = 60;
/// Sessions that one agent may be in, if a group wants more than R143's one: enough for a load test with one sign-in.
pub(crate) const SESSIONS_PER_AGENT_MAX: u16 = 1_000;

/// What a visitor may be asked about ([`fanlight_wire::consent::Matter`]).
const MATTERS: [&str; 6] = ["view", "show", "screen", "control", "document", "camera"];

/// The schema of a whole bundle.
pub(crate) fn schema() -> Value {
    let mut root = object(&[
        ("cobrowse_enabled", flag("R142")),
        ("feature_level", number(u64::from(*LEVELS.start()), u64::from(*LEVELS.end()), "R005")),
        ("sharing", sharing()),
        ("sites", sites()),
        ("documents", documents()),
        ("modes", object(&[("instant", mode_set()), ("advanced", mode_set())])),
        ("session", session()),
        ("privacy", object(&[("instant", masks()), ("advanced", masks())])),
        ("terms", each(&MATTERS, &terms_url())),
        ("consent", consent()),
        ("keys", keys()),
        ("retention", each(&["audit_days", "sessions_days"], &number(1, RETENTION_DAYS_MAX.into(), "R190"))),
        ("roles", roles()),
    ]);
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["title"] = json!("Fanlight policy bundle");
    root
}

fn consent() -> Value {
    let words = text(0, CONSENT_TEXT_CHARS_MAX, "R045");
    let mut whole = each(&MATTERS, &words);
    whole["properties"]["seconds"] = number(CONSENT_SECONDS_MIN.into(), CONSENT_SECONDS_MAX.into(), "R044");
    whole
}

fn sharing() -> Value {
    let least = choice(&["none", "surface", "stated", "proved"], "rules decision 8");
    object(&[
        ("escalate_to_show", flag("R006")),
        ("escalate_to_view", flag("R043")),
        ("agent_surfaces", surfaces("R007")),
        ("visitor_surfaces", surfaces("R046")),
        ("assurance", each(&["browser", "window", "monitor"], &least)),
    ])
}

fn sites() -> Value {
    let link = [("title", text(1, NAME_CHARS_MAX, "R023")), ("url", address("R024")), ("active", flag("R025"))];
    let bookmark = all_required(object(&link));
    let mut single = object(&link);
    single["properties"]["kind"] = json!({"const": "link"});
    let mut folder = object(&[
        ("name", text(1, NAME_CHARS_MAX, "R030")),
        ("active", flag("R031")),
        ("links", list(bookmark, BOOKMARK_ITEMS_MAX, "R035")),
    ]);
    folder["properties"]["kind"] = json!({"const": "folder"});
    let item = json!({"type": "object", "oneOf": [all_required(single), all_required(folder)], "x-rule": "R033"});
    object(&[
        ("allowed", list(address("rules decision 8"), ALLOWED_SITES_MAX, "limits::ALLOWED_SITES_MAX")),
        ("bookmarks", list(item, BOOKMARK_ITEMS_MAX, "R035")),
    ])
}

fn documents() -> Value {
    let link = object(&[
        ("id", id("R101")),
        ("name", text(1, NAME_CHARS_MAX, "R093")),
        ("url", address("R094")),
        ("roles", list(id("R095"), ROLES_MAX, "R095")),
        ("active", flag("R096")),
        ("download", flag("R097")),
        ("type", choice(&["pdf", "xls", "csv"], "R098")),
    ]);
    object(&[
        ("agent_may_share", flag("R070")),
        ("visitor_may_share", flag("R069")),
        ("agent_may_save", flag("R071")),
        ("visitor_may_save", flag("R072")),
        ("agent_shares_bytes_max", number(1, SAVE_BYTES_MAX, "R066")),
        ("visitor_shares_bytes_max", number(1, SAVE_BYTES_MAX, "R067")),
        ("links", list(all_required(link), DOCUMENT_LINKS_MAX, "R090")),
        ("hosted", list(address("R059"), ALLOWED_SITES_MAX, "R059")),
    ])
}

fn session() -> Value {
    let mut minutes = number(1, SESSION_MINUTES_MAX.into(), "protocol §8");
    minutes["type"] = json!(["integer", "null"]);
    object(&[
        ("agents_max", number(1, AGENTS_MAX as u64, "R185")),
        ("sessions_per_agent", number(1, SESSIONS_PER_AGENT_MAX.into(), "R143")),
        ("minutes_max", minutes),
        ("end_on_agent_leave", flag("R186")),
        ("dom_cache", flag("protocol §4")),
        ("key_required", flag("R133")),
    ])
}

fn masks() -> Value {
    let selectors = list(text(1, SELECTOR_CHARS_MAX, "R154"), SELECTORS_MAX, "R154");
    object(&[
        ("everything", flag("R153")),
        ("mask", selectors.clone()),
        ("block", selectors.clone()),
        ("unmask", selectors),
    ])
}

fn keys() -> Value {
    let digits = json!({"type": "integer", "enum": [6, 9], "x-rule": "rules decision 10"});
    object(&[
        ("digits", digits),
        ("minutes", number(1, KEY_MINUTES_MAX.into(), "rules decision 10")),
        ("tries_per_agent", number(1, KEY_TRIES_PER_AGENT.into(), "G-51")),
        ("tries_per_group_hour", number(1, KEY_TRIES_PER_GROUP_HOUR.into(), "G-51")),
    ])
}

fn roles() -> Value {
    let role = object(&[
        ("active", flag("R152")),
        ("escalate_to_show", flag("R006")),
        ("escalate_to_view", flag("R043")),
        ("agent_surfaces", surfaces("R007")),
        ("visitor_surfaces", surfaces("R046")),
        ("modes", list(mode(), 4, "R155")),
        ("annotate", flag("R177")),
        ("share_documents", flag("R070")),
        ("save_documents", flag("R071")),
    ]);
    json!({
        "type": "object", "additionalProperties": role, "propertyNames": id("R095"), "maxProperties": ROLES_MAX,
        "x-rule": "R152",
    })
}

fn mode_set() -> Value {
    all_required(object(&[("allowed", list(mode(), 4, "R155")), ("default", mode())]))
}

fn mode() -> Value {
    choice(&["view_only", "view_pointer", "true_pointer", "full_control"], "R155")
}

fn surfaces(rule: &str) -> Value {
    list(choice(&["browser", "window", "monitor"], rule), 3, rule)
}

fn terms_url() -> Value {
    json!({"type": ["string", "null"], "minLength": 1, "maxLength": ADDRESS_BYTES_MAX, "x-rule": "R082"})
}

fn address(rule: &str) -> Value {
    text(1, ADDRESS_BYTES_MAX, rule)
}

fn id(rule: &str) -> Value {
    json!({"type": "string", "pattern": "^[a-z0-9-]{1,64}$", "x-rule": rule})
}

fn flag(rule: &str) -> Value {
    json!({"type": "boolean", "x-rule": rule})
}

fn text(least: usize, most: usize, rule: &str) -> Value {
    json!({"type": "string", "minLength": least, "maxLength": most, "x-rule": rule})
}

fn number(least: u64, most: u64, rule: &str) -> Value {
    json!({"type": "integer", "minimum": least, "maximum": most, "x-rule": rule})
}

fn choice(values: &[&str], rule: &str) -> Value {
    json!({"type": "string", "enum": values, "x-rule": rule})
}

fn list(items: Value, most: usize, rule: &str) -> Value {
    json!({"type": "array", "items": items, "maxItems": most, "x-rule": rule})
}

fn each(names: &[&str], value: &Value) -> Value {
    object(&names.iter().map(|name| (*name, value.clone())).collect::<Vec<_>>())
}

fn object(fields: &[(&str, Value)]) -> Value {
    let fields: Map<String, Value> = fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    json!({"type": "object", "properties": fields, "additionalProperties": false})
}

fn all_required(mut object: Value) -> Value {
    let names = object["properties"].as_object().map(|fields| fields.keys().cloned().collect::<Vec<_>>());
    object["required"] = json!(names.unwrap_or_default());
    object
}

/// Everything in `document` that `schema` refuses. Understands what this file writes.
pub(crate) fn misfits(schema: &Value, document: &Value) -> Vec<Problem> {
    let mut found = Vec::new();
    walk(schema, document, "", "docs/policy.md", &mut found);
    found
}

fn walk(schema: &Value, value: &Value, path: &str, above: &str, found: &mut Vec<Problem>) {
    let rule = schema["x-rule"].as_str().unwrap_or(above);
    if !has_type(&schema["type"], value) {
        return found.push(Problem::new(path, rule, format!("This must be {}.", type_names(&schema["type"]))));
    }
    match value {
        Value::Object(fields) => walk_object(schema, fields, path, rule, found),
        Value::Array(items) => {
            let most = schema["maxItems"].as_u64().unwrap_or(u64::MAX);
            if items.len() as u64 > most {
                let count = items.len();
                found.push(Problem::new(path, rule, format!("There are {count} entries; at most {most} are allowed.")));
            }
            for (at, item) in items.iter().enumerate() {
                walk(&schema["items"], item, &format!("{path}/{at}"), rule, found);
            }
        }
        Value::String(text) => found.extend(misfit_of_text(schema, text).map(|why| Problem::new(path, rule, why))),
        Value::Number(number) => {
            let (least, most) = (schema["minimum"].as_u64().unwrap_or(0), schema["maximum"].as_u64());
            let fits = |number: u64| number >= least && most.is_none_or(|most| number <= most);
            let listed = schema["enum"].as_array().is_none_or(|values| values.contains(value));
            if !number.as_u64().is_some_and(fits) || !listed {
                let allowed = schema["enum"].as_array().map_or_else(
                    || format!("between {least} and {}", most.unwrap_or(u64::MAX)),
                    |values| format!("one of {}", Value::from(values.clone())),
                );
                found.push(Problem::new(path, rule, format!("This must be {allowed}.")));
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn walk_object(schema: &Value, fields: &Map<String, Value>, path: &str, rule: &str, found: &mut Vec<Problem>) {
    if let Some(variants) = schema["oneOf"].as_array() {
        let chosen = variants
            .iter()
            .find(|variant| fields.get("kind").is_some_and(|kind| *kind == variant["properties"]["kind"]["const"]));
        return match (chosen, fields.get("kind")) {
            (Some(variant), _) => walk_object(variant, fields, path, rule, found),
            (None, _) => {
                found.push(Problem::new(&format!("{path}/kind"), rule, "This must be \"link\" or \"folder\"."));
            }
        };
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            found.push(Problem::new(&format!("{path}/{name}"), rule, "This is missing."));
        }
    }
    if let Some(most) = schema["maxProperties"].as_u64().filter(|most| fields.len() as u64 > *most) {
        found.push(Problem::new(
            path,
            rule,
            format!("There are {} entries; at most {most} are allowed.", fields.len()),
        ));
    }
    for (name, value) in fields {
        let below = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
        if let Some(why) = misfit_of_text(&schema["propertyNames"], name) {
            found.push(Problem::new(&below, rule, why));
        }
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(field), _) if field.get("const").is_some() => {}
            (Some(field), _) => walk(field, value, &below, rule, found),
            (None, Value::Object(_)) => walk(&schema["additionalProperties"], value, &below, rule, found),
            (None, _) => found.push(Problem::new(&below, "docs/policy.md", "There is no such setting.")),
        }
    }
}

fn misfit_of_text(schema: &Value, text: &str) -> Option<String> {
    let (least, most) = (schema["minLength"].as_u64().unwrap_or(0), schema["maxLength"].as_u64().unwrap_or(u64::MAX));
    let length = text.chars().count() as u64;
    if length < least {
        return Some("This must not be empty.".into());
    }
    if length > most {
        return Some(format!("This has {length} characters; at most {most} are allowed."));
    }
    if let Some(values) = schema["enum"].as_array().filter(|values| !values.iter().any(|value| value == text)) {
        let names: Vec<_> = values.iter().filter_map(Value::as_str).collect();
        return Some(format!("This must be one of: {}.", names.join(", ")));
    }
    // The one pattern in use: an id.
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_id = !text.is_empty() && text.len() <= 64 && text.bytes().all(legal);
    (schema.get("pattern").is_some() && !is_id).then(|| "This must be 1 to 64 characters of a-z, 0-9 and -.".into())
}

fn has_type(wanted: &Value, value: &Value) -> bool {
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64(),
        "null" => value.is_null(),
        _ => false,
    };
    match wanted {
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(is),
        _ => true,
    }
}

fn type_names(wanted: &Value) -> String {
    let named = |name: &str| match name {
        "object" => "an object",
        "array" => "a list",
        "string" => "a text",
        "boolean" => "true or false",
        "integer" => "a whole number",
        _ => "null",
    };
    match wanted {
        Value::String(name) => named(name).to_owned(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).map(named).collect::<Vec<_>>().join(" or "),
        _ => "something else".to_owned(),
    }
}

#[cfg(test)]
mod tests;
