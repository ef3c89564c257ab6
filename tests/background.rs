//! Background work is fair: who is stuck delays nobody, and what takes long is done in small steps.

use serde_json::json;

use crate::world::{Tenant, World, eventually, now};

/// A tenant with a live collection, and so many changes that no hub was told of.
async fn with_changes_that_wait(world: &World, changes: usize) -> Tenant {
    let tenant = world.tenant().create().await;
    tenant.collection("notes", json!({}), json!({"live": true})).await;
    for number in 0..changes {
        let sql = "INSERT INTO records (tenant_id, collection, id, version, data, created_at, updated_at, created_by, updated_by, index_revision) VALUES (?1, 'notes', ?2, 1, '{}', 1000, 1000, '', '', 1)";
        tenant.on_shard(sql, &[&number.to_string()]).await;
    }
    tenant.on_shard("UPDATE record_outbox SET at = 0 WHERE tenant_id = ?1", &[]).await;
    tenant
}

async fn waiting(tenant: &Tenant) -> i64 {
    let rows = tenant.on_shard("SELECT count(*) AS waiting FROM record_outbox WHERE tenant_id = ?1", &[]).await;
    rows[0]["waiting"].as_i64().unwrap()
}

/// How often the tenant's outbox could not be drained in a row, and whether it waits for its next turn; none if nothing is
/// remembered.
async fn remembered(tenant: &Tenant) -> Option<(i64, bool)> {
    let sql = "SELECT failures, due_at FROM background_turns WHERE tenant_id = ?1 AND work = 'outbox'";
    let rows = tenant.on_shard(sql, &[]).await;
    let row = rows.first()?;
    let waits = row["due_at"].as_i64().unwrap() > i64::try_from(now() * 1000).unwrap();
    Some((row["failures"].as_i64().unwrap(), waits))
}

/// The tenant's time has come again.
async fn make_due(tenant: &Tenant) {
    tenant.on_shard("UPDATE background_turns SET due_at = 0 WHERE tenant_id = ?1", &[]).await;
}

#[tokio::test]
async fn a_stuck_hub_delays_no_other_tenant() {
    let world = World::own().await;
    let stuck = with_changes_that_wait(&world, 2).await;
    let others = [with_changes_that_wait(&world, 2).await, with_changes_that_wait(&world, 3).await];
    world.restart(&[("FAULT_AFTER", &format!("stuck:{}", stuck.id))]).await;

    // The one that is stuck waits longest. The others are served in the same run, and leave nothing to be remembered.
    world.scheduled().await;
    for other in &others {
        assert_eq!((waiting(other).await, remembered(other).await), (0, None));
    }
    assert_eq!((waiting(&stuck).await, remembered(&stuck).await), (2, Some((1, true))));
    // Until its time has come it takes no turn.
    world.scheduled().await;
    assert_eq!(remembered(&stuck).await, Some((1, true)));
    make_due(&stuck).await;
    world.scheduled().await;
    assert_eq!((waiting(&stuck).await, remembered(&stuck).await), (2, Some((2, true))));

    // A change of the tenant lets it be tried again at once.
    world.restart(&[]).await;
    stuck.patch(json!({"display_name": "Mended"})).await;
    world.scheduled().await;
    assert_eq!((waiting(&stuck).await, remembered(&stuck).await), (0, None));
}

