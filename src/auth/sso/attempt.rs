//! A sign-in that was begun here, and is under way at a provider.
//!
//! It is stored under the digest of two secrets: `state`, which goes to the provider and comes back, and the browser's
//! cookie, which goes to no provider. Nobody finds it without both, so a callback link that was meant for somebody else
//! signs nobody in, and does not spend the attempt either.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::provider::Provider;
use crate::auth::session::LoginContext;
use crate::credentials::key::fresh_secret;
use crate::credentials::signature::digest;
use crate::http::problem::{self, Problem, RateBound};
use crate::storage::row::row_types;
use crate::storage::sealed::{SealContext, SealKey};
use crate::storage::sql::args;
use crate::storage::sql::statements;
use domain::address::Network;
use domain::clock::Timestamp;

statements! { TenantSql;
    /// A new attempt, unless the tenant has too many under way.
    INSERT_ATTEMPT = "INSERT INTO sso_attempts (tenant_id, state, provider_id, sealed, return_to, expires_at, network) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE (SELECT count(*) FROM sso_attempts WHERE tenant_id = ?1) < ?8 RETURNING state";
    /// Makes room for one more of a network: its newest stay.
    KEEP_NEWEST_OF_NETWORK = "DELETE FROM sso_attempts WHERE tenant_id = ?1 AND network = ?2 AND state NOT IN (SELECT n.state FROM sso_attempts n WHERE n.tenant_id = ?1 AND n.network = ?2 ORDER BY n.expires_at DESC LIMIT ?3)";
    /// Deletes expired attempts.
    FORGET_EXPIRED = "DELETE FROM sso_attempts WHERE tenant_id = ?1 AND expires_at <= ?2";
    /// Takes an attempt, once.
    CONSUME = "DELETE FROM sso_attempts WHERE tenant_id = ?1 AND state = ?2 AND expires_at > ?3 RETURNING provider_id, sealed, return_to";
}

/// How long a user may take at the provider, in seconds.
pub const ATTEMPT_SECONDS: i64 = 600;

/// Most attempts of one network that are under way; the oldest makes room for one more.
const PER_NETWORK: i64 = 20;
/// Most attempts of a tenant that are under way.
const PER_TENANT: i64 = 2_000;

/// The sealed part of an attempt.
#[derive(Serialize, Deserialize)]
struct SealedAttempt {
    nonce: String,
    verifier: String,
    redirect_uri: String,
    /// Where the browser was sent, and as which client; none if an older Worker began the attempt.
    #[serde(default)]
    sent_to: Option<SentTo>,
}

/// An issuer, and our client there. A provider's id may be given to another issuer while a browser is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SentTo {
    issuer: String,
    client_id: String,
}

impl SentTo {
    fn of(provider: &Provider) -> Self {
        Self { issuer: provider.issuer.clone(), client_id: provider.client_id.clone() }
    }
}

row_types! {
    struct AttemptRow {
        provider_id: String,
        sealed: String,
        return_to: String,
    }
}

row_types! {
    struct BegunRow {
        #[allow(dead_code, reason = "only the row's existence matters")]
        state: String,
    }
}

/// What is sent to the provider with the browser.
pub struct AuthorizationParams {
    /// Comes back with the code.
    pub state: String,
    /// Comes back in the ID token.
    pub nonce: String,
    /// The digest of the PKCE verifier (RFC 7636, S256).
    pub challenge: String,
}

/// A sign-in whose browser came back.
pub struct Attempt {
    /// The provider it went to.
    pub provider: String,
    /// The nonce that was sent.
    pub nonce: String,
    /// The PKCE verifier.
    pub verifier: String,
    /// The `redirect_uri` that the provider was given.
    pub redirect_uri: String,
    /// The path that the browser is sent to after the sign-in.
    pub return_to: String,
    sent_to: Option<SentTo>,
}

