//! One set of rules for tokens, whoever signs them and wherever they are presented.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::world::{HUB, Tenant, Token, World, hmac, now};

/// An operation that takes tokens: a token that it accepts, and what signs it.
struct TokenOperation {
    name: &'static str,
    token: Token,
    secret: String,
    header: Value,
}

fn operations(tenant: &Tenant) -> Vec<TokenOperation> {
    let (webhook, subscription) = (tenant.webhook_secret.clone(), tenant.subscription_secret.clone());
    let (plain, access) = (json!({"alg": "HS256", "typ": "JWT"}), json!({"alg": "HS256", "typ": "at+jwt"}));
    let operation = |name, token, secret: &String, header: &Value| TokenOperation {
        name,
        token,
        secret: secret.clone(),
        header: header.clone(),
    };
    vec![
        operation("/events", tenant.token(&["a"]), &subscription, &plain),
        operation("subscribing", tenant.access_token("subscribe", &[("exact", "a")]), &subscription, &access),
        operation("subscribing, before 1.0", tenant.subscriber(&["a"]), &subscription, &plain),
        operation("publishing", tenant.access_token("publish", &[("exact", "a")]), &webhook, &access),
        operation("publishing, before 1.0", tenant.publisher(&["a"]), &webhook, &plain),
    ]
}

/// The status of an operation's answer to a token.
async fn status(tenant: &Tenant, operation: &TokenOperation, token: &str) -> u16 {
    // From another network each time: what is refused too often is another matter.
    let tenant = tenant.through(&tenant.world.elsewhere());
    let bearer = format!("Bearer {token}");
    let opened = match operation.name {
        "/events" => tenant.events(&["a"]).header("Authorization", &bearer).open().await,
        name if name.starts_with("subscribing") => tenant.mercure().query("match", "a").bearer(token).open().await,
        _ => {
            let call = tenant.call("POST", HUB).bearer(token);
            let call = call.header("Content-Type", "application/x-www-form-urlencoded");
            return call.bytes(b"topic=a&data=x".to_vec()).send().await.status;
        }
    };
    opened.map_or_else(|answer| answer.status, |_| 200)
}

/// A token of these texts, signed with an operation's secret.
fn signed(operation: &TokenOperation, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(hmac(operation.secret.as_bytes(), signed.as_bytes()));
    format!("{signed}.{signature}")
}

fn claims(token: &str) -> String {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    String::from_utf8(claims).unwrap()
}

/// A JSON object with one member more at its end, which may stand in it already.
fn and(object: &str, member: &str) -> String {
    format!("{},{member}}}", object.strip_suffix('}').unwrap())
}

#[tokio::test]
async fn each_operation_refuses_the_same_tokens() {
    let world = World::shared().await;
    let tenant = world.tenant().plan("pro").limit("max_anonymous_requests_per_minute", -1).create().await;
    for operation in operations(&tenant) {
        let good = operation.token.clone().sign();
        let (header, body) = (operation.header.to_string(), claims(&good));
        assert_eq!(status(&tenant, &operation, &good).await, 200, "{}", operation.name);
        assert_eq!(status(&tenant, &operation, &signed(&operation, &header, &body)).await, 200, "{}", operation.name);
        let claimed = |name: &str, value: Value| operation.token.clone().claim(name, value).sign();
        let mut typed = operation.header.clone();
        typed["typ"] = json!("logout+jwt");
        for (what, token) in [
            ("crit", signed(&operation, &and(&header, r#""crit":["exp"]"#), &body)),
            ("an unencoded payload", signed(&operation, &and(&header, r#""b64":false,"crit":["b64"]"#), &body)),
            ("b64 alone", signed(&operation, &and(&header, r#""b64":false"#), &body)),
            ("a nested token", signed(&operation, &and(&header, r#""cty":"JWT""#), &body)),
            ("two algorithms", signed(&operation, &and(&header, r#""alg":"HS256""#), &body)),
            ("none", signed(&operation, &header.replace("HS256", "none"), &body)),
            ("another algorithm", signed(&operation, &header.replace("HS256", "HS512"), &body)),
            ("a public key's algorithm", signed(&operation, &header.replace("HS256", "EdDSA"), &body)),
            ("another type", signed(&operation, &typed.to_string(), &body)),
            ("a kid that is no text", signed(&operation, &and(&header, r#""kid":7"#), &body)),
            (
                "a claim that stands twice",
                signed(&operation, &header, &and(&body, &format!(r#""exp":{}"#, now() + 300))),
            ),
            ("a member that stands twice", signed(&operation, &header, &and(&body, r#""x":[{"y":1,"y":2}]"#))),
            ("an end that is text", claimed("exp", json!((now() + 300).to_string()))),
            ("an end in milliseconds", claimed("exp", json!((now() + 300) * 1000))),
            ("an end that is null", claimed("exp", Value::Null)),
            ("an end that has come", claimed("exp", json!(now() - 1))),
            ("an end without end", claimed("exp", json!(1e300))),
            ("a negative end", claimed("exp", json!(-1))),
            ("a beginning that is text", claimed("nbf", json!("0"))),
            ("a later beginning", claimed("nbf", json!(now() + 600))),
            ("issued later", claimed("iat", json!(now() + 600))),
            ("issued in text", claimed("iat", json!(now().to_string()))),
            ("an audience that is an object", claimed("aud", json!({"a": 1}))),
            ("a subject that is a number", claimed("sub", json!(7))),
            ("padding", format!("{good}=")),
            ("a fourth part", format!("{good}.x")),
            ("no signature", format!("{}.", good.rsplit_once('.').unwrap().0)),
        ] {
            assert_eq!(status(&tenant, &operation, &token).await, 401, "{}: {what}", operation.name);
        }
        let fraction = claimed("exp", json!((now() + 300) as f64 + 0.5));
        assert_eq!(status(&tenant, &operation, &fraction).await, 200, "{}: a fraction of a second", operation.name);
    }
}
