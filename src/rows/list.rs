//! Lists of records: what is asked for, the statement that finds it, the page that is shown.

use std::rc::Rc;

use serde_json::{Map, Value};

use super::cache::{self, Listed};
use super::collection::Collection;
use super::condition;
use super::expand::{self, Expansion};
use super::order::{Order, Placed};
use super::projection::Projection;
use super::record::{Record, RecordRow};
use crate::composed;
use crate::domain::error::Invalid;
use crate::domain::filter::{Comparison, Filter, Literal, Operator};
use crate::http::answer::{Answer, Pagination};
use crate::http::cursor::{self, ListIdentity};
use crate::http::problem::{self, Answered};
use crate::http::request::Query;
use crate::storage::bindings::Bindings;
use crate::storage::composed::{Bound, Composed, Condition, Head};
use crate::storage::keys::KvKey;
use crate::storage::row::{CountRow, Rows};
use crate::storage::tenant_db::{Read, TenantDb};
use crate::{args, json, rows, statements};

statements! { TenantSql;
    /// How many records a collection has; ?3 their status, NULL for any.
    COUNTED = "SELECT COALESCE(sum(records), 0) AS total FROM record_counts WHERE tenant_id = ?1 AND collection = ?2 AND (?3 IS NULL OR status = ?3)";
}

composed! {
    heads {
        /// How many records there are.
        COUNT = "SELECT count(*) AS total FROM records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.deleted_at IS NULL";
        /// How many were deleted and are kept.
        COUNT_DELETED = "SELECT count(*) AS total FROM records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.deleted_at IS NOT NULL";
    }
    pieces {
        /// One value of the field that leads the list.
        LED_BY = "s.value IS ?";
    }
}

/// Most rows of a page.
pub const MAX_PER_PAGE: u32 = 200;
/// Rows of a page where nobody says.
const PER_PAGE: u32 = 50;
/// The last row that is reached by a page's number.
const MAX_OFFSET: u32 = 100_000;
/// The longest text to search for, in bytes.
const MAX_SEARCHED: usize = 200;
/// Most statuses asked for at once.
const MAX_STATUSES: usize = 20;

rows! {
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

/// How a list goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Paging {
    /// Behind a place; none is the beginning.
    Behind(Option<String>),
    /// By number, from 1.
    Page(u32),
}

/// What a request asks of a list, before the collection is known.
pub struct Asked {
    paging: Paging,
    per_page: u32,
    count: bool,
    deleted: bool,
    statuses: Vec<String>,
    moments: Vec<Comparison>,
    filter: Option<Filter>,
    words: Option<String>,
    sort: Option<String>,
    projection: Projection,
    expansion: Expansion,
}

impl Asked {
    /// Reads the query.
    pub fn read(query: &Query) -> Answered<Self> {
        let limit = query.number("limit", 1..=MAX_PER_PAGE, PER_PAGE)?;
        let per_page = query.number("per_page", 1..=MAX_PER_PAGE, limit)?;
        let cursor = query.get("cursor").filter(|sent| !sent.is_empty()).map(str::to_owned);
        let paging = match (query.get("page"), cursor) {
            (Some(_), Some(_)) => {
                let invalid = Invalid::new("contradiction", "goes on by cursor or by page, not by both");
                return Err(problem::invalid_query("page", invalid));
            }
            (Some(_), None) => Paging::Page(query.number("page", 1..=MAX_OFFSET / per_page, 1)?),
            (None, cursor) => Paging::Behind(cursor),
        };
        Ok(Self {
            count: query.flag("count")? || matches!(paging, Paging::Page(_)),
            paging,
            per_page,
            deleted: query.flag("deleted")?,
            statuses: read_statuses(query)?,
            moments: read_moments(query)?,
            filter: read_filter(query)?,
            words: read_words(query)?,
            sort: query.get("sort").map(str::to_owned),
            projection: Projection::read(query)?,
            expansion: Expansion::read(query)?,
        })
    }

