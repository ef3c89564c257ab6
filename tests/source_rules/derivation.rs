use serde_json::{Value, json};

use crate::files::run;
use crate::shard::{Done, Shard, Tenant};

/// A field's values in the index.
fn index(tenant: &Tenant, id: &str) -> Vec<String> {
    tenant.list(&format!(
        "SELECT field || ' ' || quote(value) FROM record_index WHERE tenant_id = ?1 AND record_id = '{id}' ORDER BY field, position"
    ))
}

fn counts(tenant: &Tenant, collection: &str) -> Vec<String> {
    tenant.list(&format!(
        "SELECT status || ' ' || records FROM record_counts WHERE tenant_id = ?1 AND collection = '{collection}' AND records <> 0 ORDER BY status"
    ))
}

fn versions(tenant: &Tenant, id: &str) -> Vec<String> {
    tenant.list(&format!(
        "SELECT version || ' ' || operation FROM record_versions WHERE tenant_id = ?1 AND record_id = '{id}' ORDER BY version"
    ))
}

/// What is announced behind a number.
fn outbox(tenant: &Tenant, after: i64) -> Vec<String> {
    tenant.list(&format!(
        "SELECT seq || ' ' || action || ' ' || collection || '/' || record_id || ' v' || version || CASE private WHEN 1 THEN ' private' ELSE '' END FROM record_outbox WHERE tenant_id = ?1 AND seq > {after} ORDER BY seq"
    ))
}

fn is_refused(done: Done, why: &str) -> bool {
    done.is_err_and(|error| error.contains(why))
}

const FOREIGN_KEY: &str = "FOREIGN KEY constraint failed";
const UNIQUE: &str = "UNIQUE constraint failed: record_index.value";

#[test]
fn the_index_holds_a_row_for_each_value() {
    let shard = Shard::new();
    let acme = shard.acme();
    let data = json!({"title": "It's", "tags": ["b", "a", "b"], "score": 3, "done": true, "beside": 1});
    acme.insert("posts", "p", data).unwrap();
    let rows = ["author NULL", "done 1", "near NULL", "score 3", "tags 'b'", "tags 'a'", "tags 'b'", "title 'It''s'"];
    assert_eq!(index(&acme, "p"), rows);
    acme.update("posts", "p", json!({"title": null, "tags": [], "score": 2.5, "done": false, "author": "ada"}))
        .unwrap();
    let rows = ["author 'ada'", "done 0", "near NULL", "score 2.5", "tags NULL", "title NULL"];
    assert_eq!(index(&acme, "p"), rows);
    acme.set_status("posts", "p", Some("done")).unwrap();
    assert_eq!(index(&acme, "p"), rows);
    acme.soft_delete("posts", "p").unwrap();
    assert_eq!(index(&acme, "p"), [""; 0]);
    acme.restore("posts", "p").unwrap();
    assert_eq!(index(&acme, "p"), rows);
    acme.delete("posts", "p").unwrap();
    assert_eq!(index(&acme, "p"), [""; 0]);
    shard.keeps_the_other();
}

#[test]
fn a_collection_declares_its_own_fields_only() {
    let shard = Shard::new();
    let acme = shard.acme();
    let data = json!({"title": "red", "author": "ada", "near": ["first"], "score": 1});
    acme.insert("people", "p", data.clone()).unwrap();
    for round in ["inserted", "derived anew"] {
        assert_eq!(index(&acme, "p"), ["email NULL"], "{round}");
        assert_eq!(acme.list("SELECT field FROM record_references WHERE tenant_id = ?1 AND record_id = 'p'"), [""; 0]);
        assert_eq!((acme.found("people", "red"), acme.found("posts", "red")), (Vec::new(), Vec::new()), "{round}");
        acme.update("people", "p", json!({"title": "red", "author": "bob", "near": []})).unwrap();
        acme.reindex("people").unwrap();
    }
    // Records of the same id in two collections are two records.
    acme.insert("people", "first", json!({"name": "red"})).unwrap();
    let before = acme.list("SELECT quote(data) FROM record_versions WHERE tenant_id = ?1 AND record_id = 'first'");
    let named = "SELECT record_id FROM record_references WHERE tenant_id = ?1 AND collection = 'posts'";
    assert_eq!(acme.list(named), ["first"]);
    acme.update("people", "first", json!({"name": "green"})).unwrap();
    acme.soft_delete("people", "first").unwrap();
    acme.delete("people", "first").unwrap();
    assert_eq!(index(&acme, "first").len(), 6);
    assert_eq!(acme.list(named), ["first"]);
    assert_eq!(
        acme.list("SELECT quote(data) FROM record_versions WHERE tenant_id = ?1 AND record_id = 'first'"),
        before
    );
    shard.keeps_the_other();
}

