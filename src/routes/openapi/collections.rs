//! A tenant's collections in its document: the table's operations on records, for each collection with its own path and
//! types.

use serde_json::{Map, Value};

use super::notation::reference;
use crate::records::collection::Collection;
use crate::routes::route::{Endpoint, Route};
use domain::json;

/// The path parameter that names a collection.
pub const COLLECTION: &str = "collection";
/// What puts schemas together: it says something of a whole record, not of what changes it.
const COMBINED: [&str; 4] = ["allOf", "anyOf", "oneOf", "not"];
/// The prefix of the paths that every collection has.
const PATHS: &str = "/api/v1/{collection}";

/// A collection in a document.
#[derive(Debug)]
pub struct Described {
    /// Its name in paths.
    pub slug: String,
    /// Component schemas by name: what is written, what changes it, what is shown.
    pub schemas: Vec<(String, String)>,
    is_member: bool,
    versioned: bool,
    soft_delete: bool,
    files: bool,
}

impl Described {
    /// A collection, for a member of the tenant or a stranger.
    pub fn of(collection: &Collection, is_member: bool) -> Self {
        let slug = &collection.slug;
        let mut schemas = vec![(shown_name(slug), shown(collection).to_string())];
        if is_member {
            schemas.push((fields_name(slug), fields(collection).to_string()));
            schemas.push((patch_name(slug), patch(collection).to_string()));
        }
        Self {
            slug: slug.clone(),
            schemas,
            is_member,
            versioned: collection.versioned,
            soft_delete: collection.soft_delete,
            files: collection.files,
        }
    }

    /// Whether the collection has this operation, for whoever reads of it.
    pub fn has(&self, route: &Route) -> bool {
        let is_on = match route.name.split('.').next() {
            Some("versions") => self.versioned,
            Some("files") => self.files,
            _ => route.name != "records.restore" || self.soft_delete,
        };
        is_on && route.path.starts_with(PATHS) && (self.is_member || matches!(route.endpoint, Endpoint::Reader(..)))
    }

    /// The operation's path.
    pub fn path(&self, route: &Route) -> String {
        route.path.replace("{collection}", &self.slug)
    }

    /// The operation's name, which no other one has.
    pub fn operation(&self, route: &Route) -> String {
        [&self.slug, ".", route.name].concat()
    }

    /// The schema of a body that is a record's fields.
    pub fn body(&self, route: &Route) -> Option<String> {
        match route.name {
            "records.create" | "records.replace" => Some(reference("schemas", &fields_name(&self.slug))),
            "records.patch" => Some(reference("schemas", &patch_name(&self.slug))),
            _ => None,
        }
    }

    /// The table's responses, where a record is one of this collection.
    pub fn answers(&self, responses: &str) -> String {
        responses.replace(&reference("schemas", "Record"), &reference("schemas", &shown_name(&self.slug)))
    }
}

fn shown_name(slug: &str) -> String {
    [slug, ".Record"].concat()
}

fn fields_name(slug: &str) -> String {
    [slug, ".Fields"].concat()
}

fn patch_name(slug: &str) -> String {
    [slug, ".Patch"].concat()
}

/// What a record is made of: the collection's schema, a status, an id. A null stands for a field that is left out.
fn fields(collection: &Collection) -> Value {
    let declared = |name: &str| collection.schema.written().get(name).cloned();
    let mut properties = Map::new();
    let mut required = Vec::new();
    let asked: Vec<&str> = collection.schema.fields().filter(|field| field.required).map(|f| f.name.as_str()).collect();
    for (name, property) in own(collection) {
        let is_required = asked.contains(&name.as_str()) && property.get("default").is_none();
        properties.insert(name.clone(), if is_required { property.clone() } else { or_null(property) });
        if is_required {
            required.push(Value::from(name.as_str()));
        }
    }
    let id = json!({"type": ["string", "null"], "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"});
    properties.insert("id".into(), id);
    properties.extend(status(collection).map(|status| ("status".to_owned(), or_null(&status))));
    let mut fields = json!({
        "type": "object", "title": collection.name, "description": collection.description, "properties": properties,
        "required": required, "additionalProperties": declared("additionalProperties").unwrap_or(Value::Bool(false)),
    });
    if let Some(fields) = fields.as_object_mut() {
        fields.extend(COMBINED.iter().filter_map(|keyword| Some(((*keyword).to_owned(), declared(keyword)?))));
    }
    fields
}

