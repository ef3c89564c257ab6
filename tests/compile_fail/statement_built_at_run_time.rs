//! SQL that is put together while the program runs.

use carillon::storage::sql::TenantSql;

fn of_table(table: &str) -> TenantSql {
    let text: String = format!("SELECT * FROM {table} WHERE tenant_id = ?1");
    TenantSql::new(&("OF_TABLE", text))
}

fn of_borrowed(table: &str) -> TenantSql {
    let text = format!("SELECT * FROM {table} WHERE tenant_id = ?1");
    TenantSql::new(&("OF_BORROWED", &text))
}

fn main() {}