#[test]
fn a_unique_value_belongs_to_one_record_of_its_tenant_and_collection() {
    let shard = Shard::new();
    let acme = shard.acme();
    let ada = || json!({"email": "ada@x.example"});
    assert!(is_refused(acme.insert("people", "eve", ada()), UNIQUE));
    assert!(is_refused(acme.update("people", "bob", ada()), UNIQUE));
    assert_eq!(acme.list("SELECT id FROM records WHERE tenant_id = ?1 AND id = 'eve'"), [""; 0]);
    acme.collection("staff", "");
    acme.field("staff", "email", "is_indexed, is_unique", None);
    acme.insert("staff", "eve", ada()).unwrap();
    for id in ["nobody", "nobody-else"] {
        acme.insert("people", id, json!({})).unwrap();
    }
    acme.update("people", "ada", ada()).unwrap();

    acme.soft_delete("people", "ada").unwrap();
    acme.insert("people", "eve", ada()).unwrap();
    assert!(is_refused(acme.restore("people", "ada"), UNIQUE));
    acme.delete("people", "eve").unwrap();
    acme.restore("people", "ada").unwrap();
    shard.keeps_the_other();
}

#[test]
fn a_reference_leads_to_a_record_of_its_tenant() {
    let shard = Shard::new();
    let acme = shard.acme();
    Tenant { db: &shard.db, id: "third" }.collection("people", "");
    Tenant { db: &shard.db, id: "third" }.insert("people", "theirs", json!({})).unwrap();
    for author in ["theirs", "first", "nobody"] {
        assert!(is_refused(acme.insert("posts", "p", json!({"author": author})), FOREIGN_KEY), "{author}");
    }
    acme.soft_delete("people", "ada").unwrap();
    assert!(is_refused(acme.insert("posts", "p", json!({"author": "ada"})), "reference_missing"));
    assert!(is_refused(acme.update("posts", "first", json!({"author": "ada"})), "reference_missing"));
    acme.restore("people", "ada").unwrap();
    acme.insert("posts", "p", json!({"author": null})).unwrap();
    acme.update("posts", "p", json!({"author": null, "near": []})).unwrap();
    assert_eq!(acme.list("SELECT field FROM record_references WHERE tenant_id = ?1 AND record_id = 'p'"), [""; 0]);
    acme.update("posts", "p", json!({"author": "ada", "near": ["first", "p"]})).unwrap();
    let named = acme.list("SELECT field || ' ' || target || '/' || target_id FROM record_references WHERE tenant_id = ?1 AND record_id = 'p' ORDER BY field, position");
    assert_eq!(named, ["author people/ada", "near posts/first", "near posts/p"]);
    acme.update("posts", "p", json!({"author": null, "near": ["p"]})).unwrap();
    acme.delete("people", "ada").unwrap();
    shard.keeps_the_other();
}

