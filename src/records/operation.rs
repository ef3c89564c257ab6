//! Writes of records: one operation or up to a hundred, all of them or none.
//!
//! Invariants
//! - A cached definition is confirmed before an operation is refused because of it, and stated in the batch that writes.
//! - A change applies to the version that was read. If another change came first, it is applied again to the newer
//!   version, unless the operation names the version it is for.
//! - One request names each record once.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use serde_json::{Map, Value};

use super::collection::Collection;
use super::draft::{self, DraftError, RecordDraft};
use super::record::{Record, RecordRow};
use super::rules::{self, WriteError};
use super::write::{Deletion, WriteBatch, WrittenRecord};
use crate::auth::idempotency::tenant::{CreatedResource, IdempotentCreate};
use crate::auth::principal::Member;
use crate::http::precondition::{Preconditions, Validators};
use crate::http::problem::{self, FieldError, Problem};
use crate::http::response::Response;
use crate::storage::bindings::SystemClock;
use crate::storage::row::row_types;
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;
use domain::clock::Clock;
use domain::error::Invalid;
use domain::json;

statements! { TenantSql;
    /// The records of the ids in the JSON ?3, soft-deleted ones included.
    FIND_SOME = "SELECT r.id, r.version, r.status, r.data, r.created_at, r.updated_at, r.created_by, r.updated_by, r.deleted_at, r.creation_id FROM json_each(?3) j CROSS JOIN records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.id = j.value";
    /// A version of a record.
    VERSION = "SELECT status, data FROM record_versions WHERE tenant_id = ?1 AND collection = ?2 AND record_id = ?3 AND version = ?4";
}

/// Attempts before a conflict is reported. Of several concurrent changes one succeeds in each round.
const ATTEMPTS: usize = 12;

row_types! {
    struct VersionDataRow {
        status: Option<String>,
        data: String,
    }
}

/// One operation on one record.
#[derive(Debug)]
pub struct Operation {
    /// The JSON pointer of its data in the body; empty if it is the whole body.
    pub pointer: String,
    /// The record's id; none for a new record without one.
    pub id: Option<String>,
    /// The versions that it applies to.
    pub preconditions: Preconditions,
    /// What to do.
    pub kind: OperationKind,
}

/// What an operation does, with its body.
#[derive(Debug)]
pub enum OperationKind {
    /// Creates a record.
    Create(Map<String, Value>),
    /// Changes it by a merge patch (RFC 7396).
    Patch(Map<String, Value>),
    /// Replaces all its fields; makes it, if its preconditions want nothing to be there and nothing is.
    Replace(Map<String, Value>),
    /// Deletes it.
    Delete {
        /// Whether it is deleted for good, also where the collection keeps deleted records.
        permanent: bool,
    },
    /// Restores a soft-deleted record.
    Restore,
    /// Restores the status and fields of this version.
    RestoreVersion(i64),
}

/// Runs operations for a member.
pub struct RecordWriter<'a> {
    /// The tenant's rows.
    pub rows: &'a TenantDb,
    /// The collection's slug.
    pub slug: &'a str,
    /// Who writes.
    pub member: &'a Member,
    /// The idempotency key under which the response is stored, if the request has one.
    pub pending: Option<&'a IdempotentCreate>,
    /// Makes the response from what was written.
    pub respond: fn(&Collection, &[WrittenRecord]) -> CreatedResource,
}

/// The outcome of a request that writes.
pub enum WriteOutcome {
    /// Written now.
    Written(Rc<Collection>, Vec<WrittenRecord>, CreatedResource),
    /// Written earlier under the same idempotency key: the response of then.
    Replayed(Response),
}

