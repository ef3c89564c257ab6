//! The file of a record: its metadata, and how it is shown.
//!
//! Invariants
//! - The entity tag is of all that a file shows: bytes, name and media type. Equal files have equal tags.
//! - A file's time is of a later second than those of all files that its record had before, so `Last-Modified` is a strong
//!   validator (RFC 9110, 8.8.2.2). It is told as the present while it lies ahead (8.8.2.1).

use serde_json::Value;

use crate::http::etag;
use crate::http::precondition::{Preconditions, Validators};
use crate::http::problem::{self, Problem};
use crate::storage::row::row_types;
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::{ReadStatement, TenantDb};
use domain::clock::Timestamp;
use domain::file::{FileName, FileType};
use domain::http_date;
use domain::json;

statements! { TenantSql;
    /// The file of a record that is not deleted.
    FIND = "SELECT f.object, f.name, f.content_type, f.size, f.etag, f.created_at, f.created_by, r.creation_id AS record_creation_id FROM record_files f JOIN records r ON r.tenant_id = ?1 AND r.collection = f.collection AND r.id = f.record_id WHERE f.tenant_id = ?1 AND f.collection = ?2 AND f.record_id = ?3 AND r.deleted_at IS NULL";
    /// A collection's identity, and whether everybody may read it.
    COLLECTION = "SELECT creation_id, public_read FROM collections WHERE tenant_id = ?1 AND slug = ?2 AND deleted_at IS NULL";
    /// Deletes the file of a record that is not deleted; a trigger registers its bytes to be deleted.
    DELETE = "DELETE FROM record_files WHERE tenant_id = ?1 AND collection = ?2 AND record_id = ?3 AND EXISTS (SELECT 1 FROM records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.id = ?3 AND r.deleted_at IS NULL) RETURNING name";
    /// The same, if it is the object ?4.
    DELETE_SEEN = "DELETE FROM record_files WHERE tenant_id = ?1 AND collection = ?2 AND record_id = ?3 AND object = ?4 AND EXISTS (SELECT 1 FROM records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.id = ?3 AND r.deleted_at IS NULL) RETURNING name";
}

row_types! {
    /// A file's row.
    #[derive(Debug)]
    pub struct FileRow {
        pub(super) object: String,
        name: String,
        content_type: String,
        size: u64,
        etag: String,
        created_at: i64,
        created_by: String,
        record_creation_id: String,
    }
    struct FileCollectionRow {
        creation_id: String,
        public_read: i64,
    }
}

/// A file as it is stored.
#[derive(Debug)]
pub struct File {
    /// The name of the object in R2.
    pub object: String,
    /// Its name.
    pub name: FileName,
    /// Its media type.
    pub file_type: FileType,
    /// Its size in bytes.
    pub size: u64,
    /// The digest of its bytes, as R2 gave it.
    pub(super) bytes_etag: String,
    /// When it was stored; up to some seconds ahead, if it followed another file at once.
    pub created_at: Timestamp,
    /// Who stored it: `user:…`, `key:…`.
    pub created_by: String,
    /// The creation id of its record; empty of one that was there before there were any, and of a file that was just stored.
    pub record_creation_id: String,
}

/// A record's file, and what decides who may see it, read in one transaction.
#[derive(Debug)]
pub struct Served {
    /// The file; none if the record has none or is deleted.
    pub file: Option<File>,
    /// The collection's creation id.
    pub creation_id: String,
    /// Whether everybody may read the collection.
    pub is_public: bool,
}

impl File {
    /// From a row.
    pub fn stored(row: FileRow) -> Result<Self, Problem> {
        Ok(Self {
            object: row.object,
            name: FileName::parse(&row.name).map_err(problem::internal)?,
            file_type: FileType::parse(&row.content_type).map_err(problem::internal)?,
            size: row.size,
            bytes_etag: row.etag,
            created_at: Timestamp::from_millis(row.created_at),
            created_by: row.created_by,
            record_creation_id: row.record_creation_id,
        })
    }

    /// A record's file; none if there is no such collection.
    pub async fn served(rows: &TenantDb, collection: &str, record_id: &str) -> Result<Option<Served>, Problem> {
        let reads = vec![
            ReadStatement::Constant(FIND, args![collection, record_id]),
            ReadStatement::Constant(COLLECTION, args![collection]),
        ];
        let mut results = rows.reads(reads).await?.into_iter();
        let file = results.next().unwrap_or_default().first::<FileRow>()?;
        let collection = results.next().unwrap_or_default().first::<FileCollectionRow>()?;
        let Some(FileCollectionRow { creation_id, public_read }) = collection else { return Ok(None) };
        let file = file.map(Self::stored).transpose()?;
        Ok(Some(Served { file, creation_id, is_public: public_read != 0 }))
    }

