//! Whatever is asked of a list, its statements stay within what D1 takes, and read no more records than a LIMIT says.
//!
//! That this LIMIT bounds the work is measured in `costs`; that the rows are the right ones, in `list_model`.

use std::ops::ControlFlow;

use carillon::http::incoming::Query as Parameters;
use carillon::http::problem::Problem;
use carillon::records::plan::{ListPlan, ReadBounds};
use carillon::records::record_query::RecordQuery;
use carillon::storage::composed::ListStatement;
use carillon::storage::sql::Arg;
use carillon::storage::tenant_db::ReadStatement;
use domain::filter::Filter;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use serde_json::json;
use sqlparser::ast::{Expr, LimitClause, Query, SetExpr, TableFactor, Value, Visit, Visitor};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;

use crate::asking::{COLUMNS, TENANT, bare, collection, fields};
use crate::listed::Items;

/// What D1 binds at most.
const MOST_VALUES: usize = 100;
/// What the longest statement is to have at most, in bytes; D1 takes 100 KB.
const MOST_BYTES: usize = 20_000;
/// How deep parentheses are nested at most; D1 takes expressions of depth 100.
const MOST_PARENTHESES: usize = 40;

/// A comparison: most compare a field with what it can be compared with.
fn term() -> impl Strategy<Value = String> {
    let names: Vec<&str> = fields().chain(COLUMNS).chain(["unknown", "text_i.x"]).collect();
    let operators = select(&["=", "!=", ">", ">=", "<", "<=", "~", "!~"][..]);
    let wild = prop_oneof![
        "'[a-z %_*?1]{0,40}'",
        Just(format!("'{}'", "%a".repeat(90))),
        Just("9e999".to_owned()),
        "-?[0-9]{1,16}(\\.[0-9]{1,3})?",
        select(&["true", "false", "null", "'2026-01-01'"][..]).prop_map(str::to_owned),
    ];
    let fitting = |name: &str| match name.trim_end_matches("_i") {
        "text" | "texts" | "id" | "created_by" | "updated_by" => "'a'",
        "status" => "'new'",
        "moment" | "created_at" | "updated_at" => "'2026-01-01'",
        "flag" | "flags" => "true",
        _ => "1",
    };
    (select(names), operators, wild, 0..9u8).prop_map(move |(name, operator, wild, chance)| {
        let operator =
            if matches!(fitting(name), "'a'" | "'new'") || chance == 0 { operator } else { operator.trim_matches('~') };
        let operator = if operator.is_empty() || operator == "!" { "=" } else { operator };
        let value = if chance < 2 { wild } else { fitting(name).to_owned() };
        format!("{name} {operator} {value}")
    })
}

/// Filters as hostile as they can be written: deep, long, of many terms.
fn hostile() -> impl Strategy<Value = String> {
    term().prop_recursive(10, 40, 24, |inner| {
        let parts = prop::collection::vec(inner.clone(), 1..24);
        prop_oneof![
            (parts, select(&[" && ", " || "][..])).prop_map(|(parts, between)| format!("({})", parts.join(between))),
            inner.prop_map(|part| format!("({part})")),
        ]
    })
}

fn terms(filter: &Filter) -> usize {
    match filter {
        Filter::Compare(_) => 1,
        Filter::All(parts) | Filter::Any(parts) => parts.iter().map(terms).sum(),
    }
}

fn depth(filter: &Filter) -> usize {
    match filter {
        Filter::Compare(_) => 0,
        Filter::All(parts) | Filter::Any(parts) => 1 + parts.iter().map(depth).max().unwrap_or(0),
    }
}

fn parentheses(text: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    for byte in text.bytes() {
        open = if byte == b'(' { open + 1 } else { open - usize::from(byte == b')') };
        most = most.max(open);
    }
    most
}

/// The number of the parameter in `?3`, or in `CASE WHEN … THEN ?3 ELSE 0 END`.
fn bound_of(limit: &Expr) -> Option<usize> {
    match limit {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => name.strip_prefix('?')?.parse().ok(),
            _ => None,
        },
        Expr::Case { conditions, else_result, .. } => match (conditions.as_slice(), else_result) {
            ([one], Some(otherwise)) if otherwise.to_string() == "0" => bound_of(&one.result),
            _ => None,
        },
        _ => None,
    }
}

/// What each sub-select that reads records is limited by.
#[derive(Default)]
struct Scans {
    bounds: Vec<Option<usize>>,
}

impl Visitor for Scans {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let SetExpr::Select(select) = &*query.body else { return ControlFlow::Continue(()) };
        let tables = select
            .from
            .iter()
            .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)));
        let reads =
            tables.filter(|table| matches!(table, TableFactor::Table { name, .. } if name.to_string() == "records"));
        if reads.count() > 0 {
            let limit = match &query.limit_clause {
                Some(LimitClause::LimitOffset { limit: Some(limit), .. }) => bound_of(limit),
                _ => None,
            };
            self.bounds.push(limit);
        }
        ControlFlow::Continue(())
    }
}

