//! Lists of records: runs a plan and renders the page, from the cache where it can.

use std::cell::Cell;

use serde_json::{Map, Value};

use super::cache::{self, CacheGeneration, ListRequest};
use super::collection::Collection;
use super::expand;
use super::order::KeysetRow;
use super::page::{PageReading, RowMark};
use super::plan::{ListPlan, ReadBounds};
use super::record::{Record, RecordRow};
use super::record_query::{Paging, RecordQuery};
use crate::http::body_text::BodyText;
use crate::http::cursor::{self, ListIdentity};
use crate::http::incoming::Query;
use crate::http::problem::{self, Problem};
use crate::http::response::{CutCause, ListCut, Pagination, Response};
use crate::storage::bindings::Bindings;
use crate::storage::keys::KvKey;
use crate::storage::row::Rows;
use crate::storage::row::row_types;
use crate::storage::tenant_db::{ReadStatement, TenantDb};
use domain::error::Invalid;

row_types! {
    /// A list's row: the record, and the indexed values that it is sorted by.
    struct ListRow {
        id: String,
        version: i64,
        status: Option<String>,
        data: String,
        created_at: i64,
        updated_at: i64,
        created_by: String,
        updated_by: String,
        deleted_at: Option<i64>,
        sort_1: Value,
        sort_2: Value,
        matches: Option<i64>,
        scanned: i64,
        page_rows: i64,
    }
    /// How many records a list has.
    struct ListCount {
        total: u64,
        is_cut: i64,
    }
}

/// Most bytes of fields on one page.
const PAGE_BYTES: i64 = 1024 * 1024;

/// Reads lists of a tenant's records for one caller.
pub struct RecordList<'a> {
    /// The deployment.
    pub bindings: &'a Bindings,
    /// The tenant's rows.
    pub rows: &'a TenantDb,
    /// Whether a member asks; members see more than visitors.
    pub is_member: bool,
}

/// A page of a list.
pub struct ListPage {
    /// The body of the response.
    pub body: BodyText,
    /// Whether it came from the cache.
    pub from_cache: bool,
    /// The key and generation to cache it under, if it is worth caching.
    pub store_as: Option<(KvKey, CacheGeneration)>,
    /// How often each record that was read was compared.
    pub comparisons: usize,
    /// The state that it shows.
    pub generation: CacheGeneration,
}

