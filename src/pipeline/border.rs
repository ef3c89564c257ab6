//! The border between tenants: who names two of them is recorded.

use crate::http::request::Background;
use crate::log;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::security_events::record_cross_tenant_attempt;
use crate::storage::tenant_db::{Placement, TenantDb};
use crate::tenant_id::TenantId;
use domain::clock::Clock;

/// Where an attempt to cross into a tenant is recorded: at most one row per address and minute.
pub struct Border {
    /// The deployment.
    pub bindings: Bindings,
    /// The tenant that was asked.
    pub tenant: TenantId,
    /// Where its rows are.
    pub placement: Placement,
    /// Where the caller connects from.
    pub address: String,
}

impl Border {
    /// Records the attempt behind the answer.
    pub fn record(self, background: &Background, route: Option<&'static str>) {
        background.spawn(async move {
            let now = SystemClock.now();
            let recorded = match TenantDb::open(&self.bindings, &self.tenant, &self.placement) {
                Ok(db) => record_cross_tenant_attempt(&db, now, &self.address, route.unwrap_or("none")).await,
                Err(error) => Err(error),
            };
            if let Err(error) = recorded {
                log::fault("audit", &error.to_string());
            }
        });
    }
}
