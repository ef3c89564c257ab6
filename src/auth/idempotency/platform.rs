//! Creations by operators: the response is stored in CONTROL, sealed under the platform's key.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{CreateOrReplay, IdempotencyKey, RETENTION_MILLIS, StoredResponseRow, replayed};
use crate::auth::principal::Operator;
use crate::http::problem::Problem;
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::bindings::Bindings;
use crate::storage::control_db::ControlDb;
use crate::storage::sql::{Arg, ControlSql, StorageError};
use crate::storage::sql::{args, statements};
use domain::clock::Timestamp;

statements! { ControlSql;
    /// The response that is stored under a key.
    FIND = "SELECT fingerprint, sealed FROM idempotency_keys WHERE scope = ?1 AND key_digest = ?2 AND created_at > ?3";
    /// Stores a response; fails the batch if one is there.
    KEEP = "INSERT INTO idempotency_keys (scope, key_digest, fingerprint, sealed, created_at) VALUES (?1, ?2, ?3, ?4, ?5)";
}

/// The owner that platform responses are sealed for.
const OWNER: &str = "platform";

/// What an operator's creation made.
#[derive(Debug, Serialize, Deserialize)]
pub struct PlatformResource {
    /// The response's `data`; its `tenant_id`, or else its `id`, is the end of the resource's path.
    pub data: Value,
    /// The resource's entity tag; empty if it has none.
    pub etag: String,
}

/// An operator's creation that has to be done.
pub struct PlatformCreate<'a> {
    bindings: &'a Bindings,
    db: &'a ControlDb,
    now: Timestamp,
    collection: &'static str,
    key: Option<IdempotencyKey>,
}

impl<'a> PlatformCreate<'a> {
    /// Reads the request's key and the response that is stored under it; 422 if that belongs to another body.
    /// `operation` says what is created, `collection` is the path it is created in.
    pub async fn begin(
        request: &'a Request<Operator>,
        db: &'a ControlDb,
        operation: &'static str,
        collection: &'static str,
        body: &Map<String, Value>,
    ) -> Result<CreateOrReplay<Self>, Problem> {
        let key = IdempotencyKey::read(&request.incoming, operation, &request.caller.actor(), body)?;
        let create = Self { bindings: &request.bindings, db, now: request.now(), collection, key };
        Ok(match create.replay().await? {
            Some(response) => CreateOrReplay::Done(response),
            None => CreateOrReplay::New(create),
        })
    }

    /// Commits the creation together with its response. `taken` is the problem of a constraint that does not hold.
    pub async fn commit(
        self,
        mut batch: Vec<(ControlSql, Vec<Arg>)>,
        created: PlatformResource,
        taken: fn() -> Problem,
    ) -> Result<Response, Problem> {
        batch.extend(self.store(&created)?);
        match self.db.batch(batch).await {
            Ok(_) => self.respond(&created),
            Err(StorageError::Constraint(_)) => self.replay().await?.ok_or_else(taken),
            Err(error) => Err(error.into()),
        }
    }

    /// The statement that stores the response, for the batch of the creation; none without a key.
    pub fn store(&self, created: &PlatformResource) -> Result<Option<(ControlSql, Vec<Arg>)>, Problem> {
        let Some(key) = &self.key else { return Ok(None) };
        let sealed = key.seal(OWNER, created, |place, json| self.bindings.settings.keys.seal(place, json))?;
        let IdempotencyKey { scope, digest, fingerprint } = key;
        let now = self.now.millis();
        Ok(Some((KEEP, args![scope.as_str(), digest.as_str(), fingerprint.as_str(), sealed, now])))
    }

    /// The response that is stored under the request's key, if there is one.
    pub async fn replay(&self) -> Result<Option<Response>, Problem> {
        let Some(key) = &self.key else { return Ok(None) };
        let args = args![key.scope.as_str(), key.digest.as_str(), self.now.millis() - RETENTION_MILLIS];
        let Some(row) = self.db.row::<StoredResponseRow>(&FIND, args).await? else { return Ok(None) };
        let created = key.open(OWNER, &row, |place, sealed| self.bindings.settings.keys.open(place, sealed))?;
        self.respond(&created).map(replayed).map(Some)
    }

    /// The first response: 201, with the path of what was made.
    pub fn respond(&self, created: &PlatformResource) -> Result<Response, Problem> {
        let text = |name: &str| created.data.get(name).and_then(Value::as_str);
        let tenant = text("tenant_id");
        let location = format!("{}/{}", self.collection, tenant.or_else(|| text("id")).unwrap_or_default());
        let response = Response::json(201, &created.data, tenant)?.header("Location", location);
        Ok(if created.etag.is_empty() { response } else { response.header("ETag", &created.etag) })
    }
}
