//! What a request may do at a tenant's hub, by its token.

use std::cell::Cell;

use super::carrier::{self, RequestSource};
use super::challenge;
use super::claims::{self, ExpectedClaims, Generation};
use super::grants::Grants;
use super::issuer_keys::{IssuerKeySet, IssuerKeys};
use crate::auth::outbound_oidc::is_signed_by;
use crate::auth::proofs::{ProofAttempt, ProofScope};
use crate::credentials::jose::{Fault, TokenAlgorithm, UnverifiedToken};
use crate::credentials::jwk::Algorithm;
use crate::credentials::signature::SigningSecret;
use crate::credentials::subscriber_token::SubscriptionSecret;
use crate::http::incoming::Incoming;
use crate::http::problem::{self, Problem};
use crate::hub::protocol::{AcceptedVersion, TenantConfig, TokenIssuer, accepts};
use crate::storage::bindings::{Bindings, SystemClock};
use crate::tenant::secrets::{self, Secrets};
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};
use domain::host::Host;
use domain::matching::topic_url::Base;
use domain::mercure::{Action, HUB_PATH, Issuer};

/// Who signed a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSigner {
    /// The tenant's own secrets.
    Secrets(SecretVersions),
    /// An issuer in the tenant's settings.
    Issuer(TokenIssuer),
}

/// The versions of the tenant's secrets that a token was signed with. Both, if both secrets have the same text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SecretVersions {
    /// Of the webhook secret.
    pub webhook: Option<u32>,
    /// Of the subscription secret.
    pub subscription: Option<u32>,
}

impl SecretVersions {
    /// The versions whose secret signed a token.
    fn that_signed(
        token: &UnverifiedToken,
        webhook: &[SigningSecret<'_>],
        subscription: &[SubscriptionSecret<'_>],
    ) -> Self {
        let signed = |secret: &str| token.is_signed_with(secret);
        Self {
            webhook: webhook.iter().find(|known| signed(known.secret)).map(|known| known.version),
            subscription: subscription.iter().find(|known| signed(known.secret)).map(|known| known.version),
        }
    }

    /// The versions that the tenant accepts. A version later than all in `config` is accepted too: `config` may be older.
    fn accepted(self, config: &TenantConfig, now: Timestamp) -> Self {
        let is_accepted = |known: &[AcceptedVersion], version: u32| {
            accepts(known, version, now) || known.iter().all(|known| known.version < version)
        };
        Self {
            webhook: self.webhook.filter(|version| is_accepted(&config.webhook_versions, *version)),
            subscription: self.subscription.filter(|version| is_accepted(&config.subscription_versions, *version)),
        }
    }

    fn allows(self) -> Vec<Action> {
        let publish = self.webhook.map(|_| Action::Publish);
        publish.into_iter().chain(self.subscription.map(|_| Action::Subscribe)).collect()
    }
}

/// A token that verified.
#[derive(Debug, Clone, PartialEq)]
pub struct MercureToken {
    /// What it grants.
    pub grants: Grants,
    /// When it expires; only a token of before 1.0 need not.
    pub expires_at: Option<Timestamp>,
    /// Who signed it. What it grants ends when the versions of the tenant's secrets do, or when the issuer is dropped.
    pub signer: TokenSigner,
    /// The protocol's generation that it is of.
    pub generation: Generation,
}

/// Authorization at a tenant's hub.
pub struct HubAccess<'a> {
    /// The deployment.
    pub bindings: &'a Bindings,
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The tenant's configuration.
    pub config: &'a TenantConfig,
    /// The request's host.
    pub host: &'a Host,
}

impl HubAccess<'_> {
    /// The request's token, verified; none if it has none.
    ///
    /// 400 for a malformed token, 401 for one that is not valid, 403 for a cookie from a page of another site, each with
    /// its challenge. 503 if an issuer's keys cannot be fetched.
    pub async fn authenticate(&self, request: &Incoming, wanted: Action) -> Result<Option<MercureToken>, Problem> {
        let origin = request.origin_of(self.host.as_str());
        let header = request.header("Authorization");
        let compatibility = self.config.mercure.compatibility;
        let presented =
            carrier::presented(header.as_deref(), &request.query, |name| request.cookie(name), compatibility);
        let Some(presented) = presented.map_err(|_| challenge::invalid_request(&origin))? else { return Ok(None) };
        if presented.by_cookie {
            let [origin_header, referer, site] =
                ["Origin", "Referer", "Sec-Fetch-Site"].map(|name| request.header(name));
            let source =
                RequestSource { origin: origin_header.as_deref(), referer: referer.as_deref(), site: site.as_deref() };
            if !source.may_use_cookie(wanted, &self.config.cors_origins, request.sent_to()) {
                return Err(challenge::origin_not_allowed(&origin));
            }
        }
        // By another configuration the same token may be good.
        let judged_at = self.config.revision.to_string();
        let parts = [&*presented.token, &origin, &judged_at];
        let attempt = ProofAttempt::of(ProofScope::Tenant(self.tenant.as_str()), request, "mercure", &parts);
        if attempt.has_failed() {
            return Err(challenge::invalid_token(&origin, "it failed a moment ago"));
        }
        let is_judged = Cell::new(true);
        let verified = self.verify(&presented.token, &origin, &is_judged).await?;
        verified.map(Some).map_err(|wrong| {
            attempt.failed_against(is_judged.get());
            challenge::invalid_token(&origin, wrong)
        })
    }

