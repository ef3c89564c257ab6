//! Admission before proof: what a stranger sends is bounded before anything is looked up, and costs no read once it is
//! refused; who proves to be somebody is not held up by it.

use carillon::credentials::key::{FreshKey, KeyKind};
use futures_util::future::join_all;
use serde_json::json;

use crate::world::{RequestBuilder, Tenant, TestResponse, World, early_in_a_minute, eventually, stranger, unique};

/// What each tenant here allows strangers in a minute, and how often one of them tries.
const ALLOWED: i64 = 2;
const TRIES: usize = 8;

/// How often the isolate had called databases and hubs when it answered.
async fn calls(world: &World, answer: &TestResponse) -> (u64, u64) {
    let id = answer.header("x-request-id").to_owned();
    let line = eventually("the isolate's calls", async || {
        world.logs().await.into_iter().find(|line| line["event"] == "calls" && line["request_id"] == *id)
    })
    .await;
    (line["database"].as_u64().unwrap(), line["hub"].as_u64().unwrap())
}

fn wrong_key(tenant: &Tenant, id: &str) -> String {
    FreshKey::of_tenant(&tenant.id, Some(id.to_owned())).unwrap().text
}

fn row_id(key: &str) -> &str {
    key.split_once('.').unwrap().1.split_once('_').unwrap().0
}

/// One kind of request whose credential is not valid.
type Wrong = fn(&Tenant, &str, usize) -> RequestBuilder;

const WRONG: [(&str, Wrong); 14] = [
    ("signature", |t, _, i| t.webhook().secret(&format!("wrong {i}")).call()),
    ("no signature", |t, _, _| t.webhook().unsigned().call()),
    ("token for a stream", |t, _, i| t.call("GET", "/events").query("topic", "a").bearer(&format!("a.b.{i}"))),
    ("token for a ticket", |t, _, i| t.call("PUT", "/events").bearer(&format!("a.b.{i}"))),
    ("ticket", |t, _, i| t.call("GET", "/events").query("topic", "a").query("ticket", &format!("car_st_{i}"))),
    ("key", |t, key, _| t.call("GET", "/api/v1/users").bearer(&wrong_key(t, row_id(key)))),
    ("key of a public read", |t, key, _| t.call("GET", "/api/v1/posts").bearer(&wrong_key(t, row_id(key)))),
    ("cookie", |t, _, _| {
        let text = FreshKey::new(KeyKind::UserSession).unwrap().text;
        t.call("GET", "/api/v1/users").header("Cookie", &format!("__Host-carillon_session={text}"))
    }),
    ("path", |t, _, i| t.call("GET", &format!("/nowhere/{i}"))),
    ("file", |t, _, i| t.call("GET", &format!("/media/posts/missing/{i}.png"))),
    ("upload", |t, _, i| t.call("PUT", &format!("/uploads/{i}")).bytes(vec![1])),
    ("reset token", |t, _, i| {
        let body = json!({"token": format!("car_pr_{i}"), "password": "a new one, long enough"});
        t.call("POST", "/api/v1/auth/password/reset").json(&body)
    }),
    ("refresh token", |t, _, _| {
        let body = json!({"refresh_token": FreshKey::new(KeyKind::Refresh).unwrap().text});
        t.call("POST", "/api/v1/auth/refresh").json(&body)
    }),
    ("token of a publisher", |t, _, i| {
        let form = "topic=a&data=b".as_bytes().to_vec();
        let post = t.call("POST", "/.well-known/mercure").header("Content-Type", "application/x-www-form-urlencoded");
        post.bearer(&format!("a.b.{i}")).bytes(form)
    }),
];

#[tokio::test]
async fn a_stranger_who_has_used_up_the_permits_costs_no_read_whatever_is_tried() {
    let world = World::own().await;
    for (kind, wrong) in WRONG {
        let tenant = world.tenant().limit("max_anonymous_requests_per_minute", ALLOWED).create().await;
        let key = tenant.key(&["users:read"]).await.text;
        early_in_a_minute().await;
        let network = world.elsewhere();
        let mut refused = Vec::new();
        for i in 0..TRIES {
            // Another address of one network each time.
            let (prefix, _) = network.address.rsplit_once("::").unwrap();
            let answer = wrong(&tenant, &key, i).address(&format!("{prefix}:0:0:0:{i:x}")).send().await;
            assert!(answer.status >= 400, "{kind}: {}", answer.body);
            if answer.status == 429 {
                refused.push(answer.expect_problem(429, "rate_limited"));
            }
        }
        assert!(refused.len() >= TRIES - 2, "{kind}: {} of {TRIES} were refused", refused.len());
        let wait: u64 = refused[0].header("retry-after").parse().unwrap();
        assert!((1..=60).contains(&wait), "{kind}");
        let (first, last) = (calls(&world, &refused[0]).await, calls(&world, refused.last().unwrap()).await);
        assert_eq!(first, last, "{kind}: what was refused once asks nobody again");
    }
}

