//! Uploads: an object is registered, its bytes are written, then one transaction makes it the record's file.
//!
//! Invariants
//! - An object is registered as unreferenced before its first byte is written, and removed from there in the transaction
//!   that makes it a record's file. The object of a failed upload is swept.
//! - Every upload writes an object of its own: the bytes of an object never change.
//! - The plan's limit of bytes is a rule of that transaction.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use web_sys::ReadableStream;

use super::file::{self, File, FileRow};
use super::storage::storage_left;
use super::sweep;
use crate::http::etag;
use crate::http::precondition::{Preconditions, Validators};
use crate::http::problem::{self, Problem};
use crate::storage::bindings::SystemClock;
use crate::storage::keys::ObjectKey;
use crate::storage::r2::{Bucket, StoredObject};
use crate::storage::row::row_types;
use crate::storage::sealed::random;
use crate::storage::sql::{Arg, StorageError, TenantSql};
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;
use domain::clock::{Clock, Timestamp};
use domain::error::Invalid;
use domain::file::{FileName, FileType};
use domain::plan::Limit;

statements! { TenantSql;
    /// The target of an upload: the record's present file, whether its collection allows files, the tenant's bytes.
    PLACE = "SELECT c.files, c.creation_id || r.creation_id AS creation_id, (SELECT f.object FROM record_files f WHERE f.tenant_id = ?1 AND f.collection = ?2 AND f.record_id = ?3) AS object, (SELECT f.size FROM record_files f WHERE f.tenant_id = ?1 AND f.collection = ?2 AND f.record_id = ?3) AS size, (SELECT f.name FROM record_files f WHERE f.tenant_id = ?1 AND f.collection = ?2 AND f.record_id = ?3) AS name, (SELECT f.content_type FROM record_files f WHERE f.tenant_id = ?1 AND f.collection = ?2 AND f.record_id = ?3) AS content_type, (SELECT f.etag FROM record_files f WHERE f.tenant_id = ?1 AND f.collection = ?2 AND f.record_id = ?3) AS etag, (SELECT f.created_at FROM record_files f WHERE f.tenant_id = ?1 AND f.collection = ?2 AND f.record_id = ?3) AS created_at, (SELECT s.records + s.files + s.outbox FROM tenant_storage s WHERE s.tenant_id = ?1) AS used FROM collections c JOIN records r ON r.tenant_id = ?1 AND r.collection = c.slug AND r.id = ?3 WHERE c.tenant_id = ?1 AND c.slug = ?2 AND c.deleted_at IS NULL AND r.deleted_at IS NULL";
    /// Registers an object as unreferenced.
    NOTE = "INSERT INTO unreferenced_objects (tenant_id, object, due_at) VALUES (?1, ?2, ?3)";
    /// The record ?3 of the collection ?2, both still those of the creation ids ?5, may hold a file, and the object ?4 is not
    /// claimed by a sweep.
    TAKES_FILE = "INSERT OR REPLACE INTO write_rules (tenant_id, takes_file) VALUES (?1, EXISTS (SELECT 1 FROM collections c JOIN records r ON r.tenant_id = ?1 AND r.collection = c.slug AND r.id = ?3 JOIN unreferenced_objects u ON u.tenant_id = ?1 AND u.object = ?4 WHERE c.tenant_id = ?1 AND c.slug = ?2 AND c.creation_id || r.creation_id = ?5 AND c.files = 1 AND c.deleted_at IS NULL AND r.deleted_at IS NULL AND u.is_claimed = 0))";
    /// The record still holds the object ?4, or none where that is empty.
    FILE_AS_SEEN = "INSERT OR REPLACE INTO write_rules (tenant_id, is_file) VALUES (?1, COALESCE((SELECT object FROM record_files WHERE tenant_id = ?1 AND collection = ?2 AND record_id = ?3), '') = ?4)";
    /// Makes it the record's file. Its time is ?9, or the second behind that of the file in whose place it comes, and behind
    /// those of the tenant's files that were deleted.
    PUT = "INSERT INTO record_files (tenant_id, collection, record_id, object, name, content_type, size, etag, created_at, created_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, max(?9, COALESCE((SELECT (u.gone_to / 1000 + 1) * 1000 FROM storage_used u WHERE u.tenant_id = ?1), 0)), ?10) ON CONFLICT (tenant_id, collection, record_id) DO UPDATE SET object = excluded.object, name = excluded.name, content_type = excluded.content_type, size = excluded.size, etag = excluded.etag, created_at = max(excluded.created_at, (record_files.created_at / 1000 + 1) * 1000), created_by = excluded.created_by RETURNING created_at";
}

