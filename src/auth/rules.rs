//! Rules that are checked in the transaction of a write, whatever was read before.
//!
//! A rule is a statement of the batch. It writes whether it holds into `write_rules`, whose CHECK fails if it does not:
//! then the whole batch fails, the change and its audit entry. The constraint's name says which rule it was. Of a rule that
//! holds a trigger keeps no row, as rows written are what D1 bills: so a statement states one rule.

use crate::http::problem::{self, Problem};
use crate::hub::protocol::TenantConfig;
use crate::storage::sql::StorageError;
use crate::storage::sql::statements;
use crate::storage::tenant_db::TenantBatch;
use domain::error::Invalid;

statements! { TenantSql;
    /// There is another active owner or admin than the user ?2, or that user is neither.
    KEEPS_AN_OWNER = "INSERT OR REPLACE INTO write_rules (tenant_id, keeps_an_owner) VALUES (?1, NOT EXISTS (SELECT 1 FROM users t WHERE t.tenant_id = ?1 AND t.id = ?2 AND t.status = 'active' AND t.role IN ('owner', 'admin')) OR EXISTS (SELECT 1 FROM users o WHERE o.tenant_id = ?1 AND o.role IN ('owner', 'admin') AND o.status = 'active' AND o.id <> ?2))";
    /// There are fewer than ?2 users; NULL is no bound.
    HAS_ROOM = "INSERT OR REPLACE INTO write_rules (tenant_id, has_room) VALUES (?1, ?2 IS NULL OR (SELECT count(*) FROM users WHERE tenant_id = ?1) < ?2)";
    /// The tenant has fewer than ?2 roles of its own.
    ROLES_LEFT = "INSERT OR REPLACE INTO write_rules (tenant_id, has_roles_left) VALUES (?1, (SELECT count(*) FROM roles WHERE tenant_id = ?1) < ?2)";
    /// Fewer than ?2 invitations are not accepted.
    INVITATIONS_LEFT = "INSERT OR REPLACE INTO write_rules (tenant_id, has_invitations_left) VALUES (?1, (SELECT count(*) FROM tenant_invitations WHERE tenant_id = ?1 AND accepted_at IS NULL) < ?2)";
    /// The user ?2 still has the role ?3.
    USER_AS_SEEN = "INSERT OR REPLACE INTO write_rules (tenant_id, is_as_seen) VALUES (?1, EXISTS (SELECT 1 FROM users WHERE tenant_id = ?1 AND id = ?2 AND role = ?3))";
    /// The user ?2 is active, with the security stamp ?3 and the role ?4.
    USER_STANDS = "INSERT OR REPLACE INTO write_rules (tenant_id, is_as_seen) VALUES (?1, EXISTS (SELECT 1 FROM users WHERE tenant_id = ?1 AND id = ?2 AND status = 'active' AND security_stamp = ?3 AND role = ?4))";
    /// The role ?2 still has the permissions ?3.
    ROLE_AS_SEEN = "INSERT OR REPLACE INTO write_rules (tenant_id, is_as_seen) VALUES (?1, EXISTS (SELECT 1 FROM roles WHERE tenant_id = ?1 AND name = ?2 AND permissions = ?3))";
    /// The key ?2 was not revoked, and has the text ?3, the permissions ?4, the address ranges ?5, the end ?6, the holder ?7.
    KEY_AS_SEEN = "INSERT OR REPLACE INTO write_rules (tenant_id, is_as_seen) VALUES (?1, EXISTS (SELECT 1 FROM api_keys WHERE tenant_id = ?1 AND id = ?2 AND digest = ?3 AND scopes = ?4 AND ip_allowlist = ?5 AND COALESCE(expires_at, -1) = COALESCE(?6, -1) AND held_by = ?7 AND revoked_at IS NULL))";
    /// No user has the role ?2, no invitation is to it, and no identity provider assigns it.
    ROLE_UNUSED = "INSERT OR REPLACE INTO write_rules (tenant_id, is_unused) VALUES (?1, NOT EXISTS (SELECT 1 FROM users WHERE tenant_id = ?1 AND role = ?2) AND NOT EXISTS (SELECT 1 FROM tenant_invitations WHERE tenant_id = ?1 AND role = ?2 AND accepted_at IS NULL) AND NOT EXISTS (SELECT 1 FROM sso_providers p WHERE p.tenant_id = ?1 AND (p.default_role = ?2 OR EXISTS (SELECT 1 FROM json_each(p.role_map) m WHERE m.value = ?2))))";
    /// The invitation ?2 was not accepted, its token is still ?3, and it ends after ?4.
    INVITATION_OPEN = "INSERT OR REPLACE INTO write_rules (tenant_id, is_open) VALUES (?1, EXISTS (SELECT 1 FROM tenant_invitations WHERE tenant_id = ?1 AND id = ?2 AND token = ?3 AND accepted_at IS NULL AND expires_at > ?4))";
    /// The invitation ?2 was not accepted, and its token is still ?3.
    INVITATION_AS_SEEN = "INSERT OR REPLACE INTO write_rules (tenant_id, is_as_seen) VALUES (?1, EXISTS (SELECT 1 FROM tenant_invitations WHERE tenant_id = ?1 AND id = ?2 AND token = ?3 AND accepted_at IS NULL))";
    /// No user has the address ?2.
    EMAIL_FREE = "INSERT OR REPLACE INTO write_rules (tenant_id, is_nobodys) VALUES (?1, NOT EXISTS (SELECT 1 FROM users WHERE tenant_id = ?1 AND email = ?2))";
    /// No invitation to the address ?2 is open at ?3: it must be accepted or revoked first.
    EMAIL_UNINVITED = "INSERT OR REPLACE INTO write_rules (tenant_id, is_uninvited) VALUES (?1, NOT EXISTS (SELECT 1 FROM tenant_invitations WHERE tenant_id = ?1 AND email = ?2 AND accepted_at IS NULL AND expires_at > ?3))";
}

