//! A tenant's collection: its definition, and the state of its index.
//!
//! Invariants
//! - A cached definition is never trusted: a batch that writes by it states which one it is, and a read by it reads that
//!   together with the rows.
//! - A definition is identified by its collection's creation id and its revision. A slug is free again once its collection
//!   is deleted, and revisions then begin at 1 again; a creation id is never used again.
//! - A collection that is being deleted is not found.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::Value;

use super::cache::CacheGeneration;
use super::definition::Definition;
use super::schema::{Field, Schema};
use super::statuses::Statuses;
use super::together::UniquePair;
use crate::http::etag;
use crate::http::listing::with_timestamps;
use crate::http::problem::{self, Problem};
use crate::isolate_cache::{CacheKey, IsolateCache, KeyIdentity};
use crate::storage::bindings::SystemClock;
use crate::storage::row::Rows;
use crate::storage::row::row_types;
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::{ReadStatement, TenantDb};
use crate::tenant_id::TenantId;
use domain::clock::Clock;
use domain::json;

statements! { TenantSql;
    /// A collection as it stands.
    FIND = "SELECT c.slug, c.name, c.description, c.schema, c.statuses, c.template, c.alias, c.versioned, c.soft_delete, c.live, c.public_read, c.files, c.creation_id, c.revision, c.created_at, c.updated_at, s.job, s.done, s.total, s.failure, s.has_words, (SELECT json_group_array(f.field) FROM collection_fields f WHERE f.tenant_id = ?1 AND f.collection = ?2 AND f.is_ready = 1) AS ready, (SELECT COALESCE(sum(n.records), 0) FROM record_counts n WHERE n.tenant_id = ?1 AND n.collection = ?2) AS records, (SELECT CAST(avg(n.bytes) AS INTEGER) FROM (SELECT octet_length(r.data) AS bytes FROM records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.deleted_at IS NULL ORDER BY r.created_at DESC, r.id DESC LIMIT 20) n) AS record_bytes, s.generation FROM collections c JOIN collection_state s ON s.tenant_id = ?1 AND s.collection = c.slug WHERE c.tenant_id = ?1 AND c.slug = ?2 AND c.deleted_at IS NULL";
    /// Which definition of which collection a slug has, and the generation of its records.
    CURRENT = "SELECT c.creation_id, c.revision, s.generation FROM collections c JOIN collection_state s ON s.tenant_id = ?1 AND s.collection = ?2 WHERE c.tenant_id = ?1 AND c.slug = ?2 AND c.deleted_at IS NULL";
    /// Every collection, by its slug.
    ALL = "SELECT c.slug, c.name, c.description, c.schema, c.statuses, c.template, c.alias, c.versioned, c.soft_delete, c.live, c.public_read, c.files, c.creation_id, c.revision, c.created_at, c.updated_at, s.job, s.done, s.total, s.failure, s.has_words, (SELECT json_group_array(f.field) FROM collection_fields f WHERE f.tenant_id = ?1 AND f.collection = c.slug AND f.is_ready = 1) AS ready, (SELECT COALESCE(sum(n.records), 0) FROM record_counts n WHERE n.tenant_id = ?1 AND n.collection = c.slug) AS records, NULL AS record_bytes, s.generation FROM collections c JOIN collection_state s ON s.tenant_id = ?1 AND s.collection = c.slug WHERE c.tenant_id = ?1 AND c.deleted_at IS NULL ORDER BY c.slug LIMIT 200";
    /// Collections behind the slug ?2, by their slugs, at most ?3, and until their schemas come to ?4 bytes.
    PAGE = "SELECT c.slug, c.name, c.description, c.schema, c.statuses, c.template, c.alias, c.versioned, c.soft_delete, c.live, c.public_read, c.files, c.creation_id, c.revision, c.created_at, c.updated_at, s.job, s.done, s.total, s.failure, s.has_words, (SELECT json_group_array(f.field) FROM collection_fields f WHERE f.tenant_id = ?1 AND f.collection = c.slug AND f.is_ready = 1) AS ready, (SELECT COALESCE(sum(n.records), 0) FROM record_counts n WHERE n.tenant_id = ?1 AND n.collection = c.slug) AS records, NULL AS record_bytes, s.generation FROM collections c JOIN collection_state s ON s.tenant_id = ?1 AND s.collection = c.slug WHERE c.tenant_id = ?1 AND c.slug > ?2 AND c.deleted_at IS NULL AND (SELECT COALESCE(sum(octet_length(p.schema)), 0) FROM collections p WHERE p.tenant_id = ?1 AND p.slug > ?2 AND p.slug < c.slug AND p.deleted_at IS NULL) < ?4 ORDER BY c.slug LIMIT ?3";
}