impl Attempt {
    /// Whether the browser comes back from this provider as it is now: the same issuer knows us as the same client.
    pub fn came_from(&self, provider: &Provider) -> bool {
        self.sent_to.as_ref().is_none_or(|sent_to| *sent_to == SentTo::of(provider))
    }
}

/// A sign-in to be begun.
pub struct NewAttempt<'a> {
    /// The provider.
    pub provider: &'a Provider,
    /// The browser's secret.
    pub browser: &'a str,
    /// Where the provider sends the browser.
    pub redirect_uri: String,
    /// The path that the browser is sent to after the sign-in.
    pub return_to: &'a str,
    /// Where the browser is.
    pub network: Network,
}

/// Stores a new attempt.
pub async fn begin(
    context: &LoginContext<'_>,
    key: &SealKey,
    new: NewAttempt<'_>,
    now: Timestamp,
) -> Result<AuthorizationParams, Problem> {
    let secret = || fresh_secret("").map_err(problem::internal);
    let (state, nonce, verifier) = (secret()?, secret()?, secret()?);
    let challenge = BASE64.encode(Sha256::digest(verifier.as_bytes()));
    let row = row_id(&state, new.browser);
    let sent_to = Some(SentTo::of(new.provider));
    let secrets = SealedAttempt { nonce: nonce.clone(), verifier, redirect_uri: new.redirect_uri, sent_to };
    let secrets = serde_json::to_vec(&secrets).map_err(problem::internal)?;
    let sealed = key.seal(&place(context, &row), &secrets).map_err(problem::internal)?;
    let until = now.plus_seconds(ATTEMPT_SECONDS).millis();
    let network = digest(new.network.to_string().as_bytes());
    let insert = args![row, new.provider.id.as_str(), sealed, new.return_to, until, network.as_str(), PER_TENANT];
    let batch = context.rows.write().add(FORGET_EXPIRED, args![now.millis()]);
    let batch = batch.add(KEEP_NEWEST_OF_NETWORK, args![network.as_str(), PER_NETWORK - 1]);
    let mut begun = batch.add(INSERT_ATTEMPT, insert).commit().await?;
    match begun.pop().unwrap_or_default().first::<BegunRow>()? {
        Some(_) => Ok(AuthorizationParams { state, nonce, challenge }),
        None => Err(problem::rate_limited(BOUND, ATTEMPT_SECONDS.unsigned_abs() / 10)),
    }
}

/// What is told where too many sign-ins are under way.
const BOUND: RateBound = RateBound { policy: "sign-ins", of: "sign-ins under way with one provider" };

/// Takes an attempt whose browser came back, once; none if it was not begun in this browser, or has expired.
pub async fn consume(
    context: &LoginContext<'_>,
    key: &SealKey,
    (state, browser): (&str, &str),
    now: Timestamp,
) -> Result<Option<Attempt>, Problem> {
    let row = row_id(state, browser);
    let mut taken = context.rows.write().add(CONSUME, args![row.as_str(), now.millis()]).commit().await?;
    let Some(taken) = taken.pop().unwrap_or_default().first::<AttemptRow>()? else { return Ok(None) };
    let opened = key.open(&place(context, &row), &taken.sealed).map_err(problem::internal)?;
    let opened: SealedAttempt = serde_json::from_slice(&opened).map_err(problem::internal)?;
    Ok(Some(Attempt {
        provider: taken.provider_id,
        nonce: opened.nonce,
        verifier: opened.verifier,
        redirect_uri: opened.redirect_uri,
        return_to: taken.return_to,
        sent_to: opened.sent_to,
    }))
}

fn row_id(state: &str, browser: &str) -> String {
    digest(format!("{state}.{browser}").as_bytes())
}

fn place<'a>(context: &LoginContext<'a>, row: &'a str) -> SealContext<'a> {
    SealContext { owner: context.tenant.as_str(), table: "sso_attempts", column: "sealed", row }
}