#[tokio::test]
async fn a_change_that_does_not_arrive_delays_no_other_tenants() {
    let world = World::own().await;
    let stuck = world.tenant().create().await;
    let others = [world.tenant().create().await, world.tenant().create().await, world.tenant().create().await];
    let pending = "INSERT INTO pending_changes (tenant_id, revision, hosts, created_at) SELECT id, revision, '[]', 0 FROM tenants WHERE id = ?1";
    for tenant in others.iter().chain([&stuck]) {
        world.batch("CONTROL", vec![json!([pending, [tenant.id]])]).await;
    }
    let first = "UPDATE pending_changes SET next_at = -1 WHERE tenant_id = ?1";
    world.batch("CONTROL", vec![json!([first, [stuck.id]])]).await;
    world.restart(&[("FAULT_AFTER", &format!("stuck:{}", stuck.id))]).await;

    world.scheduled().await;
    let left = async || world.rows("CONTROL", "SELECT tenant_id, failures, next_at FROM pending_changes", &[]).await;
    let rows = left().await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((&rows[0]["tenant_id"], &rows[0]["failures"]), (&json!(stuck.id), &json!(1)));
    assert!(rows[0]["next_at"].as_i64().unwrap() > i64::try_from(now() * 1000).unwrap(), "{rows:?}");
    // It takes no turn until then.
    world.scheduled().await;
    assert_eq!(left().await, rows);
    world.restart(&[]).await;
    world.batch("CONTROL", vec![json!(["UPDATE pending_changes SET next_at = 0", []])]).await;
    world.scheduled().await;
    assert_eq!(left().await, Vec::<serde_json::Value>::new());
}

/// Counts what each step of a job deletes. A step ends by noting its progress.
async fn count_steps(tenant: &Tenant) {
    let shard = tenant.shard().await;
    for sql in [
        "CREATE TABLE counted (number INTEGER PRIMARY KEY, records INTEGER DEFAULT 0, versions INTEGER DEFAULT 0)",
        "INSERT INTO counted (records) VALUES (0)",
        "CREATE TRIGGER counted_step AFTER UPDATE OF done ON collection_state BEGIN INSERT INTO counted (records) VALUES (0); END",
        "CREATE TRIGGER counted_records AFTER DELETE ON records BEGIN UPDATE counted SET records = records + 1 WHERE number = (SELECT max(number) FROM counted); END",
        "CREATE TRIGGER counted_versions AFTER DELETE ON record_past_versions BEGIN UPDATE counted SET versions = versions + 1 WHERE number = (SELECT max(number) FROM counted); END",
    ] {
        tenant.world.batch(&shard, vec![json!([sql, []])]).await;
    }
}

async fn filled(world: &World, slugs: &[&str], records: usize) -> Tenant {
    let tenant = world.unbounded_tenant().await;
    for slug in slugs {
        let properties = json!({"score": {"type": "integer", "indexed": true}});
        tenant.collection(slug, properties, json!({"versioned": true})).await;
        tenant.fill(slug, 0..records, |i| json!({"score": i})).await;
    }
    tenant
}

/// Until a collection of the slug can be made.
async fn gone(tenant: &Tenant, slug: &str) {
    let body = json!({"slug": slug, "schema": {"type": "object", "properties": {}}});
    eventually("the end of a deletion", async || {
        (tenant.ask("POST", "/api/v1/collections", body.clone()).await.status == 201).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_large_collection_is_deleted_in_small_steps() {
    let world = World::own().await;
    let tenant = filled(&world, &["leads"], 700).await;
    // Each has a past version.
    tenant.on_shard("UPDATE records SET version = version + 1 WHERE tenant_id = ?1", &[]).await;
    count_steps(&tenant).await;
    tenant.as_owner("DELETE", "/api/v1/collections/leads").send().await;
    gone(&tenant, "leads").await;
    let sql = "SELECT max(records) AS most, max(versions) AS most_versions, sum(records) AS records, sum(versions) AS versions FROM counted";
    let counted = &tenant.world.rows(&tenant.shard().await, sql, &[]).await[0];
    assert_eq!((&counted["records"], &counted["versions"]), (&json!(700), &json!(700)), "{counted}");
    assert_eq!((&counted["most"], &counted["most_versions"]), (&json!(50), &json!(100)), "{counted}");
}

#[tokio::test]
async fn two_large_collections_of_a_tenant_are_both_deleted() {
    let world = World::shared().await;
    let tenant = filled(&world, &["leads", "offers"], 400).await;
    let delete = async |slug: &str| tenant.as_owner("DELETE", &format!("/api/v1/collections/{slug}")).send().await;
    tokio::join!(delete("leads"), delete("offers"));
    for slug in ["leads", "offers"] {
        gone(&tenant, slug).await;
    }
}
