use std::collections::BTreeMap;

use crate::none;
use crate::source::{SourceFile, files, production_files, read};

/// Who may say that a tenant is proven: the file, how often, and how it knows.
const PROVERS: &[(&str, usize, &str)] = &[
    ("src/hub/object.rs", 1, "the hub is named by its tenant, and serves no message for another"),
    ("src/storage/shard_db.rs", 1, "it has a row on the shard, and only a proven tenant's are written there"),
    ("src/tenant/registry.rs", 1, "the row was read from the registry"),
    (
        "src/tenant/resolve.rs",
        3,
        "the registry named the host's tenant or has the id; or KV did, and the hub refuses a host that is not its own",
    ),
    ("src/tenant/secrets.rs", 1, "the registry has secrets of it"),
];

fn unknown_provers(files: &[SourceFile], provers: &[(&str, usize, &str)]) -> Vec<String> {
    let mut calls = BTreeMap::new();
    for file in files {
        let found = file.find(&["TenantId", ":", ":", "proven"]).len();
        if found > 0 {
            calls.insert(file.path.as_str(), found);
        }
    }
    let mut faults = Vec::new();
    for (file, found) in &calls {
        let known = provers.iter().find(|(path, ..)| path == file).map_or(0, |(_, known, _)| *known);
        if known != *found {
            faults.push(format!("{file} says TenantId::proven {found} times, {known} are accounted for"));
        }
    }
    for (file, ..) in provers.iter().filter(|(file, ..)| !calls.contains_key(file)) {
        faults.push(format!("{file} no longer proves a tenant: take it off the list"));
    }
    faults
}

/// What touches D1, KV or R2.
const DATABASES: &[&[&str]] = &[
    &["worker", ":", ":", "d1"],
    &["worker", ":", ":", "kv"],
    &["D1Database"],
    &["D1PreparedStatement"],
    &["KvStore"],
    &[".", "d1", "("],
    &[".", "kv", "("],
    &[".", "bucket", "("],
    &[".", "media", "("],
    &[".", "prepare", "("],
];

fn databases_outside_storage(files: &[SourceFile]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| !file.path.starts_with("src/storage/")) {
        for wanted in DATABASES {
            let found = file.find(wanted).into_iter();
            faults.extend(found.map(|(_, line)| format!("{}:{line} {}", file.path, wanted.concat())));
        }
    }
    faults
}

/// Who may open a database, and hand text to it: the file, how often, and why its text is a constant.
const OPENERS: &[(&str, usize, &str)] = &[
    ("src/storage/bindings.rs", 1, "finds the binding; takes no text"),
    ("src/storage/control_db.rs", 1, "takes only the text of a registered statement"),
    ("src/storage/probe.rs", 1, "asks whether a table is there; gives no row away"),
    ("src/storage/shard_db.rs", 1, "takes only the text of a registered statement"),
    ("src/storage/tenant_db.rs", 1, "takes only the text of a registered statement"),
];

/// Statements reach a database through few doors, and are made by `statements!` alone.
fn unregistered_sql(files: &[SourceFile]) -> Vec<String> {
    let mut faults = Vec::new();
    for file in files {
        let found = file.find(&[".", "d1", "("]).len();
        let known = OPENERS.iter().find(|(path, ..)| *path == file.path).map_or(0, |(_, known, _)| *known);
        if found != known {
            faults.push(format!("{} opens {found} databases, {known} are accounted for", file.path));
        }
        if file.path.starts_with("src/storage/") {
            for act in ["exec", "prepare"] {
                let found = file.find(&[".", act, "("]).into_iter();
                faults.extend(found.map(|(_, line)| format!("{}:{line} {act}s SQL past d1.js", file.path)));
            }
        }
        for kind in ["TenantSql", "ShardSql", "ControlSql"] {
            let found = file.find(&[kind, ":", ":", "new"]).into_iter();
            faults.extend(found.map(|(_, line)| format!("{}:{line} makes a {kind} without statements!", file.path)));
        }
    }
    faults
}

