//! A tenant out of a request's body.

use carillon::tenant_id::TenantId;
use serde::Deserialize;

fn main() {
    let _ = TenantId::deserialize(serde_json::Value::Null);
}
