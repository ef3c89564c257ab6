//! The same hostile tokens, at every door that takes tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ed25519_compact::{KeyPair, Seed};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::mercure::claims::{self, ExpectedClaims, Generation};
use super::sso::id_token::{self, ExpectedIdToken};
use crate::credentials::jose::UnverifiedToken;
use crate::credentials::platform_token::{self, TokenKind, VerifyingKey};
use crate::credentials::subscriber_token::{self, SubscriptionSecret};
use domain::clock::Timestamp;
use domain::matching::topic_url::Base;
use domain::mercure::Action;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const SECRET: &str = "a secret that both know";
const HUB: &str = "https://acme.test/.well-known/mercure";

/// A door: what it takes, who signs for it, and whether it opens.
struct Door {
    name: &'static str,
    header: Value,
    claims: Value,
    opens: fn(&str) -> bool,
}

fn pair() -> KeyPair {
    KeyPair::from_seed(Seed::new([1; 32]))
}

/// A part of a token, as text.
fn encoded(text: &str) -> String {
    BASE64.encode(text)
}

/// A token of these two texts, signed as its door expects.
fn signed(door: &Door, header: &str, claims: &str) -> String {
    signed_text(door, &format!("{}.{}", encoded(header), encoded(claims)))
}

fn signed_text(door: &Door, signed: &str) -> String {
    let signature = match door.header["alg"].as_str() {
        Some("HS256") => {
            let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
            mac.update(signed.as_bytes());
            BASE64.encode(mac.finalize().into_bytes())
        }
        _ => BASE64.encode(pair().sk.sign(signed, None)),
    };
    format!("{signed}.{signature}")
}

fn opens_platform(token: &str) -> bool {
    let keys = [VerifyingKey { kid: "one".into(), public: pair().pk, retires_at: None }];
    platform_token::verify(token, &[TokenKind::Access], &keys, "https://platform.test", NOW).is_ok()
}

fn opens_events(token: &str) -> bool {
    let verified = subscriber_token::verify(token, &[SubscriptionSecret { version: 1, secret: SECRET }], NOW);
    verified.is_ok_and(|token| !token.granted.is_empty())
}

fn opens_mercure(token: &str, generation: Generation) -> bool {
    let read = || {
        let token = UnverifiedToken::parse(token)?;
        let is_of_it = Generation::of(&token) == Some(generation);
        let is_signed = is_of_it && (token.is_signed_with(SECRET) || token.is_signed_by(&pair().pk));
        let hub = Base::parse(HUB).map_err(|_| "hub")?;
        let expected = ExpectedClaims { issuer: "https://acme.test", hub: &hub, allows: &[Action::Publish] };
        claims::read(generation, &token.into_claims(is_signed, NOW)?, &expected)
    };
    read().is_ok_and(|(grants, _)| !grants.publish.is_empty())
}

fn opens_sign_in(token: &str) -> bool {
    let read = || {
        let (token, _) = id_token::parse(token)?;
        let is_signed = token.is_signed_by(&pair().pk);
        let claims = token.into_claims(is_signed, NOW)?;
        let (issuer, client_id) = ("https://id.test", "carillon");
        id_token::identity(&claims, &ExpectedIdToken { issuer, client_id, nonce: "n", role_claim: None, now: NOW })
    };
    read().is_ok()
}

