//! `/api/v1/documents`: the registry of a tenant's GraphQL documents.
//!
//! Invariants
//! - What is registered was parsed within the tenant's bounds. Its hash is made here of its text; one that is sent must be
//!   the same.
//! - A registration is whole or not at all. Each document stands afterwards as it was listed: with its alias, which no other
//!   document has any more, or without one.

use serde_json::{Map, Value};

use super::members::audit_entry;
use crate::auth::principal::Member;
use crate::graphql::documents::registry::{self, NewDocument};
use crate::graphql::{check_document, hash_of};
use crate::http::fields::Fields;
use crate::http::incoming::JSON;
use crate::http::listing::{ListParams, ViewRow, with_timestamps};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::row::row_types;
use crate::storage::sql::{args, statements};
use crate::tenant::site::Site;
use domain::document_name::{DocumentAlias, DocumentHash};
use domain::error::Invalid;
use domain::graphql_settings::GraphqlSettings;
use domain::json;

statements! { TenantSql;
    /// Documents without their texts, newest first.
    SHOWN = "SELECT hash AS id, created_at, json_object('hash', hash, 'alias', alias, 'bytes', bytes, 'created_at', created_at, 'created_by', created_by) AS view FROM documents WHERE tenant_id = ?1 AND (created_at, hash) < (?2, ?3) ORDER BY created_at DESC, hash DESC LIMIT ?4";
    /// One document.
    FIND = "SELECT hash, alias, text, bytes, created_at, created_by FROM documents WHERE tenant_id = ?1 AND hash = ?2";
}

row_types! {
    struct DocumentRow {
        hash: String,
        alias: Option<String>,
        text: String,
        bytes: i64,
        created_at: i64,
        created_by: String,
    }
}

/// Most documents of one request, and the longest request, in bytes.
const MAX_LISTED: usize = 1_000;
const MAX_BODY: usize = 2 * 1024 * 1024;

/// `GET /api/v1/documents`
pub async fn list(request: Request<Member>) -> Result<Response, Problem> {
    let tenant = request.caller.tenant.to_string();
    let params = ListParams::read(&request, "documents.list", &tenant)?;
    let rows = request.caller.rows(&request.bindings)?.rows::<ViewRow>(&SHOWN, params.args()).await?;
    params.answer(&request, rows, Some(&tenant))
}

/// `GET /api/v1/documents/{hash}`
pub async fn get(request: Request<Member>) -> Result<Response, Problem> {
    let row = found(&request).await?;
    let view = with_timestamps(json!({
        "hash": row.hash, "alias": row.alias, "text": row.text, "bytes": row.bytes, "created_at": row.created_at,
        "created_by": row.created_by,
    }));
    Response::json(200, &view, Some(request.caller.tenant.as_str()))
}

/// `PUT /api/v1/documents`
pub async fn put(mut request: Request<Member>) -> Result<Response, Problem> {
    let body = request.incoming.json_object_within(JSON, MAX_BODY).await?;
    let (tenant, revision) = (&request.caller.tenant, request.caller.config.revision);
    let site = Site::of(&request.bindings, tenant, revision).await?;
    let documents = read_list(body, &site.settings)?;
    let rows = request.caller.rows(&request.bindings)?;
    let statements = registry::registration(&documents, &request.caller.actor(), request.now());
    let entry = audit_entry(&request, "document.register", None, Some(json!({ "documents": documents.len() })));
    rows.write().add_all(statements).audit(entry).commit().await.map_err(registry::meaning)?;
    registry::forget(tenant);
    let registered = documents.iter().map(|one| {
        let alias = one.alias.as_ref().map(DocumentAlias::as_str);
        json!({ "hash": one.hash.as_str(), "alias": alias })
    });
    let data = json!({ "documents": Value::Array(registered.collect()) });
    Response::json(200, &data, Some(tenant.as_str()))
}

/// `DELETE /api/v1/documents/{hash}`
pub async fn delete(request: Request<Member>) -> Result<Response, Problem> {
    let row = found(&request).await?;
    let rows = request.caller.rows(&request.bindings)?;
    let entry = audit_entry(&request, "document.delete", Some(&row.hash), None);
    rows.write().add(registry::REMOVE, args![row.hash.as_str()]).audit(entry).commit().await?;
    registry::forget(&request.caller.tenant);
    Response::json(200, &json!({ "hash": row.hash }), Some(request.caller.tenant.as_str()))
}

/// The document that the path names.
async fn found(request: &Request<Member>) -> Result<DocumentRow, Problem> {
    let hash = DocumentHash::parse(request.params.get("hash")).map_err(|_| problem::not_found())?;
    let rows = request.caller.rows(&request.bindings)?;
    rows.row::<DocumentRow>(&FIND, args![hash.as_str()]).await?.ok_or_else(problem::not_found)
}

/// Reads the documents of a body. 422 with every mistake, each at its place in the list.
fn read_list(body: Map<String, Value>, settings: &GraphqlSettings) -> Result<Vec<NewDocument>, Problem> {
    let mut fields = Fields::new(body);
    fields.require("documents");
    let mut documents: Vec<NewDocument> = Vec::new();
    match fields.take("documents") {
        Some(Value::Array(listed)) if (1..=MAX_LISTED).contains(&listed.len()) => {
            let mut names = Names::default();
            for (at, one) in listed.into_iter().enumerate() {
                let name = format!("documents/{at}");
                let Value::Object(one) = one else {
                    fields.wrong::<()>(&name, Invalid::new("not_an_object", "must be an object"));
                    continue;
                };
                let mut one = Fields::new(one);
                documents.extend(read_document(&mut one, &mut names, settings));
                fields.wrong_inside(&name, one.into_errors());
            }
        }
        Some(Value::Array(_)) => {
            let message = format!("must have 1 to {MAX_LISTED} entries");
            fields.wrong::<()>("documents", Invalid::new("too_many", message));
        }
        Some(_) => drop(fields.wrong::<()>("documents", Invalid::new("not_a_list", "must be an array"))),
        None => {}
    }
    fields.finish()?;
    Ok(documents)
}

