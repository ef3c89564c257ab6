//! `GET /` on a tenant host: a developer's first look.

use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn the_page_is_plain_html_that_subscribes() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let page = tenant.call("GET", "/").send().await.expect(200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.body.contains("EventSource") && page.body.contains("/events"));
    assert!(!page.body.contains("src=\"http"), "it fetches nothing from elsewhere");
    assert!(!page.header("content-security-policy").is_empty());
}

#[tokio::test]
async fn the_page_answers_head_without_a_body() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let head = tenant.call("HEAD", "/").send().await.expect(200);
    assert!(head.header("content-type").starts_with("text/html"));
    assert_eq!(head.body, "");
}

#[tokio::test]
async fn what_a_tenant_is_called_cannot_become_markup() {
    let world = World::shared().await;
    let name = json!("<script>alert('x')</script>\"&");
    let tenant = world.tenant().set("display_name", name).create().await;
    let page = tenant.call("GET", "/").send().await.expect(200);
    assert!(!page.body.contains("<script>alert("), "{}", page.body);
}