#[test]
fn what_is_named_stays() {
    let shard = Shard::new();
    let acme = shard.acme();
    assert!(is_refused(acme.delete("people", "bob"), FOREIGN_KEY));
    assert!(is_refused(acme.soft_delete("people", "bob"), "still_referenced"));
    acme.update("people", "bob", json!({"name": "Robert"})).unwrap();
    acme.soft_delete("people", "ada").unwrap();

    // What is deleted names nothing; restored it needs what it names.
    acme.soft_delete("posts", "first").unwrap();
    acme.soft_delete("people", "bob").unwrap();
    assert!(is_refused(acme.restore("posts", "first"), "reference_missing"));
    acme.delete("people", "bob").unwrap();
    assert!(is_refused(acme.restore("posts", "first"), FOREIGN_KEY));

    // Naming itself keeps nothing, nor does what goes with it.
    acme.insert("posts", "self", json!({"near": ["self"]})).unwrap();
    acme.soft_delete("posts", "self").unwrap();
    acme.restore("posts", "self").unwrap();
    acme.insert("posts", "namer", json!({"near": ["self"]})).unwrap();
    assert!(is_refused(acme.delete("posts", "self"), FOREIGN_KEY));
    let both = "DELETE FROM records WHERE tenant_id = 'acme' AND id IN ('self', 'namer')";
    assert_eq!(shard.db.execute(both, []).unwrap(), 2);
    shard.keeps_the_other();
}

#[test]
fn words_are_found_under_their_scope_only() {
    let shard = Shard::new();
    let acme = shard.acme();
    assert_eq!(acme.found("people", "lovelace"), ["acme ada"]);
    assert_eq!(shard.other().found("people", "LOVELACE"), ["other ada"]);
    assert_eq!(acme.found("posts", "lovelace"), [""; 0]);
    assert_eq!(acme.found("people", "example"), [""; 0], "not searched");
    acme.insert("posts", "p", json!({"title": "Déjà vu", "tags": ["red", "green"]})).unwrap();
    for word in ["deja", "VU", "red", "green"] {
        assert_eq!(acme.found("posts", word), ["acme p"], "{word}");
    }
    acme.update("posts", "p", json!({"title": "vu"})).unwrap();
    assert_eq!((acme.found("posts", "vu").len(), acme.found("posts", "red").len()), (1, 0));
    acme.soft_delete("posts", "p").unwrap();
    assert_eq!(acme.found("posts", "vu"), [""; 0]);
    acme.restore("posts", "p").unwrap();
    assert_eq!(acme.found("posts", "vu"), ["acme p"]);
    acme.delete("posts", "p").unwrap();
    acme.insert("posts", "successor", json!({})).unwrap();
    assert_eq!(acme.found("posts", "vu"), [""; 0], "its number may be another's now");
    shard.keeps_the_other();
}

#[test]
fn words_that_a_record_carries_stand_behind_the_tag_of_its_collection() {
    let shard = Shard::new();
    let acme = shard.acme();
    acme.give_words("posts");
    acme.give_words("people");
    assert_eq!(acme.found_tagged("people", "LOVELACE"), ["acme ada"]);
    assert_eq!(acme.found_tagged("people", "love*"), ["acme ada"]);
    assert_eq!(acme.found("people", "lovelace"), [""; 0], "no longer under the scope");
    assert_eq!(acme.found_tagged("posts", "lovelace"), [""; 0]);
    assert_eq!(shard.other().found("people", "lovelace"), ["other ada"]);
    assert_eq!(shard.other().found_tagged("people", "lovelace"), [""; 0], "not yet");

    acme.insert("posts", "p", json!({"title": "Déjà vu", "tags": ["red", "東京タワー"]})).unwrap();
    for word in ["deja", "VU", "\"déjà vu\"", "red", "東京", "京"] {
        assert_eq!(acme.found_tagged("posts", word), ["acme p"], "{word}");
    }
    assert_eq!(acme.found_tagged("posts", "\"vu red\""), [""; 0], "of two texts");
    let (tag, words) = (acme.word_tag("posts"), acme.words());
    assert!(words.iter().all(|word| word.contains(&tag) || word.contains(&acme.word_tag("people"))), "{words:?}");

    acme.update("posts", "p", json!({"title": "vu"})).unwrap();
    assert_eq!((acme.found_tagged("posts", "vu").len(), acme.found_tagged("posts", "red").len()), (1, 0));
    acme.soft_delete("posts", "p").unwrap();
    assert_eq!(acme.found_tagged("posts", "vu"), [""; 0]);
    acme.restore("posts", "p").unwrap();
    assert_eq!(acme.found_tagged("posts", "vu"), ["acme p"]);
    acme.delete("posts", "p").unwrap();
    acme.insert("posts", "successor", json!({})).unwrap();
    assert_eq!(acme.found_tagged("posts", "vu"), [""; 0], "its number may be another's now");

    acme.make_again("people", "");
    acme.field("people", "name", "is_searched", None);
    acme.insert("people", "ada", json!({"name": "Ada Lovelace"})).unwrap();
    assert_eq!(acme.found_tagged("people", "lovelace"), [""; 0], "another collection has another tag");
    shard.keeps_the_other();
}

