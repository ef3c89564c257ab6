//! What becomes of the permit that every request to a tenant's host leaves, once the request is answered.

use super::decide::{RequestResult, keeps_permit};
use crate::auth::proofs::{self, ProofAttempt, ProofScope};
use crate::http::problem::Problem;
use crate::http::request::HandlersProof;
use crate::http::response::Response;
use crate::routes::Route;
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
    /// What the request presented, unless that proved somebody already.
    pub attempt: Option<ProofAttempt>,
    /// Where the handler notes that it proved somebody.
    pub proof: HandlersProof,
    /// Whether the request changes something and is a principal's.
    pub is_change: bool,
}

impl UnsettledPermit {
    /// Gives the permit back, or keeps it; remembers who proved to be somebody and who failed to.
    pub fn settle(self, outcome: &Result<Response, Problem>) {
        if outcome.as_ref().is_err_and(|problem| problem.outdated.is_some()) {
            // It is judged again, and takes another one.
            return self.permit.into_iter().for_each(StrangerPermit::give_back);
        }
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
        if let Some(attempt) = self.attempt {
            match is_proved {
                true => attempt.succeeded(),
                false if is_refused(outcome) => attempt.failed_once(),
                false => {}
            }
        }
        if self.is_change && result == RequestResult::Succeeded {
            proofs::forget_failures(ProofScope::Tenant(self.tenant.as_str()));
            proofs::forget_failures(ProofScope::Platform);
        }
    }
}

/// Whether a request was refused for what it is: 404, 413 and the others as well as 401. A limit that is used up, and a
/// fault of the platform, say nothing of it.
fn is_refused(outcome: &Result<Response, Problem>) -> bool {
    let status = outcome.as_ref().map_or_else(|problem| problem.status, |answer| answer.status);
    (400..500).contains(&status) && status != 429
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem;

    #[test]
    fn every_refusal_of_what_was_presented_counts_and_nothing_else_does() {
        let refused = [
            problem::unauthorized(),
            problem::invalid_signature(),
            problem::tenant_not_found().crossing_tenants(),
            problem::body_too_large(1),
        ];
        for problem in refused {
            assert!(is_refused(&Err(problem)));
        }
        for problem in
            [problem::rate_limited(problem::RateBound { policy: "p", of: "x" }, 1), problem::unavailable("x")]
        {
            assert!(!is_refused(&Err(problem)));
        }
        assert!(!is_refused(&Ok(Response::empty(204))));
    }
}