impl RecordList<'_> {
    /// The page for a request: from the cache if the list is hot, else from the rows. `readable` decides whether the caller
    /// may read the collection.
    pub async fn page(
        &self,
        request: &ListRequest,
        readable: impl Fn(&Collection) -> Result<(), Problem>,
    ) -> Result<ListPage, Problem> {
        let query = RecordQuery::read(&Query::parse(request.query()))?;
        if query.deleted && !self.is_member {
            // Deleted records are for members, also those that were public.
            return Err(problem::unauthorized());
        }
        let key = key(&query, request).filter(|_| request.is_hot());
        if let Some(key) = &key {
            let generation = self.generation(request.slug(), &readable).await?;
            if let Some(body) = cache::find(self.bindings, self.rows.tenant(), key, &generation).await {
                return Ok(ListPage {
                    body: body.into(),
                    from_cache: true,
                    store_as: None,
                    comparisons: 0,
                    generation,
                });
            }
        }
        let (body, generation, comparisons) = self.load(request.slug(), &query, &readable).await?;
        let store_as = key.map(|key| (key, generation.clone()));
        Ok(ListPage { body, from_cache: false, store_as, comparisons, generation })
    }

    /// Recomputes a list and caches it.
    pub async fn warm(&self, request: &ListRequest) -> Result<(), Problem> {
        let query = RecordQuery::read(&Query::parse(request.query()))?;
        let Some(key) = key(&query, request) else { return Ok(()) };
        let readable = |collection: &Collection| {
            if request.is_member() || collection.public_read { Ok(()) } else { Err(problem::unauthorized()) }
        };
        let (body, generation, _) = self.load(request.slug(), &query, &readable).await?;
        if let Some(body) = body.to_text(cache::MAX_BYTES) {
            cache::store(self.bindings, self.rows.tenant(), &key, generation, &body).await;
        }
        Ok(())
    }

    /// The collection's current generation, if the caller may read it.
    async fn generation(
        &self,
        slug: &str,
        readable: &impl Fn(&Collection) -> Result<(), Problem>,
    ) -> Result<CacheGeneration, Problem> {
        let current = Collection::read_with(self.rows, slug, |collection| readable(collection).map(|()| Vec::new()));
        Ok(current.await?.generation)
    }

    /// The page from the rows, its generation, and how often each record was compared.
    async fn load(
        &self,
        slug: &str,
        query: &RecordQuery,
        readable: &impl Fn(&Collection) -> Result<(), Problem>,
    ) -> Result<(BodyText, CacheGeneration, usize), Problem> {
        let tenant = self.rows.tenant().as_str();
        let keys = &self.bindings.settings.keys;
        let planned = Cell::new(None);
        let reading = |collection: &Collection| {
            readable(collection)?;
            let plan = ListPlan::of(tenant, collection, query)?;
            let position = match &query.paging {
                Paging::Cursor(Some(sent)) => {
                    let list = ListIdentity { route: "records.list", filters: &plan.identity };
                    let opened = cursor::open_text(|version| keys.cursor_key_of(version), &list, sent);
                    let opened = opened.map_err(|invalid| problem::invalid_query("cursor", invalid))?;
                    Some(serde_json::from_str::<Value>(&opened).map_err(problem::internal)?)
                }
                _ => None,
            };
            let bounds = ReadBounds::of(self.is_member);
            check_page(query, plan.bounds(bounds).records)?;
            let pages = plan.page(&collection.slug, query, bounds, PAGE_BYTES, position.as_ref())?;
            let counts = query.count.then(|| plan.count(&collection.slug, bounds)).transpose()?;
            planned.set(Some((plan, pages.len())));
            Ok(pages.into_iter().map(ReadStatement::List).chain(counts.into_iter().flatten()).collect())
        };
        let read = Collection::read_with(self.rows, slug, reading).await?;
        // The last plan is the one for the definition that was read with the rows.
        let planned = planned.take().ok_or_else(|| problem::internal("a list was read without a plan"))?;
        let (plan, pages) = planned;
        let mut found = read.found.into_iter();
        let rows = found.by_ref().take(pages).map(Rows::read).collect::<Result<Vec<Vec<ListRow>>, _>>()?;
        let counts = found.map(Rows::first).collect::<Result<Vec<Option<ListCount>>, _>>()?;
        let counts: Vec<ListCount> = counts.into_iter().flatten().collect();
        let body = self.render(&read.collection, &plan, query, rows.into_iter().flatten().collect(), &counts).await?;
        Ok((body, read.generation, plan.comparisons()))
    }

    /// The body of a page: its records as they are shown, and where the list continues.
    async fn render(
        &self,
        collection: &Collection,
        plan: &ListPlan,
        query: &RecordQuery,
        mut rows: Vec<ListRow>,
        counts: &[ListCount],
    ) -> Result<BodyText, Problem> {
        let tenant = self.rows.tenant().as_str();
        let bounds = plan.bounds(ReadBounds::of(self.is_member));
        let per_page = query.per_page as usize;
        let reading = PageReading { per_page, most: bounds.records, in_order: plan.is_read_in_order() };
        let cut = reading.cut(&rows.iter().map(ListRow::mark).collect::<Vec<_>>());
        // A page by number goes on by number or by cursor: numbers end with what is read, and cursors do not.
        let end = query.offset() + i64::from(query.per_page);
        let total = (!counts.is_empty()).then(|| counts.iter().map(|count| count.total).sum::<u64>());
        let total_is_lower_bound = counts.iter().any(|count| count.is_cut != 0);
        // Pages by number end where reading does.
        let is_last = query.page().is_some()
            && end >= bounds.records
            && total.is_none_or(|total| i64::try_from(total).is_ok_and(|total| total > bounds.records));
        let behind_last = if is_last && reading.in_order { cut.shown.checked_sub(1) } else { None };
        let behind = cut.behind.or(behind_last).and_then(|place| rows.get(place));
        let has_next = cut.has_next || behind.is_some();
        let cursor = match behind.map(|row| plan.order.position(&row.keyset())) {
            Some(position) => {
                let key = self.bindings.settings.keys.cursor_key().map_err(problem::internal)?;
                let list = ListIdentity { route: "records.list", filters: &plan.identity };
                Some(cursor::seal_text(&key, &list, &position.to_string()))
            }
            None => None,
        };
        rows.truncate(cut.shown);
        let is_beyond = is_last || (query.page().is_some() && total_is_lower_bound && cut.shown < per_page);
        let cause = cut.cause.or_else(|| is_beyond.then_some(CutCause::Records));
        let pagination = Pagination {
            page: query.page(),
            per_page: query.per_page,
            total,
            total_is_lower_bound,
            total_pages: total.map(|total| total.div_ceil(u64::from(query.per_page))),
            has_next,
            has_prev: query.has_prev(),
            partial: cause.is_some(),
            cut: cause.map(|by| ListCut { by, bound: if by == CutCause::Bytes { PAGE_BYTES } else { bounds.records } }),
            cursor,
        };
        let records = rows.into_iter().map(|row| Record::stored(self.rows.tenant(), row.into()).shown(collection));
        let mut records = records.collect::<Result<Vec<Map<String, Value>>, Problem>>()?;
        expand::fill(self.rows, collection, &query.expansion, self.is_member, &mut records).await?;
        records.iter_mut().for_each(|record| query.projection.apply(record));
        Response::list_body(&records, pagination, Some(tenant))
    }
}

