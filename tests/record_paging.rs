//! How lists go on, in which order, and what stands beside their records.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::world::{Tenant, World};

async fn tenant() -> Tenant {
    let tenant = World::shared().await.unbounded_tenant().await;
    let properties = json!({
        "a": {"type": ["integer", "null"], "indexed": true},
        "b": {"type": "string", "indexed": true},
        "at": {"type": "string", "format": "date-time", "indexed": true},
    });
    tenant.collection("things", properties, json!({"soft_delete": true})).await;
    tenant
}

/// A number and a text, each missing now and then, and many of them equal.
fn body(i: usize) -> Value {
    let mut body =
        json!({"id": format!("r{:02}", (i * 7) % 40), "at": format!("2026-01-{:02}", i % 28 + 1) + "T00:00:00Z"});
    if !i.is_multiple_of(4) {
        body["a"] = json!(i % 4 * 10);
    }
    if !i.is_multiple_of(3) {
        body["b"] = json!(["x", "Y"][i % 3 - 1]);
    }
    body
}

/// Nothing before everything, numbers and texts by their bytes.
fn compare(x: &Value, y: &Value) -> Ordering {
    match (x, y) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Number(x), Value::Number(y)) => x.as_f64().partial_cmp(&y.as_f64()).unwrap(),
        (x, y) => x.as_str().cmp(&y.as_str()),
    }
}

#[tokio::test]
async fn every_order_is_walked_as_it_is_listed() {
    let tenant = tenant().await;
    tenant.fill("things", 0..40, body).await;
    for id in ["r00", "r13", "r27"] {
        tenant.ask("PATCH", &format!("/api/v1/things/{id}"), json!({"at": "2027-01-01T00:00:00Z"})).await.expect(200);
    }
    let records = tenant.listed("things", &[("limit", "200")]).await.expect(200).data();
    for sort in [
        "a",
        "-a",
        "b",
        "-b",
        "at",
        "-at",
        "a,b",
        "-a,b",
        "a,-b",
        "-b,-a",
        "id",
        "-id",
        "version,id",
        "-version,-id",
        "updated_at",
        "-updated_at",
        "b,-version,id",
        "-a,id",
        "a,-created_at,id",
        "created_at",
        "-created_at,id",
    ] {
        let mut expected: Vec<&Value> = records.as_array().unwrap().iter().collect();
        let mut keys: Vec<&str> = sort.split(',').collect();
        let down = keys.last().unwrap().starts_with('-');
        let has = |keys: &[&str], name: &str| keys.iter().any(|key| key.trim_start_matches('-') == name);
        if !has(&keys, "id") {
            if !has(&keys, "created_at") && !has(&keys, "updated_at") {
                keys.push(if down { "-created_at" } else { "created_at" });
            }
            keys.push(if down { "-id" } else { "id" });
        }
        expected.sort_by(|x, y| {
            let each = keys.iter().map(|key| match key.strip_prefix('-') {
                Some(name) => compare(&y[name], &x[name]),
                None => compare(&x[*key], &y[*key]),
            });
            each.fold(Ordering::Equal, Ordering::then)
        });
        let expected: Vec<&str> = expected.iter().map(|record| record["id"].as_str().unwrap()).collect();
        for limit in ["3", "40", "7"] {
            assert_eq!(
                tenant.walked("things", &[("sort", sort), ("limit", limit)]).await,
                expected,
                "{sort} by {limit}"
            );
        }
    }
}

#[tokio::test]
async fn deleted_records_are_walked_too() {
    let tenant = tenant().await;
    tenant.fill("things", 0..12, body).await;
    let ids = tenant.ids("things", &[("sort", "id")]).await;
    let gone: Vec<Value> = ids.iter().take(7).map(|id| json!({"op": "delete", "id": id})).collect();
    tenant.bulk("things", gone.into()).await.expect(200);
    for sort in ["id", "-created_at", "updated_at"] {
        let walked = tenant.walked("things", &[("deleted", "true"), ("sort", sort), ("limit", "2")]).await;
        assert_eq!(walked.iter().collect::<BTreeSet<_>>(), ids[..7].iter().collect(), "{sort}");
        assert_eq!(walked.len(), 7);
    }
}

