//! Ends cached lists and statistics of collections that nobody has written to.
//!
//! Invariants
//! - What is cached names the generation of its collection (`records/cache.rs`). A purge raises that, as a write does: nothing
//!   of before is shown again by any isolate, and KV need not be asked what it holds.
//! - A purge announces nothing: a number is left out of the outbox, as by a change that is not announced.

use serde_json::Value;

use super::{collection, names};
use crate::storage::row::{Rows, row_types};
use crate::storage::sql::{Arg, StorageError, TenantSql};
use crate::storage::sql::{args, statements};
use crate::tenant_id::TenantId;
use domain::error::Invalid;

statements! { TenantSql;
    /// Raises the generation of each collection whose slug lies in one of the ranges ?2, a JSON list of `[first, last]`.
    RAISE = "UPDATE collection_state SET generation = generation + 1 WHERE tenant_id = ?1 AND collection IN (SELECT c.slug FROM collections c WHERE c.tenant_id = ?1 AND c.deleted_at IS NULL AND EXISTS (SELECT 1 FROM json_each(?2) j WHERE c.slug BETWEEN json_extract(j.value, '$[0]') AND json_extract(j.value, '$[1]'))) RETURNING collection";
}

row_types! {
    struct RaisedRow {
        collection: String,
    }
}

/// Which collections: one by its slug, those whose slugs begin alike, or all. It is a range of slugs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlugPattern {
    first: String,
    last: String,
}

impl SlugPattern {
    /// Reads a slug, how slugs begin with a `*` behind it, or `*`.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let beginning = text.strip_suffix('*');
        let first = beginning.unwrap_or(text);
        if beginning != Some("") && names::collection_slug(first).is_err() {
            let told =
                "must be a collection's slug such as leads, how slugs begin such as order*, or * for all collections";
            return Err(Invalid::new("invalid_pattern", told));
        }
        // All characters of slugs stand before `~`.
        let last = beginning.map_or_else(|| first.to_owned(), |beginning| format!("{beginning}~"));
        Ok(Self { first: first.to_owned(), last })
    }
}

/// The statement that ends what is cached of the collections.
pub fn raise(patterns: &[SlugPattern]) -> (TenantSql, Vec<Arg>) {
    let range = |pattern: &SlugPattern| Value::from(vec![pattern.first.as_str(), pattern.last.as_str()]);
    (RAISE, args![Value::from_iter(patterns.iter().map(range)).to_string()])
}

/// How many collections it matched, by what the statement gave. This isolate forgets what it read of them.
pub fn raised(tenant: &TenantId, rows: Rows) -> Result<usize, StorageError> {
    let raised = rows.read::<RaisedRow>()?;
    for row in &raised {
        collection::forget(tenant, &row.collection);
    }
    Ok(raised.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, slug: &str) -> bool {
        let SlugPattern { first, last } = SlugPattern::parse(pattern).unwrap();
        (first.as_str()..=last.as_str()).contains(&slug)
    }

    #[test]
    fn a_pattern_is_a_slug_a_beginning_or_all() {
        for (pattern, slug, expected) in [
            ("leads", "leads", true),
            ("leads", "leads2", false),
            ("leads", "lead", false),
            ("order*", "order", true),
            ("order*", "orders", true),
            ("order*", "order_z-9", true),
            ("order*", "ordes", false),
            ("order*", "orde", false),
            ("*", "a", true),
            ("*", "zzz", true),
        ] {
            assert_eq!(matches(pattern, slug), expected, "{pattern} and {slug}");
        }
        assert!(matches("z*", &"z".repeat(63)));
    }

    #[test]
    fn whatever_else_there_is_is_no_pattern() {
        for text in ["", "**", "a*b", "*a", "a**", "Leads", "1a", "a b", "a%", "_*", "~*", &"a".repeat(64)] {
            assert!(SlugPattern::parse(text).is_err(), "{text}");
        }
        assert!(SlugPattern::parse(&("a".repeat(63) + "*")).is_ok());
    }
}