    /// The entity tag, without quotes.
    pub fn etag(&self) -> String {
        etag_of(&self.bytes_etag, self.name.as_str(), self.file_type.as_str())
    }

    /// The entity tag.
    pub fn tag(&self) -> String {
        etag::of_name(&self.etag())
    }

    /// Whether the `v` of a signed URL names this file: by its entity tag; or by the digest of its bytes alone, as in URLs
    /// that were signed before entity tags told name and type.
    pub fn is_named_by(&self, v: &str) -> bool {
        v == self.etag() || v == self.bytes_etag
    }

    /// `Last-Modified`.
    pub fn last_modified(&self, now: Timestamp) -> String {
        http_date::print(self.created_at.min(now))
    }

    /// What tells its state; `tag` is its own.
    pub fn validators<'a>(&self, tag: &'a str) -> Validators<'a> {
        Validators { etag: tag, modified: Some(self.created_at) }
    }

    /// Its metadata as responses show it.
    pub fn shown(&self) -> Value {
        json!({
            "name": self.name.as_str(), "content_type": self.file_type.as_str(), "size": self.size, "etag": self.etag(),
            "created_at": self.created_at, "created_by": self.created_by,
        })
    }
}

/// The entity tag of a file, without quotes. `bytes` is the digest of its bytes.
pub(super) fn etag_of(bytes: &str, name: &str, content_type: &str) -> String {
    // None of them has a line break.
    etag::name_of_content(&[bytes, name, content_type].join("\n"))
}

/// Deletes the file of a record, if the conditions hold of it; 404 if it has none.
pub async fn delete(
    rows: &TenantDb,
    (collection, record_id): (&str, &str),
    preconditions: &Preconditions,
) -> Result<(), Problem> {
    let (statement, args) = if preconditions.are_open_to_changes() {
        (DELETE, args![collection, record_id])
    } else {
        let found = rows.row::<FileRow>(&FIND, args![collection, record_id]).await?.ok_or_else(problem::not_found)?;
        let file = File::stored(found)?;
        preconditions.check(Some(file.validators(&file.tag())))?;
        (DELETE_SEEN, args![collection, record_id, file.object])
    };
    let done = rows.write().add(statement, args).commit().await?;
    match done.last().is_some_and(|deleted| !deleted.is_empty()) {
        true => Ok(()),
        false if preconditions.are_open_to_changes() => Err(problem::not_found()),
        // Another one came in between.
        false => Err(problem::precondition_failed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &str, name: &str, content_type: &str) -> File {
        File::stored(FileRow {
            object: "media/r1/x".into(),
            name: name.into(),
            content_type: content_type.into(),
            size: 4,
            etag: bytes.into(),
            created_at: 5_500,
            created_by: "key:k".into(),
            record_creation_id: String::new(),
        })
        .unwrap()
    }

    #[test]
    fn an_entity_tag_is_of_bytes_name_and_media_type() {
        let one = file("e", "one.txt", "text/plain");
        assert_eq!(one.tag(), file("e", "one.txt", "text/plain").tag());
        for other in [
            file("f", "one.txt", "text/plain"),
            file("e", "two.txt", "text/plain"),
            file("e", "one.txt", "text/markdown"),
        ] {
            assert_ne!(one.tag(), other.tag(), "{other:?}");
        }
        assert_eq!(one.shown()["etag"], one.tag().trim_matches('"'));
    }

    #[test]
    fn a_signed_url_names_a_file_by_its_tag_or_as_urls_of_before_did() {
        let one = file("e", "one.txt", "text/plain");
        assert!(one.is_named_by(&one.etag()) && one.is_named_by("e"));
        assert!(!one.is_named_by(&file("e", "two.txt", "text/plain").etag()) && !one.is_named_by(""));
    }

    #[test]
    fn no_time_is_told_that_has_not_come() {
        let (one, at) = (file("e", "one.txt", "text/plain"), Timestamp::from_millis);
        assert_eq!(one.last_modified(at(4_900)), "Thu, 01 Jan 1970 00:00:04 GMT");
        for now in [5_500, 90_000] {
            assert_eq!(one.last_modified(at(now)), "Thu, 01 Jan 1970 00:00:05 GMT");
        }
    }
}
