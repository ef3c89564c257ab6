//! Tokens that are sent by mail: good once, for one purpose, for one address.
//!
//! Invariants
//! - A token is kept by its digest. Whoever spends it deletes it, in one statement: of two, one gets it.
//! - A token for an address that is no longer the user's opens nothing.
//! - Of a user's tokens for a purpose only the newest few are kept, so asking for another neither piles
//!   them up nor takes a fresh one away.

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
    /// Forgets what is too old.
    FORGET_OVER = "DELETE FROM mailed_tokens WHERE tenant_id = ?1 AND expires_at <= ?2";
    /// Makes room for one more.
    KEEP_NEWEST = "DELETE FROM mailed_tokens WHERE tenant_id = ?1 AND user_id = ?2 AND purpose = ?3 AND digest NOT IN (SELECT n.digest FROM mailed_tokens n WHERE n.tenant_id = ?1 AND n.user_id = ?2 AND n.purpose = ?3 ORDER BY n.created_at DESC LIMIT 4)";
    /// Whose token it is.
    HOLDER = "SELECT u.id, u.email FROM mailed_tokens m JOIN users u ON u.tenant_id = ?1 AND u.id = m.user_id WHERE m.tenant_id = ?1 AND m.digest = ?2 AND m.purpose = ?3 AND m.expires_at > ?4 AND u.email = m.email AND u.status = 'active'";
    /// Takes a token.
    SPEND = "DELETE FROM mailed_tokens WHERE tenant_id = ?1 AND digest = ?2 AND purpose = ?3 AND expires_at > ?4 RETURNING digest";
    /// All tokens of a user.
    FORGET_OF_USER = "DELETE FROM mailed_tokens WHERE tenant_id = ?1 AND user_id = ?2";
}

/// What a mailed token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To prove that an address is one's own.
    EmailVerification,
    /// To set another password.
    PasswordReset,
}

impl Purpose {
    /// As the column holds it.
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

/// A token on its way into a mail.
pub struct Fresh {
    /// Its text.
    pub text: String,
    /// Its end.
    pub expires_at: Timestamp,
    /// What keeps it, for the batch of the deed that led to it.
    pub statements: Vec<(TenantSql, Vec<Arg>)>,
}

/// A fresh token for a user.
pub fn fresh(purpose: Purpose, user: &str, email: &str, now: Timestamp) -> Result<Fresh, Problem> {
    let text = fresh_secret(purpose.prefix()).map_err(problem::internal)?;
    let expires_at = now.plus_seconds(purpose.seconds());
    let row = args![digest(text.as_bytes()), purpose.as_str(), user, email, now.millis(), expires_at.millis()];
    let statements =
        vec![(FORGET_OVER, args![now.millis()]), (KEEP_NEWEST, args![user, purpose.as_str()]), (INSERT, row)];
    Ok(Fresh { text, expires_at, statements })
}

row_types! {
    /// Whom a token was sent to.
    #[derive(Debug)]
    pub struct Holder {
        /// The user.
        pub id: String,
        /// The address.
        pub email: String,
    }
}

row_types! {
    struct SpentRow {
        #[allow(dead_code, reason = "only its being there counts")]
        digest: String,
    }
}

/// Whom a token was sent to, if it is good now. It stays good.
pub async fn holder(rows: &TenantDb, purpose: Purpose, text: &str, now: Timestamp) -> Result<Holder, Problem> {
    let args = args![digest(text.as_bytes()), purpose.as_str(), now.millis()];
    rows.row::<Holder>(&HOLDER, args).await?.ok_or_else(problem::invalid_mailed_token)
}

/// Takes a token that is good now; nobody takes it again.
pub async fn spend(rows: &TenantDb, purpose: Purpose, text: &str, now: Timestamp) -> Result<(), Problem> {
    let args = args![digest(text.as_bytes()), purpose.as_str(), now.millis()];
    let results = rows.write().add(SPEND, args).commit().await?;
    let spent = results.into_iter().next_back().map(Rows::read::<SpentRow>).transpose()?;
    if spent.is_some_and(|rows| !rows.is_empty()) { Ok(()) } else { Err(problem::invalid_mailed_token()) }
}
