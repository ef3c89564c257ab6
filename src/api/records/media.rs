//! `GET /media/{collection}/{record_id}/{name}`: a file's bytes, on the tenant's host.
//!
//! Invariants
//! - Without a signature, a response about a file that is not public does not tell whether it exists.
//! - A signed URL is worth what whoever asked for it may do now.
//! - An uploaded file never runs: its type is on an allow-list, browsers may not guess another, and a page that shows it is
//!   sandboxed.

use super::files::check_maker;
use crate::auth::principal::Visitor;
use crate::http::problem::{self, Problem};
use crate::http::range::ByteRange;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::records::file::{File, Served};
use crate::records::file_url::FileLink;
use crate::storage::keys::ObjectKey;
use crate::storage::r2::Bucket;
use domain::address::is_let_in;
use domain::clock::Timestamp;
use domain::permission::Permission;

/// Attempts to read a file: its object may be replaced between look-up and read.
const ATTEMPTS: usize = 2;
/// For how long a browser may keep a file that is not public, in seconds.
const KEPT_SECONDS: i64 = 60;

/// `GET /media/{collection}/{record_id}/{name}`
pub async fn show(request: Request<Visitor>) -> Result<Response, Problem> {
    if !is_let_in(&request.caller.config.ip_allowlist, &request.incoming.address()) {
        return Err(problem::address_not_allowed());
    }
    let rows = request.caller.rows(&request.bindings)?;
    for _ in 0..ATTEMPTS {
        let found = File::served(&rows, request.params.get("collection"), request.params.get("record_id")).await?;
        let VisibleFile { file, caching, maker } = admitted(&request, found)?;
        if let Some(maker) = maker {
            check_maker(&request, &rows, &maker, Permission::RecordsRead).await?;
        }
        if let Some(answer) = answer(&request, &file).await? {
            return Ok(described(answer, &file, request.now()).header("Cache-Control", caching));
        }
    }
    Err(problem::unavailable("the bytes of a file are not there"))
}

/// A file that may be seen by this URL.
struct VisibleFile {
    file: File,
    /// How long whoever sees it may keep it.
    caching: String,
    /// Who asked for the URL, and must still be able to read the file; none of a public one.
    maker: Option<String>,
}

/// The file, if it may be seen by this URL.
fn admitted(request: &Request<Visitor>, found: Option<Served>) -> Result<VisibleFile, Problem> {
    let name = request.params.get("name");
    let (file, is_public, creation_id) = match found {
        Some(Served { file, is_public, mut creation_id }) => {
            creation_id.push_str(file.as_ref().map_or("", |file| &file.record_creation_id));
            (file.filter(|file| file.name.as_str() == name), is_public, creation_id)
        }
        // Nothing is signed of a collection that is not there.
        None => (None, false, String::new()),
    };
    let meant = request.incoming.query.get("v").unwrap_or_default();
    if is_public && let Some(file) = file {
        let caching = if file.etag() == meant { "public, max-age=31536000, immutable" } else { "public, max-age=60" };
        return Ok(VisibleFile { file, caching: caching.to_owned(), maker: None });
    }
    let signature = request.incoming.query.get("signature").ok_or_else(problem::not_found)?;
    let until = request.incoming.query.get("expires").and_then(|text| text.parse().ok()).unwrap_or(0);
    let maker = request.incoming.query.get("by").unwrap_or_default();
    let shown = FileLink {
        tenant: request.caller.tenant.as_str(),
        collection: request.params.get("collection"),
        creation_id: &creation_id,
        record_id: request.params.get("record_id"),
        name,
        etag: meant,
        maker,
    };
    if !shown.is_signed(&request.bindings.settings.keys, until, signature, request.now()) {
        return Err(problem::invalid_link());
    }
    request.proof.succeeded();
    let file = file.filter(|file| file.is_named_by(meant)).ok_or_else(problem::not_found)?;
    // Briefly: the URL may end before its time.
    let caching = format!("private, max-age={}", (until - request.now().seconds()).min(KEPT_SECONDS));
    Ok(VisibleFile { file, caching, maker: Some(maker.to_owned()) })
}

/// The requested bytes of the file; none if its object does not exist (any more).
async fn answer(request: &Request<Visitor>, file: &File) -> Result<Option<Response>, Problem> {
    if request.preconditions().is_known(file.validators(&file.tag()))? {
        return Ok(Some(Response::empty(304)));
    }
    if request.is_head() {
        return Ok(Some(Response::empty(200).header("Content-Length", file.size)));
    }
    let (status, offset, length) = match range(request, file) {
        ByteRange::Whole => (200, 0, file.size),
        ByteRange::Part { offset, length } => (206, offset, length),
        ByteRange::Unsatisfiable => return Err(problem::range_not_satisfiable(file.size)),
    };
    let key = ObjectKey::of(&request.caller.tenant, &file.object);
    let Some(bytes) = Bucket::open(&request.bindings)?.get(&key, offset, length).await? else { return Ok(None) };
    let answer = Response::bytes(status, bytes);
    Ok(Some(match status {
        206 => answer.header("Content-Range", format!("bytes {offset}-{}/{}", offset + length - 1, file.size)),
        _ => answer,
    }))
}

/// The requested range; the whole file if `If-Range` names another file, or none.
fn range(request: &Request<Visitor>, file: &File) -> ByteRange {
    let range = ByteRange::parse(request.incoming.header("Range").as_deref(), file.size);
    let if_range = request.incoming.header_as_sent("If-Range");
    range.if_range(if_range.as_deref(), file.validators(&file.tag()), request.now())
}

/// The response with the headers that describe the file.
fn described(answer: Response, file: &File, now: Timestamp) -> Response {
    let answer = answer
        .header("ETag", file.tag())
        .header("Last-Modified", file.last_modified(now))
        .header("Accept-Ranges", "bytes");
    if answer.status == 304 {
        return answer;
    }
    let answer = answer
        .header("Content-Type", file.file_type.content_type())
        .header("Content-Disposition", file.name.disposition(&file.file_type));
    // Browsers do not show PDFs in a sandbox; their viewers have one of their own.
    if file.file_type.as_str() == "application/pdf" {
        return answer;
    }
    answer.header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
}
