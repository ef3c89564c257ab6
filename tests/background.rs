//! Background work is fair: who is stuck delays nobody, and what takes long is done in small steps.

use serde_json::json;

use crate::world::{Internet, Tenant, World, eventually, now, unique};

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

/// A deployment in which domains are proven, and a tenant with a domain that is.
async fn with_domain(world: &World) -> (Tenant, String) {
    let tenant = world.tenant().plan("pro").create().await;
    let domain = format!("d-{}.example", unique());
    let claim = tenant.admin("POST", "/domains").json(&json!({"domain": domain})).send().await.expect(201).data();
    Internet::shared().prove(&claim);
    tenant.admin("POST", &format!("/domains/{domain}/verify")).send().await.expect(200);
    (tenant, domain)
}

async fn proving() -> World {
    let world = World::own().await;
    let vars = Internet::shared().vars();
    world.restart(&vars.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>()).await;
    world
}

/// The check of a domain is due, since this millisecond.
async fn make_check_due(world: &World, domain: &str, since: i64) {
    let due = format!("UPDATE tenant_domains SET next_check_at = {since}, checked_at = 1 WHERE domain = ?1");
    world.batch("CONTROL", vec![json!([due, [domain]])]).await;
}

/// When a domain was checked, how often in a row without its record, and in how many minutes it is checked again.
async fn check_of(world: &World, domain: &str) -> (i64, i64, f64) {
    let sql = "SELECT checked_at, failures, next_check_at FROM tenant_domains WHERE domain = ?1";
    let row = &world.rows("CONTROL", sql, &[domain]).await[0];
    let number = |name: &str| row[name].as_i64().unwrap();
    let minutes = (number("next_check_at") as f64 / 1000.0 - now() as f64) / 60.0;
    (number("checked_at"), number("failures"), minutes)
}

#[tokio::test]
async fn a_domain_that_cannot_be_checked_waits_and_delays_no_other() {
    let world = proving().await;
    let ((_stuck_tenant, stuck), (_other_tenant, other)) = (with_domain(&world).await, with_domain(&world).await);
    let breaks = format!(
        "CREATE TRIGGER breaks BEFORE UPDATE OF failures ON tenant_domains WHEN NEW.domain = '{stuck}' BEGIN SELECT RAISE(ABORT, 'broken'); END"
    );
    world.batch("CONTROL", vec![json!([breaks, []])]).await;
    make_check_due(&world, &stuck, 1).await;
    make_check_due(&world, &other, 2).await;
    let lookups = |domain: &str| Internet::shared().asked(&format!("name=_carillon.{domain}&")).len();
    let before = (lookups(&stuck), lookups(&other));

    // It was looked up, and what was found could not be written: it waits for eight minutes or so, and has not failed.
    world.scheduled().await;
    let (checked, failures, minutes) = check_of(&world, &stuck).await;
    assert_eq!((checked, failures), (1, 0));
    assert!((5.0..=10.5).contains(&minutes), "in {minutes} minutes");
    let (checked, failures, minutes) = check_of(&world, &other).await;
    assert!(checked > 1 && failures == 0 && minutes > 12.0 * 60.0, "{checked}, {failures}, in {minutes} minutes");
    assert_eq!((lookups(&stuck), lookups(&other)), (before.0 + 1, before.1 + 1));
    world.call("GET", &stuck, "/").send().await.expect(200);
    // Until its time has come nobody looks it up, and the wait does not grow.
    world.scheduled().await;
    assert_eq!(lookups(&stuck), before.0 + 1);
    make_check_due(&world, &stuck, 1).await;
    world.scheduled().await;
    let (checked, _, minutes) = check_of(&world, &stuck).await;
    assert!(checked == 1 && (5.0..=10.5).contains(&minutes), "{checked}, in {minutes} minutes");
    assert_eq!(lookups(&stuck), before.0 + 2);

    world.batch("CONTROL", vec![json!(["DROP TRIGGER breaks", []])]).await;
    make_check_due(&world, &stuck, 1).await;
    world.scheduled().await;
    let (checked, failures, minutes) = check_of(&world, &stuck).await;
    assert!(checked > 1 && failures == 0 && minutes > 12.0 * 60.0, "{checked}, {failures}, in {minutes} minutes");
}

#[tokio::test]
async fn a_tenant_with_many_domains_due_delays_no_other_tenants_check() {
    let world = proving().await;
    let ((crowd, first), (_other_tenant, other)) = (with_domain(&world).await, with_domain(&world).await);
    // Fifty of one tenant wait longer than the one of the other; a run checks forty.
    let copies = "INSERT INTO tenant_domains (domain, tenant_id, created_at, token, proof, checked_at, next_check_at) \
         SELECT 'c' || value || '-' || ?1, ?2, 1, '00112233445566778899aabbccddeeff', 'dns', 1, 10 + value \
         FROM json_each(?3)";
    let numbers = serde_json::to_string(&(1..50).collect::<Vec<_>>()).unwrap();
    world.batch("CONTROL", vec![json!([copies, [first, crowd.id, numbers]])]).await;
    make_check_due(&world, &first, 1).await;
    make_check_due(&world, &other, 1_000).await;
    world.scheduled().await;
    let (checked, ..) = check_of(&world, &other).await;
    assert!(checked > 1, "it waits behind those of another tenant");
    let left = async || {
        let sql =
            "SELECT tenant_id, next_check_at FROM tenant_domains WHERE next_check_at <= 1000 ORDER BY next_check_at";
        world.rows("CONTROL", sql, &[]).await
    };
    // Those of the tenant come in the order in which they have waited: 39 of its fifty were checked.
    let waiting: Vec<i64> = left().await.iter().map(|row| row["next_check_at"].as_i64().unwrap()).collect();
    assert_eq!(waiting, (10 + 39..10 + 50).collect::<Vec<_>>());
    world.scheduled().await;
    assert_eq!(left().await, Vec::<serde_json::Value>::new());
}