#[tokio::test]
async fn old_records_are_shown_once_while_new_ones_come() {
    let tenant = tenant().await;
    tenant.fill("things", 0..40, body).await;
    for sort in ["created_at", "-created_at", "-a", "b,a"] {
        let writing = async {
            for i in 0..30 {
                tenant.record("things", json!({"a": i, "b": "X"})).await;
            }
        };
        let query = [("sort", sort), ("limit", "4")];
        let (walked, ()) = tokio::join!(tenant.walked("things", &query), writing);
        let mut old: Vec<&String> = walked.iter().filter(|id| id.len() == 3).collect();
        assert_eq!(old.len(), 40, "{sort}");
        old.sort();
        old.dedup();
        assert_eq!(old.len(), 40, "{sort}");
        assert_eq!(walked.iter().collect::<BTreeSet<_>>().len(), walked.len(), "{sort}");
    }
}

#[tokio::test]
async fn a_cursor_is_good_for_its_list_only() {
    let (tenant, other) = (tenant().await, tenant().await);
    for tenant in [&tenant, &other] {
        tenant.fill("things", 0..10, body).await;
        tenant.collection("others", json!({"a": {"type": "integer", "indexed": true}}), json!({})).await;
    }
    let list = [("filter", "a >= 0"), ("sort", "-a"), ("limit", "2")];
    let cursor = tenant.listed("things", &list).await.expect(200).cursor().unwrap();
    let with = async |asking: &Tenant, slug: &str, filter: &str, sort: &str, more: (&str, &str)| {
        asking.listed(slug, &[("filter", filter), ("sort", sort), ("cursor", &cursor), more]).await
    };
    let none = ("limit", "3");
    with(&tenant, "things", "a >= 0", "-a", none).await.expect(200);
    with(&tenant, "things", " a>=0 ", "-a", none).await.expect(200);
    with(&other, "things", "a >= 0", "-a", none).await.expect_invalid_query("cursor");
    with(&tenant, "others", "a >= 0", "-a", none).await.expect_invalid_query("cursor");
    with(&tenant, "things", "a >= 1", "-a", none).await.expect_invalid_query("cursor");
    with(&tenant, "things", "a >= 0", "a", none).await.expect_invalid_query("cursor");
    with(&tenant, "things", "a >= 0", "-a,id", none).await.expect_invalid_query("cursor");
    with(&tenant, "things", "a >= 0", "-created_at", ("deleted", "true")).await.expect_invalid_query("cursor");
    with(&tenant, "things", "a >= 0", "-a", ("q", "x")).await.expect_invalid_query("cursor");
    for at in [0, 1, 5, cursor.len() / 2, cursor.len() - 1] {
        let mut flipped = cursor.clone().into_bytes();
        flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
        let flipped = String::from_utf8(flipped).unwrap();
        let query = [&list[..], &[("cursor", flipped.as_str())]].concat();
        tenant.listed("things", &query).await.expect_invalid_query("cursor");
    }
    for cut in ["", "x"] {
        let query = [("sort", "-a"), ("cursor", cut)];
        let answer = tenant.listed("things", &query).await;
        if cut.is_empty() {
            answer.expect(200)
        } else {
            answer.expect_invalid_query("cursor")
        };
    }
}

