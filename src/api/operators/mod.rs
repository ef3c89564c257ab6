//! What the platform's own people and automation call: a file per resource.
//!
//! Invariants
//! - Every change writes its deed into `platform_audit` in the same batch.
//! - Nobody gives what they do not have: neither to a key nor to a person.

pub mod grants;
pub mod impersonation;
pub mod master_keys;
pub mod operators;
pub mod platform_keys;
pub mod sessions;
pub mod signing_keys;
pub mod switching;

use serde_json::Value;

use crate::auth::idempotency::platform::{Kept, Keyed};
use crate::auth::principal::{Operator, OperatorKind};
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::http::response::Response;
use crate::storage::control_db::ControlDb;
use crate::storage::sql::{Arg, ControlSql, StorageError};
use crate::storage::sql::{args, statements};
use domain::clock::Timestamp;
use domain::json;
use domain::permission::{PlatformPermission, PlatformPermissions};

statements! { ControlSql;
    /// What was done, by whom, on what.
    AUDIT = "INSERT INTO platform_audit (at, actor, operation, tenant_id, request_id, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
}

/// A statement and its arguments.
type Bound = (ControlSql, Vec<Arg>);

/// A deed of somebody of the platform.
struct PlatformDeed<'a> {
    at: Timestamp,
    actor: String,
    operation: &'static str,
    tenant: Option<&'a str>,
    request_id: &'a str,
    /// What it was about; no secret.
    detail: Value,
}

impl PlatformDeed<'_> {
    /// The statement that records it, for the batch of the deed.
    fn statement(self) -> Bound {
        let Self { at, actor, operation, tenant, request_id, detail } = self;
        (AUDIT, args![at.millis(), actor, operation, tenant, request_id, detail.to_string()])
    }
}

/// What the caller does, for the audit.
fn audited(request: &Request<Operator>, operation: &'static str, detail: Value) -> Bound {
    audited_in(request, operation, None, detail)
}

/// What the caller does about a tenant, for the audit.
fn audited_in(request: &Request<Operator>, operation: &'static str, tenant: Option<&str>, detail: Value) -> Bound {
    let (at, actor, request_id) = (request.now(), request.caller.actor(), request.incoming.id.as_str());
    PlatformDeed { at, actor, operation, tenant, request_id, detail }.statement()
}

/// The detail of a deed that is about one thing.
fn subject(id: &str) -> Value {
    json!({ "subject": id })
}

/// Refuses to give what the caller does not have.
fn check_own(request: &Request<Operator>, pointer: &str, given: PlatformPermissions) -> Result<(), Problem> {
    if request.caller.permissions().covers(given) { Ok(()) } else { Err(problem::beyond_own_permissions(pointer)) }
}

/// The person who calls, by operator and session; a permission is asked for beside the sign-in.
fn person(request: &Request<Operator>, permission: PlatformPermission) -> Result<(&str, &str), Problem> {
    let OperatorKind::Person { id, session, .. } = request.caller.who() else { return Err(problem::unauthorized()) };
    if request.caller.permissions().has(permission) {
        Ok((id, session))
    } else {
        Err(problem::forbidden(permission.as_str()))
    }
}

/// Runs a creation once for its `Idempotency-Key`: `batch` is written with the answer, or the answer that was
/// given before is given again. `taken` says which problem a constraint of the batch is.
async fn create(
    request: &Request<Operator>,
    db: &ControlDb,
    keyed: Option<Keyed>,
    mut batch: Vec<Bound>,
    data: Value,
    taken: fn() -> problem::Problem,
) -> Result<Value, Problem> {
    let now = request.now().millis();
    let kept = Kept { data, etag: String::new() };
    if let Some(keyed) = &keyed {
        batch.push(keyed.keep(&request.bindings, &kept, now)?);
    }
    match db.batch(batch).await {
        Ok(_) => Ok(kept.data),
        Err(StorageError::Constraint(_)) => match replayed(request, db, keyed.as_ref()).await? {
            // Whoever sent the same key at the same time was first.
            Some(data) => Ok(data),
            None => Err(taken()),
        },
        Err(error) => Err(error.into()),
    }
}

/// The data of the answer that was given under this `Idempotency-Key`.
async fn replayed(
    request: &Request<Operator>,
    db: &ControlDb,
    keyed: Option<&Keyed>,
) -> Result<Option<Value>, Problem> {
    let Some(keyed) = keyed else { return Ok(None) };
    Ok(keyed.find(&request.bindings, db, request.now().millis()).await?.map(|kept| kept.data))
}

/// 201 with the place of what was made.
fn created(data: &Value, collection: &str) -> Result<Response, Problem> {
    let id = data.get("id").and_then(Value::as_str).unwrap_or_default();
    Ok(Response::json(201, data, None)?.header("Location", format!("{collection}/{id}")))
}
