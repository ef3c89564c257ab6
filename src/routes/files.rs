//! Files of records: how they come in, and how they are seen.

use worker::Method;

use super::contract::answers;
use super::route::{Access, Admission, Route, Surface, handler, shipped};
use crate::api;
use domain::permission::Permission;

/// The section. It stands behind records, whose paths of as many segments come first.
pub const ROUTES: &[Route] = &shipped([
    Route {
        name: "files.announce",
        method: Method::Post,
        path: "/api/v1/{collection}/{record_id}/file",
        aliases: &["/api/{collection}/{record_id}/file"],
        surface: Surface::Both,
        access: Access::Member(Permission::RecordsWrite),
        admission: Admission::Requests,
        handler: handler!(Member, api::records::files::announce),
        contract: answers("201 {url: string, method: string, headers: {*: string}, expires_at: time}; 409 no_files storage_limit_reached")
            .body("{name: string(1..200)/^[ -.0-[^-~\u{a0}-\u{ffff}]+$/, content_type: FileType, size: int(1..100000000)}"),
        summary: "Gives a URL that takes the record's file, for a browser to send it to.",
        request: "`name` (1 to 200 bytes), `content_type` (an image, audio, video, text, PDF, office document or archive), `size` (1 to 100,000,000 bytes).",
        answer: "201 `{url, method, headers, expires_at}`, good for 15 minutes; 409 `no_files`, `storage_limit_reached`; 404.",
    },
    Route {
        name: "files.put",
        method: Method::Put,
        path: "/api/v1/{collection}/{record_id}/file",
        aliases: &["/api/{collection}/{record_id}/file"],
        surface: Surface::Both,
        access: Access::Member(Permission::RecordsWrite),
        admission: Admission::Requests,
        handler: handler!(Member, api::records::files::put),
        contract: answers("201 {name: string, content_type: string, size: int, etag: string, created_at: time, created_by: string}; 409 no_files storage_limit_reached changed_meanwhile; 411 length_required; 413 body_too_large; 415 unsupported_media_type; 422 validation_failed")
            .params("name: string(1..200)/^[ -.0-[^-~\u{a0}-\u{ffff}]+$/")
            .bytes(),
        summary: "Stores the record's file. One that it held is replaced.",
        request: "The bytes. Query `name`; headers `Content-Type`, `Content-Length`.",
        answer: "201 `{name, content_type, size, etag, created_at, created_by}`; 409 `no_files`, `storage_limit_reached`; 411, 413, 415; 404.",
    },
    Route {
        name: "files.get",
        method: Method::Get,
        path: "/api/v1/{collection}/{record_id}/file",
        aliases: &["/api/{collection}/{record_id}/file"],
        surface: Surface::Both,
        access: Access::Reader(Permission::RecordsRead),
        admission: Admission::Requests,
        handler: handler!(Reader, api::records::files::get),
        contract: answers("200 {name: string, content_type: string, size: int, etag: string, created_at: time, created_by: string, url: string, expires_at: time?}").params("expires_in?: int(60..604800)"),
        summary: "Shows what file the record holds, and gives a URL that shows it to whoever has the URL.",
        request: "Query `expires_in` (60 to 604,800 seconds; 900 unless asked otherwise).",
        answer: "200 `{name, content_type, size, etag, created_at, created_by, url, expires_at}`; `expires_at` is null where the collection is public; 404.",
    },
    Route {
        name: "files.delete",
        method: Method::Delete,
        path: "/api/v1/{collection}/{record_id}/file",
        aliases: &["/api/{collection}/{record_id}/file"],
        surface: Surface::Both,
        access: Access::Member(Permission::RecordsWrite),
        admission: Admission::Requests,
        handler: handler!(Member, api::records::files::delete),
        contract: answers("200 {id: string}"),
        summary: "Deletes the record's file.",
        request: "",
        answer: "200 `{id}`; 404.",
    },
    Route {
        name: "files.upload",
        method: Method::Put,
        path: "/uploads/{token}",
        aliases: &[],
        surface: Surface::Tenant,
        access: Access::Visitor,
        admission: Admission::Requests,
        handler: handler!(Visitor, api::records::files::receive),
        contract: answers("201 {name: string, content_type: string, size: int, etag: string, created_at: time, created_by: string}; 403 invalid_link; 409 changed_meanwhile storage_limit_reached; 411 length_required; 413 body_too_large; 415 unsupported_media_type; 422 validation_failed")
            .bytes(),
        summary: "Stores the file that a URL of `files.announce` is for. The URL is good once; the same request again gets the same answer.",
        request: "The bytes. Headers `Content-Type` and `Content-Length` as they were announced.",
        answer: "201 `{name, content_type, size, etag, created_at, created_by}`; 403 `invalid_link`; 409 `changed_meanwhile` if another file came first, `storage_limit_reached`; 411, 413, 415, 422; 404.",
    },
    Route {
        name: "files.show",
        method: Method::Get,
        path: "/media/{collection}/{record_id}/{name}",
        aliases: &[],
        surface: Surface::Tenant,
        access: Access::Visitor,
        admission: Admission::Unmetered,
        handler: handler!(Visitor, api::records::media::show),
        contract: answers("200 bytes +ETag; 206 bytes +ETag; 304; 403 invalid_link; 416 range_not_satisfiable")
            .params("v?: string, expires?: string, signature?: string, If-None-Match"),
        summary: "Serves a file: of a public collection to everybody, else by a URL of `files.get`.",
        request: "Query `v` (the bytes' entity tag), `expires`, `signature`. Headers `Range` (one range), `If-Range`, `If-None-Match`, `If-Modified-Since`.",
        answer: "200 or 206 the bytes; headers `ETag`, `Last-Modified`, `Accept-Ranges`, `Cache-Control`, `Content-Disposition`; 304; 403 `invalid_link`; 416; 404.",
    },
]);