/// What is wrong with a statement.
fn faults(statement: &ListStatement, bounds: ReadBounds) -> Vec<String> {
    let (text, values) = (statement.text(), statement.args());
    let mut faults = Vec::new();
    if values.len() + 1 > MOST_VALUES || text.len() > MOST_BYTES || parentheses(text) > MOST_PARENTHESES {
        let size = (values.len() + 1, text.len(), parentheses(text));
        faults.push(format!("{size:?} values, bytes and parentheses"));
    }
    let mut scans = Scans::default();
    let parsed = Parser::parse_sql(&SQLiteDialect {}, text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let _ = parsed.visit(&mut scans);
    let within = |bound: &Option<usize>| match bound.and_then(|bound| values.get(bound.checked_sub(2)?)) {
        Some(Arg::Integer(most)) => *most <= bounds.records,
        _ => false,
    };
    if scans.bounds.is_empty() || !scans.bounds.iter().all(within) {
        faults.push(format!("records are read without a bound: {:?}", scans.bounds));
    }
    faults
}

fn is_refusal(problem: &Problem) -> bool {
    problem.status == 400 && ["invalid_query", "too_complex"].contains(&problem.code)
}

#[test]
fn a_statement_that_reads_without_a_bound_is_found() {
    let scans = |text: &str| {
        let mut scans = Scans::default();
        let _ = Parser::parse_sql(&SQLiteDialect {}, text).unwrap().visit(&mut scans);
        scans.bounds
    };
    assert_eq!(
        scans("SELECT * FROM (SELECT r.id FROM records r WHERE r.tenant_id = ?1 LIMIT ?3) q LIMIT ?"),
        [Some(3)]
    );
    assert_eq!(
        scans("SELECT 1 FROM record_index s CROSS JOIN records r LIMIT CASE WHEN 1 THEN ?4 ELSE 0 END"),
        [Some(4)]
    );
    for text in ["", " LIMIT ?", " LIMIT 5", " LIMIT CASE WHEN 1 THEN ?4 ELSE ?5 END"] {
        assert_eq!(scans(&format!("SELECT * FROM (SELECT * FROM records r{text}) LIMIT ?3")), [None], "{text}");
    }
}

/// What is asked: `filter`, `sort`, `q`, `status`, a moment for the bounds of time, `deleted`, `limit`.
type ListParameters = (String, &'static str, &'static str, &'static str, &'static str, bool, &'static str);

fn asked() -> impl Strategy<Value = ListParameters> {
    (
        hostile(),
        select(&["", "-created_at", "status,-id", "number_i,-text_i", "-integer_i"][..]),
        select(&["", "a", "zq*", "\"a b\" c* d e f g h", "*"][..]),
        select(&["", "new", "new,open,done,a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"][..]),
        select(&["", "2026-01-01T00:00:00Z"][..]),
        any::<bool>(),
        select(&["1", "200"][..]),
    )
}

fn stays_within_the_bounds(
    items: &Items,
    (filter, sort, words, status, since, deleted, limit): ListParameters,
) -> Result<(), TestCaseError> {
    if let Ok(parsed) = Filter::parse(&filter) {
        prop_assert!(
            terms(&parsed) <= Filter::MAX_TERMS && depth(&parsed) <= 2 * (Filter::MAX_DEPTH + 1),
            "{}",
            filter
        );
    }
    let pairs = [
        ("filter", filter.as_str()),
        ("sort", sort),
        ("q", words),
        ("status", status),
        ("created_after", since),
        ("updated_before", since),
        ("deleted", if deleted { "true" } else { "" }),
        ("limit", limit),
        ("count", "true"),
    ];
    let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let Ok(asked) = RecordQuery::read(&Parameters::parse(&query)) else { return Ok(()) };
    for collection in [collection(), bare()] {
        let plan = match ListPlan::of(TENANT, &collection, &asked) {
            Ok(plan) => plan,
            Err(problem) => {
                prop_assert!(is_refusal(&problem), "{:?}", problem);
                continue;
            }
        };
        let position = plan.order.position(&carillon::records::order::KeysetRow {
            id: "r5",
            status: Some("new"),
            version: 2,
            created_at: 1,
            updated_at: 2,
            first: &json!(1),
            second: &json!("a"),
        });
        for bounds in [ReadBounds::STRANGER, ReadBounds::MEMBER] {
            let mut all = Vec::new();
            for place in [None, Some(&position)] {
                match plan.page(&collection.slug, &asked, bounds, 1 << 20, place) {
                    Ok(pages) => all.extend(pages),
                    Err(problem) => prop_assert!(is_refusal(&problem), "{:?}", problem),
                }
            }
            match plan.count(&collection.slug, bounds) {
                Ok(counts) => all.extend(counts.into_iter().filter_map(|count| match count {
                    ReadStatement::List(composed) => Some(composed),
                    ReadStatement::Constant(..) => None,
                })),
                Err(problem) => prop_assert!(is_refusal(&problem), "{:?}", problem),
            }
            for statement in &all {
                let faults = faults(statement, bounds);
                prop_assert!(faults.is_empty(), "{:?}: {:?}: {}", faults, query, statement.text());
                items.cost(TENANT, std::slice::from_ref(statement));
            }
        }
    }
    Ok(())
}

#[test]
fn whatever_is_asked_makes_statements_within_the_bounds_or_is_refused() {
    let test = || {
        let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
        let items = Items::new();
        let outcome = TestRunner::new(config).run(&asked(), |asked| stays_within_the_bounds(&items, asked));
        outcome.unwrap_or_else(|error| panic!("{error}"));
    };
    // The parser of statements that checks them is recursive, and not made for small stacks.
    std::thread::Builder::new().stack_size(64 << 20).spawn(test).unwrap().join().unwrap();
}
