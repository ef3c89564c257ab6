//! By which configuration a request was judged, and whether the tenant has changed since.

use super::context::{RequestContext, ResponseMeta};
use super::decide::{self, Spends};
use super::entry::Entered;
use super::tenant::{RouteMatch, presents};
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
    bindings: Bindings,
    tenant: TenantId,
    host: Option<Host>,
    revision: i64,
    may_be_outdated: bool,
}

impl Judgement {
    /// How a request that entered is about to be judged.
    pub fn of(context: &RequestContext, matched: &RouteMatch, entered: &Entered) -> Self {
        let presents = presents(&context.request);
        Self {
            bindings: context.bindings.clone(),
            tenant: entered.tenant.clone(),
            host: matched.source.host().cloned(),
            revision: entered.config.revision,
            may_be_outdated: matched.source.host().is_some()
                && decide::may_be_outdated(matched.route(), entered.proof.spends() != Spends::Strangers, presents),
        }
    }

    /// Marks the outcome if the tenant has changed since. A refusal that nothing was compared for is confirmed by the hub:
    /// a tenant that is not served any more answers nothing as one that is.
    pub async fn confirm(
        &self,
        outcome: Result<Response, Problem>,
        meta: &mut ResponseMeta,
    ) -> Result<Response, Problem> {
        let Err(mut problem) = outcome else { return outcome };
        if self.may_be_outdated && problem.outdated.is_none() && problem.status < 500 && problem.status != 429 {
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
