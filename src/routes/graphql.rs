//! The tenant's GraphQL endpoint, and the registry of its documents.

use super::entry::{asset, delete, get, handler, post, put};
use super::route::Endpoint::{Member, Visitor};
use super::route::{Route, Surface, TokenRule};
use crate::{api, graphql};
use domain::permission::Permission;

pub const ROUTES: &[Route] = &[
    get("graphql.read", "/graphql", Visitor(TokenRule::PassedOn, handler!(graphql::endpoint::read)))
        .summary(
            "Answers a GraphQL query with what is kept, or asks the tenant's site. Of other parameters those of `pass_parameters` are the site's. \
             A browser that names no document is shown GraphiQL, where the tenant's settings allow it.",
        )
        .params(
            "query?: string, queryId?: string <names a document in place of `query`>, documentId?: string <likewise>, \
             operationName?: string, variables?: string <a JSON object>, extensions?: string <a JSON object>, X-WP-Nonce, \
             woocommerce-session, X-Carillon-After, If-None-Match, If-Match",
        )
        .answers(
            "200 graphql html +X-Carillon-Cache +Age +ETag +X-GraphQL-URL +X-GraphQL-Query-ID +X-GraphQL-Keys <or any other status that the site gives>; 400 graphql <no request, or a document that cannot be executed>; 404 no_endpoint; \
             405 graphql <a mutation>; 406 not_acceptable; 502 site_not_graphql; 503 site_unavailable; 504 site_timed_out",
        ),
    post("graphql.ask", "/graphql", Visitor(TokenRule::PassedOn, handler!(graphql::endpoint::ask)))
        .summary("Asks the tenant's site to execute a GraphQL operation, or several at once.")
        .params("X-WP-Nonce, woocommerce-session, X-Carillon-After")
        .body(
            "{query??: string, queryId??: string <names a document in place of `query`>, documentId??: string <likewise>, \
             operationName?: string?, variables?: {...}?, extensions?: {...}?}",
        )
        .answers(
            "200 graphql +X-Carillon-Cache +Age +ETag +X-GraphQL-URL +X-GraphQL-Query-ID +X-GraphQL-Keys <or any other status that the site gives>; 400 graphql <no request, or a document that cannot be executed>; 403 origin_not_allowed; 404 no_endpoint; \
             406 not_acceptable; 411 length_required <of a form with files>; 413 body_too_large; 415 unsupported_media_type; \
             502 site_not_graphql; 503 site_unavailable; 504 site_timed_out",
        ),
    asset("graphql.page_script", "/graphql/assets/graphiql.js", handler!(graphql::query_page::script))
        .summary("The script of the page that `graphql.read` shows to browsers, where the tenant's settings allow it.")
        .answers("200 script +ETag; 304"),
    asset("graphql.page_style", "/graphql/assets/graphiql.css", handler!(graphql::query_page::style))
        .summary("The page's style sheet.")
        .answers("200 css +ETag; 304"),
    get("graphql.read_by_path", "/graphql/{tenant_id}", Visitor(TokenRule::PassedOn, handler!(graphql::endpoint::read)))
        .on(Surface::Platform)
        .summary("Asks the site of the tenant that the path names a GraphQL query, without cookies.")
        .params(
            "query?: string, queryId?: string <names a document in place of `query`>, documentId?: string <likewise>, \
             operationName?: string, variables?: string <a JSON object>, extensions?: string <a JSON object>, X-WP-Nonce, \
             woocommerce-session, X-Carillon-After, If-None-Match, If-Match",
        )
        .answers(
            "200 graphql +X-Carillon-Cache +Age +ETag +X-GraphQL-URL +X-GraphQL-Query-ID +X-GraphQL-Keys <or any other status that the site gives>; 400 graphql <no request, or a document that cannot be executed>; 404 tenant_not_found no_endpoint; \
             405 graphql <a mutation>; 406 not_acceptable; 502 site_not_graphql; 503 site_unavailable; 504 site_timed_out",
        ),
    post("graphql.ask_by_path", "/graphql/{tenant_id}", Visitor(TokenRule::PassedOn, handler!(graphql::endpoint::ask)))
        .on(Surface::Platform)
        .summary("Asks the site of the tenant that the path names to execute GraphQL operations, without cookies.")
        .params("X-WP-Nonce, woocommerce-session, X-Carillon-After")
        .body(
            "{query??: string, queryId??: string <names a document in place of `query`>, documentId??: string <likewise>, \
             operationName?: string?, variables?: {...}?, extensions?: {...}?}",
        )
        .answers(
            "200 graphql +X-Carillon-Cache +Age +ETag +X-GraphQL-URL +X-GraphQL-Query-ID +X-GraphQL-Keys <or any other status that the site gives>; 400 graphql <no request, or a document that cannot be executed>; 403 origin_not_allowed; 404 tenant_not_found no_endpoint; \
             406 not_acceptable; 411 length_required <of a form with files>; 413 body_too_large; 415 unsupported_media_type; \
             502 site_not_graphql; 503 site_unavailable; 504 site_timed_out",
        ),
    post("cache.purge", "/api/v1/cache/purge", Member(Permission::CachePurge, handler!(api::cache::purge)))
        .summary(
            "Ends kept GraphQL answers: in this isolate at once, in others within the tenant's `staleness_seconds`. And kept lists of records: in all isolates at once.",
        )
        .params("X-GraphQL-URL")
        .body("CachePurge")
        .answers("200 CachePurged; 409 wrong_site"),
    get("cache.stats", "/api/v1/cache/stats", Member(Permission::CacheRead, handler!(api::cache::stats)))
        .summary("Says how often GraphQL answers were kept ones, by operation.")
        .params("days?: int(1..7) <the last days in UTC, the present one included; 1 by default>")
        .answers("200 CacheStats"),
    post("cache.explain", "/api/v1/cache/explain", Member(Permission::CacheRead, handler!(api::cache::explain)))
        .summary("Says what the cache would do with a stranger's question, why, and what would purge its answer.")
        .body("CacheQuestion")
        .answers("200 CacheExplained; 404 no_endpoint; 422 validation_failed"),
    put("documents.put", "/api/v1/documents", Member(Permission::DocumentsWrite, handler!(api::documents::put)))
        .summary(
            "Registers GraphQL documents: all that are listed, or none. A document that is there already gets the alias \
             that is listed, or none; a document that had the alias before loses it. At most 10,000 documents of a tenant, \
             of 20 MB in all. A change counts within five seconds.",
        )
        .body(
            "{documents: {text??: string(1..262144) <a document within the tenant's bounds>, query??: string(1..262144) \
             <another name of `text`>, alias??: string(1..128)/^[A-Za-z0-9._/-]+$/ <not 64 hexadecimal digits>, hash??: \
             string/^(sha256:)?[0-9a-fA-F]{64}$/ <must be the SHA-256 of the text>}[](1..1000) <each text and each alias \
             once>} <at most 2 MB>",
        )
        .answers("200 {documents: {hash: string, alias: string?}[]}; 409 too_many"),
    get("documents.list", "/api/v1/documents", Member(Permission::DocumentsRead, handler!(api::documents::list)))
        .summary("Lists the registered GraphQL documents without their texts, newest first.")
        .params("limit, cursor")
        .answers("200 list Document"),
    get("documents.get", "/api/v1/documents/{hash}", Member(Permission::DocumentsRead, handler!(api::documents::get)))
        .summary("Shows a registered GraphQL document with its text.")
        .answers("200 {...Document, text: string}"),
    delete(
        "documents.delete",
        "/api/v1/documents/{hash}",
        Member(Permission::DocumentsWrite, handler!(api::documents::delete)),
    )
    .summary("Takes a GraphQL document out of the registry. A change counts within five seconds.")
    .answers("200 {hash: string}"),
];
