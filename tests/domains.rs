//! Custom domains: `…/tenants/{id}/domains`, and the hosts that they make.

use serde_json::{Value, json};

use crate::world::{Tenant, World, unique};

fn domain() -> String {
    format!("d-{}.example", unique())
}

async fn attach(tenant: &Tenant, domain: &str) -> Value {
    let call = tenant.admin("POST", "/domains").json(&json!({"domain": domain}));
    call.send().await.expect(201).data()
}

async fn detach(tenant: &Tenant, domain: &str) {
    tenant.admin("DELETE", &format!("/domains/{domain}")).send().await.expect(200);
}

/// The names in the tenant's list.
async fn listed(tenant: &Tenant) -> Vec<String> {
    let rows = tenant.admin("GET", "/domains").send().await.expect(200).data();
    let rows = rows.as_array().unwrap();
    rows.iter().map(|row| row["domain"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_attached_domain_is_a_host_at_once_in_every_spelling() {
    let world = World::shared().await;
    let (tenant, domain) = (world.tenant().plan("pro").create().await, domain());
    world.call("GET", &domain, "/").send().await.expect_problem(404, "tenant_not_found");
    assert_eq!(attach(&tenant, &domain).await["domain"], domain);
    assert_eq!(listed(&tenant).await, [domain.as_str()]);
    assert_eq!(tenant.shown().await["custom_domains"], json!([domain]));

    let upper = domain.to_uppercase();
    for host in [
        domain.clone(),
        format!("{domain}:443"),
        format!("{domain}:8787"),
        upper.clone(),
        format!("{domain}."),
        format!("{upper}.:8787"),
    ] {
        let mut stream = tenant.events(&["posts"]).host(&host).live().await;
        tenant.webhook().host(&host).data(json!(host)).accepted().await;
        assert_eq!(stream.event().await.body["data"], host);
    }
    let deeper = format!("www.{domain}");
    world.call("GET", &deeper, "/").send().await.expect_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn a_domain_is_stored_in_one_spelling() {
    let world = World::shared().await;
    let (tenant, domain) = (world.tenant().plan("pro").create().await, domain());
    let stored = attach(&tenant, &format!("{}.", domain.to_uppercase())).await;
    assert_eq!(stored["domain"], domain);
    assert_eq!(listed(&tenant).await, [domain]);
}

#[tokio::test]
async fn an_international_domain_is_stored_and_found_as_punycode() {
    let world = World::shared().await;
    let (tenant, label) = (world.tenant().plan("pro").create().await, unique());
    let stored = attach(&tenant, &format!("{label}.Bücher.example")).await;
    let punycode = format!("{label}.xn--bcher-kva.example");
    assert_eq!(stored["domain"], punycode);
    world.call("GET", &punycode, "/").send().await.expect(200);
    detach(&tenant, &punycode).await;
    world.call("GET", &punycode, "/").send().await.expect_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn a_released_domain_is_nobodys_at_once_and_rests_for_ten_minutes_for_others() {
    let world = World::shared().await;
    let (tenant, domain) = (world.tenant().plan("pro").create().await, domain());
    attach(&tenant, &domain).await;
    world.call("GET", &domain, "/").send().await.expect(200);
    detach(&tenant, &domain).await;
    world.call("GET", &domain, "/").send().await.expect_problem(404, "tenant_not_found");
    assert_eq!(listed(&tenant).await, Vec::<String>::new());

    let other = world.tenant().plan("pro").create().await;
    let call = other.admin("POST", "/domains").json(&json!({"domain": domain}));
    let answer = call.send().await.expect_problem(409, "conflict");
    assert_eq!(answer.pointers(), ["/domain"]);
    let created = world.tenant().plan("pro").set("custom_domains", json!([domain])).call().send().await;
    created.expect_problem(409, "conflict");
    let patched = other.admin("PATCH", "").json(&json!({"custom_domains": [domain]})).send().await;
    assert_eq!(patched.expect_problem(409, "conflict").pointers(), ["/custom_domains/0"]);

    attach(&tenant, &domain).await;
    world.call("GET", &domain, "/").send().await.expect(200);
    detach(&tenant, &domain).await;
    tenant.patch(json!({"custom_domains": [domain]})).await;
    world.call("GET", &domain, "/").send().await.expect(200);
}

#[tokio::test]
async fn a_slugs_host_rests_for_others_and_not_for_the_tenant_that_let_it_go() {
    let world = World::shared().await;
    let (tenant, other) = (world.tenant().create().await, world.tenant().create().await);
    tenant.patch(json!({"slug": format!("moved-{}", tenant.slug)})).await;
    let taken = other.admin("PATCH", "").json(&json!({"slug": tenant.slug})).send().await;
    assert_eq!(taken.expect_problem(409, "conflict").pointers(), ["/slug"]);
    tenant.patch(json!({"slug": tenant.slug})).await;
    tenant.call("GET", "/").send().await.expect(200);
}

#[tokio::test]
async fn a_domain_belongs_to_one_tenant() {
    let world = World::shared().await;
    let (first, second, domain) =
        (world.tenant().plan("pro").create().await, world.tenant().plan("pro").create().await, domain());
    attach(&first, &domain).await;
    for spelling in [domain.clone(), domain.to_uppercase(), format!("{domain}.")] {
        let call = second.admin("POST", "/domains").json(&json!({"domain": spelling}));
        let answer = call.send().await.expect_problem(409, "conflict");
        assert_eq!(answer.pointers(), ["/domain"]);
        assert!(!answer.body.contains(&first.id));
    }
    let path = format!("/domains/{domain}");
    second.admin("DELETE", &path).send().await.expect_problem(404, "not_found");
    assert_eq!(listed(&first).await, [domain]);
}

#[tokio::test]
async fn of_tenants_that_want_one_domain_at_once_one_gets_it() {
    let world = World::shared().await;
    let domain = domain();
    let mut claimants = Vec::new();
    for _ in 0..4 {
        claimants.push(world.tenant().plan("pro").create().await);
    }
    let claims =
        claimants.iter().map(|tenant| tenant.admin("POST", "/domains").json(&json!({"domain": domain})).send());
    let answers = futures_util::future::join_all(claims).await;
    let mut statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409]);
}

#[tokio::test]
async fn what_is_no_domain_is_refused_by_name() {
    let world = World::shared().await;
    let tenant = world.tenant().plan("pro").create().await;
    for bad in [
        json!(""),
        json!("no-dot"),
        json!("two..dots.example"),
        json!("space in.example"),
        json!("https://full.example"),
        json!("path.example/x"),
        json!("127.0.0.1"),
        json!("*.example"),
        json!("-leading.example"),
        json!(format!("{}.example", "a".repeat(64))),
        json!(7),
        json!("localhost"),
        json!("sub.localhost"),
        json!("SUB.LOCALHOST."),
        json!("0x7f.5"),
        json!("a.2"),
        json!("a.b.0x7F"),
        json!("127.1"),
        json!("2130706433"),
        json!("[::1]"),
        json!("１２７。０。０。１"),
        json!("port.example:80"),
        json!("_acme.example.com"),
        json!("xn--99999999.example"),
        json!("xn--a.example"),
        json!("xn--bcher-KVA8445foa.example.2"),
        json!("аpple.example"),
        json!("xn--pple-43d.example"),
        json!("ab\u{ad}.example2"),
    ] {
        let call = tenant.admin("POST", "/domains").json(&json!({"domain": bad}));
        let answer = call.send().await;
        assert_eq!(answer.status, 422, "{bad}: {}", answer.body);
        answer.expect_invalid("/domain");
    }
    let nameless = tenant.admin("POST", "/domains").json(&json!({})).send().await;
    nameless.expect_invalid("/domain");
    let odd = json!({"domain": domain(), "colour": "green"});
    tenant.admin("POST", "/domains").json(&odd).send().await.expect_invalid("/colour");
    assert_eq!(listed(&tenant).await, Vec::<String>::new());
}

#[tokio::test]
async fn one_domain_is_primary() {
    let world = World::shared().await;
    let tenant = world.tenant().plan("pro").create().await;
    let (first, second) = (domain(), domain());
    for name in [&first, &second] {
        let body = json!({"domain": name, "is_primary": true});
        tenant.admin("POST", "/domains").json(&body).send().await.expect(201);
    }
    let rows = tenant.admin("GET", "/domains").send().await.expect(200).data();
    let primary: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["is_primary"] == true)
        .map(|row| row["domain"].clone())
        .collect();
    assert_eq!(primary, [json!(second)]);

    let path = format!("/domains/{first}");
    for wrong in [json!({}), json!({"is_primary": false}), json!({"is_primary": "yes"})] {
        tenant.admin("PATCH", &path).json(&wrong).send().await.expect_invalid("/is_primary");
    }
    let shown = tenant.admin("PATCH", &path).json(&json!({"is_primary": true})).send().await.expect(200).data();
    assert_eq!((&shown["domain"], &shown["is_primary"]), (&json!(first), &json!(true)));
    let merge_patch = tenant.admin("PATCH", &path).header("Content-Type", "application/merge-patch+json");
    merge_patch.bytes(br#"{"is_primary":true}"#.to_vec()).send().await.expect(200);
    assert_eq!(listed(&tenant).await, [first.clone(), second.clone()]);
    assert_eq!(tenant.shown().await["custom_domains"], json!([first, second]));
    detach(&tenant, &first).await;
    let rows = tenant.admin("GET", "/domains").send().await.expect(200).data();
    assert_eq!(rows[0]["is_primary"], true, "the next one takes its place: {rows}");
    let nobody = format!("/domains/{}", domain());
    let missing = tenant.admin("PATCH", &nobody).json(&json!({"is_primary": true})).send().await;
    missing.expect_problem(404, "not_found");
}

#[tokio::test]
async fn a_change_of_the_whole_list_attaches_and_releases() {
    let world = World::shared().await;
    let (kept, dropped, added) = (domain(), domain(), domain());
    let tenant = world.tenant().plan("pro").set("custom_domains", json!([kept, dropped])).create().await;
    tenant.patch(json!({"custom_domains": [kept, added]})).await;
    world.call("GET", &kept, "/").send().await.expect(200);
    world.call("GET", &added, "/").send().await.expect(200);
    world.call("GET", &dropped, "/").send().await.expect_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn a_domain_that_is_not_attached_cannot_be_released() {
    let world = World::shared().await;
    let tenant = world.tenant().plan("pro").create().await;
    let path = format!("/domains/{}", domain());
    tenant.admin("DELETE", &path).send().await.expect_problem(404, "not_found");
}
