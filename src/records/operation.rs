//! What somebody wants done to records: one thing or up to a hundred, all of them or none.
//!
//! Invariants
//! - What is remembered of the definition is checked before anything is refused by it, and stated when it is written by.
//! - A change is made to the version that was read; when another one came between, it is made again on top of that
//!   one, unless it says which version it means.
//! - A record is named once.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use serde_json::{Map, Value};

use super::collection::Collection;
use super::draft::{self, DraftError, RecordDraft};
use super::record::{Record, RecordRow};
use super::rules::{self, WriteError};
use super::write::{Deletion, Done, WriteBatch};
use crate::auth::idempotency::tenant::{CreatedResource, IdempotentCreate};
use crate::auth::principal::Member;
use crate::http::etag;
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
    /// The records of the ids in the JSON ?3, also those that were deleted and are kept.
    FIND_SOME = "SELECT r.id, r.version, r.status, r.data, r.created_at, r.updated_at, r.created_by, r.updated_by, r.deleted_at FROM json_each(?3) j JOIN records r ON r.tenant_id = ?1 AND r.collection = ?2 AND r.id = j.value";
    /// A version of a record.
    VERSION = "SELECT status, data FROM record_versions WHERE tenant_id = ?1 AND collection = ?2 AND record_id = ?3 AND version = ?4";
}

/// How often it is tried when what was seen has changed. Of several changes at once one is made each time.
const ATTEMPTS: usize = 12;

row_types! {
    struct VersionDataRow {
        status: Option<String>,
        data: String,
    }
}

/// One thing that is wanted.
#[derive(Debug)]
pub struct Operation {
    /// Where it stands in the body; empty where it is the body.
    pub place: String,
    /// The record; none of a new one that names none.
    pub id: Option<String>,
    /// The versions that it may be done to, as `If-Match` lists them; none for any.
    pub seen: Option<String>,
    /// What is to be done.
    pub act: OperationKind,
}

/// What is to be done to a record.
#[derive(Debug)]
pub enum OperationKind {
    /// It is made.
    Create(Map<String, Value>),
    /// Some of it is changed (RFC 7396).
    Patch(Map<String, Value>),
    /// All of it is given anew.
    Replace(Map<String, Value>),
    /// It is deleted, if need be for ever.
    Delete {
        /// Whether nothing of it is kept.
        permanent: bool,
    },
    /// It was deleted, and is there again.
    Restore,
    /// It is again what it was in this version.
    Return(i64),
}

/// Who does it, and what it becomes to whoever asked.
pub struct RecordWriter<'a> {
    /// The tenant's rows.
    pub rows: &'a TenantDb,
    /// The collection's slug.
    pub slug: &'a str,
    /// Who.
    pub member: &'a Member,
    /// Under which key the answer is kept, if under one.
    pub pending: Option<&'a IdempotentCreate>,
    /// What is answered.
    pub made: fn(&Collection, &[Done]) -> CreatedResource,
}

/// What came of it.
pub enum WriteOutcome {
    /// It was done now.
    Done(Rc<Collection>, Vec<Done>, CreatedResource),
    /// It was done before under the same key; this was the answer.
    Earlier(Response),
}

