//! A tenant out of a request's body.

use carillon::domain::ids::TenantId;
use serde::Deserialize;

fn main() {
    let _ = TenantId::deserialize(serde_json::Value::Null);
}