#[test]
fn a_searched_record_is_not_written_without_its_words_or_with_others_than_plain_ones() {
    let shard = Shard::new();
    let acme = shard.acme();
    let write = |sql: &str| acme.db.execute(sql, []).map(|rows| rows > 0).map_err(|error| error.to_string());
    let insert = |id: &str, words: &str| {
        write(&format!(
            "INSERT INTO records (tenant_id, collection, id, version, data, created_at, updated_at, created_by, updated_by, index_revision, words) VALUES ('acme', 'posts', '{id}', 1, '{{}}', 1, 1, 'a', 'a', 1, {words})"
        ))
    };
    insert("before", "NULL").unwrap();
    for words in ["'a-b'", "'é'", "'A'", "'a\"b'", "'a' || char(9)", "'東'", "'a' || char(160) || 'b'"] {
        assert!(is_refused(insert("p", words), "words_not_plain"), "{words}");
        let change = format!("UPDATE records SET words = {words} WHERE tenant_id = 'acme' AND id = 'before'");
        assert!(is_refused(write(&change), "words_not_plain"), "{words}");
    }
    acme.give_words("posts");
    assert!(is_refused(insert("p", "NULL"), "words_missing"));
    insert("p", "''").unwrap();
    for change in ["data = '{\"a\": 1}', words = NULL", "words = NULL", "index_revision = 9, words = NULL"] {
        let change = format!("UPDATE records SET {change} WHERE tenant_id = 'acme' AND id = 'p'");
        assert!(is_refused(write(&change), "words_missing"), "{change}");
    }
    // What is deleted is not searched; where nothing is, no words are needed.
    write("UPDATE records SET words = NULL, deleted_at = 1 WHERE tenant_id = 'acme' AND id = 'p'").unwrap();
    assert!(is_refused(acme.restore("posts", "p"), "words_missing"));
    acme.collection("notes", "");
    write("UPDATE collection_state SET has_words = 1 WHERE tenant_id = 'acme' AND collection = 'notes'").unwrap();
    acme.insert("notes", "n", json!({"title": "x"})).unwrap();
    acme.field("notes", "title", "is_searched", None);
    assert!(is_refused(write("UPDATE records SET data = '{}' WHERE tenant_id = 'acme' AND id = 'n'"), "words_missing"));
    shard.keeps_the_other();
}

#[test]
fn a_change_that_leaves_the_words_leaves_the_index() {
    let shard = Shard::new();
    let acme = shard.acme();
    acme.give_words("posts");
    let written = || {
        shard
            .db
            .query_row("SELECT total(length(block)) || '' FROM record_search_data", [], |row| row.get::<_, String>(0))
            .unwrap()
    };
    let before = written();
    acme.update("posts", "first", json!({"title": "First of all", "author": "bob", "score": 5})).unwrap();
    acme.set_status("posts", "first", Some("out")).unwrap();
    acme.reindex("posts").unwrap();
    assert_eq!(written(), before);
    acme.update("posts", "first", json!({"title": "Last of all", "author": "bob"})).unwrap();
    assert_ne!(written(), before);
    shard.keeps_the_other();
}

