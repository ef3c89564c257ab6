use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use rusqlite::Connection;
use sqlparser::ast::{ObjectName, TableFactor, Visit, Visitor};
use sqlparser::dialect::SQLiteDialect;
use sqlparser::parser::Parser;

use crate::none;
use crate::statements::{Registered, is_by_number, migrated, of_control, of_shards, of_tenants, tables};

/// Tables of the control database that stay a few rows long, however many tenants there are.
const SHORT: [&str; 5] = ["operators", "plans", "platform_keys", "shards", "signing_keys"];

/// Control statements that visit a table that grows: the statement, how its step begins, and why that is right.
const WALKS: &[(&str, &str, &str, &str)] = &[
    (
        "src/api/tenants/list.rs",
        "COUNT",
        "SCAN t",
        "counting with optional filters reads every tenant, and only where a count is asked for",
    ),
    (
        "src/api/operators/master_keys.rs",
        "DATA_KEYS",
        "SCAN tenants USING INDEX tenants_by_key_version",
        "counting by version reads every tenant's version, and only when an operator rotates the master key",
    ),
    (
        "src/api/operators/master_keys.rs",
        "KEPT_ANSWERS",
        "SCAN idempotency_keys",
        "holds what was answered in a day; read only when an operator rotates the master key",
    ),
    (
        "src/tenant/change.rs",
        "FORGET_RELEASED",
        "SCAN released_domains",
        "holds what was let go in ten minutes; cron empties it each minute",
    ),
];

/// What a plan's step does to which table.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    detail: String,
    /// The tables that the name in it may stand for.
    tables: BTreeSet<String>,
}

impl Step {
    fn scans(&self) -> bool {
        self.detail.starts_with("SCAN ")
    }
}

fn plan(db: &Connection, sql: &str) -> Vec<Step> {
    let names = names(sql);
    let known: BTreeSet<String> = tables(db).into_iter().collect();
    let mut statement =
        db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let mut rows = statement.raw_query();
    let mut details: Vec<String> = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        details.push(row.get(3).unwrap());
    }
    let step = |detail: String| {
        let name = detail.split(' ').nth(1).unwrap_or_default().to_lowercase();
        let mut tables = names.get(&name).cloned().unwrap_or_default();
        tables.extend(known.get(&name).cloned());
        Step { detail, tables }
    };
    details.into_iter().map(step).collect()
}

/// The steps of a statement's plan, in SQLite's words.
pub fn steps(db: &Connection, sql: &str) -> Vec<String> {
    plan(db, sql).into_iter().map(|step| step.detail).collect()
}

