//! Every kind of credential that must open nothing, at every door that asks for one.
//!
//! A door answers each of them exactly as it answers none at all; what is genuine elsewhere, and
//! names its tenant, finds no tenant here.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use carillon::routes::{Endpoint, Surface};
use ed25519_compact::{KeyPair, Seed};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::fixture::Fixture;
use super::row::{self, RouteUnderTest, Row};
use crate::world::{PLATFORM_KEY, ROOT, Tenant, TestResponse, Tokens, World, address, hmac, now, stranger};

/// How a credential is presented.
#[derive(Clone)]
enum PresentedCredential {
    Bearer(String),
    Cookie(String),
    Header(&'static str, String),
}

/// A credential, and what it is.
struct Bad {
    kind: &'static str,
    presented: PresentedCredential,
}

fn bad(kind: &'static str, bearer: impl Into<String>) -> Bad {
    Bad { kind, presented: PresentedCredential::Bearer(bearer.into()) }
}

/// Text with its last but tenth character changed: the checksum no longer fits.
fn mistyped(key: &str) -> String {
    let at = key.len() - 10;
    let other = if key.as_bytes()[at] == b'x' { "y" } else { "x" };
    format!("{}{other}{}", &key[..at], &key[at + 1..])
}

/// A key of the tenant, made unusable by changing its row.
async fn spoilt(tenant: &Tenant, change: &str) -> String {
    let key = tenant.key(&["*"]).await;
    tenant.on_shard(&format!("UPDATE api_keys SET {change} WHERE tenant_id = ?1 AND id = ?2"), &[&key.id]).await;
    key.text
}

/// Tokens of an owner who then lost what they rest on.
async fn lost(tenant: &Tenant, how: &str) -> Tokens {
    let user = tenant.user("owner").await;
    let tokens = user.login().await;
    tenant.on_shard(how, &[&user.id]).await;
    tokens
}

/// A token of any header and claims, signed by a key that is not ours.
fn signed_by_nobody(header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
    let pair = KeyPair::from_seed(Seed::new([7; 32]));
    format!("{signed}.{}", BASE64.encode(pair.sk.sign(&signed, None).as_ref()))
}

/// What opens nothing in this tenant, nor on the platform.
async fn bad_credentials(tenant: &Tenant) -> Vec<Bad> {
    let minting = tenant.key(&["subscriber-tokens:write", "events:read", "records:read"]).await;
    let mint = tenant.call("POST", "/api/v1/subscriber-tokens").bearer(&minting.text).json(&json!({"topics": ["*"]}));
    let minted = mint.send().await.expect(201).data()["token"].as_str().unwrap().to_owned();
    let jwks = tenant.world.call("GET", ROOT, "/.well-known/jwks.json").send().await.expect(200).json();
    let (kid, public) = (jwks["keys"][0]["kid"].clone(), jwks["keys"][0]["x"].as_str().unwrap().to_owned());
    let second = now();
    let claims = json!({
        "iss": "https://localhost", "aud": "carillon:access", "sub": "user:u_000000000000", "userId": "u_000000000000",
        "tenant_id": tenant.id, "clientId": tenant.id, "role": "owner", "jti": "jti_0", "sid": "0", "iat_ms": second * 1000,
        "iat": second, "nbf": second, "exp": second + 600,
    });
    let header = |alg: &str, kid: &Value| json!({"alg": alg, "typ": "at+jwt", "kid": kid});
    let unsigned =
        |header: &Value| format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()));
    let as_hmac = unsigned(&header("HS256", &kid));
    let with_public_key = BASE64.encode(hmac(&BASE64.decode(&public).unwrap(), as_hmac.as_bytes()));
    let mut edited: Vec<String> = minted.split('.').map(str::to_owned).collect();
    edited[1] = BASE64.encode(claims.to_string());
    let ticket = tenant.ticket(tenant.token(&["*"])).await;
    let working = tenant.key(&["*"]).await;
    let signed_in = tenant.user("owner").await.login().await;
    let cookie = tenant.user("owner").await.browser().await;
    let over = lost(tenant, "DELETE FROM sessions WHERE tenant_id = ?1 AND user_id = ?2").await;
    let disabled = lost(tenant, "UPDATE users SET status = 'disabled' WHERE tenant_id = ?1 AND id = ?2").await;
    let voided = lost(tenant, "UPDATE users SET not_before = 9000000000000 WHERE tenant_id = ?1 AND id = ?2").await;
    let removed = lost(tenant, "DELETE FROM users WHERE tenant_id = ?1 AND id = ?2").await;
    let (_, invitation) = tenant.invite(&address(), "owner").await;
    let operator = tenant.world.operator("support").await;
    operator.grant(tenant, "owner").await;
    let without_grant = operator.entered(tenant).await;
    operator.take_grant(tenant).await;
    vec![
        bad("nothing behind Bearer", ""),
        bad("nonsense", "nonsense"),
        bad("a JWT of nonsense", "a.b.c"),
        bad("a mistyped key", mistyped(&working.text)),
        bad("a key without its checksum", &working.text[..working.text.len() - 6]),
        bad("a revoked key", spoilt(tenant, "revoked_at = 1").await),
        bad("an expired key", spoilt(tenant, "expires_at = 1").await),
        bad("a key from elsewhere", spoilt(tenant, "ip_allowlist = '[\"192.0.2.1\"]'").await),
        bad("a key that was made anew", spoilt(tenant, "digest = 'x', previous_digest = NULL").await),
        bad(
            "a re-rolled key behind its grace",
            spoilt(tenant, "previous_digest = digest, previous_until = 1, digest = 'x'").await,
        ),
        bad("the webhook secret", &tenant.webhook_secret),
        bad("the subscription secret", &tenant.subscription_secret),
        bad("a subscriber token of the site's", tenant.token(&["*"]).claim("role", json!("owner")).sign()),
        bad("a subscriber token of ours", minted),
        bad("a ticket", ticket),
        bad("alg none", format!("{}.", unsigned(&header("none", &kid)))),
        bad("HMAC with the public key", format!("{as_hmac}.{with_public_key}")),
        bad("a foreign key under our kid", signed_by_nobody(&header("EdDSA", &kid), &claims)),
        bad("an unknown kid of our form", signed_by_nobody(&header("EdDSA", &json!("sig_000000000000")), &claims)),
        bad("a foreign kid", signed_by_nobody(&header("EdDSA", &json!("theirs")), &claims)),
        bad("edited claims", edited.join(".")),
        bad("a mistyped platform key", mistyped(PLATFORM_KEY)),
        bad("a refresh token", signed_in.refresh.as_str()),
        bad("a session cookie's text", cookie.split_once('=').unwrap().1),
        bad("a token of a session that is over", over.access.as_str()),
        bad("a token of a user who was disabled", disabled.access.as_str()),
        bad("a token from before the user's tokens were voided", voided.access.as_str()),
        bad("a token of a user who was removed", removed.access.as_str()),
        bad("an invitation's token", invitation),
        bad("a mistyped operator's session", mistyped(&operator.session)),
        bad("a switch token whose grant is gone", without_grant),
        Bad { kind: "an access token as cookie", presented: PresentedCredential::Cookie(signed_in.access.clone()) },
        Bad { kind: "a refresh token as cookie", presented: PresentedCredential::Cookie(signed_in.refresh) },
        Bad { kind: "an operator's session as cookie", presented: PresentedCredential::Cookie(operator.session) },
        Bad { kind: "a key as cookie", presented: PresentedCredential::Cookie(working.text.clone()) },
        Bad {
            kind: "a key of another scheme",
            presented: PresentedCredential::Header("Authorization", format!("Basic {}", working.text)),
        },
        Bad { kind: "a key in a header of its own", presented: PresentedCredential::Header("X-API-Key", working.text) },
    ]
}

