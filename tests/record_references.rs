//! What one record says of others: it refers to them, or shares no value with them.

use serde_json::json;

use crate::world::{Tenant, TestResponse, World};

async fn tenant() -> Tenant {
    let tenant = World::shared().await.unbounded_tenant().await;
    tenant
        .collection(
            "authors",
            json!({"chief": {"type": "string", "reference": "authors"}}),
            json!({"soft_delete": true}),
        )
        .await;
    let properties = json!({
        "author": {"type": ["string", "null"], "reference": "authors"},
        "editors": {"type": "array", "items": {"type": "string"}, "reference": "authors"},
        "isbn": {"type": "string", "unique": true},
        "number": {"type": "integer", "unique": true},
    });
    tenant.collection("books", properties, json!({"soft_delete": true})).await;
    for id in ["ada", "bob", "cy"] {
        tenant.record("authors", json!({"id": id})).await;
    }
    tenant
}

#[tokio::test]
async fn a_reference_leads_to_a_record_of_the_tenant_that_is_there() {
    let (tenant, other) = (tenant().await, tenant().await);
    other.record("authors", json!({"id": "theirs"})).await;
    tenant.as_owner("DELETE", "/api/v1/authors/cy").send().await.expect(200);
    tenant.record("books", json!({"id": "b1", "author": "ada", "editors": ["bob", "bob"]})).await;
    for bad in ["nobody", "theirs", "cy", "b1"] {
        let body = json!({"author": bad, "editors": ["ada", bad]});
        for (method, path) in [("POST", "/api/v1/books"), ("PATCH", "/api/v1/books/b1"), ("PUT", "/api/v1/books/b1")] {
            let wrong = tenant.ask(method, path, body.clone()).await.expect_problem(422, "validation_failed");
            assert_eq!(wrong.pointers(), ["/author", "/editors/1"], "{method} {bad}");
            assert_eq!(wrong.codes(), ["not_found", "not_found"]);
        }
    }
    tenant.ask("POST", "/api/v1/books", json!({"author": "a b"})).await.expect_invalid("/author");
    tenant.ask("PATCH", "/api/v1/books/b1", json!({"author": null, "editors": []})).await.expect(200);
}

#[tokio::test]
async fn a_record_that_is_referred_to_stays() {
    let tenant = tenant().await;
    tenant.record("books", json!({"id": "b1", "author": "ada", "editors": ["bob"]})).await;
    for id in ["ada", "bob"] {
        for permanent in ["false", "true"] {
            let call = tenant.as_owner("DELETE", &format!("/api/v1/authors/{id}")).query("permanent", permanent);
            call.send().await.expect_problem(409, "still_referenced");
        }
    }
    tenant.ask("PATCH", "/api/v1/books/b1", json!({"editors": []})).await.expect(200);
    tenant.as_owner("DELETE", "/api/v1/authors/bob").send().await.expect(200);
    // A deleted record refers to nothing, and is not restored to refer to what is gone.
    tenant.as_owner("DELETE", "/api/v1/books/b1").send().await.expect(200);
    tenant.as_owner("DELETE", "/api/v1/authors/ada").send().await.expect(200);
    tenant.as_owner("POST", "/api/v1/books/b1/restore").send().await.expect_invalid("/author");
    tenant.as_owner("POST", "/api/v1/authors/ada/restore").send().await.expect(200);
    tenant.as_owner("POST", "/api/v1/books/b1/restore").send().await.expect(200);
}

#[tokio::test]
async fn a_record_may_refer_to_itself() {
    let tenant = tenant().await;
    tenant.record("authors", json!({"id": "own", "chief": "own"})).await;
    tenant.as_owner("DELETE", "/api/v1/authors/own").send().await.expect(200);
    tenant.as_owner("DELETE", "/api/v1/authors/own").query("permanent", "true").send().await.expect(200);
}

