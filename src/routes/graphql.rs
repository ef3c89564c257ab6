//! The tenant's GraphQL endpoint.

use super::entry::{get, handler, post};
use super::route::Endpoint::{Member, Visitor};
use super::route::{Route, Surface, TokenRule};
use crate::api;
use crate::graphql;
use domain::permission::Permission;

pub const ROUTES: &[Route] = &[
    get("graphql.read", "/graphql", Visitor(TokenRule::PassedOn, handler!(graphql::endpoint::read)))
        .summary(
            "Asks the tenant's site a GraphQL query. Every other parameter, cookie and header is the site's and passed on to it.",
        )
        .params(
            "query: string, operationName?: string, variables?: string <a JSON object>, extensions?: string <a JSON object>, \
             X-WP-Nonce, woocommerce-session, X-Carillon-After <the id of an event that was heard: no answer from before it>",
        )
        .answers(
            "200 graphql +X-Carillon-Cache +Age +ETag +X-GraphQL-URL +X-GraphQL-Query-ID +X-GraphQL-Keys <or any other status that the site gives>; 400 graphql <no request, or a document that cannot be executed>; 404 no_endpoint; \
             405 graphql <a mutation>; 406 not_acceptable; 502 site_not_graphql; 503 site_unavailable; 504 site_timed_out",
        ),
    post("graphql.ask", "/graphql", Visitor(TokenRule::PassedOn, handler!(graphql::endpoint::ask)))
        .summary("Asks the tenant's site to execute a GraphQL operation, or several at once.")
        .params("X-WP-Nonce, woocommerce-session, X-Carillon-After <the id of an event that was heard: no answer from before it>")
        .body("{query: string, operationName?: string?, variables?: {...}?, extensions?: {...}?}")
        .answers(
            "200 graphql +X-Carillon-Cache +Age +ETag +X-GraphQL-URL +X-GraphQL-Query-ID +X-GraphQL-Keys <or any other status that the site gives>; 400 graphql <no request, or a document that cannot be executed>; 403 origin_not_allowed; 404 no_endpoint; \
             406 not_acceptable; 411 length_required <of a form with files>; 413 body_too_large; 415 unsupported_media_type; \
             502 site_not_graphql; 503 site_unavailable; 504 site_timed_out",
        ),
    get("graphql.read_by_path", "/graphql/{tenant_id}", Visitor(TokenRule::PassedOn, handler!(graphql::endpoint::read)))
        .on(Surface::Platform)
        .summary("Asks the site of the tenant that the path names a GraphQL query, without cookies.")
        .params(
            "query: string, operationName?: string, variables?: string <a JSON object>, extensions?: string <a JSON object>, \
             X-WP-Nonce, woocommerce-session, X-Carillon-After <the id of an event that was heard: no answer from before it>",
        )
        .answers(
            "200 graphql +X-Carillon-Cache +Age +ETag +X-GraphQL-URL +X-GraphQL-Query-ID +X-GraphQL-Keys <or any other status that the site gives>; 400 graphql <no request, or a document that cannot be executed>; 404 tenant_not_found no_endpoint; \
             405 graphql <a mutation>; 406 not_acceptable; 502 site_not_graphql; 503 site_unavailable; 504 site_timed_out",
        ),
    post("graphql.ask_by_path", "/graphql/{tenant_id}", Visitor(TokenRule::PassedOn, handler!(graphql::endpoint::ask)))
        .on(Surface::Platform)
        .summary("Asks the site of the tenant that the path names to execute GraphQL operations, without cookies.")
        .params("X-WP-Nonce, woocommerce-session, X-Carillon-After <the id of an event that was heard: no answer from before it>")
        .body("{query: string, operationName?: string?, variables?: {...}?, extensions?: {...}?}")
        .answers(
            "200 graphql +X-Carillon-Cache +Age +ETag +X-GraphQL-URL +X-GraphQL-Query-ID +X-GraphQL-Keys <or any other status that the site gives>; 400 graphql <no request, or a document that cannot be executed>; 403 origin_not_allowed; 404 tenant_not_found no_endpoint; \
             406 not_acceptable; 411 length_required <of a form with files>; 413 body_too_large; 415 unsupported_media_type; \
             502 site_not_graphql; 503 site_unavailable; 504 site_timed_out",
        ),
    post("cache.purge", "/api/v1/cache/purge", Member(Permission::CachePurge, handler!(api::cache::purge)))
        .summary("Ends kept GraphQL answers: in this isolate at once, in others within the tenant's `staleness_seconds`.")
        .params("X-GraphQL-URL")
        .body("CachePurge")
        .answers("200 CachePurged; 409 wrong_site"),
    post("cache.explain", "/api/v1/cache/explain", Member(Permission::CacheRead, handler!(api::cache::explain)))
        .summary("Says what the cache would do with a stranger's question, why, and what would purge its answer.")
        .body("CacheQuestion")
        .answers("200 CacheExplained; 404 no_endpoint; 422 validation_failed"),
];
