//! A page to try queries: GraphiQL, for whoever opens a tenant's endpoint in a browser, where the tenant allows it. Its
//! script and style are files of the build (`pages/graphiql`).

use crate::auth::principal::Visitor;
use crate::http::accept::Accept;
use crate::http::precondition::Validators;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::assets::{self, StaticFile};
use crate::tenant::site::Site;

const PAGE: &str = include_str!("query_page.html");

/// Scripts, styles and connections of this host only. Some icons are `data:` in GraphiQL's style, and its editors set styles by
/// script alone, which no policy has to allow.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// By what the answer to a request without a document differs where there is a page.
pub const VARY: &str = "Accept, Origin";

/// Whether a client wants a page rather than what GraphQL answers with, as browsers do that are led to an address.
pub fn is_preferred(accept: &Accept) -> bool {
    let page = accept.quality("text/html");
    ["application/json", "application/graphql-response+json"].iter().all(|media_type| page > accept.quality(media_type))
}

/// The page.
pub fn page() -> Response {
    let page = Response::html(PAGE.to_owned()).header("Content-Security-Policy", POLICY);
    page.header("Referrer-Policy", "no-referrer").header("Vary", VARY)
}

/// `GET /graphql/assets/graphiql.js`
pub async fn script(request: Request<Visitor>) -> Result<Response, Problem> {
    asset(&request, "/graphiql/graphiql.js", "text/javascript; charset=utf-8").await
}

/// `GET /graphql/assets/graphiql.css`
pub async fn style(request: Request<Visitor>) -> Result<Response, Problem> {
    asset(&request, "/graphiql/graphiql.css", "text/css; charset=utf-8").await
}

/// A file of the page: kept by browsers, who ask with each use whether it is still that. 404 where the tenant has no page.
async fn asset(request: &Request<Visitor>, path: &'static str, media_type: &'static str) -> Result<Response, Problem> {
    let Visitor { tenant, config, .. } = &*request.caller;
    if !Site::of(&request.bindings, tenant, config.revision).await?.settings.graphiql {
        return Err(problem::not_found());
    }
    let StaticFile { etag, bytes } = assets::open(&request.bindings, path).await?;
    let response = match request.preconditions().is_known(Validators::tag(&etag))? {
        true => {
            drop(bytes.cancel());
            Response::empty(304)
        }
        false => Response::bytes(200, bytes).header("Content-Type", media_type),
    };
    Ok(response.header("ETag", etag).header("Cache-Control", "no-cache"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_that_navigate_prefer_the_page_and_clients_of_graphql_do_not() {
        for (accept, expected) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", true),
            ("text/html", true),
            ("text/html, application/json;q=0.9", true),
            ("text/html, application/json", false),
            ("text/html;q=0.9, application/graphql-response+json", false),
            ("application/json", false),
            ("application/graphql-response+json, application/json;q=0.9", false),
            ("*/*", false),
            ("text/*, */*;q=0.1", true),
            ("text/html;q=0", false),
            ("", false),
        ] {
            assert_eq!(is_preferred(&Accept::parse(Some(accept))), expected, "{accept}");
        }
        assert!(!is_preferred(&Accept::parse(None)), "whoever says nothing gets what GraphQL answers with");
    }
}
