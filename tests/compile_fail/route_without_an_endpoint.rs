//! An operation that nobody said who may call.

use carillon::routes::entry;

fn main() {
    let _ = entry::get("users.list", "/api/v1/users").summary("Lists users.").answers("200 list User");
}
