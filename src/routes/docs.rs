//! What the API says of itself: the OpenAPI document of a host, and a page that shows it.

use super::entry::{get, handler, versioned_only};
use super::openapi;
use super::route::Endpoint::{Anyone, Table, TableReader, Visitor};
use super::route::{Route, TokenRule};
use domain::permission::Permission;

pub const ROUTES: &[Route] = &versioned_only([
    get("docs.openapi", "/api/v1/openapi.json", Table(handler!(openapi::show)))
        .summary("The OpenAPI 3.1 document of the platform's host.")
        .params("If-None-Match, If-Match")
        .answers("200 raw {openapi: string, ...} +ETag; 304"),
    get(
        "docs.tenant_openapi",
        "/api/v1/openapi.json",
        TableReader(Permission::CollectionsRead, handler!(openapi::show)),
    )
    .summary(
        "The OpenAPI 3.1 document of the tenant's host, with the paths of its collections: of all for \
         those who may read collections, of the public ones for strangers.",
    )
    .params("If-None-Match, If-Match")
    .answers("200 raw {openapi: string, ...} +ETag; 304"),
    get("docs.page", "/docs", Anyone(handler!(openapi::page::show)))
        .summary("A page that shows the OpenAPI document, and tries its operations.")
        .answers("200 html"),
    get("docs.tenant_page", "/docs", Visitor(TokenRule::Ignored, handler!(openapi::page::show)))
        .judged_now()
        .summary("The same page, for the tenant's host.")
        .answers("200 html"),
]);
