//! Attempts to reach one tenant through another, kept with the tenant that was named.
//! They hold addresses, so they are deleted after 30 days.

use super::sql::StorageError;
use super::sql::{args, statements};
use super::tenant_db::TenantDb;
use domain::clock::Timestamp;

statements! { TenantSql;
    /// One row per tenant, kind, address and minute; further attempts in that minute change nothing.
    RECORD = "INSERT INTO security_events (tenant_id, minute, kind, source_ip, at, route) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (tenant_id, minute, kind, source_ip) DO NOTHING";
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
    let row = args![at.seconds() / 60, "cross_tenant_attempt", source_ip, at.millis(), route];
    let oldest = at.seconds() / 60 - RETENTION_DAYS * 24 * 60;
    db.write().add(FORGET_OLD, args![oldest]).add(RECORD, row).commit().await.map(drop)
}