#[tokio::test]
async fn records_that_refer_to_each_other_are_made_and_deleted_together() {
    let tenant = tenant().await;
    let made = json!([
        {"op": "create", "data": {"id": "x", "chief": "y"}},
        {"op": "create", "data": {"id": "y", "chief": "z"}},
        {"op": "create", "data": {"id": "z", "chief": "x"}},
        {"op": "update", "id": "ada", "data": {"chief": "x"}},
    ]);
    tenant.bulk("authors", made).await.expect(200);
    let kept = json!([{"op": "delete", "id": "y"}, {"op": "delete", "id": "x"}, {"op": "delete", "id": "ada"}, {"op": "delete", "id": "z"}]);
    tenant
        .bulk("authors", json!([{"op": "delete", "id": "y"}, {"op": "delete", "id": "x"}]))
        .await
        .expect_problem(409, "still_referenced");
    tenant.bulk("authors", kept).await.expect(200);
    assert_eq!(tenant.ids("authors", &[("sort", "id")]).await, ["bob", "cy"]);
    let gone = ["x", "y", "z"].map(|id| json!({"op": "delete", "id": id, "permanent": true}));
    tenant.bulk("authors", json!(gone)).await.expect(200);
    assert_eq!(tenant.ids("authors", &[("deleted", "true")]).await, ["ada"]);
}

#[tokio::test]
async fn who_refers_to_a_record_may_turn_away_as_it_is_deleted() {
    let tenant = tenant().await;
    tenant.record("authors", json!({"id": "x", "chief": "ada"})).await;
    tenant.record("authors", json!({"id": "y", "chief": "ada"})).await;
    let some = json!([{"op": "update", "id": "x", "data": {"chief": "bob"}}, {"op": "delete", "id": "ada"}]);
    tenant.bulk("authors", some).await.expect_problem(409, "still_referenced");
    let stays = json!([{"op": "update", "id": "x", "data": {}}, {"op": "create", "data": {"chief": "ada"}}, {"op": "delete", "id": "ada"}]);
    assert_eq!(tenant.bulk("authors", stays).await.expect(422).pointers(), ["/operations/1/data/chief"]);
    let all = json!([
        {"op": "update", "id": "x", "data": {"chief": "bob"}},
        {"op": "replace", "id": "y", "data": {}},
        {"op": "delete", "id": "ada"},
    ]);
    tenant.bulk("authors", all).await.expect(200);
    // What stays as it is refers to it still.
    let same = json!([{"op": "update", "id": "x", "data": {"chief": "bob"}}, {"op": "delete", "id": "bob", "permanent": true}]);
    tenant.bulk("authors", same).await.expect_problem(409, "still_referenced");
    assert_eq!(tenant.get("/api/v1/authors/x").await.data()["chief"], "bob");
}

#[tokio::test]
async fn a_unique_value_is_one_records() {
    let (tenant, other) = (tenant().await, tenant().await);
    tenant.record("books", json!({"id": "b1", "isbn": "1", "number": 1})).await;
    tenant.record("books", json!({"id": "b2"})).await;
    tenant.record("books", json!({"id": "b3"})).await;
    other.record("books", json!({"isbn": "1"})).await;
    let body = json!({"isbn": "1", "number": 1.0});
    for (method, path) in [("POST", "/api/v1/books"), ("PATCH", "/api/v1/books/b2"), ("PUT", "/api/v1/books/b2")] {
        let taken = tenant.ask(method, path, body.clone()).await.expect_problem(409, "not_unique");
        assert_eq!(taken.pointers(), ["/isbn", "/number"], "{method}");
    }
    tenant.ask("PATCH", "/api/v1/books/b1", json!({"isbn": "2"})).await.expect(200);
    tenant.ask("PATCH", "/api/v1/books/b2", json!({"isbn": "1"})).await.expect(200);
}

#[tokio::test]
async fn a_unique_value_is_one_records_within_a_bulk_too() {
    let tenant = tenant().await;
    tenant.record("books", json!({"id": "b1", "isbn": "1"})).await;
    let twice = json!([{"op": "create", "data": {"isbn": "7"}}, {"op": "create", "data": {"isbn": "8"}}, {"op": "create", "data": {"isbn": "7"}}]);
    let taken = tenant.bulk("books", twice).await.expect_problem(409, "not_unique");
    assert_eq!(taken.pointers(), ["/operations/2/data/isbn"]);
    let theirs = json!([{"op": "create", "data": {"isbn": "7"}}, {"op": "create", "data": {"isbn": "1"}}]);
    let taken = tenant.bulk("books", theirs).await.expect_problem(409, "not_unique");
    assert_eq!(taken.pointers(), ["/operations/1/data/isbn"]);
    // What one lets go another one takes.
    let moved = json!([{"op": "update", "id": "b1", "data": {"isbn": "2"}}, {"op": "create", "data": {"id": "b2", "isbn": "1"}}]);
    tenant.bulk("books", moved).await.expect(200);
    let moved = json!([{"op": "delete", "id": "b1"}, {"op": "update", "id": "b2", "data": {"isbn": "2"}}]);
    tenant.bulk("books", moved).await.expect(200);
}

