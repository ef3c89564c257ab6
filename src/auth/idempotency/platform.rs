//! `Idempotency-Key`: the first answer to a creation, given again for 24 hours. Stored sealed, in
//! the transaction of the creation itself.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::credentials::signature::digest;
use crate::http::incoming::Incoming;
use crate::http::problem::{self, Problem};
use crate::storage::bindings::Bindings;
use crate::storage::control_db::ControlDb;
use crate::storage::row::row_types;
use crate::storage::sealed::Place;
use crate::storage::sql::{Arg, ControlSql};
use crate::storage::sql::{args, statements};
use domain::error::Invalid;

statements! { ControlSql;
    /// What was answered under a key.
    FIND = "SELECT fingerprint, sealed FROM idempotency_keys WHERE scope = ?1 AND key_digest = ?2 AND created_at > ?3";
    /// Keeps an answer; fails the batch if one is there.
    KEEP = "INSERT INTO idempotency_keys (scope, key_digest, fingerprint, sealed, created_at) VALUES (?1, ?2, ?3, ?4, ?5)";
}

/// Milliseconds an answer is kept.
pub const KEPT_MILLIS: i64 = 24 * 3_600_000;

/// An answer as it is kept.
#[derive(Debug, Serialize, Deserialize)]
pub struct Kept {
    /// Its data.
    pub data: Value,
    /// Its entity tag.
    pub etag: String,
}

row_types! {
    struct KeptRow {
        fingerprint: String,
        sealed: String,
    }
}

/// The key that a request presents, by its digest, and the fingerprint of its body.
pub struct Presented {
    /// Digest of the key.
    pub key: String,
    /// Digest of the body.
    pub fingerprint: String,
}

impl Presented {
    /// Reads the key of a request, quoted or bare. A key is its sender's own: nobody else gets the answer, which
    /// may show a secret.
    pub fn read(request: &Incoming, actor: &str, body: &Value) -> Result<Option<Self>, Problem> {
        let Some(sent) = request.header("Idempotency-Key") else { return Ok(None) };
        let key = sent.strip_prefix('"').and_then(|k| k.strip_suffix('"')).unwrap_or(&sent);
        if !(1..=255).contains(&key.len()) || !key.bytes().all(|b| b.is_ascii_graphic()) {
            let invalid = Invalid::new("invalid_key", "must be 1 to 255 visible ASCII characters");
            return Err(problem::invalid_header("Idempotency-Key", invalid));
        }
        let key = digest(format!("{actor} {key}").as_bytes());
        Ok(Some(Self { key, fingerprint: digest(body.to_string().as_bytes()) }))
    }

    /// Refuses a key that was used with another body.
    pub fn check(&self, fingerprint: &str) -> Result<(), Problem> {
        if self.fingerprint == fingerprint { Ok(()) } else { Err(problem::idempotency_key_reused()) }
    }
}

/// A request to the platform that carries a key.
pub struct Keyed {
    scope: &'static str,
    presented: Presented,
}

impl Keyed {
    /// Reads the key of a request; what is kept under it is of this scope.
    pub fn read(request: &Incoming, scope: &'static str, actor: &str, body: &Value) -> Result<Option<Self>, Problem> {
        Ok(Presented::read(request, actor, body)?.map(|presented| Self { scope, presented }))
    }

    /// The answer that was given under this key; 422 if it was given to another body.
    pub async fn find(&self, bindings: &Bindings, db: &ControlDb, now: i64) -> Result<Option<Kept>, Problem> {
        let args = args![self.scope, self.presented.key.as_str(), now - KEPT_MILLIS];
        let Some(row) = db.row::<KeptRow>(&FIND, args).await? else { return Ok(None) };
        self.presented.check(&row.fingerprint)?;
        let json = bindings.settings.keys.open(&self.place(), &row.sealed).map_err(problem::internal)?;
        serde_json::from_slice(&json).map(Some).map_err(problem::internal)
    }

    /// The statement that keeps an answer, for the batch of the creation.
    pub fn keep(&self, bindings: &Bindings, answer: &Kept, now: i64) -> Result<(ControlSql, Vec<Arg>), Problem> {
        let json = serde_json::to_vec(answer).map_err(problem::internal)?;
        let sealed = bindings.settings.keys.seal(&self.place(), &json).map_err(problem::internal)?;
        let Presented { key, fingerprint } = &self.presented;
        Ok((KEEP, args![self.scope, key.as_str(), fingerprint.as_str(), sealed, now]))
    }

    fn place(&self) -> Place<'_> {
        Place { owner: "platform", table: "idempotency_keys", column: self.scope, row: &self.presented.key }
    }
}
