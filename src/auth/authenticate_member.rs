//! Authenticates somebody who acts in a tenant. The credential's row is read with each request and never cached, so that
//! a change of role, a revocation or an expiry takes effect on the next request.
//!
//! Every bad credential gets the same response, whatever is wrong with it.

use std::rc::Rc;

use super::authenticate_operator::{self, entered_until};
use super::key_row::ApiKeyRow;
use super::principal::{Actor, CredentialTerms, Member, User};
use super::revocation;
use super::signing_keys;
use crate::credentials::constant_time::constant_time_eq;
use crate::credentials::key::{KeyKind, PresentedKey};
use crate::credentials::platform_token::{TokenKind, VerifiedToken};
use crate::credentials::signature::digest;
use crate::http::incoming::Incoming;
use crate::http::problem::{self, Problem};
use crate::hub::protocol::TenantConfig;
use crate::storage::bindings::{Bindings, SystemClock};
use crate::storage::row::row_types;
use crate::storage::sql::{args, statements};
use crate::storage::tenant_db::TenantDb;
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};
use domain::host::Host;
use domain::permission::{Permission, Permissions, PlatformPermission, permissions_of};

/// The cookie that holds a user's session.
pub const SESSION_COOKIE: &str = "__Host-carillon_session";

/// What an impersonator may not do even if the user may: see or make what outlasts the impersonation.
const NOT_IMPERSONATED: Permissions = Permissions::of(&[
    Permission::ApiKeysWrite,
    Permission::InvitationsWrite,
    Permission::RolesWrite,
    Permission::SettingsWrite,
    Permission::SsoWrite,
    Permission::SubscriberTokensWrite,
    Permission::TenantConfigure,
    Permission::UsersWrite,
]);

statements! { TenantSql;
    /// A key by its id.
    KEY = "SELECT digest, previous_digest, previous_until, scopes, ip_allowlist, expires_at, revoked_at, last_used_at FROM api_keys WHERE tenant_id = ?1 AND id = ?2";
    /// Notes when a key was last used, at most once a minute.
    KEY_USED = "UPDATE api_keys SET last_used_at = ?3 WHERE tenant_id = ?1 AND id = ?2 AND COALESCE(last_used_at, 0) <= ?3 - 60000";
    /// A user with role and session, by user.
    USER = "SELECT u.id, u.email, u.name, u.role, u.email_verified_at, u.not_before, r.permissions AS own_role, s.id AS session, s.cookie_digest, s.expires_at AS session_expires_at, s.created_at AS session_created_at, (SELECT a.not_before FROM tenant_auth a WHERE a.tenant_id = ?1) AS tenant_not_before FROM users u LEFT JOIN roles r ON r.tenant_id = ?1 AND r.name = u.role LEFT JOIN sessions s ON s.tenant_id = ?1 AND s.id = ?3 AND s.user_id = u.id WHERE u.tenant_id = ?1 AND u.id = ?2 AND u.status = 'active'";
    /// A user with role and session, by session.
    USER_OF_SESSION = "SELECT u.id, u.email, u.name, u.role, u.email_verified_at, u.not_before, r.permissions AS own_role, s.id AS session, s.cookie_digest, s.expires_at AS session_expires_at, s.created_at AS session_created_at, (SELECT a.not_before FROM tenant_auth a WHERE a.tenant_id = ?1) AS tenant_not_before FROM sessions s JOIN users u ON u.tenant_id = ?1 AND u.id = s.user_id LEFT JOIN roles r ON r.tenant_id = ?1 AND r.name = u.role WHERE s.tenant_id = ?1 AND s.id = ?2 AND u.status = 'active'";
    /// The permissions of a role of the tenant's own, and the time before which tokens are void.
    ROLE = "SELECT (SELECT r.permissions FROM roles r WHERE r.tenant_id = ?1 AND r.name = ?2) AS own_role, (SELECT a.not_before FROM tenant_auth a WHERE a.tenant_id = ?1) AS tenant_not_before";
}

