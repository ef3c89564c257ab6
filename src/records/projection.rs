//! Which members of a record are shown: `fields=id,title,expand.author.name`.

use serde_json::{Map, Value};

use super::collection::Collection;
use crate::http::incoming::Query;
use crate::http::problem::{self, Problem};
use domain::error::Invalid;

/// Most names.
const MAX_NAMES: usize = 50;
/// What stands beside a record.
const EXPAND: &str = "expand";
/// What the platform sets of each record.
const PLATFORM: [&str; 8] =
    ["id", "tenant_id", "version", "created_at", "updated_at", "deleted_at", "created_by", "updated_by"];
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

    /// Refuses a name that no record of the collection shows: 400 names it. Of what stands in a field only the field is
    /// looked at, and of `expand` the reference.
    pub fn check(&self, collection: &Collection) -> Result<(), Problem> {
        let unknown = self.0.iter().find(|path| !is_shown(collection, path));
        let Some(name) = unknown.and_then(|path| path.first()) else { return Ok(()) };
        let message = match name.as_str() {
            EXPAND => "must name a field of this collection that refers to another one behind `expand.`".to_owned(),
            name => format!("must name members of this collection's records: `{name}` is none"),
        };
        Err(problem::invalid_query("fields", Invalid::new("unknown_field", message)))
    }

    /// Removes the members that are not named.
    pub fn apply(&self, shown: &mut Map<String, Value>) {
        let paths: Vec<&[String]> = self.0.iter().map(Vec::as_slice).collect();
        if !paths.is_empty() {
            retain(shown, &paths);
        }
    }
}

/// Whether records of a collection show what a path begins with.
fn is_shown(collection: &Collection, path: &[String]) -> bool {
    let mut names = path.iter().map(String::as_str);
    match names.next() {
        Some(EXPAND) => {
            names.next().is_none_or(|name| collection.schema.field(name).is_some_and(|field| field.reference.is_some()))
        }
        Some("client_id") if collection.alias => true,
        Some("status") if collection.statuses.is_some() => true,
        Some(name) => PLATFORM.contains(&name) || collection.schema.may_have(name),
        None => true,
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
    use crate::records::definition::Definition;

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

    #[test]
    fn what_no_record_shows_cannot_be_named() {
        let definition = serde_json::json!({"slug": "posts", "alias": "client_id", "schema": {"type": "object", "properties": {
            "title": {"type": "string"}, "seo": {"type": "object"}, "author": {"type": "string", "reference": "people"}}}});
        let collection = |definition: &Value| {
            let definition = Definition::read(definition.as_object().unwrap().clone()).unwrap();
            Collection::fresh(definition, None, 0).unwrap()
        };
        let posts = collection(&definition);
        let check = |collection: &Collection, fields: &str| {
            let projection = Projection::read(&Query::parse(&format!("fields={fields}"))).unwrap();
            projection.check(collection).map_err(|problem| (problem.status, problem.errors[0].code))
        };
        for good in [
            "",
            "id",
            "title,seo.a.b,author",
            "expand",
            "expand.author.name",
            "client_id,tenant_id",
            "version,updated_by",
        ] {
            assert_eq!(check(&posts, good), Ok(()), "{good}");
        }
        for bad in ["nope", "title,nope", "Title", "status", "expand.title", "expand.nope", "nope.a", "."] {
            assert_eq!(check(&posts, bad), Err((400, "unknown_field")), "{bad}");
        }
        let mut open = definition.clone();
        open["schema"]["additionalProperties"] = Value::Bool(true);
        open["statuses"] = serde_json::json!({"initial": "new", "transitions": {"new": []}});
        assert_eq!(check(&collection(&open), "anything,status"), Ok(()));
    }
}