#[tokio::test]
async fn pages_have_numbers_too() {
    let tenant = tenant().await;
    tenant.fill("things", 0..23, body).await;
    let whole = tenant.ids("things", &[("sort", "-a,b")]).await;
    let mut seen = Vec::new();
    for page in 1..=3 {
        let answer = tenant
            .listed("things", &[("sort", "-a,b"), ("page", &page.to_string()), ("per_page", "10")])
            .await
            .expect(200);
        let expected = json!({"page": page, "per_page": 10, "total": 23, "total_pages": 3, "has_next": page < 3, "has_prev": page > 1});
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&answer.json()["pagination"][name], value, "{name} of page {page}");
        }
        assert_eq!(answer.cursor().is_some(), page < 3, "a page by number goes on by cursor too");
        assert_eq!(answer.json()["pagination"].get("cut"), None);
        if let Some(cursor) = answer.cursor() {
            let behind = tenant.listed("things", &[("sort", "-a,b"), ("limit", "10"), ("cursor", &cursor)]).await;
            assert_eq!(behind.expect(200).ids(), whole[10 * page..(10 * page + 10).min(23)]);
        }
        seen.extend(answer.ids());
    }
    assert_eq!(seen, whole);
    let beyond = tenant.listed("things", &[("page", "4"), ("per_page", "10")]).await.expect(200);
    assert!(beyond.ids().is_empty() && beyond.json()["pagination"]["total"] == 23);
}

/// Books of authors of teams.
async fn library() -> Tenant {
    let tenant = World::shared().await.unbounded_tenant().await;
    tenant.collection("teams", json!({"name": {"type": "string"}}), json!({})).await;
    let team = json!({"name": {"type": "string"}, "team": {"type": "string", "reference": "teams"}});
    tenant.collection("authors", team, json!({"soft_delete": true})).await;
    let properties = json!({
        "author": {"type": "string", "reference": "authors"},
        "editors": {"type": "array", "items": {"type": "string"}, "reference": "authors"},
    });
    tenant.collection("books", properties, json!({})).await;
    tenant.record("teams", json!({"id": "t1", "name": "Bells"})).await;
    tenant.record("authors", json!({"id": "ada", "name": "Ada", "team": "t1"})).await;
    tenant.record("authors", json!({"id": "bob", "name": "Bob"})).await;
    tenant.record("books", json!({"id": "b1", "author": "ada", "editors": ["bob", "ada"]})).await;
    tenant.record("books", json!({"id": "b2", "author": "bob"})).await;
    tenant.record("books", json!({"id": "b3"})).await;
    tenant
}

#[tokio::test]
async fn what_records_refer_to_stands_beside_them() {
    let tenant = library().await;
    let query = [("expand", "author.team,editors"), ("sort", "id")];
    let listed = tenant.listed("books", &query).await.expect(200).data();
    let first = &listed[0];
    assert_eq!(first["author"], "ada");
    assert_eq!(first["expand"]["author"]["expand"]["team"]["name"], "Bells");
    assert_eq!(
        (&first["expand"]["editors"][0]["name"], &first["expand"]["editors"][1]["name"]),
        (&json!("Bob"), &json!("Ada"))
    );
    assert_eq!(first["expand"]["editors"][1].get("expand"), None);
    assert_eq!((&listed[1]["expand"]["author"]["name"], listed[2].get("expand")), (&json!("Bob"), None));
    let call = tenant.as_owner("GET", "/api/v1/books/b1").query("expand", "author.team,editors");
    let got = call.send().await.expect(200);
    assert_eq!((&got.data(), got.header("etag")), (first, ""));
    let call =
        tenant.as_owner("GET", "/api/v1/books/b1").query("expand", "author").query("fields", "id,expand.author.name");
    assert_eq!(call.send().await.expect(200).data(), json!({"id": "b1", "expand": {"author": {"name": "Ada"}}}));
    for bad in ["editors.name", "author.team.name", "id"] {
        tenant.listed("books", &[("expand", bad)]).await.expect_invalid_query("expand");
    }
    let plain = tenant.listed("books", &[("fields", "id, author"), ("sort", "id")]).await.expect(200).data();
    assert_eq!(plain, json!([{"id": "b1", "author": "ada"}, {"id": "b2", "author": "bob"}, {"id": "b3"}]));
}

#[tokio::test]
async fn every_hop_stays_in_the_tenant() {
    let (tenant, other) = (library().await, library().await);
    other.ask("PATCH", "/api/v1/authors/ada", json!({"name": "Theirs"})).await.expect(200);
    let listed = tenant.listed("books", &[("expand", "author,editors")]).await.expect(200);
    assert!(!listed.body.contains("Theirs"), "{}", listed.body);
}
