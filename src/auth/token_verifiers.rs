//! The same hostile tokens, for everything that verifies tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ed25519_compact::{KeyPair, Seed};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::mercure::claims::{self, ExpectedClaims, Generation};
use super::sso::id_token::{self, ExpectedIdToken};
use crate::credentials::audience_token;
use crate::credentials::jose::UnverifiedToken;
use crate::credentials::platform_token::{self, TokenKind, VerifyingKey};
use crate::credentials::subscriber_token::{self, SubscriptionSecret};
use domain::clock::Timestamp;
use domain::matching::topic_url::Base;
use domain::mercure::Action;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const SECRET: &str = "a secret that both know";
const HUB: &str = "https://acme.test/.well-known/mercure";

/// A verifier: its name, the header and the claims of a token that it accepts, and itself.
struct TokenVerifier {
    name: &'static str,
    header: Value,
    claims: Value,
    accepts: fn(&str) -> bool,
}

fn pair() -> KeyPair {
    KeyPair::from_seed(Seed::new([1; 32]))
}

/// A part of a token, as text.
fn encoded(text: &str) -> String {
    BASE64.encode(text)
}

/// A token of these two texts, signed as its verifier expects.
fn signed(verifier: &TokenVerifier, header: &str, claims: &str) -> String {
    signed_text(verifier, &format!("{}.{}", encoded(header), encoded(claims)))
}

fn signed_text(verifier: &TokenVerifier, signed: &str) -> String {
    let signature = match verifier.header["alg"].as_str() {
        Some("HS256") => {
            let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
            mac.update(signed.as_bytes());
            BASE64.encode(mac.finalize().into_bytes())
        }
        _ => BASE64.encode(pair().sk.sign(signed, None)),
    };
    format!("{signed}.{signature}")
}

fn accepts_platform(token: &str) -> bool {
    let keys = [VerifyingKey { kid: "one".into(), public: pair().pk, retires_at: None }];
    platform_token::verify(token, &[TokenKind::Access], &keys, "https://platform.test", NOW).is_ok()
}

fn accepts_events(token: &str) -> bool {
    let verified = subscriber_token::verify(token, &[SubscriptionSecret { version: 1, secret: SECRET }], NOW);
    verified.is_ok_and(|token| !token.granted.is_empty())
}

fn accepts_answers(token: &str) -> bool {
    audience_token::verify(token, [SubscriptionSecret { version: 1, secret: SECRET }], "shop", NOW).is_ok()
}

