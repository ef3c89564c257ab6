//! `GET /media/{collection}/{record_id}/{name}`: a file's bytes, on the tenant's host.
//!
//! Invariants
//! - Of what is not public nothing is told without a signature, not even whether it is there.
//! - What a user uploaded runs nowhere: its type is on a list, is never guessed, and a page that it is opened as is
//!   sandboxed.

use crate::auth::principal::Visitor;
use crate::http::etag;
use crate::http::incoming::Incoming;
use crate::http::problem::{self, Answered};
use crate::http::range::Range;
use crate::http::request::Call;
use crate::http::response::Answer;
use crate::records::file::File;
use crate::records::file_url::Shown;
use crate::storage::keys::ObjectKey;
use crate::storage::r2::Bucket;
use domain::address::is_let_in;
use domain::http_date;

/// How often a file is looked up: its bytes may have been replaced since it was found.
const ATTEMPTS: usize = 2;

/// `GET /media/{collection}/{record_id}/{name}`
pub async fn show(call: Call<Visitor>) -> Answered<Answer> {
    if !is_let_in(&call.who.config.ip_allowlist, &call.request.address()) {
        return Err(problem::address_not_allowed());
    }
    let rows = call.who.rows(&call.bindings)?;
    for _ in 0..ATTEMPTS {
        let found = File::served(&rows, call.params.get("collection"), call.params.get("record_id")).await?;
        let (file, caching) = admitted(&call, found)?;
        if let Some(answer) = answer(&call, &file).await? {
            return Ok(described(answer, &file).header("Cache-Control", caching));
        }
    }
    Err(problem::unavailable("the bytes of a file are not there"))
}

/// The file, if it may be seen by this URL, and how long whoever sees it may keep it.
fn admitted(call: &Call<Visitor>, found: Option<(File, bool)>) -> Answered<(File, String)> {
    let name = call.params.get("name");
    let found = found.filter(|(file, _)| file.name.as_str() == name);
    let meant = call.request.query.get("v").unwrap_or_default();
    if let Some((file, true)) = found {
        let caching = if file.etag == meant { "public, max-age=31536000, immutable" } else { "public, max-age=60" };
        return Ok((file, caching.to_owned()));
    }
    let signature = call.request.query.get("signature").ok_or_else(problem::not_found)?;
    let until = call.request.query.get("expires").and_then(|text| text.parse().ok()).unwrap_or(0);
    let shown = Shown {
        tenant: call.who.tenant.as_str(),
        collection: call.params.get("collection"),
        record_id: call.params.get("record_id"),
        name,
        etag: meant,
    };
    if !shown.is_signed(&call.bindings.settings.keys, until, signature, call.now()) {
        return Err(problem::invalid_link());
    }
    let (file, _) = found.filter(|(file, _)| file.etag == meant).ok_or_else(problem::not_found)?;
    Ok((file, format!("private, max-age={}", until - call.now().seconds())))
}

/// What is asked of the file; none if its bytes are not there (any more).
async fn answer(call: &Call<Visitor>, file: &File) -> Answered<Option<Answer>> {
    let request = &call.request;
    if is_unchanged(request, file) {
        return Ok(Some(Answer::empty(304)));
    }
    if call.is_head() {
        return Ok(Some(Answer::empty(200).header("Content-Length", file.size)));
    }
    let (status, offset, length) = match range(request, file) {
        Range::Whole => (200, 0, file.size),
        Range::Part { offset, length } => (206, offset, length),
        Range::Unsatisfiable => return Err(problem::range_not_satisfiable(file.size)),
    };
    let key = ObjectKey::of(&call.who.tenant, &file.object);
    let Some(bytes) = Bucket::open(&call.bindings)?.get(&key, offset, length).await? else { return Ok(None) };
    let answer = Answer::bytes(status, bytes);
    Ok(Some(match status {
        206 => answer.header("Content-Range", format!("bytes {offset}-{}/{}", offset + length - 1, file.size)),
        _ => answer,
    }))
}

/// Whether the client has these bytes already: by their tag, or else by their time (RFC 9110, 13.2.2).
fn is_unchanged(request: &Incoming, file: &File) -> bool {
    match request.header("If-None-Match") {
        Some(sent) => etag::names(&sent, &quoted(file)),
        None => {
            let since = request.header("If-Modified-Since").and_then(|text| http_date::parse(&text));
            since.is_some_and(|since| file.created_at.seconds() <= since.seconds())
        }
    }
}

/// The range that is asked for; all of it where the client's part is of other bytes (`If-Range`).
fn range(request: &Incoming, file: &File) -> Range {
    let same = |sent: String| sent == quoted(file) || sent == http_date::print(file.created_at);
    if request.header("If-Range").is_none_or(same) {
        Range::parse(request.header("Range").as_deref(), file.size)
    } else {
        Range::Whole
    }
}

/// The same answer with what is to be known of the file.
fn described(answer: Answer, file: &File) -> Answer {
    let answer = answer
        .header("ETag", quoted(file))
        .header("Last-Modified", http_date::print(file.created_at))
        .header("Accept-Ranges", "bytes");
    if answer.status == 304 {
        return answer;
    }
    let answer = answer
        .header("Content-Type", file.file_type.content_type())
        .header("Content-Disposition", file.name.disposition(&file.file_type));
    // A browser's reader of PDFs does not open in a sandbox, and has one of its own.
    if file.file_type.as_str() == "application/pdf" {
        return answer;
    }
    answer.header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
}

fn quoted(file: &File) -> String {
    format!("\"{}\"", file.etag)
}
