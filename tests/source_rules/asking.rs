use carillon::http::incoming::Query;
use carillon::records::collection::Collection;
use carillon::records::definition::Definition;
use carillon::records::order::KeysetRow;
use carillon::records::plan::{ListPlan, ReadBounds};
use carillon::records::record_query::RecordQuery;
use carillon::storage::composed::ListStatement;
use carillon::storage::tenant_db::ReadStatement;
use domain::filter::Filter;
use serde_json::{Map, Value, json};

/// The tenant of whom is asked.
pub const TENANT: &str = "acme";

/// Fields: name, schema. Those whose names end with `_i` are in the index.
const FIELDS: &[(&str, &str)] = &[
    ("text", r#"{"type": ["string", "null"]}"#),
    ("text_i", r#"{"type": ["string", "null"], "indexed": true, "searched": true}"#),
    ("moment", r#"{"type": "string", "format": "date-time"}"#),
    ("moment_i", r#"{"type": "string", "format": "date-time", "indexed": true}"#),
    ("number", r#"{"type": ["number", "null"]}"#),
    ("number_i", r#"{"type": ["number", "null"], "indexed": true}"#),
    ("integer", r#"{"type": "integer"}"#),
    ("integer_i", r#"{"type": "integer", "indexed": true}"#),
    ("flag", r#"{"type": "boolean"}"#),
    ("flag_i", r#"{"type": "boolean", "indexed": true}"#),
    ("texts", r#"{"type": "array", "items": {"type": "string"}}"#),
    ("texts_i", r#"{"type": "array", "items": {"type": "string"}, "indexed": true, "searched": true}"#),
    ("numbers", r#"{"type": "array", "items": {"type": "number"}}"#),
    ("numbers_i", r#"{"type": "array", "items": {"type": "number"}, "indexed": true}"#),
    ("flags", r#"{"type": "array", "items": {"type": "boolean"}}"#),
];

/// What is kept of every record, and lists ask for.
pub const COLUMNS: [&str; 7] = ["id", "status", "version", "created_at", "updated_at", "created_by", "updated_by"];

/// The names of the fields.
pub fn fields() -> impl Iterator<Item = &'static str> {
    FIELDS.iter().map(|(name, _)| *name)
}

/// The definition of a collection with these fields, each under the name that `named` gives it.
pub fn definition(slug: &str, named: impl Fn(&str) -> String) -> Definition {
    let properties = FIELDS.iter().map(|(name, schema)| (named(name), serde_json::from_str(schema).unwrap()));
    let properties: Map<String, Value> = properties.collect();
    let statuses = json!({"initial": "new", "transitions": {"new": ["open"], "open": ["done"]}});
    let body = json!({"slug": slug, "schema": {"type": "object", "properties": properties}, "statuses": statuses});
    Definition::read(body.as_object().unwrap().clone()).unwrap_or_else(|problem| panic!("{problem:?}"))
}

/// The creation id of that collection.
pub const CREATION_ID: &str = "0123456789abcdef0123456789abcdef";

/// The collection of that definition under the slug `items`.
pub fn collection() -> Collection {
    let mut collection = Collection::fresh(definition("items", str::to_owned), None, 0).unwrap();
    collection.creation_id = CREATION_ID.into();
    collection
}

/// A collection without statuses, index or searched words.
pub fn bare() -> Collection {
    let schema = json!({"type": "object", "properties": {"text": {"type": "string"}, "number": {"type": "number"}}});
    let body = json!({"slug": "bare", "schema": schema});
    Collection::fresh(Definition::read(body.as_object().unwrap().clone()).unwrap(), None, 0).unwrap()
}

/// What is asked by the parameters of a query.
pub fn asked(parameters: &[(&str, &str)]) -> RecordQuery {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    RecordQuery::read(&Query::parse(&query)).unwrap_or_else(|problem| panic!("{query}: {problem:?}"))
}

/// What a query comes to.
pub struct Asking<'c> {
    pub collection: &'c Collection,
    pub asked: RecordQuery,
    pub plan: ListPlan,
}

impl<'c> Asking<'c> {
    pub fn new(collection: &'c Collection, parameters: &[(&str, &str)]) -> Self {
        let asked = asked(parameters);
        let plan = ListPlan::of(TENANT, collection, &asked);
        Self { collection, asked, plan: plan.unwrap_or_else(|problem| panic!("{parameters:?}: {problem:?}")) }
    }

    /// Its filter, with each literal as it is stored.
    pub fn filter(&self) -> Option<Filter> {
        self.asked.filter(self.collection).unwrap()
    }

    /// The statements of the page behind a place.
    pub fn page(&self, place: Option<&Value>) -> Vec<ListStatement> {
        self.page_within(ReadBounds::MEMBER, 1 << 20, place)
    }

    /// The same, within other bounds.
    pub fn page_within(&self, bounds: ReadBounds, bytes: i64, place: Option<&Value>) -> Vec<ListStatement> {
        let pages = self.plan.page(&self.collection.slug, &self.asked, bounds, bytes, place);
        pages.unwrap_or_else(|problem| panic!("{problem:?}"))
    }

    /// The statements that count, if they are put together.
    pub fn count(&self) -> Vec<ListStatement> {
        let counts = self.plan.count(&self.collection.slug, ReadBounds::MEMBER).unwrap().into_iter();
        let composed = |count| match count {
            ReadStatement::List(composed) => Some(composed),
            ReadStatement::Constant(..) => None,
        };
        counts.filter_map(composed).collect()
    }

    /// The place of a record that has a value by each key, or none by those that can be without.
    pub fn place(&self, value: &Value, status: Option<&str>) -> Value {
        let (id, version, created_at, updated_at) = ("r5", 2, 1_000, 2_000);
        self.plan.order.position(&KeysetRow {
            id,
            status,
            version,
            created_at,
            updated_at,
            first: value,
            second: value,
        })
    }
}