/// Hours after which a registered object may be swept: longer than any upload takes.
const UPLOAD_HOURS: i64 = 24;

row_types! {
    struct UploadTargetRow {
        files: i64,
        creation_id: String,
        object: Option<String>,
        size: Option<u64>,
        name: Option<String>,
        content_type: Option<String>,
        etag: Option<String>,
        created_at: Option<i64>,
        used: Option<u64>,
    }
    struct StoredAtRow {
        created_at: i64,
    }
}

/// A file that is to be uploaded.
#[derive(Debug)]
pub struct Upload {
    /// The collection's slug.
    pub collection: String,
    /// The record's id.
    pub record_id: String,
    /// The file's name.
    pub name: FileName,
    /// Its media type.
    pub file_type: FileType,
    /// Its size in bytes.
    pub size: u64,
    /// Who uploads it: `user:…`, `key:…`.
    pub by: String,
    /// A random text in the names of its objects, by which a repeated upload recognises them.
    pub ticket: String,
    /// What the upload may replace: the file that the record had when the URL was issued. None replaces any.
    pub seen: Option<Seen>,
}

/// The collection, the record and its file before an upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The collection's creation id and the record's, one behind the other.
    pub creation_id: String,
    /// The object of the record's file; empty if it has none.
    pub object: String,
}

/// The target of an upload.
#[derive(Debug)]
pub struct UploadTarget {
    /// The collection, the record and its present file.
    pub seen: Seen,
    /// The present file's entity tag, and since when it is there.
    state: Option<(String, Timestamp)>,
    size: u64,
    used: u64,
}

impl UploadTarget {
    /// Finds it; 404 without such a record, 409 if the collection does not allow files.
    pub async fn find(rows: &TenantDb, collection: &str, record_id: &str) -> Result<Self, Problem> {
        let row =
            rows.row::<UploadTargetRow>(&PLACE, args![collection, record_id]).await?.ok_or_else(problem::not_found)?;
        if row.files == 0 {
            return Err(problem::no_files());
        }
        let (size, used) = (row.size.unwrap_or(0), row.used.unwrap_or(0));
        let seen = Seen { creation_id: row.creation_id, object: row.object.unwrap_or_default() };
        let state = match (row.etag, row.name, row.content_type, row.created_at) {
            (Some(bytes), Some(name), Some(content_type), Some(created_at)) => {
                let tag = etag::of_name(&file::etag_of(&bytes, &name, &content_type));
                Some((tag, Timestamp::from_millis(created_at)))
            }
            _ => None,
        };
        Ok(Self { seen, state, size, used })
    }

    /// Fails if a request's conditions do not hold of the present file.
    fn check(&self, preconditions: &Preconditions) -> Result<(), Problem> {
        let state = self.state.as_ref();
        preconditions.check(state.map(|(etag, at)| Validators { etag, modified: Some(*at) }))
    }

    /// Fails if a file of this size would exceed the plan's limit. The transaction checks it again.
    pub fn check_room(&self, size: u64, limit: Limit) -> Result<(), Problem> {
        match limit.bound() {
            Some(most) if self.used.saturating_sub(self.size).saturating_add(size) > most => {
                Err(problem::storage_limit_reached())
            }
            _ => Ok(()),
        }
    }
}

/// A new ticket: 96 random bits.
pub fn fresh_ticket() -> Result<String, Problem> {
    random::<12>().map(|bytes| BASE64.encode(bytes)).map_err(problem::internal)
}

