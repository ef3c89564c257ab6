//! What somebody tried across a tenant's border, kept with the tenant.

use super::sql::StorageError;
use super::tenant_db::TenantDb;
use crate::domain::clock::Timestamp;
use crate::{args, statements};

statements! { TenantSql;
    /// One row per tenant, kind, address and minute; more of the same change nothing.
    RECORD = "INSERT INTO security_events (tenant_id, minute, kind, source_ip, at, route) VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (tenant_id, minute, kind, source_ip) DO NOTHING";
}

/// Records that a request named this tenant together with another one.
pub async fn record_cross_tenant_attempt(
    db: &TenantDb,
    at: Timestamp,
    source_ip: &str,
    route: &str,
) -> Result<(), StorageError> {
    let row = args![at.seconds() / 60, "cross_tenant_attempt", source_ip, at.millis(), route];
    db.write().add(RECORD, row).commit().await.map(drop)
}