/// The hashes and aliases that a list has named so far: each stands there once.
#[derive(Default)]
struct Names {
    hashes: std::collections::HashSet<DocumentHash>,
    aliases: std::collections::HashSet<DocumentAlias>,
}

/// Any text but one with NUL, at which SQLite's functions end a text. How long it may be, its check says.
fn parse_text(text: &str) -> Result<String, Invalid> {
    match text.contains('\0') {
        true => Err(Invalid::new("control_character", "must not contain NUL")),
        false => Ok(text.to_owned()),
    }
}

fn read_document(fields: &mut Fields, names: &mut Names, settings: &GraphqlSettings) -> Option<NewDocument> {
    let alias = fields.parsed("alias", DocumentAlias::parse);
    let sent = fields.parsed("hash", DocumentHash::parse);
    let member = if fields.has("query") { "query" } else { "text" };
    let text = fields.required(member, |fields| fields.parsed(member, parse_text))?;
    if let Err(error) = check_document(&text, settings) {
        let place = error.locations.first().map(|at| format!(" (line {}, column {})", at.line, at.column));
        let message = format!("cannot be asked here: {}{}", error.message, place.unwrap_or_default());
        return fields.wrong(member, Invalid::new(error.code, message));
    }
    let hash = hash_of(&text);
    if sent.is_some_and(|sent| sent != hash) {
        return fields.wrong("hash", Invalid::new("hash_mismatch", "is not the SHA-256 of the text"));
    }
    if !names.hashes.insert(hash.clone()) {
        return fields.wrong(member, Invalid::new("duplicate", "must be listed once"));
    }
    if alias.as_ref().is_some_and(|alias| !names.aliases.insert(alias.clone())) {
        return fields.wrong("alias", Invalid::new("duplicate", "must be unique: another entry has the same alias"));
    }
    Some(NewDocument { hash, alias, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: Value) -> Result<Vec<NewDocument>, Vec<String>> {
        let settings = GraphqlSettings { max_depth: 2, ..GraphqlSettings::default() };
        let Value::Object(body) = body else { panic!("an object") };
        read_list(body, &settings)
            .map_err(|problem| problem.errors.iter().map(|e| format!("{} {}", e.pointer, e.code)).collect())
    }

    #[test]
    fn a_list_is_read_with_the_hash_of_each_text() {
        let hash = hash_of("{b}");
        let sent = serde_json::json!({"documents": [
            {"text": "{a}"},
            {"query": "{b}", "alias": "app/B", "hash": format!("sha256:{hash}")},
            {"text": "query C {\n\tc # \u{e4}\r\n}", "alias": null, "hash": null},
        ]});
        let documents = read(sent).unwrap_or_default();
        let shown = |one: &NewDocument| (one.text.clone(), one.alias.as_ref().map(|alias| alias.as_str().to_owned()));
        let shown: Vec<_> = documents.iter().map(shown).collect();
        let expected = [("{a}", None), ("{b}", Some("app/B")), ("query C {\n\tc # \u{e4}\r\n}", None)];
        assert_eq!(shown, expected.map(|(text, alias)| (text.to_owned(), alias.map(str::to_owned))));
        assert!(documents.iter().all(|one| one.hash == hash_of(&one.text)));
    }

    #[test]
    fn each_mistake_is_named_at_its_place() {
        let sent = serde_json::json!({"documents": [
            {"text": "{a}", "alias": "A"},
            1,
            {},
            {"text": "{a"},
            {"text": "{a{b{c}}}"},
            {"query": "{b}", "text": "{b}"},
            {"text": "{c}", "hash": "0".repeat(64)},
            {"text": "{d}", "hash": "ab"},
            {"text": "{e}", "alias": "a b"},
            {"text": "{f}", "alias": "f".repeat(64)},
            {"text": "{a}"},
            {"text": "{g}", "alias": "A"},
            {"text": "{h}#\0"},
            {"text": ""},
        ]});
        let expected = [
            "/documents/1 not_an_object",
            "/documents/2/text required",
            "/documents/3/text syntax",
            "/documents/4/text too_deep",
            "/documents/5/text unknown_field",
            "/documents/6/hash hash_mismatch",
            "/documents/7/hash invalid_hash",
            "/documents/8/alias invalid_alias",
            "/documents/9/alias invalid_alias",
            "/documents/10/text duplicate",
            "/documents/11/alias duplicate",
            "/documents/12/text control_character",
            "/documents/13/text syntax",
        ];
        assert_eq!(read(sent).err().unwrap_or_default(), expected);
        for (body, expected) in [
            (serde_json::json!({}), "/documents required"),
            (serde_json::json!({"documents": []}), "/documents too_many"),
            (serde_json::json!({"documents": vec![1; MAX_LISTED + 1]}), "/documents too_many"),
            (serde_json::json!({"documents": {}}), "/documents not_a_list"),
            (serde_json::json!({"documents": [{"text": "{a}"}], "all": true}), "/all unknown_field"),
        ] {
            assert_eq!(read(body).err().unwrap_or_default(), [expected]);
        }
    }
}