row_types! {
    /// A collection's row.
    #[derive(Debug)]
    pub struct CollectionRow {
        slug: String,
        name: String,
        description: String,
        schema: String,
        statuses: String,
        template: Option<String>,
        alias: Option<String>,
        versioned: i64,
        soft_delete: i64,
        live: i64,
        public_read: i64,
        files: i64,
        creation_id: String,
        revision: i64,
        created_at: i64,
        updated_at: i64,
        job: Option<String>,
        done: i64,
        total: i64,
        failure: Option<String>,
        has_words: i64,
        ready: String,
        records: i64,
        record_bytes: Option<i64>,
        generation: i64,
    }
}

row_types! {
    struct CurrentRow {
        creation_id: String,
        revision: i64,
        generation: i64,
    }
}

/// Attempts to read by a definition that is current.
const ATTEMPTS: usize = 4;
/// Writes of a tenant after which a definition is read anew, for the size of the records; and if there were none.
const MUCH: i64 = 100;
const SOME: i64 = 10;
/// Most definitions in an isolate's cache.
const MAX_CACHED: usize = 500;
/// How long a definition is cached, in milliseconds. It bounds what is held for tenants that are gone; a definition that
/// has changed is never used.
const CACHE_MILLIS: i64 = 600_000;

/// A collection's name among all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct CollectionName {
    tenant: TenantId,
    slug: String,
}

impl CacheKey for CollectionName {
    const IDENTITY: KeyIdentity = KeyIdentity::CheckedAgainst(
        "creation id and revision of the definition, in the transaction that reads the rows or writes them",
    );
}

impl CollectionName {
    fn of(tenant: &TenantId, slug: &str) -> Self {
        Self { tenant: tenant.clone(), slug: slug.to_owned() }
    }
}

thread_local! {
    static CACHE: RefCell<IsolateCache<CollectionName, Rc<Collection>>> = RefCell::new(IsolateCache::new(MAX_CACHED, CACHE_MILLIS));
}

/// A collection of records.
#[derive(Debug)]
pub struct Collection {
    /// Its name in paths and topics.
    pub slug: String,
    /// Its name for people.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What its records' fields are.
    pub schema: Schema,
    /// Its statuses, if it has any.
    pub statuses: Option<Statuses>,
    /// `statuses` as it was sent.
    pub written_statuses: Value,
    /// The template it was created from, if any.
    pub template: Option<String>,
    /// Whether records carry their tenant's id as `client_id` too.
    pub alias: bool,
    /// Whether every version of a record is stored.
    pub versioned: bool,
    /// Whether deleted records can be restored.
    pub soft_delete: bool,
    /// Whether changes are sent to subscribers.
    pub live: bool,
    /// Whether everybody on the tenant's host may read it.
    pub public_read: bool,
    /// Whether a record may hold a file.
    pub files: bool,
    /// Its identity: no other collection ever has this id, under any slug. Empty before it is stored.
    pub creation_id: String,
    /// The revision of this definition, from 1.
    pub revision: i64,
    /// Whether every record that is searched carries its words; else some are in the full-text index as they were before.
    pub has_words: bool,
    index: IndexState,
    ready: Vec<String>,
    records: i64,
    /// Bytes of a record's fields: the mean of the newest ones, when the definition was read.
    pub record_bytes: i64,
    /// The generation of its records when the definition was read.
    generation: i64,
    created_at: i64,
    updated_at: i64,
}

/// A collection, and rows that were read in the same transaction.
pub struct CollectionRead {
    /// The collection.
    pub collection: Rc<Collection>,
    /// The generation of its records: each write makes another one.
    pub generation: CacheGeneration,
    /// The rows of each statement.
    pub found: Vec<Rows>,
}

/// The state of the index.
#[derive(Debug)]
struct IndexState {
    is_building: bool,
    done: i64,
    total: i64,
    failure: Option<Value>,
}

