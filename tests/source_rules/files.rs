use carillon::storage::tenant_db::{PURGE_ROUND, PURGES};
use rusqlite::ToSql;
use serde_json::json;

use crate::shard::Shard;
use crate::statements::of_tenants;

/// A registered statement of a file, run for the tenant acme; the number of rows that it returned.
pub fn run(shard: &Shard, file: &str, name: &str, args: &[&dyn ToSql]) -> Result<usize, String> {
    let known = of_tenants().into_iter().find(|statement| statement.file == file && statement.name == name);
    let bound: Vec<&dyn ToSql> = std::iter::once(&"acme" as _).chain(args.iter().copied()).collect();
    let mut statement = shard.db.prepare(known.unwrap().text).unwrap();
    let mut rows = statement.query(bound.as_slice()).map_err(|error| error.to_string())?;
    let mut count = 0;
    loop {
        match rows.next() {
            Ok(Some(_)) => count += 1,
            Ok(None) => return Ok(count),
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn upload(shard: &Shard, name: &str, args: &[&dyn ToSql]) -> Result<usize, String> {
    run(shard, "src/records/upload.rs", name, args)
}

fn put(shard: &Shard, record: &str, object: &str, size: i64) {
    upload(shard, "NOTE", &[&object, &9_000_000_000_000_i64]).unwrap();
    upload(shard, "PUT", &[&"people", &record, &object, &"a.png", &"image/png", &size, &"etag", &1, &"key:k"]).unwrap();
}

fn loose(shard: &Shard) -> Vec<String> {
    shard.acme().list("SELECT object FROM unreferenced_objects WHERE tenant_id = ?1 ORDER BY object")
}

fn used(shard: &Shard) -> Vec<String> {
    shard.acme().list("SELECT CAST(bytes AS TEXT) FROM storage_used WHERE tenant_id = ?1")
}

fn shard() -> Shard {
    let shard = Shard::new();
    shard.db.execute("UPDATE collections SET files = 1 WHERE tenant_id = 'acme' AND slug = 'people'", []).unwrap();
    shard
}

#[test]
fn an_object_is_a_files_or_unreferenced_and_all_files_are_counted() {
    let shard = shard();
    upload(&shard, "NOTE", &[&"under way", &1]).unwrap();
    put(&shard, "ada", "1", 10);
    put(&shard, "bob", "2", 5);
    assert_eq!((loose(&shard), used(&shard)), (vec!["under way".to_owned()], vec!["15".to_owned()]));
    put(&shard, "ada", "3", 7);
    assert_eq!((loose(&shard), used(&shard)), (vec!["1".to_owned(), "under way".into()], vec!["12".to_owned()]));
    // A deleted record that is kept keeps its file; one that is gone lets it go.
    shard.acme().soft_delete("people", "ada").unwrap();
    assert_eq!(used(&shard), ["12"]);
    shard.acme().delete("people", "ada").unwrap();
    assert_eq!(
        (loose(&shard), used(&shard)),
        (vec!["1".to_owned(), "3".into(), "under way".into()], vec!["5".to_owned()])
    );
    assert_eq!(run(&shard, "src/records/file.rs", "DELETE_SEEN", &[&"people", &"bob", &"1"]), Ok(0));
    assert_eq!(run(&shard, "src/records/file.rs", "DELETE", &[&"people", &"bob"]), Ok(1));
    assert_eq!(run(&shard, "src/records/file.rs", "DELETE", &[&"people", &"bob"]), Ok(0));
    assert_eq!((loose(&shard).len(), used(&shard)), (4, vec!["0".to_owned()]));
    shard.keeps_the_other();
}

#[test]
fn what_is_claimed_by_a_sweep_is_no_file_any_more() {
    let shard = shard();
    let ada = shard.acme().identity("people", "ada");
    let takes = |object: &str| upload(&shard, "TAKES_FILE", &[&"people", &"ada", &object, &ada]);
    let refused = Err("CHECK constraint failed: file_not_taken".to_owned());
    assert_eq!(takes("1"), refused, "it was never noted");
    upload(&shard, "NOTE", &[&"1", &50]).unwrap();
    upload(&shard, "NOTE", &[&"2", &60]).unwrap();
    assert_eq!(takes("1"), Ok(0));
    let claim = |now: i64| run(&shard, "src/records/sweep.rs", "CLAIM", &[&now, &10]);
    assert_eq!((claim(49), claim(50), claim(50)), (Ok(0), Ok(1), Ok(1)), "a sweep that stopped goes on");
    assert_eq!((takes("1"), takes("2")), (refused.clone(), Ok(0)));
    run(&shard, "src/records/sweep.rs", "FORGET", &[&json!(["1", "3"]).to_string()]).unwrap();
    assert_eq!(loose(&shard), ["2"]);
    for change in ["deleted_at = 1", "deleted_at = NULL, version = 9"] {
        let sql =
            format!("UPDATE records SET {change} WHERE tenant_id = 'acme' AND collection = 'people' AND id = 'bob'");
        shard.db.execute("DELETE FROM records WHERE tenant_id = 'acme' AND collection = 'posts'", []).unwrap();
        shard.db.execute(&sql, []).unwrap();
        let bob = shard.acme().identity("people", "bob");
        let taken = upload(&shard, "TAKES_FILE", &[&"people", &"bob", &"2", &bob]);
        assert_eq!(taken.is_ok(), !change.contains("= 1"), "{change}");
    }
    shard.db.execute("UPDATE collections SET files = 0 WHERE tenant_id = 'acme'", []).unwrap();
    assert_eq!(takes("2"), refused);
}

#[test]
fn a_file_goes_to_no_other_collection_and_to_no_other_record_than_it_was_sent_to() {
    let shard = shard();
    upload(&shard, "NOTE", &[&"1", &50]).unwrap();
    let takes = |id: &str| upload(&shard, "TAKES_FILE", &[&"people", &"ada", &"1", &id]);
    let refused = Err("CHECK constraint failed: file_not_taken".to_owned());
    let first = shard.acme().identity("people", "ada");
    assert_eq!((takes(&first), takes(&shard.other().identity("people", "ada"))), (Ok(0), refused.clone()));
    shard.db.execute("DELETE FROM record_references WHERE tenant_id = 'acme'", []).unwrap();
    shard.acme().delete("people", "ada").unwrap();
    shard.acme().insert("people", "ada", json!({})).unwrap();
    let seen = shard.acme().identity("people", "ada");
    assert_eq!((takes(&first), takes(&seen)), (refused.clone(), Ok(0)));
    shard.acme().make_again("people", "");
    shard.db.execute("UPDATE collections SET files = 1 WHERE tenant_id = 'acme'", []).unwrap();
    shard.acme().insert("people", "ada", json!({})).unwrap();
    assert_eq!((takes(&seen), takes(&shard.acme().identity("people", "ada"))), (refused, Ok(0)));
}

#[test]
fn rules_of_files_fail_by_their_names() {
    let shard = shard();
    put(&shard, "ada", "1", 10);
    let seen = |record: &str, object: &str| upload(&shard, "FILE_AS_SEEN", &[&"people", &record, &object]);
    let changed = Err("CHECK constraint failed: file_changed".to_owned());
    assert_eq!((seen("ada", "1"), seen("ada", "2"), seen("ada", "")), (Ok(0), changed.clone(), changed.clone()));
    assert_eq!((seen("bob", ""), seen("bob", "1")), (Ok(0), changed));
}

#[test]
fn a_file_has_a_later_second_than_those_that_its_record_had_before() {
    let shard = shard();
    let put = |record: &str, object: &str, at: i64| {
        upload(&shard, "NOTE", &[&object, &9_000_000_000_000_i64]).unwrap();
        let args: [&dyn ToSql; 9] = [&"people", &record, &object, &"a.png", &"image/png", &1, &"etag", &at, &"key:k"];
        assert_eq!(upload(&shard, "PUT", &args), Ok(1), "it returns its time");
        let text = "SELECT CAST(created_at AS TEXT) FROM record_files WHERE tenant_id = ?1 AND object = ";
        shard.acme().list(&format!("{text}'{object}'")).concat()
    };
    assert_eq!(put("ada", "1", 5_300), "5300");
    assert_eq!([put("ada", "2", 5_400), put("ada", "3", 5_999), put("ada", "4", 9_100)], ["6000", "7000", "9100"]);
    assert_eq!(put("bob", "5", 9_200), "9200", "another record");
    // Deleted by itself, or with its record.
    run(&shard, "src/records/file.rs", "DELETE", &[&"people", &"ada"]).unwrap();
    assert_eq!(put("ada", "6", 9_300), "10000");
    shard.acme().delete("people", "ada").unwrap();
    shard.acme().insert("people", "ada", json!({})).unwrap();
    assert_eq!([put("ada", "7", 9_900), put("ada", "8", 12_500)], ["11000", "12500"]);
    shard.keeps_the_other();
}

#[test]
fn a_purge_takes_files_along() {
    let shard = shard();
    put(&shard, "ada", "1", 10);
    put(&shard, "ada", "2", 10);
    for sql in PURGE_ROUND.iter().chain(PURGES).filter(|sql| !sql.text().starts_with("SELECT")) {
        shard.db.execute(sql.text(), ["acme"]).unwrap();
    }
    assert_eq!(shard.acme().everything(), [""; 0]);
    shard.keeps_the_other();
}
