//! A request that names two tenants is recorded in the audit of the one it was sent to.

use super::context::RequestContext;
use crate::http::request::Background;
use crate::log;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::security_events::record_cross_tenant_attempt;
use crate::storage::tenant_db::{Placement, TenantDb};
use crate::tenant_id::TenantId;
use domain::clock::Clock;

/// Where an attempt to reach another tenant is recorded: at most one row per network and minute.
pub struct CrossTenantAudit {
    bindings: Bindings,
    background: Background,
    tenant: TenantId,
    placement: Placement,
    address: String,
}

impl CrossTenantAudit {
    /// For a request to a tenant whose rows are there.
    pub fn of(context: &RequestContext, tenant: &TenantId, placement: &Placement) -> Self {
        Self {
            bindings: context.bindings.clone(),
            background: context.background.clone(),
            tenant: tenant.clone(),
            placement: placement.clone(),
            address: context.request.address(),
        }
    }

    /// Records the attempt once the answer is sent.
    pub fn record(self, route: Option<&'static str>) {
        let Self { bindings, background, tenant, placement, address } = self;
        background.spawn(async move {
            let now = SystemClock.now();
            let recorded = match TenantDb::open(&bindings, &tenant, &placement) {
                Ok(db) => record_cross_tenant_attempt(&db, now, &address, route.unwrap_or("none")).await,
                Err(error) => Err(error),
            };
            if let Err(error) = recorded {
                log::fault("audit", &error.to_string());
            }
        });
    }
}
