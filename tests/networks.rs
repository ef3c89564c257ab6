//! One notion of a network: an IPv4 address, the /64 of an IPv6 address, wherever anything is counted.

use futures_util::StreamExt as _;
use serde_json::json;

use crate::world::{Stream, Tenant, TestResponse, World, eventually, now, stranger};

/// A page of an origin that no tenant lists.
const PAGE: &str = "https://any.example";

/// Another address of the same network.
fn neighbour(address: &str, number: usize) -> String {
    let (prefix, _) = address.rsplit_once("::").unwrap();
    format!("{prefix}:0:0:1:{number:x}")
}

async fn open(tenant: &Tenant, address: &str) -> Result<Stream, u16> {
    tenant.events(&["posts"]).address(address).open().await.map_err(|answer| {
        assert_eq!(answer.json()["code"], "too_many_connections");
        answer.status
    })
}

#[tokio::test]
async fn streams_are_counted_by_network() {
    let world = World::shared().await;
    let tenant = world.tenant().limit("max_connections_per_ip", 2).create().await;
    let six = stranger();
    let _held = [open(&tenant, &six).await.unwrap(), open(&tenant, &neighbour(&six, 1)).await.unwrap()];
    assert_eq!(open(&tenant, &neighbour(&six, 2)).await.err(), Some(429), "another address of the /64");
    let _next = open(&tenant, &stranger()).await.unwrap();
    let _four = [open(&tenant, "192.0.2.1").await.unwrap(), open(&tenant, "::ffff:192.0.2.1").await.unwrap()];
    assert_eq!(open(&tenant, "::ffff:c000:201").await.err(), Some(429), "an IPv4 address in another spelling");
    let _other = open(&tenant, "192.0.2.2").await.unwrap();
}

#[tokio::test]
async fn one_network_cannot_hold_all_streams_and_its_share_can_be_set() {
    let world = World::shared().await;
    let builder = world.tenant().limit("max_concurrent_subscriptions", 20).limit("max_connections_per_ip_when_busy", 3);
    let tenant = builder.create().await;
    let hog = stranger();
    let mut held = Vec::new();
    for i in 0..11 {
        held.push(open(&tenant, &neighbour(&hog, i)).await.unwrap());
    }
    assert_eq!(open(&tenant, &hog).await.err(), Some(429), "more than half are taken");
    let refused = tenant.events(&["posts"]).address(&hog).refused().await.json();
    let detail =
        "The plan allows one network 20 streams at once, and 3 while more than half of the tenant's are taken.";
    assert!(refused["detail"].as_str().unwrap().starts_with(detail), "{refused}");
    let office = stranger();
    for i in 0..3 {
        held.push(open(&tenant, &neighbour(&office, i)).await.unwrap());
    }
    assert_eq!(open(&tenant, &office).await.err(), Some(429));
    tenant.patch(json!({"rate_limits": {"max_connections_per_ip_when_busy": -1}})).await;
    held.push(open(&tenant, &office).await.unwrap());
}

#[tokio::test]
async fn a_network_that_floods_is_closed_out_without_lines_in_the_log_and_let_in_again() {
    let world = World::own().await;
    let is_refused = |answer: &TestResponse| answer.header("ratelimit").starts_with("\"network-requests\";r=0;");
    // Pages, programs and the two kinds of `EventSource`.
    let kinds =
        [("/", "*/*"), ("/events?topic=a", "text/event-stream"), ("/.well-known/mercure?match=a", "text/event-stream")];
    let flood = async |count: usize| {
        let all = (0..count).map(|number| {
            let (path, accept) = kinds[number % kinds.len()];
            let call = world.call("GET", "nobody.localhost", path).header("Accept", accept).header("Origin", PAGE);
            async move { (path, call.send().await) }
        });
        futures_util::stream::iter(all).buffer_unordered(50).collect::<Vec<_>>().await
    };
    let answers = flood(1_600).await;
    let (refused, looked_at): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(_, answer)| is_refused(answer));
    assert!(looked_at.len() >= 1_000 && refused.len() >= 100, "{} were looked at", looked_at.len());
    for (path, answer) in &refused {
        match *path {
            "/" => {
                assert_eq!((answer.status, answer.json()["code"].as_str()), (429, Some("rate_limited")));
                assert_eq!(answer.json()["request_id"], answer.header("x-request-id"));
            }
            "/events?topic=a" => {
                assert_eq!((answer.status, answer.header("content-type")), (200, "text/event-stream"));
                let told = answer.body.starts_with("retry: ") && answer.body.contains("\nevent: hub.busy\ndata: {");
                assert!(told && answer.body.contains("rate_limited"), "{}", answer.body);
            }
            _ => {
                assert_eq!((answer.status, answer.header("content-type")), (200, "text/event-stream"));
                assert!(answer.body.starts_with("retry: ") && answer.body.ends_with("\n:\n"), "{}", answer.body);
            }
        }
        // A page of any origin may read it, also one that sends credentials.
        assert_eq!(answer.header("access-control-allow-origin"), PAGE);
        assert_eq!((answer.header("access-control-allow-credentials"), answer.header("vary")), ("true", "Origin"));
        let exposed = answer.header("access-control-expose-headers");
        for name in ["Retry-After", "RateLimit", "X-Request-Id"] {
            assert!(exposed.split(", ").any(|shown| shown == name), "{name}: {exposed}");
            assert!(!answer.header(name).is_empty(), "{name}");
        }
    }
    let refused: Vec<_> = refused.into_iter().map(|(_, answer)| answer).collect();
    let lines = world.logs().await;
    let logged =
        refused.iter().filter(|answer| lines.iter().any(|line| line["request_id"] == *answer.header("x-request-id")));
    assert!(logged.count() < refused.len() / 2, "one line each time that it is closed out");
    let other = world.elsewhere().call("GET", "nobody.localhost", "/").send().await;
    other.expect_problem(404, "tenant_not_found");
    eventually("to be let in again", async || {
        let answer = world.call("GET", "nobody.localhost", "/").send().await;
        (!is_refused(&answer)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn attempts_across_tenants_leave_one_row_for_a_network_and_minute() {
    let world = World::shared().await;
    let (mine, other) = (world.tenant().create().await, world.tenant().create().await);
    let network = stranger();
    let minute = now() / 60;
    for i in 0..5 {
        let call = mine.events(&["a"]).address(&neighbour(&network, i)).header("X-Tenant-ID", &other.id);
        call.refused().await;
    }
    let minutes = usize::try_from(now() / 60 - minute).unwrap() + 1;
    let rows = eventually("the attempts to be noted", async || {
        let rows = mine.on_shard("SELECT source_ip, network FROM security_events WHERE tenant_id = ?1", &[]).await;
        (!rows.is_empty()).then_some(rows)
    })
    .await;
    assert!(rows.len() <= minutes, "{rows:?}");
    assert!(rows[0]["network"].as_str().unwrap().ends_with("::/64"), "{rows:?}");
}

#[tokio::test]
async fn a_keys_list_of_addresses_tells_the_addresses_of_a_network_apart() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let key = tenant.key(&["users:read"]).await;
    let (here, there) = ("2001:db8:7:1::1", "2001:db8:7:1::2");
    let path = format!("/api/v1/api-keys/{}", key.id);
    tenant.as_owner("PATCH", &path).json(&json!({"ip_allowlist": [here]})).send().await.expect(200);
    let ask = |address: &str| tenant.call("GET", "/api/v1/users").bearer(&key.text).address(address).send();
    ask(there).await.expect_problem(401, "unauthorized");
    ask(here).await.expect(200);
    ask(there).await.expect_problem(401, "unauthorized");
}
