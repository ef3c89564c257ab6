//! The definition of a collection, read from a body or a template.

use serde_json::{Map, Value};

use super::names;
use super::schema::{Field, Schema};
use super::statuses::Statuses;
use super::together::UniquePair;
use crate::http::fields::Fields;
use crate::http::problem::{self, FieldError, Problem};
use crate::storage::sql::{Arg, args};
use domain::error::Invalid;
use domain::json;
use domain::text::bounded;

/// The longest name of a collection, in bytes.
const MAX_NAME: usize = 100;
/// The longest description, in bytes.
const MAX_DESCRIPTION: usize = 1000;
/// The longest schema, in bytes of JSON.
const MAX_SCHEMA: usize = 32 * 1024;

/// Path segments in the position of a collection's slug: no collection may have them as its slug.
pub const RESERVED: &[&str] = &[
    "api-keys",
    "audit",
    "auth",
    "branding",
    "cache",
    "collections",
    "diagnose",
    "docs",
    "documents",
    "events",
    "graphql",
    "health",
    "invitations",
    "jwks",
    "keys",
    "me",
    "metrics",
    "openapi.json",
    "operators",
    "permissions",
    "platform-keys",
    "plans",
    "roles",
    "sessions",
    "settings",
    "signing-keys",
    "sso",
    "stats",
    "subscriber-tokens",
    "subscriptions",
    "templates",
    "tenant",
    "tenants",
    "tickets",
    "uploads",
    "usage",
    "users",
    "v1",
    "webhook",
    "webhooks",
];

/// The definition of a collection.
#[derive(Debug)]
pub struct Definition {
    /// Its name in paths and topics.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its schema as it was sent.
    pub schema: Value,
    /// `statuses` as it was sent; null without statuses.
    pub statuses: Value,
    /// Whether records carry their tenant's id as `client_id` too.
    pub alias: bool,
    /// Whether every version of a record is stored.
    pub versioned: bool,
    /// Whether deleted records can be restored.
    pub soft_delete: bool,
    /// Whether changes are sent to subscribers.
    pub live: bool,
    /// Whether everybody on the tenant's host may read it.
    pub public_read: bool,
    /// Whether a record may hold a file.
    pub files: bool,
    /// Collections that its fields refer to.
    pub targets: Vec<String>,
    /// Its indexed and searched fields as JSON, for the table `collection_fields`.
    pub declared: String,
    /// The names of its indexed fields.
    indexed: Vec<String>,
    /// The names of its searched fields.
    searched: Vec<String>,
}

impl Definition {
    /// Reads a body; 422 reports every error at once.
    pub fn read(body: Map<String, Value>) -> Result<Self, Problem> {
        let mut fields = Fields::new(body);
        let slug = fields.required("slug", |f| f.parsed("slug", parse_slug)).unwrap_or_default();
        let name = fields.text("name", MAX_NAME).unwrap_or_else(|| slug.clone());
        let description = fields.parsed("description", parse_description).unwrap_or_default();
        let (written, schema) = read_schema(&mut fields);
        let statuses = fields.take("statuses").unwrap_or_default();
        if let Err(errors) = Statuses::parse(&statuses) {
            fields.wrong_inside("statuses", errors);
        }
        let alias = fields.parsed("alias", parse_alias).is_some();
        let mut switch = |name: &str| fields.flag(name).unwrap_or_default();
        let (versioned, soft_delete, live) = (switch("versioned"), switch("soft_delete"), switch("live"));
        let (public_read, files) = (switch("public_read"), switch("files"));
        fields.finish()?;
        let (targets, declared) = schema.as_ref().map(declarations).unwrap_or_default();
        let names = |is: fn(&Field) -> bool| {
            let fields = schema.iter().flat_map(Schema::fields).filter(|field| is(field));
            fields.map(|field| field.name.clone()).collect()
        };
        let (indexed, searched) = (names(|field| field.is_indexed), names(|field| field.is_searched));
        Ok(Self {
            slug,
            name,
            description,
            schema: written,
            statuses,
            alias,
            versioned,
            soft_delete,
            live,
            public_read,
            files,
            targets,
            declared,
            indexed,
            searched,
        })
    }

    /// Fails unless it keeps two fields by which its records are unique together, one of them indexed.
    pub fn check_pair(&self, pair: UniquePair) -> Result<(), Problem> {
        let [beside, indexed] = pair.fields();
        let has = |name: &str| self.schema.pointer(&format!("/properties/{name}")).is_some();
        let missing = [beside, indexed].into_iter().find(|name| !has(name));
        let is_indexed = self.indexed.iter().any(|name| name == indexed);
        let Some(name) = missing.or((!is_indexed).then_some(indexed)) else { return Ok(()) };
        let what = if missing.is_some() { "must stay" } else { "must stay indexed" };
        let message = format!("{what}: records are unique by {beside} and {indexed} together (unique_together)");
        let pointer = format!("/schema/properties/{name}");
        Err(problem::validation_failed(vec![FieldError::new(pointer, Invalid::new("unique_together", message))]))
    }

    /// Whether more is kept of its records, to find them, than by the schema of before.
    pub fn indexes_more_than(&self, before: &Schema) -> bool {
        let is_new =
            |names: &[String], was: fn(&Field) -> bool| names.iter().any(|name| !before.field(name).is_some_and(was));
        is_new(&self.indexed, |field| field.is_indexed) || is_new(&self.searched, |field| field.is_searched)
    }

