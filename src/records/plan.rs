//! The plan of a list: which source its rows come from, which of them an index seeks, what is asked of the others, in which
//! order.
//!
//! Invariants
//! - The head of the statement binds the tenant; a plan only chooses among heads.
//! - A cursor is valid for one tenant, collection, filter and order, whatever source its rows come from.
//! - A statement reads no more records than [`ReadBounds`] says, fewer where they are large or compared often, however many
//!   there are: the bound is its own LIMIT, beside conditions by which an index seeks. What is asked beyond that is asked of the rows that were read.
//! - What was cut can be told from what is returned: see `page`.

use serde_json::Value;

use super::collection::Collection;
use super::condition::{self, IndexLookup, TextSearch};
use super::order::{RowSource, SortOrder};
use super::record_query::RecordQuery;
use super::seek::Seek;
use crate::http::cursor;
use crate::http::problem::{self, Problem};
use crate::storage::composed::composed;
use crate::storage::composed::{ListStatement, PageOrder, RowRange, RowScan, SqlCondition};
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::ReadStatement;
use domain::error::Invalid;
use domain::filter::{Comparison, ComparisonOperator, Filter};
use domain::json;

statements! { TenantSql;
    /// The number of a collection's records; ?3 their status, NULL for any. Triggers count them, so nothing bounds it.
    COUNTED = "SELECT COALESCE(sum(records), 0) AS total, 0 AS is_cut FROM record_counts WHERE tenant_id = ?1 AND collection = ?2 AND (?3 IS NULL OR status = ?3)";
}

composed! {
    heads {}
    pieces {
        /// The value of the field whose index leads the list.
        LED_BY = "s.value IS NOT DISTINCT FROM ?";
    }
}

/// Bytes of a record's fields that are compared in no time of their own.
const PLAIN_BYTES: i64 = 500;
/// Records that are read, however large they are and however often they are compared.
const LEAST_RECORDS: i64 = 10;

/// How much a list reads at most, for its page and again for its count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadBounds {
    /// Records.
    pub records: i64,
    /// Values of one index, where these lead to the records: more of them than that, and the records are read in order.
    pub index_values: i64,
}

impl ReadBounds {
    /// For somebody who is no member.
    pub const STRANGER: Self = Self { records: 10_000, index_values: 1_000 };
    /// For a member.
    pub const MEMBER: Self = Self { records: 100_000, index_values: 10_000 };

    /// For a member, or for somebody who is none.
    pub fn of(is_member: bool) -> Self {
        if is_member { Self::MEMBER } else { Self::STRANGER }
    }

    /// The same work where each record is of this size and compared so often: fewer records from the third comparison on,
    /// and where a comparison reads more than [`PLAIN_BYTES`].
    fn comparing(self, times: usize, bytes: i64) -> Self {
        let times = i64::try_from(times).unwrap_or(i64::MAX);
        if times == 0 {
            return self;
        }
        let work = times.saturating_mul(bytes.max(PLAIN_BYTES));
        let most = (2 * self.records * PLAIN_BYTES).checked_div(work).unwrap_or(self.records);
        Self { records: most.clamp(LEAST_RECORDS.min(self.records), self.records), ..self }
    }
}

/// The plan of one list in one collection.
pub struct ListPlan {
    /// The order of its rows.
    pub order: SortOrder,
    /// What its cursors are bound to, as JSON.
    pub identity: String,
    source: RowSource,
    /// What an index seeks of the source.
    seek: Seek,
    /// What is asked of each row that is read; nothing if all of them are shown.
    conditions: Vec<SqlCondition>,
    /// An index that may lead to the records quicker, and all that is then asked of them.
    lookup: Option<(IndexLookup, Vec<SqlCondition>)>,
    /// The list selects every record, or every record of one status: triggers count those already.
    status_count: Option<Option<String>>,
    /// Bytes of a record's fields.
    record_bytes: i64,
}

