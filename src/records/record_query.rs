//! The query of a list of records, read before the collection is known.

use super::collection::Collection;
use super::expand::Expansion;
use super::literal;
use super::projection::Projection;
use crate::http::incoming::Query;
use crate::http::problem::{self, Problem};
use domain::error::Invalid;
use domain::filter::{Comparison, ComparisonOperator, Filter, Literal};

/// Most rows of a page.
pub const MAX_PER_PAGE: u32 = 200;
/// Rows of a page by default.
const PER_PAGE: u32 = 50;
/// The last row that can be reached by page number.
const MAX_OFFSET: u32 = 100_000;
/// The longest search, in bytes.
const MAX_TERMS_BYTES: usize = 200;
/// Most statuses in one query.
const MAX_STATUSES: usize = 20;

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paging {
    /// The page after a cursor; none for the first.
    Cursor(Option<String>),
    /// The page of a number, from 1.
    Page(u32),
}

/// What a request asks of a list of records.
pub struct RecordQuery {
    /// Which page.
    pub paging: Paging,
    /// Rows of a page.
    pub per_page: u32,
    /// Whether the total is counted.
    pub count: bool,
    /// Whether the list shows soft-deleted records, and only those.
    pub deleted: bool,
    /// Records with one of these statuses; any status if empty.
    pub statuses: Vec<String>,
    /// Terms to search for.
    pub terms: Option<String>,
    /// The parameter `sort` as it was sent.
    pub sort: Option<String>,
    /// Which members of each record are shown.
    pub projection: Projection,
    /// Which referenced records are shown under `expand`.
    pub expansion: Expansion,
    time_bounds: Vec<Comparison>,
    filter: Option<Filter>,
}

impl RecordQuery {
    /// How many records a page shows at most.
    pub fn per_page_of(query: &Query) -> Result<u32, Problem> {
        let limit = query.number("limit", 1..=MAX_PER_PAGE, PER_PAGE)?;
        query.number("per_page", 1..=MAX_PER_PAGE, limit)
    }

    /// Reads the query; 400 names the parameter that is wrong.
    pub fn read(query: &Query) -> Result<Self, Problem> {
        let per_page = Self::per_page_of(query)?;
        let cursor = query.get("cursor").filter(|sent| !sent.is_empty()).map(str::to_owned);
        let paging = match (query.get("page"), cursor) {
            (Some(_), Some(_)) => {
                let invalid = Invalid::new(
                    "contradiction",
                    "must not be combined with cursor: page through a list by one of them",
                );
                return Err(problem::invalid_query("page", invalid));
            }
            (Some(_), None) => Paging::Page(query.number("page", 1..=MAX_OFFSET / per_page, 1)?),
            (None, cursor) => Paging::Cursor(cursor),
        };
        Ok(Self {
            count: query.flag("count")? || matches!(paging, Paging::Page(_)),
            paging,
            per_page,
            deleted: query.flag("deleted")?,
            statuses: read_statuses(query)?,
            time_bounds: read_time_bounds(query)?,
            filter: read_filter(query)?,
            terms: read_terms(query)?,
            sort: query.get("sort").map(str::to_owned),
            projection: Projection::read(query)?,
            expansion: Expansion::read(query)?,
        })
    }

    /// Statuses, time bounds and filter as one filter, with literals as the collection stores them.
    pub fn filter(&self, collection: &Collection) -> Result<Option<Filter>, Problem> {
        let status = |status: &String| compare("status", ComparisonOperator::Equal, status);
        let mut statuses: Vec<Filter> = self.statuses.iter().map(|s| Filter::Compare(status(s))).collect();
        let status = if statuses.len() > 1 { Some(Filter::Any(statuses)) } else { statuses.pop() };
        let time_bounds = self.time_bounds.iter().cloned().map(Filter::Compare);
        let parts = status.into_iter().chain(time_bounds).chain(self.filter.clone());
        let Some(filter) = parts.reduce(Filter::and) else { return Ok(None) };
        canonical_filter(collection, filter).map(Some)
    }

    /// Whether records are selected by status at most.
    pub fn is_by_status(&self) -> bool {
        self.filter.is_none() && self.time_bounds.is_empty() && self.terms.is_none() && !self.deleted
    }

    /// The page's number, if pages are numbered.
    pub fn page(&self) -> Option<u32> {
        match self.paging {
            Paging::Page(page) => Some(page),
            Paging::Cursor(_) => None,
        }
    }

    /// Rows before the page; 0 with cursors.
    pub fn offset(&self) -> i64 {
        self.page().map_or(0, |page| i64::from((page - 1) * self.per_page))
    }

    /// Whether there is a page before this one.
    pub fn has_prev(&self) -> bool {
        match &self.paging {
            Paging::Page(page) => *page > 1,
            Paging::Cursor(cursor) => cursor.is_some(),
        }
    }
}

fn compare(field: &str, operator: ComparisonOperator, value: &str) -> Comparison {
    Comparison { field: field.into(), operator, value: Literal::Text(value.to_owned()) }
}

fn read_statuses(query: &Query) -> Result<Vec<String>, Problem> {
    let text = query.get("status").map(str::trim).unwrap_or_default();
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<String> = names.map(str::to_owned).collect();
    if names.is_empty() && !text.is_empty() {
        let invalid = Invalid::new("invalid_status", "must name at least one status: status=one,other");
        return Err(problem::invalid_query("status", invalid));
    }
    if names.len() > MAX_STATUSES || names.iter().any(|name| name.len() > 40) {
        let message = format!("must be at most {MAX_STATUSES} statuses, separated by commas");
        return Err(problem::invalid_query("status", Invalid::new("invalid_status", message)));
    }
    Ok(names)
}

fn read_time_bounds(query: &Query) -> Result<Vec<Comparison>, Problem> {
    let mut time_bounds = Vec::new();
    for (name, field, operator) in [
        ("created_after", "created_at", ComparisonOperator::Greater),
        ("created_before", "created_at", ComparisonOperator::Less),
        ("updated_after", "updated_at", ComparisonOperator::Greater),
        ("updated_before", "updated_at", ComparisonOperator::Less),
    ] {
        let Some(text) = query.get(name) else { continue };
        let Some(at) = literal::parse_time(text) else {
            let invalid =
                Invalid::new("invalid_time", "must be a date or an RFC 3339 time, such as 2027-01-31T12:00:00Z");
            return Err(problem::invalid_query(name, invalid));
        };
        time_bounds.push(compare(field, operator, &at.to_string()));
    }
    Ok(time_bounds)
}

/// The parameter `filter`; none if it is empty. Of two, one would be lost.
pub fn read_filter(query: &Query) -> Result<Option<Filter>, Problem> {
    if query.all("filter").count() > 1 {
        return Err(problem::invalid_query("filter", Invalid::new("repeated", "must be sent once")));
    }
    let text = query.get("filter").filter(|text| !text.trim().is_empty());
    text.map(Filter::parse).transpose().map_err(|invalid| problem::invalid_query("filter", invalid))
}

/// A filter of `?filter` with literals as the collection stores them.
pub fn canonical_filter(collection: &Collection, filter: Filter) -> Result<Filter, Problem> {
    literal::canonical(collection, filter).map_err(|invalid| problem::invalid_query("filter", invalid))
}

fn read_terms(query: &Query) -> Result<Option<String>, Problem> {
    let Some(text) = query.get("q").map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.len() > MAX_TERMS_BYTES {
        let message = format!("must be at most {MAX_TERMS_BYTES} bytes long");
        return Err(problem::invalid_query("q", Invalid::new("too_long", message)));
    }
    Ok(Some(text.to_owned()))
}