impl RecordWriter<'_> {
    /// Runs all operations in one transaction, or none.
    pub async fn run(&self, operations: &[Operation]) -> Result<WriteOutcome, Problem> {
        for _ in 0..ATTEMPTS {
            let collection = Collection::cached(self.rows, self.slug).await?;
            match self.attempt(&collection, operations).await {
                Ok(outcome) => return Ok(outcome),
                Err(WriteError::Stale) => {}
                Err(WriteError::Problem(problem)) if collection.is_current(self.rows).await? => return Err(problem),
                Err(_) => {}
            }
            super::collection::forget(self.rows.tenant(), self.slug);
        }
        Err(problem::changed_meanwhile())
    }

    async fn attempt(&self, collection: &Rc<Collection>, operations: &[Operation]) -> Result<WriteOutcome, WriteError> {
        let current = self.read(operations).await?;
        let mut writes = WriteBatch::new(self.rows, collection, self.member.actor(), SystemClock.now());
        let mut drafts = DraftSet { collection, current: &current, named: HashSet::new(), errors: Vec::new() };
        let mut done = Vec::with_capacity(operations.len());
        for operation in operations {
            if let Some(one) = self.draft(&mut drafts, &mut writes, operation).await? {
                done.push(one);
            }
        }
        let mut errors = drafts.errors;
        if errors.is_empty() {
            errors = writes.dangling_references().await?;
        }
        if !errors.is_empty() {
            return Err(problem::validation_failed(errors).into());
        }
        let made = (self.respond)(collection, &done);
        let limits = &self.member.config.limits;
        let mut batch = writes.batch(limits);
        if let Some(pending) = self.pending {
            batch = batch.add_all(pending.store(&made)?);
        }
        let Err(error) = rules::commit(batch).await else {
            return Ok(WriteOutcome::Written(Rc::clone(collection), done, made));
        };
        if let Some(pending) = self.pending
            && let Some(answer) = pending.replay(self.rows).await?
        {
            return Ok(WriteOutcome::Replayed(answer));
        }
        match error {
            WriteError::Stale => Err(WriteError::Stale),
            other => Err(writes.explain(other, limits).await.into()),
        }
    }

    /// The records that the operations name, by id.
    async fn read(&self, operations: &[Operation]) -> Result<HashMap<String, Record>, Problem> {
        let named = operations.iter().filter(|one| !matches!(one.kind, OperationKind::Create(_)));
        let ids: Vec<&str> = named.filter_map(|one| one.id.as_deref()).collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let args = args![self.slug, Value::from(ids).to_string()];
        let found = self.rows.rows::<RecordRow>(&FIND_SOME, args).await?;
        let records = found.into_iter().map(|row| Record::stored(self.rows.tenant(), row));
        Ok(records.map(|record| (record.id.clone(), record)).collect())
    }

    async fn draft(
        &self,
        drafts: &mut DraftSet<'_>,
        writes: &mut WriteBatch<'_>,
        operation: &Operation,
    ) -> Result<Option<WrittenRecord>, Problem> {
        let Operation { pointer, id, kind, .. } = operation;
        if let OperationKind::Create(body) = kind {
            let draft = RecordDraft::new(drafts.collection, self.rows.tenant(), body.clone());
            let Some(draft) = drafts.note(pointer, draft)? else { return Ok(None) };
            return writes.create(pointer, draft).map(Some);
        }
        let id = id.as_deref().unwrap_or_default();
        if let OperationKind::Replace(body) = kind
            && operation.preconditions.want_nothing_there()
            && drafts.current.get(id).is_none_or(|record| record.is_deleted)
        {
            let draft = RecordDraft::named(drafts.collection, self.rows.tenant(), id, body.clone());
            let Some(draft) = drafts.note(pointer, draft)? else { return Ok(None) };
            return writes.create(pointer, draft).map(Some);
        }
        let Some(record) = drafts.find(operation)? else { return Ok(None) };
        operation.preconditions.check(Some(Validators::tag(&record.etag(drafts.collection))))?;
        let draft = match kind {
            OperationKind::Delete { permanent } => {
                let kept = drafts.collection.soft_delete && !permanent;
                writes.delete(record.clone(), if kept { Deletion::Soft } else { Deletion::Permanent });
                return Ok(Some(WrittenRecord::deleted(id)));
            }
            OperationKind::RestoreVersion(version) => self.version(drafts.collection, record, *version).await,
            OperationKind::Restore => RecordDraft::undeleted(drafts.collection, record),
            OperationKind::Replace(body) => RecordDraft::replaced(drafts.collection, record, body.clone()),
            OperationKind::Patch(body) => RecordDraft::patched(drafts.collection, record, body.clone()),
            OperationKind::Create(_) => return Ok(None),
        };
        let Some(draft) = drafts.note(pointer, draft)? else { return Ok(None) };
        if !record.is_deleted && draft.status == record.status && draft.data == record.data()? {
            return WrittenRecord::of(record, drafts.collection).map(Some);
        }
        writes.change(pointer, record, draft).map(Some)
    }

    async fn version(&self, collection: &Collection, record: &Record, version: i64) -> Result<RecordDraft, DraftError> {
        let args = args![self.slug, record.id.as_str(), version];
        let row = self.rows.row::<VersionDataRow>(&VERSION, args).await.map_err(Problem::from)?;
        let row = row.ok_or_else(problem::not_found)?;
        let data = serde_json::from_str(&row.data).map_err(problem::internal)?;
        RecordDraft::of_version(collection, record, row.status, data)
    }
}