fn doors() -> Vec<Door> {
    let (now, end) = (NOW.seconds(), NOW.seconds() + 600);
    let details = json!([{"type": "https://mercure.rocks/authorization-detail", "actions": ["publish"],
        "topics": [{"match": "a"}]}]);
    let older = json!({"sub": "u", "exp": end, "nbf": now, "iat": now, "mercure": {"publish": ["*"]}});
    let current = json!({"iss": "https://acme.test", "aud": HUB, "sub": "u", "exp": end, "nbf": now, "iat": now,
        "authorization_details": details});
    let access = json!({"iss": "https://platform.test", "aud": "carillon:access", "sub": "user:u", "jti": "j",
        "iat_ms": NOW.millis(), "tenant_id": "acme", "clientId": "acme", "exp": end, "nbf": now, "iat": now});
    vec![
        Door {
            name: "the platform's own",
            header: json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "one"}),
            claims: access,
            opens: opens_platform,
        },
        Door {
            name: "a site's, on /events",
            header: json!({"alg": "HS256", "typ": "JWT"}),
            claims: json!({"topics": ["a"], "exp": end, "nbf": now, "iat": now, "sub": "u"}),
            opens: opens_events,
        },
        Door {
            name: "Mercure, a site's of 1.0",
            header: json!({"alg": "HS256", "typ": "at+jwt"}),
            claims: current.clone(),
            opens: |token| opens_mercure(token, Generation::Current),
        },
        Door {
            name: "Mercure, an issuer's of 1.0",
            header: json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "one"}),
            claims: current,
            opens: |token| opens_mercure(token, Generation::Current),
        },
        Door {
            name: "Mercure, of before 1.0",
            header: json!({"alg": "HS256", "typ": "JWT"}),
            claims: older,
            opens: |token| opens_mercure(token, Generation::Older),
        },
        Door {
            name: "single sign-on",
            header: json!({"alg": "EdDSA", "typ": "JWT", "kid": "one"}),
            claims: json!({"iss": "https://id.test", "aud": "carillon", "sub": "42", "nonce": "n", "exp": end,
                "nbf": now, "iat": now}),
            opens: opens_sign_in,
        },
    ]
}

/// A JSON object with one member changed.
fn with(object: &Value, name: &str, value: Value) -> String {
    let mut changed = object.clone();
    changed[name] = value;
    changed.to_string()
}

/// A JSON object with one member more, which may stand in it already.
fn and(object: &Value, member: &str) -> String {
    let text = object.to_string();
    format!("{},{member}}}", text.strip_suffix('}').unwrap())
}

#[test]
fn every_door_opens_to_its_own_tokens_and_to_no_other_doors() {
    let doors = doors();
    for door in &doors {
        let token = signed(door, &door.header.to_string(), &door.claims.to_string());
        for other in &doors {
            let is_same_wire = door.name.contains("of 1.0") && other.name.contains("of 1.0");
            assert_eq!(
                (other.opens)(&token),
                door.name == other.name || is_same_wire,
                "{} at {}",
                door.name,
                other.name
            );
        }
    }
}

#[test]
fn every_door_takes_the_same_spellings() {
    for door in doors() {
        let (header, claims) = (door.header.to_string(), door.claims.to_string());
        let typ = door.header["typ"].as_str().unwrap();
        for (header, claims) in [
            (with(&door.header, "typ", typ.to_ascii_uppercase().into()), claims.clone()),
            (with(&door.header, "typ", format!("application/{typ}").into()), claims.clone()),
            (with(&door.header, "jku", "https://evil.test/keys".into()), claims.clone()),
            (header.clone(), with(&door.claims, "exp", json!((NOW.seconds() + 60) as f64 + 0.5))),
            (header.clone(), with(&door.claims, "nbf", json!(NOW.seconds() + 60))),
            (header.clone(), with(&door.claims, "unknown", json!({"a": [1, null, "x"]}))),
            (format!(" {header} "), format!("{claims}\n")),
        ] {
            assert!((door.opens)(&signed(&door, &header, &claims)), "{}: {header} {claims}", door.name);
        }
    }
}

