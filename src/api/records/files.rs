//! `/api/v1/{collection}/{record_id}/file`: the file of a record, and its upload.
//!
//! A file is uploaded as the body of one request, by a member or by whoever has a signed URL for it.

use std::time::Duration;

use serde_json::Value;
use worker::Delay;

use super::record;
use crate::auth::maker::Maker;
use crate::auth::principal::{Member, Reader, Visitor};
use crate::http::fields::Fields;
use crate::http::incoming::{Incoming, JSON};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::hub::protocol::TenantConfig;
use crate::records::collection::CollectionRead;
use crate::records::file::{self, File, FileRow};
use crate::records::file_url::{self, FileLink, UPLOAD_SECONDS};
use crate::records::sweep;
use crate::records::upload::{Upload, UploadTarget, fresh_ticket, wrong_size};
use crate::storage::r2::Bucket;
use crate::storage::sql::args;
use crate::storage::tenant_db::{ReadStatement, TenantDb};
use domain::address::is_let_in;
use domain::clock::Timestamp;
use domain::error::Invalid;
use domain::file::{FileName, FileType, MAX_BYTES};
use domain::json;
use domain::json::set;
use domain::permission::Permission;

/// Seconds that a signed URL of a file is valid: the range of `expires_in`, and its default.
const SHOWN_SECONDS: (std::ops::RangeInclusive<u32>, u32) = (60..=604_800, 900);

/// How long the answer to an upload waits at most for the file's time, in milliseconds: many that came at once are further
/// ahead.
const MAX_AHEAD_MILLIS: i64 = 5_000;

/// `POST /api/v1/{collection}/{record_id}/file`
pub async fn announce(mut request: Request<Member>) -> Result<Response, Problem> {
    let mut fields = Fields::new(request.incoming.json_object(JSON).await?);
    let name = fields.required("name", |f| f.parsed("name", FileName::parse));
    let file_type = fields.required("content_type", |f| f.parsed("content_type", FileType::parse));
    let size = fields.required("size", |f| f.number("size", 1..=i64::try_from(MAX_BYTES).unwrap_or(i64::MAX)));
    fields.finish()?;
    let (Some(name), Some(file_type), Some(size)) = (name, file_type, size) else {
        return Err(problem::internal("a body that was not read"));
    };
    let rows = request.caller.rows(&request.bindings)?;
    let (collection, record_id) = path_ids(&request);
    let target = UploadTarget::find(&rows, collection, record_id).await?;
    let upload = Upload {
        collection: collection.to_owned(),
        record_id: record_id.to_owned(),
        name,
        file_type,
        size: size.unsigned_abs(),
        by: request.caller.actor(),
        ticket: fresh_ticket()?,
        seen: Some(target.seen.clone()),
    };
    target.check_room(upload.size, request.caller.config.limits.storage_bytes)?;
    let maker = request.caller.maker();
    let until = maker.end(request.now().plus_seconds(UPLOAD_SECONDS));
    let tenant = request.caller.tenant.as_str();
    let who = maker.to_text(request.now());
    let token = file_url::upload_token(&request.bindings.settings.keys, tenant, (&upload, &who), until)?;
    let body = json!({
        "url": format!("{}/uploads/{token}", origin(&request.incoming, &request.caller.config)), "method": "PUT",
        "headers": { "Content-Type": upload.file_type.as_str() }, "expires_at": until,
    });
    Response::json(201, &body, Some(tenant))
}

/// `PUT /uploads/{token}`
pub async fn receive(request: Request<Visitor>) -> Result<Response, Problem> {
    if !is_let_in(&request.caller.config.ip_allowlist, &request.incoming.address()) {
        return Err(problem::address_not_allowed());
    }
    let (keys, tenant) = (&request.bindings.settings.keys, request.caller.tenant.as_str());
    let upload = file_url::read_upload_token(keys, tenant, request.params.get("token"), request.now());
    let (upload, maker) = upload.ok_or_else(problem::invalid_link)?;
    request.proof.succeeded();
    if length(&request.incoming)? != upload.size {
        return Err(wrong_size(upload.size));
    }
    if sent_type(&request.incoming).as_ref() != Some(&upload.file_type) {
        return Err(problem::unsupported_media_type("the type that was announced"));
    }
    let rows = request.caller.rows(&request.bindings)?;
    check_maker(&request, &rows, &maker, Permission::RecordsWrite).await?;
    store(&request, &request.caller.config, rows, upload).await
}

/// Refuses a URL whose maker, by the text that it holds, may not do any more what it is for.
pub(super) async fn check_maker<Who>(
    request: &Request<Who>,
    rows: &TenantDb,
    maker: &str,
    permission: Permission,
) -> Result<(), Problem> {
    let (maker, made_at) = Maker::from_text(maker).ok_or_else(problem::invalid_link)?;
    let judged = maker.judge(&request.bindings, rows, Some(made_at)).await?;
    if judged.is_some_and(|judged| judged.permissions.has(permission)) { Ok(()) } else { Err(problem::invalid_link()) }
}

/// `PUT /api/v1/{collection}/{record_id}/file`
pub async fn put(request: Request<Member>) -> Result<Response, Problem> {
    let name = request.incoming.query.get("name").ok_or_else(|| Invalid::new("required", "is required"));
    let name = name.and_then(FileName::parse).map_err(|invalid| problem::invalid_query("name", invalid))?;
    let file_type = sent_type(&request.incoming).ok_or_else(|| problem::unsupported_media_type("a type of files"))?;
    let (collection, record_id) = path_ids(&request);
    let upload = Upload {
        collection: collection.to_owned(),
        record_id: record_id.to_owned(),
        name,
        file_type,
        size: length(&request.incoming)?,
        by: request.caller.actor(),
        ticket: fresh_ticket()?,
        seen: None,
    };
    let rows = request.caller.rows(&request.bindings)?;
    store(&request, &request.caller.config, rows, upload).await
}

