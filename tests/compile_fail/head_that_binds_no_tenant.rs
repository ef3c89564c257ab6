//! A list's head that leaves open whose records they are.

use carillon::storage::composed::ListHead;

const LEAK: ListHead = ListHead::new("SELECT r.id FROM records r WHERE r.collection = ?2 AND r.deleted_at IS NULL");

fn main() {
    let _ = LEAK;
}