    /// The values of its columns, in the order in which statements bind them from `?2` on: slug, name, description, schema,
    /// statuses, alias, versioned, soft_delete, live, public_read, files.
    pub fn columns(&self) -> Vec<Arg> {
        args![
            self.slug.as_str(),
            self.name.as_str(),
            self.description.as_str(),
            self.schema.to_string(),
            self.statuses.to_string(),
            self.alias.then_some("client_id"),
            self.versioned,
            self.soft_delete,
            self.live,
            self.public_read,
            self.files,
        ]
    }

    /// Fails with a mistake for each reference to a collection that is neither this one nor in `known`.
    pub fn check_targets(&self, known: &[String]) -> Result<(), Problem> {
        let is_known = |target: &String| *target == self.slug || known.contains(target);
        if self.targets.iter().all(is_known) {
            return Ok(());
        }
        let unknown = |(name, property): (&String, &Value)| {
            let target = property.get("reference").and_then(Value::as_str)?.to_owned();
            let invalid = Invalid::new("unknown_collection", "is not a collection of this tenant");
            (!is_known(&target)).then(|| FieldError::new(format!("/schema/properties/{name}/reference"), invalid))
        };
        let properties = self.schema.get("properties").and_then(Value::as_object);
        Err(problem::validation_failed(properties.into_iter().flatten().filter_map(unknown).collect()))
    }
}

/// The collections that a schema refers to, and its indexed and searched fields as JSON.
fn declarations(schema: &Schema) -> (Vec<String>, String) {
    let mut declared: Vec<&Field> = schema.fields().filter(|field| field.is_indexed || field.is_searched).collect();
    declared.sort_by(|a, b| a.name.cmp(&b.name));
    let row = |field: &&Field| {
        json!({
            "field": field.name, "indexed": i32::from(field.is_indexed), "unique": i32::from(field.is_unique),
            "searched": i32::from(field.is_searched), "target": field.reference,
        })
    };
    let rows: Vec<Value> = declared.iter().map(row).collect();
    let targets = schema.fields().filter_map(|field| field.reference.clone()).collect();
    (targets, Value::from(rows).to_string())
}

fn read_schema(fields: &mut Fields) -> (Value, Option<Schema>) {
    let Some(written) = fields.required("schema", |f| f.object("schema", MAX_SCHEMA)) else {
        return (Value::Null, None);
    };
    let written = Value::Object(written);
    match Schema::parse(&written) {
        Ok(schema) => (written, Some(schema)),
        Err(errors) => {
            fields.wrong_inside("schema", errors);
            (written, None)
        }
    }
}

/// Reads a slug; reserved ones are refused.
pub fn parse_slug(text: &str) -> Result<String, Invalid> {
    names::collection_slug(text)?;
    let is_version = text.strip_prefix('v').is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    if RESERVED.contains(&text) || is_version {
        return Err(Invalid::new("reserved", "is reserved: paths use it for something else"));
    }
    Ok(text.to_owned())
}

fn parse_description(text: &str) -> Result<String, Invalid> {
    if text.is_empty() { Ok(String::new()) } else { bounded(text, MAX_DESCRIPTION) }
}

fn parse_alias(text: &str) -> Result<(), Invalid> {
    if text == "client_id" { Ok(()) } else { Err(Invalid::new("invalid_alias", "must be client_id or absent")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: Value) -> Result<Definition, Problem> {
        Definition::read(body.as_object().unwrap().clone())
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let problem = read(serde_json::json!({
            "slug": "Leads", "live": "yes", "schema": {"type": "object", "properties": {"id": {"type": "string"}}},
            "statuses": {"initial": "X"}, "alias": "customer_id", "odd": 1,
        }))
        .unwrap_err();
        let pointers: Vec<_> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
        for pointer in ["/slug", "/live", "/schema/properties/id", "/alias", "/odd"] {
            assert!(pointers.contains(&pointer), "{pointer} is not among {pointers:?}");
        }
        assert!(pointers.iter().any(|pointer| pointer.starts_with("/statuses")), "{pointers:?}");
    }

    #[test]
    fn what_is_not_said_is_off_and_plain() {
        let schema = serde_json::json!({"type": "object", "properties": {"email": {"type": "string", "unique": true}}});
        let definition = read(serde_json::json!({"slug": "leads", "schema": schema})).unwrap();
        assert_eq!((definition.name.as_str(), definition.description.as_str()), ("leads", ""));
        assert!(!definition.live && !definition.versioned && !definition.public_read && definition.statuses.is_null());
        assert_eq!(definition.declared, r#"[{"field":"email","indexed":1,"unique":1,"searched":0,"target":null}]"#);
    }

    #[test]
    fn names_of_other_paths_are_reserved() {
        for bad in ["users", "openapi.json", "", "1a", "a b", &"a".repeat(64)] {
            assert!(parse_slug(bad).is_err(), "{bad}");
        }
        assert!(parse_slug("support_tickets").is_ok());
    }

    #[test]
    fn a_reference_leads_to_a_collection_that_is_there() {
        let schema = serde_json::json!({"type": "object", "properties": {
            "author": {"type": "string", "reference": "authors"}, "parent": {"type": "string", "reference": "posts"}}});
        let definition = read(serde_json::json!({"slug": "posts", "schema": schema})).unwrap();
        assert!(definition.check_targets(&["authors".to_owned()]).is_ok());
        let problem = definition.check_targets(&[]).unwrap_err();
        assert_eq!(problem.errors[0].pointer, "/schema/properties/author/reference");
    }
}
