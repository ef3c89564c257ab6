//! A list's condition that looks into a table of all tenants.

use carillon::storage::composed::Piece;

const LEAK: Piece = Piece::new("r.id IN (SELECT i.record_id FROM record_index i WHERE i.field = ?)");

fn main() {
    let _ = LEAK;
}
