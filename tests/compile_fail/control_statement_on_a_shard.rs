//! A statement of the control database among a tenant's.

use carillon::storage::sql::ControlSql;
use carillon::storage::tenant_db::TenantDb;

const EVERYBODY: ControlSql = ControlSql::new(&("EVERYBODY", "SELECT * FROM tenants"));

fn add(db: &TenantDb) {
    let _ = db.write().add(EVERYBODY, Vec::new());
}

fn main() {}