impl RecordWriter<'_> {
    /// Does all of it, or nothing.
    pub async fn all(&self, operations: &[Operation]) -> Result<WriteOutcome, Problem> {
        for _ in 0..ATTEMPTS {
            let collection = Collection::remembered(self.rows, self.slug).await?;
            match self.once(&collection, operations).await {
                Ok(outcome) => return Ok(outcome),
                Err(WriteError::Stale) => {}
                Err(WriteError::Problem(problem)) if collection.is_current(self.rows).await? => return Err(problem),
                Err(_) => {}
            }
            super::collection::forget(self.rows.tenant(), self.slug);
        }
        Err(problem::changed_meanwhile())
    }

    async fn once(&self, collection: &Rc<Collection>, operations: &[Operation]) -> Result<WriteOutcome, WriteError> {
        let before = self.read(operations).await?;
        let mut writing = WriteBatch::new(self.rows, collection, self.member.actor(), SystemClock.now());
        let mut drafting = DraftSet { collection, before: &before, named: HashSet::new(), errors: Vec::new() };
        let mut done = Vec::with_capacity(operations.len());
        for operation in operations {
            if let Some(one) = self.draft(&mut drafting, &mut writing, operation).await? {
                done.push(one);
            }
        }
        let mut errors = drafting.errors;
        if errors.is_empty() {
            errors = writing.dangling().await?;
        }
        if !errors.is_empty() {
            return Err(problem::validation_failed(errors).into());
        }
        let made = (self.made)(collection, &done);
        let limits = &self.member.config.limits;
        let mut batch = writing.batch(limits);
        if let Some(pending) = self.pending {
            batch = batch.add_all(pending.store(&made)?);
        }
        let Err(unwritten) = rules::commit(batch).await else {
            return Ok(WriteOutcome::Done(Rc::clone(collection), done, made));
        };
        if let Some(pending) = self.pending
            && let Some(answer) = pending.replay(self.rows).await?
        {
            return Ok(WriteOutcome::Earlier(answer));
        }
        match unwritten {
            WriteError::Stale => Err(WriteError::Stale),
            other => Err(writing.explain(other, limits).await.into()),
        }
    }

    /// The records that are named, as they are now.
    async fn read(&self, operations: &[Operation]) -> Result<HashMap<String, Record>, Problem> {
        let named = operations.iter().filter(|one| !matches!(one.act, OperationKind::Create(_)));
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
        drafting: &mut DraftSet<'_>,
        writing: &mut WriteBatch<'_>,
        operation: &Operation,
    ) -> Result<Option<Done>, Problem> {
        let Operation { place, id, act, .. } = operation;
        if let OperationKind::Create(body) = act {
            let drafted = RecordDraft::new(drafting.collection, self.rows.tenant(), body.clone());
            let Some(draft) = drafting.note(place, drafted)? else { return Ok(None) };
            return writing.make(place, draft).map(Some);
        }
        let id = id.as_deref().unwrap_or_default();
        let Some(record) = drafting.find(operation)? else { return Ok(None) };
        if operation.seen.as_deref().is_some_and(|seen| !etag::names(seen, &etag::of(record.version))) {
            return Err(problem::precondition_failed());
        }
        let drafted = match act {
            OperationKind::Delete { permanent } => {
                let kept = drafting.collection.soft_delete && !permanent;
                writing.delete(record.clone(), if kept { Deletion::Kept } else { Deletion::Permanent });
                return Ok(Some(Done { id: id.to_owned(), version: None, shown: Map::new() }));
            }
            OperationKind::Return(version) => self.version(drafting.collection, record, *version).await,
            OperationKind::Restore => record
                .data()
                .map_err(Into::into)
                .and_then(|data| RecordDraft::held_anew(drafting.collection, record, record.status.clone(), data)),
            OperationKind::Replace(body) => RecordDraft::replaced(drafting.collection, record, body.clone()),
            OperationKind::Patch(body) => RecordDraft::patched(drafting.collection, record, body.clone()),
            OperationKind::Create(_) => return Ok(None),
        };
        let Some(draft) = drafting.note(place, drafted)? else { return Ok(None) };
        if !record.is_deleted && draft.status == record.status && draft.data == record.data()? {
            let (version, shown) = (Some(record.version), record.shown(drafting.collection)?);
            return Ok(Some(Done { id: id.to_owned(), version, shown }));
        }
        writing.change(place, record, draft).map(Some)
    }

    async fn version(&self, collection: &Collection, record: &Record, version: i64) -> Result<RecordDraft, DraftError> {
        let args = args![self.slug, record.id.as_str(), version];
        let row = self.rows.row::<VersionDataRow>(&VERSION, args).await.map_err(Problem::from)?;
        let row = row.ok_or_else(problem::not_found)?;
        let data = serde_json::from_str(&row.data).map_err(problem::internal)?;
        RecordDraft::held_anew(collection, record, row.status, data)
    }
}

/// Drafts of one request, and what is wrong with them.
struct DraftSet<'a> {
    collection: &'a Collection,
    before: &'a HashMap<String, Record>,
    named: HashSet<String>,
    errors: Vec<FieldError>,
}

impl<'a> DraftSet<'a> {
    /// The draft, or its mistakes noted.
    fn note(&mut self, place: &str, drafted: Result<RecordDraft, DraftError>) -> Result<Option<RecordDraft>, Problem> {
        match drafted {
            Ok(draft) => {
                if draft.id.as_ref().is_some_and(|id| !self.named.insert(id.clone())) {
                    self.errors.push(FieldError::new(format!("{place}/id"), named_twice()));
                }
                Ok(Some(draft))
            }
            Err(undrafted) if place.is_empty() => Err(undrafted.into()),
            Err(undrafted) => {
                self.errors.extend(draft::at(place, undrafted)?);
                Ok(None)
            }
        }
    }

    /// The record that an operation is for.
    fn find(&mut self, operation: &Operation) -> Result<Option<&'a Record>, Problem> {
        let Operation { place, id, act, .. } = operation;
        let id = id.as_deref().unwrap_or_default();
        let is_meant = |record: &&Record| match act {
            OperationKind::Restore => record.is_deleted,
            OperationKind::Return(_) | OperationKind::Delete { permanent: true } => true,
            _ => !record.is_deleted,
        };
        let found = self.before.get(id).filter(is_meant);
        if found.is_none() {
            if place.is_empty() {
                return Err(problem::not_found());
            }
            let missing = Invalid::new("not_found", "is not a record of this collection");
            self.errors.push(FieldError::new(operation_id(place), missing));
        } else if matches!(act, OperationKind::Delete { .. }) && !self.named.insert(id.to_owned()) {
            self.errors.push(FieldError::new(operation_id(place), named_twice()));
        }
        Ok(found)
    }
}

/// The pointer of an operation's id, which stands beside its `data`.
fn operation_id(place: &str) -> String {
    format!("{}/id", place.strip_suffix("/data").unwrap_or(place))
}

fn named_twice() -> Invalid {
    Invalid::new("duplicate", "is named by another operation too")
}

/// What is answered for one record: its place where it was made, nothing else.
pub fn one(collection: &Collection, done: &[Done]) -> CreatedResource {
    let first = done.first();
    let location = first.map_or_else(String::new, |done| format!("/api/v1/{}/{}", collection.slug, done.id));
    CreatedResource { data: first.map_or(Value::Null, |done| Value::Object(done.shown.clone())), location }
}

/// What is answered for several.
pub fn several(_: &Collection, done: &[Done]) -> CreatedResource {
    let each = |done: &Done| match done.version {
        Some(_) => Value::Object(done.shown.clone()),
        None => json!({ "id": done.id, "deleted": true }),
    };
    CreatedResource { data: Value::from(done.iter().map(each).collect::<Vec<_>>()), location: String::new() }
}
