//! The process dies at any instant; what was acknowledged stands, what was begun is finished.

use serde_json::{Value, json};

use crate::world::{Internet, ROOT, Tenant, World, now, sequence, unique};

#[tokio::test]
async fn acknowledged_events_survive_a_kill_and_are_replayed() {
    let world = World::own().await;
    let tenant = world.tenant().plan("pro").create().await;
    let mut stream = tenant.subscribe(&["posts"]).await;
    let mut acknowledged = tenant.publish_all("posts", 0..20).await;
    for id in &acknowledged {
        assert_eq!(stream.event().await.id, *id);
    }
    world.kill();
    while stream.block().await.is_some() {}

    world.restart(&[]).await;
    let mut back = tenant.events(&["posts"]).after(&acknowledged[4]).resumed().await;
    acknowledged.push(tenant.publish("posts", json!("after")).await);
    for id in &acknowledged[5..] {
        assert_eq!(back.event().await.id, *id);
    }
}

#[tokio::test]
async fn a_kill_amid_a_burst_loses_no_acknowledged_event_and_invents_none() {
    let world = World::own().await;
    let tenant = world.tenant().plan("enterprise").create().await;
    let start = tenant.publish("posts", json!("start")).await;

    let publishers = (0..4).map(|publisher| {
        let tenant = tenant.clone();
        tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for number in 0.. {
                let webhook = tenant.webhook().data(json!([publisher, number]));
                match webhook.call().attempt().await {
                    Some(answer) if answer.status == 202 => {
                        acknowledged.push(answer.data()["id"].as_str().unwrap().to_owned());
                    }
                    _ => break,
                }
            }
            acknowledged
        })
    });
    let publishers: Vec<_> = publishers.collect();
    let mut witness = tenant.subscribe(&["posts"]).await;
    for _ in 0..40 {
        witness.event().await;
    }
    world.kill();
    let mut acknowledged = Vec::new();
    for publisher in publishers {
        acknowledged.extend(publisher.await.unwrap());
    }
    assert!(acknowledged.len() >= 30);

    world.restart(&[]).await;
    let end = tenant.publish("posts", json!("end")).await;
    let mut back = tenant.events(&["posts"]).after(&start).resumed().await;
    let mut replayed = Vec::new();
    while replayed.last() != Some(&end) {
        replayed.push(back.event().await.id);
    }
    let numbers: Vec<u64> = replayed.iter().map(|id| sequence(id)).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
    for id in &acknowledged {
        assert!(replayed.contains(id), "{id} was acknowledged and is gone");
    }
}

#[tokio::test]
async fn a_duplicate_is_known_after_a_kill() {
    let world = World::own().await;
    let tenant = world.tenant().create().await;
    let first = tenant.webhook().standard("msg_before").accepted().await;
    world.kill();
    world.restart(&[]).await;
    assert_eq!(tenant.webhook().standard("msg_before").accepted().await, first);
    let other = tenant.webhook().data(json!("other")).standard("msg_before").send().await;
    other.expect_problem(409, "webhook_id_reused");
}

#[tokio::test]
async fn a_window_is_not_given_back_by_a_kill() {
    let world = World::own().await;
    for _ in 0..5 {
        let tenant = world.tenant().limit("max_webhooks_per_minute", 20).create().await;
        let before = tenant.webhook().send().await.expect(202);
        for _ in 0..19 {
            tenant.webhook().accepted().await;
        }
        tenant.webhook().send().await.expect(429);
        world.kill();
        world.restart(&[]).await;
        let after = tenant.webhook().send().await;
        if after.header("x-ratelimit-reset") == before.header("x-ratelimit-reset") {
            after.expect_problem(429, "rate_limited");
            return;
        }
    }
    panic!("no five runs in a row cross the end of a minute");
}

#[tokio::test]
async fn tenants_domains_and_secrets_survive_a_kill() {
    let world = World::own().await;
    let domain = format!("{}.example", unique());
    let tenant = world.tenant().plan("pro").set("custom_domains", json!([domain])).create().await;
    let before = tenant.shown().await;
    world.kill();
    world.restart(&[]).await;
    assert_eq!(tenant.shown().await, before);
    tenant.webhook().host(&domain).accepted().await;
    tenant.events(&["posts"]).token(tenant.token(&["posts"])).live().await;
}

#[tokio::test]
async fn a_tenant_change_killed_after_its_control_batch_is_finished_by_cron() {
    changes_survive_a_crash_after("control").await;
}

#[tokio::test]
async fn a_tenant_change_killed_after_its_fence_is_finished_by_cron() {
    changes_survive_a_crash_after("fence").await;
}

