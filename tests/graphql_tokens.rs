//! Answers for whoever has a token with equal claims, which is verified here each time.

use serde_json::{Value, json};

use crate::graphql_cache::{posted, tenant_of, verdict};
use crate::world::content::{Content, POSTS, post};
use crate::world::{Site, SiteAnswer, Tenant, TestResponse, Token, World, eventually};

const AUDIENCE: &str = "https://www.example.com/members";

async fn tenant(world: &World, site: &Site) -> Tenant {
    let scope = json!({"audience": AUDIENCE, "claims": ["role", "plan"]});
    tenant_of(world, site, json!({"fresh_seconds": 600, "token_scope": scope})).await
}

/// A token as the site mints it for a visitor.
fn token(tenant: &Tenant, visitor: &str, role: &str) -> Token {
    let token = Token::new(&tenant.subscription_secret, &[]).without("topics").claim("aud", json!(AUDIENCE));
    token.claim("sub", json!(visitor)).claim("role", json!(role))
}

async fn ask(tenant: &Tenant, document: &str, token: &str) -> TestResponse {
    posted(tenant, document).bearer(token).send().await
}

#[tokio::test]
async fn equal_claims_share_an_answer_and_others_do_not() {
    let content = Content::of([1]);
    let tenant = tenant(&World::shared().await, &content.site).await;
    let ada = token(&tenant, "ada", "member").sign();
    let first = ask(&tenant, POSTS, &ada).await;
    assert_eq!(verdict(&first), "MISS; reason=new");
    assert_eq!(first.header("cache-control"), "private, no-cache");
    assert_eq!(content.site.asked()[0].header("authorization"), format!("Bearer {ada}"));
    for (visitor, expected) in [("ada", "HIT; reason=memory"), ("bob", "HIT; reason=memory")] {
        assert_eq!(verdict(&ask(&tenant, POSTS, &token(&tenant, visitor, "member").sign()).await), expected);
    }
    let silver = token(&tenant, "ada", "member").claim("plan", json!("silver"));
    let odd = token(&tenant, "ada", "member").claim("plan", json!([]));
    let null = token(&tenant, "ada", "member").claim("plan", Value::Null);
    for other in [token(&tenant, "ada", "editor"), silver, odd, null] {
        let other = other.sign();
        assert_eq!(verdict(&ask(&tenant, POSTS, &other).await), "MISS; reason=new");
        assert_eq!(verdict(&ask(&tenant, POSTS, &other).await), "HIT; reason=memory");
    }
    let anonymous = posted(&tenant, POSTS).send().await;
    assert_eq!((verdict(&anonymous), anonymous.header("cache-control")), ("MISS; reason=new", "no-cache"));
    assert_eq!(content.executions(), 6);
    let explained = json!({"query": POSTS, "headers": {"Authorization": format!("Bearer {ada}")}});
    let explained = tenant.as_owner("POST", "/api/v1/cache/explain").json(&explained).send().await.expect(200).data();
    assert_eq!(explained["next"], "HIT; reason=memory");
}

#[tokio::test]
async fn a_token_that_does_not_verify_never_meets_an_answer() {
    let world = World::shared().await;
    let content = Content::of([1]);
    let (tenant, other) = (tenant(&world, &content.site).await, tenant(&world, &content.site).await);
    assert_eq!(verdict(&ask(&tenant, POSTS, &token(&tenant, "ada", "member").sign()).await), "MISS; reason=new");
    let good = || token(&tenant, "ada", "member");
    let webhook = Token::new(&tenant.webhook_secret, &[]).claim("aud", json!(AUDIENCE)).claim("role", json!("member"));
    let mut forged = good().sign();
    forged.replace_range(forged.len() - 4.., "AAAA");
    for (what, token) in [
        ("expired", good().claim("exp", json!(1_700_000_000)).sign()),
        ("about to expire", good().expires_in(20).sign()),
        ("without an end", good().without("exp").sign()),
        ("not begun", good().claim("nbf", json!(4_000_000_000_u64)).sign()),
        ("for another audience", good().claim("aud", json!("https://www.example.com/")).sign()),
        ("for no audience", good().without("aud").sign()),
        ("another tenant's", token(&other, "ada", "member").sign()),
        ("of the webhook secret", webhook.sign()),
        ("unsigned", good().header(json!({"alg": "none"})).sign()),
        ("of another type", good().header(json!({"alg": "HS256", "typ": "at+jwt"})).sign()),
        ("with a number that no reader keeps", good().claim("plan", json!(0.5)).sign()),
        ("with a long claim", good().claim("plan", json!("x".repeat(200))).sign()),
        ("forged", forged),
        ("no token", "abc".into()),
    ] {
        assert_eq!(verdict(&ask(&tenant, POSTS, &token).await), "PASS; reason=credential", "{what}");
    }
    let basic = posted(&tenant, POSTS).header("Authorization", "Basic YTpi").send().await;
    assert_eq!(verdict(&basic), "PASS; reason=credential");
    let with_cookie = posted(&tenant, POSTS).bearer(&good().sign()).header("Cookie", "a=b").send().await;
    assert_eq!(verdict(&with_cookie), "PASS; reason=cookie");
}

