//! A list's condition that ends the parentheses it stands in.

use carillon::storage::composed::Piece;

const LEAK: Piece = Piece::new("r.status = ?) OR (1 = 1");

fn main() {
    let _ = LEAK;
}
