use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use carillon::records::order::KeysetRow;
use carillon::records::page::RowMark;
use carillon::records::words;
use carillon::storage::composed::ListStatement;
use carillon::storage::sql::Arg;
use carillon::storage::tenant_db::ReadStatement;
use rusqlite::types::{Value as Stored, ValueRef};
use rusqlite::{Connection, Statement, StatementStatus};
use serde_json::{Map, Value};

use crate::asking::{CREATION_ID, collection, definition};
use crate::statements::migrated;

/// The tenants that have the collection.
pub const TENANTS: [&str; 2] = ["acme", "other"];

/// A record of `items`.
#[derive(Debug, Clone)]
pub struct Item {
    pub id: String,
    pub status: Option<&'static str>,
    pub version: i64,
    pub created_at: i64,
    pub updated_at: i64,
    pub created_by: &'static str,
    pub updated_by: &'static str,
    pub deleted: bool,
    pub fields: Map<String, Value>,
}

impl Item {
    /// Whether it lies there as it did before records carried their words.
    pub fn is_of_before(&self) -> bool {
        self.version % 2 == 0
    }
}

/// A row of a list, as the Worker reads it.
#[derive(Debug, Clone)]
pub struct Listed {
    pub id: String,
    pub status: Option<String>,
    pub version: i64,
    pub created_at: i64,
    pub updated_at: i64,
    pub sort_1: Value,
    pub sort_2: Value,
    pub mark: RowMark,
}

impl Listed {
    /// Where it stands.
    pub fn placed(&self) -> KeysetRow<'_> {
        KeysetRow {
            id: &self.id,
            status: self.status.as_deref(),
            version: self.version,
            created_at: self.created_at,
            updated_at: self.updated_at,
            first: &self.sort_1,
            second: &self.sort_2,
        }
    }
}

/// A shard in memory, on which two tenants have the collection `items`.
pub struct Items {
    pub db: Connection,
}

impl Items {
    pub fn new() -> Self {
        let db = migrated("migrations/tenant");
        db.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        let items = Self { db };
        // Both have the same tag: what a search finds is kept apart by its rows, too.
        TENANTS.iter().for_each(|tenant| items.make(tenant, CREATION_ID));
        items
    }

    /// Makes the collection for a tenant.
    pub fn make(&self, tenant: &str, creation_id: &str) {
        let definition = definition("items", str::to_owned);
        let sql = "INSERT INTO collections (tenant_id, slug, name, schema, statuses, versioned, soft_delete, live, public_read, files, revision, created_at, updated_at, creation_id) VALUES (?1, 'items', '', ?2, ?3, 0, 1, 0, 0, 0, 1, 1, 1, ?4)";
        let written = (definition.schema.to_string(), definition.statuses.to_string());
        self.db.execute(sql, (tenant, written.0, written.1, creation_id)).unwrap();
        let sql = "INSERT INTO collection_state (tenant_id, collection) VALUES (?1, 'items')";
        self.db.execute(sql, [tenant]).unwrap();
        let sql = "INSERT INTO collection_fields (tenant_id, collection, field, is_indexed, is_unique, is_searched) SELECT ?1, 'items', value ->> 'field', value ->> 'indexed', value ->> 'unique', value ->> 'searched' FROM json_each(?2)";
        self.db.execute(sql, (tenant, &definition.declared)).unwrap();
    }

