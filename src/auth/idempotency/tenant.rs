//! Creations in a tenant: the response is stored on the tenant's shard, sealed under the tenant's data key.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{IdempotencyKey, RETENTION_MILLIS, StoredResponseRow, replayed};
use crate::auth::principal::Member;
use crate::auth::rules;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::bindings::SystemClock;
use crate::storage::sql::{Arg, TenantSql};
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::{TenantBatch, TenantDb};
use crate::tenant::secrets::{self, Secrets};
use domain::clock::{Clock, Timestamp};

statements! { TenantSql;
    /// The response that is stored under a key.
    FIND = "SELECT fingerprint, sealed FROM idempotency_keys WHERE tenant_id = ?1 AND scope = ?2 AND key_digest = ?3 AND created_at > ?4";
    /// The response that is stored under a key for the collection ?5, as it stands: none of an earlier collection of the
    /// slug. Of those that were stored without a creation id, one that is younger than the collection.
    FIND_IN = "SELECT k.fingerprint, k.sealed FROM collections c JOIN idempotency_keys k ON k.tenant_id = ?1 AND k.scope IN (?2, ?2 || '#' || c.creation_id) AND k.key_digest = ?3 WHERE c.tenant_id = ?1 AND c.slug = ?5 AND c.deleted_at IS NULL AND +k.created_at > ?4 AND (k.scope <> ?2 OR k.created_at >= c.created_at)";
    /// Deletes responses that were stored long enough.
    FORGET = "DELETE FROM idempotency_keys WHERE tenant_id = ?1 AND created_at <= ?2";
    /// Stores a response; fails the batch if one is there.
    KEEP = "INSERT INTO idempotency_keys (tenant_id, scope, key_digest, fingerprint, sealed, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    /// Stores a response for the collection ?7, as it stands; fails the batch if one is there.
    KEEP_IN = "INSERT INTO idempotency_keys (tenant_id, scope, key_digest, fingerprint, sealed, created_at) SELECT ?1, ?2 || '#' || c.creation_id, ?3, ?4, ?5, ?6 FROM collections c WHERE c.tenant_id = ?1 AND c.slug = ?7 AND c.deleted_at IS NULL";
}

/// A creation that was requested.
pub type Creation = super::CreateOrReplay<IdempotentCreate>;

/// What a creation made.
#[derive(Serialize, Deserialize)]
pub struct CreatedResource {
    /// The response's `data`.
    pub data: Value,
    /// The resource's path; empty if there is no single one.
    pub location: String,
    /// Its entity tag, if the response carries it.
    #[serde(default)]
    pub etag: Option<String>,
}

impl CreatedResource {
    fn respond(&self, tenant: &str) -> Result<Response, Problem> {
        let response = match self.location.as_str() {
            "" => Response::json(200, &self.data, Some(tenant))?,
            location => Response::json(201, &self.data, Some(tenant))?.header("Location", location),
        };
        Ok(match &self.etag {
            Some(etag) => response.header("ETag", etag),
            None => response,
        })
    }
}

/// A creation that has to be done.
pub struct IdempotentCreate {
    tenant: String,
    key: Option<TenantKey>,
}

/// A creation that was done.
pub struct CreateOutcome {
    /// The response.
    pub response: Response,
    /// Whether this request did it; else one with the same key was faster.
    pub is_first: bool,
}

struct TenantKey {
    key: IdempotencyKey,
    /// The slug of the collection that it is for, if it is for one.
    collection: Option<String>,
    secrets: Rc<Secrets>,
    now: Timestamp,
}

impl Creation {
    /// Reads the request's key and the response that is stored under it; 422 if that belongs to another body.
    /// `operation` says what is created.
    pub async fn begin(
        request: &Request<Member>,
        rows: &TenantDb,
        operation: &str,
        body: &Map<String, Value>,
    ) -> Result<Self, Problem> {
        Self::begin_for(request, rows, operation, None, body).await
    }

