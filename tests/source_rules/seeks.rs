use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use rusqlite::Connection;
use sqlparser::ast::{
    BinaryOperator, Delete, Expr, FromTable, Join, JoinConstraint, JoinOperator, Query, Select, SetExpr, Statement,
    TableFactor, TableWithJoins, UpdateTableFromKind, Visit, Visitor,
};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;

use crate::none;
use crate::planner::steps;
use crate::statements::{migrated, of_control, of_tenants, tables};
use crate::tenant_lint::{conjuncts, last, lower};
use crate::triggers::texts_of_triggers;

/// What a plan calls the number of a row.
const ROWID: &str = "rowid";

/// A table's columns, and what names one of its rows: the columns of its primary key and of each unique index.
struct Table {
    columns: BTreeSet<String>,
    keys: Vec<BTreeSet<String>>,
}

fn schema(db: &Connection) -> BTreeMap<String, Table> {
    let list = |sql: &str, of: &str| -> Vec<String> {
        let mut statement = db.prepare(sql).unwrap();
        statement.query_map([of], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let table = |name: String| {
        let columns: BTreeSet<String> = list("SELECT name FROM pragma_table_info(?1)", &name).into_iter().collect();
        let indexes = list("SELECT name FROM pragma_index_list(?1) WHERE \"unique\" = 1", &name);
        let of_index =
            |index: String| list("SELECT COALESCE(name, '?') FROM pragma_index_info(?1)", &index).into_iter().collect();
        let mut keys: Vec<BTreeSet<String>> = indexes.into_iter().map(of_index).collect();
        let number = "SELECT name FROM pragma_table_info(?1) WHERE pk = 1 AND type = 'INTEGER' AND (SELECT max(pk) FROM pragma_table_info(?1)) = 1";
        keys.extend(list(number, &name).into_iter().map(|number| BTreeSet::from([number])));
        (name, Table { columns, keys })
    };
    tables(db).into_iter().map(table).collect()
}

/// A table that a statement names a row of: what it is called there, and the keys that are named whole.
#[derive(Debug)]
struct Named {
    handle: String,
    keys: Vec<BTreeSet<String>>,
}

/// The tables of a FROM, in their order, and what must hold of their rows.
#[derive(Default)]
struct Scope<'a> {
    /// What each is called, and its name.
    factors: Vec<(String, String)>,
    conditions: Vec<&'a Expr>,
}

impl<'a> Scope<'a> {
    fn of(from: &'a [TableWithJoins], selection: Option<&'a Expr>) -> Self {
        let mut scope = Self::default();
        from.iter().for_each(|tables| scope.gather(tables));
        if let Some(selection) = selection {
            conjuncts(selection, &mut |condition| scope.conditions.push(condition));
        }
        scope
    }

    fn gather(&mut self, tables: &'a TableWithJoins) {
        self.gather_factor(&tables.relation);
        for Join { relation, join_operator, .. } in &tables.joins {
            self.gather_factor(relation);
            if let JoinOperator::Join(on)
            | JoinOperator::Inner(on)
            | JoinOperator::CrossJoin(on)
            | JoinOperator::Left(on)
            | JoinOperator::LeftOuter(on) = join_operator
                && let JoinConstraint::On(on) = on
            {
                conjuncts(on, &mut |condition| self.conditions.push(condition));
            }
        }
    }

    fn gather_factor(&mut self, factor: &'a TableFactor) {
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let handle = alias.as_ref().map_or_else(|| last(name), |alias| lower(&alias.name));
                self.factors.push((handle, last(name)));
            }
            TableFactor::NestedJoin { table_with_joins, .. } => self.gather(table_with_joins),
            _ => {}
        }
    }

    /// Which of the tables a column is of.
    fn column(&self, expr: &Expr, schema: &BTreeMap<String, Table>) -> Option<(usize, String)> {
        let has = |table: &str, column: &str| schema.get(table).is_some_and(|table| table.columns.contains(column));
        match expr {
            Expr::Nested(inner) => self.column(inner, schema),
            Expr::Identifier(column) => {
                let column = lower(column);
                let place = self.factors.iter().position(|(_, table)| has(table, &column))?;
                Some((place, column))
            }
            Expr::CompoundIdentifier(parts) => {
                let [table, column] = parts.as_slice() else { return None };
                let place = self.factors.iter().position(|(handle, _)| *handle == lower(table))?;
                Some((place, lower(column)))
            }
            _ => None,
        }
    }

    /// The last of the tables that an expression reads.
    fn reads(&self, expr: &Expr, schema: &BTreeMap<String, Table>) -> Option<usize> {
        let mut read = None;
        let _ = sqlparser::ast::visit_expressions(expr, |expr: &Expr| {
            read = read.max(self.column(expr, schema).map(|(place, _)| place));
            ControlFlow::<()>::Continue(())
        });
        read
    }

    /// What its conditions name: a column that equals what stands before its table, or is among what does.
    fn named(&self, schema: &BTreeMap<String, Table>) -> Vec<Named> {
        let mut columns: Vec<BTreeSet<String>> = vec![BTreeSet::new(); self.factors.len()];
        let mut name = |column: &Expr, by: Option<usize>| {
            if let Some((place, column)) =
                self.column(column, schema).filter(|(place, _)| by.is_none_or(|by| by < *place))
            {
                columns[place].insert(column);
            }
        };
        for condition in &self.conditions {
            match condition {
                Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
                    name(left, self.reads(right, schema));
                    name(right, self.reads(left, schema));
                }
                Expr::InSubquery { expr, negated: false, .. } | Expr::InList { expr, negated: false, .. } => {
                    match expr.as_ref() {
                        Expr::Tuple(all) => all.iter().for_each(|one| name(one, None)),
                        one => name(one, None),
                    }
                }
                _ => {}
            }
        }
        let each = self.factors.iter().zip(columns).filter_map(|((handle, table), columns)| {
            let keys =
                schema.get(table)?.keys.iter().filter(|key| key.is_subset(&columns)).cloned().collect::<Vec<_>>();
            (!keys.is_empty()).then(|| Named { handle: handle.clone(), keys })
        });
        each.collect()
    }
}

