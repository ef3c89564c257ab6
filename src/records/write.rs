//! Records of one collection written together: created, changed and deleted in one transaction, or not at all.
//!
//! Invariants
//! - What was read before must still be true in the transaction: the definition, and the version of each record that is
//!   changed or deleted, are rules of the batch.
//! - A reference names an existing record of the same tenant; a unique value belongs to one record; the plan's limits of
//!   records, and of records created in an hour or a month, are never exceeded.
//! - Everything derived from a record is written by the database's triggers, in the same transaction. Its words are cut
//!   here and bound with it; the triggers index them.

use serde_json::{Map, Value};

use super::collection::Collection;
use super::draft::RecordDraft;
use super::record::{DANGLING, HELD, InputIndexRow, Record, fresh_creation_id, fresh_id};
use super::rules::{self, RecordRateRow, WriteError};
use super::schema::Field;
use super::storage::storage_left;
use super::together::{HELD_TOGETHER, NOT_TOGETHER};
use super::words;
use crate::http::problem::{self, FieldError, Problem};
use crate::storage::sql::{Arg, StorageError, TenantSql};
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::{TenantBatch, TenantDb};
use domain::clock::Timestamp;
use domain::error::Invalid;
use domain::json;
use domain::plan::{Limit, Limits, Period};
use domain::rate::Rate;

statements! { TenantSql;
    /// The ?4 records of the JSON ?3 are still those that were read, and have the versions that were read.
    AS_SEEN = "INSERT OR REPLACE INTO write_rules (tenant_id, is_version) VALUES (?1, (SELECT count(*) FROM json_each(?3) j CROSS JOIN records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.id = json_extract(j.value, '$.id') AND r.version = json_extract(j.value, '$.seen') AND r.creation_id = json_extract(j.value, '$.made')) = ?4)";
    /// New records, from the JSON ?3, with their words from the JSON ?6.
    INSERT = "INSERT INTO records (tenant_id, collection, id, version, status, data, created_at, updated_at, created_by, updated_by, creation_id, words, index_revision) SELECT ?1, ?2, json_extract(j.value, '$.id'), 1, json_extract(j.value, '$.status'), json_extract(j.value, '$.data'), ?4, ?4, ?5, ?5, json_extract(j.value, '$.made'), json_extract(?6, '$[' || j.key || ']'), (SELECT s.index_revision FROM collection_state s WHERE s.tenant_id = ?1 AND s.collection = ?2) FROM json_each(?3) j";
    /// Changed records that keep their status, from the JSON ?3, an object with a member for each id, with their words from the
    /// JSON ?6, another one. An UPDATE FROM would let SQLite read every record of the collection before the JSON.
    UPDATE_FIELDS = "UPDATE records SET version = version + 1, data = json_extract(?3, '$.\"' || id || '\".data'), words = json_extract(?6, '$.\"' || id || '\"'), updated_at = ?4, updated_by = ?5 WHERE tenant_id = ?1 AND collection = ?2 AND id IN (SELECT j.key FROM json_each(?3) j)";
    /// Changed records that may have another status.
    UPDATE_STATUS = "UPDATE records SET version = version + 1, status = json_extract(?3, '$.\"' || id || '\".status'), data = json_extract(?3, '$.\"' || id || '\".data'), words = json_extract(?6, '$.\"' || id || '\"'), updated_at = ?4, updated_by = ?5 WHERE tenant_id = ?1 AND collection = ?2 AND id IN (SELECT j.key FROM json_each(?3) j)";
    /// Soft-deleted records that are restored.
    RESTORE = "UPDATE records SET version = version + 1, status = json_extract(?3, '$.\"' || id || '\".status'), data = json_extract(?3, '$.\"' || id || '\".data'), words = json_extract(?6, '$.\"' || id || '\"'), updated_at = ?4, updated_by = ?5, deleted_at = NULL WHERE tenant_id = ?1 AND collection = ?2 AND id IN (SELECT j.key FROM json_each(?3) j)";
    /// Has those records of the JSON ?3 that a job has not indexed yet indexed now.
    INDEX = "UPDATE records SET index_revision = (SELECT s.index_revision FROM collection_state s WHERE s.tenant_id = ?1 AND s.collection = ?2) WHERE tenant_id = ?1 AND collection = ?2 AND id IN (SELECT j.key FROM json_each(?3) j) AND index_revision <> (SELECT s.index_revision FROM collection_state s WHERE s.tenant_id = ?1 AND s.collection = ?2)";
    /// Deletes the references of the records of the JSON ?3.
    UNLINK = "DELETE FROM record_references WHERE tenant_id = ?1 AND collection = ?2 AND record_id IN (SELECT j.value FROM json_each(?3) j)";
    /// Deletes the references of the records of the JSON ?4 to those of the JSON ?3.
    LET_GO = "DELETE FROM record_references WHERE tenant_id = ?1 AND target = ?2 AND target_id IN (SELECT j.value FROM json_each(?3) j) AND collection = ?2 AND record_id IN (SELECT j.value FROM json_each(?4) j)";
    /// Soft-deletes the records of the JSON ?3.
    BURY = "UPDATE records SET version = version + 1, deleted_at = ?4, updated_at = ?4, updated_by = ?5 WHERE tenant_id = ?1 AND collection = ?2 AND id IN (SELECT j.value FROM json_each(?3) j)";
    /// Deletes the records of the JSON ?3 for good.
    DELETE = "DELETE FROM records WHERE tenant_id = ?1 AND collection = ?2 AND id IN (SELECT j.value FROM json_each(?3) j)";
}

