//! A tenant's collection: what its records are, and how the index of them stands.
//!
//! Invariants
//! - A definition that is remembered is never believed: whoever writes by it states in the batch which one it is, and
//!   whoever reads by it reads that along with the rows.
//! - Which one it is, its collection's creation id and its revision say together. A slug comes back when its collection
//!   was deleted, and revisions then begin at 1 again; a creation id never comes back.
//! - One that is being deleted is not found.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use serde_json::Value;

use super::cache::CacheGeneration;
use super::definition::Definition;
use super::schema::{Field, Schema};
use super::statuses::Statuses;
use crate::http::listing::with_timestamps;
use crate::http::problem::{self, Problem};
use crate::storage::row::Rows;
use crate::storage::row::row_types;
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::{ReadStatement, TenantDb};
use crate::tenant_id::TenantId;
use domain::json;

statements! { TenantSql;
    /// A collection as it stands.
    FIND = "SELECT c.slug, c.name, c.description, c.schema, c.statuses, c.template, c.alias, c.versioned, c.soft_delete, c.live, c.public_read, c.files, c.creation_id, c.revision, c.created_at, c.updated_at, s.job, s.done, s.total, s.failure, (SELECT json_group_array(f.field) FROM collection_fields f WHERE f.tenant_id = ?1 AND f.collection = ?2 AND f.is_ready = 1) AS ready, (SELECT COALESCE(sum(n.records), 0) FROM record_counts n WHERE n.tenant_id = ?1 AND n.collection = ?2) AS records FROM collections c JOIN collection_state s ON s.tenant_id = ?1 AND s.collection = c.slug WHERE c.tenant_id = ?1 AND c.slug = ?2 AND c.deleted_at IS NULL";
    /// Which definition of which collection a slug has, and the generation of its records.
    CURRENT = "SELECT c.creation_id, c.revision, s.generation FROM collections c JOIN collection_state s ON s.tenant_id = ?1 AND s.collection = ?2 WHERE c.tenant_id = ?1 AND c.slug = ?2 AND c.deleted_at IS NULL";
    /// Every collection, by its slug.
    ALL = "SELECT c.slug, c.name, c.description, c.schema, c.statuses, c.template, c.alias, c.versioned, c.soft_delete, c.live, c.public_read, c.files, c.creation_id, c.revision, c.created_at, c.updated_at, s.job, s.done, s.total, s.failure, (SELECT json_group_array(f.field) FROM collection_fields f WHERE f.tenant_id = ?1 AND f.collection = c.slug AND f.is_ready = 1) AS ready, (SELECT COALESCE(sum(n.records), 0) FROM record_counts n WHERE n.tenant_id = ?1 AND n.collection = c.slug) AS records FROM collections c JOIN collection_state s ON s.tenant_id = ?1 AND s.collection = c.slug WHERE c.tenant_id = ?1 AND c.deleted_at IS NULL ORDER BY c.slug LIMIT 200";
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
        ready: String,
        records: i64,
    }
}

row_types! {
    struct CurrentRow {
        creation_id: String,
        revision: i64,
        generation: i64,
    }
}

/// How often what is remembered is looked up anew.
const ATTEMPTS: usize = 4;
/// Most definitions that an isolate remembers.
const MAX_KEPT: usize = 500;

thread_local! {
    static KEPT: RefCell<HashMap<(TenantId, String), Rc<Collection>>> = RefCell::new(HashMap::new());
}

/// A collection.
#[derive(Debug)]
pub struct Collection {
    /// Its name in paths and topics.
    pub slug: String,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// What its records' fields are.
    pub schema: Schema,
    /// Its vocabulary of statuses, if it has one.
    pub statuses: Option<Statuses>,
    /// The vocabulary as it was written.
    pub written_statuses: Value,
    /// What it was made of.
    pub template: Option<String>,
    /// Whether records carry their tenant's id as `client_id` too.
    pub alias: bool,
    /// Whether every state of a record is kept.
    pub versioned: bool,
    /// Whether a deleted record is kept.
    pub soft_delete: bool,
    /// Whether changes are announced.
    pub live: bool,
    /// Whether everybody on the tenant's host may read it.
    pub public_read: bool,
    /// Whether a record may hold a file.
    pub files: bool,
    /// Which collection it is: no other one ever has this id, under whatever slug. Empty of one that is not stored yet.
    pub creation_id: String,
    /// The revision of this definition, from 1.
    pub revision: i64,
    index: IndexState,
    ready: Vec<String>,
    records: i64,
    created_at: i64,
    updated_at: i64,
}

