//! `/api/v1/{collection}`: lists of records, and single records.
//!
//! Invariant: visitors who are not members see public collections only. For every other collection the response does not
//! tell whether it exists.

use serde_json::Map;

use super::read_price::{self, PricedRead};
use super::{announce, preferred};
use crate::auth::idempotency::tenant::{CreatedResource, Creation};
use crate::auth::principal::{Member, Reader};
use crate::http::incoming::{JSON, MERGE_PATCH};
use crate::http::precondition::{Preconditions, Validators};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::records::beside;
use crate::records::cache::{self, CacheGeneration, ListRequest};
use crate::records::cache_stats;
use crate::records::collection::{self, Collection, CollectionRead};
use crate::records::expand::{self, Expansion};
use crate::records::list::{ListPage, RecordList};
use crate::records::operation::{self, Operation, OperationKind, RecordWriter, WriteOutcome};
use crate::records::projection::Projection;
use crate::records::record::{self, Record, RecordRow};
use crate::records::record_query::RecordQuery;
use crate::records::sweep;
use crate::storage::sql::args;
use crate::storage::tenant_db::{ReadStatement, TenantDb};
use crate::tenant::tenant_state;
use domain::json;
use domain::log_position::{Cursor, ReadPosition};

/// `POST /api/v1/{collection}`
pub async fn create(mut request: Request<Member>) -> Result<Response, Problem> {
    let body = request.incoming.json_object(JSON).await?;
    let rows = request.caller.rows(&request.bindings)?;
    let slug = request.params.get("collection");
    let pending = match Creation::begin_in(&request, &rows, "records.create", slug, &body).await? {
        Creation::New(pending) => pending,
        Creation::Done(answer) => return preferred(&request, answer),
    };
    let writer =
        RecordWriter { rows: &rows, slug, member: &request.caller, pending: Some(&pending), respond: operation::one };
    let preconditions = Preconditions::default();
    let create = Operation { pointer: String::new(), id: None, preconditions, kind: OperationKind::Create(body) };
    match writer.run(&[create]).await? {
        WriteOutcome::Replayed(answer) => preferred(&request, answer),
        WriteOutcome::Written(collection, _, made) => {
            announce(&request, &collection);
            preferred(&request, pending.respond(&made)?)
        }
    }
}

/// `GET /api/v1/{collection}`
pub async fn list(request: Request<Reader>) -> Result<Response, Problem> {
    let is_member = request.caller.is_member();
    let log = tenant_state::log_position(&request.caller.tenant);
    let rows = request.caller.rows(&request.bindings)?;
    let (network, query) = (request.incoming.network(), &request.incoming.query);
    let priced = match is_member {
        true => None,
        false => read_price::admit_page(network, query, bytes_shown(&request, &rows).await?)?,
    };
    let rows = counted(rows, priced.as_ref());
    let list = ListRequest::new(
        &request.caller.tenant,
        request.params.get("collection"),
        is_member,
        &request.incoming.raw_query,
    );
    let reader = RecordList { bindings: &request.bindings, rows: &rows, is_member };
    let page = reader.page(&list, |collection| may_read(&request, collection)).await;
    if let Some(priced) = priced {
        let bytes = page.as_ref().map_or_else(bytes_refused, |page| page.body.len());
        if priced.is_unexpected(bytes) {
            collection::forget(&request.caller.tenant, request.params.get("collection"));
        }
        match &page {
            Ok(page) if page.from_cache => priced.settle_cached(bytes),
            Ok(page) => priced.settle(rows.work(), page.comparisons, bytes),
            Err(_) => priced.settle(rows.work(), 0, bytes),
        }
    }
    let ListPage { body, from_cache, store_as, generation, .. } =
        page.map_err(|problem| hide_from_strangers(&request, problem))?;
    if let Some((key, generation)) = store_as
        && let Some(body) = body.to_text(cache::MAX_BYTES)
    {
        let (bindings, tenant) = (request.bindings.clone(), request.caller.tenant.clone());
        request.background.spawn(async move { cache::store(&bindings, &tenant, &key, generation, &body).await });
    }
    cache_stats::report(&request.bindings, &request.background, &request.caller.tenant);
    let answer = Response::plain_json(200, body).header("X-Cache", if from_cache { "HIT" } else { "MISS" });
    Ok(with_position(answer, log, &generation))
}