    /// The steps of all that SQLite does for a page, the reading of the full-text index included, and the ids of its rows.
    pub fn work(&self, tenant: &str, pages: &[ListStatement]) -> (u64, Vec<String>) {
        let steps = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&steps);
        let count = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            false
        };
        self.db.progress_handler(1, Some(count));
        let found = self.rows(tenant, pages).into_iter().map(|row| row.id).collect();
        self.db.progress_handler(0, None::<fn() -> bool>);
        (steps.load(Ordering::Relaxed), found)
    }

    /// Puts a record there, or in the place of the one of its id.
    pub fn put(&self, tenant: &str, item: &Item) {
        let sql = "INSERT INTO records (tenant_id, collection, id, version, status, data, created_at, updated_at, deleted_at, created_by, updated_by, index_revision, words) VALUES (?1, 'items', ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 1, ?11) ON CONFLICT (tenant_id, collection, id) DO UPDATE SET version = excluded.version, status = excluded.status, data = excluded.data, updated_at = excluded.updated_at, deleted_at = excluded.deleted_at, updated_by = excluded.updated_by, words = excluded.words";
        let words = words::of_record(&words::searched(&collection().schema), &item.fields);
        let words = words.filter(|_| !item.is_of_before());
        let mut data = item.fields.clone();
        data.insert("owner".into(), tenant.into());
        let deleted = item.deleted.then_some(item.updated_at);
        let mut statement = self.db.prepare_cached(sql).unwrap();
        let (data, times) = (Value::Object(data).to_string(), (item.created_at, item.updated_at));
        statement
            .execute((
                tenant,
                &item.id,
                item.version,
                item.status,
                data,
                times.0,
                times.1,
                deleted,
                item.created_by,
                item.updated_by,
                words,
            ))
            .unwrap();
    }

    /// Removes a record for ever.
    pub fn remove(&self, tenant: &str, id: &str) {
        let sql = "DELETE FROM records WHERE tenant_id = ?1 AND collection = 'items' AND id = ?2";
        self.db.prepare_cached(sql).unwrap().execute([tenant, id]).unwrap();
    }

    /// The rows of a page; each is the tenant's. One statement at most gives any.
    pub fn rows(&self, tenant: &str, pages: &[ListStatement]) -> Vec<Listed> {
        let each = pages.iter().map(|page| self.rows_of(tenant, page));
        let some: Vec<Vec<Listed>> = each.filter(|rows| !rows.is_empty()).collect();
        assert!(some.len() <= 1, "{pages:?}");
        some.into_iter().flatten().collect()
    }

    fn rows_of(&self, tenant: &str, page: &ListStatement) -> Vec<Listed> {
        let mut statement = self.db.prepare_cached(page.text()).unwrap_or_else(|error| panic!("{page:?}: {error}"));
        bind(&mut statement, tenant, page.args());
        let mut rows = statement.raw_query();
        let mut listed = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let data: Map<String, Value> = serde_json::from_str(&row.get::<_, String>("data").unwrap()).unwrap();
            assert_eq!(data["owner"], tenant, "{page:?}");
            listed.push(Listed {
                id: row.get("id").unwrap(),
                status: row.get("status").unwrap(),
                version: row.get("version").unwrap(),
                created_at: row.get("created_at").unwrap(),
                updated_at: row.get("updated_at").unwrap(),
                sort_1: shown(row.get_ref("sort_1").unwrap()),
                sort_2: shown(row.get_ref("sort_2").unwrap()),
                mark: RowMark {
                    matches: row.get::<_, Option<i64>>("matches").unwrap() == Some(1),
                    scanned: row.get("scanned").unwrap(),
                    page_rows: row.get("page_rows").unwrap(),
                },
            });
        }
        listed
    }

    /// How many records there are, and whether there may be more.
    pub fn total(&self, tenant: &str, counts: &[ReadStatement]) -> (i64, bool) {
        let (mut all, mut is_cut) = (0, false);
        for count in counts {
            let (text, args) = match count {
                ReadStatement::Constant(sql, args) => (sql.text(), args.as_slice()),
                ReadStatement::List(composed) => (composed.text(), composed.args()),
            };
            let mut statement = self.db.prepare_cached(text).unwrap();
            bind(&mut statement, tenant, args);
            let mut rows = statement.raw_query();
            let row = rows.next().unwrap().unwrap();
            all += row.get::<_, i64>("total").unwrap();
            is_cut |= row.get::<_, bool>("is_cut").unwrap();
        }
        (all, is_cut)
    }

    /// How many steps SQLite's machine takes for statements, and how many rows they give.
    pub fn cost(&self, tenant: &str, statements: &[ListStatement]) -> (i32, usize) {
        let (mut steps, mut given) = (0, 0);
        for composed in statements {
            let mut statement = self.db.prepare(composed.text()).unwrap();
            bind(&mut statement, tenant, composed.args());
            let mut rows = statement.raw_query();
            while rows.next().unwrap().is_some() {
                given += 1;
            }
            drop(rows);
            steps += statement.get_status(StatementStatus::VmStep);
        }
        (steps, given)
    }
}

/// Binds as D1 does: every number is a double.
fn bind(statement: &mut Statement, tenant: &str, args: &[Arg]) {
    let bound = std::iter::once(Stored::Text(tenant.to_owned())).chain(args.iter().map(|arg| match arg {
        Arg::Text(text) => Stored::Text(text.clone()),
        Arg::Integer(number) => Stored::Real(*number as f64),
        Arg::Real(number) => Stored::Real(*number),
        Arg::Null => Stored::Null,
    }));
    for (i, value) in bound.enumerate() {
        statement.raw_bind_parameter(i + 1, value).unwrap();
    }
}

/// A value as it comes through JSON.
fn shown(value: ValueRef) -> Value {
    let json = match value {
        ValueRef::Null => return Value::Null,
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) if number.fract() == 0.0 && number.abs() < 1e15 => format!("{number:.0}"),
        ValueRef::Real(number) => Value::from(number).to_string(),
        ValueRef::Text(text) => return std::str::from_utf8(text).unwrap().into(),
        ValueRef::Blob(_) => panic!("a blob"),
    };
    serde_json::from_str(&json).unwrap()
}
