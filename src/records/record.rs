//! One record: read from its row and shown.

use serde_json::{Map, Value};

use super::collection::Collection;
use crate::http::etag;
use crate::http::problem::{self, Problem};
use crate::storage::row::row_types;
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;
use crate::tenant_id::TenantId;
use domain::clock::Timestamp;
use domain::hex::hex;
use domain::record::RecordView;

statements! { TenantSql;
    /// A record that is not deleted.
    FIND = "SELECT id, version, status, data, created_at, updated_at, created_by, updated_by, deleted_at, creation_id FROM records WHERE tenant_id = ?1 AND collection = ?2 AND id = ?3 AND deleted_at IS NULL";
    /// Of the references in the JSON ?2, `[collection, id]` each, the indices of those without a record.
    DANGLING = "SELECT j.key AS place FROM json_each(?2) j WHERE NOT EXISTS (SELECT 1 FROM records r WHERE r.tenant_id = ?1 AND r.collection = json_extract(j.value, '$[0]') AND r.id = json_extract(j.value, '$[1]') AND r.deleted_at IS NULL)";
    /// Of the values in the JSON ?3, `[id, field, value]` each, the indices of those that other records have.
    HELD = "SELECT j.key AS place FROM json_each(?3) j CROSS JOIN record_index i WHERE i.tenant_id = ?1 AND i.collection = ?2 AND i.field = json_extract(j.value, '$[1]') AND unlikely(i.value = json_extract(j.value, '$[2]')) AND i.is_unique = 1 AND i.record_id <> json_extract(j.value, '$[0]')";
}

row_types! {
    /// A record's row.
    #[derive(Debug)]
    pub struct RecordRow {
        pub(super) id: String,
        pub(super) version: i64,
        pub(super) status: Option<String>,
        pub(super) data: String,
        pub(super) created_at: i64,
        pub(super) updated_at: i64,
        pub(super) created_by: String,
        pub(super) updated_by: String,
        pub(super) deleted_at: Option<i64>,
        /// None where it is not asked for.
        pub(super) creation_id: Option<String>,
    }
    /// An index into the JSON list that was asked about.
    #[derive(Debug)]
    pub struct InputIndexRow {
        /// The index, from 0.
        pub place: u32,
    }
}

/// A record as it is stored.
#[derive(Debug, Clone)]
pub struct Record {
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// Its id within the collection.
    pub id: String,
    /// Its version, from 1.
    pub version: i64,
    /// Its status, if the collection has statuses.
    pub status: Option<String>,
    /// The fields of its schema, as JSON.
    pub json: String,
    /// When it was created, in milliseconds since 1970.
    pub created_at: i64,
    /// When it changed last, in milliseconds since 1970.
    pub updated_at: i64,
    /// Who created it: `user:…`, `key:…`.
    pub created_by: String,
    /// Who changed it last.
    pub updated_by: String,
    /// Whether it is soft-deleted.
    pub is_deleted: bool,
    /// Its identity: another record of the same id has another one. Empty for records of before there were any, and where
    /// it was not asked for.
    pub creation_id: String,
}

impl Record {
    /// From a row.
    pub fn stored(tenant: &TenantId, row: RecordRow) -> Self {
        Self {
            tenant: tenant.clone(),
            id: row.id,
            version: row.version,
            status: row.status,
            json: row.data,
            created_at: row.created_at,
            updated_at: row.updated_at,
            created_by: row.created_by,
            updated_by: row.updated_by,
            is_deleted: row.deleted_at.is_some(),
            creation_id: row.creation_id.unwrap_or_default(),
        }
    }

    /// A new record without fields and without an identity.
    pub fn new(tenant: &TenantId, id: &str, actor: &str, now: i64) -> Self {
        Self {
            tenant: tenant.clone(),
            id: id.to_owned(),
            version: 1,
            status: None,
            json: String::new(),
            created_at: now,
            updated_at: now,
            created_by: actor.to_owned(),
            updated_by: actor.to_owned(),
            is_deleted: false,
            creation_id: String::new(),
        }
    }

    /// The entity tag of this version: no record that is made again under its id ever has it, and none of another collection.
    pub fn etag(&self, collection: &Collection) -> String {
        let identity = format!("{}-{}", collection.short_id(), self.creation_id);
        etag::of_version(&identity, self.version)
    }

    /// The record of an id; 404 if there is none or it is deleted.
    pub async fn find(rows: &TenantDb, collection: &str, id: &str) -> Result<Self, Problem> {
        let row = rows.row::<RecordRow>(&FIND, args![collection, id]).await?.ok_or_else(problem::not_found)?;
        Ok(Self::stored(rows.tenant(), row))
    }

    /// The fields of its schema.
    pub fn data(&self) -> Result<Map<String, Value>, Problem> {
        serde_json::from_str(&self.json).map_err(problem::internal)
    }

    /// The record as responses and events show it.
    pub fn shown(&self, collection: &Collection) -> Result<Map<String, Value>, Problem> {
        Ok(self.with(collection.alias, self.data()?))
    }

    /// The members that the platform sets, as they are shown.
    pub fn platform_fields(&self) -> Map<String, Value> {
        self.with(true, Map::new())
    }

    fn with(&self, alias: bool, data: Map<String, Value>) -> Map<String, Value> {
        let shown = RecordView {
            tenant: &self.tenant,
            alias,
            id: &self.id,
            version: self.version,
            status: self.status.as_deref(),
            data,
            created_at: Timestamp::from_millis(self.created_at),
            updated_at: Timestamp::from_millis(self.updated_at),
            created_by: &self.created_by,
            updated_by: &self.updated_by,
        };
        shown.into_object()
    }
}

/// The identity of a new record: 64 random bits.
pub fn fresh_creation_id() -> Result<String, Problem> {
    crate::storage::sealed::random::<8>().map(|bytes| hex(&bytes)).map_err(problem::internal)
}

/// A UUID of version 7 (RFC 9562). Ids of one request sort by `order`.
pub fn fresh_id(now: i64, order: usize) -> Result<String, Problem> {
    let random = crate::storage::sealed::random::<8>().map_err(problem::internal)?;
    let random = u64::from_be_bytes(random);
    let time = now.unsigned_abs() & 0xffff_ffff_ffff;
    let tail = 0x8000_0000_0000_0000 | (random >> 2);
    let (node, clock) = (tail & 0xffff_ffff_ffff, tail >> 48);
    Ok(format!("{:08x}-{:04x}-7{:03x}-{clock:04x}-{node:012x}", time >> 16, time & 0xffff, order & 0xfff))
}
