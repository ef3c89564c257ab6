//! Health: of the platform, and of one tenant.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::world::{ROOT, Tenant, World};

async fn checks(tenant: &Tenant) -> Value {
    tenant.admin("GET", "/health").send().await.expect(200).data()["checks"].clone()
}

#[tokio::test]
async fn the_platform_says_that_it_is_ready() {
    let world = World::shared().await;
    let answer = world.call("GET", ROOT, "/health").send().await.expect(200);
    assert_eq!(answer.data()["status"], "ok");
    let checks = answer.data()["checks"].clone();
    assert!(checks.as_object().is_some_and(|checks| !checks.is_empty()), "{checks}");
    assert!(!answer.header("x-request-id").is_empty());
    assert!(answer.header("cache-control").contains("no-store"));
    let head = world.call("HEAD", ROOT, "/health").send().await.expect(200);
    assert_eq!(head.body, "");
}

#[tokio::test]
async fn the_platforms_health_names_the_version_that_runs() {
    let answer = World::shared().await.call("GET", ROOT, "/health").send().await.expect(200);
    assert_eq!(answer.data()["version"], env!("CARGO_PKG_VERSION"));
}

/// The release that an answer says it came from, and that it says so once.
fn version(headers: &reqwest::header::HeaderMap) -> Vec<&str> {
    headers.get_all("x-carillon-version").iter().map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test]
async fn every_answer_names_the_version_success_problem_preflight_and_stream_alike() {
    let world = World::shared().await;
    let tenant = world.tenant().set("cors_origins", json!(["https://www.example.com"])).create().await;
    let answers = [
        world.call("GET", ROOT, "/health").send().await.expect(200),
        world.call("HEAD", ROOT, "/health").send().await.expect(200),
        world.call("GET", ROOT, "/no/such/path").send().await.expect(404),
        world.call("GET", "nobody.example", "/").send().await.expect(404),
        world.call("GET", ROOT, "/api/v1/tenants").send().await.expect(401),
        tenant.call("GET", "/").send().await.expect(200),
        tenant.call("OPTIONS", "/events").header("Origin", "https://www.example.com").send().await.expect(204),
    ];
    for answer in &answers {
        assert_eq!(version(&answer.headers), [env!("CARGO_PKG_VERSION")], "{} {:?}", answer.status, answer.headers);
    }
    let stream = tenant.events(&["posts"]).stream().await;
    assert_eq!(version(&stream.headers), [env!("CARGO_PKG_VERSION")]);
}

#[tokio::test]
async fn a_tenants_health_names_rows_hub_and_kv() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let checks = checks(&tenant).await;
    for part in ["rows", "hub", "kv"] {
        assert_eq!(checks[part]["status"], "ok", "{part}: {checks}");
    }
}

#[tokio::test]
async fn a_wordpress_that_answers_is_reachable() {
    let world = World::shared().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/graphql", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = [0_u8; 4096];
            let _ = socket.read(&mut request).await;
            let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                          Content-Length: 31\r\nConnection: close\r\n\r\n\
                          {\"data\":{\"__typename\":\"Query1\"}}";
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    let tenant = world.tenant().set("wpgraphql_endpoint", json!(endpoint)).create().await;
    let checks = checks(&tenant).await;
    assert_eq!(checks["wordpress"]["status"], "ok", "{checks}");
}

#[tokio::test]
async fn a_wordpress_that_is_down_is_told_and_the_rest_is_well() {
    let world = World::shared().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let endpoint = json!(format!("http://{closed}/graphql"));
    let tenant = world.tenant().set("wpgraphql_endpoint", endpoint).create().await;
    let checks = checks(&tenant).await;
    assert_ne!(checks["wordpress"]["status"], "ok", "{checks}");
    assert_eq!(checks["hub"]["status"], "ok", "{checks}");
}

#[tokio::test]
async fn health_of_a_suspended_tenant_is_still_told_to_the_operator() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    tenant.suspend().await;
    tenant.admin("GET", "/health").send().await.expect(200);
}
