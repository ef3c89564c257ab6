//! What a request asks of a list: read before the collection is known.

use super::collection::Collection;
use super::condition;
use super::expand::Expansion;
use super::projection::Projection;
use crate::http::incoming::Query;
use crate::http::problem::{self, Problem};
use domain::error::Invalid;
use domain::filter::{Comparison, ComparisonOperator, Filter, Literal};

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

/// How a list goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paging {
    /// Behind a place; none is the beginning.
    Behind(Option<String>),
    /// By number, from 1.
    Page(u32),
}

/// What a request asks of a list, before the collection is known.
pub struct RecordQuery {
    /// How it goes on.
    pub paging: Paging,
    /// Rows of a page.
    pub per_page: u32,
    /// Whether all of them are counted.
    pub count: bool,
    /// Whether those that were deleted and are kept are meant, and only they.
    pub deleted: bool,
    /// Any of these statuses; of none, whatever it is.
    pub statuses: Vec<String>,
    /// Words that the records have.
    pub words: Option<String>,
    /// The order, as it was written.
    pub sort: Option<String>,
    /// What of each record is shown.
    pub projection: Projection,
    /// Which other records are shown beside it.
    pub expansion: Expansion,
    moments: Vec<Comparison>,
    filter: Option<Filter>,
}

impl RecordQuery {
    /// Reads the query.
    pub fn read(query: &Query) -> Result<Self, Problem> {
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
    pub fn filter(&self, collection: &Collection) -> Result<Option<Filter>, Problem> {
        let status = |status: &String| compare("status", ComparisonOperator::Equal, status);
        let mut statuses: Vec<Filter> = self.statuses.iter().map(|s| Filter::Compare(status(s))).collect();
        let status = if statuses.len() > 1 { Some(Filter::Any(statuses)) } else { statuses.pop() };
        let moments = self.moments.iter().cloned().map(Filter::Compare);
        let parts = status.into_iter().chain(moments).chain(self.filter.clone());
        let Some(filter) = parts.reduce(Filter::and) else { return Ok(None) };
        condition::canonical(collection, filter).map(Some).map_err(|invalid| problem::invalid_query("filter", invalid))
    }

    /// Whether nothing is asked of the records but their status.
    pub fn is_by_status(&self) -> bool {
        self.filter.is_none() && self.moments.is_empty() && self.words.is_none() && !self.deleted
    }

    /// The page's number, where pages have one.
    pub fn page(&self) -> Option<u32> {
        match self.paging {
            Paging::Page(page) => Some(page),
            Paging::Behind(_) => None,
        }
    }

    /// How many rows lie before the page, where it has a number.
    pub fn offset(&self) -> i64 {
        self.page().map_or(0, |page| i64::from((page - 1) * self.per_page))
    }

    /// Whether there is a page before.
    pub fn has_prev(&self) -> bool {
        match &self.paging {
            Paging::Page(page) => *page > 1,
            Paging::Behind(place) => place.is_some(),
        }
    }
}

fn compare(field: &str, operator: ComparisonOperator, value: &str) -> Comparison {
    Comparison { field: field.into(), operator, value: Literal::Text(value.to_owned()) }
}

fn read_statuses(query: &Query) -> Result<Vec<String>, Problem> {
    let names = query.get("status").unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty());
    let names: Vec<String> = names.map(str::to_owned).collect();
    if names.len() > MAX_STATUSES || names.iter().any(|name| name.len() > 40) {
        let message = format!("must be at most {MAX_STATUSES} statuses with a comma between them");
        return Err(problem::invalid_query("status", Invalid::new("invalid_status", message)));
    }
    Ok(names)
}

fn read_moments(query: &Query) -> Result<Vec<Comparison>, Problem> {
    let mut moments = Vec::new();
    for (name, field, operator) in [
        ("created_after", "created_at", ComparisonOperator::Greater),
        ("created_before", "created_at", ComparisonOperator::Less),
        ("updated_after", "updated_at", ComparisonOperator::Greater),
        ("updated_before", "updated_at", ComparisonOperator::Less),
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

fn read_filter(query: &Query) -> Result<Option<Filter>, Problem> {
    let text = query.get("filter").filter(|text| !text.trim().is_empty());
    text.map(Filter::parse).transpose().map_err(|invalid| problem::invalid_query("filter", invalid))
}

fn read_words(query: &Query) -> Result<Option<String>, Problem> {
    let Some(text) = query.get("q").map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.len() > MAX_SEARCHED {
        let message = format!("must be at most {MAX_SEARCHED} bytes long");
        return Err(problem::invalid_query("q", Invalid::new("too_long", message)));
    }
    Ok(Some(text.to_owned()))
}
