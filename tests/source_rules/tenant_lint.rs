use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Assignment, AssignmentTarget, BinaryOperator, ConflictTarget, Expr, FromTable, Ident, Insert, Join, JoinConstraint,
    JoinOperator, ObjectName, OnConflict, OnConflictAction, OnInsert, Query, Select, SelectItem, SetExpr, Statement,
    TableFactor, TableObject, TableWithJoins, UpdateTableFromKind, Value, Visit, Visitor,
};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;

use crate::full_text::{found, is_index, is_search};
use crate::none;
use crate::statements::{is_by_number, migrated, of_tenants, tables};
use crate::views::views;

pub const TENANT: &str = "tenant_id";
/// The key of a table whose rows lie by number.
pub const NUMBER: &str = "number";
/// Functions that give rows of their own, not of a table.
const TABLE_FUNCTIONS: [&str; 2] = ["json_each", "json_tree"];

/// What is wrong with a statement on a shard. It is refused unless
///
/// - it is one SELECT, INSERT, UPDATE or DELETE, over tables of the shard only;
/// - each table, in each sub-select too, is bound by a condition `alias.tenant_id = ?1` that must hold for every row:
///   in WHERE, or in the ON of a join, and under no OR;
/// - an INSERT feeds `tenant_id` with `?1`, and its ON CONFLICT names `tenant_id`;
/// - nothing sets `tenant_id`, nor the number of a row that lies by its number;
/// - a full-text index is not written, and is read as [`is_search`] says beside the bound rows that are [`found`].
pub fn faults(sql: &str, tables: &BTreeSet<String>) -> Vec<String> {
    let statements = match Parser::parse_sql(&SQLiteDialect {}, sql) {
        Ok(statements) => statements,
        Err(error) => return vec![format!("does not parse: {error}")],
    };
    let mut lint =
        Lint { tables, derived: BTreeSet::new(), searches: Vec::new(), seen: 0, checked: 0, faults: Vec::new() };
    if statements.len() != 1 {
        lint.fault("is not one statement");
    }
    let _ = statements.visit(&mut lint);
    if lint.seen != lint.checked {
        lint.fault("names a table where this lint does not look");
    }
    lint.faults
}

struct Lint<'a> {
    tables: &'a BTreeSet<String>,
    /// Names of the statement's own WITH queries, which are checked as queries.
    derived: BTreeSet<String>,
    /// Its searches of a full-text index, which stand where they may.
    searches: Vec<*const Query>,
    /// Tables that the statement names, and those that were checked.
    seen: usize,
    checked: usize,
    faults: Vec<String>,
}

/// A table of a FROM: what it is called there, and what it is.
struct Factor<'a> {
    handle: String,
    name: &'a ObjectName,
}

