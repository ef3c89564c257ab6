//! A sign-in on its way to a provider and back.
//!
//! It is kept under the digest of two secrets: `state`, which goes to the provider and comes back, and the
//! browser's cookie, which does not leave the browser. Without both nobody finds it, so a link that
//! somebody else was sent back with signs nobody in, and does not spend the attempt either.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::auth::session::LoginContext;
use crate::credentials::key::fresh_secret;
use crate::credentials::signature::digest;
use crate::http::problem::{self, Problem};
use crate::storage::row::row_types;
use crate::storage::sealed::{Place, SealKey};
use crate::storage::sql::args;
use crate::storage::sql::statements;
use domain::clock::Timestamp;

statements! { TenantSql;
    /// A sign-in that has begun.
    INSERT_ATTEMPT = "INSERT INTO sso_attempts (tenant_id, state, provider_id, sealed, return_to, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    /// Forgets sign-ins that nobody came back from.
    FORGET_LATE = "DELETE FROM sso_attempts WHERE tenant_id = ?1 AND expires_at <= ?2";
    /// Takes a sign-in, for whoever asks first.
    CONSUME = "DELETE FROM sso_attempts WHERE tenant_id = ?1 AND state = ?2 AND expires_at > ?3 RETURNING provider_id, sealed, return_to";
}

/// How long somebody may take at the provider, in seconds.
pub const ATTEMPT_SECONDS: i64 = 600;

/// What is sealed with an attempt.
#[derive(Serialize, Deserialize)]
struct Sealed {
    nonce: String,
    verifier: String,
    redirect_uri: String,
}

row_types! {
    struct AttemptRow {
        provider_id: String,
        sealed: String,
        return_to: String,
    }
}

/// What a sign-in sends to the provider.
pub struct Begun {
    /// Comes back with the code.
    pub state: String,
    /// Comes back in the ID token.
    pub nonce: String,
    /// The digest of the PKCE verifier (RFC 7636, S256).
    pub challenge: String,
}

/// A sign-in that came back.
pub struct Attempt {
    /// The provider it went to.
    pub provider: String,
    /// The nonce that was sent.
    pub nonce: String,
    /// The PKCE verifier.
    pub verifier: String,
    /// Where the provider was told to send the browser.
    pub redirect_uri: String,
    /// Where the browser goes in the end.
    pub return_to: String,
}

/// Where a sign-in goes, and where its browser comes back to.
pub struct Journey<'a> {
    /// The provider's id.
    pub provider: &'a str,
    /// The browser's secret.
    pub browser: &'a str,
    /// Where the provider sends the browser.
    pub redirect_uri: String,
    /// Where the browser goes in the end.
    pub return_to: &'a str,
}

/// Begins a sign-in.
pub async fn begin(
    lobby: &LoginContext<'_>,
    key: &SealKey,
    journey: Journey<'_>,
    now: Timestamp,
) -> Result<Begun, Problem> {
    let secret = || fresh_secret("").map_err(problem::internal);
    let (state, nonce, verifier) = (secret()?, secret()?, secret()?);
    let challenge = BASE64.encode(Sha256::digest(verifier.as_bytes()));
    let row = row_id(&state, journey.browser);
    let kept = Sealed { nonce: nonce.clone(), verifier, redirect_uri: journey.redirect_uri };
    let kept = serde_json::to_vec(&kept).map_err(problem::internal)?;
    let sealed = key.seal(&place(lobby, &row), &kept).map_err(problem::internal)?;
    let until = now.plus_seconds(ATTEMPT_SECONDS).millis();
    let insert = args![row, journey.provider, sealed, journey.return_to, until];
    lobby.rows.write().add(FORGET_LATE, args![now.millis()]).add(INSERT_ATTEMPT, insert).commit().await?;
    Ok(Begun { state, nonce, challenge })
}

/// Takes a sign-in that came back, once; none if it did not begin in this browser, or is over.
pub async fn consume(
    lobby: &LoginContext<'_>,
    key: &SealKey,
    (state, browser): (&str, &str),
    now: Timestamp,
) -> Result<Option<Attempt>, Problem> {
    let row = row_id(state, browser);
    let mut taken = lobby.rows.write().add(CONSUME, args![row.as_str(), now.millis()]).commit().await?;
    let Some(taken) = taken.pop().unwrap_or_default().first::<AttemptRow>()? else { return Ok(None) };
    let opened = key.open(&place(lobby, &row), &taken.sealed).map_err(problem::internal)?;
    let kept: Sealed = serde_json::from_slice(&opened).map_err(problem::internal)?;
    Ok(Some(Attempt {
        provider: taken.provider_id,
        nonce: kept.nonce,
        verifier: kept.verifier,
        redirect_uri: kept.redirect_uri,
        return_to: taken.return_to,
    }))
}

fn row_id(state: &str, browser: &str) -> String {
    digest(format!("{state}.{browser}").as_bytes())
}

fn place<'a>(lobby: &LoginContext<'a>, row: &'a str) -> Place<'a> {
    Place { owner: lobby.tenant.as_str(), table: "sso_attempts", column: "sealed", row }
}
