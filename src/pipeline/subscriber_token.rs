//! What a subscriber presents: a token, which is verified here, or the credential of somebody who acts in the tenant.

use worker::Method;

use crate::auth::authenticate_member::SESSION_COOKIE;
use crate::auth::mercure::carrier;
use crate::auth::proofs::ProofAttempt;
use crate::auth::signing_keys;
use crate::credentials::constant_time::constant_time_eq;
use crate::credentials::jose::UnverifiedToken;
use crate::credentials::key::{KeyKind, PresentedKey, begins_as_a_key};
use crate::credentials::platform_token;
use crate::credentials::subscriber_token::{self, SubscriberToken};
use crate::http::incoming::Incoming;
use crate::http::problem::Problem;
use crate::routes::TokenRule;
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

/// Whether what a subscriber presents is the credential of somebody who acts in the tenant: a key or token of theirs in the
/// header, else the session cookie, where nothing is presented that goes before it.
pub(super) fn is_principals(request: &Incoming, bindings: &Bindings, rule: TokenRule) -> bool {
    if rule == TokenRule::Mercure && !matches!(request.method, Method::Get | Method::Head) {
        return false;
    }
    if let Some(header) = request.header("Authorization") {
        if rule == TokenRule::PassedOn {
            return header.split_whitespace().any(|text| is_of_this_platform(text, bindings));
        }
        let text = request.bearer().unwrap_or_default();
        return match PresentedKey::parse(&text) {
            Some(key) => key.kind == KeyKind::Tenant,
            None => signing_keys::is_ours(&text) && !is_subscribers(&text),
        };
    }
    let goes_before = match rule {
        TokenRule::Mercure => {
            carrier::COOKIES.iter().any(|name| request.cookie(name).is_some())
                || request.query.get(carrier::OLDER_PARAMETER).is_some()
        }
        TokenRule::Optional | TokenRule::Required => {
            presented_cookie(request).is_some() || request.query.get("ticket").is_some()
        }
        TokenRule::PassedOn => false,
        TokenRule::Ignored => true,
    };
    !goes_before && request.cookie(SESSION_COOKIE).is_some()
}

/// Whether a text is a credential of this platform, whoever's it is and whether it is good: no site may see it.
fn is_of_this_platform(text: &str, bindings: &Bindings) -> bool {
    begins_as_a_key(text) || signing_keys::is_ours(text) || constant_time_eq(text, &bindings.settings.platform_key)
}

/// Whether a token says that it is a subscriber's.
fn is_subscribers(token: &str) -> bool {
    let typ = platform_token::TokenKind::Subscriber.typ();
    UnverifiedToken::parse(token).map_or(true, |token| token.is_of_type(typ))
}

/// The cookie that carries a subscriber token, if there is one.
pub(super) fn presented_cookie(request: &Incoming) -> Option<String> {
    TOKEN_COOKIES.iter().find_map(|name| request.cookie(name))
}

/// Verifies the token that a request presents: one that this platform signed, or one that the site signed. A site's token
/// that fails is verified once more with secrets read anew.
pub(super) async fn presented_token(
    request: &Incoming,
    bindings: &Bindings,
    tenant: &TenantId,
    attempt: Option<&ProofAttempt>,
) -> Result<SubscriberCredential, Problem> {
    let presented = match (request.header("Authorization"), presented_cookie(request)) {
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
