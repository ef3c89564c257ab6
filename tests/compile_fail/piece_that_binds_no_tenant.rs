//! A list's condition that looks into a table of all tenants.

use carillon::storage::composed::SqlPiece;

const LEAK: SqlPiece = SqlPiece::new("r.id IN (SELECT i.record_id FROM record_index i WHERE i.field = ?)");

fn main() {
    let _ = LEAK;
}
