use carillon::storage::tenant_db::{PURGE_ROUND, PURGES};
use serde_json::json;

use crate::shard::Shard;

/// Takes a turn, in one transaction as D1 does; whether records are left.
fn turn(shard: &Shard) -> bool {
    let (last, before) = PURGE_ROUND.split_last().unwrap();
    shard.db.execute_batch("BEGIN").unwrap();
    for sql in before {
        shard.db.execute(sql.text(), ["acme"]).unwrap_or_else(|error| panic!("{}: {error}", sql.name()));
    }
    let left = shard.db.prepare(last.text()).unwrap().exists(["acme"]).unwrap();
    shard.db.execute_batch("COMMIT").unwrap();
    left
}

fn finish(shard: &Shard) {
    shard.db.execute_batch("BEGIN").unwrap();
    for sql in PURGES {
        shard.db.execute(sql.text(), ["acme"]).unwrap_or_else(|error| panic!("{}: {error}", sql.name()));
    }
    shard.db.execute_batch("COMMIT").unwrap();
}

fn count(shard: &Shard, what: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {what} WHERE tenant_id = 'acme'");
    shard.db.query_row(&sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_purge_takes_many_records_in_turns_and_announces_none() {
    let shard = Shard::new();
    // Each names the one before it and itself: no order of deleting them is right for every reference.
    let many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 6000)
        INSERT INTO records (tenant_id, collection, id, version, data, created_at, updated_at, created_by, updated_by, index_revision)
        SELECT 'acme', 'posts', 'n' || i, 1, json_object('title', 'red', 'near', json_array('n' || i, CASE i WHEN 1 THEN 'first' ELSE 'n' || (i - 1) END)), 1, 1, '', '', 1 FROM n";
    shard.db.execute_batch("BEGIN").unwrap();
    shard.db.execute(many, []).unwrap();
    shard.acme().soft_delete("posts", "n6000").unwrap();
    shard.db.execute_batch("COMMIT").unwrap();
    assert_eq!((count(&shard, "records"), count(&shard, "record_versions")), (6003, 6002));
    assert!(count(&shard, "record_references") > 10_000);
    let (outbox, found) = (count(&shard, "record_outbox"), shard.acme().found("posts", "red").len());
    assert_eq!((outbox, found), (6004, 5999));

    let mut turns = 1;
    while turn(&shard) {
        turns += 1;
        assert_eq!(count(&shard, "record_outbox"), outbox, "announced nothing");
        shard.keeps_the_other();
        assert!(turns < 60);
    }
    assert_eq!((turns, count(&shard, "record_outbox")), (36, outbox));
    finish(&shard);
    assert_eq!(shard.acme().everything(), [""; 0]);
    assert_eq!(shard.acme().found("posts", "red"), [""; 0]);
    assert_eq!(shard.other().found("posts", "first"), ["other first"]);
    shard.keeps_the_other();
}

#[test]
fn a_purge_may_be_repeated() {
    let shard = Shard::new();
    shard.acme().update("posts", "first", json!({"near": ["first"]})).unwrap();
    for _ in 0..2 {
        while turn(&shard) {}
        finish(&shard);
        assert_eq!(shard.acme().everything(), [""; 0]);
        shard.keeps_the_other();
    }
}
