//! Both signature forms, their tolerance, and what a stranger learns.

use serde_json::json;

use crate::world::{Tenant, World, hmac_base64, hmac_hex, now, standard_key, unique};

async fn tenant() -> Tenant {
    World::shared().await.tenant().create().await
}

#[tokio::test]
async fn both_forms_are_taken() {
    let tenant = tenant().await;
    tenant.webhook().accepted().await;
    tenant.webhook().standard(&unique()).accepted().await;
}

#[tokio::test]
async fn a_standard_key_is_what_follows_whsec_decoded() {
    let world = World::shared().await;
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let tenant = world.tenant().set("webhook_secret", json!(secret)).create().await;
    tenant.webhook().standard(&unique()).accepted().await;
    tenant.webhook().accepted().await;
}

#[tokio::test]
async fn a_wrong_missing_or_mangled_signature_is_refused() {
    let tenant = tenant().await;
    let body = b"{}";
    let mac = hmac_hex(tenant.webhook_secret.as_bytes(), body);
    let mangled = [
        String::new(),
        String::from("sha256="),
        mac.clone(),
        format!("sha1={mac}"),
        format!("sha256={}", &mac[..63]),
        format!("sha256={mac}00"),
        format!("sha256={}", "z".repeat(64)),
        format!("sha256={}", hmac_hex(b"another secret entirely", body)),
    ];
    for signature in mangled {
        let call = tenant.call("POST", "/webhook").header("X-Webhook-Signature", &signature);
        let answer = call.bytes(body.to_vec()).send().await;
        assert_eq!(answer.status, 401, "{signature}: {}", answer.body);
        answer.expect_problem(401, "invalid_signature");
    }
    tenant.webhook().unsigned().send().await.expect_problem(401, "invalid_signature");
    let wrong = tenant.webhook().secret("another secret entirely");
    wrong.clone().send().await.expect_problem(401, "invalid_signature");
    wrong.standard(&unique()).send().await.expect_problem(401, "invalid_signature");
}

#[tokio::test]
async fn a_signature_covers_every_byte_of_the_body() {
    let tenant = tenant().await;
    let body = json!({
        "tenant_id": tenant.id, "node_type": "Post", "action": "update", "channels": ["posts"],
    })
    .to_string();
    let mac = hmac_hex(tenant.webhook_secret.as_bytes(), body.as_bytes());
    let call = tenant.call("POST", "/webhook");
    let call = call.header("X-Webhook-Signature", &format!("sha256={mac}"));
    let spaced = format!("{body} ");
    call.clone().bytes(spaced.into_bytes()).send().await.expect_problem(401, "invalid_signature");
    call.bytes(body.into_bytes()).send().await.expect(202);
}

#[tokio::test]
async fn five_minutes_are_tolerated_either_way() {
    let tenant = tenant().await;
    for (timestamp, status) in
        [(now() - 270, 202), (now() + 270, 202), (now() - 330, 401), (now() + 330, 401), (0, 401)]
    {
        let answer = tenant.webhook().standard_at(&unique(), &timestamp.to_string()).send().await;
        assert_eq!(answer.status, status, "{timestamp}: {}", answer.body);
    }
    for timestamp in ["", "soon", "-1", "1e9", "99999999999999999999"] {
        let answer = tenant.webhook().standard_at(&unique(), timestamp).send().await;
        answer.expect_problem(401, "invalid_signature");
    }
}

#[tokio::test]
async fn a_standard_signature_covers_its_id_and_timestamp() {
    let tenant = tenant().await;
    let (id, at, body) = (unique(), now().to_string(), b"{}".to_vec());
    let signed = format!("{id}.{at}.{{}}");
    let mac = hmac_base64(&standard_key(&tenant.webhook_secret), signed.as_bytes());
    let send = |id: &str, at: &str| {
        let call = tenant.call("POST", "/webhook").header("webhook-id", id);
        let call = call.header("webhook-timestamp", at);
        call.header("webhook-signature", &format!("v1,{mac}")).bytes(body.clone()).send()
    };
    send(&unique(), &at).await.expect_problem(401, "invalid_signature");
    send(&id, &(now() - 60).to_string()).await.expect_problem(401, "invalid_signature");
    send(&id, &at).await.expect_problem(422, "validation_failed");
}

