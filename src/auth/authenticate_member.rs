//! Authenticates somebody who acts in a tenant. The credential's row is read with each request and never cached, so that
//! a change of role, a revocation or an expiry takes effect on the next request.
//!
//! Every bad credential gets the same response, whatever is wrong with it.

use std::rc::Rc;

use super::authenticate_operator::{self, TenantAccess, tenant_access};
use super::key_row::{ApiKeyRow, Backing};
use super::maker::Maker;
use super::principal::{Actor, CredentialTerms, Member, User};
use super::revocation;
use super::role::{Role, is_built_in};
use super::rules;
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
use crate::storage::sql::{Arg, TenantSql, args, statements};
use crate::storage::tenant_db::TenantDb;
use crate::tenant_id::TenantId;
use domain::clock::{Clock, Timestamp};
use domain::host::Host;
use domain::permission::{Permission, Permissions, PlatformPermission, permissions_of};

/// The cookie that holds a user's session.
pub const SESSION_COOKIE: &str = "__Host-carillon_session";

/// What an impersonator may not do even if the user may: see or make what outlasts the impersonation.
pub(super) const NOT_IMPERSONATED: Permissions = Permissions::of(&[
    Permission::ApiKeysWrite,
    Permission::DocumentsWrite,
    Permission::InvitationsWrite,
    Permission::RolesWrite,
    Permission::SettingsWrite,
    Permission::SsoWrite,
    Permission::SubscriberTokensWrite,
    Permission::TenantConfigure,
    Permission::UsersWrite,
]);

statements! { TenantSql;
    /// A key by its id, with its holder and the keys it was made by.
    KEY = "SELECT k.digest, k.previous_digest, k.previous_until, k.scopes, k.ip_allowlist, k.expires_at, k.revoked_at, k.last_used_at, k.held_by, k.holder_id, k.holder_stamp, CASE WHEN u.status = 'active' THEN u.security_stamp END AS holder_now, u.role AS holder_role, r.permissions AS own_role, k.made_through, (SELECT json_group_array(json_object('scopes', m.scopes, 'ip_allowlist', m.ip_allowlist, 'expires_at', m.expires_at, 'revoked_at', m.revoked_at, 'holder_id', m.holder_id, 'holder_stamp', m.holder_stamp, 'holder_now', CASE WHEN h.status = 'active' THEN h.security_stamp END, 'holder_role', h.role, 'own_role', hr.permissions, 'rests_elsewhere', EXISTS (SELECT 1 FROM json_each(m.made_through) n WHERE n.value <> k.id AND n.value NOT IN (SELECT e.value FROM json_each(k.made_through) e)))) FROM json_each(k.made_through) j CROSS JOIN api_keys m LEFT JOIN users h ON h.tenant_id = ?1 AND h.id = m.holder_id LEFT JOIN roles hr ON hr.tenant_id = ?1 AND hr.name = h.role WHERE m.tenant_id = ?1 AND m.id = j.value) AS makers FROM api_keys k LEFT JOIN users u ON u.tenant_id = ?1 AND u.id = k.holder_id LEFT JOIN roles r ON r.tenant_id = ?1 AND r.name = u.role WHERE k.tenant_id = ?1 AND k.id = ?2";
    /// Notes when a key was last used, at most once a minute.
    KEY_USED = "UPDATE api_keys SET last_used_at = ?3 WHERE tenant_id = ?1 AND id = ?2 AND COALESCE(last_used_at, 0) <= ?3 - 60000";
    /// A user with role and session, by user.
    USER = "SELECT u.id, u.email, u.name, u.role, u.email_verified_at, u.not_before, u.security_stamp, r.permissions AS own_role, s.id AS session, s.cookie_digest, s.expires_at AS session_expires_at, s.created_at AS session_created_at, (SELECT a.not_before FROM tenant_auth a WHERE a.tenant_id = ?1) AS tenant_not_before FROM users u LEFT JOIN roles r ON r.tenant_id = ?1 AND r.name = u.role LEFT JOIN sessions s ON s.tenant_id = ?1 AND s.id = ?3 AND s.user_id = u.id WHERE u.tenant_id = ?1 AND u.id = ?2 AND u.status = 'active'";
    /// A user with role and session, by session.
    USER_OF_SESSION = "SELECT u.id, u.email, u.name, u.role, u.email_verified_at, u.not_before, u.security_stamp, r.permissions AS own_role, s.id AS session, s.cookie_digest, s.expires_at AS session_expires_at, s.created_at AS session_created_at, (SELECT a.not_before FROM tenant_auth a WHERE a.tenant_id = ?1) AS tenant_not_before FROM sessions s JOIN users u ON u.tenant_id = ?1 AND u.id = s.user_id LEFT JOIN roles r ON r.tenant_id = ?1 AND r.name = u.role WHERE s.tenant_id = ?1 AND s.id = ?2 AND u.status = 'active'";
    /// The permissions of a role of the tenant's own, its creation id, and the time before which tokens are void.
    ROLE = "SELECT (SELECT r.permissions FROM roles r WHERE r.tenant_id = ?1 AND r.name = ?2) AS own_role, (SELECT c.creation_id FROM roles c WHERE c.tenant_id = ?1 AND c.name = ?2) AS role_id, (SELECT a.not_before FROM tenant_auth a WHERE a.tenant_id = ?1) AS tenant_not_before";
}