/// A FROM: its tables, and the conditions that hold for every row; a condition of an outer join only for its table.
#[derive(Default)]
struct Scope<'a> {
    factors: Vec<Factor<'a>>,
    /// Derived tables and table functions, which have no rows of a tenant's by themselves.
    others: usize,
    conditions: Vec<(Option<String>, &'a Expr)>,
    /// Searches of a full-text index, and what each is called.
    searches: Vec<(String, &'a Query)>,
}

impl<'a> Lint<'a> {
    fn fault(&mut self, what: impl Into<String>) {
        self.faults.push(what.into());
    }

    fn select(&mut self, select: &Select) {
        self.check(&select.from, &[], select.selection.as_ref());
    }

    /// Checks the tables of a FROM against what must hold of its rows.
    fn check(&mut self, from: &[TableWithJoins], more: &[TableWithJoins], selection: Option<&Expr>) {
        let mut scope = Scope::default();
        for tables in from.iter().chain(more) {
            self.gather(tables, &mut scope);
        }
        if let Some(selection) = selection {
            conjuncts(selection, &mut |condition| scope.conditions.push((None, condition)));
        }
        let alone = scope.factors.len() == 1 && scope.others == 0;
        let mut bound_by_number = Vec::new();
        for factor in &scope.factors {
            let name = last(factor.name);
            if !self.tables.contains(&name) {
                if !self.derived.contains(&name) {
                    self.fault(format!("reads {name}, which is no table of a shard"));
                }
                continue;
            }
            self.checked += 1;
            let bound = scope.conditions.iter().any(|(only, condition)| {
                only.as_ref().is_none_or(|only| *only == factor.handle) && binds(condition, &factor.handle, alone)
            });
            if !bound {
                self.fault(format!("does not bind {} by {TENANT} = ?1", factor.handle));
            } else if is_by_number(&name) {
                bound_by_number.push(factor.handle.as_str());
            }
        }
        let found = scope.conditions.iter().filter(|(only, _)| only.is_none()).filter_map(|(_, rows)| found(rows));
        let found = found.filter(|(row, _)| bound_by_number.contains(&row.as_str())).map(|(_, search)| search);
        let found: BTreeSet<String> = found.collect();
        let beside = scope.searches.iter().filter(|(search, _)| found.contains(search));
        self.searches.extend(beside.map(|(_, search)| std::ptr::from_ref(*search)));
    }

    fn gather<'s>(&mut self, tables: &'s TableWithJoins, scope: &mut Scope<'s>) {
        self.gather_factor(&tables.relation, scope);
        for Join { relation, join_operator, .. } in &tables.joins {
            let before = scope.factors.len();
            self.gather_factor(relation, scope);
            let joined = scope.factors.get(before..).and_then(|joined| match joined {
                [one] => Some(one.handle.clone()),
                _ => None,
            });
            let (constraint, only) = match join_operator {
                JoinOperator::Join(c) | JoinOperator::Inner(c) | JoinOperator::CrossJoin(c) => (c, None),
                // The rows on the left stay, whatever the condition says; those on the right must meet it.
                JoinOperator::Left(c) | JoinOperator::LeftOuter(c) if joined.is_some() => (c, joined),
                _ => continue,
            };
            if let JoinConstraint::On(on) = constraint {
                conjuncts(on, &mut |condition| scope.conditions.push((only.clone(), condition)));
            }
        }
    }

    fn gather_factor<'s>(&mut self, factor: &'s TableFactor, scope: &mut Scope<'s>) {
        match factor {
            TableFactor::Table { name, args: Some(_), .. } => {
                scope.others += 1;
                if !TABLE_FUNCTIONS.contains(&last(name).as_str()) {
                    self.fault(format!("calls {name}, which is not known to give no tenant's rows"));
                }
            }
            TableFactor::Table { name, alias, .. } => {
                let handle = alias.as_ref().map_or_else(|| last(name), |alias| lower(&alias.name));
                scope.factors.push(Factor { handle, name });
            }
            TableFactor::Derived { subquery, alias, .. } => {
                scope.others += 1;
                if let Some(alias) = alias.as_ref().filter(|_| is_search(subquery)) {
                    scope.searches.push((lower(&alias.name), subquery));
                }
            }
            TableFactor::NestedJoin { table_with_joins, .. } => self.gather(table_with_joins, scope),
            other => self.fault(format!("reads {other}, which this lint does not know")),
        }
    }

    fn insert(&mut self, insert: &Insert) {
        let TableObject::TableName(name) = &insert.table else { return self.fault("inserts into no table") };
        if !self.tables.contains(&last(name)) {
            return self.fault(format!("writes {name}, which is no table of a shard"));
        }
        self.checked += 1;
        let column = insert.columns.iter().position(|column| lower(column) == TENANT);
        let Some(column) = column else { return self.fault(format!("inserts no {TENANT}")) };
        if is_by_number(&last(name))
            && insert.columns.iter().any(|column| [NUMBER, "rowid"].contains(&lower(column).as_str()))
        {
            self.fault("chooses a row's number");
        }
        if !insert.source.as_ref().is_some_and(|source| feeds(&source.body, column)) {
            self.fault(format!("does not feed {TENANT} with ?1"));
        }
        match &insert.on {
            None => {}
            Some(OnInsert::OnConflict(OnConflict { conflict_target, action })) => {
                let named = matches!(conflict_target, Some(ConflictTarget::Columns(columns))
                    if columns.iter().any(|column| lower(column) == TENANT));
                if !named {
                    self.fault(format!("has an ON CONFLICT that does not name {TENANT}"));
                }
                if let OnConflictAction::DoUpdate(update) = action {
                    self.assignments(&last(name), &update.assignments);
                }
            }
            Some(_) => self.fault("has a conflict clause that this lint does not know"),
        }
    }

    fn assignments(&mut self, table: &str, assignments: &[Assignment]) {
        let sets = |wanted: &str| {
            assignments.iter().any(|assignment| match &assignment.target {
                AssignmentTarget::ColumnName(column) => last(column) == wanted,
                AssignmentTarget::Tuple(columns) => columns.iter().any(|column| last(column) == wanted),
            })
        };
        if sets(TENANT) {
            self.fault(format!("sets {TENANT}"));
        }
        if is_by_number(table) && (sets(NUMBER) || sets("rowid")) {
            self.fault("sets a row's number");
        }
    }

    fn body(&mut self, body: &SetExpr) {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::SetOperation { left, right, .. } => {
                self.body(left);
                self.body(right);
            }
            // Queries and statements inside are visited by themselves.
            SetExpr::Query(_) | SetExpr::Values(_) | SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) => {}
            SetExpr::Merge(_) | SetExpr::Table(_) => self.fault("is a kind of query that this lint does not know"),
        }
    }
}