#[tokio::test]
async fn records_that_refer_to_each_other_are_not_put_beside_each_other_without_end() {
    let world = World::shared().await;
    let tenant = world.tenant().limit("max_api_requests_per_minute", -1).limit("max_anonymous_requests_per_minute", -1);
    let tenant = tenant.create().await;
    let properties = json!({
        "text": {"type": "string"},
        "next": {"type": "string", "reference": "posts"},
        "related": {"type": "array", "items": {"type": "string"}, "reference": "posts"},
    });
    tenant.collection("posts", properties, json!({"public_read": true})).await;
    let all: Vec<String> = (0..20).map(|i| format!("p{i}")).collect();
    tenant.fill("posts", 0..20, |i| json!({"id": all[i], "next": all[(i + 1) % 20], "related": all})).await;
    // Each from a network of its own, which could not ask for so much in a moment.
    let stranger = async |path: &str, query: &[(&str, &str)]| {
        let call = tenant.through(&world.elsewhere()).call("GET", path);
        query.iter().fold(call, |call, (name, value)| call.query(name, value)).send().await
    };
    let refused = |answer: TestResponse| {
        let answer = answer.expect_problem(400, "too_complex");
        assert_eq!(answer.pointers(), ["?expand"]);
        let message = answer.json()["errors"][0]["message"].to_string();
        assert!(message.contains("5000 records") && message.contains("2 MB"), "{message}");
    };
    for expand in ["related.related", "related.related.related", "related.related.next", "next,related.related.next"] {
        refused(stranger("/api/v1/posts", &[("expand", expand)]).await);
    }
    // One record is as many as all of them, a hop later.
    refused(stranger("/api/v1/posts/p0", &[("expand", "related.related.related")]).await);
    refused(tenant.listed("posts", &[("expand", "related.related.related"), ("fields", "id")]).await);
    let some =
        stranger("/api/v1/posts", &[("expand", "related.next"), ("limit", "20"), ("sort", "id")]).await.expect(200);
    let first = &some.data()[0]["expand"]["related"];
    assert_eq!((first.as_array().unwrap().len(), &first[19]["expand"]["next"]["id"]), (20, &json!("p0")));
    stranger("/api/v1/posts/p0", &[("expand", "related.related")]).await.expect(200);
    stranger("/api/v1/posts", &[("expand", "next.next.next")]).await.expect(200);
    // What is long counts by its length, also where it is only read.
    let long = "x".repeat(120 * 1024);
    let ids: Vec<String> = (20..40).map(|i| format!("p{i}")).collect();
    for id in &ids {
        tenant.record("posts", json!({"id": id, "text": long})).await;
    }
    tenant.record("posts", json!({"id": "few", "related": ids[..10]})).await;
    tenant.record("posts", json!({"id": "many", "related": ids})).await;
    stranger("/api/v1/posts/few", &[("expand", "related")]).await.expect(200);
    refused(stranger("/api/v1/posts/many", &[("expand", "related")]).await);
}

#[tokio::test]
async fn an_ordinary_list_of_a_hundred_shows_two_hops() {
    let tenant = tenant().await;
    tenant.fill("authors", 0..100, |i| json!({"id": format!("a{i}"), "chief": format!("a{}", i / 10)})).await;
    let book = |i: usize| json!({"author": format!("a{i}"), "editors": [format!("a{}", i / 2), format!("a{}", i / 3)]});
    tenant.fill("books", 0..100, book).await;
    let query = [("limit", "100"), ("expand", "author.chief,editors.chief.chief")];
    let listed = tenant.listed("books", &query).await.expect(200).data();
    let books = listed.as_array().unwrap();
    assert_eq!(books.len(), 100);
    assert!(books.iter().all(|book| book["expand"]["author"]["expand"]["chief"]["id"].is_string()));
}
