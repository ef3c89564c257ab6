use rusqlite::Connection;
use serde_json::json;

use crate::shard::Tenant;
use crate::statements::{migrate, of_tenants};

const FOLDED: &str = "0012_rows_folded.sql";

/// What is the same before and after, but for what nothing counts any more.
fn told(tenant: &Tenant) -> Vec<String> {
    [
        "SELECT collection || '/' || record_id || ' v' || version || operation || COALESCE(status, '-') || data || at || by FROM record_versions WHERE tenant_id = ?1 ORDER BY 1",
        "SELECT collection || ' ' || status || ' ' || records FROM record_counts WHERE tenant_id = ?1 AND records > 0 ORDER BY 1",
        "SELECT seq || ' ' || action || ' ' || record_id FROM record_outbox WHERE tenant_id = ?1 ORDER BY seq",
        "SELECT record_id || field || quote(value) || is_unique FROM record_index WHERE tenant_id = ?1 ORDER BY 1",
    ]
    .iter()
    .flat_map(|sql| tenant.list(sql))
    .collect()
}

fn last(tenant: &Tenant) -> i64 {
    tenant.list("SELECT last || '' FROM record_sequence WHERE tenant_id = ?1")[0].parse().unwrap()
}

#[test]
fn a_shard_of_before_says_the_same_and_goes_on() {
    let db = Connection::open_in_memory().unwrap();
    db.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    migrate(&db, "migrations/tenant", |file| file < FOLDED);
    db.execute("INSERT INTO tenant_fence VALUES ('acme', 'rw', 1, 1), ('other', 'rw', 1, 1)", []).unwrap();
    db.execute_batch("CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab(main, record_search, instance)").unwrap();
    let (acme, other) = (Tenant { db: &db, id: "acme" }, Tenant { db: &db, id: "other" });
    for tenant in [&acme, &other] {
        tenant.collection("posts", "live, versioned");
        tenant.collection("notes", "");
        tenant.field("posts", "title", "is_indexed, is_unique, is_searched", None);
        for id in ["a", "b", "c", "d"] {
            tenant.insert("posts", id, json!({"title": format!("the {id}")})).unwrap();
        }
        tenant.update("posts", "a", json!({"title": "another"})).unwrap();
        tenant.set_status("posts", "b", Some("out")).unwrap();
        tenant.soft_delete("posts", "c").unwrap();
        tenant.soft_delete("posts", "d").unwrap();
        tenant.restore("posts", "d").unwrap();
        tenant.insert("notes", "n", json!({})).unwrap();
    }
    let (before, number) = (told(&acme), last(&acme));
    migrate(&db, "migrations/tenant", |file| file >= FOLDED);
    assert_eq!(told(&acme), before);
    assert!(last(&acme) >= number);

    let versions = |id: &str| {
        acme.list(&format!("SELECT version || operation FROM record_versions WHERE tenant_id = ?1 AND record_id = '{id}' ORDER BY version"))
    };
    acme.update("posts", "d", json!({"title": "once more"})).unwrap();
    acme.update("posts", "d", json!({"title": "and again"})).unwrap();
    assert_eq!(versions("d"), ["1create", "2delete", "3restore", "4update", "5update"]);
    acme.restore("posts", "c").unwrap();
    assert_eq!(versions("c"), ["1create", "2delete", "3restore"]);
    assert!(acme.update("posts", "a", json!({"title": "and again"})).is_err(), "is taken");
    acme.delete("posts", "b").unwrap();
    let told_now =
        acme.list("SELECT min(seq) || '' FROM record_outbox WHERE tenant_id = ?1 AND record_id = 'd' AND version = 4");
    assert!(told_now[0].parse::<i64>().unwrap() > number);
    assert_eq!(
        acme.list("SELECT collection || status || records FROM record_counts WHERE tenant_id = ?1 ORDER BY 1"),
        ["notes1", "posts3"]
    );

    // Its bytes are not known, bound nothing, and are counted.
    let bytes = || {
        acme.list(
            "SELECT COALESCE(bytes, 'unknown') || '' FROM collection_state WHERE tenant_id = ?1 ORDER BY collection",
        )
    };
    assert_eq!(bytes(), ["unknown", "unknown"]);
    let text = |name: &str| of_tenants().into_iter().find(|statement| statement.name == name).unwrap().text;
    for collection in ["notes", "posts"] {
        assert!(db.prepare(text("COUNT_SOME")).unwrap().exists(("acme", collection, 50)).unwrap());
        assert!(db.prepare(text("SETTLE")).unwrap().exists(("acme", collection, 9)).unwrap());
    }
    assert!(bytes().iter().all(|bytes| bytes.parse::<i64>().unwrap() > 500));
    assert_eq!(other.list("SELECT recount_to || '' FROM collection_state WHERE tenant_id = ?1"), ["", ""]);
}

#[test]
fn states_of_when_a_collection_was_versioned_are_kept() {
    let db = Connection::open_in_memory().unwrap();
    migrate(&db, "migrations/tenant", |_| true);
    let acme = Tenant { db: &db, id: "acme" };
    let versions =
        || acme.list("SELECT version || operation || data FROM record_versions WHERE tenant_id = ?1 ORDER BY version");
    let versioned = |on: i64, at: i64| {
        let sql = "UPDATE collections SET versioned = ?1, updated_at = ?2 WHERE tenant_id = 'acme'";
        db.execute(sql, (on, at)).unwrap();
    };
    acme.collection("posts", "versioned");
    acme.insert("posts", "p", json!({"n": 1})).unwrap();
    acme.update("posts", "p", json!({"n": 2})).unwrap();
    let both = ["1create{\"n\":1}", "2update{\"n\":2}"];
    assert_eq!(versions(), both);
    versioned(0, 3);
    assert_eq!(versions(), both, "they stay");
    db.execute("UPDATE records SET data = '{\"n\":3}', version = 3, updated_at = 5", []).unwrap();
    assert_eq!(versions(), both, "what it was stays, what it became is none");
    db.execute("UPDATE records SET data = '{\"n\":4}', version = 4, updated_at = 6", []).unwrap();
    assert_eq!(versions(), both);
    db.execute("UPDATE records SET version = 300, updated_at = 6", []).unwrap();
    assert_eq!(versions(), both, "however often it changes");
    db.execute("UPDATE records SET version = 4", []).unwrap();
    versioned(1, 7);
    assert_eq!(versions()[2..], ["4update{\"n\":4}"], "what it is now, is one");
}