/// The rows that a statement names, in each of its queries.
fn named(sql: &str, schema: &BTreeMap<String, Table>) -> Vec<Named> {
    struct Names<'s>(&'s BTreeMap<String, Table>, Vec<Named>);
    impl Names<'_> {
        fn select(&mut self, select: &Select) {
            self.1.extend(Scope::of(&select.from, select.selection.as_ref()).named(self.0));
        }

        fn body(&mut self, body: &SetExpr) {
            match body {
                SetExpr::Select(select) => self.select(select),
                SetExpr::SetOperation { left, right, .. } => {
                    self.body(left);
                    self.body(right);
                }
                _ => {}
            }
        }
    }
    impl Visitor for Names<'_> {
        type Break = ();

        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            self.body(&query.body);
            ControlFlow::Continue(())
        }

        fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
            let (mut from, selection) = match statement {
                Statement::Update { table, from, selection, .. } => {
                    let more = match from {
                        Some(UpdateTableFromKind::BeforeSet(more) | UpdateTableFromKind::AfterSet(more)) => {
                            more.clone()
                        }
                        None => Vec::new(),
                    };
                    ([vec![table.clone()], more].concat(), selection)
                }
                Statement::Delete(Delete { from: FromTable::WithFromKeyword(from), selection, .. }) => {
                    (from.clone(), selection)
                }
                _ => return ControlFlow::Continue(()),
            };
            // What is joined names a row of the table as well.
            from.rotate_left(1);
            self.1.extend(Scope::of(&from, selection.as_ref()).named(self.0));
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(schema, Vec::new());
    let _ =
        Parser::parse_sql(&SQLiteDialect {}, sql).unwrap_or_else(|error| panic!("{sql}: {error}")).visit(&mut names);
    names.1
}

/// The columns by which a plan's step seeks.
fn searched_by(step: &str) -> BTreeSet<String> {
    let inside = step.split_once(" (").and_then(|(_, rest)| rest.split_once(')')).map_or("", |(inside, _)| inside);
    inside.split(" AND ").filter_map(|part| part.strip_suffix("=?")).map(str::to_owned).collect()
}