fn accepts_mercure(token: &str, generation: Generation) -> bool {
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

fn accepts_sign_in(token: &str) -> bool {
    let read = || {
        let (token, _) = id_token::parse(token)?;
        let is_signed = token.is_signed_by(&pair().pk);
        let claims = token.into_claims(is_signed, NOW)?;
        let (issuer, client_id) = ("https://id.test", "carillon");
        id_token::identity(&claims, &ExpectedIdToken { issuer, client_id, nonce: "n", role_claim: None, now: NOW })
    };
    read().is_ok()
}

fn verifiers() -> Vec<TokenVerifier> {
    let (now, end) = (NOW.seconds(), NOW.seconds() + 600);
    let details = json!([{"type": "https://mercure.rocks/authorization-detail", "actions": ["publish"],
        "topics": [{"match": "a"}]}]);
    let older = json!({"sub": "u", "exp": end, "nbf": now, "iat": now, "mercure": {"publish": ["*"]}});
    let current = json!({"iss": "https://acme.test", "aud": HUB, "sub": "u", "exp": end, "nbf": now, "iat": now,
        "authorization_details": details});
    let access = json!({"iss": "https://platform.test", "aud": "carillon:access", "sub": "user:u", "jti": "j",
        "iat_ms": NOW.millis(), "tenant_id": "acme", "clientId": "acme", "exp": end, "nbf": now, "iat": now});
    vec![
        TokenVerifier {
            name: "the platform's own",
            header: json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "one"}),
            claims: access,
            accepts: accepts_platform,
        },
        TokenVerifier {
            name: "a site's, on /events",
            header: json!({"alg": "HS256", "typ": "JWT"}),
            claims: json!({"topics": ["a"], "exp": end, "nbf": now, "iat": now, "sub": "u"}),
            accepts: accepts_events,
        },
        TokenVerifier {
            name: "a site's, for answers to its visitors",
            header: json!({"alg": "HS256", "typ": "JWT"}),
            claims: json!({"aud": "shop", "role": "member", "exp": end, "nbf": now, "iat": now, "sub": "u"}),
            accepts: accepts_answers,
        },
        TokenVerifier {
            name: "Mercure, a site's of 1.0",
            header: json!({"alg": "HS256", "typ": "at+jwt"}),
            claims: current.clone(),
            accepts: |token| accepts_mercure(token, Generation::Current),
        },
        TokenVerifier {
            name: "Mercure, an issuer's of 1.0",
            header: json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "one"}),
            claims: current,
            accepts: |token| accepts_mercure(token, Generation::Current),
        },
        TokenVerifier {
            name: "Mercure, of before 1.0",
            header: json!({"alg": "HS256", "typ": "JWT"}),
            claims: older,
            accepts: |token| accepts_mercure(token, Generation::Older),
        },
        TokenVerifier {
            name: "single sign-on",
            header: json!({"alg": "EdDSA", "typ": "JWT", "kid": "one"}),
            claims: json!({"iss": "https://id.test", "aud": "carillon", "sub": "42", "nonce": "n", "exp": end,
                "nbf": now, "iat": now}),
            accepts: accepts_sign_in,
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
fn each_verifier_accepts_its_own_tokens_and_no_others() {
    let verifiers = verifiers();
    for verifier in &verifiers {
        let token = signed(verifier, &verifier.header.to_string(), &verifier.claims.to_string());
        for other in &verifiers {
            let is_same_wire = verifier.name.contains("of 1.0") && other.name.contains("of 1.0");
            assert_eq!(
                (other.accepts)(&token),
                verifier.name == other.name || is_same_wire,
                "{} at {}",
                verifier.name,
                other.name
            );
        }
    }
}

#[test]
fn each_verifier_accepts_the_same_spellings() {
    for verifier in verifiers() {
        let (header, claims) = (verifier.header.to_string(), verifier.claims.to_string());
        let typ = verifier.header["typ"].as_str().unwrap();
        for (header, claims) in [
            (with(&verifier.header, "typ", typ.to_ascii_uppercase().into()), claims.clone()),
            (with(&verifier.header, "typ", format!("application/{typ}").into()), claims.clone()),
            (with(&verifier.header, "jku", "https://evil.test/keys".into()), claims.clone()),
            (header.clone(), with(&verifier.claims, "exp", json!((NOW.seconds() + 60) as f64 + 0.5))),
            (header.clone(), with(&verifier.claims, "nbf", json!(NOW.seconds() + 60))),
            (header.clone(), with(&verifier.claims, "unknown", json!({"a": [1, null, "x"]}))),
            (format!(" {header} "), format!("{claims}\n")),
        ] {
            assert!((verifier.accepts)(&signed(&verifier, &header, &claims)), "{}: {header} {claims}", verifier.name);
        }
    }
}

#[test]
fn no_verifier_accepts_a_hostile_header() {
    for verifier in verifiers() {
        let claims = verifier.claims.to_string();
        let other = if verifier.header["alg"] == "HS256" { "EdDSA" } else { "HS256" };
        for header in [
            and(&verifier.header, r#""crit":["exp"]"#),
            and(&verifier.header, r#""crit":[]"#),
            and(&verifier.header, r#""crit":["b64"],"b64":false"#),
            and(&verifier.header, r#""b64":true"#),
            and(&verifier.header, r#""cty":"JWT""#),
            and(&verifier.header, r#""alg":"none""#),
            and(&verifier.header, &format!(r#""alg":{}"#, verifier.header["alg"])),
            and(&verifier.header, r#""\u0061lg":"none""#),
            and(&verifier.header, r#""typ":"JWT""#),
            with(&verifier.header, "alg", "none".into()),
            with(&verifier.header, "alg", "None".into()),
            with(&verifier.header, "alg", other.into()),
            with(&verifier.header, "alg", "RS256".into()),
            with(&verifier.header, "alg", "HS512".into()),
            with(&verifier.header, "alg", json!(["HS256", "EdDSA"])),
            with(&verifier.header, "alg", Value::Null),
            with(&verifier.header, "typ", "secevent+jwt".into()),
            with(&verifier.header, "typ", "logout+jwt".into()),
            with(&verifier.header, "typ", "".into()),
            with(&verifier.header, "typ", Value::Null),
            with(&verifier.header, "kid", 7.into()),
            with(&verifier.header, "kid", "k".repeat(513).into()),
            format!("{}x", verifier.header),
            "[]".to_owned(),
            String::new(),
        ] {
            assert!(!(verifier.accepts)(&signed(&verifier, &header, &claims)), "{}: {header}", verifier.name);
        }
    }
}

#[test]
fn no_verifier_accepts_hostile_claims() {
    let now = NOW.seconds();
    for verifier in verifiers() {
        let header = verifier.header.to_string();
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
        .map(|(name, value)| with(&verifier.claims, name, value))
        .collect();
        hostile.extend([
            and(&verifier.claims, &format!(r#""exp":{}"#, now + 600)),
            and(&verifier.claims, &format!(r#""sub":{}"#, verifier.claims["sub"])),
            and(&verifier.claims, r#""x":{"y":1,"y":2}"#),
            and(&verifier.claims, r#""exp":1e999"#),
            and(&verifier.claims, &format!(r#""x":"{}""#, "x".repeat(16 * 1024))),
            format!("[{}]", verifier.claims),
            format!("{}{}", verifier.claims, verifier.claims),
        ]);
        for claims in hostile {
            assert!(!(verifier.accepts)(&signed(&verifier, &header, &claims)), "{}: {claims:.300}", verifier.name);
        }
    }
}

#[test]
fn no_verifier_accepts_another_encoding() {
    for verifier in verifiers() {
        let (header, claims) = (encoded(&verifier.header.to_string()), encoded(&verifier.claims.to_string()));
        let good = signed_text(&verifier, &format!("{header}.{claims}"));
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
            signed_text(&verifier, &format!("{header}=.{claims}")),
            signed_text(&verifier, &format!("{header}.{claims}==")),
            signed_text(&verifier, &format!("{}.{claims}", loose(&verifier.header.to_string()))),
            signed_text(&verifier, &format!("{header}.{}", loose(&verifier.claims.to_string()))),
            signed_text(&verifier, &format!("{header}.{claims}.{claims}")),
            signed_text(&verifier, &header),
            json!({"protected": header, "payload": claims, "signature": signature}).to_string(),
        ] {
            assert!(!(verifier.accepts)(&token), "{}: {token}", verifier.name);
        }
        assert!((verifier.accepts)(&good), "{}", verifier.name);
    }
}
