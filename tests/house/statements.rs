use std::collections::BTreeMap;

use carillon::storage::sql::{ControlSql, TenantSql};
use carillon::{auth, storage, tenant};
use rusqlite::Connection;

use crate::none;
use crate::source::{SourceFile, Token, production_files, read, root};

/// A registered statement.
#[derive(Debug, Clone, Copy)]
pub struct Registered {
    pub file: &'static str,
    pub name: &'static str,
    pub text: &'static str,
}

const OF_TENANTS: &[(&str, &[TenantSql])] = &[
    ("src/auth/account.rs", auth::account::STATEMENTS),
    ("src/auth/api/keys.rs", auth::api::keys::STATEMENTS),
    ("src/auth/api/refresh.rs", auth::api::refresh::STATEMENTS),
    ("src/auth/api/sessions.rs", auth::api::sessions::STATEMENTS),
    ("src/auth/mailed.rs", auth::mailed::STATEMENTS),
    ("src/auth/prove_member.rs", auth::prove_member::STATEMENTS),
    ("src/auth/session.rs", auth::session::STATEMENTS),
    ("src/storage/audit_log.rs", storage::audit_log::STATEMENTS),
    ("src/storage/security_events.rs", storage::security_events::STATEMENTS),
    ("src/storage/tenant_db.rs", storage::tenant_db::STATEMENTS),
];

const OF_CONTROL: &[(&str, &[ControlSql])] = &[
    ("src/auth/prove_operator.rs", auth::prove_operator::STATEMENTS),
    ("src/auth/signing_keys.rs", auth::signing_keys::STATEMENTS),
    ("src/tenant/api.rs", tenant::api::STATEMENTS),
    ("src/tenant/change.rs", tenant::change::STATEMENTS),
    ("src/tenant/domains.rs", tenant::domains::STATEMENTS),
    ("src/tenant/endpoint.rs", tenant::endpoint::STATEMENTS),
    ("src/tenant/idempotency.rs", tenant::idempotency::STATEMENTS),
    ("src/tenant/list.rs", tenant::list::STATEMENTS),
    ("src/tenant/registry.rs", tenant::registry::STATEMENTS),
    ("src/tenant/resolve.rs", tenant::resolve::STATEMENTS),
    ("src/tenant/secrets.rs", tenant::secrets::STATEMENTS),
];

/// Every statement that runs on a shard.
pub fn of_tenants() -> Vec<Registered> {
    let each = |(file, statements): &(&'static str, &'static [TenantSql])| {
        let file = *file;
        statements.iter().map(move |sql| Registered { file, name: sql.name(), text: sql.text() })
    };
    OF_TENANTS.iter().flat_map(each).collect()
}

/// Every statement that runs on the control database.
pub fn of_control() -> Vec<Registered> {
    let each = |(file, statements): &(&'static str, &'static [ControlSql])| {
        let file = *file;
        statements.iter().map(move |sql| Registered { file, name: sql.name(), text: sql.text() })
    };
    OF_CONTROL.iter().flat_map(each).collect()
}

/// A database in memory with the migrations of a folder.
pub fn migrated(folder: &str) -> Connection {
    let mut paths: Vec<_> =
        std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let db = Connection::open_in_memory().unwrap();
    for path in paths {
        db.execute_batch(&read(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    db
}

/// The tables of a database.
pub fn tables(db: &Connection) -> Vec<String> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let mut statement = db.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// The names that the `statements!` blocks of a file declare; none if it has no block.
fn declared(file: &SourceFile) -> Option<Vec<&str>> {
    let mut names = Vec::new();
    let blocks = file.find(&["statements", "!", "{"]);
    for (start, _) in &blocks {
        let inside = file.tokens[*start..].iter().take_while(|(token, _)| !token.is("}")).collect::<Vec<_>>();
        for triple in inside.windows(3) {
            if let [(Token::Word(name), _), (Token::Mark('='), _), (Token::Text(_), _)] = triple {
                names.push(name.as_str());
            }
        }
    }
    (!blocks.is_empty()).then_some(names)
}

fn uncollected(files: &[SourceFile], collected: &[Registered]) -> Vec<String> {
    let mut by_file: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for statement in collected {
        by_file.entry(statement.file).or_default().push(statement.name);
    }
    let mut faults = Vec::new();
    for file in files {
        let names = declared(file).unwrap_or_default();
        let known = by_file.remove(file.path.as_str()).unwrap_or_default();
        if names != known {
            faults.push(format!("{} declares {names:?}, collected are {known:?}", file.path));
        }
    }
    faults.extend(by_file.keys().map(|file| format!("{file} is no file")));
    faults
}

#[test]
fn every_statement_of_the_source_is_collected() {
    let collected = [of_tenants(), of_control()].concat();
    assert!(collected.len() > 30, "{}", collected.len());
    none("add the module's STATEMENTS to tests/house/statements.rs", &uncollected(&production_files(), &collected));
}

#[test]
fn a_module_that_is_not_collected_is_found() {
    let text = "statements! { TenantSql;\n /// Doc.\n ONE = \"SELECT 1\";\n TWO = \"SELECT 2\"; }";
    let files = [SourceFile::of("src/rows/outbox.rs", text)];
    assert_eq!(uncollected(&files, &[]).len(), 1);
    let one = Registered { file: "src/rows/outbox.rs", name: "ONE", text: "" };
    assert_eq!(uncollected(&files, &[one]).len(), 1);
    assert_eq!(uncollected(&files, &[one, Registered { name: "TWO", ..one }]), [""; 0]);
}

#[test]
fn a_write_passes_only_while_the_fence_says_so() {
    let db = migrated("migrations/tenant");
    let text = |name: &str| of_tenants().into_iter().find(|statement| statement.name == name).unwrap().text;
    let write = |tenant: &str, epoch: i64| {
        let guard = db.execute(text("GUARD"), (tenant, epoch));
        guard.map(drop).map_err(|error| error.to_string())
    };
    let set = |mode: &str, epoch: i64, revision: i64| {
        db.execute(text("SET_FENCE"), ("acme", mode, epoch, revision)).unwrap();
    };
    let refused_by = |result: Result<(), String>, words: &str| result.is_err_and(|error| error.contains(words));
    // The words are those that StorageError reads.
    assert!(refused_by(write("acme", 1), "NOT NULL constraint failed: write_guard"), "an unknown tenant");
    set("rw", 1, 5);
    assert_eq!(write("acme", 1), Ok(()));
    assert!(refused_by(write("acme", 2), "CHECK constraint failed: ok"), "another epoch");
    assert!(refused_by(write("other", 1), "NOT NULL constraint failed: write_guard"), "another tenant");
    set("ro", 1, 6);
    assert!(refused_by(write("acme", 1), "CHECK constraint failed: ok"), "read only");
    set("rw", 1, 5);
    assert!(write("acme", 1).is_err(), "a lower revision changes nothing");
    set("rw", 1, 7);
    assert_eq!(write("acme", 1), Ok(()));
}