/// Rows that a statement names by a whole key and SQLite does not seek by it: it reads others beside them.
fn faults(db: &Connection, schema: &BTreeMap<String, Table>, sql: &str) -> Vec<String> {
    let mut steps = steps(db, sql);
    let mut found = Vec::new();
    for Named { handle, keys } in named(sql, schema) {
        let seeks = |step: &String| {
            let columns = searched_by(step);
            let is_by_key = keys.iter().any(|key| key.is_subset(&columns)) || columns.contains(ROWID);
            step.starts_with(&format!("SEARCH {handle} ")) && is_by_key
        };
        match steps.iter().position(seeks) {
            Some(step) => drop(steps.remove(step)),
            None => found.push(format!("{handle} is named by {keys:?}, the plan is {steps:?}")),
        }
    }
    found
}

#[test]
fn a_statement_that_names_rows_seeks_them() {
    let (shard, control) = (migrated("migrations/tenant"), migrated("migrations/control"));
    let (of_shard, of_platform) = (schema(&shard), schema(&control));
    let mut wrong = Vec::new();
    let mut known = 0;
    for (db, schema, statements) in [(&shard, &of_shard, of_tenants()), (&control, &of_platform, of_control())] {
        for statement in statements {
            known += named(statement.text, schema).len();
            let found = faults(db, schema, statement.text).into_iter();
            wrong.extend(found.map(|fault| format!("{} {}: {fault}", statement.file, statement.name)));
        }
    }
    assert!(known > 150, "{known}");
    none("these read rows that they do not name", &wrong);
}

#[test]
fn so_does_a_trigger() {
    let db = migrated("migrations/tenant");
    let schema = schema(&db);
    let texts = texts_of_triggers(&db);
    let known: usize = texts.iter().map(|(_, text)| named(text, &schema).len()).sum();
    assert!(known > 20, "{known}");
    let wrong = texts
        .iter()
        .flat_map(|(name, text)| faults(&db, &schema, text).into_iter().map(move |fault| format!("{name}: {fault}")));
    none("these read rows that they do not name", &wrong.collect::<Vec<_>>());
}

#[test]
fn a_statement_that_reads_beside_what_it_names_is_found() {
    let db = migrated("migrations/tenant");
    let schema = schema(&db);
    // Each names ids by JSON, and SQLite looks at every record of the collection first; the same, told in which order.
    let joined = |join: &str| {
        format!(
            "SELECT r.data FROM json_each(?3) j {join} records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.id = j.value"
        )
    };
    let unique = "SELECT j.key FROM json_each(?3) j CROSS JOIN record_index i WHERE i.tenant_id = ?1 AND i.collection = ?2 AND i.field = json_extract(j.value, '$[0]') AND i.value = json_extract(j.value, '$[1]') AND i.is_unique = 1";
    let refused = [
        joined("JOIN"),
        "UPDATE records SET status = json_extract(j.value, '$.status') FROM json_each(?3) j WHERE records.tenant_id = ?1 AND records.collection = ?2 AND records.id = json_extract(j.value, '$.id')".into(),
        "DELETE FROM records WHERE tenant_id = ?1 AND number IN (SELECT number FROM records WHERE tenant_id = ?1 AND collection = ?2 LIMIT ?3)".into(),
        "SELECT m.name FROM json_each(?2) j JOIN api_keys m ON m.tenant_id = ?1 AND m.id = j.value".into(),
    ];
    for text in &refused {
        assert_eq!(faults(&db, &schema, text).len(), 1, "{text}");
    }
    let passes = [
        joined("CROSS JOIN"),
        unique.into(),
        "UPDATE records SET status = '' WHERE tenant_id = ?1 AND collection = ?2 AND id IN (SELECT j.value FROM json_each(?3) j)".into(),
        "DELETE FROM records WHERE tenant_id = ?1 AND collection = ?2 AND id IN (SELECT id FROM records WHERE tenant_id = ?1 AND collection = ?2 LIMIT ?3)".into(),
        "SELECT c.slug FROM collections c JOIN collection_state s ON s.tenant_id = ?1 AND s.collection = c.slug WHERE c.tenant_id = ?1".into(),
        "SELECT id FROM records WHERE tenant_id = ?1 AND collection = ?2 AND id > ?3".into(),
    ];
    for text in &passes {
        assert_eq!(faults(&db, &schema, text), [""; 0], "{text}");
    }
}
