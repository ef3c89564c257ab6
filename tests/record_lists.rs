//! Which records a list shows: filters, words, flat parameters, and the bounds of all of them.

use serde_json::{Value, json};

use crate::world::{Tenant, TestResponse, World, eventually};

/// Four records of which each kind of field is there twice, with an index (`_i`) and without (`_p`).
async fn tenant() -> Tenant {
    let tenant = World::shared().await.unbounded_tenant().await;
    let mut properties = json!({});
    let date = json!({"type": ["string", "null"], "format": "date-time"});
    let list = json!({"type": "array", "items": {"type": "string"}});
    for (name, kind) in [
        ("n", json!({"type": ["number", "null"]})),
        ("s", json!({"type": "string"})),
        ("f", json!({"type": "boolean"})),
        ("d", date),
        ("t", list),
    ] {
        properties[format!("{name}_p")] = kind.clone();
        properties[format!("{name}_i")] = kind;
        properties[format!("{name}_i")]["indexed"] = json!(true);
    }
    properties["o"] = json!({"type": "object"});
    tenant.collection("things", properties, json!({})).await;
    for (id, values) in [
        ("a", json!({"n": 1, "s": "Alpha", "f": true, "d": "2026-01-01T00:00:00Z", "t": ["x", "y"]})),
        ("b", json!({"n": 2.5, "s": "beta", "f": false, "d": "2026-02-01T00:00:00+01:00", "t": []})),
        ("c", json!({"n": null})),
        ("d", json!({"n": 10, "s": "ALPHABET", "d": "2026-01-01T12:00:00+02:00", "t": ["y", "Zed"]})),
    ] {
        let mut body = json!({"id": id, "o": {"deep": 1}});
        for (name, value) in values.as_object().unwrap() {
            body[format!("{name}_p")] = value.clone();
            body[format!("{name}_i")] = value.clone();
        }
        tenant.record("things", body).await;
    }
    tenant
}

async fn found(tenant: &Tenant, filter: &str) -> String {
    tenant.ids("things", &[("filter", filter), ("sort", "id")]).await.concat()
}

#[tokio::test]
async fn a_filter_says_the_same_with_an_index_and_without() {
    let tenant = tenant().await;
    for (filter, expected) in [
        ("n = 1", "a"),
        ("n != 1", "bcd"),
        ("n > 1", "bd"),
        ("n >= 2.5", "bd"),
        ("n < 10", "ab"),
        ("n <= 1", "a"),
        ("n = null", "c"),
        ("n != null", "abd"),
        ("n = 1.0", "a"),
        ("s = \"Alpha\"", "a"),
        ("s != 'Alpha'", "bcd"),
        ("s < 'a'", "ad"),
        ("s ~ 'ALPHA'", "ad"),
        ("s !~ 'alpha'", "bc"),
        ("s = null", "c"),
        ("s = 'it\\'s'", ""),
        ("f = true", "a"),
        ("f != true", "bcd"),
        ("f = null", "cd"),
        ("d > '2026-01-01'", "bd"),
        ("d <= '2026-01-01'", "a"),
        ("d = '2026-01-01T11:00:00+01:00'", "d"),
        ("d < '2026-01-31T23:00:00.001Z'", "abd"),
        ("t = 'y'", "ad"),
        ("t != 'y'", "bc"),
        ("t ~ 'zE'", "d"),
        ("t !~ 'ze'", "abc"),
        ("t > 'x'", "ad"),
        ("t < 'a'", "d"),
        ("t = null", "bc"),
        ("t != null", "ad"),
    ] {
        let (name, rest) = filter.split_at(1);
        for with in ["_i", "_p"] {
            assert_eq!(found(&tenant, &format!("{name}{with}{rest}")).await, expected, "{filter} {with}");
        }
    }
}