    /// Everything that is asked of the records but the words, as one filter.
    fn filter(&self, collection: &Collection) -> Answered<Option<Filter>> {
        let status = |status: &String| compare("status", Operator::Equal, status);
        let mut statuses: Vec<Filter> = self.statuses.iter().map(|s| Filter::Compare(status(s))).collect();
        let status = if statuses.len() > 1 { Some(Filter::Any(statuses)) } else { statuses.pop() };
        let moments = self.moments.iter().cloned().map(Filter::Compare);
        let parts = status.into_iter().chain(moments).chain(self.filter.clone());
        let Some(filter) = parts.reduce(Filter::and) else { return Ok(None) };
        condition::canonical(collection, filter).map(Some).map_err(|invalid| problem::invalid_query("filter", invalid))
    }
}

/// What a list comes to in a collection.
struct Plan {
    order: Order,
    condition: Condition,
    /// The field of which one value is asked for, and the value: it leads the list by its index.
    led_by: Option<(String, Literal)>,
    /// What the list's cursors are bound to.
    identity: String,
    /// Whether every record is meant, or every one of one status: they are counted already.
    counted: Option<Option<String>>,
}

impl Plan {
    fn of(tenant: &str, collection: &Collection, asked: &Asked) -> Answered<Self> {
        if !asked.statuses.is_empty() && collection.statuses.is_none() {
            let invalid = Invalid::new("unknown_field", "this collection has no statuses");
            return Err(problem::invalid_query("status", invalid));
        }
        let order = Order::read(collection, asked.sort.as_deref())?;
        let filter = asked.filter(collection)?;
        let led_by = filter.as_ref().and_then(|filter| leading(collection, filter));
        let mut parts = Vec::new();
        if let Some(filter) = &filter {
            let condition = condition::of_filter(collection, filter);
            parts.push(condition.map_err(|invalid| problem::invalid_query("filter", invalid))?);
        }
        if let Some(words) = &asked.words {
            let condition = condition::of_words(tenant, collection, words);
            parts.push(condition.map_err(|invalid| problem::invalid_query("q", invalid))?);
        }
        let counted = match (&filter, &asked.words, asked.deleted) {
            (None, None, false) => Some(None),
            (Some(Filter::Compare(one)), None, false) if *one.field == *"status" && one.operator == Operator::Equal => {
                asked.statuses.first().cloned().map(Some)
            }
            _ => None,
        };
        let filters = filter.map(|filter| filter.to_string());
        let identity =
            json!([tenant, collection.slug, asked.deleted, filters, asked.words, order.canonical()]).to_string();
        Ok(Self { order, condition: Condition::All(parts), led_by, identity, counted })
    }

    /// The page's statement; one row more than the page tells whether another follows.
    fn page(&self, slug: &str, asked: &Asked, place: Option<&Value>) -> Answered<Composed> {
        let led_by = self.led_by.as_ref().map(|(field, _)| field.as_str());
        let (head, fields, keys) = self.order.head(asked.deleted, led_by)?;
        let mut parts = vec![self.condition.clone()];
        if let (Some((_, value)), true) = (&self.led_by, !fields.is_empty() && self.order.is_by_creation()) {
            parts.insert(0, Condition::Is(LED_BY, vec![condition::arg(value)]));
        }
        if let Some(place) = place {
            let behind = self.order.behind(place, led_by.filter(|_| !asked.deleted));
            parts.push(behind.ok_or_else(|| problem::invalid_query("cursor", cursor::invalid()))?);
        }
        let offset = match asked.paging {
            Paging::Page(page) => i64::from((page - 1) * asked.per_page),
            Paging::Behind(_) => 0,
        };
        let bound = Bound { limit: i64::from(asked.per_page) + 1, offset };
        let args = std::iter::once(slug.into()).chain(fields).collect();
        Ok(Composed::new(head, args, Condition::All(parts), &keys, Some(bound))?)
    }

    fn count(&self, slug: &str, deleted: bool) -> Answered<Read> {
        if let Some(status) = &self.counted {
            return Ok(Read::Constant(COUNTED, args![slug, status.as_deref()]));
        }
        let head: Head = if deleted { COUNT_DELETED } else { COUNT };
        let composed = Composed::new(head, vec![slug.into()], self.condition.clone(), &[], None)?;
        Ok(Read::Composed(composed))
    }
}

