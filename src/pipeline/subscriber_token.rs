//! The subscriber token that a request presents, verified.

use crate::auth::signing_keys;
use crate::credentials::platform_token;
use crate::credentials::subscriber_token::{self, SubscriberToken};
use crate::http::incoming::Incoming;
use crate::http::problem::Problem;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::tenant::secrets;
use crate::tenant_id::TenantId;
use domain::clock::Clock;

/// The cookies that carry a subscriber token, the one that counts first. Only the tenant's own host can set the first
/// (RFC 6265bis, "The `__Host-` Prefix"); a site on a neighbouring host, which sets it for the domain of both, cannot, and
/// has the second.
const TOKEN_COOKIES: [&str; 2] = ["__Host-carillon_subscriber", "carillon_subscriber"];

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
) -> Result<SubscriberCredential, Problem> {
    let cookie = TOKEN_COOKIES.iter().find_map(|name| request.cookie(name));
    let presented = match (request.header("Authorization"), cookie) {
        (Some(_), _) => request.bearer().unwrap_or_default(),
        (None, Some(cookie)) => cookie,
        (None, None) => return Ok(SubscriberCredential::None),
    };
    if signing_keys::is_ours(&presented) {
        let verified = signing_keys::verify(bindings, &presented, &[platform_token::TokenKind::Subscriber]).await?;
        let token = verified.and_then(|verified| SubscriberToken::minted(verified).ok());
        return Ok(token.map_or(SubscriberCredential::Invalid, SubscriberCredential::Valid));
    }
    let now = SystemClock.now();
    let kept = secrets::load(bindings, tenant.as_str()).await?;
    let verified = match subscriber_token::verify(&presented, &kept.subscription(now), now) {
        Ok(token) => Ok(token),
        Err(_) => {
            let fresh = secrets::reload(bindings, tenant.as_str()).await?;
            subscriber_token::verify(&presented, &fresh.subscription(now), now)
        }
    };
    Ok(verified.map_or(SubscriberCredential::Invalid, SubscriberCredential::Valid))
}
