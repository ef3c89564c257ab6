//! What a list comes to in a collection: where it looks first, under which condition, in which order.
//!
//! Invariants
//! - What says whose the records are stands in the head; a plan only chooses among heads.
//! - A cursor holds for one tenant, collection, filter and order, and for any way to find its rows.

use serde_json::Value;

use super::asked::RecordQuery;
use super::collection::Collection;
use super::condition::{self, TextSearch, ValueSource};
use super::order::{RowSource, SortOrder};
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
    /// How many records a collection has; ?3 their status, NULL for any.
    COUNTED = "SELECT COALESCE(sum(records), 0) AS total FROM record_counts WHERE tenant_id = ?1 AND collection = ?2 AND (?3 IS NULL OR status = ?3)";
}

composed! {
    heads {
        /// How many records there are.
        COUNT = "SELECT count(*) AS total FROM records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.deleted_at IS NULL";
        /// How many were deleted and are kept.
        COUNT_DELETED = "SELECT count(*) AS total FROM records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.deleted_at IS NOT NULL";
        /// How many the search ?3 finds.
        COUNT_SEARCHED = "SELECT count(*) AS total FROM (SELECT rowid FROM record_search WHERE record_search MATCH ?3) w CROSS JOIN records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.number = w.rowid AND r.deleted_at IS NULL";
    }
    pieces {
        /// One value of the field that leads the list.
        LED_BY = "s.value IS NOT DISTINCT FROM ?";
    }
}

/// What a list comes to in a collection.
pub struct ListPlan {
    /// Its order.
    pub order: SortOrder,
    /// What its cursors are bound to.
    pub identity: String,
    source: RowSource,
    /// What is asked of the rows that the source gives.
    condition: SqlCondition,
    /// What is asked of the collection's records, wherever they come from.
    of_all: SqlCondition,
    /// Whether every record is meant, or every one of one status: they are counted already.
    counted: Option<Option<String>>,
}

impl ListPlan {
    /// Of what is asked.
    pub fn of(tenant: &str, collection: &Collection, asked: &RecordQuery) -> Result<Self, Problem> {
        if !asked.statuses.is_empty() && collection.statuses.is_none() {
            let invalid = Invalid::new("unknown_field", "this collection has no statuses");
            return Err(problem::invalid_query("status", invalid));
        }
        let order = SortOrder::read(collection, asked.sort.as_deref())?;
        let filter = asked.filter(collection)?;
        let (mut source, sought) = first(tenant, collection, asked)?;
        let values = if matches!(source, RowSource::Kept) { ValueSource::Indexed } else { ValueSource::Stored };
        let parts = conjuncts(filter.as_ref());
        let conditions = parts.iter().map(|part| condition::of_filter(collection, part, values));
        let conditions = conditions.chain(sought.map(Ok)).collect::<Result<Vec<_>, _>>();
        let mut conditions = conditions.map_err(|invalid| problem::invalid_query("filter", invalid))?;
        let of_all = SqlCondition::All(conditions.clone());
        if matches!(source, RowSource::Kept)
            && order.is_by_creation()
            && let Some((one, part)) =
                parts.iter().zip(&mut conditions).find_map(|(filter, part)| Some((leader(collection, filter)?, part)))
        {
            *part = SqlCondition::Is(LED_BY, vec![condition::arg(&one.value)]);
            source = RowSource::Field(one.field.to_string());
        }
        let identity = json!([
            tenant,
            collection.slug,
            collection.creation_id,
            asked.deleted,
            filter.map(|filter| filter.to_string()),
            asked.words,
            order.canonical()
        ]);
        let counted = match asked.statuses.as_slice() {
            _ if !asked.is_by_status() => None,
            [] => Some(None),
            [one] => Some(Some(one.clone())),
            _ => None,
        };
        Ok(Self {
            order,
            identity: identity.to_string(),
            source,
            condition: SqlCondition::All(conditions),
            of_all,
            counted,
        })
    }

    /// The page's statement; one row more than the page tells whether another follows.
    pub fn page(&self, slug: &str, asked: &RecordQuery, place: Option<&Value>) -> Result<ListStatement, Problem> {
        let (head, args, keys) = self.order.head(&self.source)?;
        let mut parts = vec![self.condition.clone()];
        if let Some(place) = place {
            let behind = self.order.behind(place, &self.source);
            parts.push(behind.ok_or_else(|| problem::invalid_query("cursor", cursor::invalid()))?);
        }
        let bound = RowRange { limit: i64::from(asked.per_page) + 1, offset: asked.offset() };
        let args = std::iter::once(slug.into()).chain(args).collect();
        Ok(ListStatement::new(head, args, SqlCondition::All(parts), &keys, Some(bound))?)
    }

    /// What tells how many there are.
    pub fn count(&self, slug: &str) -> Result<ReadStatement, Problem> {
        if let Some(status) = &self.counted {
            return Ok(ReadStatement::Constant(COUNTED, args![slug, status.as_deref()]));
        }
        let (head, args) = match &self.source {
            RowSource::Deleted => (COUNT_DELETED, args![slug]),
            RowSource::Search(search) => (COUNT_SEARCHED, args![slug, search.as_str()]),
            RowSource::Kept | RowSource::Field(_) => (COUNT, args![slug]),
        };
        Ok(ReadStatement::ListStatement(ListStatement::new(head, args, self.of_all.clone(), &[], None)?))
    }
}

/// Where a list looks first, but for what its filter says, and what its words ask of the rows there.
fn first(
    tenant: &str,
    collection: &Collection,
    asked: &RecordQuery,
) -> Result<(RowSource, Option<SqlCondition>), Problem> {
    let sought = match &asked.words {
        // The words of what was deleted are in no index.
        Some(words) if asked.deleted => Some(Ok(TextSearch::Meeting(condition::mentions(collection, words)))),
        Some(words) => Some(condition::of_words(tenant, collection, words)),
        None => None,
    };
    let source = if asked.deleted { RowSource::Deleted } else { RowSource::Kept };
    Ok(match sought.transpose().map_err(|invalid| problem::invalid_query("q", invalid))? {
        Some(TextSearch::Search(search)) => (RowSource::Search(search), None),
        Some(TextSearch::Meeting(condition)) => (source, Some(condition)),
        None => (source, None),
    })
}

/// The parts of a filter that all hold.
fn conjuncts(filter: Option<&Filter>) -> &[Filter] {
    match filter {
        Some(Filter::All(parts)) => parts,
        Some(one) => std::slice::from_ref(one),
        None => &[],
    }
}

/// The comparison that a filter is, if it asks for one value of a field whose index holds one value of each record.
fn leader<'f>(collection: &Collection, filter: &'f Filter) -> Option<&'f Comparison> {
    let Filter::Compare(comparison) = filter else { return None };
    let field = collection.schema.field(&comparison.field)?;
    let leads = field.is_indexed && field.kind.is_scalar() && collection.is_ready(field);
    (leads && comparison.operator == ComparisonOperator::Equal).then_some(comparison)
}
