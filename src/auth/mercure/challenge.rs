//! The hub's refusals (RFC 6750, 3; draft-dunglas-mercure, Error Responses). Each has a challenge with the URL of the hub's
//! metadata (RFC 9728), and none says why a token is not valid.

use crate::http::problem::{self, Problem};

/// The path of the hub's metadata.
pub const METADATA_PATH: &str = "/.well-known/oauth-protected-resource/.well-known/mercure";

/// 400: the request carries two tokens, or something that is not a token.
pub fn invalid_request(origin: &str) -> Problem {
    challenged(problem::malformed_credential(), origin, Some("invalid_request"))
}

/// 401: a token is required.
pub fn unauthorized(origin: &str) -> Problem {
    challenged(problem::unauthorized(), origin, None)
}

/// 401: the token is not valid; `wrong` is for the log.
pub fn invalid_token(origin: &str, wrong: &str) -> Problem {
    challenged(problem::invalid_token().cause(wrong), origin, Some("invalid_token"))
}

/// 403: the token is valid, but does not allow this.
pub fn insufficient_scope(origin: &str) -> Problem {
    challenged(problem::insufficient_scope(), origin, Some("insufficient_scope"))
}

/// 403: the cookie came from a page of another site.
pub fn origin_not_allowed(origin: &str) -> Problem {
    challenged(problem::origin_not_allowed(), origin, None)
}

fn challenged(mut problem: Problem, origin: &str, error: Option<&str>) -> Problem {
    let error = error.map(|error| format!(", error=\"{error}\"")).unwrap_or_default();
    problem.headers.retain(|(name, _)| *name != "WWW-Authenticate");
    problem.header("WWW-Authenticate", format!("Bearer resource_metadata=\"{origin}{METADATA_PATH}\"{error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_one_challenge_that_names_the_metadata() {
        let origin = "https://acme.test";
        let metadata =
            "Bearer resource_metadata=\"https://acme.test/.well-known/oauth-protected-resource/.well-known/mercure\"";
        for (problem, status, error) in [
            (invalid_request(origin), 400, ", error=\"invalid_request\""),
            (unauthorized(origin), 401, ""),
            (invalid_token(origin, "exp"), 401, ", error=\"invalid_token\""),
            (insufficient_scope(origin), 403, ", error=\"insufficient_scope\""),
            (origin_not_allowed(origin), 403, ""),
        ] {
            assert_eq!(problem.status, status);
            assert_eq!(problem.headers, [("WWW-Authenticate", format!("{metadata}{error}"))]);
            assert!(!problem.to_json("id").contains("exp"));
        }
    }
}
