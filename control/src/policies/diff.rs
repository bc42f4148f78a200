//! What differs between two documents, place by place.

use serde::Serialize;
use serde_json::Value;

/// One difference. A side that has nothing at the place is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    /// A JSON pointer (RFC 6901).
    pub(crate) path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<Value>,
}

/// The smallest places at which two documents differ; lists are compared entry by entry.
pub(crate) fn diff(before: &Value, after: &Value) -> Vec<Change> {
    let mut found = Vec::new();
    walk("", Some(before), Some(after), &mut found);
    found
}

fn walk(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Change>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let below = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
                walk(&below, before.get(name), after.get(name), found);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            for at in 0..before.len().max(after.len()) {
                walk(&format!("{path}/{at}"), before.get(at), after.get(at), found);
            }
        }
        (before, after) => {
            found.push(Change { path: path.to_owned(), before: before.cloned(), after: after.cloned() });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_differs_is_named_where_it_differs() {
        let before = json!({"a": 1, "list": [1, 2, 3], "gone": {"x": 1}, "same": [true], "w/": 0});
        let after = json!({"a": 1, "list": [1, 5], "new": null, "same": [true], "w/": 1});
        let change =
            |path: &str, before: Option<Value>, after: Option<Value>| Change { path: path.into(), before, after };
        let expected = [
            change("/gone", Some(json!({"x": 1})), None),
            change("/list/1", Some(json!(2)), Some(json!(5))),
            change("/list/2", Some(json!(3)), None),
            change("/new", None, Some(Value::Null)),
            change("/w~1", Some(json!(0)), Some(json!(1))),
        ];
        assert_eq!(diff(&before, &after), expected);
        assert_eq!(diff(&after, &after), []);
    }
}