    /// Verifies a token that was sent to an origin of this tenant. The inner error says what is wrong with it, for the
    /// log. `is_judged` becomes false if secrets may have changed in the last second.
    async fn verify(
        &self,
        token: &str,
        origin: &str,
        is_judged: &Cell<bool>,
    ) -> Result<Result<MercureToken, Fault>, Problem> {
        let token = match UnverifiedToken::parse(token) {
            Ok(token) => token,
            Err(fault) => return Ok(Err(fault)),
        };
        let Some(generation) = Generation::of(&token) else { return Ok(Err("typ")) };
        if generation == Generation::Older && !self.config.mercure.compatibility {
            return Ok(Err("typ"));
        }
        let (signer, allows, issuer) = match token.algorithm {
            TokenAlgorithm::Hs256 => {
                let versions = self.versions(&token, is_judged).await?;
                (TokenSigner::Secrets(versions), versions.allows(), origin)
            }
            TokenAlgorithm::Public(algorithm) => {
                let Some(issuer) = issuer_of(&token, generation, &self.config.mercure.issuers) else {
                    return Ok(Err("iss"));
                };
                let is_signed = self.is_signed(&token, algorithm, issuer).await?;
                let allows = if is_signed { issuer.allows.clone() } else { Vec::new() };
                // With the token of an issuer that may not let its holder hear, one hears what is public.
                let hears = issuer.allows.contains(&Action::Subscribe);
                let action = if hears { Action::Subscribe } else { Action::Publish };
                let signer = TokenIssuer { name: issuer.issuer.clone(), jwks_url: issuer.jwks_url.clone(), action };
                (TokenSigner::Issuer(signer), allows, issuer.issuer.as_str())
            }
        };
        let hub = Base::parse(&format!("{origin}{HUB_PATH}")).map_err(problem::internal)?;
        let expected = ExpectedClaims { issuer, hub: &hub, allows: &allows };
        let claims = token.into_claims(!allows.is_empty(), SystemClock.now());
        let read = claims.and_then(|claims| claims::read(generation, &claims, &expected));
        Ok(read.map(|(grants, expires_at)| MercureToken { grants, expires_at, signer, generation }))
    }

    /// The versions of secrets that signed a token. If none did, the secrets are read again first.
    async fn versions(&self, token: &UnverifiedToken, is_judged: &Cell<bool>) -> Result<SecretVersions, Problem> {
        let (tenant, now) = (self.tenant.as_str(), SystemClock.now());
        let signed = |secrets: &Secrets| {
            SecretVersions::that_signed(token, &secrets.signing(now), &secrets.subscription(now))
                .accepted(self.config, now)
        };
        let versions = signed(&*secrets::load(self.bindings, tenant).await?);
        if versions != SecretVersions::default() {
            return Ok(versions);
        }
        let reloaded = secrets::reload(self.bindings, tenant, now).await?;
        is_judged.set(reloaded.is_fresh);
        Ok(signed(&reloaded.secrets))
    }

    /// Whether an issuer signed a token. For an unknown key, the issuer's keys are fetched again first.
    async fn is_signed(&self, token: &UnverifiedToken, algorithm: Algorithm, issuer: &Issuer) -> Result<bool, Problem> {
        let keys = IssuerKeys { bindings: self.bindings, tenant: self.tenant, issuer };
        let known = keys.current().await?;
        if verifies(&known, token, algorithm).await {
            return Ok(true);
        }
        let may_be_new = token.kid.is_none() || !known.keys.knows(token.kid.as_deref());
        Ok(may_be_new && verifies(&*keys.newer_than(&known).await?, token, algorithm).await)
    }
}

async fn verifies(known: &IssuerKeySet, token: &UnverifiedToken, algorithm: Algorithm) -> bool {
    match known.keys.find(token.kid.as_deref(), algorithm) {
        Some(key) => is_signed_by(key, token).await,
        None => false,
    }
}

