use carillon::records::words;
use domain::words::Search;
use rusqlite::{Connection, ToSql, params_from_iter};
use serde_json::{Value, json};

use crate::statements::{migrated, tables};

/// What a write came to: whether there was such a record, or why it was refused.
pub type Done = Result<bool, String>;

/// A shard in memory, with two tenants that hold the same records under the same ids.
pub struct Shard {
    pub db: Connection,
    others: Vec<String>,
}

impl Shard {
    pub fn new() -> Self {
        let db = migrated("migrations/tenant");
        db.execute_batch(
            "PRAGMA foreign_keys = ON;
             CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab(main, record_search, instance)",
        )
        .unwrap();
        let mut shard = Self { db, others: Vec::new() };
        // Comes first wherever a condition is forgotten, and is otherwise than what follows.
        let first = Tenant { db: &shard.db, id: "a" };
        for collection in ["people", "posts"] {
            first.collection(collection, "");
            for id in ["ada", "bob", "first"] {
                first.insert(collection, id, json!({})).unwrap();
                first.soft_delete(collection, id).unwrap();
            }
        }
        for tenant in [shard.acme(), shard.other()] {
            tenant.collection("a", "");
            tenant.collection("people", "live, public_read");
            tenant.field("people", "email", "is_indexed, is_unique", None);
            tenant.field("people", "name", "is_searched", None);
            tenant.collection("posts", "live, versioned");
            tenant.field("posts", "title", "is_indexed, is_searched", None);
            tenant.field("posts", "tags", "is_indexed, is_searched", None);
            tenant.field("posts", "score", "is_indexed", None);
            tenant.field("posts", "done", "is_indexed", None);
            tenant.field("posts", "author", "is_indexed", Some("people"));
            tenant.field("posts", "near", "is_indexed", Some("posts"));
            tenant.insert("people", "ada", json!({"email": "ada@x.example", "name": "Ada Lovelace"})).unwrap();
            tenant.insert("people", "bob", json!({"email": "bob@x.example", "name": "Bob"})).unwrap();
            tenant.insert("posts", "first", json!({"title": "First of all", "author": "bob"})).unwrap();
        }
        shard.others = shard.other().everything();
        shard
    }

    /// The tenant that a test writes.
    pub fn acme(&self) -> Tenant<'_> {
        Tenant { db: &self.db, id: "acme" }
    }

    /// The tenant that it must not touch.
    pub fn other(&self) -> Tenant<'_> {
        Tenant { db: &self.db, id: "other" }
    }

    /// Nothing of the other tenant changed, and no word is left without its record.
    pub fn keeps_the_other(&self) {
        assert_eq!(self.other().everything(), self.others);
        let orphans = "SELECT count(*) FROM temp.vocabulary WHERE doc NOT IN (SELECT number FROM records)";
        assert_eq!(self.db.query_row(orphans, [], |row| row.get::<_, i64>(0)).unwrap(), 0, "words without a record");
    }
}

/// One tenant's rows.
pub struct Tenant<'a> {
    pub db: &'a Connection,
    pub id: &'static str,
}

