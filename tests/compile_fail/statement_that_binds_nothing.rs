//! A statement that names the tenant's column and binds nothing to it.

use carillon::storage::sql::TenantSql;

const LEAK: TenantSql = TenantSql::new(&("LEAK", "SELECT tenant_id FROM security_events"));

fn main() {}
