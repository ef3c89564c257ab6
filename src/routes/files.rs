//! Files of records: how they come in, and how they are seen.

use super::entry::{delete, get, handler, post, put};
use super::route::Endpoint::{Member, Reader, Visitor};
use super::route::{Admission, Route, TokenRule};
use crate::api;
use domain::permission::Permission;

pub const ROUTES: &[Route] = &[
    post(
        "files.announce",
        "/api/v1/{collection}/{record_id}/file",
        Member(Permission::RecordsWrite, handler!(api::records::files::announce)),
    )
    .summary("Gives a URL that takes the record's file, for a browser to send it to.")
    .body(
        "{name: string(1..200)/^[ -.0-[^-~\u{a0}-\u{ffff}]+$/, content_type: FileType <an image, audio, \
         video, text, PDF, office document or archive>, size: int(1..100000000) <bytes>}",
    )
    .answers(
        "201 {url: string, method: string, headers: {*: string}, expires_at: time <in 15 minutes>}; \
         409 no_files storage_limit_reached",
    ),
    put(
        "files.put",
        "/api/v1/{collection}/{record_id}/file",
        Member(Permission::RecordsWrite, handler!(api::records::files::put)),
    )
    .summary("Stores the record's file. One that it held is replaced.")
    .params(
        "name: string(1..200)/^[ -.0-[^-~\u{a0}-\u{ffff}]+$/, If-Match, If-None-Match <`*` replaces no file>, \
         If-Unmodified-Since",
    )
    .bytes("the file, with `Content-Type` and `Content-Length`")
    .answers(
        "201 {name: string, content_type: string, size: int, etag: string, created_at: time, \
         created_by: string} +ETag +Last-Modified; 409 no_files storage_limit_reached changed_meanwhile; \
         411 length_required; 413 body_too_large; 415 unsupported_media_type; 422 validation_failed",
    ),
    get(
        "files.get",
        "/api/v1/{collection}/{record_id}/file",
        Reader(Permission::RecordsRead, handler!(api::records::files::get)),
    )
    .summary("Shows what file the record holds, and gives a URL that shows it to whoever has the URL.")
    .params(
        "expires_in?: int(60..604800) <seconds, by default 900>, If-Match, If-None-Match, If-Modified-Since, \
         If-Unmodified-Since",
    )
    .answers(
        "200 {name: string, content_type: string, size: int, etag: string, created_at: time, \
         created_by: string, url: string, expires_at: time? <`null` where the collection is public>} \
         +ETag +Last-Modified <both of the file>; 304",
    ),
    delete(
        "files.delete",
        "/api/v1/{collection}/{record_id}/file",
        Member(Permission::RecordsWrite, handler!(api::records::files::delete)),
    )
    .summary("Deletes the record's file.")
    .params("If-Match, If-None-Match, If-Unmodified-Since")
    .answers("200 {id: string}"),
    put("files.upload", "/uploads/{token}", Visitor(TokenRule::Ignored, handler!(api::records::files::receive)))
        .summary(
            "Stores the file that a URL of `files.announce` is for, if whoever asked for it still may. The URL is good \
             once; the same request again gets the same answer.",
        )
        .params("If-Match, If-None-Match, If-Unmodified-Since")
        .bytes("the file, with `Content-Type` and `Content-Length` as they were announced")
        .answers(
            "201 {name: string, content_type: string, size: int, etag: string, created_at: time, \
             created_by: string} +ETag +Last-Modified; 403 invalid_link; 409 changed_meanwhile <another file came first> \
             storage_limit_reached; 411 length_required; 413 body_too_large; 415 unsupported_media_type; \
             422 validation_failed",
        ),
    get(
        "files.show",
        "/media/{collection}/{record_id}/{name}",
        Visitor(TokenRule::Ignored, handler!(api::records::media::show)),
    )
    .draws_from(Admission::Unmetered)
    .summary(
        "Serves a file: of a public collection to everybody, else by a URL of `files.get`, as long as whoever asked \
         for it may read it.",
    )
    .params(
        "v?: string <the file's entity tag>, expires?: string, by?: string, signature?: string, \
         Range <several are one where they leave no gap, else as good as none>, If-Range, If-Match, If-None-Match, \
         If-Modified-Since, If-Unmodified-Since",
    )
    .answers(
        "200 bytes +ETag +Last-Modified +Accept-Ranges +Cache-Control +Content-Disposition; \
         206 bytes +ETag +Last-Modified +Accept-Ranges +Cache-Control +Content-Disposition \
         +Content-Range; 304; 403 invalid_link; 416 range_not_satisfiable",
    ),
];
