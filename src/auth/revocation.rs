//! Taking rights away, and with them the streams that they opened.
//!
//! A stream that was opened with a token which somebody had minted must not outlive that somebody's rights. So whatever
//! takes rights away runs through [`revoking`].

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
    /// Some users of a role, and keys that they hold. Keys that were revoked since ?4 count.
    PRINCIPALS_OF_ROLE = "SELECT 'user:' || u.id AS principal FROM users u WHERE u.tenant_id = ?1 AND u.role = ?2 UNION ALL SELECT 'key:' || k.id AS principal FROM users h JOIN api_keys k ON k.tenant_id = ?1 AND k.holder_id = h.id WHERE h.tenant_id = ?1 AND h.role = ?2 AND COALESCE(k.revoked_at, ?4) >= ?4 LIMIT ?3";
    /// Some keys that a user holds. Those that were revoked since ?4 count.
    KEYS_OF_USER = "SELECT 'key:' || k.id AS principal FROM api_keys k WHERE k.tenant_id = ?1 AND k.holder_id = ?2 AND COALESCE(k.revoked_at, ?4) >= ?4 LIMIT ?3";
    /// Some keys that were made by a key. Those that were revoked since ?4 count.
    KEYS_OF_KEY = "SELECT 'key:' || k.id AS principal FROM api_keys k WHERE k.tenant_id = ?1 AND COALESCE(k.revoked_at, ?4) >= ?4 AND EXISTS (SELECT 1 FROM json_each(k.made_through) j WHERE j.value = ?2) LIMIT ?3";
}

/// Most principals whose streams are ended one by one; if there are more, everybody's streams end.
const MAX_ONE_BY_ONE: usize = 20;
/// For how long after its revocation the streams of a key's tokens are looked for, in seconds.
const REVOKED_SECONDS: i64 = 60;

row_types! {
    struct PrincipalRow {
        principal: String,
    }
}

/// Whose minted tokens lose their streams.
pub enum MintedBy<'a> {
    /// Nobody's: the change takes nothing away.
    Nobody,
    /// Those of one principal: `user:…`, `key:…` or `operator:…`.
    Principal(String),
    /// Those of a user, and of the keys that the user holds.
    UserWithKeys(&'a TenantDb, &'a str),
    /// Those of a key, and of the keys that it made.
    Key(&'a TenantDb, &'a str),
    /// Those of the users who have a role when the streams are ended, and of the keys that they hold.
    UsersOfRole(&'a TenantDb, &'a str),
    /// All of the tenant's.
    Everybody,
}

impl MintedBy<'_> {
    /// Those of a user of the tenant.
    pub fn user(id: &str) -> Self {
        Self::Principal(format!("user:{id}"))
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
    let (own, sql, rows, name) = match minted_by {
        MintedBy::Nobody => return Ok(()),
        MintedBy::Principal(principal) => return end_minted(bindings, tenant, Some(principal.clone())).await,
        MintedBy::Everybody => return end_minted(bindings, tenant, None).await,
        MintedBy::UserWithKeys(rows, id) => (Some(format!("user:{id}")), &KEYS_OF_USER, rows, id),
        MintedBy::Key(rows, id) => (Some(format!("key:{id}")), &KEYS_OF_KEY, rows, id),
        MintedBy::UsersOfRole(rows, role) => (None, &PRINCIPALS_OF_ROLE, rows, role),
    };
    let limit = i64::try_from(MAX_ONE_BY_ONE + 1).unwrap_or(i64::MAX);
    let since = SystemClock.now().plus_seconds(-REVOKED_SECONDS).millis();
    let found = rows.rows::<PrincipalRow>(sql, args![*name, limit, since]).await?;
    if found.len() > MAX_ONE_BY_ONE {
        return end_minted(bindings, tenant, None).await;
    }
    for principal in own.into_iter().chain(found.into_iter().map(|row| row.principal)) {
        end_minted(bindings, tenant, Some(principal)).await?;
    }
    Ok(())
}

/// Ends the streams of tokens that a principal (none: everybody) had minted until now.
async fn end_minted(bindings: &Bindings, tenant: &TenantId, by: Option<String>) -> Result<(), Problem> {
    let message = EndMinted { tenant: tenant.into(), by, at: SystemClock.now() };
    let hub = HubClient::of(bindings, tenant).map_err(problem::unavailable)?;
    hub.call(&message).await.map(drop).map_err(problem::unavailable)
}
