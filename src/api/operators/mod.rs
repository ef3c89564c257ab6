//! Handlers for the platform's operators and its automation: a file per resource.
//!
//! Invariants
//! - Every change writes its entry into `platform_audit` in the same batch.
//! - Nobody grants permissions that they do not have, neither to a key nor to a person.

pub mod accounts;
pub mod grants;
pub mod impersonation;
pub mod login_failures;
pub mod master_keys;
pub mod platform_keys;
pub mod rules;
pub mod sessions;
pub mod signing_keys;
pub mod switching;

use serde_json::Value;

use crate::auth::principal::{Operator, OperatorKind};
use crate::auth::revocation::revoking_everywhere;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::storage::control_db::ControlDb;
use crate::storage::sql::{Arg, ControlSql};
use crate::storage::sql::{args, statements};
use crate::tenant::entered::entered_lately;
use domain::clock::Timestamp;
use domain::json;
use domain::permission::{PlatformPermission, PlatformPermissions};

statements! { ControlSql;
    /// What was done, by whom, on what.
    AUDIT = "INSERT INTO platform_audit (at, actor, operation, tenant_id, request_id, detail) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
}

/// A statement and its arguments.
pub(in crate::api) type ControlStatement = (ControlSql, Vec<Arg>);

/// An entry of the platform's audit log.
pub(in crate::api) struct PlatformAuditEntry<'a> {
    pub at: Timestamp,
    pub actor: String,
    pub operation: &'static str,
    pub tenant: Option<&'a str>,
    pub request_id: &'a str,
    /// Further facts; no secret.
    pub detail: Value,
}

impl PlatformAuditEntry<'_> {
    /// The statement that writes it, for the batch of the change.
    pub fn statement(self) -> ControlStatement {
        let Self { at, actor, operation, tenant, request_id, detail } = self;
        (AUDIT, args![at.millis(), actor, operation, tenant, request_id, detail.to_string()])
    }
}

/// The audit entry of what the caller does.
fn audit(request: &Request<Operator>, operation: &'static str, detail: Value) -> ControlStatement {
    audit_in_tenant(request, operation, None, detail)
}

/// The audit entry of what the caller does to a tenant.
fn audit_in_tenant(
    request: &Request<Operator>,
    operation: &'static str,
    tenant: Option<&str>,
    detail: Value,
) -> ControlStatement {
    let (at, actor, request_id) = (request.now(), request.caller.actor(), request.incoming.id.as_str());
    PlatformAuditEntry { at, actor, operation, tenant, request_id, detail }.statement()
}

/// The detail of an entry about one object.
fn subject(id: &str) -> Value {
    json!({ "subject": id })
}

/// Refuses to grant permissions that the caller does not have; `pointer` is the field that grants them.
fn check_own(request: &Request<Operator>, pointer: &str, given: PlatformPermissions) -> Result<(), Problem> {
    if request.caller.permissions().covers(given) { Ok(()) } else { Err(problem::beyond_own_permissions(pointer)) }
}

/// The ids of the calling person and of their session. 401 for a key, 403 without the permission.
fn person(request: &Request<Operator>, permission: PlatformPermission) -> Result<(&str, &str), Problem> {
    let OperatorKind::Person { id, session, .. } = request.caller.who() else { return Err(problem::unauthorized()) };
    if request.caller.permissions().has(permission) {
        Ok((id, session))
    } else {
        Err(problem::forbidden(permission.as_str()))
    }
}

/// Commits what takes rights from somebody of the platform (`actor`), and ends what they opened in tenants: all of it, or what
/// rests on `name`.
async fn ending_everywhere<T>(
    request: &Request<Operator>,
    db: &ControlDb,
    (actor, name): (&str, &str),
    commit: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    revoking_everywhere(&request.bindings, async || entered_lately(db, actor).await, name, commit).await
}