impl Collection {
    /// The collection of a slug, read now.
    pub async fn find(rows: &TenantDb, slug: &str) -> Result<Option<Self>, Problem> {
        rows.row::<CollectionRow>(&FIND, args![slug]).await?.map(Self::stored).transpose()
    }

    /// The collection of a slug from the isolate's cache. It may be outdated: the caller must check it in the same
    /// transaction as what it does. 404 if there is none.
    pub async fn cached(rows: &TenantDb, slug: &str) -> Result<Rc<Self>, Problem> {
        let (key, now) = (CollectionName::of(rows.tenant(), slug), SystemClock.now());
        if let Some(cached) = CACHE.with_borrow_mut(|cache| cache.get(&key, now).cloned()) {
            return Ok(cached);
        }
        let found = Rc::new(Self::find(rows, slug).await?.ok_or_else(problem::not_found)?);
        CACHE.with_borrow_mut(|cache| cache.insert(key, Rc::clone(&found), now));
        Ok(found)
    }

    /// The collection of a slug with the rows of the statements that `reading` makes for it. Both are of one transaction, so
    /// the statements were made for the definition that was current.
    pub async fn read_with(
        rows: &TenantDb,
        slug: &str,
        reading: impl Fn(&Self) -> Result<Vec<ReadStatement>, Problem>,
    ) -> Result<CollectionRead, Problem> {
        for _ in 0..ATTEMPTS {
            let cached = Self::cached(rows, slug).await?;
            let statements = reading(&cached);
            let mut reads = vec![ReadStatement::Constant(CURRENT, args![slug])];
            let refusal = statements.map(|more| reads.extend(more)).err();
            let mut results = rows.reads(reads).await?.into_iter();
            match results.next().unwrap_or_default().first::<CurrentRow>()? {
                Some(row) if cached.is(&row) => {
                    if cached.has_changed_much(row.generation) {
                        forget(rows.tenant(), slug);
                    }
                    let found = results.collect();
                    let read = CollectionRead {
                        collection: cached,
                        generation: CacheGeneration::of(&row.creation_id, row.generation),
                        found,
                    };
                    return refusal.map_or_else(|| Ok(read), Err);
                }
                Some(_) => forget(rows.tenant(), slug),
                None => {
                    forget(rows.tenant(), slug);
                    return Err(problem::not_found());
                }
            }
        }
        Err(problem::changed_meanwhile())
    }

    /// Whether this is the current definition.
    pub async fn is_current(&self, rows: &TenantDb) -> Result<bool, Problem> {
        let row = rows.row::<CurrentRow>(&CURRENT, args![self.slug.as_str()]).await?;
        Ok(row.is_some_and(|row| self.is(&row)))
    }

    /// Whether so much was written since the definition was read that its records may be of another size.
    fn has_changed_much(&self, generation: i64) -> bool {
        generation - self.generation > if self.record_bytes == 0 { SOME } else { MUCH }
    }

    fn is(&self, row: &CurrentRow) -> bool {
        row.creation_id == self.creation_id && row.revision == self.revision
    }

    /// Every collection of the tenant.
    pub async fn all(rows: &TenantDb) -> Result<Vec<Self>, Problem> {
        rows.rows::<CollectionRow>(&ALL, Vec::new()).await?.into_iter().map(Self::stored).collect()
    }

    /// The collections of the tenant behind a slug, as many as fit a page in rows and in bytes of their schemas.
    pub async fn page(rows: &TenantDb, after: &str, most: i64, bytes: i64) -> Result<Vec<Self>, Problem> {
        let args = args![after, most, bytes];
        rows.rows::<CollectionRow>(&PAGE, args).await?.into_iter().map(Self::stored).collect()
    }

