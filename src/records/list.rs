//! Lists of records: the page that a plan finds, as it is shown.

use serde_json::{Map, Value};

use super::asked::{Paging, RecordQuery};
use super::cache::{self, CacheGeneration, ListRequest};
use super::collection::Collection;
use super::expand;
use super::order::KeysetRow;
use super::plan::ListPlan;
use super::record::{Record, RecordRow};
use crate::http::cursor::{self, ListIdentity};
use crate::http::incoming::Query;
use crate::http::problem::{self, Problem};
use crate::http::response::{Pagination, Response};
use crate::storage::bindings::Bindings;
use crate::storage::keys::KvKey;
use crate::storage::row::row_types;
use crate::storage::row::{CountRow, Rows};
use crate::storage::tenant_db::{ReadStatement, TenantDb};

row_types! {
    /// A list's row: the record, and where it stands by its own fields.
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
    }
}

/// Who asks for a list, and where it is found.
pub struct RecordList<'a> {
    /// The deployment.
    pub bindings: &'a Bindings,
    /// The tenant's rows.
    pub rows: &'a TenantDb,
    /// Whether a member asks, who sees more than a stranger.
    pub is_member: bool,
}

/// A list as it is answered.
pub struct ListPage {
    /// The answer's body.
    pub body: String,
    /// Whether it was kept.
    pub is_kept: bool,
    /// What keeps it from now on, if it is worth keeping.
    pub keeping: Option<(KvKey, CacheGeneration)>,
}

impl RecordList<'_> {
    /// The page that is asked for: from what is kept, where it is asked for often, else from the rows.
    pub async fn page(
        &self,
        listed: &ListRequest,
        readable: impl Fn(&Collection) -> Result<(), Problem>,
    ) -> Result<ListPage, Problem> {
        let asked = RecordQuery::read(&Query::parse(listed.query()))?;
        if asked.deleted && !self.is_member {
            // What was public is not any more.
            return Err(problem::unauthorized());
        }
        let key = key(&asked, listed).filter(|_| listed.is_hot());
        if let Some(key) = &key {
            let generation = self.generation(listed.slug(), &readable).await?;
            if let Some(body) = cache::find(self.bindings, self.rows.tenant(), key, &generation).await {
                return Ok(ListPage { body, is_kept: true, keeping: None });
            }
        }
        let (body, generation) = self.made(listed.slug(), &asked, &readable).await?;
        Ok(ListPage { body, is_kept: false, keeping: key.map(|key| (key, generation)) })
    }

    /// Makes a list anew and keeps it.
    pub async fn warm(&self, listed: &ListRequest) -> Result<(), Problem> {
        let asked = RecordQuery::read(&Query::parse(listed.query()))?;
        let Some(key) = key(&asked, listed) else { return Ok(()) };
        let readable = |collection: &Collection| {
            if listed.is_member() || collection.public_read { Ok(()) } else { Err(problem::unauthorized()) }
        };
        let (body, generation) = self.made(listed.slug(), &asked, &readable).await?;
        cache::keep(self.bindings, self.rows.tenant(), &key, generation, &body).await;
        Ok(())
    }

    /// The generation of the collection as it stands, if it may be read.
    async fn generation(
        &self,
        slug: &str,
        readable: &impl Fn(&Collection) -> Result<(), Problem>,
    ) -> Result<CacheGeneration, Problem> {
        let current = Collection::read_with(self.rows, slug, |collection| readable(collection).map(|()| Vec::new()));
        Ok(current.await?.generation)
    }

    /// The list from the rows, and the generation that it is of.
    async fn made(
        &self,
        slug: &str,
        asked: &RecordQuery,
        readable: &impl Fn(&Collection) -> Result<(), Problem>,
    ) -> Result<(String, CacheGeneration), Problem> {
        let tenant = self.rows.tenant().as_str();
        let keys = &self.bindings.settings.keys;
        let reading = |collection: &Collection| {
            readable(collection)?;
            let plan = ListPlan::of(tenant, collection, asked)?;
            let place = match &asked.paging {
                Paging::Behind(Some(sent)) => {
                    let list = ListIdentity { route: "records.list", filters: &plan.identity };
                    let opened = cursor::open_text(|version| keys.cursor_key_of(version), &list, sent);
                    let opened = opened.map_err(|invalid| problem::invalid_query("cursor", invalid))?;
                    Some(serde_json::from_str::<Value>(&opened).map_err(problem::internal)?)
                }
                _ => None,
            };
            let page = ReadStatement::ListStatement(plan.page(&collection.slug, asked, place.as_ref())?);
            let count = asked.count.then(|| plan.count(&collection.slug)).transpose()?;
            Ok(std::iter::once(page).chain(count).collect())
        };
        let read = Collection::read_with(self.rows, slug, reading).await?;
        let body = self.shown(&read.collection, asked, read.found).await?;
        Ok((body, read.generation))
    }

    async fn shown(&self, collection: &Collection, asked: &RecordQuery, found: Vec<Rows>) -> Result<String, Problem> {
        let tenant = self.rows.tenant().as_str();
        let plan = ListPlan::of(tenant, collection, asked)?;
        let mut found = found.into_iter();
        let mut listed = found.next().unwrap_or_default().read::<ListRow>()?;
        let total = found.next().unwrap_or_default().first::<CountRow>()?;
        let has_next = listed.len() > asked.per_page as usize;
        listed.truncate(asked.per_page as usize);
        let by_cursor = matches!(asked.paging, Paging::Behind(_));
        let last = listed.last().filter(|_| has_next && by_cursor).map(|row| plan.order.place(&row.placed()));
        let cursor = match last {
            Some(place) => {
                let key = self.bindings.settings.keys.cursor_key().map_err(problem::internal)?;
                let list = ListIdentity { route: "records.list", filters: &plan.identity };
                Some(cursor::seal_text(&key, &list, &place.to_string()))
            }
            None => None,
        };
        let total = total.and_then(|row| u64::try_from(row.total).ok());
        let pagination = Pagination {
            page: asked.page(),
            per_page: asked.per_page,
            total,
            total_pages: total.map(|total| total.div_ceil(u64::from(asked.per_page))),
            has_next,
            has_prev: asked.has_prev(),
            cursor,
        };
        let records = listed.into_iter().map(|row| Record::stored(self.rows.tenant(), row.into()).shown(collection));
        let mut records = records.collect::<Result<Vec<Map<String, Value>>, Problem>>()?;
        expand::fill(self.rows, collection, &asked.expansion, self.is_member, &mut records).await?;
        records.iter_mut().for_each(|record| asked.projection.apply(record));
        Response::list_body(&records, pagination, Some(tenant))
    }
}

/// The key that such a list is kept under. What goes on by a cursor, and what shows records of other collections
/// too, is not kept.
fn key(asked: &RecordQuery, listed: &ListRequest) -> Option<KvKey> {
    let begins = !matches!(asked.paging, Paging::Behind(Some(_)));
    if !begins || !asked.expansion.is_empty() || asked.deleted {
        return None;
    }
    let names = Query::parse(listed.query());
    let is_plain = names.names().all(|name| matches!(name, "page" | "status")) && asked.statuses.len() < 2;
    let status = asked.statuses.first().map_or("", String::as_str);
    Some(listed.key(asked.page().unwrap_or(0), status, is_plain))
}

impl ListRow {
    fn placed(&self) -> KeysetRow<'_> {
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
        }
    }
}
