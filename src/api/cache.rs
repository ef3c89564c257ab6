//! `/api/v1/cache`: purges of kept GraphQL answers and of lists of records, and why an answer is kept or not.

use serde_json::{Map, Value};

use super::members::audit_entry;
use crate::auth::principal::Member;
use crate::graphql::explain::{self, ExplainedQuestion};
use crate::graphql::purging;
use crate::graphql::stats::{self, DAYS};
use crate::graphql::warming;
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::records::cache_purge::{self, SlugPattern};
use crate::tenant::site::Site;
use domain::error::Invalid;
use domain::graphql_cache::{PurgeTags, Tag};
use domain::json;
use domain::text::bounded;

/// Most entries of each list of a purge.
const MAX_LISTED: usize = 1_000;
/// Most patterns of collections; a tenant has no more collections.
const MAX_PATTERNS: usize = 100;
/// The longest name of a type or an operation, in bytes.
const MAX_NAME: usize = 256;
/// The longest document, in bytes.
const MAX_DOCUMENT: usize = 262_144;
/// The first of the members of a purge that name what ends.
const NAMING: &str = "/keys";

/// What a purge names.
struct PurgeBody {
    /// GraphQL answers.
    tags: PurgeTags,
    is_soft: bool,
    /// Collections whose lists and statistics end; none if there was no such field.
    records: Option<Vec<SlugPattern>>,
    /// What the site calls its endpoint.
    graphql_url: Option<String>,
}

impl PurgeBody {
    /// Reads a body. 422 if something is wrong, or nothing is named.
    fn read(body: Map<String, Value>) -> Result<Self, Problem> {
        let mut fields = Fields::new(body);
        let is_soft = fields.flag("soft").unwrap_or(false);
        let tags = tags(&mut fields);
        let records = fields.list("records", MAX_PATTERNS, SlugPattern::parse);
        let graphql_url = fields.text("graphql_url", 512);
        fields.finish()?;
        if tags.is_empty() && records.as_ref().is_none_or(Vec::is_empty) {
            let told = "must name what ends: keys, ids, types, operations, documents, records, or all: true";
            let field = if records.is_some() { "/records" } else { NAMING };
            return Err(problem::invalid_field(field, Invalid::new("required", told)));
        }
        Ok(Self { tags, is_soft, records, graphql_url })
    }
}

/// The answers that a purge names.
fn tags(fields: &mut Fields) -> PurgeTags {
    let name = |text: &str| bounded(text, MAX_NAME);
    let purges_all = fields.flag("all").unwrap_or(false);
    let keys = fields.list("keys", MAX_LISTED, Tag::parse).unwrap_or_default();
    let ids = fields.list("ids", MAX_LISTED, Tag::of_node).unwrap_or_default();
    let types = fields.list("types", MAX_LISTED, name).unwrap_or_default();
    let operations = fields.list("operations", MAX_LISTED, name).unwrap_or_default();
    let documents = fields.list("documents", MAX_LISTED, purging::document_digest).unwrap_or_default();
    let mut tags = if purges_all { PurgeTags::everything() } else { PurgeTags::default() };
    tags = keys.into_iter().chain(ids).fold(tags, PurgeTags::key);
    tags = types.iter().fold(tags, |tags, name| tags.kind(name));
    tags = operations.iter().fold(tags, |tags, name| tags.operation(name));
    documents.iter().fold(tags, |tags, digest| tags.document(digest))
}

/// `POST /api/v1/cache/purge`
pub async fn purge(mut request: Request<Member>) -> Result<Response, Problem> {
    let body = PurgeBody::read(request.incoming.json_object(JSON).await?)?;
    let (tenant, revision) = (request.caller.tenant.clone(), request.caller.config.revision);
    let header = request.incoming.header("X-GraphQL-URL");
    let site = Site::of(&request.bindings, &tenant, revision).await?;
    if body.graphql_url.iter().chain(&header).any(|name| !site.is_called(name)) {
        return Err(problem::wrong_site());
    }
    let tags = body.tags.into_tags();
    let matched = commit(&request, body.is_soft, tags.len(), body.records.as_deref()).await?;
    let mut purged = Map::new();
    let id = match tags.is_empty() {
        true => None,
        false => Some(purging::purge(&request.bindings, &tenant, revision, body.is_soft, tags).await?),
    };
    warming::after_purges(&request.bindings, &request.background, &tenant);
    json::set(&mut purged, "id", &id);
    json::set(&mut purged, "soft", &body.is_soft);
    if let Some(matched) = matched {
        json::set(&mut purged, "records", &matched);
    }
    Response::json(200, &purged, Some(tenant.as_str()))
}

/// Writes the audit entry, and ends the lists of the collections in the same transaction. How many collections matched; none
/// if none were asked for.
async fn commit(
    request: &Request<Member>,
    is_soft: bool,
    tags: usize,
    records: Option<&[SlugPattern]>,
) -> Result<Option<usize>, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    let detail = json!({ "soft": is_soft, "tags": tags, "records": records.map_or(0, <[SlugPattern]>::len) });
    let entry = audit_entry(request, "cache.purge", None, Some(detail));
    let raise = records.map(cache_purge::raise);
    let mut done = rows.write().audit(entry).add_all(raise).commit().await?;
    let raised = records.map(|_| cache_purge::raised(rows.tenant(), done.pop().unwrap_or_default()));
    Ok(raised.transpose()?)
}

/// `GET /api/v1/cache/stats`
pub async fn stats(request: Request<Member>) -> Result<Response, Problem> {
    let days = request.incoming.query.number("days", 1..=DAYS, 1)?;
    let tenant = request.caller.tenant.clone();
    let stats = stats::of(&request.bindings, &tenant, days).await?;
    Response::json(200, &stats, Some(tenant.as_str()))
}

/// `POST /api/v1/cache/explain`
pub async fn explain(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    let query = fields.required("query", |fields| fields.parsed("query", document));
    let operation_name = fields.text_or_none("operationName", MAX_NAME);
    let variables = fields.object("variables", MAX_DOCUMENT).map(Value::Object);
    let headers = texts(&mut fields, "headers");
    let parameters = texts(&mut fields, "parameters");
    let asks_site = fields.flag("ask").unwrap_or(true);
    let query = fields.finish_with(query)?;
    let asked = ExplainedQuestion { query, operation_name, variables, headers, parameters, asks_site };
    let tenant = request.caller.tenant.clone();
    let explained = explain::explain(&request.bindings, &tenant, &request.caller.config, asked).await?;
    Response::json(200, &explained, Some(tenant.as_str()))
}

/// A document as it is sent, line breaks included.
fn document(text: &str) -> Result<String, Invalid> {
    match (1..=MAX_DOCUMENT).contains(&text.len()) {
        true => Ok(text.to_owned()),
        false => Err(Invalid::new("invalid_length", "must have 1 to 262,144 bytes")),
    }
}

/// An object of texts.
fn texts(fields: &mut Fields, name: &str) -> Vec<(String, String)> {
    let object: Map<String, Value> = fields.object(name, 16_384).unwrap_or_default();
    let mut read = Vec::new();
    for (key, value) in object {
        match value {
            Value::String(text) => read.push((key.to_ascii_lowercase(), text)),
            _ => {
                fields.wrong::<()>(name, Invalid::new("invalid_type", "must be an object of strings"));
            }
        }
    }
    read
}