/// A collection, and what was read beside it at one moment.
pub struct CollectionRead {
    /// The collection.
    pub collection: Rc<Collection>,
    /// The generation of its records: each write makes another one.
    pub generation: CacheGeneration,
    /// What was read.
    pub found: Vec<Rows>,
}

/// How the index stands.
#[derive(Debug)]
struct IndexState {
    is_building: bool,
    done: i64,
    total: i64,
    failure: Option<Value>,
}

impl Collection {
    /// The collection of a name, as it stands now.
    pub async fn find(rows: &TenantDb, slug: &str) -> Result<Option<Self>, Problem> {
        rows.row::<CollectionRow>(&FIND, args![slug]).await?.map(Self::stored).transpose()
    }

    /// The collection of a name, perhaps as it stood a while ago: for those who check in what they do that it is still this one.
    pub async fn remembered(rows: &TenantDb, slug: &str) -> Result<Rc<Self>, Problem> {
        let key = (rows.tenant().clone(), slug.to_owned());
        if let Some(kept) = KEPT.with(|kept| kept.borrow().get(&key).cloned()) {
            return Ok(kept);
        }
        let found = Rc::new(Self::find(rows, slug).await?.ok_or_else(problem::not_found)?);
        KEPT.with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() >= MAX_KEPT {
                kept.clear();
            }
            kept.insert(key, Rc::clone(&found));
        });
        Ok(found)
    }

    /// The same with what is read beside it at the same moment, by a definition that is true at that moment.
    pub async fn read_with(
        rows: &TenantDb,
        slug: &str,
        reading: impl Fn(&Self) -> Result<Vec<ReadStatement>, Problem>,
    ) -> Result<CollectionRead, Problem> {
        for _ in 0..ATTEMPTS {
            let known = Self::remembered(rows, slug).await?;
            let asked = reading(&known);
            let mut reads = vec![ReadStatement::Constant(CURRENT, args![slug])];
            let wrong = asked.map(|more| reads.extend(more)).err();
            let mut results = rows.reads(reads).await?.into_iter();
            match results.next().unwrap_or_default().first::<CurrentRow>()? {
                Some(row) if known.is(&row) => {
                    let found = results.collect();
                    let read = CollectionRead {
                        collection: known,
                        generation: CacheGeneration::of(&row.creation_id, row.generation),
                        found,
                    };
                    return wrong.map_or_else(|| Ok(read), Err);
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

    /// Whether this is the definition as it stands.
    pub async fn is_current(&self, rows: &TenantDb) -> Result<bool, Problem> {
        let row = rows.row::<CurrentRow>(&CURRENT, args![self.slug.as_str()]).await?;
        Ok(row.is_some_and(|row| self.is(&row)))
    }

    fn is(&self, row: &CurrentRow) -> bool {
        row.creation_id == self.creation_id && row.revision == self.revision
    }

    /// Every collection of the tenant.
    pub async fn all(rows: &TenantDb) -> Result<Vec<Self>, Problem> {
        rows.rows::<CollectionRow>(&ALL, Vec::new()).await?.into_iter().map(Self::stored).collect()
    }

    fn stored(row: CollectionRow) -> Result<Self, Problem> {
        let broken = |what: &str| problem::internal(format!("the stored {what} of a collection cannot be read"));
        let written_schema: Value = serde_json::from_str(&row.schema).map_err(problem::internal)?;
        let written_statuses: Value = serde_json::from_str(&row.statuses).map_err(problem::internal)?;
        Ok(Self {
            schema: Schema::parse(&written_schema).map_err(|_| broken("schema"))?,
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
            records: row.records,
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
            records: 0,
            created_at: now,
            updated_at: now,
        })
    }

    /// The definition as a body would write it.
    pub fn written(&self) -> Value {
        json!({
            "slug": self.slug, "name": self.name, "description": self.description, "schema": self.schema.written(),
            "statuses": self.written_statuses, "alias": self.alias.then_some("client_id"), "versioned": self.versioned,
            "soft_delete": self.soft_delete, "live": self.live, "public_read": self.public_read, "files": self.files,
        })
    }

    /// Whether the index holds every record by this field.
    pub fn is_ready(&self, field: &Field) -> bool {
        self.ready.contains(&field.name)
    }

    /// The collection as it is shown.
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
            "alias": self.alias.then_some("client_id"), "revision": self.revision, "records": self.records,
            "index": { "state": state, "done": self.index.done, "total": self.index.total, "failure": self.index.failure },
            "created_at": self.created_at, "updated_at": self.updated_at,
        }))
    }
}

/// Forgets what this isolate remembers of a collection: it has just changed.
pub fn forget(tenant: &TenantId, slug: &str) {
    KEPT.with(|kept| kept.borrow_mut().remove(&(tenant.clone(), slug.to_owned())));
}
