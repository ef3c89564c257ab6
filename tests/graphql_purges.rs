//! Purges: what ends with which change, where and when, and that nothing old comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::graphql_cache::{posted, tenant_of, verdict};
use crate::world::content::{Content, POSTS, post, relay, version};
use crate::world::{Site, SiteAnswer, Tenant, TestResponse, World, eventually};

async fn ask(tenant: &Tenant, document: &str) -> TestResponse {
    posted(tenant, document).send().await
}

async fn ask_after(tenant: &Tenant, document: &str, event: &str) -> TestResponse {
    posted(tenant, document).header("X-Carillon-After", event).send().await
}

/// Publishes a change of a post; gives the event's id.
async fn publish(tenant: &Tenant, action: &str, keys: Option<Vec<String>>) -> String {
    // From a network of its own each time, as networks are bounded too.
    let webhook = tenant.through(&tenant.world.elsewhere()).webhook();
    let webhook = webhook.set("node_type", json!("post")).set("action", json!(action));
    let webhook = match keys {
        Some(keys) => webhook.set("keys", json!(keys)),
        None => webhook,
    };
    webhook.accepted().await
}

/// Whether an answer with these keys ends with a webhook or a purge.
async fn ends(tenant: &Tenant, keys: &'static str, body: &'static str, act: impl AsyncFn()) -> bool {
    let site = Site::saying(move |_| SiteAnswer::json(200, body).with("X-GraphQL-Keys", keys));
    tenant.patch(json!({"wpgraphql_endpoint": site.url()})).await;
    assert_eq!(verdict(&ask(tenant, "query Op{a}").await), "MISS; reason=new");
    act().await;
    let after = ask(tenant, "query Op{a}").await;
    match verdict(&after) {
        "HIT; reason=memory" => false,
        "MISS; reason=purged" => true,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn each_kind_of_change_ends_what_it_touches() {
    let tenant = tenant_of(&World::shared().await, &Site::recorded(), json!({})).await;
    let something = r#"{"data":{"a":1}}"#;
    let nothing = r#"{"data":{"a":null}}"#;
    let lists = "id graphql:Query list:post cG9zdDox";
    let single = "id graphql:Query cG9zdDo2";
    let truncated = "id graphql:Query list:post cG9zdDox skipped:post";
    for (name, node_type, action, data, keys, answer, body, expected) in [
        ("publish", "post", "CREATE", json!({"id": 6}), Some(json!(["list:post", "dGVybTox"])), lists, something, true),
        ("publish elsewhere", "page", "CREATE", json!({"id": 6}), Some(json!(["list:page"])), lists, something, false),
        (
            "a page where nothing was",
            "page",
            "CREATE",
            json!({"id": 6}),
            Some(json!(["list:page"])),
            "id graphql:Query",
            nothing,
            true,
        ),
        (
            "a field that found nothing",
            "page",
            "UPDATE",
            json!({"id": 9}),
            Some(json!(["cG9zdDo5"])),
            single,
            nothing,
            true,
        ),
        ("update", "post", "UPDATE", json!({"id": 6}), Some(json!(["cG9zdDo2"])), single, something, true),
        ("update of another", "post", "UPDATE", json!({"id": 7}), Some(json!(["cG9zdDo3"])), single, something, false),
        (
            "update, in a list that was cut off",
            "post",
            "UPDATE",
            json!({}),
            Some(json!(["cG9zdDo2"])),
            truncated,
            something,
            true,
        ),
        (
            "unpublish moves lists",
            "post",
            "DELETE",
            json!({"id": 6}),
            Some(json!(["cG9zdDo2"])),
            lists,
            something,
            true,
        ),
        ("update does not", "post", "UPDATE", json!({"id": 6}), Some(json!(["cG9zdDo2"])), lists, something, false),
        ("no keys, by number", "post", "UPDATE", json!({"databaseId": 6}), None, single, something, true),
        ("no keys, by Relay id", "post", "UPDATE", json!({"id": "cG9zdDo2"}), None, single, something, true),
        ("no keys, another node", "post", "UPDATE", json!({"id": 7}), None, single, something, false),
        ("no keys and no id", "post", "UPDATE", json!({}), None, single, something, true),
        ("no keys and no id, of another kind", "category", "UPDATE", json!({}), None, single, something, false),
        ("an empty list", "post", "UPDATE", json!({"id": 6}), Some(json!([])), single, something, false),
        (
            "menus",
            "menu_item",
            "CREATE",
            json!({"id": 6}),
            Some(json!(["list:menuitem"])),
            "id graphql:Query list:menuitem",
            something,
            true,
        ),
        (
            "settings",
            "settings",
            "UPDATE",
            json!({}),
            Some(json!(["c2V0dGluZ19ncm91cDpnZW5lcmFs"])),
            "id graphql:Query c2V0dGluZ19ncm91cDpnZW5lcmFs",
            something,
            true,
        ),
        (
            "settings by their type",
            "settings",
            "UPDATE",
            json!({}),
            None,
            "id graphql:Query c2V0dGluZ19ncm91cDpnZW5lcmFs",
            something,
            true,
        ),
        (
            "user",
            "user",
            "UPDATE",
            json!({"id": 1}),
            Some(json!(["dXNlcjox"])),
            "id graphql:Query list:user dXNlcjox",
            something,
            true,
        ),
        (
            "permalinks",
            "settings",
            "UPDATE",
            json!({}),
            Some(json!(["graphql:Query"])),
            "id graphql:Query cG9zdDo5",
            something,
            true,
        ),
        (
            "a type of a plugin",
            "product",
            "CREATE",
            json!({"id": 6}),
            None,
            "id graphql:Query list:simpleproduct",
            something,
            true,
        ),
    ] {
        let webhook =
            tenant.webhook().set("node_type", json!(node_type)).set("action", json!(action)).set("data", data);
        let webhook = if let Some(keys) = keys { webhook.set("keys", keys) } else { webhook };
        let ended = ends(&tenant, answer, body, async || drop(webhook.clone().accepted().await)).await;
        assert_eq!(ended, expected, "{name}");
    }
}

#[tokio::test]
async fn what_was_not_there_is_shown_once_it_is_published_and_gone_once_it_is_not() {
    let (a, b) = World::pair().await;
    let content = Content::of([1]);
    let tenant = tenant_of(&a, &content.site, json!({"fresh_seconds": 600})).await;
    let there = tenant.through(&b);
    for _ in 0..3 {
        for one in [&tenant, &there] {
            assert_eq!(version(&ask(one, &post(7)).await.body), None);
            assert!(verdict(&ask(one, &post(7)).await).starts_with("HIT"));
        }
        // WPGraphQL names the list, and not the post.
        content.change(7);
        let published = publish(&tenant, "CREATE", Some(vec!["list:post".into()])).await;
        for one in [&tenant, &there] {
            assert!(version(&ask_after(one, &post(7), &published).await.body).is_some());
        }
        content.delete(7);
        let unpublished = publish(&there, "DELETE", Some(vec![relay(7)])).await;
        for one in [&tenant, &there] {
            assert_eq!(version(&ask_after(one, &post(7), &unpublished).await.body), None);
        }
    }
}

#[tokio::test]
async fn the_api_purges_by_key_id_type_operation_document_and_all() {
    let tenant = tenant_of(&World::shared().await, &Site::recorded(), json!({})).await;
    let purge = async |body: &Value| tenant.as_owner("POST", "/api/v1/cache/purge").json(body).send().await;
    let (keys, body) = ("id9 graphql:Query list:post cG9zdDo2", r#"{"data":{"a":1}}"#);
    for (what, expected) in [
        (json!({"keys": ["list:post"]}), true),
        (json!({"keys": ["list:page"]}), false),
        (json!({"ids": ["cG9zdDo2"]}), true),
        (json!({"ids": ["post:6"]}), true),
        (json!({"ids": ["page:6"]}), true),
        (json!({"ids": ["post:7"]}), false),
        (json!({"types": ["Post"]}), true),
        (json!({"types": ["User"]}), false),
        (json!({"operations": ["Op"]}), true),
        (json!({"operations": ["Other"]}), false),
        (json!({"documents": ["query Op { a }"]}), true),
        (json!({"documents": ["query Other { a }"]}), false),
        (json!({"all": true}), true),
    ] {
        let ended = ends(&tenant, keys, body, async || drop(purge(&what).await.expect(200))).await;
        assert_eq!(ended, expected, "{what}");
    }
    for (what, pointer) in [
        (json!({}), "/keys"),
        (json!({"all": false, "keys": []}), "/keys"),
        (json!({"keys": ["*lists"]}), "/keys/0"),
        (json!({"keys": ["a b"]}), "/keys/0"),
        (json!({"ids": ["6"]}), "/ids/0"),
        (json!({"ids": ["genre:6"]}), "/ids/0"),
        (json!({"documents": ["{"]}), "/documents/0"),
        (json!({"keys": ["a"], "other": 1}), "/other"),
    ] {
        purge(&what).await.expect_invalid(pointer);
    }
    let viewer = tenant.user("viewer").await.login().await.access;
    let refused = tenant.call("POST", "/api/v1/cache/purge").bearer(&viewer).json(&json!({"all": true})).send().await;
    refused.expect_problem(403, "forbidden");
}

#[tokio::test]
async fn another_sites_purge_is_refused_and_changes_nothing() {
    let content = Content::of([1]);
    let tenant = tenant_of(&World::shared().await, &content.site, json!({})).await;
    ask(&tenant, POSTS).await.expect(200);
    let mut stream = tenant.subscribe(&["posts"]).await;
    let other = tenant.webhook().set("keys", json!(["list:post"])).set("graphql_url", json!("www.other.test/graphql"));
    other.send().await.expect_problem(409, "wrong_site");
    let by_header = tenant.webhook().header("X-GraphQL-URL", "www.other.test/graphql").send().await;
    by_header.expect_problem(409, "wrong_site");
    let body = json!({"all": true, "graphql_url": "www.other.test/graphql"});
    tenant.as_owner("POST", "/api/v1/cache/purge").json(&body).send().await.expect_problem(409, "wrong_site");
    assert_eq!(verdict(&ask(&tenant, POSTS).await), "HIT; reason=memory");
    let own = content.site.url().replace("http://", "");
    let id = tenant.webhook().set("keys", json!(["list:post"])).set("graphql_url", json!(own)).accepted().await;
    assert_eq!(verdict(&ask(&tenant, POSTS).await), "MISS; reason=purged");
    assert_eq!(stream.event().await.id, id, "the first event that its stream hears");
}

#[tokio::test]
async fn a_purge_is_no_event_but_has_a_number_among_them() {
    let content = Content::of([1]);
    let tenant = tenant_of(&World::shared().await, &content.site, json!({})).await;
    let mut stream = tenant.subscribe(&["*"]).await;
    let first = tenant.publish("a", json!(1)).await;
    let purged =
        tenant.as_owner("POST", "/api/v1/cache/purge").json(&json!({"all": true})).send().await.expect(200).data();
    let second = tenant.publish("a", json!(2)).await;
    let number = |id: &str| id.rsplit('-').next().unwrap().parse::<u64>().unwrap();
    let id = purged["id"].as_str().unwrap();
    assert_eq!((number(&first) + 1, number(id) + 1), (number(id), number(&second)));
    assert_eq!(
        (stream.event().await.id, stream.event().await.id),
        (first.clone(), second.clone()),
        "no stream sees it"
    );
    // A client that resumes at a purge's number hears what came after it.
    let mut resumed = tenant.events(&["*"]).after(id).resumed().await;
    assert_eq!(resumed.event().await.id, second);
    assert_eq!(verdict(&ask_after(&tenant, POSTS, id).await), "MISS; reason=new");
}

#[tokio::test]
async fn a_soft_purge_shows_the_old_answer_while_it_is_fetched_anew_but_not_to_who_has_heard() {
    let content = Content::of([1]);
    let tenant = tenant_of(&World::shared().await, &content.site, json!({})).await;
    ask(&tenant, &post(1)).await.expect(200);
    content.change(1);
    let soft = json!({"ids": ["post:1"], "soft": true});
    let purged = tenant.as_owner("POST", "/api/v1/cache/purge").json(&soft).send().await.expect(200).data();
    content.slow(Duration::from_millis(300));
    let document = post(1);
    let heard = ask_after(&tenant, &document, purged["id"].as_str().unwrap());
    let (unheard, heard) = tokio::join!(ask(&tenant, &document), heard);
    assert_eq!((verdict(&unheard), version(&unheard.body)), ("STALE; reason=purged", Some(1)));
    assert_eq!((verdict(&heard), version(&heard.body)), ("MISS; reason=purged", Some(2)));
    eventually("the new answer", async || {
        let answer = ask(&tenant, &post(1)).await;
        (verdict(&answer) == "HIT; reason=memory" && version(&answer.body) == Some(2)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn after_a_hard_purge_nothing_old_is_shown_whatever_the_site_does() {
    let content = Content::of([1]);
    let cache = json!({"stale_while_revalidate_seconds": 60, "stale_if_error_seconds": 60});
    let tenant = tenant_of(&World::shared().await, &content.site, cache).await;
    for (action, keys) in [("DELETE", Some(vec![relay(1)])), ("UPDATE", Some(vec![relay(1)])), ("UPDATE", None)] {
        content.fails(false);
        content.change(1);
        ask(&tenant, &post(1)).await.expect(200);
        publish(&tenant, action, keys).await;
        content.fails(true);
        let answer = posted(&tenant, &post(1)).send().await;
        assert_eq!((answer.status, answer.header("x-carillon-cache")), (500, "PASS; reason=status"));
    }
}

#[tokio::test]
async fn an_answer_that_was_read_before_a_purge_and_comes_after_it_is_not_kept() {
    let (a, b) = World::pair().await;
    let content = Content::of([1, 2]);
    let tenant = tenant_of(&a, &content.site, json!({})).await;
    let there = tenant.through(&b);
    for (purging, id) in [(&tenant, 1), (&there, 2)] {
        content.slow(Duration::from_millis(600));
        let asked = content.executions();
        let late = tokio::spawn(posted(&tenant, &post(id)).send());
        eventually("the site is asked", async || (content.executions() > asked).then_some(())).await;
        let now = content.change(id);
        let event = publish(purging, "UPDATE", Some(vec![relay(id)])).await;
        content.slow(Duration::ZERO);
        let answer = late.await.unwrap();
        assert_eq!(version(&answer.body), Some(now - 1), "it was asked before");
        for one in [&tenant, &there] {
            let after = ask_after(one, &post(id), &event).await;
            assert_eq!(version(&after.body), Some(now), "{}", verdict(&after));
        }
    }
}

#[tokio::test]
async fn who_has_heard_an_event_never_reads_older_than_it_wherever_they_ask() {
    let (a, b) = World::pair().await;
    let content = Content::of(1..=10);
    let tenant = tenant_of(&a, &content.site, json!({"fresh_seconds": 600})).await;
    let there = tenant.through(&b);
    let run = async |id: u64| {
        for _ in 0..100 {
            // Both isolates keep an answer of before.
            let (one, other) = (posted(&tenant, &post(id)), posted(&there, &post(id)));
            let (one, other) = tokio::join!(one.send(), other.send());
            assert_eq!((one.status, other.status), (200, 200), "{} {}", one.body, other.body);
            let now = content.change(id);
            let event = publish(&tenant, "UPDATE", Some(vec![relay(id)])).await;
            let answer = ask_after(&there, &post(id), &event).await;
            assert_eq!(version(&answer.body), Some(now), "{} {event}", verdict(&answer));
            // Where the webhook came in it binds without being asked for.
            let answer = ask(&tenant, &post(id)).await;
            assert_eq!(version(&answer.body), Some(now), "{}", verdict(&answer));
        }
    };
    let runs: Vec<_> = (1..=10).map(run).collect();
    futures_util::future::join_all(runs).await;
}

#[tokio::test]
async fn elsewhere_a_purge_binds_within_the_tenants_staleness() {
    let (a, b) = World::pair().await;
    let content = Content::of([1]);
    let tenant = tenant_of(&a, &content.site, json!({"staleness_seconds": 1, "fresh_seconds": 600})).await;
    let there = tenant.through(&b);
    ask(&there, &post(1)).await.expect(200);
    let now = content.change(1);
    publish(&tenant, "UPDATE", Some(vec![relay(1)])).await;
    tokio::time::sleep(Duration::from_millis(1_050)).await;
    assert_eq!(version(&ask(&there, &post(1)).await.body), Some(now));
    // With none it binds at once.
    let tenant = tenant_of(&a, &content.site, json!({"staleness_seconds": 0, "fresh_seconds": 600})).await;
    let there = tenant.through(&b);
    for _ in 0..20 {
        ask(&there, &post(1)).await.expect(200);
        let now = content.change(1);
        publish(&tenant, "UPDATE", Some(vec![relay(1)])).await;
        assert_eq!(version(&ask(&there, &post(1)).await.body), Some(now));
    }
}

#[tokio::test]
async fn an_id_of_no_event_is_refused_and_one_of_another_log_asks_the_hub() {
    let content = Content::of([1]);
    let tenant = tenant_of(&World::shared().await, &content.site, json!({})).await;
    ask(&tenant, POSTS).await.expect(200);
    for bad in ["1", "x-1", "urn:uuid:1", "0123456789abcdef-x"] {
        let answer = ask_after(&tenant, POSTS, bad).await;
        assert!(answer.expect_problem(400, "invalid_header").body.contains("X-Carillon-After"));
    }
    for unknown in ["0123456789abcdef-1", "0123456789abcdef-999999999"] {
        assert_eq!(verdict(&ask_after(&tenant, POSTS, unknown).await), "HIT; reason=memory");
    }
}

#[tokio::test]
async fn a_restart_brings_nothing_old_back() {
    let world = World::own().await;
    let content = Content::of([1, 2]);
    let tenant = tenant_of(&world, &content.site, json!({"fresh_seconds": 600})).await;
    for id in [1, 2, 1, 2] {
        ask(&tenant, &post(id)).await.expect(200);
    }
    // KV holds both, as they were asked for again.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let now = content.change(1);
    publish(&tenant, "UPDATE", Some(vec![relay(1)])).await;
    world.kill();
    world.restart(&[]).await;
    let (purged, kept) = (ask(&tenant, &post(1)).await, ask(&tenant, &post(2)).await);
    assert_eq!((verdict(&purged), version(&purged.body)), ("MISS; reason=purged", Some(now)));
    assert_eq!(verdict(&kept), "HIT; reason=kv");
    // The hub loses all that it knew: what was kept before counts as purged.
    let event = publish(&tenant, "UPDATE", Some(vec![relay(1)])).await;
    world.kill();
    world.lose_hubs();
    world.restart(&[]).await;
    assert_eq!(verdict(&ask(&tenant, &post(2)).await), "MISS; reason=purged");
    let now = content.change(2);
    let heard = publish(&tenant, "UPDATE", Some(vec![relay(2)])).await;
    assert_ne!(heard.split('-').next(), event.split('-').next(), "another log");
    for id in [&heard, &event] {
        assert_eq!(version(&ask_after(&tenant, &post(2), id).await.body), Some(now));
    }
}

#[tokio::test]
async fn random_schedules_on_two_isolates_show_nothing_older_than_was_promised() {
    let (a, b) = World::pair().await;
    let content = Content::of(1..=4);
    let cache = json!({"staleness_seconds": 0, "fresh_seconds": 600, "stale_while_revalidate_seconds": 0});
    let tenant = tenant_of(&a, &content.site, cache).await;
    let isolates = [tenant.clone(), tenant.through(&b)];
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % bound
    };
    for _ in 0..200 {
        // At once: questions through both, a site that thinks for a moment, and a change in between.
        content.slow(Duration::from_millis(next(30)));
        let (id, at, pause) = (1 + next(4), next(2) as usize, next(40));
        let asks = (0..3).map(|nth| posted(&isolates[nth % 2], &post(id)).send());
        let change = async {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let now = content.change(id);
            publish(&isolates[at], "UPDATE", Some(vec![relay(id)])).await;
            now
        };
        let (_, now) = tokio::join!(futures_util::future::join_all(asks), change);
        for isolate in &isolates {
            let answer = ask(isolate, &post(id)).await;
            assert_eq!(version(&answer.body), Some(now), "{}", verdict(&answer));
        }
    }
}

#[tokio::test]
async fn a_mutation_ends_the_answers_that_show_its_nodes_where_the_tenant_wants_that() {
    let (a, b) = World::pair().await;
    for (purges, expected) in [(true, "2"), (false, "0")] {
        let changes = Arc::new(AtomicU64::new(0));
        let site = Site::saying(move |request| match request.document().starts_with("mutation") {
            true => {
                changes.fetch_add(1, Ordering::Relaxed);
                SiteAnswer::json(200, json!({"data": {"update": {"post": {"id": relay(1)}}}}).to_string())
            }
            false => SiteAnswer::json(200, json!({"data": {"a": changes.load(Ordering::Relaxed)}}).to_string())
                .with("X-GraphQL-Keys", &format!("id graphql:Query {}", relay(1))),
        });
        let cache = json!({"fresh_seconds": 600, "staleness_seconds": 0, "purge_by_mutations": purges});
        let tenant = tenant_of(&a, &site, cache).await;
        let isolates = [tenant.clone(), tenant.through(&b)];
        for isolate in &isolates {
            assert_eq!(ask(isolate, "{a}").await.json()["data"]["a"].to_string(), "0");
        }
        // What somebody names an id is none.
        let renamed = ask(&tenant, "mutation{update{post{id:slug}}}").await;
        assert_eq!(verdict(&renamed), "PASS; reason=mutation");
        for isolate in &isolates {
            assert_eq!(ask(isolate, "{a}").await.json()["data"]["a"].to_string(), "0");
        }
        let changed = ask(&tenant, "mutation{update{post{id}}}").await;
        assert_eq!(verdict(&changed), "PASS; reason=mutation");
        assert_eq!(changed.json()["data"]["update"]["post"]["id"], relay(1));
        for isolate in &isolates {
            assert_eq!(ask(isolate, "{a}").await.json()["data"]["a"].to_string(), expected);
        }
    }
}