/// Whether the door asks for a principal.
fn is_guarded(door: &RouteUnderTest) -> bool {
    match door.endpoint {
        Endpoint::Operator(..) | Endpoint::SignedInOperator(_) => true,
        _ => is_a_members(door),
    }
}

/// Whether the door asks for somebody who acts in the tenant.
fn is_a_members(door: &RouteUnderTest) -> bool {
    match door.endpoint {
        Endpoint::Member(..) | Endpoint::Reader(..) | Endpoint::User(_) | Endpoint::TableReader(..) => true,
        Endpoint::Anyone(_)
        | Endpoint::Operator(..)
        | Endpoint::SignedInOperator(_)
        | Endpoint::Visitor(..)
        | Endpoint::SignIn(_)
        | Endpoint::Signer(_)
        | Endpoint::Table(_) => false,
    }
}

/// The right request to a door but for its credential.
async fn ask(
    door: &RouteUnderTest,
    row: &Row,
    fixture: &Fixture,
    presented: Option<&PresentedCredential>,
) -> TestResponse {
    let world = &fixture.tenant.world;
    let mut call = world.call(&door.method, &row::host(door, fixture), &door.path(fixture)).address(&stranger());
    if door.surface == Surface::Platform && !door.names_a_tenant() {
        call = call.header("X-Tenant-ID", &fixture.tenant.id);
    }
    if let Some(body) = row.body {
        call = call.json(&body(fixture));
    }
    let call = match presented {
        None => call,
        Some(PresentedCredential::Bearer(text)) => call.bearer(text),
        Some(PresentedCredential::Cookie(text)) => call.header("Cookie", &format!("__Host-carillon_session={text}")),
        Some(PresentedCredential::Header(name, text)) => call.header(name, text),
    };
    call.send().await
}