/// The clippy lints that Cargo.toml denies.
fn denied() -> Vec<String> {
    let manifest = read("Cargo.toml");
    let (_, section) = manifest.split_once("[lints.clippy]").expect("Cargo.toml has [lints.clippy]");
    let section = section.split("\n[").next().unwrap_or_default();
    let lints = section.lines().filter_map(|line| line.split_once('=')).filter(|(_, level)| level.contains("deny"));
    lints.map(|(name, _)| name.trim().to_owned()).collect()
}

/// Attributes that lift a denied lint, or a group that holds one.
fn lifted_lints(files: &[SourceFile], denied: &[String]) -> Vec<String> {
    const GROUPS: [&str; 3] = ["all", "restriction", "pedantic"];
    let mut faults = Vec::new();
    for file in files {
        for level in ["allow", "expect", "warn"] {
            for (at, line) in file.find(&[level, "("]) {
                let inside = file.tokens[at + 2..].iter().take_while(|(token, _)| !token.is(")"));
                let words: Vec<&str> = inside.filter_map(|(token, _)| token.word()).collect();
                let lifts = |lint: &str| denied.iter().any(|d| d == lint) || GROUPS.contains(&lint);
                for pair in words.windows(2).filter(|pair| pair[0] == "clippy" && lifts(pair[1])) {
                    faults.push(format!("{}:{line} {level}s clippy::{}", file.path, pair[1]));
                }
                if words.first() == Some(&"warnings") {
                    faults.push(format!("{}:{line} {level}s warnings", file.path));
                }
            }
        }
    }
    faults
}

#[test]
fn few_files_say_that_a_tenant_is_proven() {
    none("TenantId::proven", &unknown_provers(&production_files(), PROVERS));
}

#[test]
fn only_storage_touches_databases() {
    none("D1, KV and R2 are for src/storage", &databases_outside_storage(&production_files()));
}

#[test]
fn sql_reaches_a_database_through_registered_statements_only() {
    none("every statement is registered", &unregistered_sql(&production_files()));
}

#[test]
fn no_denied_lint_is_lifted() {
    let denied = denied();
    assert!(denied.iter().any(|lint| lint == "unwrap_used"), "{denied:?}");
    none("what Cargo.toml denies stays denied", &lifted_lints(&files(), &denied));
}

#[test]
fn a_forbidden_act_is_found() {
    let file = |text: &str| [SourceFile::of("src/live/x.rs", text)];
    for text in ["TenantId::proven(id)", "ids.map(TenantId::proven)", "crate::domain::ids::TenantId::proven(id)"] {
        assert_eq!(unknown_provers(&file(text), &[]).len(), 1, "{text}");
    }
    assert_eq!(
        unknown_provers(&file("TenantId::proven(a); TenantId::proven(b)"), &[("src/live/x.rs", 1, "")]).len(),
        1
    );
    assert_eq!(unknown_provers(&file(""), &[("src/live/x.rs", 1, "")]).len(), 1);
    for text in ["use worker::d1::D1Type;", "bindings.d1(name)", "env.kv(\"KV\")", "fn f(db: &worker::D1Database) {}"] {
        assert_eq!(databases_outside_storage(&file(text)).len(), 1, "{text}");
    }
    for text in ["bindings.d1(name)", "TenantSql::new(name, text)", "crate::storage::sql::ControlSql::new(name, text)"]
    {
        assert_eq!(unregistered_sql(&file(text)).len(), 1, "{text}");
    }
    let denied = ["unwrap_used".to_owned()];
    for text in ["#[allow(clippy::unwrap_used)]", "#![expect(dead_code, clippy::unwrap_used)]", "#[allow(clippy::all)]"]
    {
        assert_eq!(lifted_lints(&file(text), &denied).len(), 1, "{text}");
    }
    assert_eq!(lifted_lints(&file("#[allow(clippy::too_many_arguments)]"), &denied), [""; 0]);
}