#[test]
fn records_are_counted_by_status() {
    let shard = Shard::new();
    let acme = shard.acme();
    assert_eq!(counts(&acme, "posts"), [" 1"]);
    acme.insert_as("posts", "a", Some("draft"), json!({})).unwrap();
    acme.insert_as("posts", "b", Some("draft"), json!({})).unwrap();
    assert_eq!(counts(&acme, "posts"), [" 1", "draft 2"]);
    acme.set_status("posts", "a", Some("out")).unwrap();
    acme.set_status("posts", "first", Some("out")).unwrap();
    assert_eq!(counts(&acme, "posts"), ["draft 1", "out 2"]);
    acme.update("posts", "a", json!({"title": "x"})).unwrap();
    acme.set_status("posts", "a", Some("out")).unwrap();
    acme.soft_delete("posts", "a").unwrap();
    assert_eq!(counts(&acme, "posts"), ["draft 1", "out 1"]);
    acme.restore("posts", "a").unwrap();
    assert_eq!(counts(&acme, "posts"), ["draft 1", "out 2"]);
    let at_once = "UPDATE records SET status = 'draft', deleted_at = 9 WHERE tenant_id = 'acme' AND id = 'a'";
    shard.db.execute(at_once, []).unwrap();
    assert_eq!(counts(&acme, "posts"), ["draft 1", "out 1"]);
    acme.delete("posts", "a").unwrap();
    acme.delete("posts", "b").unwrap();
    assert_eq!(counts(&acme, "posts"), ["out 1"]);
    assert_eq!(counts(&acme, "people"), [" 2"]);
    shard.keeps_the_other();
}

#[test]
fn a_generation_ends_with_each_write() {
    let shard = Shard::new();
    let acme = shard.acme();
    let generation = || {
        let rows =
            acme.list("SELECT CAST(generation AS TEXT) FROM collection_state WHERE tenant_id = ?1 ORDER BY collection");
        rows.iter().map(|generation| generation.parse::<i64>().unwrap()).collect::<Vec<_>>()
    };
    let writes: [&dyn Fn() -> Done; 6] = [
        &|| acme.insert("posts", "p", json!({})),
        &|| acme.update("posts", "p", json!({"score": 1})),
        &|| acme.set_status("posts", "p", Some("out")),
        &|| acme.soft_delete("posts", "p"),
        &|| acme.restore("posts", "p"),
        &|| acme.delete("posts", "p"),
    ];
    for write in writes {
        let before = generation();
        write().unwrap();
        assert_eq!(generation(), [before[0], before[1], before[2] + 1]);
    }
    let before = generation();
    assert!(acme.insert("posts", "first", json!({})).is_err());
    acme.reindex("posts").unwrap();
    assert_eq!(generation(), before);
    shard.keeps_the_other();
}

#[test]
fn a_purge_ends_the_generations_of_the_collections_that_it_names_alone() {
    let shard = Shard::new();
    let acme = shard.acme();
    let generations = || {
        acme.list(
            "SELECT collection || ' ' || generation FROM collection_state WHERE tenant_id = ?1 ORDER BY collection",
        )
    };
    let raised = |ranges: Value| {
        let before = generations();
        let matched = run(&shard, "src/records/cache_purge.rs", "RAISE", &[&ranges.to_string()]).unwrap();
        let after = generations();
        assert_eq!(before.iter().zip(&after).filter(|(before, after)| before != after).count(), matched);
        matched
    };
    assert_eq!(raised(json!([["posts", "posts"]])), 1);
    assert_eq!(raised(json!([["p", "p~"]])), 2);
    assert_eq!(raised(json!([["", "~"], ["people", "people"]])), 3);
    assert_eq!(raised(json!([["b", "o~"], ["postss", "postss"]])), 0);
    assert_eq!(raised(json!([])), 0);
    shard.db.execute("UPDATE collections SET deleted_at = 1 WHERE tenant_id = 'acme' AND slug = 'posts'", []).unwrap();
    assert_eq!(raised(json!([["p", "p~"]])), 1, "one that is being deleted has no lists");
    shard.keeps_the_other();
}

