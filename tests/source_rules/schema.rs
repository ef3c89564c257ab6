use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use crate::none;
use crate::statements::{BY_NUMBER, migrate, migrated, of_tenants, tables};

const TENANT: &str = "tenant_id";

/// What lets a shard's table mix tenants. Those of `by_number` have a key beside the one that begins with the tenant.
fn faults(db: &Connection, by_number: &[(&str, &str)]) -> Vec<String> {
    let mut faults = Vec::new();
    for table in tables(db) {
        let mut fault = |what: String| faults.push(format!("{table} {what}"));
        if by_number.iter().any(|(name, _)| *name == table) {
            let text = "SELECT group_concat(name || ' ' || type) FROM pragma_table_info(?1) WHERE pk > 0";
            if first(db, text, &table).as_deref() != Some("number INTEGER") {
                fault("is not a table whose rows lie by their number".into());
            }
            let text = "SELECT l.name FROM pragma_index_list(?1) l JOIN pragma_index_info(l.name) c ON c.seqno = 0 WHERE l.\"unique\" = 1 AND l.partial = 0 AND c.name = 'tenant_id'";
            if first(db, text, &table).is_none() {
                fault(format!("has no UNIQUE that begins with {TENANT}"));
            }
        } else {
            let text = "SELECT name FROM pragma_table_info(?1) WHERE pk = 1";
            if first(db, text, &table).as_deref() != Some(TENANT) {
                fault(format!("has a PRIMARY KEY that does not begin with {TENANT}"));
            }
            let text = "SELECT name FROM pragma_table_list WHERE name = ?1 AND wr = 1";
            if first(db, text, &table).is_none() {
                fault("is not WITHOUT ROWID: its rows do not lie by tenant".into());
            }
        }
        let text = "SELECT name FROM pragma_table_info(?1) WHERE name = 'tenant_id' AND \"notnull\" = 1";
        if first(db, text, &table).is_none() {
            fault(format!("takes NULL as {TENANT}"));
        }
        let text = "SELECT l.name FROM pragma_index_list(?1) l JOIN pragma_index_info(l.name) c ON c.seqno = 0 WHERE l.\"unique\" = 1 AND c.name IS NOT 'tenant_id'";
        if let Some(index) = first(db, text, &table) {
            fault(format!("is UNIQUE across tenants by {index}"));
        }
        let text = "SELECT \"table\" FROM pragma_foreign_key_list(?1) GROUP BY id HAVING sum(\"from\" = 'tenant_id' AND \"to\" = 'tenant_id') = 0";
        if let Some(other) = first(db, text, &table) {
            fault(format!("refers to {other} without {TENANT}"));
        }
        if let Err(why) = keeps_its_tenant(db, &table) {
            fault(why);
        }
    }
    faults
}

fn first(db: &Connection, sql: &str, table: &str) -> Option<String> {
    let mut statement = db.prepare(sql).unwrap();
    statement.query_map([table], |row| row.get(0)).unwrap().next().map(Result::unwrap)
}

/// Puts a row of tenant `a` there and tries in every way to make it tenant `b`'s.
fn keeps_its_tenant(db: &Connection, table: &str) -> Result<(), String> {
    db.execute_batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; SAVEPOINT probe").unwrap();
    let outcome = try_to_move(db, table);
    db.execute_batch("ROLLBACK TO probe; RELEASE probe; PRAGMA ignore_check_constraints = OFF").unwrap();
    outcome
}

fn try_to_move(db: &Connection, table: &str) -> Result<(), String> {
    let mut statement = db.prepare("SELECT name, type FROM pragma_table_info(?1)").unwrap();
    let columns: BTreeMap<String, String> =
        statement.query_map([table], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    let value = |(name, kind): (&String, &String)| match (name.as_str(), kind.as_str()) {
        (TENANT, _) => "'a'",
        // Not 1: a rule that holds leaves no row.
        (_, "INTEGER" | "INT" | "REAL") => "0",
        (_, "BLOB") => "x'00'",
        _ => "'x'",
    };
    let names: Vec<&str> = columns.keys().map(String::as_str).collect();
    let values: Vec<&str> = columns.iter().map(value).collect();
    let insert = format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), values.join(", "));
    db.execute_batch(&insert).map_err(|error| format!("takes no row to try: {error}"))?;
    for how in ["UPDATE", "UPDATE OR IGNORE", "UPDATE OR REPLACE", "UPDATE OR FAIL"] {
        let moved = db.execute(&format!("{how} {table} SET {TENANT} = 'b' WHERE {TENANT} = 'a'"), []);
        if !moved.is_err_and(|error| error.to_string().contains("tenant_id is immutable")) {
            return Err(format!("lets {how} change {TENANT}"));
        }
    }
    Ok(())
}