/// What changes a record: a merge patch, in which a null takes a field away and an object changes one.
fn patch(collection: &Collection) -> Value {
    let mut fields = fields(collection);
    if let Some(fields) = fields.as_object_mut() {
        for keyword in COMBINED.into_iter().chain(["required"]) {
            fields.shift_remove(keyword);
        }
        let properties = fields.get_mut("properties").and_then(Value::as_object_mut);
        for (_, property) in properties.into_iter().flatten() {
            *property = match is_object(property) {
                true => json!({"type": ["object", "null"]}),
                false => or_null(property),
            };
        }
    }
    fields
}

/// A record as it is shown, of which `fields` may leave out anything and `expand` shows more.
fn shown(collection: &Collection) -> Value {
    let text = || json!({"type": "string"});
    let time = || json!({"type": "string", "format": "date-time"});
    let mut properties = Map::from_iter([("id".to_owned(), text()), ("tenant_id".to_owned(), text())]);
    if collection.alias {
        properties.insert("client_id".into(), text());
    }
    properties.extend(own(collection).map(|(name, property)| (name.clone(), property.clone())));
    properties.extend(status(collection).map(|status| ("status".to_owned(), status)));
    properties.insert("version".into(), json!({"type": "integer"}));
    for name in ["created_at", "updated_at", "deleted_at"] {
        properties.insert(name.into(), time());
    }
    for name in ["created_by", "updated_by"] {
        properties.insert(name.into(), text());
    }
    properties.insert("expand".into(), json!({"type": "object"}));
    json!({
        "type": "object", "title": collection.name, "description": collection.description, "properties": properties,
    })
}

/// The fields that the collection declares, and their schemas.
fn own(collection: &Collection) -> impl Iterator<Item = (&String, &Value)> {
    let declared = collection.schema.written().get("properties");
    declared.and_then(Value::as_object).into_iter().flatten()
}

fn status(collection: &Collection) -> Option<Value> {
    let statuses = collection.statuses.as_ref()?;
    Some(json!({"type": "string", "enum": statuses.names().collect::<Vec<_>>()}))
}

fn is_object(schema: &Value) -> bool {
    // A schema beside null, as `or_null` puts it.
    let own = schema.pointer("/anyOf/0").filter(|_| schema.get("type").is_none()).unwrap_or(schema);
    let kind = own.get("type");
    let is = |kind: &Value| kind == "object";
    kind.is_some_and(|kind| is(kind) || kind.as_array().is_some_and(|kinds| kinds.iter().any(is)))
}