/// The issuer whose keys are tried: the one that the token names. A token of before 1.0 need not name it if the tenant
/// has only one.
fn issuer_of<'a>(token: &UnverifiedToken, generation: Generation, issuers: &'a [Issuer]) -> Option<&'a Issuer> {
    let named = token.claimed_issuer();
    let found = issuers.iter().find(|issuer| Some(issuer.issuer.as_str()) == named);
    match (found, generation, issuers) {
        (None, Generation::Older, [only]) => Some(only),
        (found, ..) => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn issuer(name: &str) -> Issuer {
        Issuer { issuer: name.into(), jwks_url: "https://a.test/".into(), allows: vec![Action::Publish] }
    }

    #[test]
    fn only_the_issuer_that_a_token_names_is_tried() {
        let (one, two) = ([issuer("a")], [issuer("a"), issuer("b")]);
        let of = |iss: Value, generation, issuers| {
            let token = UnverifiedToken::made(&json!({"alg": "EdDSA"}), &json!({"iss": iss})).unwrap();
            issuer_of(&token, generation, issuers).map(|issuer| issuer.issuer.clone())
        };
        for generation in [Generation::Current, Generation::Older] {
            assert_eq!(of(json!("b"), generation, &two).as_deref(), Some("b"));
            assert_eq!(of(json!("c"), generation, &two), None);
            assert_eq!(of(json!(["a"]), generation, &two), None);
            assert_eq!(of(json!("a"), generation, &[]), None);
        }
        for (iss, issuers) in [(json!(null), &one[..]), (json!("c"), &one), (json!(null), &two)] {
            assert_eq!(of(iss.clone(), Generation::Current, issuers), None);
            let alone = issuers.len() == 1;
            assert_eq!(of(iss, Generation::Older, issuers).is_some(), alone);
        }
    }

    #[test]
    fn a_token_is_signed_by_any_accepted_version_of_a_secret() {
        // Signed with `openssl dgst -sha256 -hmac`, the key as it is shown.
        let (head, body) = ("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9", "eyJtZXJjdXJlIjp7InB1Ymxpc2giOlsiKiJdfX0");
        let token =
            UnverifiedToken::parse(&format!("{head}.{body}.q-o5s9xtpdYgI4Jnlyq8l0FbnVY8IB3lml20YJkel6I")).unwrap();
        let webhook = |secrets: [&'static str; 2]| {
            secrets
                .into_iter()
                .zip([2, 1])
                .map(|(secret, version)| SigningSecret { version, secret })
                .collect::<Vec<_>>()
        };
        let subscription = |secret| [SubscriptionSecret { version: 7, secret }];
        for (webhook_secrets, subscription_secret, signed) in [
            (["whsec_c2VjcmV0", "other"], "other", (Some(2), None)),
            (["other", "whsec_c2VjcmV0"], "other", (Some(1), None)),
            (["other", "secret"], "whsec_c2VjcmV0", (None, Some(7))),
            (["whsec_c2VjcmV0", ""], "whsec_c2VjcmV0", (Some(2), Some(7))),
            (["secret", ""], "c2VjcmV0", (None, None)),
        ] {
            let found =
                SecretVersions::that_signed(&token, &webhook(webhook_secrets), &subscription(subscription_secret));
            assert_eq!((found.webhook, found.subscription), signed, "{webhook_secrets:?} {subscription_secret}");
        }
        let none = SecretVersions::that_signed(&token, &[], &[]);
        assert!(none == SecretVersions::default() && none.allows().is_empty());
    }

    #[test]
    fn a_version_that_the_tenant_gave_up_counts_no_more() {
        let version = |version, until| json!({"version": version, "until": until});
        let limits = json!({"api_requests_per_minute": 1, "api_requests_per_day": 1, "webhooks_per_minute": 1,
            "anonymous_requests_per_minute": 1, "concurrent_subscriptions": 1, "connections_per_address": null,
            "event_retention_seconds": 1, "event_retention_count": 1, "event_log_bytes": 1});
        let config = json!({"revision": 1, "standing": "active", "expires_at": null, "hosts": [], "limits": limits,
            "webhook_versions": [version(2, json!(2000)), version(3, json!(null))],
            "subscription_versions": [version(5, json!(null))], "require_standard_webhooks": false,
            "cors_origins": [], "placement": {"shard": "SHARD_00", "epoch": 1}});
        let config: TenantConfig = serde_json::from_value(config).unwrap();
        let accepted = |webhook, subscription| {
            let versions = SecretVersions { webhook: Some(webhook), subscription: Some(subscription) };
            let versions = versions.accepted(&config, Timestamp::from_millis(1000));
            (versions.webhook, versions.subscription)
        };
        assert_eq!((accepted(3, 5), accepted(2, 4)), ((Some(3), Some(5)), (Some(2), None)));
        assert_eq!((accepted(1, 1), accepted(4, 6)), ((None, None), (Some(4), Some(6))));
        let late =
            SecretVersions { webhook: Some(2), subscription: None }.accepted(&config, Timestamp::from_millis(2000));
        assert_eq!(late, SecretVersions::default());
    }

    #[test]
    fn each_secret_allows_its_own_and_no_more() {
        for (webhook, subscription, allows) in [
            (None, None, vec![]),
            (Some(1), None, vec![Action::Publish]),
            (None, Some(1), vec![Action::Subscribe]),
            (Some(1), Some(2), vec![Action::Publish, Action::Subscribe]),
        ] {
            assert_eq!(SecretVersions { webhook, subscription }.allows(), allows);
        }
    }
}