/// The drafts of one request and their errors.
struct DraftSet<'a> {
    collection: &'a Collection,
    current: &'a HashMap<String, Record>,
    named: HashSet<String>,
    errors: Vec<FieldError>,
}

impl<'a> DraftSet<'a> {
    /// The draft, or none after its errors were added.
    fn note(&mut self, pointer: &str, draft: Result<RecordDraft, DraftError>) -> Result<Option<RecordDraft>, Problem> {
        match draft {
            Ok(draft) => {
                if draft.id.as_ref().is_some_and(|id| !self.named.insert(id.clone())) {
                    self.errors.push(FieldError::new(format!("{pointer}/id"), duplicate_id()));
                }
                Ok(Some(draft))
            }
            Err(error) if pointer.is_empty() => Err(error.into()),
            Err(error) => {
                self.errors.extend(draft::errors_at(pointer, error)?);
                Ok(None)
            }
        }
    }

    /// The record that an operation is for; none after an error was added.
    fn find(&mut self, operation: &Operation) -> Result<Option<&'a Record>, Problem> {
        let Operation { pointer, id, kind, .. } = operation;
        let id = id.as_deref().unwrap_or_default();
        let is_meant = |record: &&Record| match kind {
            OperationKind::Restore => record.is_deleted,
            OperationKind::RestoreVersion(_) | OperationKind::Delete { permanent: true } => true,
            _ => !record.is_deleted,
        };
        let found = self.current.get(id).filter(is_meant);
        if found.is_none() {
            if pointer.is_empty() {
                return Err(problem::not_found());
            }
            let missing = Invalid::new("not_found", "is not a record of this collection");
            self.errors.push(FieldError::new(operation_id(pointer), missing));
        } else if matches!(kind, OperationKind::Delete { .. }) && !self.named.insert(id.to_owned()) {
            self.errors.push(FieldError::new(operation_id(pointer), duplicate_id()));
        }
        Ok(found)
    }
}

/// The pointer to an operation's `id`, the sibling of its `data`.
fn operation_id(pointer: &str) -> String {
    format!("{}/id", pointer.strip_suffix("/data").unwrap_or(pointer))
}

fn duplicate_id() -> Invalid {
    Invalid::new("duplicate", "appears in another operation too: name each record once")
}

/// The response for one record: as it is shown, and its path.
pub fn one(collection: &Collection, done: &[WrittenRecord]) -> CreatedResource {
    let first = done.first();
    let location = first.map_or_else(String::new, |done| format!("/api/v1/{}/{}", collection.slug, done.id));
    let etag = first.and_then(|done| done.etag.clone());
    CreatedResource { data: first.map_or(Value::Null, |done| Value::Object(done.shown.clone())), location, etag }
}

/// The response for several: each record as it is shown, or `{id, deleted}`.
pub fn several(_: &Collection, done: &[WrittenRecord]) -> CreatedResource {
    let each = |done: &WrittenRecord| match done.version {
        Some(_) => Value::Object(done.shown.clone()),
        None => json!({ "id": done.id, "deleted": true }),
    };
    let data = Value::from(done.iter().map(each).collect::<Vec<_>>());
    CreatedResource { data, location: String::new(), etag: None }
}