#[tokio::test]
async fn permits_that_are_given_back_serve_any_number_of_good_requests() {
    let world = World::shared().await;
    let tenant = world.tenant().limit("max_anonymous_requests_per_minute", ALLOWED).create().await;
    let fields = json!({"title": {"type": "string"}});
    tenant.collection("posts", fields, json!({"public_read": true, "files": true})).await;
    tenant.record("posts", json!({"id": "p1", "title": "a"})).await;
    let put = tenant.as_owner("PUT", "/api/v1/posts/p1/file").query("name", "a.png");
    put.header("Content-Type", "image/png").bytes(b"\x89PNG 0123456789".to_vec()).send().await.expect(201);
    let file = tenant.get("/api/v1/posts/p1/file").await.expect(200).data();
    let file = tenant.behind_host(&file["url"]);
    let key = tenant.key(&["users:read"]).await.text;
    let mut streams = Vec::new();
    for i in 0..TRIES {
        // Each from a network of its own, which nobody knows.
        let at = |call: RequestBuilder| call.address(&stranger());
        at(tenant.call("GET", "/api/v1/users").bearer(&key)).send().await.expect(200);
        at(tenant.webhook().call()).send().await.expect(202);
        at(tenant.call("PUT", "/events").bearer(&tenant.token(&["a"]).sign())).send().await.expect(201);
        at(tenant.call("GET", &file)).send().await.expect(200);
        tenant.update(&format!("https://a.test/{i}")).data("x").address(&stranger()).published().await;
        streams.push(tenant.events(&["a"]).address(&stranger()).live().await);
    }
}