/// How a record is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It can be restored.
    Soft,
    /// For good.
    Permanent,
}

/// A record after it was written.
#[derive(Debug)]
pub struct WrittenRecord {
    /// Its id.
    pub id: String,
    /// Its version; none if it was deleted.
    pub version: Option<i64>,
    /// The record as it is shown; empty if it was deleted.
    pub shown: Map<String, Value>,
    /// The entity tag of its version; none if it was deleted.
    pub etag: Option<String>,
}

impl WrittenRecord {
    /// A record that was deleted.
    pub fn deleted(id: &str) -> Self {
        Self { id: id.to_owned(), version: None, shown: Map::new(), etag: None }
    }

    /// A record as it is now.
    pub fn of(record: &Record, collection: &Collection) -> Result<Self, Problem> {
        Ok(Self {
            id: record.id.clone(),
            version: Some(record.version),
            shown: record.shown(collection)?,
            etag: Some(record.etag(collection)),
        })
    }
}

/// What is written of a record. SQLite writes an index anew when a statement sets one of its columns, to whatever, and D1
/// bills that: so what stays as it is is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Its fields.
    Fields,
    /// Its status as well.
    Status,
    /// All of it: it is new, or was deleted.
    Whole,
}

/// A record to be created or changed.
#[derive(Debug)]
struct RecordWrite {
    /// The JSON pointer of its data in the body; empty if it is the whole body.
    pointer: String,
    id: String,
    /// Its identity.
    creation_id: String,
    /// The version that was read; none for a new record.
    seen: Option<i64>,
    extent: Extent,
    draft: RecordDraft,
    /// The words of its searched fields; none if the collection has no such field.
    words: Option<String>,
}

/// A batch of writes to one collection.
pub struct WriteBatch<'a> {
    rows: &'a TenantDb,
    collection: &'a Collection,
    actor: String,
    now: Timestamp,
    created: Vec<RecordWrite>,
    changed: Vec<RecordWrite>,
    deleted: Vec<(Record, Deletion)>,
    /// Whether a soft-deleted record is restored.
    restored: bool,
    /// Bytes of all words.
    word_bytes: usize,
}

/// Most bytes of the words that one batch binds; D1 binds values of at most 2 MB.
const MAX_WORD_BYTES: usize = 1_800_000;