#[tokio::test]
async fn what_proves_nobody_opens_no_door() {
    let world = World::shared().await;
    let fixture = Fixture::real(&world).await;
    let bad = bad_credentials(&fixture.tenant).await;
    let before = fixture.fingerprint().await;
    let mut failures = Vec::new();
    for door in row::doors().iter().filter(|door| is_guarded(door)) {
        let Some(row) = Row::of(door) else { continue };
        let none = ask(door, &row, &fixture, None).await;
        let mut same = vec![unmetered(&none)];
        if row.open {
            // Strangers are told what is public. A credential that is looked at gets its 401; one that is not, no more.
            let garbage = PresentedCredential::Bearer("nobody's".to_owned());
            let refused = ask(door, &row, &fixture, Some(&garbage)).await;
            assert_eq!((none.status, refused.status), (200, 401), "{door}");
            same.push(unmetered(&refused));
        } else if none.status != 401 {
            failures.push(format!("{door} with nothing: {}", none.status));
        }
        let tried = bad.iter().map(async |bad| {
            let answer = ask(door, &row, &fixture, Some(&bad.presented)).await;
            (!same.contains(&unmetered(&answer))).then(|| format!("{door} with {}: {}", bad.kind, answer.status))
        });
        failures.extend(join_all(tried).await.into_iter().flatten());
    }
    assert!(failures.is_empty(), "{} doors:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(before, fixture.fingerprint().await);
}

#[tokio::test]
async fn what_is_genuine_elsewhere_finds_no_tenant_here() {
    let world = World::shared().await;
    let (here, elsewhere) = (Fixture::real(&world).await, Fixture::real(&world).await);
    // Somebody who is a user of both, under one address.
    let member = elsewhere.tenant.user("owner").await;
    let twin = here.tenant.user("owner").await;
    here.tenant
        .on_shard("UPDATE users SET email = ?3 WHERE tenant_id = ?1 AND id = ?2", &[&twin.id, &member.email])
        .await;
    let operator = world.operator("admin").await;
    let impersonation = operator.impersonate(&elsewhere.tenant.id, &member.id).await.expect(200).data();
    let genuine = [
        ("a key", elsewhere.key.clone()),
        ("a token of a member of both", member.login().await.access),
        ("a switch token", operator.entered(&elsewhere.tenant).await),
        ("an impersonation", impersonation["token"].as_str().unwrap().to_owned()),
    ];
    let before = here.fingerprint().await;
    let mut failures = Vec::new();
    for door in row::doors().iter().filter(|door| is_a_members(door)) {
        let Some(row) = Row::of(door) else { continue };
        for (kind, credential) in &genuine {
            let answer = ask(door, &row, &here, Some(&PresentedCredential::Bearer(credential.clone()))).await;
            if answer.status != 404 || answer.json()["code"] != "tenant_not_found" {
                failures.push(format!("{door} with {kind}: {} {}", answer.status, answer.body));
            }
        }
    }
    assert!(failures.is_empty(), "{} doors:\n{}", failures.len(), failures.join("\n"));
    assert_eq!(before, here.fingerprint().await);
}

/// An answer without what counts requests.
fn unmetered(answer: &TestResponse) -> String {
    let lines = answer.masked(&[]);
    lines.lines().filter(|line| !line.contains("ratelimit")).collect::<Vec<_>>().join("\n")
}