#[tokio::test]
async fn conditions_are_joined_and_grouped() {
    let tenant = tenant().await;
    for (filter, expected) in [
        ("n_i > 1 && t_p = 'y' || s_i = 'beta'", "bd"),
        ("n_i > 1 && (t_p = 'y' || s_i = 'beta')", "bd"),
        ("s_p = 'beta' || n_i >= 1 && t_i = 'x'", "ab"),
        ("(s_p = 'beta' || n_i >= 1) && t_i = 'y'", "ad"),
        ("n_i = 1 && n_i = 2", ""),
        ("id = 'a' || id = 'd'", "ad"),
        ("id ~ 'B'", "b"),
        ("version = 1 && version < 2", "abcd"),
        ("created_at > '2020-01-01' && updated_at > '2020-01-01'", "abcd"),
        ("created_at < '2020-01-01'", ""),
        ("created_by = updated_by", "?"),
        ("created_by != null", "abcd"),
    ] {
        if expected == "?" {
            tenant.listed("things", &[("filter", filter)]).await.expect_invalid_query("filter");
        } else {
            assert_eq!(found(&tenant, filter).await, expected, "{filter}");
        }
    }
}

#[tokio::test]
async fn a_filter_of_an_indexed_value_keeps_every_order() {
    let tenant = tenant().await;
    tenant.fill("things", 0..20, |i| json!({"id": format!("x{i:02}"), "s_i": "same", "n_i": i % 3})).await;
    let filter = ("filter", "s_i = 'same' && n_i >= 1");
    for sort in ["created_at", "-created_at", "id", "-n_i,id", "updated_at"] {
        let whole = tenant.ids("things", &[filter, ("sort", sort)]).await;
        assert_eq!(whole.len(), 13, "{sort}");
        assert_eq!(tenant.walked("things", &[filter, ("sort", sort), ("limit", "5")]).await, whole, "{sort}");
    }
    let counted = tenant.listed("things", &[filter, ("page", "2"), ("per_page", "10")]).await.expect(200);
    assert_eq!((counted.ids().len(), &counted.json()["pagination"]["total"]), (3, &json!(13)));
}

#[tokio::test]
async fn flat_parameters_say_what_most_lists_ask() {
    let tenant = World::shared().await.unbounded_tenant().await;
    let statuses = json!({"initial": "new", "transitions": {"new": ["won", "lost"]}});
    tenant.collection("leads", json!({"n": {"type": "integer"}}), json!({"statuses": statuses})).await;
    for (id, status) in [("a", "new"), ("b", "won"), ("c", "lost"), ("d", "won")] {
        tenant.record("leads", json!({"id": id, "status": status, "n": 1})).await;
    }
    tenant.on_shard("UPDATE records SET created_at = 1000 WHERE tenant_id = ?1 AND id IN ('a', 'b')", &[]).await;
    let ids = async |query: &[(&str, &str)]| tenant.ids("leads", &[query, &[("sort", "id")]].concat()).await.concat();
    assert_eq!(ids(&[("status", "won")]).await, "bd");
    assert_eq!(ids(&[("status", "won, lost")]).await, "bcd");
    for (bad, message) in [("none", "must be statuses of this collection: new, won, lost"), ("won,none", "must be")] {
        let refused = tenant.listed("leads", &[("status", bad)]).await.expect_invalid_query("status");
        assert!(refused.json()["errors"][0]["message"].as_str().unwrap().starts_with(message), "{}", refused.json());
    }
    assert_eq!(ids(&[("status", " ")]).await, "abcd");
    for empty in [",", " , "] {
        tenant.listed("leads", &[("status", empty)]).await.expect_invalid_query("status");
    }
    for unknown in ["status = 'none'", "status != 'none'", "n = 1 || status = ''"] {
        let refused = tenant.listed("leads", &[("filter", unknown)]).await.expect_invalid_query("filter");
        assert_eq!(refused.codes(), ["unknown_status"]);
        assert!(refused.body.contains("new, won, lost"), "{}", refused.body);
    }
    assert_eq!(ids(&[("created_after", "2020-01-01")]).await, "cd");
    assert_eq!(ids(&[("created_before", "2020-01-01T00:00:00Z"), ("status", "won")]).await, "b");
    assert_eq!(ids(&[("updated_after", "2020-01-01"), ("filter", "status != 'won'")]).await, "ac");
    assert_eq!(ids(&[("updated_before", "2020-01-01")]).await, "");
    for (query, total) in [
        (vec![], 4),
        (vec![("status", "won")], 2),
        (vec![("status", "won,new")], 3),
        (vec![("filter", "status = 'won'")], 2),
    ] {
        let answer = tenant.listed("leads", &[&query[..], &[("count", "true")]].concat()).await.expect(200);
        assert_eq!(answer.json()["pagination"]["total"], total, "{query:?}");
    }
}

