//! Taking rights away, and with them the streams that they opened.
//!
//! A stream that a principal opened, or that was opened with a token which a principal had minted, must not outlive that
//! principal's rights. So whatever takes rights away runs through [`revoking`], or [`revoking_everywhere`] where the
//! principal may act in any tenant.
//!
//! A stream rests on names: its principal (`user:…`, `key:…`, `operator:…`, `platform_key:…`), and those below. Whoever
//! takes something away names it, and need not know whom it let in.

use std::future::Future;

use crate::http::problem::{self, Problem};
use crate::hub::client::HubClient;
use crate::hub::protocol::EndMinted;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::row::row_types;
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;
use crate::tenant_id::TenantId;
use domain::clock::Clock;

statements! { TenantSql;
    /// Some users of a role, by id, behind ?3.
    USERS_OF_ROLE = "SELECT id FROM users WHERE tenant_id = ?1 AND role = ?2 AND id > ?3 ORDER BY id LIMIT ?4";
}

/// A user's session.
pub fn session(id: &str) -> String {
    format!("session:{id}")
}

/// An operator's session.
pub fn operator_session(id: &str) -> String {
    format!("operator_session:{id}")
}

/// A person who answers for keys (`auth/key_row.rs`).
pub fn holder(id: &str) -> String {
    format!("holder:{id}")
}

/// A key, by which another one was made.
pub fn key(id: &str) -> String {
    format!("key:{id}")
}

/// The permissions of a role.
pub fn role(name: &str) -> String {
    format!("role:{name}")
}

/// The present text of a key, and where it may be used from.
pub fn key_text(id: &str) -> String {
    format!("key_text:{id}")
}

/// How many users of a role are read, and told to the hub, at once.
const USERS_AT_ONCE: usize = 200;

row_types! {
    struct RoleUserRow {
        id: String,
    }
}

/// Whose streams end, and whose minted tokens lose theirs.
pub enum MintedBy<'a> {
    /// Nobody's: the change takes nothing away.
    Nobody,
    /// Those of one principal, or that rest on one session or text of a key. A key's include those of keys made by it.
    Principal(String),
    /// Those of sessions, by their ids.
    Sessions(Vec<String>),
    /// Those of a user, and of the keys that the user answers for.
    UserWithKeys(&'a str),
    /// Those that rest on a role: of the users who have it and their keys, and of operators who entered with it.
    UsersOfRole(&'a TenantDb, &'a str),
    /// All of the tenant's.
    Everybody,
}

impl MintedBy<'_> {
    /// Those of a user of the tenant.
    pub fn user(id: &str) -> Self {
        Self::Principal(format!("user:{id}"))
    }

    /// Those of a key, and of the keys that were made by it.
    pub fn key(id: &str) -> Self {
        Self::Principal(key(id))
    }
}

/// Runs `commit`, which takes rights away, between two calls that end the streams of the tokens minted so far: the
/// first, so that no stream outlives the change; the second, so that none that was opened in between stays.
///
/// 503 if the hub does not answer; nothing was committed if that was the first call.
pub async fn revoking<T>(
    bindings: &Bindings,
    tenant: &TenantId,
    minted_by: MintedBy<'_>,
    commit: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    end_streams(bindings, tenant, &minted_by).await?;
    let done = commit.await?;
    end_streams(bindings, tenant, &minted_by).await?;
    Ok(done)
}

async fn end_streams(bindings: &Bindings, tenant: &TenantId, minted_by: &MintedBy<'_>) -> Result<(), Problem> {
    match minted_by {
        MintedBy::Nobody => Ok(()),
        MintedBy::Principal(principal) => end_minted(bindings, tenant, Some(principal.clone())).await,
        MintedBy::Sessions(ids) => {
            let mut names = ids.iter().map(|id| session(id));
            let Some(first) = names.next() else { return Ok(()) };
            end_all_minted(bindings, tenant, Some(first), names.collect()).await
        }
        MintedBy::Everybody => end_minted(bindings, tenant, None).await,
        MintedBy::UserWithKeys(id) => {
            end_minted(bindings, tenant, Some(format!("user:{id}"))).await?;
            end_minted(bindings, tenant, Some(holder(id))).await
        }
        MintedBy::UsersOfRole(rows, role) => {
            end_minted(bindings, tenant, Some(self::role(role))).await?;
            // Tokens that an older Worker minted do not say on which role they rest.
            end_users_of_role(bindings, tenant, rows, role).await
        }
    }
}

/// Ends the streams of all users of a role, so many at once.
async fn end_users_of_role(bindings: &Bindings, tenant: &TenantId, rows: &TenantDb, role: &str) -> Result<(), Problem> {
    let limit = i64::try_from(USERS_AT_ONCE).unwrap_or(i64::MAX);
    let mut behind = String::new();
    loop {
        let users = rows.rows::<RoleUserRow>(&USERS_OF_ROLE, args![role, behind.as_str(), limit]).await?;
        let is_full = users.len() >= USERS_AT_ONCE;
        let mut names = users.iter().map(|user| format!("user:{}", user.id));
        let Some(first) = names.next() else { return Ok(()) };
        end_all_minted(bindings, tenant, Some(first), names.collect()).await?;
        match users.into_iter().next_back() {
            Some(last) if is_full => behind = last.id,
            _ => return Ok(()),
        }
    }
}

/// Ends the streams of tokens that a principal (none: everybody) had minted until now.
async fn end_minted(bindings: &Bindings, tenant: &TenantId, by: Option<String>) -> Result<(), Problem> {
    end_all_minted(bindings, tenant, by, Vec::new()).await
}

/// The same for several.
async fn end_all_minted(
    bindings: &Bindings,
    tenant: &TenantId,
    by: Option<String>,
    others: Vec<String>,
) -> Result<(), Problem> {
    let message = EndMinted { tenant: tenant.into(), by, others, at: SystemClock.now() };
    let hub = HubClient::of(bindings, tenant).map_err(problem::unavailable)?;
    hub.call(&message).await.map(drop).map_err(problem::unavailable)
}

/// Runs `commit` as [`revoking`] does, in every tenant that somebody of the platform has entered lately, which `entered`
/// tells; `name` is what is taken away: the principal itself, or a session of theirs.
pub async fn revoking_everywhere<T>(
    bindings: &Bindings,
    entered: impl AsyncFn() -> Result<Vec<TenantId>, Problem>,
    name: &str,
    commit: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    end_everywhere(bindings, entered().await?, name).await?;
    let done = commit.await?;
    end_everywhere(bindings, entered().await?, name).await?;
    Ok(done)
}

async fn end_everywhere(bindings: &Bindings, tenants: Vec<TenantId>, name: &str) -> Result<(), Problem> {
    for tenant in tenants {
        end_minted(bindings, &tenant, Some(name.to_owned())).await?;
    }
    Ok(())
}
