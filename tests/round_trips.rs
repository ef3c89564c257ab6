//! What is read of a thing can be sent back: for every path of the table that is read and changed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::world::{Operator, Tenant, TestResponse, World, address, unique};

/// Paths that are no things: a file's bytes, a stream with its tickets, and a list that PUT adds to.
const NO_THINGS: &[&str] = &["/api/v1/{collection}/{record_id}/file", "/events", "/api/v1/documents"];

/// Members that change by themselves, or with each change.
const MOVING: &[&str] = &[
    "updated_at",
    "revision",
    "version",
    "last_used_at",
    "last_login_at",
    "updated_by",
    "index",
    "records",
    "pending",
    "previous_valid_until",
];

/// A thing of each kind.
struct Things {
    tenant: Tenant,
    operator: Operator,
}

impl Things {
    async fn made() -> Things {
        let world = World::shared().await;
        let builder = world.tenant().plan("pro").limit("max_api_requests_per_minute", -1);
        let builder = builder.set("custom_domains", json!([format!("a-{}.example.org", unique())]));
        let tenant = builder.set("expires_at", json!("2099-01-01T00:00:00Z")).create().await;
        Things { operator: world.operator("support").await, tenant }
    }

    /// The path of one, which is made first.
    async fn path(&self, pattern: &str) -> String {
        let tenant = &self.tenant;
        let id = async |path: &str, body: Value| {
            let made = tenant.ask("POST", path, body).await.expect(201).data();
            format!("{path}/{}", made["id"].as_str().unwrap())
        };
        match pattern {
            "/api/v1/tenants/{tenant_id}" => format!("/api/v1/tenants/{}", tenant.id),
            "/api/v1/operators/{operator_id}" => format!("/api/v1/operators/{}", self.operator.id),
            "/api/v1/platform-keys/{key_id}" => {
                let body = json!({"name": "k", "permissions": ["tenants:read"]});
                let made = tenant.world.platform("POST", "/api/v1/platform-keys").json(&body).send().await.expect(201);
                format!("/api/v1/platform-keys/{}", made.data()["id"].as_str().unwrap())
            }
            "/api/v1/collections/{collection}" | "/api/v1/{collection}/{record_id}" => {
                let slug = format!("c{}", unique());
                let statuses = json!({"initial": "new", "transitions": {"new": ["old"]}});
                let fields = json!({"text": {"type": "string"}, "n": {"type": "integer", "indexed": true}});
                tenant.collection(&slug, fields, json!({"statuses": statuses, "alias": "client_id"})).await;
                tenant.record(&slug, json!({"id": "r1", "text": "x"})).await;
                match pattern {
                    "/api/v1/collections/{collection}" => format!("/api/v1/collections/{slug}"),
                    _ => format!("/api/v1/{slug}/r1"),
                }
            }
            "/api/v1/settings" | "/api/v1/branding" => pattern.to_owned(),
            "/api/v1/users/{user_id}" => id("/api/v1/users", json!({"email": address()})).await,
            "/api/v1/api-keys/{key_id}" => {
                id(
                    "/api/v1/api-keys",
                    json!({"name": "k", "scopes": ["records:read"], "expires_at": "2098-01-01T00:00:00Z"}),
                )
                .await
            }
            "/api/v1/roles/{role}" => {
                tenant.role("press", &["records:read"]).await;
                "/api/v1/roles/press".to_owned()
            }
            "/api/v1/sso/providers/{provider_id}" => {
                let body = json!({"id": "corp", "name": "Corp", "issuer": "https://id.example.org", "client_id": "c"});
                id("/api/v1/sso/providers", body).await
            }
            "/api/v1/sso/clients/{client_id}" => {
                let path = format!("/api/v1/sso/clients/wordpress-{}", tenant.id);
                tenant.ask("PUT", &path, json!({})).await.expect(200);
                path
            }
            other => panic!("no thing is made for {other}"),
        }
    }

