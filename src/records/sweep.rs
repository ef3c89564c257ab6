//! Deletes unreferenced objects: files that were replaced or deleted, and uploads that failed.
//!
//! Invariants
//! - An object is claimed in its row before its bytes are deleted, and the row is deleted after them: an interrupted sweep
//!   is resumed by the next.
//! - A claimed object is not a record's file and can no longer become one (`upload.rs`).

use serde_json::Value;

use crate::http::problem::Problem;
use crate::http::request::Background;
use crate::log;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::keys::ObjectKey;
use crate::storage::r2::Bucket;
use crate::storage::rest::rest_since;
use crate::storage::row::row_types;
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;
use domain::clock::Clock;
use domain::turns::{Outcome, Turn};

statements! { TenantSql;
    /// Claims some objects that are due at ?2, and those that an interrupted sweep claimed.
    CLAIM = "UPDATE unreferenced_objects SET is_claimed = 1 WHERE tenant_id = ?1 AND object IN (SELECT object FROM unreferenced_objects WHERE tenant_id = ?1 AND due_at <= ?2 LIMIT ?3) RETURNING object";
    /// Deletes the rows of the objects of the JSON ?2, whose bytes are deleted.
    FORGET = "DELETE FROM unreferenced_objects WHERE tenant_id = ?1 AND object IN (SELECT j.value FROM json_each(?2) j)";
}

/// Objects of one step; R2 deletes at most 1,000 at once.
const CHUNK: i64 = 200;
/// Most steps of one sweep, and its longest time in milliseconds.
const STEPS: u32 = 50;
const MILLIS: i64 = 5_000;

row_types! {
    struct ObjectRow {
        object: String,
    }
}

/// Deletes a tenant's unreferenced objects that are due; gives their number, and whether some are left.
pub async fn sweep(bindings: &Bindings, rows: &TenantDb) -> Result<(usize, Outcome), Problem> {
    let bucket = Bucket::open(bindings)?;
    let (mut swept, mut turn) = (0, Turn::new(STEPS, MILLIS, SystemClock.now()));
    loop {
        let now = SystemClock.now();
        if !turn.take_step(now) {
            return Ok((swept, Outcome::More));
        }
        let claimed = rows.write().add(CLAIM, args![now.millis(), CHUNK]).commit().await?;
        let claimed = claimed.into_iter().next_back().unwrap_or_default().read::<ObjectRow>()?;
        let objects: Vec<String> = claimed.into_iter().map(|row| row.object).collect();
        if objects.is_empty() {
            return Ok((swept, Outcome::Done));
        }
        delete(&bucket, rows, &objects).await?;
        swept += objects.len();
        rest_since(now).await;
    }
}

/// Deletes objects that no record's file names or can come to name.
pub(super) async fn delete(bucket: &Bucket, rows: &TenantDb, objects: &[String]) -> Result<(), Problem> {
    let keys: Vec<ObjectKey> = objects.iter().map(|object| ObjectKey::of(rows.tenant(), object)).collect();
    bucket.delete(&keys).await?;
    rows.write().add(FORGET, args![Value::from(objects).to_string()]).commit().await?;
    Ok(())
}

/// Sweeps after the response; a failure is logged.
pub fn behind(background: &Background, bindings: &Bindings, rows: TenantDb) {
    let bindings = bindings.clone();
    background.spawn(async move {
        if let Err(problem) = sweep(&bindings, &rows).await {
            log::fault("sweep", problem.cause.as_deref().unwrap_or(problem.code));
        }
    });
}