#[tokio::test]
async fn words_are_found_by_the_full_text_index() {
    let (tenant, other) = (searched().await, searched().await);
    other.record("posts", json!({"id": "theirs", "title": "Bäume überall"})).await;
    let found = async |q: &str| tenant.ids("posts", &[("q", q), ("sort", "id")]).await.concat();
    for (q, expected) in [
        ("Bäume", "a"),
        ("baume", "a"),
        ("baum", "b"),
        ("baum*", "ab"),
        ("haus baum*", "b"),
        ("BAUM haus", "b"),
        ("haus baum", "b"),
        ("hau bäume", ""),
        ("größe wald", "a"),
        ("uberall", ""),
        ("theirs", ""),
        ("\"wald\" OR NOT (*", ""),
        ("\"im wald\"", "a"),
        ("\"wald im\"", ""),
        ("\"bäume im\"", ""),
        ("\"größe der bä\"*", "a"),
        ("*", ""),
        ("\"\"", ""),
        ("()", ""),
        ("😀", ""),
        ("wald*", "a"),
        ("scope", ""),
        ("x", ""),
        ("42", "c"),
    ] {
        assert_eq!(found(q).await, expected, "{q}");
    }
    tenant.ask("PATCH", "/api/v1/posts/a", json!({"title": "Wiese"})).await.expect(200);
    assert_eq!((found("baume").await, found("wiese").await), (String::new(), "a".to_owned()));
    assert_eq!(tenant.ids("posts", &[("q", "baum"), ("filter", "n > 5")]).await, Vec::<String>::new());
    let counted = tenant.listed("posts", &[("q", "wald"), ("count", "true")]).await.expect(200);
    assert_eq!(counted.json()["pagination"]["total"], 1);
}

#[tokio::test]
async fn a_text_without_blanks_is_found_by_any_part_of_it() {
    let tenant = searched().await;
    tenant.record("posts", json!({"id": "t", "title": "東京タワー", "text": "ภาษาไทย, 한국어"})).await;
    let found = async |q: &str| tenant.ids("posts", &[("q", q), ("sort", "id")]).await.concat();
    for (q, expected) in [
        ("東京", "t"),
        ("タワー", "t"),
        ("京", "t"),
        ("東京*", "t"),
        ("京東", ""),
        ("ไทย", "t"),
        ("한국*", "t"),
        ("한국", ""),
    ] {
        assert_eq!(found(q).await, expected, "{q}");
    }
    let counted = tenant.listed("posts", &[("q", "東京"), ("count", "true")]).await.expect(200);
    assert_eq!(counted.json()["pagination"]["total"], 1);
}

#[tokio::test]
async fn many_words_are_written_and_searched_and_too_many_are_named() {
    let tenant = searched().await;
    let words = |count: usize| (0..count).map(|i| format!("w{i}")).collect::<Vec<_>>().join(" ");
    tenant.record("posts", json!({"id": "m", "text": words(15_000)})).await;
    assert_eq!(tenant.ids("posts", &[("q", &words(32))]).await, ["m"]);
    assert_eq!(tenant.ids("posts", &[("q", "w14999")]).await, ["m"]);
    let refused = tenant.listed("posts", &[("q", &words(33))]).await.expect_problem(400, "invalid_query");
    assert_eq!((refused.pointers(), refused.codes()), (vec!["?q".to_owned()], vec!["too_many_words".to_owned()]));

    // As many letters as a request may have, each of which makes a word with the next.
    let text = "東京都庁".repeat(3000);
    let operation = |i: usize| json!({"op": "create", "id": format!("k{i}"), "data": {"text": text}});
    let body = json!({"operations": (0..20).map(operation).collect::<Vec<_>>()});
    let refused = tenant.ask("POST", "/api/v1/posts/bulk", body).await.expect_problem(422, "validation_failed");
    assert_eq!(refused.codes(), ["too_many_words"]);
    assert!(tenant.ids("posts", &[("q", "都庁")]).await.is_empty());
    let body = json!({"operations": (0..10).map(operation).collect::<Vec<_>>()});
    tenant.ask("POST", "/api/v1/posts/bulk", body).await.expect(200);
    assert_eq!(tenant.ids("posts", &[("q", "都庁東")]).await.len(), 10);
}