impl<'a> WriteBatch<'a> {
    /// An empty batch.
    pub fn new(rows: &'a TenantDb, collection: &'a Collection, actor: String, now: Timestamp) -> Self {
        let (created, changed, deleted) = (Vec::new(), Vec::new(), Vec::new());
        Self { rows, collection, actor, now, created, changed, deleted, restored: false, word_bytes: 0 }
    }

    /// Adds a new record; gives what it will be.
    pub fn create(&mut self, pointer: &str, draft: RecordDraft) -> Result<WrittenRecord, Problem> {
        let id = match &draft.id {
            Some(id) => id.clone(),
            None => fresh_id(self.now.millis(), self.created.len())?,
        };
        let creation_id = fresh_creation_id()?;
        let words = self.words(pointer, &draft)?;
        let (pointer, seen, extent) = (pointer.to_owned(), None, Extent::Whole);
        let written = RecordWrite { pointer, id, creation_id, seen, extent, draft, words };
        let done = self.result(&written, None)?;
        self.created.push(written);
        Ok(done)
    }

    /// Adds a change of a record; gives what it will be.
    pub fn change(&mut self, pointer: &str, seen: &Record, draft: RecordDraft) -> Result<WrittenRecord, Problem> {
        let written = RecordWrite {
            pointer: pointer.to_owned(),
            id: seen.id.clone(),
            creation_id: seen.creation_id.clone(),
            seen: Some(seen.version),
            extent: match seen.is_deleted {
                true => Extent::Whole,
                false if draft.status == seen.status => Extent::Fields,
                false => Extent::Status,
            },
            words: self.words(pointer, &draft)?,
            draft,
        };
        let done = self.result(&written, Some(seen))?;
        self.changed.push(written);
        self.restored |= seen.is_deleted;
        Ok(done)
    }

    /// The words of a record, if there is room for them.
    fn words(&mut self, pointer: &str, draft: &RecordDraft) -> Result<Option<String>, Problem> {
        let words = words::of_record(&words::searched(&self.collection.schema), &draft.data);
        self.word_bytes += words.as_ref().map_or(0, |words| words.len() + 3);
        if self.word_bytes > MAX_WORD_BYTES {
            let message = "has more words than one request may write together with the records before it";
            return Err(problem::invalid_field(pointer, Invalid::new("too_many_words", message)));
        }
        Ok(words)
    }

    /// Adds a deletion.
    pub fn delete(&mut self, seen: Record, deletion: Deletion) {
        self.deleted.push((seen, deletion));
    }

    fn result(&self, written: &RecordWrite, before: Option<&Record>) -> Result<WrittenRecord, Problem> {
        let now = Record::new(self.rows.tenant(), &written.id, &self.actor, self.now.millis());
        let record = Record {
            version: written.seen.unwrap_or(0) + 1,
            status: written.draft.status.clone(),
            json: serde_json::to_string(&written.draft.data).map_err(problem::internal)?,
            created_at: before.map_or(now.created_at, |before| before.created_at),
            created_by: before.map_or_else(|| now.created_by.clone(), |before| before.created_by.clone()),
            creation_id: written.creation_id.clone(),
            ..now
        };
        WrittenRecord::of(&record, self.collection)
    }

    /// An error for each reference to a record that does not exist, or is deleted by this batch.
    pub async fn dangling_references(&self) -> Result<Vec<FieldError>, Problem> {
        let invalid =
            || Invalid::new("not_found", "is not the id of a record in the collection that this field refers to");
        let mut queried: Vec<Value> = Vec::new();
        let mut pointers: Vec<String> = Vec::new();
        let mut errors = Vec::new();
        for written in self.created.iter().chain(&self.changed) {
            for (pointer, target, id) in references(self.collection, written) {
                if self.is_deleted(target, id) {
                    errors.push(FieldError::new(pointer, invalid()));
                } else if !self.is_created(target, id) {
                    queried.push(Value::from(vec![target, id]));
                    pointers.push(pointer);
                }
            }
        }
        if !queried.is_empty() {
            let found = self.rows.rows::<InputIndexRow>(&DANGLING, args![Value::from(queried).to_string()]).await?;
            errors.extend(errors_at(&found, &pointers, invalid));
        }
        Ok(errors)
    }

