//! Custom domains are proven: claimed by any tenant, served for the one whose TXT record stands, for as long as it stands.
//!
//! Every test has two isolates: what one of them narrows, the other honours with its next request.

use serde_json::{Value, json};

use crate::world::{Internet, ROOT, Tenant, TestResponse, World, eventually, now, unique};

const DAY: u64 = 24 * 3600 * 1000;

fn domain() -> String {
    format!("d-{}.example", unique())
}

async fn tenant(world: &World) -> Tenant {
    world.tenant().plan("pro").create().await
}

async fn claim(tenant: &Tenant, domain: &str) -> Value {
    tenant.admin("POST", "/domains").json(&json!({"domain": domain})).send().await.expect(201).data()
}

async fn verify(tenant: &Tenant, domain: &str) -> TestResponse {
    tenant.admin("POST", &format!("/domains/{domain}/verify")).send().await
}

/// A domain that the tenant claimed and proved, with what it is shown as.
async fn proven(tenant: &Tenant, domain: &str) -> Value {
    Internet::shared().prove(&claim(tenant, domain).await);
    verify(tenant, domain).await.expect(200).data()
}

async fn shown(tenant: &Tenant, domain: &str) -> Value {
    let rows = tenant.admin("GET", "/domains").send().await.expect(200).data();
    let found = rows.as_array().unwrap().iter().find(|row| row["domain"] == domain).cloned();
    found.unwrap_or_else(|| panic!("{domain} is not in {rows}"))
}

async fn assert_served(world: &World, domain: &str) {
    world.call("GET", domain, "/").send().await.expect(200);
}

async fn assert_unserved(world: &World, domain: &str) {
    world.call("GET", domain, "/").send().await.expect_problem(404, "tenant_not_found");
}

/// What goes through the hub is refused at once, through whichever isolate; what an isolate answers by its grant alone ends
/// with the grant, which is good for five seconds.
async fn assert_gone(tenant: &Tenant, domain: &str) {
    tenant.webhook().host(domain).send().await.expect_problem(404, "tenant_not_found");
    tenant.events(&["posts"]).host(domain).refused().await.expect_problem(404, "tenant_not_found");
    eventually("the end of a grant", async || {
        (tenant.world.call("GET", domain, "/").send().await.status == 404).then_some(())
    })
    .await;
}

/// Makes a domain's check due, and lets cron run until it has happened.
async fn check(world: &World, domain: &str) {
    let due = "UPDATE tenant_domains SET next_check_at = 0 WHERE domain = ?1";
    world.batch("CONTROL", vec![json!([due, [domain]])]).await;
    eventually("a check", async || {
        world.scheduled().await;
        let left = "SELECT domain FROM tenant_domains WHERE domain = ?1 AND next_check_at = 0";
        world.rows("CONTROL", left, &[domain]).await.is_empty().then_some(())
    })
    .await;
}

async fn audited(tenant: &Tenant, operation: &str) -> Vec<Value> {
    let rows = "SELECT actor, detail FROM platform_audit WHERE tenant_id = ?1 AND operation = ?2 ORDER BY id";
    tenant.world.rows("CONTROL", rows, &[&tenant.id, operation]).await
}

