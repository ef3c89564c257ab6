//! What a provider tells of itself (OpenID Connect Discovery 1.0) and the keys it signs with, remembered for ten
//! minutes.
//!
//! What KV remembers is sealed under the tenant's key, with its time: whoever writes to KV cannot lend a
//! provider another key, nor one that it no longer has. A token that names a key we do not know makes us look again, at most once a minute.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::provider::Provider;
use crate::auth::outbound_oidc::document;
use crate::auth::sealed_cache::Memory;
use crate::auth::session::LoginContext;
use crate::credentials::jwk::KeySet;
use crate::http::problem::{self, Problem};
use crate::storage::bindings::SystemClock;
use crate::storage::keys::{KvKey, OidcPart};
use crate::storage::sealed::SealKey;
use domain::clock::{Clock, Timestamp};
use domain::error::Invalid;
use domain::outbound::OutboundUrl;

/// How long what a provider told is good, in milliseconds.
const GOOD_MILLIS: i64 = 600_000;
/// How soon we look again for a key we do not know, in milliseconds.
const LOOK_AGAIN_MILLIS: i64 = 60_000;

/// How our client proves itself at the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientProof {
    /// `Authorization: Basic` (`client_secret_basic`).
    Basic,
    /// In the form (`client_secret_post`).
    Post,
}

/// What a provider tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Where browsers are sent.
    pub authorization: OutboundUrl,
    /// Where codes are exchanged.
    pub token: OutboundUrl,
    /// Where its keys stand.
    pub jwks: OutboundUrl,
    /// How our client proves itself.
    pub proof: ClientProof,
    /// Whether it always names itself when it sends a browser back (RFC 9207).
    pub names_itself: bool,
}

impl Metadata {
    /// Reads a discovery document; the error says which member cannot be used, for the log.
    fn read(
        document: &Map<String, Value>,
        issuer: &str,
        parse: impl Fn(&str) -> Result<OutboundUrl, Invalid>,
    ) -> Result<Self, &'static str> {
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        let url = |name: &'static str| text(name).and_then(|text| parse(text).ok()).ok_or(name);
        if text("issuer") != Some(issuer) {
            return Err("issuer");
        }
        let methods = document.get("token_endpoint_auth_methods_supported").and_then(Value::as_array);
        let takes = |method: &str| methods.is_some_and(|all| all.iter().any(|m| m.as_str() == Some(method)));
        let posts = takes("client_secret_post") && !takes("client_secret_basic");
        Ok(Self {
            authorization: url("authorization_endpoint")?,
            token: url("token_endpoint")?,
            jwks: url("jwks_uri")?,
            proof: if posts { ClientProof::Post } else { ClientProof::Basic },
            names_itself: document.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true)),
        })
    }
}

/// A document as KV remembers it.
#[derive(Serialize, Deserialize)]
struct Remembered {
    issuer: String,
    document: Map<String, Value>,
    /// When the provider told it, in milliseconds since 1970.
    told_at: i64,
    /// When a key was looked for that was not in it, in milliseconds since 1970.
    looked_again_at: Option<i64>,
}

/// A provider, asked for a tenant.
pub struct Inquiry<'a> {
    /// The tenant, and the deployment.
    pub lobby: &'a LoginContext<'a>,
    /// The tenant's data key.
    pub key: &'a SealKey,
    /// The provider.
    pub provider: &'a Provider,
}