impl Visitor for Lint<'_> {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        let name = last(relation);
        self.seen += usize::from(self.tables.contains(&name) || is_index(&name));
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for with in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.derived.insert(lower(&with.alias.name));
        }
        if self.searches.contains(&std::ptr::from_ref(query)) {
            self.checked += 1;
        } else {
            self.body(&query.body);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        match statement {
            Statement::Query(_) => {}
            Statement::Insert(insert) => self.insert(insert),
            Statement::Update { table, assignments, from, selection, .. } => {
                let name = match &table.relation {
                    TableFactor::Table { name, .. } => last(name),
                    _ => String::new(),
                };
                self.assignments(&name, assignments);
                let more = match from {
                    Some(UpdateTableFromKind::BeforeSet(more) | UpdateTableFromKind::AfterSet(more)) => more.as_slice(),
                    None => &[],
                };
                self.check(std::slice::from_ref(table), more, selection.as_ref());
            }
            Statement::Delete(delete) => {
                let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
                let using = delete.using.as_deref().unwrap_or_default();
                self.check(from, using, delete.selection.as_ref());
            }
            _ => self.fault("is neither SELECT, INSERT, UPDATE nor DELETE"),
        }
        ControlFlow::Continue(())
    }
}

pub fn lower(ident: &Ident) -> String {
    ident.value.to_lowercase()
}

/// A name without its schema.
pub fn last(name: &ObjectName) -> String {
    name.0.last().and_then(|part| part.as_ident()).map(lower).unwrap_or_default()
}

/// Gives each part that must hold for the whole to hold.
pub fn conjuncts<'e>(expr: &'e Expr, give: &mut impl FnMut(&'e Expr)) {
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            conjuncts(left, give);
            conjuncts(right, give);
        }
        Expr::Nested(inner) => conjuncts(inner, give),
        other => give(other),
    }
}

pub fn is_first(expr: &Expr) -> bool {
    matches!(expr, Expr::Value(value) if matches!(&value.value, Value::Placeholder(name) if name == "?1"))
}

/// Whether a condition is `handle.tenant_id = ?1`; where the table stands alone, it need not be named.
fn binds(condition: &Expr, handle: &str, alone: bool) -> bool {
    let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = condition else { return false };
    let is_column = |expr: &Expr| match expr {
        Expr::Identifier(column) => alone && lower(column) == TENANT,
        Expr::CompoundIdentifier(parts) => {
            matches!(parts.as_slice(), [table, column] if lower(table) == handle && lower(column) == TENANT)
        }
        _ => false,
    };
    is_column(left) && is_first(right) || is_first(left) && is_column(right)
}

/// Whether every row of an INSERT's source has `?1` in a column.
fn feeds(body: &SetExpr, column: usize) -> bool {
    match body {
        SetExpr::Values(values) => values.rows.iter().all(|row| row.get(column).is_some_and(is_first)),
        SetExpr::Select(select) => {
            let plain = |item: &SelectItem| match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr.clone()),
                _ => None,
            };
            let items: Option<Vec<Expr>> = select.projection.iter().map(plain).collect();
            items.is_some_and(|items| items.get(column).is_some_and(is_first))
        }
        SetExpr::SetOperation { left, right, .. } => feeds(left, column) && feeds(right, column),
        SetExpr::Query(query) => feeds(&query.body, column),
        _ => false,
    }
}

