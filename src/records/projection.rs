//! Which members of a record are shown: `fields=id,title,expand.author.name`.

use serde_json::{Map, Value};

use crate::http::incoming::Query;
use crate::http::problem::{self, Problem};
use domain::error::Invalid;

/// Most names.
const MAX_NAMES: usize = 50;
/// Deepest name: `expand.author.expand.team.name`.
const MAX_DEPTH: usize = 8;

/// The members that `fields` names; every member if it names none.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Projection(Vec<Vec<String>>);

impl Projection {
    /// Reads `fields`.
    pub fn read(query: &Query) -> Result<Self, Problem> {
        let names = query.get("fields").unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
        let paths: Vec<Vec<String>> = names.map(|name| name.split('.').map(str::to_owned).collect()).collect();
        if paths.len() > MAX_NAMES || paths.iter().any(|path| path.len() > MAX_DEPTH) {
            let message =
                format!("must be at most {MAX_NAMES} names, each of at most {MAX_DEPTH} parts separated by dots");
            return Err(problem::invalid_query("fields", Invalid::new("too_many", message)));
        }
        Ok(Self(paths))
    }

    /// Removes the members that are not named.
    pub fn apply(&self, shown: &mut Map<String, Value>) {
        let paths: Vec<&[String]> = self.0.iter().map(Vec::as_slice).collect();
        if !paths.is_empty() {
            retain(shown, &paths);
        }
    }
}

/// Retains the members that paths begin with, and inside them what the rest of the paths names.
fn retain(object: &mut Map<String, Value>, paths: &[&[String]]) {
    object.retain(|name, value| {
        let inner: Vec<&[String]> = paths
            .iter()
            .filter_map(|path| path.split_first().filter(|(first, _)| *first == name))
            .map(|(_, rest)| rest)
            .collect();
        if inner.is_empty() {
            return false;
        }
        if !inner.iter().any(|rest| rest.is_empty()) {
            retain_inside(value, &inner);
        }
        true
    });
}

fn retain_inside(value: &mut Value, paths: &[&[String]]) {
    match value {
        Value::Object(inner) => retain(inner, paths),
        Value::Array(items) => items.iter_mut().for_each(|item| retain_inside(item, paths)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_stays() {
        let shown = serde_json::json!({"id": 1, "a": {"b": 1, "c": 2}, "expand": {"x": [{"n": 1, "m": 2}], "y": {}}});
        let kept = |fields: &str| {
            let mut object = shown.as_object().unwrap().clone();
            Projection::read(&Query::parse(&format!("fields={fields}"))).unwrap().apply(&mut object);
            Value::Object(object).to_string()
        };
        assert_eq!(kept(""), shown.to_string());
        assert_eq!(kept("id"), r#"{"id":1}"#);
        assert_eq!(kept("a.c,expand.x.n"), r#"{"a":{"c":2},"expand":{"x":[{"n":1}]}}"#);
        assert_eq!(kept("a,a.b"), r#"{"a":{"b":1,"c":2}}"#);
        assert_eq!(kept("none"), "{}");
    }
}