row_types! {
    struct MemberUserRow {
        id: String,
        email: String,
        name: String,
        role: String,
        email_verified_at: Option<i64>,
        not_before: i64,
        own_role: Option<String>,
        session: Option<String>,
        cookie_digest: Option<String>,
        session_expires_at: Option<i64>,
        session_created_at: Option<i64>,
        tenant_not_before: Option<i64>,
    }
}

impl MemberUserRow {
    /// Whether a credential issued at this time (milliseconds since 1970) was not voided.
    fn accepts_issued_at(&self, issued_at: i64) -> bool {
        issued_at >= self.not_before && issued_at >= self.tenant_not_before.unwrap_or(0)
    }

    fn session_is_open(&self, now: Timestamp) -> bool {
        self.session_expires_at.is_some_and(|at| now.millis() < at)
    }

    fn permissions(&self) -> Permissions {
        permissions_of(&self.role, self.own_role.as_deref())
    }

    /// What bounds that which outlives a request: the session, and the token that was presented, if it was one.
    fn terms(&self, proven_at: Timestamp, token_ends: Option<Timestamp>) -> CredentialTerms {
        let session_ends = self.session_expires_at.map(Timestamp::from_millis);
        let session = self.session.as_deref().map(revocation::session);
        CredentialTerms {
            proven_at,
            expires_at: session_ends.into_iter().chain(token_ends).min(),
            mints_until: session_ends,
            rests_on: session.into_iter().chain([revocation::role(&self.role)]).collect(),
            ..CredentialTerms::default()
        }
    }

    fn into_user(self) -> User {
        User {
            id: self.id,
            email: self.email,
            name: self.name,
            role: self.role,
            email_verified: self.email_verified_at.is_some(),
            session: self.session,
        }
    }
}

row_types! {
    struct CurrentRoleRow {
        own_role: Option<String>,
        tenant_not_before: Option<i64>,
    }
}

/// The credential of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// That of `Authorization: Bearer`; empty for another scheme.
    Bearer(String),
    /// The browser's session cookie.
    Cookie(String),
}

impl Credential {
    /// The credential of a request; the header counts before the cookie.
    pub fn of(request: &Incoming) -> Option<Self> {
        match (request.header("Authorization"), request.cookie(SESSION_COOKIE)) {
            (Some(_), _) => Some(Self::Bearer(request.bearer().unwrap_or_default())),
            (None, Some(cookie)) => Some(Self::Cookie(cookie)),
            (None, None) => None,
        }
    }
}

/// The tenant that somebody authenticates in.
#[derive(Clone, Copy)]
pub struct SessionContext<'a> {
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The tenant's host that the request came to; none on the platform's host.
    pub host: Option<&'a Host>,
    /// The tenant's configuration.
    pub config: &'a Rc<TenantConfig>,
}

/// The member that a request's credential authenticates; none without a good credential.
///
/// 404 for a credential of another tenant; else an error is the platform's fault.
pub async fn member(
    bindings: &Bindings,
    request: &Incoming,
    at: SessionContext<'_>,
) -> Result<Option<Member>, Problem> {
    let Some(credential) = Credential::of(request) else { return Ok(None) };
    let rows = TenantDb::open(bindings, at.tenant, &at.config.placement)?;
    match credential {
        Credential::Cookie(text) => match PresentedKey::parse(&text) {
            Some(key) if key.kind == KeyKind::UserSession => by_cookie(&rows, at, &key.id, &text).await,
            _ => Ok(None),
        },
        Credential::Bearer(text) => match PresentedKey::parse(&text) {
            Some(PresentedKey { kind: KeyKind::Tenant, tenant: Some(named), id }) => {
                if !at.tenant.is_named_by(&named) {
                    return Err(problem::tenant_not_found().crossing_tenants());
                }
                by_key(&rows, at, &id, &text, &request.address()).await
            }
            Some(PresentedKey { kind: KeyKind::Platform, .. }) => by_platform_key(bindings, request, at).await,
            Some(_) => Ok(None),
            None if signing_keys::is_ours(&text) => by_token(bindings, &rows, at, &text).await,
            None => by_platform_key(bindings, request, at).await,
        },
    }
}