impl Upload {
    /// Stores the bytes as the record's file, if the conditions hold of the one that is there. True if another file was
    /// replaced.
    pub async fn store(
        &mut self,
        rows: &TenantDb,
        bucket: &Bucket,
        limit: Limit,
        (preconditions, body): (&Preconditions, Option<ReadableStream>),
    ) -> Result<(File, bool), Problem> {
        let target = UploadTarget::find(rows, &self.collection, &self.record_id).await?;
        if target.seen.object.starts_with(&self.object("")) {
            // It was stored already, and the response was lost.
            let stored = rows.row::<FileRow>(&file::FIND, args![self.collection.as_str(), self.record_id.as_str()]);
            return Ok((File::stored(stored.await?.ok_or_else(problem::not_found)?)?, false));
        }
        if self.seen.as_ref().is_some_and(|seen| *seen != target.seen) {
            return Err(problem::changed_meanwhile());
        }
        target.check_room(self.size, limit)?;
        target.check(preconditions)?;
        let is_conditional = !preconditions.are_open_to_changes();
        if is_conditional {
            // The conditions hold of this file, so it is the one to be replaced.
            self.seen = Some(target.seen.clone());
        }
        let attempt = random::<6>().map(|bytes| BASE64.encode(bytes)).map_err(problem::internal)?;
        let object = self.object(&attempt);
        let due = SystemClock.now().plus_seconds(UPLOAD_HOURS * 3600).millis();
        rows.write().add(NOTE, args![object.as_str(), due]).commit().await?;
        let key = ObjectKey::of(rows.tenant(), &object);
        let body = body.ok_or_else(|| wrong_size(self.size))?;
        let written = bucket.put(&key, body, &self.file_type.content_type()).await?;
        match self.attach(rows, limit, &target.seen.creation_id, &object, &written).await {
            Ok(file) => Ok((file, !target.seen.object.is_empty())),
            Err(UploadError::Refused(problem)) => {
                // It stays registered: if this fails, it is swept.
                let _ = sweep::delete(bucket, rows, &[object]).await;
                let is_overtaken = is_conditional && problem.code == "changed_meanwhile";
                Err(if is_overtaken { problem::precondition_failed() } else { problem })
            }
            Err(UploadError::Unknown(problem)) => Err(problem),
        }
    }

    /// The name of an object of this upload: `{collection}/{record}/{ticket}.{attempt}`.
    fn object(&self, attempt: &str) -> String {
        format!("{}/{}/{}.{attempt}", self.collection, self.record_id, self.ticket)
    }

    /// Makes a written object the record's file, if collection and record are still those of these creation ids.
    async fn attach(
        &self,
        rows: &TenantDb,
        limit: Limit,
        creation_id: &str,
        object: &str,
        written: &StoredObject,
    ) -> Result<File, UploadError> {
        if written.size != self.size {
            return Err(UploadError::Refused(wrong_size(self.size)));
        }
        let (collection, record_id, now) = (self.collection.as_str(), self.record_id.as_str(), SystemClock.now());
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let mut rules: Vec<(TenantSql, Vec<Arg>)> =
            vec![(TAKES_FILE, args![collection, record_id, object, creation_id])];
        if let Some(seen) = &self.seen {
            rules.push((FILE_AS_SEEN, args![collection, record_id, seen.object.as_str()]));
        }
        let row = args![
            collection,
            record_id,
            object,
            self.name.as_str(),
            self.file_type.as_str(),
            whole(written.size),
            written.etag.as_str(),
            now.millis(),
            self.by.as_str()
        ];
        // The fence and the rules come before it.
        let place = 1 + rules.len();
        let batch = rows.write().add_all(rules).add(PUT, row).add_all(storage_left(limit));
        let done = batch.commit().await.map_err(upload_error)?;
        let stored = done.into_iter().nth(place).unwrap_or_default().first::<StoredAtRow>();
        let stored = stored.map_err(|error| UploadError::Unknown(error.into()))?;
        Ok(File {
            object: object.to_owned(),
            name: self.name.clone(),
            file_type: self.file_type.clone(),
            size: written.size,
            bytes_etag: written.etag.clone(),
            created_at: stored.map_or(now, |row| Timestamp::from_millis(row.created_at)),
            created_by: self.by.clone(),
            record_creation_id: String::new(),
        })
    }
}

/// Why a written object did not become a file.
enum UploadError {
    /// It was refused: no row names the object.
    Refused(Problem),
    /// The transaction's outcome is unknown.
    Unknown(Problem),
}

fn upload_error(error: StorageError) -> UploadError {
    let failed_rule = |name: &str| matches!(&error, StorageError::Constraint(words) if words.contains(name));
    if failed_rule("storage_limit_reached") {
        UploadError::Refused(problem::storage_limit_reached())
    } else if failed_rule("file_not_taken") {
        UploadError::Refused(problem::not_found())
    } else if failed_rule("file_changed") {
        UploadError::Refused(problem::changed_meanwhile())
    } else if matches!(error, StorageError::Constraint(_) | StorageError::Fenced) {
        UploadError::Refused(error.into())
    } else {
        UploadError::Unknown(error.into())
    }
}

/// 422: the body does not have the announced size.
pub fn wrong_size(announced: u64) -> Problem {
    problem::invalid_field(
        "Content-Length",
        Invalid::new("wrong_size", format!("must be {announced}, the size that was announced")),
    )
}