/// `GET /api/v1/{collection}/{record_id}/file`
pub async fn get(request: Request<Reader>) -> Result<Response, Problem> {
    let (range, default) = SHOWN_SECONDS;
    let seconds = request.incoming.query.number("expires_in", range, default)?;
    let rows = request.caller.rows(&request.bindings)?;
    let (slug, record_id) = path_ids(&request);
    let find = |_: &_| Ok(vec![ReadStatement::Constant(file::FIND, args![slug, record_id])]);
    let CollectionRead { collection, found, .. } = record::readable(&request, &rows, find).await?;
    let row = found.into_iter().next().unwrap_or_default().first::<FileRow>()?.ok_or_else(problem::not_found)?;
    let file = File::stored(row)?;
    if request.preconditions().is_known(file.validators(&file.tag()))? {
        return Ok(under_tag(Response::empty(304), &file, request.now()));
    }
    let tenant = request.caller.tenant.as_str();
    let path = file_url::path(slug, record_id, &file);
    let mut url = format!("{}{path}", origin(&request.incoming, &request.caller.config));
    let mut until = None;
    if !collection.public_read {
        // A visitor reads no collection that is not public.
        let maker = request.caller.maker().ok_or_else(problem::not_found)?;
        let maker = if maker.principal.starts_with("user:") { maker.without_session() } else { maker.clone() };
        let expires = maker.end(request.now().plus_seconds(i64::from(seconds))).seconds();
        let who = maker.to_text(request.now());
        let creation_id = format!("{}{}", collection.creation_id, file.record_creation_id);
        let shown = FileLink {
            tenant,
            collection: slug,
            creation_id: &creation_id,
            record_id,
            name: file.name.as_str(),
            etag: &file.etag(),
            maker: &who,
        };
        let signature = shown.sign(&request.bindings.settings.keys, expires)?;
        url.push_str(&format!("&expires={expires}&by={who}&signature={signature}"));
        until = Some(Timestamp::from_millis(expires * 1000));
    }
    let mut body = file.shown();
    if let Value::Object(members) = &mut body {
        set(members, "url", &url);
        set(members, "expires_at", &until);
    }
    Ok(under_tag(Response::json(200, &body, Some(tenant))?, &file, request.now()))
}

/// A response about a file, with what tells the state of that: for conditions of what follows.
fn under_tag(answer: Response, file: &File, now: Timestamp) -> Response {
    answer.tagged(file.tag()).header("Last-Modified", file.last_modified(now))
}

/// `DELETE /api/v1/{collection}/{record_id}/file`
pub async fn delete(request: Request<Member>) -> Result<Response, Problem> {
    let rows = request.caller.rows(&request.bindings)?;
    let (collection, record_id) = path_ids(&request);
    file::delete(&rows, (collection, record_id), &request.preconditions()).await?;
    sweep::behind(&request.background, &request.bindings, rows);
    Response::json(200, &json!({ "id": record_id }), Some(request.caller.tenant.as_str()))
}

/// Stores the request's body as the file, and sweeps the file that it replaced.
async fn store<Who>(
    request: &Request<Who>,
    config: &TenantConfig,
    rows: TenantDb,
    mut upload: Upload,
) -> Result<Response, Problem> {
    let bucket = Bucket::open(&request.bindings)?;
    let body = request.incoming.stream()?;
    let limit = config.limits.storage_bytes;
    let (file, replaced) = upload.store(&rows, &bucket, limit, (&request.preconditions(), body)).await?;
    let answer = Response::json(201, &file.shown(), Some(rows.tenant().as_str()))?;
    if replaced {
        sweep::behind(&request.background, &request.bindings, rows);
    }
    wait_until(file.created_at, request.now()).await;
    Ok(under_tag(answer, &file, request.now()))
}

/// Waits for a file's time, which lies ahead if another file was there in this second: so the answer tells the time that
/// conditions will be held against, and no file gets far ahead.
async fn wait_until(time: Timestamp, now: Timestamp) {
    let ahead = time.since(now).min(MAX_AHEAD_MILLIS);
    if ahead > 0 {
        Delay::from(Duration::from_millis(ahead.unsigned_abs())).await;
    }
}

/// The collection and the record that the path names.
fn path_ids<Who>(request: &Request<Who>) -> (&str, &str) {
    (request.params.get("collection"), request.params.get("record_id"))
}

/// The request's `Content-Length`.
fn length(request: &Incoming) -> Result<u64, Problem> {
    let announced = request.header("Content-Length").and_then(|length| length.parse::<u64>().ok());
    match announced.ok_or_else(problem::length_required)? {
        0 => Err(problem::invalid_field("Content-Length", Invalid::new("empty", "must be at least 1"))),
        length if length > MAX_BYTES => Err(problem::body_too_large(usize::try_from(MAX_BYTES).unwrap_or(usize::MAX))),
        length => Ok(length),
    }
}

fn sent_type(request: &Incoming) -> Option<FileType> {
    FileType::parse(&request.header("Content-Type")?).ok()
}

/// The origin of the tenant's host: the requested host if it is the tenant's, else its first.
fn origin(request: &Incoming, config: &TenantConfig) -> String {
    let asked = request.authority.split(':').next().unwrap_or_default();
    let own = config.hosts.iter().find(|host| host.as_str() == asked).or_else(|| config.hosts.first());
    request.origin_of(own.map_or("", String::as_str))
}