#[tokio::test]
async fn a_claimed_domain_is_served_nowhere_until_its_record_stands() {
    let (here, there) = World::proving().await;
    let (tenant, domain) = (tenant(&here).await, domain());
    let claimed = claim(&tenant, &domain).await;
    assert_eq!((&claimed["status"], &claimed["proof"]), (&json!("pending"), &Value::Null), "{claimed}");
    let (name, value) = (claimed["record"]["name"].as_str().unwrap(), claimed["record"]["value"].as_str().unwrap());
    assert_eq!(name, format!("_carillon.{domain}"));
    let token = value.strip_prefix(&format!("carillon-domain={}:", tenant.id)).unwrap();
    assert_eq!(token.len(), 32);
    let listed = tenant.shown().await;
    assert_eq!((&listed["custom_domains"], &listed["pending_domains"]), (&json!([]), &json!([domain])));
    for world in [&here, &there] {
        assert_unserved(world, &domain).await;
        world.call("POST", &domain, "/webhook").json(&json!({})).send().await.expect_problem(404, "tenant_not_found");
    }

    let refused = verify(&tenant, &domain).await.expect_problem(409, "domain_not_proven");
    assert_eq!(refused.pointers(), ["/domain"]);
    assert!(refused.body.contains(name) && refused.body.contains(value), "{}", refused.body);
    assert_unserved(&there, &domain).await;

    let internet = Internet::shared();
    internet.site(&domain, 200);
    internet.prove(&claimed);
    let active = verify(&tenant, &domain).await.expect(200).data();
    assert_eq!((&active["status"], &active["proof"]), (&json!("active"), &json!("dns")), "{active}");
    assert_eq!((&active["is_primary"], &active["ssl_enabled"]), (&json!(true), &json!(true)), "{active}");
    assert_served(&here, &domain).await;
    // That it is nobody's is remembered for two seconds.
    eventually("the other isolate", async || {
        (there.call("GET", &domain, "/").send().await.status == 200).then_some(())
    })
    .await;
    let listed = tenant.shown().await;
    assert_eq!((&listed["custom_domains"], &listed["pending_domains"]), (&json!([domain]), &json!([])));
    assert_eq!(audited(&tenant, "domain.verify").await.len(), 1);
}

#[tokio::test]
async fn a_claim_blocks_nobody_and_the_first_proof_has_the_domain() {
    let (here, _) = World::proving().await;
    let (squatter, owner, domain) = (tenant(&here).await, tenant(&here).await, domain());
    let squatted = claim(&squatter, &domain).await;
    let owned = claim(&owner, &domain).await;
    assert_ne!(squatted["record"]["value"], owned["record"]["value"]);
    // The owner's record names the owner: it proves nothing for anybody else.
    Internet::shared().prove(&owned);
    verify(&squatter, &domain).await.expect_problem(409, "domain_not_proven");
    verify(&owner, &domain).await.expect(200);
    owner.webhook().host(&domain).accepted().await;

    // Whoever comes second is told that it is taken, with a record of their own and without.
    Internet::shared().set(
        &format!("_carillon.{domain}"),
        &[owned["record"]["value"].as_str().unwrap(), squatted["record"]["value"].as_str().unwrap()],
    );
    let late = verify(&squatter, &domain).await.expect_problem(409, "conflict");
    assert!(!late.body.contains(&owner.id), "{}", late.body);
    owner.webhook().host(&domain).accepted().await;
    let third = tenant(&here).await.admin("POST", "/domains").json(&json!({"domain": domain})).send().await;
    third.expect_problem(409, "conflict");
}

#[tokio::test]
async fn of_two_that_prove_one_domain_at_once_one_has_it() {
    let (here, there) = World::proving().await;
    let (first, second, domain) = (tenant(&here).await, tenant(&here).await.through(&there), domain());
    let values =
        [claim(&first, &domain).await, claim(&second, &domain).await].map(|shown| shown["record"]["value"].clone());
    let values: Vec<&str> = values.iter().map(|value| value.as_str().unwrap()).collect();
    Internet::shared().set(&format!("_carillon.{domain}"), &values);
    let (one, two) = tokio::join!(verify(&first, &domain), verify(&second, &domain));
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{} {}", one.body, two.body);
}

#[tokio::test]
async fn nobody_answering_is_no_proof_and_no_loss() {
    let (here, _) = World::proving().await;
    let (tenant, domain, internet) = (tenant(&here).await, domain(), Internet::shared());
    let name = format!("_carillon.{domain}");
    let claimed = claim(&tenant, &domain).await;
    internet.fail(&name);
    let answer = verify(&tenant, &domain).await.expect_problem(503, "unavailable");
    assert!(answer.body.contains(&name), "{}", answer.body);
    internet.prove(&claimed);
    verify(&tenant, &domain).await.expect(200);
    internet.fail(&name);
    let (old, due) = (
        (now() * 1000 - 30 * DAY).to_string(),
        "UPDATE tenant_domains SET failures = 50, failing_since = CAST(?2 AS INTEGER) WHERE domain = ?1",
    );
    here.batch("CONTROL", vec![json!([due, [domain, old]])]).await;
    check(&here, &domain).await;
    assert_served(&here, &domain).await;
    internet.prove(&claimed);
    check(&here, &domain).await;
    assert_eq!(shown(&tenant, &domain).await["failing_since"], Value::Null);
}

