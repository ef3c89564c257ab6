//! The difference between two states of a JSON object: operations of JSON Patch (RFC 6902) that turn the earlier state into
//! the later one, each with the old value.
//!
//! Objects are compared member by member, everything else as a whole; the order of members does not matter.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::pointer;

/// One change, as `{"op": "replace", "path": "/a/b", "value": 2, "was": 1}`. The path is a JSON pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Difference<'a> {
    /// A member was added.
    Add {
        /// The member's JSON pointer.
        path: String,
        /// The new value.
        value: &'a Value,
    },
    /// A member was removed.
    Remove {
        /// The member's JSON pointer.
        path: String,
        /// The old value.
        was: &'a Value,
    },
    /// A member has another value.
    Replace {
        /// The member's JSON pointer.
        path: String,
        /// The new value.
        value: &'a Value,
        /// The old value.
        was: &'a Value,
    },
}

/// The differences from one object to another: the first one's members in their order, then new members.
pub fn difference<'a>(from: &'a Map<String, Value>, to: &'a Map<String, Value>) -> Vec<Difference<'a>> {
    let mut changes = Vec::new();
    compare("", from, to, &mut changes);
    changes
}

/// Recurses as deep as both are nested; serde_json reads at most 128 levels.
fn compare<'a>(at: &str, from: &'a Map<String, Value>, to: &'a Map<String, Value>, changes: &mut Vec<Difference<'a>>) {
    let path = |name: &str| format!("{at}/{}", pointer::escape(name));
    for (name, was) in from {
        match (was, to.get(name)) {
            (was, None) => changes.push(Difference::Remove { path: path(name), was }),
            (Value::Object(from), Some(Value::Object(to))) => compare(&path(name), from, to, changes),
            (was, Some(value)) if was != value => changes.push(Difference::Replace { path: path(name), value, was }),
            _ => {}
        }
    }
    let new = to.iter().filter(|(name, _)| !from.contains_key(*name));
    changes.extend(new.map(|(name, value)| Difference::Add { path: path(name), value }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn object(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn changes_say_what_was_and_what_is() {
        let from = object(
            r#"{"title":"a","tags":[1,2],"meta":{"x/y":1,"~":null,"same":{"n":[]}},"kind":{"a":1},"gone":null}"#,
        );
        let to = object(
            r#"{"new":null,"kind":1,"title":"b","tags":[2,1],"meta":{"same":{"n":[]},"x/y":1.5,"added":{"b":2}}}"#,
        );
        assert_eq!(
            serde_json::to_value(difference(&from, &to)).unwrap(),
            serde_json::json!([
                { "op": "replace", "path": "/title", "value": "b", "was": "a" },
                { "op": "replace", "path": "/tags", "value": [2, 1], "was": [1, 2] },
                { "op": "replace", "path": "/meta/x~1y", "value": 1.5, "was": 1 },
                { "op": "remove", "path": "/meta/~0", "was": null },
                { "op": "add", "path": "/meta/added", "value": { "b": 2 } },
                { "op": "replace", "path": "/kind", "value": 1, "was": { "a": 1 } },
                { "op": "remove", "path": "/gone", "was": null },
                { "op": "add", "path": "/new", "value": null },
            ])
        );
    }

    #[test]
    fn equal_objects_differ_in_nothing() {
        assert_eq!(difference(&object(r#"{"a":1,"b":{"c":[{}]}}"#), &object(r#"{"b":{"c":[{}]},"a":1}"#)), []);
        assert_eq!(difference(&Map::new(), &Map::new()), []);
    }

    /// Applies a change as RFC 6902 has it, and checks what was there.
    fn apply(document: &mut Value, change: &Difference<'_>) {
        let (Difference::Add { path, .. } | Difference::Remove { path, .. } | Difference::Replace { path, .. }) =
            change;
        let (parent, name) = path.rsplit_once('/').unwrap();
        let name = name.replace("~1", "/").replace("~0", "~");
        let members = document.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        let (value, was) = match change {
            Difference::Add { value, .. } => (Some(*value), None),
            Difference::Remove { was, .. } => (None, Some(*was)),
            Difference::Replace { value, was, .. } => (Some(*value), Some(*was)),
        };
        let former = match value {
            Some(value) => members.insert(name, value.clone()),
            None => members.remove(&name),
        };
        assert_eq!(former.as_ref(), was, "{path}");
    }

    fn objects() -> impl Strategy<Value = Map<String, Value>> {
        let leaf = prop_oneof![Just(Value::Null), (0..3).prop_map(Value::from), "[xy]".prop_map(Value::from)];
        let value = leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                3 => members(inner.clone()).prop_map(Value::Object),
                1 => prop::collection::vec(inner, 0..3).prop_map(Value::from),
            ]
        });
        members(value)
    }

    fn members(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Map<String, Value>> {
        prop::collection::vec(("[ab/~]{1,2}", values), 0..5).prop_map(|members| members.into_iter().collect())
    }

    proptest! {
        #[test]
        fn the_changes_make_the_second_of_the_first(from in objects(), to in objects()) {
            let mut document = Value::Object(from.clone());
            for change in difference(&from, &to) {
                apply(&mut document, &change);
            }
            prop_assert_eq!(document, Value::Object(to));
        }

        #[test]
        fn there_are_none_exactly_between_equals(from in objects(), to in objects()) {
            prop_assert_eq!(difference(&from, &to).is_empty(), from == to);
            prop_assert!(difference(&from, &from).is_empty());
        }
    }
}