    /// The transaction.
    pub fn batch(&self, limits: &Limits) -> TenantBatch<'a> {
        let slug = self.collection.slug.as_str();
        let mut batch = self.rows.write().add_all([rules::definition_as_seen(self.collection)]);
        let seen: Vec<Value> =
            self.seen().map(|(id, made, version)| json!({ "id": id, "made": made, "seen": version })).collect();
        if !seen.is_empty() {
            let count = i64::try_from(seen.len()).unwrap_or(i64::MAX);
            batch = batch.add(AS_SEEN, args![slug, Value::from(seen).to_string(), count]);
        }
        batch
            .add_all(self.rates(limits))
            .add_all(self.unlinking())
            .add_all(self.deletions())
            .add_all(self.changes())
            .add_all(self.unique_together())
            .add_all(self.bound(limits))
    }

    /// The rule that fields which are unique together are.
    fn unique_together(&self) -> Option<(TenantSql, Vec<Arg>)> {
        let pair = self.collection.unique_pair().filter(|_| !self.created.is_empty() || !self.changed.is_empty())?;
        let written = ids(self.created.iter().chain(&self.changed).map(|written| written.id.as_str()));
        Some((NOT_TOGETHER, args![self.collection.slug.as_str(), written, pair.indexed, pair.beside]))
    }

    /// Deletes the references from records of this batch to records that it deletes.
    fn unlinking(&self) -> Vec<(TenantSql, Vec<Arg>)> {
        let slug = self.collection.slug.as_str();
        let refers_to_itself = |field: &Field| field.reference.as_deref() == Some(slug);
        if self.deleted.is_empty() || !self.collection.schema.fields().any(refers_to_itself) {
            return Vec::new();
        }
        let deleted = ids(self.deleted.iter().map(|(record, _)| record.id.as_str()));
        let changed = ids(self.changed.iter().map(|written| written.id.as_str()));
        vec![(UNLINK, args![slug, deleted.as_str()]), (LET_GO, args![slug, deleted.as_str(), changed])]
    }

    fn deletions(&self) -> Vec<(TenantSql, Vec<Arg>)> {
        let slug = self.collection.slug.as_str();
        let deleted = |wanted: Deletion| {
            let matching = self.deleted.iter().filter(move |(_, how)| *how == wanted);
            ids(matching.map(|(record, _)| record.id.as_str()))
        };
        let kept = args![slug, deleted(Deletion::Soft), self.now.millis(), self.actor.as_str()];
        let mut deletions = Vec::new();
        for (how, sql, args) in
            [(Deletion::Permanent, DELETE, args![slug, deleted(Deletion::Permanent)]), (Deletion::Soft, BURY, kept)]
        {
            if self.deleted.iter().any(|(_, deletion)| *deletion == how) {
                deletions.push((sql, args));
            }
        }
        deletions
    }

    /// Changes come before new records, which may take over a unique value, except changes that refer to a new record.
    fn changes(&self) -> Vec<(TenantSql, Vec<Arg>)> {
        let refers_to_new = |written: &&RecordWrite| {
            references(self.collection, written).any(|(_, target, id)| self.is_created(target, id))
        };
        let (last, first): (Vec<&RecordWrite>, Vec<&RecordWrite>) = self.changed.iter().partition(refers_to_new);
        let (slug, now) = (self.collection.slug.as_str(), self.now.millis());
        let of =
            |sql: TenantSql, json: String, words: String| (sql, args![slug, json, now, self.actor.as_str(), words]);
        let insert = (!self.created.is_empty()).then(|| of(INSERT, new_json(&self.created), new_words(&self.created)));
        let update = |some: Vec<&RecordWrite>| {
            let by_extent =
                [(UPDATE_FIELDS, Extent::Fields), (UPDATE_STATUS, Extent::Status), (RESTORE, Extent::Whole)];
            let some_of = |extent: Extent| some.iter().copied().filter(move |written| written.extent == extent);
            let updates = by_extent.into_iter().filter(|(_, extent)| some_of(*extent).next().is_some());
            let statement = |(sql, extent)| of(sql, changed_json(some_of(extent)), changed_words(some_of(extent)));
            let mut updates: Vec<_> = updates.map(statement).collect();
            if !updates.is_empty() {
                updates.push((INDEX, args![slug, changed_ids(&some)]));
            }
            updates
        };
        update(first).into_iter().chain(insert).chain(update(last)).collect()
    }

    fn is_created(&self, target: &str, id: &str) -> bool {
        target == self.collection.slug && self.created.iter().any(|written| written.id == id)
    }

    fn is_deleted(&self, target: &str, id: &str) -> bool {
        target == self.collection.slug && self.deleted.iter().any(|(record, _)| record.id == id)
    }

    /// The id, the identity and the version of each record that was read.
    fn seen(&self) -> impl Iterator<Item = (&str, &str, i64)> {
        let changed = self
            .changed
            .iter()
            .filter_map(|written| Some((written.id.as_str(), written.creation_id.as_str(), written.seen?)));
        let deleted = self.deleted.iter().map(|(record, _)| record);
        changed.chain(deleted.map(|record| (record.id.as_str(), record.creation_id.as_str(), record.version)))
    }

    /// The plan's limits of records and of bytes, checked after all writes. A batch that adds no record needs no room for one.
    fn bound(&self, limits: &Limits) -> Vec<(TenantSql, Vec<Arg>)> {
        let slug = self.collection.slug.as_str();
        let most = bound(limits.records_of(slug)).filter(|_| self.restored || !self.created.is_empty());
        let records = most.map(|most| (rules::RECORDS_LEFT, args![slug, most]));
        // Whoever has stored too much may still delete.
        let writes = !self.created.is_empty() || !self.changed.is_empty();
        records.into_iter().chain(storage_left(limits.storage_bytes).filter(|_| writes)).collect()
    }

    /// The plan's limits of records created in an hour and a month, as rules.
    fn rates(&self, limits: &Limits) -> Vec<(TenantSql, Vec<Arg>)> {
        let slug = self.collection.slug.as_str();
        let created = i64::try_from(self.created.len()).unwrap_or(i64::MAX);
        let mut rates = Vec::new();
        for period in [Period::Hour, Period::Month] {
            if let Some(most) = bound(limits.record_rate(slug, period)).filter(|_| created > 0) {
                let start = period.start(self.now).millis();
                rates.push((rules::COUNT_RATE, args![slug, period.as_str(), start, created, most]));
                rates.push((rules::RATE_LEFT, args![slug, period.as_str(), most]));
            }
        }
        rates
    }

    /// The problem for a batch that failed. `Stale` becomes a conflict: the caller retries it before.
    pub async fn explain(&self, error: WriteError, limits: &Limits) -> Problem {
        let explained = match error {
            WriteError::Problem(problem) => return problem,
            WriteError::Stale => return problem::changed_meanwhile(),
            WriteError::TooManyRecords => return problem::record_limit_reached(&singular(&self.collection.slug)),
            WriteError::TooFast => return self.rate_limited(limits).await,
            WriteError::StorageFull => return problem::storage_limit_reached(),
            WriteError::NotUnique => self.taken_values().await.map(|errors| (problem::not_unique(), errors)),
            WriteError::NotUniqueTogether => self.taken_together().await.map(|errors| (problem::not_unique(), errors)),
            WriteError::Dangling if !self.deleted.is_empty() => return problem::still_referenced(),
            WriteError::Dangling => {
                self.dangling_references().await.map(|errors| (problem::validation_failed(Vec::new()), errors))
            }
        };
        match explained {
            Ok((mut problem, errors)) if !errors.is_empty() => {
                problem.errors = errors;
                problem
            }
            // The conflicting record has gone since.
            Ok(_) => problem::changed_meanwhile(),
            Err(problem) => problem,
        }
    }

    /// An error for each unique value that another record has, stored or in this batch.
    async fn taken_values(&self) -> Result<Vec<FieldError>, Problem> {
        let mut queried: Vec<Value> = Vec::new();
        let mut pointers = Vec::new();
        let unique: Vec<&Field> = self.collection.schema.fields().filter(|field| field.is_unique).collect();
        let invalid = || Invalid::new("not_unique", "is already the value of another record");
        let mut twice = Vec::new();
        for written in self.created.iter().chain(&self.changed) {
            for field in &unique {
                let Some(value) = written.draft.data.get(&field.name) else { continue };
                let pointer = format!("{}/{}", written.pointer, field.name);
                let same = |other: &Value| {
                    other.get(1).and_then(Value::as_str) == Some(&field.name) && other.get(2) == Some(value)
                };
                if queried.iter().any(same) {
                    twice.push(FieldError::new(pointer.as_str(), invalid()));
                }
                queried.push(Value::from(vec![written.id.clone().into(), field.name.clone().into(), value.clone()]));
                pointers.push(pointer);
            }
        }
        let args = args![self.collection.slug.as_str(), Value::from(queried).to_string()];
        let found = self.rows.rows::<InputIndexRow>(&HELD, args).await?;
        twice.extend(errors_at(&found, &pointers, invalid));
        Ok(twice)
    }

    /// An error for each record whose fields that are unique together another one has, stored or in this batch.
    async fn taken_together(&self) -> Result<Vec<FieldError>, Problem> {
        let Some(pair) = self.collection.unique_pair() else { return Ok(Vec::new()) };
        let invalid = || {
            let message = format!("is, together with {}, already that of another record", pair.beside);
            Invalid::new("not_unique", message)
        };
        let (mut queried, mut pointers, mut errors) = (Vec::<Value>::new(), Vec::new(), Vec::new());
        for written in self.created.iter().chain(&self.changed) {
            let value = |name: &str| written.draft.data.get(name).cloned().unwrap_or_default();
            let (indexed, beside) = (value(pair.indexed), value(pair.beside));
            let pointer = format!("{}/{}", written.pointer, pair.indexed);
            if queried.iter().any(|other| other.get(1) == Some(&indexed) && other.get(2) == Some(&beside)) {
                errors.push(FieldError::new(pointer.as_str(), invalid()));
            }
            queried.push(Value::from(vec![written.id.clone().into(), indexed, beside]));
            pointers.push(pointer);
        }
        let slug = self.collection.slug.as_str();
        let args = args![slug, Value::from(queried).to_string(), pair.indexed, pair.beside];
        let found = self.rows.rows::<InputIndexRow>(&HELD_TOGETHER, args).await?;
        errors.extend(errors_at(&found, &pointers, invalid));
        Ok(errors)
    }

    /// Which limit does not leave so many new records; that which lasts longest, where several do not.
    async fn rate_limited(&self, limits: &Limits) -> Problem {
        let created = u64::try_from(self.created.len()).unwrap_or(u64::MAX);
        for period in [Period::Month, Period::Hour] {
            match self.rate(limits, period).await {
                Ok(Some(rate)) if rate.remaining < created => return problem::limit_used_up(&rate, self.now),
                Ok(Some(_) | None) => {}
                Err(error) => return error.into(),
            }
        }
        // The window has ended since.
        problem::changed_meanwhile()
    }

    /// How the limit of records created in a period stands; none if there is none.
    async fn rate(&self, limits: &Limits, period: Period) -> Result<Option<Rate>, StorageError> {
        let slug = self.collection.slug.as_str();
        let limit = limits.record_rate(slug, period);
        let (Some(allowed), Some(most)) = (limit.bound(), bound(limit)) else { return Ok(None) };
        let (start, reset) = (period.start(self.now), period.end(self.now));
        let window = args![slug, period.as_str(), start.millis(), most];
        let made = self.rows.row::<RecordRateRow>(&rules::MADE, window).await?;
        let made = made.map_or(0, |row| row.records.unsigned_abs());
        Ok(Some(Rate {
            policy: format!("records-{}", period.as_str()),
            limit,
            remaining: allowed.saturating_sub(made),
            window: reset.since(start).unsigned_abs() / 1000,
            reset,
        }))
    }
}