    fn stored(row: CollectionRow) -> Result<Self, Problem> {
        let broken = |what: &str| problem::internal(format!("the stored {what} of a collection cannot be read"));
        let written_schema: Value = serde_json::from_str(&row.schema).map_err(problem::internal)?;
        let written_statuses: Value = serde_json::from_str(&row.statuses).map_err(problem::internal)?;
        Ok(Self {
            schema: Schema::stored(&written_schema).ok_or_else(|| broken("schema"))?,
            statuses: Statuses::parse(&written_statuses).map_err(|_| broken("statuses"))?,
            index: IndexState {
                is_building: row.job.as_deref() == Some("index"),
                done: row.done,
                total: row.total,
                failure: row.failure.as_deref().and_then(|json| serde_json::from_str(json).ok()),
            },
            ready: serde_json::from_str(&row.ready).map_err(problem::internal)?,
            written_statuses,
            slug: row.slug,
            name: row.name,
            description: row.description,
            template: row.template,
            alias: row.alias.is_some(),
            versioned: row.versioned != 0,
            soft_delete: row.soft_delete != 0,
            live: row.live != 0,
            public_read: row.public_read != 0,
            files: row.files != 0,
            creation_id: row.creation_id,
            revision: row.revision,
            has_words: row.has_words != 0,
            records: row.records,
            record_bytes: row.record_bytes.unwrap_or(0),
            generation: row.generation,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }

    /// A collection that is being made.
    pub fn fresh(definition: Definition, template: Option<&str>, now: i64) -> Result<Self, Problem> {
        let broken = |_| problem::internal("a definition that was not read");
        let schema = Schema::parse(&definition.schema).map_err(broken)?;
        let declared = schema.fields().filter(|field| field.is_indexed || field.is_searched);
        let ready = declared.map(|field| field.name.clone()).collect();
        Ok(Self {
            schema,
            statuses: Statuses::parse(&definition.statuses).map_err(broken)?,
            index: IndexState { is_building: false, done: 0, total: 0, failure: None },
            ready,
            written_statuses: definition.statuses,
            slug: definition.slug,
            name: definition.name,
            description: definition.description,
            template: template.map(str::to_owned),
            alias: definition.alias,
            versioned: definition.versioned,
            soft_delete: definition.soft_delete,
            live: definition.live,
            public_read: definition.public_read,
            files: definition.files,
            creation_id: String::new(),
            revision: 1,
            has_words: true,
            records: 0,
            record_bytes: 0,
            generation: 0,
            created_at: now,
            updated_at: now,
        })
    }

    /// The definition as the body of a request.
    pub fn written(&self) -> Value {
        json!({
            "slug": self.slug, "name": self.name, "description": self.description, "schema": self.schema.written(),
            "statuses": self.written_statuses, "alias": self.alias.then_some("client_id"), "versioned": self.versioned,
            "soft_delete": self.soft_delete, "live": self.live, "public_read": self.public_read, "files": self.files,
        })
    }

    /// The entity tag of this definition: no other collection ever has it.
    pub fn etag(&self) -> String {
        etag::of_version(self.short_id(), self.revision)
    }

    /// The first half of its creation id: 64 random bits are enough to tell collections apart.
    pub fn short_id(&self) -> &str {
        self.creation_id.get(..16).unwrap_or(&self.creation_id)
    }

    /// What stands before each of its records' words in the full-text index: a letter, and the half of its creation id that
    /// is never shown. The database puts it there.
    pub fn word_tag(&self) -> String {
        format!("z{}", self.creation_id.get(16..).unwrap_or_default())
    }

    /// Whether the index of this field is complete.
    pub fn is_ready(&self, field: &Field) -> bool {
        self.ready.contains(&field.name)
    }

    /// The fields that are unique together, if any are.
    pub fn unique_pair(&self) -> Option<UniquePair> {
        UniquePair::of(self.template.as_deref(), &self.slug)
    }

    /// The collection as responses show it.
    pub fn shown(&self) -> Value {
        let state = match (&self.index.failure, self.index.is_building) {
            (Some(_), _) => "failed",
            (None, true) => "building",
            (None, false) => "ready",
        };
        with_timestamps(json!({
            "slug": self.slug, "name": self.name, "description": self.description, "schema": self.schema.written(),
            "statuses": self.written_statuses, "versioned": self.versioned, "soft_delete": self.soft_delete,
            "live": self.live, "public_read": self.public_read, "files": self.files, "template": self.template,
            "alias": self.alias.then_some("client_id"), "unique_together": self.unique_pair().map(UniquePair::fields),
            "revision": self.revision, "records": self.records,
            "index": { "state": state, "done": self.index.done, "total": self.index.total, "failure": self.index.failure },
            "created_at": self.created_at, "updated_at": self.updated_at,
        }))
    }
}

/// Removes a collection from this isolate's cache, after a change.
pub fn forget(tenant: &TenantId, slug: &str) {
    CACHE.with_borrow_mut(|cache| cache.forget(&CollectionName::of(tenant, slug), SystemClock.now()));
}