#[tokio::test]
async fn a_secret_that_was_replaced_opens_no_answer_in_any_isolate() {
    let (a, b) = World::pair().await;
    let content = Content::of([1]);
    let tenant = tenant(&a, &content.site).await;
    let there = tenant.through(&b);
    let old = token(&tenant, "ada", "member").sign();
    assert_eq!(verdict(&ask(&tenant, POSTS, &old).await), "MISS; reason=new");
    assert!(verdict(&ask(&there, POSTS, &old).await).starts_with("HIT"));
    let rotated = tenant.admin("POST", "/secrets/subscription/rotate").json(&json!({"grace_seconds": 600}));
    let secret = rotated.send().await.expect(200).data()["secret"].as_str().unwrap().to_owned();
    // A site that knows one of the two secrets takes the other's tokens for nobody's: they share no answer.
    let new = token(&Tenant { subscription_secret: secret, ..tenant.clone() }, "ada", "member").sign();
    eventually("the new secret counts", async || {
        (verdict(&ask(&tenant, POSTS, &new).await) == "HIT; reason=memory").then_some(())
    })
    .await;
    assert_eq!((content.executions() >= 2, verdict(&ask(&tenant, POSTS, &old).await)), (true, "HIT; reason=memory"));
    let rotate = tenant.admin("POST", "/secrets/subscription/rotate").json(&json!({"grace_seconds": 0}));
    rotate.send().await.expect(200);
    for isolate in [&tenant, &there] {
        eventually("the old secret opens nothing", async || {
            (verdict(&ask(isolate, POSTS, &old).await) == "PASS; reason=credential").then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_the_site_says_of_its_answer_counts_for_tokens_too() {
    let site = Site::saying(|request| {
        let answer = SiteAnswer::json(200, r#"{"data":{"a":1}}"#).with("X-GraphQL-Keys", "id graphql:Query a");
        match request.header("authorization") {
            "" => answer,
            _ if request.document().contains('b') => answer.with("Vary", "Accept-Encoding, Authorization"),
            _ => answer.with("Cache-Control", "no-store"),
        }
    });
    let tenant = tenant(&World::shared().await, &site).await;
    let ada = token(&tenant, "ada", "member").sign();
    for (document, reason) in [("{a}", "no-store"), ("{b}", "vary")] {
        for _ in 0..2 {
            assert_eq!(verdict(&ask(&tenant, document, &ada).await), format!("PASS; reason={reason}"));
        }
    }
}

#[tokio::test]
async fn what_is_refused_to_one_visitor_is_told_to_nobody_else() {
    let site = Site::saying(|request| {
        let told = json!({"errors": [{"message": request.header("authorization")}]});
        SiteAnswer::json(200, told.to_string()).after(std::time::Duration::from_millis(300))
    });
    let tenant = tenant(&World::shared().await, &site).await;
    let asked = ["ada", "bob", "eve"].map(|visitor| {
        let (tenant, token) = (tenant.clone(), token(&tenant, visitor, "member").sign());
        tokio::spawn(async move { (ask(&tenant, "{a}", &token).await, token) })
    });
    for one in asked {
        let (answer, token) = one.await.unwrap();
        assert_eq!(answer.json()["errors"][0]["message"], format!("Bearer {token}"));
    }
}

#[tokio::test]
async fn nobodys_token_is_remembered_to_ask_again() {
    let content = Content::of([1, 2]);
    let scope = json!({"audience": AUDIENCE, "claims": ["role"]});
    let cache = json!({"fresh_seconds": 600, "warm_up": 1, "token_scope": scope});
    let tenant = tenant_of(&World::shared().await, &content.site, cache).await;
    let token = token(&tenant, "ada", "member").sign();
    for _ in 0..4 {
        ask(&tenant, &post(1), &token).await.expect(200);
        ask(&tenant, &post(1), &token).await.expect(200);
        posted(&tenant, &post(2)).send().await.expect(200);
    }
    let before = content.executions();
    tenant.as_owner("POST", "/api/v1/cache/purge").json(&json!({"all": true})).send().await.expect(200);
    eventually("the stranger's question is asked again", async || (content.executions() > before).then_some(())).await;
    assert_eq!(verdict(&ask(&tenant, &post(1), &token).await), "MISS; reason=purged");
    let asked: Vec<String> = content.site.asked()[before..].iter().map(|request| request.document()).collect();
    assert_eq!(asked, [post(2), post(1)]);
}
