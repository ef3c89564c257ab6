//! Handlers for a tenant's users, for its keys and for operators who entered it: a file per resource.

pub mod audit;
pub mod configure;
pub mod email;
pub mod endpoint;
pub mod invitations;
pub mod jwks;
pub mod keys;
pub mod login;
pub mod me;
pub mod passwords;
pub mod refresh;
pub mod register;
pub mod roles;
pub mod sessions;
mod sign_in;
pub mod subscriber_tokens;
pub mod users;

use serde_json::Value;

use crate::auth::principal::{Actor, Member, User};
use crate::auth::role::Role;
use crate::http::letters::lower_case;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::storage::audit_log::AuditEntry;
use crate::storage::tenant_db::TenantDb;
use domain::error::Invalid;
use domain::permission::Permissions;

/// The longest name of a person, in bytes.
pub const MAX_NAME: usize = 200;
/// The longest name of a role, in bytes.
pub const MAX_ROLE: usize = 40;

/// Refuses to grant permissions that the caller does not have; `pointer` is the field that grants them.
pub(super) fn check_own(request: &Request<Member>, pointer: &str, given: Permissions) -> Result<(), Problem> {
    if request.caller.permissions().covers(given) { Ok(()) } else { Err(problem::beyond_own_permissions(pointer)) }
}

/// The role that the field `role` names. It must exist, and have no permission that the caller does not have.
async fn role_to_grant(request: &Request<Member>, rows: &TenantDb, name: &str) -> Result<Role, Problem> {
    let unknown = || problem::invalid_field("/role", Invalid::new("unknown_role", "is not a role of this tenant"));
    let role = Role::find(rows, name).await?.ok_or_else(unknown)?;
    check_own(request, "/role", role.permissions)?;
    Ok(role)
}

/// Reads an e-mail address. Users are known by it in lower case.
fn parse_email(text: &str) -> Result<String, Invalid> {
    domain::email::parse_email(&lower_case(text))
}

/// The calling user. Refuses everybody else, impersonators too: only the user changes their own sessions and password.
fn account_holder(member: &Member) -> Result<&User, Problem> {
    match member.who() {
        Actor::User(user) => Ok(user),
        Actor::Impersonator { .. } => Err(problem::impersonating()),
        Actor::Key { .. } | Actor::Operator { .. } => Err(problem::not_a_user()),
    }
}

/// An entry of the tenant's audit log for what the caller does.
pub fn audit_entry<'a>(
    request: &'a Request<Member>,
    operation: &'static str,
    subject: Option<&'a str>,
    detail: Option<Value>,
) -> AuditEntry<'a> {
    audit_entry_by(request, request.caller.actor(), operation, subject, detail)
}

/// An entry of the tenant's audit log for what `actor` does, where the request has no valid credential.
fn audit_entry_by<'a, Who>(
    request: &'a Request<Who>,
    actor: String,
    operation: &'static str,
    subject: Option<&'a str>,
    detail: Option<Value>,
) -> AuditEntry<'a> {
    AuditEntry {
        at: request.now(),
        actor,
        operation,
        subject,
        detail,
        address: request.incoming.address(),
        request_id: &request.incoming.id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::protocol::TenantConfig;
    use domain::clock::Timestamp;

    fn member(who: Actor) -> Member {
        let limits = serde_json::json!({
            "api_requests_per_minute": 1, "api_requests_per_day": 1, "anonymous_requests_per_minute": 1,
            "webhooks_per_minute": 1, "concurrent_subscriptions": 1, "connections_per_address": null,
            "event_retention_seconds": 1, "event_retention_count": 1, "event_log_bytes": 1,
        });
        let config: TenantConfig = serde_json::from_value(serde_json::json!({
            "revision": 1, "standing": "active", "expires_at": null, "hosts": [], "limits": limits,
            "webhook_versions": [], "subscription_versions": [], "require_standard_webhooks": false,
            "cors_origins": [], "placement": {"shard": "SHARD_00", "epoch": 1},
        }))
        .unwrap();
        Member::testing("acme", config, who)
    }

    #[test]
    fn an_account_is_changed_by_its_holder_alone() {
        let user = User {
            id: "u".into(),
            email: "u@users.test".into(),
            name: String::new(),
            role: "owner".into(),
            email_verified: true,
            session: Some("s".into()),
            stamp: String::new(),
        };
        let refused = |who: Actor| account_holder(&member(who)).unwrap_err().code;
        let (operator, until) = ("operator:o".to_owned(), Timestamp::from_millis(1));
        assert!(account_holder(&member(Actor::User(user.clone()))).is_ok());
        assert_eq!(refused(Actor::Impersonator { operator: operator.clone(), user, until }), "impersonating");
        assert_eq!(refused(Actor::Operator { operator, role: "owner".into() }), "not_a_user");
        assert_eq!(refused(Actor::Key { id: "k".into() }), "not_a_user");
    }
}