#[tokio::test]
async fn a_tenant_change_killed_after_its_hub_is_finished_by_cron() {
    changes_survive_a_crash_after("hub").await;
}

#[tokio::test]
async fn a_tenant_change_killed_after_its_cache_is_finished_by_cron() {
    changes_survive_a_crash_after("kv").await;
}

/// Begins one change of every kind, stops each after `step` as a crash would, kills the process,
/// starts it again, lets cron run once, and looks for anything half done.
async fn changes_survive_a_crash_after(step: &str) {
    let world = World::own().await;
    let cast = Cast::new(&world).await;
    // Domains are proven while the changes begin, and assumed before and after.
    let vars = Internet::shared().vars();
    let mut vars: Vec<_> = vars.iter().map(|(name, value)| (*name, value.as_str())).collect();
    vars.push(("FAULT_AFTER", step));
    world.restart(&vars).await;
    cast.begin_changes().await;
    world.kill();
    world.restart(&[]).await;
    // Those that cron has failed to carry meanwhile wait for a while.
    world.batch("CONTROL", vec![json!(["UPDATE pending_changes SET next_at = 0", []])]).await;
    world.scheduled().await;
    cast.assert_finished().await;
    let left = world.rows("CONTROL", "SELECT * FROM pending_changes", &[]).await;
    assert!(left.is_empty(), "{left:?}");
}

/// One tenant per kind of change.
struct Cast {
    world: World,
    unborn: String,
    suspended: Tenant,
    awakened: Tenant,
    deleted: Tenant,
    purged: Tenant,
    limited: Tenant,
    moved: Tenant,
    claimed: (Tenant, String),
    proven: (Tenant, String),
    vouched: (Tenant, String),
    lost: (Tenant, String),
    primary: (Tenant, [String; 2]),
    released: (Tenant, String),
    rotated: Tenant,
}

/// A secret that the test knows without having seen the answer.
const GIVEN: &str = "a secret that the operator chose";

impl Cast {
    async fn new(world: &World) -> Cast {
        let domain = || format!("{}.example", unique());
        let (released, lost, two) = (domain(), domain(), [domain(), domain()]);
        let cast = Cast {
            world: world.clone(),
            unborn: format!("t-{}", unique()),
            suspended: world.tenant().create().await,
            awakened: world.tenant().create().await,
            deleted: world.tenant().create().await,
            purged: world.tenant().create().await,
            limited: world.tenant().create().await,
            moved: world.tenant().create().await,
            claimed: (world.tenant().plan("pro").create().await, domain()),
            proven: (world.tenant().plan("pro").create().await, domain()),
            vouched: (world.tenant().plan("pro").create().await, domain()),
            lost: (world.tenant().plan("pro").set("custom_domains", json!([lost])).create().await, lost),
            primary: (world.tenant().plan("pro").set("custom_domains", json!(two)).create().await, two),
            released: (world.tenant().plan("pro").set("custom_domains", json!([released])).create().await, released),
            rotated: world.tenant().create().await,
        };
        for (tenant, domain) in [&cast.proven, &cast.vouched] {
            let claim = "INSERT INTO domain_claims (tenant_id, domain, token, created_at, expires_at) VALUES (?1, ?2, 'abc', 0, 9000000000000)";
            world.batch("CONTROL", vec![json!([claim, [tenant.id, domain]])]).await;
        }
        let (tenant, domain) = &cast.proven;
        Internet::shared().set(&format!("_carillon.{domain}"), &[&format!("carillon-domain={}:abc", tenant.id)]);
        let long_ago = (now() - 4 * 24 * 3600) * 1000;
        let failing = "UPDATE tenant_domains SET proof = 'dns', token = 'abc', failures = 9, failing_since = CAST(?2 AS INTEGER), next_check_at = 0 WHERE domain = ?1";
        world.batch("CONTROL", vec![json!([failing, [cast.lost.1, long_ago.to_string()]])]).await;
        cast.awakened.suspend().await;
        cast.purged.delete().await;
        for tenant in [&cast.suspended, &cast.deleted, &cast.limited, &cast.moved, &cast.rotated] {
            tenant.publish("posts", json!("before")).await;
        }
        cast
    }

