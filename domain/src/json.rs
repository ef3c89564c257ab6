//! `json!({ "name": value })` with the syntax of serde_json's macro.
//!
//! A value that cannot be serialised becomes null, where serde_json would panic. Each member is one call of a function that
//! is not inlined, which keeps the Worker small.

use serde::Serialize;
use serde_json::{Map, Value};

/// Makes an object with its members in order; anything else is passed to serde_json's macro.
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

/// Sets a member of an object; a value that cannot be serialised becomes null.
#[inline(never)]
pub fn set(object: &mut Map<String, Value>, name: &str, value: &impl Serialize) {
    insert(object, name, serde_json::to_value(value).unwrap_or_default());
}

#[inline(never)]
fn insert(object: &mut Map<String, Value>, name: &str, value: Value) {
    object.insert(name.to_owned(), value);
}

/// A whole number as JSON Schema defines it (`5.0` is one), of at most 2^53 either way.
pub fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().and_then(without_fraction))
}

/// A floating-point number as a whole one, if it has no fraction and is below 2^53.
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
