//! Rows of a tenant that somebody merely names.

use domain::ids::ClaimedTenant;
use carillon::storage::bindings::Bindings;
use carillon::storage::tenant_db::{Placement, TenantDb};

fn open(bindings: &Bindings, claimed: &ClaimedTenant, placement: &Placement) {
    let _ = TenantDb::open(bindings, claimed, placement);
}

fn main() {}
