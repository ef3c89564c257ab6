//! A question on its way to a tenant's site.

use std::rc::Rc;

use super::question::Question;
use crate::storage::bindings::Bindings;
use crate::tenant::site::Site;
use crate::tenant_id::TenantId;
use domain::outbound::OutboundUrl;

/// A question on its way to a tenant's site.
#[derive(Clone)]
pub struct Asking {
    pub bindings: Bindings,
    pub tenant: TenantId,
    pub site: Rc<Site>,
    pub endpoint: OutboundUrl,
    pub question: Rc<Question>,
}