#[test]
fn a_purge_leaves_nothing_but_the_fence() {
    let texts: Vec<&str> = of_tenants().iter().map(|statement| statement.text).collect();
    let left = tables(&migrated("migrations/tenant")).into_iter().filter(|table| {
        table != "tenant_fence" && !texts.contains(&format!("DELETE FROM {table} WHERE tenant_id = ?1").as_str())
    });
    none("tables that no purge empties", &left.collect::<Vec<_>>());
}

#[test]
fn every_table_of_a_shard_keeps_tenants_apart() {
    let db = migrated("migrations/tenant");
    assert!(!tables(&db).is_empty());
    none("migrations/tenant", &faults(&db, BY_NUMBER));
}

#[test]
fn a_table_that_mixes_tenants_is_found() {
    const KEEP: &str =
        "CREATE TRIGGER keep BEFORE UPDATE OF tenant_id ON t BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;";
    let tables = [
        (
            "CREATE TABLE t (tenant_id TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (tenant_id, id)) STRICT, WITHOUT ROWID;",
            KEEP,
            "",
        ),
        (
            "CREATE TABLE t (id TEXT NOT NULL, tenant_id TEXT NOT NULL, PRIMARY KEY (id, tenant_id)) WITHOUT ROWID;",
            KEEP,
            "PRIMARY KEY",
        ),
        ("CREATE TABLE t (id INTEGER PRIMARY KEY, tenant_id TEXT NOT NULL);", KEEP, "PRIMARY KEY"),
        ("CREATE TABLE t (tenant_id TEXT NOT NULL, id TEXT, PRIMARY KEY (tenant_id, id));", KEEP, "WITHOUT ROWID"),
        ("CREATE TABLE t (tenant_id TEXT, id TEXT, PRIMARY KEY (tenant_id, id));", KEEP, "takes NULL"),
        (
            "CREATE TABLE t (tenant_id TEXT NOT NULL PRIMARY KEY, mail TEXT UNIQUE) WITHOUT ROWID;",
            KEEP,
            "UNIQUE across tenants",
        ),
        (
            "CREATE TABLE t (tenant_id TEXT NOT NULL PRIMARY KEY, mail TEXT) WITHOUT ROWID; CREATE UNIQUE INDEX u ON t (lower(mail));",
            KEEP,
            "UNIQUE across tenants",
        ),
        (
            "CREATE TABLE t (tenant_id TEXT NOT NULL, a TEXT NOT NULL REFERENCES t (a), PRIMARY KEY (tenant_id, a)) WITHOUT ROWID;",
            KEEP,
            "refers to t without",
        ),
        ("CREATE VIRTUAL TABLE t USING fts5 (tenant_id, words);", "", "PRIMARY KEY"),
        (
            "CREATE TABLE t (tenant_id TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID; CREATE TABLE record_search_data (id INTEGER PRIMARY KEY);",
            KEEP,
            "record_search_data has a PRIMARY KEY",
        ),
        ("CREATE TABLE t (tenant_id TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;", "", "lets UPDATE change"),
        (
            "CREATE TABLE t (tenant_id TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;",
            "CREATE TRIGGER keep BEFORE UPDATE OF tenant_id ON t BEGIN SELECT RAISE(IGNORE); END;",
            "lets UPDATE change",
        ),
    ];
    for (table, trigger, fault) in tables {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(&format!("{table}{trigger}")).unwrap();
        let faults = faults(&db, &[]);
        if fault.is_empty() {
            assert_eq!(faults, [""; 0], "{table}");
        } else {
            assert!(faults.iter().any(|found| found.contains(fault)), "{table}: {faults:?}");
        }
    }
}

#[test]
fn a_table_by_number_that_mixes_tenants_is_found() {
    const KEEP: &str =
        "CREATE TRIGGER keep BEFORE UPDATE OF tenant_id ON t BEGIN SELECT RAISE(ABORT, 'tenant_id is immutable'); END;";
    let tables = [
        ("number INTEGER PRIMARY KEY, tenant_id TEXT NOT NULL, id TEXT NOT NULL, UNIQUE (tenant_id, id)", ""),
        ("number INTEGER PRIMARY KEY, tenant_id TEXT NOT NULL, id TEXT NOT NULL", "has no UNIQUE"),
        (
            "number INTEGER PRIMARY KEY, tenant_id TEXT NOT NULL, id TEXT NOT NULL, UNIQUE (id, tenant_id)",
            "has no UNIQUE",
        ),
        (
            "number INTEGER PRIMARY KEY, tenant_id TEXT NOT NULL, id TEXT UNIQUE, UNIQUE (tenant_id, id)",
            "UNIQUE across",
        ),
        ("number INTEGER PRIMARY KEY, tenant_id TEXT, id TEXT, UNIQUE (tenant_id, id)", "takes NULL"),
        ("number TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, UNIQUE (tenant_id, number)", "lie by their number"),
    ];
    for (columns, fault) in tables {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(&format!("CREATE TABLE t ({columns}); {KEEP}")).unwrap();
        let faults = faults(&db, &[("t", "")]);
        let found = faults.iter().any(|found| found.contains(fault));
        assert!(if fault.is_empty() { faults.is_empty() } else { found }, "{columns}: {faults:?}");
    }
}