/// Who asks for a list, and where it is found.
pub struct Listing<'a> {
    /// The deployment.
    pub bindings: &'a Bindings,
    /// The tenant's rows.
    pub rows: &'a TenantDb,
    /// Whether a member asks, who sees more than a stranger.
    pub is_member: bool,
}

/// A list as it is answered.
pub struct Page {
    /// The answer's body.
    pub body: String,
    /// Whether it was kept.
    pub is_kept: bool,
    /// What keeps it from now on, if it is worth keeping.
    pub keeping: Option<(KvKey, i64)>,
}

impl Listing<'_> {
    /// The page that is asked for: from what is kept, where it is asked for often, else from the rows.
    pub async fn page(&self, listed: &Listed, readable: impl Fn(&Collection) -> Answered<()>) -> Answered<Page> {
        let asked = Asked::read(&Query::parse(listed.query()))?;
        if asked.deleted && !self.is_member {
            // What was public is not any more.
            return Err(problem::unauthorized());
        }
        let key = asked.key(listed).filter(|_| listed.is_hot());
        if let Some(key) = &key {
            let (_, generation) = self.current(listed.slug(), &readable).await?;
            if let Some(body) = cache::find(self.bindings, self.rows.tenant(), key, generation).await {
                return Ok(Page { body, is_kept: true, keeping: None });
            }
        }
        let (body, generation) = self.made(listed.slug(), &asked, &readable).await?;
        Ok(Page { body, is_kept: false, keeping: key.map(|key| (key, generation)) })
    }

    /// Makes a list anew and keeps it.
    pub async fn warm(&self, listed: &Listed) -> Answered<()> {
        let asked = Asked::read(&Query::parse(listed.query()))?;
        let Some(key) = asked.key(listed) else { return Ok(()) };
        let readable = |collection: &Collection| {
            if listed.is_member() || collection.public_read { Ok(()) } else { Err(problem::unauthorized()) }
        };
        let (body, generation) = self.made(listed.slug(), &asked, &readable).await?;
        cache::keep(self.bindings, self.rows.tenant(), &key, generation, &body).await;
        Ok(())
    }

    /// The collection as it stands, and its generation.
    async fn current(
        &self,
        slug: &str,
        readable: &impl Fn(&Collection) -> Answered<()>,
    ) -> Answered<(Rc<Collection>, i64)> {
        let current = Collection::read_with(self.rows, slug, |collection| readable(collection).map(|()| Vec::new()));
        let read = current.await?;
        Ok((read.collection, read.generation))
    }

    /// The list from the rows, and the generation that it is of.
    async fn made(
        &self,
        slug: &str,
        asked: &Asked,
        readable: &impl Fn(&Collection) -> Answered<()>,
    ) -> Answered<(String, i64)> {
        let tenant = self.rows.tenant().as_str();
        let keys = &self.bindings.settings.keys;
        let reading = |collection: &Collection| {
            readable(collection)?;
            let plan = Plan::of(tenant, collection, asked)?;
            let place = match &asked.paging {
                Paging::Behind(Some(sent)) => {
                    let list = ListIdentity { route: "records.list", filters: &plan.identity };
                    let opened = cursor::open_text(|version| keys.cursor_key_of(version), &list, sent);
                    let opened = opened.map_err(|invalid| problem::invalid_query("cursor", invalid))?;
                    Some(serde_json::from_str::<Value>(&opened).map_err(problem::internal)?)
                }
                _ => None,
            };
            let page = Read::Composed(plan.page(&collection.slug, asked, place.as_ref())?);
            let count = asked.count.then(|| plan.count(&collection.slug, asked.deleted)).transpose()?;
            Ok(std::iter::once(page).chain(count).collect())
        };
        let read = Collection::read_with(self.rows, slug, reading).await?;
        let body = self.shown(&read.collection, asked, read.found).await?;
        Ok((body, read.generation))
    }

    async fn shown(&self, collection: &Collection, asked: &Asked, found: Vec<Rows>) -> Answered<String> {
        let tenant = self.rows.tenant().as_str();
        let plan = Plan::of(tenant, collection, asked)?;
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
        let mut records = records.collect::<Answered<Vec<Map<String, Value>>>>()?;
        expand::fill(self.rows, collection, &asked.expansion, self.is_member, &mut records).await?;
        records.iter_mut().for_each(|record| asked.projection.apply(record));
        Answer::list_body(&records, pagination, Some(tenant))
    }
}

