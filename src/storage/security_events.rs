//! Attempts to reach one tenant through another, kept with the tenant that was named.
//! They hold addresses, so they are deleted after 30 days.

use super::sql::StorageError;
use super::sql::{args, statements};
use super::tenant_db::TenantDb;
use domain::address::Network;
use domain::clock::Timestamp;

statements! { TenantSql;
    /// One row per tenant, kind, network and minute, and at most a hundred in a minute; further attempts change nothing.
    RECORD = "INSERT INTO security_events (tenant_id, minute, kind, source_ip, at, route, network) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE (SELECT count(*) FROM security_events WHERE tenant_id = ?1 AND minute = ?2) < 100 AND NOT EXISTS (SELECT 1 FROM security_events WHERE tenant_id = ?1 AND minute = ?2 AND kind = ?3 AND network = ?7) ON CONFLICT (tenant_id, minute, kind, source_ip) DO NOTHING";
    /// Deletes a tenant's old rows.
    FORGET_OLD = "DELETE FROM security_events WHERE tenant_id = ?1 AND minute < ?2";
}

/// Days until a row is deleted.
const RETENTION_DAYS: i64 = 30;

/// Records that one request named this tenant and another one.
pub async fn record_cross_tenant_attempt(
    db: &TenantDb,
    at: Timestamp,
    source_ip: &str,
    route: &str,
) -> Result<(), StorageError> {
    let network = Network::of(source_ip).to_string();
    let row = args![at.seconds() / 60, "cross_tenant_attempt", source_ip, at.millis(), route, network];
    let oldest = at.seconds() / 60 - RETENTION_DAYS * 24 * 60;
    db.write().add(FORGET_OLD, args![oldest]).add(RECORD, row).commit().await.map(drop)
}