async fn searched() -> Tenant {
    let tenant = World::shared().await.unbounded_tenant().await;
    let properties = json!({"title": {"type": "string", "searched": true}, "text": {"type": "string", "searched": true},
        "note": {"type": "string"}, "n": {"type": "integer"}});
    tenant.collection("posts", properties, json!({})).await;
    for body in [
        json!({"id": "a", "title": "Größe der Bäume", "text": "im Wald", "n": 1}),
        json!({"id": "b", "title": "Baumhaus", "text": "Haus im Baum", "n": 2}),
        json!({"id": "c", "title": "42 Antworten", "note": "baum"}),
    ] {
        tenant.record("posts", body).await;
    }
    tenant
}

#[tokio::test]
async fn without_a_full_text_index_a_text_is_looked_for_in_every_text() {
    let tenant = World::shared().await.unbounded_tenant().await;
    let properties = json!({"a": {"type": "string"}, "b": {"type": "string"}, "n": {"type": "integer"}});
    tenant.collection("posts", properties, json!({})).await;
    tenant.record("posts", json!({"id": "x", "a": "The Bell rings"})).await;
    tenant.record("posts", json!({"id": "y", "b": "bellfry 100%"})).await;
    for (q, expected) in [("bell", "xy"), ("ell r", "x"), ("100%", "y"), ("_", ""), ("xy", "")] {
        assert_eq!(tenant.ids("posts", &[("q", q), ("sort", "id")]).await.concat(), expected, "{q}");
    }
    tenant.collection("numbers", json!({"n": {"type": "integer"}}), json!({})).await;
    tenant.record("numbers", json!({"n": 1})).await;
    assert!(tenant.ids("numbers", &[("q", "1")]).await.is_empty());
}

#[tokio::test]
async fn what_a_list_cannot_do_names_its_parameter() {
    let tenant = tenant().await;
    let terms = |count: usize| vec!["n_i = 1"; count].join(" || ");
    let deep = |depth: usize| format!("{}n_i = 1{}", "(".repeat(depth), ")".repeat(depth));
    let long = |length: usize| format!("s_i = '{}'", "x".repeat(length - 8));
    for (name, bad) in [
        ("limit", "0"),
        ("limit", "201"),
        ("limit", "many"),
        ("per_page", "0"),
        ("page", "0"),
        ("page", "2001"),
        ("count", "maybe"),
        ("deleted", "maybe"),
        ("cursor", "nonsense"),
        ("created_after", "yesterday"),
        ("updated_before", "2026-13-01"),
        ("status", "new"),
        ("sort", "nothing"),
        ("sort", "n_p"),
        ("sort", "t_i"),
        ("sort", "o"),
        ("sort", "n_i,s_i,d_i"),
        ("sort", "id,id"),
        ("sort", "-"),
        ("sort", "id,+"),
        ("sort", "id,version,created_at,updated_at,n_i"),
        ("sort", "status"),
        ("filter", "nothing = 1"),
        ("filter", "n_i = 'a'"),
        ("filter", "s_i = 1"),
        ("filter", "n_i ~ 'a'"),
        ("filter", "o = 1"),
        ("filter", "d_i > 'soon'"),
        ("filter", "f_i = 1"),
        ("filter", "n_i ="),
        ("filter", "n_i > 1e309"),
        ("filter", "status = 'new'"),
        ("filter", "tenant_id = 'a'"),
        ("filter", &terms(21)),
        ("filter", &deep(9)),
        ("filter", &long(2001)),
        ("q", &"x".repeat(201)),
        ("expand", "s_i"),
        ("expand", "nothing"),
        ("expand", "a.b.c.d"),
        ("fields", &vec!["id"; 51].join(",")),
        ("fields", "nothing"),
        ("fields", "id,s_i,nothing"),
        ("fields", "status"),
        ("fields", "expand.s_i"),
    ] {
        tenant.listed("things", &[(name, bad)]).await.expect_invalid_query(name);
    }
    for (name, good) in [
        ("limit", "200"),
        ("page", "2000"),
        ("filter", &terms(20)),
        ("filter", &deep(8)),
        ("filter", &long(2000)),
        ("q", &"x".repeat(200)),
        ("sort", "+id"),
        ("sort", "n_i,-s_i,version,id"),
        ("filter", " "),
    ] {
        tenant.listed("things", &[(name, good)]).await.expect(200);
    }
    let both = [("page", "1"), ("cursor", "x")];
    tenant.listed("things", &both).await.expect_invalid_query("page");
    tenant.listed("things", &[("deleted", "true"), ("sort", "n_i")]).await.expect_invalid_query("sort");
}