#[test]
fn every_table_by_number_is_there() {
    let known = tables(&migrated("migrations/tenant"));
    let gone = BY_NUMBER.iter().map(|(table, _)| (*table).to_owned()).filter(|table| !known.contains(table));
    none("take these off the list", &gone.collect::<Vec<_>>());
}

/// A collection as every writer makes it: it names no creation id.
const COLLECTION: &str = "INSERT INTO collections (tenant_id, slug, name, schema, statuses, versioned, soft_delete, live, public_read, files, revision, created_at, updated_at) VALUES (?1, ?2, '', '{}', 'null', 0, 0, 0, 0, 0, 1, 1, 1)";

/// The creation ids of all collections.
fn creation_ids(db: &Connection) -> Vec<String> {
    let mut statement = db.prepare("SELECT creation_id FROM collections ORDER BY tenant_id, slug").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn no_collection_has_the_creation_id_of_another() {
    let db = migrated("migrations/tenant");
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        for (tenant, slug) in [("acme", "posts"), ("acme", "people"), ("other", "posts")] {
            db.execute(COLLECTION, (tenant, slug)).unwrap();
        }
        seen.extend(creation_ids(&db));
        db.execute("DELETE FROM collections", []).unwrap();
    }
    assert_eq!(seen.len(), 9, "{seen:?}");
    assert!(seen.iter().all(|id| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())), "{seen:?}");
}

#[test]
fn a_collection_keeps_its_creation_id() {
    let db = migrated("migrations/tenant");
    db.execute(COLLECTION, ("acme", "posts")).unwrap();
    let before = creation_ids(&db);
    for how in ["UPDATE", "UPDATE OR IGNORE", "UPDATE OR REPLACE", "UPDATE OR FAIL"] {
        for id in ["'x'", "''"] {
            let changed = db.execute(&format!("{how} collections SET creation_id = {id}"), []);
            assert!(changed.is_err_and(|error| error.to_string().contains("creation_id is immutable")), "{how} {id}");
        }
    }
    db.execute("UPDATE collections SET revision = 2, live = 1", []).unwrap();
    assert_eq!(creation_ids(&db), before);
    // Rows that are carried to another shard bring theirs along.
    db.execute_batch("CREATE TEMP TABLE carried AS SELECT * FROM collections; DELETE FROM collections;").unwrap();
    db.execute("INSERT INTO collections SELECT * FROM carried", []).unwrap();
    assert_eq!(creation_ids(&db), before);
}

#[test]
fn collections_that_were_there_before_have_creation_ids_of_their_own() {
    const CREATION_IDS: &str = "0005_creation_ids.sql";
    let db = Connection::open_in_memory().unwrap();
    migrate(&db, "migrations/tenant", |file| file < CREATION_IDS);
    for (tenant, slug) in [("acme", "posts"), ("acme", "people"), ("other", "posts")] {
        db.execute(COLLECTION, (tenant, slug)).unwrap();
    }
    migrate(&db, "migrations/tenant", |file| file >= CREATION_IDS);
    let ids = creation_ids(&db);
    assert!(ids.iter().all(|id| id.len() == 32), "{ids:?}");
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>().len(), 3);
}

#[test]
fn an_audit_is_neither_edited_nor_cut_but_goes_with_its_tenant() {
    let db = migrated("migrations/tenant");
    let text = |name: &str| of_tenants().into_iter().find(|statement| statement.name == name).unwrap().text;
    db.execute(text("SET_FENCE"), ("acme", "rw", 1, 1)).unwrap();
    db.execute(text("RECORD"), ("acme", "0001-a", 1, "key:k", "user.create", "u", "{}", "192.0.2.1", "r")).unwrap();
    let refused = |sql: &str| db.execute(sql, []).is_err_and(|error| error.to_string().contains("append-only"));
    for column in ["at = 2", "actor = 'x'", "operation = 'x'", "subject = NULL", "detail = NULL", "id = 'x'"] {
        assert!(refused(&format!("UPDATE audit_log SET {column}")), "{column}");
    }
    assert!(refused("DELETE FROM audit_log"));
    db.execute(text("SET_FENCE"), ("acme", "off", 1, 2)).unwrap();
    assert_eq!(db.execute(text("PURGE_AUDIT_LOG"), ["acme"]).unwrap(), 1);
}