/// The answer with where a stream goes on from it: `log` is a position from before the rows were read.
fn with_position(answer: Response, log: Option<Cursor>, generation: &CacheGeneration) -> Response {
    match (log, generation.number()) {
        (Some(log), Some(change)) => answer.header("Last-Event-ID", ReadPosition { log, change }),
        _ => answer,
    }
}

/// What a refusal counts as: to see that it is too much takes as long as to answer it.
fn bytes_refused(problem: &Problem) -> usize {
    if problem.code == "too_complex" { beside::MAX_BYTES } else { 0 }
}

/// The read as one that may cost much, if it is a stranger's and such a one.
fn priced(request: &Request<Reader>) -> Result<Option<PricedRead>, Problem> {
    if request.caller.is_member() {
        return Ok(None);
    }
    read_price::admit(request.incoming.network(), &request.incoming.query)
}

/// Bytes of the records that a page shows, by the mean size of the newest ones.
async fn bytes_shown(request: &Request<Reader>, rows: &TenantDb) -> Result<u64, Problem> {
    let per_page = u64::from(RecordQuery::per_page_of(&request.incoming.query)?);
    match Collection::cached(rows, request.params.get("collection")).await {
        Ok(collection) => Ok(per_page.saturating_mul(collection.record_bytes.unsigned_abs())),
        // Whether it is there is told in the same way as ever.
        Err(problem) if problem.status == 404 => Ok(0),
        Err(problem) => Err(problem),
    }
}

fn counted(rows: TenantDb, priced: Option<&PricedRead>) -> TenantDb {
    if priced.is_some_and(PricedRead::counts_rows) { rows.counting() } else { rows }
}

/// `GET /api/v1/{collection}/{record_id}`
pub async fn get(request: Request<Reader>) -> Result<Response, Problem> {
    let log = tenant_state::log_position(&request.caller.tenant);
    let priced = priced(&request)?;
    let rows = counted(request.caller.rows(&request.bindings)?, priced.as_ref());
    let answer = one(&request, &rows, log).await;
    if let Some(priced) = priced {
        let bytes = answer.as_ref().map_or_else(bytes_refused, |answer| answer.body.json_bytes());
        priced.settle(rows.work(), 0, bytes);
    }
    answer
}

async fn one(request: &Request<Reader>, rows: &TenantDb, log: Option<Cursor>) -> Result<Response, Problem> {
    let (slug, id) = (request.params.get("collection"), request.params.get("record_id"));
    let projection = Projection::read(&request.incoming.query)?;
    let expansion = Expansion::read(&request.incoming.query)?;
    let find = |_: &Collection| Ok(vec![ReadStatement::Constant(record::FIND, args![slug, id])]);
    let CollectionRead { collection, found, generation } = readable(request, rows, find).await?;
    projection.check(&collection)?;
    let row = found.into_iter().next().unwrap_or_default().first::<RecordRow>()?.ok_or_else(problem::not_found)?;
    let record = Record::stored(rows.tenant(), row);
    let etag = record.etag(&collection);
    // Expanded records have versions of their own, which the tag does not cover.
    let tagged = |answer: Response| {
        let answer = with_position(answer, log, &generation);
        if expansion.is_empty() { answer.tagged(&etag) } else { answer }
    };
    let is_known = request.preconditions().is_known(Validators::tag(&etag))?;
    if expansion.is_empty() && is_known {
        return Ok(tagged(Response::empty(304)));
    }
    let mut shown = [record.shown(&collection)?];
    expand::fill(rows, &collection, &expansion, request.caller.is_member(), &mut shown).await?;
    let [mut shown] = shown;
    projection.apply(&mut shown);
    Ok(tagged(Response::json(200, &shown, Some(request.caller.tenant.as_str()))?))
}

