//! Mails are bounded: to one person whatever the kind, and by the network that asks for them.

use serde_json::json;

use crate::world::{Tenant, TestResponse, World, early_in_a_minute, stranger, unique};

async fn forgot(tenant: &Tenant, address: &str, email: &str) -> TestResponse {
    let call = tenant.call("POST", "/api/v1/auth/password/forgot").address(address);
    call.json(&json!({"email": email})).send().await
}

async fn register(tenant: &Tenant, address: &str, email: &str) -> TestResponse {
    let call = tenant.call("POST", "/api/v1/auth/register").address(address);
    call.json(&json!({"email": email, "password": "correct horse battery"})).send().await
}

#[tokio::test]
async fn a_person_gets_ten_mails_a_minute_of_all_kinds_together_wherever_they_are_asked_for() {
    let world = World::shared().await;
    let open = json!({"registration": "open"});
    let tenant = world.tenant().set("settings", open.clone()).create().await;
    let other = world.tenant().set("settings", open).create().await;
    let email = format!("{}@person.test", unique());
    early_in_a_minute().await;
    let mut refused = 0;
    for _ in 0..4 {
        for answer in [register(&tenant, &stranger(), &email).await, forgot(&tenant, &stranger(), &email).await] {
            answer.expect(202);
        }
    }
    let invite = || tenant.as_owner("POST", "/api/v1/invitations").json(&json!({"email": format!("{email}.de")}));
    invite().send().await.expect(201);
    for _ in 0..4 {
        let loud = email.to_uppercase();
        refused += usize::from(forgot(&tenant, &stranger(), &loud).await.status == 429);
    }
    assert_eq!(refused, 2, "ten of twelve");
    register(&tenant, &stranger(), &email).await.expect_problem(429, "rate_limited");
    let invited = tenant.as_owner("POST", "/api/v1/invitations").json(&json!({"email": email})).send().await;
    assert!(matches!(invited.status, 409 | 429), "{}", invited.body);
    forgot(&other, &stranger(), &email).await.expect(202);
    forgot(&tenant, &stranger(), &format!("{}@person.test", unique())).await.expect(202);
}

#[tokio::test]
async fn one_network_has_a_third_of_a_persons_mails_of_a_day() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    let (email, attacker) = (format!("{}@person.test", unique()), stranger());
    let (prefix, _) = attacker.rsplit_once("::").unwrap();
    // Over several minutes it would be the same: the bound of a day is the one of a minute.
    for i in 0..10 {
        forgot(&tenant, &format!("{prefix}:0:0:0:{i}"), &email).await.expect(202);
    }
    let refused = forgot(&tenant, &attacker, &email).await.expect_problem(429, "rate_limited");
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);
}

#[tokio::test]
async fn one_network_asks_for_twenty_mails_a_minute() {
    let world = World::shared().await;
    let tenant = world.tenant().create().await;
    early_in_a_minute().await;
    let address = stranger();
    let ask = || async { forgot(&tenant, &address, &format!("{}@person.test", unique())).await };
    for _ in 0..20 {
        ask().await.expect(202);
    }
    ask().await.expect_problem(429, "rate_limited");
    forgot(&tenant, &stranger(), &format!("{}@person.test", unique())).await.expect(202);
}