    async fn begin_changes(&self) {
        let create = self.world.tenant().id(&self.unborn).set("webhook_secret", json!(GIVEN));
        let create = create.set("templates", json!(["leads", "blog"]));
        let patch = |tenant: &Tenant, change: Value| tenant.admin("PATCH", "").json(&change);
        let changes = [
            create.set("subscription_secret", json!(GIVEN)).call(),
            patch(&self.suspended, json!({"status": "suspended"})),
            patch(&self.awakened, json!({"status": "active"})),
            self.deleted.admin("DELETE", ""),
            self.purged.admin("DELETE", "").query("purge", "true"),
            patch(&self.limited, json!({"rate_limits": {"max_webhooks_per_minute": 1}})),
            patch(&self.moved, json!({"slug": format!("moved-{}", self.moved.slug)})),
            self.claimed.0.admin("POST", "/domains").json(&json!({"domain": self.claimed.1})),
            self.proven.0.admin("POST", &format!("/domains/{}/verify", self.proven.1)),
            self.vouched
                .0
                .admin("POST", &format!("/domains/{}/vouch", self.vouched.1))
                .json(&json!({"reason": "a test of crashes"})),
            self.primary
                .0
                .admin("PATCH", &format!("/domains/{}", self.primary.1[1]))
                .json(&json!({"is_primary": true})),
            self.released.0.admin("DELETE", &format!("/domains/{}", self.released.1)),
            self.rotated.admin("POST", "/secrets/webhook/rotate").json(&json!({"secret": GIVEN, "grace_seconds": 0})),
        ];
        for change in changes {
            let answer = change.send().await;
            assert_eq!(answer.status, 503, "{}", answer.body);
        }
        // Cron begins a change of its own.
        self.world.scheduled().await;
    }

    async fn assert_finished(&self) {
        let born = self.world.platform("GET", &format!("/api/v1/tenants/{}", self.unborn));
        let born = born.send().await.expect(200).data();
        assert_eq!(born["status"], "active");
        let born = Tenant {
            id: self.unborn.clone(),
            slug: self.unborn.clone(),
            host: format!("{}.{ROOT}", self.unborn),
            webhook_secret: GIVEN.into(),
            subscription_secret: GIVEN.into(),
            ..self.suspended.clone()
        };
        assert_open(&born).await;
        born.record("leads", json!({"email": "first@example.test"})).await;
        assert_eq!(born.shown_collection("leads").await["template"], "leads");
        assert!(born.get("/api/v1/collections").await.expect(200).data().as_array().unwrap().len() > 2);

        assert_eq!(self.suspended.shown().await["status"], "suspended");
        assert_shut(&self.suspended).await;
        assert_eq!(self.awakened.shown().await["status"], "active");
        assert_open(&self.awakened).await;
        assert_eq!(self.deleted.shown().await["status"], "deleted");
        assert_shut(&self.deleted).await;
        self.purged.admin("GET", "").send().await.expect_problem(404, "tenant_not_found");
        assert_shut(&self.purged).await;

        let limit = &self.limited.shown().await["rate_limits"]["max_webhooks_per_minute"];
        assert_eq!(*limit, 1);
        assert_eq!(self.limited.webhook().send().await.header("x-ratelimit-limit"), "1");

        self.moved.call("GET", "/").send().await.expect_problem(404, "tenant_not_found");
        let slug = self.moved.shown().await["slug"].as_str().unwrap().to_owned();
        self.world.call("GET", &format!("{slug}.{ROOT}"), "/").send().await.expect(200);

        for (tenant, domain) in [&self.proven, &self.vouched] {
            assert_eq!(tenant.shown().await["custom_domains"], json!([domain]));
            tenant.webhook().host(domain).accepted().await;
        }
        for ((tenant, domain), claims) in
            [(&self.claimed, json!([self.claimed.1])), (&self.lost, json!([self.lost.1])), (&self.released, json!([]))]
        {
            let shown = tenant.shown().await;
            assert_eq!((&shown["custom_domains"], &shown["pending_domains"]), (&json!([]), &claims));
            let gone = self.world.call("GET", domain, "/").send().await;
            gone.expect_problem(404, "tenant_not_found");
            assert_open(tenant).await;
        }
        let (tenant, [first, second]) = &self.primary;
        assert_eq!(tenant.shown().await["custom_domains"], json!([second, first]));

        self.rotated.webhook().send().await.expect_problem(401, "invalid_signature");
        self.rotated.webhook().secret(GIVEN).accepted().await;
    }
}

async fn assert_open(tenant: &Tenant) {
    let mut stream = tenant.subscribe(&["posts"]).await;
    let id = tenant.publish("posts", json!("open")).await;
    assert_eq!(stream.event().await.id, id);
}

async fn assert_shut(tenant: &Tenant) {
    tenant.events(&["posts"]).refused().await.expect_problem(404, "tenant_not_found");
    tenant.webhook().send().await.expect_problem(404, "tenant_not_found");
}
