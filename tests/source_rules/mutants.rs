use std::ops::ControlFlow;

use sqlparser::ast::{
    Assignment, AssignmentTarget, BinaryOperator, ConflictTarget, Expr, Ident, Insert, ObjectName, OnConflictAction,
    OnInsert, SelectItem, SetExpr, Statement, visit_expressions_mut,
};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;

use crate::none;
use crate::statements::of_tenants;
use crate::tenant_lint::{TENANT, faults, is_first, lower, shard_tables};

/// The statement with one thing changed that binds its tenant: what was changed, and the text.
pub fn mutants(sql: &str) -> Vec<(String, String)> {
    let parsed = || Parser::parse_sql(&SQLiteDialect {}, sql).unwrap().remove(0);
    let mut mutants = Vec::new();
    type Change = fn(Expr) -> Expr;
    let changes: [(&str, Change); 3] = [
        ("dropped", |_| text_expr("TRUE")),
        ("under OR", |old| text_expr(&format!("({old} OR TRUE)"))),
        ("bound to ?2", |old| text_expr(&old.to_string().replace("?1", "?2"))),
    ];
    for (what, change) in changes {
        for wanted in 0.. {
            let (mut statement, mut met) = (parsed(), 0);
            let _: ControlFlow<()> = visit_expressions_mut(&mut statement, |expr| {
                if is_binding(expr) {
                    if met == wanted {
                        *expr = change(expr.clone());
                    }
                    met += 1;
                }
                ControlFlow::Continue(())
            });
            if met <= wanted {
                break;
            }
            mutants.push((format!("condition {wanted} {what}"), statement.to_string()));
        }
    }
    let mut with = |what: &str, change: fn(&mut Statement) -> bool| {
        let mut statement = parsed();
        if change(&mut statement) {
            mutants.push((what.into(), statement.to_string()));
        }
    };
    with("tenant_id left out", |statement| {
        edit_insert(statement, |insert, column| {
            insert.columns.remove(column);
            each_row(insert, |row| drop(row.remove(column)));
            true
        })
    });
    with("tenant_id fed by ?2", |statement| {
        edit_insert(statement, |insert, column| {
            each_row(insert, |row| row[column] = text_expr("?2"));
            true
        })
    });
    with("conflict on other columns", |statement| {
        edit_insert(statement, |insert, _| {
            let Some(OnInsert::OnConflict(conflict)) = &mut insert.on else { return false };
            conflict.conflict_target = Some(ConflictTarget::Columns(vec![Ident::new("other")]));
            true
        })
    });
    with("tenant_id set", |statement| {
        let assignment = Assignment {
            target: AssignmentTarget::ColumnName(ObjectName::from(vec![Ident::new(TENANT)])),
            value: text_expr("?1"),
        };
        let assignments = match statement {
            Statement::Update { assignments, .. } => assignments,
            Statement::Insert(Insert { on: Some(OnInsert::OnConflict(conflict)), .. }) => match &mut conflict.action {
                OnConflictAction::DoUpdate(update) => &mut update.assignments,
                OnConflictAction::DoNothing => return false,
            },
            _ => return false,
        };
        assignments.push(assignment);
        true
    });
    mutants
}

fn is_binding(expr: &Expr) -> bool {
    let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = expr else { return false };
    left.to_string().to_lowercase().ends_with(TENANT) && is_first(right)
}

fn text_expr(text: &str) -> Expr {
    Parser::new(&SQLiteDialect {}).try_with_sql(text).unwrap().parse_expr().unwrap()
}

fn edit_insert(statement: &mut Statement, edit: impl FnOnce(&mut Insert, usize) -> bool) -> bool {
    let Statement::Insert(insert) = statement else { return false };
    let column = insert.columns.iter().position(|column| lower(column) == TENANT);
    column.is_some_and(|column| edit(insert, column))
}

fn each_row(insert: &mut Insert, edit: impl Fn(&mut Vec<Expr>)) {
    match insert.source.as_mut().map(|source| &mut *source.body) {
        Some(SetExpr::Values(values)) => values.rows.iter_mut().for_each(edit),
        Some(SetExpr::Select(select)) => {
            let mut row: Vec<Expr> = select.projection.iter().map(|item| text_expr(&item.to_string())).collect();
            edit(&mut row);
            select.projection = row.into_iter().map(SelectItem::UnnamedExpr).collect();
        }
        other => panic!("no rows to edit: {other:?}"),
    }
}

#[test]
fn no_statement_on_a_shard_survives_losing_its_tenant() {
    let tables = shard_tables();
    let mut survivors = Vec::new();
    for statement in of_tenants() {
        let mutants = mutants(statement.text);
        assert!(!mutants.is_empty(), "{} has nothing that binds its tenant", statement.name);
        for (what, text) in mutants {
            if faults(&text, &tables).is_empty() {
                survivors.push(format!("{} {}, {what}: {text}", statement.file, statement.name));
            }
        }
    }
    none("the lint lets these pass", &survivors);
}
