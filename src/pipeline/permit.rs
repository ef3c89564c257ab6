//! What becomes of the permit that every request to a tenant's host leaves, once the request is answered.

use super::decide::{RequestResult, keeps_permit};
use crate::auth::proofs::{self, ProofAttempt, ProofScope};
use crate::http::problem::Problem;
use crate::http::request::HandlersProof;
use crate::http::response::Response;
use crate::routes::{Admission, Route};
use crate::tenant::tenant_state::StrangerPermit;
use crate::tenant_id::TenantId;

/// A request that was admitted, to be settled when it is answered.
pub struct UnsettledPermit {
    /// The tenant.
    pub tenant: TenantId,
    /// The operation, if there is one.
    pub route: Option<&'static Route>,
    /// The permit, unless it was given back already.
    pub permit: Option<StrangerPermit>,
    /// What the request presented.
    pub attempt: Option<ProofAttempt>,
    /// Where the handler notes that it proved somebody.
    pub proof: HandlersProof,
    /// Whether the request changes something and is a principal's.
    pub is_change: bool,
}

impl UnsettledPermit {
    /// Gives the permit back, or keeps it; remembers who proved to be somebody and who failed to.
    pub fn settle(self, outcome: &Result<Response, Problem>) {
        let result = match outcome {
            Ok(answer) if answer.status < 400 => RequestResult::Succeeded,
            Ok(_) => RequestResult::Failed,
            Err(problem) if problem.status == 401 || problem.code == "invalid_link" => RequestResult::NotProved,
            Err(_) => RequestResult::Failed,
        };
        let is_proved = self.proof.has_succeeded();
        if let Some(permit) = self.permit
            && !keeps_permit(self.route.map(|route| route.admission), result, is_proved)
        {
            permit.give_back();
        }
        let opens_something = self.route.is_some_and(|route| route.admission != Admission::Requests);
        if let Some(attempt) = self.attempt.filter(|_| opens_something) {
            match (is_proved, result) {
                (true, _) => attempt.succeeded(),
                (false, RequestResult::NotProved) => attempt.failed_once(),
                (false, RequestResult::Succeeded | RequestResult::Failed) => {}
            }
        }
        if self.is_change && result == RequestResult::Succeeded {
            proofs::forget_failures(ProofScope::Tenant(self.tenant.as_str()));
            proofs::forget_failures(ProofScope::Platform);
        }
    }
}
