//! A provider's configuration (OpenID Connect Discovery 1.0) and its signing keys, cached for ten minutes.
//!
//! The copy in KV is sealed under the tenant's key, with its time: whoever can write to KV cannot give a provider another
//! key, nor one that it no longer has. A document that cannot be had or used is asked for again after 15 seconds. A token with an unknown `kid` makes us fetch the keys again, at most once a minute.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::provider::Provider;
use crate::auth::outbound_oidc::document;
use crate::auth::sealed_cache::SealedCache;
use crate::auth::session::LoginContext;
use crate::credentials::jwk::KeySet;
use crate::credentials::signature::digest;
use crate::http::problem::{self, Problem};
use crate::isolate_cache::{CacheKey, IsolateCache, KeyIdentity};
use crate::storage::bindings::SystemClock;
use crate::storage::keys::{KvKey, OidcPart};
use crate::storage::sealed::SealKey;
use domain::clock::{Clock, Timestamp};
use domain::error::Invalid;
use domain::outbound::OutboundUrl;

/// How long a document is cached, in milliseconds.
const CACHE_MILLIS: i64 = 600_000;
/// How long we wait before fetching again for an unknown key, in milliseconds.
const REFETCH_MILLIS: i64 = 60_000;

/// How long an isolate remembers that a document cannot be had or used, in milliseconds.
const FAILED_MILLIS: i64 = 15_000;
/// Most such documents.
const MAX_FAILED: usize = 1_000;

thread_local! {
    static FAILED: RefCell<IsolateCache<IssuersDocument, Problem>> = RefCell::new(IsolateCache::new(MAX_FAILED, FAILED_MILLIS));
}

/// An issuer's document: the issuer, and the address. Two issuers may have one address: what is of no use to one may be
/// what the other needs.
#[derive(PartialEq, Eq, Hash)]
struct IssuersDocument(String, String);

impl CacheKey for IssuersDocument {
    const IDENTITY: KeyIdentity =
        KeyIdentity::CheckedAgainst("nothing: what failed is asked for again after seconds, whoever asks");
}

/// How our client authenticates at the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientProof {
    /// `Authorization: Basic` (`client_secret_basic`).
    Basic,
    /// In the form (`client_secret_post`).
    Post,
}

/// A provider's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The authorization endpoint.
    pub authorization: OutboundUrl,
    /// The token endpoint.
    pub token: OutboundUrl,
    /// Where its keys are.
    pub jwks: OutboundUrl,
    /// How our client authenticates.
    pub client_auth: ClientProof,
    /// Whether it always sends `iss` when it sends a browser back (RFC 9207).
    pub sends_iss: bool,
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
            client_auth: if posts { ClientProof::Post } else { ClientProof::Basic },
            sends_iss: document.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true)),
        })
    }
}

/// A document as KV holds it.
#[derive(Serialize, Deserialize)]
struct CachedDocument {
    issuer: String,
    document: Map<String, Value>,
    /// When it was fetched, in milliseconds since 1970.
    #[serde(rename = "told_at")]
    fetched_at: i64,
    /// When it was fetched for the sake of an unknown key, in milliseconds since 1970.
    #[serde(rename = "looked_again_at")]
    refetched_at: Option<i64>,
}

/// Fetches a provider's documents on behalf of a tenant.
pub struct ProviderClient<'a> {
    /// The tenant, and the deployment.
    pub context: &'a LoginContext<'a>,
    /// The tenant's data key.
    pub key: &'a SealKey,
    /// The provider.
    pub provider: &'a Provider,
}

