//! `GET /` on a tenant host: a developer's first look.

use serde_json::json;

use crate::world::{Chromium, Line, World};

#[tokio::test]
async fn the_page_is_plain_html_that_fetches_from_its_host_alone() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let page = tenant.call("GET", "/").send().await.expect(200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(!page.body.contains("src=\"http"), "it fetches nothing from elsewhere");
    let policy = page.header("content-security-policy");
    for rule in ["default-src 'none'", "connect-src 'self'", "form-action 'none'", "frame-ancestors 'none'"] {
        assert!(policy.contains(rule), "{policy}");
    }
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

/// Fills in a form of the page and sends it.
fn fill(form: &str, fields: &[(&str, &str)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(id, value)| json!([id, value])).collect();
    format!(
        "(() => {{
          for (const [id, value] of {}) document.getElementById(id).value = value;
          document.getElementById('{form}').requestSubmit();
        }})()",
        json!(fields)
    )
}

/// Whether the page's list has a row with such a text.
fn shows(text: &str) -> String {
    format!("[...document.querySelectorAll('#events li')].some((row) => row.textContent.includes({}))", json!(text))
}

const LISTENS: &str = "document.getElementById('state').dataset.state === 'open'";

#[tokio::test]
async fn what_one_page_publishes_arrives_in_others() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let line = Line::to(&world).await;
    let origin = line.origin(&tenant);
    let mut chromium = Chromium::start().await;
    let publisher = chromium.open(&origin).await;
    let exact = chromium.open(&format!("{origin}/?match=/posts/1")).await;
    let pattern = chromium.open(&format!("{origin}/?match_urlpattern=/posts/:id")).await;
    for page in [&publisher, &exact, &pattern] {
        chromium.until(page, LISTENS).await;
    }
    chromium.run(&publisher, &fill("make", &[("purpose", "publish"), ("secret", &tenant.webhook_secret)])).await;
    chromium.until(&publisher, "document.getElementById('publish-token').value !== ''").await;
    assert_eq!(chromium.run(&publisher, "document.getElementById('secret').value").await, "", "it is forgotten");
    let fields = [("topic", "/posts/1"), ("type", "add"), ("id", "urn:x:1"), ("data", "one\ntwo")];
    chromium.run(&publisher, &fill("publish", &fields)).await;
    for page in [&exact, &pattern] {
        chromium.until(page, &shows("add")).await;
        chromium.until(page, &shows("urn:x:1\none\ntwo")).await;
    }
    // On /events it is an event of the tenant's as any other; there is the publisher's own answer too.
    chromium.until(&publisher, &shows("one\ntwo")).await;
    chromium.until(&publisher, &shows("urn:x:1")).await;
}

#[tokio::test]
async fn a_token_made_in_the_page_lets_private_updates_through_on_both_wires() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let line = Line::to(&world).await;
    let mut chromium = Chromium::start().await;
    for wire in ["topic", "match"] {
        let page = chromium.open(&format!("{}/?{wire}=posts", line.origin(&tenant))).await;
        chromium.until(&page, LISTENS).await;
        let secret = tenant.subscription_secret.as_str();
        chromium.run(&page, &fill("make", &[("purpose", "subscribe"), ("granted", "posts"), ("secret", secret)])).await;
        chromium.until(&page, "document.getElementById('listen-token').value !== ''").await;
        chromium.run(&page, &fill("listen", &[])).await;
        chromium.until(&page, LISTENS).await;
        tenant.update("posts").data(&format!("private on {wire}")).private().published().await;
        chromium.until(&page, &shows(&format!("private on {wire}"))).await;
        assert_eq!(
            chromium.run(&page, "localStorage.length + sessionStorage.length + document.cookie.length").await,
            0
        );
        // What it is refused, it says.
        chromium.run(&page, &fill("listen", &[("listen-token", "no token")])).await;
        chromium.until(&page, &shows("refused")).await;
    }
}
