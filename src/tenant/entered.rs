//! Which tenants somebody of the platform has been in, by the platform's audit.

use crate::http::problem::Problem;
use crate::storage::bindings::SystemClock;
use crate::storage::control_db::ControlDb;
use crate::storage::row::row_types;
use crate::storage::sql::{args, statements};
use crate::tenant_id::TenantId;
use domain::clock::Clock;

statements! { ControlSql;
    /// The tenants that somebody of the platform, or a key that they answer for or made, entered or minted a token in,
    /// since a moment; the last ones first.
    ENTERED_BY = "SELECT a.tenant_id AS id FROM platform_audit a JOIN tenants t ON t.id = a.tenant_id WHERE (a.actor = ?1 OR a.actor IN (SELECT 'platform_key:' || k.id FROM platform_keys k WHERE 'operator:' || k.holder_id = ?1 OR EXISTS (SELECT 1 FROM json_each(k.made_through) j WHERE 'platform_key:' || j.value = ?1))) AND a.operation IN ('operator.enter', 'user.impersonate', 'subscriber_token.mint') AND a.at >= ?2 AND t.status <> 'purged' GROUP BY a.tenant_id ORDER BY max(a.at) DESC LIMIT 200";
}

row_types! {
    struct EnteredTenantRow {
        id: String,
    }
}

/// For how long what somebody of the platform opened in a tenant may live, in milliseconds: an impersonation and a subscriber
/// token last an hour, and a token is minted during the life of another one.
const LIFE_MILLIS: i64 = 3 * 3_600_000;

/// The tenants in which what somebody of the platform (`operator:…`, `platform_key:…`) opened may still live: those that
/// they entered or minted a token in lately, the last 200. Both are audited before they come about.
pub async fn entered_lately(db: &ControlDb, actor: &str) -> Result<Vec<TenantId>, Problem> {
    let since = SystemClock.now().plus_millis(-LIFE_MILLIS);
    let rows = db.rows::<EnteredTenantRow>(&ENTERED_BY, args![actor, since.millis()]).await?;
    Ok(rows.iter().map(|row| TenantId::proven(&row.id)).collect())
}
