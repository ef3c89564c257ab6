//! JSON objects as they are written in code: `json!({ "name": value })`, in the words of serde_json.
//!
//! A value that cannot be JSON is null here, where serde_json would panic; and a member is one call, which keeps
//! the Worker small.

use serde::Serialize;
use serde_json::{Map, Value};

/// An object, its members in their order. Anything else is left to serde_json.
#[macro_export]
macro_rules! json {
    ({ $($members:tt)* }) => {{
        #[allow(unused_mut)]
        let mut object = ::serde_json::Map::new();
        $crate::json!(@ object $($members)*);
        ::serde_json::Value::Object(object)
    }};
    (@ $object:ident $name:literal: null $(, $($rest:tt)*)?) => {
        $crate::json::set(&mut $object, $name, &());
        $crate::json!(@ $object $($($rest)*)?);
    };
    (@ $object:ident $name:literal: { $($inner:tt)* } $(, $($rest:tt)*)?) => {
        $crate::json::set(&mut $object, $name, &$crate::json!({ $($inner)* }));
        $crate::json!(@ $object $($($rest)*)?);
    };
    (@ $object:ident $name:literal: [ $($items:tt)* ] $(, $($rest:tt)*)?) => {
        $crate::json::set(&mut $object, $name, &::serde_json::json!([ $($items)* ]));
        $crate::json!(@ $object $($($rest)*)?);
    };
    (@ $object:ident $name:literal: $value:expr $(, $($rest:tt)*)?) => {
        $crate::json::set(&mut $object, $name, &$value);
        $crate::json!(@ $object $($($rest)*)?);
    };
    (@ $object:ident) => {};
    ($($other:tt)+) => { ::serde_json::json!($($other)+) };
}

/// Sets a member of an object.
#[inline(never)]
pub fn set(object: &mut Map<String, Value>, name: &str, value: &impl Serialize) {
    insert(object, name, serde_json::to_value(value).unwrap_or_default());
}

#[inline(never)]
fn insert(object: &mut Map<String, Value>, name: &str, value: Value) {
    object.insert(name.to_owned(), value);
}

/// A number without a fraction, as JSON Schema has it (`5.0` is one), up to where every whole number is told apart.
pub fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().and_then(without_fraction))
}

/// The whole number that a floating one is.
pub fn without_fraction(number: f64) -> Option<i64> {
    let is_whole = number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0;
    is_whole.then_some(number as i64)
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_the_object_that_serde_json_writes() {
        let name = Some("a");
        let ours = json!({ "name": name, "none": null, "inner": { "n": 1 + 1, "list": ["b", 2] }, "end": true, });
        assert_eq!(ours.to_string(), r#"{"name":"a","none":null,"inner":{"n":2,"list":["b",2]},"end":true}"#);
        assert_eq!(json!({}).to_string(), "{}");
        assert_eq!(json!([name, 1]).to_string(), r#"["a",1]"#);
    }
}