/// `PATCH /api/v1/{collection}/{record_id}`
pub async fn patch(mut request: Request<Member>) -> Result<Response, Problem> {
    let body = request.incoming.json_object(MERGE_PATCH).await?;
    change(&request, OperationKind::Patch(body)).await
}

/// `PUT /api/v1/{collection}/{record_id}`
pub async fn replace(mut request: Request<Member>) -> Result<Response, Problem> {
    let body = request.incoming.json_object(JSON).await?;
    // If it is done at all, nothing was there.
    if !request.preconditions().want_nothing_there() {
        return change(&request, OperationKind::Replace(body)).await;
    }
    let (answer, made) = match write(&request, OperationKind::Replace(body.clone())).await {
        // Somebody else made it meanwhile, or it is deleted and kept: the second time tells.
        Err(problem) if problem.code == "conflict" => write(&request, OperationKind::Replace(body)).await?,
        outcome => outcome?,
    };
    let mut answer = answer.header("Location", made.location);
    answer.status = 201;
    preferred(&request, answer)
}

/// `DELETE /api/v1/{collection}/{record_id}`
pub async fn delete(request: Request<Member>) -> Result<Response, Problem> {
    let permanent = request.incoming.query.flag("permanent")?;
    change(&request, OperationKind::Delete { permanent }).await
}

/// `POST /api/v1/{collection}/{record_id}/restore`
pub async fn restore(request: Request<Member>) -> Result<Response, Problem> {
    change(&request, OperationKind::Restore).await
}

/// Runs an operation on the record that the path names.
pub(super) async fn change(request: &Request<Member>, kind: OperationKind) -> Result<Response, Problem> {
    let (answer, _) = write(request, kind).await?;
    preferred(request, answer)
}

/// The same; gives the whole answer, and what was written.
async fn write(request: &Request<Member>, kind: OperationKind) -> Result<(Response, CreatedResource), Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    let (slug, id) = (request.params.get("collection"), request.params.get("record_id"));
    let writer = RecordWriter { rows: &rows, slug, member: &request.caller, pending: None, respond: operation::one };
    let preconditions = request.preconditions();
    let deletes = matches!(kind, OperationKind::Delete { .. });
    let wanted = Operation { pointer: String::new(), id: Some(id.to_owned()), preconditions, kind };
    let WriteOutcome::Written(collection, done, written) = writer.run(&[wanted]).await? else {
        return Err(problem::internal("an answer that nobody kept"));
    };
    announce(request, &collection);
    if deletes && collection.files {
        sweep::behind(&request.background, &request.bindings, request.caller.rows(&request.bindings)?);
    }
    let (shown, etag) = done.into_iter().next().map_or((Map::new(), None), |done| (done.shown, done.etag));
    let tenant = Some(request.caller.tenant.as_str());
    let answer = match etag {
        Some(etag) => Response::json(200, &shown, tenant)?.tagged(etag),
        None => Response::json(200, &json!({ "id": id }), tenant)?,
    };
    Ok((answer, written))
}

/// The collection that the path names, with the rows of `reading`, if the caller may read it.
pub(super) async fn readable(
    request: &Request<Reader>,
    rows: &TenantDb,
    reading: impl Fn(&Collection) -> Result<Vec<ReadStatement>, Problem>,
) -> Result<CollectionRead, Problem> {
    let guarded = |collection: &Collection| may_read(request, collection).and_then(|()| reading(collection));
    let found = Collection::read_with(rows, request.params.get("collection"), guarded).await;
    found.map_err(|problem| hide_from_strangers(request, problem))
}

fn may_read(request: &Request<Reader>, collection: &Collection) -> Result<(), Problem> {
    if request.caller.is_member() || collection.public_read { Ok(()) } else { Err(problem::unauthorized()) }
}

/// Makes a missing collection look to visitors like one that they may not read.
fn hide_from_strangers(request: &Request<Reader>, problem: Problem) -> Problem {
    if problem.status == 404 && !request.caller.is_member() { problem::unauthorized() } else { problem }
}