#[test]
fn a_versioned_record_keeps_its_states() {
    let shard = Shard::new();
    let acme = shard.acme();
    acme.insert("posts", "p", json!({"title": "one"})).unwrap();
    acme.update("posts", "p", json!({"title": "two"})).unwrap();
    acme.set_status("posts", "p", Some("out")).unwrap();
    acme.soft_delete("posts", "p").unwrap();
    acme.restore("posts", "p").unwrap();
    assert_eq!(versions(&acme, "p"), ["1 create", "2 update", "3 update", "4 delete", "5 restore"]);
    let state = acme.list("SELECT data || COALESCE(status, '-') || at || by FROM record_versions WHERE tenant_id = ?1 AND record_id = 'p' ORDER BY version LIMIT 3");
    assert_eq!(state, [r#"{"title":"one"}-1key:k"#, r#"{"title":"two"}-2key:k"#, r#"{"title":"two"}out2key:k"#]);
    for edit in ["UPDATE record_versions SET data = '{}'", "UPDATE record_versions SET tenant_id = 'other'"] {
        assert!(shard.db.execute(edit, []).is_err(), "{edit}");
    }
    acme.delete("posts", "p").unwrap();
    assert_eq!(versions(&acme, "p"), [""; 0]);

    acme.insert("posts", "beside", json!({})).unwrap();
    acme.collection("logs", "versioned");
    acme.insert("logs", "first", json!({})).unwrap();
    for _ in 0..205 {
        acme.update("posts", "first", json!({})).unwrap();
    }
    assert_eq!(versions(&acme, "beside"), ["1 create"]);
    let logs = "DELETE FROM records WHERE tenant_id = 'acme' AND collection = 'logs'";
    assert_eq!(versions(&acme, "first")[0], "1 create", "of the log");
    shard.db.execute(logs, []).unwrap();
    let kept = versions(&acme, "first");
    assert_eq!((kept.len(), kept[0].as_str(), kept[199].as_str()), (200, "7 update", "206 update"));
    acme.update("people", "ada", json!({})).unwrap();
    assert_eq!(versions(&acme, "ada"), [""; 0], "not versioned");
    shard.keeps_the_other();
}

#[test]
fn a_live_change_is_announced_once_and_in_order() {
    let shard = Shard::new();
    let acme = shard.acme();
    let before = ["1 create people/ada v1", "2 create people/bob v1", "3 create posts/first v1 private"];
    assert_eq!(outbox(&acme, 0), before);
    assert_eq!(outbox(&shard.other(), 0), before, "each tenant has its own numbers");
    acme.insert("posts", "p", json!({"title": "t"})).unwrap();
    acme.update("posts", "p", json!({"title": "u"})).unwrap();
    acme.update("people", "ada", json!({})).unwrap();
    acme.soft_delete("posts", "p").unwrap();
    let changes = [
        "4 create posts/p v1 private",
        "5 update posts/p v2 private",
        "6 update people/ada v2",
        "7 delete posts/p v3 private",
    ];
    assert_eq!(outbox(&acme, 3), changes);
    let told = acme.list("SELECT data || created_at || updated_at FROM record_outbox WHERE tenant_id = ?1 AND seq = 5");
    assert_eq!(told, [r#"{"title":"u"}12"#]);
    let at = acme.list("SELECT count(*) || '' FROM record_outbox WHERE tenant_id = ?1 AND abs(at - unixepoch('subsec') * 1000) < 60000");
    assert_eq!(at, ["7"]);

    // What was told is deleted; no number comes again.
    shard.db.execute("DELETE FROM record_outbox WHERE tenant_id = 'acme'", []).unwrap();
    acme.restore("posts", "p").unwrap();
    assert_eq!(outbox(&acme, 0), ["8 create posts/p v4 private"]);
    assert!(acme.insert("posts", "q", json!({"author": "nobody"})).is_err());
    acme.delete("posts", "p").unwrap();
    assert_eq!(outbox(&acme, 8), ["9 delete posts/p v4 private"]);
    shard.keeps_the_other();
}

#[test]
fn what_no_subscriber_saw_go_or_come_is_not_announced() {
    let shard = Shard::new();
    let acme = shard.acme();
    acme.collection("notes", "");
    acme.insert("notes", "n", json!({})).unwrap();
    acme.update("notes", "n", json!({"a": 1})).unwrap();
    acme.delete("notes", "n").unwrap();
    assert_eq!(outbox(&acme, 3), [""; 0], "not live");

    acme.soft_delete("posts", "first").unwrap();
    // What is not announced has a number too.
    assert_eq!(outbox(&acme, 3), ["7 delete posts/first v2 private"]);
    shard.db.execute("UPDATE records SET version = version + 1 WHERE tenant_id = 'acme' AND id = 'first'", []).unwrap();
    acme.delete("posts", "first").unwrap();
    assert_eq!(outbox(&acme, 7), [""; 0], "gone before");

    shard.db.execute("UPDATE collections SET deleted_at = 5 WHERE tenant_id = 'acme' AND slug = 'people'", []).unwrap();
    assert_eq!(outbox(&acme, 7), ["10 delete people/ v0 private"], "the collection itself");
    acme.delete("people", "ada").unwrap();
    assert_eq!(outbox(&acme, 10), [""; 0], "its collection goes");
    shard.keeps_the_other();
}

#[test]
fn a_collection_that_is_hidden_shown_or_deleted_is_announced_and_so_is_whose_records_change() {
    let shard = Shard::new();
    let acme = shard.acme();
    let told = |after: i64| {
        acme.list(&format!("SELECT seq || ' ' || action || ' ' || collection || '/' || record_id || ' ' || creation_id FROM record_outbox WHERE tenant_id = ?1 AND seq > {after} ORDER BY seq"))
    };
    let people = acme.creation_id("people");
    assert_eq!(told(0)[..2], [format!("1 create people/ada {people}"), format!("2 create people/bob {people}")]);
    let set = |what: &str| {
        let sql = format!("UPDATE collections SET {what} WHERE tenant_id = 'acme' AND slug = 'people'");
        shard.db.execute(&sql, []).unwrap();
    };
    set("name = 'x', revision = 2, public_read = public_read, deleted_at = deleted_at");
    acme.collection("notes", "live, public_read");
    assert_eq!(told(3), [""; 0], "nothing that was told is otherwise now");
    for (at, what) in [(4, "public_read = 0, live = 0"), (5, "public_read = 1")] {
        set(what);
        assert_eq!(told(at - 1), [format!("{at} update people/ {people}")], "{what}");
    }
    set("deleted_at = 9, live = 1");
    assert_eq!(told(5), [format!("6 delete people/ {people}")]);
    acme.make_again("people", "live, public_read");
    let again = acme.creation_id("people");
    acme.insert("people", "ada", json!({})).unwrap();
    // Its two records had numbers when they went, and the collection left them behind.
    assert_eq!(told(6), [format!("9 create people/ada {again}")]);
    assert_ne!(people, again);
    shard.keeps_the_other();
}

#[test]
fn a_record_that_is_made_again_is_another_one() {
    let shard = Shard::new();
    let acme = shard.acme();
    let identity = || {
        acme.list("SELECT creation_id FROM records WHERE tenant_id = ?1 AND collection = 'posts' AND id = 'p'")
            .remove(0)
    };
    acme.insert("posts", "p", json!({})).unwrap();
    let first = identity();
    assert_eq!(first.len(), 16);
    acme.update("posts", "p", json!({"title": "t"})).unwrap();
    acme.soft_delete("posts", "p").unwrap();
    acme.restore("posts", "p").unwrap();
    assert_eq!(identity(), first);
    let forged = shard.db.execute("UPDATE records SET creation_id = 'x' WHERE tenant_id = 'acme' AND id = 'p'", []);
    assert!(forged.unwrap_err().to_string().contains("creation_id is immutable"));
    acme.delete("posts", "p").unwrap();
    acme.insert("posts", "p", json!({})).unwrap();
    assert!(identity() != first && identity().len() == 16);
    shard.keeps_the_other();
}

#[test]
fn an_index_made_anew_is_nobodys_news() {
    let shard = Shard::new();
    let acme = shard.acme();
    acme.insert("posts", "p", json!({"title": "old", "subject": "fresh"})).unwrap();
    let (outbox_before, versions_before) = (outbox(&acme, 0), versions(&acme, "p"));
    acme.field("posts", "title", "", None);
    acme.field("posts", "subject", "is_indexed, is_searched", None);
    assert_eq!(acme.found("posts", "fresh"), [""; 0]);
    acme.reindex("posts").unwrap();
    let rows = ["author NULL", "done NULL", "near NULL", "score NULL", "subject 'fresh'", "tags NULL"];
    assert_eq!(index(&acme, "p"), rows);
    assert_eq!((acme.found("posts", "fresh").len(), acme.found("posts", "old").len()), (1, 0));
    assert_eq!((outbox(&acme, 0), versions(&acme, "p")), (outbox_before, versions_before));

    // A declaration that the records break stops the work; nothing is half done.
    acme.insert("posts", "q", json!({"subject": "fresh"})).unwrap();
    acme.field("posts", "subject", "is_indexed, is_unique", None);
    let before = acme.everything();
    assert!(is_refused(acme.reindex("posts"), UNIQUE));
    assert_eq!(acme.everything(), before);
    shard.keeps_the_other();
}

#[test]
fn a_transaction_that_does_not_happen_leaves_nothing() {
    let shard = Shard::new();
    let acme = shard.acme();
    let before = acme.everything();
    shard.db.execute_batch("BEGIN").unwrap();
    acme.insert_as("posts", "p", Some("draft"), json!({"title": "red", "tags": ["a"], "author": "ada"})).unwrap();
    acme.update("posts", "first", json!({"title": "green"})).unwrap();
    acme.soft_delete("posts", "first").unwrap();
    acme.delete("people", "bob").unwrap();
    acme.delete("posts", "p").unwrap();
    shard.db.execute_batch("ROLLBACK").unwrap();
    assert_eq!(acme.everything(), before);
    assert_eq!(acme.found("posts", "first"), ["acme first"]);
    shard.keeps_the_other();
}

#[test]
fn what_comes_deleted_is_as_what_was_deleted() {
    let shard = Shard::new();
    let acme = shard.acme();
    acme.insert("posts", "p", json!({"title": "red", "author": "ada"})).unwrap();
    acme.soft_delete("posts", "p").unwrap();
    let (announced, counted) = (outbox(&acme, 0), counts(&acme, "posts"));
    let copy = "INSERT INTO records (tenant_id, collection, id, version, data, created_at, updated_at, deleted_at, created_by, updated_by, index_revision)
        SELECT tenant_id, collection, 'copy', 1, data, 1, 1, 1, '', '', 1 FROM records WHERE tenant_id = 'acme' AND id = 'p'";
    assert_eq!(shard.db.execute(copy, []).unwrap(), 1);
    assert_eq!(index(&acme, "copy"), [""; 0]);
    assert_eq!(acme.found("posts", "red"), [""; 0]);
    assert_eq!((outbox(&acme, 0), counts(&acme, "posts")), (announced, counted));
    acme.delete("people", "ada").unwrap();
    shard.keeps_the_other();
}

#[test]
fn a_record_that_is_no_object_is_refused() {
    let shard = Shard::new();
    for data in [json!([]), json!("x"), json!(1), Value::Null] {
        assert!(shard.acme().insert("posts", "p", data).is_err());
    }
    shard.keeps_the_other();
}
