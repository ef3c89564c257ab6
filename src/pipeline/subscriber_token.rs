//! The subscriber token that a request presents, verified.

use crate::auth::proofs::ProofAttempt;
use crate::auth::signing_keys;
use crate::credentials::platform_token;
use crate::credentials::subscriber_token::{self, SubscriberToken};
use crate::http::incoming::Incoming;
use crate::http::problem::Problem;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::tenant::secrets;
use crate::tenant_id::TenantId;
use domain::clock::Clock;

/// The cookie that carries a subscriber token.
pub(super) const TOKEN_COOKIE: &str = "carillon_subscriber";

/// A subscriber's credential as it was found.
pub(super) enum SubscriberCredential {
    /// None was presented, or none is asked for.
    None,
    /// One that is not valid.
    Invalid,
    /// A valid one.
    Valid(SubscriberToken),
}

impl SubscriberCredential {
    /// The token, if it is valid.
    pub fn valid(self) -> Option<SubscriberToken> {
        match self {
            Self::Valid(token) => Some(token),
            Self::None | Self::Invalid => None,
        }
    }
}

/// Verifies the token that a request presents: one that this platform signed, or one that the site signed. A site's token
/// that fails is verified once more with secrets read anew.
pub(super) async fn presented_token(
    request: &Incoming,
    bindings: &Bindings,
    tenant: &TenantId,
    attempt: Option<&ProofAttempt>,
) -> Result<SubscriberCredential, Problem> {
    let presented = match (request.header("Authorization"), request.cookie(TOKEN_COOKIE)) {
        (Some(_), _) => request.bearer().unwrap_or_default(),
        (None, Some(cookie)) => cookie,
        (None, None) => return Ok(SubscriberCredential::None),
    };
    let Some(attempt) = attempt else { return Ok(SubscriberCredential::Invalid) };
    if attempt.has_failed() {
        return Ok(SubscriberCredential::Invalid);
    }
    if signing_keys::is_ours(&presented) {
        let verified = signing_keys::verify(bindings, &presented, &[platform_token::TokenKind::Subscriber]).await?;
        let Some(token) = verified.and_then(|verified| SubscriberToken::minted(verified).ok()) else {
            attempt.failed();
            return Ok(SubscriberCredential::Invalid);
        };
        return Ok(SubscriberCredential::Valid(token));
    }
    let now = SystemClock.now();
    let kept = secrets::load(bindings, tenant.as_str()).await?;
    if let Ok(token) = subscriber_token::verify(&presented, &kept.subscription(now), now) {
        return Ok(SubscriberCredential::Valid(token));
    }
    let reloaded = secrets::reload(bindings, tenant.as_str(), now).await?;
    match subscriber_token::verify(&presented, &reloaded.secrets.subscription(now), now) {
        Ok(token) => Ok(SubscriberCredential::Valid(token)),
        Err(_) => {
            attempt.failed_against(reloaded.is_fresh);
            Ok(SubscriberCredential::Invalid)
        }
    }
}
