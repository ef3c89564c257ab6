//! Refusals before any tenant is known.

use crate::http::cors;
use crate::http::incoming::Incoming;
use crate::http::problem::Problem;
use crate::http::response::ON_EVERY_ANSWER;

/// A refusal before any tenant is known: it tells of none, so a page of any origin may read it.
pub fn shown_to_all(mut problem: Problem, request: &Incoming) -> Problem {
    let told: Vec<_> = problem.headers.iter().map(|(name, _)| *name).chain(ON_EVERY_ANSWER).collect();
    problem.headers.extend(cors::headers_for_all(request.header("Origin").as_deref(), &told));
    problem
}