#[tokio::test]
async fn a_fleet_of_viewers_that_comes_at_once_is_let_in_with_few_permits() {
    let world = World::shared().await;
    let tenant = world.tenant().limit("max_anonymous_requests_per_minute", ALLOWED).create().await;
    early_in_a_minute().await;
    let opened = join_all((0..30).map(|_| tenant.events(&["posts"]).address(&stranger()).open())).await;
    let refused: Vec<_> = opened.into_iter().filter_map(Result::err).map(|answer| answer.status).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

#[tokio::test]
async fn strangers_who_use_up_the_permits_do_not_stop_those_who_proved_to_be_somebody() {
    let world = World::shared().await;
    let tenant = world.tenant().limit("max_anonymous_requests_per_minute", ALLOWED).create().await;
    let key = tenant.key(&["users:read"]).await.text;
    let (member, site) = (stranger(), stranger());
    early_in_a_minute().await;
    let read = || tenant.call("GET", "/api/v1/users").bearer(&key).address(&member).send();
    let webhook = || tenant.webhook().call().address(&site).send();
    read().await.expect(200);
    webhook().await.expect(202);
    for _ in 0..TRIES {
        tenant.call("GET", "/nowhere").address(&stranger()).send().await;
    }
    tenant.call("GET", "/").address(&stranger()).send().await.expect_problem(429, "rate_limited");
    for _ in 0..TRIES {
        read().await.expect(200);
        webhook().await.expect(202);
    }
    // What needs no proof is not let through for what was proved before.
    tenant.call("GET", "/media/posts/missing/a.png").address(&member).send().await.expect_problem(429, "rate_limited");
    tenant.events(&["a"]).address(&site).refused().await.expect_problem(429, "rate_limited");
    // Next to the member somebody guesses: what was good a moment ago still is, a guess is not looked at.
    let guess = |key: String| tenant.call("GET", "/api/v1/users").bearer(&key).address(&member).send();
    guess(wrong_key(&tenant, row_id(&key))).await.expect_problem(401, "unauthorized");
    guess(wrong_key(&tenant, row_id(&key))).await.expect_problem(429, "rate_limited");
    read().await.expect(200);
}

#[tokio::test]
async fn a_raised_limit_and_a_suspension_are_honoured_although_a_refusal_is_remembered() {
    let (a, b) = World::pair().await;
    let tenant = a.tenant().limit("max_anonymous_requests_per_minute", 0).create().await;
    let there = tenant.through(&b);
    for tenant in [&tenant, &there] {
        tenant.call("GET", "/").send().await.expect_problem(429, "rate_limited");
    }
    tenant.patch(json!({"rate_limits": {"max_anonymous_requests_per_minute": -1}})).await;
    tenant.call("GET", "/").send().await.expect(200);
    eventually("the raised limit elsewhere", async || {
        (there.call("GET", "/").send().await.status == 200).then_some(())
    })
    .await;
    tenant.patch(json!({"rate_limits": {"max_anonymous_requests_per_minute": 0}})).await;
    eventually("the lower limit", async || (there.call("GET", "/").send().await.status == 429).then_some(())).await;
    tenant.suspend().await;
    eventually("the suspension", async || (there.call("GET", "/").send().await.status == 404).then_some(())).await;
}

#[tokio::test]
async fn what_failed_a_moment_ago_is_refused_from_memory_until_something_changes() {
    let world = World::own().await;
    let tenant = world.tenant().limit("max_anonymous_requests_per_minute", -1).create().await;
    let key = tenant.key(&["users:read"]).await;
    let wrong = wrong_key(&tenant, row_id(&key.text));
    let ask = |key: &str| tenant.call("GET", "/api/v1/users").bearer(key).send();
    let first = ask(&wrong).await.expect_problem(401, "unauthorized");
    let again = ask(&wrong).await.expect_problem(401, "unauthorized");
    let other = ask(&wrong_key(&tenant, row_id(&key.text))).await.expect_problem(401, "unauthorized");
    assert_eq!(first.masked(&[]), again.masked(&[]));
    let [first, again, other] = [calls(&world, &first).await, calls(&world, &again).await, calls(&world, &other).await];
    assert_eq!(first.0, again.0, "the same key is not looked up again");
    assert!(other.0 > again.0, "another one is");
    // A key that is not let in from here, and then is.
    let path = format!("/api/v1/api-keys/{}", key.id);
    let allow = |list: serde_json::Value| tenant.as_owner("PATCH", &path).json(&json!({"ip_allowlist": list})).send();
    allow(json!(["192.0.2.0/24"])).await.expect(200);
    ask(&key.text).await.expect_problem(401, "unauthorized");
    allow(json!([])).await.expect(200);
    ask(&key.text).await.expect(200);
}

#[tokio::test]
async fn a_key_that_was_good_a_moment_ago_calls_the_hub_once_for_both_permits_and_then_not_at_all() {
    let world = World::own().await;
    let tenant = world.tenant().plan("pro").create().await;
    let body = json!({"name": "a test", "scopes": ["users:read"]});
    let made = tenant.as_owner("POST", "/api/v1/api-keys").json(&body).send().await.expect(201);
    let key = made.data()["key"].as_str().unwrap().to_owned();
    let get = || tenant.call("GET", "/api/v1/users").bearer(&key).send();
    let first = get().await.expect(200);
    let mut last = get().await.expect(200);
    for _ in 0..4 {
        last = get().await.expect(200);
    }
    let [made, first, last] = [calls(&world, &made).await, calls(&world, &first).await, calls(&world, &last).await];
    // For a stranger's permit, and once somebody was proved for theirs.
    assert!(first.1 - made.1 <= 2, "{} calls of the hub", first.1 - made.1);
    // One more only if five seconds have passed.
    assert!(last.1 - first.1 <= 1, "{} calls of the hub", last.1 - first.1);
    assert_eq!(last.0 - first.0, 10, "the key's row and the page, five times");
}

/// What the tenant has left for its own requests, as a request with this key learns it.
async fn left(tenant: &Tenant, key: &str) -> u64 {
    let answer = tenant.call("GET", "/api/v1/users").bearer(key).address(&stranger()).send().await.expect(200);
    answer.header("x-ratelimit-remaining").parse().unwrap()
}

#[tokio::test]
async fn wrong_credentials_spend_nothing_of_the_tenants_own_requests() {
    let world = World::own().await;
    let wide = world.tenant().limit("max_anonymous_requests_per_minute", -1);
    let tenant = wide.limit("max_api_requests_per_minute", 1000).create().await;
    let key = tenant.key(&["users:read"]).await.text;
    early_in_a_minute().await;
    for i in 0..TRIES {
        let call = tenant.call("GET", "/api/v1/users").bearer(&wrong_key(&tenant, row_id(&key)));
        call.address(&stranger()).send().await.expect_problem(401, "unauthorized");
        if i == TRIES / 2 {
            // Longer than what is drawn is good for.
            tokio::time::sleep(std::time::Duration::from_secs(6)).await;
        }
    }
    assert_eq!(left(&tenant, &key).await, 999);
}

#[tokio::test]
async fn operators_on_a_tenants_host_draw_nothing_of_its_own_requests() {
    let world = World::own().await;
    let wide = world.tenant().limit("max_anonymous_requests_per_minute", -1);
    let tenant = wide.limit("max_api_requests_per_minute", 1000).create().await;
    let key = tenant.key(&["users:read"]).await.text;
    early_in_a_minute().await;
    for i in 0..3 {
        tenant.call("GET", "/api/v1/users").bearer(crate::world::PLATFORM_KEY).send().await.expect(200);
        if i == 1 {
            tokio::time::sleep(std::time::Duration::from_secs(6)).await;
        }
    }
    assert_eq!(left(&tenant, &key).await, 999);
}

/// A tenant where somebody has proved to be somebody, from the network that is returned too, and strangers have used up the permits.
async fn used_up(world: &World) -> (Tenant, String) {
    let tenant = world.tenant().limit("max_anonymous_requests_per_minute", ALLOWED).create().await;
    let key = tenant.key(&["users:read"]).await.text;
    let member = stranger();
    early_in_a_minute().await;
    tenant.call("GET", "/api/v1/users").bearer(&key).address(&member).send().await.expect(200);
    for _ in 0..TRIES {
        tenant.call("GET", "/nowhere").address(&stranger()).send().await;
    }
    tenant.call("GET", "/").address(&stranger()).send().await.expect_problem(429, "rate_limited");
    (tenant, member)
}

fn refresh(tenant: &Tenant, address: &str) -> RequestBuilder {
    let body = json!({"refresh_token": FreshKey::new(KeyKind::Refresh).unwrap().text});
    tenant.call("POST", "/api/v1/auth/refresh").json(&body).address(address)
}

#[tokio::test]
async fn where_somebody_was_proved_people_sign_in_although_strangers_used_up_the_permits() {
    // Of its own: what other tests change lets an isolate forget what failed.
    let world = World::own().await;
    let (tenant, member) = used_up(&world).await;
    refresh(&tenant, &stranger()).send().await.expect_problem(429, "rate_limited");
    let first = refresh(&tenant, &member).send().await;
    assert_eq!(first.status, 401, "it is looked at: {}", first.body);
    // It failed: the next one pays.
    refresh(&tenant, &member).send().await.expect_problem(429, "rate_limited");
}

#[tokio::test]
async fn preflights_are_answered_although_strangers_used_up_the_permits() {
    let world = World::shared().await;
    let (tenant, member) = used_up(&world).await;
    for address in [member, stranger()] {
        let call = tenant.call("OPTIONS", "/api/v1/users").header("Origin", "https://www.example.com");
        call.header("Access-Control-Request-Method", "GET").address(&address).send().await.expect(204);
        let nowhere = tenant.call("OPTIONS", "/nowhere").address(&address);
        nowhere.send().await.expect_problem(429, "rate_limited");
    }
}

#[tokio::test]
async fn where_somebody_was_proved_the_first_refusal_of_whatever_is_presented_ends_the_trust() {
    // Of its own: what other tests change lets an isolate forget what failed.
    let world = World::own().await;
    let other = world.tenant().create().await;
    let others_key = other.key(&["users:read"]).await.text;
    type Refused<'a> = (&'a str, u16, Box<dyn Fn(&Tenant) -> RequestBuilder>);
    let others_token = other.token(&["a"]).sign();
    let refused: [Refused<'_>; 3] = [
        ("key", 404, Box::new(move |t| t.call("GET", "/api/v1/users").bearer(&others_key))),
        ("token", 401, Box::new(move |t| t.call("PUT", "/events").bearer(&others_token))),
        ("body", 413, Box::new(|t| t.call("POST", "/webhook").bytes(vec![b'a'; 300 * 1024]))),
    ];
    for (kind, status, refused) in refused {
        let (tenant, member) = used_up(&world).await;
        let first = refused(&tenant).address(&member).send().await;
        assert_eq!(first.status, status, "{kind}: {}", first.body);
        for _ in 0..2 {
            refused(&tenant).address(&member).send().await.expect_problem(429, "rate_limited");
        }
    }
}

