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
    /// Some users of a role.
    USERS_OF_ROLE = "SELECT id FROM users WHERE tenant_id = ?1 AND role = ?2 LIMIT ?3";
}

/// Most users of a role whose streams are ended one by one; if there are more, everybody's streams end.
const MAX_USERS_ONE_BY_ONE: usize = 20;

row_types! {
    struct RoleUserRow {
        id: String,
    }
}

/// Whose minted tokens lose their streams.
pub enum MintedBy<'a> {
    /// Nobody's: the change takes nothing away.
    Nobody,
    /// Those of one principal: `user:…`, `key:…` or `operator:…`.
    Principal(String),
    /// Those of the users who have a role when the streams are ended.
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
    match minted_by {
        MintedBy::Nobody => Ok(()),
        MintedBy::Principal(principal) => end_minted(bindings, tenant, Some(principal.clone())).await,
        MintedBy::Everybody => end_minted(bindings, tenant, None).await,
        MintedBy::UsersOfRole(rows, role) => {
            let limit = i64::try_from(MAX_USERS_ONE_BY_ONE + 1).unwrap_or(i64::MAX);
            let users = rows.rows::<RoleUserRow>(&USERS_OF_ROLE, args![*role, limit]).await?;
            if users.len() > MAX_USERS_ONE_BY_ONE {
                return end_minted(bindings, tenant, None).await;
            }
            for user in users {
                end_minted(bindings, tenant, Some(format!("user:{}", user.id))).await?;
            }
            Ok(())
        }
    }
}

/// Ends the streams of tokens that a principal (none: everybody) had minted until now.
async fn end_minted(bindings: &Bindings, tenant: &TenantId, by: Option<String>) -> Result<(), Problem> {
    let message = EndMinted { tenant: tenant.into(), by, at: SystemClock.now() };
    let hub = HubClient::of(bindings, tenant).map_err(problem::unavailable)?;
    hub.call(&message).await.map(drop).map_err(problem::unavailable)
}