/// What each alias of a statement stands for.
fn names(sql: &str) -> BTreeMap<String, BTreeSet<String>> {
    struct Names(BTreeMap<String, BTreeSet<String>>);
    impl Visitor for Names {
        type Break = ();

        fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
            if let TableFactor::Table { name, alias, .. } = factor {
                let last =
                    |name: &ObjectName| name.0.last().map(ToString::to_string).unwrap_or_default().to_lowercase();
                let handle = alias.as_ref().map_or_else(|| last(name), |alias| alias.name.value.to_lowercase());
                self.0.entry(handle).or_default().insert(last(name));
            }
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(BTreeMap::new());
    let _ = Parser::parse_sql(&SQLiteDialect {}, sql).unwrap().visit(&mut names);
    names.0
}

/// The steps of a statement on a shard that do not search a table by its tenant, or a row by its number.
pub fn astray(db: &Connection, sql: &str) -> Vec<String> {
    let tables: BTreeSet<String> = tables(db).into_iter().collect();
    let touches = |step: &Step| !step.tables.is_disjoint(&tables);
    let by_tenant = |step: &Step| step.detail.starts_with("SEARCH ") && step.detail.contains("(tenant_id=?");
    let by_number = |step: &Step| {
        step.detail.ends_with(" USING INTEGER PRIMARY KEY (rowid=?)")
            && step.tables.iter().all(|table| is_by_number(table))
    };
    let (derived, steps): (Vec<Step>, Vec<Step>) = plan(db, sql)
        .into_iter()
        .partition(|step| ["CO-ROUTINE ", "MATERIALIZE "].iter().any(|how| step.detail.starts_with(how)));
    // A sub-select may be called like a table inside it: each accounts for one scan of what it gives.
    let mut scanned: Vec<String> =
        derived.iter().filter_map(|step| step.detail.split(' ').nth(1)).map(|name| format!("SCAN {name}")).collect();
    let mut is_derived = |step: &Step| {
        let place = scanned.iter().position(|scan| *scan == step.detail);
        place.map(|place| scanned.swap_remove(place)).is_some()
    };
    let wrong =
        steps.into_iter().filter(|step| !is_derived(step) && touches(step) && !by_tenant(step) && !by_number(step));
    wrong.map(|step| step.detail).collect()
}

fn faults_on_a_shard(db: &Connection, statement: &Registered) -> Vec<String> {
    let steps = astray(db, statement.text).into_iter();
    steps.map(|step| format!("{} {}: {step}", statement.file, statement.name)).collect()
}

/// Across tenants a table is reached by an index that holds what is looked for.
fn faults_across_tenants(db: &Connection, statement: &Registered) -> Vec<String> {
    // What a view visits are steps of their own.
    let tables: BTreeSet<String> = tables(db).into_iter().collect();
    let visits = |step: &Step| step.scans() && !step.tables.is_disjoint(&tables) && !step.detail.contains("INDEX");
    let wrong = plan(db, statement.text).into_iter().filter(visits);
    wrong.map(|step| format!("{} {}: {}", statement.file, statement.name, step.detail)).collect()
}

/// In the control database nothing that grows is visited, but for what `visits` accounts for.
fn faults_in_control(db: &Connection, statement: &Registered, visits: &[(&str, &str, &str, &str)]) -> Vec<String> {
    let growing: BTreeSet<String> = tables(db).into_iter().filter(|table| !SHORT.contains(&table.as_str())).collect();
    let accounted = |step: &Step| {
        visits.iter().any(|(file, name, detail, _)| {
            *file == statement.file && *name == statement.name && step.detail.starts_with(detail)
        })
    };
    let visits = plan(db, statement.text).into_iter().filter(|step| step.scans() && !step.tables.is_disjoint(&growing));
    let wrong = visits.filter(|step| !accounted(step));
    wrong.map(|step| format!("{} {}: {}", statement.file, statement.name, step.detail)).collect()
}

#[test]
fn every_statement_on_a_shard_searches_by_tenant() {
    let db = migrated("migrations/tenant");
    let faults: Vec<String> = of_tenants().iter().flat_map(|statement| faults_on_a_shard(&db, statement)).collect();
    none("SQLite does not search these by tenant_id", &faults);
}

#[test]
fn a_look_across_tenants_goes_by_an_index() {
    let db = migrated("migrations/tenant");
    let faults: Vec<String> = of_shards().iter().flat_map(|s| faults_across_tenants(&db, s)).collect();
    none("SQLite visits these tables", &faults);
    let waiting = of_shards().into_iter().find(|statement| statement.name == "WAITING").unwrap();
    // From tenant to tenant by the key, however many rows each has there.
    let leaps = |step: &Step| step.detail.contains("SEARCH o USING PRIMARY KEY (tenant_id>?)");
    assert!(plan(&db, waiting.text).iter().any(leaps), "{:?}", plan(&db, waiting.text));
}

#[test]
fn no_control_statement_walks_what_grows() {
    let db = migrated("migrations/control");
    let faults: Vec<String> = of_control().iter().flat_map(|s| faults_in_control(&db, s, WALKS)).collect();
    none("SQLite visits these tables", &faults);
}

#[test]
fn every_scan_that_is_accounted_for_happens() {
    let db = migrated("migrations/control");
    let all = of_control();
    let needless = WALKS.iter().filter(|(file, name, detail, _)| {
        let statement = all.iter().find(|statement| statement.file == *file && statement.name == *name);
        !statement.is_some_and(|s| plan(&db, s.text).iter().any(|step| step.detail.starts_with(detail)))
    });
    none("take these off the list", &needless.map(|(file, name, ..)| format!("{file} {name}")).collect::<Vec<_>>());
}

#[test]
fn a_scan_is_found() {
    let on = |text: &'static str| Registered { file: "src/x.rs", name: "X", text };
    let shard = migrated("migrations/tenant");
    let visits = [
        "SELECT * FROM security_events",
        "SELECT * FROM security_events e WHERE e.minute = ?2",
        "SELECT * FROM security_events WHERE +tenant_id = ?1",
        "SELECT * FROM security_events WHERE tenant_id > ?1",
        "DELETE FROM write_guard WHERE ok = ?2",
        "SELECT (SELECT count(*) FROM security_events) FROM tenant_fence WHERE tenant_id = ?1",
        "SELECT * FROM records WHERE number > ?2",
        "SELECT * FROM records WHERE collection = ?2",
    ];
    for text in visits {
        assert_eq!(faults_on_a_shard(&shard, &on(text)).len(), 1, "{text}");
    }
    let free = [
        "SELECT e.* FROM json_each(?2) j JOIN security_events e ON e.tenant_id = ?1 AND e.minute = j.value",
        "SELECT 1 UNION ALL SELECT revision FROM tenant_fence WHERE tenant_id = ?1",
        "SELECT * FROM (SELECT kind FROM security_events WHERE tenant_id = ?1 LIMIT 5) d ORDER BY kind",
        "SELECT r.* FROM (SELECT rowid FROM record_search WHERE record_search MATCH ?2) w CROSS JOIN records r WHERE r.tenant_id = ?1 AND r.number = w.rowid",
        "SELECT * FROM records r WHERE r.number IN (SELECT rowid FROM record_search WHERE record_search MATCH ?2)",
    ];
    for text in free {
        assert_eq!(faults_on_a_shard(&shard, &on(text)), [""; 0], "{text}");
    }
    let across = "SELECT tenant_id FROM record_outbox WHERE record_id = ?1 LIMIT 1";
    assert_eq!(faults_across_tenants(&shard, &on(across)).len(), 1);
    let by_index = "SELECT tenant_id FROM collection_state WHERE job IS NOT NULL ORDER BY job_at LIMIT 5";
    assert_eq!(faults_across_tenants(&shard, &on(by_index)), [""; 0]);
    let control = migrated("migrations/control");
    for text in ["SELECT * FROM tenants t WHERE t.display_name = ?1", "UPDATE tenant_domains SET is_primary = 0"] {
        assert_eq!(faults_in_control(&control, &on(text), &[]).len(), 1, "{text}");
    }
    for text in ["SELECT * FROM plans", "SELECT * FROM tenants WHERE id = ?1"] {
        assert_eq!(faults_in_control(&control, &on(text), &[]), [""; 0], "{text}");
    }
}
