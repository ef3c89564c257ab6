//! `/api/v1/collections`: a tenant's collections.
//!
//! Invariants
//! - A definition changes in one batch with its declared fields, and with the start of the job that indexes its records
//!   again, if there is something to index.
//! - A collection that another one refers to cannot be deleted.
//! - Once it is answered that a collection is private or deleted, no stream hears of it as it was: the tenant's hub knows,
//!   or the response says `pending`.

use serde_json::Value;

use crate::api::members::audit_entry;
use crate::auth::idempotency::tenant::{CreatedResource, Creation};
use crate::auth::principal::Member;
use crate::http::fields::take_read_only;
use crate::http::incoming::{JSON, MERGE_PATCH};
use crate::http::listing::{ListParams, MAX_PAGE_BYTES, ViewRow};
use crate::http::precondition::Validators;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::log;
use crate::records::collection::{self, Collection};
use crate::records::definition::Definition;
use crate::records::provision::insertion;
use crate::records::storage::storage_left;
use crate::records::{job, outbox, rules, sweep};
use crate::storage::sql::{Arg, TenantSql};
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;
use domain::error::Invalid;
use domain::json;
use domain::merge_patch::merge_patch;

statements! { TenantSql;
    /// Another definition.
    UPDATE = "UPDATE collections SET name = ?3, description = ?4, schema = ?5, statuses = ?6, alias = ?7, versioned = ?8, soft_delete = ?9, live = ?10, public_read = ?11, files = ?12, revision = revision + 1, updated_at = ?13 WHERE tenant_id = ?1 AND slug = ?2";
    /// The job that indexes its records anew, if the JSON ?3 declares other fields than before, or ?5 asks for it.
    BEGIN_INDEX = "UPDATE collection_state SET generation = generation + 1, index_revision = index_revision + 1, job = 'index', done = 0, total = (SELECT count(*) FROM records WHERE tenant_id = ?1 AND collection = ?2), failure = NULL, job_at = ?4 WHERE tenant_id = ?1 AND collection = ?2 AND (?5 OR ?3 <> (SELECT json_group_array(json_object('field', f.field, 'indexed', f.is_indexed, 'unique', f.is_unique, 'searched', f.is_searched, 'target', f.target)) FROM (SELECT * FROM collection_fields WHERE tenant_id = ?1 AND collection = ?2 ORDER BY field) f))";
    /// What was answered of its records is stale.
    TOUCH = "UPDATE collection_state SET generation = generation + 1 WHERE tenant_id = ?1 AND collection = ?2";
    /// A field that is declared no more.
    DELETE_FIELDS = "DELETE FROM collection_fields WHERE tenant_id = ?1 AND collection = ?2 AND field NOT IN (SELECT json_extract(j.value, '$.field') FROM json_each(?3) j)";
    /// The fields that are declared from now on; one that is declared as before stays ready.
    UPSERT_FIELDS = "INSERT INTO collection_fields (tenant_id, collection, field, is_indexed, is_unique, is_searched, is_ready, target) SELECT ?1, ?2, json_extract(j.value, '$.field'), json_extract(j.value, '$.indexed'), json_extract(j.value, '$.unique'), json_extract(j.value, '$.searched'), 0, json_extract(j.value, '$.target') FROM json_each(?3) j WHERE 1 ON CONFLICT (tenant_id, collection, field) DO UPDATE SET is_ready = collection_fields.is_ready AND is_indexed = excluded.is_indexed AND is_unique = excluded.is_unique AND is_searched = excluded.is_searched AND target IS NOT DISTINCT FROM excluded.target, is_indexed = excluded.is_indexed, is_unique = excluded.is_unique, is_searched = excluded.is_searched, target = excluded.target";
    /// From now on it is not found, and its records are deleted.
    BEGIN_DELETE = "UPDATE collections SET deleted_at = ?3, revision = revision + 1 WHERE tenant_id = ?1 AND slug = ?2 AND deleted_at IS NULL";
    /// The job that deletes its records.
    BEGIN_DELETE_JOB = "UPDATE collection_state SET job = 'delete', done = 0, total = (SELECT count(*) FROM records WHERE tenant_id = ?1 AND collection = ?2), failure = NULL, job_at = ?3 WHERE tenant_id = ?1 AND collection = ?2";
    /// Nothing refers by it any more.
    FORGET_FIELDS = "DELETE FROM collection_fields WHERE tenant_id = ?1 AND collection = ?2";
    /// Answers kept for `Idempotency-Key` end with the collection: the next one under its slug gets none of them.
    FORGET_ANSWERS = "DELETE FROM idempotency_keys WHERE tenant_id = ?1 AND scope IN ('records.create ' || ?2, 'records.bulk ' || ?2)";
}