impl Tenant<'_> {
    fn write(&self, sql: &str, args: &[&dyn ToSql]) -> Done {
        let args = std::iter::once(&self.id as &dyn ToSql).chain(args.iter().copied());
        let written = self.db.execute(sql, params_from_iter(args));
        written.map(|rows| rows > 0).map_err(|error| error.to_string())
    }

    /// The rows of a statement whose `?1` is the tenant, each as the text of its one column.
    pub fn list(&self, sql: &str) -> Vec<String> {
        let mut statement = self.db.prepare_cached(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        statement.query_map([self.id], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    pub fn collection(&self, slug: &str, switches: &str) {
        let on = |switch: &str| i64::from(switches.split(", ").any(|on| on == switch));
        let sql = "INSERT INTO collections (tenant_id, slug, name, schema, statuses, versioned, soft_delete, live, public_read, files, revision, created_at, updated_at) VALUES (?1, ?2, '', '{}', 'null', ?3, 1, ?4, ?5, 0, 1, 1, 1)";
        self.write(sql, &[&slug, &on("versioned"), &on("live"), &on("public_read")]).unwrap();
        self.write("INSERT INTO collection_state (tenant_id, collection) VALUES (?1, ?2)", &[&slug]).unwrap();
    }

    /// The creation id of a collection.
    pub fn creation_id(&self, slug: &str) -> String {
        let sql = "SELECT creation_id FROM collections WHERE tenant_id = ?1 AND slug = ?2";
        self.db.query_row(sql, [self.id, slug], |row| row.get(0)).unwrap()
    }

    /// The creation id of a record.
    pub fn record_creation_id(&self, collection: &str, id: &str) -> String {
        let sql = "SELECT creation_id FROM records WHERE tenant_id = ?1 AND collection = ?2 AND id = ?3";
        self.db.query_row(sql, [self.id, collection, id], |row| row.get(0)).unwrap()
    }

    /// The creation ids of a collection and of one of its records, one behind the other.
    pub fn identity(&self, collection: &str, id: &str) -> String {
        self.creation_id(collection) + &self.record_creation_id(collection, id)
    }

    /// Deletes a collection with its records, and makes another one under its slug.
    pub fn make_again(&self, slug: &str, switches: &str) {
        for sql in [
            "DELETE FROM record_references WHERE tenant_id = ?1 AND (collection = ?2 OR target = ?2)",
            "DELETE FROM records WHERE tenant_id = ?1 AND collection = ?2",
            "DELETE FROM collection_fields WHERE tenant_id = ?1 AND target = ?2",
            "DELETE FROM collections WHERE tenant_id = ?1 AND slug = ?2",
        ] {
            self.write(sql, &[&slug]).unwrap();
        }
        self.collection(slug, switches);
    }

    pub fn field(&self, collection: &str, field: &str, kinds: &str, target: Option<&str>) {
        let on = |kind: &str| i64::from(kinds.split(", ").any(|on| on == kind));
        let sql = "INSERT INTO collection_fields (tenant_id, collection, field, is_indexed, is_unique, is_searched, target) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (tenant_id, collection, field) DO UPDATE SET is_indexed = excluded.is_indexed, is_unique = excluded.is_unique, is_searched = excluded.is_searched, target = excluded.target";
        let (indexed, unique, searched) = (on("is_indexed"), on("is_unique"), on("is_searched"));
        self.write(sql, &[&collection, &field, &indexed, &unique, &searched, &target]).unwrap();
    }

    pub fn insert(&self, collection: &str, id: &str, data: Value) -> Done {
        self.insert_as(collection, id, None, data)
    }

    pub fn insert_as(&self, collection: &str, id: &str, status: Option<&str>, data: Value) -> Done {
        let sql = "INSERT INTO records (tenant_id, collection, id, version, status, data, created_at, updated_at, created_by, updated_by, index_revision, words) VALUES (?1, ?2, ?3, 1, ?4, ?5, 1, 1, 'key:k', 'key:k', 1, ?6)";
        self.write(sql, &[&collection, &id, &status, &data.to_string(), &self.cut(collection, &data)])
    }

    pub fn update(&self, collection: &str, id: &str, data: Value) -> Done {
        let sql = "UPDATE records SET data = ?4, words = ?5, version = version + 1, updated_at = 2 WHERE tenant_id = ?1 AND collection = ?2 AND id = ?3 AND deleted_at IS NULL";
        self.write(sql, &[&collection, &id, &data.to_string(), &self.cut(collection, &data)])
    }

    pub fn set_status(&self, collection: &str, id: &str, status: Option<&str>) -> Done {
        let sql = "UPDATE records SET status = ?4, version = version + 1, updated_at = 2 WHERE tenant_id = ?1 AND collection = ?2 AND id = ?3 AND deleted_at IS NULL";
        self.write(sql, &[&collection, &id, &status])
    }

    pub fn soft_delete(&self, collection: &str, id: &str) -> Done {
        let sql = "UPDATE records SET deleted_at = 3, version = version + 1, updated_at = 3 WHERE tenant_id = ?1 AND collection = ?2 AND id = ?3 AND deleted_at IS NULL";
        self.write(sql, &[&collection, &id])
    }

    pub fn restore(&self, collection: &str, id: &str) -> Done {
        let sql = "UPDATE records SET deleted_at = NULL, version = version + 1, updated_at = 4 WHERE tenant_id = ?1 AND collection = ?2 AND id = ?3 AND deleted_at IS NOT NULL";
        self.write(sql, &[&collection, &id])
    }

    pub fn delete(&self, collection: &str, id: &str) -> Done {
        self.write("DELETE FROM records WHERE tenant_id = ?1 AND collection = ?2 AND id = ?3", &[&collection, &id])
    }

    /// Derives all records of a collection anew, as after a change of its declared fields.
    pub fn reindex(&self, collection: &str) -> Done {
        let each =
            format!("SELECT json_array(id, data) FROM records WHERE tenant_id = ?1 AND collection = '{collection}'");
        let words: serde_json::Map<String, Value> = self
            .list(&each)
            .iter()
            .map(|row| {
                let (id, data): (String, String) = serde_json::from_str(row).unwrap();
                (id, self.cut(collection, &serde_json::from_str(&data).unwrap()).into())
            })
            .collect();
        let sql = "UPDATE records SET index_revision = index_revision + 1, words = json_extract(?3, '$.\"' || id || '\"') WHERE tenant_id = ?1 AND collection = ?2";
        self.write(sql, &[&collection, &Value::from(words).to_string()])
    }

    /// From now on its records carry their words; those that are there get them.
    pub fn give_words(&self, collection: &str) {
        let sql = "UPDATE collection_state SET has_words = ?3 WHERE tenant_id = ?1 AND collection = ?2";
        // The job goes on.
        self.write(sql, &[&collection, &2]).unwrap();
        self.reindex(collection).unwrap();
        self.write(sql, &[&collection, &1]).unwrap();
    }

    fn searched(&self, collection: &str) -> Vec<String> {
        self.list(&format!("SELECT field FROM collection_fields WHERE tenant_id = ?1 AND collection = '{collection}' AND is_searched = 1 ORDER BY field"))
    }

    /// The words that the Worker writes with a record.
    pub fn cut(&self, collection: &str, data: &Value) -> Option<String> {
        let state = self.list(&format!(
            "SELECT has_words || '' FROM collection_state WHERE tenant_id = ?1 AND collection = '{collection}'"
        ));
        let searched = self.searched(collection);
        let searched: Vec<&str> = searched.iter().map(String::as_str).collect();
        data.as_object().filter(|_| state != ["0"]).and_then(|data| words::of_record(&searched, data))
    }

    /// What the database puts before each word of a collection.
    pub fn word_tag(&self, collection: &str) -> String {
        format!("z{}", &self.creation_id(collection)[16..])
    }

    /// Which records a search finds behind the collection's tag, of any tenant.
    pub fn found_tagged(&self, collection: &str, search: &str) -> Vec<String> {
        let sql = "SELECT tenant_id || ' ' || id FROM records WHERE number IN (SELECT rowid FROM record_search WHERE record_search MATCH ?1) ORDER BY 1";
        let mut statement = self.db.prepare_cached(sql).unwrap();
        let search = format!("words : ({})", Search::parse(search).unwrap().query(&self.word_tag(collection)));
        statement.query_map([search], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// Which records a word is found in, of any tenant: the search itself keeps to the scope.
    pub fn found(&self, collection: &str, word: &str) -> Vec<String> {
        let scope: String = format!("{}:{collection}", self.id).bytes().map(|byte| format!("{byte:02X}")).collect();
        let sql = "SELECT tenant_id || ' ' || id FROM records WHERE number IN (SELECT rowid FROM record_search WHERE record_search MATCH ?1) ORDER BY 1";
        let mut statement = self.db.prepare_cached(sql).unwrap();
        let search = format!("scope : x{scope} AND words : \"{word}\"");
        statement.query_map([search], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    /// The words of its records: of each the record's number, the column and the word.
    pub fn words(&self) -> Vec<String> {
        self.list("SELECT doc || ' ' || col || ' ' || term FROM temp.vocabulary WHERE doc IN (SELECT number FROM records WHERE tenant_id = ?1) ORDER BY 1")
    }

    /// Each of its rows in each table, and its words.
    pub fn everything(&self) -> Vec<String> {
        let mut rows = self.words();
        for table in tables(self.db) {
            let columns =
                format!("SELECT group_concat('quote(' || name || ')', '||'' ''||') FROM pragma_table_info('{table}')");
            let columns: String = self.db.query_row(&columns, [], |row| row.get(0)).unwrap();
            let sql = format!("SELECT '{table} ' || {columns} FROM {table} WHERE tenant_id = ?1 ORDER BY 1");
            rows.extend(self.list(&sql));
        }
        rows
    }
}
