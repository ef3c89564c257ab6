use std::collections::BTreeSet;

use rusqlite::Connection;
use sqlparser::ast::{Query, Select, SetExpr, Statement, TableFactor};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;

use crate::none;
use crate::planner::astray;
use crate::statements::{migrated, tables};
use crate::tenant_lint::{TENANT, faults, last, lower};

/// Views across the tenants of a shard, which no tenant's statement may name, and why there are any.
const ACROSS: &[(&str, &str)] =
    &[("outboxes_waiting", "tells cron which tenants' announcements wait, one row for each, and for how long")];

/// The views of tenants' rows.
pub fn views(db: &Connection) -> BTreeSet<String> {
    let across = |name: &str| ACROSS.iter().any(|(view, _)| *view == name);
    definitions(db).into_iter().map(|(name, _)| name).filter(|name| !across(name)).collect()
}

/// The views across tenants.
pub fn views_across() -> BTreeSet<String> {
    ACROSS.iter().map(|(name, _)| (*name).to_owned()).collect()
}

fn definitions(db: &Connection) -> Vec<(String, String)> {
    let mut statement = db.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'view' ORDER BY name").unwrap();
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
}

/// What a view would mix, or read beyond the tenant that is asked for. Each of its selects
///
/// - leads with a table, and gives its `tenant_id` under that name;
/// - binds each other table by the leading one's `tenant_id`;
/// - or is over such selects alone, and grouped by `tenant_id`.
fn faults_of(sql: &str, tables: &BTreeSet<String>) -> Vec<String> {
    let statement = Parser::parse_sql(&SQLiteDialect {}, sql).unwrap().pop();
    let Some(Statement::CreateView { query, .. }) = statement else { return vec!["is no view".into()] };
    let mut found = Vec::new();
    of_query(&query, tables, &mut found);
    found
}

fn of_query(query: &Query, tables: &BTreeSet<String>, found: &mut Vec<String>) {
    if query.with.is_some() {
        found.push("has names of its own".into());
    }
    of_body(&query.body, tables, found);
}

fn of_body(body: &SetExpr, tables: &BTreeSet<String>, found: &mut Vec<String>) {
    match body {
        SetExpr::Select(select) => of_select(select, tables, found),
        SetExpr::SetOperation { left, right, .. } => {
            of_body(left, tables, found);
            of_body(right, tables, found);
        }
        other => found.push(format!("is more than a SELECT: {other}")),
    }
}

fn of_select(select: &Select, tables: &BTreeSet<String>, found: &mut Vec<String>) {
    let first = select.projection.first().map(ToString::to_string).unwrap_or_default().to_lowercase();
    let Some(leading) = select.from.first() else { return found.push("reads nothing".into()) };
    let leading = match &leading.relation {
        TableFactor::Table { name, alias, .. } => alias.as_ref().map_or_else(|| last(name), |alias| lower(&alias.name)),
        TableFactor::Derived { subquery, .. } if select.from.len() == 1 && leading.joins.is_empty() => {
            of_query(subquery, tables, found);
            if first != TENANT || !select.group_by.to_string().to_lowercase().ends_with("group by tenant_id") {
                found.push(format!("is not grouped by {TENANT}"));
            }
            return;
        }
        other => return found.push(format!("leads with {other}")),
    };
    let own = format!("{leading}.{TENANT}");
    if first != own && !(first == TENANT && select.from[0].joins.is_empty()) {
        found.push(format!("gives {first} for {TENANT}"));
    }
    // For the lint of statements, `?1` is the tenant of the leading table.
    let mut select = select.clone();
    let condition = select.selection.take().map_or_else(String::new, |condition| format!(" AND ({condition})"));
    let text = format!("{select} WHERE {own} = ?1{condition}");
    found.extend(faults(&text.replace(&format!(" = {own}"), " = ?1"), tables));
}

#[test]
fn every_view_keeps_to_the_tenant_that_is_asked_for() {
    let db = migrated("migrations/tenant");
    let tables: BTreeSet<String> = tables(&db).into_iter().collect();
    let mut found = Vec::new();
    let all = definitions(&db);
    assert!(all.len() > 3);
    for (name, sql) in all.iter().filter(|(name, _)| !views_across().contains(name)) {
        found.extend(faults_of(sql, &tables).into_iter().map(|fault| format!("{name}: {fault}")));
        let asked = format!("SELECT * FROM {name} WHERE tenant_id = ?1");
        found.extend(astray(&db, &asked).into_iter().map(|step| format!("{name}: {step}")));
    }
    none("views that would mix tenants, or read more than one's rows", &found);
    let known = |view: &str| all.iter().any(|(name, _)| name == view);
    assert!(ACROSS.iter().all(|(view, _)| known(view)), "take these off the list");
}

#[test]
fn a_view_that_mixes_tenants_is_found() {
    let tables: BTreeSet<String> = ["leads", "notes"].map(str::to_owned).into();
    let of = |query: &str| faults_of(&format!("CREATE VIEW v AS {query}"), &tables);
    for query in [
        "SELECT l.tenant_id, l.name FROM leads l",
        "SELECT tenant_id, name FROM leads WHERE name > 1",
        "SELECT l.tenant_id, (SELECT count(*) FROM notes n WHERE n.tenant_id = l.tenant_id) FROM leads l",
        "SELECT l.tenant_id, j.key FROM leads l CROSS JOIN json_each(l.data) j",
        "SELECT l.tenant_id, n.id FROM leads l JOIN notes n ON n.tenant_id = l.tenant_id WHERE n.a = 1 OR n.b = 2",
        "SELECT leads.tenant_id FROM leads UNION ALL SELECT notes.tenant_id FROM notes",
        "SELECT tenant_id, max(n) AS n FROM (SELECT tenant_id, n FROM leads UNION ALL SELECT tenant_id, m AS n FROM notes) GROUP BY tenant_id",
    ] {
        assert_eq!(of(query), [""; 0], "{query}");
    }
    for query in [
        "SELECT l.name FROM leads l",
        "SELECT l.name AS tenant_id FROM leads l",
        "SELECT l.tenant_id, n.id FROM leads l CROSS JOIN notes n",
        "SELECT n.tenant_id, l.id FROM leads l JOIN notes n ON n.tenant_id = l.tenant_id",
        "SELECT l.tenant_id, n.id FROM leads l JOIN notes n ON n.tenant_id = l.tenant_id OR n.b = 2",
        "SELECT l.tenant_id, (SELECT count(*) FROM notes n WHERE n.id = l.tenant_id) FROM leads l",
        "SELECT l.tenant_id FROM leads l UNION ALL SELECT n.id FROM notes n",
        "SELECT tenant_id, max(n) AS n FROM (SELECT tenant_id, n FROM leads)",
        "SELECT tenant_id, max(n) AS n FROM (SELECT id AS tenant_id, n FROM leads) GROUP BY tenant_id",
        "SELECT tenant_id, n FROM (SELECT tenant_id, n FROM leads) GROUP BY n",
        "WITH x AS (SELECT tenant_id FROM leads) SELECT x.tenant_id FROM x",
        "SELECT s.tenant_id FROM strangers s",
    ] {
        assert!(!of(query).is_empty(), "passes: {query}");
    }
}
