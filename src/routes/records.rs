//! A tenant's records: collections, templates, records, versions.
//!
//! `/api/v1/{collection}` matches no path of another section: their names are reserved.

use super::entry::{delete, get, handler, patch, post, put};
use super::route::Endpoint::{Member, Reader};
use super::route::Route;
use crate::api;
use domain::permission::Permission;

pub const ROUTES: &[Route] = &[
    post(
        "collections.create",
        "/api/v1/collections",
        Member(Permission::CollectionsWrite, handler!(api::records::collections::create)),
    )
    .summary("Makes a collection: a kind of records.")
    .params("Idempotency-Key")
    .body("NewCollection")
    .answers("201 Collection +Location; 409 conflict <the slug is taken> too_many changed_meanwhile"),
    get(
        "collections.list",
        "/api/v1/collections",
        Member(Permission::CollectionsRead, handler!(api::records::collections::list)),
    )
    .summary("Lists the tenant's collections by their slugs: all of them, where their definitions fit a page of 1 MB.")
    .params("limit, cursor")
    .answers("200 list Collection"),
    get(
        "collections.get",
        "/api/v1/collections/{collection}",
        Member(Permission::CollectionsRead, handler!(api::records::collections::get)),
    )
    .summary("Shows a collection, and how the index of its records stands.")
    .params("If-None-Match, If-Match")
    .answers("200 Collection +ETag; 304"),
    patch(
        "collections.patch",
        "/api/v1/collections/{collection}",
        Member(Permission::CollectionsWrite, handler!(api::records::collections::patch)),
    )
    .summary(
        "Changes a collection. Records are indexed anew in the background where that is needed; \
         reads go on.",
    )
    .params("If-Match, If-None-Match")
    .body("CollectionPatch <a merge patch (RFC 7396)>")
    .answers(
        "200 Collection +ETag; 202 {...Collection, pending: bool} +ETag <open streams learn of it within a minute>; \
         409 changed_meanwhile still_referenced storage_limit_reached <another field is to be indexed or searched>",
    ),
    delete(
        "collections.delete",
        "/api/v1/collections/{collection}",
        Member(Permission::CollectionsWrite, handler!(api::records::collections::delete)),
    )
    .summary(
        "Deletes a collection with its records. It is gone at once; \
         many records are deleted in the background.",
    )
    .params("If-Match, If-None-Match")
    .answers(
        "200 {slug: string, pending: bool}; 202 {slug: string, pending: bool}; \
         409 still_referenced changed_meanwhile",
    ),
    post(
        "collections.reindex",
        "/api/v1/collections/{collection}/reindex",
        Member(Permission::CollectionsWrite, handler!(api::records::collections::reindex)),
    )
    .summary("Indexes all records of a collection anew, as after a failure was fixed.")
    .answers("200 Collection +ETag; 409 changed_meanwhile"),
    get(
        "templates.list",
        "/api/v1/templates",
        Member(Permission::CollectionsRead, handler!(api::records::templates::list)),
    )
    .summary("Lists the templates that collections can be made of.")
    .answers("200 list {name: string, description: string, collections: string[]}"),
    post(
        "templates.apply",
        "/api/v1/templates/{template}/apply",
        Member(Permission::CollectionsWrite, handler!(api::records::templates::apply)),
    )
    .summary("Makes the collections of a template that the tenant does not have yet.")
    .answers("200 {template: string, made: string[], kept: string[]}; 409 too_many conflict"),
    get(
        "tenants.stats",
        "/api/v1/tenants/{tenant_id}/stats",
        Member(Permission::RecordsRead, handler!(api::records::stats::stats)),
    )
    .summary("Tells how much a tenant has, by collection and status, and how often kept lists are found.")
    .answers(
        "200 {records: int, users: int, collections: {*: {total: int, by_status: {*: int}}}, \
         cache: {hits: int, misses: int, hit_rate: any}} +X-Cache",
    ),
    get(
        "tenants.storage",
        "/api/v1/tenants/{tenant_id}/storage",
        Member(Permission::RecordsRead, handler!(api::records::storage::show)),
    )
    .summary("Tells how many bytes a tenant stores, of which its plan bounds the sum, and how they were last recounted.")
    .answers("200 Storage"),
    post(
        "tenants.recount",
        "/api/v1/tenants/{tenant_id}/storage/recount",
        Member(Permission::CollectionsWrite, handler!(api::records::storage::recount)),
    )
    .summary("Counts the bytes of all collections anew, in the background, and mends what was counted wrong.")
    .answers("202 Storage"),
    post(
        "records.create",
        "/api/v1/{collection}",
        Member(Permission::RecordsWrite, handler!(api::records::record::create)),
    )
    .summary("Makes a record.")
    .params("Idempotency-Key, Prefer")
    .body("{...} <the fields of the collection's schema, `status`, `id` (made where it is left out)>")
    .answers(
        "201 Record +Location +ETag; 409 not_unique conflict <the id is taken> record_limit_reached \
         storage_limit_reached changed_meanwhile",
    ),
    get("records.list", "/api/v1/{collection}", Reader(Permission::RecordsRead, handler!(api::records::record::list)))
        .summary(
            "Lists records, newest first unless asked otherwise. Strangers may list a public collection. Pages by number end \
             with the records that a list reads; cursors do not.",
        )
        .params(
            "filter?: string, q?: string, status?: string, created_after?: string, created_before?: string, \
             updated_after?: string, updated_before?: string, sort?: string, fields?: string, \
             expand?: string, count?: Flag, deleted?: Flag, page?: int(1..10000), per_page?: int(1..200), \
             limit, cursor",
        )
        .answers("200 list Record +X-Cache +Last-Event-ID <where a stream goes on from it>; 400 too_complex <also where `expand` would put more than 5,000 records or 2 MB beside those of the list>; 409 index_building changed_meanwhile"),
    post(
        "records.bulk",
        "/api/v1/{collection}/bulk",
        Member(Permission::RecordsWrite, handler!(api::records::bulk::bulk)),
    )
    .summary("Does up to 100 operations on records, all of them or none.")
    .params("Idempotency-Key, Prefer")
    .body(
        "{operations: {op: 'create'|'update'|'replace'|'delete'|'restore', id??: string, data??: {...}, \
         if_match??: string, permanent??: any}[](1..100)}",
    )
    .answers(
        "200 Record[] <in the order of their operations>; 204; \
         409 not_unique conflict record_limit_reached storage_limit_reached transition_not_allowed \
         changed_meanwhile still_referenced; 412 precondition_failed; 413 records_too_large <more than 2 MB of records together>; \
         422 validation_failed <with the place of each mistake>",
    ),
    get(
        "records.get",
        "/api/v1/{collection}/{record_id}",
        Reader(Permission::RecordsRead, handler!(api::records::record::get)),
    )
    .summary("Shows a record.")
    .params("fields?: string, expand?: string, If-None-Match, If-Match")
    .answers("200 Record +ETag +Last-Event-ID <where a stream goes on from it>; 304; 400 too_complex <`expand` would put more than 5,000 records or 2 MB beside it>"),
    patch(
        "records.patch",
        "/api/v1/{collection}/{record_id}",
        Member(Permission::RecordsWrite, handler!(api::records::record::patch)),
    )
    .summary("Changes some of a record, as a merge patch (RFC 7396).")
    .params("If-Match, If-None-Match, Prefer")
    .body("{...} <fields of the collection's schema, `status`>")
    .answers(
        "200 Record +ETag; 204 +ETag; 409 not_unique transition_not_allowed changed_meanwhile \
         still_referenced storage_limit_reached",
    ),
    put(
        "records.replace",
        "/api/v1/{collection}/{record_id}",
        Member(Permission::RecordsWrite, handler!(api::records::record::replace)),
    )
    .summary("Gives all fields of a record anew. With `If-None-Match: *` it makes the record, and only that.")
    .params("If-Match, If-None-Match <`*` makes a record that is not there yet>, Prefer")
    .body("{...} <the fields of the collection's schema, `status`>")
    .answers(
        "200 Record +ETag; 201 Record +Location +ETag <it was made>; 204 +ETag; \
         409 not_unique transition_not_allowed changed_meanwhile still_referenced storage_limit_reached \
         conflict <a deleted record keeps the id> record_limit_reached",
    ),
    delete(
        "records.delete",
        "/api/v1/{collection}/{record_id}",
        Member(Permission::RecordsWrite, handler!(api::records::record::delete)),
    )
    .summary("Deletes a record; it is kept where the collection says so.")
    .params("permanent?: Flag, If-Match, If-None-Match, Prefer")
    .answers(
        "200 Record <`id` alone where the record is not kept>; 204; \
         409 still_referenced changed_meanwhile",
    ),
    post(
        "records.restore",
        "/api/v1/{collection}/{record_id}/restore",
        Member(Permission::RecordsWrite, handler!(api::records::record::restore)),
    )
    .summary(
        "Restores a record that was deleted and kept. A status that the collection no longer has becomes its initial one.",
    )
    .params("If-Match, If-None-Match, Prefer")
    .answers("200 Record +ETag; 204 +ETag; 409 not_unique changed_meanwhile record_limit_reached \
         storage_limit_reached"),
    get(
        "versions.list",
        "/api/v1/{collection}/{record_id}/versions",
        Member(Permission::RecordsRead, handler!(api::records::versions::list)),
    )
    .summary("Lists a record's versions, newest first.")
    .params("limit, cursor")
    .answers("200 list {version: int, operation: string, status: string?, at: time, by: string}"),
    get(
        "versions.get",
        "/api/v1/{collection}/{record_id}/versions/{version}",
        Member(Permission::RecordsRead, handler!(api::records::versions::get)),
    )
    .summary("Shows what a record was in a version.")
    .answers("200 {version: int, operation: string, status: string?, data: {...}, at: time, by: string}"),
    get(
        "versions.diff",
        "/api/v1/{collection}/{record_id}/versions/{version}/diff",
        Member(Permission::RecordsRead, handler!(api::records::versions::diff)),
    )
    .summary("Shows what changed from the version before, or from another one.")
    .params("from?: string <a version>")
    .answers("200 {from: int?, to: int, changes: {op: string, path: string, value?: any, was?: any}[]}"),
    post(
        "versions.restore",
        "/api/v1/{collection}/{record_id}/versions/{version}/restore",
        Member(Permission::RecordsWrite, handler!(api::records::versions::restore)),
    )
    .summary(
        "Makes a record again what it was in a version. That is a new version. Its status needs no transition; one that the \
         collection no longer has is refused (422, `/status`).",
    )
    .params("If-Match, If-None-Match, Prefer")
    .answers(
        "200 Record +ETag; 204 +ETag; 409 not_unique transition_not_allowed changed_meanwhile \
         still_referenced storage_limit_reached",
    ),
];