/// What a statement may name: tables, and views, which are checked by themselves.
pub fn shard_tables() -> BTreeSet<String> {
    let db = migrated("migrations/tenant");
    tables(&db).into_iter().chain(views(&db)).collect()
}

#[test]
fn every_statement_on_a_shard_binds_its_tenant() {
    let tables = shard_tables();
    let faults = of_tenants().into_iter().flat_map(|statement| {
        let found = faults(statement.text, &tables).into_iter();
        found.map(move |fault| format!("{} {}: {fault}", statement.file, statement.name))
    });
    none("each table of a statement is bound by tenant_id = ?1", &faults.collect::<Vec<_>>());
}

#[test]
fn what_reaches_beyond_its_tenant_is_refused() {
    let tables: BTreeSet<String> = ["leads", "notes"].map(str::to_owned).into();
    let refused = [
        // No condition, another operator, another value, another place.
        "SELECT * FROM leads",
        "SELECT * FROM leads WHERE id = ?1",
        "SELECT tenant_id, ?1 FROM leads WHERE id = ?2",
        "SELECT * FROM leads WHERE tenant_id <> ?1",
        "SELECT * FROM leads WHERE tenant_id >= ?1",
        "SELECT * FROM leads WHERE tenant_id IN (?1, ?2)",
        "SELECT * FROM leads WHERE tenant_id LIKE ?1",
        "SELECT * FROM leads WHERE tenant_id = ?2 AND id = ?1",
        "SELECT * FROM leads WHERE tenant_id = ?1 || ''",
        "SELECT * FROM leads WHERE tenant_id = COALESCE(?1, tenant_id)",
        "SELECT * FROM leads WHERE tenant_id = ?",
        "SELECT * FROM leads GROUP BY tenant_id HAVING tenant_id = ?1",
        "SELECT * FROM leads ORDER BY tenant_id = ?1",
        // Not for every row.
        "SELECT * FROM leads WHERE tenant_id = ?1 OR id = ?2",
        "SELECT * FROM leads WHERE (tenant_id = ?1 AND id = ?2) OR status = ?3",
        "SELECT * FROM leads WHERE NOT (tenant_id = ?1)",
        "SELECT * FROM leads WHERE CASE WHEN ?2 THEN tenant_id = ?1 ELSE 1 END",
        // One of two tables, or none is meant.
        "SELECT * FROM leads l JOIN notes n ON n.lead_id = l.id WHERE l.tenant_id = ?1",
        "SELECT * FROM leads l, notes n WHERE l.tenant_id = ?1",
        "SELECT * FROM leads l JOIN notes n ON n.lead_id = l.id WHERE tenant_id = ?1",
        "SELECT * FROM leads l, (SELECT 1 AS tenant_id) d WHERE tenant_id = ?1",
        "SELECT * FROM leads a JOIN leads b ON a.tenant_id = b.tenant_id AND a.tenant_id = ?1",
        "SELECT * FROM leads l LEFT JOIN notes n ON l.tenant_id = ?1 AND n.tenant_id = ?1",
        "SELECT * FROM leads l RIGHT JOIN notes n ON n.tenant_id = ?1 WHERE l.tenant_id = ?1",
        "SELECT * FROM main.leads",
        // Inside.
        "SELECT (SELECT count(*) FROM notes) FROM leads WHERE tenant_id = ?1",
        "SELECT * FROM leads l WHERE l.tenant_id = ?1 AND EXISTS (SELECT 1 FROM notes n WHERE n.lead_id = l.id)",
        "SELECT * FROM leads WHERE tenant_id = ?1 AND id IN (SELECT lead_id FROM notes WHERE author = ?2)",
        "SELECT id FROM leads WHERE tenant_id = ?1 UNION SELECT id FROM notes",
        "WITH n AS (SELECT * FROM notes) SELECT * FROM n",
        "SELECT * FROM (SELECT * FROM leads) WHERE tenant_id = ?1",
        // Writes.
        "INSERT INTO leads (tenant_id, id) VALUES (?2, ?1)",
        "INSERT INTO leads (tenant_id, id) VALUES (?1, ?2), (?3, ?4)",
        "INSERT INTO leads (tenant_id, id) VALUES (COALESCE(?2, ?1), ?3)",
        "INSERT INTO leads VALUES (?1, ?2)",
        "INSERT INTO leads (id) VALUES (?1)",
        "INSERT INTO leads (tenant_id, id) SELECT tenant_id, id FROM notes WHERE tenant_id = ?1",
        "INSERT INTO leads (tenant_id, id) SELECT ?1, id FROM notes",
        "INSERT INTO leads (tenant_id, id) SELECT * FROM notes WHERE tenant_id = ?1",
        "INSERT INTO leads (tenant_id, id) VALUES (?1, (SELECT max(id) FROM leads))",
        "INSERT INTO leads (tenant_id, id) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING",
        "INSERT INTO leads (tenant_id, id) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        "INSERT INTO leads (tenant_id, id) VALUES (?1, ?2) ON CONFLICT (tenant_id, id) DO UPDATE SET tenant_id = ?3",
        "UPDATE leads SET name = ?2",
        "UPDATE leads SET name = ?1 WHERE tenant_id = ?2",
        "UPDATE leads SET tenant_id = ?2 WHERE tenant_id = ?1",
        "UPDATE leads SET (name, tenant_id) = (?2, ?3) WHERE tenant_id = ?1",
        "UPDATE leads SET name = n.name FROM notes n WHERE leads.tenant_id = ?1",
        "DELETE FROM leads",
        "DELETE FROM leads WHERE tenant_id = ?1 OR 1 = 1",
        "DELETE FROM leads WHERE tenant_id = ?1 AND id IN (SELECT lead_id FROM notes)",
        // Not what statements are.
        "SELECT * FROM leads WHERE tenant_id = ?1; DELETE FROM leads",
        "DROP TABLE leads",
        "PRAGMA writable_schema = 1",
        "SELECT * FROM sqlite_schema",
        "SELECT * FROM pragma_table_info(?1)",
    ];
    for sql in refused {
        assert!(!faults(sql, &tables).is_empty(), "passes: {sql}");
    }
}

