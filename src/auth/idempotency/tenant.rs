//! A creation in a tenant, done once: under an `Idempotency-Key` the first answer is given again for 24 hours.
//!
//! Invariants
//! - The answer is kept in the batch of the creation: both are there or neither.
//! - It is sealed under the tenant's data key, for it may show a secret once.
//! - A key counts for its operation and principal only; another body under it is refused.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::platform::{KEPT_MILLIS, Presented};
use crate::auth::principal::Member;
use crate::auth::rules;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::bindings::SystemClock;
use crate::storage::row::row_types;
use crate::storage::sealed::Place;
use crate::storage::sql::{Arg, TenantSql};
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::{TenantBatch, TenantDb};
use crate::tenant::secrets::{self, Secrets};
use domain::clock::{Clock, Timestamp};

statements! { TenantSql;
    /// What was answered under a key.
    FIND = "SELECT fingerprint, sealed FROM idempotency_keys WHERE tenant_id = ?1 AND scope = ?2 AND key_digest = ?3 AND created_at > ?4";
    /// Forgets what was kept long enough.
    FORGET = "DELETE FROM idempotency_keys WHERE tenant_id = ?1 AND created_at <= ?2";
    /// Keeps an answer; fails the batch if one is there.
    KEEP = "INSERT INTO idempotency_keys (tenant_id, scope, key_digest, fingerprint, sealed, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
}

row_types! {
    struct KeptRow {
        fingerprint: String,
        sealed: String,
    }
}

/// What a creation made.
#[derive(Serialize, Deserialize)]
pub struct Made {
    /// The answer's data.
    pub data: Value,
    /// Where it is from now on; empty where there is no one place.
    pub location: String,
}

impl Made {
    fn answer(&self, tenant: &str, replayed: bool) -> Result<Response, Problem> {
        let answer = match self.location.as_str() {
            "" => Response::json(200, &self.data, Some(tenant))?,
            location => Response::json(201, &self.data, Some(tenant))?.header("Location", location),
        };
        Ok(if replayed { answer.header("Idempotent-Replayed", "true") } else { answer })
    }
}

/// A creation that was asked for.
pub enum Creation {
    /// It is to be done.
    New(Pending),
    /// It was done before; this was the answer.
    Done(Response),
}

/// A creation that is to be done.
pub struct Pending {
    tenant: String,
    keyed: Option<Keyed>,
}

/// A creation that is written.
pub struct Written {
    /// What to answer.
    pub answer: Response,
    /// Whether this request wrote it; else one with the same key was faster.
    pub is_first: bool,
}

struct Keyed {
    presented: Presented,
    scope: String,
    secrets: Rc<Secrets>,
    now: Timestamp,
}

impl Creation {
    /// Reads the request's key, and what was answered under it; 422 if that was to another body. The operation says
    /// what is created, and in what where there are several.
    pub async fn begin(
        request: &Request<Member>,
        rows: &TenantDb,
        operation: &str,
        body: &Map<String, Value>,
    ) -> Result<Self, Problem> {
        let tenant = request.caller.tenant.to_string();
        let body = Value::Object(body.clone());
        let Some(presented) = Presented::read(&request.incoming, &request.caller.actor(), &body)? else {
            return Ok(Self::New(Pending { tenant, keyed: None }));
        };
        let secrets = secrets::load(&request.bindings, &tenant).await?;
        let keyed = Keyed { presented, scope: operation.to_owned(), secrets, now: SystemClock.now() };
        match keyed.find(rows, &tenant).await? {
            Some(made) => made.answer(&tenant, true).map(Self::Done),
            None => Ok(Self::New(Pending { tenant, keyed: Some(keyed) })),
        }
    }
}

impl Pending {
    /// Writes it, and answers.
    pub async fn commit(self, rows: &TenantDb, batch: TenantBatch<'_>, made: Made) -> Result<Written, Problem> {
        let outcome = rules::commit(batch.add_all(self.keeping(&made)?)).await;
        if outcome.is_err()
            && let Some(answer) = self.earlier(rows).await?
        {
            return Ok(Written { answer, is_first: false });
        }
        outcome?;
        Ok(Written { answer: self.answer(&made)?, is_first: true })
    }

    /// The statements that keep the answer, for the batch of the creation.
    pub fn keeping(&self, made: &Made) -> Result<Vec<(TenantSql, Vec<Arg>)>, Problem> {
        self.keyed.as_ref().map_or_else(|| Ok(Vec::new()), |keyed| keyed.keep(&self.tenant, made))
    }

    /// What was answered meanwhile: whoever sent the same key at the same time may have been first.
    pub async fn earlier(&self, rows: &TenantDb) -> Result<Option<Response>, Problem> {
        let Some(keyed) = &self.keyed else { return Ok(None) };
        let first = keyed.find(rows, &self.tenant).await?;
        first.map(|made| made.answer(&self.tenant, true)).transpose()
    }

    /// The answer, the first time.
    pub fn answer(&self, made: &Made) -> Result<Response, Problem> {
        made.answer(&self.tenant, false)
    }
}

impl Keyed {
    async fn find(&self, rows: &TenantDb, tenant: &str) -> Result<Option<Made>, Problem> {
        let since = self.now.millis() - KEPT_MILLIS;
        let args = args![self.scope.as_str(), self.presented.key.as_str(), since];
        let Some(row) = rows.row::<KeptRow>(&FIND, args).await? else { return Ok(None) };
        self.presented.check(&row.fingerprint)?;
        let json = self.secrets.data_key()?.open(&self.place(tenant), &row.sealed).map_err(problem::internal)?;
        serde_json::from_slice(&json).map(Some).map_err(problem::internal)
    }

    fn keep(&self, tenant: &str, made: &Made) -> Result<Vec<(TenantSql, Vec<Arg>)>, Problem> {
        let json = serde_json::to_vec(made).map_err(problem::internal)?;
        let sealed = self.secrets.data_key()?.seal(&self.place(tenant), &json).map_err(problem::internal)?;
        let Presented { key, fingerprint } = &self.presented;
        let now = self.now.millis();
        let keep = args![self.scope.as_str(), key.as_str(), fingerprint.as_str(), sealed, now];
        Ok(vec![(FORGET, args![now - KEPT_MILLIS]), (KEEP, keep)])
    }

    fn place<'a>(&'a self, tenant: &'a str) -> Place<'a> {
        Place { owner: tenant, table: "idempotency_keys", column: &self.scope, row: &self.presented.key }
    }
}
