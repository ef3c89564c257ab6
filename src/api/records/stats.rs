//! `GET /api/v1/tenants/{tenant_id}/stats`: a tenant's counts of records by collection and status, and its cache's hit rate.

use serde_json::{Map, Value};

use crate::auth::principal::Member;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::hub::client::HubClient;
use crate::hub::protocol::Inspect;
use crate::records::cache::{self, CacheGeneration};
use crate::storage::keys::KvKey;
use crate::storage::row::row_types;
use crate::storage::sql::statements;
use domain::json;

statements! { TenantSql;
    /// The generations of all collections, in one text.
    GENERATION = "SELECT (SELECT group_concat(g.one, ' ') FROM (SELECT c.creation_id || '.' || s.generation AS one FROM collections c JOIN collection_state s ON s.tenant_id = ?1 AND s.collection = c.slug WHERE c.tenant_id = ?1 ORDER BY c.slug) g) AS records, (SELECT count(*) FROM users WHERE tenant_id = ?1) AS users";
    /// How many records there are, by collection and status.
    COUNTS = "SELECT collection, status, records FROM record_counts WHERE tenant_id = ?1 AND records > 0 ORDER BY collection, status";
}

row_types! {
    struct GenerationRow {
        records: Option<String>,
        users: i64,
    }
    struct CountsRow {
        collection: String,
        status: String,
        records: i64,
    }
}

/// `GET /api/v1/tenants/{tenant_id}/stats`
pub async fn stats(request: Request<Member>) -> Result<Response, Problem> {
    let tenant = &request.caller.tenant;
    if !tenant.is_named_by(&request.path_tenant()?) {
        return Err(problem::tenant_not_found().crossing_tenants());
    }
    let rows = request.caller.rows(&request.bindings)?;
    let now = rows.row::<GenerationRow>(&GENERATION, Vec::new()).await?;
    let (records, users) = now.map_or((None, 0), |row| (row.records, row.users));
    let generation = CacheGeneration::of_several(&records.unwrap_or_default());
    let key = KvKey::stats(tenant);
    let cached = cache::find(&request.bindings, tenant, &key, &generation).await;
    let from_cache = cached.is_some();
    let collections = match cached.and_then(|body| serde_json::from_str(&body).ok()) {
        Some(collections) => collections,
        None => by_collection(rows.rows::<CountsRow>(&COUNTS, Vec::new()).await?),
    };
    if !from_cache {
        let (bindings, tenant, body) =
            (request.bindings.clone(), tenant.clone(), Value::from(collections.clone()).to_string());
        request.background.spawn(async move { cache::store(&bindings, &tenant, &key, generation, &body).await });
    }
    let records: i64 = collections.values().filter_map(|one| one.get("total")?.as_i64()).sum();
    let data = json!({
        "records": records, "users": users, "collections": collections, "cache": cache_hit_rate(&request).await?,
    });
    Ok(Response::json(200, &data, Some(tenant.as_str()))?.header("X-Cache", if from_cache { "HIT" } else { "MISS" }))
}

/// `{collection: {total, by_status}}`
fn by_collection(counts: Vec<CountsRow>) -> Map<String, Value> {
    let mut collections = Map::new();
    for CountsRow { collection, status, records } in counts {
        let one = collections.entry(collection).or_insert_with(|| json!({ "total": 0, "by_status": {} }));
        let total = one.get("total").and_then(Value::as_i64).unwrap_or(0) + records;
        let Value::Object(members) = one else { continue };
        members.insert("total".into(), total.into());
        if let Some(Value::Object(by_status)) = members.get_mut("by_status").filter(|_| !status.is_empty()) {
            by_status.insert(status, records.into());
        }
    }
    collections
}

/// The cache's hits and misses, as far as isolates have reported them to the hub.
async fn cache_hit_rate(request: &Request<Member>) -> Result<Value, Problem> {
    let hub = HubClient::of(&request.bindings, &request.caller.tenant).map_err(problem::unavailable)?;
    let condition = hub.call(&Inspect {}).await.map_err(problem::unavailable)?;
    let (hits, misses) = (condition.cache_hits, condition.cache_misses);
    #[allow(clippy::cast_precision_loss)]
    let rate = (hits + misses > 0).then(|| hits as f64 / (hits + misses) as f64);
    Ok(json!({ "hits": hits, "misses": misses, "hit_rate": rate }))
}
