//! `Idempotency-Key`: the first response to a creation is given again for 24 hours. It is stored sealed, in the
//! transaction of the creation itself: what a tenant's members create in its shard, what operators create in CONTROL.
//!
//! Invariants
//! - Either both the creation and its stored response exist, or neither.
//! - A key counts for its operation and its sender only: a response may show a secret once.
//! - The same key with another body is refused.
//!
//! This file reads and seals; `tenant` and `platform` know the two tables.

pub mod platform;
pub mod tenant;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::credentials::signature::digest;
use crate::http::incoming::Incoming;
use crate::http::problem::{self, Problem};
use crate::http::response::Response;
use crate::storage::row::row_types;
use crate::storage::sealed::{SealContext, Unsealable};
use domain::error::Invalid;

/// How long a response is stored, in milliseconds.
pub const RETENTION_MILLIS: i64 = 24 * 3_600_000;

row_types! {
    /// A stored response.
    struct StoredResponseRow {
        fingerprint: String,
        sealed: String,
    }
}

/// A creation that was requested. `Create` runs it.
pub enum CreateOrReplay<Create> {
    /// It has to be done.
    New(Create),
    /// It was done before, under the same key; this was the response.
    Done(Response),
}

/// The `Idempotency-Key` of one request.
struct IdempotencyKey {
    /// What is created, such as `users.create`.
    scope: String,
    /// Digest of sender and key.
    digest: String,
    /// Digest of the body.
    fingerprint: String,
}

impl IdempotencyKey {
    /// Reads the header, quoted or bare; none if it was not sent.
    fn read(request: &Incoming, scope: &str, actor: &str, body: &Map<String, Value>) -> Result<Option<Self>, Problem> {
        let Some(sent) = request.header("Idempotency-Key") else { return Ok(None) };
        let key = sent.strip_prefix('"').and_then(|k| k.strip_suffix('"')).unwrap_or(&sent);
        if !(1..=255).contains(&key.len()) || !key.bytes().all(|b| b.is_ascii_graphic()) {
            let invalid = Invalid::new("invalid_key", "must be 1 to 255 visible ASCII characters");
            return Err(problem::invalid_header("Idempotency-Key", invalid));
        }
        let body = serde_json::to_vec(body).map_err(problem::internal)?;
        let digest_of_key = digest(format!("{actor} {key}").as_bytes());
        Ok(Some(Self { scope: scope.to_owned(), digest: digest_of_key, fingerprint: digest(&body) }))
    }

    /// Opens a stored response; 422 if it belongs to another body.
    fn open<T: DeserializeOwned>(
        &self,
        owner: &str,
        row: &StoredResponseRow,
        unseal: impl FnOnce(&SealContext<'_>, &str) -> Result<Vec<u8>, Unsealable>,
    ) -> Result<T, Problem> {
        if self.fingerprint != row.fingerprint {
            return Err(problem::idempotency_key_reused());
        }
        let json = unseal(&self.place(owner), &row.sealed).map_err(problem::internal)?;
        serde_json::from_slice(&json).map_err(problem::internal)
    }

    /// Seals a response for its row.
    fn seal(
        &self,
        owner: &str,
        response: &impl Serialize,
        seal: impl FnOnce(&SealContext<'_>, &[u8]) -> Result<String, Unsealable>,
    ) -> Result<String, Problem> {
        let json = serde_json::to_vec(response).map_err(problem::internal)?;
        seal(&self.place(owner), &json).map_err(problem::internal)
    }

    fn place<'a>(&'a self, owner: &'a str) -> SealContext<'a> {
        SealContext { owner, table: "idempotency_keys", column: &self.scope, row: &self.digest }
    }
}

/// Marks a response that was given before.
fn replayed(response: Response) -> Response {
    response.header("Idempotent-Replayed", "true")
}