    /// The same for what is created in a collection. A key that was used in an earlier collection of the slug is free.
    pub async fn begin_in(
        request: &Request<Member>,
        rows: &TenantDb,
        operation: &str,
        slug: &str,
        body: &Map<String, Value>,
    ) -> Result<Self, Problem> {
        Self::begin_for(request, rows, &format!("{operation} {slug}"), Some(slug.to_owned()), body).await
    }

    async fn begin_for(
        request: &Request<Member>,
        rows: &TenantDb,
        scope: &str,
        collection: Option<String>,
        body: &Map<String, Value>,
    ) -> Result<Self, Problem> {
        let tenant = request.caller.tenant.to_string();
        let key = IdempotencyKey::read(&request.incoming, scope, &request.caller.actor(), body)?;
        let Some(key) = key else { return Ok(Self::New(IdempotentCreate { tenant, key: None })) };
        let secrets = secrets::load(&request.bindings, &tenant).await?;
        let key = TenantKey { key, collection, secrets, now: SystemClock.now() };
        match key.find(rows, &tenant).await? {
            Some(created) => created.respond(&tenant).map(replayed).map(Self::Done),
            None => Ok(Self::New(IdempotentCreate { tenant, key: Some(key) })),
        }
    }
}

impl IdempotentCreate {
    /// Commits the creation together with its response.
    pub async fn commit(
        self,
        rows: &TenantDb,
        batch: TenantBatch<'_>,
        created: CreatedResource,
    ) -> Result<CreateOutcome, Problem> {
        let outcome = rules::commit(batch.add_all(self.store(&created)?)).await;
        if outcome.is_err()
            && let Some(response) = self.replay(rows).await?
        {
            return Ok(CreateOutcome { response, is_first: false });
        }
        outcome?;
        Ok(CreateOutcome { response: self.respond(&created)?, is_first: true })
    }

    /// The statements that store the response, for the batch of the creation; none without a key.
    pub fn store(&self, created: &CreatedResource) -> Result<Vec<(TenantSql, Vec<Arg>)>, Problem> {
        self.key.as_ref().map_or_else(|| Ok(Vec::new()), |key| key.store(&self.tenant, created))
    }

    /// The response to a request with the same key that was faster than this one, if there was one.
    pub async fn replay(&self, rows: &TenantDb) -> Result<Option<Response>, Problem> {
        let Some(key) = &self.key else { return Ok(None) };
        let first = key.find(rows, &self.tenant).await?;
        first.map(|created| created.respond(&self.tenant).map(replayed)).transpose()
    }

    /// The first response.
    pub fn respond(&self, created: &CreatedResource) -> Result<Response, Problem> {
        created.respond(&self.tenant)
    }
}

impl TenantKey {
    async fn find(&self, rows: &TenantDb, tenant: &str) -> Result<Option<CreatedResource>, Problem> {
        let since = self.now.millis() - RETENTION_MILLIS;
        let mut args = args![self.key.scope.as_str(), self.key.digest.as_str(), since];
        let find = if let Some(slug) = &self.collection {
            args.extend(args![slug.as_str()]);
            FIND_IN
        } else {
            FIND
        };
        let Some(row) = rows.row::<StoredResponseRow>(&find, args).await? else { return Ok(None) };
        let data_key = self.secrets.data_key()?;
        self.key.open(tenant, &row, |place, sealed| data_key.open(place, sealed)).map(Some)
    }

    fn store(&self, tenant: &str, created: &CreatedResource) -> Result<Vec<(TenantSql, Vec<Arg>)>, Problem> {
        let data_key = self.secrets.data_key()?;
        let sealed = self.key.seal(tenant, created, |place, json| data_key.seal(place, json))?;
        let IdempotencyKey { scope, digest, fingerprint } = &self.key;
        let now = self.now.millis();
        let mut keep = args![scope.as_str(), digest.as_str(), fingerprint.as_str(), sealed, now];
        let statement = if let Some(slug) = &self.collection {
            keep.extend(args![slug.as_str()]);
            KEEP_IN
        } else {
            KEEP
        };
        Ok(vec![(FORGET, args![now - RETENTION_MILLIS]), (statement, keep)])
    }
}
