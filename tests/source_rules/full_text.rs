use std::collections::BTreeSet;

use sqlparser::ast::{
    BinaryOperator, Delete, Expr, FromTable, Insert, Query, Select, SetExpr, Statement, TableFactor, TableObject,
    TableWithJoins,
};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;

use crate::statements::{migrated, tables};
use crate::tenant_lint::{NUMBER, faults, last, lower};

/// Full-text indexes of a shard. They and the tables under them are no tenants' tables: the index, and why that is right.
const FULL_TEXT: &[(&str, &str)] = &[(
    "record_search",
    "keeps no text, but words behind the tag of their collection, or under a scope word made of tenant and collection; it gives numbers of rows, and a row is read from `records` alone",
)];

pub fn is_index(name: &str) -> bool {
    FULL_TEXT.iter().any(|(index, _)| *index == name)
}

/// Whether a table of a kind is a full-text index that is accounted for, or lies under one.
pub fn belongs_to_an_index(name: &str, kind: &str) -> bool {
    let under = |index: &str| name.strip_prefix(index).is_some_and(|rest| rest.starts_with('_'));
    match kind {
        "virtual" => is_index(name),
        "shadow" => FULL_TEXT.iter().any(|(index, _)| under(index)),
        _ => false,
    }
}

/// Whether a derived table is `(SELECT rowid FROM index WHERE index MATCH ?2)`: the only way to read an index.
pub fn is_search(query: &Query) -> bool {
    let text = query.to_string();
    FULL_TEXT.iter().any(|(index, _)| {
        let bound = text.strip_prefix(&format!("SELECT rowid FROM {index} WHERE {index} MATCH ?"));
        bound.is_some_and(|bound| bound != "1" && bound.parse::<u8>().is_ok())
    })
}

/// The row and the search in `row.number = search.rowid`.
pub fn found(condition: &Expr) -> Option<(String, String)> {
    let Expr::BinaryOp { left, op: BinaryOperator::Eq, right } = condition else { return None };
    let column = |expr: &Expr, wanted: &str| match expr {
        Expr::CompoundIdentifier(parts) => match parts.as_slice() {
            [table, column] if lower(column) == wanted => Some(lower(table)),
            _ => None,
        },
        _ => None,
    };
    Some((column(left, NUMBER)?, column(right, "rowid")?))
}