/// `POST /api/v1/collections`
pub async fn create(mut request: Request<Member>) -> Result<Response, Problem> {
    let body = request.incoming.json_object(JSON).await?;
    let rows = request.caller.rows(&request.bindings)?;
    let pending = match Creation::begin(&request, &rows, "collections.create", &body).await? {
        Creation::New(pending) => pending,
        Creation::Done(answer) => return Ok(answer),
    };
    let definition = Definition::read(body)?;
    definition.check_targets(&slugs(&rows).await?)?;
    let now = request.now().millis();
    let entry = audit_entry(&request, "collection.create", Some(&definition.slug), None);
    let batch = rows
        .write()
        .add(rules::COLLECTIONS_LEFT, args![rules::MAX_COLLECTIONS])
        .add_all(insertion(&definition, None, now))
        .audit(entry);
    let location = format!("/api/v1/collections/{}", definition.slug);
    let made = CreatedResource { data: Collection::fresh(definition, None, now)?.shown(), location, etag: None };
    let outcome = rules::commit_definition(batch.add_all(pending.store(&made)?)).await;
    if outcome.is_err()
        && let Some(answer) = pending.replay(&rows).await?
    {
        return Ok(answer);
    }
    outcome?;
    pending.respond(&made)
}

/// `GET /api/v1/collections`
pub async fn list(request: Request<Member>) -> Result<Response, Problem> {
    let tenant = request.caller.tenant.to_string();
    // All that a tenant may have, unless these are too large for one page.
    let per_page = u32::try_from(rules::MAX_COLLECTIONS).unwrap_or(u32::MAX);
    let params = ListParams::of(&request, "collections.list", &tenant, per_page)?;
    let rows = request.caller.rows(&request.bindings)?;
    let (most, bytes) = (i64::from(params.per_page()) + 1, i64::try_from(MAX_PAGE_BYTES).unwrap_or(i64::MAX));
    let found = Collection::page(&rows, params.after_id(), most, bytes).await?;
    let row = |collection: &Collection| ViewRow {
        created_at: 0,
        id: collection.slug.clone(),
        view: collection.shown().to_string(),
    };
    params.answer(&request, found.iter().map(row).collect(), Some(&tenant))
}

/// `GET /api/v1/collections/{collection}`
pub async fn get(request: Request<Member>) -> Result<Response, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    let collection = found(&request, &rows).await?;
    let etag = collection.etag();
    match request.preconditions().is_known(Validators::tag(&etag))? {
        true => Ok(Response::empty(304).header("ETag", etag)),
        false => shown(&request, &collection),
    }
}

/// What is shown of a collection and set by nobody.
const READ_ONLY: [&str; 5] = ["template", "revision", "unique_together", "created_at", "updated_at"];

/// `PATCH /api/v1/collections/{collection}`
pub async fn patch(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut patch = request.incoming.json_object(MERGE_PATCH).await?;
    let rows = request.caller.rows(&request.bindings)?;
    let current = found(&request, &rows).await?;
    request.preconditions().check(Some(Validators::tag(&current.etag())))?;
    if patch.get("slug").is_some_and(|slug| slug.as_str() != Some(&current.slug)) {
        return Err(problem::invalid_field("/slug", Invalid::new("read_only", "cannot be changed")));
    }
    // How many records there are, and how far their index is, changes by itself.
    ["records", "index", "pending"].iter().for_each(|name| drop(patch.remove(*name)));
    let errors = take_read_only(&mut patch, &current.shown(), &READ_ONLY);
    if !errors.is_empty() {
        return Err(problem::validation_failed(errors));
    }
    let mut written = current.written();
    merge_patch(&mut written, Value::Object(patch));
    let Value::Object(written) = written else { return Err(problem::internal("a definition that is no object")) };
    let definition = Definition::read(written)?;
    definition.check_targets(&slugs(&rows).await?)?;
    current.unique_pair().map_or(Ok(()), |pair| definition.check_pair(pair))?;
    let entry = audit_entry(&request, "collection.update", Some(&current.slug), None);
    // An index takes room, so none is begun where there is none left.
    let room = storage_left(request.caller.config.limits.storage_bytes);
    let batch = rows
        .write()
        .add_all([rules::definition_as_seen(&current)])
        .add_all(room.filter(|_| definition.indexes_more_than(&current.schema)))
        .add_all(change(&definition, request.now().millis()))
        .audit(entry);
    rules::commit_definition(batch).await?;
    collection::forget(&request.caller.tenant, &current.slug);
    let is_hidden = current.public_read && !definition.public_read;
    let pending = is_hidden && !outbox::learn_collections(&request.bindings, &request.caller.tenant).await;
    if current.public_read != definition.public_read && !pending {
        outbox::notify_hub(&request.background, &request.bindings, &request.caller.tenant);
    }
    advance_job(&request, rows, &current.slug).await?;
    let rows = request.caller.rows(&request.bindings)?;
    let changed = found(&request, &rows).await?;
    if !pending {
        return shown(&request, &changed);
    }
    let mut body = changed.shown();
    if let Value::Object(members) = &mut body {
        members.insert("pending".into(), true.into());
    }
    Ok(Response::json(202, &body, Some(request.caller.tenant.as_str()))?.tagged(changed.etag()))
}