#[test]
fn no_door_opens_to_a_hostile_header() {
    for door in doors() {
        let claims = door.claims.to_string();
        let other = if door.header["alg"] == "HS256" { "EdDSA" } else { "HS256" };
        for header in [
            and(&door.header, r#""crit":["exp"]"#),
            and(&door.header, r#""crit":[]"#),
            and(&door.header, r#""crit":["b64"],"b64":false"#),
            and(&door.header, r#""b64":true"#),
            and(&door.header, r#""cty":"JWT""#),
            and(&door.header, r#""alg":"none""#),
            and(&door.header, &format!(r#""alg":{}"#, door.header["alg"])),
            and(&door.header, r#""\u0061lg":"none""#),
            and(&door.header, r#""typ":"JWT""#),
            with(&door.header, "alg", "none".into()),
            with(&door.header, "alg", "None".into()),
            with(&door.header, "alg", other.into()),
            with(&door.header, "alg", "RS256".into()),
            with(&door.header, "alg", "HS512".into()),
            with(&door.header, "alg", json!(["HS256", "EdDSA"])),
            with(&door.header, "alg", Value::Null),
            with(&door.header, "typ", "secevent+jwt".into()),
            with(&door.header, "typ", "logout+jwt".into()),
            with(&door.header, "typ", "".into()),
            with(&door.header, "typ", Value::Null),
            with(&door.header, "kid", 7.into()),
            with(&door.header, "kid", "k".repeat(513).into()),
            format!("{}x", door.header),
            "[]".to_owned(),
            String::new(),
        ] {
            assert!(!(door.opens)(&signed(&door, &header, &claims)), "{}: {header}", door.name);
        }
    }
}

#[test]
fn no_door_opens_to_hostile_claims() {
    let now = NOW.seconds();
    for door in doors() {
        let header = door.header.to_string();
        let mut hostile: Vec<String> = [
            ("exp", json!(now)),
            ("exp", json!(now.to_string())),
            ("exp", json!((now + 600).to_string())),
            ("exp", Value::Null),
            ("exp", json!([now + 600])),
            ("exp", json!(-1)),
            ("exp", json!((now + 600) * 1000)),
            ("exp", json!(253_402_300_800_u64)),
            ("exp", json!(u64::MAX)),
            ("exp", json!(1e300)),
            ("nbf", json!(now + 61)),
            ("nbf", json!("0")),
            ("nbf", Value::Null),
            ("nbf", json!(-1)),
            ("iat", json!(now + 61)),
            ("iat", json!("0")),
            ("iat", Value::Null),
            ("iat", json!(1e300)),
            ("sub", json!(7)),
            ("sub", json!(["u"])),
            ("jti", json!({})),
            ("iss", json!(["https://acme.test"])),
            ("aud", json!(7)),
            ("aud", json!({"a": 1})),
            ("aud", json!([HUB, 7, "carillon", "carillon:access"])),
        ]
        .into_iter()
        .map(|(name, value)| with(&door.claims, name, value))
        .collect();
        hostile.extend([
            and(&door.claims, &format!(r#""exp":{}"#, now + 600)),
            and(&door.claims, &format!(r#""sub":{}"#, door.claims["sub"])),
            and(&door.claims, r#""x":{"y":1,"y":2}"#),
            and(&door.claims, r#""exp":1e999"#),
            and(&door.claims, &format!(r#""x":"{}""#, "x".repeat(16 * 1024))),
            format!("[{}]", door.claims),
            format!("{}{}", door.claims, door.claims),
        ]);
        for claims in hostile {
            assert!(!(door.opens)(&signed(&door, &header, &claims)), "{}: {claims:.300}", door.name);
        }
    }
}

#[test]
fn no_door_opens_to_another_encoding() {
    for door in doors() {
        let (header, claims) = (encoded(&door.header.to_string()), encoded(&door.claims.to_string()));
        let good = signed_text(&door, &format!("{header}.{claims}"));
        let (signed, signature) = good.rsplit_once('.').unwrap();
        // A text whose length leaves bits over, with one of them set.
        let loose = |text: &str| {
            let text = format!("{text}{}", " ".repeat((4 - text.len() % 3) % 3));
            let encoded = encoded(&text);
            let last = encoded.as_bytes()[encoded.len() - 1];
            format!("{}{}", &encoded[..encoded.len() - 1], char::from(last + 1))
        };
        for token in [
            format!("{signed}."),
            format!("{signed}.{signature}="),
            format!("{signed}.{signature}\n"),
            format!(" {good}"),
            format!("{good}."),
            format!("{good}.{signature}"),
            signed.to_owned(),
            format!("{signed}.{}", BASE64.encode([0; 64])),
            format!("{signed}.{}", &signature[..signature.len() - 2]),
            signed_text(&door, &format!("{header}=.{claims}")),
            signed_text(&door, &format!("{header}.{claims}==")),
            signed_text(&door, &format!("{}.{claims}", loose(&door.header.to_string()))),
            signed_text(&door, &format!("{header}.{}", loose(&door.claims.to_string()))),
            signed_text(&door, &format!("{header}.{claims}.{claims}")),
            signed_text(&door, &header),
            json!({"protected": header, "payload": claims, "signature": signature}).to_string(),
        ] {
            assert!(!(door.opens)(&token), "{}: {token}", door.name);
        }
        assert!((door.opens)(&good), "{}", door.name);
    }
}