/// The references of a record: JSON pointer, collection, id.
fn references<'r>(
    collection: &'r Collection,
    written: &'r RecordWrite,
) -> impl Iterator<Item = (String, &'r str, &'r str)> {
    collection.schema.fields().flat_map(move |field| {
        let target = field.reference.as_deref();
        let value = written.draft.data.get(&field.name);
        let base = format!("{}/{}", written.pointer, field.name);
        let one = value.and_then(Value::as_str).map(|id| (base.clone(), id));
        let many = value.and_then(Value::as_array).into_iter().flatten().enumerate();
        let many = many.filter_map(|(i, id)| Some((format!("{base}/{i}"), id.as_str()?))).collect::<Vec<_>>();
        one.into_iter().chain(many).filter_map(move |(pointer, id)| Some((pointer, target?, id)))
    })
}

fn errors_at(places: &[InputIndexRow], pointers: &[String], invalid: impl Fn() -> Invalid) -> Vec<FieldError> {
    let pointer = |row: &InputIndexRow| pointers.get(row.place as usize);
    places.iter().filter_map(pointer).map(|pointer| FieldError::new(pointer.as_str(), invalid())).collect()
}

/// Ids as a JSON array.
fn ids<'r>(ids: impl Iterator<Item = &'r str>) -> String {
    Value::from(ids.collect::<Vec<_>>()).to_string()
}

