//! Objects that no file names are deleted: what was replaced or deleted, and uploads that came to nothing.
//!
//! Invariants
//! - An object is claimed in its row before its bytes go, and its row goes after them: a sweep that stops half way is
//!   gone on with, by whoever comes next.
//! - A claimed object is no file's, and becomes none (`upload.rs`).

use serde_json::Value;

use crate::http::problem::Problem;
use crate::http::request::Background;
use crate::log;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::keys::ObjectKey;
use crate::storage::r2::Bucket;
use crate::storage::row::row_types;
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;
use domain::clock::Clock;

statements! { TenantSql;
    /// Claims some objects that are due at ?2; those that were claimed and are still there come again.
    CLAIM = "UPDATE unreferenced_objects SET is_claimed = 1 WHERE tenant_id = ?1 AND object IN (SELECT object FROM unreferenced_objects WHERE tenant_id = ?1 AND due_at <= ?2 LIMIT ?3) RETURNING object";
    /// Forgets the objects of the JSON ?2, whose bytes are gone.
    FORGET = "DELETE FROM unreferenced_objects WHERE tenant_id = ?1 AND object IN (SELECT j.value FROM json_each(?2) j)";
}

/// Objects that one step deletes: as many as R2 takes at once.
const CHUNK: i64 = 500;
/// Steps of one sweep.
const STEPS: usize = 20;

row_types! {
    struct ObjectRow {
        object: String,
    }
}

/// Deletes what is due of a tenant, in chunks; how many objects.
pub async fn sweep(bindings: &Bindings, rows: &TenantDb) -> Result<usize, Problem> {
    let bucket = Bucket::open(bindings)?;
    let mut swept = 0;
    for _ in 0..STEPS {
        let now = SystemClock.now().millis();
        let claimed = rows.write().add(CLAIM, args![now, CHUNK]).commit().await?;
        let claimed = claimed.into_iter().next_back().unwrap_or_default().read::<ObjectRow>()?;
        let objects: Vec<String> = claimed.into_iter().map(|row| row.object).collect();
        if objects.is_empty() {
            break;
        }
        delete(&bucket, rows, &objects).await?;
        swept += objects.len();
    }
    Ok(swept)
}

/// Deletes objects that are no file's and become none.
pub(super) async fn delete(bucket: &Bucket, rows: &TenantDb, objects: &[String]) -> Result<(), Problem> {
    let keys: Vec<ObjectKey> = objects.iter().map(|object| ObjectKey::of(rows.tenant(), object)).collect();
    bucket.delete(&keys).await?;
    rows.write().add(FORGET, args![Value::from(objects).to_string()]).commit().await?;
    Ok(())
}

/// Sweeps behind the answer.
pub fn behind(background: &Background, bindings: &Bindings, rows: TenantDb) {
    let bindings = bindings.clone();
    background.spawn(async move {
        if let Err(problem) = sweep(&bindings, &rows).await {
            log::fault("sweep", problem.cause.as_deref().unwrap_or(problem.code));
        }
    });
}
