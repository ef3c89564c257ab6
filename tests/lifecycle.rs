//! Suspended, expired and deleted tenants stop at once, and answer like tenants that never were.

use serde_json::{Value, json};

use crate::world::{Tenant, World, eventually, now, unique};

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

/// Every door of the tenant's host and the platform's webhook door are shut.
async fn assert_gone(tenant: &Tenant) {
    for call in [
        tenant.call("GET", "/"),
        tenant.call("GET", "/events?topic=posts"),
        tenant.call("HEAD", "/nothing"),
        tenant.call("PUT", "/events").bearer(&tenant.token(&["posts"]).sign()),
        tenant.call("GET", "/events/diagnose"),
        tenant.webhook().call(),
        tenant.webhook().unsigned().call(),
        tenant.call("GET", "/no/such/path"),
    ] {
        let missing = call.clone().host("t-never.localhost").send().await.expect(404);
        assert_eq!(call.send().await.masked(&[]), missing.masked(&[]));
    }
    let platform = tenant.webhook().host("localhost").header("X-Tenant-ID", &tenant.id);
    platform.send().await.expect_problem(401, "invalid_signature");
}

#[tokio::test]
async fn suspension_ends_open_streams_and_shuts_every_door() {
    let tenant = tenant().await;
    let mut public = tenant.subscribe(&["posts"]).await;
    let mut granted = tenant.events(&["posts"]).token(tenant.token(&["posts"])).live().await;
    tenant.suspend().await;
    assert_eq!(public.closed().await, "tenant_unavailable");
    assert_eq!(granted.closed().await, "tenant_unavailable");
    assert_gone(&tenant).await;
    assert_eq!(tenant.shown().await["status"], "suspended");
}

#[tokio::test]
async fn a_tenant_that_is_active_again_goes_on_where_it_stopped() {
    let tenant = tenant().await;
    let last = tenant.publish("posts", json!("before")).await;
    tenant.suspend().await;
    assert_gone(&tenant).await;
    tenant.activate().await;
    let mut stream = tenant.events(&["posts"]).after(&last).resumed().await;
    let next = tenant.publish("posts", json!("after")).await;
    assert_eq!(stream.event().await.id, next);
}

#[tokio::test]
async fn deletion_ends_open_streams_and_shuts_every_door() {
    let tenant = tenant().await;
    let mut stream = tenant.subscribe(&["posts"]).await;
    tenant.delete().await;
    assert_eq!(stream.closed().await, "tenant_unavailable");
    assert_gone(&tenant).await;
}

#[tokio::test]
async fn a_purged_tenant_is_as_gone_as_a_deleted_one() {
    let tenant = tenant().await;
    tenant.delete().await;
    tenant.purge().await;
    assert_gone(&tenant).await;
}

#[tokio::test]
async fn a_suspended_hub_that_sleeps_still_closes_its_streams() {
    let tenant = tenant().await;
    let mut stream = tenant.subscribe(&["posts"]).await;
    tenant.world.evict(&tenant, crate::world::Sockets::Hibernate).await;
    tenant.suspend().await;
    assert_eq!(stream.closed().await, "tenant_unavailable");
}

#[tokio::test]
async fn a_tenant_expires_at_its_instant_open_streams_too() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let mut stream = tenant.subscribe(&["posts"]).await;
    tenant.patch(json!({"expires_at": rfc3339(now() + 3)})).await;
    assert_eq!(stream.closed().await, "tenant_unavailable");
    eventually("the expired tenant's doors to shut", async || {
        (tenant.call("GET", "/").send().await.status == 404).then_some(())
    })
    .await;
    assert_gone(&tenant).await;
    let shown = tenant.shown().await;
    assert_ne!(shown["expires_at"], Value::Null, "{shown}");

    tenant.patch(json!({"expires_at": null})).await;
    tenant.webhook().accepted().await;
}

#[tokio::test]
async fn a_tenant_is_not_created_with_a_past_expiry() {
    let world = World::shared().await;
    let past = json!("2020-01-01T00:00:00Z");
    world.tenant().set("expires_at", past).call().send().await.expect_invalid("/expires_at");
}

#[tokio::test]
async fn a_custom_domain_stops_with_its_tenant() {
    let world = World::shared().await;
    let domain = format!("{}.example", unique());
    let tenant = world.tenant().plan("pro").set("custom_domains", json!([domain])).create().await;
    let mut stream = tenant.events(&["posts"]).host(&domain).live().await;
    tenant.suspend().await;
    assert_eq!(stream.closed().await, "tenant_unavailable");
    world.call("GET", &domain, "/").send().await.expect_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn one_tenants_suspension_is_not_anothers() {
    let world = World::shared().await;
    let (one, other) = (world.tenant().create().await, world.tenant().create().await);
    let mut others = other.subscribe(&["posts"]).await;
    one.suspend().await;
    other.publish("posts", json!("still here")).await;
    assert_eq!(others.event().await.body["data"], "still here");
}

/// `2026-01-31T12:00:00Z` for seconds since 1970 (days to civil date, after Howard Hinnant).
pub fn rfc3339(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}
