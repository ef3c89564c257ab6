//! Health checks of D1, KV and R2: each must answer, and each database must have its tables.

use super::bindings::Bindings;
use super::r2::Bucket;
use super::sql::StorageError;

/// Checks all of them; gives each one's name and what went wrong.
pub async fn all(bindings: &Bindings) -> Vec<(String, Result<(), String>)> {
    let mut outcomes = vec![
        ("control".to_owned(), table(bindings, "CONTROL", "SELECT 1 FROM tenants LIMIT 1").await),
        ("kv".to_owned(), kv(bindings).await),
        ("media".to_owned(), media(bindings).await),
    ];
    for shard in &bindings.settings.shards {
        let outcome = table(bindings, shard, "SELECT 1 FROM tenant_fence LIMIT 1").await;
        outcomes.push((shard.to_ascii_lowercase(), outcome));
    }
    outcomes
}

async fn table(bindings: &Bindings, database: &str, sql: &'static str) -> Result<(), String> {
    let db = bindings.d1(database).map_err(|e: StorageError| e.to_string())?;
    db.rows(sql, Vec::new()).await.map(drop).map_err(|e| e.to_string())
}

async fn kv(bindings: &Bindings) -> Result<(), String> {
    let store = bindings.kv().map_err(|e| e.to_string())?;
    store.get("health").text().await.map(drop).map_err(|e| e.to_string())
}

async fn media(bindings: &Bindings) -> Result<(), String> {
    let bucket = Bucket::open(bindings).map_err(|e| e.to_string())?;
    bucket.probe().await.map_err(|e| e.to_string())
}