/// `POST /api/v1/collections/{collection}/reindex`
pub async fn reindex(request: Request<Member>) -> Result<Response, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    let current = found(&request, &rows).await?;
    let slug = current.slug.as_str();
    let entry = audit_entry(&request, "collection.reindex", Some(slug), None);
    let begin = (BEGIN_INDEX, args![slug, "", request.now().millis(), true]);
    // A deletion that came meanwhile keeps its job.
    let batch = rows.write().add_all([rules::definition_as_seen(&current)]).add(begin.0, begin.1).audit(entry);
    rules::commit_definition(batch).await?;
    advance_job(&request, rows, slug).await?;
    let rows = request.caller.rows(&request.bindings)?;
    shown(&request, &found(&request, &rows).await?)
}

/// `DELETE /api/v1/collections/{collection}`
pub async fn delete(request: Request<Member>) -> Result<Response, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    let current = found(&request, &rows).await?;
    request.preconditions().check(Some(Validators::tag(&current.etag())))?;
    let (slug, now) = (current.slug.as_str(), request.now().millis());
    let entry = audit_entry(&request, "collection.delete", Some(slug), None);
    let batch = rows
        .write()
        .add_all([rules::definition_as_seen(&current)])
        .add(rules::COLLECTION_UNNAMED, args![slug])
        .add(FORGET_FIELDS, args![slug])
        .add(FORGET_ANSWERS, args![slug])
        .add(BEGIN_DELETE, args![slug, now])
        .add(BEGIN_DELETE_JOB, args![slug, now])
        .audit(entry);
    rules::commit_definition(batch).await?;
    collection::forget(&request.caller.tenant, slug);
    let is_known = outbox::learn_collections(&request.bindings, &request.caller.tenant).await;
    if is_known {
        outbox::notify_hub(&request.background, &request.bindings, &request.caller.tenant);
    }
    let done = advance_job(&request, rows, slug).await? && is_known;
    if current.files {
        sweep::behind(&request.background, &request.bindings, request.caller.rows(&request.bindings)?);
    }
    let status = if done { 200 } else { 202 };
    Response::json(status, &json!({ "slug": slug, "pending": !done }), Some(request.caller.tenant.as_str()))
}

/// The statements that change a definition, and start the index job if its declared fields changed.
fn change(definition: &Definition, now: i64) -> [(TenantSql, Vec<Arg>); 5] {
    let (slug, declared) = (definition.slug.as_str(), definition.declared.as_str());
    let mut update = definition.columns();
    update.extend(args![now]);
    [
        (UPDATE, update),
        (TOUCH, args![slug]),
        (BEGIN_INDEX, args![slug, declared, now, false]),
        (DELETE_FIELDS, args![slug, declared]),
        (UPSERT_FIELDS, args![slug, declared]),
    ]
}

/// Advances a collection's job: some steps now, the rest after the response. True if it is done.
async fn advance_job(request: &Request<Member>, rows: TenantDb, slug: &str) -> Result<bool, Problem> {
    let done = job::advance_now(&rows, slug).await?;
    if !done {
        let slug = slug.to_owned();
        request.background.spawn(async move {
            if let Err(problem) = job::advance(&rows, &slug).await {
                log::fault("collection_job", problem.cause.as_deref().unwrap_or(problem.code));
            }
        });
    }
    Ok(done)
}

/// The collection that the path names.
async fn found(request: &Request<Member>, rows: &TenantDb) -> Result<Collection, Problem> {
    Collection::find(rows, request.params.get("collection")).await?.ok_or_else(problem::not_found)
}

async fn slugs(rows: &TenantDb) -> Result<Vec<String>, Problem> {
    Ok(Collection::all(rows).await?.into_iter().map(|collection| collection.slug).collect())
}

fn shown(request: &Request<Member>, collection: &Collection) -> Result<Response, Problem> {
    let answer = Response::json(200, &collection.shown(), Some(request.caller.tenant.as_str()))?;
    Ok(answer.tagged(collection.etag()))
}
