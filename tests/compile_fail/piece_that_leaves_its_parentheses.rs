//! A list's condition that ends the parentheses it stands in.

use carillon::storage::composed::SqlPiece;

const LEAK: SqlPiece = SqlPiece::new("r.status = ?) OR (1 = 1");

fn main() {
    let _ = LEAK;
}
