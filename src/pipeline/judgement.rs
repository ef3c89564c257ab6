//! By which configuration a request was judged, and whether the tenant has changed since.

use super::context::ResponseMeta;
use crate::http::problem::{self, Problem};
use crate::http::response::Response;
use crate::storage::bindings::Bindings;
use crate::tenant::tenant_state::HubError;
use crate::tenant::{resolve, tenant_state};
use crate::tenant_id::TenantId;
use domain::host::Host;

/// How often a request is judged, where its tenant goes on changing meanwhile.
pub(super) const JUDGEMENTS: usize = 3;

/// By what a request is judged.
pub(super) struct Judgement {
    /// The deployment.
    pub bindings: Bindings,
    /// The tenant.
    pub tenant: TenantId,
    /// The tenant's host that the request came to; none on the platform's host.
    pub host: Option<Host>,
    /// The revision of the configuration that judged it.
    pub revision: i64,
    /// Whether a refusal may rest on that configuration alone.
    pub may_be_outdated: bool,
}

impl Judgement {
    /// Marks the outcome if the tenant has changed since. A refusal that nothing was compared for is confirmed by the hub:
    /// a tenant that is not served any more answers nothing as one that is.
    pub async fn confirm(
        &self,
        outcome: Result<Response, Problem>,
        meta: &mut ResponseMeta,
    ) -> Result<Response, Problem> {
        let Err(mut problem) = outcome else { return outcome };
        let is_final = problem.outdated.is_some() || problem.status >= 500 || problem.status == 429;
        if self.may_be_outdated && self.host.is_some() && !is_final {
            match tenant_state::enter_now(&self.bindings, &self.tenant, self.host.as_ref()).await {
                Ok(config) if config.revision > self.revision => problem.outdated = Some(config.revision),
                Ok(_) | Err(HubError::Failed(_)) => {}
                Err(HubError::NotHere | HubError::Refused(_)) => {
                    tenant_state::forget(&self.tenant);
                    self.host.iter().for_each(resolve::forget);
                    meta.headers.clear();
                    problem = problem::tenant_not_found();
                }
            }
        }
        if let Some(revision) = problem.outdated {
            tenant_state::outdated(&self.tenant, revision);
        }
        Err(problem)
    }
}
