use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{Expr, ObjectName, Query, SelectItem, SetExpr, Statement, TableFactor, Visit, Visitor};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;

use crate::none;
use crate::statements::of_shards;
use crate::tenant_lint::{TENANT, last, lower, shard_tables};
use crate::views::views_across;

/// What is wrong with a statement that looks across the tenants of a shard. It is refused unless
///
/// - it is one SELECT with a LIMIT, over tables of the shard only;
/// - each of its selects, inner ones too, selects a column `tenant_id` and nothing else, and calls it so.
fn faults(sql: &str, tables: &BTreeSet<String>) -> Vec<String> {
    let statements = match Parser::parse_sql(&SQLiteDialect {}, sql) {
        Ok(statements) => statements,
        Err(error) => return vec![format!("does not parse: {error}")],
    };
    let mut lint = Lint { tables, faults: Vec::new() };
    match statements.as_slice() {
        [Statement::Query(query)] if query.limit_clause.is_some() => {}
        _ => lint.faults.push("is not one SELECT with a LIMIT".into()),
    }
    let _ = statements.visit(&mut lint);
    lint.faults
}

struct Lint<'a> {
    tables: &'a BTreeSet<String>,
    faults: Vec<String>,
}

impl Lint<'_> {
    fn body(&mut self, body: &SetExpr) {
        match body {
            SetExpr::Select(select) => {
                for item in select.projection.iter().filter(|item| !is_tenant(item)) {
                    self.faults.push(format!("selects {item}"));
                }
            }
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left);
                self.body(right);
            }
            // Visited by itself.
            SetExpr::Query(_) => {}
            other => self.faults.push(format!("is more than a SELECT: {other}")),
        }
    }
}

impl Visitor for Lint<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let Some(with) = &query.with {
            self.faults.push(format!("has names of its own: {with}"));
        }
        self.body(&query.body);
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        if !self.tables.contains(&last(relation)) {
            self.faults.push(format!("reads {relation}, which is no table of a shard"));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        if !matches!(factor, TableFactor::Table { args: None, .. } | TableFactor::Derived { .. }) {
            self.faults.push(format!("reads {factor}"));
        }
        ControlFlow::Continue(())
    }
}

fn is_tenant(item: &SelectItem) -> bool {
    let SelectItem::UnnamedExpr(expr) = item else { return false };
    match expr {
        Expr::Identifier(column) => lower(column) == TENANT,
        Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|column| lower(column) == TENANT),
        _ => false,
    }
}

#[test]
fn a_look_across_tenants_sees_their_ids_alone() {
    let tables: BTreeSet<String> = shard_tables().into_iter().chain(views_across()).collect();
    let faults = of_shards().into_iter().flat_map(|statement| {
        let found = faults(statement.text, &tables).into_iter();
        found.map(move |fault| format!("{} {}: {fault}", statement.file, statement.name))
    });
    none("statements across tenants select tenant_id alone", &faults.collect::<Vec<_>>());
}

#[test]
fn what_would_see_more_is_refused() {
    let tables: BTreeSet<String> = ["leads", "notes"].map(str::to_owned).into();
    let refused = [
        "SELECT tenant_id, name FROM leads LIMIT 1",
        "SELECT * FROM leads LIMIT 1",
        "SELECT l.* FROM leads l LIMIT 1",
        "SELECT name AS tenant_id FROM leads LIMIT 1",
        "SELECT max(name) FROM leads LIMIT 1",
        "SELECT tenant_id || name FROM leads LIMIT 1",
        "SELECT (SELECT name FROM leads LIMIT 1) FROM leads LIMIT 1",
        "SELECT tenant_id FROM (SELECT name AS tenant_id FROM leads) LIMIT 1",
        "SELECT tenant_id FROM leads UNION SELECT name FROM leads LIMIT 1",
        "WITH l (tenant_id) AS (SELECT name FROM leads) SELECT tenant_id FROM l LIMIT 1",
        "WITH l AS (SELECT tenant_id FROM leads) SELECT tenant_id FROM l LIMIT 1",
        "SELECT tenant_id FROM leads",
        "SELECT tenant_id FROM (SELECT tenant_id FROM leads LIMIT 1)",
        "SELECT tenant_id FROM sqlite_schema LIMIT 1",
        "SELECT tenant_id FROM leads, json_each(data) LIMIT 1",
        "VALUES ('a')",
        "DELETE FROM leads RETURNING tenant_id",
        "UPDATE leads SET name = '' RETURNING tenant_id",
        "SELECT tenant_id FROM leads LIMIT 1; SELECT name FROM leads LIMIT 1",
    ];
    for sql in refused {
        assert!(!faults(sql, &tables).is_empty(), "passes: {sql}");
    }
    let passes = [
        "SELECT tenant_id FROM leads WHERE at < ?1 GROUP BY tenant_id LIMIT 200",
        "SELECT l.Tenant_Id FROM Leads l JOIN notes n ON n.tenant_id = l.tenant_id WHERE n.at < ?1 LIMIT 5",
        "SELECT l.tenant_id FROM leads l WHERE EXISTS (SELECT n.tenant_id FROM notes n WHERE n.tenant_id = l.tenant_id) LIMIT 5",
        "SELECT tenant_id FROM leads UNION SELECT tenant_id FROM notes LIMIT 5",
    ];
    for sql in passes {
        assert_eq!(faults(sql, &tables), [""; 0], "{sql}");
    }
}
