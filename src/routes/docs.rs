//! What the API says of itself: the OpenAPI document of a host, and a page that shows it.

use worker::Method;

use super::contract::answers;
use super::openapi;
use super::route::{Access, Admission, Route, Surface, handler, shipped};
use domain::permission::Permission;

/// The section.
pub const ROUTES: &[Route] = &shipped([
    Route {
        name: "docs.openapi",
        method: Method::Get,
        path: "/api/v1/openapi.json",
        aliases: &[],
        surface: Surface::Platform,
        access: Access::Anyone,
        admission: Admission::Unmetered,
        handler: handler!(Table, openapi::show),
        contract: answers("200 raw {openapi: string, ...} +ETag; 304").params("If-None-Match"),
        summary: "The OpenAPI 3.1 document of the platform's host.",
        request: "Header `If-None-Match`.",
        answer: "200 the document with `ETag`; 304.",
    },
    Route {
        name: "docs.tenant_openapi",
        method: Method::Get,
        path: "/api/v1/openapi.json",
        aliases: &[],
        surface: Surface::Tenant,
        access: Access::Reader(Permission::CollectionsRead),
        admission: Admission::Requests,
        handler: handler!(Table, openapi::show),
        contract: answers("200 raw {openapi: string, ...} +ETag; 304").params("If-None-Match"),
        summary: "The OpenAPI 3.1 document of the tenant's host, with the paths of its collections: of all for those who may read collections, of the public ones for strangers.",
        request: "Header `If-None-Match`.",
        answer: "200 the document with `ETag`; 304.",
    },
    Route {
        name: "docs.page",
        method: Method::Get,
        path: "/docs",
        aliases: &[],
        surface: Surface::Platform,
        access: Access::Anyone,
        admission: Admission::Unmetered,
        handler: handler!(Table, openapi::page::show),
        contract: answers("200 html"),
        summary: "A page that shows the OpenAPI document, and tries its operations.",
        request: "",
        answer: "200 `text/html`.",
    },
    Route {
        name: "docs.tenant_page",
        method: Method::Get,
        path: "/docs",
        aliases: &[],
        surface: Surface::Tenant,
        access: Access::Visitor,
        admission: Admission::Requests,
        handler: handler!(Table, openapi::page::show),
        contract: answers("200 html"),
        summary: "The same page, for the tenant's host.",
        request: "",
        answer: "200 `text/html`.",
    },
]);