#[test]
fn what_keeps_to_its_tenant_passes() {
    let tables: BTreeSet<String> = ["leads", "notes"].map(str::to_owned).into();
    let passes = [
        "SELECT * FROM leads WHERE tenant_id = ?1",
        "SELECT * FROM Leads AS l WHERE ((l.Tenant_Id = ?1 AND l.id = ?2) AND (l.a = ?3 OR l.b = ?3))",
        "SELECT * FROM leads WHERE ?1 = tenant_id",
        "SELECT * FROM leads l JOIN notes n ON n.tenant_id = ?1 AND n.lead_id = l.id WHERE l.tenant_id = ?1",
        "SELECT * FROM leads l LEFT JOIN notes n ON n.tenant_id = ?1 AND n.lead_id = l.id WHERE l.tenant_id = ?1",
        "SELECT l.* FROM leads l, json_each(?2) j WHERE l.tenant_id = ?1 AND l.id = j.value",
        "SELECT * FROM leads l WHERE l.tenant_id = ?1 AND l.id IN (SELECT lead_id FROM notes WHERE tenant_id = ?1)",
        "WITH n AS (SELECT * FROM notes WHERE tenant_id = ?1) SELECT * FROM n",
        "SELECT id FROM leads WHERE tenant_id = ?1 AND (created_at, id) < (?2, ?3) ORDER BY created_at DESC LIMIT ?4",
        "INSERT INTO leads (id, tenant_id) VALUES (?2, ?1), (?3, ?1) ON CONFLICT (tenant_id, id) DO UPDATE SET name = excluded.name RETURNING id",
        "INSERT INTO leads (tenant_id, id) SELECT ?1, id FROM notes WHERE tenant_id = ?1",
        "UPDATE leads SET name = ?2 WHERE tenant_id = ?1 AND id = ?3 RETURNING *",
        "DELETE FROM leads WHERE tenant_id = ?1 AND id IN (SELECT value FROM json_each(?2))",
    ];
    for sql in passes {
        assert_eq!(faults(sql, &tables), [""; 0], "{sql}");
    }
}
