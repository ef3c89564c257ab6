//! JSON Merge Patch (RFC 7396): new members replace old ones, null removes them.
//!
//! Members that remain keep their order, new ones come last. It does not recurse, so deep nesting costs no stack.

use serde_json::{Map, Value};

/// Applies a patch to any value.
pub fn merge_patch(target: &mut Value, patch: Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => merge(target, patch),
        (target, Value::Object(patch)) => {
            let mut object = Map::new();
            merge(&mut object, patch);
            *target = Value::Object(object);
        }
        (target, patch) => *target = patch,
    }
}

/// Applies a patch that is an object to an object.
pub fn merge(target: &mut Map<String, Value>, patch: Map<String, Value>) {
    let mut open = vec![(target, patch)];
    while let Some((target, patch)) = open.pop() {
        target.retain(|name, _| !patch.get(name).is_some_and(Value::is_null));
        let mut nested = Map::new();
        for (name, value) in patch {
            match value {
                Value::Null => {}
                Value::Object(patch) => {
                    let inner = target.entry(name.as_str()).or_insert(Value::Null);
                    if !inner.is_object() {
                        *inner = Value::Object(Map::new());
                    }
                    nested.insert(name, Value::Object(patch));
                }
                value => {
                    target.insert(name, value);
                }
            }
        }
        for (name, value) in target.iter_mut() {
            if let (Value::Object(inner), Some(Value::Object(patch))) = (value, nested.remove(name)) {
                open.push((inner, patch));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn merged(mut target: Value, patch: Value) -> Value {
        merge_patch(&mut target, patch);
        target
    }

    #[test]
    fn the_examples_of_the_rfc() {
        // RFC 7396, appendix A: original, patch, result.
        for (target, patch, result) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, r"{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
            (r#"{"a":"foo"}"#, "null", "null"),
            (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            (r"[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            (r"{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            let read = |text| serde_json::from_str::<Value>(text).unwrap();
            // Compared as texts: the order of the members too.
            assert_eq!(merged(read(target), read(patch)).to_string(), result, "{target} + {patch}");
        }
    }

    #[test]
    fn what_stays_keeps_its_place() {
        let read = |text| serde_json::from_str::<Value>(text).unwrap();
        let target = read(r#"{"a":1,"b":{"x":1,"y":2,"z":3},"c":3,"d":4}"#);
        let patch = read(r#"{"e":5,"a":null,"b":{"x":null,"y":0},"d":{"n":1}}"#);
        assert_eq!(merged(target, patch).to_string(), r#"{"b":{"y":0,"z":3},"c":3,"d":{"n":1},"e":5}"#);
    }

    /// A patch as the RFC's own words have it, "MergePatch(Target, Patch)".
    fn as_written(target: Value, patch: Value) -> Value {
        let Value::Object(patch) = patch else { return patch };
        let mut object = target.as_object().cloned().unwrap_or_default();
        for (name, value) in patch {
            let former = object.remove(&name);
            if !value.is_null() {
                object.insert(name, as_written(former.unwrap_or_default(), value));
            }
        }
        Value::Object(object)
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![Just(Value::Null), (0..3).prop_map(Value::from), "[xy]".prop_map(Value::from)];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let object = prop::collection::vec(("[abc]", inner.clone()), 0..4);
            prop_oneof![
                3 => object.prop_map(|members| Value::Object(members.into_iter().collect())),
                1 => prop::collection::vec(inner, 0..3).prop_map(Value::from),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_is_what_the_rfc_writes(target in values(), patch in values()) {
            prop_assert_eq!(merged(target.clone(), patch.clone()), as_written(target, patch));
        }

        #[test]
        fn twice_is_once(target in values(), patch in values()) {
            let once = merged(target, patch.clone());
            prop_assert_eq!(merged(once.clone(), patch), once);
        }

        #[test]
        fn an_empty_patch_changes_nothing(target in values()) {
            prop_assume!(target.is_object());
            prop_assert_eq!(merged(target.clone(), Value::Object(Map::new())).to_string(), target.to_string());
        }
    }
}