/// A schema that null satisfies too.
fn or_null(schema: &Value) -> Value {
    if COMBINED.iter().any(|keyword| schema.get(keyword).is_some()) {
        return json!({"anyOf": [schema, {"type": "null"}]});
    }
    let mut schema = schema.clone();
    let Some(members) = schema.as_object_mut() else { return schema };
    if let Some(Value::Array(values)) = members.get_mut("enum")
        && !values.contains(&Value::Null)
    {
        values.push(Value::Null);
    }
    if let Some(only) = members.get("const").filter(|only| !only.is_null()).cloned() {
        members.shift_remove("const");
        members.insert("enum".into(), Value::Array(vec![only, Value::Null]));
    }
    if let Some(kind @ Value::String(_)) = members.get("type").cloned() {
        members.insert("type".into(), Value::Array(vec![kind, "null".into()]));
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::definition::Definition;

    fn collection(definition: Value) -> Collection {
        let definition = Definition::read(definition.as_object().unwrap().clone()).unwrap();
        Collection::fresh(definition, None, 0).unwrap()
    }

    fn contacts() -> Collection {
        collection(json!({
            "slug": "contacts", "name": "Contacts", "alias": "client_id",
            "statuses": {"initial": "new", "transitions": {"new": ["won"]}},
            "schema": {"type": "object", "required": ["email", "source"], "properties": {
                "email": {"type": "string", "format": "email", "unique": true},
                "source": {"type": "string", "enum": ["web", "phone"], "default": "web"},
                "address": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}}},
        }))
    }

    #[test]
    fn what_is_written_must_have_what_the_platform_does_not_fill_in() {
        let fields = fields(&contacts());
        assert_eq!(fields["required"], json!(["email"]), "the other one has a default");
        assert_eq!(fields["additionalProperties"], json!(false));
        assert_eq!(fields["properties"]["email"], json!({"type": "string", "format": "email", "unique": true}));
        let source = json!({"type": ["string", "null"], "enum": ["web", "phone", null], "default": "web"});
        assert_eq!(fields["properties"]["source"], source);
        assert_eq!(fields["properties"]["status"], json!({"type": ["string", "null"], "enum": ["new", "won", null]}));
        assert!(fields["properties"]["id"].is_object());
    }

    #[test]
    fn every_keyword_is_shown() {
        let code = json!({"type": "string", "pattern": "^[A-Z]+$", "examples": ["A"], "deprecated": true});
        let size = json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 10, "multipleOf": 0.5});
        let tags = json!({"type": "array", "items": {"type": "string"}, "uniqueItems": true, "minItems": 1});
        let kind = json!({"type": "string", "const": "a"});
        let either = json!({"type": "object", "minProperties": 1, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]});
        let collection = collection(json!({"slug": "things", "schema": {
            "type": "object", "anyOf": [{"required": ["code"]}, {"required": ["tags"]}], "required": ["size"],
            "properties": {"code": code, "size": size, "tags": tags, "kind": kind, "either": either}}}));
        let (fields, patch, shown) = (fields(&collection), patch(&collection), shown(&collection));
        for (name, property) in
            [("code", &code), ("size", &size), ("tags", &tags), ("kind", &kind), ("either", &either)]
        {
            assert_eq!(&shown["properties"][name], property);
        }
        assert_eq!(fields["properties"]["size"], size);
        assert_eq!(fields["properties"]["code"]["pattern"], "^[A-Z]+$");
        assert_eq!(fields["properties"]["kind"], json!({"type": ["string", "null"], "enum": ["a", null]}));
        assert_eq!(fields["properties"]["either"], json!({"anyOf": [either, {"type": "null"}]}));
        assert_eq!(fields["anyOf"], json!([{"required": ["code"]}, {"required": ["tags"]}]));
        assert_eq!(patch.get("anyOf"), None, "a patch says some of it");
        assert_eq!(patch["properties"]["either"], json!({"type": ["object", "null"]}));
    }

    #[test]
    fn a_patch_asks_for_nothing() {
        let patch = patch(&contacts());
        assert_eq!(patch.get("required"), None);
        assert_eq!(patch["properties"]["email"]["type"], json!(["string", "null"]));
        assert_eq!(patch["properties"]["address"], json!({"type": ["object", "null"]}), "of which some may be given");
    }

    #[test]
    fn what_is_shown_is_what_is_kept() {
        let shown = shown(&contacts());
        for name in ["id", "tenant_id", "client_id", "email", "source", "address", "status", "version", "created_at"] {
            assert!(shown["properties"][name].is_object(), "{name}");
        }
        assert_eq!(shown["properties"]["source"]["type"], "string");
        let plain = collection(json!({"slug": "a", "schema": {"type": "object"}}));
        let plain = super::shown(&plain);
        assert!(plain["properties"].get("client_id").is_none() && plain["properties"].get("status").is_none());
    }
}