#[tokio::test]
async fn a_proof_is_lost_after_days_and_binds_every_isolate_at_once() {
    let (here, there) = World::proving().await;
    let (tenant, domain, internet) = (tenant(&here).await, domain(), Internet::shared());
    proven(&tenant, &domain).await;
    assert_served(&there, &domain).await;
    internet.set(&format!("_carillon.{domain}"), &["something else"]);
    check(&here, &domain).await;
    let failing = shown(&tenant, &domain).await;
    assert!(failing["failing_since"].is_string() && failing["status"] == "active", "{failing}");
    assert_served(&there, &domain).await;

    let past = "UPDATE tenant_domains SET failures = 4, failing_since = CAST(?2 AS INTEGER) WHERE domain = ?1";
    here.batch("CONTROL", vec![json!([past, [domain, (now() * 1000 - 4 * DAY).to_string()]])]).await;
    check(&here, &domain).await;
    // The other isolate served it a moment ago; its hub refuses the host.
    assert_gone(&tenant.through(&there), &domain).await;
    assert_gone(&tenant, &domain).await;
    let lost = shown(&tenant, &domain).await;
    assert_eq!(lost["status"], "pending");
    assert!(lost["failing_since"].is_string() && lost["expires_at"].is_string(), "{lost}");
    let rows = audited(&tenant, "domain.lose").await;
    assert_eq!(rows[0]["actor"], "cron");
    assert!(rows[0]["detail"].as_str().unwrap().contains(&domain));

    // To let it go and ask again is no way around the proof; to prove it again is.
    tenant.admin("DELETE", &format!("/domains/{domain}")).send().await.expect(200);
    let again = claim(&tenant, &domain).await;
    assert_eq!(again["status"], "pending");
    internet.prove(&again);
    verify(&tenant, &domain).await.expect(200);
    assert_served(&here, &domain).await;
}

#[tokio::test]
async fn a_removed_domain_binds_the_other_isolate_at_once() {
    let (here, there) = World::proving().await;
    let (tenant, domain) = (tenant(&here).await, domain());
    proven(&tenant, &domain).await;
    assert_served(&there, &domain).await;
    tenant.admin("DELETE", &format!("/domains/{domain}")).send().await.expect(200);
    assert_gone(&tenant.through(&there), &domain).await;
    // One's own comes back at once, with the proof that it had; another tenant waits.
    let other = self::tenant(&here).await;
    let refused = other.admin("POST", "/domains").json(&json!({"domain": domain})).send().await;
    refused.expect_problem(409, "conflict");
    let back = claim(&tenant, &domain).await;
    assert_eq!((&back["status"], &back["proof"]), (&json!("active"), &json!("dns")));
    assert_served(&here, &domain).await;
}

/// To let a domain go and attach it again keeps no proof alive whose record is gone.
#[tokio::test]
async fn an_own_domain_comes_back_without_a_proof_that_is_failing() {
    let (here, there) = World::proving().await;
    let (tenant, domain, internet) = (tenant(&here).await, domain(), Internet::shared());
    let record = proven(&tenant, &domain).await;
    internet.set(&format!("_carillon.{domain}"), &["something else"]);
    let let_go = async || tenant.admin("DELETE", &format!("/domains/{domain}")).send().await.expect(200);
    // The record went after the last check: the domain comes back, and is checked at once.
    let_go().await;
    assert_eq!(claim(&tenant, &domain).await["status"], "active");
    eventually("a check that was not waited for", async || {
        here.scheduled().await;
        shown(&tenant, &domain).await["failing_since"].is_string().then_some(())
    })
    .await;
    // And once a check has missed it, it comes back as a claim.
    let_go().await;
    let back = claim(&tenant, &domain).await;
    assert_eq!((&back["status"], &back["proof"]), (&json!("pending"), &Value::Null), "{back}");
    assert_gone(&tenant.through(&there), &domain).await;
    verify(&tenant, &domain).await.expect_problem(409, "domain_not_proven");
    internet.prove(&back);
    assert_eq!(verify(&tenant, &domain).await.expect(200).data()["status"], record["status"]);
}