/// New records, as `INSERT` takes them.
fn new_json(created: &[RecordWrite]) -> String {
    let each = |one: &RecordWrite| json!({ "id": one.id, "made": one.creation_id, "status": one.draft.status, "data": one.draft.data });
    Value::from(created.iter().map(each).collect::<Vec<_>>()).to_string()
}

/// The words of new records, in the same order.
fn new_words(created: &[RecordWrite]) -> String {
    Value::from(created.iter().map(|one| Value::from(one.words.as_deref())).collect::<Vec<_>>()).to_string()
}

/// Changed records by their ids. An id has no letter that means something in a JSON path.
fn changed_json<'r>(changed: impl Iterator<Item = &'r RecordWrite>) -> String {
    let each = |one: &RecordWrite| (one.id.clone(), json!({ "status": one.draft.status, "data": one.draft.data }));
    Value::Object(changed.map(each).collect()).to_string()
}

/// The words of changed records by their ids.
fn changed_words<'r>(changed: impl Iterator<Item = &'r RecordWrite>) -> String {
    Value::Object(changed.map(|one| (one.id.clone(), Value::from(one.words.as_deref()))).collect()).to_string()
}

/// The ids of changed records alone, in the same form.
fn changed_ids(changed: &[&RecordWrite]) -> String {
    Value::Object(changed.iter().map(|one| (one.id.clone(), Value::Null)).collect()).to_string()
}

fn bound(limit: Limit) -> Option<i64> {
    limit.bound().and_then(|most| i64::try_from(most).ok())
}

/// The singular of a slug, capitalised: `leads` is `Lead`.
fn singular(slug: &str) -> String {
    let one = slug.strip_suffix('s').unwrap_or(slug).replace(['_', '-'], " ");
    let mut letters = one.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_of_many() {
        assert_eq!(singular("leads"), "Lead");
        assert_eq!(singular("support_tickets"), "Support ticket");
        assert_eq!(singular("media"), "Media");
        assert_eq!(singular(""), "");
    }
}
