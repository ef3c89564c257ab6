//! `DELETE /api/v1/tenants/{id}`: first stopped, then purged, and its names retired.

use serde_json::json;

use crate::world::{World, unique};

#[tokio::test]
async fn deletion_is_two_phase() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;

    let early = tenant.admin("DELETE", "").query("purge", "true").send().await;
    early.expect_problem(409, "not_deleted");
    assert_eq!(tenant.shown().await["status"], "active");

    let deleted = tenant.admin("DELETE", "").send().await.expect(200).data();
    assert_eq!(deleted["status"], "deleted");
    assert_eq!(tenant.shown().await["status"], "deleted");
    tenant.call("GET", "/").send().await.expect_problem(404, "tenant_not_found");

    tenant.purge().await;
    tenant.admin("GET", "").send().await.expect_problem(404, "tenant_not_found");
    tenant.admin("DELETE", "").send().await.expect_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn deleting_again_is_no_error_before_the_purge() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    tenant.delete().await;
    assert_eq!(tenant.admin("DELETE", "").send().await.expect(200).data()["status"], "deleted");
}

#[tokio::test]
async fn a_deleted_tenant_can_be_brought_back_before_the_purge() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let id = tenant.publish("posts", json!("kept")).await;
    tenant.delete().await;
    tenant.activate().await;
    let mut stream = tenant.subscribe(&["posts"]).await;
    assert_eq!(stream.cursor, id);
    tenant.publish("posts", json!("back")).await;
    assert_eq!(stream.event().await.body["data"], "back");
}

#[tokio::test]
async fn purged_ids_and_slugs_are_retired_for_ever() {
    let world = World::shared().await;
    let slug = format!("s-{}", unique());
    let tenant = world.tenant().set("slug", json!(slug)).create().await;
    tenant.delete().await;
    tenant.purge().await;

    let same_id = world.tenant().id(&tenant.id).call().send().await;
    assert_eq!(same_id.expect_problem(409, "conflict").pointers(), ["/tenant_id"]);
    let same_slug = world.tenant().set("slug", json!(slug)).call().send().await;
    assert_eq!(same_slug.expect_problem(409, "conflict").pointers(), ["/slug"]);
    tenant.call("GET", "/").send().await.expect_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn a_purge_leaves_no_rows_and_no_cached_host() {
    let world = World::shared().await;
    let domain = format!("{}.example", unique());
    let tenant = world.tenant().plan("pro").set("custom_domains", json!([domain])).create().await;
    tenant.publish("posts", json!(1)).await;
    tenant.delete().await;
    tenant.purge().await;
    world.scheduled().await;

    world.call("GET", &domain, "/").send().await.expect_problem(404, "tenant_not_found");
    for shard in ["SHARD_00", "SHARD_01"] {
        let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%tenant_id%'";
        for table in world.rows(shard, tables, &[]).await {
            let table = table["name"].as_str().unwrap();
            let sql = format!("SELECT * FROM {table} WHERE tenant_id = ?1");
            let left = world.rows(shard, &sql, &[&tenant.id]).await;
            assert!(left.iter().all(|row| row["mode"] != "rw"), "{shard}.{table}: {left:?}");
        }
    }
    for table in ["tenant_secrets", "tenant_domains", "pending_changes"] {
        let sql = format!("SELECT * FROM {table} WHERE tenant_id = ?1");
        assert!(world.rows("CONTROL", &sql, &[&tenant.id]).await.is_empty(), "{table}");
    }
}

#[tokio::test]
async fn only_true_purges() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    tenant.delete().await;
    let odd = tenant.admin("DELETE", "").query("purge", "perhaps").send().await;
    odd.expect_invalid_query("purge");
    tenant.admin("DELETE", "").query("purge", "false").send().await.expect(200);
    assert_eq!(tenant.shown().await["status"], "deleted");
}