#[tokio::test]
async fn a_claim_that_another_tenant_had_before_the_release_waits_too() {
    let (here, _) = World::proving().await;
    let (first, second, domain) = (tenant(&here).await, tenant(&here).await, domain());
    let waiting = claim(&second, &domain).await;
    proven(&first, &domain).await;
    first.admin("DELETE", &format!("/domains/{domain}")).send().await.expect(200);
    Internet::shared().prove(&waiting);
    verify(&second, &domain).await.expect_problem(409, "conflict");
    here.batch("CONTROL", vec![json!(["UPDATE released_domains SET released_at = 0 WHERE domain = ?1", [domain]])])
        .await;
    verify(&second, &domain).await.expect(200);
}

#[tokio::test]
async fn a_claim_ends_after_a_week_and_keeps_its_token_until_then() {
    let (here, _) = World::proving().await;
    let (tenant, domain) = (tenant(&here).await, domain());
    let first = claim(&tenant, &domain).await;
    let again = claim(&tenant, &domain).await;
    assert_eq!(first["record"], again["record"]);
    let ends = "SELECT expires_at - created_at AS waits FROM domain_claims WHERE domain = ?1";
    let waits = here.rows("CONTROL", ends, &[&domain]).await[0]["waits"].as_u64().unwrap();
    assert!((7 * DAY..7 * DAY + 60_000).contains(&waits), "{waits}");
    here.batch("CONTROL", vec![json!(["UPDATE domain_claims SET expires_at = 1 WHERE domain = ?1", [domain]])]).await;
    Internet::shared().prove(&first);
    verify(&tenant, &domain).await.expect_problem(404, "not_found");
    here.scheduled().await;
    assert_eq!(tenant.shown().await["pending_domains"], json!([]));
    assert_ne!(claim(&tenant, &domain).await["record"], first["record"]);
    verify(&tenant, &domain).await.expect_problem(409, "domain_not_proven");
}

#[tokio::test]
async fn an_operator_with_the_right_vouches_for_a_domain_and_the_audit_says_why() {
    let (here, there) = World::proving().await;
    let (tenant, domain) = (tenant(&here).await, domain());
    claim(&tenant, &domain).await;
    let key = async |permissions: &[&str]| {
        let body = json!({"name": "a test", "permissions": permissions});
        let made = here.platform("POST", "/api/v1/platform-keys").json(&body).send().await.expect(201).data();
        made["key"].as_str().unwrap().to_owned()
    };
    let path = format!("/api/v1/tenants/{}/domains/{domain}/vouch", tenant.id);
    let vouch = async |key: &str, body: Value| here.call("POST", ROOT, &path).bearer(key).json(&body).send().await;
    let reason = json!({"reason": "their contract names it"});
    vouch(&key(&["tenants:*"]).await, reason.clone()).await.expect_problem(403, "forbidden");
    assert_unserved(&here, &domain).await;
    let right = key(&["domains:vouch"]).await;
    for too_little in [json!({}), json!({"reason": "is theirs"}), json!({"reason": "   short    "})] {
        vouch(&right, too_little).await.expect_invalid("/reason");
    }
    let vouched = vouch(&right, reason).await.expect(200).data();
    assert_eq!((&vouched["status"], &vouched["proof"]), (&json!("active"), &json!("vouched")), "{vouched}");
    assert_served(&here, &domain).await;
    let rows = audited(&tenant, "domain.vouch").await;
    let detail: Value = serde_json::from_str(rows[0]["detail"].as_str().unwrap()).unwrap();
    assert_eq!(detail, json!({"domain": domain, "reason": "their contract names it"}));
    assert!(rows[0]["actor"].as_str().unwrap().starts_with("platform_key:"));
    // No record is asked for, now or later.
    check(&here, &domain).await;
    assert_served(&there, &domain).await;
    assert_eq!(Internet::shared().asked(&format!("_carillon.{domain}")), [""; 0]);
}