/// What a trigger on `table` may do to an index, with NEW's and OLD's columns as texts: forget the row, or put its words
/// there, behind the tag of its collection or under its scope. Gives what the words are read from; nothing if the statement does not write an index.
pub fn written(sql: &str, table: &str) -> Option<Result<Option<String>, String>> {
    let statement = Parser::parse_sql(&SQLiteDialect {}, sql).ok()?.pop()?;
    let fault = |what: &str| Some(Err(format!("{what}: {sql}")));
    match &statement {
        Statement::Insert(Insert {
            table: TableObject::TableName(name), columns, source, on: None, or: None, ..
        }) if is_index(&last(name)) => {
            let columns: Vec<String> = columns.iter().map(lower).collect();
            let query = source.as_deref().filter(|source| source.with.is_none());
            match query.map(|query| &*query.body) {
                Some(SetExpr::Select(select))
                    if columns == ["rowid", "scope", "words"]
                        && (is_scoped(select, table) || is_tagged(select, table)) =>
                {
                    Some(Ok(query.map(ToString::to_string)))
                }
                _ => fault("puts words of another row there, or under another scope"),
            }
        }
        Statement::Update { table: TableWithJoins { relation: TableFactor::Table { name, .. }, .. }, .. }
            if is_index(&last(name)) =>
        {
            let parts = plain(&statement.to_string());
            let parts = parts.strip_prefix(&format!("update {name} set scope = null, words = ("));
            let source = parts.and_then(|parts| parts.strip_suffix(") where rowid = 'new.number'"));
            match source {
                Some(source) if table == "records" && source == exchanged() => {
                    let words = "SELECT c.creation_id FROM collections c WHERE c.tenant_id = ?1";
                    Some(Ok(Some(words.to_owned())))
                }
                _ => fault("exchanges words of another row, or for others than its own"),
            }
        }
        Statement::Delete(Delete { from: FromTable::WithFromKeyword(from), .. }) => match from.as_slice() {
            [one] => match &one.relation {
                TableFactor::Table { name, .. } if is_index(&last(name)) => {
                    let forgets =
                        |row: &str| statement.to_string() == format!("DELETE FROM {name} WHERE rowid = '{row}.number'");
                    let own = table == "records" && (forgets("NEW") || forgets("OLD"));
                    if own { Some(Ok(None)) } else { fault("forgets words of another row") }
                }
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// Whether what is put into an index has the row's own number and the scope of its tenant and collection.
fn is_scoped(select: &Select, table: &str) -> bool {
    let items: Vec<String> = select.projection.iter().map(ToString::to_string).collect();
    table == "records"
        && matches!(items.as_slice(), [number, scope, _]
            if number == "'NEW.number'" && scope == "'x' || hex(?1 || ':' || 'NEW.collection')")
}

/// The row's words, each behind the tag of its collection.
fn tagged() -> String {
    let tag = "substr(c.creation_id, 17)";
    format!("'z' || {tag} || replace('new.words', ' ', ' z' || {tag})")
}

/// The query of them, of the row's own collection.
fn exchanged() -> String {
    format!("select {}, collections c where c.tenant_id = ?1 and c.slug = 'new.collection'", tagged())
}

/// A text in lower case. The parser writes `substring … from` and AS where the text may have neither.
fn plain(text: &str) -> String {
    text.to_lowercase().replace("substring(", "substr(").replace(" from ", ", ").replace(" as ", " ")
}

/// Whether what is put into an index has the row's own number, and the tag of its own collection before each of its words.
fn is_tagged(select: &Select, table: &str) -> bool {
    let items: Vec<String> = select.projection.iter().map(|item| plain(&item.to_string())).collect();
    let from: Vec<String> = select.from.iter().map(|from| from.to_string().replace(" AS ", " ")).collect();
    let tagged = tagged();
    let of_own = "c.tenant_id = ?1 AND c.slug = 'NEW.collection' AND ";
    table == "records"
        && items == ["'new.number'", "null", &tagged]
        && from == ["collections c"]
        && select.selection.as_ref().is_some_and(|condition| {
            let condition = condition.to_string();
            condition.starts_with(of_own) && !condition.contains(" OR ")
        })
}

#[test]
fn every_index_that_is_accounted_for_keeps_no_text() {
    let db = migrated("migrations/tenant");
    for (index, _) in FULL_TEXT {
        let sql = "SELECT sql FROM sqlite_schema WHERE name = ?1";
        let made: String = db.query_row(sql, [index], |row| row.get(0)).unwrap();
        assert!(made.contains("USING fts5 (scope, words, content = '',"), "{made}");
    }
}

#[test]
fn an_index_is_read_for_the_numbers_of_bound_rows_and_not_otherwise() {
    let tables: BTreeSet<String> = tables(&migrated("migrations/tenant")).into_iter().collect();
    const SEARCH: &str = "(SELECT rowid FROM record_search WHERE record_search MATCH ?2)";
    const ROW: &str = "r.tenant_id = ?1 AND r.number = w.rowid";
    let passes = [
        format!("SELECT r.id FROM {SEARCH} w CROSS JOIN records r WHERE {ROW}"),
        format!("SELECT r.id FROM {SEARCH} w JOIN records r ON {ROW} AND (r.status = ?3 OR r.version = ?4)"),
        format!("SELECT r.id FROM records r, {SEARCH} w WHERE r.deleted_at IS NULL AND ({ROW})"),
        format!(
            "SELECT r.id FROM {SEARCH} w CROSS JOIN records r CROSS JOIN record_index i WHERE {ROW} AND i.tenant_id = ?1 AND i.record_id = r.id"
        ),
        format!("SELECT count(*) FROM (SELECT 1 FROM {SEARCH} w CROSS JOIN records r WHERE {ROW} LIMIT 9)"),
    ];
    for sql in &passes {
        assert_eq!(faults(sql, &tables), [""; 0], "{sql}");
    }
    let refused = [
        // Beside rows that are not bound, or none.
        format!("SELECT r.id FROM {SEARCH} w CROSS JOIN records r WHERE r.number = w.rowid"),
        format!("SELECT r.id FROM {SEARCH} w CROSS JOIN records r WHERE r.tenant_id = ?2 AND r.number = w.rowid"),
        format!("SELECT r.id FROM {SEARCH} w CROSS JOIN records r WHERE r.tenant_id = ?1"),
        format!("SELECT r.id FROM {SEARCH} w CROSS JOIN records r WHERE r.tenant_id = ?1 AND r.version = w.rowid"),
        format!("SELECT r.id FROM {SEARCH} w CROSS JOIN records r WHERE r.tenant_id = ?1 AND r.number <> w.rowid"),
        format!(
            "SELECT r.id FROM {SEARCH} w CROSS JOIN records r WHERE r.tenant_id = ?1 AND (r.number = w.rowid OR 1)"
        ),
        format!("SELECT r.id FROM {SEARCH} w, records r, records s WHERE r.tenant_id = ?1 AND s.number = w.rowid"),
        format!("SELECT r.id FROM {SEARCH} w, {SEARCH} x, records r WHERE {ROW}"),
        format!("SELECT c.slug FROM {SEARCH} w, collections c WHERE c.tenant_id = ?1 AND c.number = w.rowid"),
        format!("SELECT w.rowid FROM {SEARCH} w LEFT JOIN records r ON {ROW}"),
        format!("SELECT w.rowid FROM {SEARCH} w"),
        SEARCH.trim_matches(['(', ')']).to_owned(),
        // Elsewhere.
        format!("SELECT r.id FROM records r WHERE r.tenant_id = ?1 AND r.number IN {SEARCH}"),
        format!("SELECT {SEARCH} FROM records WHERE tenant_id = ?1"),
        format!("SELECT r.id FROM records r WHERE r.tenant_id = ?1 AND EXISTS {SEARCH}"),
        format!("WITH s AS {SEARCH} SELECT * FROM s"),
        format!("WITH w AS {SEARCH} SELECT r.id FROM w CROSS JOIN records r WHERE {ROW}"),
        "SELECT r.* FROM records r JOIN record_search s ON s.rowid = r.number WHERE r.tenant_id = ?1".into(),
        "SELECT * FROM record_search".into(),
        "SELECT * FROM record_search_docsize".into(),
        "SELECT * FROM records r WHERE r.tenant_id = ?1 AND r.number IN record_search".into(),
        // Another search.
        format!("SELECT r.id FROM (SELECT rowid FROM record_search) w CROSS JOIN records r WHERE {ROW}"),
        format!(
            "SELECT r.id FROM (SELECT rowid, rank FROM record_search WHERE record_search MATCH ?2) w CROSS JOIN records r WHERE {ROW}"
        ),
        format!(
            "SELECT r.id FROM (SELECT rowid FROM record_search WHERE record_search MATCH ?1) w CROSS JOIN records r WHERE {ROW}"
        ),
        format!(
            "SELECT r.id FROM (SELECT rowid FROM record_search WHERE record_search MATCH 'a') w CROSS JOIN records r WHERE {ROW}"
        ),
        format!(
            "SELECT r.id FROM (SELECT rowid FROM record_search WHERE words MATCH ?2) w CROSS JOIN records r WHERE {ROW}"
        ),
        format!(
            "SELECT r.id FROM (SELECT rowid FROM record_search WHERE record_search MATCH ?2 ORDER BY rank) w CROSS JOIN records r WHERE {ROW}"
        ),
        format!(
            "SELECT r.id FROM (SELECT rowid FROM record_search WHERE record_search MATCH ?2 LIMIT 5) w CROSS JOIN records r WHERE {ROW}"
        ),
        format!(
            "SELECT r.id FROM (SELECT rowid FROM record_search WHERE record_search MATCH ?2 OR 1) w CROSS JOIN records r WHERE {ROW}"
        ),
        // Writes, and rows whose number was chosen.
        "INSERT INTO record_search (rowid, scope, words) VALUES (?2, ?1, ?3)".into(),
        "INSERT INTO record_search (tenant_id, rowid) VALUES (?1, ?2)".into(),
        "DELETE FROM record_search WHERE rowid = ?2".into(),
        "UPDATE record_search SET words = ?2 WHERE rowid = ?3".into(),
        "INSERT INTO records (tenant_id, number) VALUES (?1, ?2)".into(),
        "INSERT INTO records (tenant_id, rowid) VALUES (?1, ?2)".into(),
        "UPDATE records SET number = ?2 WHERE tenant_id = ?1".into(),
    ];
    for sql in &refused {
        assert!(!faults(sql, &tables).is_empty(), "passes: {sql}");
    }
}