impl Asked {
    /// The key that such a list is kept under. What goes on by a cursor, and what shows records of other collections
    /// too, is not kept.
    fn key(&self, listed: &Listed) -> Option<KvKey> {
        let begins = !matches!(self.paging, Paging::Behind(Some(_)));
        if !begins || !self.expansion.is_empty() || self.deleted {
            return None;
        }
        let names = Query::parse(listed.query());
        let is_plain = names.names().all(|name| matches!(name, "page" | "status")) && self.statuses.len() < 2;
        let status = self.statuses.first().map_or("", String::as_str);
        Some(listed.key(self.page().unwrap_or(0), status, is_plain))
    }

    fn page(&self) -> Option<u32> {
        match self.paging {
            Paging::Page(page) => Some(page),
            Paging::Behind(_) => None,
        }
    }

    fn has_prev(&self) -> bool {
        match &self.paging {
            Paging::Page(page) => *page > 1,
            Paging::Behind(place) => place.is_some(),
        }
    }
}

impl ListRow {
    fn placed(&self) -> Placed<'_> {
        Placed {
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

/// The first field of which a filter asks for one value, if its index holds one value of each record.
fn leading(collection: &Collection, filter: &Filter) -> Option<(String, Literal)> {
    let leads = |comparison: &&Comparison| {
        let field = collection.schema.field(&comparison.field);
        let fits = field.is_some_and(|f| f.is_indexed && f.kind.is_scalar() && collection.is_ready(f));
        fits && comparison.operator == Operator::Equal
    };
    let parts = match filter {
        Filter::Compare(_) => std::slice::from_ref(filter),
        Filter::All(parts) => parts.as_slice(),
        Filter::Any(_) => &[],
    };
    let comparisons = parts.iter().filter_map(|part| match part {
        Filter::Compare(comparison) => Some(comparison),
        _ => None,
    });
    let found = comparisons.into_iter().find(leads)?;
    Some((found.field.to_string(), found.value.clone()))
}

fn compare(field: &str, operator: Operator, value: &str) -> Comparison {
    Comparison { field: field.into(), operator, value: Literal::Text(value.to_owned()) }
}

fn read_statuses(query: &Query) -> Answered<Vec<String>> {
    let names = query.get("status").unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<String> = names.map(str::to_owned).collect();
    if names.len() > MAX_STATUSES || names.iter().any(|name| name.len() > 40) {
        let message = format!("must be at most {MAX_STATUSES} statuses with a comma between them");
        return Err(problem::invalid_query("status", Invalid::new("invalid_status", message)));
    }
    Ok(names)
}

fn read_moments(query: &Query) -> Answered<Vec<Comparison>> {
    let mut moments = Vec::new();
    for (name, field, operator) in [
        ("created_after", "created_at", Operator::Greater),
        ("created_before", "created_at", Operator::Less),
        ("updated_after", "updated_at", Operator::Greater),
        ("updated_before", "updated_at", Operator::Less),
    ] {
        let Some(text) = query.get(name) else { continue };
        let Some(at) = condition::moment(text) else {
            let invalid =
                Invalid::new("invalid_time", "must be a date or an RFC 3339 time, such as 2027-01-31T12:00:00Z");
            return Err(problem::invalid_query(name, invalid));
        };
        moments.push(compare(field, operator, &at.to_string()));
    }
    Ok(moments)
}

fn read_filter(query: &Query) -> Answered<Option<Filter>> {
    let text = query.get("filter").filter(|text| !text.trim().is_empty());
    text.map(Filter::parse).transpose().map_err(|invalid| problem::invalid_query("filter", invalid))
}

fn read_words(query: &Query) -> Answered<Option<String>> {
    let Some(text) = query.get("q").map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.len() > MAX_SEARCHED {
        let message = format!("must be at most {MAX_SEARCHED} bytes long");
        return Err(problem::invalid_query("q", Invalid::new("too_long", message)));
    }
    Ok(Some(text.to_owned()))
}
