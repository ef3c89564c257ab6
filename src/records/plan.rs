//! The plan of a list: which source its rows come from, under which condition, in which order.
//!
//! Invariants
//! - The head of the statement binds the tenant; a plan only chooses among heads.
//! - A cursor is valid for one tenant, collection, filter and order, whatever source its rows come from.

use serde_json::Value;

use super::collection::Collection;
use super::condition::{self, TextSearch, ValueSource};
use super::order::{RowSource, SortOrder};
use super::record_query::RecordQuery;
use crate::http::cursor;
use crate::http::problem::{self, Problem};
use crate::storage::composed::composed;
use crate::storage::composed::{ListStatement, RowRange, SqlCondition};
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::ReadStatement;
use domain::error::Invalid;
use domain::filter::{Comparison, ComparisonOperator, Filter};
use domain::json;

statements! { TenantSql;
    /// The number of a collection's records; ?3 their status, NULL for any.
    COUNTED = "SELECT COALESCE(sum(records), 0) AS total FROM record_counts WHERE tenant_id = ?1 AND collection = ?2 AND (?3 IS NULL OR status = ?3)";
}

composed! {
    heads {
        /// Counts records.
        COUNT = "SELECT count(*) AS total FROM records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.deleted_at IS NULL";
        /// Counts soft-deleted records.
        COUNT_DELETED = "SELECT count(*) AS total FROM records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.deleted_at IS NOT NULL";
        /// Counts records that the search ?3 finds.
        COUNT_SEARCHED = "SELECT count(*) AS total FROM (SELECT rowid FROM record_search WHERE record_search MATCH ?3) w CROSS JOIN records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.number = w.rowid AND r.deleted_at IS NULL";
    }
    pieces {
        /// The value of the field whose index leads the list.
        LED_BY = "s.value IS NOT DISTINCT FROM ?";
    }
}

/// The plan of one list in one collection.
pub struct ListPlan {
    /// The order of its rows.
    pub order: SortOrder,
    /// What its cursors are bound to, as JSON.
    pub identity: String,
    source: RowSource,
    /// The condition on the source's rows.
    condition: SqlCondition,
    /// The condition on the collection's records, for counting them.
    count_condition: SqlCondition,
    /// The list selects every record, or every record of one status: triggers count those already.
    status_count: Option<Option<String>>,
}

impl ListPlan {
    /// Plans a query; 400 names the parameter that is wrong.
    pub fn of(tenant: &str, collection: &Collection, query: &RecordQuery) -> Result<Self, Problem> {
        if !query.statuses.is_empty() && collection.statuses.is_none() {
            let invalid = Invalid::new("unknown_field", "must be absent: this collection has no statuses");
            return Err(problem::invalid_query("status", invalid));
        }
        let order = SortOrder::read(collection, query.sort.as_deref())?;
        let filter = query.filter(collection)?;
        let (mut source, search) = choose_source(tenant, collection, query)?;
        let values = if matches!(source, RowSource::Current) { ValueSource::Indexed } else { ValueSource::Stored };
        let parts = conjuncts(filter.as_ref());
        let conditions = parts.iter().map(|part| condition::of_filter(collection, part, values));
        let conditions = conditions.chain(search.map(Ok)).collect::<Result<Vec<_>, _>>();
        let mut conditions = conditions.map_err(|invalid| problem::invalid_query("filter", invalid))?;
        let count_condition = SqlCondition::All(conditions.clone());
        if matches!(source, RowSource::Current)
            && order.is_by_creation()
            && let Some((one, part)) = parts
                .iter()
                .zip(&mut conditions)
                .find_map(|(filter, part)| Some((leading_comparison(collection, filter)?, part)))
        {
            *part = SqlCondition::Is(LED_BY, vec![condition::arg(&one.value)]);
            source = RowSource::Field(one.field.to_string());
        }
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
        Ok(Self {
            order,
            identity: identity.to_string(),
            source,
            condition: SqlCondition::All(conditions),
            count_condition,
            status_count,
        })
    }

    /// The page's statement. It reads one row more than the page shows, which tells whether another page follows.
    pub fn page(&self, slug: &str, query: &RecordQuery, position: Option<&Value>) -> Result<ListStatement, Problem> {
        let (head, args, keys) = self.order.head(&self.source)?;
        let mut parts = vec![self.condition.clone()];
        if let Some(position) = position {
            let after = self.order.after(position, &self.source);
            parts.push(after.ok_or_else(|| problem::invalid_query("cursor", cursor::invalid()))?);
        }
        let range = RowRange { limit: i64::from(query.per_page) + 1, offset: query.offset() };
        let args = std::iter::once(slug.into()).chain(args).collect();
        Ok(ListStatement::new(head, args, SqlCondition::All(parts), &keys, Some(range))?)
    }

    /// The statement that counts the list's records.
    pub fn count(&self, slug: &str) -> Result<ReadStatement, Problem> {
        if let Some(status) = &self.status_count {
            return Ok(ReadStatement::Constant(COUNTED, args![slug, status.as_deref()]));
        }
        let (head, args) = match &self.source {
            RowSource::Deleted => (COUNT_DELETED, args![slug]),
            RowSource::Search(search) => (COUNT_SEARCHED, args![slug, search.as_str()]),
            RowSource::Current | RowSource::Field(_) => (COUNT, args![slug]),
        };
        Ok(ReadStatement::List(ListStatement::new(head, args, self.count_condition.clone(), &[], None)?))
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