/// Most roles of a tenant's own.
pub const MAX_ROLES: i64 = 50;
/// Most open invitations of a tenant.
pub const MAX_INVITATIONS: i64 = 500;

/// A constraint, by a part of SQLite's error text, and the problem it is to the caller.
type RuleProblem = (&'static str, fn() -> Problem);

const RULE_PROBLEMS: &[RuleProblem] = &[
    ("last_owner", problem::last_owner),
    ("user_limit_reached", problem::user_limit_reached),
    ("role_limit_reached", || problem::too_many("roles", MAX_ROLES)),
    ("invitation_limit_reached", || problem::too_many("open invitations", MAX_INVITATIONS)),
    ("changed_meanwhile", problem::changed_meanwhile),
    ("role_in_use", problem::role_in_use),
    ("invitation_closed", problem::invitation_not_found),
    ("email_taken", email_taken),
    ("users.email", email_taken),
    ("email_invited", already_invited),
    ("tenant_invitations.email", already_invited),
    ("roles.name", role_taken),
];

/// 409: a user has this address.
pub fn email_taken() -> Problem {
    problem::conflict("/email", Invalid::new("taken", "is already the address of a user"))
}

/// 409: there is an open invitation to this address.
pub fn already_invited() -> Problem {
    problem::conflict("/email", Invalid::new("invited", "already has an open invitation"))
}

/// 409: there is a role of this name.
pub fn role_taken() -> Problem {
    problem::conflict("/name", Invalid::new("taken", "is already the name of a role"))
}

/// How many users a tenant may have, as `HAS_ROOM` takes it; none for no limit.
pub fn room(config: &TenantConfig) -> Option<i64> {
    config.limits.users.bound().and_then(|bound| i64::try_from(bound).ok())
}

/// Whether a tenant needs at least one active user with this role or the other of the two.
pub fn is_owner(role: &str) -> bool {
    matches!(role, "owner" | "admin")
}

/// Commits a batch; a rule that does not hold becomes its problem.
pub async fn commit(batch: TenantBatch<'_>) -> Result<(), Problem> {
    batch.commit().await.map(drop).map_err(meaning)
}

/// The problem of a failed batch.
pub fn meaning(error: StorageError) -> Problem {
    let known = match &error {
        StorageError::Constraint(words) => RULE_PROBLEMS.iter().find(|(name, _)| words.contains(name)),
        _ => None,
    };
    known.map_or_else(|| error.into(), |(_, problem)| problem())
}

/// Whether a batch failed because the tenant has as many users as it may.
pub fn is_full(error: &StorageError) -> bool {
    matches!(error, StorageError::Constraint(words) if words.contains("user_limit_reached"))
}
