//! What the cache says of its answer: `X-Carillon-Cache`.

use super::answer_store::FoundAnswer;
use crate::http::response::Response;
use domain::graphql_cache::{AnswerFreshness, PassReason, StaleReason};

/// Where the tenant's shield holds an answer.
pub const SHIELD: &str = "shield";

/// How an answer came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheVerdict {
    /// It was kept; here.
    Hit(&'static str),
    /// It was kept and counts no more; it is shown for this reason.
    Stale(&'static str),
    /// The site was asked, because what was kept was this; the answer is kept from now on.
    Miss(&'static str),
    /// The site was asked, and the answer is not kept.
    Pass(PassReason),
}

impl CacheVerdict {
    /// The site failed, and what it said before is shown.
    pub const SITE_FAILED: Self = Self::Stale("site-failed");

    /// That of an answer that was found and is shown; none if the site has to be asked first.
    pub fn of_found(found: &FoundAnswer) -> Option<Self> {
        match found.freshness {
            AnswerFreshness::Fresh => Some(Self::Hit(found.place)),
            AnswerFreshness::Stale(StaleReason::Expired) => Some(Self::Stale("expired")),
            AnswerFreshness::Stale(StaleReason::Purged) => Some(Self::Stale("purged")),
            AnswerFreshness::IfSiteFails | AnswerFreshness::Expired | AnswerFreshness::Purged => None,
        }
    }

    /// That of an answer that the site gave because what was found did not do.
    pub fn of_missing(found: Option<&FoundAnswer>) -> Self {
        Self::Miss(match found.map(|found| found.freshness) {
            None => "new",
            Some(AnswerFreshness::Purged) => "purged",
            Some(
                AnswerFreshness::Fresh
                | AnswerFreshness::Stale(_)
                | AnswerFreshness::IfSiteFails
                | AnswerFreshness::Expired,
            ) => "expired",
        })
    }

    /// As the header says it.
    pub fn text(self) -> String {
        let (status, reason) = match self {
            Self::Hit(place) => ("HIT", place),
            Self::Stale(reason) => ("STALE", reason),
            Self::Miss(reason) => ("MISS", reason),
            Self::Pass(reason) => ("PASS", reason.as_str()),
        };
        format!("{status}; reason={reason}")
    }

    /// Says it in a response.
    pub fn told(self, response: Response) -> Response {
        response.header("X-Carillon-Cache", self.text())
    }
}