    async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> TestResponse {
        let call = match path {
            _ if path.starts_with("/api/v1/branding") && method == "GET" => self.tenant.call(method, path),
            _ if ["/api/v1/tenants", "/api/v1/operators", "/api/v1/platform-keys"]
                .iter()
                .any(|one| path.starts_with(one)) =>
            {
                self.tenant.world.platform(method, path)
            }
            _ => self.tenant.as_owner(method, path),
        };
        match body {
            Some(body) => call.json(body).send().await,
            None => call.send().await,
        }
    }
}

fn still(shown: &Value) -> Value {
    let mut shown = shown.clone();
    MOVING.iter().for_each(|name| drop(shown.as_object_mut().unwrap().remove(*name)));
    shown
}

/// Every path that is read and changed, with the methods that change it.
fn changed_paths() -> Vec<(String, Vec<String>)> {
    let routes: Vec<_> = carillon::routes::SECTIONS.iter().copied().flatten().collect();
    let read: BTreeSet<&str> =
        routes.iter().filter(|route| route.method.as_ref() == "GET").map(|route| route.path).collect();
    let read = read.into_iter().filter(|path| !NO_THINGS.contains(path));
    let changed = read.map(|path| {
        let methods =
            routes.iter().filter(|route| route.path == path && ["PUT", "PATCH"].contains(&route.method.as_ref()));
        (path.to_owned(), methods.map(|route| route.method.as_ref().to_owned()).collect::<Vec<_>>())
    });
    changed.filter(|(_, methods)| !methods.is_empty()).collect()
}

#[tokio::test]
async fn what_was_read_can_be_sent_back_and_changes_nothing() {
    let things = Things::made().await;
    let paths = changed_paths();
    assert!(paths.len() >= 12, "{paths:?}");
    for (pattern, methods) in paths {
        let path = things.path(&pattern).await;
        for method in methods {
            let before = things.call("GET", &path, None).await.expect(200).data();
            let answer = things.call(&method, &path, Some(&before)).await;
            assert_eq!(answer.status, 200, "{method} {path} with {before}: {}", answer.body);
            let after = things.call("GET", &path, None).await.expect(200).data();
            assert_eq!(still(&after), still(&before), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn what_nobody_sets_is_refused_where_it_is_another() {
    let things = Things::made().await;
    for (pattern, methods) in changed_paths() {
        if ["/api/v1/settings", "/api/v1/branding"].contains(&pattern.as_str()) {
            continue;
        }
        let path = things.path(&pattern).await;
        for method in methods {
            let mut body = things.call("GET", &path, None).await.expect(200).data();
            body["created_at"] = json!("2001-01-01T00:00:00.000Z");
            let answer = things.call(&method, &path, Some(&body)).await.expect_invalid("/created_at");
            assert!(answer.codes().contains(&"read_only".to_owned()), "{method} {path}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_tenant_that_is_sent_back_pins_nothing_of_its_plan() {
    let world = World::shared().await;
    let tenant = world.tenant().plan("free").create().await;
    let body = tenant.shown().await;
    tenant.admin("PUT", "").json(&body).send().await.expect(200);
    let grown = tenant.patch(json!({"plan": "pro"})).await;
    assert_eq!((&grown["features"]["sso_enabled"], &grown["rate_limits"]), (&json!(true), &json!({})));
    assert_eq!(grown["storage_quota"], json!(53_687_091_200_u64));
    // One member of what was read is changed, under either of its names.
    let mut body = tenant.shown().await;
    body["name"] = json!("New name");
    let named = tenant.admin("PUT", "").json(&body).send().await.expect(200).data();
    assert_eq!((&named["name"], &named["display_name"]), (&json!("New name"), &json!("New name")));
    // What another change has made old is not written over.
    let refused = tenant.admin("PUT", "").json(&body).send().await.expect_problem(422, "validation_failed");
    assert!(refused.pointers().contains(&"/revision".to_owned()), "{}", refused.body);
}