async fn by_key(
    rows: &TenantDb,
    at: SessionContext<'_>,
    id: &str,
    text: &str,
    address: &str,
) -> Result<Option<Member>, Problem> {
    let now = SystemClock.now();
    let row = rows.row::<ApiKeyRow>(&KEY, args![id]).await?;
    let Some(row) = row.filter(|row| row.admits(text, address, now)) else { return Ok(None) };
    if !row.was_noted(now) {
        // Fails while the tenant is read-only; the last use is not noted then.
        let _ = rows.write().add(KEY_USED, args![id, now.millis()]).commit().await;
    }
    let terms = CredentialTerms {
        proven_at: now,
        expires_at: row.ends_at(text),
        mints_until: row.ends_at(text),
        rests_on: Vec::new(),
        text: Some(revocation::key_text(id)),
        networks: row.networks(),
    };
    let who = Actor::Key { id: id.to_owned() };
    Ok(Some(Member::proven(at.tenant, at.host, at.config, who, Permissions::stored(&row.scopes), terms)))
}

async fn by_cookie(
    rows: &TenantDb,
    at: SessionContext<'_>,
    session: &str,
    text: &str,
) -> Result<Option<Member>, Problem> {
    let now = SystemClock.now();
    let row = rows.row::<MemberUserRow>(&USER_OF_SESSION, args![session]).await?;
    let row = row.filter(|row| {
        constant_time_eq(&digest(text.as_bytes()), row.cookie_digest.as_deref().unwrap_or_default())
            && row.session_is_open(now)
            && row.accepts_issued_at(row.session_created_at.unwrap_or(0))
    });
    Ok(row.map(|row| {
        let (permissions, terms) = (row.permissions(), row.terms(now, None));
        Member::proven(at.tenant, at.host, at.config, Actor::User(row.into_user()), permissions, terms)
    }))
}

/// The platform's keys act in every tenant as an owner, if they have the permission to enter tenants.
async fn by_platform_key(
    bindings: &Bindings,
    request: &Incoming,
    at: SessionContext<'_>,
) -> Result<Option<Member>, Problem> {
    let proven_at = SystemClock.now();
    let operator = authenticate_operator::operator(bindings, request).await?;
    let operator = operator.filter(|operator| operator.permissions().has(PlatformPermission::TenantsEnter));
    Ok(operator.map(|operator| {
        let who = Actor::Operator { operator: operator.actor(), role: "owner".to_owned() };
        let terms = CredentialTerms { proven_at, ..CredentialTerms::default() };
        Member::proven(at.tenant, at.host, at.config, who, Permissions::ALL, terms)
    }))
}

async fn by_token(
    bindings: &Bindings,
    rows: &TenantDb,
    at: SessionContext<'_>,
    token: &str,
) -> Result<Option<Member>, Problem> {
    let kinds = &[TokenKind::Access, TokenKind::Switch, TokenKind::Impersonation];
    let Some(verified) = signing_keys::verify(bindings, token, kinds).await? else { return Ok(None) };
    if verified.claims.tenant_id != at.tenant.as_str() {
        return Err(problem::tenant_not_found().crossing_tenants());
    }
    match verified.kind {
        TokenKind::Access => by_access_token(rows, at, verified).await,
        TokenKind::Switch => by_switch_token(bindings, rows, at, verified).await,
        TokenKind::Impersonation => by_impersonation_token(bindings, rows, at, verified).await,
        TokenKind::Subscriber => Ok(None),
    }
}

