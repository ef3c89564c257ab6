//! What users, keys and operators call: a file per resource.

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
use crate::http::fields::Fields;
use crate::http::letters::lower_case;
use crate::http::problem::{self, Problem};
use crate::http::request::Request;
use crate::hub::client::HubClient;
use crate::hub::protocol::EndMinted;
use crate::storage::audit_log::Deed;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::tenant_db::TenantDb;
use crate::tenant_id::TenantId;
use domain::address::{MAX_RANGES, parse_range};
use domain::clock::{Clock, Timestamp};
use domain::error::Invalid;
use domain::permission::Permissions;

/// Most permissions that a body lists.
const MAX_PERMISSIONS: usize = 50;
/// Seconds for which a re-rolled key's text before stays good, where the body does not say.
const GRACE_SECONDS: i64 = 24 * 3600;
/// The longest grace: a week.
const MAX_GRACE_SECONDS: i64 = 7 * 24 * 3600;

/// A list of permissions as it was written, and what it stands for.
struct Listed {
    /// JSON of the entries.
    json: String,
    /// What they stand for.
    set: Permissions,
}

/// Reads a list of permissions.
fn read_permissions(fields: &mut Fields, name: &str) -> Option<Listed> {
    let parse = |text: &str| Permissions::parse(text).map(|set| (text.to_owned(), set));
    let entries = fields.list(name, MAX_PERMISSIONS, parse)?;
    if entries.is_empty() {
        return fields.wrong(name, Invalid::new("required", "must name at least one permission"));
    }
    let set = entries.iter().fold(Permissions::default(), |all, (_, set)| all.with(*set));
    let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
    Some(Listed { json: Value::from(names).to_string(), set })
}

/// Reads a list of address ranges, as JSON.
pub(in crate::api) fn read_ranges(fields: &mut Fields, name: &str) -> Option<String> {
    fields.list(name, MAX_RANGES, parse_range).map(|ranges| Value::from(ranges).to_string())
}

/// Reads when a key is to end: later than now.
pub(in crate::api) fn read_end(fields: &mut Fields, name: &str, now: Timestamp) -> Option<Timestamp> {
    fields.parsed(name, |text| {
        let at = Timestamp::parse_rfc3339(text)?;
        if at > now { Ok(at) } else { Err(Invalid::new("past", "must lie in the future")) }
    })
}

/// Reads for how many seconds a re-rolled key's text before stays good.
pub(in crate::api) fn read_grace(fields: &mut Fields) -> i64 {
    fields.number("grace_seconds", 0..=MAX_GRACE_SECONDS).unwrap_or(GRACE_SECONDS)
}

/// Refuses to change a key, as it is shown, that was revoked.
pub(in crate::api) fn check_in_use(key: &Value) -> Result<(), Problem> {
    let is_revoked = key.get("revoked_at").is_some_and(|at| !at.is_null());
    if is_revoked { Err(problem::revoked()) } else { Ok(()) }
}

/// A key as it is shown; with its text, where it just got one.
pub(in crate::api) fn with_text(mut key: Value, text: Option<&str>) -> Value {
    if let (Value::Object(members), Some(text)) = (&mut key, text) {
        members.insert("key".to_owned(), text.into());
    }
    key
}

/// Refuses to give what the caller does not have.
pub(super) fn check_own(request: &Request<Member>, pointer: &str, given: Permissions) -> Result<(), Problem> {
    if request.caller.permissions().covers(given) { Ok(()) } else { Err(problem::beyond_own_permissions(pointer)) }
}

/// The role that the field `role` names: one that is there, and that may do no more than the caller.
async fn role_to_give(request: &Request<Member>, rows: &TenantDb, name: &str) -> Result<Role, Problem> {
    let unknown = || problem::invalid_field("/role", Invalid::new("unknown_role", "is not a role of this tenant"));
    let role = Role::find(rows, name).await?.ok_or_else(unknown)?;
    check_own(request, "/role", role.permissions)?;
    Ok(role)
}

/// An e-mail address as users are known by it: in lower case.
fn parse_email(text: &str) -> Result<String, Invalid> {
    domain::email::parse_email(&lower_case(text))
}

/// The user who calls, if it is the user who calls: nobody else changes an account's sessions and password.
fn account_holder(member: &Member) -> Result<&User, Problem> {
    match member.who() {
        Actor::User(user) => Ok(user),
        Actor::Impersonator { .. } => Err(problem::impersonating()),
        Actor::Key { .. } | Actor::Operator { .. } => Err(problem::not_a_user()),
    }
}

/// What the caller does, for the tenant's audit.
pub fn deed<'a>(
    request: &'a Request<Member>,
    operation: &'static str,
    subject: Option<&'a str>,
    detail: Option<Value>,
) -> Deed<'a> {
    deed_of(request, request.caller.actor(), operation, subject, detail)
}

/// What somebody does who is known by other means than the call.
fn deed_of<'a, Who>(
    request: &'a Request<Who>,
    actor: String,
    operation: &'static str,
    subject: Option<&'a str>,
    detail: Option<Value>,
) -> Deed<'a> {
    Deed {
        at: request.now(),
        actor,
        operation,
        subject,
        detail,
        address: request.incoming.address(),
        request_id: &request.incoming.id,
    }
}

/// Ends the streams of tokens that a principal (none: everybody) had minted until now.
///
/// Done before the change that takes the rights, so that no stream outlives it, and once more behind it, so
/// that none was opened in between.
async fn end_minted(request: &Request<Member>, by: Option<String>) -> Result<(), Problem> {
    end_minted_of(&request.bindings, &request.caller.tenant, by).await
}

/// The same, where nobody of the tenant calls.
async fn end_minted_of(bindings: &Bindings, tenant: &TenantId, by: Option<String>) -> Result<(), Problem> {
    let message = EndMinted { tenant: tenant.into(), by, at: SystemClock.now() };
    let hub = HubClient::of(bindings, tenant).map_err(problem::unavailable)?;
    hub.call(&message).await.map(drop).map_err(problem::unavailable)
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
        };
        let refused = |who: Actor| account_holder(&member(who)).unwrap_err().code;
        let (operator, until) = ("operator:o".to_owned(), Timestamp::from_millis(1));
        assert!(account_holder(&member(Actor::User(user.clone()))).is_ok());
        assert_eq!(refused(Actor::Impersonator { operator: operator.clone(), user, until }), "impersonating");
        assert_eq!(refused(Actor::Operator { operator, role: "owner".into() }), "not_a_user");
        assert_eq!(refused(Actor::Key { id: "k".into() }), "not_a_user");
    }
}