#[tokio::test]
async fn one_network_cannot_take_all_permits_of_a_minute() {
    let world = World::own().await;
    let tenant = world.tenant().limit("max_anonymous_requests_per_minute", 40).create().await;
    early_in_a_minute().await;
    let flood = stranger();
    let mut admitted = 0;
    for i in 0..50 {
        let answer = tenant.call("GET", &format!("/nowhere/{i}")).address(&flood).send().await;
        assert!(matches!(answer.status, 404 | 429), "{}", answer.body);
        admitted += usize::from(answer.status == 404);
    }
    assert_eq!(admitted, 21, "half of them, and the one that made it less");
    for _ in 0..TRIES {
        tenant.call("GET", "/").address(&stranger()).send().await.expect(200);
    }
}

#[tokio::test]
async fn secrets_are_read_once_for_many_wrong_signatures_and_tokens() {
    let world = World::own().await;
    let tenant = world.tenant().limit("max_anonymous_requests_per_minute", -1).create().await;
    tenant.webhook().accepted().await;
    let mut answers = Vec::new();
    for i in 0..20 {
        answers
            .push(tenant.webhook().secret(&format!("wrong {i}")).send().await.expect_problem(401, "invalid_signature"));
        let token = tenant.call("PUT", "/events").bearer(&format!("a.b.{i}"));
        answers.push(token.send().await.expect_problem(401, "invalid_token"));
    }
    let (first, last) = (calls(&world, &answers[0]).await, calls(&world, answers.last().unwrap()).await);
    assert!(last.0 - first.0 < 20, "{} reads for 40 requests", last.0 - first.0);
}