#[tokio::test]
async fn one_good_signature_in_a_list_is_enough() {
    let tenant = tenant().await;
    let (id, at) = (unique(), now().to_string());
    let body = json!({
        "tenant_id": tenant.id, "node_type": "Post", "action": "update", "channels": ["posts"],
    })
    .to_string();
    let key = standard_key(&tenant.webhook_secret);
    let good = hmac_base64(&key, format!("{id}.{at}.{body}").as_bytes());
    let bad = hmac_base64(b"rotated away", format!("{id}.{at}.{body}").as_bytes());
    let list = format!("v1a,AAAA v1,{bad} v1,{good}");
    let call = tenant.call("POST", "/webhook").header("webhook-id", &id);
    let call = call.header("webhook-timestamp", &at).header("webhook-signature", &list);
    call.bytes(body.into_bytes()).send().await.expect(202);
}

#[tokio::test]
async fn a_tenant_may_insist_on_standard_webhooks() {
    let world = World::shared().await;
    let tenant = world.tenant().set("require_standard_webhooks", json!(true)).create().await;
    tenant.webhook().send().await.expect_problem(401, "invalid_signature");
    tenant.webhook().standard(&unique()).accepted().await;
}

#[tokio::test]
async fn an_unknown_tenant_gets_the_answer_of_a_wrong_signature() {
    let tenant = tenant().await;
    let ask = async |id: &str, standard: bool| {
        let webhook = tenant.webhook().host("localhost").header("X-Tenant-ID", id);
        let webhook = webhook.set("tenant_id", json!(id)).secret("not the secret of anyone");
        let webhook = if standard { webhook.standard("msg_1") } else { webhook };
        webhook.send().await.expect_problem(401, "invalid_signature").masked(&[id])
    };
    let suspended = World::shared().await.tenant().create().await;
    suspended.suspend().await;
    for standard in [false, true] {
        let wrong = ask(&tenant.id, standard).await;
        assert_eq!(ask("t-never000000", standard).await, wrong);
        assert_eq!(ask("Not:An:Id", standard).await, wrong);
        assert_eq!(ask(&suspended.id, standard).await, wrong);
    }
}

#[tokio::test]
async fn on_the_platform_host_a_webhook_must_name_its_tenant_and_mean_it() {
    let tenant = tenant().await;
    let other = World::shared().await.tenant().create().await;
    let nameless = tenant.webhook().host("localhost").send().await;
    nameless.expect_problem(401, "invalid_signature");
    let body_says_other =
        tenant.webhook().host("localhost").header("X-Tenant-ID", &tenant.id).set("tenant_id", json!(other.id));
    body_says_other.send().await.expect_problem(401, "invalid_signature");
    let query_says_other =
        tenant.webhook().host("localhost").header("X-Tenant-ID", &tenant.id).query("tenant_id", &other.id);
    query_says_other.send().await.expect_problem(401, "invalid_signature");
    let header_says_other = tenant.webhook().host("localhost").header("X-Tenant-ID", &other.id);
    header_says_other.send().await.expect_problem(401, "invalid_signature");
}

#[tokio::test]
async fn on_a_tenant_host_a_body_for_another_is_a_missing_tenants() {
    let tenant = tenant().await;
    let other = World::shared().await.tenant().create().await;
    let body = tenant.webhook().set("tenant_id", json!(other.id)).send().await;
    body.expect_problem(404, "tenant_not_found");
    let header = tenant.webhook().header("X-Tenant-ID", &other.id).send().await;
    header.expect_problem(404, "tenant_not_found");
}
