//! The bytes that a tenant stores: its records with all that belongs to them, its files, its announcements that wait.
//!
//! Triggers count them in the transaction that writes them, for each collection in the row that holds its generation. A
//! recount checks that: it goes through the records by their ids while they are read and written, and triggers keep what it
//! has come to so far in step with what is written behind it. So it ends with the truth of that moment, which takes the
//! counter's place.
//!
//! Invariants
//! - A step is one transaction and may be repeated; how far it is, is stored. Cron resumes it.
//! - Where bytes are not counted yet, because the collection is from before, they bound nothing. Their count begins by itself.

use serde_json::Value;

use super::job;
use crate::http::problem::Problem;
use crate::log;
use crate::storage::bindings::SystemClock;
use crate::storage::rest::rest_since;
use crate::storage::row::row_types;
use crate::storage::sql::{Arg, TenantSql};
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;
use domain::clock::{Clock, Timestamp};
use domain::json;
use domain::plan::Limit;
use domain::turns::{Outcome, Turn};

statements! { TenantSql;
    /// What the tenant stores.
    USED = "SELECT records, files, outbox FROM tenant_storage WHERE tenant_id = ?1";
    /// The same by collection, and its recounts.
    BY_COLLECTION = "SELECT collection, bytes, recount_to IS NOT NULL AS is_running, recounted_at, recount_difference FROM collection_state WHERE tenant_id = ?1 ORDER BY collection LIMIT 200";
    /// Begins to recount each collection where that is not going on.
    BEGIN_RECOUNT = "UPDATE collection_state SET recount_to = '', recount_bytes = 0 WHERE tenant_id = ?1 AND recount_to IS NULL";
    /// The collections that are being recounted.
    RUNNING = "SELECT collection FROM collection_state WHERE tenant_id = ?1 AND recount_to IS NOT NULL ORDER BY collection LIMIT 200";
    /// Counts the next ?3 records of the collection ?2.
    COUNT_SOME = "UPDATE collection_state SET recount_to = n.last, recount_bytes = recount_bytes + n.bytes FROM (SELECT max(s.id) AS last, sum(s.bytes) AS bytes FROM (SELECT r.id, 500 + octet_length(r.data) + 2 * COALESCE(octet_length(r.words), 0) + COALESCE((SELECT sum(200 + COALESCE(octet_length(i.value), 0)) FROM record_index i WHERE i.tenant_id = ?1 AND i.collection = ?2 AND i.record_id = r.id), 0) + COALESCE((SELECT sum(100 + octet_length(v.data)) FROM record_past_versions v WHERE v.tenant_id = ?1 AND v.collection = ?2 AND v.record_id = r.id), 0) AS bytes FROM records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.id > (SELECT c.recount_to FROM collection_state c WHERE c.tenant_id = ?1 AND c.collection = ?2) ORDER BY r.id LIMIT ?3) s) n WHERE collection_state.tenant_id = ?1 AND collection_state.collection = ?2 AND n.last IS NOT NULL RETURNING recount_to AS id";
    /// Ends the recount behind the last record; ?3 is now.
    SETTLE = "UPDATE collection_state SET recount_difference = COALESCE(bytes - recount_bytes, 0), bytes = recount_bytes, recounted_at = ?3, recount_to = NULL WHERE tenant_id = ?1 AND collection = ?2 AND recount_to IS NOT NULL AND NOT EXISTS (SELECT 1 FROM records r WHERE r.tenant_id = ?1 AND r.collection = ?2 AND r.id > (SELECT c.recount_to FROM collection_state c WHERE c.tenant_id = ?1 AND c.collection = ?2)) RETURNING recount_difference AS difference";
    /// The tenant stores at most ?2 bytes.
    STORAGE_LEFT = "INSERT OR REPLACE INTO write_rules (tenant_id, has_storage_left) VALUES (?1, (SELECT records + files + outbox FROM tenant_storage WHERE tenant_id = ?1) <= ?2)";
}

