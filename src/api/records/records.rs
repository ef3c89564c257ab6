//! `/api/v1/{collection}`: records, one at a time.
//!
//! Invariant: a stranger sees what is public; of everything else they are told nothing, not even whether it is there.

use serde_json::Map;

use super::{announce, preferred};
use crate::auth::idempotency::tenant::Creation;
use crate::auth::principal::{Member, Reader};
use crate::http::etag;
use crate::http::incoming::{JSON, MERGE_PATCH};
use crate::http::problem::{self, Answered, Problem};
use crate::http::request::Call;
use crate::http::response::Answer;
use crate::records::cache::{self, Listed};
use crate::records::cache_stats;
use crate::records::collection::{Collection, ReadWith};
use crate::records::expand::{self, Expansion};
use crate::records::list::{Listing, Page};
use crate::records::operation::{self, Act, Doing, Operation, Outcome};
use crate::records::projection::Projection;
use crate::records::record::{self, Record, RecordRow};
use crate::records::sweep;
use crate::storage::sql::args;
use crate::storage::tenant_db::{Read, TenantDb};
use domain::json;

/// `POST /api/v1/{collection}`
pub async fn create(mut call: Call<Member>) -> Answered<Answer> {
    let body = call.request.json_object(JSON).await?;
    let rows = call.who.rows(&call.bindings)?;
    let slug = call.params.get("collection");
    let finished = |answer: Answer| preferred(&call, answer.header("ETag", etag::of(1)));
    let pending = match Creation::begin(&call, &rows, &format!("records.create {slug}"), &body).await? {
        Creation::New(pending) => pending,
        Creation::Done(answer) => return finished(answer),
    };
    let doing = Doing { rows: &rows, slug, member: &call.who, pending: Some(&pending), made: operation::one };
    let create = Operation { place: String::new(), id: None, seen: None, act: Act::Create(body) };
    match doing.all(&[create]).await? {
        Outcome::Earlier(answer) => finished(answer),
        Outcome::Done(collection, _, made) => {
            announce(&call, &collection);
            finished(pending.answer(&made)?)
        }
    }
}

/// `GET /api/v1/{collection}`
pub async fn list(call: Call<Reader>) -> Answered<Answer> {
    let rows = call.who.rows(&call.bindings)?;
    let is_member = call.who.is_member();
    let listed = Listed::new(&call.who.tenant, call.params.get("collection"), is_member, &call.request.raw_query);
    let listing = Listing { bindings: &call.bindings, rows: &rows, is_member };
    let page = listing.page(&listed, |collection| may_read(&call, collection)).await;
    let Page { body, is_kept, keeping } = page.map_err(|problem| unseen(&call, problem))?;
    if let Some((key, generation)) = keeping {
        let (bindings, tenant, body) = (call.bindings.clone(), call.who.tenant.clone(), body.clone());
        call.later.run(async move { cache::keep(&bindings, &tenant, &key, generation, &body).await });
    }
    cache_stats::tell(&call.bindings, &call.later, &call.who.tenant);
    Ok(Answer::plain_json(200, body).header("X-Cache", if is_kept { "HIT" } else { "MISS" }))
}

/// `GET /api/v1/{collection}/{record_id}`
pub async fn get(call: Call<Reader>) -> Answered<Answer> {
    let rows = call.who.rows(&call.bindings)?;
    let (slug, id) = (call.params.get("collection"), call.params.get("record_id"));
    let projection = Projection::read(&call.request.query)?;
    let expansion = Expansion::read(&call.request.query)?;
    let find = |_: &Collection| Ok(vec![Read::Constant(record::FIND, args![slug, id])]);
    let ReadWith { collection, found, .. } = readable(&call, &rows, find).await?;
    let row = found.into_iter().next().unwrap_or_default().first::<RecordRow>()?.ok_or_else(problem::not_found)?;
    let record = Record::stored(rows.tenant(), row);
    let etag = etag::of(record.version);
    // What is put beside it has versions of its own.
    let tagged = |answer: Answer| if expansion.is_empty() { answer.header("ETag", &etag) } else { answer };
    if expansion.is_empty() && etag::is_known(&call.request, &etag) {
        return Ok(tagged(Answer::empty(304)));
    }
    let mut shown = [record.shown(&collection)?];
    expand::fill(&rows, &collection, &expansion, call.who.is_member(), &mut shown).await?;
    let [mut shown] = shown;
    projection.apply(&mut shown);
    Ok(tagged(Answer::json(200, &shown, Some(call.who.tenant.as_str()))?))
}

/// `PATCH /api/v1/{collection}/{record_id}`
pub async fn patch(mut call: Call<Member>) -> Answered<Answer> {
    let body = call.request.json_object(MERGE_PATCH).await?;
    change(&call, Act::Patch(body)).await
}

/// `PUT /api/v1/{collection}/{record_id}`
pub async fn replace(mut call: Call<Member>) -> Answered<Answer> {
    let body = call.request.json_object(JSON).await?;
    change(&call, Act::Replace(body)).await
}

/// `DELETE /api/v1/{collection}/{record_id}`
pub async fn delete(call: Call<Member>) -> Answered<Answer> {
    let permanent = call.request.query.flag("permanent")?;
    change(&call, Act::Delete { permanent }).await
}

/// `POST /api/v1/{collection}/{record_id}/restore`
pub async fn restore(call: Call<Member>) -> Answered<Answer> {
    change(&call, Act::Restore).await
}

/// Does something to the record that the path names.
pub(super) async fn change(call: &Call<Member>, act: Act) -> Answered<Answer> {
    let rows = call.who.rows(&call.bindings)?;
    let (slug, id) = (call.params.get("collection"), call.params.get("record_id"));
    let doing = Doing { rows: &rows, slug, member: &call.who, pending: None, made: operation::one };
    let seen = call.request.header("If-Match");
    let deletes = matches!(act, Act::Delete { .. });
    let wanted = Operation { place: String::new(), id: Some(id.to_owned()), seen, act };
    let Outcome::Done(collection, done, _) = doing.all(&[wanted]).await? else {
        return Err(problem::internal("an answer that nobody kept"));
    };
    announce(call, &collection);
    if deletes && collection.files {
        sweep::behind(&call.later, &call.bindings, call.who.rows(&call.bindings)?);
    }
    let (shown, version) = done.into_iter().next().map_or((Map::new(), None), |done| (done.shown, done.version));
    let tenant = Some(call.who.tenant.as_str());
    let answer = match version {
        Some(version) => Answer::json(200, &shown, tenant)?.header("ETag", etag::of(version)),
        None => Answer::json(200, &json!({ "id": id }), tenant)?,
    };
    preferred(call, answer)
}

/// The collection that the path names, with what is read of it, if the caller may read it.
pub(super) async fn readable(
    call: &Call<Reader>,
    rows: &TenantDb,
    reading: impl Fn(&Collection) -> Answered<Vec<Read>>,
) -> Answered<ReadWith> {
    let guarded = |collection: &Collection| may_read(call, collection).and_then(|()| reading(collection));
    let found = Collection::read_with(rows, call.params.get("collection"), guarded).await;
    found.map_err(|problem| unseen(call, problem))
}

fn may_read(call: &Call<Reader>, collection: &Collection) -> Answered<()> {
    if call.who.is_member() || collection.public_read { Ok(()) } else { Err(problem::unauthorized()) }
}

/// A collection that is not there, as the caller is told: a stranger hears the same of one that they may not see.
fn unseen(call: &Call<Reader>, problem: Problem) -> Problem {
    if problem.status == 404 && !call.who.is_member() { problem::unauthorized() } else { problem }
}