row_types! {
    pub(super) struct MemberUserRow {
        id: String,
        email: String,
        name: String,
        role: String,
        email_verified_at: Option<i64>,
        not_before: i64,
        security_stamp: String,
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
    pub(super) fn accepts_issued_at(&self, issued_at: i64) -> bool {
        issued_at >= self.not_before && issued_at >= self.tenant_not_before.unwrap_or(0)
    }

    pub(super) fn session_is_open(&self, now: Timestamp) -> bool {
        self.session_expires_at.is_some_and(|at| now.millis() < at)
    }

    /// The present stamp.
    pub(super) fn stamp(&self) -> &str {
        &self.security_stamp
    }

    /// What the user may do.
    pub(super) fn permissions(&self) -> Permissions {
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

    /// The rules that the user is still what was read.
    pub(super) fn as_seen(&self) -> Vec<(TenantSql, Vec<Arg>)> {
        user_as_seen((&self.id, &self.security_stamp), &self.role, self.own_role.as_deref())
    }

    fn into_user(self) -> User {
        User {
            id: self.id,
            email: self.email,
            name: self.name,
            role: self.role,
            email_verified: self.email_verified_at.is_some(),
            session: self.session,
            stamp: self.security_stamp,
        }
    }
}

row_types! {
    struct CurrentRoleRow {
        own_role: Option<String>,
        role_id: Option<String>,
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
/// 404 for a credential of another tenant. `outdated` if the tenant has changed since its configuration was read: the
/// look-up compares the two, so that whatever is judged by that configuration afterwards is current. Else an error is the
/// platform's fault.
pub async fn member(
    bindings: &Bindings,
    request: &Incoming,
    at: SessionContext<'_>,
) -> Result<Option<Member>, Problem> {
    let Some(credential) = Credential::of(request) else { return Ok(None) };
    let rows = TenantDb::open(bindings, at.tenant, &at.config.placement)?.judged_at(at.config.revision);
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
            Some(PresentedKey { kind: KeyKind::Platform, .. }) => by_platform_key(bindings, &rows, request, at).await,
            Some(_) => Ok(None),
            None if signing_keys::is_ours(&text) => by_token(bindings, &rows, at, &text).await,
            None => by_platform_key(bindings, &rows, request, at).await,
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
    let who = Actor::Key { id: id.to_owned() };
    let backing = row.backing(id);
    let maker = Maker::key(id, &backing);
    let terms = CredentialTerms {
        proven_at: now,
        expires_at: row.ends_at(text),
        mints_until: row.ends_at(text),
        rests_on: rests_on(&row),
        texts: backing.through.iter().map(|id| revocation::key_text(id)).collect(),
        networks: row.bounds().ranges().to_vec(),
    };
    let member = Member::proven(at.tenant, at.host, at.config, who, key_permissions(&row), maker, terms);
    Ok(Some(member.bounded(backing, row.bounds())))
}

/// What a key rests on: who answers for it, with their role, and the keys that it was made by, with whoever holds those.
fn rests_on(row: &ApiKeyRow) -> Vec<String> {
    let (_, backing) = row.present_holder();
    let role = row.holder_role.iter().map(|name| revocation::role(name));
    let mut names: Vec<String> = role.chain(backing.names("holder:", "key:")).collect();
    for (holder, role) in row.holders_of_makers() {
        names.extend([revocation::holder(&holder), revocation::role(&role)]);
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// A key's row by its id.
pub async fn key_row(rows: &TenantDb, id: &str) -> Result<Option<ApiKeyRow>, Problem> {
    Ok(rows.row::<ApiKeyRow>(&KEY, args![id]).await?)
}

/// What a key may do now, if it is in force.
pub fn key_permissions(row: &ApiKeyRow) -> Permissions {
    row.effective(permissions_of, Permissions::stored, Permissions::within)
}

/// The rules that a key is still what was read, and its holder, if a user answers for it.
pub(super) fn key_as_seen(row: &ApiKeyRow, id: &str) -> Vec<(TenantSql, Vec<Arg>)> {
    let (text, scopes, ranges, expires_at, held_by) = row.seen();
    let key = (rules::KEY_AS_SEEN, args![id, text, scopes, ranges, expires_at, held_by]);
    let (_, backing) = row.present_holder();
    let holder = backing.holder.map(|holder| {
        let role = row.holder_role.as_deref().unwrap_or_default();
        user_as_seen((&holder, &backing.stamp), role, row.own_role.as_deref())
    });
    std::iter::once(key).chain(holder.into_iter().flatten()).collect()
}

fn user_as_seen((id, stamp): (&str, &str), role: &str, own: Option<&str>) -> Vec<(TenantSql, Vec<Arg>)> {
    let user = (rules::USER_STANDS, args![id, stamp, role]);
    let role = Role::stored(role, own.map(str::to_owned)).as_seen();
    std::iter::once(user).chain(role).collect()
}

/// An active user with role and session; the session may be of any name where only the user matters.
pub(super) async fn user_row(rows: &TenantDb, user: &str, session: &str) -> Result<Option<MemberUserRow>, Problem> {
    Ok(rows.row::<MemberUserRow>(&USER, args![user, session]).await?)
}

/// A user's member; `token_ends` is the end of the token that was presented, if it was one.
fn member_of(
    at: SessionContext<'_>,
    row: MemberUserRow,
    proven_at: Timestamp,
    token_ends: Option<Timestamp>,
) -> Member {
    let (permissions, terms) = (row.permissions(), row.terms(proven_at, token_ends));
    let user = row.into_user();
    let maker = Maker::user(&user.id, &user.stamp, user.session.as_deref());
    Member::proven(at.tenant, at.host, at.config, Actor::User(user), permissions, maker, terms)
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
    Ok(row.map(|row| member_of(at, row, now, None)))
}

/// The platform's keys act in every tenant as an owner, if they have the permission to enter tenants.
async fn by_platform_key(
    bindings: &Bindings,
    rows: &TenantDb,
    request: &Incoming,
    at: SessionContext<'_>,
) -> Result<Option<Member>, Problem> {
    let proven_at = SystemClock.now();
    let operator = authenticate_operator::operator(bindings, request).await?;
    let operator = operator.filter(|operator| operator.permissions().has(PlatformPermission::TenantsEnter));
    let Some(operator) = operator else { return Ok(None) };
    rows.check_judged().await?;
    let maker = Maker::platform_key(&operator.actor(), operator.backing());
    let who = Actor::Operator { operator: operator.actor(), role: "owner".to_owned() };
    let bounds = operator.bounds().clone();
    let terms = CredentialTerms {
        proven_at,
        expires_at: bounds.until(),
        mints_until: bounds.until(),
        rests_on: operator.backing().names("operator:", "platform_key:"),
        texts: Vec::new(),
        networks: bounds.ranges().to_vec(),
    };
    let member = Member::proven(at.tenant, at.host, at.config, who, Permissions::ALL, maker, terms);
    // The keys of a tenant that it makes are the tenant's: no person and no key answers for them.
    Ok(Some(member.bounded(Backing::default(), bounds)))
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
    let row = user_row(rows, &user, &session).await?;
    let row = row.filter(|row| row.session_is_open(now) && row.accepts_issued_at(verified.issued_at.millis()));
    Ok(row.map(|row| member_of(at, row, now, Some(verified.expires_at))))
}

async fn by_switch_token(
    bindings: &Bindings,
    rows: &TenantDb,
    at: SessionContext<'_>,
    verified: VerifiedToken,
) -> Result<Option<Member>, Problem> {
    let proven_at = SystemClock.now();
    let (operator, session) = (verified.claims.sub.clone(), verified.claims.sid.clone().unwrap_or_default());
    let access = access_by(bindings, at.tenant, &operator, &verified).await?;
    let access = access.filter(|access| verified.claims.basis.as_ref() == Some(&access.basis));
    let Some(access) = access else { return Ok(None) };
    let maker = Maker::operator(&operator, &access.basis, &session);
    let Some(permissions) = entered(rows, &access, Some(verified.issued_at)).await? else { return Ok(None) };
    let terms = CredentialTerms {
        proven_at,
        expires_at: access.session_ends.into_iter().chain([verified.expires_at]).min(),
        mints_until: access.session_ends,
        rests_on: vec![revocation::operator_session(&session), revocation::role(&access.role)],
        ..CredentialTerms::default()
    };
    let who = Actor::Operator { operator, role: access.role };
    Ok(Some(Member::proven(at.tenant, at.host, at.config, who, permissions, maker, terms)))
}

/// What an operator has in the tenant by now, if the session of their token is open. Whether it is what the token rests on
/// is left to compare.
async fn access_by(
    bindings: &Bindings,
    tenant: &TenantId,
    operator: &str,
    verified: &VerifiedToken,
) -> Result<Option<TenantAccess>, Problem> {
    let session = verified.claims.sid.as_deref().unwrap_or_default();
    let access = tenant_access(bindings, tenant, operator, session).await?;
    Ok(access.filter(|access| access.session_ends.is_some()))
}

/// What an operator may do in a tenant; none if the role they were granted is not there any more, or what they present
/// was issued (none: whenever) before everything was made void.
pub async fn entered(
    rows: &TenantDb,
    access: &TenantAccess,
    issued_at: Option<Timestamp>,
) -> Result<Option<Permissions>, Problem> {
    let row = rows.row::<CurrentRoleRow>(&ROLE, args![access.role.as_str()]).await?;
    let row = row.filter(|row| {
        let is_same = is_built_in(&access.role) || row.role_id.as_ref() == Some(&access.role_id);
        is_same && issued_at.is_none_or(|at| at.millis() >= row.tenant_not_before.unwrap_or(0))
    });
    Ok(row.map(|row| permissions_of(&access.role, row.own_role.as_deref())))
}

/// A role of the tenant's own: its permissions and its creation id; none if it has no such role.
pub async fn own_role(rows: &TenantDb, role: &str) -> Result<Option<(String, String)>, Problem> {
    let row = rows.row::<CurrentRoleRow>(&ROLE, args![role]).await?;
    Ok(row.and_then(|row| row.own_role.zip(row.role_id)))
}

/// What an impersonation token rests on: the operator's access to the tenant, and the user's security stamp.
pub fn basis_of_impersonation(access: &str, user_stamp: &str) -> String {
    format!("{access} {user_stamp}")
}

/// An impersonator may do what both the user and the operator may do.
async fn by_impersonation_token(
    bindings: &Bindings,
    rows: &TenantDb,
    at: SessionContext<'_>,
    verified: VerifiedToken,
) -> Result<Option<Member>, Problem> {
    let proven_at = SystemClock.now();
    let operator = verified.claims.act.as_ref().map(|act| act.sub.clone()).unwrap_or_default();
    let session = verified.claims.sid.clone().unwrap_or_default();
    let Some(access) = access_by(bindings, at.tenant, &operator, &verified).await? else { return Ok(None) };
    let Some(entered) = entered(rows, &access, Some(verified.issued_at)).await? else { return Ok(None) };
    let row = user_row(rows, verified.claims.user_id.as_deref().unwrap_or_default(), "").await?;
    let row = row.filter(|row| {
        let basis = basis_of_impersonation(&access.basis, row.stamp());
        row.accepts_issued_at(verified.issued_at.millis()) && verified.claims.basis == Some(basis)
    });
    Ok(row.map(|row| {
        let maker =
            Maker::operator(&operator, &access.basis, &session).acting_as(&row.id, row.stamp(), verified.expires_at);
        let permissions = row.permissions().without(NOT_IMPERSONATED).within(entered);
        let rests_on = vec![
            operator.clone(),
            revocation::operator_session(&session),
            revocation::role(&row.role),
            revocation::role(&access.role),
        ];
        let expires_at = access.session_ends.into_iter().chain([verified.expires_at]).min();
        let terms = CredentialTerms { proven_at, expires_at, rests_on, ..CredentialTerms::default() };
        let who = Actor::Impersonator { operator, user: row.into_user(), until: verified.expires_at };
        Member::proven(at.tenant, at.host, at.config, who, permissions, maker, terms)
    }))
}