/// Refuses a page by number that begins behind the last record which is read: nothing could be said of what is there.
fn check_page(query: &RecordQuery, most: i64) -> Result<(), Problem> {
    let Some(_) = query.page().filter(|_| query.offset() >= most) else { return Ok(()) };
    let per_page = i64::from(query.per_page);
    let last = (most + per_page - 1) / per_page;
    let message = format!(
        "must be at most {last} with {per_page} rows on a page: a list reads its first {most} records; \
         go on by cursor, or narrow the list by filter"
    );
    Err(problem::invalid_query("page", Invalid::new("beyond_bound", message)))
}

/// The key to cache a list under. Pages after a cursor, deleted records and lists with `expand` are not cached.
fn key(query: &RecordQuery, request: &ListRequest) -> Option<KvKey> {
    let begins = !matches!(query.paging, Paging::Cursor(Some(_)));
    if !begins || !query.expansion.is_empty() || query.deleted {
        return None;
    }
    let names = Query::parse(request.query());
    let is_plain = names.names().all(|name| matches!(name, "page" | "status")) && query.statuses.len() < 2;
    let status = query.statuses.first().map_or("", String::as_str);
    Some(request.key(query.page().unwrap_or(0), status, is_plain))
}

impl ListRow {
    fn mark(&self) -> RowMark {
        RowMark { matches: self.matches == Some(1), scanned: self.scanned, page_rows: self.page_rows }
    }

    fn keyset(&self) -> KeysetRow<'_> {
        KeysetRow {
            id: &self.id,
            status: self.status.as_deref(),
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
            first: &self.sort_1,
            second: &self.sort_2,
        }
    }
}

impl From<ListRow> for RecordRow {
    fn from(row: ListRow) -> Self {
        Self {
            id: row.id,
            version: row.version,
            status: row.status,
            data: row.data,
            created_at: row.created_at,
            updated_at: row.updated_at,
            created_by: row.created_by,
            updated_by: row.updated_by,
            deleted_at: row.deleted_at,
            creation_id: None,
        }
    }
}