#[tokio::test]
async fn whether_https_works_is_what_the_domain_answered() {
    let (here, _) = World::proving().await;
    let (tenant, domain, internet) = (tenant(&here).await, domain(), Internet::shared());
    let first = proven(&tenant, &domain).await;
    assert_eq!((&first["ssl_enabled"], &first["https_status"]), (&json!(false), &Value::Null), "nothing answers");
    for (status, works) in [(526, false), (503, true), (525, false), (302, true)] {
        internet.site(&domain, status);
        check(&here, &domain).await;
        let now = shown(&tenant, &domain).await;
        assert_eq!((&now["ssl_enabled"], &now["https_status"]), (&json!(works), &json!(status)), "{now}");
        assert!(now["checked_at"].is_string());
    }
}

#[tokio::test]
async fn a_domain_of_before_counts_as_proven_and_can_be_proven_by_its_record() {
    let (here, _) = World::proving().await;
    let (tenant, domain, internet) = (tenant(&here).await, domain(), Internet::shared());
    proven(&tenant, &domain).await;
    internet.set(&format!("_carillon.{domain}"), &[]);
    // As an older release leaves it behind.
    let before =
        "UPDATE tenant_domains SET proof = 'inherited', token = '', failures = 9, failing_since = 1 WHERE domain = ?1";
    here.batch("CONTROL", vec![json!([before, [domain]])]).await;
    check(&here, &domain).await;
    assert_served(&here, &domain).await;
    let inherited = shown(&tenant, &domain).await;
    assert_eq!(inherited["proof"], "inherited");
    verify(&tenant, &domain).await.expect_problem(409, "domain_not_proven");
    assert_served(&here, &domain).await;
    internet.prove(&inherited);
    assert_eq!(verify(&tenant, &domain).await.expect(200).data()["proof"], "dns");
}

#[tokio::test]
async fn domains_in_a_tenants_own_body_are_claims_as_well() {
    let (here, _) = World::proving().await;
    let (first, second, third) = (domain(), domain(), domain());
    let made = here.tenant().plan("pro").set("custom_domains", json!([first, second])).call().send().await.expect(201);
    let made = made.data();
    assert_eq!((&made["custom_domains"], &made["pending_domains"]), (&json!([]), &json!([first, second])));
    let tenant = Tenant::from_answer(&here, &made);
    for name in [&first, &second] {
        Internet::shared().prove(&shown(&tenant, name).await);
    }
    // The first of the list is the primary one, whichever is proven first.
    assert_eq!(verify(&tenant, &second).await.expect(200).data()["is_primary"], true);
    assert_eq!(verify(&tenant, &first).await.expect(200).data()["is_primary"], true);
    assert_eq!(shown(&tenant, &second).await["is_primary"], false);

    let patched = tenant.patch(json!({"custom_domains": [third, second]})).await;
    assert_eq!((&patched["custom_domains"], &patched["pending_domains"]), (&json!([second]), &json!([third])));
    assert_gone(&tenant, &first).await;
    assert_unserved(&here, &third).await;
    assert_eq!(shown(&tenant, &second).await["is_primary"], true, "a claim is nobody's primary domain");
    let early = tenant.admin("PATCH", &format!("/domains/{third}")).json(&json!({"is_primary": true})).send().await;
    early.expect_problem(409, "domain_not_proven");
    let patched = tenant.patch(json!({"custom_domains": [second]})).await;
    assert_eq!(patched["pending_domains"], json!([]), "what is left out is withdrawn");
    verify(&tenant, &third).await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn a_claim_dies_with_its_tenant() {
    let (here, _) = World::proving().await;
    let (gone, domain) = (tenant(&here).await, domain());
    claim(&gone, &domain).await;
    gone.delete().await;
    gone.purge().await;
    let left = here.rows("CONTROL", "SELECT * FROM domain_claims WHERE tenant_id = ?1", &[&gone.id]).await;
    assert!(left.is_empty(), "{left:?}");
}