impl ProviderClient<'_> {
    /// The provider's configuration.
    pub async fn metadata(&self) -> Result<Metadata, Problem> {
        let parse = |text: &str| self.context.bindings.settings.outbound(text);
        let issuer = self.provider.issuer.as_str();
        if let Some(cached) = self.cached(OidcPart::Discovery).await
            && let Ok(metadata) = Metadata::read(&cached.document, issuer, parse)
        {
            return Ok(metadata);
        }
        let address = parse(&discovery_address(issuer)).map_err(|_| problem::provider_unusable("issuer"))?;
        let document = fetch(issuer, &address, |document| {
            Metadata::read(document, issuer, parse).map(drop).map_err(problem::provider_unusable)
        })
        .await?;
        let metadata = Metadata::read(&document, issuer, parse).map_err(problem::provider_unusable)?;
        self.store(OidcPart::Discovery, document, None).await;
        Ok(metadata)
    }

    /// The provider's keys; fetched again if `kid` is not among the cached ones.
    pub async fn keys(&self, metadata: &Metadata, kid: Option<&str>) -> Result<KeySet, Problem> {
        let now = SystemClock.now();
        let cached = self.cached(OidcPart::Keys).await;
        if let Some(cached) = &cached
            && let Some(keys) = KeySet::parse(&cached.document)
            && (keys.knows(kid) || !may_refetch(cached.refetched_at, now))
        {
            return Ok(keys);
        }
        let is_key_set = |document: &Map<String, Value>| match KeySet::parse(document) {
            Some(_) => Ok(()),
            None => Err(problem::provider_unusable("keys")),
        };
        let document = fetch(&self.provider.issuer, &metadata.jwks, is_key_set).await?;
        let keys = KeySet::parse(&document).ok_or_else(|| problem::provider_unusable("keys"))?;
        self.store(OidcPart::Keys, document, cached.map(|_| now.millis())).await;
        Ok(keys)
    }

    async fn cached(&self, part: OidcPart) -> Option<CachedDocument> {
        let cached: CachedDocument = self.cache(part).get().await?;
        (cached.issuer == self.provider.issuer && is_fresh(cached.fetched_at, SystemClock.now())).then_some(cached)
    }

    async fn store(&self, part: OidcPart, document: Map<String, Value>, refetched_at: Option<i64>) {
        let (issuer, fetched_at) = (self.provider.issuer.clone(), SystemClock.now().millis());
        let cached = CachedDocument { issuer, document, fetched_at, refetched_at };
        self.cache(part).put(&cached, CACHE_MILLIS.unsigned_abs() / 1000).await;
    }

    fn cache(&self, part: OidcPart) -> SealedCache<'_> {
        let LoginContext { bindings, tenant, .. } = self.context;
        let issuer = digest(self.provider.issuer.as_bytes());
        SealedCache { bindings, tenant, key: self.key, at: KvKey::oidc(tenant, &issuer, part) }
    }
}

/// Gets a document of an issuer that can be used. What cannot be had or used is not asked for again for a while: the
/// answer is the same.
async fn fetch(
    issuer: &str,
    address: &OutboundUrl,
    check: impl Fn(&Map<String, Value>) -> Result<(), Problem>,
) -> Result<Map<String, Value>, Problem> {
    let key = IssuersDocument(issuer.to_owned(), address.as_str().to_owned());
    let known = FAILED.with_borrow_mut(|failed| failed.get(&key, SystemClock.now()).cloned());
    if let Some(problem) = known {
        return Err(problem);
    }
    let fetched = document(address).await.and_then(|document| check(&document).map(|()| document));
    if let Err(problem) = &fetched {
        let now = SystemClock.now();
        FAILED.with_borrow_mut(|failed| failed.insert(key, problem.clone(), now));
    }
    fetched
}

fn discovery_address(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer))
}

fn is_fresh(fetched_at: i64, now: Timestamp) -> bool {
    now.millis() - fetched_at < CACHE_MILLIS
}

fn may_refetch(refetched_at: Option<i64>, now: Timestamp) -> bool {
    refetched_at.is_none_or(|at| now.millis() - at >= REFETCH_MILLIS)
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
        assert_eq!((metadata.client_auth, metadata.sends_iss), (ClientProof::Basic, false));
        let methods = |all: Value| read(json!({"token_endpoint_auth_methods_supported": all})).unwrap().client_auth;
        assert_eq!(methods(json!(["client_secret_post"])), ClientProof::Post);
        assert_eq!(methods(json!(["client_secret_post", "client_secret_basic"])), ClientProof::Basic);
        assert!(read(json!({"authorization_response_iss_parameter_supported": true})).unwrap().sends_iss);
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
        assert!(may_refetch(None, now));
        assert!(!may_refetch(Some(940_001), now));
        assert!(may_refetch(Some(940_000), now));
    }

    #[test]
    fn what_a_provider_told_is_good_for_ten_minutes_whatever_kv_keeps() {
        let now = Timestamp::from_millis(1_000_000);
        assert!(is_fresh(1_000_000, now) && is_fresh(400_001, now));
        assert!(!is_fresh(400_000, now));
    }

    #[test]
    fn the_document_stands_under_the_issuer() {
        for issuer in ["https://id.example.org/realm", "https://id.example.org/realm/"] {
            let address = "https://id.example.org/realm/.well-known/openid-configuration";
            assert_eq!(discovery_address(issuer), address);
        }
    }
}