/// Statements across the tenants of a shard.
pub mod due {
    use crate::storage::sql::statements;

    statements! { ShardSql;
        /// Tenants that may write and have collections to be recounted, not since ?1, but for those of whom the work ?2 is remembered.
        UNCOUNTED = "SELECT s.tenant_id FROM collection_state s JOIN tenant_fence f ON f.tenant_id = s.tenant_id AND f.mode = 'rw' WHERE s.recount_to IS NOT NULL AND COALESCE(s.recounted_at, 0) < ?1 AND NOT EXISTS (SELECT t.tenant_id FROM background_turns t WHERE t.tenant_id = s.tenant_id AND t.work = ?2) GROUP BY +s.tenant_id ORDER BY min(COALESCE(s.recounted_at, 0)), +s.tenant_id LIMIT ?3";
    }
}

row_types! {
    struct UsedRow {
        records: i64,
        files: i64,
        outbox: i64,
    }
    struct CollectionBytesRow {
        collection: String,
        bytes: Option<i64>,
        is_running: i64,
        recounted_at: Option<i64>,
        recount_difference: Option<i64>,
    }
    struct RunningRow {
        collection: String,
    }
    struct DifferenceRow {
        difference: i64,
    }
}

/// The rule that the tenant stores no more than its plan says, if it says something.
pub fn storage_left(limit: Limit) -> Option<(TenantSql, Vec<Arg>)> {
    let most = i64::try_from(limit.bound()?).unwrap_or(i64::MAX);
    Some((STORAGE_LEFT, args![most]))
}

/// Begins to recount all collections of the tenant.
pub fn begin_recount() -> (TenantSql, Vec<Arg>) {
    (BEGIN_RECOUNT, Vec::new())
}

/// What the tenant stores, as shown.
pub async fn shown(rows: &TenantDb, limit: Limit) -> Result<Value, Problem> {
    let used = rows.row::<UsedRow>(&USED, Vec::new()).await?;
    let UsedRow { records, files, outbox } = used.unwrap_or(UsedRow { records: 0, files: 0, outbox: 0 });
    let collections: Vec<CollectionBytesRow> = rows.rows(&BY_COLLECTION, Vec::new()).await?;
    let each = |one: CollectionBytesRow| {
        json!({
            "collection": one.collection,
            "bytes": one.bytes,
            "recount": {
                "state": match (one.is_running, one.recounted_at) {
                    (1, _) => "running",
                    (_, Some(_)) => "done",
                    _ => "none",
                },
                "at": one.recounted_at.map(Timestamp::from_millis),
                "difference": one.recount_difference,
            },
        })
    };
    Ok(json!({
        "limit_bytes": limit,
        "used_bytes": records + files + outbox,
        "records_bytes": records,
        "files_bytes": files,
        "waiting_bytes": outbox,
        "collections": collections.into_iter().map(each).collect::<Vec<_>>(),
    }))
}

/// Goes on with the tenant's recounts; the number of collections that are done, and whether something is left.
pub async fn recount(rows: &TenantDb, turn: &mut Turn) -> Result<(usize, Outcome), Problem> {
    let mut done = 0;
    for RunningRow { collection } in rows.rows::<RunningRow>(&RUNNING, Vec::new()).await? {
        loop {
            let began = SystemClock.now();
            if !turn.take_step(began) {
                return Ok((done, Outcome::More));
            }
            let slug = collection.as_str();
            let batch = rows.write().add(COUNT_SOME, args![slug, job::CHUNK]);
            let mut results = batch.add(SETTLE, args![slug, began.millis()]).commit().await?;
            if let Some(row) = results.pop().unwrap_or_default().first::<DifferenceRow>()? {
                if row.difference != 0 {
                    log::bytes_mended(rows.tenant().as_str(), slug, row.difference);
                }
                done += 1;
                break;
            }
            if results.pop().unwrap_or_default().is_empty() {
                // Somebody else has come to its end, or it is gone.
                break;
            }
            rest_since(began).await;
        }
    }
    Ok((done, Outcome::Done))
}