#[tokio::test]
async fn operators_who_act_in_a_tenant_spend_nothing_of_its_allowance() {
    let world = World::shared().await;
    let tenant = world.tenant().limit("max_api_requests_per_minute", 1).create().await;
    for _ in 0..5 {
        let answer = tenant.as_owner("GET", "/api/v1/users").send().await.expect(200);
        assert_eq!(answer.header("x-ratelimit-limit"), "");
    }
    let key = tenant.key(&["users:read"]).await.text;
    let answer = tenant.call("GET", "/api/v1/users").bearer(&key).send().await.expect(200);
    assert_eq!((answer.header("x-ratelimit-limit"), answer.header("x-ratelimit-remaining")), ("1", "0"));
}

#[tokio::test]
async fn wrong_credentials_at_the_platforms_host_are_bounded_per_network_and_good_ones_go_on() {
    let world = World::shared().await.elsewhere();
    let operator = world.operator("support").await;
    let me = || world.call("GET", crate::world::ROOT, "/api/v1/operators/me").bearer(&operator.session).send();
    me().await.expect(200);
    early_in_a_minute().await;
    let wrong = |world: &World| {
        let key = FreshKey::new(KeyKind::Platform).unwrap().text;
        world.call("GET", crate::world::ROOT, "/api/v1/tenants").bearer(&key).send()
    };
    let mut refused = 0;
    for _ in 0..40 {
        let answer = wrong(&world).await;
        assert!(matches!(answer.status, 401 | 429), "{}", answer.body);
        refused += usize::from(answer.status == 429);
    }
    assert!((5..=15).contains(&refused), "{refused} of 40");
    let unknown = format!("car_tk_{}", unique());
    let tenants = world.call("GET", crate::world::ROOT, "/api/v1/users").bearer(&unknown).send().await;
    tenants.expect_problem(429, "rate_limited");
    let webhook = world.call("POST", crate::world::ROOT, "/webhook").header("X-Tenant-ID", &unique());
    webhook.json(&json!({})).send().await.expect_problem(429, "rate_limited");
    me().await.expect(200);
    wrong(&world.elsewhere()).await.expect_problem(401, "unauthorized");
}

#[tokio::test]
async fn hosts_of_nobody_are_looked_up_so_often_for_one_network_and_no_more() {
    let world = World::shared().await.elsewhere();
    let tenant = world.tenant().create().await;
    tenant.call("GET", "/").send().await.expect(200);
    early_in_a_minute().await;
    let nobody = |world: &World| world.call("GET", &format!("{}.example", unique()), "/").send();
    let mut refused = 0;
    for _ in 0..70 {
        let answer = nobody(&world).await;
        assert!(matches!(answer.status, 404 | 429), "{}", answer.body);
        refused += usize::from(answer.status == 429);
    }
    assert!(refused >= 5, "{refused} of 70");
    tenant.call("GET", "/").send().await.expect(200);
    nobody(&world.elsewhere()).await.expect_problem(404, "tenant_not_found");
}
