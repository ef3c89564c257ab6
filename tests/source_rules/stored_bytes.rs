use proptest::prelude::*;
use rusqlite::ToSql;
use serde_json::json;

use crate::derived_anew::{Write, write};
use crate::files::run;
use crate::shard::{Shard, Tenant};

fn storage(shard: &Shard, name: &str, args: &[&dyn ToSql]) -> Result<usize, String> {
    run(shard, "src/records/storage.rs", name, args)
}

/// A step of the recount of `posts`.
fn count_some(shard: &Shard, records: i64) {
    storage(shard, "COUNT_SOME", &[&"posts", &records]).unwrap();
    storage(shard, "SETTLE", &[&"posts", &7]).unwrap();
}

/// What recounts found wrong.
fn differences(tenant: &Tenant) -> Vec<String> {
    tenant.list("SELECT collection || ' ' || recount_difference FROM collection_state WHERE tenant_id = ?1 AND recount_difference <> 0")
}

fn is_running(tenant: &Tenant) -> bool {
    !tenant.list("SELECT collection FROM collection_state WHERE tenant_id = ?1 AND recount_to IS NOT NULL").is_empty()
}

#[derive(Debug, Clone)]
enum Turn {
    Write(Write),
    Begin,
    Count(i64),
    Version(bool),
    /// The hub was told so many announcements.
    Tell(usize),
    /// A field is declared otherwise, and its records are not indexed anew yet.
    Declare(bool),
    /// References go before what they belong to, as a batch that deletes lets go of them.
    Unlink,
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        12 => write().prop_map(Turn::Write),
        1 => Just(Turn::Begin),
        3 => (1i64..3).prop_map(Turn::Count),
        1 => any::<bool>().prop_map(Turn::Version),
        1 => (1usize..4).prop_map(Turn::Tell),
        1 => any::<bool>().prop_map(Turn::Declare),
        1 => Just(Turn::Unlink),
    ]
}

fn take(shard: &Shard, turn: &Turn) {
    let tenant = shard.acme();
    match turn {
        Turn::Write(write) => drop(write.apply(&tenant)),
        Turn::Begin => drop(storage(shard, "BEGIN_RECOUNT", &[])),
        Turn::Count(records) => count_some(shard, *records),
        Turn::Version(on) => {
            let sql = "UPDATE collections SET versioned = ?2, updated_at = 4 WHERE tenant_id = ?1 AND slug = 'posts'";
            tenant.db.execute(sql, (tenant.id, on)).unwrap();
        }
        Turn::Declare(on) => tenant.field("posts", "score", if *on { "is_indexed" } else { "" }, None),
        Turn::Unlink => {
            tenant.db.execute("DELETE FROM record_references WHERE tenant_id = ?1", [tenant.id]).unwrap();
        }
        Turn::Tell(rows) => {
            let told = tenant.list("SELECT seq || '' FROM record_outbox WHERE tenant_id = ?1 ORDER BY seq");
            if let Some(seq) = told.get(rows - 1).map(|seq| seq.parse::<i64>().unwrap()) {
                run(shard, "src/storage/outbox.rs", "FORGET", &[&seq]).unwrap();
            }
        }
    }
}

fn outbox(tenant: &Tenant) -> Vec<String> {
    tenant.list("SELECT outbox || '' FROM tenant_storage WHERE tenant_id = ?1")
}

fn outbox_anew(tenant: &Tenant) -> Vec<String> {
    tenant.list(
        "SELECT COALESCE(sum(200 + octet_length(data) + COALESCE(octet_length(before), 0)), 0) || '' FROM record_outbox WHERE tenant_id = ?1 AND ?1 <> ''",
    )
}

fn shard() -> Shard {
    let shard = Shard::new();
    shard.db.execute("INSERT INTO tenant_fence VALUES ('acme', 'rw', 1, 1)", []).unwrap();
    shard
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    /// The counter and a recount say the same at every moment, also a recount that was begun among these writes.
    #[test]
    fn bytes_are_counted_right_whatever_is_written(turns in prop::collection::vec(turn(), 1..40)) {
        let shard = shard();
        let acme = shard.acme();
        for turn in &turns {
            take(&shard, turn);
            prop_assert_eq!(outbox(&acme), outbox_anew(&acme));
            shard.db.execute_batch("SAVEPOINT look").unwrap();
            // The one under way, and one from the beginning.
            for _ in 0..2 {
                storage(&shard, "BEGIN_RECOUNT", &[]).unwrap();
                for collection in ["a", "people", "posts"] {
                    storage(&shard, "COUNT_SOME", &[&collection, &50]).unwrap();
                    prop_assert_eq!(storage(&shard, "SETTLE", &[&collection, &9]), Ok(1));
                }
                prop_assert!(!is_running(&acme));
                prop_assert_eq!(differences(&acme), [""; 0]);
            }
            shard.db.execute_batch("ROLLBACK TO look; RELEASE look").unwrap();
        }
        shard.keeps_the_other();
    }
}

#[test]
fn bytes_are_those_that_the_documentation_names() {
    let shard = shard();
    let acme = shard.acme();
    let bytes = || acme.list("SELECT bytes || '' FROM collection_state WHERE tenant_id = ?1 AND collection = 'notes'");
    acme.collection("notes", "versioned");
    acme.field("notes", "title", "is_indexed, is_unique", None);
    acme.field("notes", "about", "is_indexed", Some("people"));
    acme.insert("notes", "n", json!({"title": "four", "about": "ada"})).unwrap();
    let first = r#"{"title":"four","about":"ada"}"#.len();
    // The record, and two values.
    assert_eq!(bytes(), [(500 + first + 200 + 4 + 200 + 3).to_string()]);
    acme.update("notes", "n", json!({"title": "1"})).unwrap();
    let second = r#"{"title":"1"}"#.len();
    // A field without a value is in the index too; and the first version is kept.
    assert_eq!(bytes(), [(500 + second + 200 + 1 + 200 + 100 + first).to_string()]);
    acme.soft_delete("notes", "n").unwrap();
    assert_eq!(bytes(), [(500 + second + 100 + first + 100 + second).to_string()]);
    acme.delete("notes", "n").unwrap();
    assert_eq!(bytes(), ["0"]);
}

#[test]
fn a_counter_that_is_wrong_is_mended() {
    let shard = shard();
    let acme = shard.acme();
    let bytes = || {
        acme.list(
            "SELECT COALESCE(bytes, -1) || '' FROM collection_state WHERE tenant_id = ?1 AND collection = 'posts'",
        )
    };
    let right = bytes();
    for (wrong, difference) in [("bytes + 11", vec!["posts 11".to_owned()]), ("NULL", Vec::new())] {
        shard.db.execute(&format!("UPDATE collection_state SET bytes = {wrong} WHERE tenant_id = 'acme'"), []).unwrap();
        storage(&shard, "BEGIN_RECOUNT", &[]).unwrap();
        count_some(&shard, 50);
        assert_eq!((bytes(), differences(&acme)), (right.clone(), difference), "{wrong}");
    }
}

#[test]
fn no_more_is_stored_than_the_plan_says() {
    let shard = shard();
    let acme = shard.acme();
    let used = acme.list("SELECT (records + files + outbox) || '' FROM tenant_storage WHERE tenant_id = ?1");
    let used: i64 = used[0].parse().unwrap();
    assert_eq!(storage(&shard, "STORAGE_LEFT", &[&used]), Ok(0));
    let full = "CHECK constraint failed: storage_limit_reached".to_owned();
    assert_eq!(storage(&shard, "STORAGE_LEFT", &[&(used - 1)]), Err(full));
}