async fn by_access_token(
    rows: &TenantDb,
    at: SessionContext<'_>,
    verified: VerifiedToken,
) -> Result<Option<Member>, Problem> {
    let (user, session) = (verified.claims.user_id.unwrap_or_default(), verified.claims.sid.unwrap_or_default());
    let now = SystemClock.now();
    let row = rows.row::<MemberUserRow>(&USER, args![user, session]).await?;
    let row = row.filter(|row| row.session_is_open(now) && row.accepts_issued_at(verified.issued_at.millis()));
    Ok(row.map(|row| {
        let (permissions, terms) = (row.permissions(), row.terms(now, Some(verified.expires_at)));
        Member::proven(at.tenant, at.host, at.config, Actor::User(row.into_user()), permissions, terms)
    }))
}

async fn by_switch_token(
    bindings: &Bindings,
    rows: &TenantDb,
    at: SessionContext<'_>,
    verified: VerifiedToken,
) -> Result<Option<Member>, Problem> {
    let proven_at = SystemClock.now();
    let session = verified.claims.sid.unwrap_or_default();
    let entered = entered_until(bindings, at.tenant, &verified.claims.sub, &session).await?;
    let Some((role, session_ends)) = entered else { return Ok(None) };
    let row = rows.row::<CurrentRoleRow>(&ROLE, args![role.as_str()]).await?;
    let Some(row) = row.filter(|row| verified.issued_at.millis() >= row.tenant_not_before.unwrap_or(0)) else {
        return Ok(None);
    };
    let permissions = permissions_of(&role, row.own_role.as_deref());
    let terms = CredentialTerms {
        proven_at,
        expires_at: Some(verified.expires_at.min(session_ends)),
        mints_until: Some(session_ends),
        rests_on: vec![revocation::operator_session(&session), revocation::role(&role)],
        ..CredentialTerms::default()
    };
    let who = Actor::Operator { operator: verified.claims.sub, role };
    Ok(Some(Member::proven(at.tenant, at.host, at.config, who, permissions, terms)))
}

/// The permissions of a role of the tenant's own; none if it has no such role.
pub async fn own_role(rows: &TenantDb, role: &str) -> Result<Option<String>, Problem> {
    Ok(rows.row::<CurrentRoleRow>(&ROLE, args![role]).await?.and_then(|row| row.own_role))
}

/// An impersonator may do what both the user and the operator may do.
async fn by_impersonation_token(
    bindings: &Bindings,
    rows: &TenantDb,
    at: SessionContext<'_>,
    verified: VerifiedToken,
) -> Result<Option<Member>, Problem> {
    let proven_at = SystemClock.now();
    let operator = verified.claims.act.map(|act| act.sub).unwrap_or_default();
    let session = verified.claims.sid.unwrap_or_default();
    let entered = entered_until(bindings, at.tenant, &operator, &session).await?;
    let Some((role, session_ends)) = entered else { return Ok(None) };
    let entered = permissions_of(&role, own_role(rows, &role).await?.as_deref());
    let user = verified.claims.user_id.unwrap_or_default();
    let row = rows.row::<MemberUserRow>(&USER, args![user, ""]).await?;
    let row = row.filter(|row| row.accepts_issued_at(verified.issued_at.millis()));
    Ok(row.map(|row| {
        let permissions = row.permissions().without(NOT_IMPERSONATED).within(entered);
        let rests_on = vec![
            operator.clone(),
            revocation::operator_session(&session),
            revocation::role(&row.role),
            revocation::role(&role),
        ];
        let expires_at = Some(verified.expires_at.min(session_ends));
        let terms = CredentialTerms { proven_at, expires_at, rests_on, ..CredentialTerms::default() };
        let who = Actor::Impersonator { operator, user: row.into_user(), until: verified.expires_at };
        Member::proven(at.tenant, at.host, at.config, who, permissions, terms)
    }))
}