#[tokio::test]
async fn the_most_that_a_list_may_ask_is_answered() {
    let tenant = tenant().await;
    // Each term with an index binds two, each text without one three: the most that a statement holds.
    for term in ["n_i = 1", "s_p ~ 'a'", "t_p ~ 'z'", "t_p = null", "d_p > '2026-01-01'", "created_at > '2026-01-01'"] {
        let filter = vec![term; 20].join(" && ");
        let query = [
            ("filter", filter.as_str()),
            ("q", "a"),
            ("sort", "-n_i,s_i,version,-id"),
            ("limit", "1"),
            ("count", "true"),
        ];
        let page = tenant.listed("things", &query).await;
        let next = page.cursor();
        assert!(page.status == 200 || page.clone().expect_problem(400, "too_complex").status == 400, "{term}");
        if let Some(cursor) = next {
            let behind = tenant.listed("things", &[&query[..], &[("cursor", &cursor)]].concat()).await;
            assert!(matches!(behind.status, 200 | 400), "{term}: {}", behind.body);
        }
    }
}

#[tokio::test]
async fn a_list_of_another_tenants_collection_is_a_missing_one() {
    let (tenant, other) = (tenant().await, World::shared().await.unbounded_tenant().await);
    let listed = async |asking: &Tenant, slug: &str| -> TestResponse {
        asking.listed(slug, &[("filter", "n_i = 1"), ("sort", "-n_i")]).await.expect_problem(404, "not_found")
    };
    assert_eq!(listed(&other, "things").await.masked(&["things"]), listed(&other, "nobody").await.masked(&["nobody"]));
    other.collection("things", json!({"n_i": {"type": "number", "indexed": true}}), json!({})).await;
    assert!(other.ids("things", &[("filter", "n_i >= 0")]).await.is_empty());
    assert_eq!(tenant.ids("things", &[("filter", "n_i >= 0")]).await.len(), 3);
}

#[tokio::test]
async fn a_definition_that_changed_counts_in_the_next_list() {
    let tenant = tenant().await;
    tenant.ids("things", &[("sort", "n_i")]).await;
    let patch = json!({"schema": {"properties": {"n_i": {"indexed": null}, "n_p": {"indexed": true}}}});
    tenant.ask("PATCH", "/api/v1/collections/things", patch).await.expect(200);
    tenant.built("things").await;
    // Whichever isolate answers, and whatever it remembers.
    for _ in 0..5 {
        tenant.listed("things", &[("sort", "n_i")]).await.expect_invalid_query("sort");
        assert_eq!(tenant.ids("things", &[("sort", "-n_p")]).await, ["d", "b", "a", "c"]);
    }
    let gone = eventually("no row of the old index", async || {
        let sql = "SELECT 1 AS one FROM record_index WHERE tenant_id = ?1 AND field = 'n_i'";
        tenant.on_shard(sql, &[]).await.is_empty().then_some(Value::Null)
    });
    gone.await;
}