impl ListPlan {
    /// Plans a query; 400 names the parameter that is wrong.
    pub fn of(tenant: &str, collection: &Collection, query: &RecordQuery) -> Result<Self, Problem> {
        if !query.statuses.is_empty() && collection.statuses.is_none() {
            let invalid = Invalid::new("unknown_field", "must be absent: this collection has no statuses");
            return Err(problem::invalid_query("status", invalid));
        }
        if let Some(statuses) = &collection.statuses
            && query.statuses.iter().any(|status| !statuses.contains(status))
        {
            return Err(problem::invalid_query("status", statuses.unknown("must be statuses")));
        }
        query.projection.check(collection)?;
        let order = SortOrder::read(collection, query.sort.as_deref())?;
        let filter = query.filter(collection)?;
        let (mut source, search) = choose_source(tenant, collection, query)?;
        let parts = conjuncts(filter.as_ref());
        let all = parts.iter().map(|part| condition::of_filter(collection, part)).collect::<Result<Vec<_>, _>>();
        let all = all.map_err(|invalid| problem::invalid_query("filter", invalid))?;
        let (mut seek, mut conditions, mut lookup) = (Seek::default(), Vec::new(), None);
        let is_current = matches!(source, RowSource::Current);
        let leading = parts.iter().position(|part| leading_comparison(collection, part).is_some());
        let leading = leading.filter(|_| is_current && order.is_by_creation());
        for (i, (part, condition)) in parts.iter().zip(&all).enumerate() {
            let Filter::Compare(one) = part else {
                conditions.push(condition.clone());
                continue;
            };
            if leading == Some(i) {
                seek.add(SqlCondition::Is(LED_BY, vec![condition::arg(&one.value)]));
                source = RowSource::Field(one.field.to_string());
            } else if !is_current || leading.is_some() || !seek.takes(&order, one, condition) {
                conditions.push(condition.clone());
                lookup = lookup.or_else(|| IndexLookup::of(collection, one));
            }
        }
        let lookup = lookup.filter(|_| is_current && leading.is_none() && !seek.is_of_one_record());
        let all = all.into_iter().chain(search.clone()).collect();
        conditions.extend(search);
        conditions.extend(order.condition(&source));
        let identity = json!([
            tenant,
            collection.slug,
            collection.creation_id,
            query.deleted,
            filter.map(|filter| filter.to_string()),
            query.terms,
            order.canonical()
        ]);
        let status_count = match query.statuses.as_slice() {
            _ if !query.is_by_status() => None,
            [] => Some(None),
            [one] => Some(Some(one.clone())),
            _ => None,
        };
        let lookup = lookup.map(|lookup| (lookup, all));
        let (identity, record_bytes) = (identity.to_string(), collection.record_bytes);
        Ok(Self { order, identity, source, seek, conditions, lookup, status_count, record_bytes })
    }

    /// The bounds of this list: the same work, where records are large or compared often.
    pub fn bounds(&self, of_all: ReadBounds) -> ReadBounds {
        of_all.comparing(self.comparisons(), self.record_bytes)
    }

    /// How often each record that is read is compared.
    pub fn comparisons(&self) -> usize {
        self.conditions.iter().map(SqlCondition::comparisons).sum()
    }

    /// Whether rows come in the order in which they are read, so that a list which was cut goes on behind the last of them.
    pub fn is_read_in_order(&self) -> bool {
        self.order.is_indexed(&self.source)
    }

    /// The statements of the page, of which at most one reads any rows. They return one row more than the page shows, which
    /// tells whether another page follows, and end behind `bytes`.
    pub fn page(
        &self,
        slug: &str,
        query: &RecordQuery,
        bounds: ReadBounds,
        bytes: i64,
        position: Option<&Value>,
    ) -> Result<Vec<ListStatement>, Problem> {
        let invalid = || problem::invalid_query("cursor", cursor::invalid());
        let bounds = self.bounds(bounds);
        let range = RowRange { limit: i64::from(query.per_page) + 1, offset: query.offset() };
        let sorted = self.order.sorted();
        let after = position.map(|position| self.order.after(position).ok_or_else(invalid)).transpose()?;
        let mut pages = Vec::new();
        if let Some((lookup, all)) = &self.lookup {
            let scan = self.scan_of_index(slug, lookup, bounds, &self.order)?;
            let asked = SqlCondition::All(all.iter().cloned().chain(after.clone()).collect());
            pages.push(ListStatement::page(scan, asked, &PageOrder::Sorted(&sorted), range)?);
        }
        let (head, args, order) = self.order.reading(&self.source)?;
        let in_order = self.is_read_in_order();
        let ranges = match position.filter(|_| in_order) {
            Some(position) => {
                let behind = self.order.ranges_after(position, &self.source).ok_or_else(invalid)?;
                behind.into_iter().map(|range| self.seek.behind(&self.order, range)).collect()
            }
            None => vec![self.seek.all()],
        };
        let shows_all = in_order && self.conditions.is_empty();
        let end = range.offset + range.limit;
        let most = if shows_all { end.min(bounds.records.max(range.limit)) } else { bounds.records };
        let args = std::iter::once(slug.into()).chain(args).collect();
        let scan = RowScan { head, args, ranges, order: &order, most, when: self.when_read_in_order(bounds) };
        let asked = self.conditions.iter().cloned().chain(after.filter(|_| !in_order)).collect();
        pages.push(match (shows_all, in_order) {
            (true, _) => ListStatement::page_of_all(scan, range)?,
            (false, true) => ListStatement::page(scan, SqlCondition::All(asked), &PageOrder::AsRead, range)?,
            (false, false) => ListStatement::page(scan, SqlCondition::All(asked), &PageOrder::Sorted(&sorted), range)?,
        });
        Ok(pages.into_iter().map(|page| page.within_bytes(bytes)).collect())
    }