impl Inquiry<'_> {
    /// What the provider tells of itself.
    pub async fn metadata(&self) -> Result<Metadata, Problem> {
        let parse = |text: &str| self.lobby.bindings.settings.outbound(text);
        let issuer = self.provider.issuer.as_str();
        if let Some(known) = self.remembered(OidcPart::Discovery).await
            && let Ok(metadata) = Metadata::read(&known.document, issuer, parse)
        {
            return Ok(metadata);
        }
        let address = parse(&discovery_address(issuer)).map_err(|_| problem::provider_unusable("issuer"))?;
        let document = document(&address).await?;
        let metadata = Metadata::read(&document, issuer, parse).map_err(problem::provider_unusable)?;
        self.remember(OidcPart::Discovery, document, None).await;
        Ok(metadata)
    }

    /// The provider's keys, looked at again for the sake of a key that is not among those remembered.
    pub async fn keys(&self, metadata: &Metadata, kid: Option<&str>) -> Result<KeySet, Problem> {
        let now = SystemClock.now();
        let known = self.remembered(OidcPart::Keys).await;
        if let Some(known) = &known
            && let Some(keys) = KeySet::parse(&known.document)
            && (keys.knows(kid) || !may_look_again(known.looked_again_at, now))
        {
            return Ok(keys);
        }
        let document = document(&metadata.jwks).await?;
        let keys = KeySet::parse(&document).ok_or_else(|| problem::provider_unusable("keys"))?;
        self.remember(OidcPart::Keys, document, known.map(|_| now.millis())).await;
        Ok(keys)
    }

    async fn remembered(&self, part: OidcPart) -> Option<Remembered> {
        let known: Remembered = self.memory(part).recall().await?;
        (known.issuer == self.provider.issuer && is_good(known.told_at, SystemClock.now())).then_some(known)
    }

    async fn remember(&self, part: OidcPart, document: Map<String, Value>, looked_again_at: Option<i64>) {
        let (issuer, told_at) = (self.provider.issuer.clone(), SystemClock.now().millis());
        let known = Remembered { issuer, document, told_at, looked_again_at };
        self.memory(part).keep(&known, GOOD_MILLIS.unsigned_abs() / 1000).await;
    }

    fn memory(&self, part: OidcPart) -> Memory<'_> {
        let LoginContext { bindings, tenant, .. } = self.lobby;
        Memory { bindings, tenant, key: self.key, at: KvKey::oidc(tenant, &self.provider.id, part) }
    }
}

fn discovery_address(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer))
}

fn is_good(told_at: i64, now: Timestamp) -> bool {
    now.millis() - told_at < GOOD_MILLIS
}

fn may_look_again(looked_again_at: Option<i64>, now: Timestamp) -> bool {
    looked_again_at.is_none_or(|at| now.millis() - at >= LOOK_AGAIN_MILLIS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::host::RootDomain;
    use domain::outbound::Loopback;
    use serde_json::json;

    fn read(change: Value) -> Result<Metadata, &'static str> {
        let mut document = json!({"issuer": "https://id.example.org", "authorization_endpoint": "https://id.example.org/a",
            "token_endpoint": "https://id.example.org/t", "jwks_uri": "https://keys.example.net/"});
        for (name, value) in change.as_object().unwrap() {
            document[name] = value.clone();
        }
        let root = RootDomain::parse("localhost").unwrap();
        Metadata::read(document.as_object().unwrap(), "https://id.example.org", |text| {
            OutboundUrl::parse(text, &root, Loopback::Refused)
        })
    }

    #[test]
    fn a_provider_tells_where_things_are() {
        let metadata = read(json!({})).unwrap();
        assert_eq!(metadata.jwks.as_str(), "https://keys.example.net/");
        assert_eq!((metadata.proof, metadata.names_itself), (ClientProof::Basic, false));
        let methods = |all: Value| read(json!({"token_endpoint_auth_methods_supported": all})).unwrap().proof;
        assert_eq!(methods(json!(["client_secret_post"])), ClientProof::Post);
        assert_eq!(methods(json!(["client_secret_post", "client_secret_basic"])), ClientProof::Basic);
        assert!(read(json!({"authorization_response_iss_parameter_supported": true})).unwrap().names_itself);
    }

    #[test]
    fn a_document_of_another_issuer_or_with_a_private_address_is_of_no_use() {
        for (change, wrong) in [
            (json!({"issuer": "https://id.example.org/"}), "issuer"),
            (json!({"issuer": null}), "issuer"),
            (json!({"authorization_endpoint": "http://id.example.org/a"}), "authorization_endpoint"),
            (json!({"token_endpoint": "https://169.254.169.254/t"}), "token_endpoint"),
            (json!({"jwks_uri": "https://metadata.google.internal/"}), "jwks_uri"),
            (json!({"jwks_uri": null}), "jwks_uri"),
        ] {
            assert_eq!(read(change.clone()), Err(wrong), "{change}");
        }
    }

    #[test]
    fn an_unknown_key_is_looked_for_once_a_minute() {
        let now = Timestamp::from_millis(1_000_000);
        assert!(may_look_again(None, now));
        assert!(!may_look_again(Some(940_001), now));
        assert!(may_look_again(Some(940_000), now));
    }

    #[test]
    fn what_a_provider_told_is_good_for_ten_minutes_whatever_kv_keeps() {
        let now = Timestamp::from_millis(1_000_000);
        assert!(is_good(1_000_000, now) && is_good(400_001, now));
        assert!(!is_good(400_000, now));
    }

    #[test]
    fn the_document_stands_under_the_issuer() {
        for issuer in ["https://id.example.org/realm", "https://id.example.org/realm/"] {
            let address = "https://id.example.org/realm/.well-known/openid-configuration";
            assert_eq!(discovery_address(issuer), address);
        }
    }
}
