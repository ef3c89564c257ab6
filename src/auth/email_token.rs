//! Tokens that are sent by mail: good once, for one purpose, for one address.
//!
//! Invariants
//! - A token is stored by its digest, and deleted by the statement that spends it: of two requests one succeeds.
//! - A token for an address that is no longer the user's is void.
//! - Only a user's five newest tokens for a purpose are stored, so that requesting one more neither accumulates them nor
//!   voids a recent one.

use crate::credentials::key::fresh_secret;
use crate::credentials::signature::digest;
use crate::http::problem::{self, Problem};
use crate::storage::row::Rows;
use crate::storage::row::row_types;
use crate::storage::sql::{Arg, TenantSql};
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;
use domain::clock::Timestamp;

statements! { TenantSql;
    /// A new token.
    INSERT = "INSERT INTO mailed_tokens (tenant_id, digest, purpose, user_id, email, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    /// Deletes expired tokens.
    FORGET_EXPIRED = "DELETE FROM mailed_tokens WHERE tenant_id = ?1 AND expires_at <= ?2";
    /// Makes room for one more: deletes all but the four newest.
    KEEP_NEWEST = "DELETE FROM mailed_tokens WHERE tenant_id = ?1 AND user_id = ?2 AND purpose = ?3 AND digest NOT IN (SELECT n.digest FROM mailed_tokens n WHERE n.tenant_id = ?1 AND n.user_id = ?2 AND n.purpose = ?3 ORDER BY n.created_at DESC LIMIT 4)";
    /// The user of a token.
    HOLDER = "SELECT u.id, u.email FROM mailed_tokens m JOIN users u ON u.tenant_id = ?1 AND u.id = m.user_id WHERE m.tenant_id = ?1 AND m.digest = ?2 AND m.purpose = ?3 AND m.expires_at > ?4 AND u.email = m.email AND u.status = 'active'";
    /// Deletes a token that is still good.
    SPEND = "DELETE FROM mailed_tokens WHERE tenant_id = ?1 AND digest = ?2 AND purpose = ?3 AND expires_at > ?4 RETURNING digest";
    /// Deletes all tokens of a user.
    FORGET_OF_USER = "DELETE FROM mailed_tokens WHERE tenant_id = ?1 AND user_id = ?2";
}

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmailTokenPurpose {
    /// To verify an e-mail address.
    EmailVerification,
    /// To set a new password.
    PasswordReset,
}

impl EmailTokenPurpose {
    /// As the column spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EmailVerification => "email_verification",
            Self::PasswordReset => "password_reset",
        }
    }

    const fn prefix(self) -> &'static str {
        match self {
            Self::EmailVerification => "car_ev_",
            Self::PasswordReset => "car_pr_",
        }
    }

    const fn seconds(self) -> i64 {
        match self {
            Self::EmailVerification => 24 * 3600,
            Self::PasswordReset => 3600,
        }
    }
}

/// A new token, to be mailed.
pub struct NewEmailToken {
    /// Its text.
    pub text: String,
    /// Its end.
    pub expires_at: Timestamp,
    /// The statements that store it.
    pub statements: Vec<(TenantSql, Vec<Arg>)>,
}

/// Makes a token for a user.
pub fn fresh(purpose: EmailTokenPurpose, user: &str, email: &str, now: Timestamp) -> Result<NewEmailToken, Problem> {
    let text = fresh_secret(purpose.prefix()).map_err(problem::internal)?;
    let expires_at = now.plus_seconds(purpose.seconds());
    let row = args![digest(text.as_bytes()), purpose.as_str(), user, email, now.millis(), expires_at.millis()];
    let statements =
        vec![(FORGET_EXPIRED, args![now.millis()]), (KEEP_NEWEST, args![user, purpose.as_str()]), (INSERT, row)];
    Ok(NewEmailToken { text, expires_at, statements })
}

row_types! {
    /// The user that a token was sent to.
    #[derive(Debug)]
    pub struct EmailTokenHolder {
        /// The user.
        pub id: String,
        /// The address.
        pub email: String,
    }
}

row_types! {
    struct SpentRow {
        #[allow(dead_code, reason = "only the row's existence matters")]
        digest: String,
    }
}

/// The user that a good token was sent to; does not spend it. 400 for any other token.
pub async fn holder(
    rows: &TenantDb,
    purpose: EmailTokenPurpose,
    text: &str,
    now: Timestamp,
) -> Result<EmailTokenHolder, Problem> {
    let args = args![digest(text.as_bytes()), purpose.as_str(), now.millis()];
    rows.row::<EmailTokenHolder>(&HOLDER, args).await?.ok_or_else(problem::invalid_mailed_token)
}

/// Spends a good token. 400 for any other, and for one that another request spent first.
pub async fn spend(rows: &TenantDb, purpose: EmailTokenPurpose, text: &str, now: Timestamp) -> Result<(), Problem> {
    let args = args![digest(text.as_bytes()), purpose.as_str(), now.millis()];
    let results = rows.write().add(SPEND, args).commit().await?;
    let spent = results.into_iter().next_back().map(Rows::read::<SpentRow>).transpose()?;
    if spent.is_some_and(|rows| !rows.is_empty()) { Ok(()) } else { Err(problem::invalid_mailed_token()) }
}
