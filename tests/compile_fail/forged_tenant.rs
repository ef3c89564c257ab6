//! A tenant that nobody found.

use carillon::tenant_id::TenantId;

fn main() {
    let _ = TenantId::proven("acme");
    let _ = TenantId("acme".into());
    let _: TenantId = "acme".into();
}