    /// The statements that count the list's records: the sum of their totals. `is_cut` says whether there may be more.
    pub fn count(&self, slug: &str, bounds: ReadBounds) -> Result<Vec<ReadStatement>, Problem> {
        if let Some(status) = &self.status_count {
            return Ok(vec![ReadStatement::Constant(COUNTED, args![slug, status.as_deref()])]);
        }
        let bounds = self.bounds(bounds);
        let order = if self.order.is_of_columns() { self.order.clone() } else { SortOrder::none() };
        let mut counts = Vec::new();
        if let Some((lookup, all)) = &self.lookup {
            let scan = self.scan_of_index(slug, lookup, bounds, &SortOrder::none())?;
            counts.push(ListStatement::count(scan, SqlCondition::All(all.clone()))?);
        }
        let (head, args, reading) = order.reading(&self.source)?;
        let args = std::iter::once(slug.into()).chain(args).collect();
        let (ranges, when) = (vec![self.seek.all()], self.when_read_in_order(bounds));
        let scan = RowScan { head, args, ranges, order: &reading, most: bounds.records, when };
        counts.push(ListStatement::count(scan, SqlCondition::All(self.conditions.clone()))?);
        Ok(counts.into_iter().map(ReadStatement::List).collect())
    }

    /// The records that an index finds, if these are few.
    fn scan_of_index(
        &self,
        slug: &str,
        lookup: &IndexLookup,
        bounds: ReadBounds,
        order: &SortOrder,
    ) -> Result<RowScan<'static>, Problem> {
        let (head, args, _) = order.reading(&RowSource::Named)?;
        Ok(RowScan {
            head,
            args: std::iter::once(slug.into()).chain(args).collect(),
            ranges: vec![lookup.finds.clone()],
            order: &[],
            most: bounds.index_values,
            when: Some(lookup.finds_fewer_than(bounds.index_values)),
        })
    }

    /// The condition under which the records are read in order: that no index finds few of them.
    fn when_read_in_order(&self, bounds: ReadBounds) -> Option<SqlCondition> {
        let (lookup, _) = self.lookup.as_ref()?;
        Some(SqlCondition::Not(Box::new(lookup.finds_fewer_than(bounds.index_values))))
    }
}

/// The source for the query's search and `deleted`, and the condition that the search adds to it.
fn choose_source(
    tenant: &str,
    collection: &Collection,
    query: &RecordQuery,
) -> Result<(RowSource, Option<SqlCondition>), Problem> {
    let search = match &query.terms {
        // The full-text index does not hold deleted records.
        Some(terms) if query.deleted => Some(Ok(TextSearch::Scan(condition::contains_text(collection, terms)))),
        Some(terms) => Some(condition::of_terms(tenant, collection, terms)),
        None => None,
    };
    let source = if query.deleted { RowSource::Deleted } else { RowSource::Current };
    Ok(match search.transpose().map_err(|invalid| problem::invalid_query("q", invalid))? {
        Some(TextSearch::FullText(search)) => (RowSource::Search(search), None),
        Some(TextSearch::Scan(condition)) => (source, Some(condition)),
        None => (source, None),
    })
}

/// The parts of a filter of which every one must hold.
fn conjuncts(filter: Option<&Filter>) -> &[Filter] {
    match filter {
        Some(Filter::All(parts)) => parts,
        Some(one) => std::slice::from_ref(one),
        None => &[],
    }
}

/// The filter's comparison if it is `=` on a scalar field with a finished index: such an index can lead the list.
fn leading_comparison<'f>(collection: &Collection, filter: &'f Filter) -> Option<&'f Comparison> {
    let Filter::Compare(comparison) = filter else { return None };
    let field = collection.schema.field(&comparison.field)?;
    let leads = field.is_indexed && field.kind.is_scalar() && collection.is_ready(field);
    (leads && comparison.operator == ComparisonOperator::Equal).then_some(comparison)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_records_are_read_where_they_are_large_or_compared_often() {
        let strangers = |times, bytes| ReadBounds::STRANGER.comparing(times, bytes).records;
        assert_eq!([strangers(0, 1 << 20), strangers(1, 0), strangers(2, 500)], [10_000; 3]);
        assert_eq!([strangers(20, 0), strangers(1, 3_000), strangers(20, 20_000)], [1_000, 3_333, 25]);
        assert_eq!([strangers(20, 120_000), strangers(usize::MAX, i64::MAX)], [10, 10]);
        assert_eq!(ReadBounds::MEMBER.comparing(20, 20_000).records, 250);
    }
}
