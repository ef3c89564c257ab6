//! A statement that does not name its tenant.

carillon::storage::sql::statements! { TenantSql;
    /// Everybody's.
    LEAK = "SELECT route FROM security_events WHERE minute = ?1";
}

fn main() {}
