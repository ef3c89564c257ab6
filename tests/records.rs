//! Records, one at a time.

use serde_json::json;

use crate::world::{Tenant, World};

const LEADS: &str = "/api/v1/leads";

async fn tenant() -> Tenant {
    let tenant = World::shared().await.tenant().create().await;
    let properties = json!({
        "email": {"type": "string", "format": "email", "unique": true},
        "name": {"type": "string", "maxLength": 50, "default": "nobody"},
        "score": {"type": "integer", "minimum": 0, "indexed": true},
        "tags": {"type": "array", "items": {"type": "string"}, "indexed": true},
        "at": {"type": "string", "format": "date-time"},
    });
    let statuses = json!({"initial": "new", "transitions": {"new": ["won", "lost"], "lost": ["new"]}});
    tenant.collection("leads", properties, json!({"statuses": statuses, "versioned": true, "soft_delete": true})).await;
    tenant
}

#[tokio::test]
async fn a_record_is_made_shown_changed_and_deleted() {
    let tenant = tenant().await;
    let body = json!({"email": "ada@example.test", "score": 3, "at": "2026-01-01T12:00:00+02:00"});
    let made = tenant.as_owner("POST", LEADS).json(&body).send().await.expect(201);
    let data = made.data();
    let path = format!("{LEADS}/{}", data["id"].as_str().unwrap());
    assert_eq!((made.header("location"), made.header("etag")), (path.as_str(), "\"1\""));
    assert_eq!(data["name"], "nobody");
    assert_eq!((&data["status"], &data["tenant_id"]), (&json!("new"), &json!(tenant.id)));
    assert_eq!(data["at"], "2026-01-01T10:00:00.000Z");
    let shown = tenant.as_owner("GET", &path).send().await.expect(200);
    assert_eq!(shown.data(), data);
    let patch = json!({"score": null, "tags": ["a", "b"], "status": "won"});
    let changed = tenant.as_owner("PATCH", &path).json(&patch).send().await.expect(200);
    assert_eq!(changed.header("etag"), "\"2\"");
    assert_eq!((&changed.data()["tags"], changed.data().get("score")), (&json!(["a", "b"]), None));
    assert_eq!(tenant.as_owner("GET", &path).send().await.expect(200).data(), changed.data());
    tenant.as_owner("DELETE", &path).send().await.expect(200);
    tenant.as_owner("GET", &path).send().await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_paged() {
    let tenant = tenant().await;
    for i in 0..7 {
        let body = json!({"email": format!("u{i}@example.test"), "name": format!("Name {i}"), "score": i % 3, "tags": [format!("t{i}"), "all"]});
        tenant.record("leads", body).await;
    }
    let emails = |answer: &crate::world::Answer| {
        answer.column("email").iter().map(|e| e.as_str().unwrap()[..2].to_owned()).collect::<Vec<_>>()
    };
    let first = tenant.listed("leads", &[("sort", "-score,email"), ("limit", "3")]).await.expect(200);
    assert_eq!(emails(&first), ["u2", "u5", "u1"]);
    let cursor = first.json()["pagination"]["cursor"].as_str().unwrap().to_owned();
    let second =
        tenant.listed("leads", &[("sort", "-score,email"), ("limit", "3"), ("cursor", &cursor)]).await.expect(200);
    assert_eq!(emails(&second), ["u4", "u0", "u3"]);
    assert_eq!(
        emails(
            &tenant
                .listed("leads", &[("filter", "score = 1 && name ~ \"name\""), ("sort", "created_at")])
                .await
                .expect(200)
        ),
        ["u1", "u4"]
    );
    assert_eq!(
        emails(
            &tenant.listed("leads", &[("filter", "tags = \"t3\" || score > 1"), ("sort", "email")]).await.expect(200)
        ),
        ["u2", "u3", "u5"]
    );
    assert_eq!(emails(&tenant.listed("leads", &[("q", "name 6")]).await.expect(200)), ["u6"]);
    let page = tenant.listed("leads", &[("status", "new"), ("page", "2"), ("per_page", "4")]).await.expect(200);
    assert_eq!((page.data().as_array().unwrap().len(), &page.json()["pagination"]["total"]), (3, &json!(7)));
    let counted = tenant
        .listed("leads", &[("filter", "score=0"), ("count", "true"), ("limit", "1"), ("fields", "id,score")])
        .await
        .expect(200);
    assert_eq!((counted.data()[0].as_object().unwrap().len(), &counted.json()["pagination"]["total"]), (2, &json!(3)));
}
